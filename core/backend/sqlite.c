/* sqlite.c - a session on an SQLite database, as its connection sees it.
** Runs on the loop's thread. Hands requests to the session's own thread and answers them when
** they come back. A read whose statement is known to be small runs right here while the thread
** is idle, under a budget of steps: a trip to the thread costs several times as much. Never
** waits. */
#include "sqlite.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 64

typedef struct session {
  mp_session base; /* first: a session is cast to it */
  mp_sqlite_engine engine;
  mp_sqlite_thread thread;
  mp_sqlite_job jobs[DEPTH];
  mp_list free, waiting, standing, ended; /* the others are with the thread */
  int given_n;
  bool closing;
} session;

static session *session_of(mp_session *base)
{
  return (session *)(void *)base;
}

static const session *const_session_of(const mp_session *base)
{
  return (const session *)(const void *)base;
}

static mp_sqlite_job *first_of(mp_list *list)
{
  return mp_container_of(list->next, mp_sqlite_job, node);
}

static void move(session *s, mp_sqlite_job *job, mp_sqlite_place to)
{
  mp_list *lists[] = {&s->free, &s->waiting, NULL, &s->standing, &s->ended};
  mp_list_remove(&job->node);
  job->place = to;
  if (lists[to] != NULL)
    mp_list_push_back(lists[to], &job->node);
}

/* ---- opening and closing ---- */

static mp_status open_session(mp_session **out, const mp_config *config, const char *password,
                              mp_waker *waker)
{
  (void)password; /* a file has none */
  session *s = calloc(1, sizeof *s);
  if (s == NULL)
    return MP_E_OUT_OF_MEMORY;
  mp_status st = mp_sqlite_engine_init(&s->engine, config);
  if (st == MP_OK) {
    st = mp_sqlite_thread_init(&s->thread, &s->engine, waker);
    if (st != MP_OK)
      mp_sqlite_engine_free(&s->engine);
  }
  if (st != MP_OK) {
    free(s);
    return st;
  }
  s->base = (mp_session){
      .backend = &mp_backend_sqlite, .config = config, .waker = waker, .state = MP_SES_CONNECTING};
  mp_list_init(&s->free);
  mp_list_init(&s->waiting);
  mp_list_init(&s->standing);
  mp_list_init(&s->ended);
  for (int i = 0; i < DEPTH; i++) {
    mp_list_init(&s->jobs[i].node);
    move(s, &s->jobs[i], MP_SQLITE_FREE);
  }
  *out = &s->base;
  return MP_OK;
}

static void connect(session *s)
{
  if (!s->thread.started ? mp_sqlite_thread_start(&s->thread)
                         : !mp_sqlite_thread_opened(&s->thread))
    return;
  s->base.error = s->thread.error;
  s->base.state = s->thread.error.kind == MP_OK ? MP_SES_READY : MP_SES_LOST;
}

static void lose(session *s, mp_sqlite_job *job)
{
  job->lost = true;
  job->statement = NULL; /* the thread finalizes all statements when it ends */
  move(s, job, MP_SQLITE_ENDED);
}

static void lose_all(session *s, mp_list *jobs)
{
  while (!mp_list_empty(jobs))
    lose(s, first_of(jobs));
}

static void close_session(mp_session *base)
{
  session *s = session_of(base);
  mp_list unbegun;
  if (s->closing)
    return;
  s->closing = true;
  mp_list_init(&unbegun);
  s->given_n -= mp_sqlite_thread_quit(&s->thread, &unbegun);
  lose_all(s, &unbegun);
  lose_all(s, &s->waiting);
  lose_all(s, &s->standing);
}

static void free_session(mp_session *base)
{
  session *s = session_of(base);
  if (s == NULL)
    return;
  mp_sqlite_thread_free(&s->thread);
  mp_sqlite_engine_free(&s->engine);
  free(s);
}

/* ---- answering ---- */

