/* value_test.c - values of one kind turned into another, and texts that are hardly text. */
#include "value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static mp_value text_value(const char *s)
{
  return (mp_value){.kind = MP_TEXT, .len = (uint32_t)strlen(s), .s = s};
}

/* The value converted and written as text; "refused" when it cannot be converted. */
static const char *converted(mp_value value, mp_kind want)
{
  static char out[MP_VALUE_TEXT_MAX];
  char text[MP_VALUE_TEXT_MAX];
  mp_interval scratch;
  mp_value before = value;
  if (!mp_value_convert(&value, want, &scratch, text)) {
    assert_memory_equal(&value, &before, sizeof value);
    return "refused";
  }
  assert_int_equal(value.kind, before.kind == MP_NULL ? MP_NULL : want);
  if (mp_value_format(&value, out) == 0)
    snprintf(out, sizeof out, "%.*s", (int)value.len, value.kind == MP_NULL ? "" : value.s);
  return out;
}

static void text_cells_become_what_the_reader_wants(void **state)
{
  (void)state;
  static const struct {
    mp_kind want;
    const char *text, *expected;
  } cases[] = {
      {MP_BOOL, "1", "true"},
      {MP_BOOL, "False", "false"},
      {MP_BOOL, "yes", "refused"},
      {MP_BOOL, "2", "refused"},
      {MP_INT, "-9223372036854775808", "-9223372036854775808"},
      {MP_INT, "9223372036854775807", "9223372036854775807"},
      {MP_INT, "9223372036854775808", "refused"},
      {MP_INT, "-9223372036854775809", "refused"},
      {MP_INT, "99999999999999999999", "refused"},
      {MP_INT, "+7", "7"},
      {MP_INT, "1.5", "refused"},
      {MP_INT, "", "refused"},
      {MP_INT, "-", "refused"},
      {MP_FLOAT, "1.5e3", "1500"},
      {MP_FLOAT, "abc", "refused"},
      {MP_DECIMAL, "12.50", "12.50"},
      {MP_DECIMAL, "+012.50", "12.50"},
      {MP_DECIMAL, "12345678901234567890.12", "12345678901234567890.12"},
      {MP_DECIMAL, "+12345678901234567890.12", "12345678901234567890.12"},
      {MP_DECIMAL, "1,5", "refused"},
      {MP_DATE, "2026-11-20", "2026-11-20"},
      {MP_DATE, "2026-11-31", "refused"},
      {MP_TIME, "12:30", "12:30:00"},
      {MP_DATETIME, "2026-11-20T12:00:00+02:00", "2026-11-20 10:00:00"},
      {MP_WALLTIME, "2026-11-20T12:00:00", "2026-11-20 12:00:00"},
      {MP_WALLTIME, "2026-11-20T12:00:00Z", "refused"},
      {MP_INTERVAL, "P1DT2H", "P1DT2H"},
      {MP_INTERVAL, "tomorrow", "refused"},
      {MP_UUID, "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5d-ac96-774b-bcce-b302099a8057"},
      {MP_UUID, "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8057"},
      {MP_UUID, "01890a5dac96774bbcceb302099a8057", "refused"},
      {MP_UUID, "01890a5d-ac96-774b-bcce-b302099a805g", "refused"},
      {MP_JSON, "{\"a\":1}", "{\"a\":1}"},
      {MP_BLOB, "bytes", "bytes"},
      {MP_TEXT, "text", "text"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(converted(text_value(cases[i].text), cases[i].want), cases[i].expected);
}

static void numbers_are_converted_where_that_is_exact(void **state)
{
  (void)state;
  const mp_value one = {.kind = MP_INT, .i = 1}, yes = {.kind = MP_BOOL, .i = 1};
  const mp_value large = {.kind = MP_INT, .i = INT64_MAX};
  const mp_value odd = {.kind = MP_INT, .i = (INT64_C(1) << 53) + 1};
  const mp_value half = {.kind = MP_FLOAT, .d = 0.5}, five = {.kind = MP_FLOAT, .d = 5};
  const mp_value price = {.kind = MP_DECIMAL, .small = 1, .scale = 2, .i = 1250};
  const mp_value round = {.kind = MP_DECIMAL, .small = 1, .scale = 2, .i = 1200};
  mp_value sum;
  mp_decimal_view("123456789012345678901.000", 25, &sum);
  mp_value vast = {.kind = MP_FLOAT, .d = 1e300}, above = {.kind = MP_FLOAT, .d = 0x1p63};
  mp_value below = {.kind = MP_FLOAT, .d = -0x1p63};

  assert_string_equal(converted(one, MP_BOOL), "true");
  assert_string_equal(converted(large, MP_BOOL), "refused");
  assert_string_equal(converted(yes, MP_INT), "1");
  assert_string_equal(converted(one, MP_FLOAT), "1");
  assert_string_equal(converted(odd, MP_FLOAT), "refused");
  assert_string_equal(converted(large, MP_FLOAT), "refused");
  assert_string_equal(converted(large, MP_DECIMAL), "9223372036854775807");
  assert_string_equal(converted(one, MP_DECIMAL), "1");
  assert_string_equal(converted(half, MP_DECIMAL), "0.5");
  assert_string_equal(converted(vast, MP_DECIMAL), "refused");
  assert_string_equal(converted(half, MP_INT), "refused");
  assert_string_equal(converted(five, MP_INT), "5");
  assert_string_equal(converted(above, MP_INT), "refused");
  assert_string_equal(converted(below, MP_INT), "-9223372036854775808");
  assert_string_equal(converted(price, MP_INT), "refused");
  assert_string_equal(converted(round, MP_INT), "12");
  assert_string_equal(converted(price, MP_FLOAT), "12.5");
  assert_string_equal(converted(sum, MP_INT), "refused");
  assert_string_equal(converted(sum, MP_FLOAT), "123456789012345680000");
  assert_string_equal(converted(price, MP_TEXT), "12.50");
  assert_string_equal(converted(sum, MP_TEXT), "123456789012345678901.000");
  assert_string_equal(converted(half, MP_JSON), "0.5");
  assert_string_equal(converted(half, MP_DATE), "refused");
  assert_string_equal(converted(MP_VALUE_NULL, MP_DATE), "");
}

static void dates_and_datetimes_meet_at_midnight(void **state)
{
  (void)state;
  const mp_value day = {.kind = MP_DATE, .i = -1};
  const mp_value midnight = {.kind = MP_DATETIME, .i = -MP_DAY_US};
  const mp_value later = {.kind = MP_WALLTIME, .i = -MP_DAY_US + 1};
  const mp_value clock = {.kind = MP_TIME, .i = 3600000000};
  assert_string_equal(converted(day, MP_DATETIME), "1969-12-31 00:00:00");
  assert_string_equal(converted(midnight, MP_DATE), "1969-12-31");
  assert_string_equal(converted(later, MP_DATE), "refused");
  assert_string_equal(converted(later, MP_DATETIME), "1969-12-31 00:00:00.000001");
  assert_string_equal(converted(midnight, MP_WALLTIME), "1969-12-31 00:00:00");
  assert_string_equal(converted(clock, MP_INTERVAL), "PT1H");
  assert_string_equal(converted(clock, MP_DATE), "refused");
}

static void bytes_become_text_or_uuid_when_they_are_one(void **state)
{
  (void)state;
  const mp_value bytes = {.kind = MP_BLOB,
                          .len = 16,
                          .s = "\x01\x89\x0a\x5d\xac\x96\x77\x4b\xbc\xce\xb3\x02\x09\x9a\x80\x57"};
  const mp_value word = {.kind = MP_BLOB, .len = 3, .s = "\xe2\x82\xac"};
  assert_string_equal(converted(bytes, MP_UUID), "01890a5d-ac96-774b-bcce-b302099a8057");
  assert_string_equal(converted(bytes, MP_TEXT), "refused");
  assert_string_equal(converted(word, MP_TEXT), "\xe2\x82\xac");
  assert_string_equal(converted(word, MP_UUID), "refused");
  assert_string_equal(converted(word, MP_INT), "refused");
}

/* UTF-8 as the standard's table has it, one code point after the other. */
static size_t text_check_by_the_book(const unsigned char *s, size_t n)
{
  size_t i = 0;
  while (i < n) {
    uint32_t c = s[i];
    size_t len = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 0;
    if (c == 0 || len == 0 || n - i < len)
      return i;
    c = len == 1 ? c : c & (0x7Fu >> len);
    for (size_t k = 1; k < len; k++) {
      if ((s[i + k] & 0xC0) != 0x80)
        return i;
      c = c << 6 | (s[i + k] & 0x3F);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
      return i;
    i += len;
  }
  return n;
}

static void bad_text_is_found_at_its_first_byte(void **state)
{
  (void)state;
  static const struct {
    const char *bytes;
    size_t n, bad;
  } cases[] = {{"plain ascii, longer than a word", 31, 31},
               {"", 0, 0},
               {"a\0b", 3, 1},
               {"12345678\0", 9, 8},
               {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 9},
               {"1234567\xc3\xa4", 9, 9},
               {"1234567\xc3", 8, 7},
               {"\xc0\x80", 2, 0},
               {"a\xe0\x80\x80", 4, 1},
               {"\xed\xa0\x80", 3, 0},
               {"\xf4\x90\x80\x80", 4, 0},
               {"\xf0\x80\x80\x80", 4, 0},
               {"\xff", 1, 0},
               {"\x80", 1, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(mp_text_check(cases[i].bytes, cases[i].n), cases[i].bad);
}

static uint64_t random_state;

static uint64_t random_bits(void)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void random_bytes_never_hurt(void **state)
{
  (void)state;
  static const char likely[] = "0123456789-+:.eETZPYMWDHS truefalse\xc3\xa4\xed\xa0\x80\xf0\x9f";
  random_state = (uint64_t)time(NULL) * 2654435761u + 1;
  print_message("seed %llu\n", (unsigned long long)random_state);
  for (int round = 0; round < 200000; round++) {
    size_t n = random_bits() % 40;
    char *bytes = malloc(n > 0 ? n : 1); /* of its exact size, so that reading beyond is seen */
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
      bytes[i] = random_bits() % 8 == 0 ? (char)random_bits()
                                        : likely[random_bits() % (sizeof likely - 1)];
    if (n >= 10 && random_bits() % 2 == 0)
      memcpy(bytes, "2024-02-29", 10);
    assert_int_equal(mp_text_check(bytes, n), text_check_by_the_book((unsigned char *)bytes, n));
    for (int kind = 0; kind < MP_KIND_N; kind++) {
      char text[MP_VALUE_TEXT_MAX], again[MP_VALUE_TEXT_MAX], third[MP_VALUE_TEXT_MAX];
      mp_interval scratch;
      mp_value value = {.kind = MP_TEXT, .len = (uint32_t)n, .s = bytes}, back;
      if (kind == MP_NULL || !mp_value_convert(&value, (mp_kind)kind, &scratch, text))
        continue;
      /* what was read is written and read again as the same */
      size_t len = mp_value_format(&value, again);
      if (len == 0)
        continue;
      assert_true(mp_value_parse((mp_kind)kind, again, len, &back, &scratch));
      assert_int_equal(mp_value_format(&back, third), len);
      assert_string_equal(again, third);
    }
    free(bytes);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_cells_become_what_the_reader_wants),
      cmocka_unit_test(numbers_are_converted_where_that_is_exact),
      cmocka_unit_test(dates_and_datetimes_meet_at_midnight),
      cmocka_unit_test(bytes_become_text_or_uuid_when_they_are_one),
      cmocka_unit_test(bad_text_is_found_at_its_first_byte),
      cmocka_unit_test(random_bytes_never_hurt),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
