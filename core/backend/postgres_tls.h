/* postgres_tls.h - how a connection is encrypted and whom it believes.
** The options tls_mode (off prefer require verify_ca verify_full), tls_ca, tls_cert and tls_key of a config decide, and
** nothing else: neither the environment, nor a service file, nor a file in somebody's home. */
#ifndef MP_POSTGRES_TLS_H
#define MP_POSTGRES_TLS_H

#include "backend.h"

/* Cannot exist, and libpq takes it for a file that is not there. */
#define MP_PGTLS_NO_FILE "/dev/null/none"

/* As libpq's parameters. */
typedef struct mp_pgtls {
  const char *mode;            /* sslmode */
  const char *ca, *cert, *key; /* files; where there is none, a name that no file has */
} mp_pgtls;

/* Are the options as they should be? No file is looked at. */
mp_status mp_pgtls_check(const mp_config *config, mp_arena *arena, mp_error *err);

/* socket: a unix socket, which needs no TLS and has none. local: the machine itself, so that TLS is
** only preferred unless the options say something else. */
mp_status mp_pgtls_choose(const mp_config *config, bool socket, bool local, mp_arena *arena,
                          mp_pgtls *out, mp_error *err);

const char *mp_pgtls_option(const mp_config *config,
                            const char *name); /* any option; NULL: not given */

#endif
