/* tx.c - the transaction of one connection as a pure state machine.
** What may be done now, with which statement, and what its outcome means. The engine's own word about
** the transaction always wins over what we believe; an engine that says UNKNOWN is gone. */
#include "tx.h"

#include <stdlib.h>
#include <string.h>

void mp_tx_init(mp_tx *tx)
{
  memset(tx, 0, sizeof *tx);
  tx->name_next = 1;
}

void mp_tx_free(mp_tx *tx)
{
  free(tx->deeper);
  tx->deeper = NULL;
  tx->deeper_max = 0;
}

/* Room for the name of one more savepoint. */
static bool deepen(mp_tx *tx)
{
  int max = tx->deeper_max > 0 ? 2 * tx->deeper_max : 4 * MP_TX_DEPTH_INLINE;
  uint64_t *more;
  if (tx->depth < MP_TX_DEPTH_INLINE + tx->deeper_max)
    return true;
  more = realloc(tx->deeper, (size_t)max * sizeof *more);
  if (more == NULL)
    return false;
  tx->deeper = more;
  tx->deeper_max = max;
  return true;
}

static uint64_t innermost(const mp_tx *tx)
{
  int at = tx->depth - 1;
  return at < MP_TX_DEPTH_INLINE ? tx->names[at] : tx->deeper[at - MP_TX_DEPTH_INLINE];
}

static void push(mp_tx *tx, uint64_t name)
{
  int at = tx->depth++;
  *(at < MP_TX_DEPTH_INLINE ? &tx->names[at] : &tx->deeper[at - MP_TX_DEPTH_INLINE]) = name;
}

/* By hand: each nested block needs two, and printf takes longer than all the rest of a step. */
static void write_sql(char sql[MP_TX_SQL_MAX], const char *verb, uint64_t name)
{
  char digits[20];
  int n = 0;
  sql = stpcpy(stpcpy(sql, verb), " mp_");
  do
    digits[n++] = (char)('0' + name % 10);
  while ((name /= 10) != 0);
  while (n > 0)
    *sql++ = digits[--n];
  *sql = '\0';
}

static bool unwinds(mp_txop op)
{
  return op == MP_TXO_ROLLBACK || op == MP_TXO_ROLLBACK_TO;
}

/* Without a transaction: a beginning, and the ROLLBACK of somebody whose COMMIT has failed. */
static mp_status step_outside(const mp_tx *tx, mp_txop op, bool *sent_by_backend)
{
  if (op == MP_TXO_BEGIN) {
    *sent_by_backend = true;
    return MP_OK;
  }
  return op == MP_TXO_ROLLBACK && tx->commit_failed ? MP_OK : MP_E_TRANSACTION;
}

mp_status mp_tx_step(mp_tx *tx, mp_txop op, const mp_txoptions *options, char sql[MP_TX_SQL_MAX],
                     bool *sent_by_backend)
{
  bool over = tx->state == MP_TXS_BROKEN || tx->state == MP_TXS_UNKNOWN;
  sql[0] = '\0';
  *sent_by_backend = false;
  if (tx->state == MP_TXS_NONE) {
    mp_status status = step_outside(tx, op, sent_by_backend);
    if (status == MP_OK && op == MP_TXO_BEGIN)
      tx->options = options != NULL ? *options : (mp_txoptions){.isolation = MP_ISOLATION_DEFAULT};
    return status;
  }
  if (op == MP_TXO_BEGIN)
    return MP_E_DURABLE;
  if ((op == MP_TXO_RELEASE || op == MP_TXO_ROLLBACK_TO) && tx->depth == 0)
    return MP_E_SAVEPOINT;
  if (over)
    return unwinds(op) ? MP_OK : op == MP_TXO_COMMIT ? tx->cause : MP_E_IN_FAILED_TRANSACTION;
  if (tx->state == MP_TXS_FAILED && !unwinds(op))
    return MP_E_IN_FAILED_TRANSACTION;

  switch (op) {
  case MP_TXO_SAVEPOINT:
    if (!deepen(tx))
      return MP_E_OUT_OF_MEMORY;
    write_sql(sql, "SAVEPOINT", tx->name_next);
    return MP_OK;
  case MP_TXO_RELEASE:
    write_sql(sql, "RELEASE SAVEPOINT", innermost(tx));
    return MP_OK;
  case MP_TXO_ROLLBACK_TO:
    write_sql(sql, "ROLLBACK TO SAVEPOINT", innermost(tx));
    return MP_OK;
  default:
    strcpy(sql, op == MP_TXO_COMMIT ? "COMMIT" : "ROLLBACK");
    return MP_OK;
  }
}

