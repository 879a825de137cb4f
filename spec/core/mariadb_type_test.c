/* mariadb_type_test.c - cells and parameters of MariaDB's types.
** What a live server sends for a type is read, by both protocols, and what is sent comes back as it was. The ends of
** ranges and what no server sends are tried without one. */
#include "mariadb_live.h"

#include "backend/mariadb_form.h"

#define SHOWN_MAX 4096

/* ---- cells of a live server ---- */

static const struct {
  const char *type, *literal, *expected;
} cells[] = {
    {"tinyint(1)", "0", "bool false"},
    {"tinyint(1)", "1", "bool true"},
    {"tinyint(1)", "2", "int 2"},
    {"tinyint(1)", "-1", "int -1"},
    {"boolean", "true", "bool true"},
    {"tinyint", "1", "int 1"},
    {"tinyint", "-128", "int -128"},
    {"tinyint unsigned", "255", "int 255"},
    {"smallint", "-32768", "int -32768"},
    {"smallint unsigned", "65535", "int 65535"},
    {"mediumint", "-8388608", "int -8388608"},
    {"mediumint unsigned", "16777215", "int 16777215"},
    {"int", "-2147483648", "int -2147483648"},
    {"int unsigned", "4294967295", "int 4294967295"},
    {"int(8) zerofill", "42", "int 42"},
    {"bigint", "-9223372036854775808", "int -9223372036854775808"},
    {"bigint", "9223372036854775807", "int 9223372036854775807"},
    {"bigint unsigned", "9223372036854775807", "int 9223372036854775807"},
    {"bigint unsigned", "9223372036854775808", "decimal 9223372036854775808"},
    {"bigint unsigned", "18446744073709551615", "decimal 18446744073709551615"},
    {"bit(1)", "b'1'", "int 1"},
    {"bit(9)", "b'100000001'", "int 257"},
    {"bit(64)", "0x7fffffffffffffff", "int 9223372036854775807"},
    {"bit(64)", "0xffffffffffffffff", "decimal 18446744073709551615"},
    {"year", "2026", "int 2026"},
    {"year", "0", "int 0"},
    {"float", "0.5", "float 0.5"},
    {"double", "0.1", "float 0.1"},
    {"double", "-1.7976931348623157e308", "float -1.7976931348623157e308"},
    {"double", "5e-324", "float 5e-324"},
    {"decimal(12,2)", "12.5", "decimal 12.50"},
    {"decimal(12,2)", "-0.01", "decimal -0.01"},
    {"decimal(12,2) zerofill", "12.5", "decimal 12.50"},
    {"decimal(10,0)", "0", "decimal 0"},
    {"decimal(65,30)", "-12345678901234567890123456789012345.123456789012345678901234567891",
     "decimal -12345678901234567890123456789012345.123456789012345678901234567891"},
    {"decimal(65,0) zerofill", "1234567890123456789012345678901234567890",
     "decimal 1234567890123456789012345678901234567890"},
    {"decimal(38,38)", "0.00000000000000000000000000000000000001",
     "decimal 0.00000000000000000000000000000000000001"},
    {"date", "'2026-11-20'", "date 2026-11-20"},
    {"date", "'9999-12-31'", "date 9999-12-31"},
    {"date", "'0001-01-01'", "date 0001-01-01"},
    {"date", "'0000-00-00'", "invalid_datetime"},
    {"date", "'2026-00-00'", "invalid_datetime"},
    {"datetime", "'2026-11-20 12:30:00'", "datetime 2026-11-20 12:30:00"},
    {"datetime", "'2026-11-20 00:00:00'", "datetime 2026-11-20 00:00:00"},
    {"datetime(6)", "'2026-11-20 12:30:00.000001'", "datetime 2026-11-20 12:30:00.000001"},
    {"datetime(6)", "'9999-12-31 23:59:59.999999'", "datetime 9999-12-31 23:59:59.999999"},
    {"datetime(6)", "'0000-00-00 00:00:00'", "invalid_datetime"},
    {"datetime(6)", "'1969-12-31 23:59:59.999999'", "datetime 1969-12-31 23:59:59.999999"},
    {"timestamp(6) null", "'2026-11-20 12:30:00.25'", "datetime 2026-11-20 12:30:00.25"},
    {"timestamp null", "'0000-00-00 00:00:00'", "invalid_datetime"},
    {"time", "'00:00:00'", "time 00:00:00"},
    {"time(6)", "'23:59:59.999999'", "time 23:59:59.999999"},
    {"time", "'24:00:00'", "time 24:00:00"},
    {"time", "'24:00:01'", "interval PT24H1S"},
    {"time", "'838:59:59'", "interval PT838H59M59S"},
    {"time(6)", "'-00:00:00.000001'", "interval PT-0.000001S"},
    {"time", "'-838:59:59'", "interval PT-838H-59M-59S"},
    {"char(3)", "'a'", "text 'a'"},
    {"varchar(9)", "'h\303\251\360\237\231\202'", "text 'h\303\251\360\237\231\202'"},
    {"varchar(9) character set latin1", "'h\303\251'", "text 'h\303\251'"},
    {"varchar(9)", "''", "text ''"},
    {"tinytext", "'a'", "text 'a'"},
    {"longtext", "'a '", "text 'a '"},
    {"longtext", "repeat('a', 300)", "text 300"},
    {"longblob", "repeat('a', 300)", "blob 300"},
    {"varchar(256)", "repeat('a', 256)", "text 256"},
    {"varchar(257)", "repeat('a', 257)", "text 257"},
    {"binary(3)", "x'01'", "blob 010000"},
    {"varbinary(3)", "x'00ff'", "blob 00ff"},
    {"varbinary(3)", "''", "blob "},
    {"blob", "x'00ff5c27'", "blob 00ff5c27"},
    {"varchar(3) character set binary", "x'00ff'", "blob 00ff"},
    {"json", "'{\"a\": 1}'", "json '{\"a\": 1}'"},
    {"uuid", "'01890A5D-AC96-774B-BCCE-B302099A8057'",
     "uuid '01890a5d-ac96-774b-bcce-b302099a8057'"},
    {"inet6", "'2001:db8::1'", "text '2001:db8::1'"},
    {"inet4", "'192.0.2.1'", "text '192.0.2.1'"},
    {"enum('a','b')", "'b'", "text 'b'"},
    {"enum('a','b') character set binary", "'b'", "text 'b'"},
    {"set('a','b')", "'a,b'", "text 'a,b'"},
    {"set('a','b')", "''", "text ''"},
    {"point", "point(1, 2)", "blob 000000000101000000000000000000f03f0000000000000040"},
    {"int", "null", "null"},
    {"longtext", "null", "null"},
    {"uuid", "null", "null"},
    {"datetime", "null", "null"},
};

