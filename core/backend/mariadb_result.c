/* mariadb_result.c - rows as the loop reads them: one block of values, row by row, and an arena for what they point at.
** The library reuses its buffers for each row, so that each cell is made once, when its row comes. */
#include "mariadb.h"

#include <stdlib.h>
#include <string.h>

struct mp_myrows {
  mp_result view;
  mp_mycolumns *shared;
  mp_arena *arena;
  size_t room_n;
  mp_value *cells;
};

/* ---- columns ---- */

mp_mycolumns *mp_mycolumns_new(const MYSQL_FIELD *fields, int n)
{
  size_t count = (size_t)n, text_bytes = 0;
  size_t head_bytes = sizeof(mp_mycolumns) + count * sizeof(mp_column);
  mp_mycolumns *shared;
  char *room;
  for (int i = 0; i < n; i++)
    text_bytes += fields[i].name_length + 1;
  shared = malloc(head_bytes + count * (sizeof(MYSQL_FIELD) + sizeof(mp_mycolumn)) + text_bytes);
  if (shared == NULL)
    return NULL;
  *shared = (mp_mycolumns){.user_n = 1, .n = n};
  shared->fields = (MYSQL_FIELD *)(void *)((char *)shared + head_bytes);
  shared->types = (mp_mycolumn *)(void *)(shared->fields + count);
  room = (char *)(shared->types + count);
  memcpy(shared->fields, fields, count * sizeof *fields);
  for (int i = 0; i < n; i++) {
    mp_mytype_column(&fields[i], &shared->types[i]);
    memcpy(room, fields[i].name, fields[i].name_length);
    room[fields[i].name_length] = '\0';
    shared->columns[i] = (mp_column){.name = room,
                                     .name_len = fields[i].name_length,
                                     .kind = shared->types[i].kind,
                                     .type = mp_mytype_name(&shared->types[i])};
    room += fields[i].name_length + 1;
  }
  return shared;
}

/* The names of a statement's columns stay as they were prepared; what else is told of them may change. */
bool mp_mycolumns_match(const mp_mycolumns *columns, const MYSQL_FIELD *fields, int n)
{
  if (columns->n != n)
    return false;
  for (int i = 0; i < n; i++) {
    const MYSQL_FIELD *was = &columns->fields[i], *is = &fields[i];
    if (was->type != is->type || was->flags != is->flags || was->length != is->length ||
        was->decimals != is->decimals || was->charsetnr != is->charsetnr)
      return false;
  }
  return true;
}

void mp_mycolumns_drop(mp_mycolumns *columns)
{
  if (columns != NULL && --columns->user_n == 0)
    free(columns);
}

/* ---- rows ---- */

static void result_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  const mp_myrows *rows = (const mp_myrows *)base;
  *out = rows->cells[row * (size_t)base->column_n + (size_t)col];
}

static const mp_value *result_row(const mp_result *base, size_t row, mp_value *room)
{
  (void)room;
  return ((const mp_myrows *)base)->cells + row * (size_t)base->column_n;
}

static void result_free(mp_result *base)
{
  mp_myrows *rows = (mp_myrows *)base;
  mp_mycolumns_drop(rows->shared);
  mp_arena_free(rows->arena);
  free(rows->cells);
  free(rows);
}

static const mp_result_ops result_ops = {
    .cell = result_cell, .row = result_row, .free = result_free};

mp_myrows *mp_myrows_new(mp_mycolumns *columns, size_t room_n)
{
  mp_myrows *rows = calloc(1, sizeof *rows);
  if (rows == NULL)
    return NULL;
  rows->view = (mp_result){
      .ops = &result_ops, .columns = columns->columns, .column_n = columns->n, .exact = true};
  rows->shared = columns;
  columns->user_n++;
  rows->room_n = room_n;
  rows->arena = mp_arena_new(0);
  rows->cells = malloc((room_n * (size_t)columns->n + 1) * sizeof(mp_value));
  if (rows->arena == NULL || rows->cells == NULL) {
    result_free(&rows->view);
    return NULL;
  }
  return rows;
}

mp_value *mp_myrows_add(mp_myrows *rows)
{
  size_t n = (size_t)rows->view.column_n;
  if (rows->view.row_n == rows->room_n) {
    mp_value *grown = realloc(rows->cells, 2 * rows->room_n * n * sizeof(mp_value));
    if (grown == NULL)
      return NULL;
    rows->cells = grown;
    rows->room_n *= 2;
  }
  return rows->cells + rows->view.row_n++ * n;
}

mp_arena *mp_myrows_arena(mp_myrows *rows)
{
  return rows->arena;
}

size_t mp_myrows_n(const mp_myrows *rows)
{
  return rows->view.row_n;
}

mp_result *mp_myrows_result(mp_myrows *rows)
{
  rows->view.bytes = sizeof *rows + mp_arena_bytes(rows->arena) +
                     rows->room_n * (size_t)rows->view.column_n * sizeof(mp_value);
  return &rows->view;
}
