/* decimal.c - exact decimal arithmetic.
** A number is a coefficient and a scale. Up to 38 digits the coefficient is calculated in 128 bits;
** what does not fit there is calculated by OpenSSL's BIGNUM. Both ways have the same rules for
** scale and rounding, which are written in decimal.h. Reads and writes canonical text only. */
#include "decimal.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 wide;

#define WIDE_DIGITS 38 /* 10^38 < 2^127 */
#define SMALL_DIGITS 18
#define DIV_EXTRA 6
#define DIV_SCALE 30

/* One operand, decoded. */
typedef struct number {
  wide c;    /* the coefficient, if it fits */
  bool fits; /* otherwise only text holds it */
  int scale;
  const char *text;
  size_t len;
} number;

static wide power_of_ten(int n)
{
  static const uint64_t powers[] = {
      1u,
      10u,
      100u,
      1000u,
      10000u,
      100000u,
      1000000u,
      10000000u,
      100000000u,
      1000000000u,
      10000000000u,
      100000000000u,
      1000000000000u,
      10000000000000u,
      100000000000000u,
      1000000000000000u,
      10000000000000000u,
      100000000000000000u,
      1000000000000000000u,
      10000000000000000000u,
  };
  return n <= 19 ? (wide)powers[n] : (wide)powers[19] * (wide)powers[n - 19];
}

static void load(const mp_value *value, number *out)
{
  *out = (number){.fits = true, .c = value->i};
  if (value->kind != MP_DECIMAL)
    return;
  if (value->small) {
    out->scale = value->scale;
    return;
  }
  const char *s = value->s, *end = s + value->len;
  bool minus = s < end && *s == '-';
  const char *point = memchr(s, '.', value->len);
  out->text = s;
  out->len = value->len;
  out->scale = point != NULL ? (int)(end - point) - 1 : 0;
  out->c = 0;
  for (s += minus; s < end && (*s == '0' || *s == '.');)
    s++; /* 0.00012 has two digits */
  if ((size_t)(end - s) - (point != NULL && point >= s) > WIDE_DIGITS) {
    out->fits = false;
    return;
  }
  for (; s < end; s++)
    if (*s != '.')
      out->c = out->c * 10 + (*s - '0');
  if (minus)
    out->c = -out->c;
}

/* Write digits (no sign, no leading zeros; "" or "0" is zero) with scale digits behind the
** point. */
static mp_status store_digits(const char *digits, size_t n, bool minus, int scale, mp_value *out,
                              char *text)
{
  while (n > 0 && *digits == '0')
    digits++, n--;
  size_t whole = n > (size_t)scale ? n - (size_t)scale : 0;
  if (whole + (size_t)scale > MP_DECIMAL_DIGITS_MAX)
    return MP_E_OUT_OF_RANGE;
  char buffer[MP_DECIMAL_TEXT_MAX]; /* digits may come from text itself */
  char *p = buffer;
  if (minus && n > 0)
    *p++ = '-';
  if (whole == 0)
    *p++ = '0';
  memcpy(p, digits, whole);
  p += whole;
  if (scale > 0) {
    size_t zeros = (size_t)scale - (n - whole);
    *p++ = '.';
    memset(p, '0', zeros);
    memcpy(p + zeros, digits + whole, n - whole);
    p += scale;
  }
  *p = '\0';
  memcpy(text, buffer, (size_t)(p - buffer) + 1);
  *out = (mp_value){.kind = MP_DECIMAL, .len = (uint32_t)(p - buffer), .s = text};
  return MP_OK;
}

static bool is_small(wide c, int scale)
{
  const wide limit = (wide)1000000000000000000; /* 10^SMALL_DIGITS */
  return c < limit && c > -limit && scale <= SMALL_DIGITS;
}

