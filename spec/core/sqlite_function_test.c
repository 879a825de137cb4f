/* sqlite_function_test.c - the SQL functions and the collation that every connection has. */
#include "sqlite_fixture.h"

typedef struct row {
  const char *expression, *result; /* a text, "NULL", or "! " and how the error begins */
} row;

static void check(fixture *f, const row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    char sql[600], got[600];
    snprintf(sql, sizeof sql, "SELECT coalesce(CAST(%s AS TEXT), 'NULL')", rows[i].expression);
    mp_request *req = run(f, sql);
    if (req->error.kind != MP_OK)
      snprintf(got, sizeof got, "! %s", req->error.message);
    else
      snprintf(got, sizeof got, "%.*s", (int)cell_of(req, 0, 0).len, cell_of(req, 0, 0).s);
    bool fails = rows[i].result[0] == '!';
    if (fails ? strncmp(got, rows[i].result, strlen(rows[i].result)) != 0
              : strcmp(got, rows[i].result) != 0)
      fail_msg("%s is \"%s\", not \"%s\"", rows[i].expression, got, rows[i].result);
    mp_request_free(req);
  }
}

#define CHECK(f, rows) check(f, rows, sizeof(rows) / sizeof *(rows))

static void arithmetic_is_exact_or_an_error(void **state)
{
  static const row rows[] = {
      {"mp_add(1, 2)", "3"},
      {"mp_add(9223372036854775807, 1)", "! integer overflow"},
      {"mp_sub(-9223372036854775808, 1)", "! integer overflow"},
      {"mp_mul(9223372036854775807, 2)", "! integer overflow"},
      {"mp_mul(3037000500, 3037000500)", "! integer overflow"},
      {"mp_mul(-9223372036854775808, 1)", "-9223372036854775808"},
      {"mp_add(1, 0.5)", "1.5"},
      {"mp_add(NULL, 1)", "NULL"},
      {"mp_add(1, 'x')", "! not a number"},
      {"mp_add(1, '2')", "3"},
      {"mp_div(7, 2)", "3.5"},
      {"mp_div(6, 2)", "3.0"},
      {"mp_div(1, 0)", "! division by zero"},
      {"mp_div(1, 0.0)", "! division by zero"},
      {"mp_div(NULL, 0)", "NULL"},
      {"mp_idiv(7, 2)", "3"},
      {"mp_idiv(-7, 2)", "-3"},
      {"mp_idiv(-7.5, 2)", "-3.0"},
      {"mp_idiv(-9223372036854775808, -1)", "! integer overflow"},
      {"mp_idiv(1, 0)", "! division by zero"},
      {"mp_mod(-7, 3)", "-1"},
      {"mp_mod(7, -3)", "1"},
      {"mp_mod(-9223372036854775808, -1)", "0"},
      {"mp_mod(7.5, 2)", "1.5"},
      {"mp_mod(1, 0)", "! division by zero"},
      {"(SELECT mp_sum(value) FROM json_each('[1,2,3]'))", "6"},
      {"(SELECT mp_sum(value) FROM json_each('[9223372036854775807,1,-1]'))",
       "9223372036854775807"},
      {"(SELECT mp_sum(value) FROM json_each('[9223372036854775807,1]'))", "! integer overflow"},
      {"(SELECT mp_sum(value) FROM json_each('[0.1,0.2,1]'))", "1.3"},
      {"(SELECT mp_sum(value) FROM json_each('[]'))", "NULL"},
      {"(SELECT mp_sum(value) FROM json_each('[null,1]'))", "1"},
      {"(SELECT group_concat(s) FROM (SELECT mp_sum(value) OVER (ORDER BY key ROWS 1 PRECEDING) s "
       "FROM json_each('[1,2,3,null]')))",
       "1,3,5,3"},
  };
  CHECK(*state, rows);
}

