/* mariadb_run.c - running one request: prepare its statement, if that was not done before, and execute it.
** What was prepared is kept. Where the server has forgotten a statement, or its tables have changed, nothing has run, and
** it is prepared once more; where it has too many of them, the least used are given up, and one without parameters goes as text. */
#include "mariadb.h"

#include <stdio.h>
#include <string.h>

#define PARAMS_MAX 65535 /* the protocol counts them in 16 bits */
#define UNKNOWN_STATEMENT 1243
#define NO_SUCH_PROTOCOL 1295
#define TOO_MANY_STATEMENTS 1461
#define TABLES_CHANGED 1615
#define OTHER_COLUMNS 2057

static unsigned number_of(const mp_mysession *ses)
{
  unsigned number = mysql_stmt_errno(ses->task->statement->stmt);
  return number != 0 ? number : mysql_errno(ses->line.conn);
}

/* ---- what the server would not take ---- */

static size_t value_bytes(const mp_value *value)
{
  switch (value->kind) {
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
  case MP_JSON:
    return (size_t)value->len + 9;
  case MP_DECIMAL:
    return value->small ? 40 : (size_t)value->len + 9;
  case MP_INTERVAL:
    return MP_VALUE_TEXT_MAX + 9;
  default:
    return 13;
  }
}

size_t mp_mytask_row_bytes(const mp_request *req, size_t row)
{
  size_t n = (size_t)req->param_n, bytes = 3 * n + 16;
  for (size_t i = 0; i < n; i++)
    bytes += value_bytes(&req->params[row * n + i]);
  return bytes;
}

/* The server closes the connection of whoever sends it more than it takes. */
bool mp_mytask_fits(mp_mysession *ses, size_t bytes)
{
  char text[200];
  size_t max = ses->line.max_packet;
  if (max == 0 || bytes < max)
    return true;
  snprintf(text, sizeof text,
           "the statement takes %zu bytes on its way, and the server no more than %zu "
           "(max_allowed_packet): raise that, or send less at a time",
           bytes, max);
  mp_mytask_fail(ses->task, MP_E_QUERY_TOO_LARGE, text);
  return false;
}

static bool only_reads(const mp_mysession *ses)
{
  unsigned status = 0;
  mariadb_get_infov(ses->line.conn, MARIADB_CONNECTION_SERVER_STATUS, &status);
  return (status & SERVER_STATUS_IN_TRANS_READONLY) != 0;
}

static bool may_run(mp_mysession *ses)
{
  const mp_request *req = ses->task->req;
  char text[100];
  if (req->param_n > PARAMS_MAX) {
    snprintf(text, sizeof text, "a statement takes at most %d parameters, and %d were given",
             PARAMS_MAX, req->param_n);
    mp_mytask_fail(ses->task, MP_E_TOO_MANY_PARAMS, text);
    return false;
  }
  if (ses->base.tx == MP_TX_OPEN && !req->own_sql && mp_mysql_begins(req->sql)) {
    mp_mytask_fail(ses->task, MP_E_IMPLICIT_COMMIT,
                   "a transaction is open, which this statement would commit without a word to "
                   "begin another one: end it first, or nest blocks with atomic");
    return false;
  }
  /* One that only reads: the server refuses that in some ways of sending it, and in others commits, and does it. */
  if (ses->base.tx == MP_TX_OPEN && mp_mysql_defines(req->sql)) {
    if (only_reads(ses))
      mp_mytask_fail(ses->task, MP_E_READ_ONLY,
                     "the transaction only reads (read_only), and this statement would commit it");
    else
      mp_mytask_fail(ses->task, MP_E_IMPLICIT_COMMIT,
                     "this statement commits on MariaDB what the transaction did before: run it "
                     "outside of one, or on a connection of its own (db:connect())");
    return false;
  }
  return mp_mytask_fits(ses, req->sql_len + 1);
}

/* ---- beginning ---- */

static void find_statement(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  const mp_request *req = task->req;
  task->statement = mp_mycache_find(&ses->cache, req);
  if (task->statement == NULL) {
    task->statement = mp_mystatement_new(ses->line.conn, req);
    if (task->statement == NULL) {
      mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
      return;
    }
    task->statement->taints = !req->own_sql && mp_mysql_taints(req->sql);
  }
  task->statement->used = true;
  ses->base.tainted = ses->base.tainted || (task->statement->taints && req->op != MP_OP_PREPARE);
}

static void pinged(mp_mysession *ses)
{
  if (mp_mycall_failed(ses))
    mp_mysession_broken(ses, NULL);
  else
    mp_mytask_answer(ses);
}

static void set_again(mp_mysession *ses)
{
  if (mp_mycall_failed(ses)) {
    mp_mysession_broken(ses, NULL);
    return;
  }
  mp_mysession_note_status(ses);
  ses->base.tainted = false;
  mp_mytask_answer(ses);
}

static void was_reset(mp_mysession *ses)
{
  if (mp_mycall_failed(ses)) {
    mp_mysession_broken(ses, NULL);
    return;
  }
  mp_mycache_clear(&ses->cache); /* the server has dropped them all */
  mp_mytext_own(ses, mp_mydial_settings(ses->line.flavour), set_again);
}

