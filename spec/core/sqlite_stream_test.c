/* sqlite_stream_test.c - streams: chunks, what runs between them, and their end. */
#include "sqlite_fixture.h"

static void a_stream_delivers_every_row_once_in_order(void **state)
{
  fixture *f = *state;
  static const size_t totals[] = {0, 1, 255, 256, 257, 10000};
  for (int i = 0; i < 6; i++) {
    char sql[200];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) "
             "SELECT i FROM n LIMIT %zu",
             totals[i]);
    mp_request *req = open_stream(f, sql, 0);
    size_t seen = 0;
    while (next_chunk(f, req)) {
      assert_true(req->result->row_n > 0 && req->result->row_n <= 2048);
      for (size_t row = 0; row < req->result->row_n; row++)
        assert_whole(cell_of(req, row, 0), (int64_t)seen++);
      f->session->backend->more(f->session, req);
    }
    expect(req, MP_OK);
    assert_int_equal(seen, totals[i]);
    assert_true(f->session->backend->settled(f->session));
    mp_request_free(req);
  }
}

static void other_requests_run_between_the_chunks(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  mp_request *one = open_stream(f, ENDLESS "i FROM n LIMIT 100", 10);
  mp_request *two = open_stream(f, ENDLESS "i * 2 FROM n LIMIT 100", 10);
  next_chunk(f, one);
  while (two->result == NULL)
    turn(f);
  exec(f, "INSERT INTO t VALUES (1)");
  for (int i = 0; i < 9; i++) {
    assert_whole(cell_of(one, 0, 0), i * 10);
    assert_whole(cell_of(two, 0, 0), i * 20);
    mp_result_free(mp_request_take_result(two));
    f->session->backend->more(f->session, one);
    next_chunk(f, one);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 1);
    f->session->backend->more(f->session, two);
    next_chunk(f, two);
  }
  assert_false(f->session->backend->settled(f->session));
  /* one is stopped while it stands, the other goes on to its end */
  stop(f, one, MP_E_CANCELLED);
  expect(wait_for(f, one), MP_E_CANCELLED);
  f->session->backend->more(f->session, two);
  wait_for(f, two);
  expect(two, MP_OK);
  mp_request_free(one);
  mp_request_free(two);
  assert_true(f->session->backend->settled(f->session));
}

static void stopping_a_statement_spares_the_streams_that_stand(void **state)
{
  fixture *f = *state;
  mp_request *stream = open_stream(f, ENDLESS "i FROM n LIMIT 1000", 100);
  next_chunk(f, stream);
  mp_request *slow = request_new(f, MP_OP_QUERY, ENDLESS "count(*) FROM n", NULL, 0, 1);
  submit(f, slow);
  uint64_t until = clock_ns() + 5000000;
  while (clock_ns() < until)
    pump(f);
  stop(f, slow, MP_E_CANCELLED);
  expect(wait_for(f, slow), MP_E_CANCELLED);
  mp_request_free(slow);
  size_t seen = stream->result->row_n;
  f->session->backend->more(f->session, stream);
  while (next_chunk(f, stream)) {
    seen += stream->result->row_n;
    f->session->backend->more(f->session, stream);
  }
  expect(stream, MP_OK);
  assert_int_equal(seen, 1000);
  mp_request_free(stream);
}

static void a_stream_that_writes_may_be_committed_while_it_stands(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  begin(f);
  mp_request *req = open_stream(f, ENDLESS "i FROM n LIMIT 0", 10);
  wait_for(f, req);
  mp_request_free(req);
  req = open_stream(f, "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5]') RETURNING a", 2);
  next_chunk(f, req);
  assert_int_equal(req->result->row_n, 2);
  mp_request *commit = transact(f, MP_TXO_COMMIT, "COMMIT", NULL);
  expect(commit, MP_OK);
  mp_request_free(commit);
  size_t seen = 2;
  f->session->backend->more(f->session, req);
  while (next_chunk(f, req)) {
    seen += req->result->row_n;
    f->session->backend->more(f->session, req);
  }
  assert_int_equal(seen, 5);
  assert_int_equal(req->affected, 5);
  mp_request_free(req);
  assert_int_equal(count(f, "SELECT count(*) FROM t"), 5);
}

static void a_large_row_makes_its_chunk_short(void **state)
{
  fixture *f = *state;
  mp_request *req = open_stream(f, ENDLESS "zeroblob(200000) FROM n LIMIT 3", 100);
  int chunks = 0;
  while (next_chunk(f, req)) {
    assert_int_equal(req->result->row_n, 1);
    chunks++;
    f->session->backend->more(f->session, req);
  }
  assert_int_equal(chunks, 3);
  expect(req, MP_OK);
  mp_request_free(req);
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_memory(a_stream_delivers_every_row_once_in_order),
      on_memory(other_requests_run_between_the_chunks),
      on_memory(stopping_a_statement_spares_the_streams_that_stand),
      on_memory(a_stream_that_writes_may_be_committed_while_it_stands),
      on_memory(a_large_row_makes_its_chunk_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
