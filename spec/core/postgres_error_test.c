/* postgres_error_test.c - what PostgreSQL's errors are called, what may be run again, what becomes of the connection.
** States and texts are checked without a server. What a live one says, with positions and names, is skipped unless
** MOONPOOL_TEST_POSTGRES names one (scripts/databases env). */
#include "postgres_server.h"

#include "backend/postgres_error.h"

static const struct {
  const char *state, *kind;
  mp_retryable retryable;
  mp_verdict verdict;
} meanings[] = {
    {"08006", "connection_lost", MP_RETRY_NO, MP_DESTROY},
    {"08007", "commit_unknown", MP_RETRY_NO, MP_DESTROY},
    {"08P01", "protocol", MP_RETRY_NO, MP_DESTROY},
    {"21000", "cardinality", MP_RETRY_NO, MP_KEEP},
    {"22001", "value_too_long", MP_RETRY_NO, MP_KEEP},
    {"22003", "out_of_range", MP_RETRY_NO, MP_KEEP},
    {"22008", "invalid_datetime", MP_RETRY_NO, MP_KEEP},
    {"22012", "division_by_zero", MP_RETRY_NO, MP_KEEP},
    {"22021", "encoding", MP_RETRY_NO, MP_KEEP},
    {"22032", "json", MP_RETRY_NO, MP_KEEP},
    {"22P02", "invalid_text", MP_RETRY_NO, MP_KEEP},
    {"22ZZZ", "other_data", MP_RETRY_NO, MP_KEEP},
    {"23502", "not_null", MP_RETRY_NO, MP_KEEP},
    {"23503", "foreign_key", MP_RETRY_NO, MP_KEEP},
    {"23505", "unique", MP_RETRY_NO, MP_KEEP},
    {"23514", "check", MP_RETRY_NO, MP_KEEP},
    {"23P01", "exclusion", MP_RETRY_NO, MP_KEEP},
    {"25006", "read_only", MP_RETRY_NO, MP_KEEP},
    {"25P02", "in_failed_transaction", MP_RETRY_NO, MP_KEEP},
    {"25P03", "connection_lost", MP_RETRY_TRANSACTION, MP_DESTROY},
    {"25P04", "timeout", MP_RETRY_NO, MP_DESTROY},
    {"26000", "plan_changed", MP_RETRY_STATEMENT, MP_KEEP},
    {"28000", "auth_failed", MP_RETRY_NO, MP_DESTROY},
    {"3B001", "savepoint", MP_RETRY_NO, MP_KEEP},
    {"3D000", "unknown_database", MP_RETRY_NO, MP_DESTROY},
    {"40001", "serialization", MP_RETRY_TRANSACTION, MP_KEEP},
    {"40P01", "deadlock", MP_RETRY_TRANSACTION, MP_KEEP},
    {"40003", "commit_unknown", MP_RETRY_NO, MP_DESTROY},
    {"42501", "permission_denied", MP_RETRY_NO, MP_KEEP},
    {"42601", "syntax", MP_RETRY_NO, MP_KEEP},
    {"42P01", "undefined_table", MP_RETRY_NO, MP_KEEP},
    {"42P05", "plan_changed", MP_RETRY_STATEMENT, MP_KEEP},
    {"42ZZZ", "other_programming", MP_RETRY_NO, MP_KEEP},
    {"53100", "disk_full", MP_RETRY_NO, MP_KEEP},
    {"53300", "server_limit", MP_RETRY_CONNECT, MP_DESTROY},
    {"54001", "too_complex", MP_RETRY_NO, MP_KEEP},
    {"55P03", "lock_timeout", MP_RETRY_TRANSACTION, MP_KEEP},
    {"57014", "cancelled", MP_RETRY_NO, MP_KEEP},
    {"57P01", "connection_lost", MP_RETRY_TRANSACTION, MP_DESTROY},
    {"57P03", "connect_failed", MP_RETRY_CONNECT, MP_DESTROY},
    {"57P05", "connection_lost", MP_RETRY_CONNECT, MP_DESTROY},
    {"58030", "io", MP_RETRY_NO, MP_KEEP},
    {"P0001", "trigger", MP_RETRY_NO, MP_KEEP},
    {"XX001", "corrupt", MP_RETRY_NO, MP_KEEP},
    {"XX000", "internal", MP_RETRY_NO, MP_KEEP},
    {"ZZ999", "internal", MP_RETRY_NO, MP_KEEP},
};

static void states_have_their_meaning(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
    mp_pgmeaning is = mp_pgerror_meaning(meanings[i].state);
    if (strcmp(mp_status_name(is.kind), meanings[i].kind) != 0 ||
        is.retryable != meanings[i].retryable || is.verdict != meanings[i].verdict)
      fail_msg("%s: %s, retryable %d, verdict %d", meanings[i].state, mp_status_name(is.kind),
               is.retryable, is.verdict);
  }
}

