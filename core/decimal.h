/* decimal.h - exact decimal arithmetic, of any length up to MP_DECIMAL_DIGITS_MAX digits.
** One implementation for mp.decimal in Lua and for the functions that SQLite is given, so that
** both always agree. Operands are values of kind MP_DECIMAL (small or long) or MP_INT. A result
** is MP_DECIMAL: small when its digits without the point are at most 18 and its scale at most
** 18, otherwise a view of canonical text written into text (MP_DECIMAL_TEXT_MAX bytes, given by
** the caller, not NULL). out may be an operand and text may be the text of an operand. Never a
** minus zero. */
#ifndef MP_DECIMAL_H
#define MP_DECIMAL_H

#include "value.h"

/* Digits of a result, those of the fraction included; more: out_of_range. */
#define MP_DECIMAL_DIGITS_MAX 1000

/* The results below are MP_OK, MP_E_OUT_OF_RANGE, MP_E_DIVISION_BY_ZERO or MP_E_OUT_OF_MEMORY;
** on failure *out is unchanged. Scale: digits behind the point. */

/* Scale: the greater of both. 1.20 + 3 = 4.20 */
mp_status mp_decimal_add(const mp_value *a, const mp_value *b, mp_value *out, char *text);
mp_status mp_decimal_sub(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* Scale: the sum of both. 1.20 * 0.5 = 0.600 */
mp_status mp_decimal_mul(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* Calculated to s + 6 digits behind the point, s being the greater scale of both, but at most 30
** (or s, when that is more), rounded half away from zero; then zeros at the end are dropped as long as
** more than s digits remain. 1 / 3 = 0.333333, 1.00 / 4 = 0.25, 7 / 2 = 3.5, 6.00 / 3 = 2.00 */
mp_status mp_decimal_div(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* The quotient cut towards zero; scale 0. -7 // 2 = -3 */
mp_status mp_decimal_idiv(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* a - b * idiv(a, b): exact, with the sign of a. Scale: the greater of both. */
mp_status mp_decimal_mod(const mp_value *a, const mp_value *b, mp_value *out, char *text);

mp_status mp_decimal_neg(const mp_value *a, mp_value *out, char *text);

/* The same number with exactly scale (0..MP_DECIMAL_DIGITS_MAX) digits behind the point, rounded
** half away from zero, as PostgreSQL and MariaDB do. */
mp_status mp_decimal_quantize(const mp_value *a, int scale, mp_value *out, char *text);

/* By value: 1.20 equals 1.2. Below, equal to, above zero. */
int mp_decimal_cmp(const mp_value *a, const mp_value *b);

bool mp_decimal_is_zero(const mp_value *a);
int mp_decimal_scale(const mp_value *a);

/* Read [+-]digits[.digits][e[+-]n] into *out; the digits of the fraction are kept. False: not a
** number, or too long. */
bool mp_decimal_read(const char *s, size_t n, mp_value *out, char *text);

/* Canonical text (value.h) with a NUL behind it; the length. */
size_t mp_decimal_write(const mp_value *a, char text[MP_DECIMAL_TEXT_MAX]);

/* The integer, if it is one and fits (5.00 is 5). The nearest double, correctly rounded. */
bool mp_decimal_integer(const mp_value *a, int64_t *out);
double mp_decimal_double(const mp_value *a);

#endif
