/* sqlite_fixture.h - drives one SQLite session in a test, as a connection would.
** step, sleep until woken, step again. A wait that lasts longer than a minute fails the test. */
#ifndef SQLITE_FIXTURE_H
#define SQLITE_FIXTURE_H

#include "backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

typedef struct fixture {
  mp_waker waker; /* first: the waker is cast to it */
  pthread_mutex_t lock;
  pthread_cond_t woken;
  int wake_n;
  mp_config config;
  mp_option option;
  mp_session *session;
  char directory[64], path[96];
  int chunk_n; /* of all streams */
  int done_n;
  mp_request *last;
} fixture;

static inline uint64_t clock_ns(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void fixture_wake(mp_waker *waker)
{
  fixture *f = (fixture *)(void *)waker;
  pthread_mutex_lock(&f->lock);
  f->wake_n++;
  pthread_cond_signal(&f->woken);
  pthread_mutex_unlock(&f->lock);
}

static inline mp_wants pump(fixture *f)
{
  mp_wants wants;
  f->session->backend->step(f->session, 0, &wants);
  return wants;
}

/* Step, and if that answered nothing sleep until the thread has something. */
static inline void turn(fixture *f)
{
  pthread_mutex_lock(&f->lock);
  int before = f->wake_n, answered = f->chunk_n + f->done_n;
  pthread_mutex_unlock(&f->lock);
  if (!pump(f).work || f->chunk_n + f->done_n != answered)
    return;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  pthread_mutex_lock(&f->lock);
  int slept = 0;
  while (f->wake_n == before && slept == 0)
    slept = pthread_cond_timedwait(&f->woken, &f->lock, &until);
  pthread_mutex_unlock(&f->lock);
  assert_int_equal(slept, 0);
}

static inline void fixture_open(fixture *f)
{
  assert_int_equal(mp_backend_sqlite.open(&f->session, &f->config, NULL, &f->waker), MP_OK);
  while (f->session->state == MP_SES_CONNECTING)
    turn(f);
}

static inline void fixture_close(fixture *f)
{
  f->session->backend->close(f->session);
  do
    turn(f);
  while (f->session->state != MP_SES_CLOSED);
  f->session->backend->free(f->session);
  f->session = NULL;
}

/* A session on a new file (memory: in memory), not opened yet. */
static inline fixture *fixture_new(bool memory)
{
  fixture *f = calloc(1, sizeof *f);
  f->waker.wake = fixture_wake;
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->woken, NULL);
  strcpy(f->directory, "/tmp/sqlite_test_XXXXXX");
  assert_non_null(mkdtemp(f->directory));
  snprintf(f->path, sizeof f->path, "%s/test.db", f->directory);
  f->config = (mp_config){
      .arena = mp_arena_new(0),
      .backend = &mp_backend_sqlite,
      .database = memory ? ":memory:" : f->path,
      .connect_timeout_ms = 20000,
      .statement_cache = 16,
  };
  return f;
}

/* Another session on the same file. */
static inline fixture *fixture_beside(const fixture *other)
{
  fixture *f = calloc(1, sizeof *f);
  f->waker.wake = fixture_wake;
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->woken, NULL);
  strcpy(f->path, other->path);
  f->config = other->config;
  f->config.arena = mp_arena_new(0);
  f->config.database = f->path;
  return f;
}

static inline void fixture_free(fixture *f)
{
  static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
  if (f->session != NULL)
    fixture_close(f);
  for (int i = 0; f->directory[0] != '\0' && i < 4; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
    unlink(path);
  }
  if (f->directory[0] != '\0')
    rmdir(f->directory);
  mp_arena_free(f->config.arena);
  pthread_mutex_destroy(&f->lock);
  pthread_cond_destroy(&f->woken);
  free(f);
}

static inline int open_memory(void **state)
{
  fixture *f = fixture_new(true);
  fixture_open(f);
  *state = f;
  return f->session->state == MP_SES_READY ? 0 : -1;
}

static inline int open_file(void **state)
{
  fixture *f = fixture_new(false);
  fixture_open(f);
  *state = f;
  return f->session->state == MP_SES_READY ? 0 : -1;
}

static inline int close_all(void **state)
{
  fixture_free(*state);
  return 0;
}

/* ---- requests ---- */

static inline void fixture_chunk(mp_request *req)
{
  fixture *f = req->owner;
  f->chunk_n++;
}

static inline void fixture_done(mp_request *req)
{
  fixture *f = req->owner;
  f->last = req;
  f->done_n++;
}

