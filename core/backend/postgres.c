/* postgres.c - the PostgreSQL backend: the life of a session, and what the floors above ask of it.
** Everything is done in step: connect, read, stop, send, flush, say what is waited for. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH                                                                                      \
  64 /* statements that a shared connection may be given; how many are is the pool's affair */

static mp_pgsession *of(mp_session *base)
{
  return (mp_pgsession *)base;
}

static const mp_pgsession *of_const(const mp_session *base)
{
  return (const mp_pgsession *)base;
}

/* ---- steps ---- */

static void connect_step(mp_pgsession *ses, unsigned events, mp_wants *wants)
{
  mp_error error = MP_ERROR_NONE;
  switch (mp_pgdial_step(ses->dial, events, wants, &error)) {
  case MP_DIAL_TRYING:
    return;
  case MP_DIAL_FAILED:
    mp_error_copy(&ses->base.error, ses->arena, &error);
    ses->base.state = MP_SES_LOST;
    break;
  case MP_DIAL_DONE:
    ses->conn = mp_pgdial_take(ses->dial);
    if (PQenterPipelineMode(ses->conn) == 1) {
      ses->base.state = MP_SES_READY;
      ses->base.tx = ses->server_tx = MP_TX_IDLE;
    } else {
      mp_error_set(&ses->base.error, ses->arena, MP_E_PROTOCOL,
                   "the server does not know the pipeline mode");
      ses->base.state = MP_SES_LOST;
    }
    break;
  }
  mp_pgdial_free(ses->dial);
  ses->dial = NULL;
}

/* Requests for which there was no memory. */
static void end_starved(mp_pgsession *ses)
{
  mp_list *node;
  while ((node = mp_list_pop_front(&ses->starved)) != NULL)
    mp_request_fail(mp_container_of(node, mp_request, node), MP_E_OUT_OF_MEMORY, "out of memory");
}

static void ready_step(mp_pgsession *ses, unsigned events)
{
  if ((events & MP_READABLE) != 0) {
    if (PQconsumeInput(ses->conn) != 1) {
      mp_pgsession_read(ses); /* why it was closed may have come before its end */
      mp_pgsession_lose(ses);
      return;
    }
    mp_pglisten_take(ses);
  }
  mp_pgsession_read(ses);
  if (ses->base.state == MP_SES_READY)
    mp_pglisten_take(ses);
  if (ses->base.state == MP_SES_READY)
    mp_pgsession_feed(ses);
  if (ses->base.state == MP_SES_READY)
    mp_pgcopy_send(ses);
  if (ses->base.state == MP_SES_READY) {
    int left = PQflush(ses->conn);
    if (left < 0)
      mp_pgsession_lose(ses);
    ses->flushing = left == 1;
  }
}

static void want(mp_pgsession *ses, mp_wants *wants)
{
  const mp_pgtask *head = mp_pgsession_head(ses);
  *wants = (mp_wants){.fd = -1};
  if (ses->base.state != MP_SES_READY)
    return;
  wants->fd = PQsocket(ses->conn);
  wants->read = head == NULL || !head->standing; /* a reader that is busy holds the server back */
  wants->write = ses->flushing || (head != NULL && head->copy == MP_PG_COPY_DATA &&
                                   head->req->op == MP_OP_COPY_IN); /* more data to be sent */
  wants->work = ses->asking != NULL;
  wants->kill = ses->wants_kill;
  ses->wants_kill = false;
  if (ses->cancel == MP_PG_ASKED && ses->asking == NULL && !ses->killing && head != NULL)
    wants->timer_ns = ses->ask_again_ns;
  if (ses->cancel == MP_PG_QUIET && head != NULL && head->stopping && head->patience_ns != 0)
    wants->timer_ns = head->patience_ns;
}

static void close_step(mp_pgsession *ses)
{
  if (ses->base.state == MP_SES_CLOSED)
    return;
  mp_pgsession_abandon(ses);
  mp_pgsession_lose(ses);
  mp_pgdial_free(ses->dial);
  ses->dial = NULL;
  ses->base.state =
      MP_SES_CLOSED; /* its socket is closed in free, when nobody watches it any more */
}

static void step(mp_session *base, unsigned events, mp_wants *wants)
{
  mp_pgsession *ses = of(base);
  *wants = (mp_wants){.fd = -1};
  end_starved(ses);
  if (ses->closing) {
    close_step(ses);
    return;
  }
  if (base->state == MP_SES_CONNECTING) {
    connect_step(ses, events, wants);
    if (base->state == MP_SES_READY) {
      want(ses, wants);
      wants->fd_changed = true;
    } else if (base->state == MP_SES_LOST) {
      *wants = (mp_wants){.fd = -1};
    }
    return;
  }
  if (base->state == MP_SES_READY)
    ready_step(ses, events);
  want(ses, wants);
}

/* ---- requests ---- */

