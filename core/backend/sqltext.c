/* sqltext.c - see sqltext.h; a session keeps some hundred statements, so a list of hashes is enough. */
#include "sqltext.h"

#include <string.h>

void mp_sqltext_init(mp_sqltext *text, const mp_request *req, char *copy)
{
  memcpy(copy, req->sql, req->sql_len);
  copy[req->sql_len] = '\0';
  *text =
      (mp_sqltext){.hash = req->sql_hash, .cursor = req->cursor, .len = req->sql_len, .s = copy};
  mp_list_init(&text->node);
}

mp_sqltext *mp_sqltext_find(mp_list *texts, const mp_request *req)
{
  for (mp_list *node = texts->next; node != texts; node = node->next) {
    mp_sqltext *text = mp_container_of(node, mp_sqltext, node);
    if (text->hash != req->sql_hash || text->len != req->sql_len || text->cursor != req->cursor ||
        memcmp(text->s, req->sql, req->sql_len) != 0)
      continue;
    mp_list_remove(node);
    mp_list_push_front(texts, node);
    return text;
  }
  return NULL;
}
