/* loop.c - the event loop: ours, for any host.
** Deferred work, a heap of timers and a uv loop, turned together by mp_loop_step. The uv timer runs only
** while the loop polls, so that what is left in the uv loop between two steps is what others put there.
** What keeps the loop alive is counted here, not by libuv: an idle connection has handles and no future. */
#include "loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SKIP_MAX_STEPS 64   /* so often the poll may be skipped while deferred work goes on ... */
#define SKIP_MAX_NS 1000000 /* ... and so long */
#define ROUND_MAX 16        /* polls of one step while watchers are being started */
#define NS_PER_MS 1000000

typedef struct share {
  mp_list node;
  void *thing;
  char name[];
} share;

struct mp_loop {
  uv_loop_t uv;
  uv_timer_t alarm;
  uv_async_t anchor; /* keeps the uv loop alive, which would not poll otherwise */
  bool stepping, touched;
  int skipped; /* steps since the last poll */
  int hold_n, handle_n;
  uint64_t now_ns, polled_ns, turns;
  mp_list deferred, shares;
  mp_timer **heap;
  int timer_n, timer_room, loud_n; /* loud: those that keep the loop alive */
};

uint64_t mp_clock_ns(void)
{
  return uv_hrtime();
}

/* ---- timers ---- */

static void put(mp_loop *loop, mp_timer *timer, int index)
{
  loop->heap[index] = timer;
  timer->index = index;
}

static void sift_up(mp_loop *loop, mp_timer *timer, int index)
{
  while (index > 0) {
    mp_timer *parent = loop->heap[(index - 1) / 2];
    if (parent->at_ns <= timer->at_ns)
      break;
    put(loop, parent, index);
    index = (index - 1) / 2;
  }
  put(loop, timer, index);
}

