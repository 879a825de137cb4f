/* loop_test.c - deferred work, timers, liveness, and the loop inside another loop. */
#include "rig.h"

#include <poll.h>
#include <unistd.h>

static char trace[200];

typedef struct note {
  mp_later later;
  mp_timer timer;
  char name;
  int again; /* so often it defers itself anew */
} note;

static void add(char c)
{
  size_t n = strlen(trace);
  if (n + 1 < sizeof trace)
    trace[n] = c, trace[n + 1] = '\0';
}

static void note_later(mp_later *later)
{
  note *n = mp_container_of(later, note, later);
  add(n->name);
  if (n->again-- > 0)
    mp_loop_defer(loop, &n->later);
}

static void note_timer(mp_timer *timer)
{
  add(mp_container_of(timer, note, timer)->name);
}

static void note_init(note *n, char name)
{
  memset(n, 0, sizeof *n);
  n->name = name;
  mp_later_init(&n->later, note_later);
  mp_timer_init(&n->timer, note_timer);
}

static void deferred_work_runs_in_order_and_never_at_once(void **state)
{
  note a, b, c;
  (void)state;
  trace[0] = '\0';
  note_init(&a, 'a');
  note_init(&b, 'b');
  note_init(&c, 'c');
  mp_loop_defer(loop, &a.later);
  mp_loop_defer(loop, &b.later);
  mp_loop_defer(loop, &a.later); /* stays where it is */
  mp_loop_defer(loop, &c.later);
  mp_later_cancel(&b.later);
  assert_string_equal(trace, "");
  assert_int_equal(mp_loop_timeout_ms(loop), 0);
  mp_loop_step(loop, -1);
  assert_string_equal(trace, "ac");
}

static void work_that_defers_itself_waits_for_the_next_turn(void **state)
{
  note a, b;
  (void)state;
  trace[0] = '\0';
  note_init(&a, 'a');
  note_init(&b, 'b');
  a.again = 2;
  mp_loop_defer(loop, &a.later);
  mp_loop_defer(loop, &b.later);
  run_dry();
  assert_string_equal(trace, "abaa");
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
  note notes[7];
  uint64_t now_ns = mp_clock_ns();
  (void)state;
  trace[0] = '\0';
  for (int i = 0; i < 7; i++) {
    note_init(&notes[i], (char)('0' + i));
    assert_int_equal(mp_timer_start(loop, &notes[i].timer, now_ns - 100 + (uint64_t)((i * 3) % 7)),
                     MP_OK);
  }
  mp_timer_stop(loop, &notes[3].timer);
  mp_timer_stop(loop, &notes[3].timer);
  mp_timer_start(loop, &notes[0].timer, now_ns - 1); /* starts anew */
  mp_loop_step(loop, -1);
  assert_int_equal(strlen(trace), 6);
  assert_int_equal(trace[5], '0');
  for (int i = 0; i + 2 < 6; i++)
    assert_true(((trace[i] - '0') * 3) % 7 < ((trace[i + 1] - '0') * 3) % 7);
}

static void many_timers_keep_their_order_whatever_is_stopped(void **state)
{
  enum {
    N = 500
  };
  static mp_timer timers[N];
  uint32_t random = 7;
  uint64_t base_ns = mp_clock_ns() - 1000000, last_ns = 0;
  int left = N;
  (void)state;
  for (int i = 0; i < N; i++) {
    mp_timer_init(&timers[i], NULL);
    random = random * 1664525 + 1013904223;
    mp_timer_start(loop, &timers[i], base_ns + random % 5000);
  }
  for (int i = 0; i < N; i += 3, left--)
    mp_timer_stop(loop, &timers[i]);
  /* stop the earliest again and again: it must never be earlier than the one before */
  for (int k = 0; k < left; k++) {
    int first = -1;
    for (int i = 0; i < N; i++)
      if (timers[i].index == 0)
        first = i;
    assert_true(first >= 0);
    assert_true(timers[first].at_ns >= last_ns);
    last_ns = timers[first].at_ns;
    mp_timer_stop(loop, &timers[first]);
  }
  assert_false(mp_loop_alive(loop));
}

static void a_step_ends_when_a_timer_has_fired(void **state)
{
  note soon, late;
  (void)state;
  trace[0] = '\0';
  note_init(&soon, 's');
  note_init(&late, 'l');
  mp_timer_start(loop, &soon.timer, mp_clock_ns());
  mp_timer_start(loop, &late.timer, mp_clock_ns() + 3600 * 1000 * MS);
  mp_loop_step(loop, -1); /* would not come back for an hour */
  assert_string_equal(trace, "s");
  mp_timer_stop(loop, &late.timer);
}

static void only_what_can_still_happen_keeps_it_alive(void **state)
{
  note loud, quiet;
  (void)state;
  note_init(&loud, 'l');
  note_init(&quiet, 'q');
  quiet.timer.quiet = true;
  assert_false(mp_loop_alive(loop));
  mp_timer_start(loop, &quiet.timer, mp_clock_ns() + 1000 * MS);
  assert_false(mp_loop_alive(loop));
  mp_timer_start(loop, &loud.timer, mp_clock_ns() + 1000 * MS);
  assert_true(mp_loop_alive(loop));
  assert_false(mp_loop_free(loop));
  mp_timer_stop(loop, &loud.timer);
  mp_loop_hold(loop);
  assert_true(mp_loop_alive(loop));
  mp_loop_drop(loop);
  mp_loop_defer(loop, &loud.later);
  assert_true(mp_loop_alive(loop));
  mp_loop_step(loop, 0);
  assert_false(mp_loop_alive(loop));
  mp_timer_stop(loop, &quiet.timer);
}

