/* postgres_param.c - parameters: values as the bytes of the type that the server wants.
** Binary form wherever the value has the type's own meaning; a text for any type that is no text
** goes as text, which the server reads. What does not fit exactly is refused here, before
** anything is sent, except that a number becomes the nearest float. */
#include "postgres_form.h"

#include "decimal.h"

#include <limits.h>
#include <math.h>

/* ---- refusals ---- */

/* How a message calls the type. */
static const char *type_name(const mp_pgwriter *w)
{
  unsigned id = mp_pgtype_id(w->oid);
  const char *name;
  if (id == MP_PG_OTHER)
    return "a type that is not built in";
  if (!(id & MP_PG_ARRAY))
    return mp_pgtype_name(w->oid);
  name = mp_arena_printf(w->arena, "%s[]", mp_pgtype_name(w->oid) + 1);
  return name != NULL ? name : "an array";
}

mp_pgform mp_pgwrite_mismatch(mp_pgwriter *w, const mp_value *value)
{
  bool bytes = w->id == MP_PG_BYTEA && value->kind == MP_TEXT;
  mp_error_set(w->err, w->arena, MP_E_TYPE_MISMATCH,
               "the server wants %s, not a value of kind %s%s", type_name(w),
               mp_kind_name((mp_kind)value->kind), bytes ? ": send bytes with mp.blob" : "");
  return MP_PG_REFUSED;
}

mp_pgform mp_pgwrite_beyond(mp_pgwriter *w, const char *what)
{
  mp_error_set(w->err, w->arena, MP_E_OUT_OF_RANGE, "the server wants %s: %s", type_name(w), what);
  return MP_PG_REFUSED;
}

