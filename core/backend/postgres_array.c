/* postgres_array.c - PostgreSQL's arrays, in binary and text form, both ways.
** Up to six dimensions, rectangular; where an array starts counting (its lower bounds) is not
** kept. The server's arrays never hold arrays: a dimension more is the same array. */
#include "postgres_form.h"

#include "numeral.h"

#include <limits.h>
#include <stdlib.h>

#define DIMS_MAX 6

/* An array with room for n items. */
static mp_array *new_array(const mp_pgcell *cell, const int *dims, int dim_n, size_t n)
{
  mp_array *array = mp_arena_alloc(cell->arena, sizeof *array + DIMS_MAX * sizeof *dims);
  mp_value *items = mp_arena_alloc(cell->arena, n * sizeof *items);
  if (array == NULL || items == NULL) {
    mp_pgcell_no_memory(cell);
    return NULL;
  }
  if (dim_n > 0)
    memcpy(array + 1, dims, (size_t)dim_n * sizeof *dims);
  *array = (mp_array){.dim_n = dim_n, .dims = (const int *)(array + 1), .n = n, .items = items};
  return array;
}

static void array_out(const mp_array *array, mp_value *out)
{
  *out = (mp_value){.kind = MP_ARRAY, .a = array};
}

/* ---- binary: dimensions, flags, type; for each dimension length and lower bound; items ---- */

static bool binary_items(const mp_pgcell *cell, const char *at, mp_array *array)
{
  const char *end = cell->data + cell->len;
  mp_value *item = (mp_value *)(uintptr_t)array->items;
  uint32_t oid = mp_pgtype_oid(cell->id);
  for (size_t i = 0; i < array->n; i++, item++) {
    if (end - at < 4)
      return mp_pgcell_bad(cell);
    int32_t len = (int32_t)mp_pg_get32(at);
    at += 4;
    if (len == -1) {
      *item = MP_VALUE_NULL;
      continue;
    }
    if (len < 0 || len > end - at)
      return mp_pgcell_bad(cell);
    if (!mp_pgtype_cell(oid, true, at, (size_t)len, cell->arena, item, cell->err))
      return false;
    at += len;
  }
  return at == end || mp_pgcell_bad(cell);
}

static bool binary_array(const mp_pgcell *cell, mp_value *out)
{
  const char *at = cell->data + 12;
  int dims[DIMS_MAX];
  size_t n = 1, room;
  if (cell->len < 12)
    return mp_pgcell_bad(cell);
  uint32_t dim_n = mp_pg_get32(cell->data);
  if (dim_n > DIMS_MAX || cell->len - 12 < 8 * dim_n ||
      mp_pg_get32(cell->data + 8) != mp_pgtype_oid(cell->id))
    return mp_pgcell_bad(cell);
  room = (cell->len - 12 - 8 * dim_n) / 4; /* an item has four bytes at least */
  for (uint32_t i = 0; i < dim_n; i++, at += 8) {
    uint32_t length = mp_pg_get32(at);
    if (length == 0 || length > room || __builtin_mul_overflow(n, (size_t)length, &n) || n > room)
      return mp_pgcell_bad(cell);
    dims[i] = (int)length;
  }
  mp_array *array = new_array(cell, dims, (int)dim_n, dim_n > 0 ? n : 0);
  if (array == NULL || !binary_items(cell, at, array))
    return false;
  array_out(array, out);
  return true;
}

/* ---- text: {1,NULL,"a \"b\""}, {{1,2},{3,4}}, [0:1]={1,2} ---- */

typedef struct reader {
  const mp_pgcell *cell;
  const char *at, *end;
  mp_value *items;
  size_t n;
  int dims[DIMS_MAX];
  int depth; /* of the items; -1 until the first one is there */
} reader;

static bool bad(const reader *r)
{
  return mp_pgcell_bad(r->cell);
}

/* A quoted item, at its quote: what it says, a copy if it has escapes. */
static bool read_quoted(reader *r, const char **s, size_t *n)
{
  const char *from = ++r->at;
  bool escaped = false;
  while (r->at < r->end && *r->at != '"') {
    if (*r->at == '\\') {
      escaped = true;
      r->at++;
    }
    r->at++;
  }
  if (r->at >= r->end)
    return bad(r);
  *s = from;
  *n = (size_t)(r->at++ - from);
  if (escaped) {
    char *copy = mp_arena_alloc(r->cell->arena, *n), *p = copy;
    if (copy == NULL)
      return mp_pgcell_no_memory(r->cell);
    for (size_t i = 0; i < *n; i++) {
      if (from[i] == '\\')
        i++;
      *p++ = from[i];
    }
    *s = copy;
    *n = (size_t)(p - copy);
  }
  return true;
}

