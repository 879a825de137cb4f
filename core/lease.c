/* lease.c - a connection held by one task, and its transaction.
** Requests go to the connection one after the other, because what may be sent depends on how the one before ended:
** each outcome goes through tx.h. Where a file has a single writer, a write waits here for the gate.
** Nothing touches the lease after the last request has been answered. */
#include "lease.h"

#include <assert.h>
#include <string.h>

static void pump(mp_lease *lease);

/* ---- answering without sending ---- */

static void drop(mp_lease *lease, mp_request *req)
{
  mp_list_remove(&req->holder_node);
  mp_list_push_back(&lease->dropped, &req->holder_node);
  mp_loop_defer(lease->loop, &lease->later);
}

static void answer_dropped(mp_later *later)
{
  mp_lease *lease = mp_container_of(later, mp_lease, later);
  size_t n = 0;
  for (mp_list *node = lease->dropped.next; node != &lease->dropped; node = node->next)
    n++;
  while (n-- > 0) { /* after the last one the lease may be gone */
    mp_request *req = mp_container_of(mp_list_pop_front(&lease->dropped), mp_request, holder_node);
    mp_request_finish(req);
  }
}

static void refuse(mp_lease *lease, mp_request *req, mp_status kind, const char *message)
{
  mp_error_set(&req->error, req->arena, kind, "%s", message);
  drop(lease, req);
}

static void explain(const mp_lease *lease, mp_request *req, mp_status kind)
{
  bool sent = req->error.sent || req->started_ns != 0;
  mp_tx_explain(&lease->tx, kind, req->arena, &req->error);
  req->error.sent = sent;
}

/* ---- sending ---- */

static bool inside(const mp_lease *lease)
{
  return lease->hold.has_gate || lease->pass.inside;
}

/* True: the request has to wait for the gate. */
static bool wait_for_gate(mp_lease *lease, const mp_request *req)
{
  if (inside(lease) || !mp_pool_has_gate(lease->hold.pool))
    return false;
  lease->at_gate = true;
  lease->pass.deadline_ns = req->deadline_ns;
  mp_pool_enter_gate(&lease->hold, &lease->pass);
  return true;
}

static void give(mp_lease *lease, mp_request *req)
{
  mp_list_remove(&req->holder_node);
  mp_list_push_back(&lease->running, &req->holder_node);
  mp_connection_submit(lease->hold.conn, req);
}

static bool set_sql(mp_request *req, const char *sql)
{
  req->sql = mp_arena_strdup(req->arena, sql);
  req->sql_len = strlen(sql);
  req->sql_hash = mp_sql_hash(sql, req->sql_len);
  return req->sql != NULL;
}

bool mp_lease_loss_untold(const mp_lease *lease)
{
  return !lease->over && !lease->loss_told && lease->hold.state == MP_HOLD_OVER &&
         lease->hold.error.kind == MP_E_CONNECTION_LOST;
}

/* The connection was lost while nothing ran on it: who comes next hears of that, once. */
static bool tell_loss(mp_lease *lease, mp_request *req)
{
  if (!mp_lease_loss_untold(lease))
    return false;
  lease->loss_told = true;
  mp_error_copy(&req->error, req->arena, &lease->hold.error);
  req->error.sent = false;
  drop(lease, req);
  return true;
}

static void send_tx(mp_lease *lease, mp_request *req)
{
  const mp_config *config;
  const mp_txoptions *options = req->tx_options;
  bool writes = options == NULL || !options->read_only, sent_by_backend;
  char sql[MP_TX_SQL_MAX];
  mp_status kind = mp_tx_step(&lease->tx, req->tx_op, options, sql, &sent_by_backend);
  if (kind == MP_E_CONNECTION_LOST && tell_loss(lease, req))
    return;
  if (kind != MP_OK) {
    explain(lease, req, kind);
    drop(lease, req);
    return;
  }
  if (sql[0] == '\0' && !sent_by_backend) {
    mp_tx_outcome(&lease->tx, req->tx_op, MP_OK, MP_TX_IDLE);
    drop(lease, req);
    return;
  }
  if (lease->hold.state != MP_HOLD_HELD) {
    if (!tell_loss(lease, req))
      refuse(lease, req, MP_E_STALE_HANDLE, "the connection is gone");
    return;
  }
  config = mp_pool_config(lease->hold.pool);
  if (sent_by_backend) {
    if (writes && wait_for_gate(lease, req))
      return;
    if (!config->backend->begin_sql(config, &lease->tx.options, writes, sql, &req->error)) {
      mp_error_copy(&req->error, req->arena, &req->error);
      drop(lease, req);
      return;
    }
  }
  req->no_cache =
      lease->tx.name_next > 8; /* names that never come again would fill the statement cache */
  req->access = writes ? MP_ACCESS_WRITE : MP_ACCESS_READ;
  if (set_sql(req, sql))
    give(lease, req);
  else
    refuse(lease, req, MP_E_OUT_OF_MEMORY, "out of memory");
}