static mp_status store(wide c, int scale, mp_value *out, char *text)
{
  if (is_small(c, scale)) {
    *out = (mp_value){.kind = MP_DECIMAL, .small = 1, .scale = (uint16_t)scale, .i = (int64_t)c};
    return MP_OK;
  }
  char digits[WIDE_DIGITS + 2];
  char *end = digits + sizeof digits, *p = end;
  unsigned __int128 u = c < 0 ? -(unsigned __int128)c : (unsigned __int128)c;
  for (; u > 0; u /= 10)
    *--p = (char)('0' + (int)(u % 10));
  return store_digits(p, (size_t)(end - p), c < 0, scale, out, text);
}

/* c * 10^n; false when it does not fit. */
static bool shift(wide c, int n, wide *out)
{
  if (c == 0 || n == 0) {
    *out = c;
    return true;
  }
  return n <= WIDE_DIGITS && !__builtin_mul_overflow(c, power_of_ten(n), out);
}

static bool align(const number *a, const number *b, int scale, wide *ca, wide *cb)
{
  return a->fits && b->fits && shift(a->c, scale - a->scale, ca) &&
         shift(b->c, scale - b->scale, cb);
}

/* Quotient of n / d rounded half away from zero, as the databases do. d > 0 or d < 0, never 0. */
static wide divide_rounded(wide n, wide d)
{
  wide q = n / d, r = n % d;
  if (r == 0)
    return q;
  /* |r| against |d| - |r|, because 2 * |r| may not fit */
  wide ar = r < 0 ? -r : r, rest = (d < 0 ? -d : d) - ar;
  if (ar >= rest)
    q += (n < 0) == (d < 0) ? 1 : -1;
  return q;
}

static int greater(int a, int b)
{
  return a > b ? a : b;
}

static int division_scale(int s)
{
  int wanted = s + DIV_EXTRA < DIV_SCALE ? s + DIV_EXTRA : DIV_SCALE;
  return greater(wanted, s);
}

/* ---- the long way ---- */

typedef enum bigop {
  BIG_ADD,
  BIG_SUB,
  BIG_MUL,
  BIG_DIV,
  BIG_IDIV,
  BIG_MOD,
  BIG_QUANTIZE
} bigop;

static BIGNUM *big_load(const mp_value *value)
{
  char text[MP_DECIMAL_TEXT_MAX], digits[MP_DECIMAL_TEXT_MAX];
  size_t n = mp_decimal_write(value, text), m = 0;
  for (size_t i = 0; i < n; i++)
    if (text[i] != '.')
      digits[m++] = text[i];
  digits[m] = '\0';
  BIGNUM *big = NULL;
  return BN_dec2bn(&big, digits) != 0 ? big : NULL;
}

/* big *= 10^n */
static bool big_shift(BIGNUM *big, int n, BN_CTX *ctx)
{
  bool ok = n == 0;
  BIGNUM *ten = BN_new(), *power = BN_new(), *exponent = BN_new();
  if (!ok && ten != NULL && power != NULL && exponent != NULL)
    ok = BN_set_word(ten, 10) && BN_set_word(exponent, (BN_ULONG)n) &&
         BN_exp(power, ten, exponent, ctx) && BN_mul(big, big, power, ctx);
  BN_free(ten);
  BN_free(power);
  BN_free(exponent);
  return ok;
}

/* q = n / d rounded half away from zero. */
static bool big_divide_rounded(BIGNUM *q, const BIGNUM *n, const BIGNUM *d, BN_CTX *ctx)
{
  bool minus = BN_is_negative(n) != BN_is_negative(d);
  BIGNUM *r = BN_new(), *twice = BN_new();
  bool ok = r != NULL && twice != NULL && BN_div(q, r, n, d, ctx) && BN_lshift1(twice, r);
  if (ok) {
    int order = BN_ucmp(twice, d);
    if (order >= 0)
      ok = minus ? BN_sub_word(q, 1) : BN_add_word(q, 1);
  }
  BN_free(r);
  BN_free(twice);
  return ok;
}

