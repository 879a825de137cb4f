/* sqltext.h - the text that a session finds a prepared statement by, in a list with the latest used first. */
#ifndef MP_SQLTEXT_H
#define MP_SQLTEXT_H

#include "request.h"

typedef struct mp_sqltext {
  mp_list node;
  uint64_t hash;
  bool cursor; /* as the request that it was prepared for */
  size_t len;
  const char *s;
} mp_sqltext;

/* The text of a request; the NUL-terminated copy of it is at copy, and lives as long as the text. */
void mp_sqltext_init(mp_sqltext *text, const mp_request *req, char *copy);

/* The text of a request in a list: it becomes the first there. NULL: it is not there. */
mp_sqltext *mp_sqltext_find(mp_list *texts, const mp_request *req);

#endif