/* Long texts by their lengths. */
static void shorten(char *shown)
{
  size_t n = strlen(shown);
  if (n > 200 && strncmp(shown, "text", 4) == 0)
    sprintf(shown, "text %zu", n - 7);
  else if (n > 200 && strncmp(shown, "blob", 4) == 0)
    sprintf(shown, "blob %zu", (n - 5) / 2);
}

/* By the text protocol. */
static void ask_text(MYSQL *db, const char *sql, char *out, size_t n)
{
  mp_arena *arena = mp_arena_new(0);
  mp_error err;
  mp_value value;
  mp_mycolumn column;
  live_run(db, sql);
  MYSQL_RES *res = mysql_store_result(db);
  MYSQL_ROW row = mysql_fetch_row(res);
  mp_mytype_column(mysql_fetch_field_direct(res, 0), &column);
  if (mp_mytype_text_cell(&column, row[0], mysql_fetch_lengths(res)[0], arena, &value, &err))
    show(out, n, &value);
  else
    snprintf(out, n, "%s", mp_status_name(err.kind));
  mysql_free_result(res);
  mp_arena_free(arena);
}

static void cells_of_each_type_are_exact(void **state)
{
  (void)state;
  MYSQL *db = live_open();
  char sql[512], shown[SHOWN_MAX];
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    live_run(db, "SET @mode = @@sql_mode, sql_mode = ''");
    snprintf(sql, sizeof sql, "CREATE TEMPORARY TABLE cell (x %s) CHARACTER SET utf8mb4",
             cells[i].type);
    live_run(db, sql);
    snprintf(sql, sizeof sql, "INSERT INTO cell VALUES (%s)", cells[i].literal);
    live_run(db, sql);
    live_run(db, "SET sql_mode = @mode");
    live_ask(db, "SELECT x FROM cell", NULL, shown, sizeof shown);
    shorten(shown);
    if (strcmp(shown, cells[i].expected) != 0)
      fail_msg("%s %s: %s, not %s", cells[i].type, cells[i].literal, shown, cells[i].expected);
    ask_text(db, "SELECT x FROM cell", shown, sizeof shown);
    shorten(shown);
    if (strcmp(shown, cells[i].expected) != 0)
      fail_msg("%s %s as text: %s, not %s", cells[i].type, cells[i].literal, shown,
               cells[i].expected);
    live_run(db, "DROP TEMPORARY TABLE cell");
  }
  mysql_close(db);
}