static bool read_item(reader *r)
{
  const char *s = r->at;
  size_t n = 0;
  mp_value *item = &r->items[r->n++];
  if (*s == '"') {
    if (!read_quoted(r, &s, &n))
      return false;
  } else {
    while (r->at < r->end && *r->at != ',' && *r->at != '}' && *r->at != '{' && *r->at != '"')
      r->at++;
    n = (size_t)(r->at - s);
    if (n == 0)
      return bad(r);
    if (n == 4 && memcmp(s, "NULL", 4) == 0) {
      *item = MP_VALUE_NULL;
      return true;
    }
  }
  return mp_pgtype_cell(mp_pgtype_oid(r->cell->id), false, s, n, r->cell->arena, item,
                        r->cell->err);
}

/* What stands between two braces, at the first of them. */
static bool read_level(reader *r, int depth)
{
  int count = 0;
  r->at++;
  if (depth == 0 && r->at < r->end && *r->at == '}') {
    r->at++;
    r->depth = 0;
    return true;
  }
  for (;;) {
    if (r->at >= r->end)
      return bad(r);
    if (*r->at == '{') {
      if (depth + 1 == DIMS_MAX || depth + 1 == r->depth || !read_level(r, depth + 1))
        return depth + 1 == DIMS_MAX || depth + 1 == r->depth ? bad(r) : false;
    } else {
      if (r->depth < 0)
        r->depth = depth + 1;
      if (r->depth != depth + 1)
        return bad(r);
      if (!read_item(r))
        return false;
    }
    count++;
    if (r->at >= r->end || (*r->at != ',' && *r->at != '}'))
      return bad(r);
    if (*r->at++ == '}')
      break;
  }
  if (r->dims[depth] != 0 && r->dims[depth] != count)
    return bad(r);
  r->dims[depth] = count;
  return true;
}

static bool text_array(const mp_pgcell *cell, mp_value *out)
{
  reader r = {.cell = cell, .at = cell->data, .end = cell->data + cell->len, .depth = -1};
  size_t n = 1;
  if (cell->len > 0 && *r.at == '[') {
    const char *equals = memchr(r.at, '=', cell->len);
    r.at = equals != NULL ? equals + 1 : r.end;
  }
  if (r.at == r.end || *r.at != '{')
    return bad(&r);
  for (const char *s = r.at; s < r.end; s++)
    n += *s == ','; /* at most so many items */
  mp_array *array = new_array(cell, NULL, 0, n);
  if (array == NULL)
    return false;
  r.items = (mp_value *)(uintptr_t)array->items;
  if (!read_level(&r, 0))
    return false;
  if (r.at != r.end)
    return bad(&r);
  array->dim_n = r.depth;
  array->n = r.n;
  memcpy(array + 1, r.dims, sizeof r.dims);
  array_out(array, out);
  return true;
}

bool mp_pgcell_array(const mp_pgcell *cell, mp_value *out)
{
  return cell->binary ? binary_array(cell, out) : text_array(cell, out);
}

/* ---- parameters ---- */

/* Bytes that grow, outside of the arena, because an arena would keep every size they had. */
typedef struct bytes {
  char *s;
  size_t n, room;
  bool failed;
} bytes;

static char *more(bytes *b, size_t n)
{
  if (n > b->room - b->n && !b->failed) {
    size_t room = b->room + n > 2 * b->room ? b->room + n : 2 * b->room;
    char *grown = room < INT_MAX ? realloc(b->s, room) : NULL;
    if (grown == NULL) {
      b->failed = true;
    } else {
      b->s = grown;
      b->room = room;
    }
  }
  if (b->failed)
    return NULL;
  b->n += n;
  return b->s + b->n - n;
}

static void put(bytes *b, const char *s, size_t n)
{
  char *to = more(b, n);
  if (to != NULL && n > 0)
    memcpy(to, s, n);
}