static mp_status big_store(BIGNUM *c, int scale, int min_scale, mp_value *out, char *text)
{
  char *digits = BN_bn2dec(c);
  if (digits == NULL)
    return MP_E_OUT_OF_MEMORY;
  bool minus = digits[0] == '-';
  const char *first = digits + minus;
  size_t n = strlen(first);
  while (scale > min_scale && n > 1 && first[n - 1] == '0')
    n--, scale--;
  if (BN_is_zero(c))
    scale = min_scale;
  mp_status st = store_digits(first, n, minus, scale, out, text);
  OPENSSL_free(digits);
  if (st == MP_OK && n <= SMALL_DIGITS) {
    number small;
    load(out, &small);
    st = store(small.c, scale, out, text);
  }
  return st;
}

static mp_status big(bigop op, const mp_value *a, const mp_value *b, int scale, mp_value *out,
                     char *text)
{
  int sa = mp_decimal_scale(a), sb = b != NULL ? mp_decimal_scale(b) : 0;
  int s = greater(sa, sb), result_scale = s, min_scale;
  mp_status st = MP_E_OUT_OF_MEMORY;
  BN_CTX *ctx = BN_CTX_new();
  BIGNUM *x = big_load(a), *y = b != NULL ? big_load(b) : BN_new(), *z = BN_new();
  bool ok = ctx != NULL && x != NULL && y != NULL && z != NULL;

  switch (op) {
  case BIG_ADD:
  case BIG_SUB:
    ok = ok && big_shift(x, s - sa, ctx) && big_shift(y, s - sb, ctx) &&
         (op == BIG_ADD ? BN_add(z, x, y) : BN_sub(z, x, y));
    break;
  case BIG_MUL:
    result_scale = sa + sb;
    ok = ok && BN_mul(z, x, y, ctx);
    break;
  case BIG_DIV:
    result_scale = division_scale(s);
    ok = ok && big_shift(x, result_scale - sa + sb, ctx) && big_divide_rounded(z, x, y, ctx);
    break;
  case BIG_IDIV:
  case BIG_MOD:
    result_scale = op == BIG_IDIV ? 0 : s;
    ok = ok && big_shift(x, s - sa, ctx) && big_shift(y, s - sb, ctx) &&
         (op == BIG_IDIV ? BN_div(z, NULL, x, y, ctx) : BN_div(NULL, z, x, y, ctx));
    break;
  case BIG_QUANTIZE:
    result_scale = scale;
    ok = ok && BN_one(y) && big_shift(scale >= sa ? x : y, abs(scale - sa), ctx) &&
         big_divide_rounded(z, x, y, ctx);
    break;
  }
  min_scale = op == BIG_DIV ? s : result_scale;
  if (ok)
    st = big_store(z, result_scale, min_scale, out, text);
  BN_free(x);
  BN_free(y);
  BN_free(z);
  BN_CTX_free(ctx);
  return st;
}

/* ---- the operations ---- */

mp_status mp_decimal_add(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide ca, cb, c;
  load(a, &x);
  load(b, &y);
  int s = greater(x.scale, y.scale);
  if (align(&x, &y, s, &ca, &cb) && !__builtin_add_overflow(ca, cb, &c))
    return store(c, s, out, text);
  return big(BIG_ADD, a, b, 0, out, text);
}

mp_status mp_decimal_sub(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide ca, cb, c;
  load(a, &x);
  load(b, &y);
  int s = greater(x.scale, y.scale);
  if (align(&x, &y, s, &ca, &cb) && !__builtin_sub_overflow(ca, cb, &c))
    return store(c, s, out, text);
  return big(BIG_SUB, a, b, 0, out, text);
}

mp_status mp_decimal_mul(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide c;
  load(a, &x);
  load(b, &y);
  if (x.fits && y.fits && !__builtin_mul_overflow(x.c, y.c, &c))
    return store(c, x.scale + y.scale, out, text);
  return big(BIG_MUL, a, b, 0, out, text);
}