static const struct {
  const char *text;
  bool was_up;
  const char *kind, *state, *message, *hint;
} texts[] = {
    {"connection to server at \"h\" (1.2.3.4), port 5 failed: FATAL:  28P01: no \"SSL\" for you\n"
     "LOCATION:  auth_failed, auth.c:338\n",
     false, "auth_failed", "28P01",
     "connection to server at \"h\" (1.2.3.4), port 5 failed: no \"SSL\" for you", NULL},
    /* a translated one: the state decides */
    {"connection to server at \"h\", port 5 failed: FATAL:  3D000: Datenbank \"x\" existiert "
     "nicht\n",
     false, "unknown_database", "3D000",
     "connection to server at \"h\", port 5 failed: Datenbank \"x\" existiert nicht", NULL},
    /* the first attempt, with TLS, says more than that the second was not wanted */
    {"connection to server at \"h\", port 5 failed: FATAL:  28P01: the password is wrong\n"
     "connection to server at \"h\", port 5 failed: FATAL:  28000: no pg_hba.conf entry, no "
     "encryption\n",
     false, "auth_failed", "28P01",
     "connection to server at \"h\", port 5 failed: the password is wrong", NULL},
    {"connection to server at \"h\", port 5 failed: FATAL:  28000: no pg_hba.conf entry for host "
     "\"h\", no encryption\n",
     false, "auth_failed", "28000", NULL, "tls = { mode = \"require\" }"},
    {"connection to server at \"h\", port 5 failed: Connection refused\n"
     "\tIs the server running on that host and accepting TCP/IP connections?\n",
     false, "connect_failed", "",
     "connection to server at \"h\", port 5 failed: Connection refused", "Is the server running"},
    {"connection to server at \"h\", port 5 failed: SSL SYSCALL error: EOF detected\n", false,
     "connect_failed", "", NULL, NULL},
    {"FATAL:  57P01: terminating connection due to administrator command\nserver closed the "
     "connection unexpectedly\n",
     true, "connection_lost", "57P01", "terminating connection due to administrator command", NULL},
    {"server closed the connection unexpectedly\n\tThis probably means the server terminated "
     "abnormally\n",
     true, "connection_lost", "", "server closed the connection unexpectedly",
     "This probably means"},
    {"SSL error: unexpected eof while reading\n", true, "connection_lost", "", NULL, NULL},
    {"lost synchronization with server: got message type \"x\", length 9\n", true, "protocol", "",
     NULL, NULL},
    {"", true, "connection_lost", "", "the connection broke", NULL},
    {"", false, "connect_failed", "", "the connection could not be made", NULL},
};

static void what_a_failed_connection_says_is_understood(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_error err = MP_ERROR_NONE;
    mp_pgerror_message(texts[i].text, texts[i].was_up, arena, &err);
    if (strcmp(mp_status_name(err.kind), texts[i].kind) != 0)
      fail_msg("%s: %s", texts[i].text, mp_status_name(err.kind));
    assert_string_equal(err.sqlstate, texts[i].state);
    if (texts[i].message != NULL)
      assert_string_equal(err.message, texts[i].message);
    if (texts[i].hint != NULL)
      assert_non_null(strstr(err.hint != NULL ? err.hint : "", texts[i].hint));
    assert_int_equal(err.verdict, MP_DESTROY);
    assert_int_equal(err.sent, texts[i].was_up);
    mp_arena_free(arena);
  }
}

/* ---- a live server ---- */

static const char schema[] =
    "CREATE TEMP TABLE t (id int PRIMARY KEY, a text UNIQUE, b int NOT NULL DEFAULT 0, c int, "
    "CONSTRAINT positive CHECK (c > 0));"
    "CREATE TEMP TABLE child (t_id int CONSTRAINT child_t REFERENCES t);"
    "INSERT INTO t (id, a, c) VALUES (1, 'secret', 1)";

