/* postgres_dial.h - connecting to PostgreSQL without ever blocking the loop.
** Names are resolved on a thread, hosts are tried one by one (each of a multi-host URL, each of its addresses, with target_session_attrs),
** TLS as the options say. A dial never waits: it says in mp_wants what it waits for. The connect timeout is the connection's. */
#ifndef MP_POSTGRES_DIAL_H
#define MP_POSTGRES_DIAL_H

#include "backend.h"

#include <libpq-fe.h>

typedef enum mp_dialstate {
  MP_DIAL_TRYING,
  MP_DIAL_DONE,
  MP_DIAL_FAILED
} mp_dialstate;

typedef struct mp_pgdial mp_pgdial;

/* password may be NULL and is wiped once used. NULL: out of memory. */
mp_pgdial *mp_pgdial_new(const mp_config *config, const char *password, mp_waker *waker);

/* Get on as far as possible. On FAILED *err is filled (strings live as long as the dial). wants as in backend.h. */
mp_dialstate mp_pgdial_step(mp_pgdial *dial, unsigned events, mp_wants *wants, mp_error *err);

/* After DONE: the connection, non-blocking, idle, UTF-8; the caller's from now on. Once. */
PGconn *mp_pgdial_take(mp_pgdial *dial);

/* At any time; a thread that still resolves ends by itself. NULL is fine. */
void mp_pgdial_free(mp_pgdial *dial);

/* The backend's check: options that libpq or we refuse, before anything is opened. */
mp_status mp_pgdial_check(const mp_config *config, mp_error *err);

#endif
