/* backend.h - what a database must be able to do, written for three very different ones:
** a socket with a FIFO of pipelined requests (PostgreSQL), a socket with one request at a time
** (MariaDB), a thread with a job queue (SQLite); and a fake for tests.
**
** A session is one connection of a backend. It never blocks and never waits: it says in mp_wants
** what it waits for, and its connection (connection.c) waits. Everything runs on the loop's thread
** except mp_waker.wake. A session answers only through the requests it was given. */
#ifndef MP_BACKEND_H
#define MP_BACKEND_H

#include "request.h"
#include "url.h"

typedef struct mp_backend mp_backend;
typedef struct mp_session mp_session;

/* How to connect. Immutable, lives in its own arena, owned by the pool, outlives every session. */
typedef struct mp_config {
  mp_arena *arena;
  const mp_backend *backend;
  const char *host, *user, *database; /* database: the path for SQLite */
  int port;
  uint32_t connect_timeout_ms;
  uint32_t command_timeout_ms; /* of statements that bring no timeout of their own; 0: none */
  int statement_cache;         /* prepared statements kept for each connection; 0: none */
  bool pipeline, pooler;
  bool inline_reads;        /* SQLite: known-small reads may run on the loop's thread */
  const mp_option *options; /* what only this backend understands */
  int option_n;
} mp_config;

/* Wakes the connection's loop so that it calls step. The only thing here that any thread may call,
** any number of times, until the session is freed. */
typedef struct mp_waker {
  void (*wake)(struct mp_waker *waker);
} mp_waker;

typedef enum mp_sessionstate {
  MP_SES_CONNECTING,
  MP_SES_READY, /* takes requests */
  MP_SES_LOST, /* connecting failed or the connection broke: error says why; nothing is in flight any more */
  MP_SES_CLOSED /* close has finished; free may be called */
} mp_sessionstate;

/* What the session waits for until the next step. */
typedef struct mp_wants {
  int fd; /* -1: no socket. Ask again after every step: it may be another one with the same number */
  bool fd_changed; /* the socket is a new one, also if the number is the same */
  bool read, write;
  bool work;         /* a thread of its own is busy and will call wake */
  bool kill;         /* stop what it runs from another connection: told once, answered by killed */
  uint64_t timer_ns; /* call step at this time (uv_hrtime clock); 0: no timer */
} mp_wants;

#define MP_READABLE 1
#define MP_WRITABLE 2
#define MP_WOKEN 4
#define MP_TIMER 8

enum {
  MP_CAP_SINGLE_WRITER =
      1,               /* one writer a file: leases for writing go through the gate of identity() */
  MP_CAP_PIPELINE = 2, /* depth() > 1 is of use */
  MP_CAP_INTERLEAVE =
      4, /* other requests may run between the chunks of a stream on the same session, whether it has a cursor or not */
  MP_CAP_UNSEEN = 8 /* a session's state may be changed in ways that its backend does not see */
};

struct mp_session {
  const mp_backend *backend;
  const mp_config *config;
  mp_waker *waker;
  mp_sessionstate state;
  mp_txstatus tx; /* what the engine says about the transaction, as of the last finished request */
  bool tainted;   /* session state may have changed: RESET before another task */
  mp_error error; /* when LOST; strings live as long as the session */
};

struct mp_backend {
  const char *name; /* "sqlite", "postgres", "mariadb", "fake" */
  unsigned caps;

  /* A session that connects from the first step on. password may be NULL and is wiped by the
  ** session once used. Only out of memory makes it fail. */
  mp_status (*open)(mp_session **out, const mp_config *config, const char *password,
                    mp_waker *waker);

  /* Get on as far as possible without waiting, answer finished requests through
  ** mp_request_finish, say what is waited for. Callbacks of requests may call submit, cancel and
  ** more of the same session, so bookkeeping comes before answering. events: MP_READABLE... */
  void (*step)(mp_session *session, unsigned events, mp_wants *wants);

  /* Take a request and move it (QUEUED -> ACTIVE). Sessions run their requests first in, first out. Only when READY.
  ** The connection calls step afterwards. */
  void (*submit)(mp_session *session, mp_request *req);

  /* Stop an ACTIVE request; req->stop says why. It still ends through mp_request_finish, with
  ** that kind if it was stopped in time. Until the cancel cannot hit anything else any more
  ** (server quiet, channel done, barrier passed) settled() is false. Twice is fine. */
  void (*cancel)(mp_session *session, mp_request *req);

  /* For sessions that want that (wants.kill), others have NULL. fill_kill writes the statement that, run on another session of the
  ** same config, stops what this one runs (sql and params, in the request's arena); false: out of memory. killed: it ran,
  ** or could not be run. Nothing is asked for again before that. */
  bool (*fill_kill)(const mp_session *session, mp_request *req);
  void (*killed)(mp_session *session, bool ran);

  /* Deliver the next chunk of a stream that stands still. */
  void (*more)(mp_session *session, mp_request *req);

  /* How many requests it may be given at once (1 without pipelining; the SQLite thread takes any number). */
  int (*depth)(const mp_session *session);

  /* Nothing in flight, nothing pending, no cancel outstanding, state as after connecting. */
  bool (*settled)(const mp_session *session);

  /* What was done so far is how the session begins: its tainted was taken back. Nothing is in flight. NULL: no more to do. */
  void (*adopt)(mp_session *session);

  /* The text that begins a transaction, NUL-terminated; false and *err (unsupported) when the database
  ** cannot keep an option. write: a block that may write. A backend that needs two separates them by "; " and sends both. */
  bool (*begin_sql)(const mp_config *config, const mp_txoptions *options, bool write,
                    char sql[MP_TX_SQL_MAX], mp_error *err);

  /* Do a transaction statement at once, without sending anything: it goes with the next request. Only when nothing is in flight;
  ** false: nothing was done, make a request. NULL: never. */
  bool (*keep)(mp_session *session, mp_txop op, const char *sql);

  /* Close. Requests in flight end with connection_lost first. Ends in CLOSED through step. Twice is fine. */
  void (*close)(mp_session *session);

  /* After CLOSED only. NULL is fine. */
  void (*free)(mp_session *session);

  /* The name of what is shared by every pool of this process on the same database (the
  ** file's real path for SQLite), written into arena; NULL when nothing is. With MP_CAP_SINGLE_WRITER only. */
  const char *(*identity)(const mp_config *config, mp_arena *arena);

  /* At most this many connections are of use (1 for :memory:), 0: no limit. NULL: never one. */
  int (*max_sessions)(const mp_config *config);

  /* Check the options before anything is opened. */
  mp_status (*check)(const mp_config *config, mp_error *err);

  const char *(*version)(void); /* of the client library, for --version */
};

/* By name, or NULL. */
const mp_backend *mp_backend_find(const char *name);

extern const mp_backend mp_backend_sqlite;
extern const mp_backend mp_backend_postgres;
extern const mp_backend mp_backend_mariadb;
extern const mp_backend mp_backend_fake;
extern const mp_backend
    mp_backend_fake_file; /* the same with a single writer for each file, like SQLite */

#endif
