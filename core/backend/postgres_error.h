/* postgres_error.h - what the server's messages mean: SQLSTATE to kind, retryable and verdict; which constraint, table, column. */
#ifndef MP_POSTGRES_ERROR_H
#define MP_POSTGRES_ERROR_H

#include "status.h"

#include <libpq-fe.h>

/* What a SQLSTATE means in an established session: the exact one first, then its class. A state that nobody
** knows is internal. */
typedef struct mp_pgmeaning {
  mp_status kind;
  mp_retryable retryable;
  mp_verdict verdict;
} mp_pgmeaning;

mp_pgmeaning mp_pgerror_meaning(const char *sqlstate);

/* Fill *err from an error result (strings copied into arena). Row data never gets into message, only into detail. position is in bytes
** of sql (the server counts characters). sent is true. retryable is "statement" where preparing again helps (plan_changed): inside a
** transaction, which that error has failed, it is the caller's to make it "transaction". */
void mp_pgerror_result(const PGresult *result, const char *sql, mp_arena *arena, mp_error *err);

/* The same from a connection that failed or broke, by its message: connect_failed, auth_failed, tls, server_limit ..., or
** connection_lost when it was up before (then sent is true). Never the password. The verdict is always destroy. */
void mp_pgerror_connection(const PGconn *conn, bool was_up, mp_arena *arena, mp_error *err);

/* The same from such a message. */
void mp_pgerror_message(const char *text, bool was_up, mp_arena *arena, mp_error *err);

#endif
