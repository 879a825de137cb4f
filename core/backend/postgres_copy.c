/* postgres_copy.c - COPY ... FROM STDIN: many rows at once, as text.
** libpq hangs when a COPY is sent in its pipeline mode, so a session leaves that mode for each COPY, which has the
** connection to itself, and enters it again behind it. The data goes out as fast as the socket takes it, a buffer at a
** time: never more than one is waiting. What goes wrong ends it with CopyFail; while data is sent nothing need be cancelled. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BUFFER_BYTES ((size_t)64 * 1024)
#define STEP_BYTES ((size_t)512 * 1024) /* others are to have their turn */
#define PATIENCE_NS ((uint64_t)200 * 1000 * 1000)

/* ---- in and out of the pipeline ---- */

bool mp_pgcopy_begin(mp_pgsession *ses, mp_pgtask *task, const char *sql)
{
  if (PQexitPipelineMode(ses->conn) != 1 || PQsendQuery(ses->conn, sql) != 1)
    return false;
  task->phase = MP_PG_RUNNING;
  task->copy = MP_PG_COPY_ASKED;
  return true;
}

bool mp_pgcopy_start(mp_pgsession *ses, mp_pgtask *task)
{
  return mp_pgcopy_begin(ses, task, task->req->sql);
}

/* The last answer has come. */
static void leave(mp_pgsession *ses, mp_pgtask *task)
{
  task->copy = MP_PG_NO_COPY;
  if (PQenterPipelineMode(ses->conn) != 1) {
    mp_pgsession_lose(ses);
    return;
  }
  mp_pgsession_note_status(ses);
  mp_pgtask_end(task);
}

/* ---- errors ---- */

/* The server's context says "COPY item, line 3, column flag: ..." (and in other languages something else). */
static void name_row(mp_pgtask *task, const PGresult *result)
{
  mp_request *req = task->req;
  const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
  const char *at = context == NULL ? NULL : strstr(context, "COPY "), *column, *message;
  unsigned long line = 0;
  int column_len = 0;
  if (at != NULL && (at = strstr(at, ", line ")) != NULL)
    line = strtoul(at + 7, (char **)&column, 10);
  if (line == 0)
    return;
  if (strncmp(column, ", column ", 9) == 0) {
    column += 9;
    column_len = (int)strcspn(column, ":\n");
  }
  req->error.row = req->rows_before + line;
  message = mp_arena_printf(req->arena, "row %zu%s%.*s%s: %s", req->rows_before + line,
                            column_len > 0 ? ", column \"" : "", column_len, column,
                            column_len > 0 ? "\"" : "", req->error.message);
  if (message != NULL)
    req->error.message = message;
}

static void note_error(mp_pgtask *task, const PGresult *result)
{
  bool first = !task->failed;
  mp_pgtask_note_error(task, result);
  if (first && task->req->op == MP_OP_COPY_IN)
    name_row(task, result);
  else if (first)
    task->req->error.position = 0; /* of another text than the program's */
}

/* ---- the data ---- */

typedef struct buffer {
  char *bytes;
  size_t len, room;
} buffer;

static bool reserve(buffer *b, size_t n)
{
  size_t room = b->room < BUFFER_BYTES ? BUFFER_BYTES : b->room;
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

static bool put_text(buffer *b, const char *s, size_t n)
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

static bool put_int(buffer *b, int64_t n)
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

/* False: no memory, or the value is none for a database; the task has failed then. */
static bool put_value(mp_pgtask *task, buffer *b, const mp_value *value, mp_arena *scratch,
                      size_t row, int column)
{
  mp_request *req = task->req;
  mp_pgparam param;
  mp_error why = MP_ERROR_NONE;
  bool put;
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    put = reserve(b, 2);
    if (put) {
      memcpy(b->bytes + b->len, "\\N", 2);
      b->len += 2;
    }
    break;
  case MP_INT:
    put = put_int(b, value->i);
    break;
  case MP_TEXT:
    put = put_text(b, value->s, value->len);
    break;
  default:
    if (!mp_pgtype_param(0, value, scratch, &param, &why)) {
      task->failed = true;
      mp_error_set(&req->error, req->arena, why.kind, "row %zu, column %d: %s",
                   req->rows_before + row + 1, column + 1, why.message);
      req->error.sent = true;
      req->error.row = req->rows_before + row + 1;
      return false;
    }
    put = put_text(b, param.data, (size_t)param.len);
    break;
  }
  if (!put)
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  return put;
}

