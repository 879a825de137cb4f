/* connection.c - drives one session of a backend on the loop.
** Turns what the session wants into poll, timer and async handles, and feeds it the requests of its queue.
** Everything happens in advance(), which the loop calls: for deferred work, a socket, a timer or a
** thread's wake-up. Calls from above only note what is wanted and defer it. */
#include "connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_MS ((uint64_t)1000000)

/* One watched socket. libuv frees it in its own time, so it is no part of the connection. */
typedef struct watch {
  uv_poll_t handle;
  mp_connection *conn; /* NULL once it is being closed */
  mp_loop *loop;
} watch;

struct mp_connection {
  mp_loop *loop;
  const mp_config *config;
  const mp_backend *backend;
  mp_session *session; /* NULL once freed */
  const mp_connection_events *events;
  void *owner;
  mp_connstate state;
  bool stepping;
  bool ended;     /* a request ended since quiet was told */
  bool unsettled; /* quiet was told of a session that was not settled */
  unsigned happened;
  mp_list queue;   /* QUEUED */
  mp_list active;  /* ACTIVE */
  mp_list dropped; /* stopped before they were sent, to be answered from the loop */
  int active_n;
  mp_later later;
  mp_timer wake;  /* what the session asked for */
  mp_timer limit; /* connect_timeout, later the next request that runs too long */
  mp_waker waker;
  uv_async_t async;
  watch *watch;
  int fd, mask;
};

static void advance(mp_connection *conn, unsigned events);

/* ---- what wakes us ---- */

static void run_later(mp_later *later)
{
  advance(mp_container_of(later, mp_connection, later), 0);
}

static void wake_fired(mp_timer *timer)
{
  advance(mp_container_of(timer, mp_connection, wake), MP_TIMER);
}

static void woken(uv_async_t *async)
{
  mp_connection *conn = mp_container_of(async, mp_connection, async);
  if (conn->session != NULL)
    advance(conn, MP_WOKEN);
}

static void wake(mp_waker *waker)
{
  uv_async_send(&mp_container_of(waker, mp_connection, waker)->async);
}

static void socket_ready(uv_poll_t *handle, int status, int events)
{
  mp_connection *conn = mp_container_of(handle, watch, handle)->conn;
  unsigned happened = 0;
  if (conn == NULL)
    return;
  if (status != 0) {
    happened = MP_READABLE | MP_WRITABLE; /* the session finds out what is wrong when it reads */
    conn->mask =
        0; /* libuv has stopped the handle: it is started again if the session still wants to hear */
  }
  if (events & (UV_READABLE | UV_DISCONNECT))
    happened |= MP_READABLE;
  if (events & UV_WRITABLE)
    happened |= MP_WRITABLE;
  advance(conn, happened);
}

/* ---- what the session wants ---- */

static void watch_closed(uv_handle_t *handle)
{
  watch *closed = mp_container_of(handle, watch, handle);
  mp_loop_count_handle(closed->loop, -1);
  free(closed);
}

static void unwatch(mp_connection *conn)
{
  if (conn->watch != NULL) {
    conn->watch->conn = NULL;
    uv_close((uv_handle_t *)&conn->watch->handle, watch_closed);
  }
  conn->watch = NULL;
  conn->fd = -1;
  conn->mask = 0;
}

static bool watch_fd(mp_connection *conn, int fd)
{
  watch *opened = calloc(1, sizeof *opened);
  if (opened == NULL)
    return false;
  if (uv_poll_init(mp_loop_uv(conn->loop), &opened->handle, fd) != 0) {
    free(opened);
    return false;
  }
  opened->conn = conn;
  opened->loop = conn->loop;
  mp_loop_count_handle(conn->loop, 1);
  conn->watch = opened;
  conn->fd = fd;
  return true;
}

