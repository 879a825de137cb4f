/* statement.c - requests made from Lua values: query, stream, many, prepare, ping.
** The same methods serve pools and leases. Everything a request needs is copied into it here; what no
** database takes is refused here, before anything is sent. */
#include "operation.h"

#include "raise.h"
#include "value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A new operation for a request on the pool or lease at 1. */
static lmp_op *begin(lua_State *L, mp_op what)
{
  lmp_pool **pool = luaL_testudata(L, 1, LMP_POOL_TYPE);
  lmp_pool *on_pool = pool != NULL ? *pool : NULL;
  lmp_lease *on_lease = pool != NULL ? NULL : lmp_check_lease(L, 1);
  lmp_hub *hub = LMP_HUB(L);
  lmp_op *op;
  if (pool != NULL && (on_pool == NULL || on_pool->pool == NULL))
    lmp_check_pool(L, 1); /* raises */
  op = lmp_op_new(L, hub, LMP_OP_REQUEST);
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

/* What a statement may be told beside its parameters. */
typedef struct options {
  bool own, no_cache, cursor;
  uint64_t timeout_ns;
  size_t max_rows, max_bytes, chunk, rows_before;
  const char *columns, *table; /* kept by the table of options */
  int kinds;                   /* place of the array of kinds on the stack, 0: none */
  const uint8_t *kind_list;    /* or the kinds themselves, where they were read before */
  int kind_n;
} options;

/* Options that are told with many statements are read once (core.options): this is then in the metatable of their table,
** which whoever copies the table does not get. */
typedef struct prepared {
  options told;
  uint8_t kinds[];
} prepared;

static const char prepared_key = 0;

static bool were_prepared(lua_State *L, int idx, options *o)
{
  const prepared *found;
  if (!lua_getmetatable(L, idx))
    return false;
  lua_rawgetp(L, -1, &prepared_key);
  found = lua_touserdata(L, -1);
  lua_pop(L, 2); /* the metatable keeps it */
  if (found == NULL)
    return false;
  *o = found->told;
  o->kind_list = found->kinds;
  return true;
}

static size_t count_of(lua_State *L, int idx)
{
  lua_Number n = lua_tonumber(L, idx);
  return n >= 1 && n < 9e15 ? (size_t)n : 0;
}

/* The option whose name is at -2 and whose value is on the top. */
static void read_option(lua_State *L, options *o, int room)
{
  const char *name = lua_tostring(L, -2);
  if (strcmp(name, "own") == 0) {
    o->own = lua_toboolean(L, -1);
  } else if (strcmp(name, "no_cache") == 0) {
    o->no_cache = lua_toboolean(L, -1);
  } else if (strcmp(name, "cursor") == 0) {
    o->cursor = lua_toboolean(L, -1);
  } else if (strcmp(name, "max_rows") == 0) {
    o->max_rows = count_of(L, -1);
  } else if (strcmp(name, "max_bytes") == 0) {
    o->max_bytes = count_of(L, -1);
  } else if (strcmp(name, "chunk") == 0) {
    o->chunk = count_of(L, -1);
  } else if (strcmp(name, "rows_before") == 0) {
    o->rows_before = count_of(L, -1);
  } else if (strcmp(name, "columns") == 0) {
    o->columns = lua_tostring(L, -1);
  } else if (strcmp(name, "table") == 0) {
    o->table = lua_tostring(L, -1);
  } else if (strcmp(name, "timeout") == 0) {
    o->timeout_ns = lmp_seconds_ns(L, -1, 0);
  } else if (strcmp(name, "kinds") == 0 && lua_istable(L, -1)) {
    lua_pushvalue(L, -1);
    lua_replace(L, room);
    o->kinds = room;
  }
}

/* Most statements are told one or two things: going through the table is less than asking it for
** each option. Options are plain tables without a metatable. */
static options read_options(lua_State *L, int idx)
{
  options o = {0};
  int room;
  if (lua_isnoneornil(L, idx))
    return o;
  luaL_checktype(L, idx, LUA_TTABLE);
  if (were_prepared(L, idx, &o))
    return o;
  lua_pushnil(L);
  room = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    if (lua_type(L, -2) == LUA_TSTRING)
      read_option(L, &o, room);
    lua_pop(L, 1);
  }
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
  req->cursor = o->cursor;
  req->rows_before = o->rows_before;
  if (o->columns != NULL && o->table != NULL) { /* without memory they are not told */
    req->columns_sql = mp_arena_strdup(req->arena, o->columns);
    req->table = mp_arena_strdup(req->arena, o->table);
  }
}