static mp_pgform no_memory(const mp_pgwriter *w)
{
  *w->err = (mp_error){.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
  return MP_PG_REFUSED;
}

/* ---- text forms ---- */

static mp_pgform put_hex(mp_pgwriter *w, const mp_value *value)
{
  static const char digits[] = "0123456789abcdef";
  char *text = mp_arena_alloc(w->arena, 2 * (size_t)value->len + 2), *p = text;
  if (text == NULL)
    return no_memory(w);
  *p++ = '\\';
  *p++ = 'x';
  for (uint32_t i = 0; i < value->len; i++) {
    *p++ = digits[(unsigned char)value->s[i] >> 4];
    *p++ = digits[(unsigned char)value->s[i] & 15];
  }
  w->data = text;
  w->len = (size_t)(p - text);
  return MP_PG_TEXT_FORM;
}

/* Any value as a text that the server reads for the type that the value is of. */
static mp_pgform put_plain(mp_pgwriter *w, const mp_value *value)
{
  switch ((mp_kind)value->kind) {
  case MP_NULL:
  case MP_ARRAY:
  case MP_KIND_N:
    return mp_pgwrite_mismatch(w, value);
  case MP_BLOB:
    return put_hex(w, value);
  case MP_TEXT:
  case MP_JSON:
  case MP_UUID:
    w->data = value->s;
    w->len = value->len;
    return MP_PG_TEXT_FORM;
  case MP_DECIMAL:
    w->data = value->small ? w->room : value->s;
    w->len = value->small ? mp_value_format(value, w->room) : value->len;
    break;
  default:
    w->data = w->room;
    w->len = mp_value_format(value, w->room);
    if (value->kind == MP_DATETIME && w->len > 0) {
      memcpy(w->room + w->len, "+00", 4);
      w->len += 3;
    }
  }
  return w->len > 0 ? MP_PG_TEXT_FORM
                    : mp_pgwrite_beyond(w, "the value is none of the years 1 to 9999");
}

/* For a type whose binary form is its text. */
static mp_pgform put_as_text(mp_pgwriter *w, const mp_value *value)
{
  mp_pgform form = value->kind == MP_BLOB ? mp_pgwrite_mismatch(w, value) : put_plain(w, value);
  return form == MP_PG_REFUSED ? form : MP_PG_BINARY_FORM;
}

/* ---- numbers of a fixed length ---- */

static mp_pgform put_bits(mp_pgwriter *w, uint64_t bits, size_t n)
{
  char all[8];
  mp_pg_put64(all, bits);
  memcpy(w->room, all + sizeof all - n, n);
  w->data = w->room;
  w->len = n;
  return MP_PG_BINARY_FORM;
}

static mp_pgform put_int(mp_pgwriter *w, const mp_value *value, int64_t low, int64_t high, size_t n)
{
  mp_value number = *value;
  if (value->kind != MP_INT) {
    if (value->kind != MP_FLOAT && value->kind != MP_DECIMAL)
      return mp_pgwrite_mismatch(w, value);
    if (!mp_value_convert(&number, MP_INT, NULL, NULL))
      return mp_pgwrite_beyond(w, "the number is not whole, or too great");
  }
  if (number.i < low || number.i > high)
    return mp_pgwrite_beyond(w, low < 0 ? "the number is too great or too small"
                                        : "the number is too great or negative");
  return put_bits(w, (uint64_t)number.i, n);
}

static mp_pgform put_float(mp_pgwriter *w, const mp_value *value)
{
  mp_value number = *value;
  uint64_t bits;
  if (value->kind != MP_FLOAT && value->kind != MP_INT && value->kind != MP_DECIMAL)
    return mp_pgwrite_mismatch(w, value);
  if (!mp_value_convert(&number, MP_FLOAT, NULL, NULL))
    return mp_pgwrite_beyond(w, "no float is exactly this number, or none is so great");
  if (w->id == MP_PG_FLOAT4) {
    float f = (float)number.d;
    uint32_t half;
    if ((isinf(f) && !isinf(number.d)) || (f == 0 && number.d != 0))
      return mp_pgwrite_beyond(w, "the number is too great or too near to zero");
    memcpy(&half, &f, sizeof half);
    return put_bits(w, half, 4);
  }
  memcpy(&bits, &number.d, sizeof bits);
  return put_bits(w, bits, 8);
}

/* ---- decimals ---- */

/* A number as a decimal. text: MP_DECIMAL_TEXT_MAX bytes. */
static mp_pgform as_decimal(mp_pgwriter *w, const mp_value *value, mp_value *out, char *text)
{
  *out = *value;
  if (value->kind != MP_INT && value->kind != MP_FLOAT && value->kind != MP_DECIMAL)
    return mp_pgwrite_mismatch(w, value);
  if (value->kind == MP_DECIMAL || mp_value_convert(out, MP_DECIMAL, NULL, text))
    return MP_PG_BINARY_FORM;
  size_t n = mp_value_format(value, text); /* a float that is very great or very small */
  mp_value found;
  char *longer = mp_arena_alloc(w->arena, MP_DECIMAL_TEXT_MAX);
  if (longer == NULL)
    return no_memory(w);
  if (!mp_decimal_read(text, n, &found, longer))
    return mp_pgwrite_beyond(w, "no decimal is that number");
  *out = found;
  return MP_PG_BINARY_FORM;
}

static mp_pgform put_numeric(mp_pgwriter *w, const mp_value *value)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value number;
  if (value->kind == MP_FLOAT && !isfinite(value->d)) {
    uint64_t sign = isnan(value->d) ? 0xC000 : value->d > 0 ? 0xD000 : 0xF000;
    return put_bits(w, sign << 16, 8);
  }
  if (value->kind == MP_DECIMAL && value->small && mp_pgwrite_small(w, value->i, value->scale))
    return MP_PG_BINARY_FORM;
  mp_pgform form = as_decimal(w, value, &number, text);
  if (form == MP_PG_REFUSED)
    return form;
  if (number.small) {
    mp_pgwrite_numeric(w, text, mp_value_format(&number, text));
  } else {
    if (number.len >= MP_DECIMAL_TEXT_MAX)
      return mp_pgwrite_beyond(w, "more than 1000 digits");
    mp_pgwrite_numeric(w, number.s, number.len);
  }
  return form;
}

static mp_pgform put_money(mp_pgwriter *w, const mp_value *value)
{
  char text[MP_DECIMAL_TEXT_MAX], more[MP_DECIMAL_TEXT_MAX];
  const mp_value hundred = {.kind = MP_INT, .i = 100};
  mp_value number;
  int64_t cents;
  if (value->kind == MP_FLOAT && !isfinite(value->d))
    return mp_pgwrite_beyond(w, "the number is infinite or none");
  mp_pgform form = as_decimal(w, value, &number, text);
  if (form == MP_PG_REFUSED)
    return form;
  if (mp_decimal_mul(&number, &hundred, &number, more) != MP_OK ||
      !mp_decimal_integer(&number, &cents))
    return mp_pgwrite_beyond(w, "the number is too great, or has more than two decimal places");
  return put_bits(w, (uint64_t)cents, 8);
}

