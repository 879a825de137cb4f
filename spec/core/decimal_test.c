/* decimal_test.c - exact decimal arithmetic: rules of scale, rounding, both ways of calculating. */
#include "decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

typedef mp_status (*binary)(const mp_value *a, const mp_value *b, mp_value *out, char *text);

static mp_value read(const char *s, char *text)
{
  mp_value value;
  if (!mp_decimal_read(s, strlen(s), &value, text))
    fail_msg("not a decimal: %s", s);
  return value;
}

/* "out_of_range" and the like for a failure. */
static void check(binary operation, const char *a, const char *b, const char *expected)
{
  char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX], text[MP_DECIMAL_TEXT_MAX];
  mp_value x = read(a, ta), y = read(b, tb), result;
  mp_status st = operation(&x, &y, &result, text);
  if (st != MP_OK) {
    assert_string_equal(mp_status_name(st), expected);
    return;
  }
  char written[MP_DECIMAL_TEXT_MAX];
  size_t n = mp_decimal_write(&result, written);
  assert_string_equal(written, expected);
  assert_int_equal(n, strlen(expected));
  size_t digits = n - (written[0] == '-') - (strchr(written, '.') != NULL);
  assert_true(result.small || digits > 18 || mp_decimal_scale(&result) > 18);
}

#define THIRTY "123456789012345678901234567890"

static void sums_keep_the_greater_scale(void **state)
{
  (void)state;
  check(mp_decimal_add, "1.20", "3", "4.20");
  check(mp_decimal_add, "0.1", "0.2", "0.3");
  check(mp_decimal_add, "-1.5", "1.50", "0.00");
  check(mp_decimal_sub, "1", "1.000", "0.000");
  check(mp_decimal_sub, "0", "0.05", "-0.05");
  check(mp_decimal_add, "999999999999999999", "1", "1000000000000000000");
  check(mp_decimal_add, THIRTY ".12", "0.88", "123456789012345678901234567891.00");
  check(mp_decimal_sub, THIRTY, THIRTY, "0");
  check(mp_decimal_add, "99999999999999999999999999999999999999", "1",
        "100000000000000000000000000000000000000");
  check(mp_decimal_sub, THIRTY THIRTY "." THIRTY, THIRTY THIRTY, "0." THIRTY);
}

static void products_add_their_scales(void **state)
{
  (void)state;
  check(mp_decimal_mul, "1.20", "0.5", "0.600");
  check(mp_decimal_mul, "-3", "0.00", "0.00");
  check(mp_decimal_mul, "123456789.123456789", "-987654321.987654321",
        "-121932631356500531.347203169112635269");
  check(mp_decimal_mul, "99999999999999999999", "99999999999999999999",
        "9999999999999999999800000000000000000001");
  check(mp_decimal_mul, THIRTY, "0", "0");
}

static void quotients_have_six_more_digits(void **state)
{
  (void)state;
  check(mp_decimal_div, "1", "3", "0.333333");
  check(mp_decimal_div, "2", "3", "0.666667");
  check(mp_decimal_div, "1.00", "4", "0.25");
  check(mp_decimal_div, "7", "2", "3.5");
  check(mp_decimal_div, "6.00", "3", "2.00");
  check(mp_decimal_div, "-1", "3.00", "-0.33333333");
  check(mp_decimal_div, "1", "2000000", "0.000001"); /* exactly halfway: away from zero */
  check(mp_decimal_div, "-1", "2000000", "-0.000001");
  check(mp_decimal_div, "3", "2000000", "0.000002");
  check(mp_decimal_div, "0.00", "-5", "0.00");
  check(mp_decimal_div, "1", "0.000000000000000000000000000003", /* never fewer digits than given */
        "333333333333333333333333333333.333333333333333333333333333333");
  check(mp_decimal_div, THIRTY THIRTY, THIRTY, "1000000000000000000000000000001");
  check(mp_decimal_div, "1", "0.00", "division_by_zero");
}

static void whole_quotients_cut_towards_zero_and_rests_take_the_dividends_sign(void **state)
{
  (void)state;
  check(mp_decimal_idiv, "7", "2", "3");
  check(mp_decimal_idiv, "-7", "2", "-3");
  check(mp_decimal_idiv, "7.5", "-0.5", "-15");
  check(mp_decimal_mod, "7", "-2", "1");
  check(mp_decimal_mod, "-7.5", "2", "-1.5");
  check(mp_decimal_mod, "1.00", "0.3", "0.10");
  check(mp_decimal_mod, THIRTY THIRTY "7", "10", "7");
  check(mp_decimal_idiv, THIRTY THIRTY, "-10",
        "-12345678901234567890123456789012345678901234567890"
        "123456789");
  check(mp_decimal_mod, "1", "0", "division_by_zero");
  check(mp_decimal_idiv, "1", "0", "division_by_zero");
}

