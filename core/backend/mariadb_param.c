/* mariadb_param.c - parameters: values as the library sends them.
** The server never says which type it wants: the value's own kind decides what is sent, and the server converts. What it
** would not take as it is, or would cut silently, is refused here, before anything is sent. */
#include "mariadb_form.h"

#include <math.h>
#include <string.h>

/* A decimal of the server's has at most so many digits, so many of them behind the point; it would round more. */
#define DIGITS_MAX 65
#define SCALE_MAX 38

static bool refuse(mp_arena *arena, mp_error *err, mp_status kind, const char *message)
{
  mp_error_set(err, arena, kind, "%s", message);
  return false;
}

static bool bytes(MYSQL_BIND *out, enum enum_field_types type, const char *s, size_t n)
{
  union {
    const void *from;
    void *to;
  } both = {.from = n > 0 ? s : ""}; /* the library reads only */
  out->buffer_type = type;
  out->buffer = both.to;
  out->buffer_length = n;
  return true;
}

/* s is canonical: zeros at the front are none but one before the point. */
static bool fits(const char *s, size_t n)
{
  const char *point = memchr(s, '.', n);
  size_t scale = point == NULL ? 0 : n - (size_t)(point - s) - 1;
  size_t digits = n - (*s == '-') - (point != NULL);
  if (s[*s == '-'] == '0')
    digits--;
  return digits <= DIGITS_MAX && scale <= SCALE_MAX;
}

static bool decimal(const mp_value *value, mp_arena *arena, MYSQL_BIND *out, mp_error *err)
{
  char text[MP_VALUE_TEXT_MAX];
  const char *s = value->s;
  size_t n = value->len;
  if (value->small) {
    n = mp_value_format(value, text);
    if ((s = mp_arena_memdup(arena, text, n)) == NULL)
      return refuse(arena, err, MP_E_OUT_OF_MEMORY, "out of memory");
  }
  if (!fits(s, n))
    return refuse(arena, err, MP_E_OUT_OF_RANGE,
                  "a decimal of MariaDB has at most 65 digits, 38 of them behind the point: round "
                  "it, or send it as a text");
  return bytes(out, MYSQL_TYPE_NEWDECIMAL, s, n);
}

static bool temporal(const mp_value *value, mp_arena *arena, MYSQL_BIND *out, mp_error *err)
{
  char text[MP_VALUE_TEXT_MAX];
  MYSQL_TIME *t = mp_arena_alloc(arena, sizeof *t);
  if (t == NULL)
    return refuse(arena, err, MP_E_OUT_OF_MEMORY, "out of memory");
  if (mp_value_format(value, text) == 0)
    return refuse(arena, err, MP_E_OUT_OF_RANGE, "the value is none of the years 1 to 9999");
  mp_mytime(value, t);
  return bytes(out,
               value->kind == MP_TIME   ? MYSQL_TYPE_TIME
               : value->kind == MP_DATE ? MYSQL_TYPE_DATE
                                        : MYSQL_TYPE_DATETIME,
               (const char *)t, sizeof *t);
}

/* As the text of ISO 8601, which is how interval fields are kept. */
static bool interval(const mp_value *value, mp_arena *arena, MYSQL_BIND *out, mp_error *err)
{
  char text[MP_VALUE_TEXT_MAX];
  size_t n = mp_value_format(value, text);
  const char *s = mp_arena_memdup(arena, text, n);
  if (s == NULL)
    return refuse(arena, err, MP_E_OUT_OF_MEMORY, "out of memory");
  return bytes(out, MYSQL_TYPE_STRING, s, n);
}

bool mp_mytype_param(const mp_value *value, mp_arena *arena, MYSQL_BIND *out, mp_error *err)
{
  static const char truth[2] = {0, 1};
  memset(out, 0, sizeof *out);
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    out->buffer_type = MYSQL_TYPE_NULL;
    return true;
  case MP_BOOL:
    return bytes(out, MYSQL_TYPE_TINY, truth + (value->i != 0), 1);
  case MP_INT:
    return bytes(out, MYSQL_TYPE_LONGLONG, (const char *)&value->i, sizeof value->i);
  case MP_FLOAT:
    if (!isfinite(value->d))
      return refuse(arena, err, MP_E_OUT_OF_RANGE,
                    "MariaDB has no float that is infinite or not a number: send NULL or a text");
    return bytes(out, MYSQL_TYPE_DOUBLE, (const char *)&value->d, sizeof value->d);
  case MP_DECIMAL:
    return decimal(value, arena, out, err);
  case MP_TEXT:
  case MP_UUID:
  case MP_JSON:
    return bytes(out, MYSQL_TYPE_STRING, value->s, value->len);
  case MP_BLOB:
    return bytes(out, MYSQL_TYPE_BLOB, value->s, value->len);
  case MP_DATE:
  case MP_TIME:
  case MP_DATETIME:
  case MP_WALLTIME:
    return temporal(value, arena, out, err);
  case MP_INTERVAL:
    return interval(value, arena, out, err);
  case MP_ARRAY:
  case MP_KIND_N:
    break;
  }
  return refuse(arena, err, MP_E_UNSUPPORTED,
                "MariaDB has no arrays: send JSON, or a parameter for each item");
}
