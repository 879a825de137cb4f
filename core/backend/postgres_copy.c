/* postgres_copy.c - COPY ... FROM STDIN: many rows at once.
** libpq hangs when a COPY is sent in its pipeline mode, so a session leaves that mode for each COPY, which has the
** connection to itself, and enters it again behind it. The data goes out as fast as the socket takes it, a buffer at a
** time: never more than one is waiting. What goes wrong ends it with CopyFail; while data is sent nothing need be cancelled. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

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

/* Have the columns been described, in this transaction, and nothing been sent since that could have changed them? Whoever
** else wants to change them waits for the transaction to end. */
static bool knows_columns(const mp_pgsession *ses, const mp_request *req)
{
  const mp_pgstatement *described = ses->described;
  return described != NULL && described->table != 0 && req->columns_sql != NULL &&
         strcmp(described->text.s, req->columns_sql) == 0 &&
         mp_pgcopy_is_binary(req, described->columns);
}

/* The data does not say of which types it is. They are those of the table that was described, and a name without a schema may have
** become another one's: behind the data the server is to fail if it has. */
static const char checked[] =
    "%s (FORMAT binary); "
    "SELECT 1 / CAST(CAST(CAST(%s AS regclass) AS oid) = CAST(%lu AS oid) AS integer)";

bool mp_pgcopy_start(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  const char *sql = req->sql;
  if (knows_columns(ses, req)) {
    char *name = PQescapeLiteral(ses->conn, req->table, strlen(req->table));
    if (name != NULL)
      sql = mp_arena_printf(req->arena, checked, sql, name, (unsigned long)ses->described->table);
    PQfreemem(name);
    if (name == NULL || sql == NULL) {
      mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
      return true;
    }
    task->statement = ses->described;
    task->statement->user_n++;
  }
  return mp_pgcopy_begin(ses, task, sql);
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
  if (first && task->copied_in && strcmp(task->req->error.sqlstate, "22012") == 0)
    mp_error_set(&task->req->error, task->req->arena, MP_E_PLAN_CHANGED,
                 "the name became that of another table while rows were copied into it");
  else if (first && task->req->op == MP_OP_COPY_IN)
    name_row(task, result);
  else if (first)
    task->req->error.position = 0; /* of another text than the program's */
}

/* ---- the data ---- */

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
  mp_pgbuffer b = {0};
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
      mp_pgcopy_fill(task, &b);
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
    task->copied_in = true;
    break;
  case PGRES_TUPLES_OK: /* it is the table that was described */
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
