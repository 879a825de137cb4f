/* pool.c - pools as Lua sees them: made from a table, closed when asked or when nobody refers to them.
** What runs on them is in statement.c, connections of one's own are in lease.c. */
#include "operation.h"

#include "raise.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

void lmp_pool_ref(lmp_pool *pool)
{
  pool->refs++;
}

void lmp_pool_closed(lmp_pool *pool)
{
  pool->closers--;
  pool->closed = true;
}

static void closed_by_nobody(void *owner)
{
  lmp_pool *pool = owner;
  lmp_pool_closed(pool);
  pool->hub->sweep = true;
}

void lmp_pool_unref(lmp_pool *pool)
{
  if (--pool->refs > 0)
    return;
  pool->hub->sweep = true;
  if (pool->pool != NULL && !pool->closed) {
    pool->closers++;
    if (mp_pool_close(pool->pool, 0, closed_by_nobody, pool) != MP_OK)
      pool->closers--; /* no memory even for that: it stays until the program ends */
  }
}

/* A password that nobody will ask for again: the operation that waits must still end. */
static void end_asker(lmp_pool *pool)
{
  lmp_op *op = pool->asker;
  if (op == NULL)
    return;
  pool->asker = NULL;
  op->stopped = MP_E_POOL_CLOSED;
  lmp_op_ready(op, true);
}

static void closed_as_asked(void *owner)
{
  lmp_op *op = owner;
  lmp_pool *pool = op->pool;
  lmp_pool_closed(pool);
  end_asker(pool);
  lmp_op_ready(op, true);
}

lmp_pool *lmp_check_pool(lua_State *L, int idx)
{
  lmp_pool *pool = *(lmp_pool **)luaL_checkudata(L, idx, LMP_POOL_TYPE);
  if (pool == NULL || pool->pool == NULL)
    lmp_raise(L, MP_E_STALE_HANDLE, "the database was closed for good");
  return pool;
}

static int pool_gc(lua_State *L)
{
  lmp_pool **slot = luaL_checkudata(L, 1, LMP_POOL_TYPE);
  lmp_pool *pool = *slot;
  *slot = NULL;
  if (pool == NULL)
    return 0;
  if (pool->hub == NULL) { /* an error while it was being made */
    mp_arena_free(pool->draft);
    free(pool);
  } else {
    lmp_pool_unref(pool);
  }
  return 0;
}

/* ---- the table that describes it ---- */

static const char *text_field(lua_State *L, int idx, const char *key, mp_arena *arena)
{
  const char *text = NULL;
  lua_getfield(L, idx, key);
  if (lua_type(L, -1) == LUA_TSTRING)
    text = mp_arena_strdup(arena, lua_tostring(L, -1));
  lua_pop(L, 1);
  return text;
}

static lua_Number number_field(lua_State *L, int idx, const char *key, lua_Number otherwise)
{
  lua_Number n = otherwise;
  lua_getfield(L, idx, key);
  if (lua_type(L, -1) == LUA_TNUMBER)
    n = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return n;
}

static bool flag_field(lua_State *L, int idx, const char *key, bool otherwise)
{
  bool flag;
  lua_getfield(L, idx, key);
  flag = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

static uint64_t time_field(lua_State *L, int idx, const char *key, uint64_t otherwise)
{
  uint64_t ns;
  lua_getfield(L, idx, key);
  ns = lmp_seconds_ns(L, -1, otherwise);
  lua_pop(L, 1);
  return ns == UINT64_MAX ? 0 : ns; /* for ever is no limit */
}

static bool read_options(lua_State *L, int idx, mp_config *config)
{
  mp_option *options;
  int n = 0;
  lua_getfield(L, idx, "options");
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return true;
  }
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
    n++;
  options = mp_arena_zalloc(config->arena, ((size_t)n + 1) * sizeof *options);
  if (options == NULL)
    return false;
  n = 0;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      continue; /* the library's Lua hands over text only */
    options[n].name = mp_arena_strdup(config->arena, lua_tostring(L, -2));
    options[n].value = mp_arena_strdup(config->arena, lua_tostring(L, -1));
    if (options[n].name == NULL || options[n].value == NULL)
      return false;
    n++;
  }
  lua_pop(L, 1);
  config->options = options;
  config->option_n = n;
  return true;
}

