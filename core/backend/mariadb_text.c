/* mariadb_text.c - statements as text: transactions, what the server does not prepare, and our own.
** No parameters; rows come as text, one by one. Of several results the first one with rows counts. */
#include "mariadb.h"

#include <string.h>

#define TURN_ROWS 20000

static void arrived(mp_mysession *ses);
static void fetched(mp_mysession *ses);

/* ---- ours ---- */

void mp_mytext_own(mp_mysession *ses, const char *sql, void (*then)(mp_mysession *ses))
{
  mp_mycall_text(ses, sql, strlen(sql));
  ses->then = then;
}

/* ---- the task's ---- */

void mp_mytext_begin(mp_mysession *ses, const char *sql, size_t len)
{
  ses->task->sent = true;
  mp_mycall_text(ses, sql, len);
  ses->then = arrived;
}

static void ended(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (task->req->op == MP_OP_TX && task->rest != NULL && !task->failed)
    mp_mytask_begin(ses);
  else
    mp_mytask_end(ses);
}

static bool take_row(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  unsigned long *lengths = mysql_fetch_lengths(task->res);
  size_t bytes = 0;
  mp_value *cells;
  if (task->stopping || task->failed) {
    task->cut = true;
    return true;
  }
  if (task->rows == NULL)
    task->rows = mp_myrows_new(task->texts, mp_mytask_room(task));
  cells = task->rows == NULL ? NULL : mp_myrows_add(task->rows);
  if (cells == NULL)
    return false;
  for (int i = 0; i < task->texts->n; i++) {
    mp_error why = MP_ERROR_NONE;
    bytes += sizeof *cells + lengths[i];
    if (!mp_mytype_text_cell(&task->texts->types[i], ses->call.row[i], lengths[i],
                             mp_myrows_arena(task->rows), &cells[i], &why))
      cells[i] = (mp_value){.kind = MP_KIND_N, .scale = (uint16_t)why.kind, .s = why.message};
  }
  mp_mytask_count(ses, bytes);
  return true;
}

static void next_result(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (task->res != NULL)
    mysql_free_result(task->res);
  task->res = NULL;
  if (mysql_more_results(ses->line.conn)) {
    mp_mycall_plain(ses, MP_MY_TEXT_NEXT);
    ses->then = arrived;
  } else {
    ended(ses);
  }
}

static void rows_ended(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mysql_errno(ses->line.conn) != 0) {
    if (mp_mytask_note_error(ses, NULL))
      ended(ses);
    return;
  }
  if (!task->stopping && !task->failed && mp_op_streams(task->req->op) && mp_mytask_deliver(ses))
    return; /* the library says again that there are no more */
  next_result(ses);
}

/* A row, or none, has come. False: the next one has not come yet. */
static bool take(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (ses->call.row == NULL) {
    rows_ended(ses);
    return false;
  }
  if (task->texts != NULL && !take_row(ses)) {
    mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    mp_mysession_stop(ses);
  }
  if (!mp_mytask_is_full(task))
    return true;
  mp_mytask_deliver(ses);
  return false;
}

void mp_mytext_on(mp_mysession *ses)
{
  for (int n = 0;; n++) {
    if (n == TURN_ROWS) {
      ses->tired = true;
      return;
    }
    mp_mycall_text_fetch(ses, ses->task->res);
    if (!mp_mycall_is_done(ses)) {
      ses->then = fetched;
      return;
    }
    if (!take(ses))
      return;
  }
}

static void fetched(mp_mysession *ses)
{
  if (take(ses))
    mp_mytext_on(ses);
}

/* The first one with rows is the answer; the rows of the others are read and forgotten. */
static void begin_rows(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  task->res = mysql_use_result(ses->line.conn);
  if (task->res == NULL) {
    mp_mysession_broken(ses, NULL);
    return;
  }
  if (task->had_rows) {
    mp_mycolumns_drop(task->texts);
    task->texts = NULL;
  } else {
    task->had_rows = true;
    task->texts = mp_mycolumns_new(mysql_fetch_fields(task->res), (int)mysql_num_fields(task->res));
    if (task->texts != NULL && task->req->op == MP_OP_QUERY)
      task->rows = mp_myrows_new(task->texts, 8);
    if (task->texts == NULL || (task->rows == NULL && task->req->op == MP_OP_QUERY)) {
      mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
      mp_mysession_stop(ses);
    }
  }
  mp_mytext_on(ses);
}

static void arrived(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  MYSQL *conn = ses->line.conn;
  if (mp_mycall_failed(ses)) {
    if (mp_mytask_note_error(ses, NULL))
      ended(ses);
  } else if (mysql_field_count(conn) > 0) {
    begin_rows(ses);
  } else {
    if (!task->had_rows && mysql_affected_rows(conn) != MYSQL_COUNT_ERROR)
      task->req->affected = (int64_t)mysql_affected_rows(conn);
    if (mysql_insert_id(conn) != 0)
      task->req->last_id = (int64_t)mysql_insert_id(conn);
    next_result(ses);
  }
}
