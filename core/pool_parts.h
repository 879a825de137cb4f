/* pool_parts.h - what the rooms of the pool share; nothing outside core/pool*.c includes it.
**   pool.c          making, closing, and answering from the loop
**   pool_queue.c    who waits for what, who is served, the gate
**   pool_slot.c     the places for connections: opening, cleaning, closing, idle limits
**   pool_errand.c   requests that run outside a lease: each is a hold of its own
**   pool_share.c    connections that several of those requests share
**   pool_control.c  the connection that stops what others run
** A request or hold that is answered without having run is put on a list and answered from the loop. */
#ifndef MP_POOL_PARTS_H
#define MP_POOL_PARTS_H

#include "pace.h"
#include "pool.h"

/* The state of a connection is the list it is on. */
typedef enum mp_slotstate {
  MP_SLOT_CONNECTING, /* or waiting for its password */
  MP_SLOT_IDLE,       /* clean; the one used last is first */
  MP_SLOT_HELD,
  MP_SLOT_SHARED,   /* by errands that are known to be fast */
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
  mp_list guests;      /* SHARED: holds, the one whose answer is next first */
  int guest_n;
  int extra_room;       /* guests that it has learnt to take beyond the usual number */
  bool spoilt;          /* one of them said that the connection is of no use any more */
  uint64_t answered_ns; /* when the last errand on it was answered */
  mp_gateplace place;   /* the gate that a hold left us, until the connection is clean */
  bool reads;           /* counts in pool->reader_n */
  bool doomed, rolled_back, was_reset;
  bool restored;     /* reset since it was last held: what on_connect did is undone */
  mp_list kill_node; /* of control.wanted */
  mp_request *chore; /* a rollback or reset of ours that runs */
  uint64_t turn;     /* the pool's count when connecting began */
  uint64_t idle_ns, expires_ns, use_n;
  mp_timer timer; /* cleaning has to be over */
} mp_slot;

/* Opened when something is to be stopped, closed when nothing was for a while. */
typedef struct mp_control {
  mp_connection *conn; /* NULL: none */
  uint64_t ticket;     /* for its password; 0: not awaited */
  mp_list wanted;      /* slots whose statement is to be stopped */
  mp_slot *current;    /* the one that req is for; NULL: it is gone, or nothing runs */
  mp_request *req;
  mp_timer idle;
} mp_control;

struct mp_pool {
  mp_loop *loop;
  mp_config *config;
  mp_pool_limits limits;
  mp_gate *gate; /* NULL: any number of writers, or one connection of which nobody else knows */
  bool shares;   /* connections are, where that is safe */
  mp_pace pace;
  bool split; /* writers pass the gate first and find the connection that is kept for them */
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

  mp_control control;

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
void mp_slot_share(mp_slot *slot);          /* from now on */
bool mp_slot_is_spent(const mp_slot *slot); /* it has lived, or was used, long enough */
void mp_slot_take_back(mp_slot *slot, bool destroy);
void mp_slot_close(
    mp_slot *slot); /* whatever its state; a hold on it has to be told by the caller */
void mp_slot_limit(
    mp_slot *slot); /* what runs there has a few seconds to end, or the connection is closed */
mp_slot *mp_slot_leased(const mp_pool *pool); /* one that is held by no errand, or NULL */
void mp_slot_reap(mp_timer *reaper);
void mp_slot_retry(mp_timer *retry);

bool mp_share_may(const mp_hold *hold); /* is it for a statement that may share a connection? */
/* One that is shared and has room, where there is neither an idle one nor room for a new one; or NULL. */
mp_slot *mp_share_find(mp_pool *pool);
void mp_share_join(mp_slot *slot, mp_hold *hold);
void mp_share_leave(mp_hold *hold, bool destroy);
void mp_share_lose(mp_slot *slot); /* its guests hear of it by their requests */
void mp_share_note(mp_hold *hold, const mp_request *req); /* it was answered */

void mp_errand_ready(mp_hold *hold);
void mp_errand_refused(mp_hold *hold, const mp_error *error);
void mp_errand_answer(mp_pool *pool); /* those that were dropped */
void mp_errand_cancel_all(mp_pool *pool);
void mp_control_init(mp_pool *pool);
void mp_control_want(mp_slot *slot);   /* stop what it runs */
void mp_control_forget(mp_slot *slot); /* it is closing */
/* Is this ticket the control connection's? Then it has its password, or none to wait for. */
bool mp_control_password_is(mp_pool *pool, uint64_t ticket, const char *password, bool failed);
bool mp_control_close(mp_pool *pool); /* true: it is closed */

/* The request of a hold that is an errand; NULL for a lease. */
const mp_request *mp_errand_request(const mp_hold *hold);

#endif
