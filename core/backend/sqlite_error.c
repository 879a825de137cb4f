/* sqlite_error.c - what an SQLite error means.
** One table for the extended result codes, one for the messages of plain SQLITE_ERROR, which has
** no codes of its own. Names of tables, columns and constraints are read from the messages,
** which SQLite never translates. Knows nothing of jobs; nobody else in the house reads an SQLite
** code's meaning. */
#include "sqlite.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct meaning {
  int code;
  mp_status kind;
  mp_retryable retryable;
  mp_verdict verdict;
} meaning;

/* An extended code that is not listed means what its primary code means. */
static const meaning meanings[] = {
    {SQLITE_CONSTRAINT_UNIQUE, MP_E_UNIQUE, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_PRIMARYKEY, MP_E_UNIQUE, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_ROWID, MP_E_UNIQUE, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_FOREIGNKEY, MP_E_FOREIGN_KEY, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_NOTNULL, MP_E_NOT_NULL, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_CHECK, MP_E_CHECK, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_TRIGGER, MP_E_TRIGGER, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT_DATATYPE, MP_E_TYPE_MISMATCH, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CONSTRAINT, MP_E_INTEGRITY, MP_RETRY_NO, MP_KEEP},
    {SQLITE_MISMATCH, MP_E_TYPE_MISMATCH, MP_RETRY_NO, MP_KEEP},
    {SQLITE_BUSY_SNAPSHOT, MP_E_SERIALIZATION, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_BUSY, MP_E_BUSY, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_LOCKED, MP_E_BUSY, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_PROTOCOL, MP_E_BUSY, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_INTERRUPT, MP_E_CANCELLED, MP_RETRY_NO, MP_KEEP},
    {SQLITE_READONLY_DBMOVED, MP_E_READ_ONLY_DATABASE, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_READONLY, MP_E_READ_ONLY_DATABASE, MP_RETRY_NO, MP_KEEP},
    {SQLITE_FULL, MP_E_DISK_FULL, MP_RETRY_NO, MP_KEEP},
    {SQLITE_IOERR_NOMEM, MP_E_OUT_OF_MEMORY, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_IOERR, MP_E_IO_ERROR, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_NOMEM, MP_E_OUT_OF_MEMORY, MP_RETRY_NO, MP_KEEP},
    {SQLITE_CORRUPT, MP_E_CORRUPT, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_NOTADB, MP_E_NOT_A_DATABASE, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_CANTOPEN, MP_E_CANT_OPEN, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_SCHEMA, MP_E_PLAN_CHANGED, MP_RETRY_STATEMENT, MP_KEEP},
    {SQLITE_ERROR_RETRY, MP_E_PLAN_CHANGED, MP_RETRY_STATEMENT, MP_KEEP},
    {SQLITE_ERROR_SNAPSHOT, MP_E_SERIALIZATION, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_ERROR_MISSING_COLLSEQ, MP_E_UNDEFINED_OBJECT, MP_RETRY_NO, MP_KEEP},
    {SQLITE_TOOBIG, MP_E_VALUE_TOO_LONG, MP_RETRY_NO, MP_KEEP},
    {SQLITE_RANGE, MP_E_INTERNAL, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_MISUSE, MP_E_INTERNAL, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_INTERNAL, MP_E_INTERNAL, MP_RETRY_NO, MP_DESTROY},
    {SQLITE_AUTH, MP_E_PERMISSION_DENIED, MP_RETRY_NO, MP_KEEP},
    {SQLITE_PERM, MP_E_PERMISSION_DENIED, MP_RETRY_NO, MP_KEEP},
    {SQLITE_ABORT, MP_E_IN_FAILED_TRANSACTION, MP_RETRY_TRANSACTION, MP_KEEP},
    {SQLITE_NOLFS, MP_E_INTERNAL, MP_RETRY_NO, MP_KEEP},
    {SQLITE_EMPTY, MP_E_INTERNAL, MP_RETRY_NO, MP_KEEP},
    {SQLITE_FORMAT, MP_E_INTERNAL, MP_RETRY_NO, MP_KEEP},
};

