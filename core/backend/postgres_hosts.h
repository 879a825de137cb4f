/* postgres_hosts.h - where a PostgreSQL server may be: hosts in the order in which they are tried, and their addresses.
** The host of a config is one host, or several with commas between them: each a name, an address, or a directory of
** unix sockets (it begins with "/", or "@" for an abstract one), with a port of its own behind a colon where it has
** one ("a:5433,b,[::1]:5434"; what has colons itself, and a directory with a port, stands in brackets). Without a host
** libpq's own rules hold: PGHOST, PGHOSTADDR, a service file, the usual socket directory. */
#ifndef MP_POSTGRES_HOSTS_H
#define MP_POSTGRES_HOSTS_H

#include "backend.h"

#include <libpq-fe.h>

typedef struct mp_pghost {
  const char *name;    /* NULL: only an address, or libpq's socket directory */
  const char *address; /* as the environment gives it: nothing is looked up */
  const char *port;    /* NULL: libpq's */
  bool socket;
} mp_pghost;

typedef struct mp_pghosts {
  mp_pghost *list;
  int n;
} mp_pghosts;

/* defaults as PQconndefaults gives them; NULL leaves the environment out. */
mp_status mp_pghosts_read(const mp_config *config, const PQconninfoOption *defaults,
                          mp_arena *arena, mp_pghosts *out, mp_error *err);

/* The value that the environment or a service file gives to a parameter of libpq, or NULL. */
const char *mp_pghosts_default(const PQconninfoOption *defaults, const char *keyword);

/* Is it an address (of the machine itself)? */
bool mp_pghosts_is_address(const char *name);
bool mp_pghosts_is_loopback(const char *address);

/* The addresses of a name, found on a thread of its own. */
typedef struct mp_pglookup mp_pglookup;

mp_pglookup *mp_pglookup_start(const char *name,
                               mp_waker *waker); /* NULL: no memory or no thread */
bool mp_pglookup_done(mp_pglookup *lookup);
/* After done: how many, in the order of preference, written into arena; or 0 with *why. */
int mp_pglookup_addresses(mp_pglookup *lookup, mp_arena *arena, const char ***out,
                          const char **why);
void mp_pglookup_free(mp_pglookup *lookup); /* at any time; NULL is fine */

#endif