static void sift_down(mp_loop *loop, mp_timer *timer, int index)
{
  for (;;) {
    int child = 2 * index + 1;
    if (child >= loop->timer_n)
      break;
    if (child + 1 < loop->timer_n && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
      child++;
    if (timer->at_ns <= loop->heap[child]->at_ns)
      break;
    put(loop, loop->heap[child], index);
    index = child;
  }
  put(loop, timer, index);
}

void mp_timer_init(mp_timer *timer, void (*fire)(mp_timer *timer))
{
  *timer = (mp_timer){.index = -1, .fire = fire};
}

mp_status mp_timer_start(mp_loop *loop, mp_timer *timer, uint64_t at_ns)
{
  mp_timer_stop(loop, timer);
  if (loop->timer_n == loop->timer_room) {
    int room = loop->timer_room > 0 ? loop->timer_room * 2 : 32;
    mp_timer **heap = realloc(loop->heap, (size_t)room * sizeof *heap);
    if (heap == NULL)
      return MP_E_OUT_OF_MEMORY;
    loop->heap = heap;
    loop->timer_room = room;
  }
  timer->at_ns = at_ns;
  sift_up(loop, timer, loop->timer_n++);
  if (!timer->quiet)
    loop->loud_n++;
  return MP_OK;
}

void mp_timer_stop(mp_loop *loop, mp_timer *timer)
{
  int index = timer->index;
  mp_timer *last;
  if (index < 0)
    return;
  timer->index = -1;
  if (!timer->quiet)
    loop->loud_n--;
  last = loop->heap[--loop->timer_n];
  if (last == timer)
    return;
  if (index > 0 && loop->heap[(index - 1) / 2]->at_ns > last->at_ns)
    sift_up(loop, last, index);
  else
    sift_down(loop, last, index);
}

static bool fire_due(mp_loop *loop)
{
  bool fired = false;
  int left =
      loop->timer_n; /* one that starts itself anew for a time gone by must not keep us here */
  while (left-- > 0 && loop->timer_n > 0 && loop->heap[0]->at_ns <= loop->now_ns) {
    mp_timer *timer = loop->heap[0];
    mp_timer_stop(loop, timer);
    timer->fire(timer);
    fired = true;
  }
  return fired;
}

/* ---- deferred work ---- */

void mp_later_init(mp_later *later, void (*run)(mp_later *later))
{
  mp_list_init(&later->node);
  later->run = run;
}

void mp_loop_defer(mp_loop *loop, mp_later *later)
{
  if (mp_list_empty(&later->node))
    mp_list_push_back(&loop->deferred, &later->node);
}

void mp_later_cancel(mp_later *later)
{
  mp_list_remove(&later->node);
}

/* What is deferred meanwhile waits for the next call: a chain of work must not keep the poll away. */
static bool run_deferred(mp_loop *loop)
{
  mp_list batch, *node;
  if (mp_list_empty(&loop->deferred))
    return false;
  batch = loop->deferred;
  batch.next->prev = batch.prev->next = &batch;
  mp_list_init(&loop->deferred);
  while ((node = mp_list_pop_front(&batch)) != NULL) {
    mp_later *later = mp_container_of(node, mp_later, node);
    later->run(later);
  }
  return true;
}

/* ---- the step ---- */

/* The heap is looked at after every poll. But libuv runs its timers before it polls too, and would then wait for
** ever if this was due already: a stop makes that poll return at once. */
static void wake_up(uv_timer_t *alarm)
{
  uv_stop(alarm->loop);
}

static void ignore(uv_async_t *anchor)
{
  (void)anchor;
}

/* Milliseconds until at_ns, rounded up: a wake-up before its time would only be followed by another. */
static uint64_t ms_until(const mp_loop *loop, uint64_t at_ns)
{
  return at_ns <= loop->now_ns ? 0 : (at_ns - loop->now_ns + NS_PER_MS - 1) / NS_PER_MS;
}

static void poll_uv(mp_loop *loop, int wait_ms)
{
  uint64_t alarm_ms = UINT64_MAX;
  if (wait_ms > 0)
    alarm_ms = (uint64_t)wait_ms;
  if (loop->timer_n > 0 && ms_until(loop, loop->heap[0]->at_ns) < alarm_ms)
    alarm_ms = ms_until(loop, loop->heap[0]->at_ns);
  if (alarm_ms == 0)
    wait_ms = 0;
  loop->touched = false;
  if (wait_ms == 0) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
  } else {
    if (alarm_ms != UINT64_MAX) {
      uv_update_time(&loop->uv);
      uv_timer_start(&loop->alarm, wake_up, alarm_ms, 0);
    }
    uv_run(&loop->uv, UV_RUN_ONCE);
    uv_timer_stop(&loop->alarm);
  }
  loop->skipped = 0;
  loop->now_ns = loop->polled_ns = mp_clock_ns();
}

bool mp_loop_step(mp_loop *loop, int wait_ms)
{
  bool ran;
  assert(!loop->stepping);
  loop->stepping = true;
  loop->turns++;
  loop->now_ns = mp_clock_ns();
  ran = run_deferred(loop);
  ran = fire_due(loop) || ran;
  if (ran && ++loop->skipped < SKIP_MAX_STEPS && loop->now_ns - loop->polled_ns < SKIP_MAX_NS) {
    loop->stepping = false;
    return false;
  }
  if (ran || !mp_list_empty(&loop->deferred))
    wait_ms = 0;
  for (int round = 0; round < ROUND_MAX; round++) {
    poll_uv(loop, wait_ms);
    fire_due(loop);
    run_deferred(loop);
    if (!loop->touched)
      break;
    wait_ms = 0;
  }
  loop->stepping = false;
  return true;
}

int mp_loop_fd(mp_loop *loop)
{
  return uv_backend_fd(&loop->uv);
}

int mp_loop_timeout_ms(mp_loop *loop)
{
  int uv_ms;
  uint64_t ms;
  if (!mp_list_empty(&loop->deferred) || loop->touched)
    return 0;
  uv_update_time(&loop->uv);
  uv_ms = uv_backend_timeout(&loop->uv);
  if (loop->timer_n == 0)
    return uv_ms;
  loop->now_ns = mp_clock_ns();
  ms = ms_until(loop, loop->heap[0]->at_ns);
  if (ms > INT32_MAX)
    ms = INT32_MAX;
  return uv_ms >= 0 && (uint64_t)uv_ms < ms ? uv_ms : (int)ms;
}

