/* mariadb_test.c - statements on MariaDB: values, results, errors, prepared statements, many rows of parameters. */
#include "mariadb_pool.h"

static void every_kind_of_parameter_arrives(void **state)
{
  mp_value params[] = {
      int_of(INT64_MIN),
      {.kind = MP_FLOAT, .d = 0.1},
      {.kind = MP_BOOL, .i = 1},
      text_of("h\xc3\xa9llo"),
      {.kind = MP_BLOB, .len = 3, .s = "\0\xff\1"},
      {.kind = MP_DECIMAL, .small = 1, .i = 1230, .scale = 2},
      {.kind = MP_DATE, .i = 0},
      {.kind = MP_TIME, .i = 1},
      {.kind = MP_DATETIME, .i = 1000001},
      MP_VALUE_NULL,
      {.kind = MP_JSON, .len = 7, .s = "{\"a\":1}"},
      {.kind = MP_UUID, .len = 36, .s = "00000000-0000-0000-0000-00000000000a"},
  };
  ask a;
  (void)state;
  open_pool(1);
  fine(run_with(&a, MP_OP_QUERY, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", params, 12, 1));
  assert_int_equal(cell(a.req, 0, 0).i, INT64_MIN);
  assert_true(cell(a.req, 0, 1).d == 0.1);
  assert_int_equal(cell(a.req, 0, 2).i, 1);
  text_is(cell(a.req, 0, 3), "h\xc3\xa9llo");
  assert_int_equal(cell(a.req, 0, 4).kind, MP_BLOB);
  assert_int_equal(cell(a.req, 0, 4).len, 3);
  assert_int_equal(cell(a.req, 0, 5).kind, MP_DECIMAL);
  assert_int_equal(cell(a.req, 0, 5).i, 1230);
  assert_int_equal(cell(a.req, 0, 6).kind, MP_DATE);
  assert_int_equal(cell(a.req, 0, 7).i, 1);
  assert_int_equal(cell(a.req, 0, 8).i, 1000001);
  assert_int_equal(cell(a.req, 0, 9).kind, MP_NULL);
  text_is(cell(a.req, 0, 10), "{\"a\":1}");
  ask_free(&a);
  close_pool(pool);
}

static void a_parameter_may_be_of_another_kind_each_time(void **state)
{
  mp_value values[] = {int_of(7), text_of("seven"), {.kind = MP_FLOAT, .d = 7.5}, int_of(8)};
  ask a;
  (void)state;
  open_pool(1);
  for (int i = 0; i < 4; i++) {
    fine(run_with(&a, MP_OP_QUERY, "SELECT ? AS v", &values[i], 1, 1));
    assert_int_equal(cell(a.req, 0, 0).kind, values[i].kind);
    ask_free(&a);
  }
  close_pool(pool);
}

static void long_texts_come_whole(void **state)
{
  static const size_t sizes[] = {0, 255, 256, 257, 70000, 3000000};
  ask a;
  (void)state;
  open_pool(1);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mp_value n = int_of((int64_t)sizes[i]), got;
    fine(run_with(&a, MP_OP_QUERY, "SELECT repeat('ab', ?), 'end'", &n, 1, 1));
    got = cell(a.req, 0, 0);
    assert_int_equal(got.len, 2 * sizes[i]);
    for (size_t k = 0; k < got.len; k++)
      if (got.s[k] != "ab"[k % 2])
        fail_msg("byte %zu of %zu is another one", k, sizes[i]);
    text_is(cell(a.req, 0, 1), "end");
    ask_free(&a);
  }
  close_pool(pool);
}

static void a_wrong_statement_tells_where(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  fails(run(&a, "SELECT 1 +"), MP_E_SYNTAX);
  assert_int_equal(a.req->error.code, 1064);
  assert_false(a.req->error.sent);
  ask_free(&a);
  fails(run(&a, "SELECT nothing FROM nowhere"), MP_E_UNDEFINED_TABLE);
  ask_free(&a);
  fails(run_with(&a, MP_OP_QUERY, "SELECT ?", NULL, 0, 1), MP_E_BAD_PARAMETERS);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
}

static void changes_are_counted_and_keys_told(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INT UNIQUE)");
  fine(run(&a, "INSERT INTO core_t (n) VALUES (1), (2), (3)"));
  assert_int_equal(a.req->affected, 3);
  assert_int_equal(a.req->last_id, 1);
  ask_free(&a);
  fine(run(&a, "UPDATE core_t SET n = n WHERE n < 3"));
  assert_int_equal(a.req->affected, 2); /* those that matched */
  ask_free(&a);
  fine(run(&a, "INSERT INTO core_t (n) VALUES (4), (5) RETURNING id"));
  assert_int_equal(a.req->affected, 2);
  assert_int_equal(a.req->result->row_n, 2);
  assert_int_equal(cell(a.req, 1, 0).i, 5);
  ask_free(&a);
  fine(run(&a, "SELECT id FROM core_t"));
  assert_int_equal(a.req->affected, 0);
  ask_free(&a);
  fails(run(&a, "INSERT INTO core_t (n) VALUES (5)"), MP_E_UNIQUE);
  assert_true(a.req->error.sent);
  assert_string_equal(a.req->error.constraint, "n");
  ask_free(&a);
  does("DROP TABLE core_t");
  close_pool(pool);
}