mp_status mp_decimal_div(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide c;
  if (mp_decimal_is_zero(b))
    return MP_E_DIVISION_BY_ZERO;
  load(a, &x);
  load(b, &y);
  int s = greater(x.scale, y.scale), scale = division_scale(s);
  if (!x.fits || !y.fits || !shift(x.c, scale - x.scale + y.scale, &c))
    return big(BIG_DIV, a, b, 0, out, text);
  c = divide_rounded(c, y.c);
  for (; scale > s && c % 10 == 0; scale--)
    c /= 10;
  return store(c, scale, out, text);
}

mp_status mp_decimal_idiv(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide ca, cb;
  if (mp_decimal_is_zero(b))
    return MP_E_DIVISION_BY_ZERO;
  load(a, &x);
  load(b, &y);
  if (align(&x, &y, greater(x.scale, y.scale), &ca, &cb))
    return store(ca / cb, 0, out, text);
  return big(BIG_IDIV, a, b, 0, out, text);
}

mp_status mp_decimal_mod(const mp_value *a, const mp_value *b, mp_value *out, char *text)
{
  number x, y;
  wide ca, cb;
  if (mp_decimal_is_zero(b))
    return MP_E_DIVISION_BY_ZERO;
  load(a, &x);
  load(b, &y);
  int s = greater(x.scale, y.scale);
  if (align(&x, &y, s, &ca, &cb))
    return store(ca % cb, s, out, text);
  return big(BIG_MOD, a, b, 0, out, text);
}

mp_status mp_decimal_neg(const mp_value *a, mp_value *out, char *text)
{
  number x;
  load(a, &x);
  if (x.fits)
    return store(-x.c, x.scale, out, text);
  bool minus = x.text[0] == '-';
  size_t n = x.len - minus;
  memmove(text + !minus, x.text + minus, n);
  if (!minus)
    text[0] = '-';
  n += !minus;
  text[n] = '\0';
  *out = (mp_value){.kind = MP_DECIMAL, .len = (uint32_t)n, .s = text};
  return MP_OK;
}

mp_status mp_decimal_quantize(const mp_value *a, int scale, mp_value *out, char *text)
{
  number x;
  wide c;
  if (scale < 0 || scale > MP_DECIMAL_DIGITS_MAX)
    return MP_E_OUT_OF_RANGE;
  load(a, &x);
  if (x.fits && scale >= x.scale && shift(x.c, scale - x.scale, &c))
    return store(c, scale, out, text);
  if (x.fits && scale < x.scale && x.scale - scale < WIDE_DIGITS)
    return store(divide_rounded(x.c, power_of_ten(x.scale - scale)), scale, out, text);
  return big(BIG_QUANTIZE, a, NULL, scale, out, text);
}

/* Compares the magnitudes of two canonical texts without sign. */
static int compare_texts(const char *a, size_t n, const char *b, size_t m)
{
  const char *pa = memchr(a, '.', n), *pb = memchr(b, '.', m);
  size_t wa = pa != NULL ? (size_t)(pa - a) : n, wb = pb != NULL ? (size_t)(pb - b) : m;
  if (wa != wb)
    return wa < wb ? -1 : 1; /* no leading zeros: more digits are more */
  int order = memcmp(a, b, wa);
  for (size_t i = wa + 1; order == 0 && (i < n || i < m); i++)
    order = (i < n ? a[i] : '0') - (i < m ? b[i] : '0');
  return order;
}

int mp_decimal_cmp(const mp_value *a, const mp_value *b)
{
  number x, y;
  wide ca, cb;
  load(a, &x);
  load(b, &y);
  if (align(&x, &y, greater(x.scale, y.scale), &ca, &cb))
    return ca < cb ? -1 : ca > cb;
  char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
  size_t n = mp_decimal_write(a, ta), m = mp_decimal_write(b, tb);
  bool minus = ta[0] == '-';
  if (minus != (tb[0] == '-'))
    return minus ? -1 : 1;
  int order = compare_texts(ta + minus, n - minus, tb + minus, m - minus);
  return minus ? -order : order;
}