bool mp_loop_alive(const mp_loop *loop)
{
  return loop->hold_n > 0 || loop->loud_n > 0 || !mp_list_empty(&loop->deferred);
}

uint64_t mp_loop_now_ns(const mp_loop *loop)
{
  return loop->now_ns;
}

uint64_t mp_loop_turns(const mp_loop *loop)
{
  return loop->turns;
}

int mp_loop_handle_n(const mp_loop *loop)
{
  return loop->handle_n;
}

void mp_loop_count_handle(mp_loop *loop, int change)
{
  loop->handle_n += change;
  loop->touched = true;
}

void mp_loop_touch(mp_loop *loop)
{
  loop->touched = true;
}

uv_loop_t *mp_loop_uv(mp_loop *loop)
{
  return &loop->uv;
}

void mp_loop_hold(mp_loop *loop)
{
  loop->hold_n++;
}

void mp_loop_drop(mp_loop *loop)
{
  assert(loop->hold_n > 0);
  loop->hold_n--;
}

/* ---- shared by name ---- */

static share *find_share(mp_loop *loop, const char *name)
{
  for (mp_list *node = loop->shares.next; node != &loop->shares; node = node->next) {
    share *found = mp_container_of(node, share, node);
    if (strcmp(found->name, name) == 0)
      return found;
  }
  return NULL;
}

void *mp_loop_shared(mp_loop *loop, const char *name)
{
  share *found = find_share(loop, name);
  return found == NULL ? NULL : found->thing;
}

mp_status mp_loop_share(mp_loop *loop, const char *name, void *thing)
{
  share *found = find_share(loop, name);
  size_t n_bytes = strlen(name) + 1;
  if (thing == NULL) {
    if (found != NULL) {
      mp_list_remove(&found->node);
      free(found);
    }
    return MP_OK;
  }
  if (found == NULL) {
    found = malloc(sizeof *found + n_bytes);
    if (found == NULL)
      return MP_E_OUT_OF_MEMORY;
    memcpy(found->name, name, n_bytes);
    mp_list_init(&found->node);
    mp_list_push_back(&loop->shares, &found->node);
  }
  found->thing = thing;
  return MP_OK;
}

/* ---- beginning and end ---- */

static void close_uv(mp_loop *loop, bool with_anchor)
{
  uv_close((uv_handle_t *)&loop->alarm, NULL);
  if (with_anchor)
    uv_close((uv_handle_t *)&loop->anchor, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  uv_loop_close(&loop->uv);
  free(loop->heap);
  free(loop);
}

mp_status mp_loop_new(mp_loop **out)
{
  mp_loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL)
    return MP_E_OUT_OF_MEMORY;
  mp_list_init(&loop->deferred);
  mp_list_init(&loop->shares);
  if (uv_loop_init(&loop->uv) != 0) {
    free(loop);
    return MP_E_SERVER_LIMIT; /* no memory or no file descriptor left */
  }
  uv_timer_init(&loop->uv, &loop->alarm);
  if (uv_async_init(&loop->uv, &loop->anchor, ignore) != 0) {
    close_uv(loop, false);
    return MP_E_SERVER_LIMIT;
  }
  loop->now_ns = loop->polled_ns = mp_clock_ns();
  *out = loop;
  return MP_OK;
}

bool mp_loop_free(mp_loop *loop)
{
  if (loop == NULL)
    return true;
  if (loop->stepping || loop->handle_n > 0 || mp_loop_alive(loop))
    return false;
  while (!mp_list_empty(&loop->shares)) {
    share *left = mp_container_of(mp_list_pop_front(&loop->shares), share, node);
    free(left);
  }
  close_uv(loop, true);
  return true;
}