static void an_error_may_come_with_the_rows(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  fails(run(&a, "SELECT 18446744073709551610 + seq FROM seq_0_to_10"), MP_E_OUT_OF_RANGE);
  ask_free(&a);
  fails(run_with(&a, MP_OP_STREAM, "SELECT 18446744073709550000 + seq FROM seq_0_to_10000", NULL, 0,
                 1),
        MP_E_OUT_OF_RANGE);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
}

static void a_result_that_is_too_large_is_refused(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  ask_for(&a, MP_OP_QUERY, "SELECT seq FROM seq_1_to_1000000000");
  a.req->max_rows = 100;
  mp_pool_submit(pool, a.req);
  wait_for(&a);
  fails(a.req, MP_E_RESULT_TOO_LARGE);
  assert_null(a.req->result);
  ask_free(&a);
  ask_for(&a, MP_OP_QUERY, "SELECT repeat('x', 1000) FROM seq_1_to_1000000000");
  a.req->max_bytes = 100000;
  mp_pool_submit(pool, a.req);
  wait_for(&a);
  fails(a.req, MP_E_RESULT_TOO_LARGE);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
}

static void what_the_server_would_not_take_is_not_sent(void **state)
{
  char *text;
  size_t n;
  mp_value value;
  ask a;
  (void)state;
  open_pool(1);
  n = (size_t)number("SELECT @@max_allowed_packet");
  text = malloc(n);
  memset(text, 'x', n);
  value = (mp_value){.kind = MP_TEXT, .len = (uint32_t)n, .s = text};
  fails(run_with(&a, MP_OP_QUERY, "SELECT length(?)", &value, 1, 1), MP_E_QUERY_TOO_LARGE);
  assert_false(a.req->error.sent);
  ask_free(&a);
  value.len = (uint32_t)n - 1000; /* but this is */
  fine(run_with(&a, MP_OP_QUERY, "SELECT length(?)", &value, 1, 1));
  assert_int_equal(cell(a.req, 0, 0).i, n - 1000);
  ask_free(&a);
  free(text);
  assert_int_equal(stats_of(pool).size, 1);
  close_pool(pool);
}

static void of_several_results_the_first_with_rows_counts(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE PROCEDURE core_p() BEGIN SET @a = 1; SELECT 1 AS a UNION ALL SELECT 2; "
       "SELECT 'x' AS b, 'y' AS c; END");
  for (int i = 0; i < 3; i++) {
    fine(run(&a, "CALL core_p()"));
    assert_int_equal(a.req->result->row_n, 2);
    assert_int_equal(a.req->result->column_n, 1);
    assert_int_equal(cell(a.req, 1, 0).i, 2);
    ask_free(&a);
    fine(run_with(&a, MP_OP_STREAM, "CALL core_p()", NULL, 0, 1));
    assert_int_equal(a.row_n, 2);
    ask_free(&a);
  }
  does("CREATE OR REPLACE PROCEDURE core_p() BEGIN SELECT 1; SIGNAL SQLSTATE '45000'; END");
  fails(run(&a, "CALL core_p()"), MP_E_TRIGGER);
  ask_free(&a);
  does("DROP PROCEDURE core_p");
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
}

