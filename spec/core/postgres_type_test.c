/* postgres_type_test.c - cells of PostgreSQL's types, from the bytes that a server sends for them.
** The bytes are those of select encode(int4send(5), 'hex') and so on, the texts what the same
** server prints. */
#include "postgres_bytes.h"

#include <time.h>

static const struct {
  uint32_t oid;
  const char *bytes, *text, *expected;
} cells[] = {
    {BOOL, "01", "t", "bool true"},
    {BOOL, "00", "f", "bool false"},
    {INT2, "8000", "-32768", "int -32768"},
    {INT4, "80000000", "-2147483648", "int -2147483648"},
    {INT4, "00000005", "5", "int 5"},
    {INT8, "8000000000000000", "-9223372036854775808", "int -9223372036854775808"},
    {INT8, "7fffffffffffffff", "9223372036854775807", "int 9223372036854775807"},
    {OID, "ffffffff", "4294967295", "int 4294967295"},
    {FLOAT4, "3dcccccd", "0.1", "float 0.1"},
    {FLOAT4, "ff7fffff", "-3.4028235e+38", "float -3.4028235e38"},
    {FLOAT4, "4b800000", "1.6777216e+07", "float 16777216"},
    {FLOAT4, "4cab2af4", "8.9741216e+07", "float 89741216"},
    {FLOAT4, "00000001", "1e-45", "float 1e-45"},
    {FLOAT4, "7fc00000", "NaN", "float NaN"},
    {FLOAT4, "ff800000", "-Infinity", "float -Infinity"},
    {FLOAT8, "3fb999999999999a", "0.1", "float 0.1"},
    {FLOAT8, "8000000000000000", "-0", "float -0"},
    {FLOAT8, "7fefffffffffffff", "1.7976931348623157e+308", "float 1.7976931348623157e308"},
    {FLOAT8, "7ff8000000000000", "NaN", "float NaN"},
    {FLOAT8, "7ff0000000000000", "Infinity", "float Infinity"},
    {NUMERIC, "0000000000000000", "0", "decimal 0"},
    {NUMERIC, "0000000000000002", "0.00", "decimal 0.00"},
    {NUMERIC, "0002000000000002000c1388", "12.50", "decimal 12.50"},
    {NUMERIC, "0001ffff400000040001", "-0.0001", "decimal -0.0001"},
    {NUMERIC, "00010001000000000001", "10000", "decimal 10000"},
    {NUMERIC, "0005000200000005000100000000000003e8", "100000000.00001", "decimal 100000000.00001"},
    {NUMERIC, "00050004000000000063270f270f270f270f", "999999999999999999",
     "decimal 999999999999999999"},
    {NUMERIC, "00010004000000000064", "1000000000000000000", "decimal 1000000000000000000"},
    {NUMERIC, "0001fffb000000120064", "0.000000000000000001", "decimal 0.000000000000000001"},
    {NUMERIC, "000b000740000009000c0d801ed204d2162e23340d801ed204d2162e2328",
     "-123456789012345678901234567890.123456789",
     "decimal -123456789012345678901234567890.123456789"},
    {NUMERIC, "00010005000000000001", "100000000000000000000", "decimal 100000000000000000000"},
    {NUMERIC, "0001fff80000001e01f4", "0.000000000000000000000000000005",
     "decimal 0.000000000000000000000000000005"},
    {NUMERIC, "00000000c0000000", "NaN", "float NaN"},
    {NUMERIC, "00000000d0000020", "Infinity", "float Infinity"},
    {NUMERIC, "00000000f0000020", "-Infinity", "float -Infinity"},
    {MONEY, "fffffffffffe1dc0", "-$1,234.56", "decimal -1234.56"},
    {MONEY, "8000000000000000", "-$92,233,720,368,547,758.08", "decimal -92233720368547758.08"},
    {TEXT, "68c3a9", "h\303\251", "text 'h\303\251'"},
    {TEXT, "", "", "text ''"},
    {VARCHAR, "61", "a", "text 'a'"},
    {BPCHAR, "6220", "b ", "text 'b '"},
    {NAME, "6e", "n", "text 'n'"},
    {CHAR, "78", "x", "text 'x'"},
    {CHAR, "00", "", "text ''"},
    {XML, "3c612f3e", "<a/>", "text '<a/>'"},
    {BYTEA, "00ff5c", "\\x00ff5c", "blob 00ff5c"},
    {BYTEA, "", "\\x", "blob "},
    {JSON, "7b2261223a20317d", "{\"a\": 1}", "json '{\"a\": 1}'"},
    {JSONB, "015b312c206e756c6c5d", "[1, null]", "json '[1, null]'"},
    {UUID, "01890a5dac96774bbcceb302099a8057", "01890a5d-ac96-774b-bcce-b302099a8057",
     "uuid '01890a5d-ac96-774b-bcce-b302099a8057'"},
    {DATE, "fff4dbf9", "0001-01-01", "date 0001-01-01"},
    {DATE, "ffffffff", "1999-12-31", "date 1999-12-31"},
    {DATE, "002c95d3", "9999-12-31", "date 9999-12-31"},
    {DATE, "7fffffff", "infinity", "text 'infinity'"},
    {DATE, "80000000", "-infinity", "text '-infinity'"},
    {DATE, "fff49d7b", "0044-03-15 BC", "out_of_range"},
    {DATE, "002c95d4", "10000-01-01", "out_of_range"},
    {TIME, "0000000000000000", "00:00:00", "time 00:00:00"},
    {TIME, "000000141dd75fff", "23:59:59.999999", "time 23:59:59.999999"},
    {TIME, "000000141dd76000", "24:00:00", "time 24:00:00"},
    {TIMETZ, "0000000a0eebb000ffffe3e0", "12:00:00+02", "text '12:00:00+02'"},
    {TIMETZ, "0000000a0ef3512000003138", "12:00:00.5-03:30", "text '12:00:00.5-03:30'"},
    {TIMETZ, "0000000000000000ffff1f01", "00:00:00+15:59:59", "text '00:00:00+15:59:59'"},
    {TIMESTAMP, "000303b32bdfd290", "2026-11-20 12:30:00.25", "walltime 2026-11-20 12:30:00.25"},
    {TIMESTAMP, "ff1fe2ffc59c6000", "0001-01-01 00:00:00", "walltime 0001-01-01 00:00:00"},
    {TIMESTAMP, "0380e70b913b7fff", "9999-12-31 23:59:59.999999",
     "walltime 9999-12-31 23:59:59.999999"},
    {TIMESTAMP, "7fffffffffffffff", "infinity", "text 'infinity'"},
    {TIMESTAMP, "ff1fe2eba7c50000", "0001-12-31 00:00:00 BC", "out_of_range"},
    {TIMESTAMP, "0380e70b913b8000", "10000-01-01 00:00:00", "out_of_range"},
    {TIMESTAMPTZ, "000303b32bdc0200", "2026-11-20 12:30:00+00", "datetime 2026-11-20 12:30:00"},
    {TIMESTAMPTZ, "fffca2fec4c81fff", "1969-12-31 23:59:59.999999+00",
     "datetime 1969-12-31 23:59:59.999999"},
    {TIMESTAMPTZ, "8000000000000000", "-infinity", "text '-infinity'"},
    {TIMESTAMPTZ, "7fffe29909c76000", "294276-01-01 00:00:00+00", "out_of_range"},
    {INTERVAL, "000000036c97ca88fffffffd0000000e", "1 year 2 mons -3 days +04:05:06.789",
     "interval P1Y2M-3DT4H5M6.789S"},
    {INTERVAL, "00000000000000000000000000000000", "00:00:00", "interval PT0S"},
    {INTERVAL, "ffffffffffffffff0000000000000000", "-00:00:00.000001", "interval PT-0.000001S"},
    {INTERVAL, "00000000000000000000000080000008", "-178956970 years", "interval P-178956970Y"},
    {INET, "02200004c0a80001", "192.168.0.1", "text '192.168.0.1'"},
    {INET, "02180004c0a80001", "192.168.0.1/24", "text '192.168.0.1/24'"},
    {INET, "0380001000000000000000000000ffff01020304", "::ffff:1.2.3.4", "text '::ffff:1.2.3.4'"},
    {INET, "0340001020010db8000000000000000000000001", "2001:db8::1/64", "text '2001:db8::1/64'"},
    {CIDR, "020801040a000000", "10.0.0.0/8", "text '10.0.0.0/8'"},
    {CIDR, "0300011000000000000000000000000000000000", "::/0", "text '::/0'"},
    {INET, "0380001000000000000000000000000001020304", "::1.2.3.4", "text '::1.2.3.4'"},
    {INET, "0380001000000000000000000000000000000001", "::1", "text '::1'"},
    {MACADDR, "08002b010203", "08:00:2b:01:02:03", "text '08:00:2b:01:02:03'"},
    {MACADDR8, "08002b0102030405", "08:00:2b:01:02:03:04:05", "text '08:00:2b:01:02:03:04:05'"},
    {INT4RANGE, "0200000004000000010000000400000005", "[1,5)", "text '[1,5)'"},
    {INT4RANGE, "01", "empty", "text 'empty'"},
    {INT8RANGE, "08000000080000000000000005", "(,5)", "text '(,5)'"},
    {NUMRANGE, "060000000c0002000000000002000113880000000c000200000000000100021388", "[1.50,2.5]",
     "text '[1.50,2.5]'"},
    {NUMRANGE, "18", "(,)", "text '(,)'"},
    {DATERANGE, "020000000400002519000000047fffffff", "[2026-01-01,infinity)",
     "text '[2026-01-01,infinity)'"},
    {TSRANGE, "02000000080002ea470ae86000000000080002ea65a2fce320",
     "[\"2026-01-01 00:00:00\",\"2026-01-02 12:30:00.5\")",
     "text '[\"2026-01-01 00:00:00\",\"2026-01-02 12:30:00.5\")'"},
    {TSTZRANGE, "12000000080002ea470ae86000", "[\"2026-01-01 00:00:00+00\",)",
     "text '[\"2026-01-01 00:00:00+00\",)'"},
    {TSTZRANGE, "06000000088000000000000000000000087fffffffffffffff", "[-infinity,infinity]",
     "text '[-infinity,infinity]'"},
    {INT4_ARRAY, "000000000000000000000017", "{}", "array {}"},
    {INT4_ARRAY, "00000001000000010000001700000003000000010000000400000001ffffffff00000004fffffffd",
     "{1,NULL,-3}", "array {1,null,-3}"},
    {INT4_ARRAY,
     "000000020000000000000017000000020000000100000002000000010000000400000001000000040000000200000"
     "004000000030000000400000004",
     "{{1,2},{3,4}}", "array {{1,2},{3,4}}"},
    {INT4_ARRAY, "000000010000000000000017000000020000000000000004000000070000000400000008",
     "[0:1]={7,8}", "array {7,8}"},
    {INT8_ARRAY,
     "000000030000000000000014000000010000000100000001000000010000000100000001000000080000000000000"
     "001",
     "{{{1}}}", "array {{{1}}}"},
    {TEXT_ARRAY,
     "00000001000000010000001900000006000000010000000161ffffffff000000044e554c4c000000000000000b612"
     "0226222205c207b637d00000003782c79",
     "{a,NULL,\"NULL\",\"\",\"a \\\"b\\\" \\\\ {c}\",\"x,y\"}",
     "array {'a',null,'NULL','','a \"b\" \\ {c}','x,y'}"},
    {BOOL_ARRAY, "000000010000000000000010000000020000000100000001010000000100", "{t,f}",
     "array {true,false}"},
    {NUMERIC_ARRAY,
     "0000000100000000000006a400000002000000010000000c0002000000000002000113880000000800000000c0000"
     "000",
     "{1.50,NaN}", "array {1.50,NaN}"},
    {UUID_ARRAY, "000000010000000000000b8600000001000000010000001001890a5dac96774bbcceb302099a8057",
     "{01890a5d-ac96-774b-bcce-b302099a8057}", "array {'01890a5d-ac96-774b-bcce-b302099a8057'}"},
    {TIMESTAMPTZ_ARRAY,
     "0000000100000000000004a0000000020000000100000008000303b32bdc0200000000087fffffffffffffff",
     "{\"2026-11-20 12:30:00+00\",infinity}", "array {2026-11-20 12:30:00,'infinity'}"},
    {INTERVAL_ARRAY,
     "0000000100000000000004a200000001000000010000001000000000000000000000000100000000",
     "{\"1 day\"}", "array {P1D}"},
    {INET_ARRAY, "000000010000000000000365000000010000000100000008022000040a000001", "{10.0.0.1}",
     "array {'10.0.0.1'}"},
    {DATE_ARRAY, "00000001000000000000043a00000001000000010000000400002519", "{2026-01-01}",
     "array {2026-01-01}"},
    {FLOAT4_ARRAY, "0000000100000000000002bc0000000100000001000000043dcccccd", "{0.1}",
     "array {0.1}"},
    {INT4RANGE_ARRAY,
     "000000010000000000000f400000000100000001000000110200000004000000010000000400000005",
     "{\"[1,5)\"}", "array {'[1,5)'}"},
    {JSONB_ARRAY,
     "000000010000000000000eda000000020000000100000010017b2261223a205b312c202278225d7d00000005016e7"
     "56c6c",
     "{\"{\\\"a\\\": [1, \\\"x\\\"]}\",\"null\"}", "array {'{\"a\": [1, \"x\"]}','null'}"},
    {BYTEA_ARRAY, "00000001000000000000001100000001000000010000000300ff5c", "{\"\\\\x00ff5c\"}",
     "array {00ff5c}"},
};
#define CELL_N (sizeof cells / sizeof *cells)

