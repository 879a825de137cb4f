/* postgres_param_test.c - parameters of PostgreSQL's types: values in the form that the server wants.
** The bytes are the server's own for that value: select encode(int2send(300::int2), 'hex') and so
** on. What stands in ' ' goes as text. */
#include "backend/postgres_form.h"
#include "postgres_bytes.h"

#include <math.h>
#include <time.h>

#define UUID_TEXT "01890a5d-ac96-774b-bcce-b302099a8057"
#define NOON_US INT64_C(1795177800000000) /* 2026-11-20T12:30:00Z */
#define DAY_US INT64_C(1795132800000000)  /* the beginning of that day */

/* The parameter's bytes in hex, its text in ' ', "null", or the kind of the error. */
static void write_param(uint32_t oid, const mp_value *value, char *out)
{
  mp_arena *arena = mp_arena_new(0);
  mp_pgparam param = {0};
  mp_error err = MP_ERROR_NONE;
  if (!mp_pgtype_param(oid, value, arena, &param, &err)) {
    assert_non_null(err.message);
    strcpy(out, mp_status_name(err.kind));
  } else if (param.data == NULL) {
    strcpy(out, "null");
  } else if (param.format == 1) {
    to_hex(param.data, (size_t)param.len, out);
  } else {
    assert_int_equal(strlen(param.data), param.len);
    sprintf(out, "'%s'", param.data);
  }
  mp_arena_free(arena);
}

static void check(uint32_t oid, mp_value value, const char *expected)
{
  char written[SHOWN_MAX];
  write_param(oid, &value, written);
  assert_string_equal(written, expected);
}

static mp_value of(mp_kind kind, int64_t i)
{
  return (mp_value){.kind = (uint8_t)kind, .i = i};
}

static mp_value a_float(double d)
{
  return (mp_value){.kind = MP_FLOAT, .d = d};
}

static mp_value decimal(const char *s)
{
  mp_value value;
  mp_decimal_view(s, strlen(s), &value);
  return value;
}

static void whole_numbers_go_to_every_type_of_number(void **state)
{
  (void)state;
  check(INT2, of(MP_INT, 300), "012c");
  check(INT4, of(MP_INT, -1), "ffffffff");
  check(INT8, of(MP_INT, 300), "000000000000012c");
  check(INT8, of(MP_INT, INT64_MIN), "8000000000000000");
  check(OID, of(MP_INT, 4294967295), "ffffffff");
  check(FLOAT8, of(MP_INT, 300), "4072c00000000000");
  check(NUMERIC, of(MP_INT, 0), "0000000000000000");
  check(NUMERIC, of(MP_INT, 300), "0001000000000000012c");
  check(NUMERIC, of(MP_INT, INT64_MAX), "0005000400000000039a0d2c0170156516af");
  check(NUMERIC, of(MP_INT, INT64_MIN), "0005000440000000039a0d2c0170156516b0");
  check(MONEY, of(MP_INT, -7), "fffffffffffffd44");
  check(TEXT, of(MP_INT, 300), "333030");
  check(JSONB, of(MP_INT, 5), "0135");
}

static void a_number_that_does_not_fit_is_refused(void **state)
{
  (void)state;
  check(INT2, of(MP_INT, 32768), "out_of_range");
  check(INT2, of(MP_INT, -32769), "out_of_range");
  check(INT4, of(MP_INT, INT64_C(2147483648)), "out_of_range");
  check(OID, of(MP_INT, -1), "out_of_range");
  check(INT4, a_float(1.5), "out_of_range");
  check(INT8, a_float(0x1p63), "out_of_range");
  check(INT4, a_float(NAN), "out_of_range");
  check(INT4, decimal("1.50"), "out_of_range");
  check(FLOAT8, of(MP_INT, (INT64_C(1) << 53) + 1), "out_of_range");
  check(FLOAT4, a_float(1e39), "out_of_range");
  check(FLOAT4, a_float(1e-60), "out_of_range");
  check(MONEY, decimal("1.234"), "out_of_range");
  check(MONEY, decimal("92233720368547758.08"), "out_of_range");
  check(MONEY, a_float(INFINITY), "out_of_range");
}

