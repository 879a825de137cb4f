/* fake_test.c - the scripts of the fake database: what they mean, and what is said of a wrong one. */
#include "rig.h"

static mp_pool *pool;

static void ask_and_wait(ask *a, mp_op op, const char *sql)
{
  mp_pool_submit(pool, ask_for(a, op, sql));
  run_until(&a->done_n, 1);
}

static mp_value cell_of(const ask *a, size_t row, int col)
{
  mp_value cell;
  a->req->result->ops->cell(a->req->result, row, col, &cell);
  return cell;
}

static void rows_of_typed_cells_are_replayed(void **state)
{
  ask a;
  mp_value cell;
  (void)state;
  script("f",
         "# a comment\n"
         "select b -> columns n:int, t:text, x:float, b:blob, ok:bool, d:date; row #, \"a; b, #\", "
         "1.5, 00ff, "
         "true, 2026-11-20; row 7, null, null, null, null, null *3; affected 2; id 9 # another\n");
  pool = pool_of("fake", "f", 1);
  ask_and_wait(&a, MP_OP_QUERY, "SELECT B, c");
  assert_int_equal(a.req->error.kind, MP_OK);
  assert_int_equal(a.req->result->row_n, 4);
  assert_int_equal(a.req->result->column_n, 6);
  assert_string_equal(a.req->result->columns[1].name, "t");
  assert_int_equal(a.req->result->columns[5].kind, MP_DATE);
  assert_int_equal(cell_of(&a, 0, 0).i, 1);
  assert_string_equal(cell_of(&a, 0, 1).s, "a; b, #");
  cell = cell_of(&a, 0, 3);
  assert_int_equal(cell.len, 2);
  assert_memory_equal(cell.s, "\0\xff", 2);
  assert_true(cell_of(&a, 0, 2).d == 1.5);
  assert_int_equal(cell_of(&a, 0, 4).i, 1);
  assert_int_equal(cell_of(&a, 0, 5).i, 20777);
  assert_int_equal(cell_of(&a, 3, 0).i, 7);
  assert_int_equal(cell_of(&a, 3, 5).kind, MP_NULL);
  assert_int_equal(a.req->affected, 2);
  assert_int_equal(a.req->last_id, 9);
  ask_free(&a);
  close_pool(pool);
}

static void rules_are_used_in_order_and_up(void **state)
{
  ask a;
  (void)state;
  script("f", "insert into t *2 -> affected 1\ninsert -> error unique \"taken\" table=t "
              "columns=a,b code=5 sent=false\n");
  pool = pool_of("fake", "f", 1);
  for (int i = 0; i < 3; i++) {
    ask_and_wait(&a, MP_OP_QUERY, "insert into t values (1)");
    assert_int_equal(a.req->error.kind, i < 2 ? MP_OK : MP_E_UNIQUE);
    if (i < 2)
      ask_free(&a);
  }
  assert_string_equal(a.req->error.message, "taken");
  assert_string_equal(a.req->error.columns, "a,b");
  assert_int_equal(a.req->error.code, 5);
  assert_false(a.req->error.sent);
  ask_free(&a);
  ask_and_wait(&a, MP_OP_QUERY, "delete");
  assert_int_equal(a.req->error.kind, MP_E_SYNTAX);
  ask_free(&a);
  ask_and_wait(&a, MP_OP_PING, "");
  assert_int_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  assert_string_equal(
      asked_text("f"),
      "insert into t values (1); insert into t values (1); insert into t values (1); "
      "delete; (ping)");
  close_pool(pool);
}

static void parameters_come_back(void **state)
{
  ask a;
  mp_value params[2] = {{.kind = MP_INT, .i = 5}, {.kind = MP_TEXT, .s = "abc", .len = 3}};
  mp_result *result;
  mp_value cell;
  (void)state;
  script("f", "select -> params\nupdate -> affected 2");
  pool = pool_of("fake", "f", 1);
  ask_for(&a, MP_OP_QUERY, "select");
  mp_request_fill(a.req, "select", 6, params, 2, 1);
  mp_pool_submit(pool, a.req);
  run_until(&a.done_n, 1);
  result = mp_request_take_result(a.req);
  ask_free(&a);
  result->ops->cell(result, 0, 1, &cell); /* outlives its request */
  assert_string_equal(cell.s, "abc");
  mp_result_free(result);
  ask_for(&a, MP_OP_MANY, "update");
  mp_request_fill(a.req, "update", 6, params, 1, 2);
  mp_pool_submit(pool, a.req);
  run_until(&a.done_n, 1);
  assert_int_equal(a.req->affected, 4);
  ask_free(&a);
  close_pool(pool);
}

static void a_wrong_script_is_explained(void **state)
{
  static const struct {
    const char *text, *says;
  } bads[] = {
      {"select", "line 1: no -> in it"},
      {"\n\nselect\nx -> affected 1", "line 3: no -> in it"},
      {"x -> afected 1", "no such step"},
      {"x -> affected", "a number is missing"},
      {"x -> affected 1x", "no whole number"},
      {"x -> row 1", "before its columns"},
      {"x -> columns a:int, b:int; row 1", "too few"},
      {"x -> columns a:int; row x", "not of its column's kind"},
      {"x -> columns a:integer", "no such kind of column"},
      {"x -> columns a", "name:kind"},
      {"x -> error nonsense", "no such kind of error"},
      {"x -> error busy \"no end", "no end"},
      {"x -> error busy colour=red", "no such detail"},
      {"x -> tx maybe", "tx is"},
      {"set colour 1", "no such setting"},
      {" -> affected 1", "nothing in front"},
      {"x -> affected 1 2", "more than this step takes"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
    char why[200] = "";
    assert_int_equal(mp_fake_script("bad", bads[i].text, why, sizeof why), MP_E_CONFIGURATION);
    if (strstr(why, bads[i].says) == NULL)
      fail_msg("\"%s\": %s", bads[i].text, why);
  }
  assert_null(mp_fake_asked("bad", 0, NULL));
}

static void a_database_without_script_is_no_database(void **state)
{
  mp_error err;
  mp_pool *none;
  mp_config *config = config_for("fake", "nobody");
  (void)state;
  assert_int_equal(mp_pool_new(&none, loop, config, &(mp_pool_limits){.max = 1}, &err),
                   MP_E_CONFIGURATION);
  assert_non_null(strstr(err.message, "nobody"));
  mp_arena_free(config->arena);
}

static int forget_all(void **state)
{
  mp_fake_forget("f");
  return rig_teardown(state);
}

#define FAKE_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, forget_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      FAKE_TEST(rows_of_typed_cells_are_replayed),
      FAKE_TEST(rules_are_used_in_order_and_up),
      FAKE_TEST(parameters_come_back),
      FAKE_TEST(a_wrong_script_is_explained),
      FAKE_TEST(a_database_without_script_is_no_database),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
