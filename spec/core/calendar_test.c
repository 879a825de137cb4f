/* calendar_test.c - every day of ten thousand years, and the texts of dates, times and
** intervals. */
#include "calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void each_day_of_the_years_1_to_9999_comes_back(void **state)
{
  (void)state;
  int64_t expected = MP_DAY_FIRST;
  for (int year = 1; year <= 9999; year++)
    for (int month = 1; month <= 12; month++)
      for (int day = 1; day <= mp_month_days(year, month); day++, expected++) {
        int64_t days = 0, again = 0;
        int y, m, d;
        char text[64];
        assert_true(mp_days_from_date(year, month, day, &days));
        assert_int_equal(days, expected);
        mp_days_to_date(days, &y, &m, &d);
        assert_true(y == year && m == month && d == day);
        assert_int_equal(mp_date_write(days, text), 10);
        assert_true(mp_date_read(text, 10, &again) && again == days);
      }
  assert_int_equal(expected, MP_DAY_LAST + 1);
}

static void days_agree_with_the_c_library(void **state)
{
  (void)state;
  for (int64_t days = MP_DAY_FIRST; days <= MP_DAY_LAST; days += 97) {
    time_t seconds = (time_t)(days * 86400);
    struct tm tm;
    int y, m, d;
    gmtime_r(&seconds, &tm);
    mp_days_to_date(days, &y, &m, &d);
    assert_true(y == tm.tm_year + 1900 && m == tm.tm_mon + 1 && d == tm.tm_mday);
  }
}

static void dates_that_do_not_exist_are_refused(void **state)
{
  (void)state;
  static const char *const wrong[] = {"2023-02-29",
                                      "1900-02-29",
                                      "2100-02-29",
                                      "2024-02-30",
                                      "2024-04-31",
                                      "2024-13-01",
                                      "2024-00-10",
                                      "2024-01-00",
                                      "2024-01-32",
                                      "0000-12-31",
                                      "24-01-01",
                                      "2024-1-1",
                                      "2024/01/01",
                                      "-024-01-01",
                                      "2024-01-0x",
                                      "+024-01-01",
                                      " 2024-01-01",
                                      "2024-01-01 ",
                                      ""};
  int64_t days = 7;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (mp_date_read(wrong[i], strlen(wrong[i]), &days))
      fail_msg("read as a date: %s", wrong[i]);
  assert_int_equal(days, 7);
  assert_true(mp_date_read("2000-02-29", 10, &days) && days == 11016);
  assert_true(mp_date_read("2024-02-29", 10, &days));
  char text[64] = "x";
  assert_int_equal(mp_date_write(MP_DAY_LAST + 1, text), 0);
  assert_int_equal(mp_date_write(MP_DAY_FIRST - 1, text), 0);
}

/* What the text is read as, written again; "" when it is refused. */
static const char *time_again(const char *text)
{
  static char out[64];
  int64_t us;
  out[0] = '\0';
  if (mp_time_read(text, strlen(text), &us))
    mp_time_write(us, out);
  return out;
}

static void times_keep_microseconds(void **state)
{
  (void)state;
  assert_string_equal(time_again("00:00"), "00:00:00");
  assert_string_equal(time_again("23:59:59.999999"), "23:59:59.999999");
  assert_string_equal(time_again("12:30:00.5"), "12:30:00.5");
  assert_string_equal(time_again("12:30:00.500000000"), "12:30:00.5");
  assert_string_equal(time_again("12:30:00.000001"), "12:30:00.000001");
  assert_string_equal(time_again("12:30:00.010"), "12:30:00.01");
  assert_string_equal(time_again("24:00:00"), "24:00:00");
  static const char *const wrong[] = {"24:00:01",
                                      "25:00",
                                      "12:60",
                                      "12:00:60",
                                      "12",
                                      "12:0",
                                      "12:00:0",
                                      "12:00:00.",
                                      "12:00:00.x",
                                      "12:00:00Z",
                                      "12:00:00.0000001",
                                      "1:00:00",
                                      "-1:00:00",
                                      "12:00:00 ",
                                      "24:00:00.000001",
                                      ""};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_string_equal(time_again(wrong[i]), "");
}

