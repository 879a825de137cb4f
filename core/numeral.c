/* numeral.c - numbers as text: decimals without limit of size, doubles by their shortest text.
** Where the C library reads or prints a double it is given digits and an exponent but no decimal
** point, which would be the locale's. */
#include "numeral.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 1000

/* ---- decimal text ---- */

/* [+-]digits[.digits][e[+-]n] taken apart: head and tail are the digits before and behind the
** point. */
typedef struct numeral {
  bool minus;
  const char *head, *tail;
  size_t head_n, tail_n;
  int exponent; /* within +-100000: further away the rest does not matter */
} numeral;

static bool numeral_read(const char *s, size_t n, numeral *out)
{
  const char *end = s + n;
  *out = (numeral){.minus = n > 0 && *s == '-'};
  if (n > 0 && (*s == '-' || *s == '+'))
    s++;
  for (out->head = s; s < end && mp_is_digit(*s); s++)
    ;
  out->tail = s;
  out->head_n = (size_t)(s - out->head);
  if (s < end && *s == '.') {
    for (out->tail = ++s; s < end && mp_is_digit(*s); s++)
      ;
    out->tail_n = (size_t)(s - out->tail);
  }
  if (out->head_n + out->tail_n == 0)
    return false;
  if (s < end && (*s == 'e' || *s == 'E')) {
    bool minus = ++s < end && *s == '-';
    if (s < end && (*s == '-' || *s == '+'))
      s++;
    const char *digits = s;
    for (; s < end && mp_is_digit(*s); s++)
      if (out->exponent < 100000)
        out->exponent = out->exponent * 10 + (*s - '0');
    if (s == digits)
      return false;
    if (out->exponent > 100000)
      out->exponent = 100000;
    if (minus)
      out->exponent = -out->exponent;
  }
  return s == end;
}

/* The digit at a place of the number, counted from its first written digit. */
static char numeral_digit(const numeral *num, size_t place)
{
  if (place < num->head_n)
    return num->head[place];
  place -= num->head_n;
  return place < num->tail_n ? num->tail[place] : '0';
}

size_t mp_decimal_canonical(const char *s, size_t n, char *out)
{
  numeral num;
  if (!numeral_read(s, n, &num))
    return 0;

  size_t written = num.head_n + num.tail_n, first = 0;
  while (first < written && numeral_digit(&num, first) == '0')
    first++;
  bool zero = first == written;
  int64_t point = (int64_t)num.head_n + num.exponent; /* digits before it, leading zeros too */
  int64_t scale = (int64_t)num.tail_n - num.exponent; /* digits behind it */
  int64_t start = zero || point <= (int64_t)first ? point - 1 : (int64_t)first;
  if (scale < 0)
    scale = 0;
  if (point - start + scale > DIGITS_MAX)
    return 0;

  char *p = out;
  if (num.minus && !zero)
    *p++ = '-';
  for (int64_t place = start; place < point; place++)
    *p++ = place < 0 || zero ? '0' : numeral_digit(&num, (size_t)place);
  if (scale > 0)
    *p++ = '.';
  for (int64_t place = point; place < point + scale; place++)
    *p++ = place < 0 || zero ? '0' : numeral_digit(&num, (size_t)place);
  *p = '\0';
  return (size_t)(p - out);
}

/* Canonical text of so few bytes that any number in it is small: nearly all that there are. False: some other text, or none. */
static bool short_view(const char *s, size_t n, mp_value *out)
{
  size_t start = n > 0 && *s == '-', point = n;
  uint64_t number = 0;
  for (size_t i = start; i < n; i++) {
    unsigned digit = (unsigned char)s[i] - (unsigned)'0';
    if (digit < 10)
      number = number * 10 + digit;
    else if (s[i] == '.' && point == n)
      point = i;
    else
      return false;
  }
  if (point == start || start == n || point == n - 1 || (s[start] == '0' && point > start + 1) ||
      (start == 1 && number == 0))
    return false;
  *out = (mp_value){.kind = MP_DECIMAL,
                    .small = 1,
                    .scale = (uint16_t)(point == n ? 0 : n - point - 1),
                    .i = start == 1 ? -(int64_t)number : (int64_t)number};
  return true;
}

