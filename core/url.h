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
  const char *user, *password, *host, *database; /* percent-decoded */
  int port;                                      /* 0: not given */
  const mp_option *options;                      /* query parameters in order, percent-decoded */
  int option_n;
} mp_url;

/* Parse the URL forms of api.md section 2. On failure *err says what is wrong and names the way
** out; it never repeats the URL. sqlite paths are in database; memory is ":memory:". */
mp_status mp_url_parse(mp_arena *arena, const char *text, size_t n, mp_url *out, mp_error *err);

#endif
