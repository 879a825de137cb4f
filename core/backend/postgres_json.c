/* postgres_json.c - a JSON array as an array of PostgreSQL's.
** A program's table becomes JSON before anybody knows that the server wants an array there; this
** reads it back. Strict JSON (RFC 8259): strings become texts, numbers exact numbers, nested
** arrays dimensions; an object only fits arrays of JSON. */
#include "postgres_form.h"

#include "decimal.h"
#include "numeral.h"

#define DIMS_MAX 6
#define DEPTH_MAX 512 /* as in the binding's JSON */

typedef struct reader {
  const char *at, *end;
  mp_arena *arena;
  mp_value *items;
  size_t n;
  int *dims;
  int depth; /* of the items; -1 until the first one is there */
  bool as_json;
  const char *why; /* NULL: it is no JSON */
} reader;

static bool refuse(reader *r, const char *why)
{
  r->why = why;
  return false;
}

static bool blanks(reader *r)
{
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
    r->at++;
  return r->at < r->end;
}

/* Is the next thing this character? Takes it. */
static bool taken(reader *r, char c)
{
  if (!blanks(r) || *r->at != c)
    return false;
  r->at++;
  return true;
}

/* ---- strings ---- */

static bool hex4(reader *r, unsigned *out)
{
  *out = 0;
  if (r->end - r->at < 4)
    return false;
  for (int i = 0; i < 4; i++, r->at++) {
    char c = *r->at, small = (char)(c | 0x20);
    int digit = mp_is_digit(c) ? c - '0' : small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
    if (digit < 0)
      return false;
    *out = *out << 4 | (unsigned)digit;
  }
  return true;
}

static char *put_utf8(char *p, unsigned c)
{
  if (c < 0x80) {
    *p++ = (char)c;
  } else if (c < 0x800) {
    *p++ = (char)(0xC0 | c >> 6);
    *p++ = (char)(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    *p++ = (char)(0xE0 | c >> 12);
    *p++ = (char)(0x80 | (c >> 6 & 0x3F));
    *p++ = (char)(0x80 | (c & 0x3F));
  } else {
    *p++ = (char)(0xF0 | c >> 18);
    *p++ = (char)(0x80 | (c >> 12 & 0x3F));
    *p++ = (char)(0x80 | (c >> 6 & 0x3F));
    *p++ = (char)(0x80 | (c & 0x3F));
  }
  return p;
}

/* What stands behind a backslash, written behind p; NULL: no JSON, or a NUL. */
static char *unescape(reader *r, char *p)
{
  static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
  unsigned c, low;
  const char *name;
  if (r->at == r->end)
    return NULL;
  if (*r->at != 'u') {
    name = *r->at != '\0' ? strchr(names, *r->at) : NULL;
    if (name == NULL)
      return NULL;
    r->at++;
    *p = codes[name - names];
    return p + 1;
  }
  r->at++;
  if (!hex4(r, &c) || c == 0 || (c >= 0xDC00 && c < 0xE000))
    return NULL;
  if (c >= 0xD800 && c < 0xDC00) {
    if (r->end - r->at < 2 || *r->at++ != '\\' || *r->at++ != 'u' || !hex4(r, &low) ||
        low < 0xDC00 || low >= 0xE000)
      return NULL;
    c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
  }
  return put_utf8(p, c);
}

/* A string, at its quote. It is no longer than its JSON text. out NULL: only find its end. */
static bool read_string(reader *r, mp_value *out)
{
  const char *from = ++r->at;
  bool escaped = false;
  char room[8], *copy = NULL, *p = NULL;
  for (; r->at < r->end && *r->at != '"'; r->at++) {
    if ((unsigned char)*r->at < 0x20)
      return false;
    if (*r->at == '\\') {
      escaped = true;
      r->at++;
    }
  }
  if (r->at >= r->end)
    return false;
  const char *close = r->at;
  size_t n = (size_t)(close - from);
  if (mp_text_check(from, n) != n)
    return false;
  if (escaped) {
    if (out != NULL && (p = copy = mp_arena_alloc(r->arena, n)) == NULL)
      return refuse(r, "out of memory");
    for (r->at = from; r->at < close;) {
      char *to = out != NULL ? p : room;
      if (*r->at != '\\') {
        *to++ = *r->at++;
      } else {
        r->at++;
        to = unescape(r, to);
        if (to == NULL || r->at > close)
          return false;
      }
      p = to;
    }
    n = out != NULL ? (size_t)(p - copy) : 0;
  }
  r->at = close + 1;
  if (out != NULL)
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)n, .s = escaped ? copy : from};
  return true;
}

/* ---- other scalars ---- */

static bool read_digits(reader *r)
{
  const char *from = r->at;
  while (r->at < r->end && mp_is_digit(*r->at))
    r->at++;
  return r->at > from;
}

