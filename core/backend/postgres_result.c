/* postgres_result.c - rows as the loop reads them.
** A whole result is a view of one PGresult. Of rows that come one by one the bytes are kept, packed: libpq gives each row
** two kilobytes, which are at hand for the next one when they are free at once. What a cell cannot be a view of is made in an
** arena of the result. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

struct mp_pgchunk {
  mp_result view;
  mp_pgcolumns *shared;
  mp_arena *arena;
  bool binary;     /* all columns are, or none */
  PGresult *whole; /* the rows, or NULL: they came one by one */
  size_t room_n;
  const char *packed
      []; /* for each row the lengths of its cells, -1 for NULL, and then their bytes, a NUL behind each */
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

/* The arena grows while the result is read. False: there is none. */
static bool has_arena(const mp_result *base)
{
  mp_pgchunk *res = (mp_pgchunk *)(uintptr_t)base;
  return res->arena != NULL || (res->arena = mp_arena_new(0)) != NULL;
}

static inline void read_bytes(const mp_pgchunk *res, int col, const char *bytes, int len,
                              mp_value *out)
{
  mp_error err; /* filled when there is one */
  if (!mp_pgtype_cell(res->shared->types[col], res->binary, bytes, (size_t)len, res->arena, out,
                      &err))
    *out = (mp_value){.kind = MP_KIND_N, .scale = (uint16_t)err.kind, .s = err.message};
}

static void whole_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  const mp_pgchunk *res = (const mp_pgchunk *)base;
  int at = (int)row, len = PQgetlength(res->whole, at, col);
  if (len == 0 && PQgetisnull(res->whole, at, col))
    *out = MP_VALUE_NULL;
  else if (has_arena(base))
    read_bytes(res, col, PQgetvalue(res->whole, at, col), len, out);
  else
    *out = (mp_value){.kind = MP_KIND_N, .scale = MP_E_OUT_OF_MEMORY};
}

static const mp_value *whole_row(const mp_result *base, size_t row, mp_value *room)
{
  for (int col = 0; col < base->column_n; col++)
    whole_cell(base, row, col, &room[col]);
  return room;
}

/* The cells of a packed row before `end`; only the last of them where last is where to. */
static void unpack(const mp_result *base, size_t row, int end, mp_value *room, mp_value *last)
{
  const mp_pgchunk *res = (const mp_pgchunk *)base;
  const int *lengths = (const int *)(const void *)res->packed[row];
  const char *bytes = (const char *)(lengths + base->column_n);
  for (int col = 0; col < end; col++) {
    mp_value *out = last == NULL ? &room[col] : col == end - 1 ? last : NULL;
    if (out != NULL && lengths[col] < 0)
      *out = MP_VALUE_NULL;
    else if (out != NULL)
      read_bytes(res, col, bytes, lengths[col], out);
    bytes += lengths[col] + 1; /* of a NULL nothing: -1 + 1 */
  }
}

static void packed_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  unpack(base, row, col + 1, NULL, out);
}

static const mp_value *packed_row(const mp_result *base, size_t row, mp_value *room)
{
  unpack(base, row, base->column_n, room, NULL);
  return room;
}

static void result_free(mp_result *base)
{
  mp_pgchunk *res = (mp_pgchunk *)base;
  PQclear(res->whole);
  mp_pgcolumns_drop(res->shared);
  mp_arena_free(res->arena);
  free(res);
}

static const mp_result_ops whole_ops = {.cell = whole_cell, .row = whole_row, .free = result_free};
static const mp_result_ops packed_ops = {
    .cell = packed_cell, .row = packed_row, .free = result_free};

mp_pgchunk *mp_pgchunk_new(mp_pgcolumns *columns, size_t room_n)
{
  mp_pgchunk *chunk = malloc(sizeof *chunk + room_n * sizeof *chunk->packed);
  if (chunk == NULL)
    return NULL;
  *chunk = (mp_pgchunk){.shared = columns, .room_n = room_n};
  chunk->view = (mp_result){
      .ops = &packed_ops, .columns = columns->columns, .column_n = columns->n, .exact = true};
  columns->user_n++;
  return chunk;
}

mp_result *mp_pgresult_whole(PGresult *rows, mp_pgcolumns *columns)
{
  mp_pgcolumns *own = columns == NULL ? mp_pgcolumns_new(rows) : columns;
  mp_pgchunk *whole = own == NULL ? NULL : mp_pgchunk_new(own, 0);
  if (columns == NULL)
    mp_pgcolumns_drop(own);
  if (whole == NULL) {
    PQclear(rows);
    return NULL;
  }
  whole->whole = rows;
  whole->binary = PQbinaryTuples(rows) == 1;
  whole->view.ops = &whole_ops;
  whole->view.row_n = (size_t)PQntuples(rows);
  whole->view.bytes = PQresultMemorySize(rows);
  return &whole->view;
}

/* NULL: out of memory. *cell_bytes is what the cells hold. */
static char *pack(mp_pgchunk *chunk, const PGresult *row, size_t *cell_bytes)
{
  int n = chunk->view.column_n;
  size_t n_bytes = (size_t)n * sizeof(int);
  if (!has_arena(&chunk->view))
    return NULL;
  for (int col = 0; col < n; col++)
    n_bytes += (size_t)PQgetlength(row, 0, col) + 1;
  int *lengths = mp_arena_alloc(chunk->arena, n_bytes);
  if (lengths == NULL)
    return NULL;
  char *to = (char *)(lengths + n);
  for (int col = 0; col < n; col++) {
    int len = PQgetlength(row, 0, col);
    if (len == 0 && PQgetisnull(row, 0, col)) {
      lengths[col] = -1;
      continue;
    }
    lengths[col] = len;
    memcpy(to, PQgetvalue(row, 0, col), (size_t)len + 1);
    to += len + 1;
  }
  chunk->view.bytes += sizeof *chunk->packed + n_bytes;
  *cell_bytes = n_bytes + (size_t)n * (sizeof(mp_value) - sizeof(int) - 1);
  return (char *)lengths;
}

bool mp_pgchunk_add(mp_pgchunk **chunk, const PGresult *row, size_t *cell_bytes)
{
  mp_pgchunk *to = *chunk;
  if (to->view.row_n == to->room_n) {
    mp_pgchunk *grown = realloc(to, sizeof *to + 2 * to->room_n * sizeof *to->packed);
    if (grown == NULL)
      return false;
    *chunk = to = grown;
    to->room_n *= 2;
  }
  to->binary = PQbinaryTuples(row) == 1;
  to->packed[to->view.row_n] = pack(to, row, cell_bytes);
  if (to->packed[to->view.row_n] == NULL)
    return false;
  to->view.row_n++;
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
