/* lease.c - leases as Lua sees them: a connection of one's own and its transaction.
** A lease lives in C until the core has let go of it, however Lua lost it: the userdata is a
** reference, and collecting it releases the lease. */
#include "operation.h"

#include "raise.h"

#include <stdlib.h>

static void lease_ready(mp_lease *core)
{
  lmp_lease *lease = mp_container_of(core, lmp_lease, lease);
  lmp_op *op = lease->acquire;
  lease->acquire = NULL;
  if (op != NULL)
    lmp_op_ready(op, true);
}

static void give_back(lmp_lease *lease, bool destroy)
{
  lmp_op *op = lease->acquire;
  if (lease->pool->pool == NULL)
    return; /* shut down: the core has nothing any more */
  if (destroy)
    mp_lease_destroy(&lease->lease);
  else
    mp_lease_release(&lease->lease);
  if (op != NULL) { /* the core is silent about a lease that is released while it waits */
    lease->acquire = NULL;
    op->stopped = MP_E_CANCELLED;
    lmp_op_ready(op, true);
  }
}

void lmp_lease_unref(lmp_lease *lease)
{
  lmp_hub *hub = lease->pool->hub;
  if (--lease->refs > 0)
    return;
  give_back(lease, false);
  mp_list_remove(&lease->node);
  mp_list_push_back(&hub->abandoned, &lease->node);
  hub->sweep = true;
}

lmp_lease *lmp_check_lease(lua_State *L, int idx)
{
  lmp_lease *lease = *(lmp_lease **)luaL_checkudata(L, idx, LMP_LEASE_TYPE);
  if (lease == NULL || lease->pool->pool == NULL)
    lmp_raise(L, MP_E_STALE_HANDLE, "the connection was closed together with its database");
  return lease;
}

static int lease_gc(lua_State *L)
{
  lmp_lease **slot = luaL_checkudata(L, 1, LMP_LEASE_TYPE);
  lmp_lease *lease = *slot;
  *slot = NULL;
  if (lease != NULL) {
    give_back(lease, false);
    lmp_lease_unref(lease);
  }
  return 0;
}

static int pool_acquire(lua_State *L)
{
  static const char *const names[] = {"read", "write", NULL};
  lmp_pool *pool = lmp_check_pool(L, 1);
  bool write = luaL_checkoption(L, 2, "read", names) == 1;
  uint64_t timeout_ns = lmp_seconds_ns(L, 3, 0);
  lmp_lease **slot = lua_newuserdata(L, sizeof *slot);
  lmp_lease *lease;
  lmp_op *op;
  bool held;
  *slot = NULL;
  luaL_getmetatable(L, LMP_LEASE_TYPE);
  lua_setmetatable(L, -2);
  op = lmp_op_new(L, pool->hub, LMP_OP_ACQUIRE);
  lease = calloc(1, sizeof *lease);
  if (lease == NULL) {
    op->type = LMP_OP_TIMER; /* nothing of its own to let go of */
    lmp_op_free(op);
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another lease");
  }
  mp_lease_init(&lease->lease, write ? MP_ACCESS_WRITE : MP_ACCESS_READ);
  lease->pool = pool;
  lmp_pool_ref(pool);
  lease->refs = 2;
  lease->acquire = op;
  lease->lease.on_ready = lease_ready;
  lease->lease.owner = lease;
  if (timeout_ns != 0 && timeout_ns != UINT64_MAX)
    lease->lease.hold.deadline_ns = mp_clock_ns() + timeout_ns;
  mp_list_push_back(&pool->hub->leases, &lease->node);
  op->lease = lease;
  *slot = lease;
  mp_lease_acquire(&lease->lease, pool->pool);
  held = mp_lease_is_held(&lease->lease);
  if (held)
    lease_ready(&lease->lease);
  lmp_push_op(L, op);
  lua_pushboolean(L, held);
  return 3;
}

static int lease_release(lua_State *L)
{
  lmp_lease *lease = *(lmp_lease **)luaL_checkudata(L, 1, LMP_LEASE_TYPE);
  if (lease != NULL)
    give_back(lease, false);
  return 0;
}

static int lease_taint(lua_State *L)
{
  mp_lease_taint(&lmp_check_lease(L, 1)->lease);
  return 0;
}

static int lease_adopt(lua_State *L)
{
  mp_lease_adopt(&lmp_check_lease(L, 1)->lease);
  return 0;
}

static int lease_destroy(lua_State *L)
{
  lmp_lease *lease = *(lmp_lease **)luaL_checkudata(L, 1, LMP_LEASE_TYPE);
  if (lease != NULL)
    give_back(lease, true);
  return 0;
}

static int lease_over(lua_State *L)
{
  lmp_lease *lease = *(lmp_lease **)luaL_checkudata(L, 1, LMP_LEASE_TYPE);
  lua_pushboolean(L, lease == NULL || lease->pool->pool == NULL || lease->lease.over ||
                         lease->lease.hold.state == MP_HOLD_OVER);
  return 1;
}

