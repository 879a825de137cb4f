/* connection.h - drives one session of a backend on the loop.
** Turns what the session wants into poll, timer and async handles, feeds it the requests of its
** queue, runs the clocks of connect_timeout and of each request. Knows nothing of pools, leases or Lua. */
#ifndef MP_CONNECTION_H
#define MP_CONNECTION_H

#include "backend.h"
#include "loop.h"

typedef enum mp_connstate {
  MP_CONN_CONNECTING,
  MP_CONN_READY,
  MP_CONN_CLOSING,
  MP_CONN_CLOSED
} mp_connstate;

typedef struct mp_connection mp_connection;

/* Called from the loop, never inside a call of this file: ready, lost (the error; the connection is closing by
** itself), closed (everything is over: free it), quiet (a request ended and none is left; settled may be asked),
** kill (what it runs is to be stopped from another connection, which mp_connection_fill_kill says how; mp_connection_killed answers). */
typedef struct mp_connection_events {
  void (*ready)(void *owner);
  void (*lost)(void *owner, const mp_error *error);
  void (*closed)(void *owner);
  void (*quiet)(void *owner);
  void (*kill)(void *owner);
} mp_connection_events;

mp_status mp_connection_open(mp_connection **out, mp_loop *loop, const mp_config *config,
                             const char *password, const mp_connection_events *events, void *owner);

/* Queue a request (NEW or QUEUED). A connection that is closing answers connection_lost, not sent. */
void mp_connection_submit(mp_connection *conn, mp_request *req);

/* Stop a request of this connection for the reason given. Queued: ends at once (in the loop) and was not sent. */
void mp_connection_cancel(mp_connection *conn, mp_request *req, mp_status why);

void mp_connection_more(mp_connection *conn, mp_request *req);

bool mp_connection_fill_kill(const mp_connection *conn, mp_request *req);
void mp_connection_killed(mp_connection *conn, bool ran); /* fine when it is closing by now */

/* As a backend's keep: the statement is done, without a request. False: nothing was done. */
bool mp_connection_keep(mp_connection *conn, mp_txop op, const char *sql);

mp_connstate mp_connection_state(const mp_connection *conn);
mp_txstatus mp_connection_txstatus(const mp_connection *conn);
bool mp_connection_settled(const mp_connection *conn); /* nothing queued or active either */
bool mp_connection_tainted(const mp_connection *conn);
void mp_connection_taint(mp_connection *conn); /* whatever is done on it from now on */
void mp_connection_adopt(
    mp_connection *conn); /* its state is now how it begins; only when settled */
bool mp_connection_busy(const mp_connection *conn); /* something queued or active */

void mp_connection_close(mp_connection *conn); /* twice is fine; closed is called once */
void mp_connection_free(mp_connection *conn);  /* after closed; NULL is fine */

#endif