bool mp_tx_follow(const mp_tx *tx, mp_txop op, char sql[MP_TX_SQL_MAX])
{
  if (op != MP_TXO_ROLLBACK_TO || tx->depth == 0)
    return false;
  write_sql(sql, "RELEASE SAVEPOINT", innermost(tx));
  return true;
}

static void end(mp_tx *tx)
{
  tx->state = MP_TXS_NONE;
  tx->depth = 0;
  tx->cause = MP_OK;
  tx->commit_failed = false;
}

static void fail(mp_tx *tx, mp_status cause)
{
  tx->state = MP_TXS_FAILED;
  tx->cause = cause;
}

static void break_off(mp_tx *tx, mp_status cause)
{
  tx->state = MP_TXS_BROKEN;
  tx->cause = cause;
}

/* The engine has no transaction where one should be: what is the program told, if its statement succeeded? */
static mp_status vanished(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  if (status == MP_OK)
    status = engine == MP_TX_IDLE ? MP_E_IMPLICIT_COMMIT : MP_E_CONNECTION_LOST;
  break_off(tx, status);
  return status;
}

static mp_status begun(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  if (status == MP_OK && engine == MP_TX_OPEN) {
    end(tx);
    tx->state = MP_TXS_OPEN;
    tx->name_next = 1;
    return MP_OK;
  }
  if (status == MP_OK)
    status = engine == MP_TX_UNKNOWN ? MP_E_CONNECTION_LOST : MP_E_TRANSACTION;
  if (engine == MP_TX_OPEN || engine == MP_TX_ABORTED)
    fail(tx, status); /* it failed and yet began: the lease rolls it back */
  return status;
}

static mp_status committed(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  if (engine == MP_TX_UNKNOWN) {
    tx->state = MP_TXS_UNKNOWN;
    tx->cause = MP_E_COMMIT_UNKNOWN;
    return MP_E_COMMIT_UNKNOWN;
  }
  if (status == MP_OK && engine != MP_TX_IDLE)
    status = MP_E_IN_FAILED_TRANSACTION; /* "succeeded", and did not commit */
  if (engine != MP_TX_IDLE) {
    tx->depth = 0;
    fail(tx, status); /* still open (a deferred constraint on SQLite): the lease rolls it back */
  } else {
    end(tx);
  }
  tx->commit_failed = status != MP_OK;
  return status;
}

/* ROLLBACK: whatever it answers, an engine that is idle has nothing left of the transaction. */
static mp_status rolled_back(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  bool failed_commit = tx->commit_failed;
  if (engine == MP_TX_IDLE) {
    end(tx);
    tx->commit_failed = failed_commit && status == MP_OK;
    return MP_OK;
  }
  return vanished(tx, status != MP_OK ? status : MP_E_TRANSACTION, engine);
}

static mp_status unwound(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  mp_status cause = tx->state == MP_TXS_FAILED ? tx->cause : status;
  if (engine == MP_TX_IDLE || engine == MP_TX_UNKNOWN) {
    tx->depth--;
    return vanished(tx, status, engine);
  }
  tx->depth--;
  if (status == MP_OK && engine == MP_TX_OPEN) {
    tx->state = MP_TXS_OPEN;
    tx->cause = MP_OK;
    return MP_OK;
  }
  if (status == MP_OK)
    status = MP_E_IN_FAILED_TRANSACTION;
  fail(tx, cause != MP_OK ? cause : status); /* the frame below is spoiled with it */
  return status;
}

