/* request_test.c - the life of one request, and what its copy owns. */
#include "rig.h"

static int freed_n;

static void count_free(mp_result *result)
{
  freed_n++;
  free(result);
}

static mp_result *some_result(void)
{
  static const mp_result_ops ops = {.free = count_free};
  mp_result *result = calloc(1, sizeof *result);
  result->ops = &ops;
  return result;
}

static void sql_and_parameters_are_copied_whole(void **state)
{
  char sql[] = "select ?", text[] = "te\0xt";
  mp_interval span = {1, 2, 3};
  mp_value params[6] = {{.kind = MP_INT, .i = INT64_MIN},
                        {.kind = MP_TEXT, .s = text, .len = 2},
                        {.kind = MP_BLOB, .s = text, .len = 5},
                        {.kind = MP_INTERVAL, .v = &span},
                        {.kind = MP_DECIMAL, .s = "123456789012345678901", .len = 21},
                        {.kind = MP_DECIMAL, .small = 1, .scale = 2, .i = 125}};
  mp_request *req;
  (void)state;
  assert_int_equal(mp_request_new(&req), MP_OK);
  assert_int_equal(mp_request_fill(req, sql, strlen(sql), params, 3, 2), MP_OK);
  memset(sql, 'x', sizeof sql);
  memset(text, 'x', sizeof text);
  span.days = 9;
  memset(params, 0, sizeof params);
  assert_string_equal(req->sql, "select ?");
  assert_int_equal(req->sql_len, 8);
  assert_int_equal(req->param_n, 3);
  assert_int_equal(req->param_rows, 2);
  assert_true(req->params[0].i == INT64_MIN);
  assert_string_equal(req->params[1].s, "te");
  assert_memory_equal(req->params[2].s, "te\0xt", 6);
  assert_int_equal(req->params[3].v->days, 2);
  assert_string_equal(req->params[4].s, "123456789012345678901");
  assert_int_equal(req->params[5].i, 125);
  mp_request_free(req);
}

static void too_many_parameters_to_count_are_refused(void **state)
{
  mp_request *req;
  mp_value value = MP_VALUE_NULL;
  (void)state;
  mp_request_new(&req);
  assert_int_equal(mp_request_fill(req, "x", 1, &value, 1 << 20, SIZE_MAX / 2), MP_E_OUT_OF_MEMORY);
  assert_int_equal(mp_request_fill(req, "x", 1, &value, 16, SIZE_MAX / 64), MP_E_OUT_OF_MEMORY);
  mp_request_free(req);
}

static void each_move_notes_its_time(void **state)
{
  ask a;
  mp_request *req = ask_for(&a, MP_OP_QUERY, "x");
  (void)state;
  mp_request_move(req, MP_REQ_QUEUED);
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_request_finish(req);
  assert_int_equal(req->state, MP_REQ_DONE);
  assert_true(req->submitted_ns > 0 && req->submitted_ns <= req->started_ns);
  assert_true(req->started_ns <= req->done_ns);
  ask_free(&a);
}

static char heard[20];
static bool keeps;

static void hear(mp_request *req)
{
  (void)req;
  strcat(heard, "c");
}

static bool hear_and_maybe_keep(mp_request *req)
{
  strcat(heard, "h");
  if (keeps)
    mp_request_move(req, MP_REQ_QUEUED);
  return !keeps;
}

static void the_end_is_told_from_below_and_may_be_kept(void **state)
{
  ask a;
  mp_request *req = ask_for(&a, MP_OP_QUERY, "x");
  (void)state;
  heard[0] = '\0';
  req->left = hear;
  req->ended = hear_and_maybe_keep;
  keeps = true;
  mp_request_move(req, MP_REQ_QUEUED);
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_request_finish(req);
  assert_string_equal(heard, "ch");
  assert_int_equal(a.done_n, 0);
  assert_int_equal(req->state, MP_REQ_QUEUED);
  keeps = false;
  req->left = hear;
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_request_finish(req);
  assert_string_equal(heard, "chch");
  ask_free(&a);
}

static void failing_puts_an_error_in_place_of_the_result(void **state)
{
  ask a;
  mp_request *req = ask_for(&a, MP_OP_QUERY, "x");
  (void)state;
  freed_n = 0;
  req->result = some_result();
  mp_request_move(req, MP_REQ_QUEUED);
  mp_request_fail(req, MP_E_BUSY, "after %d tries", 3);
  assert_int_equal(freed_n, 1);
  assert_int_equal(req->error.kind, MP_E_BUSY);
  assert_string_equal(req->error.message, "after 3 tries");
  ask_free(&a);
}

static void a_result_is_freed_with_the_request_unless_taken(void **state)
{
  mp_request *req;
  mp_result *taken;
  (void)state;
  freed_n = 0;
  mp_request_new(&req);
  req->result = some_result();
  mp_request_free(req);
  assert_int_equal(freed_n, 1);
  mp_request_new(&req);
  req->result = some_result();
  taken = mp_request_take_result(req);
  assert_null(mp_request_take_result(req));
  mp_request_free(req);
  assert_int_equal(freed_n, 1);
  mp_result_free(taken);
  mp_request_free(NULL);
  mp_result_free(NULL);
}

/* Of exactly the bytes that it is given: a sanitizer sees one more. */
static void each_text_has_a_hash_of_its_own(void **state)
{
  static const char *const texts[] = {
      "",           "s",        "select 1",  "select 2",  "select 1 ",
      " select 1",  "Select 1", "select 11", "1 select",  "select\n1",
      "select 1\n", "1",        "tceles 1",  "select 10", "select 1select 1",
  };
  const int n = sizeof texts / sizeof *texts;
  uint64_t hashes[sizeof texts / sizeof *texts];
  (void)state;
  for (int i = 0; i < n; i++) {
    size_t len = strlen(texts[i]);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, texts[i], len);
    copy = realloc(copy, len == 0 ? 1 : len);
    hashes[i] = mp_sql_hash(copy, len);
    free(copy);
    assert_true(hashes[i] != 0);
    for (int k = 0; k < i; k++)
      assert_true(hashes[i] != hashes[k]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(sql_and_parameters_are_copied_whole),
      RIG_TEST(too_many_parameters_to_count_are_refused),
      RIG_TEST(each_text_has_a_hash_of_its_own),
      RIG_TEST(each_move_notes_its_time),
      RIG_TEST(the_end_is_told_from_below_and_may_be_kept),
      RIG_TEST(failing_puts_an_error_in_place_of_the_result),
      RIG_TEST(a_result_is_freed_with_the_request_unless_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