/* What a cell becomes, as show writes it. */
static void read_cell(uint32_t oid, bool binary, const char *bytes, size_t n, char *out)
{
  mp_arena *arena = mp_arena_new(0);
  mp_value value = {.kind = MP_KIND_N};
  mp_error err = MP_ERROR_NONE;
  bool fine = mp_pgtype_cell(oid, binary, bytes, n, arena, &value, &err);
  assert_int_equal(fine, err.kind == MP_OK);
  show(out, fine, &value, &err);
  mp_arena_free(arena);
}

static void the_servers_bytes_are_what_they_say(void **state)
{
  (void)state;
  for (size_t i = 0; i < CELL_N; i++) {
    char shown[SHOWN_MAX];
    size_t n;
    char *bytes = from_hex(cells[i].bytes, &n);
    read_cell(cells[i].oid, true, bytes, n, shown);
    free(bytes);
    assert_string_equal(shown, cells[i].expected);
  }
}

static void the_servers_texts_are_the_same_cells(void **state)
{
  (void)state;
  for (size_t i = 0; i < CELL_N; i++) {
    char shown[SHOWN_MAX];
    size_t n = strlen(cells[i].text);
    char *text = malloc(n + 1); /* not its NUL */
    memcpy(text, cells[i].text, n);
    read_cell(cells[i].oid, false, text, n, shown);
    free(text);
    assert_string_equal(shown, cells[i].expected);
  }
}

