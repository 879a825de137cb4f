/* raw_sqlite.c - each workload of the bench as a C programmer would write it for SQLite alone: the
** denominators of the table. One thread, blocking, each statement prepared once and each cell
** read. Its checksums are what the same workload in Lua has to arrive at. */
#include "raw.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <unistd.h>

static sqlite3 *db;

static void fail(const char *what)
{
  raw_die(what, sqlite3_errmsg(db));
}

static void run_sql(const char *sql)
{
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail(sql);
}

static sqlite3_stmt *prepare(const char *sql)
{
  sqlite3_stmt *stmt;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
    fail(sql);
  return stmt;
}

static void step_once(sqlite3_stmt *stmt)
{
  if (sqlite3_step(stmt) != SQLITE_DONE)
    fail(sqlite3_sql(stmt));
  sqlite3_reset(stmt);
}

/* The length and the last byte: text cut short or mixed up shows. */
static int64_t text_sum(sqlite3_stmt *stmt, int column)
{
  const unsigned char *text = sqlite3_column_text(stmt, column);
  int n = sqlite3_column_bytes(stmt, column);
  return n + (n > 0 ? text[n - 1] * 13 : 0);
}

/* ---- W1: a book by key ---- */

#define BOOK "select id, title, author_id, pages, published, price from book where "

static int64_t book_sum(sqlite3_stmt *stmt)
{
  return sqlite3_column_int64(stmt, 0) + text_sum(stmt, 1) + sqlite3_column_int64(stmt, 2) * 3 +
         sqlite3_column_int64(stmt, 3) * 5 + sqlite3_column_int64(stmt, 4) * 7 +
         (int64_t)(sqlite3_column_double(stmt, 5) * 4) * 11;
}

static int64_t book_by_key(sqlite3_stmt *stmt, int64_t id)
{
  int64_t sum;
  sqlite3_bind_int64(stmt, 1, id);
  if (sqlite3_step(stmt) != SQLITE_ROW)
    fail("book by key");
  sum = book_sum(stmt);
  sqlite3_reset(stmt);
  return sum;
}

static void w1(raw_run *run)
{
  int64_t n = raw_number(run, "n"), book_n = raw_number(run, "books"), seed = 1, sum = 0;
  sqlite3_stmt *stmt = prepare(BOOK "id = ?");
  for (int64_t i = 0; i < n / 10; i++)
    book_by_key(stmt, raw_next(&seed) % book_n + 1);
  seed = 7;
  raw_start(run);
  for (int64_t i = 0; i < n; i++)
    sum += book_by_key(stmt, raw_next(&seed) % book_n + 1);
  raw_stop(run);
  run->units = n;
  run->checksum = sum;
  for (int64_t i = 0; i < n && i < RAW_LATENCY_MAX; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    book_by_key(stmt, raw_next(&seed) % book_n + 1);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
  sqlite3_finalize(stmt);
}

/* ---- W3: many rows of six typed columns ---- */

/* "123.45" as a number of cents. */
static int64_t cents_of(const char *s)
{
  int64_t cents = 0;
  for (; *s != '\0'; s++)
    if (*s != '.')
      cents = cents * 10 + (*s - '0');
  return cents;
}

static int64_t two_digits(const char *s)
{
  return (s[0] - '0') * 10 + (s[1] - '0');
}

/* "YYYY-MM-DD HH:MM:SS" as seconds since 1970. */
static int64_t seconds_of(const char *s)
{
  int64_t month = two_digits(s + 5), year = two_digits(s) * 100 + two_digits(s + 2) - (month <= 2);
  int64_t year_day = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + two_digits(s + 8) - 1;
  int64_t days = year * 365 + year / 4 - year / 100 + year / 400 + year_day - 719468;
  return days * 86400 + two_digits(s + 11) * 3600 + two_digits(s + 14) * 60 + two_digits(s + 17);
}

/* Each cell in its final type, here too: decimal and moment are numbers to calculate with. */
static int64_t item_sum(sqlite3_stmt *stmt)
{
  return sqlite3_column_int64(stmt, 0) + text_sum(stmt, 1) +
         cents_of((const char *)sqlite3_column_text(stmt, 2)) * 3 +
         seconds_of((const char *)sqlite3_column_text(stmt, 3)) * 5 +
         sqlite3_column_int64(stmt, 4) * 7 + (int64_t)(sqlite3_column_double(stmt, 5) * 4) * 11;
}

static int64_t items_below(sqlite3_stmt *stmt, int64_t n)
{
  int64_t sum = 0, row_n = 0;
  int rc;
  sqlite3_bind_int64(stmt, 1, n);
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    sum += item_sum(stmt);
    row_n++;
  }
  if (rc != SQLITE_DONE || row_n != n)
    fail("items");
  sqlite3_reset(stmt);
  return sum;
}

