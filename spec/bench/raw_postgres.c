/* raw_postgres.c - each workload of the bench as a C programmer would write it for PostgreSQL
** alone: the denominators of the table. One thread, prepared statements, binary both ways, pipelined
** where that is cheaper, each cell read. Its checksums are what the same workload in Lua has to
** arrive at. */
#include "raw_pg.h"

#include <sys/epoll.h>

static PGconn *db;

static void fail(const char *what)
{
  raw_pg_die(db, what);
}

static void send_prepared(const char *name)
{
  if (PQsendQueryPrepared(db, name, 0, NULL, NULL, NULL, 1) != 1)
    fail(name);
}

/* ---- cells ---- */

static const char *cell(const PGresult *result, int row, int column)
{
  return PQgetvalue(result, row, column);
}

static int64_t int8_cell(const PGresult *result, int row, int column)
{
  return raw_pg_get64(cell(result, row, column));
}

static int64_t int4_cell(const PGresult *result, int row, int column)
{
  return raw_pg_get32(cell(result, row, column));
}

/* Quarters: every float of the bench is a number of them. */
static int64_t float_cell(const PGresult *result, int row, int column)
{
  return (int64_t)(raw_pg_get_float(cell(result, row, column)) * 4);
}

/* The length and the last byte: text cut short or mixed up shows. */
static int64_t text_cell(const PGresult *result, int row, int column)
{
  const char *text = cell(result, row, column);
  int n = PQgetlength(result, row, column);
  return n + (n > 0 ? (unsigned char)text[n - 1] * 13 : 0);
}

/* ---- W1: a book by key ---- */

#define BOOK "select id, title, author_id, pages, published, price from book where "

static int64_t book_sum(const PGresult *result, int row)
{
  return int8_cell(result, row, 0) + text_cell(result, row, 1) + int8_cell(result, row, 2) * 3 +
         int4_cell(result, row, 3) * 5 + cell(result, row, 4)[0] * 7 +
         float_cell(result, row, 5) * 11;
}

/* One number is all that most statements take. */
static char number_text[8];
static const char *const number_value[] = {number_text};
static const int number_length[] = {8}, number_format[] = {1};

static void set_number(int64_t number)
{
  raw_pg_set64(number_text, (uint64_t)number);
}

static int64_t book_by_key(int64_t id)
{
  PGresult *result;
  int64_t sum;
  set_number(id);
  result = PQexecPrepared(db, "book", 1, number_value, number_length, number_format, 1);
  raw_pg_expect(db, result, PGRES_TUPLES_OK, "book by key");
  if (PQntuples(result) != 1)
    raw_die("book by key", "is not one row");
  sum = book_sum(result, 0);
  PQclear(result);
  return sum;
}

