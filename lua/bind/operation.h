/* operation.h - operations: what Lua starts, waits for and takes the answer of.
** Lua has a number: slot + generation, so a used one is recognised and never reaches another's
** answer. RUNNING -> READY (Lua is told once) -> freed by take; a stream goes back to RUNNING with
** each chunk. FORGOTTEN: nobody wants the answer; freed as soon as the core has let go of it. */
#ifndef LMP_OPERATION_H
#define LMP_OPERATION_H

#include "hub.h"

typedef enum lmp_optype {
  LMP_OP_REQUEST,
  LMP_OP_TIMER,
  LMP_OP_ACQUIRE,
  LMP_OP_CLOSE,
  LMP_OP_PASSWORD,
  LMP_OP_SIGNAL
} lmp_optype;

typedef enum lmp_opstate {
  LMP_FREE,
  LMP_RUNNING,
  LMP_READY,
  LMP_FORGOTTEN
} lmp_opstate;

struct lmp_op {
  mp_list node; /* on hub->ready until Lua is told */
  lmp_hub *hub;
  uint32_t slot, generation;
  uint32_t next_free;
  uint8_t type, state;
  bool finished;  /* READY: there is nothing after this (a stream: not a chunk) */
  lmp_pool *pool; /* what it runs on: at most one of them, with a reference */
  lmp_lease *lease;
  mp_request *req;             /* REQUEST; owned */
  mp_status stopped;           /* ACQUIRE that was cancelled: why */
  uint64_t number;             /* PASSWORD: the ticket. SIGNAL: the signal */
  void (*abandon)(lmp_op *op); /* SIGNAL: called when it is forgotten */
  mp_timer timer;
};

#define LMP_BLOCK 256
#define LMP_NO_SLOT UINT32_MAX

/* A new operation, RUNNING, with nothing in it. Raises out_of_memory. */
lmp_op *lmp_op_new(lua_State *L, lmp_hub *hub, lmp_optype type);

/* Let go of what it has and free its slot. */
void lmp_op_free(lmp_op *op);

/* Its answer is there: Lua will be told; a forgotten one is freed. */
void lmp_op_ready(lmp_op *op, bool finished);

/* The request has been filled: give it to the pool or lease of the operation. */
void lmp_op_submit(lmp_op *op);

void lmp_push_op(lua_State *L, const lmp_op *op);

/* The operation with the number at idx. Raises stale_handle. */
lmp_op *lmp_check_op(lua_State *L, int idx);

/* The same, and its answer must be there. */
lmp_op *lmp_check_ready_op(lua_State *L, int idx);

/* How the operation ended: NULL if well. */
const mp_error *lmp_op_error(const lmp_op *op, mp_error *room);

/* nil and the error; the operation is freed. */
int lmp_op_fail(lua_State *L, lmp_op *op, const mp_error *error);

/* Push the array of column names and that of their kinds: 2. */
int lmp_push_columns(lua_State *L, const mp_result *result);

/* Push the arrays of the server's numbers for the types of the parameters and of the columns: 2. */
int lmp_push_types(lua_State *L, const mp_request *req);

/* Stop it; it is freed as soon as that is possible. */
void lmp_op_forget(lmp_op *op);

#endif
