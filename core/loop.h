/* loop.h - the event loop: ours, for any host.
** One thread at a time. fd, timeout and step let any foreign loop drive it: wait until fd is
** readable or timeout has passed, then step. */
#ifndef MP_LOOP_H
#define MP_LOOP_H

#include "list.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct mp_loop mp_loop;

mp_status mp_loop_new(mp_loop **out);

/* Everything must be over: false, and nothing happens, while handles are open or work is in flight. NULL is fine. */
bool mp_loop_free(mp_loop *loop);

/* Readable when step has something to do. */
int mp_loop_fd(mp_loop *loop);

/* Milliseconds until step must be called again even if fd is quiet; 0: now; -1: never. */
int mp_loop_timeout_ms(mp_loop *loop);

/* Run what is ready, waiting at most wait_ms for the first event (0: do not wait, -1: until there is one).
** Work that was deferred is run first; if there was any the socket poll does not wait, and is
** skipped altogether for at most 64 steps or 1 ms, whichever comes first. Repeats while new work was
** started by what it ran (libuv registers watchers lazily). False: the poll was skipped. Not from inside a callback of the loop. */
bool mp_loop_step(mp_loop *loop, int wait_ms);

/* Is there anything that could still happen: a request, a timer, a closing handle? Idle pools do not count. */
bool mp_loop_alive(const mp_loop *loop);

/* Monotonic nanoseconds. now is the time at which the step began (cheap), clock is read anew. */
uint64_t mp_loop_now_ns(const mp_loop *loop);
uint64_t mp_clock_ns(void);

/* How often the loop has turned, for specs that prove that nothing blocked it. */
uint64_t mp_loop_turns(const mp_loop *loop);

/* Open uv handles of ours, for the leak check after each spec. Whoever opens or closes one counts it. */
int mp_loop_handle_n(const mp_loop *loop);
void mp_loop_count_handle(mp_loop *loop, int change);

/* A watcher was started or changed: libuv tells the kernel at its next turn only, so step takes another one. */
void mp_loop_touch(mp_loop *loop);

uv_loop_t *mp_loop_uv(mp_loop *loop);

/* ---- run later in this loop: never inside the call that deferred it ---- */

typedef struct mp_later {
  mp_list node;
  void (*run)(struct mp_later *later);
} mp_later;

void mp_later_init(mp_later *later, void (*run)(mp_later *later));
void mp_loop_defer(mp_loop *loop, mp_later *later); /* already deferred: stays where it is */
void mp_later_cancel(mp_later *later);

/* ---- timers: a heap of ours in one uv_timer, so that starting and stopping costs no syscall ---- */

typedef struct mp_timer {
  uint64_t at_ns;
  int index;  /* place in the heap, -1: not running */
  bool quiet; /* does not keep the loop alive (idle limits) */
  void (*fire)(struct mp_timer *timer);
} mp_timer;

void mp_timer_init(mp_timer *timer, void (*fire)(mp_timer *timer));
mp_status mp_timer_start(mp_loop *loop, mp_timer *timer,
                         uint64_t at_ns); /* restarts a running one */
void mp_timer_stop(mp_loop *loop, mp_timer *timer);

/* Keeps the loop alive between hold and drop (work in flight). */
void mp_loop_hold(mp_loop *loop);
void mp_loop_drop(mp_loop *loop);

/* ---- things that all pools of a loop share, by name (the SQLite write gates) ---- */
void *mp_loop_shared(mp_loop *loop, const char *name);
mp_status mp_loop_share(mp_loop *loop, const char *name, void *thing); /* NULL removes it */

#endif
