/* reading.h - one reading of a result: what rows.c and objects.c have in common.
** Cells go from the driver's memory straight into the tables that the program keeps; the functions for
** each cell are here, so that they become part of the loops. */
#ifndef LMP_READING_H
#define LMP_READING_H

#include "operation.h"

#include "value.h"

#define LMP_FEW 64 /* columns whose working memory is on the C stack */

/* One reading of a result. */
typedef struct lmp_reading {
  lua_State *L;
  lmp_op *op;
  const mp_result *result;
  mp_status trouble; /* of the cell that could not be pushed */
  int column_n;
  int metas;             /* place of the metatables of values */
  int keys;              /* place before the first key */
  const mp_value *cells; /* of the row that is read: own_cells, or the result's */
  mp_value *own_cells;
  uint8_t *want;
  mp_value cell_room[LMP_FEW];
  uint8_t want_room[LMP_FEW];
} lmp_reading;

/* The number of results that the caller returns at once, or -1: there are rows to read. Leaves so many
** arguments on the stack. */
int lmp_reading_begin(lmp_reading *r, lua_State *L, int arguments);

/* The result has been read: a stream keeps its operation, anything else is over. */
void lmp_reading_end(lmp_reading *r);

/* nil and the error whose message is on the top of the stack. */
int lmp_reading_fail(lmp_reading *r, mp_status kind);

/* What the cells become: as the server reports, or as the plan at a place says. */
void lmp_want_reported(lmp_reading *r);
void lmp_want_planned(lmp_reading *r, int plan);

/* Keys and kinds, by the plan at the place or as reported. 0: done; otherwise fail's answer. */
int lmp_reading_prepare(lmp_reading *r, int plan);

/* Tell the collector what is to come. beside: bytes beside each table, without those of an original's
** cells; 0: rows that have none. */
void lmp_reading_make_room(const lmp_reading *r, size_t beside);

/* Push a cell that is no plain value, or say on the top why it cannot be. */
bool lmp_reading_other_cell(lmp_reading *r, const mp_value *cell, size_t row, int col);

/* Push the cell as its column wants it. On failure the message is on the top. Most cells are plain
** values, pushed here and at once. */
static inline bool lmp_reading_cell(lmp_reading *r, const mp_value *cell, size_t row, int col)
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
    case MP_BOOL:
      lua_pushboolean(r->L, cell->i != 0);
      return true;
    case MP_DECIMAL:
    case MP_DATE:
    case MP_DATETIME:
    case MP_WALLTIME:
      lmp_new_value(r->L, r->metas, cell);
      return true;
    default:
      break;
    }
  }
  return lmp_reading_other_cell(r, cell, row, col);
}

/* From here on cells are those of that row. */
static inline void lmp_reading_go_to(lmp_reading *r, size_t row)
{
  r->cells = mp_result_row(r->result, row, r->own_cells);
}

/* Fill the table on the top with n cells of the row, by key. NULL is absent. */
static inline bool lmp_reading_fill(lmp_reading *r, size_t row, int first, int n)
{
  lua_State *L = r->L;
  for (int col = first; col < first + n; col++) {
    const mp_value *cell = &r->cells[col];
    if (cell->kind == MP_NULL)
      continue;
    lua_pushvalue(L, r->keys + 1 + col);
    if (!lmp_reading_cell(r, cell, row, col))
      return false;
    lua_rawset(L, -3);
  }
  return true;
}

static inline size_t lmp_row_count(const lmp_reading *r)
{
  return r->result != NULL ? r->result->row_n : 0;
}

/* objects.c: the function of the hub. */
int lmp_read_objects(lua_State *L);

#endif
