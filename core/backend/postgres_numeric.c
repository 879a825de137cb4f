/* postgres_numeric.c - numeric, money and float4.
** A numeric travels as digits to the base 10000, a sign, the weight of the first digit and how
** many decimal digits are shown behind the point; zeros at both ends are left out. What an
** mp_value cannot be, NaN and the infinities, is a float here; more than 1000 digits are
** refused. */
#include "postgres_form.h"

#include "decimal.h"
#include "numeral.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_BYTES 8
#define MINUS 0x4000
#define NOT_A_NUMBER 0xC000
#define PLUS_INFINITY 0xD000
#define MINUS_INFINITY 0xF000

static const int64_t tens[MP_SMALL_DIGITS + 1] = {1,
                                                  10,
                                                  100,
                                                  1000,
                                                  10000,
                                                  100000,
                                                  1000000,
                                                  10000000,
                                                  100000000,
                                                  1000000000,
                                                  10000000000,
                                                  100000000000,
                                                  1000000000000,
                                                  10000000000000,
                                                  100000000000000,
                                                  1000000000000000,
                                                  10000000000000000,
                                                  100000000000000000,
                                                  1000000000000000000};

typedef struct numeric {
  const char *groups;
  int n, weight, scale;
  bool minus;
} numeric;

static int group(const numeric *num, int i)
{
  return i >= 0 && i < num->n ? mp_pg_get16(num->groups + 2 * i) : 0;
}

/* A numeric that 18 digits can hold; those of up to 16 digits are calculated in 64 bits. */
static bool small_numeric(const numeric *num, mp_value *out)
{
  int shift =
      4 * (num->weight - num->n + 1) + num->scale; /* from the last group to the last digit */
  unsigned __int128 number = 0;
  if (num->n > 9 || num->scale > MP_SMALL_DIGITS || shift > MP_SMALL_DIGITS || shift < -3)
    return false;
  if (num->n <= 4) {
    uint64_t few = 0;
    for (int i = 0; i < num->n; i++)
      few = few * 10000 + mp_pg_get16(num->groups + 2 * i);
    if (shift < 0) {
      if (few % (uint64_t)tens[-shift] != 0)
        return false;
      few /= (uint64_t)tens[-shift];
      shift = 0;
    }
    number = few;
  } else {
    for (int i = 0; i < num->n; i++)
      number = number * 10000 + mp_pg_get16(num->groups + 2 * i);
    if (shift < 0) {
      if (number % (uint64_t)tens[-shift] != 0)
        return false;
      number /= (uint64_t)tens[-shift];
      shift = 0;
    }
  }
  if (number >= (uint64_t)MP_SMALL_LIMIT)
    return false;
  if (shift > 0) {
    number *= (uint64_t)tens[shift];
    if (number >= (uint64_t)MP_SMALL_LIMIT)
      return false;
  }
  *out = (mp_value){.kind = MP_DECIMAL,
                    .small = 1,
                    .scale = (uint16_t)num->scale,
                    .i = num->minus ? -(int64_t)number : (int64_t)number};
  return true;
}

static bool too_long(const mp_pgcell *cell)
{
  mp_error_set(cell->err, cell->arena, MP_E_OUT_OF_RANGE,
               "a numeric of more than %d digits: round it, or cast it to text",
               MP_DECIMAL_DIGITS_MAX);
  return false;
}

/* Any other, as canonical text. */
static bool long_numeric(const mp_pgcell *cell, const numeric *num, mp_value *out)
{
  int last = num->weight + (num->scale + 3) / 4; /* the group of the last digit that is shown */
  char digits[8], *text, *p;
  bool begun = false;
  if (num->weight > MP_DECIMAL_DIGITS_MAX / 4 || num->scale > MP_DECIMAL_DIGITS_MAX)
    return too_long(cell);
  for (int i = last + 1; i < num->n; i++)
    if (i >= 0 && group(num, i) != 0)
      return mp_pgcell_bad(cell); /* digits behind those that are shown */
  text = mp_arena_alloc(cell->arena, MP_DECIMAL_DIGITS_MAX + 32);
  if (text == NULL)
    return mp_pgcell_no_memory(cell);
  p = text;
  if (num->minus)
    *p++ = '-';
  for (int i = 0; i <= num->weight; i++) {
    sprintf(digits, "%04d", group(num, i));
    for (int k = 0; k < 4; k++) {
      begun = begun || digits[k] != '0';
      if (begun)
        *p++ = digits[k];
    }
  }
  if (!begun)
    *p++ = '0';
  if (p - text - num->minus + num->scale > MP_DECIMAL_DIGITS_MAX)
    return too_long(cell);
  if (num->scale > 0) {
    *p++ = '.';
    for (int place = 0; place < num->scale; place++) {
      if (place % 4 == 0)
        sprintf(digits, "%04d", group(num, num->weight + 1 + place / 4));
      *p++ = digits[place % 4];
    }
    for (int place = num->scale % 4; place != 0 && place < 4; place++)
      if (digits[place] != '0')
        return mp_pgcell_bad(cell);
  }
  *p = '\0';
  mp_decimal_view(text, (size_t)(p - text), out);
  return true;
}

