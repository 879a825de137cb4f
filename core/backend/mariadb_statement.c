/* mariadb_statement.c - the prepared statements of one session, and what the text of a statement says.
** Found by text, the least used one is dropped when there are too many; a statement in use is never dropped. */
#include "mariadb.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void mp_mycache_init(mp_mycache *cache, int max)
{
  *cache = (mp_mycache){.max = max};
  mp_list_init(&cache->statements);
  mp_list_init(&cache->dead);
}

mp_mystatement *mp_mycache_find(mp_mycache *cache, const mp_request *req)
{
  mp_sqltext *text = mp_sqltext_find(&cache->statements, req);
  mp_mystatement *found = text == NULL ? NULL : mp_container_of(text, mp_mystatement, text);
  if (found != NULL && found->text.cursor) {
    mp_list_remove(&text->node);
    found->cached = false;
    cache->n--;
  }
  return found;
}

mp_mystatement *mp_mystatement_new(MYSQL *conn, const mp_request *req)
{
  const unsigned long type = CURSOR_TYPE_READ_ONLY;
  mp_mystatement *made = calloc(1, sizeof *made + req->sql_len + 1);
  if (made == NULL)
    return NULL;
  mp_sqltext_init(&made->text, req, (char *)(made + 1));
  made->reads = mp_mysql_reads(made->text.s);
  made->changes = mp_mysql_changes(made->text.s);
  made->stmt = mysql_stmt_init(conn);
  if (made->stmt == NULL) {
    free(made);
    return NULL;
  }
  if (req->cursor)
    mysql_stmt_attr_set(made->stmt, STMT_ATTR_CURSOR_TYPE, &type);
  return made;
}

void mp_mystatement_free(mp_mystatement *statement)
{
  mp_list_remove(&statement->text.node);
  mp_mycolumns_drop(statement->columns);
  free(statement->slots);
  free(statement);
}

void mp_mycache_bury(mp_mycache *cache, mp_mystatement *statement)
{
  mp_list_remove(&statement->text.node);
  mp_list_push_back(&cache->dead, &statement->text.node);
  cache->n -= statement->cached;
  statement->cached = false;
}

bool mp_mycache_evict(mp_mycache *cache)
{
  for (mp_list *node = cache->statements.prev; node != &cache->statements; node = node->prev) {
    mp_mystatement *statement = mp_container_of(node, mp_mystatement, text.node);
    if (statement->used)
      continue;
    mp_mycache_bury(cache, statement);
    return true;
  }
  return false;
}

void mp_mycache_keep(mp_mycache *cache, mp_mystatement *statement)
{
  if (statement->cached || cache->max == 0)
    return;
  statement->cached = true;
  cache->n++;
  mp_list_push_front(&cache->statements, &statement->text.node);
  while (cache->n > cache->max)
    if (!mp_mycache_evict(cache))
      break;
}

mp_mystatement *mp_mycache_dead(mp_mycache *cache)
{
  mp_list *node = mp_list_pop_front(&cache->dead);
  return node == NULL ? NULL : mp_container_of(node, mp_mystatement, text.node);
}

void mp_mycache_clear(mp_mycache *cache)
{
  mp_list *lists[] = {&cache->statements, &cache->dead}, *node;
  for (int i = 0; i < 2; i++) {
    while ((node = mp_list_pop_front(lists[i])) != NULL) {
      mp_mystatement *statement = mp_container_of(node, mp_mystatement, text.node);
      mysql_stmt_close(statement->stmt); /* the library knows that nobody is to be told */
      mp_mystatement_free(statement);
    }
  }
  cache->n = 0;
}

/* ---- what the text says ---- */

