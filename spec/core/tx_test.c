/* tx_test.c - the transaction of one connection, without a database.
** First the stories, step by step; then every operation in every state with every outcome against a table
** of what must come out. */
#include "tx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char sql[MP_TX_SQL_MAX];

/* Do op with success: its statement must be text, its outcome OK and the engine says engine. */
static void run(mp_tx *tx, mp_txop op, const char *text, mp_txstatus engine)
{
  bool by_backend;
  assert_int_equal(mp_tx_step(tx, op, NULL, sql, &by_backend), MP_OK);
  assert_string_equal(sql, text);
  assert_int_equal(by_backend, op == MP_TXO_BEGIN);
  assert_int_equal(mp_tx_outcome(tx, op, MP_OK, engine), MP_OK);
}

static mp_status refused(mp_tx *tx, mp_txop op)
{
  bool by_backend;
  mp_tx before = *tx;
  mp_status status = mp_tx_step(tx, op, NULL, sql, &by_backend);
  assert_string_equal(sql, "");
  assert_memory_equal(tx, &before, sizeof before);
  return status;
}

static mp_tx begun(void)
{
  mp_tx tx;
  mp_tx_init(&tx);
  run(&tx, MP_TXO_BEGIN, "", MP_TX_OPEN);
  assert_int_equal(tx.state, MP_TXS_OPEN);
  return tx;
}

static mp_tx nested(void)
{
  mp_tx tx = begun();
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_1", MP_TX_OPEN);
  assert_int_equal(tx.depth, 1);
  return tx;
}

static void a_transaction_begins_and_commits(void **state)
{
  mp_tx tx = begun();
  (void)state;
  assert_int_equal(mp_tx_after_statement(&tx, MP_OK, MP_TX_OPEN), MP_OK);
  run(&tx, MP_TXO_COMMIT, "COMMIT", MP_TX_IDLE);
  assert_int_equal(tx.state, MP_TXS_NONE);
  run(&tx, MP_TXO_BEGIN, "", MP_TX_OPEN);
  run(&tx, MP_TXO_ROLLBACK, "ROLLBACK", MP_TX_IDLE);
  assert_int_equal(tx.state, MP_TXS_NONE);
}

static void savepoint_names_are_never_reused_within_a_transaction(void **state)
{
  mp_tx tx = nested();
  (void)state;
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_2", MP_TX_OPEN);
  run(&tx, MP_TXO_RELEASE, "RELEASE SAVEPOINT mp_2", MP_TX_OPEN);
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_3", MP_TX_OPEN);
  run(&tx, MP_TXO_ROLLBACK_TO, "ROLLBACK TO SAVEPOINT mp_3", MP_TX_OPEN);
  run(&tx, MP_TXO_RELEASE, "RELEASE SAVEPOINT mp_1", MP_TX_OPEN);
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_4", MP_TX_OPEN);
  run(&tx, MP_TXO_COMMIT, "COMMIT", MP_TX_IDLE);
  assert_int_equal(tx.depth, 0);
  run(&tx, MP_TXO_BEGIN, "", MP_TX_OPEN);
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_1", MP_TX_OPEN); /* its text is in the statement cache */
}

static void going_back_drops_the_savepoint_with_a_second_statement(void **state)
{
  mp_tx tx = nested();
  bool by_backend;
  (void)state;
  assert_int_equal(mp_tx_step(&tx, MP_TXO_ROLLBACK_TO, NULL, sql, &by_backend), MP_OK);
  assert_true(mp_tx_follow(&tx, MP_TXO_ROLLBACK_TO, sql));
  assert_string_equal(sql, "RELEASE SAVEPOINT mp_1");
  assert_false(mp_tx_follow(&tx, MP_TXO_RELEASE, sql));
  assert_false(mp_tx_follow(&tx, MP_TXO_COMMIT, sql));
}

static void an_error_fails_the_frame_on_every_database(void **state)
{
  static const mp_txstatus engines[] = {MP_TX_OPEN, MP_TX_ABORTED};
  (void)state;
  for (int i = 0; i < 2; i++) { /* PostgreSQL aborts by itself, the others would go on */
    mp_tx tx = begun();
    assert_int_equal(mp_tx_after_statement(&tx, MP_E_UNIQUE, engines[i]), MP_E_UNIQUE);
    assert_int_equal(tx.state, MP_TXS_FAILED);
    assert_int_equal(tx.cause, MP_E_UNIQUE);
    assert_int_equal(mp_tx_may_send(&tx), MP_E_IN_FAILED_TRANSACTION);
    assert_int_equal(refused(&tx, MP_TXO_COMMIT), MP_E_IN_FAILED_TRANSACTION);
    assert_int_equal(refused(&tx, MP_TXO_SAVEPOINT), MP_E_IN_FAILED_TRANSACTION);
    run(&tx, MP_TXO_ROLLBACK, "ROLLBACK", MP_TX_IDLE);
    assert_int_equal(mp_tx_may_send(&tx), MP_OK);
  }
}

