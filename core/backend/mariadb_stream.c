/* mariadb_stream.c - the rows of a prepared statement, one by one as they come, or as its cursor is asked for them.
** A result is what has come when the rows end, a stream hands over a chunk and stands still until more is wanted. Rows that
** nobody wants are read all the same, to the end. Of several results (CALL) the first one with rows counts. A
** long answer does not keep the loop: after some rows it goes on in the next turn. */
#include "mariadb.h"

#include <stdlib.h>

#define TURN_ROWS 20000

static void fetched(mp_mysession *ses);

/* ---- one row ---- */

/* The columns of this execution: as they were, or as they are now. False: the task has failed. */
static bool set_columns(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  mp_mystatement *statement = task->statement;
  MYSQL_FIELD *fields = mariadb_stmt_fetch_fields(statement->stmt);
  int n = (int)mysql_stmt_field_count(statement->stmt);
  MYSQL_BIND *binds = mp_arena_alloc(task->req->arena, ((size_t)n + 1) * sizeof *binds);
  if (statement->columns == NULL || !mp_mycolumns_match(statement->columns, fields, n)) {
    mp_mycolumns_drop(statement->columns);
    free(statement->slots);
    statement->slots = NULL;
    statement->columns = mp_mycolumns_new(fields, n);
  }
  if (statement->slots == NULL && statement->columns != NULL) {
    /* Zero: the library looks at every error flag, but sets only some. */
    statement->slots = calloc((size_t)n, sizeof *statement->slots);
    for (int i = 0; i < n && statement->slots != NULL; i++)
      mp_mytype_bind(&statement->columns->types[i], &statement->slots[i]);
  }
  if (binds == NULL || statement->slots == NULL)
    return false;
  for (int i = 0; i < n; i++)
    binds[i] = statement->slots[i].bind;
  return mysql_stmt_bind_result(statement->stmt, binds) == 0;
}

/* A text that is longer than its slot: the whole of it is in the library's memory. */
static bool fetch_long(mp_mystatement *statement, int column, mp_arena *arena)
{
  mp_myslot *slot = &statement->slots[column];
  MYSQL_BIND bind = slot->bind;
  unsigned long length = 0;
  my_bool is_null = 0, error = 0;
  char *room = mp_arena_alloc(arena, slot->length + 1);
  if (room == NULL)
    return false;
  bind.buffer = room;
  bind.buffer_length = slot->length + 1;
  bind.length = &length;
  bind.is_null = &is_null;
  bind.error = &error;
  slot->data = room;
  return mysql_stmt_fetch_column(statement->stmt, &bind, (unsigned)column, 0) == 0;
}

static bool take_cells(mp_mystatement *statement, mp_myrows *rows, mp_value *cells, size_t *bytes)
{
  mp_arena *arena = mp_myrows_arena(rows);
  mp_error why;
  int n = statement->columns->n;
  *bytes = (size_t)n * sizeof *cells;
  for (int i = 0; i < n; i++) {
    const mp_mycolumn *column = &statement->columns->types[i];
    mp_myslot *slot = &statement->slots[i];
    if (column->is_text && !slot->is_null) {
      *bytes += slot->length;
      slot->data = slot->room.text;
      if (slot->length > sizeof slot->room && !fetch_long(statement, i, arena))
        return false;
    }
    if (!mp_mytype_cell(column, slot, arena, &cells[i], &why))
      cells[i] = (mp_value){.kind = MP_KIND_N, .scale = (uint16_t)why.kind, .s = why.message};
  }
  return true;
}

static void take_row(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  size_t bytes = 0;
  mp_value *cells = NULL;
  task->seen_n++;
  if (task->stopping || task->failed || task->req->op == MP_OP_MANY) {
    task->cut = true;
    return;
  }
  if (task->rows == NULL)
    task->rows = mp_myrows_new(task->statement->columns, mp_mytask_room(task));
  if (task->rows != NULL)
    cells = mp_myrows_add(task->rows);
  if (cells == NULL || !take_cells(task->statement, task->rows, cells, &bytes)) {
    mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    mp_mysession_stop(ses);
    return;
  }
  mp_mytask_count(ses, bytes);
}

/* ---- one after the other ---- */

static void rows_ended(mp_mysession *ses);

