/* fill_sqlite.c - the data of the bench: fills the tables that moonpool's create_all made, puts
** them back after a workload that wrote, and sums up what such a workload left, whoever wrote it.
** Each row follows from its number alone, so that every file holds the same. Knows no workload. */
#include "raw.h"

#include <sqlite3.h>

static sqlite3 *db;

static void run_sql(const char *sql)
{
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
    raw_die(sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(const char *sql)
{
  sqlite3_stmt *stmt;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
    raw_die(sql, sqlite3_errmsg(db));
  return stmt;
}

static void step_once(sqlite3_stmt *stmt)
{
  if (sqlite3_step(stmt) != SQLITE_DONE)
    raw_die(sqlite3_sql(stmt), sqlite3_errmsg(db));
  sqlite3_reset(stmt);
}

static void bind_text(sqlite3_stmt *stmt, int place, const char *text)
{
  sqlite3_bind_text(stmt, place, text, -1, SQLITE_TRANSIENT);
}

static void bind_money(sqlite3_stmt *stmt, int place, int64_t cents)
{
  char text[32];
  snprintf(text, sizeof text, "%" PRId64 ".%02" PRId64, cents / 100, cents % 100);
  bind_text(stmt, place, text);
}

static void bind_moment(sqlite3_stmt *stmt, int place, int64_t seconds)
{
  time_t moment = (time_t)(1577836800 + seconds % 94608000); /* three years from 2020-01-01 on */
  struct tm parts;
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&moment, &parts));
  bind_text(stmt, place, text);
}

static void fill_authors(int64_t author_n)
{
  char text[64];
  sqlite3_stmt *stmt = prepare("insert into author (id, name, email, age, balance, created)"
                               " values (?, ?, ?, ?, ?, ?)");
  for (int64_t i = 1; i <= author_n; i++) {
    sqlite3_bind_int64(stmt, 1, i);
    snprintf(text, sizeof text, "Author %05" PRId64, i);
    bind_text(stmt, 2, text);
    snprintf(text, sizeof text, "author%" PRId64 "@example.org", i);
    bind_text(stmt, 3, text);
    sqlite3_bind_int64(stmt, 4, 18 + i * 7 % 60);
    bind_money(stmt, 5, i * 9973 % 10000000);
    bind_moment(stmt, 6, i * 7919);
    step_once(stmt);
  }
  sqlite3_finalize(stmt);
}

/* An author's books stand together: a query for them reads few pages, and moonpool cannot hide
** behind the reading. */
static void fill_books(int64_t book_n, int64_t author_n)
{
  char text[64];
  sqlite3_stmt *stmt = prepare("insert into book (id, title, author_id, pages, published, price)"
                               " values (?, ?, ?, ?, ?, ?)");
  for (int64_t i = 1; i <= book_n; i++) {
    sqlite3_bind_int64(stmt, 1, i);
    snprintf(text, sizeof text, "The book number %" PRId64, i);
    bind_text(stmt, 2, text);
    sqlite3_bind_int64(stmt, 3, (i - 1) * author_n / book_n + 1);
    sqlite3_bind_int64(stmt, 4, 50 + i * 31 % 900);
    sqlite3_bind_int64(stmt, 5, i * 13 % 7 < 4);
    sqlite3_bind_double(stmt, 6, (double)(i * 37 % 4000) * 0.25);
    step_once(stmt);
  }
  sqlite3_finalize(stmt);
}

static void fill_items(int64_t item_n)
{
  char text[64];
  sqlite3_stmt *stmt = prepare("insert into item (id, title, balance, created, published, price)"
                               " values (?, ?, ?, ?, ?, ?)");
  for (int64_t i = 1; i <= item_n; i++) {
    sqlite3_bind_int64(stmt, 1, i);
    snprintf(text, sizeof text, "An item with number %" PRId64, i);
    bind_text(stmt, 2, text);
    bind_money(stmt, 3, i * 7907 % 100000000);
    bind_moment(stmt, 4, i * 6011);
    sqlite3_bind_int64(stmt, 5, i * 11 % 5 < 3);
    sqlite3_bind_double(stmt, 6, (double)(i * 41 % 8000) * 0.25);
    step_once(stmt);
  }
  sqlite3_finalize(stmt);
}

static void fill(const raw_run *run)
{
  int64_t author_n = raw_number(run, "authors");
  run_sql("begin immediate");
  fill_authors(author_n);
  fill_books(raw_number(run, "books"), author_n);
  fill_items(raw_number(run, "items"));
  run_sql("commit");
}

/* Also empties the write-ahead log, so that no program pays for the pages of the one before it. */
static void reset(const raw_run *run)
{
  sqlite3_stmt *stmt = prepare("delete from author where id > ?");
  sqlite3_bind_int64(stmt, 1, raw_number(run, "authors"));
  step_once(stmt);
  sqlite3_finalize(stmt);
  /* the next keys are the same again; without AUTOINCREMENT there is no such table */
  sqlite3_exec(db, "delete from sqlite_sequence where name = 'author'", NULL, NULL, NULL);
  run_sql("update author set age = 18 + id * 7 % 60 where age <> 18 + id * 7 % 60");
  run_sql("pragma wal_checkpoint(truncate)");
}

/* What a writer left: how many rows, and every column of the new ones. */
static void sum_up(raw_run *run)
{
  sqlite3_stmt *stmt = prepare(
      "select count(*), sum(age), sum(length(name) * 3 + length(email) * 5 + age * 7"
      " + unicode(substr(name, -1)) + unicode(substr(email, 7)) + unicode(substr(email, -1))"
      " + cast(balance as real) * 100 * 11 + length(balance) * 13"
      " + strftime('%s', created) % 86400 + length(created) * 17)"
      " filter (where id > ?) from author");
  sqlite3_bind_int64(stmt, 1, raw_number(run, "authors"));
  if (sqlite3_step(stmt) != SQLITE_ROW)
    raw_die(sqlite3_sql(stmt), sqlite3_errmsg(db));
  run->units = sqlite3_column_int64(stmt, 0);
  run->checksum = run->units * 1000003 + sqlite3_column_int64(stmt, 1) * 31 +
                  (int64_t)(sqlite3_column_double(stmt, 2) + 0.5);
  sqlite3_finalize(stmt);
  raw_report(run);
}

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "fill_sqlite fill|reset|sum path=FILE authors=N [books=N items=N]");
  run.argv = argv + 2;
  if (sqlite3_open_v2(raw_text(&run, "path"), &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
    raw_die(raw_text(&run, "path"), sqlite3_errmsg(db));
  run_sql("pragma synchronous = normal");
  if (strcmp(argv[1], "fill") == 0)
    fill(&run);
  if (strcmp(argv[1], "fill") == 0 || strcmp(argv[1], "reset") == 0)
    reset(&run);
  else if (strcmp(argv[1], "sum") == 0)
    sum_up(&run);
  else
    raw_die(argv[1], "is none of fill, reset, sum");
  sqlite3_close(db);
  return 0;
}