static void a_table_may_change_under_a_kept_statement(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (a INT)");
  does("INSERT INTO core_t VALUES (1)");
  for (int i = 1; i <= 3; i++) {
    fine(run(&a, "SELECT * FROM core_t"));
    assert_int_equal(a.req->result->column_n, i);
    assert_string_equal(a.req->result->columns[0].name, "a");
    ask_free(&a);
    does(i == 1   ? "ALTER TABLE core_t ADD b VARCHAR(10) DEFAULT 'b'"
         : i == 2 ? "ALTER TABLE core_t ADD c DATETIME"
                  : "ALTER TABLE core_t MODIFY a VARCHAR(10)");
  }
  fine(run(&a, "SELECT * FROM core_t"));
  text_is(cell(a.req, 0, 0), "1");
  ask_free(&a);
  does("DROP TABLE core_t");
  fails(run(&a, "SELECT * FROM core_t"), MP_E_UNDEFINED_TABLE);
  ask_free(&a);
  assert_int_equal(number("SELECT 5"), 5);
  close_pool(pool);
}

/* An INSERT that gives rows back is never run twice. */
static void a_changed_table_does_not_make_a_write_run_twice(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (a INT)");
  fine(run(&a, "INSERT INTO core_t (a) VALUES (1) RETURNING core_t.*"));
  ask_free(&a);
  does("ALTER TABLE core_t ADD b INT");
  run(&a, "INSERT INTO core_t (a) VALUES (1) RETURNING core_t.*");
  assert_int_equal(number("SELECT count(*) FROM core_t"), 2);
  fine(a.req);
  assert_int_equal(a.req->result->column_n, 2);
  ask_free(&a);
  does("DROP TABLE core_t");
  close_pool(pool);
}

static void statements_are_kept_up_to_the_limit(void **state)
{
  const char *password;
  mp_config *config = config_from("MOONPOOL_TEST_MARIADB", &password);
  char sql[64];
  int64_t before;
  (void)state;
  config->statement_cache = 3;
  open_with(config, password, 1);
  for (int i = 0; i < 20; i++) {
    snprintf(sql, sizeof sql, "SELECT %d", i % 7);
    assert_int_equal(number(sql), i % 7);
  }
  before = number("SELECT cast(variable_value AS INT) FROM information_schema.session_status WHERE "
                  "variable_name = 'COM_STMT_PREPARE'");
  assert_int_equal(number("SELECT 5"), 5); /* kept */
  assert_int_equal(
      number("SELECT cast(variable_value AS INT) FROM information_schema.session_status "
             "WHERE variable_name = 'COM_STMT_PREPARE'"),
      before);
  close_pool(pool);
}

static void a_statement_is_described(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  fine(run_with(&a, MP_OP_PREPARE, "SELECT ? + 1 AS n, 'x' AS t", NULL, 0, 1));
  assert_int_equal(a.req->param_n, 1);
  assert_int_equal(a.req->result->column_n, 2);
  assert_int_equal(a.req->result->row_n, 0);
  assert_string_equal(a.req->result->columns[1].name, "t");
  ask_free(&a);
  fails(run_with(&a, MP_OP_PREPARE, "SELECT 1 +", NULL, 0, 1), MP_E_SYNTAX);
  ask_free(&a);
  close_pool(pool);
}

/* ---- many ---- */

