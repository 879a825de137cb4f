/* mariadb_task.c - the end of a request: by an answer, an error, or with the connection.
** An error tells nothing of the transaction, which it may have ended: one round trip asks before the request is answered. */
#include "mariadb.h"

#include "mariadb_message.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_ROWS 200
#define KILLED 1317

size_t mp_mytask_room(const mp_mytask *task)
{
  const mp_request *req = task->req;
  return mp_op_streams(req->op) && req->chunk_rows > 0 ? req->chunk_rows : CHUNK_ROWS;
}

void mp_mytask_fail(mp_mytask *task, mp_status kind, const char *message)
{
  if (task->failed)
    return;
  task->failed = true;
  mp_error_set(&task->req->error, task->req->arena, kind, "%s", message);
  task->req->error.sent = task->sent;
}

bool mp_mytask_note_error(mp_mysession *ses, MYSQL_STMT *stmt)
{
  mp_mytask *task = ses->task;
  mp_request *req = task->req;
  bool by_statement = stmt != NULL && mysql_stmt_errno(stmt) != 0;
  unsigned number = by_statement ? mysql_stmt_errno(stmt) : mysql_errno(ses->line.conn);
  const char *state = by_statement ? mysql_stmt_sqlstate(stmt) : mysql_sqlstate(ses->line.conn);
  const char *text = by_statement ? mysql_stmt_error(stmt) : mysql_error(ses->line.conn);
  mp_error error = MP_ERROR_NONE;
  mp_myerror(ses->line.flavour, number, state, text, false, req->arena, &error);
  error.sent = task->sent;
  if (number == 1064) {
    int at = mp_mymessage_position(text, req->sql) - 1;
    error.position = at + 1;
    while (at > 0 && isspace((unsigned char)req->sql[at - 1]))
      at--;
    if (at > 0 && req->sql[at - 1] == ';')
      mp_error_advise(&error, req->arena, "one statement a call");
  }
  if (!task->failed || error.verdict == MP_DESTROY) {
    task->failed = true;
    req->error = error;
  }
  if (error.verdict != MP_DESTROY)
    return true;
  mp_mysession_lose(ses, &error);
  return false;
}

/* ---- rows ---- */

static void too_large(mp_mysession *ses, const char *limit)
{
  char text[80];
  snprintf(text, sizeof text, "the result is larger than %s allows", limit);
  mp_mytask_fail(ses->task, MP_E_RESULT_TOO_LARGE, text);
  mp_mysession_stop(ses);
}

void mp_mytask_count(mp_mysession *ses, size_t bytes)
{
  mp_mytask *task = ses->task;
  const mp_request *req = task->req;
  task->row_n++;
  task->byte_n += bytes;
  if (req->max_rows > 0 && task->row_n > req->max_rows)
    too_large(ses, "max_rows");
  else if (req->max_bytes > 0 && task->byte_n > req->max_bytes)
    too_large(ses, "max_bytes");
}

bool mp_mytask_is_full(const mp_mytask *task)
{
  if (task->req->cursor && !task->on_cursor)
    return false; /* the library has few rows, and all of them: the connection is free when they are read */
  return mp_op_streams(task->req->op) && !task->stopping && task->rows != NULL &&
         mp_myrows_n(task->rows) >= mp_mytask_room(task);
}

bool mp_mytask_deliver(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  mp_request *req = task->req;
  if (task->rows == NULL || mp_myrows_n(task->rows) == 0)
    return false;
  mp_result_free(mp_request_take_result(req));
  req->result = mp_myrows_result(task->rows);
  task->rows = NULL;
  task->standing = true;
  if (req->cursor) {
    ses->task = NULL;
    mp_list_push_back(&ses->cursors, &task->node);
  }
  req->on_chunk(req);
  return true;
}

/* ---- the end ---- */

void mp_mysession_note_status(mp_mysession *ses)
{
  unsigned status = 0;
  mariadb_get_infov(ses->line.conn, MARIADB_CONNECTION_SERVER_STATUS, &status);
  ses->base.tx = (status & SERVER_STATUS_IN_TRANS) != 0 ? MP_TX_OPEN : MP_TX_IDLE;
}

static void let_go(mp_mysession *ses, mp_mytask *task)
{
  mp_mystatement *statement = task->statement;
  mp_mymany_end(task);
  task->statement = NULL;
  if (statement != NULL) {
    statement->used = false;
    if (statement->text.cursor && statement->prepared && !task->req->no_cache)
      mp_mycache_keep(&ses->cache, statement);
    if (!statement->cached && mp_list_empty(&statement->text.node))
      mp_mycache_bury(&ses->cache, statement);
  }
  mp_mycolumns_drop(task->texts);
  task->texts = NULL;
  if (task->res != NULL) /* read to its end, or the connection is gone */
    mysql_free_result(task->res);
  task->res = NULL;
}

