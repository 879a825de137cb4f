/* lease_gate_test.c - leases where a file has a single writer. */
#include "lease_rig.h"

static void a_read_lease_takes_the_gate_for_each_write(void **state)
{
  owner a, b;
  ask stream;
  (void)state;
  open_pool("fake_file",
            "insert -> affected 1\nselect n -> columns n:int; row # *500\nselect -> affected 0", 4);
  lease_one(&a, MP_ACCESS_READ);
  lease_one(&b, MP_ACCESS_READ);
  mp_lease_submit(&a.lease, ask_for(&stream, MP_OP_STREAM, "select n"));
  run_until(&stream.chunk_n, 1);
  assert_int_equal(run(&a, "insert"),
                   MP_OK); /* beside a stream that reads, and found out by the backend */
  assert_false(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
  assert_int_equal(run(&b, "insert"), MP_OK);
  assert_int_equal(run(&b, "select"), MP_OK);
  assert_int_equal(counts_of("db").writers_max, 1);
  mp_lease_release(&b.lease);
  mp_lease_release(&a.lease);
  assert_false(mp_lease_gone(&a.lease));
  run_until(&stream.done_n, 1);
  assert_int_equal(stream.req->error.kind, MP_E_CANCELLED);
  assert_true(mp_lease_gone(&a.lease));
  ask_free(&stream);
  close_pool(pool);
}

static void a_stream_that_ends_leaves_the_gate_to_the_write_behind_it(void **state)
{
  owner a;
  ask stream, write;
  (void)state;
  open_pool("fake_file", "insert -> affected 1\nselect n -> columns n:int; row # *500", 4);
  lease_one(&a, MP_ACCESS_READ);
  mp_lease_submit(&a.lease, ask_for(&stream, MP_OP_STREAM, "select n"));
  run_until(&stream.chunk_n, 1);
  mp_lease_more(&a.lease, stream.req);
  mp_lease_cancel(&a.lease, stream.req, MP_E_CANCELLED);
  ask_for(&write, MP_OP_QUERY, "insert")->access = MP_ACCESS_WRITE;
  mp_lease_submit(&a.lease, write.req);
  run_until(&stream.done_n, 1); /* after the write has the gate, and before it hears of that */
  run_until(&write.done_n, 1);
  assert_int_equal(write.req->error.kind, MP_OK);
  ask_free(&stream);
  ask_free(&write);
  end(&a);
}

static void a_transaction_that_only_reads_needs_no_gate(void **state)
{
  owner writer, reader;
  mp_txoptions read_only = {.read_only = true};
  (void)state;
  open_pool("fake_file", plain, 3);
  lease_one(&writer, MP_ACCESS_WRITE);
  lease_one(&reader, MP_ACCESS_READ);
  assert_int_equal(run_tx(&writer, MP_TXO_BEGIN, NULL), MP_OK);
  assert_int_equal(run_tx(&reader, MP_TXO_BEGIN, &read_only), MP_OK);
  assert_int_equal(run(&reader, "select"), MP_OK);
  assert_int_equal(run_tx(&reader, MP_TXO_COMMIT, NULL), MP_OK);
  assert_int_equal(run_tx(&writer, MP_TXO_COMMIT, NULL), MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN IMMEDIATE; BEGIN; select; COMMIT; COMMIT");
  mp_lease_release(&writer.lease);
  end(&reader);
}

static void transactions_of_read_leases_pass_the_gate_one_by_one(void **state)
{
  owner a, b;
  ask begin_a, begin_b, late;
  (void)state;
  open_pool("fake_file", plain, 3);
  lease_one(&a, MP_ACCESS_READ);
  lease_one(&b, MP_ACCESS_READ);
  mp_lease_submit(&a.lease, ask_tx(&begin_a, MP_TXO_BEGIN, NULL));
  mp_lease_submit(&b.lease, ask_tx(&begin_b, MP_TXO_BEGIN, NULL));
  run_until(&begin_a.done_n, 1);
  turn(10);
  assert_int_equal(begin_b.done_n, 0);
  mp_lease_cancel(&b.lease, begin_b.req, MP_E_CANCELLED); /* while it waits for the gate */
  run_until(&begin_b.done_n, 1);
  assert_int_equal(begin_b.req->error.kind, MP_E_CANCELLED);
  ask_tx(&late, MP_TXO_BEGIN, NULL)->deadline_ns = mp_clock_ns() + 10 * MS;
  mp_lease_submit(&b.lease, late.req);
  run_until(&late.done_n, 1);
  assert_int_equal(late.req->error.kind, MP_E_BUSY);
  assert_int_equal(late.req->error.retryable, MP_RETRY_TRANSACTION);
  ask_free(&begin_b);
  mp_lease_submit(&b.lease, ask_tx(&begin_b, MP_TXO_BEGIN, NULL));
  turn(5);
  mp_lease_release(&a.lease); /* with its transaction open */
  run_until(&begin_b.done_n, 1);
  assert_int_equal(begin_b.req->error.kind, MP_OK);
  assert_string_equal(asked_text("db"), "BEGIN IMMEDIATE; ROLLBACK; BEGIN IMMEDIATE");
  assert_int_equal(counts_of("db").writers_max, 1);
  ask_free(&begin_a);
  ask_free(&begin_b);
  ask_free(&late);
  end(&b);
}

static void a_transaction_begun_by_hand_keeps_the_gate_and_is_rolled_back(void **state)
{
  owner o;
  ask w;
  (void)state;
  open_pool("fake_file", "begin -> affected 0\ninsert -> affected 1", 3);
  lease_one(&o, MP_ACCESS_READ);
  ask_for(&w, MP_OP_QUERY, "begin immediate")->access = MP_ACCESS_WRITE;
  mp_lease_submit(&o.lease, w.req);
  run_until(&w.done_n, 1);
  ask_free(&w);
  assert_true(mp_pool_would_wait(pool, MP_ACCESS_WRITE));
  mp_pool_submit(pool, ask_for(&w, MP_OP_QUERY, "insert"));
  mp_lease_release(&o.lease);
  run_until(&w.done_n, 1);
  assert_string_equal(asked_text("db"), "begin immediate; ROLLBACK; insert");
  assert_int_equal(counts_of("db").writers_max, 1);
  ask_free(&w);
  close_pool(pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      LEASE_TEST(a_read_lease_takes_the_gate_for_each_write),
      LEASE_TEST(a_stream_that_ends_leaves_the_gate_to_the_write_behind_it),
      LEASE_TEST(a_transaction_that_only_reads_needs_no_gate),
      LEASE_TEST(transactions_of_read_leases_pass_the_gate_one_by_one),
      LEASE_TEST(a_transaction_begun_by_hand_keeps_the_gate_and_is_rolled_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
