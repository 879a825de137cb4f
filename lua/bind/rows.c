/* rows.c - results become the final Lua values: rows, arrays, single values, columns, objects.
** Each cell goes from the driver's memory straight into the table that the program keeps: tables are
** made in their exact size, keys are pushed once for each batch. */
#include "operation.h"

#include "raise.h"
#include "value.h"

#include <limits.h>
#include <string.h>

#define FEW 64 /* columns whose working memory is on the C stack */

/* One reading of a result. */
typedef struct reading {
  lua_State *L;
  lmp_op *op;
  const mp_result *result;
  mp_status trouble; /* of the cell that could not be pushed */
  int column_n;
  int metas; /* place of the metatables of values */
  int keys;  /* place before the first key */
  mp_value *cells;
  uint8_t *want;
  mp_value cell_room[FEW];
  uint8_t want_room[FEW];
} reading;

/* ---- begin and end ---- */

/* The number of results that the caller returns at once, or -1: there are rows to read. */
static int begin(reading *r, lua_State *L, int arguments)
{
  lmp_op *op = lmp_check_ready_op(L, 1);
  mp_error room;
  const mp_error *error;
  lua_settop(L, arguments);
  if (op->type != LMP_OP_REQUEST)
    return lmp_raise(L, MP_E_STALE_HANDLE, "operation %s gives no rows", lua_tostring(L, 1));
  error = lmp_op_error(op, &room);
  if (error != NULL)
    return lmp_op_fail(L, op, error);
  r->L = L;
  r->op = op;
  r->result = op->req->result;
  r->column_n = r->result != NULL ? r->result->column_n : 0;
  if (mp_op_streams(op->req->op) && op->finished && (r->result == NULL || r->result->row_n == 0)) {
    lua_pushboolean(L, 0);
    lmp_op_free(op);
    return 1;
  }
  if (r->result != NULL && r->result->row_n > INT_MAX)
    return lmp_raise(L, MP_E_RESULT_TOO_LARGE, "more rows than a Lua table holds: stream them");
  luaL_checkstack(L, r->column_n + 16, "too many columns");
  if (r->column_n <= FEW) {
    r->cells = r->cell_room;
    r->want = r->want_room;
  } else {
    r->cells = lua_newuserdata(L, (size_t)r->column_n * (sizeof *r->cells + 1));
    r->want = (uint8_t *)(r->cells + r->column_n);
  }
  r->metas = lmp_push_metas(L);
  return -1;
}

/* The result has been read: a stream keeps its operation, anything else is over. */
static void end(reading *r)
{
  if (mp_op_streams(r->op->req->op))
    mp_result_free(mp_request_take_result(r->op->req));
  else
    lmp_op_free(r->op);
}

/* nil and the error whose message is on the top of the stack. */
static int fail(reading *r, mp_status kind)
{
  lua_State *L = r->L;
  lua_createtable(L, 0, 4);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  lua_pushstring(L, mp_status_name(kind));
  lua_setfield(L, -2, "kind");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "sent");
  lmp_op_forget(r->op);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* ---- what the plan says ---- */

static void want_reported(reading *r)
{
  for (int col = 0; col < r->column_n; col++)
    r->want[col] = r->result->exact ? MP_NULL : (uint8_t)r->result->columns[col].kind;
}

static void want_planned(reading *r, int plan)
{
  lua_State *L = r->L;
  lua_getfield(L, plan, "kinds");
  bool kinds = lua_istable(L, -1);
  for (int col = 0; col < r->column_n; col++) {
    lua_Integer kind = 0;
    if (kinds) {
      lua_rawgeti(L, -1, col + 1);
      kind = lua_tointeger(L, -1);
      lua_pop(L, 1);
    }
    r->want[col] = (uint8_t)lmp_kind_of_number(kind);
  }
  lua_pop(L, 1);
}

/* Is the name of the column, which is on the top, that of one before it? The table at seen has the
** names so far; few columns (seen 0) are compared one by one, which is less. */
static bool is_repeated(reading *r, int col, int seen)
{
  lua_State *L = r->L;
  const mp_column *columns = r->result->columns;
  if (seen == 0) {
    for (int i = 0; i < col; i++)
      if (columns[i].name_len == columns[col].name_len &&
          memcmp(columns[i].name, columns[col].name, columns[col].name_len) == 0)
        return true;
    return false;
  }
  lua_pushvalue(L, -1);
  lua_rawget(L, seen);
  bool repeated = !lua_isnil(L, -1);
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, seen);
  return repeated;
}