bool mp_decimal_is_zero(const mp_value *a)
{
  number x;
  if (a->kind != MP_DECIMAL || a->small)
    return a->i == 0;
  load(a, &x);
  if (x.fits)
    return x.c == 0;
  return strspn(x.text, "-0.") >= x.len;
}

int mp_decimal_scale(const mp_value *a)
{
  number x;
  load(a, &x);
  return x.scale;
}

/* The common case, [-]digits[.digits] of at most 18 digits, without a second pass. */
static bool read_small(const char *s, size_t n, mp_value *out)
{
  bool minus = n > 0 && *s == '-';
  int64_t c = 0;
  size_t digits = 0, i = minus, point = 0;
  if (n - i > SMALL_DIGITS + 1)
    return false;
  for (; i < n; i++) {
    unsigned digit = (unsigned char)s[i] - (unsigned)'0';
    if (digit <= 9 && digits < SMALL_DIGITS) {
      c = c * 10 + (int64_t)digit;
      digits++;
    } else if (s[i] == '.' && point == 0 && digits > 0) {
      point = i + 1;
    } else {
      return false;
    }
  }
  if (digits == 0 || point == n)
    return false;
  *out = (mp_value){.kind = MP_DECIMAL,
                    .small = 1,
                    .scale = (uint16_t)(point > 0 ? n - point : 0),
                    .i = minus ? -c : c};
  return true;
}

bool mp_decimal_read(const char *s, size_t n, mp_value *out, char *text)
{
  if (read_small(s, n, out))
    return true;
  size_t len = mp_decimal_canonical(s, n, text);
  if (len == 0 || len > MP_DECIMAL_DIGITS_MAX + 2)
    return false;
  mp_value view = {.kind = MP_DECIMAL, .len = (uint32_t)len, .s = text};
  number x;
  load(&view, &x);
  *out = view;
  return !x.fits || store(x.c, x.scale, out, text) == MP_OK;
}

size_t mp_decimal_write(const mp_value *a, char text[MP_DECIMAL_TEXT_MAX])
{
  if (a->kind == MP_DECIMAL && !a->small) {
    memmove(text, a->s, a->len);
    text[a->len] = '\0';
    return a->len;
  }
  char digits[24];
  char *end = digits + sizeof digits, *p = end;
  uint64_t u = a->i < 0 ? -(uint64_t)a->i : (uint64_t)a->i;
  int scale = a->kind == MP_DECIMAL ? a->scale : 0;
  mp_value written = {.len = 0};
  for (; u > 0; u /= 10)
    *--p = (char)('0' + (int)(u % 10));
  /* cannot fail: scale is at most 18 wherever a small value was made */
  store_digits(p, (size_t)(end - p), a->i < 0, scale, &written, text);
  return written.len;
}

bool mp_decimal_integer(const mp_value *a, int64_t *out)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value whole;
  number x;
  if (mp_decimal_quantize(a, 0, &whole, text) != MP_OK || mp_decimal_cmp(&whole, a) != 0)
    return false;
  load(&whole, &x);
  if (!x.fits || x.c < INT64_MIN || x.c > INT64_MAX)
    return false;
  *out = (int64_t)x.c;
  return true;
}

double mp_decimal_double(const mp_value *a)
{
  /* strtod reads a point as the process's locale says, so the text has none: digits and exponent */
  char text[MP_DECIMAL_TEXT_MAX], digits[MP_DECIMAL_TEXT_MAX + 16];
  size_t n = mp_decimal_write(a, text), m = 0;
  int scale = mp_decimal_scale(a);
  for (size_t i = 0; i < n; i++)
    if (text[i] != '.')
      digits[m++] = text[i];
  snprintf(digits + m, sizeof digits - m, "e-%d", scale);
  return strtod(digits, NULL);
}
