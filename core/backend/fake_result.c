/* fake_result.c - the rows of the fake database.
** Views of a script's own rows, so that a million of them cost nothing; or a copy of the parameters. */
#include "fake_script.h"

#include <stdlib.h>
#include <string.h>

typedef struct result {
  mp_result base;
  mp_fake *fake;
  const mp_fake_rule *rule;
  size_t first;    /* row of the rule that is our first */
  mp_arena *arena; /* of a row of parameters, or NULL */
  mp_value *cells;
} result;

static void result_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  const result *res = (const result *)base;
  size_t low = 0, high, at = res->first + row;
  if (res->cells != NULL) {
    *out = res->cells[col];
    return;
  }
  for (high = res->rule->row_n - 1; low < high;) {
    size_t middle = (low + high) / 2;
    if (res->rule->rows[middle].end > at)
      high = middle;
    else
      low = middle + 1;
  }
  *out = res->rule->rows[low].cells[col];
  if (out->kind == MP_FAKE_ROW_NUMBER)
    *out = (mp_value){.kind = MP_INT, .i = (int64_t)at + 1};
}

static void result_free(mp_result *base)
{
  result *res = (result *)base;
  mp_fake_drop(res->fake);
  mp_arena_free(res->arena);
  free(res);
}

static const mp_result_ops result_ops = {.cell = result_cell, .free = result_free};

/* The parameters of the request as one row, with memory of its own. */
static bool copy_params(result *res, const mp_request *req)
{
  mp_column *columns;
  res->arena = mp_arena_new(0);
  if (res->arena == NULL)
    return false;
  columns = mp_arena_zalloc(res->arena, (size_t)(req->param_n + 1) * sizeof *columns);
  res->cells = mp_arena_zalloc(res->arena, (size_t)(req->param_n + 1) * sizeof *res->cells);
  if (columns == NULL || res->cells == NULL)
    return false;
  for (int i = 0; i < req->param_n; i++) {
    mp_value *cell = &res->cells[i];
    *cell = req->params[i];
    columns[i].name = mp_arena_printf(res->arena, "p%d", i + 1);
    columns[i].name_len = columns[i].name == NULL ? 0 : (uint32_t)strlen(columns[i].name);
    columns[i].kind = (mp_kind)cell->kind;
    if (cell->kind == MP_INTERVAL)
      cell->v = (void *)mp_arena_memdup(res->arena, cell->v, sizeof *cell->v);
    else if (cell->kind == MP_TEXT || cell->kind == MP_BLOB || cell->kind == MP_UUID ||
             cell->kind == MP_JSON || (cell->kind == MP_DECIMAL && !cell->small))
      cell->s = mp_arena_memdup(res->arena, cell->s, cell->len);
  }
  res->base.columns = columns;
  res->base.column_n = req->param_n;
  res->base.row_n = 1;
  return true;
}

mp_result *mp_fake_result(mp_fake *fake, const mp_fake_rule *rule, const mp_request *req,
                          size_t first, size_t n)
{
  result *res = calloc(1, sizeof *res);
  if (res == NULL)
    return NULL;
  res->base.ops = &result_ops;
  res->base.columns = rule->columns;
  res->base.column_n = rule->column_n;
  res->base.row_n = n;
  res->fake = fake;
  res->rule = rule;
  res->first = first;
  mp_fake_hold(fake);
  if (rule->params && !copy_params(res, req)) {
    result_free(&res->base);
    return NULL;
  }
  return &res->base;
}