static void a_nested_savepoint_catches_the_error(void **state)
{
  mp_tx tx = nested();
  (void)state;
  mp_tx_after_statement(&tx, MP_E_UNIQUE, MP_TX_ABORTED);
  assert_int_equal(tx.state, MP_TXS_FAILED);
  assert_int_equal(refused(&tx, MP_TXO_RELEASE), MP_E_IN_FAILED_TRANSACTION);
  run(&tx, MP_TXO_ROLLBACK_TO, "ROLLBACK TO SAVEPOINT mp_1", MP_TX_OPEN);
  assert_int_equal(tx.state, MP_TXS_OPEN);
  assert_int_equal(tx.depth, 0);
  assert_int_equal(mp_tx_may_send(&tx), MP_OK);
}

static void what_was_never_sent_fails_nothing(void **state)
{
  mp_tx tx = begun();
  (void)state;
  assert_int_equal(mp_tx_after_statement(&tx, MP_E_BAD_PARAMETERS, MP_TX_OPEN),
                   MP_E_BAD_PARAMETERS);
  assert_int_equal(tx.state, MP_TXS_OPEN);
  mp_tx_after_statement(&tx, MP_E_BAD_PARAMETERS, MP_TX_ABORTED); /* the engine knows better */
  assert_int_equal(tx.state, MP_TXS_FAILED);
}

static void a_vanished_transaction_breaks_the_whole_stack(void **state)
{
  mp_tx tx = nested();
  (void)state;
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_2", MP_TX_OPEN);
  assert_int_equal(mp_tx_after_statement(&tx, MP_E_DEADLOCK, MP_TX_IDLE), MP_E_DEADLOCK);
  assert_int_equal(tx.state, MP_TXS_BROKEN);
  assert_int_equal(mp_tx_may_send(&tx), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_SAVEPOINT), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_RELEASE), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_COMMIT), MP_E_DEADLOCK);
  run(&tx, MP_TXO_ROLLBACK_TO, "", MP_TX_IDLE); /* unwinding sends nothing */
  run(&tx, MP_TXO_ROLLBACK_TO, "", MP_TX_IDLE);
  assert_int_equal(tx.state, MP_TXS_BROKEN);
  assert_int_equal(refused(&tx, MP_TXO_ROLLBACK_TO), MP_E_SAVEPOINT);
  run(&tx, MP_TXO_ROLLBACK, "", MP_TX_IDLE);
  assert_int_equal(tx.state, MP_TXS_NONE);
}

static void a_successful_statement_that_commits_is_told(void **state)
{
  mp_tx tx = begun();
  (void)state;
  assert_int_equal(mp_tx_after_statement(&tx, MP_OK, MP_TX_IDLE), MP_E_IMPLICIT_COMMIT);
  assert_int_equal(tx.state, MP_TXS_BROKEN);
  assert_int_equal(refused(&tx, MP_TXO_COMMIT), MP_E_IMPLICIT_COMMIT);
}

static void a_deferred_constraint_leaves_a_rollback_to_do(void **state)
{
  mp_tx tx = begun();
  (void)state;
  assert_int_equal(mp_tx_outcome(&tx, MP_TXO_COMMIT, MP_E_FOREIGN_KEY, MP_TX_OPEN),
                   MP_E_FOREIGN_KEY); /* SQLite */
  assert_int_equal(tx.state, MP_TXS_FAILED);
  run(&tx, MP_TXO_ROLLBACK, "ROLLBACK", MP_TX_IDLE);
  assert_int_equal(tx.state, MP_TXS_NONE);
  run(&tx, MP_TXO_ROLLBACK, "", MP_TX_IDLE); /* the program's own, once */
  assert_int_equal(refused(&tx, MP_TXO_ROLLBACK), MP_E_TRANSACTION);

  tx = begun();
  assert_int_equal(mp_tx_outcome(&tx, MP_TXO_COMMIT, MP_E_FOREIGN_KEY, MP_TX_IDLE),
                   MP_E_FOREIGN_KEY); /* PostgreSQL */
  assert_int_equal(tx.state, MP_TXS_NONE);
  run(&tx, MP_TXO_ROLLBACK, "", MP_TX_IDLE);
}