/* One statement after the other: some blocks begin with two. */
static void begin_tx(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  const char *sql = task->rest, *end = strstr(sql, "; ");
  task->rest = end == NULL ? NULL : end + 2;
  mp_mytext_begin(ses, sql, end == NULL ? strlen(sql) : (size_t)(end - sql));
}

/* A KILL: one round trip, and nothing that comes back. */
static bool is_errand(const mp_request *req)
{
  return req->op == MP_OP_QUERY && req->own_sql && req->no_cache && req->param_n == 0;
}

void mp_mytask_begin(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  ses->asked_n = 0;
  switch (task->req->op) {
  case MP_OP_PING:
    mp_mycall_plain(ses, MP_MY_PING);
    ses->then = pinged;
    return;
  case MP_OP_RESET:
    task->sent = true;
    mp_mycall_plain(ses, MP_MY_RESET);
    ses->then = was_reset;
    return;
  case MP_OP_TX:
    if (task->rest == NULL)
      task->rest = task->req->sql;
    begin_tx(ses);
    return;
  case MP_OP_COPY_IN:
  case MP_OP_COPY_OUT:
  case MP_OP_LISTEN:
    mp_mytask_fail(task, MP_E_UNSUPPORTED, "MariaDB has no COPY and no LISTEN");
    break;
  default:
    if (may_run(ses) && is_errand(task->req)) {
      mp_mytext_begin(ses, task->req->sql, task->req->sql_len);
      return;
    }
    if (!task->failed)
      find_statement(ses);
    if (!task->failed) {
      mp_mytask_prepare(ses);
      return;
    }
  }
  mp_mytask_answer(ses);
}

/* ---- preparing ---- */

/* Once more with a new one. */
static void prepare_again(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  task->retried = true;
  task->failed = task->sent = false;
  task->req->error = MP_ERROR_NONE;
  mp_mycache_bury(&ses->cache, task->statement);
  task->statement->used = false;
  task->statement = NULL;
  find_statement(ses);
  mp_mysession_bury(ses, task->failed ? mp_mytask_answer : mp_mytask_prepare);
}

static bool describe(mp_mystatement *statement)
{
  int n = (int)mysql_stmt_field_count(statement->stmt);
  if (n == 0)
    return true;
  statement->columns = mp_mycolumns_new(mariadb_stmt_fetch_fields(statement->stmt), n);
  return statement->columns != NULL;
}

static void answer_description(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  task->req->param_n = (int)mysql_stmt_param_count(task->statement->stmt);
  if (task->statement->columns != NULL) {
    task->rows = mp_myrows_new(task->statement->columns, 1);
    if (task->rows == NULL)
      mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  }
  mp_mytask_answer(ses);
}

static void run(mp_mysession *ses);

static void go_on(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (task->req->op == MP_OP_PREPARE) {
    answer_description(ses);
  } else if (task->stopping) {
    mp_mytask_fail(task, task->req->stop, "stopped before it was run");
    mp_mytask_answer(ses);
  } else if (task->req->op == MP_OP_MANY) {
    mp_mymany_begin(ses);
  } else {
    run(ses);
  }
}

static void not_prepared(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  unsigned number = number_of(ses);
  bool as_text = task->req->param_n == 0 && task->req->op != MP_OP_PREPARE;
  if (number == TOO_MANY_STATEMENTS && !task->retried && mp_mycache_evict(&ses->cache)) {
    for (int n = ses->cache.n / 2; n > 0; n--)
      mp_mycache_evict(&ses->cache);
    task->retried = true;
    mp_mysession_bury(ses, mp_mytask_prepare);
  } else if (as_text && (number == NO_SUCH_PROTOCOL || number == TOO_MANY_STATEMENTS)) {
    mp_mytext_begin(ses, task->req->sql, task->req->sql_len);
  } else if (mp_mytask_note_error(ses, task->statement->stmt)) {
    mp_mytask_answer(ses);
  }
}

static void prepared(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mp_mycall_failed(ses)) {
    not_prepared(ses);
    return;
  }
  task->statement->prepared = true;
  if (!describe(task->statement)) {
    mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    mp_mytask_answer(ses);
    return;
  }
  if (!task->req->no_cache && !task->statement->text.cursor)
    mp_mycache_keep(&ses->cache, task->statement);
  go_on(ses);
}

void mp_mytask_prepare(mp_mysession *ses)
{
  if (ses->task->statement->prepared) {
    go_on(ses);
    return;
  }
  mp_mycall_prepare(ses, ses->task->statement);
  ses->then = prepared;
}

/* ---- executing ---- */

bool mp_mytask_count_matches(mp_mytask *task)
{
  int wanted = (int)mysql_stmt_param_count(task->statement->stmt);
  char text[80];
  if (wanted == task->req->param_n)
    return true;
  snprintf(text, sizeof text, "the statement has %d parameters, and %d were given", wanted,
           task->req->param_n);
  mp_mytask_fail(task, MP_E_BAD_PARAMETERS, text);
  return false;
}

