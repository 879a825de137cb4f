/* pool.c - the connections of one database: the pool itself.
** Its making, its clock, its end, and what it tells from the loop; who is served is decided in pool_queue.c, and
** connections are opened, cleaned and closed in pool_slot.c. */
#include "pool_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct closer {
  mp_list node;
  void (*on_closed)(void *owner);
  void *owner;
} closer;

/* ---- closing ---- */

static void check_closed(mp_pool *pool)
{
  mp_list closers = {&closers, &closers}, *node;
  if (!pool->closing || mp_slot_size(pool) > 0 || !mp_list_empty(&pool->errands) ||
      !mp_list_empty(&pool->dropped) || !mp_list_empty(&pool->answers) ||
      mp_list_empty(&pool->closers) || !mp_control_close(pool))
    return;
  mp_timer_stop(pool->loop, &pool->drain);
  mp_loop_drop(pool->loop);
  while ((node = mp_list_pop_front(&pool->closers)) != NULL)
    mp_list_push_back(&closers, node);
  while ((node = mp_list_pop_front(&closers)) != NULL) { /* the last one may free the pool */
    closer *next = mp_container_of(node, closer, node);
    next->on_closed(next->owner);
  }
}

/* The time to end by oneself is over: what runs is cancelled, leases are revoked. */
static void drained(mp_timer *timer)
{
  mp_pool *pool = mp_container_of(timer, mp_pool, drain);
  mp_error error = {.kind = MP_E_POOL_CLOSED, .message = "the database was closed"};
  mp_slot *slot;
  mp_errand_cancel_all(pool);
  while ((slot = mp_slot_leased(pool)) !=
         NULL) { /* what is told to the owner of one may give back others */
    mp_slot_close(slot);
    mp_pool_lose_hold(slot, &error);
  }
}

static void close_all(mp_pool *pool, mp_slotstate state)
{
  mp_list *list = &pool->slots[state];
  while (!mp_list_empty(list))
    mp_slot_close(mp_container_of(list->next, mp_slot, node));
}

mp_status mp_pool_close(mp_pool *pool, uint64_t drain_ns, void (*on_closed)(void *owner),
                        void *owner)
{
  closer *added = mp_arena_zalloc(pool->config->arena, sizeof *added);
  uint64_t now_ns = mp_clock_ns();
  uint64_t at_ns = drain_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + drain_ns;
  if (added == NULL)
    return MP_E_OUT_OF_MEMORY;
  if (at_ns != UINT64_MAX && (pool->drain.index < 0 || at_ns < pool->drain.at_ns) &&
      mp_timer_start(pool->loop, &pool->drain, at_ns) != MP_OK)
    return MP_E_OUT_OF_MEMORY;
  if (mp_list_empty(&pool->closers))
    mp_loop_hold(pool->loop);
  added->on_closed = on_closed;
  added->owner = owner;
  mp_list_push_back(&pool->closers, &added->node);
  if (!pool->closing) {
    mp_error error = {.kind = MP_E_POOL_CLOSED, .message = "the database was closed"};
    pool->closing = true;
    mp_pool_refuse_all(pool, UINT64_MAX, &error);
    close_all(pool, MP_SLOT_IDLE);
    close_all(pool, MP_SLOT_CONNECTING);
    close_all(pool, MP_SLOT_CLEANING);
    mp_timer_stop(pool->loop, &pool->retry);
    mp_timer_stop(pool->loop, &pool->reaper);
  }
  mp_loop_defer(pool->loop, &pool->later);
  return MP_OK;
}

/* ---- the pool ---- */

static void tell_holds(mp_pool *pool)
{
  mp_list now = {&now, &now}, *node;
  while ((node = mp_list_pop_front(&pool->answers)) != NULL)
    mp_list_push_back(&now, node);
  while ((node = mp_list_pop_front(&now)) != NULL) {
    mp_hold *hold = mp_container_of(node, mp_hold, node);
    hold->on_ready(hold);
  }
  while ((node = mp_list_pop_front(&pool->passes)) != NULL)
    mp_list_push_back(&now, node);
  while ((node = mp_list_pop_front(&now)) != NULL) {
    mp_gatepass *pass = mp_container_of(node, mp_gatepass, node);
    mp_status status = pass->answer;
    if (status != MP_OK)
      mp_pool_leave_gate(pass);
    else
      pass->inside = true;
    pass->entered(pass, status);
  }
}

static void run_later(mp_later *later)
{
  mp_pool *pool = mp_container_of(later, mp_pool, later);
  mp_errand_answer(pool);
  tell_holds(pool);
  mp_slot_open_wanted(pool);
  check_closed(pool); /* last: the pool may be gone then */
}

static void wipe_password(mp_pool *pool)
{
  if (pool->password != NULL)
    explicit_bzero(pool->password, strlen(pool->password));
  free(pool->password);
  pool->password = NULL;
}

mp_status mp_pool_set_password(mp_pool *pool, const char *password)
{
  char *copy = password == NULL ? NULL : strdup(password);
  if (password != NULL && copy == NULL)
    return MP_E_OUT_OF_MEMORY;
  wipe_password(pool);
  pool->password = copy;
  return MP_OK;
}

