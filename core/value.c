/* value.c - values as text and values of one kind turned into another.
** Every canonical form is read without a detour, since each row of SQLite and MariaDB passes here.
** The texts of numbers are numeral.c, those of dates calendar.c; calculating with decimals is
** decimal.c. */
#include "value.h"

#include "numeral.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define UUID_LEN 36

const char *mp_kind_name(mp_kind kind)
{
  static const char *const names[MP_KIND_N] = {"null",     "bool",     "int",  "float", "text",
                                               "blob",     "decimal",  "date", "time",  "datetime",
                                               "walltime", "interval", "uuid", "json",  "array"};
  return (unsigned)kind < MP_KIND_N ? names[kind] : "unknown";
}

/* ---- text ---- */

/* The length of the UTF-8 sequence at s, whose first byte is not ASCII; 0 if it is none. */
static size_t sequence(const unsigned char *s, size_t n)
{
  unsigned char low = 0x80, high = 0xBF; /* what the second byte may be */
  size_t len;
  if (s[0] >= 0xC2 && s[0] <= 0xDF) {
    len = 2;
  } else if ((s[0] & 0xF0) == 0xE0) {
    len = 3;
    if (s[0] == 0xE0)
      low = 0xA0; /* overlong below */
    else if (s[0] == 0xED)
      high = 0x9F; /* surrogates above */
  } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
    len = 4;
    if (s[0] == 0xF0)
      low = 0x90;
    else if (s[0] == 0xF4)
      high = 0x8F; /* U+10FFFF */
  } else {
    return 0;
  }
  if (n < len || s[1] < low || s[1] > high)
    return 0;
  for (size_t i = 2; i < len; i++)
    if ((s[i] & 0xC0) != 0x80)
      return 0;
  return len;
}

/* Are these eight bytes ASCII without a NUL? False: one of them may not be. */
static inline bool is_plain(const unsigned char *s)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
  uint64_t word;
  memcpy(&word, s, sizeof word);
  return ((word | (word - ones)) & tops) == 0;
}

size_t mp_text_check(const char *text, size_t n)
{
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;
  while (i < n) {
    while (n - i >= 8 && is_plain(s + i))
      i += 8;
    size_t stop = i + 8;
    if (n - i < 8) {
      stop = n;
      if (n >= 8 && is_plain(s + n - 8))
        return n;
    }
    while (i < stop) {
      size_t len = s[i] < 0x80 ? s[i] != 0 : sequence(s + i, n - i);
      if (len == 0)
        return i;
      i += len;
    }
  }
  return n;
}

/* ---- parse and format ---- */

static bool int_read(const char *s, size_t n, int64_t *out)
{
  const char *end = s + n;
  bool minus = n > 0 && *s == '-';
  uint64_t number = 0, limit = (uint64_t)INT64_MAX + minus;
  if (n > 0 && (*s == '-' || *s == '+'))
    s++;
  if (s == end)
    return false;
  for (; s < end; s++) {
    if (!mp_is_digit(*s) || number > limit / 10)
      return false;
    number = number * 10 + (uint64_t)(*s - '0');
    if (number > limit)
      return false;
  }
  *out = minus ? (int64_t)-number : (int64_t)number;
  return true;
}

static bool bool_read(const char *s, size_t n, int64_t *out)
{
  bool yes = mp_same_word(s, n, "true") || mp_same_word(s, n, "t") || (n == 1 && *s == '1');
  if (!yes && !mp_same_word(s, n, "false") && !mp_same_word(s, n, "f") && !(n == 1 && *s == '0'))
    return false;
  *out = yes;
  return true;
}

/* 8-4-4-4-12 hexadecimal digits; lower tells whether all letters are small. */
static bool uuid_read(const char *s, size_t n, bool *lower)
{
  *lower = true;
  if (n != UUID_LEN)
    return false;
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-')
        return false;
    } else if (c >= 'A' && c <= 'F') {
      *lower = false;
    } else if (!mp_is_digit(c) && !(c >= 'a' && c <= 'f')) {
      return false;
    }
  }
  return true;
}

