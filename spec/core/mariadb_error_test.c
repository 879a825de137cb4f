/* mariadb_error_test.c - what MariaDB's and MySQL's errors are called, what may be run again, what becomes of the
** connection, and what is read out of their sentences.
** Numbers and texts are checked without a server, also texts that no server would send. What a live one says is skipped
** unless MOONPOOL_TEST_MARIADB names one (scripts/databases env). */
#include "mariadb_live.h"

#include "backend/mariadb_message.h"

#define NO MP_RETRY_NO
#define TX MP_RETRY_TRANSACTION
#define CONNECT MP_RETRY_CONNECT
#define STATEMENT MP_RETRY_STATEMENT

static const struct {
  unsigned number;
  const char *state, *text, *kind;
  mp_retryable retryable;
  mp_verdict verdict;
} meanings[] = {
    {1020, "HY000", "Record has changed since last read in table 't'", "serialization", TX,
     MP_KEEP},
    {1213, "40001", "Deadlock found when trying to get lock", "deadlock", TX, MP_KEEP},
    {1205, "HY000", "Lock wait timeout exceeded", "lock_timeout", TX, MP_KEEP},
    {1062, "23000", "Duplicate entry '1' for key 'PRIMARY'", "unique", NO, MP_KEEP},
    {1052, "23000", "Column 'id' in WHERE is ambiguous", "ambiguous_column", NO, MP_KEEP},
    {1644, "45000", "no", "trigger", NO, MP_KEEP},
    {1366, "22007", "Incorrect string value: '\\xFF' for column `d`.`t`.`c` at row 1", "encoding",
     NO, MP_KEEP},
    {1366, "22007", "Incorrect integer value: 'x' for column `d`.`t`.`c` at row 1", "invalid_text",
     NO, MP_KEEP},
    {1292, "22007", "Incorrect datetime value: 'x' for column `d`.`t`.`c` at row 1",
     "invalid_datetime", NO, MP_KEEP},
    {1292, "22007", "Incorrect TIME value: 'x'", "invalid_datetime", NO, MP_KEEP},
    {1292, "22007", "Truncated incorrect DOUBLE value: 'datetime value: '", "invalid_text", NO,
     MP_KEEP},
    {1305, "42000", "SAVEPOINT mp_1 does not exist", "savepoint", NO, MP_KEEP},
    {1305, "42000", "FUNCTION d.nosuch does not exist", "undefined_function", NO, MP_KEEP},
    {1030, "HY000", "Got error 28 \"No space left on device\" from storage engine InnoDB",
     "disk_full", NO, MP_KEEP},
    {1030, "HY000", "Got error 168 from storage engine", "io", NO, MP_KEEP},
    {1047, "08S01", "WSREP has not yet prepared node for application use", "connect_failed",
     CONNECT, MP_DESTROY},
    {1047, "08S01", "Unknown command", "protocol", NO, MP_DESTROY},
    {1290, "HY000", "The MariaDB server is running with the --read-only option",
     "read_only_database", NO, MP_KEEP},
    {1290, "HY000", "The MariaDB server is running with the --secure-file-priv option",
     "permission_denied", NO, MP_KEEP},
    {1690, "22003", "BIGINT value is out of range in '1 + 2'", "out_of_range", NO, MP_KEEP},
    {1690, "22003", "out of range in '9 + octet_length(concat_ws('','division by zero',1))'",
     "division_by_zero", NO, MP_KEEP},
    {1690, "22003", "out of range in '9 + octet_length(concat_ws('','another unique key',1))'",
     "unique", NO, MP_KEEP},
    {1615, "HY000", "Prepared statement needs to be re-prepared", "plan_changed", STATEMENT,
     MP_KEEP},
    {1461, "42000", "Can't create more than max_prepared_stmt_count statements", "server_limit",
     STATEMENT, MP_KEEP},
    {1180, "HY000", "Got error 28 during COMMIT", "commit_unknown", NO, MP_DESTROY},
    {1317, "70100", "Query execution was interrupted", "cancelled", NO, MP_KEEP},
    {1969, "70100", "Query execution was interrupted (max_statement_time exceeded)", "timeout", NO,
     MP_KEEP},
    {1053, "08S01", "Server shutdown in progress", "connection_lost", TX, MP_DESTROY},
    {1820, "HY000", "You must SET PASSWORD before executing this statement", "auth_failed", NO,
     MP_DESTROY},
    {1040, "08004", "Too many connections", "server_limit", CONNECT, MP_DESTROY},
    {2006, "HY000", "Server has gone away", "connection_lost", NO, MP_DESTROY},
    {2013, "HY000", "Lost connection to server during query", "connection_lost", NO, MP_DESTROY},
    {2002, "HY000", "Can't connect to local server through socket '/nope' (2)", "connect_failed",
     CONNECT, MP_DESTROY},
    {2026, "HY000", "TLS/SSL error", "tls", NO, MP_DESTROY},
    {2014, "HY000", "Commands out of sync", "protocol", NO, MP_DESTROY},
    {2999, "HY000", "?", "internal", NO, MP_DESTROY},
    {4035, "HY000", "Broken JSON string in argument 1 to function 'json_extract'", "json", NO,
     MP_KEEP},
    {1999, "HY000", "?", "other_programming", NO, MP_KEEP},
    {1999, "22ZZZ", "?", "other_data", NO, MP_KEEP},
    {1999, "08ZZZ", "?", "connection_lost", NO, MP_DESTROY},
    {1999, "23ZZZ", "?", "other_integrity", NO, MP_KEEP},
    {0, NULL, NULL, "other_programming", NO, MP_KEEP},
};

