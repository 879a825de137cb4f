/* raw_mariadb.c - each workload of the bench as a C programmer would write it for MariaDB alone: the
** denominators of the table. One thread, each cell read; statements are prepared and rows binary,
** except where the text protocol is asked for (W2). Its checksums are what the same workload in Lua
** has to arrive at. */
#include "raw_my.h"

#include <sys/epoll.h>

static MYSQL *db;

static void execute(MYSQL_STMT *stmt, const char *what)
{
  if (mysql_stmt_execute(stmt) != 0)
    raw_my_stmt_die(stmt, what);
}

/* ---- W1: a book by key ---- */

#define BOOK "select id, title, author_id, pages, published, price from book where "

static const enum enum_field_types book_types[] = {MYSQL_TYPE_LONGLONG, MYSQL_TYPE_STRING,
                                                   MYSQL_TYPE_LONGLONG, MYSQL_TYPE_LONGLONG,
                                                   MYSQL_TYPE_LONGLONG, MYSQL_TYPE_DOUBLE};

static int64_t book_sum(const raw_my_cell *cells)
{
  return cells[0].number + raw_my_text_sum(cells[1].text, cells[1].n) + cells[2].number * 3 +
         cells[3].number * 5 + cells[4].number * 7 + raw_my_quarters(&cells[5]) * 11;
}

typedef struct book_query {
  MYSQL_STMT *stmt;
  int64_t id;
  raw_my_cell cells[6];
} book_query;

static void prepare_book(book_query *book, MYSQL *conn)
{
  book->stmt = raw_my_prepare(conn, BOOK "id = ?");
  raw_my_take_numbers(book->stmt, &book->id, 1);
  raw_my_give(book->stmt, book->cells, book_types, 6);
}

/* What has been asked for. */
static int64_t fetch_book(book_query *book)
{
  if (!raw_my_fetch(book->stmt) || raw_my_fetch(book->stmt))
    raw_die("book by key", "is not one row");
  mysql_stmt_free_result(book->stmt);
  return book_sum(book->cells);
}

static int64_t book_by_key(book_query *book, int64_t id)
{
  book->id = id;
  execute(book->stmt, "book by key");
  return fetch_book(book);
}