/* SQLITE_ERROR by its message: it begins with start and, behind that, holds inside. Ours are
** among them (sqlite_function.c, sqlite_decimal.c, sqlite_number.c,
** sqlite_text.c, sqlite_time.c). */
static const struct {
  const char *start, *inside;
  mp_status kind;
} messages[] = {
    {"no such table: ", "", MP_E_UNDEFINED_TABLE},
    {"no such view: ", "", MP_E_UNDEFINED_TABLE},
    {"no such column: ", "", MP_E_UNDEFINED_COLUMN},
    {"no such function: ", "", MP_E_UNDEFINED_FUNCTION},
    {"wrong number of arguments to function ", "", MP_E_UNDEFINED_FUNCTION},
    {"no such savepoint: ", "", MP_E_SAVEPOINT},
    {"no such ", "", MP_E_UNDEFINED_OBJECT},
    {"unknown database ", "", MP_E_UNDEFINED_OBJECT},
    {"table ", " has no column named ", MP_E_UNDEFINED_COLUMN},
    {"ambiguous column name: ", "", MP_E_AMBIGUOUS_COLUMN},
    {"duplicate column name: ", "", MP_E_DUPLICATE_COLUMN},
    {"table ", " already exists", MP_E_DUPLICATE_TABLE},
    {"view ", " already exists", MP_E_DUPLICATE_TABLE},
    {"there is already a table named ", "", MP_E_DUPLICATE_TABLE},
    {"", " already exists", MP_E_DUPLICATE_OBJECT},
    {"near \"", "\": syntax error", MP_E_SYNTAX},
    {"incomplete input", "", MP_E_SYNTAX},
    {"unrecognized token: ", "", MP_E_SYNTAX},
    {"cannot start a transaction within", "", MP_E_TRANSACTION},
    {"cannot commit - ", "", MP_E_TRANSACTION},
    {"cannot rollback - ", "", MP_E_TRANSACTION},
    {"integer overflow", "", MP_E_OUT_OF_RANGE},
    {"decimal overflow", "", MP_E_OUT_OF_RANGE},
    {"division by zero", "", MP_E_DIVISION_BY_ZERO},
    {"out of domain", "", MP_E_OUT_OF_RANGE},
    {"time out of range", "", MP_E_OUT_OF_RANGE},
    {"not a time", "", MP_E_INVALID_TEXT},
    {"not a number", "", MP_E_INVALID_TEXT},
    {"not a decimal", "", MP_E_INVALID_TEXT},
    {"invalid regular expression", "", MP_E_INVALID_TEXT},
    {"regular expression is too complex", "", MP_E_TOO_COMPLEX},
    {"malformed JSON", "", MP_E_JSON},
    {"JSON ", "", MP_E_JSON},
    {"parser stack overflow", "", MP_E_TOO_COMPLEX},
    {"too many SQL variables", "", MP_E_TOO_MANY_PARAMS},
    {"variable number must be between", "", MP_E_TOO_MANY_PARAMS},
    {"too many attached databases", "", MP_E_SERVER_LIMIT},
    {"too many ", "", MP_E_TOO_COMPLEX},
    {"at most ", " tables in a join", MP_E_TOO_COMPLEX},
    {"Expression tree is too large", "", MP_E_TOO_COMPLEX},
    {"LIKE or GLOB pattern too complex", "", MP_E_TOO_COMPLEX},
};

static bool starts(const char *text, const char *start)
{
  return strncmp(text, start, strlen(start)) == 0;
}

static mp_status kind_of_message(const char *message)
{
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
    if (starts(message, messages[i].start) &&
        strstr(message + strlen(messages[i].start), messages[i].inside) != NULL)
      return messages[i].kind;
  return MP_E_PROGRAMMING;
}