static const struct {
  const char *sql, *kind, *message; /* NULL: any */
  const char *constraint, *table, *columns;
  int position;
} live[] = {
    {"INSERT INTO t (id, a) VALUES (2, 'secret')", "unique",
     "duplicate key value violates unique constraint \"t_a_key\"", "t_a_key", "t", NULL, 0},
    {"INSERT INTO t (id, b) VALUES (2, NULL)", "not_null", NULL, NULL, "t", "b", 0},
    {"INSERT INTO t (id, c) VALUES (2, -1)", "check", NULL, "positive", "t", NULL, 0},
    {"INSERT INTO child VALUES (7)", "foreign_key", NULL, "child_t", "child", NULL, 0},
    {"SELECT * FROM nowhere", "undefined_table", "relation \"nowhere\" does not exist", NULL, NULL,
     NULL, 15},
    {"SELECT '\xc3\xa4\xe2\x82\xac', nothing", "undefined_column", NULL, NULL, NULL, NULL, 17},
    {"SELEC 1", "syntax", NULL, NULL, NULL, NULL, 1},
    {"SELECT nosuch(1)", "undefined_function", NULL, NULL, NULL, NULL, 8},
    {"SELECT 'secret'::text::int", "invalid_text", "invalid input syntax for type integer: \"...\"",
     NULL, NULL, NULL, 0},
    {"SELECT '99999'::text::int2", "out_of_range",
     "value \"...\" is out of range for type smallint", NULL, NULL, NULL, 0},
    {"SELECT 'secret'::text::date", "invalid_datetime",
     "invalid input syntax for type date: \"...\"", NULL, NULL, NULL, 0},
    {"SELECT '{secret'::text::json", "invalid_text", "invalid input syntax for type json", NULL,
     NULL, NULL, 0},
    {"SELECT 'secret'::text::uuid", "invalid_text", "invalid input syntax for type uuid: \"...\"",
     NULL, NULL, NULL, 0},
    {"SELECT 1/0", "division_by_zero", NULL, NULL, NULL, NULL, 0},
    {"SELECT (SELECT 1 UNION SELECT 2)", "cardinality", NULL, NULL, NULL, NULL, 0},
    {"ROLLBACK TO SAVEPOINT x", "no_transaction", NULL, NULL, NULL, NULL, 0},
    {"DO $$ BEGIN RAISE 'not today'; END $$", "trigger", "not today", NULL, NULL, NULL, 0},
};

static void same(const char *sql, const char *is, const char *wanted)
{
  if (wanted != NULL && (is == NULL || strcmp(is, wanted) != 0))
    fail_msg("%s: %s", sql, is != NULL ? is : "nothing");
}

static void what_a_live_server_says_is_understood(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES");
  (void)state;
  assert_true(caller_dial(&c, password));
  PQclear(PQexec(c.conn, schema));
  for (size_t i = 0; i < sizeof live / sizeof *live; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_error err = MP_ERROR_NONE;
    PGresult *result = PQexec(c.conn, live[i].sql);
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    mp_pgerror_result(result, live[i].sql, arena, &err);
    PQclear(result); /* nothing of it is needed any more */
    same(live[i].sql, mp_status_name(err.kind), live[i].kind);
    same(live[i].sql, err.message, live[i].message);
    same(live[i].sql, err.constraint, live[i].constraint);
    same(live[i].sql, err.table, live[i].table);
    same(live[i].sql, err.columns, live[i].columns);
    assert_int_equal(err.position, live[i].position);
    assert_null(strstr(err.message, "secret"));
    assert_true(err.sent);
    assert_int_equal(strlen(err.sqlstate), 5);
    mp_arena_free(arena);
  }
  caller_end(&c);
}

static void a_plan_that_the_schema_has_changed_may_be_made_again(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES");
  mp_error err = MP_ERROR_NONE;
  PGresult *result;
  (void)state;
  assert_true(caller_dial(&c, password));
  PQclear(PQexec(c.conn, "CREATE TEMP TABLE t (a int)"));
  PQclear(PQprepare(c.conn, "s", "SELECT * FROM t", 0, NULL));
  PQclear(PQexec(c.conn, "ALTER TABLE t ADD b int"));
  result = PQexecPrepared(c.conn, "s", 0, NULL, NULL, NULL, 0);
  mp_pgerror_result(result, "SELECT * FROM t", c.config.arena, &err);
  PQclear(result);
  assert_string_equal(mp_status_name(err.kind), "plan_changed");
  assert_int_equal(err.retryable, MP_RETRY_STATEMENT);
  caller_end(&c);
}

static void a_session_that_was_ended_is_lost_for_the_reason_that_it_was_told(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES");
  mp_error err = MP_ERROR_NONE;
  PGresult *result;
  (void)state;
  assert_true(caller_dial(&c, password));
  assert_int_equal(PQsetnonblocking(c.conn, 0), 0);
  assert_int_equal(PQsendQuery(c.conn, "SELECT pg_terminate_backend(pg_backend_pid())"), 1);
  result = PQgetResult(c.conn);
  mp_pgerror_result(result, "", c.config.arena, &err);
  PQclear(result);
  assert_string_equal(mp_status_name(err.kind), "connection_lost");
  assert_string_equal(err.sqlstate, "57P01");
  assert_int_equal(err.verdict, MP_DESTROY);
  caller_end(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_have_their_meaning),
      cmocka_unit_test(what_a_failed_connection_says_is_understood),
      cmocka_unit_test(what_a_live_server_says_is_understood),
      cmocka_unit_test(a_plan_that_the_schema_has_changed_may_be_made_again),
      cmocka_unit_test(a_session_that_was_ended_is_lost_for_the_reason_that_it_was_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