static const char *instant_again(const char *text, bool zoned)
{
  static char out[64];
  int64_t us;
  out[0] = '\0';
  if (mp_instant_read(text, strlen(text), zoned, &us))
    mp_instant_write(us, out);
  return out;
}

static void instants_are_brought_to_utc(void **state)
{
  (void)state;
  assert_string_equal(instant_again("2026-11-20T12:00:00Z", true), "2026-11-20 12:00:00");
  assert_string_equal(instant_again("2026-11-20 12:00:00", true), "2026-11-20 12:00:00");
  assert_string_equal(instant_again("2026-11-20t12:00z", true), "2026-11-20 12:00:00");
  assert_string_equal(instant_again("2026-11-20", true), "2026-11-20 00:00:00");
  assert_string_equal(instant_again("2026-01-01T00:30:00+01:00", true), "2025-12-31 23:30:00");
  assert_string_equal(instant_again("2026-01-01T00:30:00.25-0130", true), "2026-01-01 02:00:00.25");
  assert_string_equal(instant_again("2026-01-01T00:30+05", true), "2025-12-31 19:30:00");
  assert_string_equal(instant_again("1969-12-31T23:59:59.999999Z", true),
                      "1969-12-31 23:59:59.999999");
  assert_string_equal(instant_again("0001-01-01T00:00:00", true), "0001-01-01 00:00:00");
  assert_string_equal(instant_again("9999-12-31T23:59:59.999999", true),
                      "9999-12-31 23:59:59.999999");
}

static void instants_outside_or_malformed_are_refused(void **state)
{
  (void)state;
  static const char *const wrong[] = {
      "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-11-20T12:00:00+16:00",
      "2026-11-20T12:00:00+1",     "2026-11-20T12:00:00+01:60", "2026-11-20T12:00:00ZZ",
      "2026-11-20T12:00:00 Z",     "2026-11-20_12:00:00",       "2026-11-20T",
      "2026-11-20T24:00:00",       "2026-11-20T12:00:60Z",      "infinity",
      "2026-02-30T12:00:00Z",      "10000-01-01T00:00:00Z",     "-5000-01-01T00:00:00Z"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_string_equal(instant_again(wrong[i], true), "");
  assert_string_equal(instant_again("2026-11-20T12:00:00Z", false), "");
  assert_string_equal(instant_again("2026-11-20T12:00:00+00", false), "");
  assert_string_equal(instant_again("2026-11-20T12:00:00", false), "2026-11-20 12:00:00");
}

static void the_order_of_texts_is_the_order_of_instants(void **state)
{
  (void)state;
  static const int64_t steps[] = {0, 1, 10, 499999, 500000, 999999, 1000000, 59999999, 86399999999};
  char before[64] = "", now[64];
  for (int64_t day = -400; day < 400; day += 7)
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
      mp_instant_write(day * MP_DAY_US + steps[i], now);
      assert_true(strcmp(before, now) < 0);
      strcpy(before, now);
    }
}

