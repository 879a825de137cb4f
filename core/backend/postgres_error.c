/* postgres_error.c - what an error of the server means.
** One table: SQLSTATE to kind, to what may be run again, to what happens to the connection; the exact state first,
** then its class (a two-letter row). Messages may be translated, so nothing is read from them; names come from the
** fields that the server sends along. A message that would quote a value loses it to detail. */
#include "postgres_error.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
  char state[6]; /* five characters, or the two of a class */
  mp_pgmeaning meaning;
} row;

#define NO MP_RETRY_NO
#define TX MP_RETRY_TRANSACTION
#define CONNECT MP_RETRY_CONNECT
#define STATEMENT MP_RETRY_STATEMENT
#define ROW(state, kind, retry, verdict)                                                           \
  {                                                                                                \
    state,                                                                                         \
    {                                                                                              \
      MP_E_##kind, retry, verdict                                                                  \
    }                                                                                              \
  }

/* Sorted by state, a class behind its members. */
static const row rows[] = {
    ROW("08007", COMMIT_UNKNOWN, NO, MP_DESTROY),
    ROW("08P01", PROTOCOL, NO, MP_DESTROY),
    ROW("08", CONNECTION_LOST, NO, MP_DESTROY),
    ROW("09", TRIGGER, NO, MP_KEEP),
    ROW("0A", PROGRAMMING, NO, MP_KEEP), /* not supported by the server */
    ROW("0L", PERMISSION_DENIED, NO, MP_KEEP),
    ROW("0P", PERMISSION_DENIED, NO, MP_KEEP),
    ROW("20", DATA, NO, MP_KEEP),
    ROW("21", CARDINALITY, NO, MP_KEEP),
    ROW("22001", VALUE_TOO_LONG, NO, MP_KEEP),
    ROW("22003", OUT_OF_RANGE, NO, MP_KEEP),
    ROW("22004", NOT_NULL, NO, MP_KEEP),
    ROW("22007", INVALID_DATETIME, NO, MP_KEEP),
    ROW("22008", INVALID_DATETIME, NO, MP_KEEP),
    ROW("22009", INVALID_DATETIME, NO, MP_KEEP),
    ROW("22011", INVALID_TEXT, NO, MP_KEEP),
    ROW("22012", DIVISION_BY_ZERO, NO, MP_KEEP),
    ROW("22015", OUT_OF_RANGE, NO, MP_KEEP), /* interval field overflow */
    ROW("22019", INVALID_TEXT, NO, MP_KEEP),
    ROW("2201B", INVALID_TEXT, NO, MP_KEEP), /* regular expression */
    ROW("2201E", OUT_OF_RANGE, NO, MP_KEEP), /* logarithm */
    ROW("2201F", OUT_OF_RANGE, NO, MP_KEEP), /* power, square root */
    ROW("2201W", INVALID_TEXT, NO, MP_KEEP),
    ROW("2201X", INVALID_TEXT, NO, MP_KEEP),
    ROW("22021", ENCODING, NO, MP_KEEP),
    ROW("22023", INVALID_TEXT, NO, MP_KEEP),
    ROW("22025", INVALID_TEXT, NO, MP_KEEP),
    ROW("2203", JSON, NO, MP_KEEP), /* 22030 to 2203G */
    ROW("22P02", INVALID_TEXT, NO, MP_KEEP),
    ROW("22P03", INVALID_TEXT, NO, MP_KEEP),
    ROW("22P04", INVALID_TEXT, NO, MP_KEEP),
    ROW("22P05", ENCODING, NO, MP_KEEP),
    ROW("22", DATA, NO, MP_KEEP),
    ROW("23001", FOREIGN_KEY, NO, MP_KEEP), /* on delete restrict */
    ROW("23502", NOT_NULL, NO, MP_KEEP),
    ROW("23503", FOREIGN_KEY, NO, MP_KEEP),
    ROW("23505", UNIQUE, NO, MP_KEEP),
    ROW("23514", CHECK, NO, MP_KEEP),
    ROW("23P01", EXCLUSION, NO, MP_KEEP),
    ROW("23", INTEGRITY, NO, MP_KEEP),
    ROW("24", PROGRAMMING, NO, MP_KEEP), /* cursors */
    ROW("25006", READ_ONLY, NO, MP_KEEP),
    ROW("25P02", IN_FAILED_TRANSACTION, NO, MP_KEEP),
    ROW("25P03", CONNECTION_LOST, TX, MP_DESTROY), /* idle in a transaction for too long */
    ROW("25P04", TIMEOUT, NO, MP_DESTROY),
    ROW("25", TRANSACTION, NO, MP_KEEP),
    ROW("26", PLAN_CHANGED, STATEMENT, MP_KEEP), /* the prepared statement is gone */
    ROW("27", TRIGGER, NO, MP_KEEP),
    ROW("28", AUTH_FAILED, NO, MP_DESTROY),
    ROW("2B", PROGRAMMING, NO, MP_KEEP), /* something depends on it */
    ROW("2D", TRANSACTION, NO, MP_KEEP),
    ROW("2F", PROGRAMMING, NO, MP_KEEP),
    ROW("34", PROGRAMMING, NO, MP_KEEP), /* cursors */
    ROW("38", PROGRAMMING, NO, MP_KEEP),
    ROW("39", PROGRAMMING, NO, MP_KEEP),
    ROW("3B", SAVEPOINT, NO, MP_KEEP),
    ROW("3D", UNKNOWN_DATABASE, NO, MP_DESTROY),
    ROW("3F", UNDEFINED_OBJECT, NO, MP_KEEP),
    ROW("40000", IN_FAILED_TRANSACTION, TX, MP_KEEP),
    ROW("40002", INTEGRITY, NO, MP_KEEP),
    ROW("40003", COMMIT_UNKNOWN, NO, MP_DESTROY),
    ROW("40P01", DEADLOCK, TX, MP_KEEP),
    ROW("40", SERIALIZATION, TX, MP_KEEP),
    ROW("42501", PERMISSION_DENIED, NO, MP_KEEP),
    ROW("42601", SYNTAX, NO, MP_KEEP),
    ROW("42602", SYNTAX, NO, MP_KEEP),
    ROW("42622", SYNTAX, NO, MP_KEEP),
    ROW("42701", DUPLICATE_COLUMN, NO, MP_KEEP),
    ROW("42702", AMBIGUOUS_COLUMN, NO, MP_KEEP),
    ROW("42703", UNDEFINED_COLUMN, NO, MP_KEEP),
    ROW("42704", UNDEFINED_OBJECT, NO, MP_KEEP),
    ROW("42710", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42712", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42723", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42725", AMBIGUOUS_COLUMN, NO, MP_KEEP),
    ROW("42804", TYPE_MISMATCH, NO, MP_KEEP),
    ROW("42846", TYPE_MISMATCH, NO, MP_KEEP),
    ROW("42883", UNDEFINED_FUNCTION, NO, MP_KEEP),
    ROW("428C9", TYPE_MISMATCH, NO, MP_KEEP),
    ROW("42P01", UNDEFINED_TABLE, NO, MP_KEEP),
    ROW("42P02", UNDEFINED_OBJECT, NO, MP_KEEP),
    ROW("42P03", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42P04", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42P05", PLAN_CHANGED, STATEMENT, MP_KEEP), /* a prepared statement of that name exists */
    ROW("42P06", DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW("42P07", DUPLICATE_TABLE, NO, MP_KEEP),
    ROW("42P08", AMBIGUOUS_COLUMN, NO, MP_KEEP),
    ROW("42P18", TYPE_MISMATCH, NO, MP_KEEP),
    ROW("42", PROGRAMMING, NO, MP_KEEP),
    ROW("44", CHECK, NO, MP_KEEP), /* WITH CHECK OPTION of a view */
    ROW("53100", DISK_FULL, NO, MP_KEEP),
    ROW("53200", OUT_OF_MEMORY, NO, MP_KEEP),
    ROW("53300", SERVER_LIMIT, CONNECT, MP_DESTROY),
    ROW("53400", SERVER_LIMIT, CONNECT, MP_KEEP),
    ROW("53", SERVER_LIMIT, NO, MP_KEEP),
    ROW("54", TOO_COMPLEX, NO, MP_KEEP),
    ROW("55006", BUSY, NO, MP_KEEP),
    ROW("55P03", LOCK_TIMEOUT, TX, MP_KEEP),
    ROW("55", PROGRAMMING, NO, MP_KEEP), /* not in the state that it takes */
    ROW("57014", CANCELLED, NO, MP_KEEP),
    ROW("57P01", CONNECTION_LOST, TX,
        MP_DESTROY), /* the server shuts down, or was told to end us */
    ROW("57P02", CONNECTION_LOST, TX, MP_DESTROY),
    ROW("57P03", CONNECT_FAILED, CONNECT, MP_DESTROY), /* the server is starting */
    ROW("57P04", UNKNOWN_DATABASE, NO, MP_DESTROY),
    ROW("57P05", CONNECTION_LOST, CONNECT, MP_DESTROY), /* idle for too long */
    ROW("57", CANCELLED, NO, MP_KEEP),
    ROW("58", IO_ERROR, NO, MP_KEEP),
    ROW("72", SERIALIZATION, TX, MP_KEEP),
    ROW("P0001", TRIGGER, NO, MP_KEEP), /* the database's own code refused */
    ROW("P0", PROGRAMMING, NO, MP_KEEP),
    ROW("XX001", CORRUPT, NO, MP_KEEP),
    ROW("XX002", CORRUPT, NO, MP_KEEP),
};

mp_pgmeaning mp_pgerror_meaning(const char *sqlstate)
{
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strncmp(sqlstate, rows[i].state, strlen(rows[i].state)) == 0)
      return rows[i].meaning;
  return (mp_pgmeaning){MP_E_INTERNAL, MP_RETRY_NO, MP_KEEP};
}

static bool same(const char *a, const char *b)
{
  return a != NULL && strcmp(a, b) == 0;
}

static const char *copy(mp_arena *arena, const char *text)
{
  return text == NULL || *text == '\0' ? NULL : mp_arena_strdup(arena, text);
}

/* ---- messages without values ---- */

/* Class 22 is about values, and its messages quote them: what stands between the first and the last quotation mark
** goes, and the whole becomes part of detail. A translated message quotes in its own way, so there only the kind is
** told; so too where the bytes of a text are shown. */
static void hide_values(mp_error *err, mp_arena *arena, const char *message, bool translated)
{
  const char *first = strchr(message, '"'), *last = strrchr(message, '"');
  if (strncmp(err->sqlstate, "22", 2) != 0)
    return;
  if (err->kind == MP_E_ENCODING)
    err->message = "a text that the encoding of the database does not have";
  else if (translated)
    err->message =
        mp_arena_printf(arena, "the server refuses a value: %s", mp_status_name(err->kind));
  else if (first != NULL)
    err->message = mp_arena_printf(arena, "%.*s\"...%s", (int)(first - message), message, last);
  else
    return;
  if (err->message == NULL)
    err->message = mp_status_name(err->kind);
  err->detail = err->detail == NULL ? copy(arena, message)
                                    : mp_arena_printf(arena, "%s\n%s", message, err->detail);
}

/* The server counts characters from 1. */
static int position_in_bytes(const char *field, const char *sql)
{
  long characters = field != NULL ? strtol(field, NULL, 10) : 0;
  const char *at = sql;
  if (characters < 1 || sql == NULL)
    return 0;
  while (--characters > 0 && *at != '\0')
    do
      at++;
    while (((unsigned char)*at & 0xc0) == 0x80);
  return (int)(at - sql) + 1;
}

void mp_pgerror_result(const PGresult *result, const char *sql, mp_arena *arena, mp_error *err)
{
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const char *shown = PQresultErrorField(result, PG_DIAG_SEVERITY);
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  mp_pgmeaning meaning;
  if (state == NULL || message == NULL) { /* libpq's own: it has lost the thread, or its memory */
    mp_pgerror_message(PQresultErrorMessage(result), true, arena, err);
    return;
  }
  meaning = mp_pgerror_meaning(state);
  if (strcmp(state, "0A000") == 0 &&
      same(PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery"))
    meaning = (mp_pgmeaning){MP_E_PLAN_CHANGED, MP_RETRY_STATEMENT, MP_KEEP};
  mp_error_set(err, arena, meaning.kind, "%s", message);
  err->retryable = meaning.retryable;
  err->verdict = meaning.verdict;
  if (same(severity, "FATAL") || same(severity, "PANIC"))
    err->verdict = MP_DESTROY;
  err->sent = true;
  memcpy(err->sqlstate, state, strnlen(state, 5));
  err->detail = copy(arena, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
  err->hint = copy(arena, PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
  err->constraint = copy(arena, PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
  err->table = copy(arena, PQresultErrorField(result, PG_DIAG_TABLE_NAME));
  err->columns = copy(arena, PQresultErrorField(result, PG_DIAG_COLUMN_NAME));
  err->position = position_in_bytes(PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION), sql);
  hide_values(err, arena, message, severity != NULL && !same(shown, severity));
  if (strcmp(state, "42601") == 0 &&
      same(PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION), "exec_parse_message"))
    mp_error_advise(err, arena, "one statement a call"); /* all that it objects to by itself */
}
