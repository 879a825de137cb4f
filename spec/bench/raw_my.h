/* raw_my.h - what the C programs of the bench share where they speak to MariaDB: connecting, the
** server's CPU, prepared statements with their parameters and columns. Knows no workload. Header
** only, like raw.h. */
#ifndef RAW_MY_H
#define RAW_MY_H

#include "raw.h"

#include <mysql.h>

_Noreturn static inline void raw_my_die(MYSQL *conn, const char *what)
{
  raw_die(what, mysql_error(conn));
}

/* ---- connections ---- */

/* By TCP where a host is named, else by the socket; without TLS. */
static inline MYSQL *raw_my_connect(const raw_run *run, bool non_blocking)
{
  MYSQL *conn = mysql_init(NULL);
  const char *host = raw_text(run, "host");
  my_bool no = 0;
  unsigned tcp = MYSQL_PROTOCOL_TCP;
  if (conn == NULL)
    raw_die("connecting", "out of memory");
  mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_options(conn, MYSQL_OPT_SSL_ENFORCE, &no);
  mysql_options(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
  mysql_options(conn, MYSQL_INIT_COMMAND,
                "set time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'");
  if (host[0] != '\0')
    mysql_options(conn, MYSQL_OPT_PROTOCOL, &tcp);
  if (non_blocking)
    mysql_options(conn, MYSQL_OPT_NONBLOCK, 0);
  if (mysql_real_connect(conn, host[0] != '\0' ? host : NULL, raw_text(run, "user"),
                         raw_text(run, "password"), raw_text(run, "database"),
                         (unsigned)raw_number(run, "port"), raw_text(run, "socket"), 0) == NULL)
    raw_my_die(conn, "connecting");
  return conn;
}

static inline void raw_my_run(MYSQL *conn, const char *sql)
{
  if (mysql_real_query(conn, sql, strlen(sql)) != 0)
    raw_my_die(conn, sql);
  mysql_free_result(mysql_store_result(conn));
}

/* ---- the server's CPU: of the threads that serve this database, one for each connection ---- */

#define RAW_MY_THREADS_MAX 64

static struct {
  MYSQL *conn;
  int n;
  long threads[RAW_MY_THREADS_MAX];
} raw_my_server;

static inline int raw_my_threads(long *threads)
{
  MYSQL_RES *result;
  MYSQL_ROW row;
  int n = 0;
  if (mysql_query(raw_my_server.conn, "select tid from information_schema.processlist"
                                      " where db = database() order by tid") != 0 ||
      (result = mysql_store_result(raw_my_server.conn)) == NULL)
    raw_my_die(raw_my_server.conn, "the server's threads");
  while ((row = mysql_fetch_row(result)) != NULL && n < RAW_MY_THREADS_MAX)
    threads[n++] = strtol(row[0], NULL, 10);
  mysql_free_result(result);
  return n;
}

static inline double raw_my_spent_us(void)
{
  double sum_us = 0;
  for (int i = 0; i < raw_my_server.n; i++) {
    char path[64];
    double spent_ns = 0;
    FILE *file;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", raw_my_server.threads[i]);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%lf", &spent_ns) != 1)
      raw_die(path, "cannot be read: the server has to run on this machine, its CPU is counted");
    fclose(file);
    sum_us += spent_ns / 1000;
  }
  return sum_us;
}

/* At first it looks which threads there are; at the end they have to be the same ones. */
static inline double raw_my_clock_us(void)
{
  long threads[RAW_MY_THREADS_MAX];
  double spent_us;
  if (raw_my_server.n == 0) {
    raw_my_server.n = raw_my_threads(raw_my_server.threads);
    return raw_my_spent_us();
  }
  spent_us = raw_my_spent_us();
  if (raw_my_threads(threads) != raw_my_server.n ||
      memcmp(threads, raw_my_server.threads, sizeof *threads * (size_t)raw_my_server.n) != 0)
    raw_die("the server's CPU", "its threads are others than before");
  return spent_us;
}

/* Count the server's CPU from here on; the connection asks for its threads. */
static inline void raw_my_watch(raw_run *run, MYSQL *conn)
{
  raw_my_server.conn = conn;
  run->server_clock_us = raw_my_clock_us;
}