static void decimals_and_floats_are_exact(void **state)
{
  (void)state;
  check(NUMERIC, decimal("12.50"), "0002000000000002000c1388");
  check(NUMERIC, decimal("-0.5"), "0001ffff400000011388");
  check(NUMERIC, decimal("0.0000000001"), "0001fffd0000000a0064");
  check(NUMERIC, decimal("-123456789012345678901234567890.123456789"),
        "000b000740000009000c0d801ed204d2162e23340d801ed204d2162e2328");
  check(NUMERIC, a_float(0.1), "0001ffff0000000103e8");
  check(NUMERIC, a_float(1e300), "0001004b000000000001");
  check(NUMERIC, a_float(NAN), "00000000c0000000");
  check(NUMERIC, a_float(INFINITY), "00000000d0000000");
  check(NUMERIC, a_float(-INFINITY), "00000000f0000000");
  check(INT4, decimal("5.00"), "00000005");
  check(INT4, a_float(5), "00000005");
  check(MONEY, decimal("12.5"), "00000000000004e2");
  check(FLOAT4, a_float(0.1), "3dcccccd");
  check(FLOAT8, decimal("0.1"), "3fb999999999999a");
  check(FLOAT8, a_float(-0.0), "8000000000000000");
  check(TEXT, decimal("12.50"), "31322e3530");
}

static void a_short_decimal_has_the_bytes_of_its_text(void **state)
{
  static const int64_t numbers[] = {0,          1,         9,          9999,
                                    10000,      10001,     90000,      99999999,
                                    1000000000, 123456789, 1234567890, 100000000000000000,
                                    20003,      100020000, 7000000001, 999999999999999999};
  mp_arena *arena = mp_arena_new(0);
  mp_error err = MP_ERROR_NONE;
  int quick_n = 0;
  (void)state;
  for (unsigned scale = 0; scale <= 18; scale++)
    for (size_t i = 0; i < 2 * sizeof numbers / sizeof *numbers; i++) {
      int64_t number = i % 2 == 0 ? numbers[i / 2] : -numbers[i / 2];
      mp_value value = {.kind = MP_DECIMAL, .small = 1, .scale = (uint16_t)scale, .i = number};
      mp_pgwriter quick = {.arena = arena, .err = &err}, slow = quick;
      char text[MP_VALUE_TEXT_MAX];
      mp_pgwrite_numeric(&slow, text, mp_value_format(&value, text));
      if (!mp_pgwrite_small(&quick, number, scale))
        continue;
      assert_int_equal(quick.len, slow.len);
      assert_memory_equal(quick.data, slow.data, slow.len);
      quick_n++;
    }
  assert_int_equal(quick_n, 17 * 2 * sizeof numbers / sizeof *numbers);
  mp_arena_free(arena);
}

static void times_go_where_they_lose_nothing(void **state)
{
  mp_interval interval = {1, 2, 3000000};
  mp_value span = {.kind = MP_INTERVAL, .v = &interval};
  (void)state;
  check(DATE, of(MP_DATE, 20777), "0000265c");
  check(DATE, of(MP_DATETIME, DAY_US), "0000265c");
  check(DATE, of(MP_WALLTIME, DAY_US), "0000265c");
  check(DATE, of(MP_DATETIME, NOON_US), "out_of_range");
  check(TIMESTAMP, of(MP_WALLTIME, NOON_US), "000303b32bdc0200");
  check(TIMESTAMP, of(MP_DATETIME, NOON_US), "000303b32bdc0200");
  check(TIMESTAMPTZ, of(MP_DATETIME, NOON_US), "000303b32bdc0200");
  check(TIMESTAMPTZ, of(MP_WALLTIME, NOON_US), "000303b32bdc0200");
  check(TIMESTAMPTZ, of(MP_DATE, 20777), "000303a8b1a68000");
  check(TIME, of(MP_TIME, INT64_C(45000000000)), "0000000a7a358200");
  check(INTERVAL, of(MP_TIME, INT64_C(45000000000)), "0000000a7a3582000000000000000000");
  check(INTERVAL, span, "00000000002dc6c00000000200000001");
  check(TIMETZ, of(MP_TIME, 0), "type_mismatch");
  check(TEXT, of(MP_DATETIME, NOON_US), "323032362d31312d32302031323a33303a30302b3030");
}

static void a_text_for_another_type_is_read_by_the_server(void **state)
{
  (void)state;
  check(INT4, a_text(MP_TEXT, "5"), "'5'");
  check(TIMESTAMPTZ, a_text(MP_TEXT, "now"), "'now'");
  check(INT4_ARRAY, a_text(MP_TEXT, "{1,2}"), "'{1,2}'");
  check(INET, a_text(MP_TEXT, "10.0.0.1"), "'10.0.0.1'");
  check(XML, a_text(MP_TEXT, "<a/>"), "'<a/>'");
  check(16385, a_text(MP_TEXT, "happy"), "'happy'");
  check(TEXT, a_text(MP_TEXT, "a"), "61");
  check(TEXT, a_text(MP_TEXT, ""), "");
  check(BYTEA, a_text(MP_TEXT, "a"), "type_mismatch");
}

