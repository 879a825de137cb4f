/* calendar.h - dates, times and intervals as numbers and as ISO 8601 text.
** The proleptic Gregorian calendar in the years 1 to 9999, days counted from 1970-01-01. Texts have
** a space between date and time, no zone, and no zeros at the end of a fraction, so that the
** order of texts is the order of times. Knows no kinds of values and no local time. */
#ifndef MP_CALENDAR_H
#define MP_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_DAY_FIRST (-719162) /* 0001-01-01 */
#define MP_DAY_LAST 2932896    /* 9999-12-31 */
#define MP_DAY_US INT64_C(86400000000)
#define MP_INSTANT_FIRST (MP_DAY_FIRST * MP_DAY_US)
#define MP_INSTANT_LAST ((MP_DAY_LAST + 1) * MP_DAY_US - 1)

typedef struct mp_interval {
  int32_t months, days;
  int64_t us;
} mp_interval;

/* month 1..12; year may be any year. */
int mp_month_days(int year, int month);

/* False when it is no date of the years 1..9999; *days is then unchanged. */
bool mp_days_from_date(int year, int month, int day, int64_t *days);
void mp_days_to_date(int64_t days, int *year, int *month, int *day);

/* An instant moved by whole months: the day is cut to the length of the new month. False when it
** leaves the years 1..9999; *us is then unchanged. */
bool mp_instant_add_months(int64_t *us, int64_t months);

/* Read a whole text. False: not in that form, no such day, or outside the years 1..9999; *out is
** then unchanged. A fraction of a second has any number of digits, of which those behind the sixth
** must be zeros. */
bool mp_date_read(const char *s, size_t n, int64_t *days);
bool mp_time_read(const char *s, size_t n, int64_t *us); /* hh:mm[:ss[.f]], 24:00:00 included */

/* date[(T or space)time[zone]]; zone Z, +hh, +hhmm or +hh:mm, only if zoned. Without one: as it
** stands. */
bool mp_instant_read(const char *s, size_t n, bool zoned, int64_t *us);

/* [sign]PnYnMnWnDTnHnMn.nS, each part with a sign of its own if it likes. */
bool mp_interval_read(const char *s, size_t n, mp_interval *out);

/* Write with a NUL, at most 64 bytes; the length, 0 for a number that is none of the years
** 1..9999. */
size_t mp_date_write(int64_t days, char *out);
size_t mp_time_write(int64_t us, char *out);
size_t mp_instant_write(int64_t us, char *out);
size_t mp_interval_write(const mp_interval *interval, char *out);

#endif
