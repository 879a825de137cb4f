/* pool_slot.c - the places for connections: opening, cleaning, closing, idle limits.
** A connection is idle only when the engine itself says that nothing is left on it. What was given back
** unclean is rolled back and reset here, once; what is not clean then, or takes too long, is closed. */
#include "pool_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEAN_MAX_NS ((uint64_t)5000000000) /* for cleaning one connection */
#define BACKOFF_MIN_NS ((uint64_t)50000000) /* between connects that fail */
#define BACKOFF_MAX_NS ((uint64_t)1000000000)

static void clean(mp_slot *slot);

static void move(mp_slot *slot, mp_slotstate to)
{
  mp_pool *pool = slot->pool;
  mp_list_remove(&slot->node);
  pool->slot_n[slot->state]--;
  pool->slot_n[to]++;
  slot->state = to;
  if (to == MP_SLOT_IDLE)
    mp_list_push_front(&pool->slots[to], &slot->node);
  else
    mp_list_push_back(&pool->slots[to], &slot->node);
}

int mp_slot_size(const mp_pool *pool)
{
  int n = 0;
  for (int state = 0; state < MP_SLOT_N; state++)
    n += pool->slot_n[state];
  return n;
}

mp_slot *mp_slot_leased(const mp_pool *pool)
{
  const mp_list *held = &pool->slots[MP_SLOT_HELD];
  for (mp_list *node = held->next; node != held; node = node->next) {
    mp_slot *slot = mp_container_of(node, mp_slot, node);
    if (slot->hold->on_ready != mp_errand_ready)
      return slot;
  }
  return NULL;
}

/* xorshift: a spread of waiting times needs no better one */
static double random_part(mp_pool *pool)
{
  pool->random ^= pool->random << 13;
  pool->random ^= pool->random >> 7;
  pool->random ^= pool->random << 17;
  return (double)(pool->random >> 11) / (double)(UINT64_C(1) << 53);
}

static void forget(mp_slot *slot)
{
  mp_pool *pool = slot->pool;
  mp_timer_stop(pool->loop, &slot->timer);
  mp_control_forget(slot);
  mp_list_remove(&slot->node);
  pool->slot_n[slot->state]--;
  if (pool->last_writer == slot)
    pool->last_writer = NULL;
  mp_gate_leave(&slot->place);
  free(slot);
  mp_pool_dispatch(pool);
  mp_loop_defer(pool->loop,
                &pool->later); /* it may have been the last one of a pool that is closing */
}

void mp_slot_close(mp_slot *slot)
{
  if (slot->state == MP_SLOT_CLOSING)
    return;
  if (slot->reads)
    slot->pool->reader_n--;
  slot->reads = false;
  mp_timer_stop(slot->pool->loop, &slot->timer);
  mp_control_forget(slot);
  move(slot, MP_SLOT_CLOSING);
  if (slot->conn != NULL)
    mp_connection_close(slot->conn);
  else
    forget(slot);
}

/* ---- connecting ---- */

static bool heals(mp_status kind)
{
  switch (kind) {
  case MP_E_CONNECT_FAILED:
  case MP_E_CONNECTION_LOST:
  case MP_E_TIMEOUT:
  case MP_E_BUSY:
  case MP_E_SERVER_LIMIT:
    return true;
  default:
    return false;
  }
}

static void connect_failed(mp_pool *pool, uint64_t turn, const mp_error *error)
{
  mp_error told = *error;
  uint64_t most_ns = BACKOFF_MIN_NS;
  if (heals(error->kind)) {
    most_ns <<= pool->failure_n < 7 ? pool->failure_n : 7;
    pool->failure_n++;
  } else {
    pool->failure_n = 1;
  }
  if (most_ns > BACKOFF_MAX_NS)
    most_ns = BACKOFF_MAX_NS;
  pool->connect_after_ns = mp_clock_ns() + (uint64_t)((double)most_ns * random_part(pool));
  snprintf(pool->connect_text, sizeof pool->connect_text, "%s",
           error->message != NULL ? error->message : mp_status_name(error->kind));
  told.sent = false;
  told.retryable = heals(error->kind) ? MP_RETRY_CONNECT : MP_RETRY_NO;
  if (!heals(error->kind))
    mp_pool_refuse_all(pool, UINT64_MAX, &told);
  else if (pool->slot_n[MP_SLOT_IDLE] + pool->slot_n[MP_SLOT_HELD] + pool->slot_n[MP_SLOT_SHARED] +
               pool->slot_n[MP_SLOT_CLEANING] ==
           0)
    mp_pool_refuse_all(pool, turn,
                       &told); /* nothing else could serve them; who came later gets the next try */
  mp_pool_dispatch(pool);
}

static void slot_ready(void *owner);
static void slot_lost(void *owner, const mp_error *error);
static void slot_closed(void *owner);
static void slot_quiet(void *owner);
static void slot_kill(void *owner);

