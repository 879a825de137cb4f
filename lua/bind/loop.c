/* loop.c - Lua turns the loop, and asks it what is open. */
#include "operation.h"

#include "raise.h"

#include <limits.h>

mp_loop *lmp_loop(lua_State *L, lmp_hub *hub)
{
  if (hub->loop == NULL)
    lmp_raise(L, MP_E_STALE_HANDLE, "moonpool was closed together with this Lua state");
  return hub->loop;
}

static bool alive(const lmp_hub *hub)
{
  return !mp_list_empty(&hub->ready) || mp_loop_alive(hub->loop);
}

/* Whole milliseconds, rounded up: waking too early would only turn the loop once more. */
static int wait_ms(lua_State *L, int idx)
{
  lua_Number ms;
  if (lua_isnoneornil(L, idx))
    return -1;
  ms = luaL_checknumber(L, idx) * 1000;
  if (!(ms > 0))
    return 0;
  return ms >= INT_MAX - 1 ? INT_MAX : (int)ms + ((lua_Number)(int)ms < ms);
}

static int loop_step(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  mp_loop *loop = lmp_loop(L, hub);
  int wait = wait_ms(L, 1);
  bool more = alive(hub), polled;
  int n = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  do { /* sending what Lua has submitted is no news for it */
    bool ready = !mp_list_empty(&hub->ready) || (wait < 0 && !alive(hub));
    polled = mp_loop_step(loop, ready ? 0 : wait);
    if (hub->sweep)
      lmp_sweep(hub);
  } while (!polled && mp_list_empty(&hub->ready));
  for (;;) {
    mp_list *node = mp_list_pop_front(&hub->ready);
    if (node == NULL)
      break;
    lmp_push_op(L, mp_container_of(node, lmp_op, node));
    lua_rawseti(L, 2, ++n);
  }
  lua_pushinteger(L, n);
  lua_pushboolean(L, n > 0 || more);
  return 2;
}

static int loop_alive(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  lmp_loop(L, hub);
  lua_pushboolean(L, alive(hub));
  return 1;
}

static int loop_fd(lua_State *L)
{
  lua_pushinteger(L, mp_loop_fd(lmp_loop(L, LMP_HUB(L))));
  return 1;
}

static int loop_timeout(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  int ms = mp_loop_timeout_ms(lmp_loop(L, hub));
  if (!mp_list_empty(&hub->ready))
    ms = 0;
  if (ms < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, ms * 1e-3);
  return 1;
}

static int loop_now(lua_State *L)
{
  lua_pushnumber(L, (lua_Number)mp_clock_ns() * 1e-9);
  return 1;
}

static int loop_turns(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)mp_loop_turns(lmp_loop(L, LMP_HUB(L))));
  return 1;
}

static void set_count(lua_State *L, const char *key, int n)
{
  lua_pushinteger(L, n);
  lua_setfield(L, -2, key);
}

/* What is over is no leak, however long Lua keeps its handle. */
static int open_pools(const lmp_hub *hub)
{
  int n = 0;
  for (const mp_list *node = hub->pools.next; node != &hub->pools; node = node->next)
    n += !mp_container_of(node, const lmp_pool, node)->closed;
  return n;
}

static int open_leases(const lmp_hub *hub)
{
  int n = 0;
  const mp_list *node;
  for (node = hub->leases.next; node != &hub->leases; node = node->next)
    n += mp_container_of(node, const lmp_lease, node)->lease.hold.state != MP_HOLD_OVER;
  for (node = hub->abandoned.next; node != &hub->abandoned; node = node->next)
    n++;
  return n;
}

static int loop_census(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  lua_createtable(L, 0, 5);
  set_count(L, "handles", hub->loop != NULL ? mp_loop_handle_n(hub->loop) : 0);
  set_count(L, "requests", hub->request_n);
  set_count(L, "leases", open_leases(hub));
  set_count(L, "operations", hub->op_n);
  set_count(L, "pools", open_pools(hub));
  return 1;
}

static int loop_shutdown(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  if (hub->loop != NULL)
    lmp_shutdown(hub);
  return 0;
}

void lmp_open_loop(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {
      {"step", loop_step},       {"alive", loop_alive},       {"fd", loop_fd},
      {"timeout", loop_timeout}, {"now", loop_now},           {"turns", loop_turns},
      {"census", loop_census},   {"shutdown", loop_shutdown}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
