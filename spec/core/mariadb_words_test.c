/* mariadb_words_test.c - what the text of a statement says on MariaDB. No server is needed. */
#include "backend/mariadb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct words {
  const char *sql;
  bool says;
} words;

static void check(bool (*asked)(const char *sql), const words *list, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (asked(list[i].sql) != list[i].says)
      fail_msg("%s: not %s", list[i].sql, list[i].says ? "true" : "false");
}

#define CHECK(asked, list) check(asked, list, sizeof list / sizeof *list)

static void what_leaves_something_behind_taints(void **state)
{
  static const words list[] = {
      {"select 1", false},
      {"  # a\n-- b\n/* c */ (SELECT 1)", false},
      {"insert into t values (1)", false},
      {"create table t (a int)", false},
      {"start transaction", false},
      {"", false},
      {"set @a = 1", true},
      {"use other", true},
      {"lock tables t write", true},
      {"select get_lock('a', 1)", true},
      {"select @a := 1", true},
      {"select 1 into @a", true},
      {"create temporary table t (a int)", true},
      {"/*!50000 set sql_mode = '' */", true},
      {"/*M! set sql_mode = '' */", true},
      {"call p()", true},
      {"prepare s from 'select 1'", true},
      {"settle", true},
  };
  (void)state;
  CHECK(mp_mysql_taints, list);
}

static void a_read_is_known_by_its_first_word(void **state)
{
  static const words list[] = {
      {"select 1", true},
      {"WITH a AS (SELECT 1) SELECT * FROM a", false},
      {"show tables", true},
      {"do sleep(1)", true},
      {"values (1)", true},
      {"selected", false},
      {"insert into t", false},
      {"call p()", false},
      {"select 1 into outfile '/tmp/a'", false},
  };
  (void)state;
  CHECK(mp_mysql_reads, list);
}

static void a_change_is_known_by_its_first_word(void **state)
{
  static const words list[] = {
      {"insert into t values (?)", true},
      {"/* x */ UPDATE t SET a = 1", true},
      {"delete from t", true},
      {"replace into t values (1)", true},
      {"select 1", false},
      {"call p()", false},
  };
  (void)state;
  CHECK(mp_mysql_changes, list);
}

static void what_commits_is_seen(void **state)
{
  static const words list[] = {
      {"create table t (a int)", true},
      {"/* x */ CREATE OR REPLACE TABLE t (a int)", true},
      {"drop view v", true},
      {"rename table a to b", true},
      {"analyze table t", true},
      {"LOCK TABLES t WRITE", true},
      {"repair table t", true},
      {"create temporary table t (a int)", false},
      {"create or replace temporary table t (a int)", false},
      {"drop temporary table t", false},
      {"drop prepare s", false},
      {"analyze select 1", false},
      {"select 'drop table t'", false},
      {"insert into t values ('create')", false},
  };
  (void)state;
  CHECK(mp_mysql_defines, list);
}

static void who_begins_a_transaction_is_seen(void **state)
{
  static const words list[] = {
      {"START TRANSACTION READ ONLY", true},
      {"start /* x */ transaction", true},
      {"begin", true},
      {"BEGIN WORK;", true},
      {"commit and chain", true},
      {"ROLLBACK WORK AND CHAIN", true},
      {"commit and no chain", false},
      {"commit", false},
      {"begin not atomic select 1; end", false},
      {"start slave", false},
      {"select 'begin'", false},
  };
  (void)state;
  CHECK(mp_mysql_begins, list);
}

static void the_rows_of_an_insert_are_counted(void **state)
{
  static const struct {
    const char *sql;
    size_t rows;
  } list[] = {
      {"insert into t (a, b) values (?, ?)", 1},
      {"INSERT INTO `values` (`a`) VALUES(?)", 1},
      {"insert into t values (?), (?), (f(?, (1)))", 3},
      {"/* a */ replace t value (?) , (')(') # ,(\n", 2},
      {"insert into t (a) values (?) on duplicate key update a = values(a), b = (1)", 1},
      {"insert into t (a) values (?) returning (a)", 1},
      {"insert into t (a) select ? on duplicate key update a = values(a)", 0},
      {"insert into t set a = ?", 0},
      {"insert into t () values", 0},
      {"update t set a = ?", 0},
      {"insert into t values ('it''s', \"(\", `x`), (-- )\n 2)", 2},
      {"", 0},
  };
  (void)state;
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (mp_mysql_inserts(list[i].sql) != list[i].rows)
      fail_msg("%s: %zu", list[i].sql, mp_mysql_inserts(list[i].sql));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_leaves_something_behind_taints),
      cmocka_unit_test(a_read_is_known_by_its_first_word),
      cmocka_unit_test(a_change_is_known_by_its_first_word),
      cmocka_unit_test(what_commits_is_seen),
      cmocka_unit_test(who_begins_a_transaction_is_seen),
      cmocka_unit_test(the_rows_of_an_insert_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
