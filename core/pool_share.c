/* pool_share.c - connections that several errands share, each behind the other in the server's pipeline.
** Only plain reads of the ORM's own making do, and only those that were measured to be fast: whoever writes may wait for
** somebody's lock, and everybody behind would wait too. Nobody joins while there is an idle connection or room for a new one,
** and nobody joins behind a statement that runs too long already. A shared connection is idle again when its last guest has left.
** Sixteen share one: so many may have to wait for one that turns out to be slow. Where the server is far away they would mostly be
** on their way, and neither side at work: a connection that was full while more were waiting, and goes on to answer, takes more by
** and by, as many as its way holds; one whose head is slow is back at sixteen. */
#include "pool_parts.h"

#define GUESTS 16
#define GUESTS_MAX 64
#define GUESTS_WAY_NS ((uint64_t)500 * 1000) /* of the way there and back: that much holds GUESTS */

static bool is_plain_read(const mp_request *req)
{
  return req->own_sql && req->access == MP_ACCESS_READ && req->op == MP_OP_QUERY &&
         req->max_rows == 0 && req->max_bytes == 0 && !req->no_cache;
}

bool mp_share_may(const mp_hold *hold)
{
  const mp_request *req = mp_errand_request(hold);
  return req != NULL && is_plain_read(req) && mp_pace_is_fast(&hold->pool->pace, req->sql_hash);
}

/* When the server began with a request, as far as we can know. */
static uint64_t began_ns(const mp_slot *slot, const mp_request *req)
{
  return req->started_ns == 0 || req->started_ns > slot->answered_ns ? req->started_ns
                                                                     : slot->answered_ns;
}

static bool has_room(mp_slot *slot, uint64_t now_ns)
{
  const mp_hold *head = mp_container_of(slot->guests.next, mp_hold, node);
  if (mp_pace_is_long(&slot->pool->pace, began_ns(slot, mp_errand_request(head)), now_ns)) {
    slot->extra_room = 0;
    return false;
  }
  return slot->guest_n < GUESTS + slot->extra_room && !slot->spoilt && !mp_slot_is_spent(slot) &&
         mp_connection_state(slot->conn) == MP_CONN_READY;
}

static void learn_room(mp_slot *slot)
{
  const mp_pool *pool = slot->pool;
  if (pool->waiting_n > 0 && slot->guest_n >= GUESTS + slot->extra_room &&
      slot->guest_n < GUESTS_MAX &&
      pool->pace.way_ns / GUESTS_WAY_NS * GUESTS > (uint64_t)slot->extra_room)
    slot->extra_room++;
}

mp_slot *mp_share_find(mp_pool *pool)
{
  mp_list *shared = &pool->slots[MP_SLOT_SHARED];
  mp_slot *best = NULL;
  uint64_t now_ns;
  if (mp_list_empty(shared) ||
      (mp_slot_size(pool) < pool->limits.max && pool->failure_n == 0 && !pool->closing))
    return NULL;
  now_ns = mp_clock_ns();
  for (mp_list *node = shared->next; node != shared; node = node->next) {
    mp_slot *slot = mp_container_of(node, mp_slot, node);
    if ((best == NULL || slot->guest_n < best->guest_n) && has_room(slot, now_ns))
      best = slot;
  }
  return best;
}

void mp_share_join(mp_slot *slot, mp_hold *hold)
{
  if (slot->state != MP_SLOT_SHARED)
    mp_slot_share(slot);
  mp_list_push_back(&slot->guests, &hold->node);
  slot->guest_n++;
}

static mp_slot *part(mp_hold *hold)
{
  mp_slot *slot = hold->slot;
  mp_list_remove(&hold->node);
  slot->guest_n--;
  hold->state = MP_HOLD_OVER;
  hold->slot = NULL;
  hold->conn = NULL;
  return slot;
}

void mp_share_leave(mp_hold *hold, bool destroy)
{
  mp_slot *slot = part(hold);
  slot->spoilt = slot->spoilt || destroy;
  if (slot->guest_n == 0)
    mp_slot_take_back(slot, slot->spoilt);
  else
    mp_pool_dispatch(slot->pool);
}

void mp_share_lose(mp_slot *slot)
{
  while (!mp_list_empty(&slot->guests))
    part(mp_container_of(slot->guests.next, mp_hold, node));
}

void mp_share_note(mp_hold *hold, const mp_request *req)
{
  mp_slot *slot = hold->state == MP_HOLD_HELD ? hold->slot : NULL;
  uint64_t now_ns;
  if (slot == NULL)
    return;
  now_ns = mp_clock_ns();
  if (req->error.kind == MP_OK && req->started_ns != 0 && is_plain_read(req)) {
    mp_pace_note(&slot->pool->pace, req->sql_hash, now_ns - began_ns(slot, req),
                 req->started_ns >= slot->answered_ns);
    learn_room(slot);
  }
  slot->answered_ns = now_ns;
}
