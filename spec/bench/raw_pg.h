/* raw_pg.h - what the C programs of the bench share where they speak to PostgreSQL: connecting, the
** server's CPU, binary numbers as they travel. Knows no workload. Header only, like raw.h. */
#ifndef RAW_PG_H
#define RAW_PG_H

#include "raw.h"

#include <libpq-fe.h>

/* ---- connections and results ---- */

static inline void raw_pg_die(PGconn *conn, const char *what)
{
  raw_die(what, PQerrorMessage(conn));
}

static inline PGconn *raw_pg_connect(const raw_run *run, const char *key)
{
  PGconn *conn = PQconnectdb(raw_text(run, key));
  if (PQstatus(conn) != CONNECTION_OK)
    raw_pg_die(conn, "connecting");
  return conn;
}

static inline PGresult *raw_pg_expect(PGconn *conn, PGresult *result, ExecStatusType status,
                                      const char *what)
{
  if (PQresultStatus(result) != status)
    raw_pg_die(conn, what);
  return result;
}

static inline void raw_pg_run(PGconn *conn, const char *sql)
{
  PQclear(raw_pg_expect(conn, PQexec(conn, sql), PGRES_COMMAND_OK, sql));
}

static inline void raw_pg_prepare(PGconn *conn, const char *name, const char *sql)
{
  PQclear(raw_pg_expect(conn, PQprepare(conn, name, sql, 0, NULL), PGRES_COMMAND_OK, sql));
}

/* ---- the server's CPU: of the processes that serve this database, one for each connection ---- */

static struct {
  char database[128]; /* " name ": as in the titles of its processes */
  long postmaster;
  int n;
} raw_pg_server;

static inline bool raw_pg_is_session(long pid)
{
  char path[64], title[256] = "";
  FILE *file;
  snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
  file = fopen(path, "r");
  if (file == NULL)
    return false;
  if (fgets(title, sizeof title, file) == NULL)
    title[0] = '\0';
  fclose(file);
  return strstr(title, raw_pg_server.database) != NULL;
}

/* All that are connected now are watched: those of a measured part are there before it begins. */
static inline double raw_pg_clock_us(void)
{
  char path[64];
  double sum_us = 0;
  long pid;
  FILE *file;
  int n = 0;
  snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", raw_pg_server.postmaster,
           raw_pg_server.postmaster);
  file = fopen(path, "r");
  if (file == NULL)
    raw_die(path, "cannot be read: the server has to run on this machine");
  while (fscanf(file, "%ld", &pid) == 1) {
    double spent_ns = 0;
    FILE *stat;
    if (!raw_pg_is_session(pid))
      continue;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", pid);
    stat = fopen(path, "r");
    if (stat == NULL || fscanf(stat, "%lf", &spent_ns) != 1)
      raw_die(path, "cannot be read");
    fclose(stat);
    sum_us += spent_ns / 1000;
    n++;
  }
  fclose(file);
  if (n == 0 || (raw_pg_server.n != 0 && raw_pg_server.n != n))
    raw_die("the server's CPU", "its processes are others than before");
  raw_pg_server.n = n;
  return sum_us;
}

/* Count the server's CPU from here on. */
static inline void raw_pg_watch(raw_run *run, const PGconn *conn)
{
  raw_pg_server.postmaster = (long)raw_number(run, "server");
  snprintf(raw_pg_server.database, sizeof raw_pg_server.database, " %s ", PQdb(conn));
  run->server_clock_us = raw_pg_clock_us;
}

/* ---- cells of a binary result ---- */

static inline uint16_t raw_pg_get16(const char *s)
{
  uint16_t n;
  memcpy(&n, s, sizeof n);
  return __builtin_bswap16(n);
}

static inline int32_t raw_pg_get32(const char *s)
{
  uint32_t n;
  memcpy(&n, s, sizeof n);
  return (int32_t)__builtin_bswap32(n);
}

static inline int64_t raw_pg_get64(const char *s)
{
  uint64_t n;
  memcpy(&n, s, sizeof n);
  return (int64_t)__builtin_bswap64(n);
}

static inline double raw_pg_get_float(const char *s)
{
  uint64_t n = (uint64_t)raw_pg_get64(s);
  double value;
  memcpy(&value, &n, sizeof value);
  return value;
}

/* A numeric of two decimals as a number of cents: its digits are groups of four. */
static inline int64_t raw_pg_get_cents(const char *s)
{
  int digit_n = raw_pg_get16(s), weight = (int16_t)raw_pg_get16(s + 2);
  int64_t whole = 0, cents = 0;
  for (int i = 0; i <= weight + 1; i++) {
    int64_t group = i < digit_n ? raw_pg_get16(s + 8 + 2 * i) : 0;
    if (i <= weight)
      whole = whole * 10000 + group;
    else
      cents = group / 100;
  }
  return whole * 100 + cents;
}