static void halves_are_rounded_away_from_zero(void **state)
{
  static const struct {
    const char *from;
    int scale;
    const char *to;
  } rows[] = {
      {"2.5", 0, "3"},
      {"3.5", 0, "4"},
      {"-2.5", 0, "-3"},
      {"-3.5", 0, "-4"},
      {"2.51", 0, "3"},
      {"0.125", 2, "0.13"},
      {"0.135", 2, "0.14"},
      {"-0.5", 0, "-1"},
      {"1", 3, "1.000"},
      {"0.004", 2, "0.00"},
      {"-0.004", 2, "0.00"},
      {"999.995", 2, "1000.00"},
      {"99999999999999999999999999999999999999999.5", 0,
       "100000000000000000000000000000000000000000"},
      {"0.00000000000000000000000000000000000000000000005", 46,
       "0.0000000000000000000000000000000000000000000001"},
      {"0.00000000000000000000000000000000000000000000015", 46,
       "0.0000000000000000000000000000000000000000000002"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[MP_DECIMAL_TEXT_MAX], written[MP_DECIMAL_TEXT_MAX];
    mp_value x = read(rows[i].from, text);
    assert_int_equal(mp_decimal_quantize(&x, rows[i].scale, &x, text), MP_OK);
    mp_decimal_write(&x, written);
    assert_string_equal(written, rows[i].to);
  }
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value one = {.kind = MP_INT, .i = 1};
  assert_int_equal(mp_decimal_quantize(&one, -1, &one, text), MP_E_OUT_OF_RANGE);
  assert_int_equal(mp_decimal_quantize(&one, 1001, &one, text), MP_E_OUT_OF_RANGE);
}

static void numbers_compare_by_value(void **state)
{
  /* ascending; those on one line are equal */
  static const char *const order[][3] = {
      {"-" THIRTY THIRTY, "-" THIRTY THIRTY ".0"},
      {"-" THIRTY, "-" THIRTY ".00"},
      {"-10", "-10.0", "-10.00000000000000000000000000000000000000000"},
      {"-9.99"},
      {"-0.000000000000000000000000000000000000000000001"},
      {"0", "0.00", "0.0000000000000000000000000000000000000000"},
      {"0.000000000000000000000000000000000000000000001"},
      {"1.2", "1.20", "1.200000000000000000000000000000000000000"},
      {"9"},
      {"10"},
      {THIRTY},
      {THIRTY ".000000000000000000000000000001"},
      {THIRTY THIRTY},
  };
  const int n = sizeof order / sizeof *order;
  (void)state;
  for (int i = 0; i < n * 3; i++)
    for (int j = 0; j < n * 3; j++) {
      const char *a = order[i / 3][i % 3], *b = order[j / 3][j % 3];
      char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
      if (a == NULL || b == NULL)
        continue;
      mp_value x = read(a, ta), y = read(b, tb);
      int got = mp_decimal_cmp(&x, &y), wanted = i / 3 - j / 3;
      assert_int_equal((got > 0) - (got < 0), (wanted > 0) - (wanted < 0));
    }
}

static void integers_are_operands_too(void **state)
{
  (void)state;
  char text[MP_DECIMAL_TEXT_MAX], written[MP_DECIMAL_TEXT_MAX];
  mp_value least = {.kind = MP_INT, .i = INT64_MIN}, out;
  assert_int_equal(mp_decimal_neg(&least, &out, text), MP_OK);
  mp_decimal_write(&out, written);
  assert_string_equal(written, "9223372036854775808");
  assert_int_equal(mp_decimal_mul(&least, &least, &out, text), MP_OK);
  mp_decimal_write(&out, written);
  assert_string_equal(written, "85070591730234615865843651857942052864");
  mp_decimal_write(&least, written);
  assert_string_equal(written, "-9223372036854775808");
}

static void whole_numbers_and_doubles_come_out(void **state)
{
  char text[MP_DECIMAL_TEXT_MAX];
  int64_t i = 0;
  (void)state;
  mp_value x = read("5.00", text);
  assert_true(mp_decimal_integer(&x, &i) && i == 5);
  x = read("5.01", text);
  assert_false(mp_decimal_integer(&x, &i));
  x = read("-9223372036854775808.000", text);
  assert_true(mp_decimal_integer(&x, &i) && i == INT64_MIN);
  x = read("9223372036854775808", text);
  assert_false(mp_decimal_integer(&x, &i));
  x = read("0.1", text);
  assert_true(mp_decimal_double(&x) == 0.1);
  x = read("-123456789012345678901234567890.5", text);
  assert_true(mp_decimal_double(&x) == -123456789012345678901234567890.5);
  assert_true(!mp_decimal_is_zero(&x));
  x = read("0.0000000000000000000000000000000000000000000000000000", text);
  assert_true(mp_decimal_is_zero(&x));
}

static void results_over_a_thousand_digits_are_out_of_range(void **state)
{
  char big[MP_DECIMAL_TEXT_MAX], text[MP_DECIMAL_TEXT_MAX];
  mp_value x, y, before;
  (void)state;
  memset(big, '9', 1000);
  assert_true(mp_decimal_read(big, 1000, &x, text));
  y = (mp_value){.kind = MP_INT, .i = 1};
  before = x;
  char out[MP_DECIMAL_TEXT_MAX];
  assert_int_equal(mp_decimal_add(&x, &y, &before, out), MP_E_OUT_OF_RANGE);
  assert_int_equal(mp_decimal_mul(&x, &x, &before, out), MP_E_OUT_OF_RANGE);
  assert_memory_equal(&before, &x, sizeof x);
  assert_int_equal(mp_decimal_sub(&x, &y, &before, out), MP_OK);
  assert_int_equal(before.len, 1000);
}

static void not_a_number_is_not_read(void **state)
{
  static const char *const bad[] = {"",    "-",  ".",    "abc", "1.2.3", "1,5",
                                    "--1", "1e", "0x10", "1 ",  "nan",   "inf"};
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value value;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (mp_decimal_read(bad[i], strlen(bad[i]), &value, text))
      fail_msg("read as a decimal: \"%s\"", bad[i]);
}

/* Random numbers: the laws that tie the operations together, over both ways of calculating. */
static void random_text(char *out, unsigned *seed)
{
  int whole = 1 + (int)(rand_r(seed) % 60), fraction = (int)(rand_r(seed) % 40);
  if (rand_r(seed) % 3 == 0)
    whole = 1 + whole % 9, fraction %= 5;
  if (rand_r(seed) % 2)
    *out++ = '-';
  *out++ = (char)('1' + rand_r(seed) % 9);
  while (--whole > 0)
    *out++ = (char)('0' + rand_r(seed) % 10);
  if (fraction > 0)
    *out++ = '.';
  while (fraction-- > 0)
    *out++ = (char)('0' + rand_r(seed) % 10);
  *out = '\0';
}

static void operations_agree_with_each_other(void **state)
{
  const char *given = getenv("MOONPOOL_SEED");
  unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
  (void)state;
  print_message("seed %u\n", seed);
  for (int i = 0; i < 5000; i++) {
    char sa[128], sb[128], ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
    char t1[MP_DECIMAL_TEXT_MAX], t2[MP_DECIMAL_TEXT_MAX], t3[MP_DECIMAL_TEXT_MAX];
    random_text(sa, &seed);
    random_text(sb, &seed);
    mp_value a = read(sa, ta), b = read(sb, tb), x, y, z;
    /* (a + b) - b = a */
    assert_int_equal(mp_decimal_add(&a, &b, &x, t1), MP_OK);
    assert_int_equal(mp_decimal_sub(&x, &b, &x, t1), MP_OK);
    assert_int_equal(mp_decimal_cmp(&x, &a), 0);
    /* a = b * (a idiv b) + a mod b, and the rest is smaller than b */
    assert_int_equal(mp_decimal_idiv(&a, &b, &x, t1), MP_OK);
    assert_int_equal(mp_decimal_mod(&a, &b, &y, t2), MP_OK);
    assert_int_equal(mp_decimal_mul(&x, &b, &z, t3), MP_OK);
    assert_int_equal(mp_decimal_add(&z, &y, &z, t3), MP_OK);
    assert_int_equal(mp_decimal_cmp(&z, &a), 0);
    /* a * b divided by b is a, to its digits */
    assert_int_equal(mp_decimal_mul(&a, &b, &x, t1), MP_OK);
    assert_int_equal(mp_decimal_div(&x, &b, &y, t2), MP_OK);
    assert_int_equal(mp_decimal_cmp(&y, &a), 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_keep_the_greater_scale),
      cmocka_unit_test(products_add_their_scales),
      cmocka_unit_test(quotients_have_six_more_digits),
      cmocka_unit_test(whole_quotients_cut_towards_zero_and_rests_take_the_dividends_sign),
      cmocka_unit_test(halves_are_rounded_away_from_zero),
      cmocka_unit_test(numbers_compare_by_value),
      cmocka_unit_test(integers_are_operands_too),
      cmocka_unit_test(whole_numbers_and_doubles_come_out),
      cmocka_unit_test(results_over_a_thousand_digits_are_out_of_range),
      cmocka_unit_test(not_a_number_is_not_read),
      cmocka_unit_test(operations_agree_with_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
