/* sqlite_inline_test.c - small reads that run on the loop's own thread. */
#include "sqlite_fixture.h"

static mp_request *run_in_one_step(fixture *f, const char *sql, mp_value param)
{
  mp_request *req = request_new(f, MP_OP_QUERY, sql, &param, 1, 1);
  submit(f, req);
  pump(f);
  return req;
}

static void a_read_known_to_be_small_is_answered_in_the_same_step(void **state)
{
  fixture *f = *state;
  static const char sql[] = "SELECT v FROM t WHERE id = ?";
  f->config.inline_reads = true;
  exec(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  exec(f, "INSERT INTO t SELECT value, value * 2 FROM json_each('[1,2,3,4,5,6,7,8,9,10]')");
  mp_request *req = run_in_one_step(f, sql, int_value(1));
  assert_int_equal(req->state, MP_REQ_ACTIVE); /* nothing is known of it yet */
  wait_for(f, req);
  mp_request_free(req);
  for (int i = 1; i <= 10; i++) {
    req = run_in_one_step(f, sql, int_value(i));
    assert_int_equal(req->state, MP_REQ_DONE);
    assert_whole(cell_of(req, 0, 0), i * 2);
    mp_request_free(req);
  }
  req = run_in_one_step(f, "UPDATE t SET v = ?", int_value(1)); /* a write never */
  wait_for(f, req);
  mp_request_free(req);
  req = run_in_one_step(f, "UPDATE t SET v = ?", int_value(2));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
  f->config.inline_reads = false;
  req = run_in_one_step(f, sql, int_value(1));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
}

static void a_read_that_exceeds_its_budget_is_run_again_on_the_thread(void **state)
{
  fixture *f = *state;
  static const char sql[] = ENDLESS "i FROM n LIMIT ?";
  f->config.inline_reads = true;
  wait_for(f, f->last = run_in_one_step(f, sql, int_value(1)));
  mp_request_free(f->last);
  mp_request *req = run_in_one_step(f, sql, int_value(2));
  assert_int_equal(req->state, MP_REQ_DONE);
  mp_request_free(req);
  req = run_in_one_step(f, sql, int_value(400));
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  expect(wait_for(f, req), MP_OK);
  assert_int_equal(req->result->row_n, 400);
  mp_request_free(req);
  req =
      run_in_one_step(f, sql, int_value(2)); /* not trusted for a while, though small on average */
  assert_int_equal(req->state, MP_REQ_ACTIVE);
  wait_for(f, req);
  mp_request_free(req);
  for (int i = 0; i < 40; i++) {
    req = run_in_one_step(f, sql, int_value(2));
    wait_for(f, req);
    mp_request_free(req);
  }
  req = run_in_one_step(f, sql, int_value(2));
  assert_int_equal(req->state, MP_REQ_DONE);
  mp_request_free(req);
}

static void inline_reads_stay_behind_what_was_submitted_before(void **state)
{
  fixture *f = *state;
  f->config.inline_reads = true;
  exec(f, "CREATE TABLE t (a)");
  static const char sql[] = "SELECT count(*) FROM t WHERE a > ?";
  wait_for(f, f->last = run_in_one_step(f, sql, int_value(0)));
  mp_request_free(f->last);
  for (int i = 1; i <= 50; i++) {
    mp_value v = int_value(i), zero = int_value(0);
    mp_request *write = request_new(f, MP_OP_QUERY, "INSERT INTO t VALUES (?)", &v, 1, 1);
    mp_request *read = request_new(f, MP_OP_QUERY, sql, &zero, 1, 1);
    submit(f, write);
    submit(f, read);
    wait_for(f, read);
    assert_whole(cell_of(read, 0, 0), i);
    mp_request_free(write);
    mp_request_free(read);
  }
}

static void a_step_runs_only_so_many_reads_itself(void **state)
{
  fixture *f = *state;
  f->config.inline_reads = true;
  static const char sql[] = ENDLESS "i FROM n LIMIT ?";
  mp_request *reqs[60];
  mp_value n = int_value(30);
  wait_for(f, f->last = run_in_one_step(f, sql, n));
  mp_request_free(f->last);
  for (int i = 0; i < 60; i++) {
    reqs[i] = request_new(f, MP_OP_QUERY, sql, &n, 1, 1);
    submit(f, reqs[i]);
  }
  pump(f);
  assert_int_equal(reqs[0]->state, MP_REQ_DONE);
  assert_int_equal(reqs[59]->state, MP_REQ_ACTIVE);
  wait_for(f, reqs[59]);
  for (int i = 0; i < 60; i++) {
    assert_int_equal(reqs[i]->result->row_n, 30);
    mp_request_free(reqs[i]);
  }
}

static mp_request *tx_in_one_step(fixture *f, mp_txop op, const char *sql)
{
  mp_request *req = request_new(f, MP_OP_TX, sql, NULL, 0, 0);
  req->tx_op = op;
  submit(f, req);
  pump(f);
  return req;
}

static void a_transaction_begins_and_nests_in_the_same_step_and_commits_on_the_thread(void **state)
{
  fixture *f = *state;
  f->config.inline_reads = true;
  exec(f, "CREATE TABLE t (a)");
  static const struct {
    mp_txop op;
    const char *sql;
    mp_reqstate expected;
  } steps[] = {
      {MP_TXO_BEGIN, "BEGIN IMMEDIATE", MP_REQ_DONE},
      {MP_TXO_SAVEPOINT, "SAVEPOINT mp_1", MP_REQ_DONE},
      {MP_TXO_RELEASE, "RELEASE SAVEPOINT mp_1", MP_REQ_DONE},
      {MP_TXO_COMMIT, "COMMIT", MP_REQ_ACTIVE},
  };
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
      mp_request *req = tx_in_one_step(f, steps[i].op, steps[i].sql);
      /* in the first round nothing is known of the texts yet */
      assert_int_equal(req->state, round == 0 ? MP_REQ_ACTIVE : steps[i].expected);
      expect(wait_for(f, req), MP_OK);
      mp_request_free(req);
    }
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)
#define on_file(test) cmocka_unit_test_setup_teardown(test, open_file, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_file(a_read_known_to_be_small_is_answered_in_the_same_step),
      on_memory(a_read_that_exceeds_its_budget_is_run_again_on_the_thread),
      on_memory(inline_reads_stay_behind_what_was_submitted_before),
      on_memory(a_step_runs_only_so_many_reads_itself),
      on_file(a_transaction_begins_and_nests_in_the_same_step_and_commits_on_the_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
