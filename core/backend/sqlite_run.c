/* sqlite_run.c - one turn of a request on the database handle.
** Runs on the session's own thread, or on the loop's with a budget. Every statement is reset
** before the turn ends, but for a stream that stands on a row. Whether it writes and whether a
** transaction is open is asked of SQLite each time. */
#include "sqlite.h"

#include <string.h>

#define CHUNK_ROWS                                                                                 \
  256 /* of the first chunk, then twice as many each time: the first row comes soon, */
#define CHUNK_ROWS_MAX 2048 /* and a long stream does not travel to the thread and back too often */
#define CHUNK_BYTES 131072
#define SLOW_RUNS 32 /* so many runs on the thread before a slow statement is tried inline again */

typedef mp_sqlite_statement statement_t;

/* A turn that has to go on: not an outcome. */
#define GO_ON ((mp_sqlite_turn)-1)

/* ---- how a turn ends ---- */

static void drop_statement(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  if (job->statement == NULL)
    return;
  mp_sqlite_give_back(engine, job->statement);
  job->statement = NULL;
}

static void drop_results(mp_sqlite_job *job)
{
  while (job->result != NULL) {
    mp_sqlite_result *next = *mp_sqlite_result_next(job->result);
    mp_result_free(mp_sqlite_result_view(job->result));
    job->result = next;
  }
}

