/* postgres_statement.c - the prepared statements of one session, and what the text of a statement says.
** Found by text, the least used one is dropped when there are too many; a statement lives while a task uses it. */
#include "postgres.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void mp_pgcache_init(mp_pgcache *cache, int max)
{
  *cache = (mp_pgcache){.max = max};
  mp_list_init(&cache->statements);
  mp_list_init(&cache->dead);
  mp_list_init(&cache->wanted);
}

mp_pgstatement *mp_pgcache_find(mp_pgcache *cache, const mp_request *req)
{
  mp_sqltext *text = mp_sqltext_find(&cache->statements, req);
  mp_pgstatement *found = text == NULL ? NULL : mp_container_of(text, mp_pgstatement, text);
  if (found != NULL)
    found->user_n++;
  return found;
}

mp_pgstatement *mp_pgstatement_new(mp_pgcache *cache, const mp_request *req, bool unnamed)
{
  mp_pgstatement *made = calloc(1, sizeof *made + req->sql_len + 1);
  if (made == NULL)
    return NULL;
  mp_sqltext_init(&made->text, req, (char *)(made + 1));
  made->user_n = 1;
  made->number = unnamed ? 0 : ++cache->last_number;
  mp_pgstatement_name(made->number, made->name);
  return made;
}

bool mp_pgstatement_describe(mp_pgstatement *statement, const PGresult *described)
{
  statement->param_n = PQnparams(described);
  statement->param_types = calloc((size_t)statement->param_n + 1, sizeof(uint32_t));
  if (statement->param_types == NULL)
    return false;
  for (int i = 0; i < statement->param_n; i++)
    statement->param_types[i] = PQparamtype(described, i);
  if (PQnfields(described) == 0)
    return true;
  statement->table = PQftable(described, 0);
  statement->columns = mp_pgcolumns_new(described);
  return statement->columns != NULL;
}

static void destroy(mp_pgstatement *statement)
{
  mp_list_remove(&statement->text.node);
  free(statement->param_types);
  mp_pgcolumns_drop(statement->columns);
  free(statement);
}

void mp_pgstatement_release(mp_pgstatement *statement)
{
  if (--statement->user_n == 0 && !statement->cached && mp_list_empty(&statement->text.node))
    destroy(statement);
}

static void evict(mp_pgcache *cache, mp_pgstatement *statement)
{
  mp_list_remove(&statement->text.node);
  mp_list_push_back(&cache->dead, &statement->text.node);
  statement->cached = false;
  cache->n--;
}

void mp_pgcache_keep(mp_pgcache *cache, mp_pgstatement *statement)
{
  if (statement->number == 0 || statement->cached)
    return;
  statement->cached = true;
  cache->n++;
  mp_list_push_front(&cache->statements, &statement->text.node);
  while (cache->n > cache->max)
    evict(cache, mp_container_of(cache->statements.prev, mp_pgstatement, text.node));
}

void mp_pgcache_forget(mp_pgcache *cache, mp_pgstatement *statement)
{
  if (statement->cached)
    evict(cache, statement);
}

unsigned mp_pgcache_bury(mp_pgcache *cache)
{
  for (mp_list *node = cache->dead.next; node != &cache->dead; node = node->next) {
    mp_pgstatement *statement = mp_container_of(node, mp_pgstatement, text.node);
    unsigned number = statement->number;
    if (statement->user_n > 0)
      continue;
    destroy(statement);
    return number;
  }
  return 0;
}

void mp_pgcache_clear(mp_pgcache *cache)
{
  mp_list *lists[] = {&cache->statements, &cache->dead, &cache->wanted}, *node;
  for (int i = 0; i < 3; i++) {
    while ((node = mp_list_pop_front(lists[i])) != NULL) {
      mp_pgstatement *statement = mp_container_of(node, mp_pgstatement, text.node);
      statement->cached = false;
      if (statement->user_n == 0)
        destroy(statement);
    }
  }
  cache->n = 0;
}

void mp_pgstatement_name(unsigned number, char name[16])
{
  if (number == 0)
    name[0] = '\0';
  else
    snprintf(name, 16, "mp_%u", number);
}

/* ---- what the text says ---- */

static const char *skip_blank(const char *s)
{
  for (;;) {
    while (isspace((unsigned char)*s) || *s == '(' || *s == ';')
      s++;
    if (s[0] == '-' && s[1] == '-') {
      s += strcspn(s, "\n");
    } else if (s[0] == '/' && s[1] == '*') {
      int depth = 1;
      for (s += 2; *s != '\0' && depth > 0; s++) {
        if (s[0] == '*' && s[1] == '/')
          depth--, s++;
        else if (s[0] == '/' && s[1] == '*')
          depth++, s++;
      }
    } else {
      return s;
    }
  }
}

static bool begins_with(const char *s, const char *word)
{
  size_t n = strlen(word);
  return strncasecmp(s, word, n) == 0 && !isalnum((unsigned char)s[n]) && s[n] != '_';
}

bool mp_pgsql_taints(const char *sql)
{
  static const char *const plain[] = {
      "select", "insert", "update",   "delete", "with",  "values",    "table",   "merge",   "begin",
      "start",  "commit", "rollback", "end",    "abort", "savepoint", "release", "explain", "show"};
  static const char *const marks[] = {"set_config", "advisory", "listen", "into temp", NULL};
  const char *first = skip_blank(sql);
  bool is_plain = *first == '\0';
  for (size_t i = 0; i < sizeof plain / sizeof *plain && !is_plain; i++)
    is_plain = begins_with(first, plain[i]);
  for (int i = 0; marks[i] != NULL && is_plain; i++)
    is_plain = strcasestr(first, marks[i]) == NULL;
  return !is_plain;
}

bool mp_pgsql_is_query(const char *sql)
{
  static const char *const words[] = {"select", "values", "table", "with"};
  const char *first = skip_blank(sql);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (begins_with(first, words[i]))
      return strchr(sql, ';') == NULL;
  return false;
}

bool mp_pgsql_copies(const char *sql)
{
  const char *first = skip_blank(sql);
  return begins_with(first, "copy") &&
         (strcasestr(first, "stdin") != NULL || strcasestr(first, "stdout") != NULL);
}