static void put_int(bytes *b, uint32_t n)
{
  char *to = more(b, 4);
  if (to != NULL)
    mp_pg_put32(to, n);
}

static void put_quoted(bytes *b, const char *s, size_t n)
{
  put(b, "\"", 1);
  for (size_t from = 0, i = 0; i <= n; i++) {
    if (i < n && s[i] != '"' && s[i] != '\\')
      continue;
    put(b, s + from, i - from);
    if (i < n)
      put(b, "\\", 1);
    from = i;
  }
  put(b, "\"", 1);
}

/* MP_PG_TEXT_FORM: an item has no binary form. */
static mp_pgform put_binary(mp_pgwriter *item, const mp_array *array, bytes *b)
{
  bool nulls = false;
  for (size_t i = 0; i < array->n; i++)
    nulls = nulls || array->items[i].kind == MP_NULL;
  put_int(b, (uint32_t)array->dim_n);
  put_int(b, nulls);
  put_int(b, item->oid);
  for (int i = 0; i < array->dim_n; i++) {
    put_int(b, (uint32_t)array->dims[i]);
    put_int(b, 1);
  }
  for (size_t i = 0; i < array->n; i++) {
    if (array->items[i].kind == MP_NULL) {
      put_int(b, UINT32_MAX);
      continue;
    }
    mp_pgform form = mp_pgwrite(item, &array->items[i]);
    if (form != MP_PG_BINARY_FORM)
      return form;
    put_int(b, (uint32_t)item->len);
    put(b, item->data, item->len);
  }
  return MP_PG_BINARY_FORM;
}

/* The items from *next on that stand at a depth. */
static mp_pgform put_text(mp_pgwriter *item, const mp_array *array, bytes *b, int depth,
                          size_t *next)
{
  put(b, "{", 1);
  for (int i = 0; depth < array->dim_n && i < array->dims[depth]; i++) {
    if (i > 0)
      put(b, ",", 1);
    if (depth + 1 < array->dim_n) {
      if (put_text(item, array, b, depth + 1, next) == MP_PG_REFUSED)
        return MP_PG_REFUSED;
      continue;
    }
    const mp_value *value = &array->items[(*next)++];
    if (value->kind == MP_NULL) {
      put(b, "NULL", 4);
      continue;
    }
    if (mp_pgwrite(item, value) == MP_PG_REFUSED)
      return MP_PG_REFUSED;
    put_quoted(b, item->data, item->len);
  }
  put(b, "}", 1);
  return MP_PG_TEXT_FORM;
}

static bool is_whole(const mp_array *array)
{
  size_t n = array->dim_n > 0;
  if (array->dim_n < 0 || array->dim_n > DIMS_MAX)
    return false;
  for (int i = 0; i < array->dim_n; i++)
    if (array->dims[i] <= 0 || __builtin_mul_overflow(n, (size_t)array->dims[i], &n))
      return false;
  return n == array->n;
}

mp_pgform mp_pgwrite_array(mp_pgwriter *w, const mp_array *array)
{
  static const mp_array none = {0};
  mp_pgwriter item = {.id = w->id, .only_text = w->only_text, .arena = w->arena, .err = w->err};
  mp_pgform form = MP_PG_TEXT_FORM;
  bytes b = {0};
  size_t next = 0;
  if (array->n == 0)
    array = &none; /* whatever its dimensions are */
  if (!is_whole(array))
    return mp_pgwrite_beyond(w, "an array has at most 6 dimensions, whose lengths give its items");
  if (w->id != MP_PG_OTHER)
    item.oid = mp_pgtype_oid(w->id);
  if (w->id != MP_PG_OTHER && !w->only_text)
    form = put_binary(&item, array, &b);
  if (form == MP_PG_TEXT_FORM) {
    b.n = 0;
    item.only_text = true;
    form = put_text(&item, array, &b, 0, &next);
  }
  w->data = form != MP_PG_REFUSED && !b.failed ? mp_arena_memdup(w->arena, b.s, b.n) : "";
  w->len = b.n;
  free(b.s);
  if (form != MP_PG_REFUSED && b.failed)
    return mp_pgwrite_beyond(w, "an array has at most 2 GiB, and this one no room in memory");
  if (w->data == NULL) {
    *w->err = (mp_error){.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
    return MP_PG_REFUSED;
  }
  return form;
}