static bool listen_to(mp_connection *conn, const mp_wants *wants)
{
  int mask = (wants->read ? UV_READABLE : 0) | (wants->write ? UV_WRITABLE : 0);
  if (wants->timer_ns == 0)
    mp_timer_stop(conn->loop, &conn->wake);
  else if (conn->wake.index < 0 || conn->wake.at_ns != wants->timer_ns)
    if (mp_timer_start(conn->loop, &conn->wake, wants->timer_ns) != MP_OK)
      return false;
  if (wants->fd != conn->fd || wants->fd_changed)
    unwatch(conn);
  if (wants->fd < 0)
    return true;
  if (conn->watch == NULL && !watch_fd(conn, wants->fd))
    return false;
  if (mask == conn->mask)
    return true;
  mp_loop_touch(conn->loop);
  conn->mask = mask;
  return mask == 0 ? uv_poll_stop(&conn->watch->handle) == 0
                   : uv_poll_start(&conn->watch->handle, mask, socket_ready) == 0;
}

/* ---- requests ---- */

static bool busy(const mp_connection *conn)
{
  return conn->active_n > 0 || !mp_list_empty(&conn->queue) || !mp_list_empty(&conn->dropped);
}

bool mp_connection_busy(const mp_connection *conn)
{
  return busy(conn);
}

/* A busy connection keeps the loop alive. */
static void note_busy(mp_connection *conn, bool before)
{
  if (!before && busy(conn))
    mp_loop_hold(conn->loop);
  else if (before && !busy(conn))
    mp_loop_drop(conn->loop);
}

static void request_left(mp_request *req)
{
  mp_connection *conn = req->conn;
  mp_list_remove(&req->conn_node);
  if (req->deliver != NULL)
    req->on_chunk = req->deliver;
  req->deliver = NULL;
  if (req->state == MP_REQ_ACTIVE)
    conn->active_n--;
  req->conn = NULL;
  conn->ended = true;
  note_busy(conn, true);
  /* Who stopped it and then closed the connection hears of the first, not of the second. */
  if (conn->state == MP_CONN_CLOSING && req->stop != MP_OK &&
      req->error.kind == MP_E_CONNECTION_LOST) {
    req->error.kind = req->stop;
    req->error.message = "stopped by closing its connection";
  }
}

static void fail_unsent(mp_request *req)
{
  if (req->stop != MP_OK) {
    mp_request_fail(req, req->stop, "stopped before it was sent");
    return;
  }
  mp_error_set(&req->error, req->arena, MP_E_CONNECTION_LOST,
               "the connection was closed before the statement was sent");
  req->error.retryable = MP_RETRY_CONNECT;
  mp_request_finish(req);
}

static void drop(mp_connection *conn, mp_request *req)
{
  mp_list_remove(&req->conn_node);
  mp_list_push_back(&conn->dropped, &req->conn_node);
  mp_loop_defer(conn->loop, &conn->later);
}

/* Those that are dropped meanwhile wait for the next time. */
static void answer_dropped(mp_connection *conn)
{
  size_t n = 0;
  for (mp_list *node = conn->dropped.next; node != &conn->dropped; node = node->next)
    n++;
  while (n-- > 0) /* request_left takes each off the list */
    fail_unsent(mp_container_of(conn->dropped.next, mp_request, conn_node));
}

/* The clock of a stream stands still while its reader is busy with a chunk. */
static void chunk_came(mp_request *req)
{
  req->standing = true;
  req->deliver(req);
}

static void start_limit(mp_connection *conn, mp_request *req)
{
  uint64_t at_ns;
  req->standing = false;
  req->running_ns = mp_clock_ns();
  at_ns = req->running_ns + req->timeout_ns;
  if (conn->limit.index >= 0 && conn->limit.at_ns <= at_ns)
    return;
  mp_timer_start(conn->loop, &conn->limit,
                 at_ns); /* out of memory: the statement just has no limit */
}

static bool may_feed(const mp_connection *conn)
{
  return conn->state == MP_CONN_READY && conn->session->state == MP_SES_READY &&
         !mp_list_empty(&conn->queue) && conn->active_n < conn->backend->depth(conn->session);
}

