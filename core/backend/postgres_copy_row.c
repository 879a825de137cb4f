/* postgres_copy_row.c - rows as the data of COPY ... FROM STDIN, in binary form or as text.
** Binary where the columns' types are known for sure, all of them have a binary form, and every value is of a kind whose binary
** form says what its text would say. Anything else goes as text, which the server reads: it knows what "yesterday" is. */
#include "postgres.h"
#include "postgres_form.h"

#include <stdlib.h>

#define BUFFER_BYTES ((size_t)64 * 1024)

/* ---- which form ---- */

#define K(kind) (1u << MP_##kind)
#define NUMBERS (K(INT) | K(FLOAT) | K(DECIMAL))
#define WRITTEN                                                                                    \
  (NUMBERS | K(BOOL) | K(TEXT) | K(DATE) | K(TIME) | K(DATETIME) | K(WALLTIME) | K(INTERVAL) |     \
   K(UUID) | K(JSON))

/* The kinds that may go in binary. Not money, whose text depends on the server's locale; not name, whose text is cut. */
static const uint16_t kinds_of[MP_PG_ID_N] = {
    [MP_PG_BOOL] = K(BOOL),
    [MP_PG_BYTEA] = K(BLOB),
    [MP_PG_INT2] = NUMBERS,
    [MP_PG_INT4] = NUMBERS,
    [MP_PG_INT8] = NUMBERS,
    [MP_PG_OID] = NUMBERS,
    [MP_PG_FLOAT4] = NUMBERS,
    [MP_PG_FLOAT8] = NUMBERS,
    [MP_PG_NUMERIC] = NUMBERS,
    [MP_PG_TEXT] = WRITTEN,
    [MP_PG_VARCHAR] = WRITTEN,
    [MP_PG_BPCHAR] = WRITTEN,
    [MP_PG_DATE] = K(DATE),
    [MP_PG_TIME] = K(TIME),
    [MP_PG_TIMESTAMP] = K(WALLTIME) | K(DATETIME),
    [MP_PG_TIMESTAMPTZ] = K(DATETIME),
    [MP_PG_INTERVAL] = K(INTERVAL) | K(TIME),
    [MP_PG_UUID] = K(UUID),
    [MP_PG_JSON] = K(JSON) | K(BOOL) | NUMBERS,
    [MP_PG_JSONB] = K(JSON) | K(BOOL) | NUMBERS,
};

/* A text that is one of a uuid, or may be JSON, is taken for that: the server reads the same bytes. */
static mp_kind kind_in(unsigned id, const mp_value *value)
{
  mp_value uuid;
  if (value->kind == MP_TEXT && id == MP_PG_UUID &&
      mp_value_parse(MP_UUID, value->s, value->len, &uuid, NULL))
    return MP_UUID;
  if (value->kind == MP_TEXT && (id == MP_PG_JSON || id == MP_PG_JSONB))
    return MP_JSON;
  return (mp_kind)value->kind;
}

static bool kind_goes(unsigned id, mp_kind kind, const mp_value *value)
{
  if (kind == MP_INT && (id == MP_PG_FLOAT4 || id == MP_PG_FLOAT8))
    return value->i >= -(INT64_C(1) << 53) && value->i <= INT64_C(1) << 53;
  return kind == MP_NULL || (id < MP_PG_ID_N && (kinds_of[id] >> kind & 1) != 0);
}

static bool goes(unsigned id, const mp_value *value)
{
  if (!(id & MP_PG_ARRAY) || value->kind != MP_ARRAY)
    return kind_goes(id, kind_in(id, value), value);
  id &= ~(unsigned)MP_PG_ARRAY;
  for (size_t i = 0; i < value->a->n; i++) {
    const mp_value *item = &value->a->items[i];
    if (!kind_goes(id, (mp_kind)item->kind, item))
      return false;
  }
  return true;
}

