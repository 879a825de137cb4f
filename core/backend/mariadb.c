/* mariadb.c - the MariaDB backend: the life of a session, and what the floors above ask of it.
** Everything is done in step: connect, go on with the call that is under way, begin what comes next, say what is
** waited for. One request at a time; MySQL is served by the same library. */
#include "mariadb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define LEAVE_NS ((uint64_t)3 * 1000 * 1000 * 1000)

static mp_mysession *of(mp_session *base)
{
  return (mp_mysession *)base;
}

static const mp_mysession *of_const(const mp_session *base)
{
  return (const mp_mysession *)base;
}

/* ---- connecting ---- */

static void connect_step(mp_mysession *ses, mp_wants *wants)
{
  mp_error error = MP_ERROR_NONE;
  if (!mp_mydial_done(ses->dial)) {
    wants->work = true;
    return;
  }
  if (mp_mydial_take(ses->dial, &ses->line, &error)) {
    ses->fd = fcntl(mysql_get_socket(ses->line.conn), F_DUPFD_CLOEXEC, 0);
    if (ses->fd < 0)
      mp_error_set(&error, ses->arena, MP_E_CONNECT_FAILED, "the socket cannot be watched: %s",
                   strerror(errno));
  }
  if (error.kind == MP_OK) {
    ses->base.state = MP_SES_READY;
    ses->base.tx = MP_TX_IDLE;
  } else {
    mp_error_copy(&ses->base.error, ses->arena, &error);
    ses->base.state = MP_SES_LOST;
  }
  mp_mydial_free(ses->dial);
  ses->dial = NULL;
}

/* ---- statements that are of no use any more ---- */

static void close_next(mp_mysession *ses);

static void closed_one(mp_mysession *ses)
{
  mp_mystatement_free(ses->closing_statement);
  ses->closing_statement = NULL;
  if (mp_mycall_failed(ses) && mysql_errno(ses->line.conn) != 0)
    mp_mysession_broken(ses, NULL);
  else
    close_next(ses);
}

static void close_next(mp_mysession *ses)
{
  mp_mystatement *dead = mp_mycache_dead(&ses->cache);
  if (dead == NULL) {
    if (ses->buried != NULL)
      ses->buried(ses);
    return;
  }
  ses->closing_statement = dead;
  mp_mycall_statement(ses, MP_MY_CLOSE, dead->stmt);
  ses->then = closed_one;
}

void mp_mysession_bury(mp_mysession *ses, void (*then)(mp_mysession *ses))
{
  ses->buried = then;
  close_next(ses);
}

/* ---- steps ---- */