static bool text_numeric(const mp_pgcell *cell, mp_value *out)
{
  char text[MP_DECIMAL_TEXT_MAX];
  double d;
  if (mp_numeral_decimal(cell->data, cell->len, out, NULL))
    return true;
  if (mp_decimal_read(cell->data, cell->len, out, text)) {
    const char *copy = out->small ? NULL : mp_arena_memdup(cell->arena, out->s, out->len);
    if (out->small)
      return true;
    out->s = copy;
    return copy != NULL || mp_pgcell_no_memory(cell);
  }
  if (cell->len <= MP_DECIMAL_DIGITS_MAX && mp_numeral_float(cell->data, cell->len, &d) &&
      !isfinite(d)) {
    *out = (mp_value){.kind = MP_FLOAT, .d = d};
    return true;
  }
  return cell->len > MP_DECIMAL_DIGITS_MAX ? too_long(cell) : mp_pgcell_bad(cell);
}

bool mp_pgcell_numeric(const mp_pgcell *cell, mp_value *out)
{
  numeric num;
  unsigned sign, scale;
  if (!cell->binary)
    return text_numeric(cell, out);
  if (cell->len < HEAD_BYTES)
    return mp_pgcell_bad(cell);
  num.n = mp_pg_get16(cell->data);
  num.weight = (int16_t)mp_pg_get16(cell->data + 2);
  sign = mp_pg_get16(cell->data + 4);
  scale = mp_pg_get16(cell->data + 6);
  num.groups = cell->data + HEAD_BYTES;
  if (cell->len != HEAD_BYTES + 2 * (size_t)num.n || scale > 0x3FFF)
    return mp_pgcell_bad(cell);
  if (sign == NOT_A_NUMBER || sign == PLUS_INFINITY || sign == MINUS_INFINITY) {
    double d = sign == PLUS_INFINITY ? INFINITY : -INFINITY;
    *out = (mp_value){.kind = MP_FLOAT, .d = sign == NOT_A_NUMBER ? (double)NAN : d};
    return true;
  }
  num.scale = (int)scale;
  if (sign != 0 && sign != MINUS)
    return mp_pgcell_bad(cell);
  for (int i = 0; i < num.n; i++)
    if (group(&num, i) > 9999)
      return mp_pgcell_bad(cell);
  while (num.n > 0 &&
         group(&num, 0) == 0) /* the server sends none, but it would be no less right */
    num.n--, num.weight--, num.groups += 2;
  if (num.n == 0)
    num.weight = -1;
  num.minus = sign == MINUS && num.n > 0;
  return small_numeric(&num, out) || long_numeric(cell, &num, out);
}

void mp_pgwrite_numeric(mp_pgwriter *w, const char *s, size_t n)
{
  const char *end = s + n, *point;
  bool minus = n > 0 && *s == '-';
  char *p = w->room + HEAD_BYTES, *last = p;
  int head, tail, weight, groups = 0;
  s += minus;
  point = memchr(s, '.', (size_t)(end - s));
  head = (int)((point != NULL ? point : end) - s);
  tail = point != NULL ? (int)(end - point) - 1 : 0;
  weight = (head + 3) / 4 - 1;
  for (int place = head - 4 * (weight + 1); place < head + tail; place += 4) {
    int number = 0;
    for (int k = place; k < place + 4; k++) {
      char c = k < 0 || k >= head + tail ? '0' : k < head ? s[k] : point[1 + k - head];
      number = number * 10 + (c - '0');
    }
    if (number == 0 && groups == 0) {
      weight--; /* a zero before the first digit */
      continue;
    }
    mp_pg_put16(p, (uint16_t)number);
    p += 2;
    groups++;
    if (number != 0)
      last = p;
  }
  groups = (int)(last - (w->room + HEAD_BYTES)) / 2;
  mp_pg_put16(w->room, (uint16_t)groups);
  mp_pg_put16(w->room + 2, (uint16_t)(groups > 0 ? weight : 0));
  mp_pg_put16(w->room + 4, minus && groups > 0 ? MINUS : 0);
  mp_pg_put16(w->room + 6, (uint16_t)tail);
  w->data = w->room;
  w->len = (size_t)(last - w->room);
}

