/* sqlite_result.c - rows as the loop reads them.
** Cells are 16-byte values in blocks that double in size, texts are copies in an arena; a small
** result is one allocation. Built by whoever runs the statement, read on the loop's
** thread, never changed in between. Columns are shared by all results of a statement. */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIRST_CELLS 32 /* a power of two */
#define FIRST_SHIFT 5
#define FIRST_TEXT 176
#define BLOCK_N 28   /* 64 GB of cells */
#define AT_HAND 1032 /* bytes: freed blocks up to here malloc keeps at hand for a thread */

struct mp_sqlite_columns {
  atomic_int users;
  int n;
  mp_column columns[];
};

struct mp_sqlite_result {
  mp_result view;
  mp_sqlite_columns *shared;
  mp_sqlite_result *next;
  mp_value *next_cell, *end_cell; /* what is left of the last block */
  int block_n;
  mp_arena *arena;
  size_t text_n;
  /* block k holds the cells from 2^(k+4) to 2^(k+5), block 0 those below */
  mp_value *blocks[BLOCK_N];
  mp_value first[FIRST_CELLS];
  char text[FIRST_TEXT];
};

_Static_assert(sizeof(mp_sqlite_result) <= AT_HAND, "a small result is a cheap allocation");

/* ---- columns ---- */

/* The declared types that say more than the cells themselves do. Everything else is read as it
** is stored. */
static const struct {
  const char *word;
  mp_kind kind;
} kinds[] = {
    {"INTEGER", MP_INT},
    {"BIGINT", MP_INT},
    {"SMALLINT", MP_INT},
    {"INT", MP_INT},
    {"TINYINT", MP_INT},
    {"MEDIUMINT", MP_INT},
    {"BOOLEAN", MP_BOOL},
    {"BOOL", MP_BOOL},
    {"REAL", MP_FLOAT},
    {"FLOAT", MP_FLOAT},
    {"DOUBLE", MP_FLOAT},
    {"DECIMAL_TEXT", MP_DECIMAL},
    {"DECIMAL", MP_DECIMAL},
    {"NUMERIC", MP_DECIMAL},
    {"VARCHAR", MP_TEXT},
    {"CHAR", MP_TEXT},
    {"CHARACTER", MP_TEXT},
    {"NVARCHAR", MP_TEXT},
    {"NCHAR", MP_TEXT},
    {"TEXT", MP_TEXT},
    {"CLOB", MP_TEXT},
    {"BLOB", MP_BLOB},
    {"DATE", MP_DATE},
    {"TIME", MP_TIME},
    {"DATETIME", MP_DATETIME},
    {"TIMESTAMP", MP_DATETIME},
    {"TIMESTAMPTZ", MP_DATETIME},
    {"WALLTIME_TEXT", MP_WALLTIME},
    {"INTERVAL_TEXT", MP_INTERVAL},
    {"UUID_TEXT", MP_UUID},
    {"UUID", MP_UUID},
    {"JSON_TEXT", MP_JSON},
    {"JSON", MP_JSON},
};

mp_kind mp_sqlite_kind(const char *type)
{
  if (type == NULL)
    return MP_NULL;
  size_t n = strcspn(type, " ("); /* "VARCHAR(100)", "DOUBLE PRECISION" */
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strlen(kinds[i].word) == n && strncasecmp(kinds[i].word, type, n) == 0)
      return kinds[i].kind;
  return MP_NULL;
}

static char *copy_text(char **room, const char *s, size_t n)
{
  char *copy = *room;
  memcpy(copy, s, n);
  copy[n] = '\0';
  *room += n + 1;
  return copy;
}

static const char *name_of(sqlite3_stmt *stmt, int i)
{
  const char *name = sqlite3_column_name(stmt, i); /* NULL only when out of memory */
  return name != NULL ? name : "";
}

mp_sqlite_columns *mp_sqlite_columns_new(sqlite3_stmt *stmt)
{
  int n = sqlite3_column_count(stmt);
  size_t text_bytes = 0;
  for (int i = 0; i < n; i++) {
    const char *type = sqlite3_column_decltype(stmt, i);
    text_bytes += strlen(name_of(stmt, i)) + 1 + (type != NULL ? strlen(type) + 1 : 0);
  }
  mp_sqlite_columns *shared = malloc(sizeof *shared + (size_t)n * sizeof(mp_column) + text_bytes);
  if (shared == NULL)
    return NULL;
  atomic_init(&shared->users, 1);
  shared->n = n;
  char *room = (char *)(shared->columns + n);
  for (int i = 0; i < n; i++) {
    const char *name = name_of(stmt, i), *type = sqlite3_column_decltype(stmt, i);
    size_t len = strlen(name);
    shared->columns[i] = (mp_column){
        .name = copy_text(&room, name, len),
        .name_len = (uint32_t)len,
        .kind = mp_sqlite_kind(type),
        .type = type != NULL ? copy_text(&room, type, strlen(type)) : NULL,
    };
  }
  return shared;
}

mp_sqlite_columns *mp_sqlite_columns_hold(mp_sqlite_columns *columns)
{
  atomic_fetch_add_explicit(&columns->users, 1, memory_order_relaxed);
  return columns;
}

void mp_sqlite_columns_drop(mp_sqlite_columns *columns)
{
  if (columns != NULL && atomic_fetch_sub_explicit(&columns->users, 1, memory_order_acq_rel) == 1)
    free(columns);
}

/* ---- cells ---- */