static bool read_number(reader *r, mp_value *out)
{
  const char *from = r->at;
  bool zero;
  r->at += *r->at == '-';
  zero = r->at < r->end && *r->at == '0';
  const char *head = r->at;
  if (!read_digits(r) || (zero && r->at - head > 1))
    return false;
  if (r->at < r->end && *r->at == '.') {
    r->at++;
    if (!read_digits(r))
      return false;
  }
  if (r->at < r->end && (*r->at | 0x20) == 'e') {
    r->at++;
    r->at += r->at < r->end && (*r->at == '-' || *r->at == '+');
    if (!read_digits(r))
      return false;
  }
  size_t n = (size_t)(r->at - from);
  if (out == NULL || mp_value_parse(MP_INT, from, n, out, NULL))
    return true;
  char text[MP_DECIMAL_TEXT_MAX];
  if (!mp_decimal_read(from, n, out, text))
    return refuse(r, "a number with more than 1000 digits");
  if (!out->small && (out->s = mp_arena_memdup(r->arena, out->s, out->len)) == NULL)
    return refuse(r, "out of memory");
  return true;
}

static bool read_word(reader *r, const char *word)
{
  size_t n = strlen(word);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
    return false;
  r->at += n;
  return true;
}

static bool read_scalar(reader *r, mp_value *out)
{
  mp_value value = MP_VALUE_NULL;
  bool fine;
  switch (*r->at) {
  case '"':
    return read_string(r, out);
  case 't':
  case 'f':
    value = (mp_value){.kind = MP_BOOL, .i = *r->at == 't'};
    fine = read_word(r, value.i ? "true" : "false");
    break;
  case 'n':
    fine = read_word(r, "null");
    break;
  default:
    return read_number(r, out);
  }
  if (out != NULL)
    *out = value;
  return fine;
}

/* ---- what is inside something ---- */

/* Any value, to find its end. */
static bool skip(reader *r, int depth)
{
  if (depth > DEPTH_MAX || !blanks(r))
    return false;
  if (*r->at != '{' && *r->at != '[')
    return read_scalar(r, NULL);
  char close = *r->at == '{' ? '}' : ']';
  r->at++;
  if (taken(r, close))
    return true;
  do {
    if (close == '}' && (!blanks(r) || *r->at != '"' || !read_string(r, NULL) || !taken(r, ':')))
      return false;
    if (!skip(r, depth + 1))
      return false;
  } while (taken(r, ','));
  return taken(r, close);
}

static bool read_item(reader *r)
{
  mp_value *item = &r->items[r->n++];
  const char *from = r->at;
  if (!r->as_json && *from != '{')
    return read_scalar(r, item);
  if (*from == 'n') {
    *item = MP_VALUE_NULL;
    return read_word(r, "null");
  }
  if (!skip(r, 0))
    return false;
  *item = (mp_value){.kind = MP_JSON, .len = (uint32_t)(r->at - from), .s = from};
  return true;
}

/* What stands behind a bracket. */
static bool read_level(reader *r, int depth)
{
  static const char uneven[] = "nested tables must be of one depth and of one length";
  int count = 0;
  if (depth == 0 && taken(r, ']')) {
    r->depth = 0;
    return true;
  }
  do {
    if (!blanks(r))
      return false;
    if (count == 0 && depth > 0 && *r->at == ']')
      return refuse(r, "a table inside an array cannot be empty");
    if (*r->at == '[' && !r->as_json) {
      if (depth + 1 == DIMS_MAX)
        return refuse(r, "an array has at most 6 dimensions");
      if (depth + 1 == r->depth)
        return refuse(r, uneven);
      r->at++;
      if (!read_level(r, depth + 1))
        return false;
    } else {
      if (r->depth < 0)
        r->depth = depth + 1;
      if (r->depth != depth + 1)
        return refuse(r, uneven);
      if (!read_item(r))
        return false;
    }
    count++;
  } while (taken(r, ','));
  if (!taken(r, ']'))
    return false;
  if (r->dims[depth] != 0 && r->dims[depth] != count)
    return refuse(r, uneven);
  r->dims[depth] = count;
  return true;
}

static bool read_whole(reader *r, const char *from)
{
  if (taken(r, '{') && taken(r, '}')) { /* a table without anything in it */
    r->depth = 0;
    return !blanks(r);
  }
  r->at = from;
  if (!taken(r, '['))
    return refuse(r, "the JSON is no array");
  return read_level(r, 0) && !blanks(r);
}

bool mp_pgarray_from_json(const mp_value *json, bool as_json, mp_arena *arena, mp_array *out,
                          mp_error *err)
{
  reader r = {
      .at = json->s, .end = json->s + json->len, .arena = arena, .as_json = as_json, .depth = -1};
  size_t n = 1;
  for (const char *s = r.at; s < r.end; s++)
    n += *s == ','; /* at most so many items */
  r.items = mp_arena_alloc(arena, n * sizeof *r.items);
  r.dims = mp_arena_zalloc(arena, DIMS_MAX * sizeof *r.dims);
  if (r.items == NULL || r.dims == NULL) {
    *err = (mp_error){.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
    return false;
  }
  if (!read_whole(&r, json->s)) {
    mp_error_set(err, arena, r.why != NULL ? MP_E_TYPE_MISMATCH : MP_E_JSON, "%s",
                 r.why != NULL ? r.why : "it is no JSON");
    return false;
  }
  *out = (mp_array){.dim_n = r.depth, .dims = r.dims, .n = r.n, .items = r.items};
  return true;
}