static void many_rows_of_every_kind(void **state)
{
  enum {
    ROWS = 5000
  };
  mp_value *params = calloc(4 * ROWS, sizeof *params);
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (id INT PRIMARY KEY, s VARCHAR(20), f DOUBLE, d "
       "DATETIME(6))");
  for (int i = 0; i < ROWS; i++) {
    params[4 * i] = int_of(i);
    params[4 * i + 1] = i % 3 == 0 ? MP_VALUE_NULL : text_of("text");
    params[4 * i + 2] =
        i % 500 == 7 ? int_of(3) : (mp_value){.kind = MP_FLOAT, .d = 0.5}; /* mixed */
    params[4 * i + 3] = i % 2 == 0 ? MP_VALUE_NULL : (mp_value){.kind = MP_DATETIME, .i = i};
  }
  fine(run_with(&a, MP_OP_MANY, "INSERT INTO core_t VALUES (?, ?, ?, ?)", params, 4, ROWS));
  assert_int_equal(a.req->affected, ROWS);
  ask_free(&a);
  assert_int_equal(
      number("SELECT count(*) FROM core_t WHERE (s IS NULL) = (id % 3 = 0) AND f = if(id "
             "% 500 = 7, 3, 0.5) AND (d IS NULL) = (id % 2 = 0)"),
      ROWS);
  assert_int_equal(number("SELECT microsecond(d) FROM core_t WHERE id = 4321"), 4321);
  params[1] = int_of(ROWS - 5);
  fine(run_with(&a, MP_OP_MANY, "UPDATE core_t SET s = 'new' WHERE id >= ?", params, 1, 2));
  assert_int_equal(a.req->affected, ROWS + 5);
  ask_free(&a);
  params[0] = int_of(ROWS - 1);
  fails(run_with(&a, MP_OP_MANY, "INSERT INTO core_t (id) VALUES (?)", params, 1, 2), MP_E_UNIQUE);
  ask_free(&a);
  fine(run_with(&a, MP_OP_QUERY, "SELECT count(*) FROM core_t", NULL, 0, 1));
  assert_int_equal(cell(a.req, 0, 0).i, ROWS);
  ask_free(&a);
  does("DROP TABLE core_t");
  free(params);
  close_pool(pool);
}

static void many_that_give_rows_back(void **state)
{
  mp_value params[] = {int_of(1), int_of(2), int_of(3)};
  ask a;
  (void)state;
  open_pool(1);
  does("CREATE OR REPLACE TABLE core_t (id INT PRIMARY KEY)");
  fine(run_with(&a, MP_OP_MANY, "INSERT INTO core_t VALUES (?) RETURNING id", params, 1, 3));
  assert_int_equal(a.req->affected, 3);
  ask_free(&a);
  fine(run_with(&a, MP_OP_MANY, "SELECT ?", params, 1, 3));
  assert_int_equal(a.req->affected, 0);
  ask_free(&a);
  params[2] = (mp_value){.kind = MP_FLOAT, .d = 1.0 / 0.0};
  fails(run_with(&a, MP_OP_MANY, "SELECT ?", params, 1, 3), MP_E_OUT_OF_RANGE);
  assert_non_null(strstr(a.req->error.message, "row 3, parameter 1"));
  ask_free(&a);
  fine(run_with(&a, MP_OP_MANY, "DELETE FROM core_t WHERE id = ?", params, 1, 0));
  ask_free(&a);
  does("DROP TABLE core_t");
  close_pool(pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(every_kind_of_parameter_arrives),
      RIG_TEST(a_parameter_may_be_of_another_kind_each_time),
      RIG_TEST(long_texts_come_whole),
      RIG_TEST(a_wrong_statement_tells_where),
      RIG_TEST(changes_are_counted_and_keys_told),
      RIG_TEST(an_error_may_come_with_the_rows),
      RIG_TEST(a_result_that_is_too_large_is_refused),
      RIG_TEST(what_the_server_would_not_take_is_not_sent),
      RIG_TEST(of_several_results_the_first_with_rows_counts),
      RIG_TEST(a_table_may_change_under_a_kept_statement),
      RIG_TEST(a_changed_table_does_not_make_a_write_run_twice),
      RIG_TEST(statements_are_kept_up_to_the_limit),
      RIG_TEST(a_statement_is_described),
      RIG_TEST(many_rows_of_every_kind),
      RIG_TEST(many_that_give_rows_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