/* ---- times ---- */

/* As one of the kinds that count: days or microseconds. */
static mp_pgform put_moment(mp_pgwriter *w, const mp_value *value, mp_kind kind, int64_t epoch)
{
  mp_value moment = *value;
  if (value->kind != MP_DATE && value->kind != MP_DATETIME && value->kind != MP_WALLTIME)
    return mp_pgwrite_mismatch(w, value);
  if (!mp_value_convert(&moment, kind, NULL, NULL))
    return mp_pgwrite_beyond(w, "the time is not at midnight (UTC)");
  return put_bits(w, (uint64_t)(moment.i - epoch), kind == MP_DATE ? 4 : 8);
}

static mp_pgform put_interval(mp_pgwriter *w, const mp_value *value)
{
  mp_interval interval = {0};
  if (value->kind == MP_TIME)
    interval.us = value->i;
  else if (value->kind == MP_INTERVAL)
    interval = *value->v;
  else
    return mp_pgwrite_mismatch(w, value);
  mp_pg_put64(w->room, (uint64_t)interval.us);
  mp_pg_put32(w->room + 8, (uint32_t)interval.days);
  mp_pg_put32(w->room + 12, (uint32_t)interval.months);
  w->data = w->room;
  w->len = 16;
  return MP_PG_BINARY_FORM;
}

/* ---- the rest ---- */

static mp_pgform put_uuid(mp_pgwriter *w, const mp_value *value)
{
  int n = 0;
  if (value->kind != MP_UUID)
    return mp_pgwrite_mismatch(w, value);
  for (uint32_t i = 0; i < value->len && n < 32; i++) {
    char c = value->s[i];
    if (c == '-')
      continue;
    int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    w->room[n / 2] = (char)(n % 2 == 0 ? digit << 4 : w->room[n / 2] | digit);
    n++;
  }
  w->data = w->room;
  w->len = 16;
  return MP_PG_BINARY_FORM;
}

static mp_pgform put_json(mp_pgwriter *w, const mp_value *value)
{
  bool number = value->kind == MP_INT || value->kind == MP_DECIMAL ||
                (value->kind == MP_FLOAT && isfinite(value->d));
  if (value->kind != MP_JSON && value->kind != MP_BOOL && !number)
    return mp_pgwrite_mismatch(w, value);
  mp_pgform form = put_as_text(w, value);
  if (form == MP_PG_REFUSED || w->id == MP_PG_JSON)
    return form;
  char *text = mp_arena_alloc(w->arena, w->len + 1);
  if (text == NULL)
    return no_memory(w);
  text[0] = 1; /* the version of the format */
  memcpy(text + 1, w->data, w->len);
  w->data = text;
  w->len++;
  return form;
}

static mp_pgform put_same(mp_pgwriter *w, const mp_value *value, mp_kind kind)
{
  if (value->kind != kind)
    return mp_pgwrite_mismatch(w, value);
  if (kind != MP_BLOB)
    return put_bits(w, (uint64_t)value->i, kind == MP_BOOL ? 1 : 8);
  w->data = value->s;
  w->len = value->len;
  return MP_PG_BINARY_FORM;
}

/* ---- by type ---- */