static void decimals_calculate_exactly(void **state)
{
  static const row rows[] = {
      {"mp_decimal_add('0.1', '0.2')", "0.3"},
      {"mp_decimal_add('123456789012345678901234567890.12', '0.88')",
       "123456789012345678901234567891.00"},
      {"mp_decimal_sub('1.20', 3)", "-1.80"},
      {"mp_decimal_mul('1.20', 0.5)", "0.600"}, /* a real by its shortest text */
      {"mp_decimal_div('1', '3')", "0.333333"},
      {"mp_decimal_div(10, 4)", "2.5"},
      {"mp_decimal_div('1', '0.00')", "! division by zero"},
      {"mp_decimal_mod('-7.5', '2')", "-1.5"},
      {"mp_decimal_idiv('-7.5', '2')", "-3"},
      {"mp_decimal_neg('1.20')", "-1.20"},
      {"mp_decimal_neg('0.00')", "0.00"},
      {"mp_decimal_abs('-1.20')", "1.20"},
      {"mp_decimal_abs('1.20')", "1.20"},
      {"mp_decimal_cast('2.345', 2)", "2.35"},
      {"mp_decimal_cast('2.355', 2)", "2.36"},
      {"mp_decimal_cast(7, 2)", "7.00"},
      {"mp_decimal_cast('x', 2)", "! not a decimal"},
      {"mp_decimal_cast('1', -1)", "! decimal overflow"},
      {"mp_decimal(1e20)", "100000000000000000000"},
      {"mp_decimal('+001.50')", "1.50"},
      {"mp_decimal(x'31')", "! not a decimal"},
      {"mp_decimal(9e999)", "! not a decimal"},
      {"mp_decimal(NULL)", "NULL"},
      {"mp_decimal_add(NULL, 'x')", "NULL"},
      {"mp_decimal_cmp('1.2', '1.20')", "0"},
      {"mp_decimal_cmp('-123456789012345678901234567890', 1)", "-1"},
      {"(SELECT mp_decimal_sum(value) FROM "
       "json_each('[\"0.10\",\"123456789012345678901234567890\",1]'))",
       "123456789012345678901234567891.10"},
      {"(SELECT mp_decimal_avg(value) FROM json_each('[\"0.10\",\"0.20\"]'))", "0.15"},
      {"(SELECT mp_decimal_avg(value) FROM json_each('[1,2,2]'))", "1.666667"},
      {"(SELECT mp_decimal_sum(value) FROM json_each('[null]'))", "NULL"},
      {"(SELECT mp_decimal_avg(value) FROM json_each('[]'))", "NULL"},
      {"(SELECT group_concat(s) FROM (SELECT mp_decimal_sum(value) OVER (ORDER BY key ROWS 1 "
       "PRECEDING) s "
       "FROM json_each('[\"0.1\",\"0.2\",\"123456789012345678901234567890\",\"1\"]')))",
       "0.1,0.3,123456789012345678901234567890.2,123456789012345678901234567891.0"},
      {"'1.2' = '1.20' COLLATE mp_decimal", "1"},
      {"'9' < '10' COLLATE mp_decimal", "1"},
      {"'-9' > '-10' COLLATE mp_decimal", "1"},
      {"'x' > '10' COLLATE mp_decimal", "1"},
      {"'x' = 'x' COLLATE mp_decimal", "1"},
      {"(SELECT group_concat(value, ' ') FROM (SELECT value FROM "
       "json_each('[\"10\",\"9.5\",\"-3\",\"x\","
       "\"123456789012345678901234567890.1\",\"123456789012345678901234567890\",\"0\"]') "
       "ORDER BY value COLLATE mp_decimal))",
       "-3 0 9.5 10 123456789012345678901234567890 123456789012345678901234567890.1 x"},
      {"(SELECT max(value COLLATE mp_decimal) FROM json_each('[\"9\",\"10\"]'))", "10"},
      {"(SELECT count(DISTINCT value COLLATE mp_decimal) FROM "
       "json_each('[\"1\",\"1.0\",\"1.00\"]'))",
       "1"},
  };
  CHECK(*state, rows);
}