/* What stands in an executable comment counts: it is where it begins. */
static const char *skip_blank(const char *s)
{
  for (;;) {
    while (isspace((unsigned char)*s) || *s == '(' || *s == ';')
      s++;
    if (*s == '#' ||
        (s[0] == '-' && s[1] == '-' && (isspace((unsigned char)s[2]) || s[2] == '\0'))) {
      s += strcspn(s, "\n");
    } else if (s[0] == '/' && s[1] == '*' && s[2] != '!' && strncmp(s + 2, "M!", 2) != 0) {
      const char *end = strstr(s + 2, "*/");
      s = end == NULL ? s + strlen(s) : end + 2;
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

static bool begins_with_one(const char *s, const char *const *words)
{
  for (; *words != NULL; words++)
    if (begins_with(s, *words))
      return true;
  return false;
}

/* Anywhere: a name or a string that only looks so costs a reset, no more. */
static bool has_one(const char *s, const char *const *marks)
{
  for (; *marks != NULL; marks++)
    if (strcasestr(s, *marks) != NULL)
      return true;
  return false;
}

bool mp_mysql_taints(const char *sql)
{
  static const char *const plain[] = {
      "select", "insert",   "update",    "delete",  "replace", "with",     "values", "table",
      "show",   "explain",  "describe",  "desc",    "analyze", "truncate", "create", "alter",
      "drop",   "rename",   "begin",     "start",   "commit",  "rollback", "do",     "kill",
      "grant",  "optimize", "savepoint", "release", "revoke",  "check",    NULL};
  static const char *const marks[] = {"get_lock", ":=",   "into @",          "temporary",
                                      "/*!",      "/*M!", "last_insert_id(", NULL};
  const char *first = skip_blank(sql);
  return *first != '\0' && (!begins_with_one(first, plain) || has_one(first, marks));
}

bool mp_mysql_reads(const char *sql)
{
  /* not WITH: behind it may stand a change */
  static const char *const words[] = {"select",  "show",     "values", "table", "do",
                                      "explain", "describe", "desc",   NULL};
  static const char *const marks[] = {"into outfile", "into dumpfile", NULL};
  const char *first = skip_blank(sql);
  return begins_with_one(first, words) && !has_one(first, marks);
}

/* The second word of a statement, as far as a comment does not hide it. */
static const char *second_word(const char *first)
{
  while (isalpha((unsigned char)*first))
    first++;
  return skip_blank(first);
}

bool mp_mysql_begins(const char *sql)
{
  static const char *const ends[] = {"commit", "rollback", NULL};
  const char *first = skip_blank(sql), *second = second_word(first);
  if (begins_with(first, "start"))
    return begins_with(second, "transaction");
  if (begins_with(first, "begin")) /* BEGIN NOT ATOMIC is something else */
    return *second == '\0' || begins_with(second, "work");
  return begins_with_one(first, ends) && strcasestr(second, "chain") != NULL &&
         strcasestr(second, "no chain") == NULL;
}

bool mp_mysql_defines(const char *sql)
{
  static const char *const words[] = {"create", "alter",  "drop",     "rename", "truncate",
                                      "grant",  "revoke", "optimize", "repair", NULL};
  static const char *const on_tables[] = {"analyze", "check", "lock", NULL};
  const char *first = skip_blank(sql), *second = second_word(first);
  if (begins_with_one(first, on_tables))
    return begins_with(second, "table") || begins_with(second, "tables");
  if (begins_with(second, "or")) /* CREATE OR REPLACE */
    second = second_word(second_word(second));
  return begins_with_one(first, words) && !begins_with(second, "temporary") &&
         !begins_with(second, "prepare");
}

bool mp_mysql_changes(const char *sql)
{
  static const char *const words[] = {"insert", "update", "delete", "replace", NULL};
  return begins_with_one(skip_blank(sql), words);
}

/* Past a string, a quoted name or a comment that begins here; s itself: it is none. */
static const char *skip_quoted(const char *s)
{
  if (*s == '\'' || *s == '"' || *s == '`') {
    char quote = *s++;
    while (*s != '\0' && *s != quote)
      s += *s == '\\' && quote != '`' && s[1] != '\0' ? 2 : 1;
    return *s == '\0' ? s : s + 1;
  }
  if (*s == '#' || (s[0] == '/' && s[1] == '*') || (s[0] == '-' && s[1] == '-'))
    return skip_blank(s);
  return s;
}

/* Behind the parenthesis that belongs to the one here. */
static const char *skip_group(const char *s)
{
  int depth = 0;
  while (*s != '\0') {
    const char *past = skip_quoted(s);
    if (past != s) {
      s = past;
      continue;
    }
    depth += (*s == '(') - (*s == ')');
    s++;
    if (depth == 0)
      break;
  }
  return s;
}

static const char *skip_space(const char *s)
{
  while (isspace((unsigned char)*s))
    s++;
  return s;
}

static size_t groups_of(const char *s)
{
  size_t n = 0;
  for (s = skip_space(s); *s == '('; n++) {
    s = skip_space(skip_group(s));
    if (*s == ',')
      s = skip_space(s + 1);
  }
  return n;
}

size_t mp_mysql_inserts(const char *sql)
{
  static const char *const begins[] = {"insert", "replace", NULL};
  static const char *const values[] = {"values", "value", NULL};
  static const char *const others[] = {"select", "with", "set", "table", "on", NULL};
  const char *s = skip_blank(sql);
  if (!begins_with_one(s, begins))
    return 0;
  while (*s != '\0') {
    const char *past = skip_quoted(s);
    if (past != s) {
      s = past;
    } else if (*s == '(') {
      s = skip_group(s);
    } else if (!isalpha((unsigned char)*s)) {
      s++;
    } else if (begins_with_one(s, values)) {
      return groups_of(s + strcspn(s, "( \t\r\n"));
    } else if (begins_with_one(s, others)) {
      return 0;
    } else {
      while (isalnum((unsigned char)*s) || *s == '_' || *s == '$')
        s++;
    }
  }
  return 0;
}