/* The error of a request that was stopped, or whose session was closed. */
static void set_end(mp_sqlite_job *job, bool sent)
{
  mp_request *req = job->req;
  if (job->lost)
    mp_error_set(&req->error, req->arena, MP_E_CONNECTION_LOST, "the connection was closed");
  else if (req->stop == MP_E_TIMEOUT)
    mp_error_set(&req->error, req->arena, MP_E_TIMEOUT,
                 "the statement ran longer than its limit of %.3g s",
                 (double)req->timeout_ns / 1e9);
  else
    mp_error_set(&req->error, req->arena, req->stop != MP_OK ? req->stop : MP_E_CANCELLED,
                 "the statement was stopped");
  req->error.sent = sent;
}

static mp_result *next_result(mp_sqlite_job *job)
{
  mp_sqlite_result *result = job->result;
  if (result == NULL)
    return NULL;
  job->result = *mp_sqlite_result_next(result);
  return mp_sqlite_result_view(result);
}

static void release(session *s, mp_sqlite_job *job)
{
  for (mp_result *result; (result = next_result(job)) != NULL;)
    mp_result_free(result);
  mp_arena_free(job->arena);
  job->req->backend_data = NULL;
  move(s, job, MP_SQLITE_FREE);
}

/* How its latest turn left the session. Once: a stream that has stood since then knows nothing of what
** others have begun and ended meanwhile. */
static void note_state(session *s, mp_sqlite_job *job)
{
  if (job->noted_n == job->turn_n)
    return;
  job->noted_n = job->turn_n;
  s->base.tx = job->tx;
  s->base.tainted = job->tainted;
}

static void finish(session *s, mp_sqlite_job *job)
{
  mp_request *req = job->req;
  bool failed = job->error.kind != MP_OK, ran = job->turn_n > 0;
  note_state(s, job);
  mp_result_free(mp_request_take_result(req));
  req->error = MP_ERROR_NONE;
  req->affected = req->last_id = 0;
  req->needs_writer = job->needs_writer;
  if (job->interrupted || job->lost) {
    set_end(job, ran);
  } else if (failed) {
    mp_error_copy(&req->error, req->arena, &job->error);
  } else {
    req->affected = job->affected;
    req->last_id = job->last_id;
    if (req->op == MP_OP_PREPARE)
      req->param_n = job->param_n;
    req->result = next_result(job);
  }
  release(s, job);
  mp_request_finish(req);
}

/* Answer what has ended. True: something was, and callbacks may have brought more to do. */
static bool answer(session *s)
{
  bool any = false;
  while (!mp_list_empty(&s->ended)) {
    mp_sqlite_job *job = first_of(&s->ended);
    mp_request *req = job->req;
    any = true;
    if (job->turn != MP_SQLITE_CHUNK || job->lost) {
      finish(s, job);
    } else if (atomic_load_explicit(&job->stop, memory_order_relaxed)) {
      job->interrupted = true;
      if (job->statement != NULL)
        move(s, job, MP_SQLITE_WAITING); /* whose turn lets go of the statement */
      else
        finish(s, job);
    } else {
      note_state(s, job);
      move(s, job, MP_SQLITE_STANDING);
      req->result = next_result(job);
      req->on_chunk(req);
    }
  }
  return any;
}

/* ---- running ---- */

static void collect(session *s)
{
  mp_list done;
  mp_list_init(&done);
  s->given_n -= mp_sqlite_thread_take(&s->thread, &done);
  while (!mp_list_empty(&done)) {
    mp_sqlite_job *job = first_of(&done);
    job->turn_n++;
    if (s->closing && (job->interrupted || job->turn == MP_SQLITE_CHUNK))
      lose(s, job);
    else
      move(s, job, MP_SQLITE_ENDED);
  }
}

