/* raw_pg_insert.h - the part of raw_postgres.c that inserts: authors one by one with their keys,
** many at once as arrays, by COPY. Uses its connection (db), its int8_cell and its send_prepared. */
#ifndef RAW_PG_INSERT_H
#define RAW_PG_INSERT_H

#include <poll.h>

/* ---- W4, W5, W5c: authors inserted: with their keys, without, by COPY ---- */

typedef struct author {
  char name[32], email[40];
  int64_t age, balance_cents, created; /* seconds since 1970 */
} author;

#define FEBRUARY_2024 INT64_C(1706745600)

static author *make_authors(int64_t first, int64_t n)
{
  author *list = calloc((size_t)n, sizeof *list);
  if (list == NULL)
    raw_die("authors", "out of memory");
  for (int64_t k = 0; k < n; k++) {
    int64_t i = first + k;
    snprintf(list[k].name, sizeof list[k].name, "Author %05" PRId64, i);
    snprintf(list[k].email, sizeof list[k].email, "author%" PRId64 "@example.org", i);
    list[k].age = 18 + i * 7 % 60;
    list[k].balance_cents = i * 9973 % 10000000;
    list[k].created = FEBRUARY_2024 + i % 28 * 86400 + i % 24 * 3600 + i % 60 * 60 + i * 7 % 60;
  }
  return list;
}

static void insert_rounds(raw_run *run, void (*insert)(raw_run *run, const author *list, int64_t n))
{
  int64_t n = raw_number(run, "n"), rounds = raw_number(run, "rounds");
  for (int64_t round = 0; round < rounds; round++) {
    author *list = make_authors(raw_number(run, "authors") + round * n + 1, n);
    raw_start(run);
    insert(run, list, n);
    raw_stop(run);
    free(list);
  }
  run->units = n * rounds;
}

static void send_author(const author *a)
{
  char age[4], balance[RAW_PG_CENTS_BYTES], created[8];
  const char *values[] = {a->name, a->email, age, balance, created};
  int lengths[] = {(int)strlen(a->name), (int)strlen(a->email), 4, 0, 8};
  static const int formats[] = {1, 1, 1, 1, 1};
  raw_pg_set32(age, (uint32_t)a->age);
  lengths[3] = (int)raw_pg_set_cents(balance, a->balance_cents);
  raw_pg_set64(created, (uint64_t)((a->created - RAW_PG_EPOCH) * 1000000));
  if (PQsendQueryPrepared(db, "author", 5, values, lengths, formats, 1) != 1)
    fail("sending an author");
}