static const struct {
  const char *sql, *expected;
} expressions[] = {
    {"select 1 = 1", "int 1"},
    {"select true", "int 1"},
    {"select null", "null"},
    {"select 9223372036854775807", "int 9223372036854775807"},
    {"select 18446744073709551615", "decimal 18446744073709551615"},
    {"select 1.50", "decimal 1.50"},
    {"select 7 / 2", "decimal 3.5000"},
    {"select 1e0", "float 1"},
    {"select cast(0.1 as float)", "float 0.1"},
    {"select cast(16777216 as float)", "float 16777216"},
    {"select cast(3.4028235e38 as float)", "float 3.4028235e38"},
    {"select cast(1e-45 as float)", "float 1e-45"},
    {"select cast(89741216 as float)", "float 89741216"},
    {"select 'a'", "text 'a'"},
    {"select concat(1, 2)", "text '12'"},
    {"select x'00ff'", "blob 00ff"},
    {"select unhex('00ff')", "blob 00ff"},
    {"select date '2026-11-20'", "date 2026-11-20"},
    {"select time '12:30:00.5'", "time 12:30:00.5"},
    {"select timestamp '2026-11-20 12:30:00'", "datetime 2026-11-20 12:30:00"},
    {"select date_add(date '2026-11-20', interval 1 hour)", "datetime 2026-11-20 01:00:00"},
    {"select json_extract('{\"a\": [1]}', '$.a')", "json '[1]'"},
    {"select json_unquote(json_extract('{\"a\": \"b\"}', '$.a'))", "text 'b'"},
    {"select json_object('a', null)", "json '{\"a\": null}'"},
    {"select count(*)", "int 1"},
    {"select sum(2)", "decimal 2"},
    {"select sum(2e0)", "float 2"},
    {"select database() is null", "int 0"},
    {"select cast(1 as unsigned)", "int 1"},
};

static void expressions_are_what_the_server_makes_of_them(void **state)
{
  (void)state;
  MYSQL *db = live_open();
  char shown[SHOWN_MAX];
  for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
    live_ask(db, expressions[i].sql, NULL, shown, sizeof shown);
    if (strcmp(shown, expressions[i].expected) != 0)
      fail_msg("%s: %s, not %s", expressions[i].sql, shown, expressions[i].expected);
  }
  mysql_close(db);
}

/* ---- parameters ---- */