static void numbers_have_their_meaning(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    mp_myerror(MP_MY_MARIADB, meanings[i].number, meanings[i].state, meanings[i].text, false, arena,
               &err);
    if (strcmp(mp_status_name(err.kind), meanings[i].kind) != 0 ||
        err.retryable != meanings[i].retryable || err.verdict != meanings[i].verdict)
      fail_msg("%u %s: %s, retryable %d, verdict %d", meanings[i].number, meanings[i].text,
               mp_status_name(err.kind), err.retryable, err.verdict);
    assert_int_equal(err.code, meanings[i].number);
    assert_true(err.sent);
    assert_non_null(err.message);
    mp_arena_free(arena);
  }
}

static void a_number_is_what_it_is_to_the_flavour(void **state)
{
  (void)state;
  static const struct {
    unsigned number;
    const char *mariadb, *mysql;
  } both[] = {
      {4031, "other_programming", "connection_lost"},
      {3024, "other_programming", "timeout"},
      {3572, "other_programming", "lock_timeout"},
      {3819, "other_programming", "check"},
      {4025, "check", "other_programming"},
      {3140, "other_programming", "json"},
      {4036, "json", "other_programming"},
      {1213, "deadlock", "deadlock"},
  };
  for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    mp_myerror(MP_MY_MARIADB, both[i].number, "HY000", "?", false, arena, &err);
    assert_string_equal(mp_status_name(err.kind), both[i].mariadb);
    mp_myerror(MP_MY_MYSQL, both[i].number, "HY000", "?", false, arena, &err);
    assert_string_equal(mp_status_name(err.kind), both[i].mysql);
    mp_arena_free(arena);
  }
}

static void while_connecting_nothing_was_sent_and_nothing_is_kept(void **state)
{
  (void)state;
  static const struct {
    unsigned number;
    const char *kind;
    mp_retryable retryable;
  } all[] = {
      {1045, "auth_failed", NO},         {1044, "permission_denied", NO},
      {1049, "unknown_database", NO},    {2013, "connect_failed", CONNECT},
      {1053, "connect_failed", CONNECT}, {1040, "server_limit", CONNECT},
      {2005, "connect_failed", CONNECT},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    mp_myerror(MP_MY_MARIADB, all[i].number, "HY000", "no", true, arena, &err);
    assert_string_equal(mp_status_name(err.kind), all[i].kind);
    assert_int_equal(err.retryable, all[i].retryable);
    assert_int_equal(err.verdict, MP_DESTROY);
    assert_false(err.sent);
    mp_arena_free(arena);
  }
}

/* ---- sentences ---- */

