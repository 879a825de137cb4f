/* postgres_result.c - rows as the loop reads them: views of PGresults.
** A whole result is one PGresult; rows that come one by one are an array of them. What a cell cannot be a view of is made
** in an arena of the result, which most results never have. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

struct mp_pgchunk {
  mp_result view;
  mp_pgcolumns *shared;
  mp_arena *arena;
  bool binary; /* all columns are, or none */
  bool single; /* rows[r] is row r alone; otherwise rows[0] has them all */
  size_t room_n;
  PGresult *rows[];
};

/* ---- columns ---- */

mp_pgcolumns *mp_pgcolumns_new(const PGresult *described)
{
  int n = PQnfields(described);
  size_t text_bytes = 0, head_bytes = sizeof(mp_pgcolumns) + (size_t)n * sizeof(mp_column);
  mp_pgcolumns *shared;
  char *room;
  for (int i = 0; i < n; i++)
    text_bytes += strlen(PQfname(described, i)) + 1;
  shared = malloc(head_bytes + (size_t)n * sizeof(uint32_t) + text_bytes);
  if (shared == NULL)
    return NULL;
  *shared = (mp_pgcolumns){.user_n = 1, .n = n, .binary = true};
  shared->types = (uint32_t *)((char *)shared + head_bytes);
  room = (char *)(shared->types + n);
  for (int i = 0; i < n; i++) {
    size_t len = strlen(PQfname(described, i));
    uint32_t type = PQftype(described, i);
    shared->types[i] = type;
    shared->binary = shared->binary && mp_pgtype_is_binary(type);
    shared->columns[i] = (mp_column){.name = memcpy(room, PQfname(described, i), len + 1),
                                     .name_len = (uint32_t)len,
                                     .kind = mp_pgtype_kind(type),
                                     .type = mp_pgtype_name(type),
                                     .type_id = type};
    room += len + 1;
  }
  return shared;
}

void mp_pgcolumns_drop(mp_pgcolumns *columns)
{
  if (columns != NULL && --columns->user_n == 0)
    free(columns);
}

/* ---- cells ---- */

static void result_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  mp_pgchunk *res = (mp_pgchunk *)(uintptr_t)base; /* the arena grows while it is read */
  const PGresult *rows = res->rows[res->single ? row : 0];
  int at = res->single ? 0 : (int)row, len = PQgetlength(rows, at, col);
  mp_error err = MP_ERROR_NONE;
  if (len == 0 && PQgetisnull(rows, at, col)) {
    *out = MP_VALUE_NULL;
    return;
  }
  if (res->arena == NULL && (res->arena = mp_arena_new(0)) == NULL) {
    *out = (mp_value){.kind = MP_KIND_N, .scale = MP_E_OUT_OF_MEMORY};
    return;
  }
  if (!mp_pgtype_cell(res->shared->types[col], res->binary, PQgetvalue(rows, at, col), (size_t)len,
                      res->arena, out, &err))
    *out = (mp_value){.kind = MP_KIND_N, .scale = (uint16_t)err.kind, .s = err.message};
}

static void result_free(mp_result *base)
{
  mp_pgchunk *res = (mp_pgchunk *)base;
  size_t n = res->single ? res->view.row_n : 1;
  for (size_t i = 0; i < n; i++)
    PQclear(res->rows[i]);
  mp_pgcolumns_drop(res->shared);
  mp_arena_free(res->arena);
  free(res);
}

static const mp_result_ops result_ops = {.cell = result_cell, .free = result_free};

static mp_pgchunk *chunk_new(mp_pgcolumns *columns, size_t room_n, bool single)
{
  mp_pgchunk *chunk = malloc(sizeof *chunk + room_n * sizeof(PGresult *));
  if (chunk == NULL)
    return NULL;
  chunk->view = (mp_result){
      .ops = &result_ops, .columns = columns->columns, .column_n = columns->n, .exact = true};
  chunk->shared = columns;
  columns->user_n++;
  chunk->arena = NULL;
  chunk->single = single;
  chunk->room_n = room_n;
  return chunk;
}

mp_result *mp_pgresult_whole(PGresult *rows, mp_pgcolumns *columns)
{
  mp_pgcolumns *own = columns == NULL ? mp_pgcolumns_new(rows) : columns;
  mp_pgchunk *whole = own == NULL ? NULL : chunk_new(own, 1, false);
  if (columns == NULL)
    mp_pgcolumns_drop(own);
  if (whole == NULL) {
    PQclear(rows);
    return NULL;
  }
  whole->rows[0] = rows;
  whole->binary = PQbinaryTuples(rows) == 1;
  whole->view.row_n = (size_t)PQntuples(rows);
  whole->view.bytes = PQresultMemorySize(rows);
  return &whole->view;
}

mp_pgchunk *mp_pgchunk_new(mp_pgcolumns *columns, size_t room_n)
{
  return chunk_new(columns, room_n, true);
}

bool mp_pgchunk_add(mp_pgchunk **chunk, PGresult *row)
{
  mp_pgchunk *to = *chunk;
  if (to->view.row_n == to->room_n) {
    mp_pgchunk *grown = realloc(to, sizeof *to + 2 * to->room_n * sizeof(PGresult *));
    if (grown == NULL) {
      PQclear(row);
      return false;
    }
    *chunk = to = grown;
    to->room_n *= 2;
  }
  to->binary = PQbinaryTuples(row) == 1;
  to->rows[to->view.row_n++] = row;
  to->view.bytes += PQresultMemorySize(row);
  return true;
}

size_t mp_pgchunk_rows(const mp_pgchunk *chunk)
{
  return chunk->view.row_n;
}

mp_result *mp_pgchunk_result(mp_pgchunk *chunk)
{
  return &chunk->view;
}
