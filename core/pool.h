/* pool.h - the connections of one database, and who may use them.
** The state of a connection is the list it is on. Waiters are served strictly first come first served;
** a connection that becomes free goes to the oldest waiter it suits, never to a newcomer. A connection is
** handed out only when the engine itself says that it is clean. Where a database has a single writer
** (MP_CAP_SINGLE_WRITER) a lease for writing also holds the gate: one FIFO for each
** file, shared by every pool of the loop that names the same file; one connection is kept for the writer if max > 1. */
#ifndef MP_POOL_H
#define MP_POOL_H

#include "connection.h"
#include "pool_gate.h"

typedef struct mp_pool mp_pool;

/* A place in the pool's queue, and later the connection that it led to. Leases are built on it; the pool
** itself uses one for each request that runs outside a lease. */
typedef enum mp_holdstate {
  MP_HOLD_NEW,
  MP_HOLD_WAITING, /* in the queue of the gate or of the pool */
  MP_HOLD_HELD,
  MP_HOLD_OVER /* given back, refused, lost or revoked */
} mp_holdstate;

typedef struct mp_hold {
  mp_list node; /* on a list of the pool or of the gate */
  mp_holdstate state;
  mp_access access; /* WRITE: comes with the gate. READ: without */
  bool fresh;       /* the connection is as after connecting: on_connect is to be run on it */
  bool has_gate;
  uint64_t deadline_ns; /* of waiting; 0: the pool's timeout */
  uint64_t since_ns;    /* held since */
  mp_error
      error; /* why it is OVER without having been given back; its message is in text, or a literal */
  char *text; /* room for that message; NULL: the bare name of the kind is all there is */
  size_t text_bytes;
  mp_connection *conn; /* while HELD */
  /* From the loop, once: HELD, or OVER with error set. */
  void (*on_ready)(struct mp_hold *hold);
  /* The connection was lost or revoked while HELD (state is OVER now). May be NULL. */
  void (*on_lost)(struct mp_hold *hold);
  mp_pool *pool; /* private from here on */
  struct mp_slot *slot;
  struct mp_gatepass *pass;
  mp_gateplace place;
  int *counted;  /* the length of the queue that it is on */
  uint64_t turn; /* the count of waits and connect attempts when it began to wait */
  mp_timer timer;
} mp_hold;

void mp_hold_init(mp_hold *hold, mp_access access);

typedef struct mp_pool_limits {
  int min, max;
  uint64_t timeout_ns;      /* waiting for a connection; 0: for ever */
  uint64_t max_idle_ns;     /* an idle connection above min is closed after this; 0: never */
  uint64_t max_lifetime_ns; /* replaced when given back after this (with jitter); 0: never */
  uint64_t max_uses;        /* likewise after so many leases; 0: never */
} mp_pool_limits;

/* busy: held, or being cleaned after that. control: connections that only stop statements of others. */
typedef struct mp_pool_stats {
  int size, idle, busy, waiting, max, control;
} mp_pool_stats;

/* The pool takes config over, and frees its arena when it is freed itself. When it fails, config stays the
** caller's, and *err lives in config's arena. Opens nothing. */
mp_status mp_pool_new(mp_pool **out, mp_loop *loop, mp_config *config, const mp_pool_limits *limits,
                      mp_error *err);

/* The password, kept in the pool and wiped with it. Or a hook that is called whenever a connection needs one: the
** connection waits until mp_pool_password_is(ticket, password or NULL, error or NULL). From the loop only. */
mp_status mp_pool_set_password(mp_pool *pool, const char *password);
void mp_pool_on_password(mp_pool *pool, void (*wanted)(void *owner, uint64_t ticket), void *owner);
void mp_pool_password_is(mp_pool *pool, uint64_t ticket, const char *password, const mp_error *err);

/* Hand a request to the pool. The pool owns it until on_done runs; on_done runs exactly once, from the loop,
** never before this function returns, also if the request fails at once. Served oldest first. Runs outside any
** transaction; a request whose access turns out to be a write is moved behind the gate by itself. A STREAM holds its connection until it ends. */
void mp_pool_submit(mp_pool *pool, mp_request *req);

/* Stop a request that mp_pool_submit was given, wherever it is: waiting, connecting, running. */
void mp_pool_cancel(mp_pool *pool, mp_request *req, mp_status why);

/* Deliver the next chunk of a stream given to mp_pool_submit. */
void mp_pool_more(mp_pool *pool, mp_request *req);

/* Ask for a connection of one's own. on_ready runs exactly once, from the loop, unless it is given back before. */
void mp_pool_acquire(mp_pool *pool, mp_hold *hold);

/* It is HELD, and its owner has seen that: on_ready is not called any more. */
void mp_pool_told(mp_hold *hold);

/* Stop waiting, or give the connection back; twice is fine. The caller has ended what it ran there. The pool asks the engine:
** an open transaction is rolled back, a tainted session is reset, and what cannot be made clean is closed, all in
** the background. destroy: close it whatever its state. */
void mp_pool_give_back(mp_hold *hold, bool destroy);

/* For a HELD hold without the gate: wait for it (entered runs once, from the loop: MP_OK, or busy at the deadline; not
** any more once the hold is OVER), and leave it. Where there is no single writer, entering succeeds at once (from the loop). */
typedef struct mp_gatepass {
  mp_list node; /* private, like all but deadline_ns, inside and entered */
  mp_hold *hold;
  uint64_t deadline_ns; /* 0: the pool's timeout */
  bool inside;
  void (*entered)(struct mp_gatepass *pass, mp_status status);
  bool waits;
  mp_status answer;
  mp_timer timer;
} mp_gatepass;
void mp_gatepass_init(mp_gatepass *pass, void (*entered)(mp_gatepass *pass, mp_status status));
void mp_pool_enter_gate(mp_hold *hold, mp_gatepass *pass);
void mp_pool_leave_gate(mp_gatepass *pass); /* also to stop waiting; twice is fine */

/* Would an acquire with this access have to wait for somebody who holds what it needs? */
bool mp_pool_would_wait(const mp_pool *pool, mp_access access);

void mp_pool_get_stats(const mp_pool *pool, mp_pool_stats *out);

/* Refuse what comes from now on (pool_closed), let running work and leases end, then close all connections
** and call on_closed once, from the loop. Waiters are told pool_closed at once. After drain_ns (0: at once,
** UINT64_MAX: never) what still runs is cancelled and leases are revoked. Calling it again shortens the drain; each on_closed is called.
** Only out of memory makes it fail, and then nothing has happened. */
mp_status mp_pool_close(mp_pool *pool, uint64_t drain_ns, void (*on_closed)(void *owner),
                        void *owner);

/* After the last on_closed, or from inside it. A pool that never was used may be freed without. NULL is fine. */
void mp_pool_free(mp_pool *pool);

/* Do writers of this pool have to pass a gate? */
bool mp_pool_has_gate(const mp_pool *pool);
/* Do its connections take several requests at once? */
bool mp_pool_pipelines(const mp_pool *pool);
const mp_pool_limits *mp_pool_get_limits(const mp_pool *pool);
const mp_config *mp_pool_config(const mp_pool *pool);
mp_loop *mp_pool_loop(const mp_pool *pool);

#endif