static void case_is_folded_by_unicode(void **state)
{
  static const row rows[] = {
      {"mp_lower('ÀÉÎ Straße ПРИВЕТ')", "àéî straße привет"},
      {"mp_upper('àéî straße привет')", "ÀÉÎ STRAßE ПРИВЕТ"},
      {"mp_fold('ΣΊΣΥΦΟΣ') = mp_fold('σίσυφος')", "1"}, /* the final sigma */
      {"mp_fold('K')", "k"},                            /* the Kelvin sign */
      {"mp_fold('ẞ') = mp_fold('ß')", "1"},
      {"mp_fold('İ') = mp_fold('i')", "0"},
      {"mp_fold('ı') = mp_fold('I')", "0"},
      {"mp_fold('é') = mp_fold('e')", "0"}, /* accents count */
      {"mp_fold('𐐀') = mp_fold('𐐨')", "1"},
      {"mp_lower(NULL)", "NULL"},
      {"mp_lower('')", ""},
      {"mp_lower(12)", "12"},
      {"mp_upper('ⱥ')", "Ⱥ"}, /* three bytes become two, and back */
      {"mp_lower('Ⱥ')", "ⱥ"},
      {"hex(mp_lower(CAST(x'41ff42c3' AS TEXT)))", "61FF62C3"}, /* what is not text stays */
  };
  CHECK(*state, rows);
}

static void regular_expressions_are_those_of_pcre(void **state)
{
  static const row rows[] = {
      {"mp_regexp('^a.c$', 'abc')", "1"},
      {"mp_regexp('^a.c$', 'abbc')", "0"},
      {"mp_regexp('B', 'abc')", "0"},
      {"mp_regexp('B', 'abc', 'i')", "1"},
      {"mp_regexp('É', 'é', 'i')", "1"},
      {"mp_regexp('^\\w+$', 'straße')", "1"},
      {"mp_regexp('^.$', 'é')", "1"},
      {"mp_regexp('a.b', 'a' || char(10) || 'b')", "0"},
      {"mp_regexp('a.b', 'a' || char(10) || 'b', 's')", "1"},
      {"mp_regexp('^b', 'a' || char(10) || 'b', 'm')", "1"},
      {"mp_regexp('a', NULL)", "NULL"},
      {"mp_regexp(NULL, 'a')", "NULL"},
      {"mp_regexp('', '')", "1"},
      {"mp_regexp('(', 'a')",
       "! invalid regular expression at offset 1: missing closing parenthesis"},
      {"mp_regexp('a', 'a', 'q')", "! invalid regular expression: flags"},
      {"mp_regexp('(a+)+$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')",
       "! regular expression is too complex"},
      {"(SELECT sum(mp_regexp('^a', value)) FROM json_each('[\"a\",\"ab\",\"b\"]'))", "2"},
      {"(SELECT group_concat(mp_regexp('A', 'a', value)) FROM json_each('[\"i\",\"\",\"i\"]'))",
       "1,0,1"},
      {"(SELECT group_concat(mp_regexp(value, 'a')) FROM json_each('[\"a\",\"b\",\"^a$\"]'))",
       "1,0,1"},
      {"mp_regexp('a', CAST(x'ff61' AS TEXT))", "1"},
  };
  CHECK(*state, rows);
}

static void ours_work_in_views_too(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE VIEW folded AS SELECT mp_fold('ABC') AS x");
  mp_request *req = run(f, "SELECT x FROM folded");
  assert_text(cell_of(req, 0, 0), "abc");
  mp_request_free(req);
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_memory(arithmetic_is_exact_or_an_error), on_memory(decimals_calculate_exactly),
      on_memory(case_is_folded_by_unicode),       on_memory(regular_expressions_are_those_of_pcre),
      on_memory(ours_work_in_views_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
