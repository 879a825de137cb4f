/* postgres_send.c - sending requests to the server.
** A statement that is new to the session is described first, because its parameters are sent in the types that the server
** says; then, and every other time, it goes in one round trip. Each thing sent has a Sync of its own, so that it fails
** alone; only plain reads that share the connection and are sent at once ride under one Sync, which saves the server most of its work
** for them: where one fails, those behind it did not run and are sent again. Streams and limited results come row by row and have the connection to themselves. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define PARAMS_MAX 65535 /* the protocol counts them in 16 bits */
#define BATCH_ROWS 500   /* of MANY, before the server's answers are read */
#define SYNCS_MAX 16     /* in flight */
#define RIDERS_MAX                                                                                 \
  16 /* under one Sync: the first answers are read while the server is at the next */

static bool pooled(const mp_pgsession *ses)
{
  return ses->base.config->pooler;
}

bool mp_pgsession_send_sync(mp_pgsession *ses)
{
  ses->sync_n++;
  return PQpipelineSync(ses->conn) == 1;
}

bool mp_pgsession_send_plain(mp_pgsession *ses, const char *sql)
{
  return PQsendQueryParams(ses->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

/* A task of our own. NULL: out of memory. */
static mp_pgtask *own_task(mp_pgsession *ses)
{
  mp_pgtask *task = calloc(1, sizeof *task);
  if (task == NULL)
    return NULL;
  task->phase = MP_PG_RUNNING;
  mp_list_push_back(&ses->sent, &task->node);
  return task;
}

static bool send_own(mp_pgsession *ses, const char *sql)
{
  return own_task(ses) != NULL && mp_pgsession_send_plain(ses, sql) && mp_pgsession_send_sync(ses);
}

/* What is kept back goes by itself, before a task that has to be alone on the connection. */
static bool send_kept_alone(mp_pgsession *ses)
{
  mp_pgtask *task = own_task(ses);
  return task != NULL && mp_pgtx_send_kept(ses, task) && mp_pgsession_send_sync(ses);
}

/* The task failed before it could be sent, what was kept back is under way already. */
static bool send_sync_for_kept(mp_pgsession *ses, const mp_pgtask *task)
{
  mp_pgtask *instead = own_task(ses);
  if (instead == NULL)
    return false;
  instead->skip = task->skip;
  return mp_pgsession_send_sync(ses);
}

bool mp_pgsession_barrier(mp_pgsession *ses)
{
  if (send_own(ses, ""))
    return true;
  mp_pgsession_lose(ses);
  return false;
}

/* Tell the server which statements are used no more; in a failed transaction it would not listen. */
static bool send_burials(mp_pgsession *ses)
{
  unsigned number;
  while (ses->base.tx != MP_TX_ABORTED && (number = mp_pgcache_bury(&ses->cache)) != 0) {
    char name[16], sql[40];
    mp_pgstatement_name(number, name);
    snprintf(sql, sizeof sql, "DEALLOCATE %s", name);
    if (!send_own(ses, sql))
      return false;
  }
  return true;
}

bool mp_pgsession_sync(mp_pgsession *ses)
{
  if (!ses->riding)
    return true;
  ses->riding = false;
  ses->rider_n = 0;
  mp_container_of(ses->sent.prev, mp_pgtask, node)->rides = false;
  return mp_pgsession_send_sync(ses);
}

static bool may_ride(const mp_pgsession *ses, const mp_pgtask *task)
{
  return ses->base.tx == MP_TX_IDLE && task->skip == 0 && mp_pgtask_is_shared(task) &&
         !mp_pgtask_is_alone(task);
}

static bool send_prepare(mp_pgsession *ses, mp_pgtask *task)
{
  const char *name = task->statement->name;
  if (!mp_pgsession_sync(ses))
    return false;
  task->phase = MP_PG_PREPARING;
  task->prepared = true;
  task->command = 0;
  return PQsendPrepare(ses->conn, name, task->statement->text.s, 0, NULL) == 1 &&
         PQsendDescribePrepared(ses->conn, name) == 1 && mp_pgsession_send_sync(ses);
}

bool mp_pgsession_prepare(mp_pgsession *ses, mp_pgstatement *statement)
{
  mp_pgtask *task = own_task(ses);
  statement->user_n++;
  if (task == NULL) {
    mp_pgstatement_release(statement);
    return false;
  }
  task->statement = statement;
  return send_prepare(ses, task);
}

/* One execution, with the parameters of that row. False: *broken, or the task has failed. */
static bool send_row(mp_pgsession *ses, mp_pgtask *task, size_t row, bool *broken)
{
  mp_request *req = task->req;
  const mp_pgstatement *statement = task->statement;
  int n = req->param_n, sent;
  const char **values = mp_arena_alloc(req->arena, ((size_t)n + 1) * sizeof *values);
  int *lengths = mp_arena_alloc(req->arena, ((size_t)n + 1) * 2 * sizeof *lengths);
  int *formats = lengths == NULL ? NULL : lengths + n;
  if (values == NULL || lengths == NULL) {
    mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    return false;
  }
  for (int i = 0; i < n; i++) {
    mp_pgparam param = {0};
    uint32_t type = statement == NULL ? 0 : statement->param_types[i];
    if (!mp_pgtype_param(type, &req->params[row * (size_t)n + (size_t)i], req->arena, &param,
                         &req->error)) {
      mp_error why = req->error;
      task->failed = true;
      mp_error_set(&req->error, req->arena, why.kind, "parameter %d: %s", i + 1, why.message);
      if (req->op == MP_OP_MANY)
        req->error.row = req->rows_before + row + 1;
      return false;
    }
    values[i] = param.data;
    lengths[i] = param.len;
    formats[i] = param.format;
  }
  if (statement == NULL) {
    sent = PQsendQueryParams(ses->conn, req->sql, n, NULL, values, lengths, formats, 0);
  } else {
    sent = PQsendQueryPrepared(ses->conn, statement->name, n, values, lengths, formats,
                               statement->columns == NULL || statement->columns->binary);
  }
  *broken = sent != 1;
  return sent == 1;
}

bool mp_pgsession_run(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  bool broken = false;
  size_t left = req->op == MP_OP_MANY ? req->param_rows - task->row_from : 1;
  task->command = 0;
  if (task->statement != NULL && task->statement->param_n != req->param_n) {
    char text[80];
    snprintf(text, sizeof text, "the statement has %d parameters, and %d were given",
             task->statement->param_n, req->param_n);
    mp_pgtask_fail(task, MP_E_BAD_PARAMETERS, text);
    return true;
  }
  if (!may_ride(ses, task) && !mp_pgsession_sync(ses))
    return false;
  if (req->op == MP_OP_COPY_OUT) {
    bool started, sent = mp_pgcopy_out_start(ses, task, &started);
    if (started)
      return sent;
  }
  task->row_to = task->row_from + (left > BATCH_ROWS ? BATCH_ROWS : left);
  for (size_t row = task->row_from; row < task->row_to; row++) {
    if (send_row(ses, task, row, &broken))
      continue;
    if (broken)
      return false;
    if (row == task->row_from)
      return true; /* nothing was sent */
    break;         /* what was sent before it is undone with the transaction around it */
  }
  if (left == 0)
    return true;
  task->phase = MP_PG_RUNNING;
  if (mp_pgtask_by_rows(task) && PQsetSingleRowMode(ses->conn) != 1)
    mp_pgtask_fail(task, MP_E_INTERNAL, "libpq refused the single-row mode");
  if (may_ride(ses, task)) {
    task->rides = ses->riding = true;
    return ++ses->rider_n < RIDERS_MAX || mp_pgsession_sync(ses);
  }
  return mp_pgsession_send_sync(ses);
}

static bool find_statement(mp_pgsession *ses, mp_pgtask *task)
{
  const mp_request *req = task->req;
  bool unnamed = req->no_cache || ses->cache.max == 0 || req->op == MP_OP_PREPARE;
  if (!unnamed)
    task->statement = mp_pgcache_find(&ses->cache, req);
  if (task->statement == NULL) {
    task->statement = mp_pgstatement_new(&ses->cache, req, unnamed);
    if (task->statement == NULL) {
      mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
      return false;
    }
    task->statement->taints = !req->own_sql && mp_pgsql_taints(req->sql);
  }
  ses->base.tainted = ses->base.tainted || (task->statement->taints && req->op != MP_OP_PREPARE);
  return true;
}

bool mp_pgsession_start(mp_pgsession *ses, mp_pgtask *task)
{
  mp_request *req = task->req;
  if (req->param_n > PARAMS_MAX) {
    char text[100];
    snprintf(text, sizeof text, "a statement takes at most %d parameters, and %d were given",
             PARAMS_MAX, req->param_n);
    mp_pgtask_fail(task, MP_E_QUERY_TOO_LARGE, text);
    return true;
  }
  if (!req->own_sql && mp_pgsql_copies(req->sql)) {
    mp_pgtask_fail(
        task, MP_E_UNSUPPORTED,
        "COPY from and to the client is not a statement: use db:copy_in and db:copy_out");
    return true;
  }
  if (pooled(ses) && req->op != MP_OP_PREPARE) {
    ses->base.tainted = ses->base.tainted || (!req->own_sql && mp_pgsql_taints(req->sql));
    return mp_pgsession_run(ses, task);
  }
  if (!find_statement(ses, task))
    return true;
  if (task->statement->param_types == NULL)
    return send_prepare(ses, task);
  if (!mp_pgsession_run(ses, task))
    return false;
  if (!task->failed || task->phase != MP_PG_WAITING || ses->base.tx != MP_TX_IDLE)
    return true;
  /* A parameter does not fit the types that the statement was prepared for, which may have changed. */
  mp_pgcache_forget(&ses->cache, task->statement);
  mp_pgtask_forget_statement(task);
  task->failed = false;
  req->error = MP_ERROR_NONE;
  return mp_pgsession_start(ses, task);
}

/* False: the connection is broken. A task that failed before anything was sent stays WAITING. */
static bool send_task(mp_pgsession *ses, mp_pgtask *task)
{
  const char *sql = NULL;
  if (task->req->op != MP_OP_QUERY && !mp_pgsession_sync(ses))
    return false;
  if (task->phase == MP_PG_RELEASING)
    return mp_pgguard_release(ses);
  if (mp_pgguard_wants(ses, task))
    return mp_pgguard_begin(ses, task);
  switch (task->req->op) {
  case MP_OP_PING:
    sql = "";
    break;
  case MP_OP_RESET:
    sql = "DISCARD ALL";
    break;
  case MP_OP_TX:
    sql = task->req->sql;
    break;
  case MP_OP_COPY_IN:
    return mp_pgcopy_start(ses, task);
  case MP_OP_LISTEN:
    return mp_pglisten_start(ses, task);
  default:
    return mp_pgsession_start(ses, task);
  }
  task->phase = MP_PG_RUNNING;
  return (task->req->op == MP_OP_TX ? mp_pgtx_send(ses, sql) : mp_pgsession_send_plain(ses, sql)) &&
         mp_pgsession_send_sync(ses);
}

/* More of it is to be sent once the server has answered. */
static bool goes_on(const mp_pgtask *task)
{
  if (task->req == NULL || task->req->op != MP_OP_MANY)
    return task->phase == MP_PG_PREPARING;
  return task->phase != MP_PG_RUNNING || task->failed || task->row_to < task->req->param_rows;
}

static bool must_wait(const mp_pgsession *ses, const mp_pgtask *task)
{
  const mp_pgtask *last;
  if (mp_list_empty(&ses->sent))
    return false;
  last = mp_container_of(ses->sent.prev, mp_pgtask, node);
  return ses->sync_n >= SYNCS_MAX || mp_pgtask_is_alone(task) || mp_pgtask_is_alone(last) ||
         goes_on(last);
}

/* It waits behind others that share the connection: whoever stopped it need not. What comes for it is thrown away. */
static void orphan(mp_pgtask *task)
{
  const uint64_t patience_ns = (uint64_t)20 * 1000 * 1000;
  mp_pgtask *ghost = calloc(1, sizeof *ghost);
  if (ghost == NULL)
    return; /* it ends when its answer comes */
  ghost->phase = task->phase;
  ghost->statement = task->statement;
  ghost->command = task->command;
  ghost->skip = task->skip;
  ghost->rides = task->rides;
  ghost->stopping =
      true; /* it is fast, and nobody is in a hurry: only when it is not, it is cancelled */
  ghost->patience_ns = uv_hrtime() + patience_ns;
  task->statement = NULL;
  mp_list_push_front(&task->node, &ghost->node); /* behind it, where it was */
  mp_pgtask_fail(task, task->req->stop, "stopped behind other statements of its connection");
  mp_pgtask_end(task);
}

static bool may_orphan(const mp_pgtask *task)
{
  return mp_pgtask_is_shared(task) && task->stopping && !task->failed;
}

/* Those that were stopped before the server has come to them. */
static void end_stopped(mp_pgsession *ses)
{
  mp_pgtask *head = mp_pgsession_head(ses);
  for (mp_list *node = ses->sent.next; node != &ses->sent; node = node->next) {
    mp_pgtask *task = mp_container_of(node, mp_pgtask, node);
    if (task == head && task->listening && task->stopping) {
      mp_pgtask_fail(task, task->req->stop, "stopped while it listened");
      mp_pgtask_end(task);
      node = &ses->sent;
      continue;
    }
    if (task == head || !may_orphan(task))
      continue;
    orphan(task);
    node = &ses->sent; /* the answer may have changed everything: once more */
  }
  for (mp_list *node = ses->waiting.next; node != &ses->waiting; node = node->next) {
    mp_pgtask *task = mp_container_of(node, mp_pgtask, node);
    if (!task->stopping || task->phase == MP_PG_RELEASING)
      continue;
    mp_pgtask_fail(task, task->req->stop, "stopped before it was sent");
    mp_pgtask_end(task);
    node = &ses->waiting; /* the answer may have changed everything: once more */
  }
}

void mp_pgsession_forget_described(mp_pgsession *ses)
{
  if (ses->described != NULL)
    mp_pgstatement_release(ses->described);
  ses->described = NULL;
}

/* The first one that waits. False: the connection is broken. */
static bool send_first(mp_pgsession *ses, mp_pgtask *task)
{
  mp_pgtxanswer answer = MP_PG_TX_SEND;
  if (task->req->op != MP_OP_COPY_IN)
    mp_pgsession_forget_described(ses);
  if (task->req->op == MP_OP_TX)
    answer = mp_pgtx_keep(ses, task->req->tx_op, task->req->sql);
  if (answer == MP_PG_TX_LOST)
    return false;
  if (answer == MP_PG_TX_KEPT) {
    mp_pgtask_end(task);
    return true;
  }
  if (!mp_pgtx_prepare(ses))
    return false;
  mp_list_remove(&task->node);
  mp_list_push_back(&ses->sent, &task->node);
  if (!mp_pgtx_send_kept(ses, task) || !send_task(ses, task))
    return false;
  if (task->phase != MP_PG_WAITING)
    return true;
  /* failed, or there was nothing to send */
  if (task->skip > 0 && !send_sync_for_kept(ses, task))
    return false;
  mp_pgtask_end(task);
  return true;
}

static void feed(mp_pgsession *ses)
{
  end_stopped(ses);
  while (ses->base.state == MP_SES_READY && mp_pgsession_calm(ses) &&
         !mp_list_empty(&ses->waiting)) {
    mp_pgtask *task = mp_container_of(ses->waiting.next, mp_pgtask, node);
    if (must_wait(ses, task))
      return;
    if (!send_burials(ses)) {
      mp_pgsession_lose(ses);
      return;
    }
    if (must_wait(ses, task))
      return;
    if (ses->kept_n > 0 && mp_pgtask_is_alone(task)) {
      if (!send_kept_alone(ses))
        mp_pgsession_lose(ses);
      return;
    }
    if (!send_first(ses, task)) {
      mp_pgsession_lose(ses);
      return;
    }
  }
}

void mp_pgsession_feed(mp_pgsession *ses)
{
  feed(ses);
  if (ses->base.state == MP_SES_READY && !mp_pgsession_sync(ses))
    mp_pgsession_lose(ses);
}