static bool stream_in_the_way(const mp_lease *lease)
{
  const mp_backend *backend = mp_pool_config(lease->hold.pool)->backend;
  if ((backend->caps & MP_CAP_INTERLEAVE) != 0)
    return false;
  for (mp_list *node = lease->running.next; node != &lease->running; node = node->next) {
    const mp_request *req = mp_container_of(node, mp_request, holder_node);
    if (mp_op_streams(req->op) && !req->cursor)
      return true;
  }
  return false;
}

static void send_statement(mp_lease *lease, mp_request *req)
{
  mp_status kind;
  if (tell_loss(lease, req))
    return;
  kind = mp_tx_may_send(&lease->tx);
  if (kind != MP_OK) {
    explain(lease, req, kind);
    drop(lease, req);
    return;
  }
  if (lease->hold.state != MP_HOLD_HELD) {
    mp_error_set(&req->error, req->arena, MP_E_STALE_HANDLE, "the connection is gone (%s)",
                 lease->hold.error.message != NULL ? lease->hold.error.message : "released");
    drop(lease, req);
    return;
  }
  if (lease->tx.state == MP_TXS_NONE) {
    if (req->access == MP_ACCESS_UNKNOWN && (inside(lease) || !mp_pool_has_gate(lease->hold.pool)))
      req->access = MP_ACCESS_WRITE; /* nobody to make way for */
    if (req->access == MP_ACCESS_WRITE && wait_for_gate(lease, req))
      return;
  }
  give(lease, req);
}

/* Must it be known first how those that run have ended? Not where all of them may go ahead of each other's answers, inside a
** transaction, which none of them ends: the server runs nothing behind one that has failed. */
static bool must_wait(const mp_lease *lease, const mp_request *req)
{
  bool ahead = req->ahead && lease->tx.state == MP_TXS_OPEN && mp_pool_pipelines(lease->hold.pool);
  for (mp_list *node = lease->running.next; node != &lease->running; node = node->next) {
    const mp_request *other = mp_container_of(node, mp_request, holder_node);
    if (!mp_op_streams(other->op) && !(ahead && other->ahead))
      return true;
  }
  return false;
}

static void pump(mp_lease *lease)
{
  while (!mp_list_empty(&lease->waiting) && lease->hold.state != MP_HOLD_WAITING &&
         !lease->at_gate && lease->chore == NULL) {
    mp_request *req = mp_container_of(lease->waiting.next, mp_request, holder_node);
    if (!lease->over && must_wait(lease, req))
      return;
    if (lease->over)
      refuse(lease, req, MP_E_STALE_HANDLE, "the connection was given back");
    else if (lease->hold.state == MP_HOLD_HELD && stream_in_the_way(lease))
      refuse(lease, req, MP_E_CONCURRENCY,
             "a stream is still open on this connection: read it to its end or close it first");
    else if (req->op == MP_OP_TX)
      send_tx(lease, req);
    else
      send_statement(lease, req);
  }
}

static void gate_entered(mp_gatepass *pass, mp_status status)
{
  mp_lease *lease = mp_container_of(pass, mp_lease, pass);
  lease->at_gate = false;
  if (status != MP_OK) {
    mp_request *req = mp_container_of(lease->waiting.next, mp_request, holder_node);
    mp_error_set(&req->error, req->arena, status,
                 "another writer of this database was at work for too long");
    req->error.retryable = mp_tx_retryable(status);
    drop(lease, req);
  }
  pump(lease);
}

/* ---- outcomes ---- */

static void chore_done(mp_request *req)
{
  mp_lease *lease = req->owner;
  mp_status kind = req->error.kind;
  mp_txstatus engine;
  mp_request_free(req);
  if (lease == NULL)
    return; /* released meanwhile: the pool looks after the connection */
  lease->chore = NULL;
  engine =
      lease->hold.state == MP_HOLD_HELD ? mp_connection_txstatus(lease->hold.conn) : MP_TX_UNKNOWN;
  if (mp_tx_outcome(&lease->tx, MP_TXO_ROLLBACK, kind, engine) != MP_OK)
    lease->destroy = true;
  else if (lease->pass.inside)
    mp_pool_leave_gate(&lease->pass);
  pump(lease);
}

