/* value.h - one database value, on its way in (a parameter) or out (a cell).
** A value is a view of 16 bytes: what it points at belongs to a request, an
** arena or a result. Text forms follow ISO 8601; all conversions are exact or
** say that they are not. No function here allocates. */
#ifndef MP_VALUE_H
#define MP_VALUE_H

#include "calendar.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The order is part of the binding's contract (core.kinds in Lua). */
typedef enum mp_kind {
  MP_NULL,
  MP_BOOL,     /* i: 0 or 1 */
  MP_INT,      /* i */
  MP_FLOAT,    /* d */
  MP_TEXT,     /* s, len: valid UTF-8 without NUL when it is a parameter */
  MP_BLOB,     /* s, len */
  MP_DECIMAL,  /* small: i * 10^-scale; otherwise s, len: canonical decimal text */
  MP_DATE,     /* i: days since 1970-01-01, proleptic Gregorian */
  MP_TIME,     /* i: microseconds since midnight */
  MP_DATETIME, /* i: microseconds since 1970-01-01T00:00:00Z, an instant */
  MP_WALLTIME, /* i: the same number for a wall-clock time without zone */
  MP_INTERVAL, /* v: months, days, microseconds */
  MP_UUID,     /* s, len = 36: text, lower case */
  MP_JSON,     /* s, len: JSON text */
  MP_ARRAY,    /* a: the server's own arrays (PostgreSQL) */
  MP_KIND_N
} mp_kind;

typedef struct mp_array mp_array;

typedef struct mp_value {
  uint8_t kind;  /* mp_kind */
  uint8_t small; /* MP_DECIMAL only: the number is in i and scale */
  uint16_t scale;
  uint32_t len;
  union {
    int64_t i;
    double d;
    const char *s;
    const mp_interval *v;
    const mp_array *a;
  };
} mp_value;

/* Items in row-major order; an empty array has no dimension. Items are no arrays themselves, but may be NULL. */
struct mp_array {
  int dim_n;       /* 0..6 */
  const int *dims; /* the length of each */
  size_t n;        /* their product */
  const mp_value *items;
};

#define MP_VALUE_NULL ((mp_value){.kind = MP_NULL})

const char *mp_kind_name(mp_kind kind);

/* The longest text that mp_value_format writes for a value that is not text,
** blob, json or a long decimal, with its NUL. */
#define MP_VALUE_TEXT_MAX 64

/* Write a boolean (true, false), number, decimal, date, time, datetime, wall time or interval as
** text: ISO 8601 with a space between date and time, no zone, and no trailing zeros in the fraction
** of a second (so that text order is time order); interval as PnYnMnDTnHnMnS. Gives the length, 0
** if the kind has no short text or a date is none of the years 1..9999. */
size_t mp_value_format(const mp_value *value, char out[MP_VALUE_TEXT_MAX]);

/* Read text (n bytes, no NUL needed) as kind. Dates in years 1..9999; "T" or space; a zone (Z, +hh,
** +hh:mm) only for MP_DATETIME, where no zone means UTC. scratch receives an interval. Text, blob
** and json are taken as they are, a uuid and a long decimal in canonical form only (convert brings
** them there). False: not a value of that kind; *out is then unchanged. */
bool mp_value_parse(mp_kind kind, const char *s, size_t n, mp_value *out, mp_interval *scratch);

/* Turn a cell as the database gave it into the kind that the reader wants, where that is exact: int
** 0/1 -> bool, text -> decimal, date, time, datetime, uuid, json; int -> decimal or float; float ->
** decimal by its shortest text (written into text, MP_VALUE_TEXT_MAX bytes); date <-> datetime at
** midnight; datetime <-> wall time (the same number); and so on. Only decimal -> float gives the
** nearest one. want MP_NULL: as it is. NULL stays NULL. False: not convertible; *value is
** unchanged. */
bool mp_value_convert(mp_value *value, mp_kind want, mp_interval *scratch, char *text);

/* The shortest decimal text that reads back as d, without exponent where that is
** at most 30 characters; Infinity, -Infinity, NaN. Gives the length. */
size_t mp_double_text(double d, char out[MP_VALUE_TEXT_MAX]);

/* Canonical decimal text: an optional minus, at least one digit before the point, no exponent, no
** plus, no leading zeros, digits of the fraction kept, no minus zero. Reads
** [+-]digits[.digits][e[+-]n]. out holds at least MP_DECIMAL_TEXT_MAX bytes. Gives the length, 0 if
** s is not a number or has too many digits. */
#define MP_DECIMAL_TEXT_MAX 1100
size_t mp_decimal_canonical(const char *s, size_t n, char *out);

/* Put canonical decimal text into *out: small where 18 digits suffice, otherwise a view of s. */
void mp_decimal_view(const char *s, size_t n, mp_value *out);

/* The offset of the first byte that is NUL or not valid UTF-8 (overlong, surrogate, beyond
** U+10FFFF), or n. */
size_t mp_text_check(const char *s, size_t n);

#endif