/* The block of a cell, and its place there. */
static int block_of(size_t index, size_t *at)
{
  if (index < FIRST_CELLS) {
    *at = index;
    return 0;
  }
  int k = (int)(sizeof(size_t) * 8 - 1) - __builtin_clzl(index); /* 2^k <= index */
  *at = index - ((size_t)1 << k);
  return k - FIRST_SHIFT + 1;
}

static size_t block_size(int block)
{
  return (size_t)FIRST_CELLS << (block > 0 ? block - 1 : 0);
}

static void cell(const mp_result *view, size_t row, int col, mp_value *out)
{
  const mp_sqlite_result *result = mp_container_of(view, mp_sqlite_result, view);
  size_t at, index = row * (size_t)view->column_n + (size_t)col;
  int block = block_of(index, &at);
  *out = result->blocks[block][at];
}

/* A row that goes on in the next block is put together. */
static const mp_value *whole_row(const mp_result *view, size_t row, mp_value *room)
{
  const mp_sqlite_result *result = mp_container_of(view, mp_sqlite_result, view);
  size_t at, n = (size_t)view->column_n;
  int block = block_of(row * n, &at);
  if (at + n <= block_size(block))
    return &result->blocks[block][at];
  for (int col = 0; col < view->column_n; col++)
    cell(view, row, col, &room[col]);
  return room;
}

static void free_result(mp_result *view)
{
  mp_sqlite_result *result = mp_container_of(view, mp_sqlite_result, view);
  for (int i = 1; i < BLOCK_N && result->blocks[i] != NULL; i++)
    free(result->blocks[i]);
  mp_arena_free(result->arena);
  mp_sqlite_columns_drop(result->shared);
  free(result);
}

static const mp_result_ops ops = {.cell = cell, .row = whole_row, .free = free_result};

mp_sqlite_result *mp_sqlite_result_new(mp_sqlite_columns *columns)
{
  mp_sqlite_result *result = malloc(sizeof *result);
  if (result == NULL)
    return NULL;
  memset(result, 0, offsetof(mp_sqlite_result, first));
  result->blocks[0] = result->first;
  result->block_n = 1;
  result->next_cell = result->first;
  result->end_cell = result->first + FIRST_CELLS;
  result->shared = mp_sqlite_columns_hold(columns);
  result->view = (mp_result){
      .ops = &ops,
      .columns = columns->columns,
      .column_n = columns->n,
      .bytes = sizeof *result,
  };
  return result;
}

mp_result *mp_sqlite_result_view(mp_sqlite_result *result)
{
  return &result->view;
}

size_t mp_sqlite_result_row_n(const mp_sqlite_result *result)
{
  return result->view.row_n;
}

size_t mp_sqlite_result_bytes(const mp_sqlite_result *result)
{
  return result->view.bytes;
}

mp_sqlite_result **mp_sqlite_result_next(mp_sqlite_result *result)
{
  return &result->next;
}

static bool copy_bytes(mp_sqlite_result *result, mp_value *out, const void *bytes, int n)
{
  char *copy;
  if (n == 0) {
    copy = result->text; /* sqlite gives NULL for an empty blob */
  } else if ((size_t)n <= FIRST_TEXT - result->text_n) {
    copy = result->text + result->text_n;
    result->text_n += (size_t)n;
  } else {
    if (result->arena == NULL && (result->arena = mp_arena_new(0)) == NULL)
      return false;
    copy = mp_arena_alloc(result->arena, (size_t)n);
    if (copy == NULL)
      return false;
    result->view.bytes += (size_t)n;
  }
  if (n > 0)
    memcpy(copy, bytes, (size_t)n);
  out->s = copy;
  out->len = (uint32_t)n;
  return true;
}

/* The value of a column is read without the handle's bookkeeping for each cell: that is safe where,
** as here, one thread at a time has the handle. */
static bool add_cell(mp_sqlite_result *result, sqlite3_stmt *stmt, int col, mp_value *out)
{
  sqlite3_value *value = sqlite3_column_value(stmt, col);
  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    *out = (mp_value){.kind = MP_INT, .i = sqlite3_value_int64(value)};
    return true;
  case SQLITE_FLOAT:
    *out = (mp_value){.kind = MP_FLOAT, .d = sqlite3_value_double(value)};
    return true;
  case SQLITE_TEXT: {
    const void *text = sqlite3_value_text(value); /* before bytes: it may convert */
    *out = (mp_value){.kind = MP_TEXT};
    return text != NULL && copy_bytes(result, out, text, sqlite3_value_bytes(value));
  }
  case SQLITE_BLOB: {
    const void *blob = sqlite3_value_blob(value);
    *out = (mp_value){.kind = MP_BLOB};
    return copy_bytes(result, out, blob, sqlite3_value_bytes(value));
  }
  default:
    *out = MP_VALUE_NULL;
    return true;
  }
}

static bool add_block(mp_sqlite_result *result)
{
  size_t cell_n = block_size(result->block_n);
  mp_value *block = malloc(cell_n * sizeof *block);
  if (block == NULL)
    return false;
  result->blocks[result->block_n++] = block;
  result->view.bytes += cell_n * sizeof *block;
  result->next_cell = block;
  result->end_cell = block + cell_n;
  return true;
}

bool mp_sqlite_result_add(mp_sqlite_result *result, sqlite3_stmt *stmt)
{
  int column_n = result->view.column_n;
  for (int col = 0; col < column_n; col++) {
    if (result->next_cell == result->end_cell && !add_block(result))
      return false;
    if (!add_cell(result, stmt, col, result->next_cell++))
      return false;
  }
  result->view.row_n++;
  return true;
}