static void w3(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  sqlite3_stmt *stmt =
      prepare("select id, title, balance, created, published, price from item where id <= ?");
  items_below(stmt, n);
  raw_start(run);
  for (int64_t round = 0; round < rounds; round++)
    run->checksum += items_below(stmt, n);
  raw_stop(run);
  run->units = n * rounds;
  sqlite3_finalize(stmt);
}

/* ---- W4 and W5: authors inserted, with their keys and without ---- */

typedef struct author {
  char name[32], email[40], balance[24], created[24];
  int64_t age;
} author;

static author *make_authors(int64_t first, int64_t n)
{
  author *list = calloc((size_t)n, sizeof *list);
  if (list == NULL)
    raw_die("authors", "out of memory");
  for (int64_t k = 0; k < n; k++) {
    int64_t i = first + k, cents = i * 9973 % 10000000;
    snprintf(list[k].name, sizeof list[k].name, "Author %05" PRId64, i);
    snprintf(list[k].email, sizeof list[k].email, "author%" PRId64 "@example.org", i);
    snprintf(list[k].balance, sizeof list[k].balance, "%" PRId64 ".%02" PRId64, cents / 100,
             cents % 100);
    snprintf(list[k].created, sizeof list[k].created, "2024-02-%02d %02d:%02d:%02d",
             (int)(i % 28 + 1), (int)(i % 24), (int)(i % 60), (int)(i * 7 % 60));
    list[k].age = 18 + i * 7 % 60;
  }
  return list;
}

static int64_t insert_authors(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds"), keys = 0;
  sqlite3_stmt *stmt =
      prepare("insert into author (name, email, age, balance, created) values (?, ?, ?, ?, ?)");
  for (int64_t round = 0; round < rounds; round++) {
    author *list = make_authors(raw_number(run, "authors") + round * n + 1, n);
    raw_start(run);
    run_sql("begin immediate");
    for (author *a = list; a < list + n; a++) {
      sqlite3_bind_text(stmt, 1, a->name, -1, SQLITE_STATIC);
      sqlite3_bind_text(stmt, 2, a->email, -1, SQLITE_STATIC);
      sqlite3_bind_int64(stmt, 3, a->age);
      sqlite3_bind_text(stmt, 4, a->balance, -1, SQLITE_STATIC);
      sqlite3_bind_text(stmt, 5, a->created, -1, SQLITE_STATIC);
      step_once(stmt);
      keys += sqlite3_last_insert_rowid(db);
    }
    run_sql("commit");
    raw_stop(run);
    free(list);
  }
  run->units = n * rounds;
  sqlite3_finalize(stmt);
  return keys;
}

static void w4(raw_run *run)
{
  run->checksum = insert_authors(run);
}

static void w5(raw_run *run)
{
  insert_authors(run);
  run->checksum = run->units;
}

/* ---- W6: filter, order, limit ---- */

#define TWENTY_AUTHORS "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"

static int64_t books_of(sqlite3_stmt *stmt, int64_t *seed, int64_t author_n)
{
  int64_t sum = 0, place = 0;
  int rc;
  for (int i = 1; i <= 20; i++)
    sqlite3_bind_int64(stmt, i, raw_next(seed) % author_n + 1);
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
    sum += book_sum(stmt) + ++place * sqlite3_column_int64(stmt, 0);
  if (rc != SQLITE_DONE)
    fail("books of authors");
  sqlite3_reset(stmt);
  return sum;
}

