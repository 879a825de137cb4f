/* sqlite_gather.c - many texts as one, in the order of their code points, so that the same rows give the
** same text whatever order they are met in.
**   mp_string_agg(x, separator)            aggregate; NULLs are left out, of nothing it is NULL
**   mp_string_agg_distinct(x, separator)   each text once
** The separator is that of the first row. */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

typedef struct piece {
  size_t len;
  char *s; /* sqlite3_malloc */
} piece;

typedef struct gathered {
  piece separator;
  piece *pieces; /* sqlite3_malloc */
  size_t n, room, bytes;
} gathered;

/* NULL, which a separator may be, is nothing. */
static bool copy(sqlite3_value *from, piece *out)
{
  bool is_null = sqlite3_value_type(from) == SQLITE_NULL;
  const unsigned char *s = is_null ? (const unsigned char *)"" : sqlite3_value_text(from);
  size_t n = (size_t)sqlite3_value_bytes(from);
  char *to = s == NULL ? NULL : sqlite3_malloc64(n + 1);
  if (to == NULL)
    return false;
  memcpy(to, s, n);
  *out = (piece){n, to};
  return true;
}

static bool has_room(gathered *g)
{
  if (g->n < g->room)
    return true;
  size_t room = g->room == 0 ? 16 : g->room * 2;
  piece *pieces = sqlite3_realloc64(g->pieces, room * sizeof *pieces);
  if (pieces == NULL)
    return false;
  g->pieces = pieces;
  g->room = room;
  return true;
}

static void step(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  gathered *g = sqlite3_aggregate_context(ctx, sizeof *g);
  (void)n;
  if (g != NULL && sqlite3_value_type(args[0]) == SQLITE_NULL)
    return;
  if (g == NULL || (g->separator.s == NULL && !copy(args[1], &g->separator)) || !has_room(g) ||
      !copy(args[0], &g->pieces[g->n])) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  g->bytes += g->pieces[g->n++].len;
}

static int compare(const void *left, const void *right)
{
  const piece *a = left, *b = right;
  int order = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
  return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void join(sqlite3_context *ctx, gathered *g, bool distinct)
{
  char *text = sqlite3_malloc64(g->bytes + g->n * g->separator.len + 1);
  size_t len = 0;
  if (text == NULL) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  qsort(g->pieces, g->n, sizeof *g->pieces, compare);
  for (size_t i = 0; i < g->n; i++) {
    const piece *p = &g->pieces[i];
    if (distinct && i > 0 && compare(p, p - 1) == 0)
      continue;
    if (i > 0) {
      memcpy(text + len, g->separator.s, g->separator.len);
      len += g->separator.len;
    }
    memcpy(text + len, p->s, p->len);
    len += p->len;
  }
  sqlite3_result_text64(ctx, text, len, sqlite3_free, SQLITE_UTF8);
}

/* Also asked for when the statement ended early: then the answer goes nowhere. */
static void final(sqlite3_context *ctx)
{
  gathered *g = sqlite3_aggregate_context(ctx, 0);
  if (g == NULL || g->n == 0)
    sqlite3_result_null(ctx);
  else
    join(ctx, g, sqlite3_user_data(ctx) != NULL);
  if (g == NULL)
    return;
  for (size_t i = 0; i < g->n; i++)
    sqlite3_free(g->pieces[i].s);
  sqlite3_free(g->pieces);
  sqlite3_free(g->separator.s);
  *g = (gathered){{0, NULL}, NULL, 0, 0, 0};
}

int mp_sqlite_add_gathering(sqlite3 *db)
{
  static char marked;
  int code =
      sqlite3_create_function_v2(db, "mp_string_agg", 2, FLAGS, NULL, NULL, step, final, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function_v2(db, "mp_string_agg_distinct", 2, FLAGS, &marked, NULL, step,
                                      final, NULL);
  return code;
}