static uint32_t as_ms(uint64_t ns)
{
  uint64_t ms = (ns + 999999) / 1000000;
  return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static bool read_config(lua_State *L, int idx, mp_config *config)
{
  mp_arena *arena = config->arena;
  config->host = text_field(L, idx, "host", arena);
  config->user = text_field(L, idx, "user", arena);
  config->database = text_field(L, idx, "database", arena);
  config->port = (int)number_field(L, idx, "port", 0);
  config->connect_timeout_ms = as_ms(time_field(L, idx, "connect_timeout", 10000000000ULL));
  config->command_timeout_ms = as_ms(time_field(L, idx, "command_timeout", 0));
  config->statement_cache = (int)number_field(L, idx, "statement_cache", 100);
  config->pipeline = flag_field(L, idx, "pipeline", true);
  config->pooler = flag_field(L, idx, "pooler", false);
  config->inline_reads = flag_field(L, idx, "inline_reads", false);
  return read_options(L, idx, config);
}

static int pool_open(lua_State *L)
{
  lmp_hub *hub = LMP_HUB(L);
  mp_loop *loop = lmp_loop(L, hub);
  mp_pool_limits limits = {0};
  mp_error error = MP_ERROR_NONE;
  const mp_backend *backend;
  mp_config *config;
  lmp_pool *pool;
  lmp_pool **slot;
  const char *name;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "backend");
  name = luaL_checkstring(L, -1);
  backend = mp_backend_find(name);
  if (backend == NULL) {
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "configuration");
    lua_setfield(L, -2, "kind");
    lua_pushfstring(L, "no backend \"%s\" is built into this moonpool", name);
    lua_setfield(L, -2, "message");
    return 2;
  }
  limits.min = (int)number_field(L, 1, "min", 1);
  limits.max = (int)number_field(L, 1, "max", 10);
  limits.timeout_ns = time_field(L, 1, "timeout", 30000000000ULL);
  limits.max_idle_ns = time_field(L, 1, "max_idle", 300000000000ULL);
  limits.max_lifetime_ns = time_field(L, 1, "max_lifetime", 3600000000000ULL);
  limits.max_uses = (uint64_t)number_field(L, 1, "max_uses", 0);

  /* What is not finished belongs to the userdata: reading the table may raise. */
  slot = lua_newuserdata(L, sizeof *slot);
  *slot = NULL;
  luaL_getmetatable(L, LMP_POOL_TYPE);
  lua_setmetatable(L, -2);
  pool = *slot = calloc(1, sizeof *pool);
  if (pool == NULL)
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another pool");
  pool->draft = mp_arena_new(0);
  config = pool->draft != NULL ? mp_arena_zalloc(pool->draft, sizeof *config) : NULL;
  if (config == NULL)
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another pool");
  config->arena = pool->draft;
  config->backend = backend;
  if (!read_config(L, 1, config))
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another pool");
  if (mp_pool_new(&pool->pool, loop, config, &limits, &error) != MP_OK)
    return lmp_fail(L, &error);
  pool->draft = NULL; /* the core has it from here on */
  pool->hub = hub;
  pool->refs = 1;
  mp_list_push_back(&hub->pools, &pool->node);
  return 1;
}

/* ---- methods ---- */

static int pool_set_password(lua_State *L)
{
  lmp_pool *pool = lmp_check_pool(L, 1);
  mp_status st = mp_pool_set_password(pool->pool, luaL_optstring(L, 2, NULL));
  if (st != MP_OK)
    return lmp_raise(L, st, "no memory for the password");
  return 0;
}