#define RAW_PG_EPOCH INT64_C(946684800) /* of 2000-01-01, from where the server counts */

static inline int64_t raw_pg_get_seconds(const char *s)
{
  return raw_pg_get64(s) / 1000000 + RAW_PG_EPOCH;
}

/* ---- bytes to be sent ---- */

typedef struct raw_pg_bytes {
  char *data;
  size_t n, room;
} raw_pg_bytes;

static inline char *raw_pg_more(raw_pg_bytes *bytes, size_t n)
{
  char *place;
  if (bytes->n + n > bytes->room) {
    bytes->room = (bytes->room + n) * 2;
    bytes->data = realloc(bytes->data, bytes->room);
    if (bytes->data == NULL)
      raw_die("bytes to be sent", "out of memory");
  }
  place = bytes->data + bytes->n;
  bytes->n += n;
  return place;
}

static inline void raw_pg_set16(char *s, uint16_t n)
{
  n = __builtin_bswap16(n);
  memcpy(s, &n, sizeof n);
}

static inline void raw_pg_set32(char *s, uint32_t n)
{
  n = __builtin_bswap32(n);
  memcpy(s, &n, sizeof n);
}

static inline void raw_pg_set64(char *s, uint64_t n)
{
  n = __builtin_bswap64(n);
  memcpy(s, &n, sizeof n);
}

static inline void raw_pg_put16(raw_pg_bytes *bytes, uint16_t n)
{
  raw_pg_set16(raw_pg_more(bytes, 2), n);
}

static inline void raw_pg_put32(raw_pg_bytes *bytes, uint32_t n)
{
  raw_pg_set32(raw_pg_more(bytes, 4), n);
}

/* The items of arrays and the fields of COPY: a length, then that many bytes. */
static inline void raw_pg_put_text(raw_pg_bytes *bytes, const char *text)
{
  size_t n = strlen(text);
  raw_pg_put32(bytes, (uint32_t)n);
  memcpy(raw_pg_more(bytes, n), text, n);
}

static inline void raw_pg_put_int4(raw_pg_bytes *bytes, int64_t n)
{
  raw_pg_put32(bytes, 4);
  raw_pg_put32(bytes, (uint32_t)n);
}

static inline void raw_pg_put_int8(raw_pg_bytes *bytes, int64_t n)
{
  raw_pg_put32(bytes, 8);
  raw_pg_set64(raw_pg_more(bytes, 8), (uint64_t)n);
}

static inline void raw_pg_put_seconds(raw_pg_bytes *bytes, int64_t seconds)
{
  raw_pg_put_int8(bytes, (seconds - RAW_PG_EPOCH) * 1000000);
}

/* A numeric of at most RAW_PG_CENTS_BYTES; its length. */
#define RAW_PG_CENTS_BYTES 20

static inline size_t raw_pg_set_cents(char *s, int64_t cents)
{
  uint16_t groups[6];
  int64_t whole = cents / 100;
  int n = 0, weight = -1, last = (int)(cents % 100) * 100;
  for (int64_t rest = whole; rest > 0; rest /= 10000)
    weight++;
  for (int64_t i = weight, rest = whole; i >= 0; i--, rest /= 10000)
    groups[i] = (uint16_t)(rest % 10000);
  n = weight + 1;
  groups[n++] = (uint16_t)last;
  while (n > 0 && groups[n - 1] == 0)
    n--;
  raw_pg_set16(s, (uint16_t)n);
  raw_pg_set16(s + 2, (uint16_t)(n == 0 ? 0 : weight));
  raw_pg_set16(s + 4, 0);
  raw_pg_set16(s + 6, 2);
  for (int i = 0; i < n; i++)
    raw_pg_set16(s + 8 + 2 * i, groups[i]);
  return (size_t)(8 + 2 * n);
}

static inline void raw_pg_put_cents(raw_pg_bytes *bytes, int64_t cents)
{
  char number[RAW_PG_CENTS_BYTES];
  size_t n = raw_pg_set_cents(number, cents);
  raw_pg_put32(bytes, (uint32_t)n);
  memcpy(raw_pg_more(bytes, n), number, n);
}

#define RAW_PG_OID_TEXT 25
#define RAW_PG_OID_INT4 23
#define RAW_PG_OID_INT8 20
#define RAW_PG_OID_NUMERIC 1700
#define RAW_PG_OID_TIMESTAMPTZ 1184

/* The head of an array of one dimension without NULL. */
static inline void raw_pg_put_array(raw_pg_bytes *bytes, uint32_t item_oid, int64_t n)
{
  raw_pg_put32(bytes, 1);
  raw_pg_put32(bytes, 0);
  raw_pg_put32(bytes, item_oid);
  raw_pg_put32(bytes, (uint32_t)n);
  raw_pg_put32(bytes, 1);
}

#endif
