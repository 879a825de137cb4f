/* operation.c - the table of operations and what becomes of each kind of them.
** Answers with rows are read in rows.c; requests are made in statement.c. */
#include "operation.h"

#include "raise.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_BITS 21
#define SLOT_MAX (1u << SLOT_BITS)

static lmp_op *at(const lmp_hub *hub, uint32_t slot)
{
  return &hub->blocks[slot / LMP_BLOCK][slot % LMP_BLOCK];
}

static bool add_block(lmp_hub *hub)
{
  lmp_op **blocks;
  lmp_op *block;
  uint32_t first = hub->block_n * LMP_BLOCK;
  if (first + LMP_BLOCK > SLOT_MAX)
    return false;
  blocks = realloc(hub->blocks, (hub->block_n + 1) * sizeof *blocks);
  if (blocks == NULL)
    return false;
  hub->blocks = blocks;
  block = calloc(LMP_BLOCK, sizeof *block);
  if (block == NULL)
    return false;
  for (uint32_t i = 0; i < LMP_BLOCK; i++) {
    block[i].hub = hub;
    block[i].slot = first + i;
    block[i].generation = 1;
    block[i].next_free = i + 1 < LMP_BLOCK ? first + i + 1 : hub->first_free;
    mp_list_init(&block[i].node);
  }
  hub->blocks[hub->block_n++] = block;
  hub->first_free = first;
  return true;
}

static void timer_fired(mp_timer *timer)
{
  lmp_op_ready(mp_container_of(timer, lmp_op, timer), true);
}

lmp_op *lmp_op_new(lua_State *L, lmp_hub *hub, lmp_optype type)
{
  lmp_op *op;
  if (hub->first_free == LMP_NO_SLOT && !add_block(hub))
    lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another operation (%d are open)", hub->op_n);
  op = at(hub, hub->first_free);
  hub->first_free = op->next_free;
  hub->op_n++;
  op->type = (uint8_t)type;
  op->state = LMP_RUNNING;
  op->finished = false;
  op->pool = NULL;
  op->lease = NULL;
  op->req = NULL;
  op->stopped = MP_OK;
  op->abandon = NULL;
  op->number = 0;
  mp_timer_init(&op->timer, timer_fired);
  return op;
}

void lmp_op_free(lmp_op *op)
{
  lmp_hub *hub = op->hub;
  mp_list_remove(&op->node);
  if (op->req != NULL) {
    hub->request_n--;
    mp_request_free(op->req);
  }
  if (op->lease != NULL) {
    if (op->lease->acquire == op)
      op->lease->acquire = NULL;
    lmp_lease_unref(op->lease);
  }
  if (op->pool != NULL) {
    if (op->pool->asker == op)
      op->pool->asker = NULL;
    lmp_pool_unref(op->pool);
  }
  op->req = NULL;
  op->lease = NULL;
  op->pool = NULL;
  op->state = LMP_FREE;
  if (++op->generation == 0)
    op->generation = 1;
  op->next_free = hub->first_free;
  hub->first_free = op->slot;
  hub->op_n--;
}

void lmp_op_ready(lmp_op *op, bool finished)
{
  op->finished = finished;
  if (op->state == LMP_RUNNING) {
    op->state = LMP_READY;
    mp_list_push_back(&op->hub->ready, &op->node);
  } else if (op->state == LMP_FORGOTTEN && finished) {
    lmp_op_free(op);
  }
}

static void request_chunk(mp_request *req)
{
  lmp_op_ready(req->owner, false);
}

static void request_done(mp_request *req)
{
  lmp_op_ready(req->owner, true);
}

void lmp_op_submit(lmp_op *op)
{
  op->req->owner = op;
  op->req->on_chunk = request_chunk;
  op->req->on_done = request_done;
  if (op->lease != NULL)
    mp_lease_submit(&op->lease->lease, op->req);
  else
    mp_pool_submit(op->pool->pool, op->req);
}

void lmp_push_op(lua_State *L, const lmp_op *op)
{
  lua_pushinteger(L, (lua_Integer)(((uint64_t)op->generation << SLOT_BITS) | op->slot));
}

