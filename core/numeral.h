/* numeral.h - numbers as text, for value.c and decimal.c.
** Together with mp_decimal_canonical, mp_decimal_view and mp_double_text of value.h the only place
** that reads and writes digits. No locale is asked: it would choose another decimal point. */
#ifndef MP_NUMERAL_H
#define MP_NUMERAL_H

#include "value.h"

/* A decimal is small up to here: 18 digits, so that a sum of two and a product by ten still fit. */
#define MP_SMALL_DIGITS 18
#define MP_SMALL_LIMIT INT64_C(1000000000000000000)

static inline bool mp_is_digit(char c)
{
  return (unsigned)(c - '0') < 10;
}

/* Is the text this word of small letters, written in either case? */
static inline bool mp_same_word(const char *s, size_t n, const char *word)
{
  for (size_t i = 0; i < n; i++)
    if (word[i] == '\0' || (s[i] | 0x20) != word[i])
      return false;
  return word[n] == '\0';
}

/* Any decimal text into *out. A long one is a view of s if that is canonical, otherwise of text
** (MP_VALUE_TEXT_MAX bytes, may be s); false where it has no room there, text is NULL, or s is no
** number. */
bool mp_numeral_decimal(const char *s, size_t n, mp_value *out, char *text);

/* The nearest double; also inf, infinity and nan in any case. False: no number, or beyond the
** largest. */
bool mp_numeral_float(const char *s, size_t n, double *out);

/* The double nearest to the shortest text that reads back as f: 0.1 is 0.1, not the double of its four bytes. */
double mp_numeral_single(float f);

/* i * 10^-scale with a NUL; the length, 0 for a scale above 40. */
size_t mp_numeral_write(int64_t i, unsigned scale, char out[MP_VALUE_TEXT_MAX]);

#endif