static void feed(mp_connection *conn)
{
  while (may_feed(conn)) {
    mp_request *req = mp_container_of(mp_list_pop_front(&conn->queue), mp_request, conn_node);
    mp_list_push_back(&conn->active, &req->conn_node);
    conn->active_n++;
    conn->backend->submit(conn->session, req);
    assert(req->state == MP_REQ_ACTIVE);
    if (req->timeout_ns == 0 && req->op != MP_OP_LISTEN && /* silence is no slowness */
        req->op != MP_OP_TX) /* those are short, and half a COMMIT helps nobody */
      req->timeout_ns = conn->config->command_timeout_ms * NS_PER_MS;
    if (req->timeout_ns == 0)
      continue;
    start_limit(conn, req);
    if (mp_op_streams(req->op)) {
      req->deliver = req->on_chunk;
      req->on_chunk = chunk_came;
    }
  }
}

void mp_connection_submit(mp_connection *conn, mp_request *req)
{
  bool before = busy(conn);
  if (req->state == MP_REQ_NEW)
    mp_request_move(req, MP_REQ_QUEUED);
  assert(req->state == MP_REQ_QUEUED && conn->state != MP_CONN_CLOSED);
  req->conn = conn;
  req->left = request_left;
  mp_list_push_back(conn->state == MP_CONN_CLOSING ? &conn->dropped : &conn->queue,
                    &req->conn_node);
  note_busy(conn, before);
  mp_loop_defer(conn->loop, &conn->later);
}

void mp_connection_cancel(mp_connection *conn, mp_request *req, mp_status why)
{
  if (req->conn != conn || req->stop != MP_OK)
    return;
  req->stop = why;
  if (req->state == MP_REQ_QUEUED) {
    drop(conn, req);
  } else {
    conn->backend->cancel(conn->session, req);
    mp_loop_defer(conn->loop, &conn->later);
  }
}

void mp_connection_more(mp_connection *conn, mp_request *req)
{
  if (req->conn != conn || req->state != MP_REQ_ACTIVE)
    return;
  if (req->timeout_ns > 0)
    start_limit(conn, req);
  conn->backend->more(conn->session, req);
  mp_loop_defer(conn->loop, &conn->later);
}

/* ---- the end ---- */

static void async_closed(uv_handle_t *handle)
{
  mp_connection *conn = mp_container_of((uv_async_t *)handle, mp_connection, async);
  mp_loop_count_handle(conn->loop, -1);
  mp_loop_drop(conn->loop);
  conn->state = MP_CONN_CLOSED;
  conn->events->closed(conn->owner);
}

/* The session is over: let go of it and of the handles. */
static void dissolve(mp_connection *conn)
{
  mp_timer_stop(conn->loop, &conn->wake);
  mp_timer_stop(conn->loop, &conn->limit);
  mp_later_cancel(&conn->later);
  unwatch(conn);
  conn->backend->free(conn->session);
  conn->session = NULL;
  assert(!busy(conn));
  mp_loop_touch(conn->loop);
  uv_close((uv_handle_t *)&conn->async, async_closed);
}

void mp_connection_close(mp_connection *conn)
{
  mp_list *node;
  if (conn->state == MP_CONN_CLOSING || conn->state == MP_CONN_CLOSED)
    return;
  conn->state = MP_CONN_CLOSING;
  mp_loop_hold(conn->loop);
  while ((node = mp_list_pop_front(&conn->queue)) != NULL)
    mp_list_push_back(&conn->dropped, node);
  mp_timer_stop(conn->loop, &conn->limit);
  mp_loop_defer(conn->loop, &conn->later); /* the session may be in the middle of its step */
}

static void lose(mp_connection *conn, const mp_error *error)
{
  mp_connection_close(conn);
  conn->events->lost(conn->owner, error);
}