static void submit(mp_session *base, mp_request *req)
{
  mp_pgsession *ses = of(base);
  mp_pgtask *task = mp_arena_zalloc(req->arena, sizeof *task);
  mp_request_move(req, MP_REQ_ACTIVE);
  req->backend_data = task;
  if (task == NULL) {
    mp_list_push_back(&ses->starved, &req->node);
    return;
  }
  task->req = req;
  mp_list_push_back(&ses->waiting, &task->node);
}

static void cancel(mp_session *base, mp_request *req)
{
  mp_pgtask *task = req->backend_data;
  if (task != NULL && (req->op != MP_OP_TX || req->tx_op == MP_TXO_BEGIN))
    mp_pgsession_stop(of(base), task);
}

static bool fill_kill(const mp_session *base, mp_request *req)
{
  return mp_pgsession_fill_kill(of_const(base), req);
}

static void killed(mp_session *base, bool ran)
{
  mp_pgsession_killed(of(base), ran);
}

static void more(mp_session *base, mp_request *req)
{
  mp_pgtask *task = req->backend_data;
  (void)base;
  if (task != NULL)
    task->standing = false;
}

/* ---- questions ---- */

static int depth(const mp_session *base)
{
  return base->config->pipeline && !base->config->pooler ? DEPTH : 1;
}

static bool settled(const mp_session *base)
{
  const mp_pgsession *ses = of_const(base);
  return mp_list_empty(&ses->waiting) && mp_list_empty(&ses->sent) && ses->cancel == MP_PG_QUIET &&
         ses->base.tx == MP_TX_IDLE;
}

static bool keep(mp_session *base, mp_txop op, const char *sql)
{
  mp_pgsession *ses = of(base);
  return mp_list_empty(&ses->waiting) && mp_list_empty(&ses->sent) && ses->cancel == MP_PG_QUIET &&
         mp_pgtx_keep(ses, op, sql) == MP_PG_TX_KEPT;
}

static bool begin_sql(const mp_config *config, const mp_txoptions *options, bool write,
                      char sql[MP_TX_SQL_MAX], mp_error *err)
{
  static const char *const levels[] = {"", " ISOLATION LEVEL READ COMMITTED",
                                       " ISOLATION LEVEL REPEATABLE READ",
                                       " ISOLATION LEVEL SERIALIZABLE"};
  (void)config;
  (void)write;
  (void)err;
  stpcpy(stpcpy(stpcpy(stpcpy(sql, "BEGIN"), levels[options->isolation]),
                options->read_only ? " READ ONLY" : ""),
         options->deferrable ? " DEFERRABLE" : "");
  return true;
}

/* ---- beginning and end ---- */

static mp_status open_session(mp_session **out, const mp_config *config, const char *password,
                              mp_waker *waker)
{
  mp_pgsession *ses = calloc(1, sizeof *ses);
  if (ses == NULL)
    return MP_E_OUT_OF_MEMORY;
  ses->base = (mp_session){
      .backend = config->backend, .config = config, .waker = waker, .state = MP_SES_CONNECTING};
  ses->arena = mp_arena_new(0);
  ses->dial = ses->arena == NULL ? NULL : mp_pgdial_new(config, password, waker);
  if (ses->dial == NULL) {
    mp_arena_free(ses->arena);
    free(ses);
    return MP_E_OUT_OF_MEMORY;
  }
  ses->base.tx = ses->server_tx = MP_TX_UNKNOWN;
  mp_list_init(&ses->waiting);
  mp_list_init(&ses->sent);
  mp_list_init(&ses->starved);
  mp_pgcache_init(&ses->cache, config->pooler ? 0 : config->statement_cache);
  *out = &ses->base;
  return MP_OK;
}

static void close_session(mp_session *base)
{
  of(base)->closing = true;
}

static void free_session(mp_session *base)
{
  mp_pgsession *ses = of(base);
  if (ses == NULL)
    return;
  mp_pgdial_free(ses->dial);
  if (ses->conn != NULL)
    PQfinish(ses->conn);
  mp_pgsession_forget_described(ses);
  mp_pgcache_clear(&ses->cache);
  mp_arena_free(ses->arena);
  free(ses->kept);
  free(ses);
}

static const char *version(void)
{
  static char text[16];
  snprintf(text, sizeof text, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
  return text;
}

const mp_backend mp_backend_postgres = {
    .name = "postgres",
    .caps = MP_CAP_PIPELINE | MP_CAP_UNSEEN,
    .open = open_session,
    .step = step,
    .submit = submit,
    .cancel = cancel,
    .fill_kill = fill_kill,
    .killed = killed,
    .more = more,
    .depth = depth,
    .settled = settled,
    .keep = keep,
    .begin_sql = begin_sql,
    .close = close_session,
    .free = free_session,
    .check = mp_pgdial_check,
    .version = version,
};