/* A COMMIT or BEGIN failed and left a transaction open. */
static void roll_back(mp_lease *lease)
{
  mp_request *req;
  char sql[MP_TX_SQL_MAX];
  bool sent_by_backend;
  if (lease->hold.state != MP_HOLD_HELD || mp_request_new(&req) != MP_OK) {
    lease->destroy = true;
    return;
  }
  mp_tx_step(&lease->tx, MP_TXO_ROLLBACK, NULL, sql, &sent_by_backend);
  req->op = MP_OP_TX;
  req->tx_op = MP_TXO_ROLLBACK;
  req->access = MP_ACCESS_WRITE;
  req->owner = lease;
  req->on_done = chore_done;
  if (!set_sql(req, sql)) {
    mp_request_free(req);
    lease->destroy = true;
    return;
  }
  lease->chore = req;
  mp_connection_submit(lease->hold.conn, req);
}

static mp_txstatus engine_says(const mp_lease *lease, const mp_request *req)
{
  bool ends = req->op == MP_OP_TX && (req->tx_op == MP_TXO_COMMIT || req->tx_op == MP_TXO_ROLLBACK);
  mp_txstatus engine = MP_TX_UNKNOWN;
  if (lease->hold.state == MP_HOLD_HELD)
    engine = mp_connection_txstatus(lease->hold.conn);
  if (engine != MP_TX_UNKNOWN || !ends)
    return engine;
  /* The connection is gone, but the answer is known; or it was never sent, and the server rolls back. */
  if (req->error.kind == MP_OK || (req->tx_op == MP_TXO_COMMIT && !req->error.sent))
    return MP_TX_IDLE;
  return engine;
}

static void tell(const mp_lease *lease, mp_request *req, mp_status told)
{
  if (told == MP_OK)
    req->error = MP_ERROR_NONE;
  else if (told != req->error.kind)
    explain(lease, req, told);
}

/* False: another statement of the same request is on its way. */
static bool tx_ended(mp_lease *lease, mp_request *req)
{
  mp_status kind = req->error.kind;
  char sql[MP_TX_SQL_MAX];
  if (kind == MP_OK && !lease->following && lease->hold.state == MP_HOLD_HELD &&
      mp_tx_follow(&lease->tx, req->tx_op, sql) && set_sql(req, sql)) {
    lease->following = true;
    mp_request_move(req, MP_REQ_QUEUED);
    mp_connection_submit(lease->hold.conn, req);
    return false;
  }
  lease->following = false;
  if (kind == MP_OK && req->tx_op == MP_TXO_BEGIN && req->stop != MP_OK) {
    /* it had begun before it could be stopped, and whoever stopped it will never end it */
    kind = req->stop;
    mp_error_set(&req->error, req->arena, kind, "stopped while the transaction began");
  }
  tell(lease, req, mp_tx_outcome(&lease->tx, req->tx_op, kind, engine_says(lease, req)));
  if (lease->tx.state == MP_TXS_FAILED &&
      (req->tx_op == MP_TXO_BEGIN || req->tx_op == MP_TXO_COMMIT))
    roll_back(lease);
  return true;
}

/* What it did will not be heard of: what it wrote cannot be kept. False: it did nothing of that kind. */
static bool spoils(const mp_request *req)
{
  return req->error.kind == MP_OK && req->op != MP_OP_TX && !mp_op_streams(req->op) &&
         req->access != MP_ACCESS_READ;
}

static void statement_ended(mp_lease *lease, mp_request *req)
{
  mp_txstatus engine = engine_says(lease, req);
  if (lease->tx.state == MP_TXS_NONE)
    return;
  if (req->started_ns == 0 && engine != MP_TX_UNKNOWN)
    return; /* stopped before it was sent */
  if (mp_op_streams(req->op) && req->stop == MP_E_CANCELLED && engine == MP_TX_OPEN)
    return;                                         /* its reader has left: no harm was done */
  if (req->stop == MP_E_CANCELLED && spoils(req)) { /* it was faster than the cancel */
    mp_tx_after_statement(&lease->tx, MP_E_CANCELLED, engine);
    return;
  }
  tell(lease, req, mp_tx_after_statement(&lease->tx, req->error.kind, engine));
}

