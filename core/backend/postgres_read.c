/* postgres_read.c - reading the server's answers, first in, first out. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 200

static bool plan_changed(const mp_request *req)
{
  return req->error.kind == MP_E_PLAN_CHANGED || strcmp(req->error.sqlstate, "26000") == 0;
}

/* A parameter is not of the type that the statement was prepared for: the columns may have another one meanwhile. */
static bool types_changed(const mp_pgtask *task)
{
  static const char *const states[] = {"42804", "42883", "22P02", "22007", "22008"};
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    if (strcmp(task->req->error.sqlstate, states[i]) == 0)
      return !task->prepared && task->req->op == MP_OP_QUERY && !mp_pgtask_by_rows(task);
  }
  return false;
}

static void deliver(mp_pgtask *task)
{
  mp_result *chunk = mp_pgchunk_result(task->chunk);
  task->chunk = NULL;
  mp_pgtask_deliver(task, chunk);
}

/* One row of a result that comes row by row. */
static void take_row(mp_pgsession *ses, mp_pgtask *task, const PGresult *row)
{
  mp_request *req = task->req;
  size_t room_n = mp_op_streams(req->op) && req->chunk_rows > 0 ? req->chunk_rows : CHUNK_ROWS;
  mp_pgcolumns *own = NULL, *columns = task->statement == NULL ? NULL : task->statement->columns;
  if (task->stopping || task->failed) {
    task->cut = true;
    return;
  }
  if (task->chunk == NULL) {
    if (columns == NULL)
      columns = own = mp_pgcolumns_new(row);
    if (columns != NULL)
      task->chunk = mp_pgchunk_new(columns, room_n);
    mp_pgcolumns_drop(own);
  }
  task->row_n++;
  if (task->chunk == NULL) {
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    return;
  }
  size_t cell_bytes;
  if (!mp_pgchunk_add(&task->chunk, row, &cell_bytes)) {
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    return;
  }
  task->byte_n += cell_bytes;
  if (req->max_rows > 0 && task->row_n > req->max_rows)
    mp_pgtask_too_large(ses, task, "max_rows");
  else if (req->max_bytes > 0 && task->byte_n > req->max_bytes)
    mp_pgtask_too_large(ses, task, "max_bytes");
  else if (mp_op_streams(req->op) && mp_pgchunk_rows(task->chunk) >= room_n)
    deliver(task);
}

static int64_t affected(PGresult *result)
{
  const char *status = PQcmdStatus(result);
  if (strncmp(status, "SELECT", 6) == 0)
    return 0; /* rows that were read; CREATE TABLE AS says the same */
  return strtoll(PQcmdTuples(result), NULL, 10);
}

/* The end of a command's rows, or all of them. */
static void take_result(mp_pgtask *task, PGresult *result)
{
  mp_request *req = task->req;
  mp_pgcolumns *columns = task->statement == NULL ? NULL : task->statement->columns;
  req->affected += affected(result);
  if (task->failed || (task->stopping && mp_pgtask_by_rows(task))) {
    task->cut = true;
    PQclear(result);
  } else if (mp_pgtask_by_rows(task)) {
    if (task->chunk != NULL && mp_op_streams(req->op)) {
      PQclear(result);
      deliver(task);
    } else if (task->chunk != NULL) {
      PQclear(result);
      req->result = mp_pgchunk_result(task->chunk);
      task->chunk = NULL;
    } else if (req->op == MP_OP_QUERY) {
      req->result = mp_pgresult_whole(result, columns);
    } else {
      PQclear(result);
    }
  } else if (req->op == MP_OP_QUERY) {
    mp_result_free(mp_request_take_result(req));
    req->result = mp_pgresult_whole(result, columns);
    if (req->result == NULL)
      mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  } else {
    PQclear(result);
  }
}

static void take_description(mp_pgtask *task, const PGresult *result)
{
  if (task->command == 1 && !mp_pgstatement_describe(task->statement, result) && task->req != NULL)
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
}

static void describe_answer(mp_pgtask *task)
{
  mp_request *req = task->req;
  mp_pgcolumns *columns = task->statement->columns;
  req->param_n = task->statement->param_n;
  req->param_types =
      (const uint32_t *)mp_arena_memdup(req->arena, (const char *)task->statement->param_types,
                                        (size_t)req->param_n * sizeof *req->param_types);
  if (columns == NULL)
    return;
  mp_pgchunk *none = mp_pgchunk_new(columns, 1);
  if (none == NULL)
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  else
    req->result = mp_pgchunk_result(none);
}

