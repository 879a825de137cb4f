/* objects.c - results become objects: the table of a row, its metatable, and its original beside it.
** A row may hold several: those of relations that were joined are parts behind the columns of the
** first, each told by its key, and made once for all rows that lead to it. */
#include "reading.h"

#include "sheet.h"

#define MOST_PARTS 64

/* Bytes that an object has besides its table and the cells of its original. */
#define BESIDE_OWN 112 /* the original, and its place among the others */
#define BESIDE_ON_SHEET 24

/* Columns of a row that are something by themselves. Places on the stack. */
typedef struct part {
  int first, n; /* columns */
  int key;     /* column whose NULL says that there is no such object; -1: the part is no object but
                ** an array of values */
  bool shared; /* the key tells the object: rows with the same one share it */
  int meta, batch;
  int rows; /* what the part is in each row: an object or false, or an array */
  int seen; /* by key */
} part;

static int integer_field(lua_State *L, int idx, const char *name, int missing)
{
  lua_getfield(L, idx, name);
  int value = lua_isnil(L, -1) ? missing : (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

/* The parts that a plan speaks of, with what is made of them in this reading; how many. */
static int read_parts(lua_State *L, part *parts, int column_n)
{
  lua_getfield(L, 2, "parts");
  int list = lua_gettop(L);
  int n = (int)lua_rawlen(L, list);
  if (n > MOST_PARTS)
    luaL_error(L, "a plan of %d parts: %d are the most", n, MOST_PARTS);
  luaL_checkstack(L, 4 * n + 8, "too many parts");
  for (int i = 0; i < n; i++) {
    part *p = &parts[i];
    lua_rawgeti(L, list, i + 1);
    int idx = lua_gettop(L);
    p->first = integer_field(L, idx, "first", 0) - 1;
    p->n = integer_field(L, idx, "n", 0);
    p->key = integer_field(L, idx, "key", 0) - 1;
    luaL_argcheck(L, p->first >= 0 && p->n >= 0 && p->first + p->n <= column_n && p->key < column_n,
                  2, "a part outside of its row");
    lua_getfield(L, idx, "shared");
    p->shared = lua_toboolean(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, idx, "meta");
    lua_replace(L, idx);
    p->meta = idx;
    if (lua_isnil(L, 4))
      lua_pushnil(L);
    else
      lua_rawgeti(L, 4, i + 2);
    p->batch = lua_gettop(L);
    lua_newtable(L);
    p->rows = lua_gettop(L);
    lua_newtable(L);
    p->seen = lua_gettop(L);
  }
  return n;
}

/* The table on the top is an object of n columns from `first` on: enter its original. */
static void enter(lmp_reading *r, int first, int n, int meta, int batch)
{
  lua_State *L = r->L;
  lua_pushvalue(L, meta);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lmp_push_original(L, r->metas, r->cells + first, n);
  if (batch != 0 && lua_istable(L, batch)) {
    lua_pushvalue(L, batch);
    lua_setiuservalue(L, -2, 1);
  }
  lua_rawset(L, 3);
}

/* Make such an object. On failure the message is on the top. */
static bool push_object(lmp_reading *r, size_t row, int first, int n, int meta, int batch)
{
  lua_createtable(r->L, 0, n);
  if (!lmp_reading_fill(r, row, first, n))
    return false;
  enter(r, first, n, meta, batch);
  return true;
}

/* The values of a part as an array; NULL leaves its place empty. */
static bool push_values(lmp_reading *r, size_t row, const part *p)
{
  lua_State *L = r->L;
  lua_createtable(L, p->n, 0);
  for (int i = 0; i < p->n; i++) {
    const mp_value *cell = &r->cells[p->first + i];
    if (cell->kind == MP_NULL)
      continue;
    if (!lmp_reading_cell(r, cell, row, p->first + i))
      return false;
    lua_rawseti(L, -2, i + 1);
  }
  return true;
}

/* Push the object that a row leads to, or false. Keys that are no texts or numbers are known by their
** text. */
static bool push_related(lmp_reading *r, size_t row, const part *p)
{
  lua_State *L = r->L;
  const mp_value *cell = &r->cells[p->key];
  if (cell->kind == MP_NULL) {
    lua_pushboolean(L, 0);
    return true;
  }
  if (!p->shared)
    return push_object(r, row, p->first, p->n, p->meta, p->batch);
  if (!lmp_reading_cell(r, cell, row, p->key))
    return false;
  if (cell->kind == MP_FLOAT)
    (void)lua_tostring(L, -1); /* a NaN can be no key of a table */
  else if (lua_isuserdata(L, -1) && luaL_callmeta(L, -1, "__tostring"))
    lua_remove(L, -2);
  lua_pushvalue(L, -1);
  lua_rawget(L, p->seen);
  if (!lua_isnil(L, -1)) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
  if (!push_object(r, row, p->first, p->n, p->meta, p->batch))
    return false;
  lua_insert(L, -2);
  lua_pushvalue(L, -2);
  lua_rawset(L, p->seen);
  return true;
}

static bool fill_parts(lmp_reading *r, size_t row, const part *parts, int n)
{
  for (int i = 0; i < n; i++) {
    const part *p = &parts[i];
    if (!(p->key < 0 ? push_values(r, row, p) : push_related(r, row, p)))
      return false;
    lua_rawseti(r->L, p->rows, (int)row + 1);
  }
  return true;
}

/* May objects of so many columns be on sheets? Those whose metatables are chosen row by row (plan.members)
** are not, and none on LuaJIT, which makes code for one metatable at a time. */
static bool uses_sheets(lua_State *L, int column_n)
{
  if (LMP_JIT || column_n > LMP_SHEET_COLUMNS)
    return false;
  lua_getfield(L, 2, "members");
  bool uses = lua_isnil(L, -1);
  lua_pop(L, 1);
  return uses;
}

/* objects(operation, plan, originals, batch): an array. With plan.parts the names and kinds of all
** columns are those of plan.layout, batch is an array of the batches, that of the first and of each
** part, and there is a second result: for each part an array of what it is in each row. */
int lmp_read_objects(lua_State *L)
{
  lmp_reading r;
  lmp_sheet sheet;
  part parts[MOST_PARTS];
  int part_n = 0, width, batch = 0, meta, objects, layout = 2;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  int given = lmp_reading_begin(&r, L, 4);
  if (given >= 0)
    return given;
  lua_getfield(L, 2, "meta");
  meta = lua_gettop(L);
  if (!lua_isnil(L, 4))
    batch = 4;
  lua_getfield(L, 2, "layout");
  width = r.column_n;
  if (lua_istable(L, -1)) {
    layout = lua_gettop(L);
    width = integer_field(L, 2, "width", width);
    if (batch != 0) {
      lua_rawgeti(L, 4, 1);
      batch = lua_gettop(L);
    }
  }
  given = lmp_reading_prepare(&r, layout);
  if (given > 0)
    return given;
  if (layout != 2 && r.column_n > 0)
    part_n = read_parts(L, parts, r.column_n);
  size_t n = lmp_row_count(&r);
  bool by_sheet = n >= LMP_SHEET_LEAST && uses_sheets(L, width);
  lmp_reading_make_room(&r, by_sheet ? BESIDE_ON_SHEET : BESIDE_OWN);
  if (by_sheet)
    lmp_sheet_open(&sheet, L, meta, batch, width);
  lua_createtable(L, (int)n, 0);
  objects = lua_gettop(L);
  for (size_t row = 0; row < n; row++) {
    lmp_reading_go_to(&r, row);
    lua_createtable(L, 0, width);
    if (!lmp_reading_fill(&r, row, 0, width))
      return lmp_reading_fail(&r, r.trouble);
    if (!by_sheet || !lmp_sheet_add(&sheet, r.cells, n - row))
      enter(&r, 0, width, meta, batch);
    if (!fill_parts(&r, row, parts, part_n))
      return lmp_reading_fail(&r, r.trouble);
    lua_rawseti(L, objects, (int)row + 1);
  }
  if (by_sheet)
    lmp_sheet_close(&sheet);
  lmp_reading_end(&r);
  if (layout == 2)
    return 1;
  lua_createtable(L, part_n, 0);
  for (int i = 0; i < part_n; i++) {
    lua_pushvalue(L, parts[i].rows);
    lua_rawseti(L, -2, i + 1);
  }
  return 2;
}