/* One more row, from row_from on. */
static bool put_row(mp_pgtask *task, buffer *b, mp_arena *scratch)
{
  const mp_request *req = task->req;
  size_t row = task->row_from++;
  for (int i = 0; i < req->param_n; i++) {
    if (!put_value(task, b, &req->params[row * (size_t)req->param_n + (size_t)i], scratch, row, i))
      return false;
    if (!reserve(b, 1)) {
      mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
      return false;
    }
    b->bytes[b->len++] = i + 1 < req->param_n ? '\t' : '\n';
  }
  return true;
}

/* Fill the buffer; a row that fails leaves it as it is. */
static void fill(mp_pgtask *task, buffer *b)
{
  mp_arena *scratch = mp_arena_new(0);
  b->len = 0;
  if (scratch == NULL)
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  while (scratch != NULL && b->len < BUFFER_BYTES && task->row_from < task->req->param_rows &&
         put_row(task, b, scratch))
    ;
  mp_arena_free(scratch);
}

/* False: the connection is broken, or the socket is full. */
static bool put_end(mp_pgsession *ses, mp_pgtask *task, const char *why)
{
  int put = PQputCopyEnd(ses->conn, why);
  if (put < 0)
    mp_pgsession_lose(ses);
  if (put != 1)
    return false;
  task->copy = MP_PG_COPY_ENDED;
  return true;
}

/* The server may stand at a lock and not listen: then the usual stop is needed all the same. */
void mp_pgcopy_stop(mp_pgtask *task)
{
  if (task->copy == MP_PG_COPY_DATA && task->req->op == MP_OP_COPY_IN)
    task->patience_ns = uv_hrtime() + PATIENCE_NS;
}

void mp_pgcopy_send(mp_pgsession *ses)
{
  mp_pgtask *task = mp_pgsession_head(ses);
  buffer b = {0};
  size_t sent_bytes = 0;
  if (task == NULL || task->copy != MP_PG_COPY_DATA || task->req->op != MP_OP_COPY_IN)
    return;
  while (sent_bytes < STEP_BYTES) {
    int left = PQflush(ses->conn);
    if (left < 0)
      mp_pgsession_lose(ses);
    if (left != 0)
      break;
    if (!task->failed && !task->stopping && task->row_from < task->req->param_rows)
      fill(task, &b);
    else
      b.len = 0;
    if (task->failed || task->stopping) {
      put_end(ses, task, task->failed ? "the program gave a value that cannot be sent" : "stopped");
      break;
    } else if (b.len == 0) {
      put_end(ses, task, NULL);
      break;
    } else if (b.len > INT32_MAX - 16) {
      mp_pgtask_fail(task, MP_E_QUERY_TOO_LARGE, "a row is larger than 2 GiB");
    } else if (PQputCopyData(ses->conn, b.bytes, (int)b.len) != 1) {
      mp_pgsession_lose(ses); /* the buffer was empty: only memory or the connection can lack */
      break;
    }
    sent_bytes += b.len;
  }
  free(b.bytes);
}

/* ---- the answers ---- */

/* What came at the beginning or behind the data. */
static void take(mp_pgtask *task, PGresult *result)
{
  switch (PQresultStatus(result)) {
  case PGRES_COPY_IN:
  case PGRES_COPY_OUT:
    task->copy = MP_PG_COPY_DATA;
    break;
  case PGRES_COMMAND_OK:
    task->req->affected += strtoll(PQcmdTuples(result), NULL, 10);
    break;
  default:
    task->copy = MP_PG_COPY_ENDED;
    note_error(task, result);
    break;
  }
  PQclear(result);
}

bool mp_pgcopy_read(mp_pgsession *ses, mp_pgtask *task)
{
  PGresult *result;
  if (task->copy == MP_PG_COPY_DATA && task->req->op == MP_OP_COPY_IN)
    return false; /* libpq reads nothing but notices now */
  if (task->copy == MP_PG_COPY_DATA)
    return mp_pgcopy_out_read(ses, task);
  if (PQisBusy(ses->conn))
    return false;
  if (PQstatus(ses->conn) == CONNECTION_BAD) {
    mp_pgsession_lose(ses);
    return false;
  }
  result = PQgetResult(ses->conn);
  if (result == NULL)
    leave(ses, task);
  else
    take(task, result);
  return true;
}