/* Push the keys that the server reports. On failure the message is on the top. */
static bool push_reported_keys(reading *r)
{
  lua_State *L = r->L;
  const mp_column *columns = r->result->columns;
  int seen = 0;
  if (r->column_n > FEW) {
    lua_createtable(L, 0, r->column_n);
    seen = lua_gettop(L);
  }
  r->keys = lua_gettop(L);
  for (int col = 0; col < r->column_n; col++) {
    lua_pushlstring(L, columns[col].name, columns[col].name_len);
    if (is_repeated(r, col, seen)) {
      lua_pushfstring(L, "two columns are called \"%s\": name them with AS, or use fetch_arrays",
                      columns[col].name);
      return false;
    }
  }
  return true;
}

static bool push_planned_keys(reading *r, int plan)
{
  lua_State *L = r->L;
  lua_getfield(L, plan, "names");
  if (!lua_istable(L, -1) || (int)lua_rawlen(L, -1) != r->column_n) {
    lua_pushfstring(L, "the statement gave %d columns, expected were %d: the table has changed",
                    r->column_n, lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 0);
    return false;
  }
  r->keys = lua_gettop(L);
  for (int col = 1; col <= r->column_n; col++)
    lua_rawgeti(L, r->keys, col);
  return true;
}

/* Keys and kinds, by the plan at the place or as reported. 0: done; otherwise fail's answer. */
static int prepare(reading *r, int plan)
{
  if (r->column_n == 0) {
    r->keys = lua_gettop(r->L);
    return 0;
  }
  if (lua_istable(r->L, plan)) {
    want_planned(r, plan);
    return push_planned_keys(r, plan) ? 0 : fail(r, MP_E_UNDEFINED_COLUMN);
  }
  want_reported(r);
  return push_reported_keys(r) ? 0 : fail(r, MP_E_DUPLICATE_COLUMN);
}

/* ---- cells ---- */

/* Push the cell as its column wants it. On failure the message is on the top. Most cells are plain
** values, pushed here and at once. */
static inline bool push_cell(reading *r, const mp_value *cell, size_t row, int col)
{
  if (cell->kind == r->want[col] || r->want[col] == MP_NULL) {
    switch ((mp_kind)cell->kind) {
    case MP_INT:
      lmp_push_integer(r->L, cell->i);
      return true;
    case MP_FLOAT:
      lua_pushnumber(r->L, cell->d);
      return true;
    case MP_TEXT:
      lua_pushlstring(r->L, cell->s, cell->len);
      return true;
    default:
      break;
    }
  }
  if (cell->kind != MP_KIND_N && lmp_push_cell(r->L, r->metas, cell, (mp_kind)r->want[col]))
    return true;
  r->trouble = MP_E_TYPE_MISMATCH;
  if (cell->kind == MP_KIND_N) {
    r->trouble = cell->scale != 0 ? (mp_status)cell->scale : MP_E_OUT_OF_RANGE;
    lua_pushfstring(r->L, "column \"%s\", row %d: %s", r->result->columns[col].name, (int)row + 1,
                    cell->s != NULL ? cell->s : mp_status_name(r->trouble));
    return false;
  }
  lua_pushfstring(r->L, "column \"%s\", row %d: what the database holds is no %s",
                  r->result->columns[col].name, (int)row + 1,
                  mp_kind_name((mp_kind)(r->want[col] & LMP_KIND_MASK)));
  return false;
}

/* Fill the table on the top with a row, by key. NULL is absent. */
static bool fill_row(reading *r, size_t row)
{
  lua_State *L = r->L;
  const mp_result *result = r->result;
  for (int col = 0; col < r->column_n; col++) {
    mp_value *cell = &r->cells[col];
    result->ops->cell(result, row, col, cell);
    if (cell->kind == MP_NULL)
      continue;
    lua_pushvalue(L, r->keys + 1 + col);
    if (!push_cell(r, cell, row, col))
      return false;
    lua_rawset(L, -3);
  }
  return true;
}

static size_t row_count(const reading *r)
{
  return r->result != NULL ? r->result->row_n : 0;
}

/* ---- the collector ---- */