static mp_value a_text(mp_kind kind, const char *s)
{
  return (mp_value){.kind = (uint8_t)kind, .len = (uint32_t)strlen(s), .s = s};
}

static mp_value a_value(mp_kind kind, const char *s)
{
  static mp_interval scratch;
  mp_value value = a_text(kind, s);
  if (kind == MP_DECIMAL)
    mp_decimal_view(s, strlen(s), &value);
  else if (kind != MP_TEXT && kind != MP_BLOB && kind != MP_JSON && kind != MP_UUID)
    assert_true(mp_value_parse(kind, s, strlen(s), &value, &scratch));
  return value;
}

static const struct {
  mp_kind kind;
  const char *value, *type, *expected; /* as a column of that type gives it back */
} sent[] = {
    {MP_NULL, "", "int", "null"},
    {MP_BOOL, "true", "tinyint(1)", "bool true"},
    {MP_BOOL, "false", "tinyint(1)", "bool false"},
    {MP_INT, "-9223372036854775808", "bigint", "int -9223372036854775808"},
    {MP_INT, "9223372036854775807", "bigint", "int 9223372036854775807"},
    {MP_INT, "42", "decimal(4,2)", "decimal 42.00"},
    {MP_FLOAT, "0.1", "double", "float 0.1"},
    {MP_FLOAT, "-0", "double", "float 0"}, /* a table has no minus zero */
    {MP_FLOAT, "1.7976931348623157e308", "double", "float 1.7976931348623157e308"},
    {MP_FLOAT, "5e-324", "double", "float 5e-324"},
    {MP_FLOAT, "inf", "double", "out_of_range"},
    {MP_FLOAT, "nan", "double", "out_of_range"},
    {MP_DECIMAL, "12.50", "decimal(12,2)", "decimal 12.50"},
    {MP_DECIMAL, "-0.01", "decimal(12,2)", "decimal -0.01"},
    {MP_DECIMAL, "12345678901234567890123456789012345.123456789012345678901234567891",
     "decimal(65,30)",
     "decimal 12345678901234567890123456789012345.123456789012345678901234567891"},
    {MP_DECIMAL, "0.00000000000000000000000000000000000001", "decimal(38,38)",
     "decimal 0.00000000000000000000000000000000000001"},
    {MP_DECIMAL, "0.000000000000000000000000000000000000001", "decimal(38,38)", "out_of_range"},
    {MP_DECIMAL, "123456789012345678901234567890123456789012345678901234567890123456",
     "decimal(65,0)", "out_of_range"},
    {MP_DECIMAL, "100000000000000000000000000000000000000000000000000000000000000000",
     "decimal(65,0)", "out_of_range"},
    {MP_DECIMAL, "12345678901234567890123456789012345678901234567890123456789012345",
     "decimal(65,0)", "decimal 12345678901234567890123456789012345678901234567890123456789012345"},
    {MP_TEXT, "", "varchar(9)", "text ''"},
    {MP_TEXT, "a'\\\"b", "varchar(9)", "text 'a'\\\"b'"},
    {MP_TEXT, "\360\237\231\202", "varchar(9)", "text '\360\237\231\202'"},
    {MP_TEXT, "12.5", "decimal(4,2)", "decimal 12.50"},
    {MP_BLOB, "\1\377\\'", "varbinary(9)", "blob 01ff5c27"},
    {MP_BLOB, "", "varbinary(9)", "blob "},
    {MP_DATE, "2026-11-20", "date", "date 2026-11-20"},
    {MP_DATE, "0001-01-01", "date", "date 0001-01-01"},
    {MP_DATE, "1969-12-31", "date", "date 1969-12-31"},
    {MP_TIME, "00:00:00", "time(6)", "time 00:00:00"},
    {MP_TIME, "23:59:59.999999", "time(6)", "time 23:59:59.999999"},
    {MP_TIME, "24:00:00", "time(6)", "time 24:00:00"},
    {MP_DATETIME, "2026-11-20 12:30:00.000001Z", "datetime(6)",
     "datetime 2026-11-20 12:30:00.000001"},
    {MP_DATETIME, "1969-12-31 23:59:59.999999Z", "datetime(6)",
     "datetime 1969-12-31 23:59:59.999999"},
    {MP_DATETIME, "2026-11-20 00:00:00Z", "datetime(6)", "datetime 2026-11-20 00:00:00"},
    {MP_DATETIME, "2026-11-20 12:30:00Z", "timestamp(6)", "datetime 2026-11-20 12:30:00"},
    {MP_WALLTIME, "9999-12-31 23:59:59.999999", "datetime(6)",
     "datetime 9999-12-31 23:59:59.999999"},
    {MP_INTERVAL, "P1M-2DT3H", "varchar(64)", "text 'P1M-2DT3H'"},
    {MP_INTERVAL, "PT0S", "varchar(64)", "text 'PT0S'"},
    {MP_UUID, "01890a5d-ac96-774b-bcce-b302099a8057", "uuid",
     "uuid '01890a5d-ac96-774b-bcce-b302099a8057'"},
    {MP_JSON, "{\"a\": [1, null]}", "json", "json '{\"a\": [1, null]}'"},
    {MP_TEXT, "abc", "int", "invalid_text (1366)"},
    {MP_TEXT, "abc", "double", "invalid_text (1366)"},
    {MP_TEXT, "abcdefghij", "varchar(9)", "value_too_long (1406)"},
    {MP_TEXT, "abc", "datetime", "invalid_datetime (1292)"},
    {MP_TEXT, "abc", "uuid", "invalid_text (1292)"},
    {MP_JSON, "{", "json", "check (4025)"},
    {MP_INT, "300", "tinyint", "out_of_range (1264)"},
    {MP_INT, "-1", "bigint unsigned", "out_of_range (1264)"},
};