/* What has come of a pipeline; at its end (wait) all of it, up to the Sync. The sum of the keys. */
static int64_t read_keys(bool wait)
{
  int64_t keys = 0;
  int nothing_n = 0; /* one NULL is the end of a statement, a second one that of all */
  if (!wait && PQconsumeInput(db) != 1)
    fail("reading");
  while (nothing_n < 2 && (wait || !PQisBusy(db))) {
    PGresult *result = PQgetResult(db);
    ExecStatusType status = PQresultStatus(result);
    nothing_n = result == NULL ? nothing_n + 1 : 0;
    if (status == PGRES_TUPLES_OK)
      keys += int8_cell(result, 0, 0);
    else if (result != NULL && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
      fail("an answer");
    PQclear(result);
    if (status == PGRES_PIPELINE_SYNC)
      break;
  }
  return keys;
}

static void flush(void)
{
  while (PQflush(db) == 1) {
    struct pollfd ready = {.fd = PQsocket(db), .events = POLLIN | POLLOUT};
    poll(&ready, 1, -1);
    if (PQconsumeInput(db) != 1)
      fail("reading");
  }
}

#define SENT_BEFORE_READING 500

/* The next one may depend on the key of the one before. */
static void insert_and_look(raw_run *run, const author *list, int64_t n)
{
  send_prepared("begin");
  for (int64_t i = 0; i < n; i++) {
    send_author(&list[i]);
    if (PQpipelineSync(db) != 1)
      fail("a sync");
    run->checksum += read_keys(true);
  }
  send_prepared("commit");
  if (PQpipelineSync(db) != 1)
    fail("a sync");
  run->checksum += read_keys(true);
}

static void insert_one_by_one(raw_run *run, const author *list, int64_t n)
{
  send_prepared("begin");
  for (int64_t i = 0; i < n; i++) {
    send_author(&list[i]);
    if (i % SENT_BEFORE_READING == SENT_BEFORE_READING - 1) {
      flush();
      run->checksum += read_keys(false);
    }
  }
  send_prepared("commit");
  if (PQpipelineSync(db) != 1)
    fail("a sync");
  flush();
  run->checksum += read_keys(true);
}

static void w4(raw_run *run)
{
  raw_pg_prepare(db, "begin", "begin");
  raw_pg_prepare(db, "commit", "commit");
  raw_pg_prepare(db, "author",
                 "insert into author (name, email, age, balance, created)"
                 " values ($1, $2, $3, $4, $5) returning id");
  if (PQenterPipelineMode(db) != 1)
    fail("pipeline mode");
  if (raw_number(run, "looks") != 0) {
    insert_rounds(run, insert_and_look);
    return;
  }
  if (PQsetnonblocking(db, 1) != 0)
    fail("not blocking");
  insert_rounds(run, insert_one_by_one);
}

/* One array for each column. */
static void insert_arrays(raw_run *run, const author *list, int64_t n)
{
  static const uint32_t oids[] = {RAW_PG_OID_TEXT, RAW_PG_OID_TEXT, RAW_PG_OID_INT4,
                                  RAW_PG_OID_NUMERIC, RAW_PG_OID_TIMESTAMPTZ};
  static const int formats[] = {1, 1, 1, 1, 1};
  static raw_pg_bytes arrays[5];
  const char *values[5];
  int lengths[5];
  PGresult *result;
  for (int column = 0; column < 5; column++) {
    arrays[column].n = 0;
    raw_pg_put_array(&arrays[column], oids[column], n);
  }
  for (const author *a = list; a < list + n; a++) {
    raw_pg_put_text(&arrays[0], a->name);
    raw_pg_put_text(&arrays[1], a->email);
    raw_pg_put_int4(&arrays[2], a->age);
    raw_pg_put_cents(&arrays[3], a->balance_cents);
    raw_pg_put_seconds(&arrays[4], a->created);
  }
  for (int column = 0; column < 5; column++) {
    values[column] = arrays[column].data;
    lengths[column] = (int)arrays[column].n;
  }
  result = PQexecPrepared(db, "authors", 5, values, lengths, formats, 1);
  raw_pg_expect(db, result, PGRES_COMMAND_OK, "inserting arrays");
  run->checksum += strtoll(PQcmdTuples(result), NULL, 10);
  PQclear(result);
}

static void w5(raw_run *run)
{
  raw_pg_prepare(db, "authors",
                 "insert into author (name, email, age, balance, created) select * from"
                 " unnest($1::text[], $2::text[], $3::int[], $4::numeric[], $5::timestamptz[])");
  insert_rounds(run, insert_arrays);
}

#define COPY_CHUNK 65536

static void copy_authors(raw_run *run, const author *list, int64_t n)
{
  static raw_pg_bytes out;
  PGresult *result;
  PQclear(raw_pg_expect(db,
                        PQexec(db, "copy author (name, email, age, balance, created) from stdin"
                                   " (format binary)"),
                        PGRES_COPY_IN, "copy"));
  out.n = 0;
  memcpy(raw_pg_more(&out, 19), "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
  for (const author *a = list; a < list + n; a++) {
    raw_pg_put16(&out, 5);
    raw_pg_put_text(&out, a->name);
    raw_pg_put_text(&out, a->email);
    raw_pg_put_int4(&out, a->age);
    raw_pg_put_cents(&out, a->balance_cents);
    raw_pg_put_seconds(&out, a->created);
    if (out.n > COPY_CHUNK) {
      if (PQputCopyData(db, out.data, (int)out.n) != 1)
        fail("copy");
      out.n = 0;
    }
  }
  raw_pg_put16(&out, 0xffff);
  if (PQputCopyData(db, out.data, (int)out.n) != 1 || PQputCopyEnd(db, NULL) != 1)
    fail("the end of copy");
  result = raw_pg_expect(db, PQgetResult(db), PGRES_COMMAND_OK, "copy");
  run->checksum += strtoll(PQcmdTuples(result), NULL, 10);
  PQclear(result);
  PQclear(PQgetResult(db));
}

static void w5c(raw_run *run)
{
  insert_rounds(run, copy_authors);
}

#endif