static inline mp_request *request_new(fixture *f, mp_op op, const char *sql, const mp_value *params,
                                      int n, size_t rows)
{
  mp_request *req;
  assert_int_equal(mp_request_new(&req), MP_OK);
  assert_int_equal(mp_request_fill(req, sql, strlen(sql), params, n, rows), MP_OK);
  req->op = op;
  req->access = MP_ACCESS_WRITE;
  req->owner = f;
  req->on_chunk = fixture_chunk;
  req->on_done = fixture_done;
  return req;
}

static inline void submit(fixture *f, mp_request *req)
{
  mp_request_move(req, MP_REQ_QUEUED);
  f->session->backend->submit(f->session, req);
}

static inline mp_request *wait_for(fixture *f, mp_request *req)
{
  while (req->state != MP_REQ_DONE)
    turn(f);
  return req;
}

static inline mp_request *run_with(fixture *f, const char *sql, const mp_value *params, int n)
{
  mp_request *req = request_new(f, MP_OP_QUERY, sql, params, n, 1);
  submit(f, req);
  return wait_for(f, req);
}

static inline mp_request *run(fixture *f, const char *sql)
{
  return run_with(f, sql, NULL, 0);
}

/* Run statements that must succeed. */
static inline void exec(fixture *f, const char *sql)
{
  mp_request *req = run(f, sql);
  if (req->error.kind != MP_OK)
    print_error("%s: %s\n", sql, req->error.message);
  assert_int_equal(req->error.kind, MP_OK);
  mp_request_free(req);
}

static inline mp_request *transact(fixture *f, mp_txop op, const char *sql,
                                   const mp_txoptions *options)
{
  mp_request *req = request_new(f, MP_OP_TX, sql, NULL, 0, 1);
  req->tx_op = op;
  req->tx_options = options;
  submit(f, req);
  return wait_for(f, req);
}

static inline void begin(fixture *f)
{
  mp_request *req = transact(f, MP_TXO_BEGIN, "BEGIN IMMEDIATE", NULL);
  assert_int_equal(req->error.kind, MP_OK);
  mp_request_free(req);
}

static inline void stop(fixture *f, mp_request *req, mp_status why)
{
  req->stop = why;
  f->session->backend->cancel(f->session, req);
}

static inline mp_value cell_of(const mp_request *req, size_t row, int col)
{
  mp_value value;
  assert_non_null(req->result);
  assert_true(row < req->result->row_n && col < req->result->column_n);
  req->result->ops->cell(req->result, row, col, &value);
  return value;
}

static inline mp_value text_value(const char *s)
{
  return (mp_value){.kind = MP_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

static inline mp_value int_value(int64_t i)
{
  return (mp_value){.kind = MP_INT, .i = i};
}

/* ---- what tests ask often ---- */

#define ENDLESS "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) SELECT "

static inline void expect(mp_request *req, mp_status kind)
{
  if (req->error.kind != kind)
    print_error("%s: %s (%s)\n", req->sql, mp_status_name(req->error.kind),
                req->error.message != NULL ? req->error.message : "");
  assert_int_equal(req->error.kind, kind);
}

static inline int64_t count(fixture *f, const char *sql)
{
  mp_request *req = run(f, sql);
  expect(req, MP_OK);
  int64_t n = cell_of(req, 0, 0).i;
  mp_request_free(req);
  return n;
}

static inline mp_request *open_stream(fixture *f, const char *sql, size_t chunk_rows)
{
  mp_request *req = request_new(f, MP_OP_STREAM, sql, NULL, 0, 1);
  req->chunk_rows = chunk_rows;
  submit(f, req);
  return req;
}

static inline bool next_chunk(fixture *f, mp_request *req)
{
  int before = f->chunk_n;
  while (req->state != MP_REQ_DONE && f->chunk_n == before)
    turn(f);
  return req->state != MP_REQ_DONE;
}

#define assert_text(value, expected)                                                               \
  do {                                                                                             \
    mp_value v_ = (value);                                                                         \
    assert_int_equal(v_.kind, MP_TEXT);                                                            \
    assert_int_equal(v_.len, strlen(expected));                                                    \
    assert_memory_equal(v_.s, expected, v_.len);                                                   \
  } while (0)

#define assert_whole(value, expected)                                                              \
  do {                                                                                             \
    mp_value v_ = (value);                                                                         \
    assert_int_equal(v_.kind, MP_INT);                                                             \
    assert_true(v_.i == (expected));                                                               \
  } while (0)

#endif