lmp_op *lmp_check_op(lua_State *L, int idx)
{
  lmp_hub *hub = LMP_HUB(L);
  uint64_t id = (uint64_t)luaL_checkinteger(L, idx);
  uint32_t slot = (uint32_t)(id & (SLOT_MAX - 1));
  lmp_op *op = slot / LMP_BLOCK < hub->block_n ? at(hub, slot) : NULL;
  if (op == NULL || op->generation != id >> SLOT_BITS || op->state == LMP_FREE ||
      op->state == LMP_FORGOTTEN)
    lmp_raise(L, MP_E_STALE_HANDLE, "operation %s has been taken or forgotten",
              lua_tostring(L, idx));
  return op;
}

lmp_op *lmp_check_ready_op(lua_State *L, int idx)
{
  lmp_op *op = lmp_check_op(L, idx);
  if (op->state != LMP_READY)
    lmp_raise(L, MP_E_STALE_HANDLE, "operation %s has not finished: wait for it first",
              lua_tostring(L, idx));
  return op;
}

const mp_error *lmp_op_error(const lmp_op *op, mp_error *room)
{
  *room = MP_ERROR_NONE;
  if (op->stopped != MP_OK) {
    room->kind = op->stopped;
    room->message = op->stopped == MP_E_TIMEOUT       ? "stopped at its deadline"
                    : op->stopped == MP_E_POOL_CLOSED ? "the database has been closed"
                                                      : "cancelled while it waited";
    return room;
  }
  if (op->type == LMP_OP_REQUEST) /* a chunk may lie ready while the request is failing already */
    return op->finished && op->req->error.kind != MP_OK ? &op->req->error : NULL;
  if (op->type == LMP_OP_ACQUIRE && op->lease->lease.hold.state != MP_HOLD_HELD) {
    if (op->lease->lease.hold.error.kind != MP_OK)
      return &op->lease->lease.hold.error;
    room->kind = MP_E_STALE_HANDLE;
    room->message = "the connection was given back before its lease was used";
    return room;
  }
  return NULL;
}

int lmp_op_fail(lua_State *L, lmp_op *op, const mp_error *error)
{
  lua_pushnil(L);
  lmp_push_error(L, error);
  lmp_op_free(op);
  return 2;
}

/* Ask the core to stop it. Its end comes from the loop, but for what only waits here. */
static void stop(lmp_op *op, mp_status why)
{
  switch ((lmp_optype)op->type) {
  case LMP_OP_REQUEST:
    if (op->finished)
      break;
    if (op->lease != NULL)
      mp_lease_cancel(&op->lease->lease, op->req, why);
    else
      mp_pool_cancel(op->pool->pool, op->req, why);
    break;
  case LMP_OP_TIMER:
    mp_timer_stop(op->hub->loop, &op->timer);
    break;
  case LMP_OP_ACQUIRE:
    mp_lease_release(&op->lease->lease);
    op->lease->acquire = NULL;
    break;
  case LMP_OP_PASSWORD:
    if (op->pool->asker == op)
      op->pool->asker = NULL;
    break;
  case LMP_OP_SIGNAL:
    op->abandon(op);
    break;
  case LMP_OP_CLOSE:
    break; /* a pool that closes cannot be told not to */
  }
}

/* Does the core hold a pointer to it, so that its end is still to come? */
static bool in_core(const lmp_op *op)
{
  return !op->finished && (op->type == LMP_OP_REQUEST || op->type == LMP_OP_CLOSE);
}

void lmp_op_forget(lmp_op *op)
{
  bool wait = in_core(op);
  mp_list_remove(&op->node);
  if (wait)
    op->state = LMP_FORGOTTEN;
  else if (op->type == LMP_OP_REQUEST && op->lease != NULL && op->finished)
    mp_lease_unheard(&op->lease->lease, op->req);
  if (!op->finished || op->type == LMP_OP_ACQUIRE)
    stop(op, MP_E_CANCELLED);
  if (!wait)
    lmp_op_free(op);
}

