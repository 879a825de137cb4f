/* fill_mariadb.c - the data of the bench on MariaDB: makes a database of its own, fills the tables
** that moonpool's create_all made, puts them back after a workload that wrote, and sums up what such
** a workload left. Each row follows from its number alone, as in fill_sqlite.c. Knows no workload. */
#include "raw_my.h"

static MYSQL *conn;

/* A statement with one number in it. */
static void run_with(const char *sql, int64_t number)
{
  char text[1024];
  snprintf(text, sizeof text, sql, number);
  raw_my_run(conn, text);
}

/* The one cell of a query. */
static int64_t number_of(const char *sql, int column)
{
  MYSQL_RES *result;
  MYSQL_ROW row;
  int64_t number;
  if (mysql_query(conn, sql) != 0 || (result = mysql_store_result(conn)) == NULL ||
      (row = mysql_fetch_row(result)) == NULL || row[column] == NULL)
    raw_my_die(conn, sql);
  number = strtoll(row[column], NULL, 10);
  mysql_free_result(result);
  return number;
}

static void make(const raw_run *run)
{
  const char *name = raw_text(run, "name");
  char sql[256];
  snprintf(sql, sizeof sql, "drop database if exists `%s`", name);
  raw_my_run(conn, sql);
  snprintf(sql, sizeof sql, "create database `%s`", name);
  raw_my_run(conn, sql);
  printf("figures port=%" PRId64 " flush=%" PRId64 "\n", number_of("select @@port", 0),
         number_of("select @@innodb_flush_log_at_trx_commit", 0));
}

static void drop(const raw_run *run)
{
  char sql[256];
  snprintf(sql, sizeof sql, "drop database `%s`", raw_text(run, "name"));
  raw_my_run(conn, sql);
}

/* Makes the table anew, so that no program pays for the dead rows of the one before it. */
static void reset(const raw_run *run)
{
  int64_t author_n = raw_number(run, "authors");
  run_with("delete from author where id > %" PRId64, author_n);
  raw_my_run(conn, "update author set age = 18 + id * 7 % 60 where age <> 18 + id * 7 % 60");
  run_with("alter table author auto_increment = %" PRId64 ", force", author_n + 1);
  raw_my_run(conn, "analyze table author");
}

static void fill(const raw_run *run)
{
  int64_t author_n = raw_number(run, "authors"), book_n = raw_number(run, "books");
  char books[1024];
  run_with("insert into author (id, name, email, age, balance, created)"
           " select seq, concat('Author ', lpad(seq, 5, '0')),"
           " concat('author', seq, '@example.org'), 18 + seq * 7 %% 60,"
           " cast((seq * 9973 %% 10000000) / 100 as decimal(12, 2)),"
           " timestamp '2020-01-01 00:00:00' + interval (seq * 7919 %% 94608000) second"
           " from seq_1_to_%" PRId64,
           author_n);
  /* An author's books stand together: a query for them reads few pages, and moonpool cannot hide
  ** behind the reading. */
  snprintf(books, sizeof books,
           "insert into book (id, title, author_id, pages, published, price)"
           " select seq, concat('The book number ', seq),"
           " (seq - 1) * %" PRId64 " div %" PRId64 " + 1, 50 + seq * 31 %% 900,"
           " seq * 13 %% 7 < 4, (seq * 37 %% 4000) * 0.25 from seq_1_to_%" PRId64,
           author_n, book_n, book_n);
  raw_my_run(conn, books);
  run_with("insert into item (id, title, balance, created, published, price)"
           " select seq, concat('An item with number ', seq),"
           " cast((seq * 7907 %% 100000000) / 100 as decimal(12, 2)),"
           " timestamp '2020-01-01 00:00:00' + interval (seq * 6011 %% 94608000) second,"
           " seq * 11 %% 5 < 3, (seq * 41 %% 8000) * 0.25 from seq_1_to_%" PRId64,
           raw_number(run, "items"));
  reset(run);
  raw_my_run(conn, "analyze table book, item");
}

/* What a writer left: how many rows, and every column of the new ones. */
static void sum_up(raw_run *run)
{
  char sql[1024];
  snprintf(
      sql, sizeof sql,
      "select count(*), cast(count(*) * 1000003 + sum(age) * 31 + coalesce(sum(if(id > %" PRId64
      ", char_length(name) * 3 + char_length(email) * 5 + age * 7 + ord(right(name, 1))"
      " + ord(substr(email, 7)) + ord(right(email, 1)) + balance * 100 * 11"
      " + length(cast(balance as char)) * 13 + time_to_sec(time(created)) * 17, 0)), 0)"
      " as signed) from author",
      raw_number(run, "authors"));
  run->units = number_of(sql, 0);
  run->checksum = number_of(sql, 1);
  raw_report(run);
}

int main(int argc, char **argv)
{
  static raw_run run;
  if (argc < 3)
    raw_die("usage", "fill_mariadb make|drop|fill|reset|sum host=H port=N socket=S user=U"
                     " password=P database=D [name=DATABASE] [authors=N books=N items=N]");
  run.argv = argv + 2;
  conn = raw_my_connect(&run, false);
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
  mysql_close(conn);
  return 0;
}
