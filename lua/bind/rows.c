/* rows.c - results become the final Lua values: rows, arrays, single values, columns.
** Each cell goes from the driver's memory straight into the table that the program keeps: tables are
** made in their exact size, keys are pushed once for each batch. */
#include "reading.h"

#include "raise.h"

static int read_rows(lua_State *L)
{
  lmp_reading r;
  size_t n;
  int given = lmp_reading_begin(&r, L, 2);
  if (given >= 0)
    return given;
  given = lmp_reading_prepare(&r, 2);
  if (given > 0)
    return given;
  lmp_reading_make_room(&r, 0);
  n = lmp_row_count(&r);
  lua_createtable(L, (int)n, 0);
  for (size_t row = 0; row < n; row++) {
    lmp_reading_go_to(&r, row);
    lua_createtable(L, 0, r.column_n);
    if (!lmp_reading_fill(&r, row, 0, r.column_n))
      return lmp_reading_fail(&r, r.trouble);
    lua_rawseti(L, -2, (int)row + 1);
  }
  lmp_reading_end(&r);
  return 1;
}

static int read_arrays(lua_State *L)
{
  lmp_reading r;
  size_t n;
  int given, rows;
  given = lmp_reading_begin(&r, L, 2);
  if (given >= 0)
    return given;
  if (lua_istable(L, 2))
    lmp_want_planned(&r, 2);
  else
    lmp_want_reported(&r);
  lmp_reading_make_room(&r, 0);
  n = lmp_row_count(&r);
  lua_createtable(L, (int)n, 0);
  rows = lua_gettop(L);
  for (size_t row = 0; row < n; row++) {
    lmp_reading_go_to(&r, row);
    lua_createtable(L, r.column_n, 0);
    for (int col = 0; col < r.column_n; col++) {
      if (r.cells[col].kind == MP_NULL)
        continue;
      if (!lmp_reading_cell(&r, &r.cells[col], row, col))
        return lmp_reading_fail(&r, r.trouble);
      lua_rawseti(L, -2, col + 1);
    }
    lua_rawseti(L, rows, (int)row + 1);
  }
  lua_createtable(L, r.column_n, 0);
  for (int col = 0; col < r.column_n; col++) {
    lua_pushlstring(L, r.result->columns[col].name, r.result->columns[col].name_len);
    lua_rawseti(L, -2, col + 1);
  }
  lmp_reading_end(&r);
  return 2;
}

static void want_first(lmp_reading *r, int idx)
{
  mp_kind kind = lmp_kind_of_number(luaL_optinteger(r->L, idx, 0));
  if (kind != MP_NULL)
    r->want[0] = (uint8_t)kind;
  else
    lmp_want_reported(r);
}

static int read_value(lua_State *L)
{
  lmp_reading r;
  mp_value cell = MP_VALUE_NULL;
  bool there;
  int given = lmp_reading_begin(&r, L, 2);
  if (given >= 0)
    return given;
  want_first(&r, 2);
  there = lmp_row_count(&r) > 0 && r.column_n > 0;
  if (there)
    r.result->ops->cell(r.result, 0, 0, &cell);
  if (cell.kind == MP_NULL)
    lua_pushnil(L);
  else if (!lmp_reading_cell(&r, &cell, 0, 0))
    return lmp_reading_fail(&r, r.trouble);
  lua_pushboolean(L, there);
  lmp_reading_end(&r);
  return 2;
}

static int read_column(lua_State *L)
{
  lmp_reading r;
  size_t n;
  int given = lmp_reading_begin(&r, L, 2);
  if (given >= 0)
    return given;
  want_first(&r, 2);
  n = r.column_n > 0 ? lmp_row_count(&r) : 0;
  lua_createtable(L, (int)n, 0);
  for (size_t row = 0; row < n; row++) {
    mp_value cell;
    r.result->ops->cell(r.result, row, 0, &cell);
    if (cell.kind == MP_NULL)
      lmp_push_null(L);
    else if (!lmp_reading_cell(&r, &cell, row, 0))
      return lmp_reading_fail(&r, r.trouble);
    lua_rawseti(L, -2, (int)row + 1);
  }
  lmp_reading_end(&r);
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
  static const luaL_Reg functions[] = {{"rows", read_rows},           {"arrays", read_arrays},
                                       {"value", read_value},         {"column", read_column},
                                       {"objects", lmp_read_objects}, {"types", read_types},
                                       {"more", stream_more},         {NULL, NULL}};
  lmp_add_functions(L, hub, functions);
}
