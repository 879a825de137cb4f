/* sqlite_error_test.c - every error that a live database can be brought to raise, and what it is
** called. The codes that it cannot are checked against the table alone. */
#include "sqlite_fixture.h"

#include "backend/sqlite.h"

static const char *const schema[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b NOT NULL DEFAULT 0, c, d, "
    "CONSTRAINT positive CHECK (c > 0), CHECK (d <> 5), UNIQUE (c, d))",
    "CREATE UNIQUE INDEX ux ON t (lower(a))",
    "CREATE TABLE child (t_id REFERENCES t)",
    "CREATE TABLE strict (n INTEGER) STRICT",
    "CREATE VIEW v AS SELECT 1 AS x",
    "CREATE TRIGGER fail BEFORE INSERT ON t WHEN new.b = 99 BEGIN SELECT RAISE(ABORT, 'not 99'); "
    "END",
    "CREATE TRIGGER undo BEFORE INSERT ON t WHEN new.b = 98 BEGIN SELECT RAISE(ROLLBACK, 'not "
    "98'); END",
    "INSERT INTO t (id, a, c, d) VALUES (1, 'x', 1, 1)",
};

typedef struct row {
  const char *sql;
  const char *kind;
  const char *message; /* how it begins, or NULL */
  const char *table, *columns, *constraint;
  int position; /* 0: wherever */
} row;

static const row rows[] = {
    {"INSERT INTO t (a) VALUES ('x')", "unique", "UNIQUE constraint failed", NULL, NULL, NULL, 0},
    {"INSERT INTO t (id) VALUES (1)", "unique", "UNIQUE constraint failed: t.id", "t", "id", NULL,
     0},
    {"INSERT INTO t (c, d) VALUES (1, 1)", "unique", NULL, "t", "c,d", NULL, 0},
    {"INSERT INTO t (a) VALUES ('X')", "unique", NULL, NULL, NULL, "ux", 0},
    {"INSERT INTO t (b) VALUES (NULL)", "not_null", NULL, "t", "b", NULL, 0},
    {"INSERT INTO t (c) VALUES (-1)", "check", NULL, NULL, NULL, "positive", 0},
    {"INSERT INTO t (d) VALUES (5)", "check", NULL, NULL, NULL, "d <> 5", 0},
    {"INSERT INTO child VALUES (7)", "foreign_key", NULL, NULL, NULL, NULL, 0},
    {"INSERT INTO t (b) VALUES (99)", "trigger", "not 99", NULL, NULL, NULL, 0},
    {"INSERT INTO t (b) VALUES (98)", "trigger", "not 98", NULL, NULL, NULL, 0},
    {"INSERT INTO strict VALUES ('x')", "type_mismatch", NULL, NULL, NULL, NULL, 0},
    {"INSERT INTO t (id) VALUES ('x')", "type_mismatch", NULL, NULL, NULL, NULL, 0},
    {"SELECT * FROM missing", "undefined_table", "no such table: missing", NULL, NULL, NULL, 0},
    {"SELECT nope FROM t", "undefined_column", "no such column: nope", NULL, NULL, NULL, 8},
    {"INSERT INTO t (nope) VALUES (1)", "undefined_column", NULL, NULL, NULL, NULL, 0},
    {"SELECT nope(1)", "undefined_function", NULL, NULL, NULL, NULL, 0},
    {"SELECT mp_fold()", "undefined_function", NULL, NULL, NULL, NULL, 0},
    {"SELECT id FROM t, t AS u", "ambiguous_column", NULL, NULL, NULL, NULL, 8},
    {"CREATE TABLE t (a)", "duplicate_table", NULL, NULL, NULL, NULL, 0},
    {"CREATE TABLE w (a, a)", "duplicate_column", NULL, NULL, NULL, NULL, 0},
    {"ALTER TABLE t ADD COLUMN a", "duplicate_column", NULL, NULL, NULL, NULL, 0},
    {"CREATE INDEX ux ON t (a)", "duplicate_object", NULL, NULL, NULL, NULL, 0},
    {"CREATE TRIGGER fail AFTER INSERT ON t BEGIN SELECT 1; END", "duplicate_object", NULL, NULL,
     NULL, NULL, 0},
    {"DROP INDEX nope", "undefined_object", NULL, NULL, NULL, NULL, 0},
    {"SELECT 'a' = 'b' COLLATE nope", "undefined_object", NULL, NULL, NULL, NULL, 0},
    {"SELEC 1", "syntax", "near \"SELEC\": syntax error", NULL, NULL, NULL, 1},
    {"SELECT 1 FROM", "syntax", "incomplete input", NULL, NULL, NULL, 0},
    {"SELECT 'abc", "syntax", NULL, NULL, NULL, NULL, 8},
    {"", "syntax", "the SQL text has no statement", NULL, NULL, NULL, 0},
    {" -- only a comment\n ; /* and another", "syntax", NULL, NULL, NULL, NULL, 0},
    {"SELECT 1; SELECT 2", "syntax", "the SQL text has more than one statement", NULL, NULL, NULL,
     11},
    {"SELECT ?", "bad_parameters", "the statement takes 1 parameter, 0 given", NULL, NULL, NULL, 0},
    {"SELECT ?, ?3", "bad_parameters", "the statement takes 3 parameters, 0 given", NULL, NULL,
     NULL, 0},
    {"SELECT ?999999", "too_many_params", NULL, NULL, NULL, NULL, 0},
    {"RELEASE nope", "savepoint", NULL, NULL, NULL, NULL, 0},
    {"COMMIT", "no_transaction", NULL, NULL, NULL, NULL, 0},
    {"ROLLBACK", "no_transaction", NULL, NULL, NULL, NULL, 0},
    {"SELECT abs(-9223372036854775808)", "out_of_range", "integer overflow", NULL, NULL, NULL, 0},
    {"SELECT sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL SELECT 1)", "out_of_range",
     NULL, NULL, NULL, NULL, 0},
    {"SELECT mp_div(1, 0)", "division_by_zero", "division by zero", NULL, NULL, NULL, 0},
    {"SELECT mp_decimal_add('1', 'x')", "invalid_text", "not a decimal", NULL, NULL, NULL, 0},
    {"SELECT mp_regexp('(', 'x')", "invalid_text", "invalid regular expression at offset 1", NULL,
     NULL, NULL, 0},
    {"SELECT json('{')", "json", "malformed JSON", NULL, NULL, NULL, 0},
    {"SELECT zeroblob(2000000000)", "value_too_long", NULL, NULL, NULL, NULL, 0},
    {"INSERT INTO v VALUES (1)", "other_programming", NULL, NULL, NULL, NULL, 0},
    {"ATTACH '' AS x", "server_limit", NULL, NULL, NULL, NULL, 0},
};