/* A foreign loop waits on fd for timeout, and steps: nothing is missed. */
static void another_loop_can_drive_it(void **state)
{
  note n;
  struct pollfd watched = {.fd = mp_loop_fd(loop), .events = POLLIN};
  int waits = 0;
  (void)state;
  trace[0] = '\0';
  note_init(&n, 't');
  mp_timer_start(loop, &n.timer, mp_clock_ns() + 30 * MS);
  while (trace[0] == '\0' && waits++ < 1000) {
    int ms = mp_loop_timeout_ms(loop);
    assert_true(ms >= 0 && ms <= 31);
    poll(&watched, 1, ms);
    mp_loop_step(loop, 0);
  }
  assert_string_equal(trace, "t");
  assert_int_equal(mp_loop_timeout_ms(loop), -1);
}

typedef struct pipe_watch {
  uv_poll_t poll;
  int got_n;
} pipe_watch;

static void pipe_readable(uv_poll_t *handle, int status, int events)
{
  pipe_watch *w = mp_container_of(handle, pipe_watch, poll);
  (void)status;
  (void)events;
  w->got_n++;
  uv_poll_stop(handle);
}

static pipe_watch watched_pipe;

static void start_watching(mp_later *later)
{
  (void)later;
  uv_poll_start(&watched_pipe.poll, UV_READABLE, pipe_readable);
  mp_loop_touch(loop);
}

/* libuv tells the kernel of a new watcher only at its next turn: the step has to take that turn. */
static void a_watcher_started_inside_a_step_is_seen_by_the_other_loop(void **state)
{
  int ends[2];
  mp_later later;
  struct pollfd watched = {.fd = mp_loop_fd(loop), .events = POLLIN};
  (void)state;
  assert_int_equal(pipe(ends), 0);
  watched_pipe.got_n = 0;
  uv_poll_init(mp_loop_uv(loop), &watched_pipe.poll, ends[0]);
  mp_later_init(&later, start_watching);
  mp_loop_defer(loop, &later);
  while (mp_loop_timeout_ms(loop) == 0)
    mp_loop_step(loop, 0);
  assert_int_equal(write(ends[1], "x", 1), 1);
  assert_int_equal(poll(&watched, 1, 10000), 1);
  mp_loop_step(loop, 0);
  assert_int_equal(watched_pipe.got_n, 1);
  uv_close((uv_handle_t *)&watched_pipe.poll, NULL);
  turn(2);
  close(ends[0]);
  close(ends[1]);
}

static void things_are_shared_by_name(void **state)
{
  int a, b;
  (void)state;
  assert_null(mp_loop_shared(loop, "gate"));
  assert_int_equal(mp_loop_share(loop, "gate", &a), MP_OK);
  assert_int_equal(mp_loop_share(loop, "other", &b), MP_OK);
  assert_ptr_equal(mp_loop_shared(loop, "gate"), &a);
  assert_ptr_equal(mp_loop_shared(loop, "other"), &b);
  mp_loop_share(loop, "gate", NULL);
  assert_null(mp_loop_shared(loop, "gate"));
}

static void a_chain_of_deferred_work_cannot_keep_sockets_waiting(void **state)
{
  int ends[2];
  note chain;
  (void)state;
  assert_int_equal(pipe(ends), 0);
  trace[0] = '\0';
  note_init(&chain, '.');
  chain.again = 1000000;
  watched_pipe.got_n = 0;
  uv_poll_init(mp_loop_uv(loop), &watched_pipe.poll, ends[0]);
  uv_poll_start(&watched_pipe.poll, UV_READABLE, pipe_readable);
  assert_int_equal(write(ends[1], "x", 1), 1);
  mp_loop_defer(loop, &chain.later);
  turn(2 * 64 + 2);
  assert_int_equal(watched_pipe.got_n, 1);
  assert_true(chain.again > 0);
  mp_later_cancel(&chain.later);
  uv_close((uv_handle_t *)&watched_pipe.poll, NULL);
  turn(2);
  close(ends[0]);
  close(ends[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(deferred_work_runs_in_order_and_never_at_once),
      RIG_TEST(work_that_defers_itself_waits_for_the_next_turn),
      RIG_TEST(timers_fire_in_the_order_of_their_times),
      RIG_TEST(many_timers_keep_their_order_whatever_is_stopped),
      RIG_TEST(a_step_ends_when_a_timer_has_fired),
      RIG_TEST(only_what_can_still_happen_keeps_it_alive),
      RIG_TEST(another_loop_can_drive_it),
      RIG_TEST(a_watcher_started_inside_a_step_is_seen_by_the_other_loop),
      RIG_TEST(things_are_shared_by_name),
      RIG_TEST(a_chain_of_deferred_work_cannot_keep_sockets_waiting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