static mp_pgform put_binary(mp_pgwriter *w, const mp_value *value)
{
  switch (w->id) {
  case MP_PG_INT4:
    return put_int(w, value, INT32_MIN, INT32_MAX, 4);
  case MP_PG_INT8:
    return put_int(w, value, INT64_MIN, INT64_MAX, 8);
  case MP_PG_INT2:
    return put_int(w, value, INT16_MIN, INT16_MAX, 2);
  case MP_PG_OID:
    return put_int(w, value, 0, UINT32_MAX, 4);
  case MP_PG_FLOAT4:
  case MP_PG_FLOAT8:
    return put_float(w, value);
  case MP_PG_NUMERIC:
    return put_numeric(w, value);
  case MP_PG_MONEY:
    return put_money(w, value);
  case MP_PG_BOOL:
    return put_same(w, value, MP_BOOL);
  case MP_PG_BYTEA:
    return put_same(w, value, MP_BLOB);
  case MP_PG_TIME:
    return put_same(w, value, MP_TIME);
  case MP_PG_DATE:
    return put_moment(w, value, MP_DATE, MP_PG_EPOCH_DAYS);
  case MP_PG_TIMESTAMP:
    return put_moment(w, value, MP_WALLTIME, MP_PG_EPOCH_US);
  case MP_PG_TIMESTAMPTZ:
    return put_moment(w, value, MP_DATETIME, MP_PG_EPOCH_US);
  case MP_PG_INTERVAL:
    return put_interval(w, value);
  case MP_PG_UUID:
    return put_uuid(w, value);
  case MP_PG_JSON:
  case MP_PG_JSONB:
    return put_json(w, value);
  case MP_PG_TEXT:
  case MP_PG_VARCHAR:
  case MP_PG_BPCHAR:
  case MP_PG_NAME:
    return put_as_text(w, value);
  case MP_PG_OTHER:
  case MP_PG_UNKNOWN:
    return put_plain(w, value);
  default:
    return mp_pgwrite_mismatch(w, value); /* types that are texts, and void */
  }
}

static bool is_text(mp_pgid id)
{
  return id == MP_PG_TEXT || id == MP_PG_VARCHAR || id == MP_PG_BPCHAR || id == MP_PG_NAME;
}

mp_pgform mp_pgwrite(mp_pgwriter *w, const mp_value *value)
{
  mp_pgform form;
  if (value->kind == MP_TEXT && w->id != MP_PG_BYTEA) {
    w->data = value->s;
    w->len = value->len;
    return is_text(w->id) && !w->only_text ? MP_PG_BINARY_FORM : MP_PG_TEXT_FORM;
  }
  form = put_binary(w, value);
  return form == MP_PG_BINARY_FORM && w->only_text ? put_plain(w, value) : form;
}

/* A value for an array, or an array for a type that may be one. */
static mp_pgform write_array(mp_pgwriter *w, const mp_value *value)
{
  mp_array array;
  mp_error why = MP_ERROR_NONE;
  bool as_json = w->id == MP_PG_JSON || w->id == MP_PG_JSONB;
  switch ((mp_kind)value->kind) {
  case MP_ARRAY:
    return mp_pgwrite_array(w, value->a);
  case MP_TEXT:
    w->data = value->s;
    w->len = value->len;
    return MP_PG_TEXT_FORM;
  case MP_JSON:
    if (mp_pgarray_from_json(value, as_json, w->arena, &array, &why))
      return mp_pgwrite_array(w, &array);
    mp_error_set(w->err, w->arena, why.kind, "the server wants %s: %s", type_name(w), why.message);
    return MP_PG_REFUSED;
  default:
    return mp_pgwrite_mismatch(w, value);
  }
}

mp_pgform mp_pgwrite_param(mp_pgwriter *w, uint32_t oid, const mp_value *value)
{
  mp_pgform form;
  unsigned id = mp_pgtype_id(oid);
  w->oid = oid;
  w->id = (mp_pgid)(id & ~(unsigned)MP_PG_ARRAY);
  w->only_text = false;
  if (id & MP_PG_ARRAY || (id == MP_PG_OTHER && value->kind == MP_ARRAY))
    form = write_array(w, value);
  else
    form = mp_pgwrite(w, value);
  if (form != MP_PG_REFUSED && w->len >= INT_MAX)
    return mp_pgwrite_beyond(w, "a parameter has at most 2 GiB");
  return form;
}

bool mp_pgtype_param(uint32_t oid, const mp_value *value, mp_arena *arena, mp_pgparam *out,
                     mp_error *err)
{
  mp_pgwriter w;
  mp_pgform form;
  if (value->kind == MP_NULL) {
    *out = (mp_pgparam){.format = 1};
    return true;
  }
  w.arena = arena;
  w.err = err;
  form = mp_pgwrite_param(&w, oid, value);
  if (form == MP_PG_REFUSED)
    return false;
  if (form == MP_PG_TEXT_FORM || w.data == w.room) {
    w.data = mp_arena_memdup(arena, w.data, w.len);
    if (w.data == NULL) {
      no_memory(&w);
      return false;
    }
  }
  *out = (mp_pgparam){
      .data = w.data != NULL ? w.data : "", .len = (int)w.len, .format = form == MP_PG_BINARY_FORM};
  return true;
}
