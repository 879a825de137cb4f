/* fill_postgres.c - the data of the bench on PostgreSQL: makes a database of its own with the
** settings of the bench, fills the tables that moonpool's create_all made, puts them back after a
** workload that wrote, and sums up what such a workload left. Each row follows from its number
** alone, as in fill_sqlite.c. Knows no workload. */
#include "raw_pg.h"

static PGconn *conn;

/* A statement with one number in it,. */
static void run_with(const char *sql, int64_t number)
{
  char text[1024];
  snprintf(text, sizeof text, sql, number);
  raw_pg_run(conn, text);
}

static void run_named(const char *sql, const char *name)
{
  char text[256];
  char *quoted = PQescapeIdentifier(conn, name, strlen(name));
  snprintf(text, sizeof text, sql, quoted);
  PQfreemem(quoted);
  raw_pg_run(conn, text);
}

/* The parent of a session's process. */
static long postmaster(void)
{
  char path[64], state;
  long parent = 0;
  FILE *file;
  snprintf(path, sizeof path, "/proc/%d/stat", PQbackendPID(conn));
  file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%*d (%*[^)]) %c %ld", &state, &parent) != 2)
    raw_die(path, "cannot be read: the server has to run on this machine, its CPU is counted");
  fclose(file);
  return parent;
}

static void make(const raw_run *run)
{
  const char *name = raw_text(run, "name");
  raw_pg_run(conn, "set client_min_messages = warning");
  run_named("drop database if exists %s with (force)", name);
  run_named("create database %s", name);
  run_named("alter database %s set synchronous_commit = off", name);
  run_named("alter database %s set jit = off", name);
  run_named("alter database %s set max_parallel_workers_per_gather = 0", name);
  printf("figures server=%ld\n", postmaster());
}

static void drop(const raw_run *run)
{
  run_named("drop database %s with (force)", raw_text(run, "name"));
}

/* Also takes away the dead rows, so that no program pays for those of the one before it. */
static void reset(const raw_run *run)
{
  int64_t author_n = raw_number(run, "authors");
  run_with("delete from author where id > %" PRId64, author_n);
  raw_pg_run(conn, "update author set age = 18 + id * 7 % 60 where age <> 18 + id * 7 % 60");
  run_with("alter table author alter column id restart with %" PRId64, author_n + 1);
  raw_pg_run(conn, "vacuum (analyze) author");
}

static void fill(const raw_run *run)
{
  int64_t author_n = raw_number(run, "authors"), book_n = raw_number(run, "books");
  char books[1024];
  raw_pg_run(conn, "begin");
  run_with("insert into author (id, name, email, age, balance, created)"
           " select i, 'Author ' || lpad(i::text, 5, '0'), 'author' || i || '@example.org',"
           " 18 + i * 7 %% 60, (i * 9973 %% 10000000)::numeric / 100,"
           " to_timestamp(1577836800 + i * 7919 %% 94608000)"
           " from generate_series(1, %" PRId64 "::bigint) i",
           author_n);
  /* An author's books stand together: a query for them reads few pages, and moonpool cannot hide
  ** behind the reading. */
  snprintf(books, sizeof books,
           "insert into book (id, title, author_id, pages, published, price)"
           " select i, 'The book number ' || i, (i - 1) * %" PRId64 " / %" PRId64 " + 1,"
           " 50 + i * 31 %% 900, i * 13 %% 7 < 4, (i * 37 %% 4000) * 0.25"
           " from generate_series(1, %" PRId64 "::bigint) i",
           author_n, book_n, book_n);
  raw_pg_run(conn, books);
  run_with("insert into item (id, title, balance, created, published, price)"
           " select i, 'An item with number ' || i, (i * 7907 %% 100000000)::numeric / 100,"
           " to_timestamp(1577836800 + i * 6011 %% 94608000), i * 11 %% 5 < 3,"
           " (i * 41 %% 8000) * 0.25 from generate_series(1, %" PRId64 "::bigint) i",
           raw_number(run, "items"));
  raw_pg_run(conn, "commit");
  reset(run);
  raw_pg_run(conn, "vacuum (analyze) book");
  raw_pg_run(conn, "vacuum (analyze) item");
}

/* What a writer left: how many rows, and every column of the new ones. */
static void sum_up(raw_run *run)
{
  char sql[1024];
  PGresult *result;
  snprintf(sql, sizeof sql,
           "select count(*), count(*) * 1000003 + sum(age) * 31 + coalesce(sum(length(name) * 3"
           " + length(email) * 5 + age * 7 + ascii(right(name, 1)) + ascii(substr(email, 7))"
           " + ascii(right(email, 1)) + balance * 100 * 11 + length(balance::text) * 13"
           " + extract(epoch from created)::bigint %% 86400 * 17)"
           " filter (where id > %" PRId64 "), 0)::bigint from author",
           raw_number(run, "authors"));
  result = raw_pg_expect(conn, PQexec(conn, sql), PGRES_TUPLES_OK, sql);
  run->units = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  run->checksum = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
  PQclear(result);
  raw_report(run);
}

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "fill_postgres make|drop|fill|reset|sum conninfo=URL [name=DATABASE]"
                     " [authors=N books=N items=N]");
  run.argv = argv + 2;
  conn = raw_pg_connect(&run, "conninfo");
  if (strcmp(argv[1], "make") == 0)
    make(&run);
  else if (strcmp(argv[1], "drop") == 0)
    drop(&run);
  else if (strcmp(argv[1], "fill") == 0)
    fill(&run);
  else if (strcmp(argv[1], "reset") == 0)
    reset(&run);
  else if (strcmp(argv[1], "sum") == 0)
    sum_up(&run);
  else
    raw_die(argv[1], "is none of make, drop, fill, reset, sum");
  PQfinish(conn);
  return 0;
}
