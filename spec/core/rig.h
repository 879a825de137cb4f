/* rig.h - what the C tests of the core share: a loop, pools on fake databases, requests that note their answers.
** Everything is driven by step, so a test sees each moment. */
#ifndef MP_RIG_H
#define MP_RIG_H

#include "moonpool.h"
#include "backend/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS ((uint64_t)1000000)

/* A request and what became of it. */
typedef struct ask {
  mp_request *req;
  int done_n, chunk_n;
  size_t row_n; /* of all chunks */
  int order;    /* it was the n-th to be answered */
  void (*then)(struct ask *ask);
  void *owner;
} ask;

static mp_loop *loop;
static int answered_n;

static void ask_done(mp_request *req)
{
  ask *a = req->owner;
  a->done_n++;
  a->order = ++answered_n;
  if (a->then != NULL)
    a->then(a);
}

static void ask_chunk(mp_request *req)
{
  ask *a = req->owner;
  a->chunk_n++;
  a->row_n += req->result->row_n;
}

static inline mp_request *ask_for(ask *a, mp_op op, const char *sql)
{
  memset(a, 0, sizeof *a);
  assert_int_equal(mp_request_new(&a->req), MP_OK);
  assert_int_equal(mp_request_fill(a->req, sql, strlen(sql), NULL, 0, 1), MP_OK);
  a->req->op = op;
  a->req->on_done = ask_done;
  a->req->on_chunk = ask_chunk;
  a->req->owner = a;
  return a->req;
}

static inline mp_request *ask_tx(ask *a, mp_txop op, const mp_txoptions *options)
{
  mp_request *req = ask_for(a, MP_OP_TX, "");
  req->tx_op = op;
  req->tx_options = options;
  return req;
}

static inline void ask_free(ask *a)
{
  assert_int_equal(a->done_n, 1);
  mp_request_free(a->req);
  a->req = NULL;
}

static inline void turn(int times)
{
  while (times-- > 0)
    mp_loop_step(loop, 0);
}

/* Step until *counter has reached n. */
static inline void run_until(const int *counter, int n)
{
  for (int i = 0; *counter < n && i < 200000; i++)
    mp_loop_step(loop, mp_loop_alive(loop) ? 20 : 0);
  assert_int_equal(*counter, n);
}

static inline void run_dry(void)
{
  for (int i = 0; mp_loop_alive(loop) && i < 1000000; i++)
    mp_loop_step(loop, 20);
  assert_false(mp_loop_alive(loop));
}

static inline void script(const char *name, const char *text)
{
  char why[200] = "";
  mp_status status = mp_fake_script(name, text, why, sizeof why);
  if (status != MP_OK)
    print_error("%s\n", why);
  assert_int_equal(status, MP_OK);
}

static inline mp_config *config_for(const char *backend, const char *database)
{
  mp_arena *arena = mp_arena_new(0);
  mp_config *config = mp_arena_zalloc(arena, sizeof *config);
  config->arena = arena;
  config->backend = mp_backend_find(backend);
  config->database = mp_arena_strdup(arena, database);
  return config;
}

static inline mp_pool *pool_with(const char *backend, const char *database,
                                 const mp_pool_limits *limits)
{
  mp_pool *pool = NULL;
  mp_error err = MP_ERROR_NONE;
  mp_status status = mp_pool_new(&pool, loop, config_for(backend, database), limits, &err);
  if (status != MP_OK)
    print_error("%s\n", err.message);
  assert_int_equal(status, MP_OK);
  return pool;
}

static inline mp_pool *pool_of(const char *backend, const char *database, int max)
{
  return pool_with(backend, database, &(mp_pool_limits){.max = max, .timeout_ns = 60000 * MS});
}

static void rig_closed(void *owner)
{
  ++*(int *)owner;
}

static inline void close_pool(mp_pool *pool)
{
  int closed_n = 0;
  assert_int_equal(mp_pool_close(pool, 0, rig_closed, &closed_n), MP_OK);
  run_until(&closed_n, 1);
  mp_pool_free(pool);
}

static inline mp_pool_stats stats_of(const mp_pool *pool)
{
  mp_pool_stats stats;
  mp_pool_get_stats(pool, &stats);
  return stats;
}

/* How often the script was asked for exactly this. */
static inline int asked_n(const char *name, const char *text)
{
  const char *asked;
  int n = 0;
  for (size_t i = 0; (asked = mp_fake_asked(name, i, NULL)) != NULL; i++)
    n += strcmp(asked, text) == 0;
  return n;
}

/* All it was asked but connecting and closing, joined by "; ". */
static inline const char *asked_text(const char *name)
{
  static char text[4096];
  const char *asked;
  text[0] = '\0';
  for (size_t i = 0; (asked = mp_fake_asked(name, i, NULL)) != NULL; i++) {
    if (strcmp(asked, "(connect)") == 0 || strcmp(asked, "(close)") == 0)
      continue;
    if (text[0] != '\0')
      strncat(text, "; ", sizeof text - strlen(text) - 1);
    strncat(text, asked, sizeof text - strlen(text) - 1);
  }
  return text;
}

static inline mp_fake_counts counts_of(const char *name)
{
  mp_fake_counts counts = {0};
  assert_true(mp_fake_count(name, &counts));
  return counts;
}

static int rig_setup(void **state)
{
  (void)state;
  answered_n = 0;
  return mp_loop_new(&loop) == MP_OK ? 0 : -1;
}

/* Nothing may be left of a test: no work, no handle. */
static int rig_teardown(void **state)
{
  (void)state;
  run_dry();
  turn(2);
  assert_int_equal(mp_loop_handle_n(loop), 0);
  assert_true(mp_loop_free(loop));
  return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

#endif