/* Run it here, while the thread is idle. False: it has to go to the thread. */
static bool run_here(session *s, mp_sqlite_job *job, int *budget_steps)
{
  bool stopped = atomic_load_explicit(&job->stop, memory_order_relaxed);
  if (!stopped &&
      (*budget_steps <= 0 || !s->base.config->inline_reads || !mp_sqlite_is_quick(&s->engine, job)))
    return false;
  mp_sqlite_turn turn = mp_sqlite_run(&s->engine, job, stopped ? 1 : *budget_steps);
  *budget_steps -= job->steps + 50; /* a run costs more than its steps */
  if (turn == MP_SQLITE_SLOW || turn == MP_SQLITE_LOCKED)
    return false;
  if (job->counted)
    mp_sqlite_thread_count(&s->thread, job);
  job->turn_n++;
  move(s, job, MP_SQLITE_ENDED);
  return true;
}

static void start(session *s, int *budget_steps)
{
  mp_list given;
  mp_list_init(&given);
  while (!mp_list_empty(&s->waiting)) {
    mp_sqlite_job *job = first_of(&s->waiting);
    if (s->given_n == 0 && run_here(s, job, budget_steps))
      continue;
    move(s, job, MP_SQLITE_GIVEN);
    mp_list_push_back(&given, &job->node);
    s->given_n++;
  }
  if (!mp_list_empty(&given))
    mp_sqlite_thread_give(&s->thread, &given);
}

static void step(mp_session *base, unsigned events, mp_wants *wants)
{
  session *s = session_of(base);
  int budget_steps = MP_SQLITE_INLINE_STEPS;
  (void)events;
  if (base->state == MP_SES_CONNECTING && !s->closing)
    connect(s);
  if (s->given_n > 0)
    collect(s);
  do
    start(s, &budget_steps);
  while (answer(s));
  if (s->closing && s->given_n == 0 && mp_sqlite_thread_gone(&s->thread))
    base->state = MP_SES_CLOSED;
  *wants = (mp_wants){
      .fd = -1,
      .work = s->given_n > 0 || base->state == MP_SES_CONNECTING ||
              (s->closing && base->state != MP_SES_CLOSED),
  };
}

static void submit(mp_session *base, mp_request *req)
{
  session *s = session_of(base);
  mp_sqlite_job *job = first_of(&s->free);
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_list_remove(&job->node);
  memset(job, 0, sizeof *job); /* an atomic_bool of zeros is false */
  mp_list_init(&job->node);
  job->req = req;
  job->tx = s->base.tx;
  req->backend_data = job;
  move(s, job, MP_SQLITE_WAITING);
  if (s->closing)
    lose(s, job);
}

static void cancel(mp_session *base, mp_request *req)
{
  session *s = session_of(base);
  mp_sqlite_job *job = req->backend_data;
  if (job == NULL || job->lost)
    return;
  if (job->place == MP_SQLITE_GIVEN) {
    if (!mp_sqlite_thread_stop(&s->thread, job))
      return; /* it comes back by itself */
    s->given_n--;
    move(s, job, MP_SQLITE_WAITING);
  }
  atomic_store_explicit(&job->stop, true, memory_order_relaxed);
  if (job->place == MP_SQLITE_WAITING || job->place == MP_SQLITE_STANDING) {
    job->turn = MP_SQLITE_OVER;
    job->interrupted = true;
    /* a statement that stands is let go by a turn of its own */
    move(s, job, job->counted ? MP_SQLITE_WAITING : MP_SQLITE_ENDED);
  }
}

static void more(mp_session *base, mp_request *req)
{
  session *s = session_of(base);
  mp_sqlite_job *job = req->backend_data;
  if (job == NULL || job->place != MP_SQLITE_STANDING)
    return;
  mp_result_free(mp_request_take_result(req));
  bool kept = job->result != NULL && mp_sqlite_result_row_n(job->result) > 0;
  if (!job->exhausted && !kept) {
    move(s, job, MP_SQLITE_WAITING);
    return;
  }
  job->turn = kept ? MP_SQLITE_CHUNK : MP_SQLITE_OVER;
  move(s, job, MP_SQLITE_ENDED);
}