static const struct {
  unsigned number;
  const char *text, *message, *constraint, *table, *columns;
} sentences[] = {
    {1062, "Duplicate entry 'a' for key 'name_uq'", "Duplicate entry '...' for key 'name_uq'",
     "name_uq", NULL, NULL},
    {1062, "Duplicate entry 'x' for key 'fake'' for key 'it's'",
     "Duplicate entry '...' for key 'it's'", "it's", NULL, NULL},
    {1062, "Duplicate entry '' for key 'a' for key 'PRIMARY'",
     "Duplicate entry '...' for key 'PRIMARY'", "PRIMARY", NULL, NULL},
    {1062, "Duplicate entry 'a' for key 't.name_uq'", "Duplicate entry '...' for key 't.name_uq'",
     "name_uq", "t", NULL},
    {1062, "Duplicate entry 'cut off for ke", "the server refuses a value: unique", NULL, NULL,
     NULL},
    {1062, "Doppelter Eintrag a", "the server refuses a value: unique", NULL, NULL, NULL},
    {1169, "Can't write, because of unique constraint, to table 't'", NULL, NULL, "t", NULL},
    {1452,
     "Cannot add or update a child row: a foreign key constraint fails (`d`.`book`, CONSTRAINT "
     "`book_author_fk` FOREIGN KEY (`author_id`, `b``2`) REFERENCES `author` (`id`, `c`))",
     NULL, "book_author_fk", "book", "author_id,b`2"},
    {1451, "Cannot delete or update a parent row: a foreign key constraint fails (`d`.`book`)",
     NULL, NULL, "book", NULL},
    {1452, "a foreign key constraint fails (`d`.`book", NULL, NULL, NULL, NULL},
    {1452, "fails (`d`.`b`, CONSTRAINT `x", NULL, NULL, "b", NULL},
    {1048, "Column 'name' cannot be null", NULL, NULL, NULL, "name"},
    {1364, "Field 'name' doesn't have a default value", NULL, NULL, NULL, "name"},
    {1406, "Data too long for column 'name' at row 1", NULL, NULL, NULL, "name"},
    {1264, "Out of range value for column 'age' at row 1", NULL, NULL, NULL, "age"},
    {4025, "CONSTRAINT `age_positive` failed for `d`.`t`", NULL, "age_positive", "t", NULL},
    {4025, "CONSTRAINT `t.age` failed for `d`.`t`", NULL, "t.age", "t", "age"},
    {3819, "Check constraint 'age_positive' is violated.", NULL, "age_positive", NULL, NULL},
    {1366, "Incorrect integer value: 'secret' for column `d`.`t`.`age` at row 1",
     "Incorrect integer value: '...' for column `d`.`t`.`age` at row 1", NULL, "t", "age"},
    {1366, "Incorrect integer value: 'a' for column 'b' for column 'age' at row 1",
     "Incorrect integer value: '...' for column 'age' at row 1", NULL, NULL, "age"},
    {1292, "Truncated incorrect DOUBLE value: 'secret'", "Truncated incorrect DOUBLE value: '...'",
     NULL, NULL, NULL},
    {1411, "Incorrect datetime value: 'secret' for function str_to_date",
     "Incorrect datetime value: '...' for function str_to_date", NULL, NULL, NULL},
    {1690, "BIGINT value is out of range in '1 + secret'", "BIGINT value is out of range in '...'",
     NULL, NULL, NULL},
    {1690,
     "BIGINT value is out of range in '9223372036854775807 + "
     "octet_length(concat_ws('','division by zero',`d`.`t`.`c`))'",
     "division by zero", NULL, NULL, NULL},
    {1690,
     "BIGINT value is out of range in '9223372036854775807 + "
     "octet_length(concat_ws('','another unique key',`d`.`t`.`c`))'",
     "another row has the same value in a unique column that the upsert does not name", NULL, NULL,
     NULL},
    {1300, "Invalid utf8mb4 character string: '\\xFFsecret'",
     "Invalid utf8mb4 character string: '...'", NULL, NULL, NULL},
};

static void check(const char *text, const char *what, const char *is, const char *should)
{
  if ((is == NULL) != (should == NULL) || (is != NULL && strcmp(is, should) != 0))
    fail_msg("%s: %s is %s, not %s", text, what, is != NULL ? is : "NULL",
             should != NULL ? should : "NULL");
}

static void sentences_tell_names_and_lose_values(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
    mp_arena *arena = mp_arena_new(0);
    const char *text = sentences[i].text, *message = sentences[i].message;
    mp_error err;
    mp_myerror(MP_MY_MYSQL, sentences[i].number, "HY000", text, false, arena, &err);
    if (sentences[i].number == 4025)
      mp_myerror(MP_MY_MARIADB, sentences[i].number, "HY000", text, false, arena, &err);
    check(text, "message", err.message, message != NULL ? message : text);
    check(text, "detail", err.detail, message != NULL ? text : NULL);
    check(text, "constraint", err.constraint, sentences[i].constraint);
    check(text, "table", err.table, sentences[i].table);
    check(text, "columns", err.columns, sentences[i].columns);
    mp_arena_free(arena);
  }
}