static void limit_fired(mp_timer *timer)
{
  mp_connection *conn = mp_container_of(timer, mp_connection, limit);
  uint64_t now_ns = mp_clock_ns(), next_ns = UINT64_MAX;
  if (conn->state == MP_CONN_CONNECTING) {
    const char *host = conn->config->host;
    char text[200];
    mp_error error = {.kind = MP_E_CONNECT_FAILED, .retryable = MP_RETRY_CONNECT, .message = text};
    snprintf(text, sizeof text, "no connection%s%.100s within %g s (connect_timeout)",
             host != NULL ? " to " : "", host != NULL ? host : "",
             conn->config->connect_timeout_ms / 1000.0);
    lose(conn, &error);
    return;
  }
  for (mp_list *node = conn->active.next, *next; node != &conn->active; node = next) {
    mp_request *req = mp_container_of(node, mp_request, conn_node);
    uint64_t at_ns = req->running_ns + req->timeout_ns;
    next = node->next;
    if (req->timeout_ns == 0 || req->stop != MP_OK || req->standing)
      continue;
    if (at_ns <= now_ns)
      mp_connection_cancel(conn, req,
                           MP_E_TIMEOUT); /* ends from the loop, so the list stays as it is */
    else if (at_ns < next_ns)
      next_ns = at_ns;
  }
  if (next_ns != UINT64_MAX)
    mp_timer_start(conn->loop, &conn->limit, next_ns);
}

bool mp_connection_keep(mp_connection *conn, mp_txop op, const char *sql)
{
  return conn->state == MP_CONN_READY && !conn->stepping && !busy(conn) &&
         conn->session->state == MP_SES_READY && conn->backend->keep != NULL &&
         conn->backend->keep(conn->session, op, sql);
}

bool mp_connection_fill_kill(const mp_connection *conn, mp_request *req)
{
  return conn->session != NULL && conn->backend->fill_kill(conn->session, req);
}

void mp_connection_killed(mp_connection *conn, bool ran)
{
  if (conn->session == NULL)
    return;
  conn->backend->killed(conn->session, ran);
  mp_loop_defer(conn->loop, &conn->later);
}

/* ---- the one place where things happen ---- */

static void tell_quiet(mp_connection *conn)
{
  bool settled;
  if (busy(conn) || !(conn->ended || conn->unsettled))
    return;
  settled = conn->backend->settled(conn->session);
  if (!conn->ended && !settled)
    return;
  conn->ended = false;
  conn->unsettled = !settled;
  conn->events->quiet(conn->owner);
}

static void tell(mp_connection *conn)
{
  mp_sessionstate session = conn->session->state;
  if (conn->state == MP_CONN_CONNECTING && session == MP_SES_READY) {
    conn->state = MP_CONN_READY;
    mp_timer_stop(conn->loop, &conn->limit);
    conn->events->ready(conn->owner);
  } else if (conn->state != MP_CONN_CLOSING && session >= MP_SES_LOST) {
    lose(conn, &conn->session->error);
  } else if (conn->state == MP_CONN_READY) {
    tell_quiet(conn);
  }
}

static void advance(mp_connection *conn, unsigned events)
{
  mp_wants wants = {.fd = -1};
  conn->happened |= events;
  if (conn->stepping) {
    mp_loop_defer(conn->loop, &conn->later);
    return;
  }
  conn->stepping = true;
  mp_later_cancel(&conn->later);
  if (!mp_list_empty(&conn->dropped))
    answer_dropped(conn);
  if (conn->state == MP_CONN_CLOSING) {
    unwatch(conn); /* before its number may be another thread's socket */
    conn->backend->close(conn->session);
  } else {
    feed(conn);
  }
  events = conn->happened;
  conn->happened = 0;
  if (conn->session->state != MP_SES_CLOSED)
    conn->backend->step(conn->session, events, &wants);
  if (!listen_to(conn, &wants) && conn->session->state < MP_SES_LOST) {
    mp_error error = {.kind = MP_E_CONNECTION_LOST,
                      .message = "no memory left to watch its socket"};
    conn->stepping = false;
    lose(conn, &error);
    return;
  }
  conn->stepping = false;
  if (wants.kill && conn->state != MP_CONN_CONNECTING)
    conn->events->kill(conn->owner);
  tell(conn);
  if (conn->state == MP_CONN_CLOSING) {
    if (conn->session->state == MP_SES_CLOSED && mp_list_empty(&conn->dropped))
      dissolve(conn);
    else if (conn->session->state == MP_SES_LOST || !mp_list_empty(&conn->dropped))
      mp_loop_defer(conn->loop, &conn->later);
  } else if (may_feed(conn)) {
    mp_loop_defer(conn->loop, &conn->later);
  }
}