static const mp_connection_events events = {slot_ready, slot_lost, slot_closed, slot_quiet,
                                            slot_kill};

static void connect_slot(mp_slot *slot, const char *password)
{
  mp_pool *pool = slot->pool;
  mp_status status =
      mp_connection_open(&slot->conn, pool->loop, pool->config, password, &events, slot);
  mp_error error = {.kind = status, .message = mp_status_name(status)};
  uint64_t turn = slot->turn;
  if (status == MP_OK)
    return;
  slot->conn = NULL;
  mp_slot_close(slot);
  connect_failed(pool, turn, &error);
}

static void too_long(mp_timer *timer)
{
  mp_slot *slot = mp_container_of(timer, mp_slot, timer);
  slot->doomed = true;
  mp_slot_close(slot);
}

void mp_slot_limit(mp_slot *slot)
{
  if (slot->timer.index < 0 &&
      mp_timer_start(slot->pool->loop, &slot->timer, mp_clock_ns() + CLEAN_MAX_NS) != MP_OK)
    too_long(&slot->timer);
}

static bool open_slot(mp_pool *pool)
{
  mp_slot *slot = calloc(1, sizeof *slot);
  if (slot == NULL) {
    mp_error error = {.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
    connect_failed(pool, pool->turn, &error);
    return false;
  }
  slot->pool = pool;
  slot->turn = ++pool->turn;
  mp_list_init(&slot->node);
  mp_list_init(&slot->guests);
  mp_list_init(&slot->kill_node);
  mp_gateplace_init(&slot->place);
  mp_timer_init(&slot->timer, too_long);
  slot->state = MP_SLOT_CONNECTING;
  pool->slot_n[MP_SLOT_CONNECTING]++;
  mp_list_push_back(&pool->slots[MP_SLOT_CONNECTING], &slot->node);
  if (pool->wanted == NULL) {
    connect_slot(slot, pool->password);
  } else {
    slot->ticket = ++pool->ticket;
    pool->wanted(pool->wanted_owner, slot->ticket);
  }
  return true;
}

void mp_slot_retry(mp_timer *retry)
{
  mp_pool_dispatch(mp_container_of(retry, mp_pool, retry));
}

/* After a failure one connection at a time tries, and not at once. */
static bool may_open(mp_pool *pool)
{
  if (mp_pool_lacks(pool) <= 0)
    return false;
  if (pool->failure_n == 0)
    return true;
  if (pool->slot_n[MP_SLOT_CONNECTING] > 0)
    return false;
  if (mp_clock_ns() >= pool->connect_after_ns)
    return true;
  if (pool->retry.index < 0)
    mp_timer_start(pool->loop, &pool->retry, pool->connect_after_ns);
  return false;
}

void mp_slot_open_wanted(mp_pool *pool)
{
  while (may_open(pool))
    if (!open_slot(pool))
      break;
}

void mp_pool_on_password(mp_pool *pool, void (*wanted)(void *owner, uint64_t ticket), void *owner)
{
  pool->wanted = wanted;
  pool->wanted_owner = owner;
}

void mp_pool_password_is(mp_pool *pool, uint64_t ticket, const char *password, const mp_error *err)
{
  mp_list *list = &pool->slots[MP_SLOT_CONNECTING];
  if (mp_control_password_is(pool, ticket, password, err != NULL))
    return;
  for (mp_list *node = list->next; node != list; node = node->next) {
    mp_slot *slot = mp_container_of(node, mp_slot, node);
    uint64_t turn = slot->turn;
    if (slot->conn != NULL || slot->ticket != ticket)
      continue;
    if (err == NULL) {
      connect_slot(slot, password);
    } else {
      mp_slot_close(slot);
      connect_failed(pool, turn, err);
    }
    return;
  }
}

/* ---- cleaning ---- */

static void chore_done(mp_request *req)
{
  mp_slot *slot = req->owner;
  slot->chore = NULL;
  if (req->error.kind != MP_OK)
    slot->doomed = true;
  mp_request_free(req);
  clean(slot);
}

static void run_chore(mp_slot *slot, mp_op op, const char *sql)
{
  mp_request *req;
  if (mp_request_new(&req) != MP_OK) {
    mp_slot_close(slot);
    return;
  }
  req->op = op;
  req->tx_op = MP_TXO_ROLLBACK;
  req->access = MP_ACCESS_WRITE;
  req->sql = sql;
  req->sql_len = strlen(sql);
  req->sql_hash = mp_sql_hash(sql, req->sql_len);
  req->owner = slot;
  req->on_done = chore_done;
  slot->chore = req;
  mp_slot_limit(slot);
  mp_connection_submit(slot->conn, req);
}

static void become_idle(mp_slot *slot)
{
  mp_pool *pool = slot->pool;
  mp_timer_stop(pool->loop, &slot->timer);
  slot->rolled_back = slot->was_reset = false;
  slot->idle_ns = mp_loop_now_ns(pool->loop);
  move(slot, MP_SLOT_IDLE);
  if (pool->limits.max_idle_ns > 0 && pool->reaper.index < 0)
    mp_timer_start(pool->loop, &pool->reaper, slot->idle_ns + pool->limits.max_idle_ns);
  mp_gate_leave(&slot->place); /* only now: the next writer wants this connection */
  mp_pool_dispatch(pool);
}

/* Whatever has changed on a connection that was given back, go on from there. */
static void clean(mp_slot *slot)
{
  if (slot->state != MP_SLOT_CLEANING || slot->chore != NULL)
    return;
  if (slot->doomed || mp_connection_state(slot->conn) != MP_CONN_READY) {
    mp_slot_close(slot);
    return;
  }
  if (mp_connection_busy(slot->conn)) {
    mp_slot_limit(slot);
    return; /* quiet comes */
  }
  if (mp_connection_txstatus(slot->conn) != MP_TX_IDLE) {
    if (slot->rolled_back || mp_connection_txstatus(slot->conn) == MP_TX_UNKNOWN) {
      mp_slot_close(slot);
      return;
    }
    slot->rolled_back = true;
    run_chore(slot, MP_OP_TX, "ROLLBACK");
  } else if (mp_connection_tainted(slot->conn)) {
    if (slot->was_reset) {
      mp_slot_close(slot);
      return;
    }
    slot->was_reset = slot->restored = true;
    run_chore(slot, MP_OP_RESET, "");
  } else if (!mp_connection_settled(slot->conn)) {
    mp_slot_limit(slot); /* quiet comes when a cancel has settled */
  } else {
    become_idle(slot);
  }
}

void mp_slot_hold(mp_slot *slot, mp_hold *hold)
{
  move(slot, MP_SLOT_HELD);
  slot->hold = hold;
}

void mp_slot_share(mp_slot *slot)
{
  slot->spoilt = false;
  move(slot, MP_SLOT_SHARED);
}

bool mp_slot_is_spent(const mp_slot *slot)
{
  const mp_pool *pool = slot->pool;
  return pool->closing || (pool->limits.max_uses > 0 && slot->use_n >= pool->limits.max_uses) ||
         (slot->expires_ns > 0 && mp_loop_now_ns(pool->loop) >= slot->expires_ns);
}

void mp_slot_take_back(mp_slot *slot, bool destroy)
{
  const mp_pool *pool = slot->pool;
  slot->hold = NULL;
  if (slot->state == MP_SLOT_CLOSING)
    return;
  if (slot->reads)
    slot->pool->reader_n--;
  slot->reads = false;
  mp_timer_stop(pool->loop, &slot->timer);
  move(slot, MP_SLOT_CLEANING);
  slot->doomed = destroy || mp_slot_is_spent(slot);
  clean(slot);
}

void mp_slot_reap(mp_timer *reaper)
{
  mp_pool *pool = mp_container_of(reaper, mp_pool, reaper);
  mp_list *idle = &pool->slots[MP_SLOT_IDLE];
  uint64_t now_ns = mp_clock_ns();
  while (!mp_list_empty(idle) &&
         mp_slot_size(pool) - pool->slot_n[MP_SLOT_CLOSING] > pool->limits.min) {
    mp_slot *oldest = mp_container_of(idle->prev, mp_slot, node);
    if (oldest->idle_ns + pool->limits.max_idle_ns > now_ns) {
      mp_timer_start(pool->loop, &pool->reaper, oldest->idle_ns + pool->limits.max_idle_ns);
      return;
    }
    mp_slot_close(oldest);
  }
}

/* ---- what the connection tells ---- */

static void slot_ready(void *owner)
{
  mp_slot *slot = owner;
  mp_pool *pool = slot->pool;
  if (slot->state != MP_SLOT_CONNECTING)
    return;
  pool->failure_n = 0;
  pool->connect_text[0] = '\0';
  if (pool->limits.max_lifetime_ns > 0)
    slot->expires_ns = mp_clock_ns() + (uint64_t)((double)pool->limits.max_lifetime_ns *
                                                  (0.9 + 0.2 * random_part(pool)));
  become_idle(slot);
}

static void slot_lost(void *owner, const mp_error *error)
{
  mp_slot *slot = owner;
  mp_pool *pool = slot->pool;
  mp_slotstate was = slot->state;
  uint64_t turn = slot->turn;
  mp_slot_close(slot);
  if (was == MP_SLOT_CONNECTING)
    connect_failed(pool, turn, error);
  else if (was == MP_SLOT_HELD && slot->hold != NULL)
    mp_pool_lose_hold(slot, error);
  else if (was == MP_SLOT_SHARED)
    mp_share_lose(slot);
}

static void slot_closed(void *owner)
{
  mp_slot *slot = owner;
  mp_connection_free(slot->conn);
  forget(slot);
}

static void slot_quiet(void *owner)
{
  clean(owner);
}

static void slot_kill(void *owner)
{
  mp_control_want(owner);
}
