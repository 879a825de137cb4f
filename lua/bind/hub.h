/* hub.h - what one Lua state has of moonpool: its loop, its operations, pools and leases.
** One hub for each Lua state, in its registry; every C function of the binding has it as its first
** upvalue. No callback of the core ever reaches Lua: it marks the operation as ready, and core.step tells
** Lua which ones are. So a Lua error can never unwind through the core. */
#ifndef LMP_HUB_H
#define LMP_HUB_H

#include "compat.h"

#include "moonpool.h"

typedef struct lmp_op lmp_op;

typedef struct lmp_hub {
  mp_loop *loop;     /* NULL when the state is closing */
  mp_list ready;     /* operations that Lua was not told of yet, in order of completion */
  mp_list pools;     /* lmp_pool */
  mp_list leases;    /* lmp_lease */
  mp_list abandoned; /* leases that nobody refers to; freed when the core has let go of them */
  lmp_op **blocks;   /* operations by slot: blocks of LMP_BLOCK, never moved */
  uint32_t block_n;
  uint32_t first_free; /* slot, LMP_NO_SLOT: none */
  bool sweep;          /* lmp_sweep has something to look at */
  int op_n, request_n;
} lmp_hub;

/* A database's pool. Lives until nobody refers to it and the core has closed it. */
typedef struct lmp_pool {
  mp_list node;
  lmp_hub *hub;    /* NULL while it is being made */
  mp_pool *pool;   /* NULL after lmp_shutdown */
  mp_arena *draft; /* its config while it is being made */
  int refs;        /* the userdata, leases, operations */
  int closers;     /* closes that the core has not answered yet */
  bool closed;     /* the core has answered one */
  lmp_op *asker;   /* the operation that waits for a connection to ask for its password, or NULL */
  uint64_t *tickets; /* of connections that asked while nobody waited */
  int ticket_n, ticket_room;
} lmp_pool;

typedef struct lmp_lease {
  mp_list node;
  mp_lease lease;
  lmp_pool *pool;
  lmp_op *acquire; /* the operation that waits for on_ready, or NULL */
  int refs;        /* the userdata and operations */
} lmp_lease;

#define LMP_EXPORT __attribute__((visibility("default")))
#define LMP_HUB(L) ((lmp_hub *)lua_touserdata(L, lua_upvalueindex(1)))
#define LMP_POOL_TYPE "moonpool.pool"
#define LMP_LEASE_TYPE "moonpool.lease"

/* The hub of a state in which moonpool.core was loaded. */
lmp_hub *lmp_hub_of(lua_State *L);

/* The loop; raises stale_handle when the hub has been closed with its state. */
mp_loop *lmp_loop(lua_State *L, lmp_hub *hub);

/* Push the error as a plain table (core.meta.lua says with which keys). */
void lmp_push_error(lua_State *L, const mp_error *error);

/* nil and the error: the answer of a function that failed. */
int lmp_fail(lua_State *L, const mp_error *error);

/* Seconds at the given place as nanoseconds; none or nil gives otherwise. Raises bad_argument for what is
** no number, negative, or not a number; whatever is too long to count becomes UINT64_MAX. */
uint64_t lmp_seconds_ns(lua_State *L, int idx, uint64_t otherwise);

lmp_pool *lmp_check_pool(lua_State *L, int idx); /* raises stale_handle when it was closed */
lmp_lease *lmp_check_lease(lua_State *L, int idx);
void lmp_pool_ref(lmp_pool *pool);
void lmp_pool_unref(lmp_pool *pool);
void lmp_lease_unref(lmp_lease *lease);

/* Free what was given up, as far as the core has let go of it. After each step, never inside one. */
void lmp_sweep(lmp_hub *hub);

/* Close and free everything. The loop stays usable. */
void lmp_shutdown(lmp_hub *hub);

/* Each adds its functions to the module's table, which is on the top of the stack; hub: index of the hub. */
void lmp_open_loop(lua_State *L, int hub);
void lmp_open_operations(lua_State *L, int hub);
void lmp_pool_closed(lmp_pool *pool); /* one that asked for it has been told */
void lmp_open_pools(lua_State *L, int hub);
void lmp_open_leases(lua_State *L, int hub);
void lmp_open_rows(lua_State *L, int hub);
void lmp_open_statements(lua_State *L, int hub);
void lmp_open_fakes(lua_State *L, int hub);
void lmp_open_urls(lua_State *L, int hub);

/* The methods that pools and leases share (query, stream, ...), into the table on the top. */
void lmp_add_statements(lua_State *L, int hub);

/* Put functions, with the hub as their upvalue, into the table on the top. */
void lmp_add_functions(lua_State *L, int hub, const luaL_Reg *functions);

/* core.versions: library name -> version of what this program runs with. */
int lmp_versions(lua_State *L);

/* The entry point of the module moonpool.core. */
LMP_EXPORT int luaopen_moonpool_core(lua_State *L);

#endif