static void a_lost_commit_is_unknown(void **state)
{
  mp_tx tx = begun();
  (void)state;
  assert_int_equal(mp_tx_outcome(&tx, MP_TXO_COMMIT, MP_E_CONNECTION_LOST, MP_TX_UNKNOWN),
                   MP_E_COMMIT_UNKNOWN);
  assert_int_equal(tx.state, MP_TXS_UNKNOWN);
  assert_int_equal(mp_tx_may_send(&tx), MP_E_IN_FAILED_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_COMMIT), MP_E_COMMIT_UNKNOWN);
  run(&tx, MP_TXO_ROLLBACK, "", MP_TX_UNKNOWN);
  assert_int_equal(tx.state, MP_TXS_NONE);
}

static void the_wrong_moment_is_refused(void **state)
{
  mp_tx tx;
  (void)state;
  mp_tx_init(&tx);
  assert_int_equal(refused(&tx, MP_TXO_COMMIT), MP_E_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_ROLLBACK), MP_E_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_SAVEPOINT), MP_E_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_RELEASE), MP_E_TRANSACTION);
  assert_int_equal(refused(&tx, MP_TXO_ROLLBACK_TO), MP_E_TRANSACTION);
  tx = begun();
  assert_int_equal(refused(&tx, MP_TXO_BEGIN), MP_E_DURABLE);
  assert_int_equal(refused(&tx, MP_TXO_RELEASE), MP_E_SAVEPOINT);
  assert_int_equal(refused(&tx, MP_TXO_ROLLBACK_TO), MP_E_SAVEPOINT);
  run(&tx, MP_TXO_COMMIT, "COMMIT", MP_TX_IDLE);
}

/* Each end names the savepoint of its own beginning, also far below where memory had to be taken. */
static void savepoints_nest_to_any_depth(void **state)
{
  enum {
    DEPTH = 1000
  };
  char want[MP_TX_SQL_MAX];
  mp_tx tx = begun();
  (void)state;
  for (int round = 0; round < 2; round++) {
    for (int i = 1; i <= DEPTH; i++) {
      snprintf(want, sizeof want, "SAVEPOINT mp_%d", round * DEPTH + i);
      run(&tx, MP_TXO_SAVEPOINT, want, MP_TX_OPEN);
    }
    assert_int_equal(tx.depth, DEPTH);
    for (int i = DEPTH; i >= 1; i--) {
      snprintf(want, sizeof want, "RELEASE SAVEPOINT mp_%d", round * DEPTH + i);
      run(&tx, MP_TXO_RELEASE, want, MP_TX_OPEN);
    }
  }
  run(&tx, MP_TXO_COMMIT, "COMMIT", MP_TX_IDLE);
  mp_tx_free(&tx);
  mp_tx_free(&tx);
}

static void a_failed_rollback_to_spoils_the_frame_below(void **state)
{
  mp_tx tx = nested();
  (void)state;
  run(&tx, MP_TXO_SAVEPOINT, "SAVEPOINT mp_2", MP_TX_OPEN);
  assert_int_equal(mp_tx_outcome(&tx, MP_TXO_ROLLBACK_TO, MP_E_IO_ERROR, MP_TX_OPEN),
                   MP_E_IO_ERROR);
  assert_int_equal(tx.state, MP_TXS_FAILED);
  assert_int_equal(tx.depth, 1);
  run(&tx, MP_TXO_ROLLBACK_TO, "ROLLBACK TO SAVEPOINT mp_1", MP_TX_OPEN);
  assert_int_equal(tx.state, MP_TXS_OPEN);
}

/* ---- everything ---- */

typedef struct outcome {
  int state;  /* -1: as before */
  int told;   /* -1: the status itself */
  int deeper; /* change of the depth; 99: it is 0 then */
} outcome;

#define STATUS(state)                                                                              \
  {                                                                                                \
    state, -1, 0                                                                                   \
  }