bool mp_value_parse(mp_kind kind, const char *s, size_t n, mp_value *out, mp_interval *scratch)
{
  mp_value value = {.kind = (uint8_t)kind};
  bool fine = false, lower;
  switch (kind) {
  case MP_BOOL:
    fine = bool_read(s, n, &value.i);
    break;
  case MP_INT:
    fine = int_read(s, n, &value.i);
    break;
  case MP_FLOAT:
    fine = mp_numeral_float(s, n, &value.d);
    break;
  case MP_DECIMAL:
    return mp_numeral_decimal(s, n, out, NULL);
  case MP_DATE:
    fine = mp_date_read(s, n, &value.i);
    break;
  case MP_TIME:
    fine = mp_time_read(s, n, &value.i);
    break;
  case MP_DATETIME:
  case MP_WALLTIME:
    fine = mp_instant_read(s, n, kind == MP_DATETIME, &value.i);
    break;
  case MP_INTERVAL:
    fine = mp_interval_read(s, n, scratch);
    value.v = scratch;
    break;
  case MP_UUID:
    fine = uuid_read(s, n, &lower) && lower;
    value.s = s;
    value.len = (uint32_t)n;
    break;
  case MP_TEXT:
  case MP_BLOB:
  case MP_JSON:
    fine = n <= UINT32_MAX;
    value.s = s;
    value.len = (uint32_t)n;
    break;
  case MP_NULL:
  case MP_ARRAY:
  case MP_KIND_N:
    break;
  }
  if (fine)
    *out = value;
  return fine;
}

size_t mp_value_format(const mp_value *value, char out[MP_VALUE_TEXT_MAX])
{
  out[0] = '\0';
  switch ((mp_kind)value->kind) {
  case MP_BOOL:
    return (size_t)sprintf(out, "%s", value->i != 0 ? "true" : "false");
  case MP_INT:
    return mp_numeral_write(value->i, 0, out);
  case MP_FLOAT:
    return mp_double_text(value->d, out);
  case MP_DECIMAL:
    return value->small ? mp_numeral_write(value->i, value->scale, out) : 0;
  case MP_DATE:
    return mp_date_write(value->i, out);
  case MP_TIME:
    return mp_time_write(value->i, out);
  case MP_DATETIME:
  case MP_WALLTIME:
    return mp_instant_write(value->i, out);
  case MP_INTERVAL:
    return mp_interval_write(value->v, out);
  case MP_NULL:
  case MP_TEXT:
  case MP_BLOB:
  case MP_UUID:
  case MP_JSON:
  case MP_ARRAY:
  case MP_KIND_N:
    break;
  }
  return 0;
}

/* ---- convert ---- */

/* clang-format off */
static const int64_t tens[MP_SMALL_DIGITS + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000,
    100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
    10000000000000000, 100000000000000000, 1000000000000000000};
/* clang-format on */

static bool float_to_int(double d, int64_t *out)
{
  if (!(d >= -0x1p63 && d < 0x1p63) || d != floor(d))
    return false;
  *out = (int64_t)d;
  return true;
}

static bool decimal_to_int(const mp_value *value, int64_t *out)
{
  if (value->small) {
    int64_t unit = tens[value->scale];
    *out = value->i / unit;
    return value->i % unit == 0;
  }
  const char *point = memchr(value->s, '.', value->len);
  size_t whole = point != NULL ? (size_t)(point - value->s) : value->len;
  for (size_t i = whole + 1; i < value->len; i++)
    if (value->s[i] != '0')
      return false;
  return int_read(value->s, whole, out);
}

static bool decimal_to_float(const mp_value *value, double *out)
{
  char text[MP_VALUE_TEXT_MAX];
  if (!value->small)
    return mp_numeral_float(value->s, value->len, out);
  if (value->i > -(INT64_C(1) << 53) && value->i < INT64_C(1) << 53) {
    *out = (double)value->i / (double)tens[value->scale]; /* both exact: rounded once */
    return true;
  }
  return mp_numeral_float(text, mp_numeral_write(value->i, value->scale, text), out);
}

static bool uuid_from_bytes(const char *s, char *text)
{
  static const char hex[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *text++ = '-';
    *text++ = hex[(unsigned char)s[i] >> 4];
    *text++ = hex[(unsigned char)s[i] & 15];
  }
  *text = '\0';
  return true;
}