static void w1(raw_run *run)
{
  static book_query book;
  int64_t n = raw_number(run, "n"), book_n = raw_number(run, "books"), seed = 1, sum = 0;
  prepare_book(&book, db);
  for (int64_t i = 0; i < n / 10; i++)
    book_by_key(&book, raw_next(&seed) % book_n + 1);
  seed = 7;
  raw_start(run);
  for (int64_t i = 0; i < n; i++)
    sum += book_by_key(&book, raw_next(&seed) % book_n + 1);
  raw_stop(run);
  raw_over(run);
  run->units = n;
  run->checksum = sum;
  for (int64_t i = 0; i < n && i < RAW_LATENCY_MAX; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    book_by_key(&book, raw_next(&seed) % book_n + 1);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
}

/* ---- W2: the same for many at a time, on a few connections ---- */

#define CONNS_MAX 16

typedef struct line {
  MYSQL *conn;
  book_query book;
  double began_us;
} line;

typedef struct fleet {
  line lines[CONNS_MAX];
  int conn_n, epoll;
  bool prepared; /* or as text */
  int64_t seed, book_n;
  int64_t left, under_way, sum;
  raw_run *timed; /* notes the latencies, or NULL */
} fleet;

static void took_book(fleet *all, line *one, int64_t sum)
{
  all->sum += sum;
  all->under_way--;
  if (all->timed != NULL)
    raw_latency(all->timed, raw_clock_us(CLOCK_MONOTONIC) - one->began_us);
}

/* A server may be so quick that the answer is there at once: then the next one is asked for. */
static void send_book(fleet *all, line *one)
{
  while (all->left > 0) {
    int64_t id = raw_next(&all->seed) % all->book_n + 1;
    int failed = 0;
    all->left--;
    all->under_way++;
    if (all->timed != NULL)
      one->began_us = raw_clock_us(CLOCK_MONOTONIC);
    if (!all->prepared) {
      char sql[128];
      int n = snprintf(sql, sizeof sql, BOOK "id = %" PRId64, id);
      if (mysql_send_query(one->conn, sql, (unsigned long)n) != 0)
        raw_my_die(one->conn, "sending");
      return;
    }
    one->book.id = id;
    if (mysql_stmt_execute_start(&failed, one->book.stmt) != 0)
      return;
    if (failed != 0)
      raw_my_stmt_die(one->book.stmt, "sending");
    took_book(all, one, fetch_book(&one->book));
  }
}

static int64_t text_book(line *one)
{
  MYSQL_RES *result;
  MYSQL_ROW row;
  int64_t sum;
  if (mysql_read_query_result(one->conn) != 0 || (result = mysql_store_result(one->conn)) == NULL)
    raw_my_die(one->conn, "an answer");
  row = mysql_fetch_row(result);
  if (row == NULL || mysql_num_rows(result) != 1)
    raw_die("book by key", "is not one row");
  sum = strtoll(row[0], NULL, 10) + raw_my_text_sum(row[1], mysql_fetch_lengths(result)[1]) +
        strtoll(row[2], NULL, 10) * 3 + strtoll(row[3], NULL, 10) * 5 + (row[4][0] - '0') * 7 +
        (int64_t)(strtod(row[5], NULL) * 4) * 11;
  mysql_free_result(result);
  return sum;
}

/* What has come; whoever has an answer asks the next. */
static void read_book(fleet *all, line *one)
{
  int failed = 0;
  if (!all->prepared) {
    took_book(all, one, text_book(one));
  } else {
    if (mysql_stmt_execute_cont(&failed, one->book.stmt, MYSQL_WAIT_READ) != 0)
      return;
    if (failed != 0)
      raw_my_stmt_die(one->book.stmt, "an answer");
    took_book(all, one, fetch_book(&one->book));
  }
  send_book(all, one);
}

static int64_t select_books(fleet *all, int64_t n, int64_t seed)
{
  struct epoll_event events[CONNS_MAX];
  all->seed = seed;
  all->left = n;
  all->sum = 0;
  for (int i = 0; i < all->conn_n; i++)
    send_book(all, &all->lines[i]);
  while (all->under_way > 0) {
    int ready = epoll_wait(all->epoll, events, CONNS_MAX, -1);
    for (int i = 0; i < ready; i++)
      read_book(all, events[i].data.ptr);
  }
  return all->sum;
}

static void w2(raw_run *run)
{
  static fleet all;
  int64_t n = raw_number(run, "n");
  all.conn_n = (int)raw_number(run, "conns");
  all.book_n = raw_number(run, "books");
  all.prepared = raw_number(run, "prepared") != 0;
  all.epoll = epoll_create1(0);
  if (all.conn_n > CONNS_MAX)
    raw_die("w2", "too many connections");
  mysql_close(db);
  for (int i = 0; i < all.conn_n; i++) {
    line *one = &all.lines[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    one->conn = raw_my_connect(run, all.prepared);
    if (all.prepared)
      prepare_book(&one->book, one->conn);
    if (epoll_ctl(all.epoll, EPOLL_CTL_ADD, mysql_get_socket(one->conn), &event) != 0)
      raw_die("w2", "epoll");
  }
  db = all.lines[0].conn;
  raw_my_watch(run, db);
  select_books(&all, n / 10, 1);
  raw_start(run);
  run->checksum = select_books(&all, n, 7);
  raw_stop(run);
  raw_over(run);
  run->units = n;
  all.timed = run;
  select_books(&all, n < RAW_LATENCY_MAX ? n : RAW_LATENCY_MAX, 1);
  for (int i = 0; i < all.conn_n; i++) {
    if (all.prepared)
      mysql_stmt_close(all.lines[i].book.stmt);
    if (i > 0)
      mysql_close(all.lines[i].conn);
  }
}

/* ---- W3: many rows of six typed columns ---- */

/* Each cell in its final type, here too: decimal and moment are numbers to calculate with. */
static int64_t item_sum(const raw_my_cell *cells)
{
  return cells[0].number + raw_my_text_sum(cells[1].text, cells[1].n) +
         raw_my_cents(&cells[2]) * 3 + raw_my_seconds(&cells[3].moment) * 5 + cells[4].number * 7 +
         raw_my_quarters(&cells[5]) * 11;
}

static void w3(raw_run *run)
{
  static const enum enum_field_types types[] = {MYSQL_TYPE_LONGLONG,   MYSQL_TYPE_STRING,
                                                MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_DATETIME,
                                                MYSQL_TYPE_LONGLONG,   MYSQL_TYPE_DOUBLE};
  static raw_my_cell cells[6];
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  MYSQL_STMT *stmt = raw_my_prepare(
      db, "select id, title, balance, created, published, price from item where id <= ?");
  raw_my_take_numbers(stmt, &n, 1);
  raw_my_give(stmt, cells, types, 6);
  for (int64_t round = 0; round <= rounds; round++) {
    int64_t row_n = 0, sum = 0;
    if (round == 1) /* the one before made all warm */
      raw_start(run);
    execute(stmt, "items");
    for (; raw_my_fetch(stmt); row_n++)
      sum += item_sum(cells);
    mysql_stmt_free_result(stmt);
    if (row_n != n)
      raw_die("items", "rows are missing");
    if (round > 0)
      run->checksum += sum;
  }
  raw_stop(run);
  run->units = n * rounds;
  raw_over(run);
  mysql_stmt_close(stmt);
}

/* ---- W4, W5: authors inserted: with their keys, without ---- */

typedef struct author {
  char name[32], email[40], balance[24];
  int64_t age;
  MYSQL_TIME created;
  unsigned long name_n, email_n, balance_n;
} author;

#define FEBRUARY_2024 INT64_C(1706745600)

static author *make_authors(int64_t first, int64_t n)
{
  author *list = calloc((size_t)n, sizeof *list);
  if (list == NULL)
    raw_die("authors", "out of memory");
  for (int64_t k = 0; k < n; k++) {
    int64_t i = first + k, cents = i * 9973 % 10000000;
    author *a = &list[k];
    a->name_n = (unsigned long)snprintf(a->name, sizeof a->name, "Author %05" PRId64, i);
    a->email_n =
        (unsigned long)snprintf(a->email, sizeof a->email, "author%" PRId64 "@example.org", i);
    a->age = 18 + i * 7 % 60;
    a->balance_n = (unsigned long)snprintf(a->balance, sizeof a->balance, "%" PRId64 ".%02" PRId64,
                                           cents / 100, cents % 100);
    a->created =
        raw_my_moment(FEBRUARY_2024 + i % 28 * 86400 + i % 24 * 3600 + i % 60 * 60 + i * 7 % 60);
  }
  return list;
}

#define INSERT_AUTHOR                                                                              \
  "insert into author (name, email, age, balance, created) values (?, ?, ?, ?, ?)"

static const enum enum_field_types author_types[] = {MYSQL_TYPE_STRING, MYSQL_TYPE_STRING,
                                                     MYSQL_TYPE_LONGLONG, MYSQL_TYPE_STRING,
                                                     MYSQL_TYPE_DATETIME};

/* The columns of a row, or of the first of many that stand one behind the other. */
static void bind_author(MYSQL_STMT *stmt, author *a)
{
  void *places[] = {a->name, a->email, &a->age, a->balance, &a->created};
  unsigned long *lengths[] = {&a->name_n, &a->email_n, NULL, &a->balance_n, NULL};
  MYSQL_BIND binds[5];
  memset(binds, 0, sizeof binds);
  for (int i = 0; i < 5; i++) {
    binds[i].buffer_type = author_types[i];
    binds[i].buffer = places[i];
    binds[i].length = lengths[i];
  }
  if (mysql_stmt_bind_param(stmt, binds) != 0)
    raw_my_stmt_die(stmt, "an author");
}

static void w4(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  MYSQL_STMT *stmt = raw_my_prepare(db, INSERT_AUTHOR);
  author a; /* the statement's place for each */
  bind_author(stmt, &a);
  for (int64_t round = 0; round < rounds; round++) {
    author *list = make_authors(raw_number(run, "authors") + round * n + 1, n);
    raw_start(run);
    raw_my_run(db, "begin");
    for (int64_t i = 0; i < n; i++) {
      a = list[i];
      execute(stmt, "an author");
      run->checksum += (int64_t)mysql_stmt_insert_id(stmt);
    }
    raw_my_run(db, "commit");
    raw_stop(run);
    free(list);
  }
  run->units = n * rounds;
  raw_over(run);
  mysql_stmt_close(stmt);
}

static void w5(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  MYSQL_STMT *stmt = raw_my_prepare(db, INSERT_AUTHOR);
  unsigned array_n = (unsigned)n;
  size_t step = sizeof(author);
  mysql_stmt_attr_set(stmt, STMT_ATTR_ROW_SIZE, &step);
  mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &array_n);
  for (int64_t round = 0; round < rounds; round++) {
    author *list = make_authors(raw_number(run, "authors") + round * n + 1, n);
    raw_start(run);
    bind_author(stmt, list);
    execute(stmt, "authors");
    run->checksum += (int64_t)mysql_stmt_affected_rows(stmt);
    raw_stop(run);
    free(list);
  }
  run->units = n * rounds;
  raw_over(run);
  mysql_stmt_close(stmt);
}

/* ---- W6: filter, order, limit ---- */

#define KEYS_MAX 20

static struct {
  MYSQL_STMT *stmt;
  int64_t keys[KEYS_MAX];
  raw_my_cell cells[6];
} of_authors;

static int64_t books_of(int64_t *seed, int64_t author_n)
{
  int64_t sum = 0;
  for (int i = 0; i < KEYS_MAX; i++)
    of_authors.keys[i] = raw_next(seed) % author_n + 1;
  execute(of_authors.stmt, "books of authors");
  for (int64_t place = 1; raw_my_fetch(of_authors.stmt); place++)
    sum += book_sum(of_authors.cells) + place * of_authors.cells[0].number;
  mysql_stmt_free_result(of_authors.stmt);
  return sum;
}

static void w6(raw_run *run)
{
  int64_t n = raw_number(run, "n"), author_n = raw_number(run, "authors"), seed = 1;
  of_authors.stmt = raw_my_prepare(
      db, BOOK "author_id in (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
               " and published order by price, id limit 100");
  raw_my_take_numbers(of_authors.stmt, of_authors.keys, KEYS_MAX);
  raw_my_give(of_authors.stmt, of_authors.cells, book_types, 6);
  for (int64_t i = 0; i < n / 10; i++)
    books_of(&seed, author_n);
  seed = 7;
  raw_start(run);
  for (int64_t i = 0; i < n; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    run->checksum += books_of(&seed, author_n);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
  raw_stop(run);
  run->units = n;
  raw_over(run);
  mysql_stmt_close(of_authors.stmt);
}

/* ---- W7: authors with their books ---- */

static int64_t author_sum(const raw_my_cell *cells)
{
  return cells[0].number + raw_my_text_sum(cells[1].text, cells[1].n) +
         raw_my_text_sum(cells[2].text, cells[2].n) + cells[3].number * 7 +
         raw_my_cents(&cells[4]) * 3 + raw_my_seconds(&cells[5].moment) * 5;
}

/* All that a statement gives of the authors up to a key. */
static void sum_rows(raw_run *run, MYSQL_STMT *stmt, const raw_my_cell *cells,
                     int64_t (*sum_of)(const raw_my_cell *))
{
  execute(stmt, "authors with their books");
  for (; raw_my_fetch(stmt); run->units++)
    run->checksum += sum_of(cells);
  mysql_stmt_free_result(stmt);
}

static void w7(raw_run *run)
{
  static const enum enum_field_types types[] = {MYSQL_TYPE_LONGLONG,   MYSQL_TYPE_STRING,
                                                MYSQL_TYPE_STRING,     MYSQL_TYPE_LONGLONG,
                                                MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_DATETIME};
  static raw_my_cell author_cells[6], book_cells[6];
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  MYSQL_STMT *authors =
      raw_my_prepare(db, "select id, name, email, age, balance, created from author where id <= ?");
  MYSQL_STMT *books = raw_my_prepare(db, BOOK "author_id <= ?");
  raw_my_take_numbers(authors, &n, 1);
  raw_my_take_numbers(books, &n, 1);
  raw_my_give(authors, author_cells, types, 6);
  raw_my_give(books, book_cells, book_types, 6);
  sum_rows(run, authors, author_cells, author_sum);
  sum_rows(run, books, book_cells, book_sum);
  run->units = run->checksum = 0;
  raw_start(run);
  for (int64_t round = 0; round < rounds; round++) {
    sum_rows(run, authors, author_cells, author_sum);
    sum_rows(run, books, book_cells, book_sum);
  }
  raw_stop(run);
  raw_over(run);
  mysql_stmt_close(authors);
  mysql_stmt_close(books);
}

/* ---- W9: rows that the server makes, one after the other ---- */

static void w9(raw_run *run)
{
  static const enum enum_field_types types[] = {MYSQL_TYPE_LONGLONG, MYSQL_TYPE_STRING,
                                                MYSQL_TYPE_DOUBLE};
  static raw_my_cell cells[3];
  int64_t n = raw_number(run, "n");
  MYSQL_STMT *stmt = raw_my_prepare(db, "select seq as id, concat('row ', seq) as name,"
                                        " seq * 0.25e0 as price from seq_1_to_100000000"
                                        " where seq <= ?");
  raw_my_take_numbers(stmt, &n, 1);
  raw_my_give(stmt, cells, types, 3);
  raw_start(run);
  execute(stmt, "numbers");
  for (; raw_my_fetch(stmt); run->units++)
    run->checksum += cells[0].number + raw_my_text_sum(cells[1].text, cells[1].n) +
                     raw_my_quarters(&cells[2]) * 11;
  mysql_stmt_free_result(stmt);
  raw_stop(run);
  raw_over(run);
  mysql_stmt_close(stmt);
}

static const struct {
  const char *name;
  void (*run)(raw_run *run);
} workloads[] = {
    {"w1", w1}, {"w2", w2}, {"w3", w3}, {"w4", w4}, {"w5", w5}, {"w6", w6}, {"w7", w7}, {"w9", w9},
};

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "raw_mariadb WORKLOAD host=H port=N socket= user=U password=P database=D"
                     " n=N ...");
  run.argv = argv + 2;
  db = raw_my_connect(&run, false);
  raw_my_watch(&run, db);
  for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
    if (strcmp(argv[1], workloads[i].name) == 0) {
      workloads[i].run(&run);
      raw_report(&run);
      mysql_close(db);
      return 0;
    }
  raw_die(argv[1], "is no workload");
}