static void months_are_cut_to_the_end_of_the_month(void **state)
{
  (void)state;
  static const struct {
    const char *from;
    int months;
    const char *to;
  } cases[] = {{"2026-01-31 10:00:00", 1, "2026-02-28 10:00:00"},
               {"2024-01-31", 1, "2024-02-29 00:00:00"},
               {"2024-02-29", 12, "2025-02-28 00:00:00"},
               {"2024-03-31", -1, "2024-02-29 00:00:00"},
               {"1969-12-31 23:59:59.5", 2, "1970-02-28 23:59:59.5"},
               {"2026-05-15", -5, "2025-12-15 00:00:00"},
               {"0001-02-01", -1, "0001-01-01 00:00:00"},
               {"9999-11-30", 1, "9999-12-30 00:00:00"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t us = 0;
    char text[64];
    assert_true(mp_instant_read(cases[i].from, strlen(cases[i].from), false, &us));
    assert_true(mp_instant_add_months(&us, cases[i].months));
    mp_instant_write(us, text);
    assert_string_equal(text, cases[i].to);
  }
  int64_t first = MP_INSTANT_FIRST, last = MP_INSTANT_LAST;
  assert_false(mp_instant_add_months(&first, -1));
  assert_false(mp_instant_add_months(&last, 1));
  assert_false(mp_instant_add_months(&last, INT32_MAX));
}

static const char *interval_again(const char *text)
{
  static char out[64];
  mp_interval interval;
  out[0] = '\0';
  if (mp_interval_read(text, strlen(text), &interval))
    mp_interval_write(&interval, out);
  return out;
}

static void intervals_keep_months_days_and_microseconds_apart(void **state)
{
  (void)state;
  static const char *const same[] = {"P1Y2M3DT4H5M6.7S", "PT0S", "P-1Y-2M", "P1DT-1H",
                                     "PT-0.000001S",     "P3D",  "PT36H",   "P14D",
                                     "PT0.5S",           "PT1M"};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    assert_string_equal(interval_again(same[i]), same[i]);
  assert_string_equal(interval_again("P2W"), "P14D");
  assert_string_equal(interval_again("P14M"), "P1Y2M");
  assert_string_equal(interval_again("PT90M"), "PT1H30M");
  assert_string_equal(interval_again("-P1DT2H"), "P-1DT-2H");
  assert_string_equal(interval_again("-P-1D"), "P1D");
  assert_string_equal(interval_again("P0D"), "PT0S");
  assert_string_equal(interval_again("P1Y-12M"), "PT0S");
  static const char *const wrong[] = {"",
                                      "P",
                                      "PT",
                                      "P1DT",
                                      "1D",
                                      "P1S",
                                      "PT1D",
                                      "P1D1Y",
                                      "P1.5D",
                                      "PT1.H",
                                      "PT.5S",
                                      "PT1S1S",
                                      "P1",
                                      "PT5",
                                      "P--1D",
                                      "P1D ",
                                      "p1D",
                                      "PT1S1M",
                                      "P1DTT1H",
                                      "PT1.0000001S",
                                      "P99999999999Y",
                                      "P3000000000D",
                                      "PT99999999999999H",
                                      "PT99999999999999999999999S"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (interval_again(wrong[i])[0] != '\0')
      fail_msg("read as an interval: %s", wrong[i]);
}

static void the_largest_intervals_have_room(void **state)
{
  (void)state;
  static const mp_interval edges[] = {{INT32_MIN, INT32_MIN, INT64_MIN},
                                      {INT32_MAX, INT32_MAX, INT64_MAX}};
  for (int i = 0; i < 2; i++) {
    char text[64];
    mp_interval again;
    size_t n = mp_interval_write(&edges[i], text);
    assert_true(n > 0 && n < sizeof text && strlen(text) == n);
    assert_true(mp_interval_read(text, n, &again));
    assert_memory_equal(&again, &edges[i], sizeof again);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_day_of_the_years_1_to_9999_comes_back),
      cmocka_unit_test(days_agree_with_the_c_library),
      cmocka_unit_test(dates_that_do_not_exist_are_refused),
      cmocka_unit_test(times_keep_microseconds),
      cmocka_unit_test(instants_are_brought_to_utc),
      cmocka_unit_test(instants_outside_or_malformed_are_refused),
      cmocka_unit_test(the_order_of_texts_is_the_order_of_instants),
      cmocka_unit_test(months_are_cut_to_the_end_of_the_month),
      cmocka_unit_test(intervals_keep_months_days_and_microseconds_apart),
      cmocka_unit_test(the_largest_intervals_have_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
