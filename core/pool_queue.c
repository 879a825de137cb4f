/* pool_queue.c - the queue of a pool: who waits for what, and who is served.
** First come, first served. Where writers are single and there is more than one connection, a writer passes
** the gate first and then finds the connection that is kept for it; with a single connection it takes that
** first and the gate after it, or two pools could each hold what the other one waits for. */
#include "pool_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Only for the test that shows that the test of fairness can fail: the youngest waiter is served first. */
extern bool mp_pool_test_unfair;
bool mp_pool_test_unfair;

/* ---- waiting ---- */

static void enqueue(mp_hold *hold, mp_list *queue, int *counter)
{
  if (mp_pool_test_unfair)
    mp_list_push_front(queue, &hold->node);
  else
    mp_list_push_back(queue, &hold->node);
  hold->counted = counter;
  ++*counter;
}

static void unqueue(mp_hold *hold)
{
  mp_list_remove(&hold->node);
  if (hold->counted != NULL)
    --*hold->counted;
  hold->counted = NULL;
}

static void end_waiting(mp_hold *hold, mp_holdstate to)
{
  hold->state = to;
  unqueue(hold);
  mp_timer_stop(hold->pool->loop, &hold->timer);
  mp_loop_drop(hold->pool->loop);
}

static void answer(mp_hold *hold)
{
  mp_list_push_back(&hold->pool->answers, &hold->node);
  mp_loop_defer(hold->pool->loop, &hold->pool->later);
}

static bool is_errand(const mp_hold *hold)
{
  return hold->on_ready == mp_errand_ready;
}

/* Give up everything that a hold which never became HELD has: its places in queues, maybe a connection. */
static void leave_queues(mp_hold *hold)
{
  mp_slot *slot = hold->slot;
  end_waiting(hold, MP_HOLD_OVER);
  hold->slot = NULL;
  hold->conn = NULL;
  mp_gate_leave(&hold->place);
  if (slot != NULL)
    mp_slot_take_back(slot, false);
}

static void set_error(mp_hold *hold, const mp_error *error)
{
  hold->error = (mp_error){.kind = error->kind,
                           .retryable = error->retryable,
                           .code = error->code,
                           .message = mp_status_name(error->kind)};
  memcpy(hold->error.sqlstate, error->sqlstate, sizeof hold->error.sqlstate);
  if (hold->text == NULL || error->message == NULL)
    return;
  snprintf(hold->text, hold->text_bytes, "%s", error->message);
  hold->error.message = hold->text;
}

void mp_pool_refuse(mp_hold *hold, const mp_error *error)
{
  assert(hold->state == MP_HOLD_WAITING);
  leave_queues(hold);
  if (is_errand(hold)) {
    mp_errand_refused(hold, error);
    return;
  }
  set_error(hold, error);
  answer(hold);
}

static void refuse_queue(mp_list *queue, uint64_t up_to_turn, const mp_error *error)
{
  for (mp_list *node = queue->next, *next; node != queue; node = next) {
    mp_hold *hold = mp_container_of(node, mp_hold, node);
    next = node->next;
    if (hold->turn <= up_to_turn)
      mp_pool_refuse(hold, error);
  }
}

void mp_pool_refuse_all(mp_pool *pool, uint64_t up_to_turn, const mp_error *error)
{
  /* Those before the gate first: one that leaves it would let the next one in. */
  refuse_queue(&pool->gated, up_to_turn, error);
  refuse_queue(&pool->writing, up_to_turn, error);
  refuse_queue(&pool->waiting, up_to_turn, error);
  if (!pool->closing)
    return;
  for (mp_list *held = &pool->slots[MP_SLOT_HELD], *node = held->next, *next; node != held;
       node = next) {
    mp_slot *slot = mp_container_of(node, mp_slot, node);
    next = node->next;
    if (slot->hold != NULL &&
        slot->hold->state == MP_HOLD_WAITING) /* with a connection, before the gate */
      mp_pool_refuse(slot->hold, error);
  }
}