/* A row, or none, has come. False: the next one has not come yet. */
static bool take(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  switch (ses->call.status) {
  case 0:
  case MYSQL_DATA_TRUNCATED:
    take_row(ses);
    if (task->on_cursor && task->stopping) {
      mp_mytask_give_up(ses);
      return false;
    }
    if (!mp_mytask_is_full(task))
      return true;
    mp_mytask_deliver(ses);
    return false;
  case MYSQL_NO_DATA:
    rows_ended(ses);
    return false;
  default:
    if (!mp_mytask_note_error(ses, task->statement->stmt))
      return false;
    if (task->on_cursor)
      mp_mytask_give_up(ses);
    else
      mp_myrow_find(ses);
    return false;
  }
}

static void fetch(mp_mysession *ses)
{
  bool guarded = mp_mysession_guard(ses), more = true;
  for (int n = 0; more; n++) {
    if (n == TURN_ROWS) {
      ses->tired = true;
      break;
    }
    mp_mycall_statement(ses, MP_MY_FETCH, ses->task->statement->stmt);
    if (!mp_mycall_is_done(ses)) {
      ses->then = fetched;
      break;
    }
    more = take(ses);
  }
  mp_mysession_unguard(ses, guarded);
}

static void fetched(mp_mysession *ses)
{
  if (take(ses))
    fetch(ses);
}

void mp_mystream_on(mp_mysession *ses)
{
  if (ses->task->res != NULL)
    mp_mytext_on(ses);
  else
    fetch(ses);
}

/* ---- cursors ---- */

mp_mytask *mp_mystream_standing(const mp_mysession *ses, const mp_request *req)
{
  for (mp_list *node = ses->cursors.next; node != &ses->cursors; node = node->next) {
    mp_mytask *task = mp_container_of(node, mp_mytask, node);
    if (task->req == req)
      return task;
  }
  return NULL;
}

bool mp_mystream_resume(mp_mysession *ses)
{
  for (mp_list *node = ses->cursors.next; node != &ses->cursors; node = node->next) {
    mp_mytask *task = mp_container_of(node, mp_mytask, node);
    if (task->standing)
      continue;
    mp_list_remove(node);
    ses->task = task;
    ses->asked_n = 0;
    if (task->stopping)
      mp_mytask_give_up(ses);
    else
      mp_mystream_on(ses);
    return true;
  }
  return false;
}

/* ---- one result after the other ---- */

static void drain(mp_mysession *ses);

static void drained(mp_mysession *ses)
{
  if (ses->call.status == MYSQL_NO_DATA) {
    rows_ended(ses);
  } else if (ses->call.status == 1) {
    if (mp_mytask_note_error(ses, ses->task->statement->stmt))
      mp_mytask_end(ses);
  } else {
    drain(ses);
  }
}

static void drain(mp_mysession *ses)
{
  mp_mycall_statement(ses, MP_MY_FETCH, ses->task->statement->stmt);
  ses->then = drained;
}

static void next_came(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mp_mycall_failed(ses)) {
    if (mp_mytask_note_error(ses, task->statement->stmt))
      mp_mytask_end(ses);
  } else if (mysql_field_count(ses->line.conn) == 0) {
    mp_mytask_executed(ses);
  } else if (task->had_rows) {
    drain(ses);
  } else {
    mp_mystream_begin(ses);
  }
}

static void next(mp_mysession *ses)
{
  mp_mycall_statement(ses, MP_MY_NEXT, ses->task->statement->stmt);
  ses->then = next_came;
}

static void rows_ended(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (!task->stopping && !task->failed && mp_op_streams(task->req->op) && mp_mytask_deliver(ses))
    return; /* the library says again that there are no more */
  if (mysql_stmt_more_results(task->statement->stmt))
    next(ses);
  else
    mp_mytask_executed_all(ses);
}

void mp_mystream_begin(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mysql_field_count(ses->line.conn) == 0) {
    next(ses);
    return;
  }
  task->had_rows = true;
  task->seen_n = 0;
  task->on_cursor = task->statement->stmt->cursor_exists != 0;
  if (!set_columns(ses)) { /* the library would write to where nothing is */
    mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    mp_mysession_lose(ses, &task->req->error);
    return;
  }
  if (task->req->op == MP_OP_QUERY && task->rows == NULL) {
    task->rows = mp_myrows_new(task->statement->columns, 8);
    if (task->rows == NULL)
      mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  }
  fetch(ses);
}
