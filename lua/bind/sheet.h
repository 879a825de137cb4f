/* sheet.h - the originals of many objects in one allocation, see sheet.c. */
#ifndef LMP_SHEET_H
#define LMP_SHEET_H

#include "buffer.h"
#include "value.h"

/* One object that is kept keeps what the database holds of the others on its sheet: so many, but of long texts fewer. */
#define LMP_SHEET_ROWS 64
#define LMP_SHEET_BYTES ((size_t)64 * 1024)
#define LMP_SHEET_COLUMNS 64 /* at most */
#define LMP_SHEET_LEAST 8    /* objects of a result that are worth a sheet */

struct sheet;

/* One writing of sheets, for the objects of a result. */
typedef struct lmp_sheet {
  lua_State *L;
  int plan_meta, batch, meta; /* places on the stack; batch 0: none */
  int column_n;
  size_t most, row_n;  /* that a sheet may have room for; that this one has */
  struct sheet *sheet; /* that is being filled */
  mp_value *next;
  lmp_buffer bytes;
} lmp_sheet;

/* Takes two places of the stack. */
void lmp_sheet_open(lmp_sheet *s, lua_State *L, int meta, int batch, int column_n);

/* Give the object on the top its metatable, and enter the cells of its row. rows_left: it and those
** that come behind it. False: the row needs an original of its own, and nothing was done. */
bool lmp_sheet_add(lmp_sheet *s, const mp_value *cells, size_t rows_left);

/* There are no more. */
void lmp_sheet_close(lmp_sheet *s);

/* core.on_sheet and the functions for what is on one, into the table on the top. */
void lmp_open_sheet(lua_State *L);

#endif
