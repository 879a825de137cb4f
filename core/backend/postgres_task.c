/* postgres_task.c - the end of what was sent, or was to be: by an answer, an error, or with the connection. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_limited(const mp_request *req)
{
  return req->max_rows > 0 || req->max_bytes > 0;
}

/* Its rows come one by one, so that nothing else may be in flight. */
bool mp_pgtask_by_rows(const mp_pgtask *task)
{
  return task->req != NULL && (task->req->op == MP_OP_STREAM || task->req->op == MP_OP_COPY_OUT ||
                               (task->req->op == MP_OP_QUERY && is_limited(task->req)));
}

bool mp_pgtask_is_alone(const mp_pgtask *task)
{
  return mp_pgtask_by_rows(task) ||
         (task->req != NULL && (task->req->op == MP_OP_COPY_IN || task->req->op == MP_OP_LISTEN));
}

void mp_pgtask_note_error(mp_pgtask *task, const PGresult *result)
{
  if (task->req == NULL || task->failed)
    return;
  task->failed = true;
  mp_pgerror_result(result, task->req->sql, task->req->arena, &task->req->error);
  if (task->req->op == MP_OP_MANY && task->phase == MP_PG_RUNNING)
    task->req->error.row = task->req->rows_before + task->row_from + (size_t)task->command + 1;
}

void mp_pgtask_too_large(mp_pgsession *ses, mp_pgtask *task, const char *limit)
{
  char text[80];
  snprintf(text, sizeof text, "the result is larger than %s allows", limit);
  mp_pgtask_fail(task, MP_E_RESULT_TOO_LARGE, text);
  mp_pgsession_stop(ses, task);
}

void mp_pgtask_deliver(mp_pgtask *task, mp_result *chunk)
{
  mp_request *req = task->req;
  mp_result_free(mp_request_take_result(req));
  req->result = chunk;
  task->standing = true;
  req->on_chunk(req);
}

bool mp_pgtask_is_shared(const mp_pgtask *task)
{
  const mp_request *req = task->req;
  return req != NULL && req->own_sql && req->access == MP_ACCESS_READ && req->op == MP_OP_QUERY;
}

void mp_pgtask_fail(mp_pgtask *task, mp_status kind, const char *message)
{
  if (task->failed)
    return;
  task->failed = true;
  mp_error_set(&task->req->error, task->req->arena, kind, "%s", message);
  task->req->error.sent = task->phase == MP_PG_RUNNING;
}

void mp_pgtask_forget_statement(mp_pgtask *task)
{
  if (task->statement != NULL)
    mp_pgstatement_release(task->statement);
  task->statement = NULL;
}

static void drop_chunk(mp_pgtask *task)
{
  if (task->chunk != NULL)
    mp_result_free(mp_pgchunk_result(task->chunk));
  task->chunk = NULL;
  mp_pgcopied_drop(task->copied);
  task->copied = NULL;
}

static bool was_stopped(const mp_request *req)
{
  return mp_op_streams(req->op) || strcmp(req->error.sqlstate, "57014") == 0;
}

/* Out of its list, and answered: it may be gone afterwards. */
void mp_pgtask_end(mp_pgtask *task)
{
  mp_request *req = task->req;
  mp_list_remove(&task->node);
  mp_pgtask_forget_statement(task);
  drop_chunk(task);
  if (req == NULL) {
    free(task);
    return;
  }
  if (task->failed || mp_op_streams(req->op))
    mp_result_free(mp_request_take_result(req));
  /* One that ended before the cancel came to it has its answer all the same. */
  if (req->stop != MP_OK && task->stopping &&
      (task->failed ? was_stopped(req) : task->cut || mp_op_streams(req->op))) {
    mp_error_set(&req->error, req->arena, req->stop,
                 req->stop == MP_E_TIMEOUT ? "the statement ran longer than its timeout"
                                           : "the statement was stopped");
    req->error.sent = true;
  }
  mp_request_finish(req);
}

void mp_pgsession_lose(mp_pgsession *ses)
{
  mp_list *lists[] = {&ses->sent, &ses->waiting};
  if (ses->base.state >= MP_SES_LOST)
    return;
  ses->base.state = MP_SES_LOST;
  ses->base.tx = ses->server_tx = MP_TX_UNKNOWN;
  mp_pgtx_forget(ses);
  mp_pgerror_connection(ses->conn, true, ses->arena, &ses->base.error);
  if (ses->base.error.kind == MP_OK)
    mp_error_set(&ses->base.error, ses->arena, MP_E_CONNECTION_LOST, "the connection was closed");
  for (int i = 0; i < 2; i++) {
    while (!mp_list_empty(lists[i])) {
      mp_pgtask *task = mp_container_of(lists[i]->next, mp_pgtask, node);
      if (task->req != NULL && (!task->failed || task->req->error.verdict != MP_DESTROY)) {
        task->failed = true;
        mp_error_copy(&task->req->error, task->req->arena, &ses->base.error);
        task->req->error.sent = task->phase == MP_PG_RUNNING;
        task->req->error.verdict = MP_DESTROY;
      }
      mp_pgtask_end(task);
    }
  }
}