/* ---- prepared statements ---- */

_Noreturn static inline void raw_my_stmt_die(MYSQL_STMT *stmt, const char *what)
{
  raw_die(what, mysql_stmt_error(stmt));
}

static inline MYSQL_STMT *raw_my_prepare(MYSQL *conn, const char *sql)
{
  MYSQL_STMT *stmt = mysql_stmt_init(conn);
  if (stmt == NULL || mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0)
    raw_my_die(conn, sql);
  return stmt;
}

/* A statement's numbers as parameters. */
static inline void raw_my_take_numbers(MYSQL_STMT *stmt, int64_t *numbers, int n)
{
  MYSQL_BIND binds[32];
  memset(binds, 0, sizeof binds);
  for (int i = 0; i < n; i++) {
    binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
    binds[i].buffer = &numbers[i];
  }
  if (mysql_stmt_bind_param(stmt, binds) != 0)
    raw_my_stmt_die(stmt, "numbers");
}

/* Where a row's cells go. */
typedef struct raw_my_cell {
  union {
    char text[256];
    int64_t number;
    double real;
    MYSQL_TIME moment;
  };
  unsigned long n;
} raw_my_cell;

#define RAW_MY_CELLS_MAX 8

static inline void raw_my_give(MYSQL_STMT *stmt, raw_my_cell *cells,
                               const enum enum_field_types *types, int n)
{
  MYSQL_BIND binds[RAW_MY_CELLS_MAX];
  memset(binds, 0, sizeof binds);
  for (int i = 0; i < n; i++) {
    binds[i].buffer_type = types[i];
    binds[i].buffer = cells[i].text;
    binds[i].buffer_length = sizeof cells[i].text;
    binds[i].length = &cells[i].n;
  }
  if (mysql_stmt_bind_result(stmt, binds) != 0)
    raw_my_stmt_die(stmt, "columns");
}

static inline bool raw_my_fetch(MYSQL_STMT *stmt)
{
  int status = mysql_stmt_fetch(stmt);
  if (status != 0 && status != MYSQL_NO_DATA)
    raw_my_stmt_die(stmt, status == MYSQL_DATA_TRUNCATED ? "a cell has no room" : "a row");
  return status == 0;
}

/* ---- cells ---- */

/* Quarters: every float of the bench is a number of them. */
static inline int64_t raw_my_quarters(const raw_my_cell *cell)
{
  return (int64_t)(cell->real * 4);
}

/* The length and the last byte: text cut short or mixed up shows. */
static inline int64_t raw_my_text_sum(const char *text, unsigned long n)
{
  return (int64_t)n + (n > 0 ? (unsigned char)text[n - 1] * 13 : 0);
}

/* A decimal of two places, which travels as text. */
static inline int64_t raw_my_cents(const raw_my_cell *cell)
{
  int64_t cents = 0;
  for (unsigned long i = 0; i < cell->n; i++)
    if (cell->text[i] != '.')
      cents = cents * 10 + (cell->text[i] - '0');
  return cents;
}

/* Seconds since 1970, by the calendar. */
static inline int64_t raw_my_seconds(const MYSQL_TIME *t)
{
  int64_t year = t->month > 2 ? t->year : t->year - 1;
  int64_t month = t->month > 2 ? t->month - 3 : t->month + 9;
  int64_t days =
      year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + t->day - 1 - 719468;
  return days * 86400 + t->hour * 3600 + t->minute * 60 + t->second;
}

static inline MYSQL_TIME raw_my_moment(int64_t seconds)
{
  time_t moment = (time_t)seconds;
  struct tm parts;
  gmtime_r(&moment, &parts);
  return (MYSQL_TIME){.year = (unsigned)parts.tm_year + 1900,
                      .month = (unsigned)parts.tm_mon + 1,
                      .day = (unsigned)parts.tm_mday,
                      .hour = (unsigned)parts.tm_hour,
                      .minute = (unsigned)parts.tm_min,
                      .second = (unsigned)parts.tm_sec,
                      .time_type = MYSQL_TIMESTAMP_DATETIME};
}

#endif
