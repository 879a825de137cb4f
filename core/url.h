/* url.h - where a database is and how to reach it.
** A URL is parsed once into a config; nobody keeps the URL, which may hold a
** password. A config is immutable once a pool has it. */
#ifndef MP_URL_H
#define MP_URL_H

#include "arena.h"
#include "status.h"

typedef struct mp_option {
  const char *name, *value;
} mp_option;

/* Strings are NULL where nothing was given. All of it lives in one arena. */
typedef struct mp_url {
  const char *scheme; /* lower case, without a driver suffix: "sqlite", "postgres", ... */
  /* Percent-decoded. host: one host, bare, also an IPv6 address or a directory of sockets; or several, "a:5433,b,[::1]:5434":
  ** each may have a port, and one that begins with "/" or "@" or has colons stands in brackets. */
  const char *user, *password, *host, *database;
  int port;                 /* 0: not given, or several hosts */
  const mp_option *options; /* query parameters in order, percent-decoded */
  int option_n;
} mp_url;

/* Parse the URL forms of api.md section 2. On failure *err says what is wrong and names the way
** out; it never repeats the URL. sqlite paths are in database; memory is ":memory:". */
mp_status mp_url_parse(mp_arena *arena, const char *text, size_t n, mp_url *out, mp_error *err);

#endif
