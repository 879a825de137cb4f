/* module.c - the module moonpool.core: the hub of a Lua state, and its end.
** luaopen may run several times in one state (test runners restore package.loaded): it gives the
** same table each time, so that pools and operations outlive a reload of the library. */
#include "operation.h"

#include "raise.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

#define MODULE_KEY "moonpool.core"
#define HUB_KEY "moonpool.hub"

/* How long the end of a program waits for connections to close: a disk that hangs must not hang it too. */
#define SHUTDOWN_NS 10000000000ULL

void lmp_add_functions(lua_State *L, int hub, const luaL_Reg *functions)
{
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}

void lmp_sweep(lmp_hub *hub)
{
  mp_list *node, *next;
  hub->sweep = false;
  for (node = hub->abandoned.next; node != &hub->abandoned; node = next) {
    lmp_lease *lease = mp_container_of(node, lmp_lease, node);
    next = node->next;
    if (!mp_lease_gone(&lease->lease)) {
      hub->sweep = true;
      continue;
    }
    mp_list_remove(node);
    lmp_pool_unref(lease->pool);
    mp_lease_free(&lease->lease);
    free(lease);
  }
  for (node = hub->pools.next; node != &hub->pools; node = next) {
    lmp_pool *pool = mp_container_of(node, lmp_pool, node);
    next = node->next;
    if (pool->refs > 0 || (pool->pool != NULL && (!pool->closed || pool->closers > 0)))
      continue;
    mp_list_remove(node);
    mp_pool_free(pool->pool);
    free(pool->tickets);
    free(pool);
  }
}

/* ---- the end ---- */

static void shut(void *owner)
{
  lmp_pool *pool = owner;
  lmp_pool_closed(pool);
}

static bool all_shut(const lmp_hub *hub)
{
  for (const mp_list *node = hub->pools.next; node != &hub->pools; node = node->next) {
    const lmp_pool *pool = mp_container_of(node, lmp_pool, node);
    if (pool->pool != NULL && (!pool->closed || pool->closers > 0))
      return false;
  }
  return hub->request_n == 0;
}

void lmp_shutdown(lmp_hub *hub)
{
  uint64_t deadline_ns = mp_clock_ns() + SHUTDOWN_NS;
  mp_list *node;
  for (uint32_t slot = 0; slot < hub->block_n * LMP_BLOCK; slot++) {
    lmp_op *op = &hub->blocks[slot / LMP_BLOCK][slot % LMP_BLOCK];
    if (op->state == LMP_RUNNING || op->state == LMP_READY)
      lmp_op_forget(op);
  }
  for (node = hub->leases.next; node != &hub->leases; node = node->next) {
    lmp_lease *lease = mp_container_of(node, lmp_lease, node);
    if (lease->pool->pool != NULL)
      mp_lease_release(&lease->lease);
  }
  for (node = hub->pools.next; node != &hub->pools; node = node->next) {
    lmp_pool *pool = mp_container_of(node, lmp_pool, node);
    if (pool->pool != NULL) {
      pool->closers++;
      if (mp_pool_close(pool->pool, 0, shut, pool) != MP_OK)
        pool->closers--;
    }
  }
  while (!all_shut(hub) && mp_clock_ns() < deadline_ns)
    mp_loop_step(hub->loop, 100);
  for (node = hub->pools.next; node != &hub->pools; node = node->next) {
    lmp_pool *pool = mp_container_of(node, lmp_pool, node);
    if (pool->pool != NULL && pool->closed && pool->closers == 0) {
      mp_pool_free(pool->pool);
      pool->pool = NULL;
    }
  }
  lmp_sweep(hub);
}

lmp_hub *lmp_hub_of(lua_State *L)
{
  lmp_hub *hub;
  lua_getfield(L, LUA_REGISTRYINDEX, HUB_KEY);
  hub = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (hub == NULL)
    luaL_error(L, "moonpool.core has not been loaded");
  return hub;
}

static int hub_gc(lua_State *L)
{
  lmp_hub *hub = lua_touserdata(L, 1);
  if (hub->loop == NULL)
    return 0;
  lmp_shutdown(hub);
  /* Memory that something stuck may still reach is left alone: the process ends. */
  if (hub->request_n == 0 && mp_loop_free(hub->loop)) {
    for (uint32_t i = 0; i < hub->block_n; i++)
      free(hub->blocks[i]);
    free(hub->blocks);
  }
  hub->block_n = 0;
  hub->blocks = NULL;
  hub->loop = NULL;
  return 0;
}

/* ---- facts ---- */

static int error_kinds(lua_State *L)
{
  lua_createtable(L, MP_STATUS_N - 1, 0);
  for (int i = 1; i < MP_STATUS_N; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, mp_status_name((mp_status)i));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, mp_status_family((mp_status)i));
    lua_setfield(L, -2, "family");
    lua_pushstring(L, mp_status_parent((mp_status)i));
    lua_setfield(L, -2, "parent");
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static void push_hub(lua_State *L)
{
  lmp_hub *hub = lua_newuserdata(L, sizeof *hub);
  memset(hub, 0, sizeof *hub);
  hub->first_free = LMP_NO_SLOT;
  mp_list_init(&hub->ready);
  mp_list_init(&hub->pools);
  mp_list_init(&hub->leases);
  mp_list_init(&hub->abandoned);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, hub_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (mp_loop_new(&hub->loop) != MP_OK)
    luaL_error(L, "moonpool: no event loop: %s", "out of memory or file descriptors");
}

LMP_EXPORT int luaopen_moonpool_core(lua_State *L)
{
  static const luaL_Reg functions[] = {
      {"error_kinds", error_kinds}, {"versions", lmp_versions}, {NULL, NULL}};
  int hub;
  lua_getfield(L, LUA_REGISTRYINDEX, MODULE_KEY);
  if (lua_istable(L, -1))
    return 1;
  lua_pop(L, 1);
  push_hub(L);
  hub = lua_gettop(L);
  lua_pushvalue(L, hub);
  lua_setfield(L, LUA_REGISTRYINDEX, HUB_KEY);
  lua_newtable(L);
  lua_pushliteral(L, MOONPOOL_VERSION);
  lua_setfield(L, -2, "version");
  lmp_open_values(L);
  lmp_add_functions(L, hub, functions);
  lmp_open_loop(L, hub);
  lmp_open_operations(L, hub);
  lmp_open_pools(L, hub);
  lmp_open_leases(L, hub);
  lmp_open_rows(L, hub);
  lmp_open_statements(L, hub);
  lmp_open_fakes(L, hub);
  lmp_open_urls(L, hub);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, MODULE_KEY);
  return 1;
}