static void same_text(const row *at, const char *what, const char *got, const char *wanted)
{
  if (wanted == NULL ? got != NULL && what[0] != 'm' : got == NULL || strcmp(got, wanted) != 0)
    fail_msg("%s: %s is %s, not %s", at->sql, what, got ? got : "(none)",
             wanted ? wanted : "(none)");
}

static void each_error_has_its_kind_names_and_position(void **state)
{
  fixture *f = *state;
  for (size_t i = 0; i < sizeof schema / sizeof *schema; i++)
    exec(f, schema[i]);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const row *at = &rows[i];
    mp_request *req = run(f, at->sql);
    const mp_error *err = &req->error;
    if (strcmp(mp_status_name(err->kind), at->kind) != 0)
      fail_msg("%s: %s (%s), not %s", at->sql, mp_status_name(err->kind), err->message, at->kind);
    if (at->message != NULL && strncmp(err->message, at->message, strlen(at->message)) != 0)
      fail_msg("%s: \"%s\"", at->sql, err->message);
    if (at->table != NULL || at->columns != NULL || at->constraint != NULL) {
      same_text(at, "table", err->table, at->table);
      same_text(at, "columns", err->columns, at->columns);
      same_text(at, "constraint", err->constraint, at->constraint);
    }
    if (at->position != 0 && err->position != at->position)
      fail_msg("%s: position is %d, not %d", at->sql, err->position, at->position);
    assert_int_equal(err->verdict, MP_KEEP);
    assert_int_equal(err->retryable, MP_RETRY_NO);
    assert_null(req->result);
    mp_request_free(req);
    /* the session is as good as before */
    req = run(f, "SELECT 1");
    assert_int_equal(req->error.kind, MP_OK);
    mp_request_free(req);
  }
}

