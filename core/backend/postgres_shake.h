/* postgres_shake.h - one step of connecting that takes its time, on a thread.
** As soon as the server has agreed to TLS, libpq reads the file of certificates that are believed, anew for each connection,
** inside PQconnectPoll: of a system's whole bundle that is 20 to 150 ms, which the loop has not. */
#ifndef MP_POSTGRES_SHAKE_H
#define MP_POSTGRES_SHAKE_H

#include "job.h"

#include <libpq-fe.h>

typedef struct mp_pgshake mp_pgshake;

/* Is that what the next PQconnectPoll does, if there is such a file? */
bool mp_pgshake_is_next(const PGconn *conn);

/* PQconnectPoll, on a thread; the connection is the thread's until done, and closed if nobody takes it. Then waker is called.
** NULL: no memory or no thread, and the connection is the caller's as before. */
mp_pgshake *mp_pgshake_start(PGconn *conn, mp_waker *waker);

bool mp_pgshake_done(mp_pgshake *shake);

/* After done: the connection again, and what PQconnectPoll said. */
PGconn *mp_pgshake_take(mp_pgshake *shake, PostgresPollingStatusType *said);

/* At any time; the thread ends by itself. NULL is fine. */
void mp_pgshake_free(mp_pgshake *shake);

#endif
