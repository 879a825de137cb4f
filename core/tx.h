/* tx.h - the transaction of one connection as a pure state machine.
** An operation goes in, a statement comes out; the outcome of that statement
** goes in, the new state is there. No I/O, no clock, and memory only for what is nested deeper than
** MP_TX_DEPTH_INLINE. Savepoint names are never reused within a transaction. Every decision about what a server's state
** means for the program's blocks is made here. */
#ifndef MP_TX_H
#define MP_TX_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

/* What the engine itself says about the connection, asked after every statement. */
typedef enum mp_txstatus {
  MP_TX_IDLE,
  MP_TX_OPEN,
  MP_TX_ABORTED,
  MP_TX_UNKNOWN
} mp_txstatus;

typedef enum mp_isolation {
  MP_ISOLATION_DEFAULT,
  MP_READ_COMMITTED,
  MP_REPEATABLE_READ,
  MP_SERIALIZABLE
} mp_isolation;

typedef struct mp_txoptions {
  mp_isolation isolation;
  bool read_only;
  bool deferrable;
} mp_txoptions;

typedef enum mp_txstate {
  MP_TXS_NONE,   /* no transaction */
  MP_TXS_OPEN,   /* statements may run */
  MP_TXS_FAILED, /* a statement failed at this depth: only rolling back to a lower frame helps */
  MP_TXS_BROKEN, /* the server ended the transaction: nothing more is sent until the stack has unwound */
  MP_TXS_UNKNOWN /* a COMMIT was sent and its answer lost */
} mp_txstate;

typedef enum mp_txop {
  MP_TXO_BEGIN,
  MP_TXO_COMMIT,
  MP_TXO_ROLLBACK,
  MP_TXO_SAVEPOINT,
  MP_TXO_RELEASE,
  MP_TXO_ROLLBACK_TO /* undo and drop the innermost savepoint */
} mp_txop;

#define MP_TX_DEPTH_INLINE 16
#define MP_TX_SQL_MAX 128

/* Depth 0 is the transaction itself, 1.. its savepoints. */
typedef struct mp_tx {
  mp_txstate state;
  int depth;          /* open savepoints; 0 when only the transaction is open */
  uint64_t name_next; /* savepoint names are mp_<n>; n never repeats within a transaction */
  uint64_t names[MP_TX_DEPTH_INLINE]; /* n of each open savepoint, outermost first */
  uint64_t *deeper;                   /* the same for those below, or NULL */
  int deeper_max;
  bool commit_failed; /* NONE because a COMMIT failed: a ROLLBACK that follows it does nothing */
  mp_status cause;    /* kind of the error that failed or broke it */
  mp_txoptions options;
} mp_tx;

void mp_tx_init(mp_tx *tx);

/* Free what deep nesting has taken. The machine may still answer questions, but takes no operation. */
void mp_tx_free(mp_tx *tx);

/* May op be done now? Writes the statement (empty: nothing is to be sent, call mp_tx_outcome at
** once with MP_OK) or answers the error kind: durable, savepoint (there is none), out_of_memory, no_transaction,
** in_failed_transaction (COMMIT or RELEASE of a failed frame, anything but an unwinding op when broken).
** BEGIN's text is the backend's and is left empty here with *sent_by_backend true. */
mp_status mp_tx_step(mp_tx *tx, mp_txop op, const mp_txoptions *options, char sql[MP_TX_SQL_MAX],
                     bool *sent_by_backend);

/* The statement of the op has succeeded; true: sql is to be sent too before the outcome (ROLLBACK_TO drops
** the savepoint). The outcome is told once, of the statement that was sent last. */
bool mp_tx_follow(const mp_tx *tx, mp_txop op, char sql[MP_TX_SQL_MAX]);

/* The statement of the op has ended with status, and the engine now says engine.
** Gives what the program is to be told: MP_OK, status itself, or a better kind (a COMMIT that
** the server turned into a rollback: in_failed_transaction; a lost COMMIT: commit_unknown). */
mp_status mp_tx_outcome(mp_tx *tx, mp_txop op, mp_status status, mp_txstatus engine);

/* A plain statement has ended inside the transaction. Fails the frame on an error, breaks the
** stack when the engine has no transaction any more (also after a success: an implicit commit). */
mp_status mp_tx_after_statement(mp_tx *tx, mp_status status, mp_txstatus engine);

/* May a plain statement be sent now? MP_OK, or in_failed_transaction. */
mp_status mp_tx_may_send(const mp_tx *tx);

/* Is a transaction in which that happened worth another try? */
mp_retryable mp_tx_retryable(mp_status kind);

/* What a kind that one of these gave means, in words. Its message lives in the arena; error says what was known before. */
void mp_tx_explain(const mp_tx *tx, mp_status kind, mp_arena *arena, mp_error *error);

#endif