/* Canonical text and nothing else, into *out as a view of s. False: some other text. */
static bool decimal_view(const char *s, size_t n, mp_value *out)
{
  const char *p = s, *end = s + n, *point = NULL;
  bool minus = n > 0 && *p == '-';
  if (n <= MP_SMALL_DIGITS)
    return short_view(s, n, out);
  p += minus;
  if (p == end || !mp_is_digit(*p) || (*p == '0' && p + 1 < end && p[1] != '.'))
    return false;

  uint64_t number = 0;
  bool fits = true;
  for (; p < end; p++) {
    if (mp_is_digit(*p)) {
      number = number * 10 + (uint64_t)(*p - '0');
      if (number >= (uint64_t)MP_SMALL_LIMIT)
        fits = false, number = 1; /* only zero or not counts from here on */
    } else if (*p == '.' && point == NULL && p + 1 < end) {
      point = p;
    } else {
      return false;
    }
  }
  size_t scale = point != NULL ? (size_t)(end - point) - 1 : 0;
  size_t digits = n - minus - (point != NULL);
  if ((minus && fits && number == 0) || digits > DIGITS_MAX)
    return false;

  if (fits && scale <= MP_SMALL_DIGITS)
    *out = (mp_value){.kind = MP_DECIMAL,
                      .small = 1,
                      .scale = (uint16_t)scale,
                      .i = minus ? -(int64_t)number : (int64_t)number};
  else
    *out = (mp_value){.kind = MP_DECIMAL, .len = (uint32_t)n, .s = s};
  return true;
}

void mp_decimal_view(const char *s, size_t n, mp_value *out)
{
  if (!decimal_view(s, n, out))
    *out = (mp_value){.kind = MP_DECIMAL, .len = (uint32_t)n, .s = s};
}

bool mp_numeral_decimal(const char *s, size_t n, mp_value *out, char *text)
{
  if (decimal_view(s, n, out))
    return true;
  char canonical[MP_DECIMAL_TEXT_MAX];
  size_t len = mp_decimal_canonical(s, n, canonical);
  mp_value value;
  if (len == 0 || !decimal_view(canonical, len, &value))
    return false;
  if (!value.small) {
    if (text == NULL || len >= MP_VALUE_TEXT_MAX)
      return false;
    memcpy(text, canonical, len + 1);
    value.s = text;
  }
  *out = value;
  return true;
}

size_t mp_numeral_write(int64_t i, unsigned scale, char out[MP_VALUE_TEXT_MAX])
{
  char digits[MP_VALUE_TEXT_MAX];
  unsigned n = 0;
  uint64_t rest = i < 0 ? -(uint64_t)i : (uint64_t)i;
  if (scale > 40)
    return 0;
  for (; rest != 0 || n <= scale; rest /= 10)
    digits[n++] = (char)('0' + rest % 10);
  char *p = out;
  if (i < 0)
    *p++ = '-';
  while (n > 0) {
    *p++ = digits[--n];
    if (n == scale && n > 0)
      *p++ = '.';
  }
  *p = '\0';
  return (size_t)(p - out);
}

/* ---- floats ---- */

/* The digits that printf gives for d at a precision, the point taken out (it is the locale's own).
** True when they read back as d. */
static bool digits_of(double d, int precision, bool up, char digits[24], int *exponent)
{
  char text[48];
  int n = 0;
  snprintf(text, sizeof text, "%.*e", precision - 1, d);
  const char *p = text;
  for (; *p != 'e'; p++)
    if (mp_is_digit(*p))
      digits[n++] = *p;
  *exponent = atoi(p + 1);
  if (up) {
    while (n > 0 && digits[n - 1] == '9')
      digits[--n] = '0';
    if (n == 0)
      return false;
    digits[n - 1]++;
  }
  snprintf(text, sizeof text, "%.*se%d", precision, digits, *exponent - precision + 1);
  return strtod(text, NULL) == d;
}

