/* mariadb_message.c - names and values out of the sentences of the server's errors.
** A value may hold anything, quotes and the words of the sentence too: so what is cut begins at the first place and ends
** at the last one where a value can end. A name that looks like such an end costs a name, never shows a value. */
#include "mariadb_message.h"

#include <string.h>

/* The last place where word stands, NULL if nowhere. */
static const char *last(const char *text, const char *word)
{
  const char *found = NULL, *at = text;
  while ((at = strstr(at, word)) != NULL)
    found = at++;
  return found;
}

/* ---- names ---- */

/* The name that begins behind at's quotation mark (' or `, doubled inside), into the arena. *end is behind it. NULL where
** there is none. */
static const char *name_at(const char *at, mp_arena *arena, const char **end)
{
  char quote = *at, *name, *p;
  if (quote != '\'' && quote != '`')
    return NULL;
  name = p = mp_arena_alloc(arena, strlen(at));
  if (name == NULL)
    return NULL;
  while (*++at != '\0') {
    if (*at == quote && *++at != quote) {
      *p = '\0';
      *end = at;
      return name;
    }
    *p++ = *at;
  }
  return NULL; /* cut off: a part of a name names nothing */
}

/* `db`.`table`.`column`: the last one or two of them. */
static const char *dotted(const char *at, mp_arena *arena, const char **before)
{
  const char *name = NULL;
  *before = NULL;
  for (;; at++) {
    const char *next = name_at(at, arena, &at);
    if (next == NULL)
      return NULL;
    *before = name;
    name = next;
    if (*at != '.')
      return name;
  }
}

/* What stands behind the last word that is followed by a name. */
static const char *named(const char *text, const char *word, mp_arena *arena)
{
  const char *at = last(text, word), *end;
  return at == NULL ? NULL : name_at(at + strlen(word), arena, &end);
}

static void read_column(const char *text, const char *word, mp_arena *arena, mp_error *err)
{
  const char *at = last(text, word), *table;
  if (at == NULL)
    return;
  err->columns = dotted(at + strlen(word), arena, &table);
  if (table != NULL)
    err->table = table;
}

/* ... for key 'name', or 'table.name' as MySQL 8 says it. Nothing is doubled in it, and nothing stands behind it. */
static void read_key(const char *text, mp_arena *arena, mp_error *err)
{
  static const char words[] = "for key '";
  const char *at = last(text, words), *end = strrchr(text, '\''), *dot;
  if (at == NULL || end < at + sizeof words - 1)
    return;
  at += sizeof words - 1;
  err->constraint = mp_arena_memdup(arena, at, (size_t)(end - at));
  dot = err->constraint == NULL ? NULL : strchr(err->constraint, '.');
  if (dot == NULL || dot == err->constraint || dot[1] == '\0')
    return;
  err->table = mp_arena_memdup(arena, err->constraint, (size_t)(dot - err->constraint));
  err->constraint = dot + 1;
}

/* ... (`db`.`table`, CONSTRAINT `name` FOREIGN KEY (`a`, `b`) REFERENCES `parent` (`id`) ...) */
static void read_foreign_key(const char *text, mp_arena *arena, mp_error *err)
{
  static const char key[] = " FOREIGN KEY ";
  const char *at = strstr(text, "(`"), *end, *schema;
  if (at == NULL)
    return;
  err->table = dotted(at + 1, arena, &schema);
  at = strstr(at, ", CONSTRAINT ");
  if (at == NULL)
    return;
  err->constraint = name_at(at + strlen(", CONSTRAINT "), arena, &end);
  if (err->constraint == NULL || strncmp(end, key, sizeof key - 1) != 0)
    return;
  for (at = end + sizeof key - 1; *at == '(' || (*at == ',' && at[1] == ' '); at = end) {
    const char *name = name_at(at + (*at == '(' ? 1 : 2), arena, &end);
    if (name == NULL)
      return;
    err->columns =
        err->columns == NULL ? name : mp_arena_printf(arena, "%s,%s", err->columns, name);
  }
}

