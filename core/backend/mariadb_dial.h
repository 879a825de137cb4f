/* mariadb_dial.h - connecting to MariaDB or MySQL without ever blocking the loop.
** Looking the name up, the handshakes (of TLS too) and what sets a session up are one call that blocks, on a thread of its
** own; what comes back is a connection for the library's non-blocking calls. The connect timeout is the connection's. */
#ifndef MP_MARIADB_DIAL_H
#define MP_MARIADB_DIAL_H

#include "backend.h"
#include "mariadb_error.h"

#include <mysql.h>

/* A connection, and what is known of its server. */
typedef struct mp_myline {
  MYSQL *conn;
  mp_myflavour flavour;
  unsigned long thread_id;
  size_t max_packet; /* the server takes no longer ones */
  bool tls, bulk;    /* bulk: it takes arrays of parameters */
} mp_myline;

typedef struct mp_mydial mp_mydial;

/* password may be NULL, and is copied. NULL: out of memory, or no thread. */
mp_mydial *mp_mydial_new(const mp_config *config, const char *password, mp_waker *waker);

bool mp_mydial_done(mp_mydial *dial);

/* After done: the connection, the caller's from now on; or false, and *err, whose texts live as long as the dial. */
bool mp_mydial_take(mp_mydial *dial, mp_myline *out, mp_error *err);

/* At any time: a thread that still connects ends by itself. NULL is fine. */
void mp_mydial_free(mp_mydial *dial);

/* The backend's check: options that are refused before anything is opened. */
mp_status mp_mydial_check(const mp_config *config, mp_error *err);

/* What each session is set to, after connecting and after each reset. */
const char *mp_mydial_settings(mp_myflavour flavour);

/* mariadb_tls.c: have the library encrypt, and believe, as the options say. */
mp_status mp_mytls_apply(MYSQL *conn, const mp_config *config, bool socket, bool *wanted,
                         mp_arena *arena, mp_error *err);
/* What may be done about an error of kind tls: its advice. */
void mp_mytls_explain(mp_arena *arena, mp_error *err);

#endif