static void a_trailing_semicolon_and_comments_are_no_second_statement(void **state)
{
  fixture *f = *state;
  static const char *const sqls[] = {"SELECT 1;",
                                     "SELECT 1 ; -- done",
                                     "/* a */ SELECT 1 /* b */ ; ;",
                                     "SELECT 1; /* not closed",
                                     "SELECT 1\n;\n",
                                     "; SELECT 1"};
  for (size_t i = 0; i < sizeof sqls / sizeof *sqls; i++)
    exec(f, sqls[i]);
}

static void a_nul_in_the_text_is_refused(void **state)
{
  fixture *f = *state;
  mp_request *req = request_new(f, MP_OP_QUERY, "", NULL, 0, 1);
  assert_int_equal(mp_request_fill(req, "SELECT 1\0; DROP TABLE t", 23, NULL, 0, 1), MP_OK);
  submit(f, req);
  wait_for(f, req);
  assert_int_equal(req->error.kind, MP_E_SYNTAX);
  assert_int_equal(req->error.position, 9);
  mp_request_free(req);
}

static void an_endless_text_is_too_large(void **state)
{
  fixture *f = *state;
  size_t n = 1100000;
  char *sql = malloc(n + 1);
  memset(sql, ' ', n);
  memcpy(sql, "SELECT 1", 8);
  sql[n] = '\0';
  mp_request *req = run(f, sql);
  assert_int_equal(req->error.kind, MP_E_QUERY_TOO_LARGE);
  mp_request_free(req);
  free(sql);
}

static void deep_expressions_are_too_complex(void **state)
{
  fixture *f = *state;
  char *sql = malloc(20000);
  strcpy(sql, "SELECT 1");
  for (int i = 0; i < 1500; i++)
    strcat(sql, " OR 1");
  mp_request *req = run(f, sql);
  assert_int_equal(req->error.kind, MP_E_TOO_COMPLEX);
  mp_request_free(req);
  free(sql);
}

static void a_rollback_by_a_statement_is_noticed(void **state)
{
  fixture *f = *state;
  static const char *const enders[] = {"INSERT OR ROLLBACK INTO t (id) VALUES (1)",
                                       "INSERT INTO t (b) VALUES (98)"};
  for (size_t i = 0; i < sizeof schema / sizeof *schema; i++)
    exec(f, schema[i]);
  for (int i = 0; i < 2; i++) {
    begin(f);
    mp_request *req = run(f, enders[i]);
    assert_true(req->error.kind == MP_E_UNIQUE || req->error.kind == MP_E_TRIGGER);
    assert_int_equal(f->session->tx, MP_TX_IDLE);
    mp_request_free(req);
    begin(f);
    req = run(f, "INSERT INTO t (id) VALUES (1)");
    assert_int_equal(f->session->tx, MP_TX_OPEN);
    mp_request_free(req);
    mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
  }
}

static void a_full_disk_ends_the_transaction(void **state)
{
  fixture *f = *state;
  exec(f, "CREATE TABLE t (a)");
  exec(f, "PRAGMA max_page_count = 10");
  begin(f);
  mp_request *req = run(f, "INSERT INTO t VALUES (zeroblob(1000000))");
  assert_int_equal(req->error.kind, MP_E_DISK_FULL);
  mp_txstatus tx = f->session->tx;
  mp_request_free(req);
  req = run(f, "SELECT count(*) FROM t");
  assert_whole(cell_of(req, 0, 0), 0);
  mp_request_free(req);
  if (tx == MP_TX_OPEN)
    mp_request_free(transact(f, MP_TXO_ROLLBACK, "ROLLBACK", NULL));
}

/* ---- files ---- */

static void write_file(const char *path, const char *bytes, size_t n)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  fclose(file);
}

static void expect_lost(fixture *f, mp_status kind, const char *message)
{
  fixture_open(f);
  assert_int_equal(f->session->state, MP_SES_LOST);
  if (f->session->error.kind != kind)
    fail_msg("%s: %s", mp_status_name(f->session->error.kind), f->session->error.message);
  if (strstr(f->session->error.message, message) == NULL)
    fail_msg("\"%s\" does not say \"%s\"", f->session->error.message, message);
  assert_non_null(strstr(f->session->error.message, f->config.database));
  assert_int_equal(f->session->error.verdict, MP_DESTROY);
  fixture_close(f);
}