/* ---- beginning ---- */

static void async_failed(uv_handle_t *handle)
{
  mp_connection *conn = mp_container_of((uv_async_t *)handle, mp_connection, async);
  mp_loop_count_handle(conn->loop, -1);
  free(conn);
}

mp_status mp_connection_open(mp_connection **out, mp_loop *loop, const mp_config *config,
                             const char *password, const mp_connection_events *events, void *owner)
{
  mp_connection *conn = calloc(1, sizeof *conn);
  mp_status status;
  if (conn == NULL)
    return MP_E_OUT_OF_MEMORY;
  conn->loop = loop;
  conn->config = config;
  conn->backend = config->backend;
  conn->events = events;
  conn->owner = owner;
  conn->waker.wake = wake;
  conn->fd = -1;
  mp_list_init(&conn->queue);
  mp_list_init(&conn->active);
  mp_list_init(&conn->dropped);
  mp_later_init(&conn->later, run_later);
  mp_timer_init(&conn->wake, wake_fired);
  mp_timer_init(&conn->limit, limit_fired);
  conn->wake.quiet = conn->limit.quiet =
      true; /* its requests and its waiters keep the loop alive */
  if (uv_async_init(mp_loop_uv(loop), &conn->async, woken) != 0) {
    free(conn);
    return MP_E_SERVER_LIMIT;
  }
  mp_loop_count_handle(loop, 1);
  status = conn->backend->open(&conn->session, config, password, &conn->waker);
  if (status == MP_OK && config->connect_timeout_ms > 0)
    mp_timer_start(loop, &conn->limit, mp_clock_ns() + config->connect_timeout_ms * NS_PER_MS);
  if (status != MP_OK) {
    uv_close((uv_handle_t *)&conn->async, async_failed);
    return status;
  }
  mp_loop_defer(loop, &conn->later);
  *out = conn;
  return MP_OK;
}

/* A session that broke a moment ago counts as closing already: its owner must not hand it out. */
mp_connstate mp_connection_state(const mp_connection *conn)
{
  if (conn->state == MP_CONN_READY && conn->session->state != MP_SES_READY)
    return MP_CONN_CLOSING;
  return conn->state;
}

mp_txstatus mp_connection_txstatus(const mp_connection *conn)
{
  if (mp_connection_state(conn) != MP_CONN_READY)
    return MP_TX_UNKNOWN;
  return conn->session->tx;
}

bool mp_connection_settled(const mp_connection *conn)
{
  return mp_connection_state(conn) == MP_CONN_READY && !busy(conn) &&
         conn->backend->settled(conn->session);
}

bool mp_connection_tainted(const mp_connection *conn)
{
  return mp_connection_state(conn) == MP_CONN_READY && conn->session->tainted &&
         !conn->session->config->pooler; /* a pooler resets its own */
}

void mp_connection_taint(mp_connection *conn)
{
  if (mp_connection_state(conn) == MP_CONN_READY && (conn->backend->caps & MP_CAP_UNSEEN) != 0)
    conn->session->tainted = true;
}

void mp_connection_adopt(mp_connection *conn)
{
  if (!mp_connection_settled(conn))
    return;
  conn->session->tainted = false;
  if (conn->backend->adopt != NULL)
    conn->backend->adopt(conn->session);
}

void mp_connection_free(mp_connection *conn)
{
  assert(conn == NULL || conn->state == MP_CONN_CLOSED);
  free(conn);
}