static void w1(raw_run *run)
{
  int64_t n = raw_number(run, "n"), book_n = raw_number(run, "books"), seed = 1, sum = 0;
  raw_pg_prepare(db, "book", BOOK "id = $1");
  for (int64_t i = 0; i < n / 10; i++)
    book_by_key(raw_next(&seed) % book_n + 1);
  seed = 7;
  raw_start(run);
  for (int64_t i = 0; i < n; i++)
    sum += book_by_key(raw_next(&seed) % book_n + 1);
  raw_stop(run);
  raw_over(run);
  run->units = n;
  run->checksum = sum;
  for (int64_t i = 0; i < n && i < RAW_LATENCY_MAX; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    book_by_key(raw_next(&seed) % book_n + 1);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
}

/* ---- W2: the same for many at a time, on a few connections ---- */

#define CONNS_MAX 16
#define TASKS_MAX 64

typedef struct flight {
  PGconn *conn;
  double began_us[TASKS_MAX]; /* of what is under way, a ring */
  int first, under_way, sync_n;
} flight;

typedef struct fleet {
  flight flights[CONNS_MAX];
  int conn_n, epoll;
  bool alone; /* a Sync for each, so that none can fail with another */
  int64_t seed, book_n;
  int64_t left, under_way; /* selects to be sent; answers to come, those to Syncs too */
  int64_t sum;
  raw_run *timed; /* notes the latencies, or NULL */
} fleet;

static void send_book(fleet *all, flight *one)
{
  set_number(raw_next(&all->seed) % all->book_n + 1);
  if (PQsendQueryPrepared(one->conn, "book", 1, number_value, number_length, number_format, 1) != 1)
    raw_pg_die(one->conn, "sending");
  if (all->timed != NULL)
    one->began_us[(one->first + one->under_way) % TASKS_MAX] = raw_clock_us(CLOCK_MONOTONIC);
  one->under_way++;
  all->left--;
  all->under_way++;
}

/* One Sync for all that go at once is a good deal cheaper than one for each. */
static void send_books(fleet *all, flight *one, int64_t n)
{
  if (n > all->left)
    n = all->left;
  for (int64_t i = 1; i <= n; i++) {
    send_book(all, one);
    if (!all->alone && i < n)
      continue;
    if (PQpipelineSync(one->conn) != 1)
      raw_pg_die(one->conn, "a sync");
    one->sync_n++;
    all->under_way++;
  }
}

/* All that has come. Whoever has an answer asks the next. */
static void read_books(fleet *all, flight *one)
{
  int done = 0;
  if (PQconsumeInput(one->conn) != 1)
    raw_pg_die(one->conn, "reading");
  while (one->sync_n > 0 && !PQisBusy(one->conn)) {
    PGresult *result = PQgetResult(one->conn);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK) {
      all->sum += book_sum(result, 0);
      if (all->timed != NULL)
        raw_latency(all->timed, raw_clock_us(CLOCK_MONOTONIC) - one->began_us[one->first]);
      one->first = (one->first + 1) % TASKS_MAX;
      one->under_way--;
      all->under_way--;
      done++;
    } else if (status == PGRES_PIPELINE_SYNC) {
      one->sync_n--;
      all->under_way--;
    } else if (result != NULL) {
      raw_pg_die(one->conn, "an answer");
    }
    PQclear(result);
  }
  send_books(all, one, done);
}

static int64_t select_books(fleet *all, int64_t n, int64_t seed, int task_n)
{
  struct epoll_event events[CONNS_MAX];
  all->seed = seed;
  all->left = n;
  all->sum = 0;
  for (int i = 0; i < all->conn_n; i++)
    send_books(all, &all->flights[i], task_n / all->conn_n + (i < task_n % all->conn_n));
  while (all->under_way > 0) {
    int ready = epoll_wait(all->epoll, events, CONNS_MAX, -1);
    for (int i = 0; i < ready; i++)
      read_books(all, events[i].data.ptr);
  }
  return all->sum;
}