static meaning meaning_of(int code, const char *message)
{
  /* ON DELETE RESTRICT is a trigger to SQLite, and a foreign key to everybody else */
  if (code == SQLITE_CONSTRAINT_TRIGGER && strcmp(message, "FOREIGN KEY constraint failed") == 0)
    code = SQLITE_CONSTRAINT_FOREIGNKEY;
  for (int look = code;; look &= 0xff) {
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
      if (meanings[i].code == look)
        return meanings[i];
    if (look == (look & 0xff))
      break;
  }
  return (meaning){code, kind_of_message(message), MP_RETRY_NO, MP_KEEP};
}

/* "t.a, t.b": the table, and its columns with commas between. Names with ", " or "." in them are
** read as far as that is certain: the table is what stands before the first point, everywhere. */
static void read_columns(mp_error *err, mp_arena *arena, const char *names)
{
  const char *point = strchr(names, '.');
  if (point == NULL)
    return;
  size_t table_len = (size_t)(point - names) + 1; /* with the point */
  char *columns = mp_arena_alloc(arena, strlen(names) + 1), *to = columns;
  if (columns == NULL)
    return;
  for (const char *from = names; *from != '\0';) {
    if (strncmp(from, names, table_len) == 0)
      from += table_len;
    const char *end = strstr(from, ", ");
    size_t n = end != NULL ? (size_t)(end - from) : strlen(from);
    if (to > columns)
      *to++ = ',';
    memcpy(to, from, n);
    to += n;
    from += n + (end != NULL ? 2 : 0);
  }
  *to = '\0';
  err->table = mp_arena_memdup(arena, names, table_len - 1);
  err->columns = columns;
}

static void read_names(mp_error *err, mp_arena *arena, const char *message)
{
  static const char unique[] = "UNIQUE constraint failed: ";
  static const char not_null[] = "NOT NULL constraint failed: ";
  static const char check[] = "CHECK constraint failed: ";
  static const char index[] = "index '";
  if (starts(message, unique)) {
    const char *names = message + sizeof unique - 1;
    size_t n = strlen(names);
    if (starts(names, index) && n > sizeof index - 1)
      err->constraint = mp_arena_memdup(arena, names + sizeof index - 1, n - sizeof index);
    else
      read_columns(err, arena, names);
  } else if (starts(message, not_null)) {
    read_columns(err, arena, message + sizeof not_null - 1);
  } else if (starts(message, check)) {
    err->constraint = mp_arena_strdup(arena, message + sizeof check - 1);
  }
}

static mp_arena *arena_of(mp_arena **arena)
{
  if (*arena == NULL)
    *arena = mp_arena_new(0);
  return *arena;
}

mp_status mp_sqlite_error_text(mp_error *err, mp_arena **arena, int code, const char *message)
{
  meaning found = meaning_of(code, message);
  mp_error_set(err, arena_of(arena), found.kind, "%s", message);
  err->retryable = found.retryable;
  err->verdict = found.verdict;
  err->code = code;
  err->sent = true;
  if (*arena != NULL && (code & 0xff) == SQLITE_CONSTRAINT)
    read_names(err, *arena, message);
  return err->kind;
}

mp_status mp_sqlite_error(mp_error *err, mp_arena **arena, sqlite3 *db, int code)
{
  /* the handle's own message, unless it speaks of something else */
  bool same = (sqlite3_extended_errcode(db) & 0xff) == (code & 0xff);
  int offset = same ? sqlite3_error_offset(db) : -1;
  mp_sqlite_error_text(err, arena, code, same ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  if (offset >= 0)
    err->position = offset + 1;
  return err->kind;
}

mp_status mp_sqlite_fail(mp_error *err, mp_arena **arena, mp_status kind, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *message = arena_of(arena) != NULL ? mp_arena_vprintf(*arena, format, args) : NULL;
  va_end(args);
  *err = (mp_error){.kind = kind, .message = message};
  if (message == NULL)
    err->message = mp_status_name(kind);
  return kind;
}

bool mp_sqlite_is_locked(int code, const char *message)
{
  /* a handle that is in its own way says busy too, and no waiting helps */
  return (code == SQLITE_BUSY || code == SQLITE_BUSY_RECOVERY || code == SQLITE_BUSY_TIMEOUT) &&
         strstr(message, "in progress") == NULL;
}
