/* postgres_bytes.h - what the tests of PostgreSQL's types share.
** Bytes written as hex digits, and any value as a text that shows its kind. Bytes are handed over
** in memory of exactly their length, so that reading behind them is seen. */
#ifndef MP_POSTGRES_BYTES_H
#define MP_POSTGRES_BYTES_H

#include "backend/postgres_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHOWN_MAX 8192

/* As the server says: 'int4'::regtype::oid. */
enum {
  BOOL = 16,
  INT2 = 21,
  INT4 = 23,
  INT8 = 20,
  OID = 26,
  FLOAT4 = 700,
  FLOAT8 = 701,
  NUMERIC = 1700,
  MONEY = 790,
  TEXT = 25,
  VARCHAR = 1043,
  BPCHAR = 1042,
  NAME = 19,
  CHAR = 18,
  XML = 142,
  BYTEA = 17,
  JSON = 114,
  JSONB = 3802,
  UUID = 2950,
  DATE = 1082,
  TIME = 1083,
  TIMETZ = 1266,
  TIMESTAMP = 1114,
  TIMESTAMPTZ = 1184,
  INTERVAL = 1186,
  INET = 869,
  CIDR = 650,
  MACADDR = 829,
  MACADDR8 = 774,
  INT4RANGE = 3904,
  INT8RANGE = 3926,
  NUMRANGE = 3906,
  DATERANGE = 3912,
  TSRANGE = 3908,
  TSTZRANGE = 3910,
  INT2_ARRAY = 1005,
  JSON_ARRAY = 199,
  INT4_ARRAY = 1007,
  INT8_ARRAY = 1016,
  TEXT_ARRAY = 1009,
  BOOL_ARRAY = 1000,
  NUMERIC_ARRAY = 1231,
  UUID_ARRAY = 2951,
  TIMESTAMPTZ_ARRAY = 1185,
  INTERVAL_ARRAY = 1187,
  INET_ARRAY = 1041,
  DATE_ARRAY = 1182,
  FLOAT4_ARRAY = 1021,
  INT4RANGE_ARRAY = 3905,
  JSONB_ARRAY = 3807,
  BYTEA_ARRAY = 1001,
};

static inline int digit_of(char c)
{
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Exactly the bytes, to be freed. */
static inline char *from_hex(const char *hex, size_t *n)
{
  *n = strlen(hex) / 2;
  char *bytes = malloc(*n > 0 ? *n : 1);
  for (size_t i = 0; i < *n; i++)
    bytes[i] = (char)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
  return bytes;
}

static inline void to_hex(const char *s, size_t n, char *out)
{
  *out = '\0';
  for (size_t i = 0; i < n; i++)
    out += sprintf(out, "%02x", (unsigned char)s[i]);
}

static inline char *show_bare(char *p, const mp_value *value);

static inline char *show_level(char *p, const mp_array *array, int depth, size_t *next)
{
  *p++ = '{';
  for (int i = 0; array->dim_n > 0 && i < array->dims[depth]; i++) {
    if (i > 0)
      *p++ = ',';
    p = depth + 1 < array->dim_n ? show_level(p, array, depth + 1, next)
                                 : show_bare(p, &array->items[(*next)++]);
  }
  *p++ = '}';
  return p;
}

/* The value without its kind; texts inside arrays in quotes. */
static inline char *show_bare(char *p, const mp_value *value)
{
  char text[MP_VALUE_TEXT_MAX];
  size_t n, next = 0;
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    return p + sprintf(p, "null");
  case MP_ARRAY:
    return show_level(p, value->a, 0, &next);
  case MP_TEXT:
  case MP_JSON:
  case MP_UUID:
    return p + sprintf(p, "'%.*s'", (int)value->len, value->len > 0 ? value->s : "");
  case MP_BLOB:
    to_hex(value->s, value->len, p);
    return p + strlen(p);
  default:
    n = mp_value_format(value, text);
    return p + sprintf(p, "%.*s", n > 0 ? (int)n : (int)value->len, n > 0 ? text : value->s);
  }
}

/* "int 5", "array {1,null}"; "out_of_range" for an error. */
static inline void show(char *out, bool fine, const mp_value *value, const mp_error *err)
{
  if (fine) {
    out += sprintf(out, "%s ", mp_kind_name((mp_kind)value->kind));
    out = show_bare(out, value);
    *out = '\0';
  } else {
    assert_non_null(err->message);
    strcpy(out, mp_status_name(err->kind));
  }
}

static inline mp_value a_text(mp_kind kind, const char *s)
{
  return (mp_value){.kind = (uint8_t)kind, .len = (uint32_t)strlen(s), .s = s};
}

#endif