/* Nothing that a result becomes is garbage before it has been given, yet each collection that begins
** meanwhile goes through what there is of it. So one that would begin is made now, and then the
** collector has credit for what comes: a step of that many kilobytes, and one of as many below zero,
** which any Lua 5.4 takes. Unlike a collector that is stopped, this needs no end, whatever goes wrong
** before it, and what comes beyond the credit is collected as ever. LuaJIT goes on as it does. */
#if LUA_VERSION_NUM == 504

#define LARGE 256 /* rows of a result that the collector is told of */

/* What Lua will need for a row, roughly: tables, the values beside numbers, an original with its
** place among the others. What texts have in them is that of one row, and not more in all than the
** result holds: credit that is not used up would keep the collector from work that is due. */
static size_t room_for(const reading *r, size_t n, bool objects)
{
  size_t row = 72, texts = 0, nodes = 1;
  while (nodes < (size_t)r->column_n)
    nodes *= 2;
  row += nodes * 24;
  for (int col = 0; col < r->column_n; col++) {
    mp_value cell;
    r->result->ops->cell(r->result, n / 2, col, &cell);
    if (cell.kind == MP_TEXT || cell.kind == MP_BLOB || cell.kind == MP_JSON)
      texts += cell.len;
    if (cell.kind != MP_BOOL && cell.kind != MP_INT && cell.kind != MP_FLOAT)
      row += 56;
  }
  if (objects) {
    row += 112 + (size_t)r->column_n * sizeof(mp_value);
    texts *= 2;
  }
  texts *= n;
  return n * row + (texts < r->result->bytes ? texts : r->result->bytes);
}

static void make_room(const reading *r, bool objects)
{
  size_t n = row_count(r);
  if (n >= LARGE && lua_gc(r->L, LUA_GCISRUNNING) == 1) {
    size_t kb = room_for(r, n, objects) / 1024;
    int step = kb < INT_MAX ? (int)kb : INT_MAX;
    lua_gc(r->L, LUA_GCSTEP, step);
    lua_gc(r->L, LUA_GCSTEP, -step);
  }
}

#else

static void make_room(const reading *r, bool objects)
{
  (void)r;
  (void)objects;
}

#endif

/* ---- the functions ---- */

static int read_rows(lua_State *L)
{
  reading r;
  size_t n;
  int given = begin(&r, L, 2);
  if (given >= 0)
    return given;
  given = prepare(&r, 2);
  if (given > 0)
    return given;
  make_room(&r, false);
  n = row_count(&r);
  lua_createtable(L, (int)n, 0);
  for (size_t row = 0; row < n; row++) {
    lua_createtable(L, 0, r.column_n);
    if (!fill_row(&r, row))
      return fail(&r, r.trouble);
    lua_rawseti(L, -2, (int)row + 1);
  }
  end(&r);
  return 1;
}

static int read_objects(lua_State *L)
{
  reading r;
  size_t n;
  int meta, objects, given;
  bool batch;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  given = begin(&r, L, 4);
  if (given >= 0)
    return given;
  lua_getfield(L, 2, "meta");
  meta = lua_gettop(L);
  batch = !lua_isnil(L, 4);
  given = prepare(&r, 2);
  if (given > 0)
    return given;
  make_room(&r, true);
  n = row_count(&r);
  lua_createtable(L, (int)n, 0);
  objects = lua_gettop(L);
  for (size_t row = 0; row < n; row++) {
    lua_createtable(L, 0, r.column_n);
    if (!fill_row(&r, row))
      return fail(&r, r.trouble);
    lua_pushvalue(L, meta);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lmp_push_original(L, r.metas, r.cells, r.column_n);
    if (batch) {
      lua_pushvalue(L, 4);
      lua_setiuservalue(L, -2, 1);
    }
    lua_rawset(L, 3);
    lua_rawseti(L, objects, (int)row + 1);
  }
  end(&r);
  return 1;
}

static int read_arrays(lua_State *L)
{
  reading r;
  size_t n;
  int given, rows;
  given = begin(&r, L, 2);
  if (given >= 0)
    return given;
  if (lua_istable(L, 2))
    want_planned(&r, 2);
  else
    want_reported(&r);
  make_room(&r, false);
  n = row_count(&r);
  lua_createtable(L, (int)n, 0);
  rows = lua_gettop(L);
  for (size_t row = 0; row < n; row++) {
    lua_createtable(L, r.column_n, 0);
    for (int col = 0; col < r.column_n; col++) {
      mp_value cell;
      r.result->ops->cell(r.result, row, col, &cell);
      if (cell.kind == MP_NULL)
        continue;
      if (!push_cell(&r, &cell, row, col))
        return fail(&r, r.trouble);
      lua_rawseti(L, -2, col + 1);
    }
    lua_rawseti(L, rows, (int)row + 1);
  }
  lua_createtable(L, r.column_n, 0);
  for (int col = 0; col < r.column_n; col++) {
    lua_pushlstring(L, r.result->columns[col].name, r.result->columns[col].name_len);
    lua_rawseti(L, -2, col + 1);
  }
  end(&r);
  return 2;
}

