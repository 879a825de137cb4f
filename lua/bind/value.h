/* value.h - values of the core as Lua values, and back.
** Decimals, dates and so on are userdata without __gc that hold an mp_value and what it points at,
** so one is made in a single allocation. Their metatables, mp.null and the like stand in one table
** in the registry, here called metas: pushed once for a batch of cells, indexed by mp_kind. */
#ifndef LMP_VALUE_H
#define LMP_VALUE_H

#include "compat.h"

#include "arena.h"
#include "decimal.h" /* and with it core/value.h, whose name is this file's own */

#define LMP_WHY_MAX 256 /* bytes of a reason, with its NUL */

/* Add this file's part of core.meta.lua (values, kinds, null, jit, set_error_maker) to the table on
** the top of the stack. Again in the same state: the same metatables, the same null. */
void lmp_open_values(lua_State *L);

/* ---- out: a value becomes a Lua value ---- */

/* Push metas and give its absolute index, for lmp_push_cell. */
int lmp_push_metas(lua_State *L);

/* What a reader wants: a kind, or an array of one: MP_ARRAY with the kind of the items in the bits
** above (core.array_of). The cell of such an array is the server's own, or JSON text. */
enum {
  LMP_ITEM_SHIFT = 4,
  LMP_KIND_MASK = (1 << LMP_ITEM_SHIFT) - 1
};

static inline mp_kind lmp_item_of(mp_kind want)
{
  return (mp_kind)((unsigned)want >> LMP_ITEM_SHIFT);
}

/* The kind that a program's number names; MP_NULL: none. */
mp_kind lmp_kind_of_number(lua_Integer number);

/* Push the cell as the Lua value of the kind that the reader wants (MP_NULL: as it is; NULL: nil).
** Pushes nothing and gives false when it is not convertible, or no JSON. Raises only when memory is
** out. */
bool lmp_push_cell(lua_State *L, int metas, const mp_value *cell, mp_kind want);

/* What the cell is not, when that was false: words for "is no ...". */
const char *lmp_no_cell(const mp_value *cell, mp_kind want);

/* One value without a batch; what cannot be read as JSON is pushed as text. */
void lmp_push_value(lua_State *L, const mp_value *value);

void lmp_push_null(lua_State *L);

/* Exact on LuaJIT too, where it is an int64_t beyond 2^53. */
void lmp_push_integer(lua_State *L, int64_t i);

/* The bytes that a cell points at; 0: none. */
static inline size_t lmp_cell_bytes(const mp_value *cell)
{
  switch ((mp_kind)cell->kind) {
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
  case MP_JSON:
    return cell->len;
  case MP_DECIMAL:
    return cell->small ? 0 : cell->len;
  case MP_INTERVAL:
    return sizeof *cell->v;
  default:
    return 0;
  }
}

/* An original (core.meta.lua) of the row's cells, as the database gave them. Its batch:
** lua_setiuservalue(L, -2, 1). */
void lmp_push_original(lua_State *L, int metas, const mp_value *cells, int n);

/* What original:changed gives, for the object and the plan at these places and cells that are elsewhere. */
int lmp_push_changed(lua_State *L, int object, int plan, const mp_value *cells, int n);

/* ---- in: a Lua value becomes a value ---- */

/* The value at idx as what it is: nil, null; boolean; number; string (a text); mp.blob and the
** other kinds; a table as JSON. *out points into the Lua value, which must be kept, or into the
** arena. False: no database takes it, and *why, a literal or in the arena, says why not. Raises
** nothing but out of memory. */
bool lmp_to_value(lua_State *L, int idx, mp_arena *arena, mp_value *out, const char **why);

/* The same as a value of a given kind, from it or from its text, exactly. A string for MP_JSON is a
** JSON string, for MP_BLOB it is bytes. MP_NULL: as lmp_to_value. */
bool lmp_to_kind(lua_State *L, int idx, mp_kind want, mp_arena *arena, mp_value *out,
                 const char **why);

/* A whole number: on 5.4 an integer, on LuaJIT a number without fraction up to 2^53 or an
** int64_t. */
bool lmp_to_integer(lua_State *L, int idx, int64_t *out);