/* Back to the front of the queue, and through the gate. */
static bool runs_again(mp_lease *lease, mp_request *req)
{
  if (!req->needs_writer || req->stop != MP_OK || req->access == MP_ACCESS_WRITE)
    return false;
  req->needs_writer = false;
  req->access = MP_ACCESS_WRITE;
  req->error = MP_ERROR_NONE;
  mp_result_free(mp_request_take_result(req));
  mp_request_move(req, MP_REQ_QUEUED);
  mp_list_push_front(&lease->waiting, &req->holder_node);
  pump(lease);
  return true;
}

static void leave_gate(mp_lease *lease)
{
  if (!lease->pass.inside || lease->tx.state != MP_TXS_NONE || lease->chore != NULL)
    return;
  if (lease->at_gate)
    return; /* it is for the next request, which has not heard yet that it is inside */
  for (mp_list *node = lease->running.next; node != &lease->running; node = node->next)
    if (mp_container_of(node, mp_request, holder_node)->access == MP_ACCESS_WRITE)
      return; /* a stream that writes */
  if (lease->hold.state == MP_HOLD_HELD && mp_connection_txstatus(lease->hold.conn) != MP_TX_IDLE)
    return; /* somebody has begun a transaction by hand */
  mp_pool_leave_gate(&lease->pass);
}

static bool request_ended(mp_request *req)
{
  mp_lease *lease = req->holder;
  bool was_sent = !mp_list_empty(&req->holder_node);
  if (!was_sent)
    return true; /* it was dropped */
  if (req->error.verdict == MP_DESTROY)
    lease->destroy = true;
  if (req->error.kind == MP_E_CONNECTION_LOST || req->error.kind == MP_E_COMMIT_UNKNOWN)
    lease->loss_told = true;
  if (lease->over) {
    mp_list_remove(&req->holder_node);
    if (req->needs_writer)
      mp_error_set(&req->error, req->arena, MP_E_CANCELLED, "the connection was given back");
    return true;
  }
  if (req->op == MP_OP_TX && !tx_ended(lease, req))
    return false;
  mp_list_remove(&req->holder_node);
  if (req->op != MP_OP_TX) {
    if (runs_again(lease, req))
      return false;
    if (req->needs_writer && req->stop != MP_OK)
      mp_error_set(&req->error, req->arena, req->stop, "stopped before it had written anything");
    statement_ended(lease, req);
  }
  leave_gate(lease);
  pump(lease);
  return true;
}

/* ---- what the pool tells ---- */

static void hold_ready(mp_hold *hold)
{
  mp_lease *lease = mp_container_of(hold, mp_lease, hold);
  pump(lease); /* first: whoever hears of it may release and free the lease */
  lease->on_ready(lease);
}

static void hold_lost(mp_hold *hold)
{
  mp_lease *lease = mp_container_of(hold, mp_lease, hold);
  lease->at_gate = false;
  if (hold->error.kind == MP_E_POOL_CLOSED) /* revoked: what it runs was not lost, it was stopped */
    for (mp_list *node = lease->running.next; node != &lease->running; node = node->next)
      mp_connection_cancel(hold->conn, mp_container_of(node, mp_request, holder_node),
                           MP_E_CANCELLED);
  mp_tx_after_statement(&lease->tx, MP_E_CONNECTION_LOST, MP_TX_UNKNOWN);
  pump(lease);
}

/* ---- what the program asks ---- */

void mp_lease_init(mp_lease *lease, mp_access access)
{
  memset(lease, 0, sizeof *lease);
  mp_hold_init(&lease->hold, access);
  lease->hold.on_ready = hold_ready;
  lease->hold.on_lost = hold_lost;
  lease->hold.text = lease->text;
  lease->hold.text_bytes = sizeof lease->text;
  mp_tx_init(&lease->tx);
  mp_list_init(&lease->waiting);
  mp_list_init(&lease->dropped);
  mp_list_init(&lease->running);
  mp_gatepass_init(&lease->pass, gate_entered);
  mp_later_init(&lease->later, answer_dropped);
}

void mp_lease_acquire(mp_lease *lease, mp_pool *pool)
{
  lease->loop = mp_pool_loop(pool);
  lease->timeout_ns = mp_pool_get_limits(pool)->timeout_ns;
  mp_pool_acquire(pool, &lease->hold);
}

bool mp_lease_is_held(mp_lease *lease)
{
  if (lease->hold.state != MP_HOLD_HELD)
    return false;
  mp_pool_told(&lease->hold);
  return true;
}

void mp_lease_submit(mp_lease *lease, mp_request *req)
{
  assert(lease->loop != NULL);
  mp_request_move(req, MP_REQ_QUEUED);
  req->holder = lease;
  req->ended = request_ended;
  if (req->deadline_ns == 0 && lease->timeout_ns > 0)
    req->deadline_ns = req->submitted_ns + lease->timeout_ns;
  mp_list_push_back(&lease->waiting, &req->holder_node);
  pump(lease);
}