static bool from_text(mp_value *value, mp_kind want, mp_interval *scratch, char *text)
{
  bool lower;
  if (want == MP_DECIMAL)
    return mp_numeral_decimal(value->s, value->len, value, text);
  if (want != MP_UUID || !uuid_read(value->s, value->len, &lower) || lower)
    return mp_value_parse(want, value->s, value->len, value, scratch);
  for (size_t i = 0; i < UUID_LEN; i++)
    text[i] = (char)(value->s[i] | (value->s[i] >= 'A' && value->s[i] <= 'F' ? 0x20 : 0));
  text[UUID_LEN] = '\0';
  *value = (mp_value){.kind = MP_UUID, .len = UUID_LEN, .s = text};
  return true;
}

/* Number, date and so on -> text or json, written into text. */
static bool to_text(mp_value *value, mp_kind want, char *text)
{
  bool long_decimal = value->kind == MP_DECIMAL && !value->small;
  size_t n = long_decimal ? value->len : mp_value_format(value, text);
  if (n == 0)
    return false;
  *value =
      (mp_value){.kind = (uint8_t)want, .len = (uint32_t)n, .s = long_decimal ? value->s : text};
  return true;
}

static bool to_int(const mp_value *value, int64_t *i)
{
  *i = value->i;
  return value->kind == MP_INT || value->kind == MP_BOOL ||
         (value->kind == MP_FLOAT && float_to_int(value->d, i)) ||
         (value->kind == MP_DECIMAL && decimal_to_int(value, i));
}

static bool to_decimal(mp_value *value, char *text)
{
  if (value->kind == MP_INT && value->i > -MP_SMALL_LIMIT && value->i < MP_SMALL_LIMIT) {
    *value = (mp_value){.kind = MP_DECIMAL, .small = 1, .i = value->i};
    return true;
  }
  if (value->kind != MP_INT && value->kind != MP_FLOAT)
    return false;
  return mp_numeral_decimal(text, mp_value_format(value, text), value, text);
}

static bool to_float(const mp_value *value, double *d)
{
  int64_t back = 0;
  if (value->kind == MP_DECIMAL)
    return decimal_to_float(value, d);
  *d = (double)value->i;
  return value->kind == MP_INT && float_to_int(*d, &back) && back == value->i;
}

bool mp_value_convert(mp_value *value, mp_kind want, mp_interval *scratch, char *text)
{
  mp_kind kind = (mp_kind)value->kind;
  if (kind == want || kind == MP_NULL || want == MP_NULL)
    return true;
  if (kind == MP_TEXT)
    return from_text(value, want, scratch, text);

  int64_t i = 0;
  double d = 0;
  bool timed = kind == MP_DATETIME || kind == MP_WALLTIME;
  switch (want) {
  case MP_BOOL:
    if (kind != MP_INT || (value->i != 0 && value->i != 1))
      return false;
    i = value->i;
    break;
  case MP_INT:
    if (!to_int(value, &i))
      return false;
    break;
  case MP_FLOAT:
    if (!to_float(value, &d))
      return false;
    *value = (mp_value){.kind = MP_FLOAT, .d = d};
    return true;
  case MP_DECIMAL:
    return to_decimal(value, text);
  case MP_DATE:
    i = value->i / MP_DAY_US;
    if (!timed || value->i % MP_DAY_US != 0)
      return false;
    break;
  case MP_DATETIME:
  case MP_WALLTIME:
    if (!timed && kind != MP_DATE)
      return false;
    i = timed ? value->i : value->i * MP_DAY_US;
    break;
  case MP_INTERVAL:
    if (kind != MP_TIME)
      return false;
    *scratch = (mp_interval){.us = value->i};
    *value = (mp_value){.kind = MP_INTERVAL, .v = scratch};
    return true;
  case MP_TEXT:
    if (kind != MP_BLOB && kind != MP_UUID && kind != MP_JSON)
      return to_text(value, want, text);
    if (kind == MP_BLOB && mp_text_check(value->s, value->len) != value->len)
      return false;
    value->kind = MP_TEXT;
    return true;
  case MP_JSON:
    return (kind == MP_INT || kind == MP_BOOL || (kind == MP_FLOAT && isfinite(value->d))) &&
           to_text(value, want, text);
  case MP_UUID:
    if (kind != MP_BLOB || value->len != 16 || !uuid_from_bytes(value->s, text))
      return false;
    *value = (mp_value){.kind = MP_UUID, .len = UUID_LEN, .s = text};
    return true;
  default:
    return false;
  }
  *value = (mp_value){.kind = (uint8_t)want, .i = i};
  return true;
}
