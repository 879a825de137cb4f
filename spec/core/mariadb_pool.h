/* mariadb_pool.h - what the tests of the MariaDB backend share: pools on a server, and asking them.
** MOONPOOL_TEST_MARIADB says where the server is; without it a test is skipped. All goes through pools, as programs have
** it, so that kills find their way. */
#ifndef MP_MARIADB_POOL_H
#define MP_MARIADB_POOL_H

#include "rig.h"

#include <uv.h>

static mp_pool *pool;

#define LONG_READ "SELECT count(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b"

/* ---- the pool ---- */

static inline mp_config *config_new(void)
{
  mp_arena *arena = mp_arena_new(0);
  mp_config *config = mp_arena_zalloc(arena, sizeof *config);
  *config = (mp_config){.arena = arena,
                        .backend = mp_backend_find("mariadb"),
                        .options = mp_arena_zalloc(arena, 8 * sizeof(mp_option)),
                        .connect_timeout_ms = 10000,
                        .statement_cache = 100};
  return config;
}

static inline void add_option(mp_config *config, const char *name, const char *value)
{
  mp_option *options = (mp_option *)(uintptr_t)config->options;
  options[config->option_n++] = (mp_option){name, value};
}

static inline mp_config *config_from(const char *variable, const char **password)
{
  const char *text = getenv(variable);
  mp_config *config;
  mp_url url;
  mp_error err;
  if (text == NULL)
    skip();
  config = config_new();
  if (mp_url_parse(config->arena, text, strlen(text), &url, &err) != MP_OK)
    fail_msg("%s: %s", variable, err.message);
  config->host = url.host;
  config->port = url.port;
  config->user = url.user;
  config->database = url.database;
  for (int i = 0; i < url.option_n; i++) { /* tls.mode is tls_mode to a backend */
    char *name = mp_arena_strdup(config->arena, url.options[i].name);
    if (strchr(name, '.') != NULL)
      *strchr(name, '.') = '_';
    add_option(config, name, url.options[i].value);
  }
  *password = url.password;
  return config;
}

static inline void open_with(mp_config *config, const char *password, int max)
{
  mp_error err = MP_ERROR_NONE;
  mp_pool_limits limits = {.max = max, .timeout_ns = 20000 * MS};
  if (mp_pool_new(&pool, loop, config, &limits, &err) != MP_OK)
    fail_msg("%s", err.message);
  assert_int_equal(mp_pool_set_password(pool, password), MP_OK);
}

static inline void open_from(const char *variable, int max)
{
  const char *password;
  mp_config *config = config_from(variable, &password);
  open_with(config, password, max);
}

static inline void open_pool(int max)
{
  open_from("MOONPOOL_TEST_MARIADB", max);
}

/* ---- asking ---- */

static inline void wait_for(ask *a)
{
  uint64_t end = uv_hrtime() + 30000 * MS;
  while (a->done_n == 0 && uv_hrtime() < end)
    mp_loop_step(loop, 20);
  assert_int_equal(a->done_n, 1);
}

static inline mp_request *ask_with(ask *a, mp_op op, const char *sql, const mp_value *params, int n,
                                   size_t rows)
{
  mp_request *req = ask_for(a, op, sql);
  assert_int_equal(mp_request_fill(req, sql, strlen(sql), params, n, rows), MP_OK);
  return req;
}

static void chunk_more(mp_request *req)
{
  ask_chunk(req);
  mp_pool_more(pool, req);
}

static inline mp_request *run_with(ask *a, mp_op op, const char *sql, const mp_value *params, int n,
                                   size_t rows)
{
  mp_request *req = ask_with(a, op, sql, params, n, rows);
  req->on_chunk = chunk_more;
  mp_pool_submit(pool, req);
  wait_for(a);
  return req;
}

static inline mp_request *run(ask *a, const char *sql)
{
  return run_with(a, MP_OP_QUERY, sql, NULL, 0, 1);
}

static inline void fine(const mp_request *req)
{
  if (req->error.kind != MP_OK)
    fail_msg("%s: %s (%d)", req->sql, req->error.message, req->error.code);
}

static inline void fails(const mp_request *req, mp_status kind)
{
  if (req->error.kind != kind)
    fail_msg("%s: %s: %s", req->sql != NULL ? req->sql : "?", mp_status_name(req->error.kind),
             req->error.message != NULL ? req->error.message : "");
}

static inline mp_value cell(const mp_request *req, size_t row, int col)
{
  mp_value value;
  assert_non_null(req->result);
  assert_true(row < req->result->row_n && col < req->result->column_n);
  req->result->ops->cell(req->result, row, col, &value);
  return value;
}

static inline void does(const char *sql)
{
  ask a;
  fine(run(&a, sql));
  ask_free(&a);
}

static inline int64_t number(const char *sql)
{
  ask a;
  mp_value value;
  fine(run(&a, sql));
  value = cell(a.req, 0, 0);
  assert_int_equal(value.kind, MP_INT);
  ask_free(&a);
  return value.i;
}

static inline void text_is(mp_value value, const char *text)
{
  assert_int_equal(value.len, strlen(text));
  assert_memory_equal(value.s, text, value.len);
}

static inline mp_value text_of(const char *s)
{
  return (mp_value){.kind = MP_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

static inline mp_value int_of(int64_t i)
{
  return (mp_value){.kind = MP_INT, .i = i};
}

#endif