static void waited_too_long(mp_timer *timer)
{
  mp_hold *hold = mp_container_of(timer, mp_hold, timer);
  mp_pool *pool = hold->pool;
  mp_pool_stats stats;
  char text[512], connecting[32] = "";
  const char *what = hold->counted == &pool->gated_n || hold->slot != NULL
                         ? "another writer was at work for"
                         : "no connection was free for";
  mp_error error = {.kind = MP_E_POOL_TIMEOUT, .retryable = MP_RETRY_CONNECT, .message = text};
  mp_pool_get_stats(pool, &stats);
  if (pool->slot_n[MP_SLOT_CONNECTING] > 0)
    snprintf(connecting, sizeof connecting, " %d connecting,", pool->slot_n[MP_SLOT_CONNECTING]);
  snprintf(text, sizeof text, "%s %.3g s (size %d of %d, %d busy,%s %d waiting)%s%s", what,
           (double)(mp_clock_ns() - hold->since_ns) / 1e9, stats.size, stats.max, stats.busy,
           connecting, stats.waiting,
           pool->connect_text[0] != '\0' ? "; the last connect failed: " : "", pool->connect_text);
  mp_pool_refuse(hold, &error);
  mp_pool_dispatch(pool);
}

static void start_clock(mp_hold *hold)
{
  uint64_t at_ns = hold->deadline_ns;
  if (at_ns == 0 && hold->pool->limits.timeout_ns > 0)
    at_ns = hold->since_ns + hold->pool->limits.timeout_ns;
  if (at_ns != 0 && mp_timer_start(hold->pool->loop, &hold->timer, at_ns) != MP_OK) {
    mp_error error = {.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
    mp_pool_refuse(hold, &error);
  }
}

/* ---- serving ---- */

static void held(mp_hold *hold)
{
  hold->has_gate = hold->place.state == MP_GATE_INSIDE;
  hold->fresh = hold->slot->use_n++ == 0 || hold->slot->restored;
  hold->slot->restored = false;
  hold->since_ns = mp_loop_now_ns(hold->pool->loop);
  hold->pool->used = true;
  end_waiting(hold, MP_HOLD_HELD);
  if (is_errand(hold))
    mp_errand_ready(hold);
  else
    answer(hold);
}

static void entered_with_connection(mp_gateplace *place)
{
  held(mp_container_of(place, mp_hold, place));
}

static void grant(mp_hold *hold, mp_slot *slot)
{
  mp_pool *pool = hold->pool;
  unqueue(hold);
  mp_slot_hold(slot, hold);
  hold->slot = slot;
  hold->conn = slot->conn;
  if (pool->split && hold->place.state != MP_GATE_INSIDE) {
    slot->reads = true;
    pool->reader_n++;
  }
  if (pool->gate != NULL && !pool->split && hold->access == MP_ACCESS_WRITE)
    mp_gate_enter(pool->gate, &hold->place, entered_with_connection);
  else
    held(hold);
}

/* One of several that share a connection. */
static void join(mp_hold *hold, mp_slot *slot)
{
  end_waiting(hold, MP_HOLD_HELD);
  slot->use_n++;
  slot->restored = false;
  hold->slot = slot;
  hold->conn = slot->conn;
  hold->since_ns = mp_loop_now_ns(hold->pool->loop);
  hold->pool->used = true;
  mp_share_join(slot, hold);
  mp_errand_ready(hold);
}

static int reader_room(const mp_pool *pool)
{
  return (pool->split ? pool->limits.max - 1 : pool->limits.max) - pool->reader_n;
}

static mp_slot *idle_slot(mp_pool *pool, bool writes)
{
  mp_list *idle = &pool->slots[MP_SLOT_IDLE];
  if (mp_list_empty(idle))
    return NULL;
  if (writes && pool->last_writer != NULL && pool->last_writer->state == MP_SLOT_IDLE)
    return pool->last_writer; /* its statement cache has what writers need */
  return mp_container_of(idle->next, mp_slot, node);
}

static mp_hold *first(mp_list *queue)
{
  return mp_list_empty(queue) ? NULL : mp_container_of(queue->next, mp_hold, node);
}

void mp_pool_dispatch(mp_pool *pool)
{
  mp_hold *hold;
  mp_slot *slot;
  while ((hold = first(&pool->writing)) != NULL && (slot = idle_slot(pool, true)) != NULL)
    grant(hold, slot);
  while ((hold = first(&pool->waiting)) != NULL) {
    bool shares = pool->shares && mp_share_may(hold);
    slot = reader_room(pool) > 0 ? idle_slot(pool, hold->access == MP_ACCESS_WRITE) : NULL;
    if (slot == NULL && shares)
      slot = mp_share_find(pool);
    if (slot == NULL)
      break;
    if (shares)
      join(hold, slot);
    else
      grant(hold, slot);
  }
  if (mp_pool_lacks(pool) > 0)
    mp_loop_defer(pool->loop, &pool->later);
}

int mp_pool_lacks(const mp_pool *pool)
{
  int size = mp_slot_size(pool), room = reader_room(pool);
  int wanted = pool->writing_n + (pool->waiting_n < room ? pool->waiting_n : room);
  int lacks = wanted - pool->slot_n[MP_SLOT_CONNECTING];
  if (pool->closing)
    return 0;
  if (pool->used && pool->limits.min - size > lacks)
    lacks = pool->limits.min - size;
  return lacks < pool->limits.max - size ? lacks : pool->limits.max - size;
}

/* ---- holds ---- */

void mp_hold_init(mp_hold *hold, mp_access access)
{
  memset(hold, 0, sizeof *hold);
  hold->access = access;
  mp_list_init(&hold->node);
  mp_gateplace_init(&hold->place);
  mp_timer_init(&hold->timer, waited_too_long);
}

static void writer_entered(mp_gateplace *place)
{
  mp_hold *hold = mp_container_of(place, mp_hold, place);
  unqueue(hold);
  enqueue(hold, &hold->pool->writing, &hold->pool->writing_n);
  mp_pool_dispatch(hold->pool);
}

void mp_pool_acquire(mp_pool *pool, mp_hold *hold)
{
  hold->pool = pool;
  hold->state = MP_HOLD_WAITING;
  hold->turn = ++pool->turn;
  hold->since_ns = mp_clock_ns();
  mp_loop_hold(pool->loop);
  if (pool->closing) {
    mp_error error = {.kind = MP_E_POOL_CLOSED, .message = "the database was closed"};
    mp_pool_refuse(hold, &error);
    return;
  }
  if (pool->split && hold->access == MP_ACCESS_WRITE) {
    enqueue(hold, &pool->gated, &pool->gated_n);
    mp_gate_enter(pool->gate, &hold->place, writer_entered);
  } else {
    enqueue(hold, &pool->waiting, &pool->waiting_n);
    mp_pool_dispatch(pool);
  }
  if (hold->state == MP_HOLD_WAITING)
    start_clock(hold);
}

void mp_pool_told(mp_hold *hold)
{
  assert(hold->state == MP_HOLD_HELD);
  mp_list_remove(&hold->node);
}

static void forget_pass(mp_hold *hold)
{
  mp_gatepass *pass = hold->pass;
  if (pass == NULL)
    return;
  mp_list_remove(&pass->node);
  mp_timer_stop(hold->pool->loop, &pass->timer);
  if (pass->waits)
    mp_loop_drop(hold->pool->loop);
  pass->waits = pass->inside = false;
  pass->hold = NULL;
  hold->pass = NULL;
}

/* Take the connection and the gate from a HELD hold: what it left behind may have to be cleaned inside the gate. */
static mp_slot *strip(mp_hold *hold)
{
  mp_slot *slot = hold->slot;
  forget_pass(hold);
  if (hold->place.state == MP_GATE_WAITING)
    mp_gate_leave(&hold->place);
  if (hold->place.state == MP_GATE_INSIDE)
    hold->pool->last_writer = slot;
  mp_gate_hand_over(&hold->place, &slot->place);
  hold->state = MP_HOLD_OVER;
  hold->slot = NULL;
  hold->has_gate = false;
  slot->hold = NULL;
  return slot;
}

void mp_pool_give_back(mp_hold *hold, bool destroy)
{
  mp_pool *pool = hold->pool;
  mp_slot *slot;
  switch (hold->state) {
  case MP_HOLD_WAITING:
    leave_queues(hold);
    mp_pool_dispatch(pool);
    break;
  case MP_HOLD_HELD:
    if (hold->slot->guest_n > 0) {
      mp_share_leave(hold, destroy);
      break;
    }
    mp_list_remove(&hold->node); /* it may not have heard yet that it is HELD */
    slot = strip(hold);
    hold->conn = NULL;
    mp_slot_take_back(slot, destroy);
    break;
  default:
    mp_list_remove(&hold->node);
    break;
  }
}

void mp_pool_lose_hold(mp_slot *slot, const mp_error *error)
{
  mp_hold *hold = slot->hold;
  mp_pool *pool = slot->pool;
  if (hold->state ==
      MP_HOLD_WAITING) { /* waits for the gate: it is the oldest, and gets another connection */
    mp_gate_leave(&hold->place);
    slot->hold = NULL;
    hold->slot = NULL;
    hold->conn = NULL;
    if (pool->closing) {
      mp_pool_refuse(hold, error);
      return;
    }
    mp_list_push_front(&pool->waiting, &hold->node);
    hold->counted = &pool->waiting_n;
    pool->waiting_n++;
    return;
  }
  strip(hold);
  set_error(hold, error);
  if (mp_list_empty(&hold->node) && hold->on_lost != NULL)
    hold->on_lost(hold);
  hold->conn = NULL;
}

/* ---- the gate for a hold that came without it ---- */

static void answer_pass(mp_gatepass *pass, mp_status status)
{
  mp_pool *pool = pass->hold->pool;
  pass->answer = status;
  mp_timer_stop(pool->loop, &pass->timer);
  if (pass->waits)
    mp_loop_drop(pool->loop);
  pass->waits = false;
  if (mp_list_empty(&pass->node))
    mp_list_push_back(&pool->passes, &pass->node);
  mp_loop_defer(pool->loop, &pool->later);
}

static void pass_entered(mp_gateplace *place)
{
  mp_hold *hold = mp_container_of(place, mp_hold, place);
  hold->pass->inside = true;
  answer_pass(hold->pass, MP_OK);
}

static void pass_too_long(mp_timer *timer)
{
  mp_gatepass *pass = mp_container_of(timer, mp_gatepass, timer);
  mp_gate_leave(&pass->hold->place);
  answer_pass(pass, MP_E_BUSY);
}

void mp_gatepass_init(mp_gatepass *pass, void (*entered)(mp_gatepass *pass, mp_status status))
{
  memset(pass, 0, sizeof *pass);
  mp_list_init(&pass->node);
  mp_timer_init(&pass->timer, pass_too_long);
  pass->entered = entered;
}

void mp_pool_enter_gate(mp_hold *hold, mp_gatepass *pass)
{
  mp_pool *pool = hold->pool;
  uint64_t at_ns = pass->deadline_ns;
  assert(hold->state == MP_HOLD_HELD && hold->pass == NULL);
  hold->pass = pass;
  pass->hold = hold;
  if (pool->gate == NULL || hold->has_gate) {
    answer_pass(pass, MP_OK);
    return;
  }
  mp_gate_enter(pool->gate, &hold->place, pass_entered);
  if (pass->inside)
    return;
  pass->waits = true;
  mp_loop_hold(pool->loop);
  if (at_ns == 0 && pool->limits.timeout_ns > 0)
    at_ns = mp_clock_ns() + pool->limits.timeout_ns;
  if (at_ns != 0 && mp_timer_start(pool->loop, &pass->timer, at_ns) != MP_OK) {
    mp_gate_leave(&hold->place);
    answer_pass(pass, MP_E_OUT_OF_MEMORY);
  }
}

void mp_pool_leave_gate(mp_gatepass *pass)
{
  mp_hold *hold = pass->hold;
  if (hold == NULL)
    return;
  forget_pass(hold);
  if (!hold->has_gate)
    mp_gate_leave(&hold->place);
}

bool mp_pool_would_wait(const mp_pool *pool, mp_access access)
{
  bool writes = access == MP_ACCESS_WRITE;
  if (pool->closing)
    return false;
  if (writes && pool->gate != NULL && mp_gate_taken(pool->gate))
    return true;
  if (pool->split)
    return !writes && pool->waiting_n >= reader_room(pool);
  return pool->slot_n[MP_SLOT_HELD] + pool->slot_n[MP_SLOT_SHARED] + pool->waiting_n >=
         pool->limits.max;
}