/* Pieces of sentences put together by chance, and cut anywhere: never more than an error, and what was quoted as a
** value is never shown. */
static void any_sentence_gives_an_error_without_the_value(void **state)
{
  (void)state;
  static const char *const pieces[] = {"Duplicate entry '",
                                       "SECRET",
                                       "' for key '",
                                       "' for column `",
                                       "`.`",
                                       "`",
                                       "'",
                                       "''",
                                       "``",
                                       " value: '",
                                       "(`",
                                       ", CONSTRAINT ",
                                       " FOREIGN KEY (",
                                       "` failed for ",
                                       "CONSTRAINT ",
                                       ".",
                                       "\377\376",
                                       " for function ",
                                       "near '",
                                       "' at line ",
                                       "Column ",
                                       "date",
                                       ""};
  static const unsigned numbers[] = {1062, 1586, 1169, 1451, 1452, 1048, 1364, 1263, 1264, 1265,
                                     1406, 3819, 4025, 1292, 1366, 1300, 1367, 1411, 1690, 1064};
  uint64_t seed = 7;
  for (int i = 0; i < 20000; i++) {
    char text[512] = "", *exact;
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
    for (int k = 0, n = (int)(seed >> 60); k < n; k++) {
      seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
      strcat(text, pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)]);
    }
    exact = malloc(strlen(text) + 1);
    strcpy(exact, text);
    unsigned number = numbers[(seed >> 20) % (sizeof numbers / sizeof *numbers)];
    mp_myerror(i % 2 ? MP_MY_MARIADB : MP_MY_MYSQL, number, "22000", exact, false, arena, &err);
    mp_mymessage_position(exact, "select SECRET from t");
    assert_non_null(err.message);
    free(exact);
    mp_arena_free(arena);
  }
  /* a value that looks like the rest of the sentence */
  for (int i = 0; i < 20000; i++) {
    char text[600] = "Duplicate entry '";
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
    for (int k = 0, n = (int)(seed >> 60); k < n; k++) {
      seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
      strcat(text, pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)]);
    }
    strcat(text, "SECRET' for key 'name_uq'");
    mp_myerror(MP_MY_MARIADB, 1062, "23000", text, false, arena, &err);
    assert_null(strstr(err.message, "SECRET"));
    assert_string_equal(err.constraint, "name_uq");
    mp_arena_free(arena);
  }
}

static void the_place_of_a_syntax_error_is_found(void **state)
{
  (void)state;
  static const char text[] = "You have an error in your SQL syntax; check ... near '%s' at line 1";
  static const struct {
    const char *sql, *near;
    int position;
  } places[] = {
      {"selec 1", "selec 1", 1},
      {"select from t", "from t", 8},
      {"select 'a' 'from x' from", "from", 21},
      {"select 1 +", "", 11},
      {"select it's", "it's", 8},
      {"select 1", "nowhere", 0},
  };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char message[200];
    snprintf(message, sizeof message, text, places[i].near);
    assert_int_equal(mp_mymessage_position(message, places[i].sql), places[i].position);
  }
  assert_int_equal(mp_mymessage_position("no such words", "select"), 0);
}

/* ---- a live server ---- */