static void other_kinds_go_to_their_own_types_only(void **state)
{
  mp_value blob = {.kind = MP_BLOB, .len = 3, .s = "\0\xff\\"};
  (void)state;
  check(BOOL, of(MP_BOOL, 1), "01");
  check(BOOL, of(MP_INT, 1), "type_mismatch");
  check(INT4, of(MP_BOOL, 1), "type_mismatch");
  check(BYTEA, blob, "00ff5c");
  check(TEXT, blob, "type_mismatch");
  check(UUID, a_text(MP_UUID, UUID_TEXT), "01890a5dac96774bbcceb302099a8057");
  check(UUID, of(MP_INT, 1), "type_mismatch");
  check(JSON, a_text(MP_JSON, "[1]"), "5b315d");
  check(JSONB, a_text(MP_JSON, "[1]"), "015b315d");
  check(TEXT, a_text(MP_JSON, "[1]"), "5b315d");
  check(JSONB, of(MP_BOOL, 1), "0174727565");
  check(JSONB, a_float(NAN), "type_mismatch");
  check(INT4, a_text(MP_JSON, "[1]"), "type_mismatch");
  check(INET, of(MP_INT, 1), "type_mismatch");
  check(INT4, MP_VALUE_NULL, "null");
  check(INT4_ARRAY, MP_VALUE_NULL, "null");
}

static void without_a_type_everything_is_text(void **state)
{
  mp_value blob = {.kind = MP_BLOB, .len = 3, .s = "\0\xff\\"};
  (void)state;
  for (uint32_t oid = 0; oid <= 16385; oid += 16385) {
    check(oid, of(MP_INT, -5), "'-5'");
    check(oid, of(MP_BOOL, 1), "'true'");
    check(oid, a_float(INFINITY), "'Infinity'");
    check(oid, decimal("12.50"), "'12.50'");
    check(oid, of(MP_DATETIME, NOON_US), "'2026-11-20 12:30:00+00'");
    check(oid, of(MP_DATE, 20777), "'2026-11-20'");
    check(oid, blob, "'\\x00ff5c'");
    check(oid, a_text(MP_JSON, "[1]"), "'[1]'");
    check(oid, a_text(MP_UUID, UUID_TEXT), "'" UUID_TEXT "'");
    check(oid, of(MP_DATE, INT64_C(100000000)), "out_of_range");
  }
}

/* ---- arrays ---- */

static void an_array_is_binary_where_its_items_are(void **state)
{
  mp_value four[] = {of(MP_INT, 1), MP_VALUE_NULL, of(MP_INT, 3), of(MP_INT, 4)};
  int two_by_two[] = {2, 2}, three = 3, seven[7] = {1, 1, 1, 1, 1, 1, 1};
  mp_array array = {.dim_n = 2, .dims = two_by_two, .n = 4, .items = four};
  mp_value value = {.kind = MP_ARRAY, .a = &array};
  (void)state;
  check(INT8_ARRAY, value,
        "00000002000000010000001400000002000000010000000200000001000000080000000000000001ffffffff"
        "000000080000000000000003000000080000000000000004");
  check(16385, value, "'{{\"1\",NULL},{\"3\",\"4\"}}'");
  check(0, value, "'{{\"1\",NULL},{\"3\",\"4\"}}'");
  check(INT4, value, "type_mismatch");
  check(TEXT, value, "type_mismatch");
  check(BOOL_ARRAY, value, "type_mismatch");

  four[1] = a_text(MP_TEXT, "5"); /* the server reads it, so the others go as text too */
  check(INT8_ARRAY, value, "'{{\"1\",\"5\"},{\"3\",\"4\"}}'");
  four[1] = a_text(MP_TEXT, "a \"b\" \\ {c},");
  check(16385, value, "'{{\"1\",\"a \\\"b\\\" \\\\ {c},\"},{\"3\",\"4\"}}'");
  four[2] = of(MP_INT, 40000);
  check(INT2_ARRAY, value, "out_of_range");

  array = (mp_array){.dim_n = 1, .dims = &three, .n = 4, .items = four};
  check(TEXT_ARRAY, value, "out_of_range");
  array = (mp_array){.dim_n = 7, .dims = seven, .n = 1, .items = four};
  check(TEXT_ARRAY, value, "out_of_range");
  array = (mp_array){0};
  check(TEXT_ARRAY, value, "000000000000000000000019");
  check(16385, value, "'{}'");
}

