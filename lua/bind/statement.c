/* statement.c - requests made from Lua values: query, stream, many, prepare, ping.
** The same methods serve pools and leases. Everything a request needs is copied into it here; what no
** database takes is refused here, before anything is sent. */
#include "operation.h"

#include "raise.h"
#include "value.h"

#include <limits.h>
#include <stdlib.h>

/* A new operation for a request on the pool or lease at 1. */
static lmp_op *begin(lua_State *L, mp_op what)
{
  lmp_pool **pool = luaL_testudata(L, 1, LMP_POOL_TYPE);
  lmp_pool *on_pool = pool != NULL ? lmp_check_pool(L, 1) : NULL;
  lmp_lease *on_lease = pool != NULL ? NULL : lmp_check_lease(L, 1);
  lmp_hub *hub = LMP_HUB(L);
  lmp_op *op = lmp_op_new(L, hub, LMP_OP_REQUEST);
  if (mp_request_new(&op->req) != MP_OK) {
    op->req = NULL;
    lmp_op_free(op);
    lmp_raise(L, MP_E_OUT_OF_MEMORY, "no memory for another request");
  }
  hub->request_n++;
  op->req->op = what;
  if (on_pool != NULL) {
    op->pool = on_pool;
    lmp_pool_ref(on_pool);
  } else {
    op->lease = on_lease;
    on_lease->refs++;
  }
  return op;
}

/* Give up a request that could not be made; the message is on the top of the stack. */
static int refuse(lua_State *L, lmp_op *op, mp_status kind)
{
  lmp_op_free(op);
  return lmp_raise(L, kind, "%s", lua_tostring(L, -1));
}

static int no_memory(lua_State *L, lmp_op *op)
{
  lua_pushliteral(L, "no memory for the parameters");
  return refuse(L, op, MP_E_OUT_OF_MEMORY);
}

static int submit(lua_State *L, lmp_op *op)
{
  lmp_op_submit(op);
  lmp_push_op(L, op);
  return 1;
}

static mp_access access_at(lua_State *L, int idx)
{
  static const char *const names[] = {"read", "write", NULL};
  if (lua_isnoneornil(L, idx))
    return MP_ACCESS_UNKNOWN;
  return luaL_checkoption(L, idx, NULL, names) == 0 ? MP_ACCESS_READ : MP_ACCESS_WRITE;
}

static size_t count_option(lua_State *L, int idx, const char *key)
{
  lua_Number n;
  lua_getfield(L, idx, key);
  n = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return n >= 1 && n < 9e15 ? (size_t)n : 0;
}

