/* pool_gate.h - the one writer of a file: a gate with room for one, and a queue in front of it.
** One gate for each file and loop, shared by every pool that names the file, first come first served. A
** place moves WAITING -> INSIDE -> OUT; it may be handed over to another while it is inside. */
#ifndef MP_POOL_GATE_H
#define MP_POOL_GATE_H

#include "loop.h"

typedef struct mp_gate mp_gate;

typedef enum mp_gatestate {
  MP_GATE_OUT,
  MP_GATE_WAITING,
  MP_GATE_INSIDE
} mp_gatestate;

typedef struct mp_gateplace {
  mp_list node;
  mp_gate *gate;
  mp_gatestate state;
  /* It is inside now. From mp_gate_leave of the one before, or from mp_gate_enter itself. */
  void (*entered)(struct mp_gateplace *place);
} mp_gateplace;

/* The gate of that name; made when it is the first time. Each use is paid back with mp_gate_drop. NULL: no memory. */
mp_gate *mp_gate_use(mp_loop *loop, const char *name);
void mp_gate_drop(mp_gate *gate); /* NULL is fine */

void mp_gateplace_init(mp_gateplace *place);
void mp_gate_enter(mp_gate *gate, mp_gateplace *place, void (*entered)(mp_gateplace *place));

/* Leave the gate or its queue. Twice is fine. */
void mp_gate_leave(mp_gateplace *place);

/* `to` is inside instead of `from`, which is out. Nothing happens if from is not inside. */
void mp_gate_hand_over(mp_gateplace *from, mp_gateplace *to);

/* Would somebody who enters now have to wait? */
bool mp_gate_taken(const mp_gate *gate);

#endif