static void a_file_of_another_kind_is_not_a_database(void **state)
{
  fixture *f = fixture_new(false);
  char bytes[2000];
  (void)state;
  memset(bytes, 'x', sizeof bytes);
  write_file(f->path, bytes, sizeof bytes);
  expect_lost(f, MP_E_NOT_A_DATABASE, "is not an SQLite database");
  fixture_free(f);
}

static void places_where_no_file_can_be_are_named(void **state)
{
  fixture *f = fixture_new(false);
  char path[200];
  (void)state;
  f->config.database = path;
  snprintf(path, sizeof path, "%s/missing/x.db", f->directory);
  expect_lost(f, MP_E_CANT_OPEN, "there is no directory");
  snprintf(path, sizeof path, "%s", f->directory);
  expect_lost(f, MP_E_CANT_OPEN, "it is a directory");
  write_file(f->path, "", 0);
  snprintf(path, sizeof path, "%s/x.db", f->path);
  expect_lost(f, MP_E_CANT_OPEN, "is not a directory");
  fixture_free(f);
}

static void modes_decide_what_opening_may_do(void **state)
{
  fixture *f = fixture_new(false);
  (void)state;
  f->config.options = &f->option;
  f->config.option_n = 1;
  f->option = (mp_option){"mode", "rw"};
  expect_lost(f, MP_E_CANT_OPEN, "cannot open");
  f->option = (mp_option){"mode", "ro"};
  expect_lost(f, MP_E_CANT_OPEN, "cannot open");
  f->option = (mp_option){"mode", "rwc"};
  fixture_open(f);
  exec(f, "CREATE TABLE t (a)");
  fixture_close(f);
  f->option = (mp_option){"mode", "ro"};
  fixture_open(f);
  assert_int_equal(f->session->state, MP_SES_READY);
  mp_request *req = run(f, "SELECT count(*) FROM t");
  assert_whole(cell_of(req, 0, 0), 0);
  mp_request_free(req);
  req = run(f, "INSERT INTO t VALUES (1)");
  assert_int_equal(req->error.kind, MP_E_READ_ONLY_DATABASE);
  mp_request_free(req);
  fixture_free(f);
}

static void a_damaged_file_is_corrupt(void **state)
{
  fixture *f = fixture_new(false);
  (void)state;
  fixture_open(f);
  exec(f, "CREATE TABLE t (a)");
  exec(f, "INSERT INTO t SELECT randomblob(500) FROM json_each('[1,2,3,4,5,6,7,8,9]') a, "
          "json_each('[1,2,3,4,5,6,7,8,9]') b");
  exec(f, "PRAGMA wal_checkpoint(TRUNCATE)");
  fixture_close(f);
  FILE *file = fopen(f->path, "r+b");
  assert_non_null(file);
  fseek(file, 4096, SEEK_SET);
  for (int i = 0; i < 20000; i++)
    fputc(0xa5, file);
  fclose(file);
  fixture_open(f);
  mp_request *req = run(f, "SELECT sum(length(a)) FROM t");
  assert_int_equal(req->error.kind, MP_E_CORRUPT);
  assert_int_equal(req->error.verdict, MP_DESTROY);
  mp_request_free(req);
  fixture_free(f);
}

/* ---- the table alone ---- */