/* [op][status: OK, an error][engine: IDLE OPEN ABORTED UNKNOWN], from OPEN with one savepoint. */
static const outcome from_open[6][2][4] = {
    [MP_TXO_COMMIT] = {{{MP_TXS_NONE, MP_OK, 99},
                        {MP_TXS_FAILED, MP_E_IN_FAILED_TRANSACTION, 99},
                        {MP_TXS_FAILED, MP_E_IN_FAILED_TRANSACTION, 99},
                        {MP_TXS_UNKNOWN, MP_E_COMMIT_UNKNOWN, 0}},
                       {{MP_TXS_NONE, -1, 99},
                        {MP_TXS_FAILED, -1, 99},
                        {MP_TXS_FAILED, -1, 99},
                        {MP_TXS_UNKNOWN, MP_E_COMMIT_UNKNOWN, 0}}},
    [MP_TXO_ROLLBACK] = {{{MP_TXS_NONE, MP_OK, 99},
                          {MP_TXS_BROKEN, MP_E_TRANSACTION, 0},
                          {MP_TXS_BROKEN, MP_E_TRANSACTION, 0},
                          {MP_TXS_BROKEN, MP_E_TRANSACTION, 0}},
                         {{MP_TXS_NONE, MP_OK, 99},
                          STATUS(MP_TXS_BROKEN),
                          STATUS(MP_TXS_BROKEN),
                          STATUS(MP_TXS_BROKEN)}},
    [MP_TXO_SAVEPOINT] = {{{MP_TXS_BROKEN, MP_E_IMPLICIT_COMMIT, 0},
                           {MP_TXS_OPEN, MP_OK, 1},
                           {MP_TXS_FAILED, MP_OK, 1},
                           {MP_TXS_BROKEN, MP_E_CONNECTION_LOST, 0}},
                          {STATUS(MP_TXS_BROKEN), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_FAILED),
                           STATUS(MP_TXS_BROKEN)}},
    [MP_TXO_RELEASE] = {{{MP_TXS_BROKEN, MP_E_IMPLICIT_COMMIT, 0},
                         {MP_TXS_OPEN, MP_OK, -1},
                         {MP_TXS_FAILED, MP_OK, -1},
                         {MP_TXS_BROKEN, MP_E_CONNECTION_LOST, 0}},
                        {STATUS(MP_TXS_BROKEN), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_FAILED),
                         STATUS(MP_TXS_BROKEN)}},
    [MP_TXO_ROLLBACK_TO] = {{{MP_TXS_BROKEN, MP_E_IMPLICIT_COMMIT, -1},
                             {MP_TXS_OPEN, MP_OK, -1},
                             {MP_TXS_FAILED, MP_E_IN_FAILED_TRANSACTION, -1},
                             {MP_TXS_BROKEN, MP_E_CONNECTION_LOST, -1}},
                            {{MP_TXS_BROKEN, -1, -1},
                             {MP_TXS_FAILED, -1, -1},
                             {MP_TXS_FAILED, -1, -1},
                             {MP_TXS_BROKEN, -1, -1}}},
};

static void check(const mp_tx *before, const mp_tx *tx, const outcome *want, mp_status status,
                  mp_status told, const char *what, int op, int engine)
{
  int depth = want->deeper == 99 ? 0 : before->depth + want->deeper;
  int state = want->state == -1 ? (int)before->state : want->state;
  mp_status says = want->told == -1 ? status : (mp_status)want->told;
  if ((int)tx->state != state || tx->depth != depth || told != says)
    fail_msg("%s op %d status %s engine %d: state %d (%d) depth %d (%d) told %s (%s)", what, op,
             mp_status_name(status), engine, (int)tx->state, state, tx->depth, depth,
             mp_status_name(told), mp_status_name(says));
}

static void every_outcome_of_every_operation(void **state)
{
  static const mp_status statuses[] = {MP_OK, MP_E_UNIQUE};
  (void)state;
  for (int op = MP_TXO_COMMIT; op <= MP_TXO_ROLLBACK_TO; op++) {
    for (int failed = 0; failed < 2; failed++) {
      for (int engine = MP_TX_IDLE; engine <= MP_TX_UNKNOWN; engine++) {
        mp_tx tx = nested(), before = tx;
        mp_status told = mp_tx_outcome(&tx, (mp_txop)op, statuses[failed], (mp_txstatus)engine);
        check(&before, &tx, &from_open[op][failed][engine], statuses[failed], told, "open", op,
              engine);
      }
    }
  }
}

static void every_outcome_of_begin(void **state)
{
  static const outcome want[2][4] = {
      {{MP_TXS_NONE, MP_E_TRANSACTION, 0},
       {MP_TXS_OPEN, MP_OK, 0},
       {MP_TXS_FAILED, MP_E_TRANSACTION, 0},
       {MP_TXS_NONE, MP_E_CONNECTION_LOST, 0}},
      {STATUS(MP_TXS_NONE), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_NONE)}};
  static const mp_status statuses[] = {MP_OK, MP_E_BUSY};
  (void)state;
  for (int failed = 0; failed < 2; failed++) {
    for (int engine = MP_TX_IDLE; engine <= MP_TX_UNKNOWN; engine++) {
      mp_tx tx, before;
      mp_status told;
      mp_tx_init(&tx);
      before = tx;
      told = mp_tx_outcome(&tx, MP_TXO_BEGIN, statuses[failed], (mp_txstatus)engine);
      check(&before, &tx, &want[failed][engine], statuses[failed], told, "none", MP_TXO_BEGIN,
            engine);
    }
  }
}