static void w2(raw_run *run)
{
  static fleet all;
  int64_t n = raw_number(run, "n"), tasks = raw_number(run, "tasks");
  all.conn_n = (int)raw_number(run, "conns");
  all.book_n = raw_number(run, "books");
  all.alone = raw_number(run, "alone") != 0;
  all.epoll = epoll_create1(0);
  if (all.conn_n > CONNS_MAX || tasks > TASKS_MAX)
    raw_die("w2", "too many connections or tasks");
  for (int i = 0; i < all.conn_n; i++) {
    flight *one = &all.flights[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    one->conn = i == 0 ? db : raw_pg_connect(run, "conninfo");
    raw_pg_prepare(one->conn, "book", BOOK "id = $1");
    if (PQenterPipelineMode(one->conn) != 1 || PQsetnonblocking(one->conn, 1) != 0 ||
        epoll_ctl(all.epoll, EPOLL_CTL_ADD, PQsocket(one->conn), &event) != 0)
      raw_pg_die(one->conn, "pipeline mode");
  }
  select_books(&all, n / 10, 1, (int)tasks);
  raw_start(run);
  run->checksum = select_books(&all, n, 7, (int)tasks);
  raw_stop(run);
  raw_over(run);
  run->units = n;
  all.timed = run;
  select_books(&all, n < RAW_LATENCY_MAX ? n : RAW_LATENCY_MAX, 1, (int)tasks);
  for (int i = 1; i < all.conn_n; i++)
    PQfinish(all.flights[i].conn);
}

/* ---- W3: many rows of six typed columns ---- */

/* Row by row: a result of many rows costs libpq more, whoever keeps none of them. */
static void send_rows(const char *name)
{
  if (PQsendQueryPrepared(db, name, 1, number_value, number_length, number_format, 1) != 1 ||
      PQsetSingleRowMode(db) != 1)
    fail(name);
}

/* NULL behind the last. */
static PGresult *next_row(void)
{
  PGresult *result = PQgetResult(db);
  if (PQresultStatus(result) == PGRES_SINGLE_TUPLE)
    return result;
  PQclear(raw_pg_expect(db, result, PGRES_TUPLES_OK, "rows"));
  return PQgetResult(db);
}

/* Each cell in its final type, here too: decimal and moment are numbers to calculate with. */
static int64_t item_sum(const PGresult *result, int row)
{
  return int8_cell(result, row, 0) + text_cell(result, row, 1) +
         raw_pg_get_cents(cell(result, row, 2)) * 3 + raw_pg_get_seconds(cell(result, row, 3)) * 5 +
         cell(result, row, 4)[0] * 7 + float_cell(result, row, 5) * 11;
}

static int64_t items_below(int64_t n)
{
  int64_t sum = 0, row_n = 0;
  PGresult *result;
  set_number(n);
  send_rows("items");
  while ((result = next_row()) != NULL) {
    sum += item_sum(result, 0);
    row_n++;
    PQclear(result);
  }
  if (row_n != n)
    raw_die("items", "rows are missing");
  return sum;
}

static void w3(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  raw_pg_prepare(
      db, "items",
      "select id, title, balance, created, published, price from item where id <= $1::bigint");
  items_below(n);
  raw_start(run);
  for (int64_t round = 0; round < rounds; round++)
    run->checksum += items_below(n);
  raw_stop(run);
  run->units = n * rounds;
}

#include "raw_pg_insert.h"

/* ---- W6: filter, order, limit ---- */

static int64_t books_of(int64_t *seed, int64_t author_n)
{
  static raw_pg_bytes keys;
  static const int formats[] = {1};
  const char *values[1];
  int lengths[1];
  int64_t sum = 0;
  PGresult *result;
  keys.n = 0;
  raw_pg_put_array(&keys, RAW_PG_OID_INT8, 20);
  for (int i = 0; i < 20; i++)
    raw_pg_put_int8(&keys, raw_next(seed) % author_n + 1);
  values[0] = keys.data;
  lengths[0] = (int)keys.n;
  result = PQexecPrepared(db, "books", 1, values, lengths, formats, 1);
  raw_pg_expect(db, result, PGRES_TUPLES_OK, "books of authors");
  for (int row = 0; row < PQntuples(result); row++)
    sum += book_sum(result, row) + (row + 1) * int8_cell(result, row, 0);
  PQclear(result);
  return sum;
}

static void w6(raw_run *run)
{
  int64_t n = raw_number(run, "n"), author_n = raw_number(run, "authors"), seed = 1;
  raw_pg_prepare(db, "books",
                 BOOK "author_id = any ($1::bigint[]) and published order by price, id limit 100");
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
}

/* ---- W7: authors with their books ---- */

static int64_t author_sum(const PGresult *result, int row)
{
  return int8_cell(result, row, 0) + text_cell(result, row, 1) + text_cell(result, row, 2) +
         int4_cell(result, row, 3) * 7 + raw_pg_get_cents(cell(result, row, 4)) * 3 +
         raw_pg_get_seconds(cell(result, row, 5)) * 5;
}

/* All that a statement gives of the authors up to a key. */
static void sum_rows(raw_run *run, const char *name, int64_t n,
                     int64_t (*sum_of)(const PGresult *, int))
{
  PGresult *result;
  set_number(n);
  result = PQexecPrepared(db, name, 1, number_value, number_length, number_format, 1);
  raw_pg_expect(db, result, PGRES_TUPLES_OK, name);
  for (int row = 0; row < PQntuples(result); row++)
    run->checksum += sum_of(result, row);
  run->units += PQntuples(result);
  PQclear(result);
}

static void w7(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  raw_pg_prepare(
      db, "authors",
      "select id, name, email, age, balance, created from author where id <= $1::bigint");
  raw_pg_prepare(db, "books", BOOK "author_id <= $1::bigint");
  sum_rows(run, "authors", n, author_sum);
  sum_rows(run, "books", n, book_sum);
  run->units = run->checksum = 0;
  raw_start(run);
  for (int64_t round = 0; round < rounds; round++) {
    sum_rows(run, "authors", n, author_sum);
    sum_rows(run, "books", n, book_sum);
  }
  raw_stop(run);
}

/* ---- W8: a transaction in a transaction around one update ---- */

/* What was sent goes, and its answers are awaited. The rows that changed. */
static int64_t end_flight(void)
{
  int64_t changed = 0;
  ExecStatusType status;
  if (PQpipelineSync(db) != 1)
    fail("a sync");
  do {
    PGresult *result = PQgetResult(db);
    status = PQresultStatus(result);
    if (result != NULL && status == PGRES_COMMAND_OK)
      changed += strtoll(PQcmdTuples(result), NULL, 10);
    else if (result != NULL && status != PGRES_PIPELINE_SYNC)
      fail("an answer");
    PQclear(result);
  } while (status != PGRES_PIPELINE_SYNC);
  return changed;
}

/* All five in one flight, or the end in a second one: by a program that looks at the answer before it commits. */
static int64_t add_a_year(int64_t id, bool looks)
{
  int64_t changed = 0;
  send_prepared("begin");
  send_prepared("savepoint");
  set_number(id);
  if (PQsendQueryPrepared(db, "update", 1, number_value, number_length, number_format, 1) != 1)
    fail("update");
  if (looks)
    changed = end_flight();
  send_prepared("release");
  send_prepared("commit");
  return changed + end_flight();
}

static void w8(raw_run *run)
{
  int64_t n = raw_number(run, "n"), author_n = raw_number(run, "authors"), seed = 7;
  bool looks = raw_number(run, "looks") != 0;
  raw_pg_prepare(db, "begin", "begin");
  raw_pg_prepare(db, "savepoint", "savepoint inner_one");
  raw_pg_prepare(db, "update", "update author set age = age + 1 where id = $1");
  raw_pg_prepare(db, "release", "release inner_one");
  raw_pg_prepare(db, "commit", "commit");
  if (PQenterPipelineMode(db) != 1)
    fail("pipeline mode");
  raw_start(run);
  for (int64_t i = 0; i < n; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    run->checksum += add_a_year(raw_next(&seed) % author_n + 1, looks);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
  raw_stop(run);
  run->units = n;
}

/* ---- W9: rows that the server makes, one after the other ---- */

static void w9(raw_run *run)
{
  PGresult *result;
  raw_pg_prepare(db, "numbers",
                 "select i as id, 'row ' || i as name, i * 0.25::float8 as price"
                 " from (select generate_series(1, $1::bigint) as i) as numbers");
  set_number(raw_number(run, "n"));
  raw_start(run);
  send_rows("numbers");
  while ((result = next_row()) != NULL) {
    run->checksum +=
        int8_cell(result, 0, 0) + text_cell(result, 0, 1) + float_cell(result, 0, 2) * 11;
    run->units++;
    PQclear(result);
  }
  raw_stop(run);
}

static const struct {
  const char *name;
  void (*run)(raw_run *run);
} workloads[] = {
    {"w1", w1}, {"w2", w2}, {"w3", w3}, {"w4", w4},   {"w5", w5},
    {"w6", w6}, {"w7", w7}, {"w8", w8}, {"w5c", w5c}, {"w9", w9},
};

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "raw_postgres WORKLOAD conninfo=URL server=PID n=N ...");
  run.argv = argv + 2;
  db = raw_pg_connect(&run, "conninfo");
  raw_pg_watch(&run, db);
  for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
    if (strcmp(argv[1], workloads[i].name) == 0) {
      workloads[i].run(&run);
      raw_report(&run);
      PQfinish(db);
      return 0;
    }
  raw_die(argv[1], "is no workload");
}
