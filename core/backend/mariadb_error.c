/* mariadb_error.c - what an error of the server or of its library means.
** One table: the number to the kind, to what may be run again, to what happens to the connection. Numbers that only one
** flavour has, or that mean something else there, are marked. SQLSTATE decides only about numbers that nobody listed.
** What a message quotes is cut out of it by mariadb_message.c. */
#include "mariadb_error.h"

#include "mariadb_message.h"

#include <stdlib.h>
#include <string.h>

typedef enum whose {
  BOTH,
  MARIADB,
  MYSQL
} whose;

typedef struct meaning {
  mp_status kind;
  mp_retryable retryable;
  mp_verdict verdict;
} meaning;

typedef struct row {
  unsigned first, last;
  whose whose;
  meaning meaning;
} row;

#define NO MP_RETRY_NO
#define TX MP_RETRY_TRANSACTION
#define CONNECT MP_RETRY_CONNECT
#define STATEMENT MP_RETRY_STATEMENT
#define ROWS(first, last, whose, kind, retry, verdict)                                             \
  {                                                                                                \
    first, last, whose,                                                                            \
    {                                                                                              \
      MP_E_##kind, retry, verdict                                                                  \
    }                                                                                              \
  }
#define ROW(number, kind, retry, verdict) ROWS(number, number, BOTH, kind, retry, verdict)

