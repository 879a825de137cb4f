/* status.h - the kinds of errors, and one error in detail.
** A new kind is one line here: C, Lua and the documentation read this table.
** X(NAME, "name as in api.md section 8", "family", "the kind above it, or empty")
** A kind's own name, its parent's and its family's all answer mp.is(). */
#ifndef MP_STATUS_H
#define MP_STATUS_H

#include "arena.h"

#include <stdbool.h>
#include <stdint.h>

#define MP_ERROR_KINDS(X)                                                                          \
  /* usage: the program is wrong; nothing was sent */                                              \
  X(CONFIGURATION, "configuration", "usage", "")                                                   \
  X(NOT_CONFIGURED, "not_configured", "usage", "configuration")                                    \
  X(UNKNOWN_FIELD, "unknown_field", "usage", "")                                                   \
  X(UNKNOWN_LOOKUP, "unknown_lookup", "usage", "")                                                 \
  X(UNKNOWN_OPTION, "unknown_option", "usage", "")                                                 \
  X(UNKNOWN_DATABASE, "unknown_database", "usage", "")                                             \
  X(BAD_ARGUMENT, "bad_argument", "usage", "")                                                     \
  X(BAD_PARAMETERS, "bad_parameters", "usage", "")                                                 \
  X(UNFILTERED, "unfiltered", "usage", "")                                                         \
  X(NOT_YIELDABLE, "not_yieldable", "usage", "")                                                   \
  X(CONCURRENCY, "concurrency", "usage", "")                                                       \
  X(STALE_HANDLE, "stale_handle", "usage", "")                                                     \
  X(UNSUPPORTED, "unsupported", "usage", "")                                                       \
  /* pool */                                                                                       \
  X(POOL_TIMEOUT, "pool_timeout", "pool", "")                                                      \
  X(POOL_CLOSED, "pool_closed", "pool", "usage")                                                   \
  X(POOL_DEADLOCK, "pool_deadlock", "pool", "")                                                    \
  /* connection */                                                                                 \
  X(CONNECT_FAILED, "connect_failed", "connection", "")                                            \
  X(CANT_OPEN, "cant_open", "connection", "connect_failed")                                        \
  X(AUTH_FAILED, "auth_failed", "connection", "")                                                  \
  X(TLS, "tls", "connection", "")                                                                  \
  X(CONNECTION_LOST, "connection_lost", "connection", "")                                          \
  X(PROTOCOL, "protocol", "connection", "")                                                        \
  /* operation */                                                                                  \
  X(TIMEOUT, "timeout", "operation", "")                                                           \
  X(CANCELLED, "cancelled", "operation", "")                                                       \
  X(LOCK_TIMEOUT, "lock_timeout", "operation", "")                                                 \
  X(BUSY, "busy", "operation", "")                                                                 \
  /* transaction */                                                                                \
  X(DEADLOCK, "deadlock", "transaction", "")                                                       \
  X(SERIALIZATION, "serialization", "transaction", "")                                             \
  X(IN_FAILED_TRANSACTION, "in_failed_transaction", "transaction", "")                             \
  X(READ_ONLY, "read_only", "transaction", "")                                                     \
  X(COMMIT_UNKNOWN, "commit_unknown", "transaction", "")                                           \
  X(PARTIAL_COMMIT, "partial_commit", "transaction", "")                                           \
  X(SAVEPOINT, "savepoint", "transaction", "")                                                     \
  X(DURABLE, "durable", "transaction", "")                                                         \
  X(TRANSACTION, "no_transaction", "transaction", "")                                              \
  X(IMPLICIT_COMMIT, "implicit_commit", "transaction", "")                                         \
  X(PLAN_CHANGED, "plan_changed", "transaction", "")                                               \
  /* integrity */                                                                                  \
  X(UNIQUE, "unique", "integrity", "")                                                             \
  X(FOREIGN_KEY, "foreign_key", "integrity", "")                                                   \
  X(NOT_NULL, "not_null", "integrity", "")                                                         \
  X(CHECK, "check", "integrity", "")                                                               \
  X(EXCLUSION, "exclusion", "integrity", "")                                                       \
  X(TRIGGER, "trigger", "integrity", "")                                                           \
  X(INTEGRITY, "other_integrity", "integrity", "")                                                 \
  /* data */                                                                                       \
  X(VALUE_TOO_LONG, "value_too_long", "data", "")                                                  \
  X(OUT_OF_RANGE, "out_of_range", "data", "")                                                      \
  X(INVALID_TEXT, "invalid_text", "data", "")                                                      \
  X(INVALID_DATETIME, "invalid_datetime", "data", "")                                              \
  X(DIVISION_BY_ZERO, "division_by_zero", "data", "")                                              \
  X(ENCODING, "encoding", "data", "")                                                              \
  X(JSON, "json", "data", "")                                                                      \
  X(TYPE_MISMATCH, "type_mismatch", "data", "")                                                    \
  X(CARDINALITY, "cardinality", "data", "")                                                        \
  X(TOO_DEEP, "too_deep", "data", "")                                                              \
  X(DATA, "other_data", "data", "")                                                                \
  /* programming: the SQL is wrong */                                                              \
  X(SYNTAX, "syntax", "programming", "")                                                           \
  X(UNDEFINED_TABLE, "undefined_table", "programming", "")                                         \
  X(UNDEFINED_COLUMN, "undefined_column", "programming", "")                                       \
  X(UNDEFINED_FUNCTION, "undefined_function", "programming", "")                                   \
  X(UNDEFINED_OBJECT, "undefined_object", "programming", "")                                       \
  X(DUPLICATE_TABLE, "duplicate_table", "programming", "")                                         \
  X(DUPLICATE_COLUMN, "duplicate_column", "programming", "")                                       \
  X(DUPLICATE_OBJECT, "duplicate_object", "programming", "")                                       \
  X(AMBIGUOUS_COLUMN, "ambiguous_column", "programming", "")                                       \
  X(PROGRAMMING, "other_programming", "programming", "")                                           \
  /* permission, resource, corruption */                                                           \
  X(PERMISSION_DENIED, "permission_denied", "permission", "")                                      \
  X(READ_ONLY_DATABASE, "read_only_database", "permission", "")                                    \
  X(DISK_FULL, "disk_full", "resource", "")                                                        \
  X(OUT_OF_MEMORY, "out_of_memory", "resource", "")                                                \
  X(TOO_MANY_PARAMS, "too_many_params", "resource", "")                                            \
  X(TOO_COMPLEX, "too_complex", "resource", "")                                                    \
  X(QUERY_TOO_LARGE, "query_too_large", "resource", "")                                            \
  X(RESULT_TOO_LARGE, "result_too_large", "resource", "")                                          \
  X(SERVER_LIMIT, "server_limit", "resource", "")                                                  \
  X(IO_ERROR, "io", "resource", "")                                                                \
  X(CORRUPT, "corrupt", "corruption", "")                                                          \
  X(NOT_A_DATABASE, "not_a_database", "corruption", "")                                            \
  /* kinds that are a family of their own */                                                       \
  X(VALIDATION, "validation", "", "")                                                              \
  X(NOT_FOUND, "not_found", "", "")                                                                \
  X(MULTIPLE, "multiple", "", "")                                                                  \
  X(STALE, "stale", "", "")                                                                        \
  X(PROTECTED, "protected", "", "")                                                                \
  X(INTERNAL, "internal", "", "")

