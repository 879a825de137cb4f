/* reading.c - what comes before and after the rows of a reading: keys, kinds, the end, and credit from the
** collector. */
#include "reading.h"

#include "raise.h"

#include <limits.h>
#include <string.h>

/* ---- begin and end ---- */

/* The number of results that the caller returns at once, or -1: there are rows to read. */
int lmp_reading_begin(lmp_reading *r, lua_State *L, int arguments)
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
  luaL_checkstack(L, r->column_n + 20, "too many columns");
  if (r->column_n <= LMP_FEW) {
    r->own_cells = r->cell_room;
    r->want = r->want_room;
  } else {
    r->own_cells = lua_newuserdata(L, (size_t)r->column_n * (sizeof *r->own_cells + 1));
    r->want = (uint8_t *)(r->own_cells + r->column_n);
  }
  r->metas = lmp_push_metas(L);
  return -1;
}

/* The result has been read: a stream keeps its operation, anything else is over. */
void lmp_reading_end(lmp_reading *r)
{
  if (mp_op_streams(r->op->req->op))
    mp_result_free(mp_request_take_result(r->op->req));
  else
    lmp_op_free(r->op);
}

/* nil and the error whose message is on the top of the stack. */
int lmp_reading_fail(lmp_reading *r, mp_status kind)
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

void lmp_want_reported(lmp_reading *r)
{
  for (int col = 0; col < r->column_n; col++)
    r->want[col] = r->result->exact ? MP_NULL : (uint8_t)r->result->columns[col].kind;
}

void lmp_want_planned(lmp_reading *r, int plan)
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
static bool is_repeated(lmp_reading *r, int col, int seen)
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
static bool push_reported_keys(lmp_reading *r)
{
  lua_State *L = r->L;
  const mp_column *columns = r->result->columns;
  int seen = 0;
  if (r->column_n > LMP_FEW) {
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

static bool push_planned_keys(lmp_reading *r, int plan)
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
int lmp_reading_prepare(lmp_reading *r, int plan)
{
  if (r->column_n == 0) {
    r->keys = lua_gettop(r->L);
    return 0;
  }
  if (lua_istable(r->L, plan)) {
    lmp_want_planned(r, plan);
    return push_planned_keys(r, plan) ? 0 : lmp_reading_fail(r, MP_E_UNDEFINED_COLUMN);
  }
  lmp_want_reported(r);
  return push_reported_keys(r) ? 0 : lmp_reading_fail(r, MP_E_DUPLICATE_COLUMN);
}

/* ---- cells ---- */

/* Kinds that SQLite has as texts. They are read at once; a text that is written in another way is converted. */
#define TEXTS (1u << MP_DECIMAL | 1u << MP_DATE | 1u << MP_DATETIME | 1u << MP_WALLTIME)

bool lmp_reading_other_cell(lmp_reading *r, const mp_value *cell, size_t row, int col)
{
  mp_kind want = (mp_kind)r->want[col];
  mp_value value;
  if (cell->kind == MP_INT && want == MP_BOOL && (cell->i == 0 || cell->i == 1)) {
    lua_pushboolean(r->L, cell->i != 0);
    return true;
  }
  if (cell->kind == MP_TEXT && want < MP_KIND_N && (TEXTS >> want & 1) != 0 &&
      mp_value_parse(want, cell->s, cell->len, &value, NULL)) {
    lmp_new_value(r->L, r->metas, &value);
    return true;
  }
  if (cell->kind != MP_KIND_N && lmp_push_cell(r->L, r->metas, cell, want))
    return true;
  r->trouble = MP_E_TYPE_MISMATCH;
  if (cell->kind == MP_KIND_N) {
    r->trouble = cell->scale != 0 ? (mp_status)cell->scale : MP_E_OUT_OF_RANGE;
    lua_pushfstring(r->L, "column \"%s\", row %d: %s", r->result->columns[col].name, (int)row + 1,
                    cell->s != NULL ? cell->s : mp_status_name(r->trouble));
    return false;
  }
  lua_pushfstring(r->L, "column \"%s\", row %d: what the database holds is no %s",
                  r->result->columns[col].name, (int)row + 1, lmp_no_cell(cell, want));
  return false;
}

/* ---- the collector ---- */

/* Nothing that a result becomes is garbage before it has been given, yet each collection that begins
** meanwhile goes through what there is of it. So one that would begin is made now, and then the
** collector has credit for what comes: a step of that many kilobytes, and one of as many below zero,
** which any Lua 5.4 takes. Unlike a collector that is stopped, this needs no end, whatever goes wrong
** before it, and what comes beyond the credit is collected as ever. LuaJIT goes on as it does. */
#if LUA_VERSION_NUM == 504

#define LARGE 256 /* rows of a result that the collector is told of */

/* What Lua will need for a row, roughly: tables, the values beside numbers, what is beside a table. What texts have in them is that of one row, and not more in all than the
** result holds: credit that is not used up would keep the collector from work that is due. */
static size_t room_for(const lmp_reading *r, size_t n, size_t beside)
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
  if (beside > 0) {
    row += beside + (size_t)r->column_n * sizeof(mp_value);
    texts *= 2;
  }
  texts *= n;
  return n * row + (texts < r->result->bytes ? texts : r->result->bytes);
}

void lmp_reading_make_room(const lmp_reading *r, size_t beside)
{
  size_t n = lmp_row_count(r);
  if (n >= LARGE && lua_gc(r->L, LUA_GCISRUNNING) == 1) {
    size_t kb = room_for(r, n, beside) / 1024;
    int step = kb < INT_MAX ? (int)kb : INT_MAX;
    lua_gc(r->L, LUA_GCSTEP, step);
    lua_gc(r->L, LUA_GCSTEP, -step);
  }
}

#else

void lmp_reading_make_room(const lmp_reading *r, size_t beside)
{
  (void)r;
  (void)beside;
}

#endif