/* In the form that it has as a parameter: its bytes or its text. */
static void what_a_cell_gives_goes_back_as_it_came(void **state)
{
  (void)state;
  for (size_t i = 0; i < CELL_N; i++) {
    char shown[SHOWN_MAX];
    size_t n;
    char *bytes = from_hex(cells[i].bytes, &n);
    mp_arena *arena = mp_arena_new(0);
    mp_error err = MP_ERROR_NONE;
    mp_pgparam param;
    mp_value value;
    if (mp_pgtype_cell(cells[i].oid, true, bytes, n, arena, &value, &err)) {
      assert_true(mp_pgtype_param(cells[i].oid, &value, arena, &param, &err));
      if (param.format == 0)
        assert_int_equal(param.data[param.len], '\0');
      read_cell(cells[i].oid, param.format == 1, param.data, (size_t)param.len, shown);
      assert_string_equal(shown, cells[i].expected);
      to_hex(param.data, (size_t)param.len, shown);
      if (param.format == 1 && strchr(cells[i].text, '=') == NULL && cells[i].oid != NUMERIC)
        assert_string_equal(shown, cells[i].bytes); /* save for where an array starts */
    }
    mp_arena_free(arena);
    free(bytes);
  }
}

static void check_numeric(const char *text)
{
  char shown[SHOWN_MAX];
  mp_value value = a_text(MP_DECIMAL, text);
  mp_arena *arena = mp_arena_new(0);
  mp_error err = MP_ERROR_NONE;
  mp_pgparam param;
  assert_true(mp_pgtype_param(NUMERIC, &value, arena, &param, &err));
  assert_int_equal(param.format, 1);
  read_cell(NUMERIC, true, param.data, (size_t)param.len, shown);
  assert_memory_equal(shown, "decimal ", 8);
  assert_string_equal(shown + 8, text);
  mp_arena_free(arena);
}

