/* sheet.c - what the database holds of objects that came together, on one sheet for up to 64 of them.
** Such an object has no original of its own until it is asked for: most objects are read and never
** changed. It is known by its metatable, which says what the plan's says and has the sheet in it;
** programs and the library see the plan's (__metatable), so nothing else can be given it, and the
** address of an object that has it is that of one on the sheet. */
#include "sheet.h"

#include <string.h>

typedef struct sheet {
  uint32_t row_n, column_n;
  const void *objects[LMP_SHEET_ROWS];
  mp_value cells[]; /* the place of what one points at is in .i */
} sheet;

/* In its metatable, beside the sheet itself. */
enum {
  BYTES = 1,
  BATCH
};

static const char sheet_key = 0;

void lmp_sheet_open(lmp_sheet *s, lua_State *L, int meta, int batch, int column_n)
{
  s->L = L;
  s->plan_meta = meta;
  s->batch = batch;
  s->column_n = column_n;
  s->sheet = NULL;
  s->most = LMP_SHEET_ROWS;
  lmp_buffer_open(L, &s->bytes);
  lua_pushnil(L);
  s->meta = lua_gettop(L);
}

/* A metatable like the plan's, with a sheet for so many rows. */
static void begin(lmp_sheet *s, size_t row_n)
{
  lua_State *L = s->L;
  if (row_n > s->most)
    row_n = s->most;
  lua_createtable(L, BATCH, 10);
  lua_pushnil(L);
  while (lua_next(L, s->plan_meta)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_pushliteral(L, "__metatable");
  lua_pushvalue(L, s->plan_meta);
  lua_rawset(L, -3);
  s->sheet =
      lua_newuserdatauv(L, sizeof *s->sheet + row_n * (size_t)s->column_n * sizeof(mp_value), 0);
  s->sheet->row_n = 0;
  s->sheet->column_n = (uint32_t)s->column_n;
  s->row_n = row_n;
  s->next = s->sheet->cells;
  s->bytes.n = 0;
  lua_rawsetp(L, -2, &sheet_key);
  if (s->batch != 0 && !lua_isnil(L, s->batch)) {
    lua_pushvalue(L, s->batch);
    lua_rawseti(L, -2, BATCH);
  }
  lua_replace(L, s->meta);
}

/* What the cells of the sheet point at is there now. The next one has room for as many as long texts left here. */
static void end(lmp_sheet *s)
{
  s->most = s->sheet->row_n < s->row_n ? s->sheet->row_n : s->most * 2;
  if (s->most > LMP_SHEET_ROWS)
    s->most = LMP_SHEET_ROWS;
  lmp_buffer_push(&s->bytes);
  lua_rawseti(s->L, s->meta, BYTES);
  s->sheet = NULL;
}

bool lmp_sheet_add(lmp_sheet *s, const mp_value *cells, size_t rows_left)
{
  lua_State *L = s->L;
  unsigned kinds = 0;
  for (int i = 0; i < s->column_n; i++)
    kinds |= 1u << cells[i].kind;
  if (kinds & (1u << MP_INTERVAL | 1u << MP_ARRAY)) /* more than bytes */
    return false;
  if (s->sheet == NULL)
    begin(s, rows_left);
  s->sheet->objects[s->sheet->row_n++] = lua_topointer(L, -1);
  for (int i = 0; i < s->column_n; i++) {
    mp_value *cell = s->next++;
    size_t bytes = lmp_cell_bytes(&cells[i]);
    *cell = cells[i];
    if (bytes > 0) {
      cell->i = (int64_t)s->bytes.n;
      lmp_buffer_add(&s->bytes, cells[i].s, bytes);
    }
  }
  lua_pushvalue(L, s->meta);
  lua_setmetatable(L, -2);
  if (s->sheet->row_n == s->row_n || s->bytes.n >= LMP_SHEET_BYTES)
    end(s);
  return true;
}

void lmp_sheet_close(lmp_sheet *s)
{
  if (s->sheet != NULL)
    end(s);
}

/* ---- an original of its own ---- */

/* The sheet that the object at 1 is on, its metatable on the top; or NULL, and nothing is pushed. */
static const sheet *find(lua_State *L)
{
  const sheet *found;
  if (lua_type(L, 1) != LUA_TTABLE || !lua_getmetatable(L, 1))
    return NULL;
  lua_rawgetp(L, -1, &sheet_key);
  found = lua_touserdata(L, -1);
  lua_pop(L, found != NULL ? 1 : 2);
  return found;
}

static int on_sheet(lua_State *L)
{
  if (find(L) == NULL) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushboolean(L, 1);
  lua_rawgeti(L, -2, BATCH);
  return 2;
}

/* The cells that the sheet holds of the object at 1; meta: where its metatable is, behind which the bytes they point at are pushed. */
static void take_cells(lua_State *L, const sheet *from, int meta, mp_value *cells)
{
  const void *object = lua_topointer(L, 1);
  uint32_t row = 0, n = from->column_n;
  while (row < from->row_n && from->objects[row] != object)
    row++;
  if (row == from->row_n)
    luaL_error(L, "an object is not on its sheet");
  lua_rawgeti(L, meta, BYTES);
  const char *bytes = lua_tostring(L, -1);
  memcpy(cells, from->cells + (size_t)row * n, n * sizeof *cells);
  for (uint32_t i = 0; i < n; i++)
    if (lmp_cell_bytes(&cells[i]) > 0)
      cells[i].s = bytes + cells[i].i;
}

static int changed_on_sheet(lua_State *L)
{
  mp_value cells[LMP_SHEET_COLUMNS];
  lua_settop(L, 2);
  const sheet *from = find(L);
  luaL_argcheck(L, from != NULL, 1, "an object on a sheet expected");
  take_cells(L, from, 3, cells);
  return lmp_push_changed(L, 1, 2, cells, (int)from->column_n);
}

static int own_original(lua_State *L)
{
  mp_value cells[LMP_SHEET_COLUMNS];
  lua_settop(L, 2);
  luaL_checktype(L, 2, LUA_TTABLE);
  const sheet *from = find(L);
  if (from == NULL)
    return 0;
  take_cells(L, from, 3, cells);
  lua_pushvalue(L, 1);
  lmp_push_original(L, lmp_push_metas(L), cells, (int)from->column_n);
  lua_rawgeti(L, 3, BATCH);
  lua_setiuservalue(L, -2, 1);
  lua_remove(L, -2); /* metas */
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_rawset(L, 2);
  lua_pushliteral(L, "__metatable");
  lua_rawget(L, 3);
  lua_setmetatable(L, 1);
  return 1;
}

void lmp_open_sheet(lua_State *L)
{
  static const luaL_Reg functions[] = {{"on_sheet", on_sheet},
                                       {"changed_on_sheet", changed_on_sheet},
                                       {"own_original", own_original},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