static void every_outcome_of_a_statement(void **state)
{
  static const outcome want[2][4] = {
      {{MP_TXS_BROKEN, MP_E_IMPLICIT_COMMIT, 0},
       {MP_TXS_OPEN, MP_OK, 0},
       STATUS(MP_TXS_FAILED),
       {MP_TXS_BROKEN, MP_E_CONNECTION_LOST, 0}},
      {STATUS(MP_TXS_BROKEN), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_FAILED), STATUS(MP_TXS_BROKEN)}};
  static const mp_status statuses[] = {MP_OK, MP_E_CANCELLED};
  (void)state;
  for (int failed = 0; failed < 2; failed++) {
    for (int engine = MP_TX_IDLE; engine <= MP_TX_UNKNOWN; engine++) {
      mp_tx tx = nested(), before = tx;
      mp_status told = mp_tx_after_statement(&tx, statuses[failed], (mp_txstatus)engine);
      check(&before, &tx, &want[failed][engine], statuses[failed], told, "statement", -1, engine);
    }
  }
}

/* Whatever happens, in whatever order: a broken stack sends nothing, and unwinding always ends in NONE. */
static void any_stack_can_be_unwound(void **state)
{
  uint32_t random = 20261120;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    mp_tx tx;
    bool by_backend;
    mp_tx_init(&tx);
    for (int i = 0; i < 30; i++) {
      mp_txop op;
      mp_status status;
      mp_txstatus engine;
      random = random * 1664525 + 1013904223;
      op = (mp_txop)((random >> 16) % 6);
      status = (random >> 24) % 4 == 0 ? MP_E_UNIQUE : MP_OK;
      engine = (random >> 26) % 8 == 0                        ? (mp_txstatus)((random >> 8) % 4)
               : op == MP_TXO_COMMIT || op == MP_TXO_ROLLBACK ? MP_TX_IDLE
                                                              : MP_TX_OPEN;
      if (mp_tx_step(&tx, op, NULL, sql, &by_backend) == MP_OK) {
        if (tx.state == MP_TXS_BROKEN || tx.state == MP_TXS_UNKNOWN)
          assert_string_equal(sql, "");
        mp_tx_outcome(&tx, op, sql[0] != '\0' || by_backend ? status : MP_OK, engine);
      }
      assert_true(tx.depth >= 0 && tx.depth <= 30);
      assert_true(tx.state != MP_TXS_NONE || tx.depth == 0);
    }
    while (tx.depth > 0) {
      assert_int_equal(mp_tx_step(&tx, MP_TXO_ROLLBACK_TO, NULL, sql, &by_backend), MP_OK);
      mp_tx_outcome(&tx, MP_TXO_ROLLBACK_TO, MP_OK, MP_TX_OPEN);
    }
    if (tx.state != MP_TXS_NONE) {
      assert_int_equal(mp_tx_step(&tx, MP_TXO_ROLLBACK, NULL, sql, &by_backend), MP_OK);
      mp_tx_outcome(&tx, MP_TXO_ROLLBACK, MP_OK, MP_TX_IDLE);
    }
    assert_int_equal(tx.state, MP_TXS_NONE);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_transaction_begins_and_commits),
      cmocka_unit_test(savepoint_names_are_never_reused_within_a_transaction),
      cmocka_unit_test(going_back_drops_the_savepoint_with_a_second_statement),
      cmocka_unit_test(an_error_fails_the_frame_on_every_database),
      cmocka_unit_test(a_nested_savepoint_catches_the_error),
      cmocka_unit_test(what_was_never_sent_fails_nothing),
      cmocka_unit_test(a_vanished_transaction_breaks_the_whole_stack),
      cmocka_unit_test(a_successful_statement_that_commits_is_told),
      cmocka_unit_test(a_deferred_constraint_leaves_a_rollback_to_do),
      cmocka_unit_test(a_lost_commit_is_unknown),
      cmocka_unit_test(the_wrong_moment_is_refused),
      cmocka_unit_test(savepoints_nest_to_any_depth),
      cmocka_unit_test(a_failed_rollback_to_spoils_the_frame_below),
      cmocka_unit_test(every_outcome_of_every_operation),
      cmocka_unit_test(every_outcome_of_begin),
      cmocka_unit_test(every_outcome_of_a_statement),
      cmocka_unit_test(any_stack_can_be_unwound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
