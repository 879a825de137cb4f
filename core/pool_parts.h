/* pool_parts.h - what the rooms of the pool share; nothing outside core/pool*.c includes it.
**   pool.c          making, closing, and answering from the loop
**   pool_queue.c    who waits for what, who is served, the gate
**   pool_slot.c     the places for connections: opening, cleaning, closing, idle limits
**   pool_errand.c   requests that run outside a lease: each is a hold of its own
** A request or hold that is answered without having run is put on a list and answered from the loop. */
#ifndef MP_POOL_PARTS_H
#define MP_POOL_PARTS_H

#include "pool.h"

/* The state of a connection is the list it is on. */
typedef enum mp_slotstate {
  MP_SLOT_CONNECTING, /* or waiting for its password */
  MP_SLOT_IDLE,       /* clean; the one used last is first */
  MP_SLOT_HELD,
  MP_SLOT_CLEANING, /* given back, not clean yet */
  MP_SLOT_CLOSING,
  MP_SLOT_N
} mp_slotstate;

typedef struct mp_slot {
  mp_list node;
  mp_slotstate state;
  mp_pool *pool;
  mp_connection *conn; /* NULL while the password is awaited */
  uint64_t ticket;     /* for the password */
  mp_hold *hold;       /* HELD */
  mp_gateplace place;  /* the gate that a hold left us, until the connection is clean */
  bool reads;          /* counts in pool->reader_n */
  bool doomed, rolled_back, was_reset;
  bool restored;     /* reset since it was last held: what on_connect did is undone */
  mp_request *chore; /* a rollback or reset of ours that runs */
  uint64_t turn;     /* the pool's count when connecting began */
  uint64_t idle_ns, expires_ns, use_n;
  mp_timer timer; /* cleaning has to be over */
} mp_slot;

struct mp_pool {
  mp_loop *loop;
  mp_config *config;
  mp_pool_limits limits;
  mp_gate *gate; /* NULL: any number of writers, or one connection of which nobody else knows */
  bool split;    /* writers pass the gate first and find the connection that is kept for them */
  bool used;

  mp_list slots[MP_SLOT_N];
  int slot_n[MP_SLOT_N];
  int reader_n; /* split: connections held without the gate */
  mp_slot *last_writer;

  mp_list gated, writing,
      waiting; /* split writers: before the gate, behind it; and everybody else */
  int gated_n, writing_n, waiting_n;
  uint64_t turn;

  mp_list errands; /* requests of mp_pool_submit that are not DONE */
  mp_list dropped; /* those of them that are to be answered without having been sent */
  mp_list answers; /* holds whose on_ready is due */
  mp_list passes;  /* passes whose entered is due */
  mp_later later;

  char *password;
  void (*wanted)(void *owner, uint64_t ticket);
  void *wanted_owner;
  uint64_t ticket;

  int failure_n; /* connects that failed in a row */
  uint64_t connect_after_ns;
  char connect_text[256]; /* why the last one failed, "" if it did not */
  mp_timer retry, reaper, drain;
  uint64_t random;

  bool closing;
  mp_list closers;
};

/* Serve everybody who can be served; open connections (later) for those who cannot. */
void mp_pool_dispatch(mp_pool *pool);

/* How many more connections should be connecting, failures aside. */
int mp_pool_lacks(const mp_pool *pool);

/* End waiting with an error; answered from the loop. */
void mp_pool_refuse(mp_hold *hold, const mp_error *error);
void mp_pool_refuse_all(mp_pool *pool, uint64_t up_to_turn, const mp_error *error);

/* A held connection is gone: its hold is OVER and hears of it. */
void mp_pool_lose_hold(mp_slot *slot, const mp_error *error);

int mp_slot_size(const mp_pool *pool); /* connections, those that are closing too */
void mp_slot_open_wanted(mp_pool *pool);
void mp_slot_hold(mp_slot *slot, mp_hold *hold);
void mp_slot_take_back(mp_slot *slot, bool destroy);
void mp_slot_close(
    mp_slot *slot); /* whatever its state; a hold on it has to be told by the caller */
void mp_slot_limit(
    mp_slot *slot); /* what runs there has a few seconds to end, or the connection is closed */
mp_slot *mp_slot_leased(const mp_pool *pool); /* one that is held by no errand, or NULL */
void mp_slot_reap(mp_timer *reaper);
void mp_slot_retry(mp_timer *retry);

void mp_errand_ready(mp_hold *hold);
void mp_errand_refused(mp_hold *hold, const mp_error *error);
void mp_errand_answer(mp_pool *pool); /* those that were dropped */
void mp_errand_cancel_all(mp_pool *pool);

#endif