static void what_is_sent_comes_back_as_it_was(void **state)
{
  (void)state;
  MYSQL *db = live_open();
  char sql[512], shown[SHOWN_MAX];
  for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
    mp_value value = sent[i].kind == MP_NULL ? MP_VALUE_NULL : a_value(sent[i].kind, sent[i].value);
    snprintf(sql, sizeof sql, "CREATE TEMPORARY TABLE cell (x %s) CHARACTER SET utf8mb4",
             sent[i].type);
    live_run(db, sql);
    live_ask(db, "INSERT INTO cell VALUES (?)", &value, shown, sizeof shown);
    if (*shown == '\0')
      live_ask(db, "SELECT x FROM cell", NULL, shown, sizeof shown);
    if (strcmp(shown, sent[i].expected) != 0)
      fail_msg("%s %s to %s: %s, not %s", mp_kind_name(sent[i].kind), sent[i].value, sent[i].type,
               shown, sent[i].expected);
    live_run(db, "DROP TEMPORARY TABLE cell");
  }
  mysql_close(db);
}

/* What a parameter alone is. */
static void a_parameter_has_its_own_type(void **state)
{
  (void)state;
  static const struct {
    mp_kind kind;
    const char *value, *expected;
  } alone[] = {
      {MP_INT, "5", "int 5"},
      {MP_BOOL, "true", "int 1"},
      {MP_FLOAT, "0.1", "float 0.1"},
      {MP_DECIMAL, "1.20", "decimal 1.20"},
      {MP_TEXT, "a", "text 'a'"},
      {MP_BLOB, "\377", "blob ff"},
      {MP_DATE, "2026-11-20", "date 2026-11-20"},
      {MP_TIME, "12:30:00.5", "time 12:30:00.5"},
      {MP_DATETIME, "2026-11-20 12:30:00.5Z", "datetime 2026-11-20 12:30:00.5"},
  };
  MYSQL *db = live_open();
  char shown[SHOWN_MAX];
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
    mp_value value = a_value(alone[i].kind, alone[i].value);
    live_ask(db, "SELECT ?", &value, shown, sizeof shown);
    if (strcmp(shown, alone[i].expected) != 0)
      fail_msg("%s: %s, not %s", alone[i].value, shown, alone[i].expected);
  }
  mysql_close(db);
}