static const struct {
  const char *sql, *kind, *constraint, *table, *columns;
  int position;
} provoked[] = {
    {"insert into parent values (1, 'a', 1)", "unique", "PRIMARY", NULL, NULL, 0},
    {"insert into parent values (2, 'SECRET', 1)", "unique", "name_uq", NULL, NULL, 0},
    {"insert into parent values (2, null, 1)", "not_null", NULL, NULL, "name", 0},
    {"insert into parent (id) values (2)", "not_null", NULL, NULL, "name", 0},
    {"insert into parent values (2, 'b', -1)", "check", "age_positive", "parent", NULL, 0},
    {"insert into parent values (2, 'bbbbbbbbbbbb', 1)", "value_too_long", NULL, NULL, "name", 0},
    {"insert into parent values (2, 'b', 1e30)", "out_of_range", NULL, NULL, "age", 0},
    {"insert into parent values (2, 'b', 'SECRET')", "invalid_text", NULL, "parent", "age", 0},
    {"insert into parent values (2, 'b', 1 / 0)", "division_by_zero", NULL, NULL, NULL, 0},
    {"insert into parent values (2, x'ff', 1)", "encoding", NULL, "parent", "name", 0},
    {"insert into parent values (1, 2)", "cardinality", NULL, NULL, NULL, 0},
    {"insert into child values (5, 7, '{}')", "foreign_key", "child_parent_fk", "child",
     "parent_id", 0},
    {"delete from parent", "foreign_key", "child_parent_fk", "child", "parent_id", 0},
    {"insert into child values (5, 1, 'SECRET')", "check", "child.doc", "child", "doc", 0},
    {"select 9223372036854775807 + 1", "out_of_range", NULL, NULL, NULL, 0},
    {"select (select id from child)", "cardinality", NULL, NULL, NULL, 0},
    {"selec 1", "syntax", NULL, NULL, NULL, 1},
    {"select 1 from where", "syntax", NULL, NULL, NULL, 15},
    {"select 1 from nosuch", "undefined_table", NULL, NULL, NULL, 0},
    {"select nosuch from parent", "undefined_column", NULL, NULL, NULL, 0},
    {"select id from parent, child", "ambiguous_column", NULL, NULL, NULL, 0},
    {"select nosuch(1)", "undefined_function", NULL, NULL, NULL, 0},
    {"select 'x' regexp '('", "invalid_text", NULL, NULL, NULL, 0},
    {"create table parent (id int)", "duplicate_table", NULL, NULL, NULL, 0},
    {"create temporary table x (id int, id int)", "duplicate_column", NULL, NULL, NULL, 0},
    {"rollback to savepoint nosuch", "savepoint", NULL, NULL, NULL, 0},
    {"signal sqlstate '45000' set message_text = 'no'", "trigger", NULL, NULL, NULL, 0},
    {"set statement max_statement_time = 0.01 for select count(*) from seq_1_to_100000000 where "
     "md5(seq) = 'a'",
     "timeout", NULL, NULL, NULL, 0},
    {"select 'a' collate utf8mb4_bin = 'a' collate utf8mb4_general_ci", "type_mismatch", NULL, NULL,
     NULL, 0},
    {"use nosuch_database", "permission_denied", NULL, NULL, NULL, 0},
};

static void what_a_live_server_says_is_understood(void **state)
{
  (void)state;
  MYSQL *db = live_open();
  live_run(db, "drop table if exists child, parent");
  live_run(db, "create table parent (id int primary key, name varchar(9) not null, age int "
               "default 0, constraint name_uq unique (name), constraint age_positive check (age >= "
               "0)) engine innodb character set utf8mb4");
  live_run(db, "create table child (id int primary key, parent_id int, doc json, constraint "
               "child_parent_fk foreign key (parent_id) references parent (id)) engine innodb");
  live_run(db, "insert into parent values (1, 'SECRET', 1)");
  live_run(db, "insert into child values (1, 1, null), (2, 1, null)");
  for (size_t i = 0; i < sizeof provoked / sizeof *provoked; i++) {
    const char *sql = provoked[i].sql;
    mp_arena *arena = mp_arena_new(0);
    mp_error err;
    MYSQL_RES *res = NULL;
    if (mysql_query(db, sql) == 0) {
      res = mysql_store_result(db);
      if (mysql_errno(db) == 0)
        fail_msg("%s: no error", sql);
    }
    mysql_free_result(res);
    mp_myerror(MP_MY_MARIADB, mysql_errno(db), mysql_sqlstate(db), mysql_error(db), false, arena,
               &err);
    if (strcmp(mp_status_name(err.kind), provoked[i].kind) != 0)
      fail_msg("%s: %s (%d %s)", sql, mp_status_name(err.kind), err.code, mysql_error(db));
    check(sql, "constraint", err.constraint, provoked[i].constraint);
    check(sql, "table", err.table, provoked[i].table);
    check(sql, "columns", err.columns, provoked[i].columns);
    if (err.kind == MP_E_SYNTAX)
      assert_int_equal(mp_mymessage_position(mysql_error(db), sql), provoked[i].position);
    assert_null(strstr(err.message, "SECRET"));
    assert_int_equal(err.verdict, MP_KEEP);
    mp_arena_free(arena);
  }
  live_run(db, "drop table child, parent");
  mysql_close(db);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_have_their_meaning),
      cmocka_unit_test(a_number_is_what_it_is_to_the_flavour),
      cmocka_unit_test(while_connecting_nothing_was_sent_and_nothing_is_kept),
      cmocka_unit_test(sentences_tell_names_and_lose_values),
      cmocka_unit_test(any_sentence_gives_an_error_without_the_value),
      cmocka_unit_test(the_place_of_a_syntax_error_is_found),
      cmocka_unit_test(what_a_live_server_says_is_understood),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
