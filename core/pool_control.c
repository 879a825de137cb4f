/* pool_control.c - the connection that stops what others run.
** Some databases are told on another connection to stop a statement. That one is opened when it is needed first, counts in no limit,
** is closed when it was not needed for a minute, and stops one statement after the other. Where it cannot be had, the
** sessions are told so and help themselves. */
#include "pool_parts.h"

#define IDLE_NS ((uint64_t)60 * 1000 * 1000 * 1000)

static void go_on(mp_pool *pool);

static mp_pool *pool_of(mp_control *control)
{
  return mp_container_of(control, mp_pool, control);
}

static void answer(mp_slot *slot, bool ran)
{
  if (slot != NULL && slot->conn != NULL)
    mp_connection_killed(slot->conn, ran);
}

static void refuse_all(mp_control *control)
{
  mp_list *node;
  while ((node = mp_list_pop_front(&control->wanted)) != NULL)
    answer(mp_container_of(node, mp_slot, kill_node), false);
}

/* ---- the connection ---- */

static void control_ready(void *owner)
{
  go_on(owner);
}

static void control_lost(void *owner, const mp_error *error)
{
  mp_pool *pool = owner;
  (void)error; /* those who wanted it find another way */
  refuse_all(&pool->control);
}

static void control_closed(void *owner)
{
  mp_pool *pool = owner;
  mp_connection_free(pool->control.conn);
  pool->control.conn = NULL;
  go_on(pool);
  mp_loop_defer(pool->loop, &pool->later); /* a pool that is closing may have waited for it */
}

static void control_quiet(void *owner)
{
  (void)owner;
}

static void control_kill(void *owner)
{
  mp_pool *pool = owner;
  mp_connection_killed(pool->control.conn, false); /* nobody stops the one that stops others */
}

static const mp_connection_events events = {control_ready, control_lost, control_closed,
                                            control_quiet, control_kill};

static void open_control(mp_pool *pool, const char *password)
{
  mp_control *control = &pool->control;
  control->ticket = 0;
  if (mp_connection_open(&control->conn, pool->loop, pool->config, password, &events, pool) ==
      MP_OK)
    return;
  control->conn = NULL;
  refuse_all(control);
}

bool mp_control_password_is(mp_pool *pool, uint64_t ticket, const char *password, bool failed)
{
  if (pool->control.ticket == 0 || pool->control.ticket != ticket)
    return false;
  pool->control.ticket = 0;
  if (failed || pool->closing)
    refuse_all(&pool->control);
  else
    open_control(pool, password);
  mp_loop_defer(pool->loop, &pool->later);
  return true;
}

static void idle_too_long(mp_timer *timer)
{
  mp_control *control = mp_container_of(timer, mp_control, idle);
  if (control->conn != NULL && control->req == NULL && mp_list_empty(&control->wanted))
    mp_connection_close(control->conn);
}

/* ---- stopping ---- */

static void stopped(mp_request *req)
{
  mp_control *control = req->owner;
  mp_pool *pool = pool_of(control);
  mp_slot *slot = control->current;
  bool ran = req->error.kind == MP_OK;
  control->current = NULL;
  control->req = NULL;
  mp_request_free(req);
  answer(slot, ran);
  mp_timer_start(pool->loop, &control->idle, mp_clock_ns() + IDLE_NS);
  go_on(pool);
}

static void stop_first(mp_pool *pool)
{
  mp_control *control = &pool->control;
  mp_slot *slot = mp_container_of(mp_list_pop_front(&control->wanted), mp_slot, kill_node);
  mp_request *req = NULL;
  if (mp_request_new(&req) != MP_OK || !mp_connection_fill_kill(slot->conn, req)) {
    mp_request_free(req);
    answer(slot, false);
    return;
  }
  req->op = MP_OP_QUERY;
  req->access = MP_ACCESS_WRITE;
  req->own_sql = true;
  req->owner = control;
  req->on_done = stopped;
  control->current = slot;
  control->req = req;
  mp_connection_submit(control->conn, req);
}

static void go_on(mp_pool *pool)
{
  mp_control *control = &pool->control;
  if (control->conn == NULL && control->ticket == 0 && !mp_list_empty(&control->wanted)) {
    if (pool->wanted == NULL) {
      open_control(pool, pool->password);
    } else {
      control->ticket = ++pool->ticket;
      pool->wanted(pool->wanted_owner, control->ticket);
    }
  }
  if (control->conn == NULL || mp_connection_state(control->conn) != MP_CONN_READY)
    return;
  while (control->req == NULL && !mp_list_empty(&control->wanted))
    stop_first(pool);
}

/* ---- what the others ask ---- */

void mp_control_init(mp_pool *pool)
{
  mp_list_init(&pool->control.wanted);
  mp_timer_init(&pool->control.idle, idle_too_long);
  pool->control.idle.quiet = true;
}

void mp_control_want(mp_slot *slot)
{
  mp_list_remove(&slot->kill_node); /* asked for again without having waited for the answer */
  mp_list_push_back(&slot->pool->control.wanted, &slot->kill_node);
  go_on(slot->pool);
}

void mp_control_forget(mp_slot *slot)
{
  mp_list_remove(&slot->kill_node);
  if (slot->pool->control.current == slot)
    slot->pool->control.current = NULL;
}

bool mp_control_close(mp_pool *pool)
{
  if (pool->control.conn != NULL)
    mp_connection_close(pool->control.conn);
  return pool->control.conn == NULL && pool->control.ticket == 0;
}