static void a_parameter_that_the_server_has_no_type_for_is_refused(void **state)
{
  (void)state;
  mp_arena *arena = mp_arena_new(0);
  mp_error err;
  MYSQL_BIND bind;
  mp_array none = {.dim_n = 0};
  mp_value value = {.kind = MP_ARRAY, .a = &none};
  assert_false(mp_mytype_param(&value, arena, &bind, &err));
  assert_int_equal(err.kind, MP_E_UNSUPPORTED);
  value = (mp_value){.kind = MP_DATETIME, .i = MP_INSTANT_LAST + 1};
  assert_false(mp_mytype_param(&value, arena, &bind, &err));
  assert_int_equal(err.kind, MP_E_OUT_OF_RANGE);
  mp_arena_free(arena);
}

/* ---- without a server ---- */

static void a_text_that_is_no_such_type_is_an_error(void **state)
{
  (void)state;
  static const struct {
    enum enum_field_types type;
    const char *text;
  } wrong[] = {
      {MYSQL_TYPE_LONG, ""},
      {MYSQL_TYPE_LONG, "x"},
      {MYSQL_TYPE_LONG, "1.5"},
      {MYSQL_TYPE_DOUBLE, "1e999"},
      {MYSQL_TYPE_NEWDECIMAL, "1.2.3"},
      {MYSQL_TYPE_NEWDECIMAL, ""},
      {MYSQL_TYPE_DATE, "2026-13-01"},
      {MYSQL_TYPE_DATE, ""},
      {MYSQL_TYPE_DATETIME, "2026-11-20 25:00:00"},
      {MYSQL_TYPE_TIME, "12"},
      {MYSQL_TYPE_TIME, "-"},
      {MYSQL_TYPE_TIME, "1:2:3:4"},
      {MYSQL_TYPE_TIME, "12:00:00.0000000000000000000001"},
      {MYSQL_TYPE_BIT, "123456789"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    mp_arena *arena = mp_arena_new(0);
    MYSQL_FIELD field = {.type = wrong[i].type, .length = 20, .charsetnr = 63};
    mp_mycolumn column;
    mp_value value;
    mp_error err = MP_ERROR_NONE;
    size_t n = strlen(wrong[i].text);
    char *exact = malloc(n + 1); /* its end is seen */
    mp_mytype_column(&field, &column);
    exact = realloc(memcpy(exact, wrong[i].text, n + 1), n > 0 ? n : 1);
    if (mp_mytype_text_cell(&column, exact, n, arena, &value, &err) &&
        (wrong[i].type != MYSQL_TYPE_LONG || value.kind == MP_INT))
      fail_msg("%s '%s' was taken", mp_mytype_name(&column), wrong[i].text);
    free(exact);
    mp_arena_free(arena);
  }
}

static void types_have_their_names(void **state)
{
  (void)state;
  static const struct {
    MYSQL_FIELD field;
    const char *name;
  } named[] = {
      {{.type = MYSQL_TYPE_LONGLONG, .flags = UNSIGNED_FLAG, .length = 20}, "bigint unsigned"},
      {{.type = MYSQL_TYPE_TINY, .length = 1}, "tinyint(1)"},
      {{.type = MYSQL_TYPE_TINY, .length = 4}, "tinyint"},
      {{.type = MYSQL_TYPE_DATETIME, .charsetnr = 63}, "datetime"},
      {{.type = MYSQL_TYPE_VAR_STRING, .charsetnr = 45}, "varchar"},
      {{.type = MYSQL_TYPE_VAR_STRING, .charsetnr = 63}, "varbinary"},
      {{.type = MYSQL_TYPE_BLOB, .charsetnr = 63}, "blob"},
      {{.type = MYSQL_TYPE_BLOB, .charsetnr = 45}, "text"},
      {{.type = MYSQL_TYPE_JSON, .charsetnr = 45}, "json"},
      {{.type = MYSQL_TYPE_GEOMETRY, .charsetnr = 63}, "geometry"},
  };
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    mp_mycolumn column;
    mp_mytype_column(&named[i].field, &column);
    assert_string_equal(mp_mytype_name(&column), named[i].name);
  }
}