static int lease_loss_untold(lua_State *L)
{
  lmp_lease *lease = *(lmp_lease **)luaL_checkudata(L, 1, LMP_LEASE_TYPE);
  lua_pushboolean(L, lease != NULL && lease->pool->pool != NULL &&
                         mp_lease_loss_untold(&lease->lease));
  return 1;
}

static int lease_state(lua_State *L)
{
  static const char *const names[] = {
      [MP_TXS_NONE] = "none",     [MP_TXS_OPEN] = "open",       [MP_TXS_FAILED] = "failed",
      [MP_TXS_BROKEN] = "broken", [MP_TXS_UNKNOWN] = "unknown",
  };
  const mp_lease *lease = &lmp_check_lease(L, 1)->lease;
  const mp_tx *tx = &lease->tx;
  /* What a BEGIN that was stopped has left open is being rolled back: the program never had it. */
  bool undone = lease->chore != NULL && !tx->commit_failed;
  lua_pushstring(L, names[undone ? MP_TXS_NONE : tx->state]);
  lua_pushinteger(L, tx->depth);
  if (tx->cause == MP_OK)
    return 2;
  lua_pushstring(L, mp_status_name(tx->cause));
  return 3;
}

/* ---- transaction statements ---- */

static mp_isolation isolation_at(lua_State *L, int idx)
{
  static const char *const names[] = {"read committed", "repeatable read", "serializable", NULL};
  static const mp_isolation levels[] = {MP_READ_COMMITTED, MP_REPEATABLE_READ, MP_SERIALIZABLE};
  if (lua_isnoneornil(L, idx))
    return MP_ISOLATION_DEFAULT;
  return levels[luaL_checkoption(L, idx, NULL, names)];
}

static int submit_tx(lua_State *L, mp_txop what, const mp_txoptions *options)
{
  lmp_lease *lease = lmp_check_lease(L, 1);
  lmp_hub *hub = lease->pool->hub;
  mp_txoptions *kept = NULL;
  lmp_op *op;
  if (mp_lease_keep(&lease->lease, what, options)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  op = lmp_op_new(L, hub, LMP_OP_REQUEST);
  if (mp_request_new(&op->req) == MP_OK)
    kept = mp_arena_alloc(op->req->arena, sizeof *kept);
  if (op->req != NULL)
    hub->request_n++;
  if (kept == NULL) {
    lmp_op_free(op);
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another request");
  }
  *kept = *options;
  op->req->op = MP_OP_TX;
  op->req->tx_op = what;
  op->req->tx_options = kept;
  op->lease = lease;
  lease->refs++;
  lmp_op_submit(op);
  lmp_push_op(L, op);
  return 1;
}

static int lease_begin(lua_State *L)
{
  mp_txoptions options = {.isolation = isolation_at(L, 2),
                          .read_only = lua_toboolean(L, 3),
                          .deferrable = lua_toboolean(L, 4)};
  return submit_tx(L, MP_TXO_BEGIN, &options);
}

static int lease_commit(lua_State *L)
{
  return submit_tx(L, MP_TXO_COMMIT, &(mp_txoptions){0});
}

static int lease_rollback(lua_State *L)
{
  return submit_tx(L, MP_TXO_ROLLBACK, &(mp_txoptions){0});
}

static int lease_savepoint(lua_State *L)
{
  return submit_tx(L, MP_TXO_SAVEPOINT, &(mp_txoptions){0});
}

static int lease_release_savepoint(lua_State *L)
{
  return submit_tx(L, MP_TXO_RELEASE, &(mp_txoptions){0});
}

static int lease_rollback_to(lua_State *L)
{
  return submit_tx(L, MP_TXO_ROLLBACK_TO, &(mp_txoptions){0});
}

void lmp_open_leases(lua_State *L, int hub)
{
  static const luaL_Reg pool_methods[] = {{"acquire", pool_acquire}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"release", lease_release},
                                     {"destroy", lease_destroy},
                                     {"adopt", lease_adopt},
                                     {"taint", lease_taint},
                                     {"over", lease_over},
                                     {"loss_untold", lease_loss_untold},
                                     {"state", lease_state},
                                     {"begin", lease_begin},
                                     {"commit", lease_commit},
                                     {"rollback", lease_rollback},
                                     {"savepoint", lease_savepoint},
                                     {"release_savepoint", lease_release_savepoint},
                                     {"rollback_to", lease_rollback_to},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", lease_gc}, {NULL, NULL}};
  luaL_getmetatable(L, LMP_POOL_TYPE);
  lua_getfield(L, -1, "__index");
  lmp_add_functions(L, hub, pool_methods);
  lua_pop(L, 2);
  luaL_newmetatable(L, LMP_LEASE_TYPE);
  lmp_add_functions(L, hub, meta);
  lua_newtable(L);
  lmp_add_functions(L, hub, methods);
  lmp_add_statements(L, hub);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