static void send_again(mp_pgsession *ses, mp_pgtask *task)
{
  mp_pgtask_forget_statement(task);
  task->failed = task->aborted = task->rides = false;
  task->phase = MP_PG_WAITING;
  task->req->error = MP_ERROR_NONE;
  mp_list_remove(&task->node);
  mp_list_push_front(&ses->waiting, &task->node);
}

/* A cancel that is meant for one statement may come when the server is at the next one already. A plain read, which shares the
** connection, did nothing, and is done again; what went ahead inside a transaction has spoiled that. */
static bool was_hit(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  if (!task->failed || req->stop != MP_OK || ses->cancel == MP_PG_QUIET ||
      strcmp(req->error.sqlstate, "57014") != 0)
    return false;
  if (!mp_pgtask_is_shared(task)) {
    mp_error_set(&req->error, req->arena, MP_E_TIMEOUT,
                 "stopped with the statement in front of it, which ran longer than its timeout");
    req->error.sent = true;
    return false;
  }
  send_again(ses, task);
  return true;
}

/* The schema has changed since the statement was prepared. Nothing ran: outside a transaction it is done again. */
static bool runs_again(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  if (!task->failed || task->statement == NULL || (!plan_changed(req) && !types_changed(task)))
    return false;
  mp_pgcache_forget(&ses->cache, task->statement);
  if (task->retried || ses->base.tx != MP_TX_IDLE || req->stop != MP_OK)
    return false;
  task->retried = true;
  send_again(ses, task);
  return true;
}

/* It is over, but for its savepoint. */
static void finish(mp_pgsession *ses, mp_pgtask *task)
{
  if (!mp_pgguard_must_release(ses, task)) {
    mp_pgtask_end(task);
    return;
  }
  task->phase = MP_PG_RELEASING;
  mp_list_remove(
      &task->node); /* a cancel that is still under way must not hit that: it is sent when all is quiet */
  mp_list_push_front(&ses->waiting, &task->node);
}

static void guard_ended(mp_pgsession *ses, mp_pgtask *task)
{
  if (task->failed || task->stopping) {
    finish(ses, task);
    return;
  }
  task->phase = MP_PG_WAITING;
  if (!mp_pgsession_start(ses, task))
    mp_pgsession_lose(ses);
  else if (task->phase == MP_PG_WAITING)
    finish(ses, task); /* it could not be sent */
}

/* One that rides has been answered, its Sync comes later. */
static void ridden(mp_pgsession *ses, mp_pgtask *task)
{
  if (task->req == NULL)
    mp_pgtask_end(task);
  else if (task->aborted && !task->failed)
    send_again(ses, task);
  else if (!was_hit(ses, task) && !runs_again(ses, task))
    mp_pgtask_end(task);
}

/* Its Sync has come. */
static void phase_ended(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  if (req == NULL) {
    if (task->phase == MP_PG_PREPARING && task->statement->param_types != NULL)
      mp_pgcache_keep(&ses->cache, task->statement);
    mp_pgtask_end(task);
    return;
  }
  if (task->phase == MP_PG_GUARDING) {
    guard_ended(ses, task);
    return;
  }
  if (task->aborted && !task->failed) {
    send_again(ses, task);
    return;
  }
  if (was_hit(ses, task) || runs_again(ses, task))
    return;
  if (task->phase == MP_PG_PREPARING && !task->failed) {
    mp_pgcache_keep(&ses->cache, task->statement);
    if (req->op == MP_OP_PREPARE) {
      describe_answer(task);
      if (ses->base.tx == MP_TX_OPEN) {
        ses->described = task->statement;
        ses->described->user_n++;
      }
    } else if (task->stopping) {
      mp_pgtask_fail(task, req->stop, "stopped before it was run");
    } else {
      if (!mp_pgsession_run(ses, task))
        mp_pgsession_lose(ses);
      else if (task->phase == MP_PG_PREPARING)
        finish(ses, task); /* it could not be sent, or is MANY with no rows */
      return;
    }
  } else if (req->op == MP_OP_MANY && !task->failed && task->row_to < req->param_rows) {
    task->row_from = task->row_to;
    if (task->stopping)
      mp_pgtask_fail(task, req->stop, "stopped between two rows");
    else if (!mp_pgsession_run(ses, task))
      mp_pgsession_lose(ses);
    else if (!task->failed)
      return;
    if (ses->base.state != MP_SES_READY)
      return;
  } else if (req->op == MP_OP_LISTEN && !task->failed && !task->stopping) {
    mp_pglisten_began(task);
    return;
  } else if (req->op == MP_OP_RESET && !task->failed) {
    mp_pgcache_clear(&ses->cache);
    ses->base.tainted = false;
  }
  finish(ses, task);
}