/* Sorted by number. */
static const row rows[] = {
    ROW(1007, DUPLICATE_OBJECT, NO, MP_KEEP),
    ROWS(1016, 1017, BOTH, IO_ERROR, NO, MP_KEEP),
    ROW(1020, SERIALIZATION, TX, MP_KEEP), /* the row has changed since the snapshot */
    ROW(1021, DISK_FULL, NO, MP_KEEP),
    ROW(1022, UNIQUE, NO, MP_KEEP),
    ROW(1026, IO_ERROR, NO, MP_KEEP),
    ROW(1030, IO_ERROR, NO, MP_KEEP), /* or disk_full */
    ROWS(1034, 1035, BOTH, CORRUPT, NO, MP_KEEP),
    ROW(1036, READ_ONLY_DATABASE, NO, MP_KEEP), /* the table is */
    ROWS(1037, 1038, BOTH, OUT_OF_MEMORY, NO, MP_DESTROY),
    ROW(1040, SERVER_LIMIT, CONNECT, MP_DESTROY),
    ROW(1041, OUT_OF_MEMORY, NO, MP_DESTROY),
    ROW(1044, PERMISSION_DENIED, NO, MP_KEEP),
    ROW(1045, AUTH_FAILED, NO, MP_DESTROY),
    ROW(1046, UNDEFINED_OBJECT, NO, MP_KEEP), /* no database is selected */
    ROW(1047, PROTOCOL, NO, MP_DESTROY),      /* or Galera, not ready */
    ROW(1048, NOT_NULL, NO, MP_KEEP),
    ROW(1049, UNKNOWN_DATABASE, NO, MP_KEEP),
    ROW(1050, DUPLICATE_TABLE, NO, MP_KEEP),
    ROW(1051, UNDEFINED_TABLE, NO, MP_KEEP),
    ROW(1052, AMBIGUOUS_COLUMN, NO, MP_KEEP),
    ROW(1053, CONNECTION_LOST, TX, MP_DESTROY), /* the server shuts down */
    ROW(1054, UNDEFINED_COLUMN, NO, MP_KEEP),
    ROWS(1055, 1056, BOTH, PROGRAMMING, NO, MP_KEEP), /* grouping */
    ROW(1059, SERVER_LIMIT, NO, MP_KEEP),             /* a name of more than 64 characters */
    ROW(1060, DUPLICATE_COLUMN, NO, MP_KEEP),
    ROW(1061, DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW(1062, UNIQUE, NO, MP_KEEP),
    ROWS(1064, 1065, BOTH, SYNTAX, NO, MP_KEEP),
    ROWS(1069, 1071, BOTH, SERVER_LIMIT, NO, MP_KEEP), /* keys: too many, too long */
    ROW(1077, CONNECTION_LOST, TX, MP_DESTROY),
    ROW(1079, CONNECTION_LOST, TX, MP_DESTROY),
    ROW(1091, UNDEFINED_OBJECT, NO, MP_KEEP),
    ROW(1109, UNDEFINED_TABLE, NO, MP_KEEP),
    ROW(1111, PROGRAMMING, NO, MP_KEEP), /* an aggregate where none may be */
    ROW(1114, DISK_FULL, NO, MP_KEEP),
    ROWS(1116, 1118, BOTH, SERVER_LIMIT, NO,
         MP_KEEP), /* too many tables, columns, bytes of a row */
    ROW(1128, UNDEFINED_FUNCTION, NO, MP_KEEP),
    ROW(1129, CONNECT_FAILED, NO, MP_DESTROY), /* our host is blocked after too many failures */
    ROW(1130, AUTH_FAILED, NO, MP_DESTROY),    /* our host may not connect */
    ROW(1136, CARDINALITY, NO, MP_KEEP),
    ROW(1139, INVALID_TEXT, NO, MP_KEEP), /* a regular expression */
    ROW(1140, PROGRAMMING, NO, MP_KEEP),
    ROWS(1142, 1143, BOTH, PERMISSION_DENIED, NO, MP_KEEP),
    ROW(1146, UNDEFINED_TABLE, NO, MP_KEEP),
    ROW(1148, PROGRAMMING, NO, MP_KEEP),
    ROW(1149, SYNTAX, NO, MP_KEEP),
    ROW(1152, CONNECTION_LOST, NO, MP_DESTROY),
    ROW(1153, QUERY_TOO_LARGE, NO, MP_DESTROY),
    ROWS(1158, 1161, BOTH, CONNECTION_LOST, NO, MP_DESTROY),
    ROW(1169, UNIQUE, NO, MP_KEEP),
    ROW(1172, CARDINALITY, NO, MP_KEEP),
    ROW(1176, UNDEFINED_OBJECT, NO, MP_KEEP),
    ROW(1180, COMMIT_UNKNOWN, NO, MP_DESTROY),
    ROW(1181, TRANSACTION, NO, MP_DESTROY), /* an error during ROLLBACK */
    ROW(1184, CONNECTION_LOST, NO, MP_DESTROY),
    ROWS(1194, 1195, BOTH, CORRUPT, NO, MP_KEEP),
    ROW(1203, SERVER_LIMIT, CONNECT, MP_DESTROY), /* connections of this user */
    ROWS(1205, 1206, BOTH, LOCK_TIMEOUT, TX, MP_KEEP),
    ROW(1210, INTERNAL, NO, MP_DESTROY),
    ROW(1213, DEADLOCK, TX, MP_KEEP),
    ROWS(1216, 1217, BOTH, FOREIGN_KEY, NO, MP_KEEP),
    ROW(1222, CARDINALITY, NO, MP_KEEP),
    ROW(1226, SERVER_LIMIT, CONNECT, MP_DESTROY),
    ROW(1227, PERMISSION_DENIED, NO, MP_KEEP),
    ROW(1235, PROGRAMMING, NO, MP_KEEP), /* not supported by the server */
    ROWS(1241, 1242, BOTH, CARDINALITY, NO, MP_KEEP),
    ROW(1243, INTERNAL, NO, MP_DESTROY), /* the prepared statement is not there */
    ROW(1251, AUTH_FAILED, NO, MP_DESTROY),
    ROW(1253, TYPE_MISMATCH, NO, MP_KEEP), /* collations */
    ROW(1263, NOT_NULL, NO, MP_KEEP),
    ROW(1264, OUT_OF_RANGE, NO, MP_KEEP),
    ROW(1265, VALUE_TOO_LONG, NO, MP_KEEP),
    ROW(1267, TYPE_MISMATCH, NO, MP_KEEP),
    ROW(1271, TYPE_MISMATCH, NO, MP_KEEP),
    ROW(1290, READ_ONLY_DATABASE, NO, MP_KEEP), /* or another of the server's options */
    ROW(1292, INVALID_DATETIME, NO, MP_KEEP),   /* or invalid_text */
    ROW(1295, PROGRAMMING, NO, MP_KEEP),        /* cannot be prepared */
    ROW(1300, ENCODING, NO, MP_KEEP),
    ROW(1304, DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW(1305, UNDEFINED_FUNCTION, NO, MP_KEEP), /* or savepoint */
    ROW(1317, CANCELLED, NO, MP_KEEP),
    ROW(1364, NOT_NULL, NO, MP_KEEP), /* no default either */
    ROW(1365, DIVISION_BY_ZERO, NO, MP_KEEP),
    ROW(1366, INVALID_TEXT, NO, MP_KEEP), /* or encoding */
    ROW(1367, OUT_OF_RANGE, NO, MP_KEEP),
    ROW(1369, CHECK, NO, MP_KEEP), /* WITH CHECK OPTION of a view */
    ROW(1370, PERMISSION_DENIED, NO, MP_KEEP),
    ROW(1390, TOO_MANY_PARAMS, NO, MP_KEEP),
    ROWS(1399, 1401, BOTH, TRANSACTION, NO, MP_KEEP),
    ROW(1402, TRANSACTION, NO, MP_DESTROY),
    ROW(1406, VALUE_TOO_LONG, NO, MP_KEEP),
    ROW(1411, INVALID_DATETIME, NO, MP_KEEP),
    ROW(1412, SERIALIZATION, TX, MP_KEEP), /* the table has changed since the snapshot */
    ROW(1419, PERMISSION_DENIED, NO, MP_KEEP),
    ROW(1426, INVALID_DATETIME, NO, MP_KEEP),
    ROW(1436, SERVER_LIMIT, NO, MP_KEEP),
    ROW(1441, INVALID_DATETIME, NO, MP_KEEP),
    ROWS(1451, 1452, BOTH, FOREIGN_KEY, NO, MP_KEEP),
    ROW(1461, SERVER_LIMIT, STATEMENT, MP_KEEP), /* prepared statements */
    ROW(1568, TRANSACTION, NO, MP_KEEP),
    ROW(1586, UNIQUE, NO, MP_KEEP),
    ROW(1613, TIMEOUT, TX, MP_KEEP),
    ROW(1614, DEADLOCK, TX, MP_KEEP),
    ROW(1615, PLAN_CHANGED, STATEMENT, MP_KEEP),
    ROW(1630, UNDEFINED_FUNCTION, NO, MP_KEEP),
    ROW(1644, TRIGGER, NO, MP_KEEP), /* SIGNAL: the database's own code refused */
    ROW(1690, OUT_OF_RANGE, NO, MP_KEEP),
    ROW(1698, AUTH_FAILED, NO, MP_DESTROY),
    ROW(1701, FOREIGN_KEY, NO, MP_KEEP), /* TRUNCATE */
    ROW(1712, CORRUPT, NO, MP_KEEP),
    ROWS(1761, 1762, BOTH, FOREIGN_KEY, NO, MP_KEEP),
    ROW(1792, READ_ONLY, NO, MP_KEEP),
    ROW(1820, AUTH_FAILED, NO, MP_DESTROY), /* the password has expired, as 1862 */
    ROW(1826, DUPLICATE_OBJECT, NO, MP_KEEP),
    ROW(1836, READ_ONLY_DATABASE, NO, MP_KEEP),
    ROW(1862, AUTH_FAILED, NO, MP_DESTROY), /* the password has expired */
    ROW(1877, CORRUPT, NO, MP_KEEP),
    ROW(1927, CONNECTION_LOST, NO, MP_DESTROY), /* killed */
    ROW(1932, CORRUPT, NO, MP_KEEP),
    ROW(1969, TIMEOUT, NO, MP_KEEP), /* max_statement_time */
    ROWS(2002, 2005, BOTH, CONNECT_FAILED, CONNECT, MP_DESTROY),
    ROW(2006, CONNECTION_LOST, NO, MP_DESTROY),
    ROW(2008, OUT_OF_MEMORY, NO, MP_DESTROY),
    ROW(2012, CONNECT_FAILED, CONNECT, MP_DESTROY),
    ROW(2013, CONNECTION_LOST, NO, MP_DESTROY),
    ROW(2014, PROTOCOL, NO, MP_DESTROY),
    ROW(2020, QUERY_TOO_LARGE, NO, MP_DESTROY),
    ROW(2026, TLS, NO, MP_DESTROY),
    ROW(2027, PROTOCOL, NO, MP_DESTROY),
    ROWS(2030, 2031, BOTH, INTERNAL, NO, MP_DESTROY),
    ROWS(2034, 2036, BOTH, INTERNAL, NO, MP_DESTROY),
    ROW(2049, AUTH_FAILED, NO, MP_DESTROY),
    ROWS(2051, 2052, BOTH, INTERNAL, NO, MP_DESTROY),
    ROW(2055, CONNECTION_LOST, NO, MP_DESTROY),
    ROW(2056, INTERNAL, NO, MP_DESTROY),
    ROW(2057, PLAN_CHANGED, STATEMENT, MP_KEEP), /* other columns than at first */
    ROW(2059, AUTH_FAILED, NO, MP_DESTROY),      /* a plugin that the library has not */
    ROW(2061, AUTH_FAILED, NO, MP_DESTROY),
    ROWS(3024, 3024, MYSQL, TIMEOUT, NO, MP_KEEP), /* max_execution_time */
    ROWS(3140, 3158, MYSQL, JSON, NO, MP_KEEP),
    ROWS(3159, 3159, MYSQL, TLS, NO, MP_DESTROY),       /* the server insists on TLS */
    ROWS(3572, 3572, MYSQL, LOCK_TIMEOUT, TX, MP_KEEP), /* NOWAIT */
    ROWS(3675, 3675, MYSQL, DISK_FULL, NO, MP_KEEP),
    ROWS(3685, 3699, MYSQL, INVALID_TEXT, NO, MP_KEEP), /* regular expressions */
    ROWS(3730, 3730, MYSQL, FOREIGN_KEY, NO, MP_KEEP),  /* DROP TABLE */
    ROWS(3819, 3819, MYSQL, CHECK, NO, MP_KEEP),
    ROWS(3948, 3948, MYSQL, PROGRAMMING, NO, MP_KEEP), /* LOCAL INFILE is off */
    ROWS(4025, 4025, MARIADB, CHECK, NO, MP_KEEP),
    ROWS(4031, 4031, MYSQL, CONNECTION_LOST, NO, MP_DESTROY), /* idle for too long */
    ROWS(4035, 4043, MARIADB, JSON, NO, MP_KEEP),
    ROWS(4166, 4166, MARIADB, PROGRAMMING, NO, MP_KEEP), /* LOCAL INFILE is off */
    ROWS(5002, 5003, BOTH, PROTOCOL, NO, MP_DESTROY),
    ROW(5007, INTERNAL, NO, MP_DESTROY),
    ROW(5009, INTERNAL, NO, MP_DESTROY),
    ROW(5010, AUTH_FAILED, NO, MP_DESTROY),
    ROW(5012, AUTH_FAILED, NO, MP_DESTROY),
    ROWS(5013, 5015, BOTH, CONNECTION_LOST, NO, MP_DESTROY),
};

/* By class, when nobody knows the number. What a server refuses without a class of its own (HY000) is mostly a statement
** that it does not like; what the library says then is our fault. */
static meaning by_class(unsigned number, const char *state)
{
  static const struct {
    char class[3];
    meaning meaning;
  } classes[] = {
      {"08", {MP_E_CONNECTION_LOST, NO, MP_DESTROY}},
      {"21", {MP_E_CARDINALITY, NO, MP_KEEP}},
      {"22", {MP_E_DATA, NO, MP_KEEP}},
      {"23", {MP_E_INTEGRITY, NO, MP_KEEP}},
      {"25", {MP_E_TRANSACTION, NO, MP_KEEP}},
      {"28", {MP_E_AUTH_FAILED, NO, MP_DESTROY}},
      {"40", {MP_E_SERIALIZATION, TX, MP_KEEP}},
      {"45", {MP_E_TRIGGER, NO, MP_KEEP}},
  };
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (strncmp(state, classes[i].class, 2) == 0)
      return classes[i].meaning;
  if ((number >= 2000 && number < 3000) || (number >= 5000 && number < 6000))
    return (meaning){MP_E_INTERNAL, NO, MP_DESTROY};
  return (meaning){MP_E_PROGRAMMING, NO, MP_KEEP};
}

static meaning by_number(mp_myflavour flavour, unsigned number, const char *state)
{
  whose not_ours = flavour == MP_MY_MYSQL ? MARIADB : MYSQL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (number >= rows[i].first && number <= rows[i].last && rows[i].whose != not_ours)
      return rows[i].meaning;
  return by_class(number, state);
}

/* Numbers that stand for several things: the words tell which. */
static void look_closer(unsigned number, const char *text, meaning *m)
{
  switch (number) {
  case 1030:
    if (strstr(text, "error 28") != NULL)
      m->kind = MP_E_DISK_FULL;
    break;
  case 1047:
  case 1105:
    if (strstr(text, "WSREP") != NULL)
      *m = (meaning){MP_E_CONNECT_FAILED, CONNECT, MP_DESTROY};
    break;
  case 1290:
    if (strstr(text, "read-only") == NULL && strstr(text, "read_only") == NULL)
      m->kind = MP_E_PERMISSION_DENIED;
    break;
  case 1292:
    if (!mp_mymessage_is_temporal(text))
      m->kind = MP_E_INVALID_TEXT;
    break;
  case 1305:
    if (strncmp(text, "SAVEPOINT", 9) == 0)
      m->kind = MP_E_SAVEPOINT;
    break;
  case 1366:
    if (strstr(text, "string value") != NULL)
      m->kind = MP_E_ENCODING;
    break;
  case 1690: /* our own SQL lets fail so what the server would pass in silence (dialect/mariadb.lua) */
    if (strstr(text, "'division by zero'") != NULL)
      m->kind = MP_E_DIVISION_BY_ZERO;
    else if (strstr(text, "'another unique key'") != NULL)
      m->kind = MP_E_UNIQUE;
    else if (strstr(text, "'not a number'") != NULL)
      m->kind = MP_E_INVALID_TEXT;
    break;
  default:
    break;
  }
}

static const char *hint_of(unsigned number)
{
  static const struct {
    unsigned number;
    const char *hint;
  } hints[] = {
      {1020, "run the whole transaction again: option retry"},
      {1040, "make the pools smaller (pool.max), or raise max_connections"},
      {1046, "name a database: option database"},
      {1129, "the server blocks this host after too many failures: FLUSH HOSTS there"},
      {1153, "send less at once, or raise max_allowed_packet on the server"},
      {1203, "make the pools smaller (pool.max), or raise max_user_connections"},
      {1461, "lower statement_cache, or raise max_prepared_stmt_count on the server"},
      {1698, "this account logs in over the unix socket, as the user of the same name"},
      {1820, "the password has expired: set a new one"},
      {1862, "the password has expired: set a new one"},
      {2059, "the client library has no plugin for this account's way to log in"},
      {3159, "the server insists on TLS: tls = { mode = \"require\" } or one of the verify modes"},
  };
  for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
    if (hints[i].number == number)
      return hints[i].hint;
  return NULL;
}

void mp_myerror(mp_myflavour flavour, unsigned number, const char *sqlstate, const char *message,
                bool connecting, mp_arena *arena, mp_error *out)
{
  const char *state = sqlstate != NULL ? sqlstate : "";
  const char *text = message != NULL && *message != '\0' ? message : NULL;
  meaning m = by_number(flavour, number, state);
  look_closer(number, text != NULL ? text : "", &m);
  if (connecting) {
    m.verdict = MP_DESTROY;
    if (m.kind == MP_E_CONNECTION_LOST)
      m = (meaning){MP_E_CONNECT_FAILED, CONNECT, MP_DESTROY};
  }
  if (text != NULL)
    mp_error_set(out, arena, m.kind, "%s", text);
  else
    mp_error_set(out, arena, m.kind, "error %u, of which the server says nothing more", number);
  out->retryable = m.retryable;
  out->verdict = m.verdict;
  out->sent = !connecting;
  out->code = (int)number;
  memcpy(out->sqlstate, state, strnlen(state, sizeof out->sqlstate - 1));
  if (text != NULL)
    mp_mymessage_read(number, text, arena, out);
  mp_error_advise(out, arena, hint_of(number));
}
