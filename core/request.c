/* request.c - the life of one request.
** Every change of its state is made by mp_request_move; every end goes through mp_request_finish. Knows
** nothing of who has the request: the floors between leave their hooks in it. */
#include "request.h"

#include <assert.h>
#include <string.h>
#include <uv.h>

static bool may_move(mp_reqstate from, mp_reqstate to)
{
  switch (to) {
  case MP_REQ_QUEUED:
    return from == MP_REQ_NEW ||
           from == MP_REQ_ACTIVE; /* ACTIVE: its pool or lease runs it again */
  case MP_REQ_ACTIVE:
    return from == MP_REQ_QUEUED;
  case MP_REQ_DONE:
    return from == MP_REQ_QUEUED || from == MP_REQ_ACTIVE;
  default:
    return false;
  }
}

void mp_request_move(mp_request *req, mp_reqstate to)
{
  assert(may_move(req->state, to));
  if (to == MP_REQ_QUEUED && req->submitted_ns == 0)
    req->submitted_ns = uv_hrtime();
  else if (to == MP_REQ_ACTIVE)
    req->started_ns = uv_hrtime();
  else if (to == MP_REQ_DONE)
    req->done_ns = uv_hrtime();
  req->state = to;
}

mp_status mp_request_new(mp_request **out)
{
  mp_arena *arena = mp_arena_new(0);
  mp_request *req;
  if (arena == NULL)
    return MP_E_OUT_OF_MEMORY;
  req = mp_arena_zalloc(arena, sizeof *req);
  if (req == NULL) {
    mp_arena_free(arena);
    return MP_E_OUT_OF_MEMORY;
  }
  req->arena = arena;
  mp_list_init(&req->node);
  mp_list_init(&req->conn_node);
  mp_list_init(&req->holder_node);
  *out = req;
  return MP_OK;
}

/* What the value points at, in bytes; with the NUL that a copy gets. */
static size_t outside_bytes(const mp_value *value)
{
  switch (value->kind) {
  case MP_DECIMAL:
    return value->small ? 0 : (size_t)value->len + 1;
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
  case MP_JSON:
    return (size_t)value->len + 1;
  default:
    return 0;
  }
}

static bool copy_outside(mp_arena *arena, mp_value *value);

static bool copy_array(mp_arena *arena, mp_value *value)
{
  const mp_array *from = value->a;
  size_t dims_bytes = (size_t)from->dim_n * sizeof *from->dims;
  mp_array *copy = mp_arena_alloc(arena, sizeof *copy + dims_bytes);
  mp_value *items = mp_arena_alloc(arena, from->n * sizeof *items);
  if (copy == NULL || items == NULL)
    return false;
  *copy = *from;
  copy->dims = (const int *)(copy + 1);
  if (dims_bytes > 0)
    memcpy(copy + 1, from->dims, dims_bytes);
  copy->items = items;
  for (size_t i = 0; i < from->n; i++) {
    items[i] = from->items[i];
    if (!copy_outside(arena, &items[i]))
      return false;
  }
  value->a = copy;
  return true;
}

static bool copy_outside(mp_arena *arena, mp_value *value)
{
  if (value->kind == MP_ARRAY)
    return copy_array(arena, value);
  if (value->kind == MP_INTERVAL) {
    mp_interval *copy = mp_arena_alloc(arena, sizeof *copy);
    if (copy == NULL)
      return false;
    *copy = *value->v;
    value->v = copy;
  } else if (outside_bytes(value) > 0) {
    const char *copy = mp_arena_memdup(arena, value->s, value->len);
    if (copy == NULL)
      return false;
    value->s = copy;
  }
  return true;
}

mp_status mp_request_fill(mp_request *req, const char *sql, size_t sql_len, const mp_value *params,
                          int n, size_t rows)
{
  size_t value_n;
  mp_value *copy = NULL;
  if (__builtin_mul_overflow((size_t)n, rows, &value_n) || value_n > PTRDIFF_MAX / sizeof(mp_value))
    return MP_E_OUT_OF_MEMORY;
  if (value_n > 0) {
    copy = mp_arena_alloc(req->arena, value_n * sizeof *copy);
    if (copy == NULL)
      return MP_E_OUT_OF_MEMORY;
    memcpy(copy, params, value_n * sizeof *copy);
  }
  return mp_request_fill_own(req, sql, sql_len, copy, n, rows);
}

mp_status mp_request_fill_own(mp_request *req, const char *sql, size_t sql_len, mp_value *params,
                              int n, size_t rows)
{
  req->sql = mp_arena_memdup(req->arena, sql, sql_len);
  if (req->sql == NULL)
    return MP_E_OUT_OF_MEMORY;
  for (size_t i = 0; i < (size_t)n * rows; i++)
    if (!copy_outside(req->arena, &params[i]))
      return MP_E_OUT_OF_MEMORY;
  req->sql_len = sql_len;
  req->sql_hash = mp_sql_hash(sql, sql_len);
  req->params = params;
  req->param_n = n;
  req->param_rows = rows;
  return MP_OK;
}

uint64_t mp_sql_hash(const char *sql, size_t len)
{
  const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = len * factor, word;
  while (len >= sizeof word) {
    memcpy(&word, sql, sizeof word);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
    sql += sizeof word;
    len -= sizeof word;
  }
  word = 0;
  memcpy(&word, sql, len);
  hash = (hash ^ word) * factor;
  hash ^= hash >> 32;
  return hash == 0 ? 1 : hash;
}

void mp_request_finish(mp_request *req)
{
  if (req->left != NULL) {
    void (*left)(mp_request *) = req->left;
    req->left = NULL;
    left(req);
  }
  if (req->ended != NULL && !req->ended(req))
    return; /* its pool or lease runs it again */
  mp_request_move(req, MP_REQ_DONE);
  if (req->on_done != NULL)
    req->on_done(req);
}

void mp_request_fail(mp_request *req, mp_status kind, const char *format, ...)
{
  va_list args;
  const char *message;
  va_start(args, format);
  message = mp_arena_vprintf(req->arena, format, args);
  va_end(args);
  req->error = (mp_error){.kind = kind, .message = message};
  if (message == NULL)
    req->error.message = mp_status_name(kind);
  mp_result_free(mp_request_take_result(req));
  mp_request_finish(req);
}

mp_result *mp_request_take_result(mp_request *req)
{
  mp_result *result = req->result;
  req->result = NULL;
  return result;
}

void mp_request_free(mp_request *req)
{
  if (req == NULL)
    return;
  assert(req->state == MP_REQ_NEW || req->state == MP_REQ_DONE);
  mp_result_free(mp_request_take_result(req));
  mp_arena_free(req->arena);
}