#define QUICK_SCALE 16 /* the fraction fits into 64 bits with its last group filled up */

bool mp_pgwrite_small(mp_pgwriter *w, int64_t number, unsigned scale)
{
  uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number, whole, part;
  uint16_t groups[9]; /* up to five before the point, four behind it */
  int before = 0, from = 0, n, fraction = ((int)scale + 3) / 4;
  if (scale > QUICK_SCALE)
    return false;
  whole = left / (uint64_t)tens[scale];
  part = left % (uint64_t)tens[scale] * (uint64_t)tens[4 * fraction - (int)scale];
  for (uint64_t rest = whole; rest > 0; rest /= 10000)
    before++;
  n = before + fraction;
  for (int i = n - 1; i >= before; i--, part /= 10000)
    groups[i] = (uint16_t)(part % 10000);
  for (int i = before - 1; i >= 0; i--, whole /= 10000)
    groups[i] = (uint16_t)(whole % 10000);
  while (n > 0 && groups[n - 1] == 0)
    n--;
  while (from < n && groups[from] == 0)
    from++;
  mp_pg_put16(w->room, (uint16_t)(n - from));
  mp_pg_put16(w->room + 2, (uint16_t)(n > 0 ? before - 1 - from : 0));
  mp_pg_put16(w->room + 4, number < 0 ? MINUS : 0);
  mp_pg_put16(w->room + 6, (uint16_t)scale);
  w->data = w->room;
  w->len = HEAD_BYTES + 2 * (size_t)(n - from);
  for (char *p = w->room + HEAD_BYTES; from < n; from++, p += 2)
    mp_pg_put16(p, groups[from]);
  return true;
}

/* ---- money: 64 bits of hundredths, as text in the form of the server's locale ---- */

bool mp_pgcell_money(const mp_pgcell *cell, mp_value *out)
{
  int64_t cents = 0;
  char text[MP_VALUE_TEXT_MAX], *copy;
  if (cell->binary) {
    if (cell->len != 8)
      return mp_pgcell_bad(cell);
    cents = (int64_t)mp_pg_get64(cell->data);
  } else { /* -$1,234.56 */
    const char *s = cell->data, *end = s + cell->len;
    bool minus = s < end && *s == '-';
    s += minus;
    s += s < end && *s == '$';
    if (end - s < 4 || end[-3] != '.' || !mp_is_digit(*s))
      return mp_pgcell_bad(cell);
    for (; s < end; s++) {
      int digit = minus ? '0' - *s : *s - '0';
      if (*s == ',' || s == end - 3)
        continue;
      if (!mp_is_digit(*s) || __builtin_mul_overflow(cents, INT64_C(10), &cents) ||
          __builtin_add_overflow(cents, (int64_t)digit, &cents))
        return mp_pgcell_bad(cell);
    }
  }
  if (cents > -MP_SMALL_LIMIT && cents < MP_SMALL_LIMIT) {
    *out = (mp_value){.kind = MP_DECIMAL, .small = 1, .scale = 2, .i = cents};
    return true;
  }
  size_t n = mp_numeral_write(cents, 2, text);
  copy = mp_arena_memdup(cell->arena, text, n);
  if (copy == NULL)
    return mp_pgcell_no_memory(cell);
  mp_decimal_view(copy, n, out);
  return true;
}

/* ---- float4: 0.1 is 0.1, not the double nearest to its four bytes ---- */

bool mp_pgcell_float4(const mp_pgcell *cell, mp_value *out)
{
  uint32_t bits;
  float f;
  *out = (mp_value){.kind = MP_FLOAT};
  if (!cell->binary)
    return mp_numeral_float(cell->data, cell->len, &out->d) || mp_pgcell_bad(cell);
  if (cell->len != 4)
    return mp_pgcell_bad(cell);
  bits = mp_pg_get32(cell->data);
  memcpy(&f, &bits, sizeof f);
  out->d = mp_numeral_single(f);
  return true;
}