/* ---- questions ---- */

static int depth(const mp_session *base)
{
  (void)base;
  return DEPTH;
}

static bool settled(const mp_session *base)
{
  const session *s = const_session_of(base);
  return s->given_n == 0 && mp_list_empty(&s->waiting) && mp_list_empty(&s->standing) &&
         mp_list_empty(&s->ended);
}

/* Nothing is given to the thread, so the engine is the loop's. */
static void adopt(mp_session *base)
{
  session_of(base)->engine.tainted = false;
}

static bool begin_sql(const mp_config *config, const mp_txoptions *options, bool write,
                      char sql[MP_TX_SQL_MAX], mp_error *err)
{
  (void)config;
  if (options != NULL && options->deferrable) {
    mp_error_set(err, NULL, MP_E_UNSUPPORTED, "deferrable");
    err->message = "SQLite has no deferrable transactions";
    return false;
  }
  /* every transaction is serializable here, which satisfies each level. A writer takes its lock
  ** at the beginning: one that began as a reader could not become a writer once another has
  ** committed. */
  bool reader = !write || (options != NULL && options->read_only);
  strcpy(sql, reader ? "BEGIN" : "BEGIN IMMEDIATE");
  return true;
}

static bool is_memory(const mp_config *config)
{
  return config->database[0] == '\0' || strcmp(config->database, ":memory:") == 0;
}

/* Real even before the file exists: then by its directory. */
static const char *identity(const mp_config *config, mp_arena *arena)
{
  char real[PATH_MAX];
  if (is_memory(config))
    return NULL;
  if (realpath(config->database, real) != NULL)
    return mp_arena_strdup(arena, real);
  const char *slash = strrchr(config->database, '/');
  const char *name = slash != NULL ? slash + 1 : config->database;
  char *directory =
      slash == NULL ? mp_arena_strdup(arena, ".")
      : slash == config->database
          ? mp_arena_strdup(arena, "/")
          : mp_arena_memdup(arena, config->database, (size_t)(slash - config->database));
  if (directory == NULL || realpath(directory, real) == NULL)
    return mp_arena_strdup(arena, config->database); /* opening will fail */
  return mp_arena_printf(arena, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
}

static int max_sessions(const mp_config *config)
{
  return is_memory(config) ? 1 : 0;
}

static mp_status check(const mp_config *config, mp_error *err)
{
  if (config->database == NULL)
    return mp_error_set(err, config->arena, MP_E_CONFIGURATION,
                        "sqlite: no database file given (\":memory:\" for one in memory)");
  for (int i = 0; i < config->option_n; i++) {
    const mp_option *option = &config->options[i];
    if (strcmp(option->name, "mode") != 0)
      return mp_error_set(err, config->arena, MP_E_UNKNOWN_OPTION,
                          "unknown option \"%s\" for sqlite (there is: mode)", option->name);
    if (strcmp(option->value, "ro") != 0 && strcmp(option->value, "rw") != 0 &&
        strcmp(option->value, "rwc") != 0)
      return mp_error_set(err, config->arena, MP_E_CONFIGURATION,
                          "sqlite: mode cannot be \"%s\" (\"ro\", \"rw\", or \"rwc\", which "
                          "creates the file)",
                          option->value);
  }
  return MP_OK;
}

static const char *version(void)
{
  return sqlite3_libversion();
}

const mp_backend mp_backend_sqlite = {
    .name = "sqlite",
    .caps = MP_CAP_SINGLE_WRITER | MP_CAP_INTERLEAVE,
    .open = open_session,
    .step = step,
    .submit = submit,
    .cancel = cancel,
    .more = more,
    .depth = depth,
    .settled = settled,
    .adopt = adopt,
    .begin_sql = begin_sql,
    .close = close_session,
    .free = free_session,
    .identity = identity,
    .max_sessions = max_sessions,
    .check = check,
    .version = version,
};