/* CONSTRAINT `name` failed for `db`.`table`; that of a column is called like it, or `table.column`. */
static void read_check(const char *text, mp_arena *arena, mp_error *err)
{
  const char *end, *at, *schema, *dot;
  if (strncmp(text, "CONSTRAINT ", 11) != 0)
    return;
  err->constraint = name_at(text + 11, arena, &end);
  at = last(text, "` failed for ");
  if (at != NULL)
    err->table = dotted(at + strlen("` failed for "), arena, &schema);
  dot = err->constraint == NULL ? NULL : strchr(err->constraint, '.');
  if (dot != NULL && dot[1] != '\0' && err->table != NULL &&
      strncmp(err->constraint, err->table, (size_t)(dot - err->constraint)) == 0)
    err->columns = dot + 1;
}

/* ---- values ---- */

/* Cut from behind the first start to the last place where end stands. */
static bool cut(const char *text, const char *start, const char *end, mp_arena *arena,
                mp_error *err)
{
  const char *from = strstr(text, start), *to;
  if (from == NULL)
    return false;
  from += strlen(start);
  to = last(from, end);
  if (to == NULL)
    return false;
  err->message = mp_arena_printf(arena, "%.*s...%s", (int)(from - text), text, to);
  return true;
}

/* Each way in which a value is quoted; where none fits, the text is not shown. */
static void hide_value(const char *text, mp_arena *arena, mp_error *err)
{
  err->detail = mp_arena_strdup(arena, text);
  if (!cut(text, "Duplicate entry '", "' for key ", arena, err) &&
      !cut(text, " value: '", "' for column ", arena, err) &&
      !cut(text, " value: '", "' for function ", arena, err) && !cut(text, "'", "'", arena, err))
    err->message =
        mp_arena_printf(arena, "the server refuses a value: %s", mp_status_name(err->kind));
  if (err->message == NULL)
    err->message = mp_status_name(err->kind);
}

void mp_mymessage_read(unsigned number, const char *text, mp_arena *arena, mp_error *err)
{
  switch (number) {
  case 1062:
  case 1586:
    read_key(text, arena, err);
    hide_value(text, arena, err);
    break;
  case 1022:
  case 1169:
    err->table = named(text, "table ", arena);
    break;
  case 1451:
  case 1452:
  case 1701:
    read_foreign_key(text, arena, err);
    break;
  case 1048:
    err->columns = named(text, "Column ", arena);
    break;
  case 1364:
    err->columns = named(text, "Field ", arena);
    break;
  case 1263:
  case 1264:
  case 1265:
  case 1406:
    read_column(text, "column ", arena, err);
    break;
  case 3819:
    err->constraint = named(text, "constraint ", arena);
    break;
  case 4025:
    read_check(text, arena, err);
    break;
  case 1292:
  case 1366:
    read_column(text, "for column ", arena, err);
    hide_value(text, arena, err);
    break;
  case 1690:
    hide_value(text, arena, err);
    if (err->kind == MP_E_DIVISION_BY_ZERO)
      err->message = "division by zero";
    else if (err->kind == MP_E_UNIQUE)
      err->message =
          "another row has the same value in a unique column that the upsert does not name";
    break;
  case 1300:
  case 1367:
  case 1411:
    hide_value(text, arena, err);
    break;
  default:
    if (strncmp(err->sqlstate, "22", 2) == 0 && strchr(text, '\'') != NULL)
      hide_value(text, arena, err);
  }
}

bool mp_mymessage_is_temporal(const char *text)
{
  static const char *const words[] = {"date", "time", "timestamp", "year"};
  const char *end = strstr(text, " value: '");
  if (end == NULL)
    return false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i]);
    if ((size_t)(end - text) >= n && strncasecmp(end - n, words[i], n) == 0)
      return true;
  }
  return false;
}

/* ... near 'the rest of the statement' at line 1: of a long rest only its beginning. */
int mp_mymessage_position(const char *text, const char *sql)
{
  const char *from = strstr(text, "near '"), *to, *found;
  size_t n, all = strlen(sql);
  if (from == NULL)
    return 0;
  from += strlen("near '");
  to = last(from, "' at line ");
  if (to == NULL)
    return 0;
  n = (size_t)(to - from);
  if (n == 0)
    return (int)all + 1;
  if (n <= all && memcmp(sql + all - n, from, n) == 0)
    return (int)(all - n) + 1;
  found = memmem(sql, all, from, n);
  return found == NULL ? 0 : (int)(found - sql) + 1;
}