static mp_status use_gate(mp_pool *pool, mp_error *err)
{
  const mp_backend *backend = pool->config->backend;
  mp_arena *arena = pool->config->arena;
  const char *identity, *name;
  if ((backend->caps & MP_CAP_SINGLE_WRITER) == 0)
    return MP_OK;
  identity = backend->identity(pool->config, arena);
  if (identity == NULL && pool->limits.max == 1)
    return MP_OK; /* its only connection is the gate */
  name =
      mp_arena_printf(arena, "writer of %s", identity != NULL ? identity : pool->config->database);
  if (name != NULL)
    pool->gate = mp_gate_use(pool->loop, name);
  if (pool->gate == NULL)
    return mp_error_set(err, arena, MP_E_OUT_OF_MEMORY, "out of memory");
  pool->split = pool->limits.max > 1;
  return MP_OK;
}

mp_status mp_pool_new(mp_pool **out, mp_loop *loop, mp_config *config, const mp_pool_limits *limits,
                      mp_error *err)
{
  int backend_max =
      config->backend->max_sessions == NULL ? 0 : config->backend->max_sessions(config);
  mp_pool *pool;
  mp_status status = config->backend->check(config, err);
  if (status != MP_OK)
    return status;
  if (limits->max < 1 || limits->min < 0 || limits->min > limits->max)
    return mp_error_set(err, config->arena, MP_E_CONFIGURATION,
                        "pool: min is %d and max is %d, but 0 <= min <= max and 1 <= max must hold",
                        limits->min, limits->max);
  pool = calloc(1, sizeof *pool);
  if (pool == NULL)
    return mp_error_set(err, config->arena, MP_E_OUT_OF_MEMORY, "out of memory");
  pool->loop = loop;
  pool->config = config;
  pool->limits = *limits;
  if (backend_max > 0 && pool->limits.max > backend_max)
    pool->limits.max = backend_max;
  if (pool->limits.min > pool->limits.max)
    pool->limits.min = pool->limits.max;
  pool->shares =
      (config->backend->caps & MP_CAP_PIPELINE) != 0 && config->pipeline && !config->pooler;
  status = use_gate(pool, err);
  if (status != MP_OK) {
    free(pool);
    return status;
  }
  for (int i = 0; i < MP_SLOT_N; i++)
    mp_list_init(&pool->slots[i]);
  mp_list_init(&pool->gated);
  mp_list_init(&pool->writing);
  mp_list_init(&pool->waiting);
  mp_list_init(&pool->errands);
  mp_list_init(&pool->dropped);
  mp_list_init(&pool->answers);
  mp_list_init(&pool->passes);
  mp_control_init(pool);
  mp_list_init(&pool->closers);
  mp_later_init(&pool->later, run_later);
  mp_timer_init(&pool->retry, mp_slot_retry);
  mp_timer_init(&pool->reaper, mp_slot_reap);
  mp_timer_init(&pool->drain, drained);
  pool->retry.quiet = pool->reaper.quiet = true;
  pool->random = mp_clock_ns() ^ (uint64_t)(uintptr_t)pool;
  *out = pool;
  return MP_OK;
}

void mp_pool_free(mp_pool *pool)
{
  mp_arena *arena;
  if (pool == NULL)
    return;
  assert(mp_slot_size(pool) == 0 && mp_list_empty(&pool->errands) && mp_list_empty(&pool->closers));
  mp_timer_stop(pool->loop, &pool->retry);
  mp_timer_stop(pool->loop, &pool->reaper);
  mp_timer_stop(pool->loop, &pool->drain);
  mp_timer_stop(pool->loop, &pool->control.idle);
  mp_later_cancel(&pool->later);
  mp_gate_drop(pool->gate);
  wipe_password(pool);
  arena = pool->config->arena;
  free(pool);
  mp_arena_free(arena);
}

void mp_pool_get_stats(const mp_pool *pool, mp_pool_stats *out)
{
  *out = (mp_pool_stats){
      .size = mp_slot_size(pool) - pool->slot_n[MP_SLOT_CLOSING],
      .idle = pool->slot_n[MP_SLOT_IDLE],
      .busy = pool->slot_n[MP_SLOT_HELD] + pool->slot_n[MP_SLOT_SHARED] +
              pool->slot_n[MP_SLOT_CLEANING],
      .waiting = pool->gated_n + pool->writing_n + pool->waiting_n,
      .max = pool->limits.max,
      .control = pool->control.conn != NULL ? 1 : 0,
  };
}

bool mp_pool_has_gate(const mp_pool *pool)
{
  return pool->gate != NULL;
}

bool mp_pool_pipelines(const mp_pool *pool)
{
  return pool->shares;
}

const mp_pool_limits *mp_pool_get_limits(const mp_pool *pool)
{
  return &pool->limits;
}

const mp_config *mp_pool_config(const mp_pool *pool)
{
  return pool->config;
}

mp_loop *mp_pool_loop(const mp_pool *pool)
{
  return pool->loop;
}