static mp_kind kind_at(lua_State *L, const options *o, int i)
{
  lua_Integer kind;
  if (o->kind_list != NULL)
    return i <= o->kind_n ? (mp_kind)o->kind_list[i - 1] : MP_NULL;
  if (o->kinds == 0)
    return MP_NULL;
  lua_rawgeti(L, o->kinds, i);
  kind = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return kind > MP_NULL && kind < MP_KIND_N ? (mp_kind)kind : MP_NULL;
}

/* options(table): the same table, which nobody changes from here on. */
static int statement_options(lua_State *L)
{
  options o;
  prepared *made;
  int n;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  o = read_options(L, 1);
  n = o.kinds == 0 ? 0 : (int)lua_rawlen(L, o.kinds);
  lua_createtable(L, 0, 1);
  made = lua_newuserdatauv(L, sizeof *made + (size_t)n, 0);
  made->told = o;
  made->told.kinds = 0;
  made->told.kind_n = n;
  for (int i = 1; i <= n; i++)
    made->kinds[i - 1] = (uint8_t)kind_at(L, &o, i);
  lua_rawsetp(L, -2, &prepared_key);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* The kind of the refusal of the value on the top. */
static mp_status refusal_of(lua_State *L)
{
  size_t n;
  const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
  return s != NULL && mp_text_check(s, n) < n ? MP_E_ENCODING : MP_E_BAD_PARAMETERS;
}

/* Read parameter i, the value on the top, and pop it. On failure the message is on the top: "parameter 3: ...". */
static mp_status read_value(lua_State *L, int i, mp_kind kind, mp_arena *arena, mp_value *out)
{
  const char *why = NULL;
  bool ok = kind == MP_NULL ? lmp_to_value(L, -1, arena, out, &why)
                            : lmp_to_kind(L, -1, kind, arena, out, &why);
  mp_status status = ok ? MP_OK : refusal_of(L);
  lua_pop(L, 1);
  if (!ok)
    lua_pushfstring(L, "parameter %d: %s", i, why != NULL ? why : "no database takes this value");
  return status;
}

/* Read n values of the array at idx into out. */
static mp_status read_row(lua_State *L, int idx, int n, const options *o, mp_arena *arena,
                          mp_value *out)
{
  mp_status status = MP_OK;
  for (int i = 1; i <= n && status == MP_OK; i++) {
    mp_kind kind = kind_at(L, o, i);
    lua_rawgeti(L, idx, i);
    status = read_value(L, i, kind, arena, &out[i - 1]);
  }
  return status;
}

/* The same for rows that stand one behind the other in one array: those of n values from row `from` on; turned: column by
** column. On failure *at is the row. */
static mp_status read_rows(lua_State *L, int idx, size_t from, size_t rows, int n, const options *o,
                           bool turned, mp_arena *arena, mp_value *out, size_t *at)
{
  mp_kind *kinds = mp_arena_alloc(arena, (size_t)n * sizeof *kinds + 1);
  lua_Integer place = (lua_Integer)from * n;
  if (kinds == NULL) {
    *at = 0;
    lua_pushliteral(L, "out of memory");
    return MP_E_OUT_OF_MEMORY;
  }
  for (int i = 0; i < n; i++)
    kinds[i] = kind_at(L, o, i + 1);
  for (*at = 0; *at < rows; ++*at)
    for (int i = 0; i < n; i++) {
      mp_status status;
      lua_rawgeti(L, idx, (int)++place);
      size_t to = turned ? (size_t)i * rows + *at : *at * (size_t)n + (size_t)i;
      status = read_value(L, i + 1, kinds[i], arena, &out[to]);
      if (status != MP_OK)
        return status;
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
  bool ahead = lua_toboolean(L, 7);
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
  op->req->ahead = ahead;
  if (n > 0) {
    values = mp_arena_zalloc(op->req->arena, (size_t)n * sizeof *values);
    if (values == NULL)
      return no_memory(L, op);
    status = read_row(L, 4, n, &o, op->req->arena, values);
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

static int statement_copy_out(lua_State *L)
{
  return run_one(L, MP_OP_COPY_OUT);
}

static int statement_listen(lua_State *L)
{
  return run_one(L, MP_OP_LISTEN);
}

/* Columns of values, one behind the other, as an array each; NULL: no memory. */
static mp_value *as_arrays(mp_arena *arena, const mp_value *values, int n, size_t rows)
{
  mp_value *out = mp_arena_alloc(arena, (size_t)n * sizeof *out + 1);
  mp_array *arrays = mp_arena_alloc(arena, (size_t)n * sizeof *arrays + 1);
  int *length = mp_arena_alloc(arena, sizeof *length);
  if (out == NULL || arrays == NULL || length == NULL)
    return NULL;
  *length = (int)rows;
  for (int i = 0; i < n; i++) {
    arrays[i] = (mp_array){
        .dim_n = rows > 0, .dims = length, .n = rows, .items = values + (size_t)i * rows};
    out[i] = (mp_value){.kind = MP_ARRAY, .a = &arrays[i]};
  }
  return out;
}

/* turned: the rows are the parameters of one run, an array for each column. */
static int run_rows(lua_State *L, mp_op what, bool turned)
{
  size_t len, rows, from, at;
  const char *sql = luaL_checklstring(L, 2, &len);
  int n = parameter_count(L, 4);
  bool ahead = lua_toboolean(L, 8);
  options o;
  lmp_op *op;
  mp_value *values;
  mp_status status;
  luaL_checktype(L, 3, LUA_TTABLE);
  rows = (size_t)parameter_count(L, 5);
  from = (size_t)parameter_count(L, 6);
  luaL_argcheck(L, n == 0 || from + rows <= INT_MAX / (size_t)n, 5, "number of rows");
  o = read_options(L, 7);
  op = begin(L, what);
  apply(op->req, &o);
  op->req->access = MP_ACCESS_WRITE;
  op->req->ahead = ahead;
  op->req->rows_before += from;
  values = mp_arena_zalloc(op->req->arena, rows * (size_t)n * sizeof *values + 1);
  if (values == NULL)
    return no_memory(L, op);
  status = read_rows(L, 3, from, rows, n, &o, turned, op->req->arena, values, &at);
  if (status != MP_OK) {
    lmp_op_free(op);
    return lmp_raise_row(L, status, (lua_Integer)(o.rows_before + from + at) + 1, "row %d, %s",
                         (int)(o.rows_before + from + at) + 1, lua_tostring(L, -1));
  }
  if (turned && (values = as_arrays(op->req->arena, values, n, rows)) == NULL)
    return no_memory(L, op);
  if (mp_request_fill_own(op->req, sql, len, values, n, turned ? 1 : rows) != MP_OK)
    return no_memory(L, op);
  return submit(L, op);
}

static int statement_many(lua_State *L)
{
  return run_rows(L, MP_OP_MANY, false);
}

static int statement_by_column(lua_State *L)
{
  return run_rows(L, MP_OP_QUERY, true);
}

static int statement_copy_in(lua_State *L)
{
  return run_rows(L, MP_OP_COPY_IN, false);
}

#define ROWS_BYTES ((size_t)4 * 1024 * 1024) /* of texts, after which no more rows go at once */

/* Push row number `row` of the list at idx. False: it is no plain one, which is a table of n values without a metatable. */
static bool push_plain_row(lua_State *L, int idx, size_t row, int n)
{
  bool more, nothing;
  lua_rawgeti(L, idx, (int)row + 1);
  if (!lua_istable(L, -1))
    return false;
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_rawgeti(L, -1, n + 1);
  lua_rawgeti(L, -2, 1);
  more = !lua_isnil(L, -2);
  nothing = lua_isnil(L, -1);
  lua_pop(L, 2);
  if (more || !nothing)
    return !more;
  lua_pushnil(L);
  if (lua_next(L, -2) != 0) {
    more = lua_type(L, -2) == LUA_TSTRING; /* a name, perhaps */
    lua_pop(L, 2);
  }
  return !more;
}

/* As copy_in, but the rows are tables in a list: as many of them as go at once. Gives nothing where the first is no plain row, and
** otherwise how many went: those before the first that is none. */
static int statement_copy_rows(lua_State *L)
{
  size_t len, from, most, rows = 0, bytes = 0;
  const char *sql = luaL_checklstring(L, 2, &len);
  int n = parameter_count(L, 4);
  options o;
  lmp_op *op;
  mp_value *values;
  mp_kind *kinds;
  luaL_checktype(L, 3, LUA_TTABLE);
  most = (size_t)parameter_count(L, 5);
  from = (size_t)parameter_count(L, 6);
  if (lua_rawlen(L, 3) <= from)
    return 0;
  if (most > lua_rawlen(L, 3) - from)
    most = lua_rawlen(L, 3) - from;
  luaL_argcheck(L, n > 0 && from + most < INT_MAX / (size_t)n, 5, "number of rows");
  o = read_options(L, 7);
  op = begin(L, MP_OP_COPY_IN);
  apply(op->req, &o);
  op->req->access = MP_ACCESS_WRITE;
  op->req->rows_before = from;
  values = mp_arena_alloc(op->req->arena, most * (size_t)n * sizeof *values);
  kinds = mp_arena_alloc(op->req->arena, (size_t)n * sizeof *kinds);
  if (values == NULL || kinds == NULL)
    return no_memory(L, op);
  for (int i = 0; i < n; i++)
    kinds[i] = kind_at(L, &o, i + 1);
  for (; rows < most && bytes < ROWS_BYTES && push_plain_row(L, 3, from + rows, n); rows++) {
    for (int i = 0; i < n; i++) {
      mp_value *value = &values[rows * (size_t)n + (size_t)i];
      lua_rawgeti(L, -1, i + 1);
      mp_status status = read_value(L, i + 1, kinds[i], op->req->arena, value);
      if (status != MP_OK) {
        lmp_op_free(op);
        return lmp_raise_row(L, status, (lua_Integer)(from + rows) + 1, "row %d, %s",
                             (int)(from + rows) + 1, lua_tostring(L, -1));
      }
      bytes += value->kind == MP_TEXT || value->kind == MP_BLOB ? value->len : 0;
    }
    lua_pop(L, 1);
  }
  if (rows == 0) {
    lmp_op_free(op);
    return 0;
  }
  if (mp_request_fill_own(op->req, sql, len, values, n, rows) != MP_OK)
    return no_memory(L, op);
  submit(L, op);
  lua_pushinteger(L, (lua_Integer)rows);
  return 2;
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

void lmp_open_statements(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {{"options", statement_options}, {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}

void lmp_add_statements(lua_State *L, int hub)
{
  static const luaL_Reg methods[] = {{"query", statement_query},
                                     {"stream", statement_stream},
                                     {"many", statement_many},
                                     {"by_column", statement_by_column},
                                     {"prepare", statement_prepare},
                                     {"ping", statement_ping},
                                     {"copy_in", statement_copy_in},
                                     {"copy_out", statement_copy_out},
                                     {"listen", statement_listen},
                                     {"copy_rows", statement_copy_rows},
                                     {NULL, NULL}};
  lmp_add_functions(L, hub, methods);
}