/* The turn has failed with an SQLite code, or with the error that is in the job already. */
static mp_sqlite_turn fail(mp_sqlite_engine *engine, mp_sqlite_job *job, int code)
{
  mp_sqlite_turn turn = MP_SQLITE_OVER;
  if (job->error.kind == MP_OK) {
    if (code == SQLITE_INTERRUPT && engine->over_budget)
      turn = MP_SQLITE_SLOW;
    else if (code == SQLITE_INTERRUPT)
      job->interrupted = true;
    else if (!job->started && mp_sqlite_is_locked(code, sqlite3_errmsg(engine->db)))
      turn = MP_SQLITE_LOCKED;
    else
      mp_sqlite_error(&job->error, &job->arena, engine->db, code);
  }
  drop_results(job);
  if (job->statement != NULL) /* what it took so far is not of the next run */
    sqlite3_stmt_status(job->statement->stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
  drop_statement(engine, job);
  return turn;
}

static mp_sqlite_turn refuse(mp_sqlite_engine *engine, mp_sqlite_job *job, mp_status kind,
                             const char *message)
{
  mp_sqlite_fail(&job->error, &job->arena, kind, "%s", message);
  return fail(engine, job, SQLITE_ERROR);
}

void mp_sqlite_give_up(mp_sqlite_job *job, uint64_t waited_ns)
{
  mp_sqlite_fail(&job->error, &job->arena, MP_E_BUSY,
                 "the database is locked by another connection (waited %.1f s)",
                 (double)waited_ns / 1e9);
  job->error.retryable = MP_RETRY_TRANSACTION;
  job->error.code = SQLITE_BUSY;
  if (job->req->op == MP_OP_RESET)
    job->error.verdict = MP_DESTROY;
  job->turn = MP_SQLITE_OVER;
}

/* ---- the statement of a request ---- */

static bool is_idle(mp_sqlite_engine *engine)
{
  return sqlite3_get_autocommit(engine->db) != 0;
}

static mp_sqlite_turn take_statement(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  const mp_request *req = job->req;
  if (job->statement != NULL) { /* found by mp_sqlite_is_quick */
    job->statement->busy = true;
    mp_list_remove(&job->statement->node);
    mp_list_push_front(&engine->cached, &job->statement->node);
    return GO_ON;
  }
  int code = mp_sqlite_prepare(engine, req, &job->statement, &job->arena, &job->error);
  return code == SQLITE_OK ? GO_ON : fail(engine, job, code);
}

static mp_sqlite_turn check_statement(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  const mp_request *req = job->req;
  const statement_t *statement = job->statement;
  if (req->param_n != statement->param_n) {
    mp_sqlite_fail(&job->error, &job->arena, MP_E_BAD_PARAMETERS,
                   "the statement takes %d parameter%s, %d given", statement->param_n,
                   statement->param_n == 1 ? "" : "s", req->param_n);
    return fail(engine, job, SQLITE_ERROR);
  }
  if (statement->readonly)
    return GO_ON;
  if (engine->read_only_block)
    return refuse(engine, job, MP_E_READ_ONLY,
                  "the statement writes, and the transaction is read-only");
  if (req->op != MP_OP_TX && req->access != MP_ACCESS_WRITE && is_idle(engine)) {
    job->needs_writer = true;
    return refuse(engine, job, MP_E_READ_ONLY, "the statement writes, and needs the writer");
  }
  return GO_ON;
}

static mp_sqlite_turn prepare_to_run(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  mp_sqlite_turn turn = take_statement(engine, job);
  if (turn == GO_ON)
    turn = check_statement(engine, job);
  if (turn != GO_ON)
    return turn;
  if (job->statement->taints)
    engine->tainted = true;
  const mp_request *req = job->req;
  if (!mp_sqlite_bind(job->statement->stmt, req->params, req->param_n, &job->arena, &job->error))
    return fail(engine, job, SQLITE_ERROR);
  return GO_ON;
}

static int step(mp_sqlite_engine *engine, statement_t *statement)
{
  if (!statement->vacuum)
    return sqlite3_step(statement->stmt);
  /* VACUUM attaches a database of its own */
  sqlite3_limit(engine->db, SQLITE_LIMIT_ATTACHED, 1);
  int code = sqlite3_step(statement->stmt);
  sqlite3_limit(engine->db, SQLITE_LIMIT_ATTACHED, 0);
  return code;
}

/* ---- rows ---- */

/* A read just ends. A write is interrupted, so that SQLite undoes it: half a write is none. */
static mp_sqlite_turn too_large(mp_sqlite_engine *engine, mp_sqlite_job *job, const char *what,
                                size_t limit)
{
  mp_sqlite_fail(&job->error, &job->arena, MP_E_RESULT_TOO_LARGE, "the result has more than %zu %s",
                 limit, what);
  job->error.sent = true;
  if (!job->statement->readonly) {
    sqlite3_interrupt(engine->db);
    sqlite3_step(job->statement->stmt);
  }
  return fail(engine, job, SQLITE_ERROR);
}

/* A new result behind last (NULL: the first). */
static mp_sqlite_result *add_result(mp_sqlite_job *job, mp_sqlite_result *last)
{
  mp_sqlite_columns *columns = mp_sqlite_statement_columns(job->statement);
  mp_sqlite_result *added = columns != NULL ? mp_sqlite_result_new(columns) : NULL;
  *(last != NULL ? mp_sqlite_result_next(last) : &job->result) = added;
  return added;
}

static size_t default_chunk(size_t rows_before)
{
  size_t rows = rows_before + CHUNK_ROWS; /* 256, 512, 1024, ... */
  return rows < CHUNK_ROWS_MAX ? rows : CHUNK_ROWS_MAX;
}

/* Take the rows: all of them, or a chunk of a stream. A stream that writes is run to its end at
** once, because nothing can be committed while it stands, and its chunks are kept. */
static mp_sqlite_turn take_rows(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  const mp_request *req = job->req;
  statement_t *statement = job->statement;
  bool chunks = req->op == MP_OP_STREAM;
  size_t chunk_rows = req->chunk_rows > 0 ? req->chunk_rows : default_chunk(job->row_n);
  mp_sqlite_result *last = NULL;
  int code;
  while ((code = step(engine, statement)) == SQLITE_ROW) {
    if (req->max_rows > 0 && job->row_n >= req->max_rows)
      return too_large(engine, job, "rows", req->max_rows);
    if (last == NULL && (last = add_result(job, NULL)) == NULL)
      return fail(engine, job, SQLITE_NOMEM);
    size_t before = mp_sqlite_result_bytes(last);
    if (!mp_sqlite_result_add(last, statement->stmt))
      return fail(engine, job, SQLITE_NOMEM);
    size_t bytes = mp_sqlite_result_bytes(last);
    job->row_n++;
    job->bytes += bytes - before;
    if (req->max_bytes > 0 && job->bytes > req->max_bytes)
      return too_large(engine, job, "bytes", req->max_bytes);
    if (engine->rounds_left >= 0 && bytes > MP_SQLITE_INLINE_BYTES) {
      engine->over_budget = true;
      return fail(engine, job, SQLITE_INTERRUPT);
    }
    if (chunks && (mp_sqlite_result_row_n(last) >= chunk_rows || bytes >= CHUNK_BYTES)) {
      job->started = true;
      if (statement->readonly)
        return MP_SQLITE_CHUNK;
      if ((last = add_result(job, last)) == NULL)
        return fail(engine, job, SQLITE_NOMEM);
    }
  }
  if (code != SQLITE_DONE)
    return fail(engine, job, code);
  if (job->result == NULL && add_result(job, NULL) == NULL)
    return fail(engine, job, SQLITE_NOMEM);
  return GO_ON;
}

static void measure(mp_sqlite_job *job)
{
  statement_t *statement = job->statement;
  job->steps = sqlite3_stmt_status(statement->stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
  statement->steps =
      statement->measured ? (int)(((int64_t)statement->steps * 3 + job->steps) / 4) : job->steps;
  statement->measured = true;
  if (statement->slow_runs > 0)
    statement->slow_runs--;
}

static void note_changes(mp_sqlite_engine *engine, mp_sqlite_job *job, int64_t total_before)
{
  /* the count of the last INSERT, UPDATE or DELETE stays when another statement runs */
  if (job->statement->readonly || sqlite3_total_changes64(engine->db) == total_before)
    return;
  job->affected = sqlite3_changes64(engine->db);
  if (job->statement->inserts)
    job->last_id = sqlite3_last_insert_rowid(engine->db);
}

/* ---- the operations ---- */

static mp_sqlite_turn query(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  mp_sqlite_turn turn = prepare_to_run(engine, job);
  if (turn != GO_ON)
    return turn;
  int64_t total = sqlite3_total_changes64(engine->db);
  turn = take_rows(engine, job);
  if (turn != GO_ON)
    return turn;
  note_changes(engine, job, total);
  measure(job);
  drop_statement(engine, job);
  return MP_SQLITE_OVER;
}

static mp_sqlite_turn stream(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  bool first = job->statement == NULL;
  mp_sqlite_turn turn = first ? prepare_to_run(engine, job) : GO_ON;
  if (turn != GO_ON)
    return turn;
  int64_t total = sqlite3_total_changes64(engine->db);
  turn = take_rows(engine, job);
  if (turn != GO_ON)
    return turn;
  note_changes(engine, job, total);
  drop_statement(engine, job);
  job->exhausted = true;
  return job->row_n > 0 && mp_sqlite_result_row_n(job->result) > 0 ? MP_SQLITE_CHUNK
                                                                   : MP_SQLITE_OVER;
}

static int run_text(mp_sqlite_engine *engine, const char *sql)
{
  return sqlite3_exec(engine->db, sql, NULL, NULL, NULL);
}

/* The rows of parameters one by one. An SQLite code; the job's error may be filled. at: the row that failed, from 1. */
static int run_rows(mp_sqlite_engine *engine, mp_sqlite_job *job, size_t *at)
{
  const mp_request *req = job->req;
  sqlite3_stmt *stmt = job->statement->stmt;
  int64_t affected = 0;
  for (size_t row = 0; row < req->param_rows; row++) {
    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
      return SQLITE_INTERRUPT;
    *at = row + 1;
    if (!mp_sqlite_bind(stmt, req->params + row * (size_t)req->param_n, req->param_n, &job->arena,
                        &job->error))
      return SQLITE_ERROR;
    int64_t total = sqlite3_total_changes64(engine->db);
    int code = sqlite3_step(stmt);
    while (code == SQLITE_ROW)
      code = sqlite3_step(stmt);
    if (code != SQLITE_DONE)
      return code;
    job->affected = 0;
    note_changes(engine, job, total);
    affected += job->affected;
    sqlite3_reset(stmt);
  }
  job->affected = affected;
  *at = 0;
  return SQLITE_OK;
}

/* All rows or none: outside a transaction they get one of their own. */
static mp_sqlite_turn many(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  mp_sqlite_turn turn = take_statement(engine, job);
  if (turn == GO_ON)
    turn = check_statement(engine, job);
  if (turn != GO_ON)
    return turn;
  bool own = is_idle(engine) && !job->statement->readonly && job->req->param_rows > 1;
  int code = own ? run_text(engine, "BEGIN IMMEDIATE") : SQLITE_OK;
  size_t at = 0;
  if (code == SQLITE_OK)
    code = run_rows(engine, job, &at);
  if (code == SQLITE_OK && own)
    code = run_text(engine, "COMMIT");
  if (code != SQLITE_OK) {
    bool was_own = own && !is_idle(engine);
    turn = fail(engine, job, code);
    if (at > 0)
      job->error.row = job->req->rows_before + at;
    if (was_own)
      run_text(engine, "ROLLBACK"); /* what it cannot undo the connection's end does */
    return turn;
  }
  drop_statement(engine, job);
  return MP_SQLITE_OVER;
}

static mp_sqlite_turn prepare(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  mp_sqlite_turn turn = take_statement(engine, job);
  if (turn != GO_ON)
    return turn;
  if (add_result(job, NULL) == NULL)
    return fail(engine, job, SQLITE_NOMEM);
  job->param_n = job->statement->param_n;
  drop_statement(engine, job);
  return MP_SQLITE_OVER;
}

static mp_sqlite_turn transaction(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  const mp_request *req = job->req;
  mp_sqlite_turn turn = query(engine, job);
  if (turn == MP_SQLITE_OVER && job->error.kind == MP_OK && !job->interrupted &&
      req->tx_op == MP_TXO_BEGIN)
    engine->read_only_block = req->tx_options != NULL && req->tx_options->read_only;
  return turn;
}

static mp_sqlite_turn ping(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  int code = run_text(engine, "PRAGMA schema_version"); /* reads the file's first page */
  return code == SQLITE_OK ? MP_SQLITE_OVER : fail(engine, job, code);
}

static mp_sqlite_turn turn_of(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  if (atomic_load_explicit(&job->stop, memory_order_relaxed))
    return fail(engine, job, SQLITE_INTERRUPT);
  if (job->req->op == MP_OP_RESET)
    return mp_sqlite_restore(engine, &job->arena, &job->error);
  if (engine->db == NULL) {
    mp_sqlite_fail(&job->error, &job->arena, MP_E_CONNECTION_LOST,
                   "the database could not be opened again");
    job->error.verdict = MP_DESTROY;
    return MP_SQLITE_OVER;
  }
  if (is_idle(engine))
    engine->read_only_block = false;
  switch (job->req->op) {
  case MP_OP_QUERY:
    return query(engine, job);
  case MP_OP_STREAM:
    return stream(engine, job);
  case MP_OP_MANY:
    return many(engine, job);
  case MP_OP_PREPARE:
    return prepare(engine, job);
  case MP_OP_TX:
    return transaction(engine, job);
  case MP_OP_PING:
    return ping(engine, job);
  case MP_OP_RESET:
    break;
  case MP_OP_COPY_IN:
  case MP_OP_COPY_OUT:
  case MP_OP_LISTEN:
    mp_sqlite_fail(&job->error, &job->arena, MP_E_UNSUPPORTED, "SQLite has no COPY and no LISTEN");
    break;
  }
  return MP_SQLITE_OVER;
}

mp_sqlite_turn mp_sqlite_run(mp_sqlite_engine *engine, mp_sqlite_job *job, int budget_steps)
{
  statement_t *tried = job->statement;
  job->steps = 0;
  engine->job = job;
  engine->rounds_left = budget_steps > 0 ? budget_steps / 1000 : -1;
  engine->over_budget = false;
  job->turn = turn_of(engine, job);
  engine->job = NULL;
  if (job->turn == MP_SQLITE_SLOW || job->turn == MP_SQLITE_LOCKED)
    job->row_n = job->bytes = 0;
  if (job->turn == MP_SQLITE_SLOW) {
    tried->slow_runs = SLOW_RUNS;
    job->steps = budget_steps;
  }
  job->tx = engine->db == NULL || is_idle(engine) ? MP_TX_IDLE : MP_TX_OPEN;
  job->tainted = engine->tainted;
  return job->turn;
}

/* BEGIN touches the file as a read does (and asks for a lock, without waiting); a savepoint inside a
** transaction is made and released in memory. Going back and COMMIT may take any time. */
static bool is_small_step_of_transaction(mp_sqlite_engine *engine, const mp_request *req)
{
  if (req->op != MP_OP_TX || engine->db == NULL)
    return false;
  if (req->tx_op == MP_TXO_BEGIN)
    return is_idle(engine);
  return (req->tx_op == MP_TXO_SAVEPOINT || req->tx_op == MP_TXO_RELEASE) && !is_idle(engine);
}

bool mp_sqlite_is_quick(mp_sqlite_engine *engine, mp_sqlite_job *job)
{
  const mp_request *req = job->req;
  bool small = is_small_step_of_transaction(engine, req);
  if (req->op != MP_OP_QUERY && !small)
    return false;
  statement_t *found = mp_sqlite_find(engine, req);
  if (found == NULL || found->busy || !(found->readonly || small) || !found->measured ||
      found->slow_runs > 0 || found->steps > MP_SQLITE_SMALL_STEPS)
    return false;
  job->statement = found;
  return true;
}