/* nil, mp.null, and the null of other libraries (light userdata NULL). */
bool lmp_is_null(lua_State *L, int idx);

/* ---- for the files of the values themselves ---- */

/* Where a value is kept that is neither in its Lua value nor in an arena yet. */
typedef struct lmp_scratch {
  mp_interval interval;
  char text[MP_DECIMAL_TEXT_MAX];
  char why[LMP_WHY_MAX];
} lmp_scratch;

/* lmp_to_kind without an arena, for any kind but MP_JSON and MP_ARRAY: *out and *why may point
** into the scratch. */
bool lmp_read_kind(lua_State *L, int idx, mp_kind want, mp_value *out, lmp_scratch *room,
                   const char **why);

/* What stands in metas behind the metatables of kinds. */
enum {
  LMP_META_NULL = MP_KIND_N, /* mp.null */
  LMP_META_ARRAY,
  LMP_META_ORIGINAL,
  LMP_META_FUNCTIONS, /* of this part of the module */
  LMP_META_INT64,     /* LuaJIT: (high, low) -> int64_t; is it one that fits? */
  LMP_META_IS_INT64,
  LMP_META_N
};

/* The value inside a userdata of ours, or NULL. */
const mp_value *lmp_test_value(lua_State *L, int idx);

/* Push a new userdata with a copy of the value and what it points at. Its kind has a metatable. */
void lmp_new_value(lua_State *L, int metas, const mp_value *value);

/* Is the table at idx marked by mp.array? */
bool lmp_is_array(lua_State *L, int metas, int idx);

/* Push the value's text as the user sees it: dates with T and, for an instant, Z. For userdata
** kinds. */
void lmp_push_text(lua_State *L, const mp_value *value);

/* Push a value as what it is. False: JSON that is none, nothing is pushed. */
bool lmp_push(lua_State *L, int metas, const mp_value *value);
bool lmp_push_array(lua_State *L, int metas, const mp_array *array);

/* Push the cell, which is no NULL, as an array of items of that kind. Pushes nothing and gives false when it is none. */
bool lmp_push_array_of(lua_State *L, int metas, const mp_value *cell, mp_kind item);

/* The table at idx as an array of the server's, as lmp_to_kind. */
bool lmp_to_array(lua_State *L, int idx, mp_arena *arena, mp_value *out, const char **why);

/* What all kinds share: tostring, .., ==, < and <=. */
extern const luaL_Reg lmp_operators[];

/* Push a new metatable of a kind, with its name and what all kinds share. */
void lmp_new_meta(lua_State *L, int metas, mp_kind kind);

/* A value or a whole number as an operand. False: something else. */
bool lmp_to_operand(lua_State *L, int idx, mp_value *out);

/* The right operand is a table that knows this operator itself (an expression of a query): its
** answer is pushed. False: it is not. */
bool lmp_answered(lua_State *L, const char *sign);

/* "a string", "a date": how a message calls the value at idx. Never its contents. */
const char *lmp_describe(lua_State *L, int idx);

/* Below, equal to, above zero; both of one kind, that of decimals and whole numbers being one.
** Intervals compare like PostgreSQL's: a month has 30 days, a day 24 hours. */
int lmp_compare(const mp_value *a, const mp_value *b);

/* "a date is such as 2026-11-20": what a text of the kind must look like. */
const char *lmp_form(mp_kind kind);

/* Each fills metas and adds its functions to the table on the top. */
void lmp_open_parameters(lua_State *L, int metas);
void lmp_open_decimal(lua_State *L, int metas);
void lmp_open_temporal(lua_State *L, int metas);
void lmp_open_blob(lua_State *L, int metas); /* and null, array, text_length */
void lmp_open_uuid(lua_State *L, int metas);
void lmp_open_json(lua_State *L, int metas);
void lmp_open_show(lua_State *L, int metas);
void lmp_open_original(lua_State *L, int metas);
void lmp_open_plain(lua_State *L);
void lmp_open_group(lua_State *L);

#endif