static void want_first(reading *r, int idx)
{
  mp_kind kind = lmp_kind_of_number(luaL_optinteger(r->L, idx, 0));
  if (kind != MP_NULL)
    r->want[0] = (uint8_t)kind;
  else
    want_reported(r);
}

static int read_value(lua_State *L)
{
  reading r;
  mp_value cell = MP_VALUE_NULL;
  bool there;
  int given = begin(&r, L, 2);
  if (given >= 0)
    return given;
  want_first(&r, 2);
  there = row_count(&r) > 0 && r.column_n > 0;
  if (there)
    r.result->ops->cell(r.result, 0, 0, &cell);
  if (cell.kind == MP_NULL)
    lua_pushnil(L);
  else if (!push_cell(&r, &cell, 0, 0))
    return fail(&r, r.trouble);
  lua_pushboolean(L, there);
  end(&r);
  return 2;
}

static int read_column(lua_State *L)
{
  reading r;
  size_t n;
  int given = begin(&r, L, 2);
  if (given >= 0)
    return given;
  want_first(&r, 2);
  n = r.column_n > 0 ? row_count(&r) : 0;
  lua_createtable(L, (int)n, 0);
  for (size_t row = 0; row < n; row++) {
    mp_value cell;
    r.result->ops->cell(r.result, row, 0, &cell);
    if (cell.kind == MP_NULL)
      lmp_push_null(L);
    else if (!push_cell(&r, &cell, row, 0))
      return fail(&r, r.trouble);
    lua_rawseti(L, -2, (int)row + 1);
  }
  end(&r);
  return 1;
}

static int stream_more(lua_State *L)
{
  lmp_op *op = lmp_check_ready_op(L, 1);
  mp_request *req = op->req;
  if (op->type != LMP_OP_REQUEST || !mp_op_streams(req->op))
    return lmp_raise(L, MP_E_STALE_HANDLE, "operation %s is no stream", lua_tostring(L, 1));
  op->state = LMP_RUNNING;
  if (op->finished)
    lmp_op_ready(op, true); /* its last chunk came together with its end */
  else if (op->lease != NULL)
    mp_lease_more(&op->lease->lease, req);
  else
    mp_pool_more(op->pool->pool, req);
  return 0;
}

int lmp_push_columns(lua_State *L, const mp_result *result)
{
  int n = result != NULL ? result->column_n : 0;
  lua_createtable(L, n, 0);
  lua_createtable(L, n, 0);
  for (int col = 0; col < n; col++) {
    lua_pushlstring(L, result->columns[col].name, result->columns[col].name_len);
    lua_rawseti(L, -3, col + 1);
    lua_pushinteger(L, result->columns[col].kind);
    lua_rawseti(L, -2, col + 1);
  }
  return 2;
}

int lmp_push_types(lua_State *L, const mp_request *req)
{
  int n = req->param_types != NULL ? req->param_n : 0;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, req->param_types[i]);
    lua_rawseti(L, -2, i + 1);
  }
  n = req->result != NULL ? req->result->column_n : 0;
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, req->result->columns[i].type_id);
    lua_rawseti(L, -2, i + 1);
  }
  return 2;
}

static int read_types(lua_State *L)
{
  lmp_op *op = lmp_check_ready_op(L, 1);
  if (op->type != LMP_OP_REQUEST || op->req->result == NULL)
    return 0;
  lmp_push_types(L, op->req);
  lmp_push_columns(L, op->req->result);
  lua_pop(L, 1);
  return 2;
}

void lmp_open_rows(lua_State *L, int hub)
{
  static const luaL_Reg functions[] = {{"rows", read_rows},       {"arrays", read_arrays},
                                       {"value", read_value},     {"column", read_column},
                                       {"objects", read_objects}, {"types", read_types},
                                       {"more", stream_more},     {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