static void a_json_array_is_an_array_where_the_server_wants_one(void **state)
{
  static const struct {
    uint32_t oid;
    const char *json, *expected;
  } cases[] = {
      {INT4_ARRAY, "[1,2,3]",
       "0000000100000000000000170000000300000001000000040000000100000004000000020000000400000003"},
      {INT8_ARRAY, " [ [1, null] , [3,4] ] ",
       "00000002000000010000001400000002000000010000000200000001000000080000000000000001ffffffff"
       "000000080000000000000003000000080000000000000004"},
      {NUMERIC_ARRAY, "[1.5,2]",
       "0000000100000000000006a400000002000000010000000c0002000000000001000113880000000a00010000"
       "000000000002"},
      {TEXT_ARRAY, "[\"a\",null]", "00000001000000010000001900000002000000010000000161ffffffff"},
      {TEXT_ARRAY, "[]", "000000000000000000000019"},
      {TEXT_ARRAY, "{}", "000000000000000000000019"},
      {BOOL_ARRAY, "[true,false]", "000000010000000000000010000000020000000100000001010000000100"},
      {JSON_ARRAY, "[1,[2],{\"a\": 1},null]",
       "00000001000000010000007200000004000000010000000131000000035b325d000000087b2261223a20317d"
       "ffffffff"},
      {DATE_ARRAY, "[\"2026-11-20\"]", "'{\"2026-11-20\"}'"},
      {TEXT_ARRAY, "[\"\\u00e9\\\"\\n\\ud83d\\ude00\"]",
       "00000001000000000000001900000001000000010000000"
       "8c3a9220af09f9880"},
      {BYTEA_ARRAY, "[\"a\"]", "type_mismatch"},
      {INT4_ARRAY, "[1,[2]]", "type_mismatch"},
      {INT4_ARRAY, "[[1],2]", "type_mismatch"},
      {INT4_ARRAY, "[[1],[2,3]]", "type_mismatch"},
      {INT4_ARRAY, "[[]]", "type_mismatch"},
      {INT4_ARRAY, "[[[[[[[1]]]]]]]", "type_mismatch"},
      {INT4_ARRAY, "[{\"a\":1}]", "type_mismatch"},
      {INT4_ARRAY, "{\"a\":1}", "type_mismatch"},
      {INT4_ARRAY, "5", "type_mismatch"},
      {INT4_ARRAY, "[40000000000]", "out_of_range"},
      {INT4_ARRAY, "[1,]", "json"},
      {INT4_ARRAY, "[1", "json"},
      {INT4_ARRAY, "[01]", "json"},
      {INT4_ARRAY, "[1]x", "json"},
      {TEXT_ARRAY, "[\"\\ud83d\"]", "json"},
      {TEXT_ARRAY, "[\"a]", "json"},
      {JSON_ARRAY, "[{\"a\":}]", "json"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check(cases[i].oid, a_text(MP_JSON, cases[i].json), cases[i].expected);
}

static void damaged_json_is_an_array_or_an_error(void **state)
{
  static const char sample[] =
      "[[1,-2.5e3,\"a\\u00e9\\n\"],[true,null,{\"k\":[1,{}]}],[false,\"\\ud83d\\ude00\",0]]";
  unsigned seed = *(unsigned *)*state;
  for (int round = 0; round < 20000; round++) {
    static const uint32_t oids[] = {INT4_ARRAY, TEXT_ARRAY, JSONB_ARRAY, NUMERIC_ARRAY};
    char written[SHOWN_MAX];
    size_t n = 1 + rand_r(&seed) % (sizeof sample - 1);
    char *text = malloc(n); /* without a NUL */
    memcpy(text, sample, n);
    for (unsigned hits = rand_r(&seed) % 4; hits > 0; hits--)
      text[rand_r(&seed) % n] = "0123456789[]{},:\"\\-+.eEu ntf"[rand_r(&seed) % 28];
    mp_value value = {.kind = MP_JSON, .len = (uint32_t)n, .s = text};
    write_param(oids[rand_r(&seed) % 4], &value, written);
    free(text);
  }
}

int main(void)
{
  const char *given = getenv("MOONPOOL_SEED");
  unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
  void *start = &seed;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_numbers_go_to_every_type_of_number),
      cmocka_unit_test(a_number_that_does_not_fit_is_refused),
      cmocka_unit_test(decimals_and_floats_are_exact),
      cmocka_unit_test(a_short_decimal_has_the_bytes_of_its_text),
      cmocka_unit_test(times_go_where_they_lose_nothing),
      cmocka_unit_test(a_text_for_another_type_is_read_by_the_server),
      cmocka_unit_test(other_kinds_go_to_their_own_types_only),
      cmocka_unit_test(without_a_type_everything_is_text),
      cmocka_unit_test(an_array_is_binary_where_its_items_are),
      cmocka_unit_test(a_json_array_is_an_array_where_the_server_wants_one),
      cmocka_unit_test_prestate(damaged_json_is_an_array_or_an_error, start),
  };
  print_message("seed %u\n", seed);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