static void codes_that_cannot_be_provoked_have_their_meaning_too(void **state)
{
  static const struct {
    int code;
    const char *kind;
    mp_retryable retryable;
    mp_verdict verdict;
  } codes[] = {
      {SQLITE_CONSTRAINT_ROWID, "unique", MP_RETRY_NO, MP_KEEP},
      {SQLITE_CONSTRAINT_COMMITHOOK, "other_integrity", MP_RETRY_NO, MP_KEEP},
      {SQLITE_CONSTRAINT_VTAB, "other_integrity", MP_RETRY_NO, MP_KEEP},
      {SQLITE_BUSY, "busy", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_BUSY_RECOVERY, "busy", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_BUSY_SNAPSHOT, "serialization", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_LOCKED_SHAREDCACHE, "busy", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_PROTOCOL, "busy", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_READONLY_ROLLBACK, "read_only_database", MP_RETRY_NO, MP_KEEP},
      {SQLITE_READONLY_DBMOVED, "read_only_database", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_IOERR_READ, "io", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_IOERR_CORRUPTFS, "io", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_IOERR_NOMEM, "out_of_memory", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_NOMEM, "out_of_memory", MP_RETRY_NO, MP_KEEP},
      {SQLITE_CORRUPT_INDEX, "corrupt", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_CANTOPEN_ISDIR, "cant_open", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_SCHEMA, "plan_changed", MP_RETRY_STATEMENT, MP_KEEP},
      {SQLITE_ERROR_SNAPSHOT, "serialization", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_MISUSE, "internal", MP_RETRY_NO, MP_DESTROY},
      {SQLITE_AUTH_USER, "permission_denied", MP_RETRY_NO, MP_KEEP},
      {SQLITE_ABORT_ROLLBACK, "in_failed_transaction", MP_RETRY_TRANSACTION, MP_KEEP},
      {SQLITE_NOTICE, "other_programming", MP_RETRY_NO, MP_KEEP},
      {SQLITE_IOERR | 200 << 8, "io", MP_RETRY_NO, MP_DESTROY}, /* unknown: by its primary code */
  };
  (void)state;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    mp_arena *arena = NULL;
    mp_error err;
    mp_sqlite_error_text(&err, &arena, codes[i].code, "text");
    if (strcmp(mp_status_name(err.kind), codes[i].kind) != 0)
      fail_msg("%d: %s, not %s", codes[i].code, mp_status_name(err.kind), codes[i].kind);
    assert_int_equal(err.retryable, codes[i].retryable);
    assert_int_equal(err.verdict, codes[i].verdict);
    assert_int_equal(err.code, codes[i].code);
    mp_arena_free(arena);
  }
}

static void names_are_read_from_any_message_without_harm(void **state)
{
  static const struct {
    const char *message, *table, *columns, *constraint;
  } messages[] = {
      {"UNIQUE constraint failed: t.a", "t", "a", NULL},
      {"UNIQUE constraint failed: order.a b, order.c", "order", "a b,c", NULL},
      {"UNIQUE constraint failed: index 'my index'", NULL, NULL, "my index"},
      {"UNIQUE constraint failed: index '", NULL, NULL, NULL},
      {"UNIQUE constraint failed: ", NULL, NULL, NULL},
      {"UNIQUE constraint failed: .", "", "", NULL},
      {"NOT NULL constraint failed: t.", "t", "", NULL},
      {"CHECK constraint failed: a > 0 AND b", NULL, NULL, "a > 0 AND b"},
      {"constraint failed", NULL, NULL, NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
    mp_arena *arena = NULL;
    mp_error err;
    mp_sqlite_error_text(&err, &arena, SQLITE_CONSTRAINT_UNIQUE, messages[i].message);
    const row at = {.sql = messages[i].message};
    same_text(&at, "table", err.table, messages[i].table);
    same_text(&at, "columns", err.columns, messages[i].columns);
    same_text(&at, "constraint", err.constraint, messages[i].constraint);
    mp_arena_free(arena);
  }
}

#define on_memory(test) cmocka_unit_test_setup_teardown(test, open_memory, close_all)
#define on_file(test) cmocka_unit_test_setup_teardown(test, open_file, close_all)

int main(void)
{
  const struct CMUnitTest tests[] = {
      on_memory(each_error_has_its_kind_names_and_position),
      on_memory(a_trailing_semicolon_and_comments_are_no_second_statement),
      on_memory(a_nul_in_the_text_is_refused),
      on_memory(an_endless_text_is_too_large),
      on_memory(deep_expressions_are_too_complex),
      on_memory(a_rollback_by_a_statement_is_noticed),
      on_file(a_full_disk_ends_the_transaction),
      cmocka_unit_test(a_file_of_another_kind_is_not_a_database),
      cmocka_unit_test(places_where_no_file_can_be_are_named),
      cmocka_unit_test(modes_decide_what_opening_may_do),
      cmocka_unit_test(a_damaged_file_is_corrupt),
      cmocka_unit_test(codes_that_cannot_be_provoked_have_their_meaning_too),
      cmocka_unit_test(names_are_read_from_any_message_without_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
