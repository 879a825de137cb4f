/* lease.h - a connection held by one task, and its transaction.
** A lease is a slot and a generation: once released, lost or revoked, every use answers stale_handle, and
** no driver pointer is ever reached through it. Releasing is never blocked and cannot fail: an open
** transaction is rolled back and an unclean connection is closed in the background. */
#ifndef MP_LEASE_H
#define MP_LEASE_H

#include "pool.h"

typedef struct mp_lease mp_lease;

struct mp_lease {
  mp_hold hold; /* state, access, fresh, deadline_ns, error: read them here */
  mp_tx tx;
  bool over; /* released: every call but release and destroy answers stale_handle */
  void (*on_ready)(mp_lease *lease); /* from the loop, once: HELD, or OVER with hold.error set */
  void *owner;

  /* private from here on */
  mp_loop *loop;
  uint64_t timeout_ns;
  mp_list waiting;   /* requests that were not sent yet, in order */
  mp_list dropped;   /* requests that are to be answered without having been sent */
  mp_list running;   /* sent to the connection */
  mp_request *chore; /* the rollback that a failed COMMIT or BEGIN left to us */
  mp_gatepass pass;  /* the gate for one write, or for a transaction begun on a READ lease */
  mp_later later;
  bool at_gate;   /* the first waiting request waits for the gate */
  bool following; /* the second statement of a transaction request runs */
  bool loss_told; /* somebody has heard that the connection was lost */
  bool destroy;   /* an error said that the connection must not be used again */
  char text[400];
};

/* Everything else zero; access as in mp_hold. READ leases are plain connections that take the gate for each
** write outside a transaction and for a transaction that may write; WRITE leases hold it from the start. */
void mp_lease_init(mp_lease *lease, mp_access access);

/* Ask the pool for the connection. on_ready and owner are set; hold.deadline_ns may be. */
void mp_lease_acquire(mp_lease *lease, mp_pool *pool);

/* To be asked right after that: an idle connection was there. True: it is HELD, and on_ready is not called. */
bool mp_lease_is_held(mp_lease *lease);

/* Run a request on the leased connection, in order, one after the other (those of a transaction that go `ahead` are sent
** without waiting for each other, where the backend pipelines; streams go on beside the others where the
** backend can; where it cannot, a request beside a stream answers concurrency). Inside a transaction each statement's outcome goes
** through tx.h: a failed or vanished transaction answers in_failed_transaction and nothing is sent.
** On an idle lease of a single-writer database a write takes the gate for its own time. MP_OP_TX requests: fill in
** tx_op and tx_options only; the text is made here. Answers like mp_pool_submit.
** After COMMIT was sent there is no transaction any more, whatever its answer: what it left open is rolled back here, and a
** ROLLBACK that follows a failed COMMIT does nothing. A COMMIT that was refused (in_failed_transaction) leaves the ROLLBACK to the program. */
void mp_lease_submit(mp_lease *lease, mp_request *req);

/* A transaction statement that the backend keeps back until the next one is done at once: there is no request, and nothing to wait for.
** Only when nothing waits or runs on the lease. False: nothing has happened, submit a request. */
bool mp_lease_keep(mp_lease *lease, mp_txop op, const mp_txoptions *options);

/* Stop a request. In a transaction a write that was done before it could be stopped fails the frame all the same: whoever has
** cancelled it does not know of it. */
void mp_lease_cancel(mp_lease *lease, mp_request *req, mp_status why);

/* A request has ended, and nobody is going to take its answer: as if it had been cancelled a moment before. */
void mp_lease_unheard(mp_lease *lease, const mp_request *req);

void mp_lease_more(mp_lease *lease, mp_request *req);

/* Give a lease back, or stop waiting for one. Safe to call twice: the second call does nothing. What it still runs is
** cancelled, an open transaction is rolled back; a connection whose state is unknown is closed. If it was
** still waiting, on_ready is not called any more. Requests given to it end (cancelled) from the loop, also after this. */
void mp_lease_release(mp_lease *lease);

/* What was done on it so far is how the connection begins (on_connect): it taints nothing, and is done again (fresh)
** when the connection was reset. Only when nothing runs on it. */
void mp_lease_adopt(mp_lease *lease);

/* The program has the connection in its own hands: it is brought back to how it began before anybody else gets it, whatever was
** done, where the backend could not see that. Once HELD. */
void mp_lease_taint(mp_lease *lease);

/* Release it and close the connection, whatever its state (a failed on_connect). */
void mp_lease_destroy(mp_lease *lease);

/* The connection was lost while nothing ran on it, and nobody has heard of that: the next request does (connection_lost),
** those behind it are answered stale_handle. */
bool mp_lease_loss_untold(const mp_lease *lease);

/* Nothing refers to the lease any more: released, and every request it was given has ended. Then it may be freed; true
** from mp_lease_release on, or from the on_done of its last request on. */
bool mp_lease_gone(const mp_lease *lease);

/* Free what a lease that is gone still owns; the lease itself is its owner's. */
void mp_lease_free(mp_lease *lease);

#endif