void mp_pgsession_note_status(mp_pgsession *ses)
{
  switch (PQtransactionStatus(ses->conn)) {
  case PQTRANS_IDLE:
    ses->base.tx = MP_TX_IDLE;
    break;
  case PQTRANS_INTRANS:
    ses->base.tx = MP_TX_OPEN;
    break;
  case PQTRANS_INERROR:
    ses->base.tx = MP_TX_ABORTED;
    break;
  case PQTRANS_ACTIVE:
    break; /* others are in flight: statements that share a connection leave no transaction */
  case PQTRANS_UNKNOWN:
    ses->base.tx = MP_TX_UNKNOWN;
    break;
  }
  ses->server_tx = ses->base.tx;
  if (ses->kept_n > 0)
    ses->base.tx = MP_TX_OPEN;
}

static void take(mp_pgsession *ses, mp_pgtask *task, PGresult *result)
{
  switch (PQresultStatus(result)) {
  case PGRES_PIPELINE_SYNC:
    PQclear(result);
    ses->sync_n--;
    mp_pgsession_note_status(ses);
    phase_ended(ses, task);
    return;
  case PGRES_SINGLE_TUPLE:
    take_row(ses, task, result);
    PQclear(result);
    return;
  case PGRES_EMPTY_QUERY:
    if (task->req != NULL && task->req->op != MP_OP_PING)
      mp_pgtask_fail(task, MP_E_SYNTAX, "there is no statement in this text");
    PQclear(result);
    return;
  case PGRES_COMMAND_OK:
  case PGRES_TUPLES_OK:
    if (task->skip > 0) {
      PQclear(result);
      return;
    }
    if (task->req != NULL && task->phase == MP_PG_RUNNING) {
      take_result(task, result);
      return;
    }
    if (task->phase == MP_PG_PREPARING)
      take_description(task, result);
    PQclear(result);
    return;
  case PGRES_PIPELINE_ABORTED:
    task->aborted = true;
    PQclear(result);
    return;
  case PGRES_COPY_IN:
  case PGRES_COPY_OUT:
  case PGRES_COPY_BOTH:
    PQclear(result);
    if (task->req != NULL)
      mp_pgtask_fail(task, MP_E_PROTOCOL, "the server began a COPY");
    mp_pgsession_lose(ses);
    return;
  default:
    mp_pgtask_note_error(task, result);
    PQclear(result);
    if (task->skip > 0 && (task->req == NULL || strcmp(task->req->error.sqlstate, "26000") == 0))
      mp_pgsession_lose(ses); /* a BEGIN or SAVEPOINT that somebody takes for done */
    return;
  }
}

void mp_pgsession_read(mp_pgsession *ses)
{
  while (ses->base.state == MP_SES_READY) {
    mp_pgtask *task = mp_pgsession_head(ses);
    PGresult *result;
    if (task == NULL || task->standing || task->listening)
      return;
    if (task->copy != MP_PG_NO_COPY) {
      if (!mp_pgcopy_read(ses, task))
        return;
      continue;
    }
    if (PQisBusy(ses->conn)) {
      /* what has come is more welcome now than when the chunk is full */
      if (task->req != NULL && mp_op_streams(task->req->op) && task->chunk != NULL &&
          !task->stopping)
        deliver(task);
      return;
    }
    if (PQstatus(ses->conn) == CONNECTION_BAD) {
      mp_pgsession_lose(ses);
      return;
    }
    result = PQgetResult(ses->conn);
    if (result == NULL && task->skip > 0)
      task->skip--;
    else if (result == NULL && task->rides && task->phase == MP_PG_RUNNING)
      ridden(ses, task);
    else if (result == NULL)
      task->command++;
    else
      take(ses, task, result);
  }
}