static void a_float_of_four_bytes_is_its_shortest_text(void **state)
{
  (void)state;
  static const struct {
    float f;
    double d;
  } floats[] = {{0.1f, 0.1},
                {-0.1f, -0.1},
                {1e-45f, 1e-45},
                {16777216.0f, 16777216},
                {89741216.0f, 89741216},
                {3.4028235e38f, 3.4028235e38},
                {0.0f, 0},
                {1.0f / 3, 0.33333334}};
  MYSQL_FIELD field = {.type = MYSQL_TYPE_FLOAT, .length = 12, .charsetnr = 63};
  mp_mycolumn column;
  mp_mytype_column(&field, &column);
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
    mp_myslot slot = {.is_null = 0};
    mp_value value;
    mp_mytype_bind(&column, &slot);
    slot.room.f = floats[i].f;
    assert_true(mp_mytype_cell(&column, &slot, NULL, &value, NULL));
    assert_int_equal(value.kind, MP_FLOAT);
    assert_true(value.d == floats[i].d);
  }
}

/* Anything that a broken server may put into the structure gives an error or a value, never more. */
static void any_time_is_a_value_or_an_error(void **state)
{
  (void)state;
  static const enum enum_field_types types[] = {MYSQL_TYPE_DATE, MYSQL_TYPE_TIME,
                                                MYSQL_TYPE_DATETIME};
  static const unsigned parts[] = {0, 1, 12, 31, 59, 60, 9999, 10000, UINT32_MAX};
  size_t n = sizeof parts / sizeof *parts;
  uint64_t seed = 42;
  mp_arena *arena = mp_arena_new(0);
  for (int i = 0; i < 20000; i++) {
    unsigned pick[8];
    for (int k = 0; k < 8; k++) {
      seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
      pick[k] = parts[(seed >> 33) % n];
    }
    MYSQL_FIELD field = {.type = types[i % 3], .charsetnr = 63};
    mp_mycolumn column;
    mp_myslot slot = {.is_null = 0};
    mp_value value;
    mp_error err = MP_ERROR_NONE;
    char shown[MP_VALUE_TEXT_MAX];
    mp_mytype_column(&field, &column);
    mp_mytype_bind(&column, &slot);
    slot.room.t = (MYSQL_TIME){pick[0], pick[1],     pick[2],
                               pick[3], pick[4],     pick[5],
                               pick[6], pick[7] & 1, MYSQL_TIMESTAMP_DATETIME};
    if (mp_mytype_cell(&column, &slot, arena, &value, &err))
      assert_true(mp_value_format(&value, shown) > 0);
    else
      assert_non_null(err.message);
  }
  mp_arena_free(arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cells_of_each_type_are_exact),
      cmocka_unit_test(expressions_are_what_the_server_makes_of_them),
      cmocka_unit_test(what_is_sent_comes_back_as_it_was),
      cmocka_unit_test(a_parameter_has_its_own_type),
      cmocka_unit_test(a_parameter_that_the_server_has_no_type_for_is_refused),
      cmocka_unit_test(a_text_that_is_no_such_type_is_an_error),
      cmocka_unit_test(types_have_their_names),
      cmocka_unit_test(a_float_of_four_bytes_is_its_shortest_text),
      cmocka_unit_test(any_time_is_a_value_or_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