bool mp_lease_keep(mp_lease *lease, mp_txop op, const mp_txoptions *options)
{
  bool writes = options == NULL || !options->read_only, begins, idle;
  char sql[MP_TX_SQL_MAX];
  mp_error error = MP_ERROR_NONE;
  const mp_config *config;
  idle = !lease->over && lease->hold.state == MP_HOLD_HELD && lease->chore == NULL &&
         mp_list_empty(&lease->waiting) && mp_list_empty(&lease->running) &&
         mp_list_empty(&lease->dropped);
  if (!idle || op == MP_TXO_ROLLBACK_TO || /* that needs a second one */
      mp_pool_has_gate(lease->hold.pool) ||
      mp_tx_step(&lease->tx, op, options, sql, &begins) != MP_OK)
    return false;
  config = mp_pool_config(lease->hold.pool);
  if (begins && !config->backend->begin_sql(config, &lease->tx.options, writes, sql, &error))
    return false;
  if (sql[0] == '\0' || !mp_connection_keep(lease->hold.conn, op, sql))
    return false;
  mp_tx_outcome(&lease->tx, op, MP_OK, mp_connection_txstatus(lease->hold.conn));
  return true;
}

void mp_lease_cancel(mp_lease *lease, mp_request *req, mp_status why)
{
  if (req->holder != lease || req->state == MP_REQ_DONE || req->stop != MP_OK)
    return;
  if (req->conn != NULL) {
    if (req->op == MP_OP_TX && req->tx_op != MP_TXO_BEGIN)
      return; /* short, and half a COMMIT helps nobody */
    mp_connection_cancel(req->conn, req, why);
    return;
  }
  if (req->error.kind != MP_OK || mp_list_empty(&req->holder_node))
    return; /* its answer is on the way */
  req->stop = why;
  if (lease->at_gate && lease->waiting.next == &req->holder_node) {
    lease->at_gate = false;
    mp_pool_leave_gate(&lease->pass);
  }
  refuse(lease, req, why, "stopped before it was sent");
  pump(lease);
}

void mp_lease_unheard(mp_lease *lease, const mp_request *req)
{
  if (!lease->over && lease->tx.state == MP_TXS_OPEN && spoils(req))
    mp_tx_after_statement(&lease->tx, MP_E_CANCELLED, MP_TX_OPEN);
}

void mp_lease_more(mp_lease *lease, mp_request *req)
{
  if (req->holder == lease && req->conn != NULL)
    mp_connection_more(req->conn, req);
}

static void release(mp_lease *lease, bool destroy)
{
  mp_list *node, *next;
  if (lease->over)
    return;
  lease->over = true;
  lease->at_gate = false;
  for (node = lease->running.next; node != &lease->running; node = next) {
    mp_request *req = mp_container_of(node, mp_request, holder_node);
    next = node->next;
    if (req->conn != NULL && (req->op != MP_OP_TX || req->tx_op == MP_TXO_BEGIN))
      mp_connection_cancel(req->conn, req, MP_E_CANCELLED);
  }
  while (!mp_list_empty(&lease->waiting))
    refuse(lease, mp_container_of(lease->waiting.next, mp_request, holder_node), MP_E_CANCELLED,
           "the connection was given back");
  if (lease->chore != NULL)
    lease->chore->owner = NULL;
  lease->chore = NULL;
  if (lease->hold.state != MP_HOLD_NEW)
    mp_pool_give_back(&lease->hold, destroy || lease->destroy);
}

void mp_lease_release(mp_lease *lease)
{
  release(lease, false);
}

void mp_lease_adopt(mp_lease *lease)
{
  if (!lease->over && lease->hold.state == MP_HOLD_HELD)
    mp_connection_adopt(lease->hold.conn);
}

void mp_lease_taint(mp_lease *lease)
{
  if (!lease->over && lease->hold.state == MP_HOLD_HELD)
    mp_connection_taint(lease->hold.conn);
}

void mp_lease_destroy(mp_lease *lease)
{
  release(lease, true);
}

bool mp_lease_gone(const mp_lease *lease)
{
  return lease->over && mp_list_empty(&lease->running) && mp_list_empty(&lease->dropped) &&
         mp_list_empty(&lease->waiting);
}

void mp_lease_free(mp_lease *lease)
{
  mp_tx_free(&lease->tx);
}