static bool flag_option(lua_State *L, int idx, const char *key)
{
  bool flag;
  lua_getfield(L, idx, key);
  flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* What a statement may be told beside its parameters. */
typedef struct options {
  bool own, no_cache;
  uint64_t timeout_ns;
  size_t max_rows, max_bytes, chunk;
  int kinds; /* place of the array of kinds on the stack, 0: none */
} options;

static options read_options(lua_State *L, int idx)
{
  options o = {0};
  if (lua_isnoneornil(L, idx))
    return o;
  luaL_checktype(L, idx, LUA_TTABLE);
  o.own = flag_option(L, idx, "own");
  o.no_cache = flag_option(L, idx, "no_cache");
  o.max_rows = count_option(L, idx, "max_rows");
  o.max_bytes = count_option(L, idx, "max_bytes");
  o.chunk = count_option(L, idx, "chunk");
  lua_getfield(L, idx, "timeout");
  o.timeout_ns = lmp_seconds_ns(L, -1, 0);
  lua_pop(L, 1);
  lua_getfield(L, idx, "kinds");
  if (lua_istable(L, -1))
    o.kinds = lua_gettop(L);
  return o;
}

static void apply(mp_request *req, const options *o)
{
  req->own_sql = o->own;
  req->no_cache = o->no_cache;
  req->timeout_ns = o->timeout_ns == UINT64_MAX ? 0 : o->timeout_ns;
  req->max_rows = o->max_rows;
  req->max_bytes = o->max_bytes;
  req->chunk_rows = o->chunk;
}

static mp_kind kind_at(lua_State *L, int kinds, int i)
{
  lua_Integer kind;
  if (kinds == 0)
    return MP_NULL;
  lua_rawgeti(L, kinds, i);
  kind = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return kind > MP_NULL && kind < MP_KIND_N ? (mp_kind)kind : MP_NULL;
}

/* The kind of the refusal of the value on the top. */
static mp_status refusal_of(lua_State *L)
{
  size_t n;
  const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
  return s != NULL && mp_text_check(s, n) < n ? MP_E_ENCODING : MP_E_BAD_PARAMETERS;
}

/* Read n values of the array at idx into out. On failure the message is on the top: "parameter 3: ...". */
static mp_status read_row(lua_State *L, int idx, int n, int kinds, mp_arena *arena, mp_value *out)
{
  for (int i = 1; i <= n; i++) {
    const char *why = NULL;
    mp_kind kind = kind_at(L, kinds, i);
    bool ok;
    lua_rawgeti(L, idx, i);
    if (kind == MP_NULL)
      ok = lmp_to_value(L, -1, arena, &out[i - 1], &why);
    else
      ok = lmp_to_kind(L, -1, kind, arena, &out[i - 1], &why);
    if (!ok) {
      mp_status kind_of_refusal = refusal_of(L);
      lua_pop(L, 1);
      lua_pushfstring(L, "parameter %d: %s", i, why != NULL ? why : "no database takes this value");
      return kind_of_refusal;
    }
    lua_pop(L, 1);
  }
  return MP_OK;
}

static int parameter_count(lua_State *L, int idx)
{
  lua_Integer n = luaL_optinteger(L, idx, 0);
  luaL_argcheck(L, n >= 0 && n <= INT_MAX / (int)sizeof(mp_value), idx, "number of parameters");
  return (int)n;
}

static int run_one(lua_State *L, mp_op what)
{
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  mp_access access = access_at(L, 3);
  int n = parameter_count(L, 5);
  options o;
  lmp_op *op;
  mp_value *values = NULL;
  mp_status status;
  if (n > 0)
    luaL_checktype(L, 4, LUA_TTABLE);
  o = read_options(L, 6);
  op = begin(L, what);
  apply(op->req, &o);
  op->req->access = access;
  if (n > 0) {
    values = mp_arena_zalloc(op->req->arena, (size_t)n * sizeof *values);
    if (values == NULL)
      return no_memory(L, op);
    status = read_row(L, 4, n, o.kinds, op->req->arena, values);
    if (status != MP_OK)
      return refuse(L, op, status);
  }
  if (mp_request_fill(op->req, sql, len, values, n, 1) != MP_OK)
    return no_memory(L, op);
  return submit(L, op);
}

static int statement_query(lua_State *L)
{
  return run_one(L, MP_OP_QUERY);
}

static int statement_stream(lua_State *L)
{
  return run_one(L, MP_OP_STREAM);
}

static int statement_many(lua_State *L)
{
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  int n = parameter_count(L, 4);
  size_t rows;
  options o;
  lmp_op *op;
  mp_value *values;
  mp_status status;
  luaL_checktype(L, 3, LUA_TTABLE);
  rows = lua_rawlen(L, 3);
  o = read_options(L, 5);
  op = begin(L, MP_OP_MANY);
  apply(op->req, &o);
  op->req->access = MP_ACCESS_WRITE;
  if (n > 0 && rows > SIZE_MAX / sizeof *values / (size_t)n)
    return no_memory(L, op);
  values = mp_arena_zalloc(op->req->arena, rows * (size_t)n * sizeof *values + 1);
  if (values == NULL)
    return no_memory(L, op);
  for (size_t row = 0; row < rows; row++) {
    lua_rawgeti(L, 3, (int)row + 1);
    if (!lua_istable(L, -1)) {
      lua_pushfstring(L, "row %d is a %s, not an array of values", (int)row + 1,
                      luaL_typename(L, -1));
      return refuse(L, op, MP_E_BAD_PARAMETERS);
    }
    status = read_row(L, lua_gettop(L), n, o.kinds, op->req->arena, values + row * (size_t)n);
    if (status != MP_OK) {
      lua_pushfstring(L, "row %d, %s", (int)row + 1, lua_tostring(L, -1));
      return refuse(L, op, status);
    }
    lua_pop(L, 1);
  }
  if (mp_request_fill(op->req, sql, len, values, n, rows) != MP_OK)
    return no_memory(L, op);
  return submit(L, op);
}

static int statement_prepare(lua_State *L)
{
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  lmp_op *op = begin(L, MP_OP_PREPARE);
  if (mp_request_fill(op->req, sql, len, NULL, 0, 0) != MP_OK)
    return no_memory(L, op);
  return submit(L, op);
}

static int statement_ping(lua_State *L)
{
  lmp_op *op = begin(L, MP_OP_PING);
  if (mp_request_fill(op->req, "", 0, NULL, 0, 0) != MP_OK)
    return no_memory(L, op);
  return submit(L, op);
}

void lmp_add_statements(lua_State *L, int hub)
{
  static const luaL_Reg methods[] = {{"query", statement_query}, {"stream", statement_stream},
                                     {"many", statement_many},   {"prepare", statement_prepare},
                                     {"ping", statement_ping},   {NULL, NULL}};
  lmp_add_functions(L, hub, methods);
}