static void numerics_of_up_to_a_thousand_digits_are_exact(void **state)
{
  char text[MP_DECIMAL_TEXT_MAX];
  unsigned seed = *(unsigned *)*state;
  for (int n = 1; n <= 1000; n += n < 60 ? 1 : 47) {
    for (int i = 0; i < n; i++)
      text[i] = (char)('0' + (rand_r(&seed) % 3 > 0 ? rand_r(&seed) % 10 : 0));
    text[0] = (char)('1' + rand_r(&seed) % 9);
    text[n] = '\0';
    check_numeric(text);
    if (n > 1) {
      int point = 1 + (int)(rand_r(&seed) % (unsigned)(n - 1));
      memmove(text + point + 1, text + point, (size_t)(n - point) + 1);
      text[point] = '.';
      check_numeric(text);
    }
  }
  memset(text, '9', 1000);
  text[1000] = '\0';
  check_numeric(text);
  strcpy(text, "-0.");
  memset(text + 3, '9', 999);
  text[1002] = '\0';
  check_numeric(text);
}

static void more_digits_than_a_decimal_has_are_refused(void **state)
{
  char shown[SHOWN_MAX];
  size_t n;
  (void)state;
  char *bytes = from_hex("000100fa000000000001", &n); /* 10 ^ 1000 */
  read_cell(NUMERIC, true, bytes, n, shown);
  assert_string_equal(shown, "out_of_range");
  free(bytes);
  bytes = from_hex("0001000000003fff0001", &n); /* 1 with 16383 places */
  read_cell(NUMERIC, true, bytes, n, shown);
  assert_string_equal(shown, "out_of_range");
  free(bytes);
}