static int op_take(lua_State *L)
{
  lmp_op *op = lmp_check_ready_op(L, 1);
  mp_error room;
  const mp_error *error = lmp_op_error(op, &room);
  int n = 1;
  if (error != NULL)
    return lmp_op_fail(L, op, error);
  switch ((lmp_optype)op->type) {
  case LMP_OP_REQUEST: {
    mp_request *req = op->req;
    if (req->op == MP_OP_PREPARE) {
      lua_pushinteger(L, req->param_n);
      n += lmp_push_columns(L, req->result);
      n += lmp_push_types(L, req);
    } else if (req->op == MP_OP_TX || req->op == MP_OP_PING) {
      lua_pushboolean(L, 1);
    } else {
      lmp_push_integer(L, req->affected);
      lmp_push_integer(L, req->last_id);
      n = 2;
    }
    break;
  }
  case LMP_OP_ACQUIRE:
    lua_pushboolean(L, op->lease->lease.hold.fresh);
    break;
  case LMP_OP_PASSWORD:
  case LMP_OP_SIGNAL:
    lua_pushinteger(L, (lua_Integer)op->number);
    break;
  case LMP_OP_TIMER:
  case LMP_OP_CLOSE:
    lua_pushboolean(L, 1);
    break;
  }
  lmp_op_free(op);
  return n;
}

static int op_done(lua_State *L)
{
  const lmp_op *op = lmp_check_op(L, 1);
  mp_error room;
  lua_pushboolean(L, op->state == LMP_READY);
  lua_pushboolean(L, op->state == LMP_READY && lmp_op_error(op, &room) == NULL);
  return 2;
}

static bool can_yield(lua_State *L, int idx)
{
  return lua_tothread(L, idx) == L && lua_isyieldable(L);
}

/* Nothing if its answer is there; otherwise whether the caller could yield, as the coroutine at 2. */
static int op_waits(lua_State *L)
{
  if (lmp_check_op(L, 1)->state == LMP_READY)
    return 0;
  lua_pushboolean(L, can_yield(L, 2));
  return 1;
}

static int op_can_yield(lua_State *L)
{
  lua_pushboolean(L, can_yield(L, 1));
  return 1;
}

static int op_cancel(lua_State *L)
{
  static const char *const names[] = {"cancelled", "timeout", NULL};
  lmp_op *op = lmp_check_op(L, 1);
  mp_status why = luaL_checkoption(L, 2, "cancelled", names) == 0 ? MP_E_CANCELLED : MP_E_TIMEOUT;
  if (op->finished)
    return 0;
  stop(op, why);
  if (!in_core(op)) {
    op->stopped = why;
    lmp_op_ready(op, true);
  }
  return 0;
}

static int op_forget(lua_State *L)
{
  lmp_op_forget(lmp_check_op(L, 1));
  return 0;
}

static int op_timer(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  mp_loop *loop = lmp_loop(L, hub);
  uint64_t after_ns = lmp_seconds_ns(L, 1, 0);
  uint64_t now_ns = mp_clock_ns();
  lmp_op *op = lmp_op_new(L, hub, LMP_OP_TIMER);
  mp_status st = mp_timer_start(loop, &op->timer,
                                after_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + after_ns);
  if (st != MP_OK) {
    lmp_op_free(op);
    return lmp_raise(L, st, "no memory for another timer");
  }
  lmp_push_op(L, op);
  return 1;
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
  return from_ns == 0 || to_ns < from_ns ? 0 : (double)(to_ns - from_ns) * 1e-9;
}

static int op_times(lua_State *L)
{
  const lmp_op *op = lmp_check_ready_op(L, 1);
  uint64_t submitted = 0, started = 0, done = 0;
  if (op->req != NULL) {
    done = op->req->done_ns;
    submitted = op->req->submitted_ns;
    started = op->req->started_ns != 0 ? op->req->started_ns : done;
  }
  lua_pushnumber(L, seconds_between(submitted, started));
  lua_pushnumber(L, seconds_between(started, done));
  return 2;
}

void lmp_open_operations(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {
      {"take", op_take},     {"done", op_done},           {"cancel", op_cancel},
      {"forget", op_forget}, {"timer", op_timer},         {"times", op_times},
      {"waits", op_waits},   {"can_yield", op_can_yield}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
