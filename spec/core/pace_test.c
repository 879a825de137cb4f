/* pace_test.c - which statements are known to be fast. */
#include "pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US ((uint64_t)1000)
#define MS ((uint64_t)1000000)

static mp_pace *pace;

static int setup(void **state)
{
  (void)state;
  pace = calloc(1, sizeof *pace);
  return pace == NULL ? -1 : 0;
}

static int teardown(void **state)
{
  (void)state;
  free(pace);
  return 0;
}

static void note(uint64_t hash, uint64_t took_ns, int times)
{
  while (times-- > 0)
    mp_pace_note(pace, hash, took_ns, true);
}

static void what_was_never_measured_is_not_fast(void **state)
{
  (void)state;
  assert_false(mp_pace_is_fast(pace, 1));
  note(1, 100 * US, 10);
  assert_true(mp_pace_is_fast(pace, 1));
  assert_false(mp_pace_is_fast(pace, 2));
}

static void what_takes_longer_than_two_milliseconds_is_not_fast(void **state)
{
  (void)state;
  note(1, 100 * US, 1);
  note(2, 100 * US + 2 * MS - US, 1);
  note(3, 100 * US + 2 * MS + 10 * US, 1);
  assert_true(mp_pace_is_fast(pace, 2));
  assert_false(mp_pace_is_fast(pace, 3));
}

static void the_way_to_the_server_does_not_count(void **state)
{
  (void)state;
  note(1, 80 * MS, 5);
  note(2, 81 * MS, 5);
  note(3, 90 * MS, 5);
  assert_true(mp_pace_is_fast(pace, 1));
  assert_true(mp_pace_is_fast(pace, 2));
  assert_false(mp_pace_is_fast(pace, 3));
}

static void what_is_answered_behind_another_says_nothing_of_the_way(void **state)
{
  (void)state;
  note(1, 80 * MS, 5);
  for (int i = 0; i < 100; i++)
    mp_pace_note(pace, 1, 10 * US, false);
  assert_int_equal(pace->way_ns, 80 * MS);
  note(1, 80 * MS, 5);
  assert_true(mp_pace_is_fast(pace, 1));
}

static void a_way_that_became_longer_is_learnt(void **state)
{
  (void)state;
  note(1, 1 * MS, 10);
  note(1, 9 * MS, 100);
  assert_false(mp_pace_is_fast(pace, 1));
  note(1, 9 * MS, 5000);
  assert_true(mp_pace_is_fast(pace, 1));
}

static void one_slow_time_is_forgotten_and_a_slow_statement_found_out(void **state)
{
  (void)state;
  note(1, 100 * US, 10);
  note(1, 50 * MS, 1);
  assert_false(mp_pace_is_fast(pace, 1));
  note(1, 100 * US, 20);
  assert_true(mp_pace_is_fast(pace, 1));
  note(1, 10 * MS, 3);
  assert_false(mp_pace_is_fast(pace, 1));
}

static void the_times_of_one_statement_are_not_anothers(void **state)
{
  (void)state;
  note(7, 100 * US, 5);
  note(7 + MP_PACE_PLACES, 50 * MS, 1); /* the same place */
  assert_false(mp_pace_is_fast(pace, 7));
  assert_false(mp_pace_is_fast(pace, 7 + MP_PACE_PLACES));
  note(7, 100 * US, 1); /* nothing of the other's time is left */
  assert_true(mp_pace_is_fast(pace, 7));
}

static void what_began_more_than_twenty_milliseconds_ago_is_long(void **state)
{
  (void)state;
  note(1, 1 * MS, 1);
  assert_false(mp_pace_is_long(pace, 0, 1000 * MS)); /* it has not begun */
  assert_false(mp_pace_is_long(pace, 100 * MS, 100 * MS));
  assert_false(mp_pace_is_long(pace, 100 * MS, 121 * MS));
  assert_true(mp_pace_is_long(pace, 100 * MS, 121 * MS + 1));
}

#define PACE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      PACE_TEST(what_was_never_measured_is_not_fast),
      PACE_TEST(what_takes_longer_than_two_milliseconds_is_not_fast),
      PACE_TEST(the_way_to_the_server_does_not_count),
      PACE_TEST(what_is_answered_behind_another_says_nothing_of_the_way),
      PACE_TEST(a_way_that_became_longer_is_learnt),
      PACE_TEST(one_slow_time_is_forgotten_and_a_slow_statement_found_out),
      PACE_TEST(the_times_of_one_statement_are_not_anothers),
      PACE_TEST(what_began_more_than_twenty_milliseconds_ago_is_long),
  };
  return cmocka_run_group_tests_name("which statements are fast", tests, NULL, NULL);
}
