/* numeral_test.c - numbers as text, exactly: decimals of any length, the shortest text of a
** double. */
#include "numeral.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *canonical(const char *text)
{
  static char out[MP_DECIMAL_TEXT_MAX];
  if (mp_decimal_canonical(text, strlen(text), out) == 0)
    out[0] = '\0';
  return out;
}

static void decimal_text_becomes_canonical(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
      {"0", "0"},
      {"-0", "0"},
      {"-0.00", "0.00"},
      {"+1.20", "1.20"},
      {"007", "7"},
      {"000.500", "0.500"},
      {".5", "0.5"},
      {"5.", "5"},
      {"1e5", "100000"},
      {"1.5e-3", "0.0015"},
      {"1.20e1", "12.0"},
      {"1.20E+2", "120"},
      {"-12.5e-1", "-1.25"},
      {"0e9", "0"},
      {"0e-3", "0.000"},
      {"0.001e3", "1"},
      {"0.0012e3", "1.2"},
      {"00.0120e1", "0.120"},
      {"100e-2", "1.00"},
      {"1e0", "1"},
      {"123456789012345678901234567890.12", "123456789012345678901234567890.12"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(canonical(cases[i][0]), cases[i][1]);
}

static void text_that_is_no_decimal_is_refused(void **state)
{
  (void)state;
  static const char *const wrong[] = {"",    "-",      ".",       "+.",
                                      "e5",  "1e",     "1e+",     "1.2.3",
                                      "1,5", " 1",     "1 ",      "0x10",
                                      "NaN", "inf",    "--1",     "1e5.0",
                                      "1_0", "1e1001", "1e-1001", "1e99999999999999999999"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_string_equal(canonical(wrong[i]), "");
}

static void a_thousand_digits_fit_and_one_more_does_not(void **state)
{
  (void)state;
  char text[MP_DECIMAL_TEXT_MAX + 8], out[MP_DECIMAL_TEXT_MAX];
  memset(text, '7', 1001);
  assert_int_equal(mp_decimal_canonical(text, 1000, out), 1000);
  assert_int_equal(mp_decimal_canonical(text, 1001, out), 0);
  assert_int_equal(strlen(canonical("1e999")), 1000);
  assert_int_equal(strlen(canonical("-1e-999")), 1002);
  assert_string_equal(canonical("1e1000"), "");
}

static void a_decimal_of_eighteen_digits_is_small(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    bool small;
    int64_t i;
    int scale;
  } cases[] = {{"1.20", true, 120, 2},
               {"-0.05", true, -5, 2},
               {"999999999999999999", true, 999999999999999999, 0},
               {"-999999999999999.999", true, -999999999999999999, 3},
               {"0.000000000000000001", true, 1, 18},
               {"0.0000000000000000001", false, 0, 0},
               {"1000000000000000000", false, 0, 0},
               {"-9999999999999999999999", false, 0, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mp_value value;
    mp_decimal_view(cases[i].text, strlen(cases[i].text), &value);
    assert_int_equal(value.kind, MP_DECIMAL);
    assert_int_equal(value.small, cases[i].small);
    if (cases[i].small) {
      char text[MP_VALUE_TEXT_MAX];
      assert_int_equal(value.i, cases[i].i);
      assert_int_equal(value.scale, cases[i].scale);
      mp_value_format(&value, text);
      assert_string_equal(text, cases[i].text);
    } else {
      assert_ptr_equal(value.s, cases[i].text);
      assert_int_equal(value.len, strlen(cases[i].text));
    }
  }
}

static const char *double_text(double d)
{
  static char out[MP_VALUE_TEXT_MAX];
  size_t n = mp_double_text(d, out);
  assert_int_equal(n, strlen(out));
  return out;
}

static void a_double_gets_its_shortest_text(void **state)
{
  (void)state;
  static const struct {
    double d;
    const char *text;
  } cases[] = {{0.1, "0.1"},
               {1.0, "1"},
               {-0.0, "-0"},
               {100.0, "100"},
               {-2.5, "-2.5"},
               {1.0 / 3, "0.3333333333333333"},
               {0.1 + 0.2, "0.30000000000000004"},
               {1e15, "1000000000000000"},
               {1e22, "10000000000000000000000"},
               {1.5e25, "15000000000000000000000000"},
               {1e29, "100000000000000000000000000000"},
               {1e30, "1e30"},
               {-1e29, "-1e29"},
               {1.25e300, "1.25e300"},
               {1e-7, "0.0000001"},
               {1.5e-30, "1.5e-30"},
               {0x1p-44, "5.684341886080802e-14"},
               {5e-324, "5e-324"},
               {2.2250738585072014e-308, "2.2250738585072014e-308"},
               {1.7976931348623157e308, "1.7976931348623157e308"},
               {9007199254740993.0, "9007199254740992"},
               {(double)INFINITY, "Infinity"},
               {-(double)INFINITY, "-Infinity"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double back;
    assert_string_equal(double_text(cases[i].d), cases[i].text);
    assert_true(mp_numeral_float(cases[i].text, strlen(cases[i].text), &back) &&
                back == cases[i].d);
  }
  assert_string_equal(double_text((double)NAN), "NaN");
}

static uint64_t random_state;

static uint64_t random_bits(void)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* Those before an exponent, without zeros at either end. */
static int significant_digits(const char *text)
{
  int n = 0, zeros = 0;
  for (; *text != '\0' && *text != 'e'; text++)
    if (*text == '0' && n > 0)
      zeros++;
    else if (*text >= '1' && *text <= '9')
      n += zeros + 1, zeros = 0;
  return n;
}

static void random_doubles_read_back(void **state)
{
  (void)state;
  random_state = (uint64_t)time(NULL) * 2654435761u + 1;
  print_message("seed %llu\n", (unsigned long long)random_state);
  for (int i = 0; i < 30000; i++) {
    uint64_t bits = random_bits();
    double d, back = 0;
    char brief[48];
    memcpy(&d, &bits, sizeof d);
    if (!isfinite(d))
      continue;
    const char *text = double_text(d);
    assert_true(mp_numeral_float(text, strlen(text), &back));
    assert_memory_equal(&back, &d, sizeof d);
    assert_true(strtod(text, NULL) == d);
    snprintf(brief, sizeof brief, "%.15g", d);
    if (strtod(brief, NULL) == d)
      assert_true(significant_digits(text) <= 15);
  }
}

static void floats_are_read_to_the_nearest(void **state)
{
  (void)state;
  static const char *const texts[] = {"0.1",
                                      "1e23",
                                      "8.5e22",
                                      "9007199254740993",
                                      "1.7976931348623158e308",
                                      "4.9e-324",
                                      "2.47e-324",
                                      "2.48e-324",
                                      "0.000001e10",
                                      "123456789.123456789123456789",
                                      "-.5",
                                      "5.",
                                      "1e-400",
                                      "0e999999999",
                                      "00000000000000000000000000000000001.5"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    double d;
    assert_true(mp_numeral_float(texts[i], strlen(texts[i]), &d));
    assert_true(d == strtod(texts[i], NULL));
  }

  /* exactly halfway between two doubles but for its 1002nd digit */
  char text[1100] = "9007199254740993.";
  double d;
  memset(text + 17, '0', 1000);
  assert_true(mp_numeral_float(text, 1017, &d) && d == 9007199254740992.0);
  text[1016] = '1';
  assert_true(mp_numeral_float(text, 1017, &d) && d == 9007199254740994.0);

  static const char *const wrong[] = {"",     "1e309",   "-1e400", "0x1p3",
                                      "nanx", "infinit", "-nan",   "1 "};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (mp_numeral_float(wrong[i], strlen(wrong[i]), &d))
      fail_msg("read as a float: %s", wrong[i]);
  assert_true(mp_numeral_float("-Infinity", 9, &d) && d == -(double)INFINITY);
  assert_true(mp_numeral_float("NaN", 3, &d) && isnan(d));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decimal_text_becomes_canonical),
      cmocka_unit_test(text_that_is_no_decimal_is_refused),
      cmocka_unit_test(a_thousand_digits_fit_and_one_more_does_not),
      cmocka_unit_test(a_decimal_of_eighteen_digits_is_small),
      cmocka_unit_test(a_double_gets_its_shortest_text),
      cmocka_unit_test(random_doubles_read_back),
      cmocka_unit_test(floats_are_read_to_the_nearest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