static void bytes_of_another_type_are_an_error(void **state)
{
  static const struct {
    uint32_t oid;
    bool binary;
    const char *bytes;
  } cases[] = {
      {INT4, true, "000005"},
      {BOOL, true, ""},
      {FLOAT8, true, "00"},
      {JSONB, true, "025b5d"},
      {UUID, true, "00"},
      {TIME, true, "000000141dd76001"},
      {NUMERIC, true, "0001000000000000"},
      {NUMERIC, true, "00010000000000002710"},
      {NUMERIC, true, "00010000100000000001"},
      {NUMERIC, true, "00010000000000010001ff"},
      {NUMERIC, true, "0001ffff000000010001"},
      {INET, true, "04200004c0a80001"},
      {INET, true, "02210004c0a80001"},
      {INT4RANGE, true, "0200000004"},
      {INT4RANGE, true, "0100"},
      {INT4_ARRAY, true, "000000000000000000000014"},
      {INT4_ARRAY, true, "0000000100000000000000170000000000000001"},
      {INT4_ARRAY, true, "0000000100000000000000177fffffff00000001"},
      {INT4_ARRAY, true, "000000070000000000000017"},
      {INT4_ARRAY, true, "00000001000000000000001700000001000000010000000400000001ff"},
      {INT4, false, "78"},
      {INT4_ARRAY, false, "7b312c7d"},
      {INT4_ARRAY, false, "7b7b317d2c327d"},
      {INT4_ARRAY, false, "7b7b317d2c7b322c337d7d"},
      {INT4_ARRAY, false, "7b317d7d"},
      {INT4_ARRAY, false, "7b31"},
      {BYTEA, false, "5c7830"},
      {BYTEA, false, "5c787a7a"},
      {DATE, false, "323032362d31332d3031"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char shown[SHOWN_MAX];
    size_t n;
    char *bytes = from_hex(cases[i].bytes, &n);
    read_cell(cases[i].oid, cases[i].binary, bytes, n, shown);
    assert_string_equal(shown, "other_data");
    free(bytes);
  }
}

static void a_type_that_is_not_built_in_is_a_text(void **state)
{
  char shown[SHOWN_MAX];
  (void)state;
  assert_false(mp_pgtype_is_binary(16385));
  assert_int_equal(mp_pgtype_kind(16385), MP_NULL);
  assert_null(mp_pgtype_name(16385));
  read_cell(16385, false, "happy", 5, shown);
  assert_string_equal(shown, "text 'happy'");
  assert_string_equal(mp_pgtype_name(INT4_ARRAY), "_int4");
  assert_int_equal(mp_pgtype_kind(INT4_ARRAY), MP_ARRAY);
  assert_int_equal(mp_pgtype_kind(TIMESTAMPTZ), MP_DATETIME);
}

/* ---- bytes that nobody should send ---- */

static void a_cell_that_ends_too_early_is_never_read_behind_its_end(void **state)
{
  (void)state;
  for (size_t i = 0; i < CELL_N; i++) {
    char shown[SHOWN_MAX];
    size_t n;
    char *bytes = from_hex(cells[i].bytes, &n);
    for (size_t cut = 0; cut < n; cut++) {
      char *part = malloc(cut > 0 ? cut : 1);
      memcpy(part, bytes, cut);
      read_cell(cells[i].oid, true, part, cut, shown);
      free(part);
    }
    free(bytes);
    n = strlen(cells[i].text);
    for (size_t cut = 0; cut < n; cut++) {
      char *part = malloc(cut > 0 ? cut : 1);
      memcpy(part, cells[i].text, cut);
      read_cell(cells[i].oid, false, part, cut, shown);
      free(part);
    }
  }
}

static void damaged_cells_are_values_or_errors(void **state)
{
  unsigned seed = *(unsigned *)*state;
  for (int round = 0; round < 40000; round++) {
    char shown[SHOWN_MAX];
    size_t i = rand_r(&seed) % CELL_N, n = strlen(cells[i].text);
    bool binary = rand_r(&seed) % 2;
    char *bytes;
    if (binary) {
      bytes = from_hex(cells[i].bytes, &n);
    } else {
      bytes = malloc(n + 1);
      memcpy(bytes, cells[i].text, n);
    }
    for (unsigned hits = 1 + rand_r(&seed) % 3; hits > 0 && n > 0; hits--) {
      size_t at = rand_r(&seed) % n;
      bytes[at] = binary ? (char)(rand_r(&seed) % 2 ? rand_r(&seed) : rand_r(&seed) % 4)
                         : "0123456789{},\"\\-+:. NULa"[rand_r(&seed) % 24];
    }
    read_cell(cells[i].oid, binary, bytes, n, shown);
    free(bytes);
  }
}

int main(void)
{
  const char *given = getenv("MOONPOOL_SEED");
  unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
  void *start = &seed;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_servers_bytes_are_what_they_say),
      cmocka_unit_test(the_servers_texts_are_the_same_cells),
      cmocka_unit_test(what_a_cell_gives_goes_back_as_it_came),
      cmocka_unit_test_prestate(numerics_of_up_to_a_thousand_digits_are_exact, start),
      cmocka_unit_test(more_digits_than_a_decimal_has_are_refused),
      cmocka_unit_test(bytes_of_another_type_are_an_error),
      cmocka_unit_test(a_type_that_is_not_built_in_is_a_text),
      cmocka_unit_test(a_cell_that_ends_too_early_is_never_read_behind_its_end),
      cmocka_unit_test_prestate(damaged_cells_are_values_or_errors, start),
  };
  print_message("seed %u\n", seed);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