/* Nobody asked for anything, and something has come: that is the end of the connection. */
static void listen_idle(mp_mysession *ses)
{
  char byte;
  mp_error error = {.kind = MP_E_CONNECTION_LOST,
                    .verdict = MP_DESTROY,
                    .message = "the server closed the connection while it was idle"};
  ssize_t n = recv(mysql_get_socket(ses->line.conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  mp_mysession_lose(ses, &error);
}

static bool is_stoppable(const mp_request *req)
{
  return req->op != MP_OP_PING && req->op != MP_OP_RESET &&
         (req->op != MP_OP_TX || req->tx_op == MP_TXO_BEGIN);
}

static void end_stopped(mp_mysession *ses)
{
  for (mp_list *node = ses->waiting.next; node != &ses->waiting; node = node->next) {
    mp_request *req = mp_container_of(node, mp_request, node);
    if (req->stop == MP_OK || !is_stoppable(req))
      continue;
    mp_list_remove(node);
    mp_request_fail(req, req->stop, "stopped before it was sent");
    node = &ses->waiting; /* the answer may have changed everything: once more */
  }
}

static void begin_waiting(mp_mysession *ses)
{
  mp_list *node = mp_list_pop_front(&ses->waiting);
  mp_request *req = mp_container_of(node, mp_request, node);
  mp_mytask *task = mp_arena_zalloc(req->arena, sizeof *task);
  if (task == NULL) {
    mp_request_fail(req, MP_E_OUT_OF_MEMORY, "out of memory");
    return;
  }
  task->req = req;
  ses->task = task;
  mp_mytask_begin(ses);
}

/* Nothing is under way: what comes next? False: nothing. */
static bool begin_next(mp_mysession *ses)
{
  if (ses->task != NULL) {
    if (ses->task->standing)
      return false;
    mp_mystream_on(ses);
    return true;
  }
  if (!mp_mysession_calm(ses))
    return ses->then != NULL;
  if (mp_mystream_resume(ses))
    return true;
  if (mp_list_empty(&ses->waiting))
    return false;
  if (!mp_list_empty(&ses->cache.dead)) {
    mp_mysession_bury(ses, NULL);
    return true;
  }
  begin_waiting(ses);
  return true;
}

static int ready_for(const mp_mysession *ses, unsigned events)
{
  int ready = 0;
  if ((events & MP_READABLE) != 0)
    ready |= MYSQL_WAIT_READ;
  if ((events & MP_WRITABLE) != 0)
    ready |= MYSQL_WAIT_WRITE;
  return ready & ses->call.waits;
}

static void ready_step(mp_mysession *ses, unsigned events)
{
  ses->tired = false;
  end_stopped(ses);
  if ((events & MP_READABLE) != 0 && ses->task == NULL && ses->then == NULL)
    listen_idle(ses);
  while (ses->base.state == MP_SES_READY && !ses->tired) {
    void (*then)(mp_mysession *) = ses->then;
    if (!mp_mycall_is_done(ses)) {
      int ready = ready_for(ses, events);
      if (ready == 0)
        break;
      mp_mycall_continue(ses, ready);
      events = 0;
    } else if (then != NULL) {
      ses->then = NULL;
      then(ses);
    } else if (!begin_next(ses)) {
      break;
    }
  }
  if (ses->base.state == MP_SES_READY)
    mp_mysession_ask(ses);
}

static void want(mp_mysession *ses, mp_wants *wants)
{
  const mp_mytask *task = ses->task;
  *wants = (mp_wants){.fd = -1};
  if (ses->base.state != MP_SES_READY)
    return;
  wants->fd = ses->fd;
  if (ses->then == NULL) /* a reader that is busy holds the server back */
    wants->read = task == NULL;
  else
    wants->read = (ses->call.waits & MYSQL_WAIT_READ) != 0;
  wants->write = (ses->call.waits & MYSQL_WAIT_WRITE) != 0;
  wants->kill = ses->wants_kill;
  ses->wants_kill = false;
  if (ses->tired)
    wants->timer_ns = 1;
  else if (ses->cancel == MP_MY_ASKED && !ses->killing && task != NULL && task->stopping)
    wants->timer_ns = ses->ask_again_ns;
}

/* ---- the end ---- */

static void close_fd(mp_mysession *ses)
{
  if (ses->fd >= 0)
    close(ses->fd);
  ses->fd = -1;
}

static void close_step(mp_mysession *ses, mp_wants *wants)
{
  static const mp_error gone = {
      .kind = MP_E_CONNECTION_LOST, .verdict = MP_DESTROY, .message = "the connection was closed"};
  bool busy;
  if (ses->base.state == MP_SES_CLOSED)
    return;
  if (!ses->torn) {
    mp_mydial_free(ses->dial);
    ses->dial = NULL;
    busy = mp_mysession_tear(ses);
    close_fd(ses); /* the loop has let go of it */
    ses->torn = true;
    ses->base.tx = MP_TX_UNKNOWN;
    mp_mysession_answer_all(ses, &gone);
    mp_mycache_clear(&ses->cache);
    if (busy) {
      ses->killing = wants->kill = true;
      ses->leave_ns = uv_hrtime() + LEAVE_NS;
    } else {
      ses->killing = false;
    }
  }
  if (ses->killing && uv_hrtime() < ses->leave_ns)
    wants->timer_ns = ses->leave_ns;
  else
    ses->base.state = MP_SES_CLOSED;
}

static void step(mp_session *base, unsigned events, mp_wants *wants)
{
  mp_mysession *ses = of(base);
  *wants = (mp_wants){.fd = -1};
  if (ses->closing) {
    close_step(ses, wants);
    return;
  }
  if (base->state == MP_SES_CONNECTING) {
    connect_step(ses, wants);
    if (base->state == MP_SES_READY) {
      want(ses, wants);
      wants->fd_changed = true;
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
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_list_push_back(&of(base)->waiting, &req->node);
}

static void cancel(mp_session *base, mp_request *req)
{
  mp_mysession *ses = of(base);
  mp_mytask *standing = mp_mystream_standing(ses, req);
  if (standing != NULL) {
    standing->stopping = true; /* the server does nothing for it: there is nothing to kill */
    standing->standing = false;
  } else if (ses->task != NULL && ses->task->req == req && is_stoppable(req)) {
    mp_mysession_stop(ses);
  }
}

static bool fill_kill(const mp_session *base, mp_request *req)
{
  return mp_mysession_fill_kill(of_const(base), req);
}

static void killed(mp_session *base, bool ran)
{
  mp_mysession_killed(of(base), ran);
}

static void more(mp_session *base, mp_request *req)
{
  mp_mysession *ses = of(base);
  mp_mytask *standing = mp_mystream_standing(ses, req);
  if (standing == NULL && ses->task != NULL && ses->task->req == req)
    standing = ses->task;
  if (standing != NULL)
    standing->standing = false;
}

/* ---- questions ---- */

/* A stream that stands on a cursor takes no place. */
static int depth(const mp_session *base)
{
  const mp_list *cursors = &of_const(base)->cursors;
  int n = 1;
  for (const mp_list *node = cursors->next; node != cursors; node = node->next)
    n++;
  return n;
}

static bool settled(const mp_session *base)
{
  const mp_mysession *ses = of_const(base);
  return mp_list_empty(&ses->waiting) && mp_list_empty(&ses->cursors) && ses->task == NULL &&
         ses->then == NULL && ses->cancel == MP_MY_QUIET && ses->base.tx == MP_TX_IDLE;
}

static bool begin_sql(const mp_config *config, const mp_txoptions *options, bool write,
                      char sql[MP_TX_SQL_MAX], mp_error *err)
{
  static const char *const levels[] = {"", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};
  const char *level = levels[options->isolation];
  (void)write;
  if (options->deferrable) {
    mp_error_set(err, config->arena, MP_E_UNSUPPORTED,
                 "option deferrable: only PostgreSQL waits for a moment without conflicts");
    return false;
  }
  snprintf(sql, MP_TX_SQL_MAX, "%s%s%sSTART TRANSACTION%s",
           *level != '\0' ? "SET TRANSACTION ISOLATION LEVEL " : "", level,
           *level != '\0' ? "; " : "", options->read_only ? " READ ONLY" : "");
  return true;
}

/* ---- beginning and end ---- */

static mp_status open_session(mp_session **out, const mp_config *config, const char *password,
                              mp_waker *waker)
{
  mp_mysession *ses = calloc(1, sizeof *ses);
  if (ses == NULL)
    return MP_E_OUT_OF_MEMORY;
  ses->base = (mp_session){
      .backend = config->backend, .config = config, .waker = waker, .state = MP_SES_CONNECTING};
  ses->arena = mp_arena_new(0);
  ses->dial = ses->arena == NULL ? NULL : mp_mydial_new(config, password, waker);
  if (ses->dial == NULL) {
    mp_arena_free(ses->arena);
    free(ses);
    return MP_E_OUT_OF_MEMORY;
  }
  ses->base.tx = MP_TX_UNKNOWN;
  ses->fd = -1;
  mp_list_init(&ses->waiting);
  mp_list_init(&ses->cursors);
  mp_mycache_init(&ses->cache, config->pooler ? 0 : config->statement_cache);
  *out = &ses->base;
  return MP_OK;
}

static void close_session(mp_session *base)
{
  of(base)->closing = true;
}

static void free_session(mp_session *base)
{
  mp_mysession *ses = of(base);
  if (ses == NULL)
    return;
  close_fd(ses);
  mp_arena_free(ses->arena);
  free(ses);
}

static const char *version(void)
{
  return mysql_get_client_info();
}

const mp_backend mp_backend_mariadb = {
    .name = "mariadb",
    .caps = MP_CAP_UNSEEN,
    .open = open_session,
    .step = step,
    .submit = submit,
    .cancel = cancel,
    .fill_kill = fill_kill,
    .killed = killed,
    .more = more,
    .depth = depth,
    .settled = settled,
    .begin_sql = begin_sql,
    .close = close_session,
    .free = free_session,
    .check = mp_mydial_check,
    .version = version,
};