bool mp_pgcopy_is_binary(const mp_request *req, const mp_pgcolumns *columns)
{
  const mp_value *value = req->params;
  if (columns->n != req->param_n || req->param_rows == 0)
    return false;
  for (size_t row = 0; row < req->param_rows; row++)
    for (int i = 0; i < columns->n; i++, value++)
      if (!goes(mp_pgtype_id(columns->types[i]), value))
        return false;
  return true;
}

/* ---- the bytes ---- */

static bool reserve(mp_pgbuffer *b, size_t n)
{
  size_t room = b->room < BUFFER_BYTES ? BUFFER_BYTES + BUFFER_BYTES / 4 : b->room;
  char *grown;
  if (b->len + n <= b->room)
    return true;
  while (room < b->len + n)
    room *= 2;
  grown = realloc(b->bytes, room);
  if (grown == NULL)
    return false;
  b->bytes = grown;
  b->room = room;
  return true;
}

static bool put_text(mp_pgbuffer *b, const char *s, size_t n)
{
  static const char escape[256] = {['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
  char *to;
  if (!reserve(b, 2 * n))
    return false;
  to = b->bytes + b->len;
  for (size_t i = 0; i < n; i++) {
    char as = escape[(unsigned char)s[i]];
    if (as != 0)
      *to++ = '\\';
    *to++ = as != 0 ? as : s[i];
  }
  b->len = (size_t)(to - b->bytes);
  return true;
}

static bool put_int(mp_pgbuffer *b, int64_t n)
{
  char digits[24], *at = digits + sizeof digits;
  uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  do
    *--at = (char)('0' + left % 10);
  while ((left /= 10) != 0);
  if (n < 0)
    *--at = '-';
  return put_text(b, at, (size_t)(digits + sizeof digits - at));
}

static bool put_bytes(mp_pgbuffer *b, const char *s, size_t n)
{
  if (!reserve(b, n))
    return false;
  memcpy(b->bytes + b->len, s, n);
  b->len += n;
  return true;
}

static bool put_length(mp_pgbuffer *b, uint32_t n)
{
  char bytes[4];
  mp_pg_put32(bytes, n);
  return put_bytes(b, bytes, sizeof bytes);
}

/* ---- values ---- */

static bool no_memory(mp_pgtask *task)
{
  mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  return false;
}

/* The value is none for its column; row and column count from 0. */
static bool refuse(mp_pgtask *task, size_t row, int column, const mp_error *why)
{
  mp_request *req = task->req;
  const mp_pgcolumns *columns = task->statement == NULL ? NULL : task->statement->columns;
  size_t number = req->rows_before + row + 1;
  task->failed = true;
  if (columns == NULL)
    mp_error_set(&req->error, req->arena, why->kind, "row %zu, column %d: %s", number, column + 1,
                 why->message);
  else
    mp_error_set(&req->error, req->arena, why->kind, "row %zu, column \"%s\": %s", number,
                 columns->columns[column].name, why->message);
  req->error.sent = true;
  req->error.row = number;
  return false;
}

/* These give false when there is no memory, or the value is none for its column: the task has failed then. */

static bool put_as_text(mp_pgtask *task, mp_pgbuffer *b, const mp_value *value, mp_arena *scratch,
                        size_t row, int column)
{
  mp_pgparam param;
  mp_error why = MP_ERROR_NONE;
  bool put;
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    put = put_bytes(b, "\\N", 2);
    break;
  case MP_INT:
    put = put_int(b, value->i);
    break;
  case MP_TEXT:
    put = put_text(b, value->s, value->len);
    break;
  default:
    if (!mp_pgtype_param(0, value, scratch, &param, &why))
      return refuse(task, row, column, &why);
    put = put_text(b, param.data, (size_t)param.len);
    break;
  }
  return (put && put_bytes(b, column + 1 < task->req->param_n ? "\t" : "\n", 1)) || no_memory(task);
}

/* What rows are mostly made of, without a detour. False: it is something else, or there is no room. */
static bool put_quickly(mp_pgbuffer *b, unsigned id, const mp_value *value)
{
  char *to;
  uint32_t n = id == MP_PG_INT4 ? 4 : 8;
  if (value->kind == MP_TEXT)
    n = value->len;
  if (!reserve(b, 4 + (size_t)n))
    return false;
  to = b->bytes + b->len;
  switch (id) {
  case MP_PG_TEXT:
  case MP_PG_VARCHAR:
    if (value->kind != MP_TEXT || n > INT32_MAX)
      return false;
    memcpy(to + 4, value->s, n);
    break;
  case MP_PG_INT4:
    if (value->kind != MP_INT || value->i != (int32_t)value->i)
      return false;
    mp_pg_put32(to + 4, (uint32_t)value->i);
    break;
  case MP_PG_INT8:
    if (value->kind != MP_INT)
      return false;
    mp_pg_put64(to + 4, (uint64_t)value->i);
    break;
  case MP_PG_FLOAT8:
    if (value->kind != MP_FLOAT)
      return false;
    mp_pg_put64(to + 4, (uint64_t)value->i); /* its bits */
    break;
  case MP_PG_TIMESTAMPTZ:
    if (value->kind != MP_DATETIME)
      return false;
    mp_pg_put64(to + 4, (uint64_t)(value->i - MP_PG_EPOCH_US));
    break;
  default:
    return false;
  }
  mp_pg_put32(to, n);
  b->len += 4 + (size_t)n;
  return true;
}

static bool put_as_binary(mp_pgtask *task, mp_pgbuffer *b, mp_value value, mp_pgwriter *w,
                          size_t row, int column)
{
  uint32_t type = task->statement->columns->types[column];
  if (put_quickly(b, mp_pgtype_id(type), &value))
    return true;
  value.kind = (uint8_t)kind_in(mp_pgtype_id(type), &value);
  switch (mp_pgwrite_param(w, type, &value)) {
  case MP_PG_BINARY_FORM:
    break;
  case MP_PG_TEXT_FORM:
    *w->err = (mp_error){.kind = MP_E_INTERNAL, .message = "the value has no binary form"};
    return refuse(task, row, column, w->err);
  case MP_PG_REFUSED:
    return refuse(task, row, column, w->err);
  }
  return (put_length(b, (uint32_t)w->len) && put_bytes(b, w->data, w->len)) || no_memory(task);
}

/* ---- rows ---- */

static bool put_row(mp_pgtask *task, mp_pgbuffer *b, mp_pgwriter *w)
{
  const mp_request *req = task->req;
  size_t row = task->row_from++;
  const mp_value *values = &req->params[row * (size_t)req->param_n];
  if (task->statement != NULL) {
    char n[2];
    mp_pg_put16(n, (uint16_t)req->param_n);
    if (!put_bytes(b, n, sizeof n))
      return no_memory(task);
  }
  for (int i = 0; i < req->param_n; i++) {
    bool put;
    if (task->statement == NULL)
      put = put_as_text(task, b, &values[i], w->arena, row, i);
    else if (values[i].kind == MP_NULL)
      put = put_length(b, UINT32_MAX) || no_memory(task);
    else
      put = put_as_binary(task, b, values[i], w, row, i);
    if (!put)
      return false;
  }
  return true;
}

void mp_pgcopy_fill(mp_pgtask *task, mp_pgbuffer *b)
{
  static const char header[19] = "PGCOPY\n\377\r\n"; /* and its NUL, no flags, no extension */
  static const char end[2] = "\377\377";
  const mp_request *req = task->req;
  bool binary = task->statement != NULL;
  mp_error why = MP_ERROR_NONE;
  mp_pgwriter w;
  w.arena = mp_arena_new(0);
  w.err = &why;
  b->len = 0;
  if (w.arena == NULL || (binary && task->row_from == 0 && !put_bytes(b, header, sizeof header)))
    no_memory(task);
  while (!task->failed && b->len < BUFFER_BYTES && task->row_from < req->param_rows)
    put_row(task, b, &w);
  if (binary && !task->failed && task->row_from == req->param_rows &&
      !put_bytes(b, end, sizeof end))
    no_memory(task);
  mp_arena_free(w.arena);
}