mp_status mp_tx_outcome(mp_tx *tx, mp_txop op, mp_status status, mp_txstatus engine)
{
  bool over = tx->state == MP_TXS_BROKEN || tx->state == MP_TXS_UNKNOWN;
  if (op == MP_TXO_BEGIN)
    return begun(tx, status, engine);
  if (op == MP_TXO_ROLLBACK && (over || tx->state == MP_TXS_NONE)) {
    end(tx); /* nothing was sent: the transaction was gone before */
    return MP_OK;
  }
  if (op == MP_TXO_ROLLBACK_TO && over) {
    tx->depth--;
    return MP_OK;
  }
  switch (op) {
  case MP_TXO_COMMIT:
    return committed(tx, status, engine);
  case MP_TXO_ROLLBACK:
    return rolled_back(tx, status, engine);
  case MP_TXO_ROLLBACK_TO:
    return unwound(tx, status, engine);
  default:
    break;
  }
  status = mp_tx_after_statement(tx, status, engine);
  if (status == MP_OK && op == MP_TXO_SAVEPOINT)
    push(tx, tx->name_next);
  else if (status == MP_OK)
    tx->depth--;
  if (op == MP_TXO_SAVEPOINT)
    tx->name_next++; /* also after a failure: a name is never sent twice */
  return status;
}

mp_status mp_tx_after_statement(mp_tx *tx, mp_status status, mp_txstatus engine)
{
  /* A second statement (beside a stream) that ends after the first has failed or broken the frame. */
  if (tx->state == MP_TXS_NONE || tx->state == MP_TXS_BROKEN || tx->state == MP_TXS_UNKNOWN)
    return status;
  if (engine == MP_TX_IDLE || engine == MP_TX_UNKNOWN)
    return vanished(tx, status, engine);
  if (tx->state == MP_TXS_FAILED)
    return status;
  if (engine == MP_TX_ABORTED)
    fail(tx, status != MP_OK ? status : MP_E_IN_FAILED_TRANSACTION);
  else if (status != MP_OK && strcmp(mp_status_family(status), "usage") != 0)
    fail(tx, status); /* usage: it was never sent, so nothing has happened */
  return status;
}

mp_status mp_tx_may_send(const mp_tx *tx)
{
  return tx->state == MP_TXS_NONE || tx->state == MP_TXS_OPEN ? MP_OK : MP_E_IN_FAILED_TRANSACTION;
}

/* ---- words ---- */

mp_retryable mp_tx_retryable(mp_status kind)
{
  bool again = kind == MP_E_DEADLOCK || kind == MP_E_SERIALIZATION || kind == MP_E_BUSY;
  return again ? MP_RETRY_TRANSACTION : MP_RETRY_NO;
}

void mp_tx_explain(const mp_tx *tx, mp_status kind, mp_arena *arena, mp_error *error)
{
  const char *cause = mp_status_name(tx->cause);
  mp_retryable again = kind == error->kind ? error->retryable : mp_tx_retryable(kind);
  switch (kind) {
  case MP_E_DURABLE:
    mp_error_set(error, arena, kind, "a transaction is open already: use a savepoint");
    break;
  case MP_E_SAVEPOINT:
    mp_error_set(error, arena, kind, "no savepoint is open");
    break;
  case MP_E_TRANSACTION:
    mp_error_set(error, arena, kind, "no transaction is open");
    break;
  case MP_E_OUT_OF_MEMORY:
    mp_error_set(error, arena, kind, "no memory for another savepoint");
    break;
  case MP_E_IMPLICIT_COMMIT:
    mp_error_set(error, arena, kind,
                 "the server has ended the transaction with this statement (what it did before is "
                 "committed)");
    break;
  case MP_E_COMMIT_UNKNOWN:
    mp_error_set(error, arena, kind,
                 "the connection was lost after COMMIT was sent: it may or may not be committed");
    break;
  case MP_E_IN_FAILED_TRANSACTION:
    mp_error_set(
        error, arena, kind,
        tx->state == MP_TXS_FAILED
            ? "a statement before failed (%s): only going back to a savepoint or a rollback helps"
            : "the transaction is over (%s): nothing more is sent until it is rolled back",
        cause);
    break;
  default:
    mp_error_set(error, arena, kind, "the transaction is over (%s)", cause);
    break;
  }
  error->retryable = again;
}
