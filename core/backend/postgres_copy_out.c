/* postgres_copy_out.c - COPY (query) TO STDOUT (FORMAT binary): rows that come cheaper than those of a statement.
** The query has been described, so its types are known. Where one of them has no binary decoder, or COPY does not take the
** statement, it is run as a stream: its text forms are read there already. The server sends each row as a message
** of its own, the first with a header before it and a mark behind the last. Rows are read where libpq put them. */
#include "postgres.h"
#include "postgres_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 200

static const char header[] =
    "PGCOPY\n\377\r\n"; /* and its NUL, 4 bytes of flags, 4 of length, an extension */
#define HEADER_BYTES (sizeof header + 8)

/* ---- chunks ---- */

typedef struct tuple {
  char *message;  /* libpq's, freed with the row that has it; NULL: another row's */
  const char *at; /* the first field, checked to be whole */
} tuple;

struct mp_pgcopied {
  mp_result view;
  mp_pgcolumns *shared;
  mp_arena *arena;
  size_t room_n;
  size_t row; /* the field at `next` is that of this row and column */
  int column;
  const char *next;
  tuple rows[];
};

static const char *field(mp_pgcopied *chunk, size_t row, int col)
{
  const char *at = chunk->rows[row].at;
  int column = 0;
  if (chunk->next != NULL && chunk->row == row && chunk->column <= col) {
    at = chunk->next;
    column = chunk->column;
  }
  for (; column < col; column++) {
    int32_t len = (int32_t)mp_pg_get32(at);
    at += 4 + (len > 0 ? len : 0);
  }
  chunk->row = row;
  chunk->column = col;
  chunk->next = at;
  return at;
}

static void copied_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  mp_pgcopied *chunk = (mp_pgcopied *)(uintptr_t)base; /* remembers where it is */
  const char *at = field(chunk, row, col);
  int32_t len = (int32_t)mp_pg_get32(at);
  mp_error err = MP_ERROR_NONE;
  if (len < 0) {
    *out = MP_VALUE_NULL;
    return;
  }
  if (chunk->arena == NULL && (chunk->arena = mp_arena_new(0)) == NULL) {
    out->kind = MP_KIND_N;
    return;
  }
  if (!mp_pgtype_cell(chunk->shared->types[col], true, at + 4, (size_t)len, chunk->arena, out,
                      &err))
    out->kind = MP_KIND_N;
}

static void copied_free(mp_result *base)
{
  mp_pgcopied *chunk = (mp_pgcopied *)base;
  for (size_t i = 0; i < chunk->view.row_n; i++)
    PQfreemem(chunk->rows[i].message);
  mp_pgcolumns_drop(chunk->shared);
  mp_arena_free(chunk->arena);
  free(chunk);
}

static const mp_result_ops copied_ops = {.cell = copied_cell, .free = copied_free};

static mp_pgcopied *copied_new(mp_pgcolumns *columns, size_t room_n)
{
  mp_pgcopied *chunk = malloc(sizeof *chunk + room_n * sizeof(tuple));
  if (chunk == NULL)
    return NULL;
  *chunk = (mp_pgcopied){.shared = columns, .room_n = room_n};
  chunk->view =
      (mp_result){.ops = &copied_ops, .columns = columns->columns, .column_n = columns->n};
  columns->user_n++;
  return chunk;
}

void mp_pgcopied_drop(mp_pgcopied *chunk)
{
  if (chunk != NULL)
    copied_free(&chunk->view);
}

/* ---- the statement ---- */

static bool takes_copy(const mp_pgtask *task)
{
  const mp_pgcolumns *columns = task->statement == NULL ? NULL : task->statement->columns;
  return columns != NULL && columns->binary && task->req->param_n == 0 &&
         mp_pgsql_is_query(task->req->sql);
}

bool mp_pgcopy_out_start(mp_pgsession *ses, mp_pgtask *task, bool *started)
{
  static const char before[] = "COPY (", behind[] = "\n) TO STDOUT (FORMAT binary)";
  mp_request *req = task->req;
  char *sql;
  *started = takes_copy(task);
  if (!*started)
    return true;
  sql = mp_arena_alloc(req->arena, sizeof before + req->sql_len + sizeof behind);
  if (sql == NULL) {
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    return true;
  }
  snprintf(sql, sizeof before + req->sql_len + sizeof behind, "%s%s%s", before, req->sql, behind);
  return mp_pgcopy_begin(ses, task, sql);
}