/* A statement that was killed does not always fail: SLEEP ends early, and is content. */
static bool was_stopped(const mp_mysession *ses, const mp_mytask *task)
{
  const mp_request *req = task->req;
  if (req->stop == MP_OK || !task->stopping)
    return false;
  if (mp_op_streams(req->op) || (task->failed && req->error.code == KILLED) ||
      (!task->failed && task->cut && req->op != MP_OP_MANY))
    return true;
  return !task->failed && ses->asked_n > 0 && task->statement != NULL && task->statement->reads;
}

void mp_mytask_answer(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  mp_request *req = task->req;
  bool stopped = was_stopped(ses, task);
  ses->task = NULL;
  if (task->rows != NULL) {
    mp_result *result = mp_myrows_result(task->rows);
    task->rows = NULL;
    if (task->failed || stopped || mp_op_streams(req->op))
      mp_result_free(result);
    else
      req->result = result;
  }
  if (task->failed || stopped || mp_op_streams(req->op))
    mp_result_free(mp_request_take_result(req));
  if (stopped && req->error.kind != MP_E_CONNECTION_LOST) {
    mp_error_set(&req->error, req->arena, req->stop,
                 req->stop == MP_E_TIMEOUT ? "the statement ran longer than its timeout"
                                           : "the statement was stopped");
    req->error.sent = task->sent;
  }
  let_go(ses, task);
  mp_request_finish(req);
}

static void asked(mp_mysession *ses);

static void ask_status(mp_mysession *ses)
{
  mp_mytext_own(ses, "DO 0", asked);
}

static void asked(mp_mysession *ses)
{
  if (!mp_mycall_failed(ses)) {
    mp_mysession_note_status(ses);
    mp_mytask_answer(ses);
  } else if (mysql_errno(ses->line.conn) == KILLED) {
    ask_status(ses); /* the kill was late: it has hit this, and is spent */
  } else {
    mp_mysession_broken(ses, NULL);
  }
}

void mp_mytask_end(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  bool failed_there = task->sent && task->failed;
  if (failed_there && (ses->base.tx != MP_TX_IDLE || !task->req->own_sql)) {
    ask_status(ses);
    return;
  }
  if (task->sent && !task->failed)
    mp_mysession_note_status(ses);
  mp_mytask_answer(ses);
}

static void answer_task(mp_mysession *ses, const mp_error *why)
{
  mp_mytask *task = ses->task;
  mp_request *req = task->req;
  if (!task->failed || req->error.verdict != MP_DESTROY) {
    task->failed = true;
    mp_error_copy(&req->error, req->arena, why);
    req->error.sent = task->sent;
    req->error.verdict = MP_DESTROY;
  }
  mp_mytask_answer(ses);
}

void mp_mysession_answer_all(mp_mysession *ses, const mp_error *why)
{
  mp_list *node;
  if (ses->task != NULL)
    answer_task(ses, why);
  while ((node = mp_list_pop_front(&ses->cursors)) != NULL) {
    ses->task = mp_container_of(node, mp_mytask, node);
    answer_task(ses, why);
  }
  while ((node = mp_list_pop_front(&ses->waiting)) != NULL) {
    mp_request *req = mp_container_of(node, mp_request, node);
    mp_error_copy(&req->error, req->arena, why);
    req->error.sent = false;
    req->error.verdict = MP_DESTROY;
    mp_request_finish(req);
  }
}

void mp_mysession_lose(mp_mysession *ses, const mp_error *why)
{
  if (ses->base.state >= MP_SES_LOST)
    return;
  ses->base.state = MP_SES_LOST;
  ses->base.tx = MP_TX_UNKNOWN;
  ses->then = NULL;
  mp_error_copy(&ses->base.error, ses->arena, why);
  ses->base.error.verdict = MP_DESTROY;
  mp_mysession_answer_all(ses, &ses->base.error);
}

void mp_mysession_broken(mp_mysession *ses, MYSQL_STMT *stmt)
{
  bool by_statement = stmt != NULL && mysql_stmt_errno(stmt) != 0;
  mp_error error = MP_ERROR_NONE;
  mp_myerror(ses->line.flavour, by_statement ? mysql_stmt_errno(stmt) : mysql_errno(ses->line.conn),
             by_statement ? mysql_stmt_sqlstate(stmt) : mysql_sqlstate(ses->line.conn),
             by_statement ? mysql_stmt_error(stmt) : mysql_error(ses->line.conn), false, ses->arena,
             &error);
  mp_mysession_lose(ses, &error);
}
