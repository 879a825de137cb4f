/* pool_gate.c - the one writer of a file.
** A queue and the place that is inside; nothing here knows pools or connections. */
#include "pool_gate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct mp_gate {
  mp_loop *loop;
  int use_n;
  mp_gateplace *inside;
  mp_list queue;
  char name[];
};

mp_gate *mp_gate_use(mp_loop *loop, const char *name)
{
  mp_gate *gate = mp_loop_shared(loop, name);
  size_t n_bytes = strlen(name) + 1;
  if (gate == NULL) {
    gate = calloc(1, sizeof *gate + n_bytes);
    if (gate == NULL || mp_loop_share(loop, name, gate) != MP_OK) {
      free(gate);
      return NULL;
    }
    gate->loop = loop;
    mp_list_init(&gate->queue);
    memcpy(gate->name, name, n_bytes);
  }
  gate->use_n++;
  return gate;
}

void mp_gate_drop(mp_gate *gate)
{
  if (gate == NULL || --gate->use_n > 0)
    return;
  assert(gate->inside == NULL && mp_list_empty(&gate->queue));
  mp_loop_share(gate->loop, gate->name, NULL);
  free(gate);
}

void mp_gateplace_init(mp_gateplace *place)
{
  *place = (mp_gateplace){.state = MP_GATE_OUT};
  mp_list_init(&place->node);
}

void mp_gate_enter(mp_gate *gate, mp_gateplace *place, void (*entered)(mp_gateplace *place))
{
  assert(place->state == MP_GATE_OUT);
  place->gate = gate;
  place->entered = entered;
  if (mp_gate_taken(gate)) {
    place->state = MP_GATE_WAITING;
    mp_list_push_back(&gate->queue, &place->node);
    return;
  }
  place->state = MP_GATE_INSIDE;
  gate->inside = place;
  entered(place);
}

void mp_gate_leave(mp_gateplace *place)
{
  mp_gate *gate = place->gate;
  mp_gatestate was = place->state;
  mp_list *next;
  place->state = MP_GATE_OUT;
  if (was == MP_GATE_WAITING)
    mp_list_remove(&place->node);
  if (was != MP_GATE_INSIDE)
    return;
  assert(gate->inside == place);
  gate->inside = NULL;
  next = mp_list_pop_front(&gate->queue);
  if (next == NULL)
    return;
  gate->inside = mp_container_of(next, mp_gateplace, node);
  gate->inside->state = MP_GATE_INSIDE;
  gate->inside->entered(gate->inside);
}

void mp_gate_hand_over(mp_gateplace *from, mp_gateplace *to)
{
  if (from->state != MP_GATE_INSIDE)
    return;
  assert(to->state == MP_GATE_OUT);
  to->gate = from->gate;
  to->state = MP_GATE_INSIDE;
  to->gate->inside = to;
  from->state = MP_GATE_OUT;
}

bool mp_gate_taken(const mp_gate *gate)
{
  return gate->inside != NULL || !mp_list_empty(&gate->queue);
}