/* ---- rows ---- */

static void broken(mp_pgtask *task)
{
  mp_pgtask_fail(task, MP_E_PROTOCOL, "the server's COPY has another form than is known");
}

/* The end of a row's fields, or NULL if they are not whole. */
static const char *end_of_row(const char *at, const char *end, int column_n)
{
  for (int i = 0; i < column_n; i++) {
    int32_t len;
    if (end - at < 4)
      return NULL;
    len = (int32_t)mp_pg_get32(at);
    at += 4;
    if (len < -1 || (len > 0 && len > end - at))
      return NULL;
    at += len > 0 ? len : 0;
  }
  return at;
}

static void deliver(mp_pgtask *task)
{
  mp_pgcopied *chunk = task->copied;
  task->copied = NULL;
  mp_pgtask_deliver(task, &chunk->view);
}

static bool count(mp_pgsession *ses, mp_pgtask *task, size_t bytes)
{
  const mp_request *req = task->req;
  const char *limit = NULL;
  task->row_n++;
  task->byte_n += bytes + (size_t)task->statement->columns->n * (sizeof(mp_value) - 4);
  if (req->max_rows > 0 && task->row_n > req->max_rows)
    limit = "max_rows";
  else if (req->max_bytes > 0 && task->byte_n > req->max_bytes)
    limit = "max_bytes";
  if (limit == NULL)
    return true;
  mp_pgtask_too_large(ses, task, limit);
  return false;
}

/* Takes the message over. */
static void take_message(mp_pgsession *ses, mp_pgtask *task, char *message, size_t n)
{
  mp_pgcolumns *columns = task->statement->columns;
  const char *at = message, *end = message + n;
  char *owned = message;
  if (!task->headed) {
    uint32_t more = n < HEADER_BYTES ? UINT32_MAX : mp_pg_get32(message + sizeof header + 4);
    if (n < HEADER_BYTES || memcmp(message, header, sizeof header) != 0 || more > n - HEADER_BYTES)
      broken(task);
    else
      at += HEADER_BYTES + more;
    task->headed = true;
  }
  while (!task->failed && at < end) {
    int16_t fields = end - at < 2 ? 0 : (int16_t)mp_pg_get16(at);
    const char *from = at + 2, *to;
    if (fields == -1 && end - at == 2)
      break;
    to = fields == columns->n ? end_of_row(from, end, fields) : NULL;
    if (task->copied == NULL)
      task->copied =
          copied_new(columns, task->req->chunk_rows > 0 ? task->req->chunk_rows : CHUNK_ROWS);
    if (to == NULL) {
      broken(task);
    } else if (task->copied == NULL) {
      mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    } else if (task->copied->view.row_n == task->copied->room_n) {
      broken(task); /* several rows in a message */
    } else if (count(ses, task, (size_t)(to - from))) {
      task->copied->rows[task->copied->view.row_n++] = (tuple){owned, from};
      task->copied->view.bytes += (size_t)(to - at);
      owned = NULL;
    }
    at = to != NULL ? to : end;
  }
  PQfreemem(owned);
  if (!task->failed && task->copied != NULL && task->copied->view.row_n == task->copied->room_n)
    deliver(task);
}

bool mp_pgcopy_out_read(mp_pgsession *ses, mp_pgtask *task)
{
  for (;;) {
    char *message = NULL;
    int n = PQgetCopyData(ses->conn, &message, 1);
    if (n > 0 && (task->stopping || task->failed)) {
      PQfreemem(message);
    } else if (n > 0) {
      take_message(ses, task, message, (size_t)n);
      if (task->standing)
        return false;
    } else {
      if (n < 0)
        task->copy = MP_PG_COPY_ENDED;
      if (task->copied != NULL && !task->stopping && !task->failed)
        deliver(task); /* what has come is more welcome now than when the chunk is full */
      return n < 0;
    }
  }
}