/* What a core function answers: MP_OK, or the kind of the error. */
typedef enum mp_status {
  MP_OK = 0,
#define X(id, name, family, parent) MP_E_##id,
  MP_ERROR_KINDS(X)
#undef X
  MP_STATUS_N
} mp_status;

/* For MP_OK and anything out of range: "ok" and "internal". */
const char *mp_status_name(mp_status status);
const char *mp_status_family(mp_status status);
const char *mp_status_parent(mp_status status);

/* What may be run again, and how much of it (api.md section 8). */
typedef enum mp_retryable {
  MP_RETRY_NO,
  MP_RETRY_TRANSACTION, /* the whole outermost block */
  MP_RETRY_CONNECT,     /* acquiring a connection again may work; nothing ran */
  MP_RETRY_STATEMENT    /* the same statement, now */
} mp_retryable;

/* What happens to the connection that met the error. */
typedef enum mp_verdict {
  MP_KEEP,
  MP_DESTROY
} mp_verdict;

/* One error. Strings are NULL where the server told nothing; they live in the
** arena that was given to mp_error_set, or are literals. message never holds a
** password, a parameter or a row's data; detail may. */
typedef struct mp_error {
  mp_status kind;
  mp_retryable retryable;
  mp_verdict verdict;
  bool sent;        /* false: certainly not executed */
  int code;         /* the database's own number (SQLite: extended code), 0 if none */
  char sqlstate[6]; /* "" if none */
  int position;     /* of a syntax error, in bytes from 1; 0 if unknown */
  size_t row;       /* of many rows, the one that failed, from 1; 0 if unknown */
  const char *message;
  const char *detail;
  const char *hint;
  const char *constraint;
  const char *table;
  const char *columns; /* column names, separated by "," */
} mp_error;

#define MP_ERROR_NONE ((mp_error){.kind = MP_OK})

/* Fill *err (kind and a formatted message, the rest cleared) and give kind
** back, so that `return mp_error_set(...)` reads well. Falls back to a literal
** message when the arena is out of memory. */
mp_status mp_error_set(mp_error *err, mp_arena *arena, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Say what may be done about it: hint, of our own making, is kept and ends the message in brackets. NULL is fine. */
void mp_error_advise(mp_error *err, mp_arena *arena, const char *hint);

/* A deep copy whose strings live in arena. */
void mp_error_copy(mp_error *to, mp_arena *arena, const mp_error *from);

#endif