static void password_wanted(void *owner, uint64_t ticket)
{
  lmp_pool *pool = owner;
  lmp_op *op = pool->asker;
  if (op != NULL) {
    pool->asker = NULL;
    op->number = ticket;
    lmp_op_ready(op, true);
    return;
  }
  if (pool->ticket_n == pool->ticket_room) {
    int room = pool->ticket_room == 0 ? 8 : pool->ticket_room * 2;
    uint64_t *tickets = realloc(pool->tickets, (size_t)room * sizeof *tickets);
    if (tickets == NULL) {
      mp_error error = {.kind = MP_E_OUT_OF_MEMORY, .message = "no memory to ask for a password"};
      mp_pool_password_is(pool->pool, ticket, NULL, &error);
      return;
    }
    pool->tickets = tickets;
    pool->ticket_room = room;
  }
  pool->tickets[pool->ticket_n++] = ticket;
}

static int pool_wants_password(lua_State *L)
{
  lmp_pool *pool = lmp_check_pool(L, 1);
  lmp_op *op;
  if (pool->asker != NULL)
    return lmp_raise(L, MP_E_INTERNAL, "somebody waits already for connections to ask");
  op = lmp_op_new(L, pool->hub, LMP_OP_PASSWORD);
  op->pool = pool;
  lmp_pool_ref(pool);
  pool->asker = op;
  mp_pool_on_password(pool->pool, password_wanted, pool);
  if (pool->closed) {
    end_asker(pool);
  } else if (pool->ticket_n > 0) {
    pool->asker = NULL;
    op->number = pool->tickets[0];
    memmove(pool->tickets, pool->tickets + 1, (size_t)--pool->ticket_n * sizeof *pool->tickets);
    lmp_op_ready(op, true);
  }
  lmp_push_op(L, op);
  return 1;
}

static int pool_answer_password(lua_State *L)
{
  lmp_pool *pool = lmp_check_pool(L, 1);
  uint64_t ticket = (uint64_t)luaL_checkinteger(L, 2);
  const char *password = luaL_optstring(L, 3, NULL);
  mp_error error = {.kind = MP_E_AUTH_FAILED,
                    .message = luaL_optstring(L, 4, "the password function gave no password")};
  mp_pool_password_is(pool->pool, ticket, password, password == NULL ? &error : NULL);
  return 0;
}

static int pool_stats(lua_State *L)
{
  mp_pool_stats stats;
  mp_pool_get_stats(lmp_check_pool(L, 1)->pool, &stats);
  lua_pushinteger(L, stats.size);
  lua_pushinteger(L, stats.idle);
  lua_pushinteger(L, stats.busy);
  lua_pushinteger(L, stats.waiting);
  lua_pushinteger(L, stats.max);
  lua_pushinteger(L, stats.control);
  return 6;
}

static int pool_would_wait(lua_State *L)
{
  static const char *const names[] = {"read", "write", NULL};
  lmp_pool *pool = lmp_check_pool(L, 1);
  mp_access access = luaL_checkoption(L, 2, "read", names) == 0 ? MP_ACCESS_READ : MP_ACCESS_WRITE;
  lua_pushboolean(L, mp_pool_would_wait(pool->pool, access));
  return 1;
}

static int pool_close(lua_State *L)
{
  lmp_pool *pool = lmp_check_pool(L, 1);
  uint64_t drain_ns = lmp_seconds_ns(L, 2, UINT64_MAX);
  lmp_op *op = lmp_op_new(L, pool->hub, LMP_OP_CLOSE);
  op->pool = pool;
  lmp_pool_ref(pool);
  pool->closers++;
  if (mp_pool_close(pool->pool, drain_ns, closed_as_asked, op) != MP_OK) {
    pool->closers--;
    lmp_op_free(op);
    return lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory to close the database");
  }
  lmp_push_op(L, op);
  return 1;
}

void lmp_open_pools(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {{"pool", pool_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"set_password", pool_set_password},
                                     {"wants_password", pool_wants_password},
                                     {"answer_password", pool_answer_password},
                                     {"stats", pool_stats},
                                     {"would_wait", pool_would_wait},
                                     {"close", pool_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", pool_gc}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
  luaL_newmetatable(L, LMP_POOL_TYPE);
  lmp_add_functions(L, hub, meta);
  lua_newtable(L);
  lmp_add_functions(L, hub, methods);
  lmp_add_statements(L, hub);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
