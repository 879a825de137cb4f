/* pool_errand.c - requests that run outside a lease.
** Each is a hold of its own, in the request's memory: it waits like a lease, runs one request, gives the connection
** back before the program hears of the answer. A read that turns out to be a write is sent round again. */
#include "pool_parts.h"

typedef struct errand {
  mp_hold hold;
  mp_request *req;
} errand;

static void drop(mp_pool *pool, mp_request *req)
{
  mp_list_remove(&req->holder_node);
  mp_list_push_back(&pool->dropped, &req->holder_node);
  mp_loop_defer(pool->loop, &pool->later);
}

void mp_errand_answer(mp_pool *pool)
{
  mp_list now = {&now, &now}, *node;
  while ((node = mp_list_pop_front(&pool->dropped)) != NULL)
    mp_list_push_back(&now, node);
  while ((node = mp_list_pop_front(&now)) != NULL)
    mp_request_finish(mp_container_of(node, mp_request, holder_node));
}

const mp_request *mp_errand_request(const mp_hold *hold)
{
  return hold->on_ready == mp_errand_ready ? mp_container_of(hold, const errand, hold)->req : NULL;
}

void mp_errand_ready(mp_hold *hold)
{
  errand *run = mp_container_of(hold, errand, hold);
  mp_connection_submit(hold->conn, run->req);
}

void mp_errand_refused(mp_hold *hold, const mp_error *error)
{
  errand *run = mp_container_of(hold, errand, hold);
  mp_error_copy(&run->req->error, run->req->arena, error);
  drop(hold->pool, run->req);
}

/* Only after the backend has found out that it writes, so nothing was done. */
static bool runs_again(errand *run)
{
  mp_request *req = run->req;
  mp_pool *pool = run->hold.pool;
  if (!req->needs_writer || req->stop != MP_OK || req->access == MP_ACCESS_WRITE)
    return false;
  req->needs_writer = false;
  req->access = MP_ACCESS_WRITE;
  req->error = MP_ERROR_NONE;
  mp_result_free(mp_request_take_result(req));
  mp_request_move(req, MP_REQ_QUEUED);
  mp_pool_give_back(&run->hold, false);
  mp_hold_init(&run->hold, MP_ACCESS_WRITE);
  run->hold.on_ready = mp_errand_ready;
  run->hold.deadline_ns = req->deadline_ns;
  mp_pool_acquire(pool, &run->hold);
  return true;
}

static bool errand_ended(mp_request *req)
{
  errand *run = req->holder;
  mp_pool *pool;
  if (run == NULL)
    return true; /* it never became one */
  if (runs_again(run))
    return false;
  if (req->needs_writer && req->stop != MP_OK)
    mp_error_set(&req->error, req->arena, req->stop, "stopped before it had written anything");
  pool = run->hold.pool;
  mp_list_remove(&req->holder_node);
  if (pool->shares)
    mp_share_note(&run->hold, req);
  mp_pool_give_back(&run->hold,
                    req->error.verdict == MP_DESTROY || req->error.kind == MP_E_CONNECTION_LOST);
  req->holder = NULL;
  if (pool->closing)
    mp_loop_defer(pool->loop, &pool->later);
  return true;
}

void mp_pool_submit(mp_pool *pool, mp_request *req)
{
  errand *run;
  mp_request_move(req, MP_REQ_QUEUED);
  req->ended = errand_ended;
  req->holder = NULL;
  mp_list_push_back(&pool->errands, &req->holder_node);
  if (req->op == MP_OP_TX) {
    mp_error_set(&req->error, req->arena, MP_E_BAD_ARGUMENT,
                 "a transaction needs a connection of its own");
    drop(pool, req);
    return;
  }
  run = mp_arena_alloc(req->arena, sizeof *run);
  if (run == NULL) {
    mp_error_set(&req->error, NULL, MP_E_OUT_OF_MEMORY, "out of memory");
    drop(pool, req);
    return;
  }
  if (pool->gate == NULL && req->access == MP_ACCESS_UNKNOWN)
    req->access = MP_ACCESS_WRITE; /* nobody to make way for: it need not be sent round again */
  if (req->deadline_ns == 0 && pool->limits.timeout_ns > 0)
    req->deadline_ns = req->submitted_ns + pool->limits.timeout_ns;
  mp_hold_init(&run->hold, req->access == MP_ACCESS_WRITE ? MP_ACCESS_WRITE : MP_ACCESS_READ);
  run->hold.on_ready = mp_errand_ready;
  run->hold.deadline_ns = req->deadline_ns;
  run->req = req;
  req->holder = run;
  mp_pool_acquire(pool, &run->hold);
}

void mp_pool_cancel(mp_pool *pool, mp_request *req, mp_status why)
{
  errand *run = req->holder;
  mp_error error = {.kind = why, .message = "stopped while it waited for a connection"};
  (void)pool;
  if (run == NULL || req->state == MP_REQ_DONE)
    return;
  if (run->hold.state == MP_HOLD_HELD) {
    mp_connection_cancel(run->hold.conn, req, why);
  } else if (run->hold.state == MP_HOLD_WAITING) {
    req->stop = why;
    mp_pool_refuse(&run->hold, &error);
    mp_pool_dispatch(pool);
  }
}

void mp_errand_cancel_all(mp_pool *pool)
{
  for (mp_list *node = pool->errands.next, *next; node != &pool->errands; node = next) {
    mp_request *req = mp_container_of(node, mp_request, holder_node);
    errand *run = req->holder;
    next = node->next;
    if (run != NULL && run->hold.state == MP_HOLD_HELD)
      mp_slot_limit(run->hold.slot);
    mp_pool_cancel(pool, req, MP_E_CANCELLED);
  }
}

void mp_pool_more(mp_pool *pool, mp_request *req)
{
  errand *run = req->holder;
  (void)pool;
  if (run != NULL && run->hold.state == MP_HOLD_HELD)
    mp_connection_more(run->hold.conn, req);
}