bool mp_mytask_param(mp_mytask *task, size_t row, int i, mp_arena *arena, MYSQL_BIND *out)
{
  mp_request *req = task->req;
  mp_error why = MP_ERROR_NONE;
  if (mp_mytype_param(&req->params[row * (size_t)req->param_n + (size_t)i], arena, out, &why))
    return true;
  task->failed = true;
  if (req->op == MP_OP_MANY)
    mp_error_set(&req->error, req->arena, why.kind, "row %zu, parameter %d: %s",
                 req->rows_before + row + 1, i + 1, why.message);
  else
    mp_error_set(&req->error, req->arena, why.kind, "parameter %d: %s", i + 1, why.message);
  if (req->op == MP_OP_MANY)
    req->error.row = req->rows_before + row + 1;
  return false;
}

bool mp_mytask_bind(mp_mysession *ses, size_t row, mp_arena *arena)
{
  mp_mytask *task = ses->task;
  const mp_request *req = task->req;
  MYSQL_STMT *stmt = task->statement->stmt;
  int n = req->param_n;
  MYSQL_BIND *binds;
  if (n == 0)
    return true;
  if (!mp_mytask_fits(ses, mp_mytask_row_bytes(req, row)))
    return false;
  binds = mp_arena_alloc(arena, (size_t)n * sizeof *binds);
  if (binds == NULL) {
    mp_mytask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
    return false;
  }
  for (int i = 0; i < n; i++)
    if (!mp_mytask_param(task, row, i, arena, &binds[i]))
      return false;
  if (mysql_stmt_bind_param(stmt, binds) == 0)
    return true;
  mp_mytask_fail(task, MP_E_INTERNAL, mysql_stmt_error(stmt));
  return false;
}

void mp_mytask_execute(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  /* A write that gives rows back must not fail, having been done, because they have other columns than it was prepared
  ** with: as for CALL, the columns are those that come. */
  if (task->statement->columns != NULL && !task->statement->reads)
    task->statement->stmt->field_count = 0;
  if (task->statement->text.cursor) {
    unsigned long rows_n = (unsigned long)mp_mytask_room(task);
    mysql_stmt_attr_set(task->statement->stmt, STMT_ATTR_PREFETCH_ROWS, &rows_n);
    task->statement->stmt->cursor_exists = 0; /* the library only ever sets it */
  }
  task->sent = true;
  mp_mycall_statement(ses, MP_MY_EXECUTE, task->statement->stmt);
  ses->then = mp_mytask_executed;
}

static void run(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (mp_mytask_count_matches(task) && mp_mytask_bind(ses, 0, task->req->arena))
    mp_mytask_execute(ses);
  else
    mp_mytask_answer(ses);
}

/* Did it fail because it has to be prepared anew, so that nothing ran, or nothing that matters? */
static bool is_outdated(const mp_mysession *ses)
{
  const mp_mytask *task = ses->task;
  unsigned number = number_of(ses);
  if (task->retried || task->req->stop != MP_OK)
    return false;
  return number == UNKNOWN_STATEMENT || number == TABLES_CHANGED ||
         (number == OTHER_COLUMNS && task->statement->reads);
}

/* Closing the statement throws away rows that have come and cannot be read, and those that its cursor has. */
void mp_mytask_give_up(mp_mysession *ses)
{
  mp_mystatement *statement = ses->task->statement;
  ses->task->statement = NULL;
  statement->used = false;
  mp_mycache_bury(&ses->cache, statement);
  mp_mysession_bury(ses, mp_mytask_end);
}

void mp_mytask_executed(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  mp_request *req = task->req;
  MYSQL_STMT *stmt = task->statement->stmt;
  if (mp_mycall_failed(ses) && is_outdated(ses)) {
    prepare_again(ses);
  } else if (mp_mycall_failed(ses) && task->bulk && number_of(ses) == NO_SUCH_PROTOCOL) {
    mp_mymany_one_by_one(ses);
  } else if (mp_mycall_failed(ses)) {
    bool unread = number_of(ses) == OTHER_COLUMNS;
    if (!mp_mytask_note_error(ses, stmt))
      return;
    if (unread)
      mp_mytask_give_up(ses);
    else
      mp_myrow_find(ses);
  } else if (mysql_field_count(ses->line.conn) > 0) {
    mp_mystream_begin(ses);
  } else {
    my_ulonglong affected = mysql_stmt_affected_rows(stmt);
    if (!task->had_rows && affected != MYSQL_COUNT_ERROR)
      req->affected += (int64_t)affected;
    if (mysql_stmt_insert_id(stmt) != 0)
      req->last_id = (int64_t)mysql_stmt_insert_id(stmt);
    if (mysql_stmt_more_results(stmt))
      mp_mystream_begin(ses);
    else
      mp_mytask_executed_all(ses);
  }
}

void mp_mytask_executed_all(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  if (task->had_rows && task->statement->changes)
    task->req->affected += (int64_t)task->seen_n; /* what it gives back was changed */
  if (task->req->op == MP_OP_MANY && !task->failed)
    mp_mymany_on(ses);
  else
    mp_mytask_end(ses);
}