static void w6(raw_run *run)
{
  int64_t n = raw_number(run, "n"), author_n = raw_number(run, "authors"), seed = 7;
  sqlite3_stmt *stmt =
      prepare(BOOK "author_id in (" TWENTY_AUTHORS ") and published order by price, id limit 100");
  for (int64_t i = 0; i < n; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    raw_start(run);
    run->checksum += books_of(stmt, &seed, author_n);
    raw_stop(run);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
  run->units = n;
  sqlite3_finalize(stmt);
}

/* ---- W7: authors with their books ---- */

#define AUTHOR "select id, name, email, age, balance, created from author where "

static int64_t author_sum(sqlite3_stmt *stmt)
{
  return sqlite3_column_int64(stmt, 0) + text_sum(stmt, 1) + text_sum(stmt, 2) +
         sqlite3_column_int64(stmt, 3) * 7 +
         cents_of((const char *)sqlite3_column_text(stmt, 4)) * 3 +
         seconds_of((const char *)sqlite3_column_text(stmt, 5)) * 5;
}

/* All that a statement gives of the authors up to a key. */
static void sum_rows(raw_run *run, sqlite3_stmt *stmt, int64_t n, int64_t (*sum_of)(sqlite3_stmt *))
{
  int rc;
  sqlite3_bind_int64(stmt, 1, n);
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    run->checksum += sum_of(stmt);
    run->units++;
  }
  if (rc != SQLITE_DONE)
    fail("authors with their books");
  sqlite3_reset(stmt);
}

static void w7(raw_run *run)
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  sqlite3_stmt *authors = prepare(AUTHOR "id <= ?"), *books = prepare(BOOK "author_id <= ?");
  sum_rows(run, authors, n, author_sum);
  sum_rows(run, books, n, book_sum);
  run->units = run->checksum = 0;
  raw_start(run);
  for (int64_t round = 0; round < rounds; round++) {
    sum_rows(run, authors, n, author_sum);
    sum_rows(run, books, n, book_sum);
  }
  raw_stop(run);
  sqlite3_finalize(authors);
  sqlite3_finalize(books);
}

/* ---- W8: a transaction in a transaction around one update ---- */

static void w8(raw_run *run)
{
  int64_t n = raw_number(run, "n"), author_n = raw_number(run, "authors"), seed = 7;
  sqlite3_stmt *begin = prepare("begin immediate"), *savepoint = prepare("savepoint inner_one"),
               *release = prepare("release inner_one"), *commit = prepare("commit"),
               *update = prepare("update author set age = age + 1 where id = ?");
  for (int64_t i = 0; i < n; i++) {
    double start_us = raw_clock_us(CLOCK_MONOTONIC);
    raw_start(run);
    step_once(begin);
    step_once(savepoint);
    sqlite3_bind_int64(update, 1, raw_next(&seed) % author_n + 1);
    step_once(update);
    run->checksum += sqlite3_changes(db);
    step_once(release);
    step_once(commit);
    raw_stop(run);
    raw_latency(run, raw_clock_us(CLOCK_MONOTONIC) - start_us);
  }
  run->units = n;
  sqlite3_finalize(begin);
  sqlite3_finalize(savepoint);
  sqlite3_finalize(update);
  sqlite3_finalize(release);
  sqlite3_finalize(commit);
}

/* ---- W9: rows that the server makes, one after the other ---- */

static void w9(raw_run *run)
{
  sqlite3_stmt *stmt = prepare("with recursive n(i) as (select 1 union all select i + 1 from n"
                               " where i < ?) select i as id, 'row ' || i as name,"
                               " i * 0.25 as price from n");
  int rc;
  sqlite3_bind_int64(stmt, 1, raw_number(run, "n"));
  raw_start(run);
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    run->checksum += sqlite3_column_int64(stmt, 0) + text_sum(stmt, 1) +
                     (int64_t)(sqlite3_column_double(stmt, 2) * 4) * 11;
    run->units++;
  }
  raw_stop(run);
  if (rc != SQLITE_DONE)
    fail("stream");
  sqlite3_finalize(stmt);
}

