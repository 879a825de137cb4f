/* mariadb_row.c - which of many rows an error is of.
** Behind an INSERT that failed the server is asked at once, before it forgets (since 10.7; older ones do not know). An UPDATE or a
** DELETE that comes with arrays is run once for each row, and these runs are counted by the server: how many there were is asked
** before the first one and behind the error. What is not told stays 0. */
#include "mariadb.h"

#include <stdlib.h>

#define FIRST_SERVER_ERROR 1000
#define LAST_SERVER_ERROR 1999

static void row_came(mp_mysession *ses);
static void answered(mp_mysession *ses);

/* ---- a question whose answer is one number ---- */

static bool is_servers(unsigned number)
{
  return number >= FIRST_SERVER_ERROR && number <= LAST_SERVER_ERROR;
}

/* A question that fails has no answer, and does no harm. */
static void no_answer(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  task->number = 0;
  if (is_servers(mysql_errno(ses->line.conn)))
    task->numbered(ses);
  else
    mp_mysession_broken(ses, NULL);
}

static void rows_ended(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  bool failed = mysql_errno(ses->line.conn) != 0;
  mysql_free_result(task->res);
  task->res = NULL;
  if (failed) {
    no_answer(ses);
  } else if (mysql_more_results(ses->line.conn)) {
    mp_mycall_plain(ses, MP_MY_TEXT_NEXT);
    ses->then = answered;
  } else {
    task->numbered(ses);
  }
}

static void fetch(mp_mysession *ses)
{
  mp_mycall_text_fetch(ses, ses->task->res);
  ses->then = row_came;
}

/* The number is in the last column. */
static void row_came(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  const char *text = ses->call.row == NULL ? NULL : ses->call.row[mysql_num_fields(task->res) - 1];
  if (ses->call.row == NULL) {
    rows_ended(ses);
    return;
  }
  task->number = text == NULL ? 0 : strtoull(text, NULL, 10);
  fetch(ses);
}

static void answered(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mp_mycall_failed(ses)) {
    no_answer(ses);
  } else if (mysql_field_count(ses->line.conn) == 0) {
    task->numbered(ses);
  } else if ((task->res = mysql_use_result(ses->line.conn)) == NULL) {
    mp_mysession_broken(ses, NULL);
  } else {
    fetch(ses);
  }
}

static void ask(mp_mysession *ses, const char *sql, void (*then)(mp_mysession *ses))
{
  ses->task->number = 0;
  ses->task->numbered = then;
  mp_mytext_own(ses, sql, answered);
}

/* ---- which row ---- */

static void ask_runs(mp_mysession *ses, void (*then)(mp_mysession *ses))
{
  ask(ses, "SHOW SESSION STATUS LIKE 'Com_stmt_execute'", then);
}

static void counted(mp_mysession *ses)
{
  ses->task->runs_before = ses->task->number;
  ses->task->counted(ses);
}

void mp_myrow_count(mp_mysession *ses, void (*then)(mp_mysession *ses))
{
  ses->task->counted = then;
  ask_runs(ses, counted);
}

/* row: from 0, of all that this request has */
static void name(mp_mysession *ses, size_t row)
{
  mp_mytask *task = ses->task;
  if (row >= task->row_from && row < task->row_to)
    task->req->error.row = task->req->rows_before + row + 1;
}

static void inserted(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  size_t each = mp_mysql_inserts(task->req->sql), row = (size_t)task->number;
  if (row > 0 && task->req->op == MP_OP_QUERY)
    task->req->error.row = row;
  else if (row > 0)
    name(ses, task->row_from + (row - 1) / each);
  mp_mytask_end(ses);
}

static void changed(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (task->runs_before > 0 && task->number > task->runs_before)
    name(ses, (size_t)(task->number - task->runs_before) - 1);
  mp_mytask_end(ses);
}

void mp_myrow_find(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  const mp_request *req = task->req;
  size_t each = mp_mysql_inserts(req->sql);
  bool many = req->op == MP_OP_MANY;
  if (many && task->row_to == task->row_from + 1) {
    name(ses, task->row_from);
    mp_mytask_end(ses);
  } else if (task->bulk && each == 0) {
    ask_runs(ses, changed);
  } else if (task->bulk || (!many && req->own_sql && each > 1)) {
    ask(ses,
        "BEGIN NOT ATOMIC DECLARE n BIGINT; GET DIAGNOSTICS CONDITION 1 n = ROW_NUMBER; SELECT n; "
        "END",
        inserted);
  } else {
    mp_mytask_end(ses);
  }
}