size_t mp_double_text(double d, char out[MP_VALUE_TEXT_MAX])
{
  if (!isfinite(d))
    return (size_t)sprintf(out, "%s", isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
  char *p = out, digits[24];
  if (signbit(d))
    *p++ = '-';
  d = fabs(d);
  if (d < 1e15 && d == (double)(int64_t)d)
    return (size_t)(p - out) + mp_numeral_write((int64_t)d, 0, p);

  /* a power of two is nearer to the number below it than to the one above: at 16 digits the
  ** shortest text may then be the one behind the nearest */
  int half, exponent, precision = d < 0x1p-1022 ? 1 : 15;
  while (precision < 17 && !digits_of(d, precision, false, digits, &exponent) &&
         !(precision == 16 && frexp(d, &half) == 0.5 &&
           digits_of(d, precision, true, digits, &exponent)))
    precision++;
  if (precision == 17)
    digits_of(d, precision, false, digits, &exponent);
  int n = precision;
  while (n > 1 && digits[n - 1] == '0')
    n--;

  int before = exponent + 1; /* digits before the point */
  int plain = before <= 0 ? 2 - before + n : before >= n ? before : n + 1;
  if (plain + (p - out) > 30) {
    *p++ = digits[0];
    if (n > 1) {
      *p++ = '.';
      memcpy(p, digits + 1, (size_t)n - 1);
      p += n - 1;
    }
    p += sprintf(p, "e%d", exponent);
  } else {
    for (int place = before < 1 ? before - 1 : 0; place < (n > before ? n : before); place++) {
      if (place == before)
        *p++ = '.';
      *p++ = place >= 0 && place < n ? digits[place] : '0';
    }
  }
  *p = '\0';
  return (size_t)(p - out);
}

bool mp_numeral_float(const char *s, size_t n, double *out)
{
  enum {
    ENOUGH = 800
  }; /* digits: what is behind them matters only by being there */
  char text[ENOUGH + 24];
  numeral num;
  if (!numeral_read(s, n, &num)) {
    bool minus = n > 0 && *s == '-';
    s += minus;
    n -= minus;
    if (mp_same_word(s, n, "infinity") || mp_same_word(s, n, "inf"))
      *out = minus ? -INFINITY : INFINITY;
    else if (!minus && mp_same_word(s, n, "nan"))
      *out = (double)NAN;
    else
      return false;
    return true;
  }

  size_t written = num.head_n + num.tail_n, place = 0;
  while (place < written && numeral_digit(&num, place) == '0')
    place++;
  char *p = text;
  if (num.minus)
    *p++ = '-';
  *p++ = '0';
  for (int i = 0; place < written && i < ENOUGH; i++)
    *p++ = numeral_digit(&num, place++);
  int64_t exponent = (int64_t)num.exponent - (int64_t)num.tail_n + (int64_t)(written - place);
  for (; place < written; place++)
    if (numeral_digit(&num, place) != '0') {
      *p++ = '1';
      exponent--;
      break;
    }
  if (exponent > 100000 || exponent < -100000)
    exponent = exponent < 0 ? -100000 : 100000;
  sprintf(p, "e%d", (int)exponent);
  double d = strtod(text, NULL);
  if (isinf(d))
    return false;
  *out = d;
  return true;
}

/* ---- floats of 32 bits ---- */

/* In the middle between two floats. */
static bool is_halfway(double digits, float f)
{
  double next = nextafterf(f, digits > f ? INFINITY : -INFINITY);
  return digits != f && digits - f == next - digits;
}

double mp_numeral_single(float f)
{
  double d = f;
  if (!isfinite(d))
    return d;
  if (fabs(d) < 0x1p24) {
    double unit = 1;
    for (int k = 0; k <= 12; k++, unit *= 10) {
      double digits = nearbyint(d * unit); /* exact: 24 bits times 5^k, shifted */
      if (fabs(digits) >= 1e9)
        break;
      if ((float)(digits / unit) == f)
        return digits == 0 ? d : digits / unit;
    }
  }
  for (int precision = 1; precision <= 9; precision++) {
    char text[48], *p = text;
    double back;
    snprintf(text, sizeof text, "%.*e", precision - 1, d);
    while (*p != '\0' && (mp_is_digit(*p) || *p == '-' || *p == 'e' || *p == '+'))
      p++;
    if (*p != '\0')
      *p = '.'; /* the locale's point */
    if (mp_numeral_float(text, strlen(text), &back) && (float)back == f && !is_halfway(back, f))
      return back;
  }
  return d;
}