/* ---- the hop: what this machine takes for running a statement on another thread ---- */

typedef struct hop {
  pthread_mutex_t lock;
  pthread_cond_t asked;
  sqlite3_stmt *stmt;
  int64_t question, answer; /* 0: nothing to do; -1: end */
  int done_fd;
} hop;

static int64_t echo(sqlite3_stmt *stmt, int64_t value)
{
  sqlite3_bind_int64(stmt, 1, value);
  if (sqlite3_step(stmt) != SQLITE_ROW)
    fail("echo");
  value = sqlite3_column_int64(stmt, 0);
  sqlite3_reset(stmt);
  return value;
}

static void *work(void *argument)
{
  hop *h = argument;
  uint64_t one = 1;
  for (;;) {
    int64_t question;
    pthread_mutex_lock(&h->lock);
    while (h->question == 0)
      pthread_cond_wait(&h->asked, &h->lock);
    question = h->question;
    h->question = 0;
    pthread_mutex_unlock(&h->lock);
    if (question < 0)
      return NULL;
    h->answer = echo(h->stmt, question);
    if (write(h->done_fd, &one, sizeof one) < 0)
      raw_die("eventfd", "cannot write");
  }
}

static void ask(hop *h, int64_t question)
{
  pthread_mutex_lock(&h->lock);
  h->question = question;
  pthread_cond_signal(&h->asked);
  pthread_mutex_unlock(&h->lock);
}

static void hop_inline(raw_run *run)
{
  int64_t n = raw_number(run, "n");
  sqlite3_stmt *stmt = prepare("select ?");
  raw_start(run);
  for (int64_t i = 1; i <= n; i++)
    run->checksum += echo(stmt, i);
  raw_stop(run);
  run->units = n;
  sqlite3_finalize(stmt);
}

static void hop_thread(raw_run *run)
{
  int64_t n = raw_number(run, "n");
  hop h = {.lock = PTHREAD_MUTEX_INITIALIZER, .asked = PTHREAD_COND_INITIALIZER};
  pthread_t thread;
  uint64_t count;
  h.stmt = prepare("select ?");
  h.done_fd = eventfd(0, 0);
  if (pthread_create(&thread, NULL, work, &h) != 0)
    raw_die("thread", "cannot start");
  raw_start(run);
  for (int64_t i = 1; i <= n; i++) {
    ask(&h, i);
    if (read(h.done_fd, &count, sizeof count) < 0)
      raw_die("eventfd", "cannot read");
    run->checksum += h.answer;
  }
  raw_stop(run);
  run->units = n;
  ask(&h, -1);
  pthread_join(thread, NULL);
  sqlite3_finalize(h.stmt);
  close(h.done_fd);
}

static const struct {
  const char *name;
  void (*run)(raw_run *run);
} workloads[] = {
    {"w1", w1}, {"w3", w3}, {"w4", w4}, {"w5", w5},          {"w6", w6},
    {"w7", w7}, {"w8", w8}, {"w9", w9}, {"hop", hop_inline}, {"hop_thread", hop_thread},
};

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "raw_sqlite WORKLOAD path=FILE n=N ...");
  run.argv = argv + 2;
  if (sqlite3_open_v2(raw_text(&run, "path"), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                      NULL) != SQLITE_OK)
    raw_die(raw_text(&run, "path"), sqlite3_errmsg(db));
  run_sql("pragma synchronous = normal; pragma foreign_keys = on");
  for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
    if (strcmp(argv[1], workloads[i].name) == 0) {
      workloads[i].run(&run);
      sqlite3_close(db);
      raw_report(&run);
      return 0;
    }
  raw_die(argv[1], "is no workload");
}
