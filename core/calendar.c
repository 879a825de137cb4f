/* calendar.c - dates, times and intervals as numbers and as ISO 8601 text.
** Reading rows is mostly reading these texts, so the canonical forms are read digit by digit,
** without sscanf or strftime, which would also ask the locale. */
#include "calendar.h"

#include <string.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)

/* ---- days ---- */

/* Years are counted from March here: the leap day is then the last day of its year. */
#define MARCH_YEAR_0 719468 /* days from 0000-03-01 to 1970-01-01 */
#define DAYS_400_YEARS 146097

static bool leap(int year)
{
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int mp_month_days(int year, int month)
{
  static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap(year) ? 29 : days[month - 1];
}

bool mp_days_from_date(int year, int month, int day, int64_t *days)
{
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 ||
      (day > 28 && day > mp_month_days(year, month)))
    return false;

  int y = month > 2 ? year : year - 1;
  int months = month > 2 ? month - 3 : month + 9; /* since March */
  int day_of_year = (153 * months + 2) / 5 + day - 1;
  *days = y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - MARCH_YEAR_0;
  return true;
}

void mp_days_to_date(int64_t days, int *year, int *month, int *day)
{
  int since = (int)days + MARCH_YEAR_0;
  int cycle = since / DAYS_400_YEARS, rest = since % DAYS_400_YEARS;
  int y = (rest - rest / 1460 + rest / 36524 - rest / (DAYS_400_YEARS - 1)) / 365;
  int day_of_year = rest - (y * 365 + y / 4 - y / 100);
  int months = (5 * day_of_year + 2) / 153;
  *day = day_of_year - (153 * months + 2) / 5 + 1;
  *month = months < 10 ? months + 3 : months - 9;
  *year = cycle * 400 + y + (*month <= 2 ? 1 : 0);
}

/* Days of an instant, cut towards the past. */
static int64_t day_of(int64_t us)
{
  return us >= 0 ? us / MP_DAY_US : -((-us + MP_DAY_US - 1) / MP_DAY_US);
}

bool mp_instant_add_months(int64_t *us, int64_t months)
{
  int year, month, day;
  int64_t days = day_of(*us), moved;
  mp_days_to_date(days, &year, &month, &day);

  int64_t total = (int64_t)year * 12 + (month - 1) + months;
  if (total < 12 || total >= 10000 * 12)
    return false;
  year = (int)(total / 12);
  month = (int)(total % 12) + 1;
  int last = mp_month_days(year, month);
  if (!mp_days_from_date(year, month, day < last ? day : last, &moved))
    return false;
  *us += (moved - days) * MP_DAY_US;
  return true;
}

/* ---- reading ---- */

static inline bool digit(char c)
{
  return (unsigned)(c - '0') < 10;
}

/* Two digits, or a negative number. */
static inline int two(const char *s)
{
  return digit(s[0]) && digit(s[1]) ? (s[0] - '0') * 10 + (s[1] - '0') : -1;
}

bool mp_date_read(const char *s, size_t n, int64_t *days)
{
  if (n != 10 || s[4] != '-' || s[7] != '-')
    return false;
  int century = two(s), year = two(s + 2);
  if (century < 0 || year < 0)
    return false;
  return mp_days_from_date(century * 100 + year, two(s + 5), two(s + 8), days);
}

/* The digits behind a point: microseconds in *us. Gives how many characters it took, 0 if they do
** not fit. */
static size_t fraction(const char *s, size_t n, int64_t *us)
{
  static const int64_t unit[7] = {0, 100000, 10000, 1000, 100, 10, 1};
  size_t i = 0;
  int64_t value = 0;
  for (; i < n && digit(s[i]); i++) {
    if (i < 6)
      value += (s[i] - '0') * unit[i + 1];
    else if (s[i] != '0')
      return 0; /* finer than a microsecond: it would be lost */
  }
  *us = value;
  return i;
}

/* A time at the start of s. Gives how many characters it took, 0 if there is none. */
static size_t clock_read(const char *s, size_t n, int64_t *us)
{
  if (n < 5 || s[2] != ':')
    return 0;
  int hour = two(s), minute = two(s + 3), second = 0;
  int64_t rest = 0;
  size_t used = 5;
  if (n >= 8 && s[5] == ':') {
    second = two(s + 6);
    used = 8;
    if (n > 9 && s[8] == '.') {
      size_t digits = fraction(s + 9, n - 9, &rest);
      if (digits == 0)
        return 0;
      used = 9 + digits;
    }
  }
  if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59)
    return 0;
  rest += hour * HOUR_US + minute * MINUTE_US + second * SECOND_US;
  if (rest > MP_DAY_US)
    return 0;
  *us = rest;
  return used;
}

bool mp_time_read(const char *s, size_t n, int64_t *us)
{
  int64_t value;
  if (n == 0 || clock_read(s, n, &value) != n)
    return false;
  *us = value;
  return true;
}

/* Z, +hh, +hhmm, +hh:mm, the whole of s: the offset east of Greenwich. */
static bool zone_read(const char *s, size_t n, int64_t *us)
{
  *us = 0;
  if (n == 1)
    return s[0] == 'Z' || s[0] == 'z';
  if (n < 3 || (s[0] != '+' && s[0] != '-'))
    return false;
  int hour = two(s + 1), minute = 0;
  if (n == 5)
    minute = two(s + 3);
  else if (n == 6 && s[3] == ':')
    minute = two(s + 4);
  else if (n != 3)
    return false;
  if (hour < 0 || hour > 15 || minute < 0 || minute > 59)
    return false;
  *us = (hour * HOUR_US + minute * MINUTE_US) * (s[0] == '-' ? -1 : 1);
  return true;
}

bool mp_instant_read(const char *s, size_t n, bool zoned, int64_t *us)
{
  int64_t days, time = 0, offset = 0;
  if (n < 10 || !mp_date_read(s, 10, &days))
    return false;
  if (n > 10) {
    if (s[10] != ' ' && s[10] != 'T' && s[10] != 't')
      return false;
    size_t used = clock_read(s + 11, n - 11, &time);
    if (used == 0 || time == MP_DAY_US)
      return false;
    used += 11;
    if (used < n && (!zoned || !zone_read(s + used, n - used, &offset)))
      return false;
  }
  int64_t value = days * MP_DAY_US + time - offset;
  if (value < MP_INSTANT_FIRST || value > MP_INSTANT_LAST)
    return false; /* an offset may carry it out */
  *us = value;
  return true;
}

/* *sum += sign * number * unit, unless it overflows. */
static bool gather(int64_t *sum, int sign, uint64_t number, int64_t unit)
{
  int64_t part;
  return number <= INT64_MAX && !__builtin_mul_overflow((int64_t)number, unit * sign, &part) &&
         !__builtin_add_overflow(*sum, part, sum);
}

bool mp_interval_read(const char *s, size_t n, mp_interval *out)
{
  static const char order[] = "YMWDTHMS"; /* the T stands between the two M */
  static const int64_t unit[] = {12, 1, 7, 1, 0, HOUR_US, MINUTE_US, SECOND_US};
  const char *end = s + n;
  int64_t months = 0, days = 0, us = 0;
  int whole = 1;
  size_t next = 0;    /* what may still come, as an index of order */
  bool wanted = true; /* P and T promise a part */

  if (s < end && (*s == '-' || *s == '+'))
    whole = *s++ == '-' ? -1 : 1;
  if (s == end || *s++ != 'P')
    return false;

  while (s < end) {
    if (*s == 'T') {
      if (next > 4)
        return false;
      next = 5;
      wanted = true;
      s++;
      continue;
    }

    int sign = whole;
    if (*s == '-' || *s == '+')
      sign = *s++ == '-' ? -whole : whole;
    uint64_t number = 0;
    const char *digits = s;
    for (; s < end && digit(*s); s++) {
      if (number > (UINT64_MAX - 9) / 10)
        return false;
      number = number * 10 + (uint64_t)(*s - '0');
    }
    if (s == digits)
      return false;
    int64_t rest = 0;
    bool has_fraction = s < end && *s == '.';
    if (has_fraction) {
      size_t used = fraction(s + 1, (size_t)(end - s) - 1, &rest);
      if (used == 0)
        return false;
      s += 1 + used;
    }
    if (s == end)
      return false;

    size_t stop = next > 4 ? 8 : 4;
    while (next < stop && order[next] != *s)
      next++;
    if (next == stop || (has_fraction && *s != 'S'))
      return false;
    int64_t *sum = next < 2 ? &months : next < 4 ? &days : &us;
    if (!gather(sum, sign, number, unit[next]) || !gather(sum, sign, (uint64_t)rest, 1))
      return false;
    next++;
    wanted = false;
    s++;
  }
  if (wanted || months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX)
    return false;
  *out = (mp_interval){(int32_t)months, (int32_t)days, us};
  return true;
}

/* ---- writing ---- */

static inline char *put_two(char *p, unsigned n)
{
  p[0] = (char)('0' + n / 10);
  p[1] = (char)('0' + n % 10);
  return p + 2;
}

static char *put_number(char *p, uint64_t n)
{
  char digits[20];
  int i = 0;
  do
    digits[i++] = (char)('0' + n % 10);
  while ((n /= 10) != 0);
  while (i > 0)
    *p++ = digits[--i];
  return p;
}

static char *put_fraction(char *p, unsigned us)
{
  if (us == 0)
    return p;
  *p++ = '.';
  for (unsigned unit = 100000; us != 0; us %= unit, unit /= 10)
    *p++ = (char)('0' + us / unit);
  return p;
}

static char *put_date(char *p, int64_t days)
{
  int year, month, day;
  mp_days_to_date(days, &year, &month, &day);
  p = put_two(p, (unsigned)year / 100);
  p = put_two(p, (unsigned)year % 100);
  *p++ = '-';
  p = put_two(p, (unsigned)month);
  *p++ = '-';
  return put_two(p, (unsigned)day);
}

static char *put_clock(char *p, int64_t us)
{
  unsigned seconds = (unsigned)(us / SECOND_US);
  p = put_two(p, seconds / 3600);
  *p++ = ':';
  p = put_two(p, seconds / 60 % 60);
  *p++ = ':';
  p = put_two(p, seconds % 60);
  return put_fraction(p, (unsigned)(us % SECOND_US));
}

static size_t finish(char *out, char *end)
{
  *end = '\0';
  return (size_t)(end - out);
}

size_t mp_date_write(int64_t days, char *out)
{
  bool fine = days >= MP_DAY_FIRST && days <= MP_DAY_LAST;
  return finish(out, fine ? put_date(out, days) : out);
}

size_t mp_time_write(int64_t us, char *out)
{
  return finish(out, us >= 0 && us <= MP_DAY_US ? put_clock(out, us) : out);
}

size_t mp_instant_write(int64_t us, char *out)
{
  if (us < MP_INSTANT_FIRST || us > MP_INSTANT_LAST)
    return finish(out, out);
  int64_t days = day_of(us);
  char *p = put_date(out, days);
  *p++ = ' ';
  return finish(out, put_clock(p, us - days * MP_DAY_US));
}

/* One part of an interval with its letter; nothing for a zero. */
static char *put_part(char *p, uint64_t n, bool negative, char letter)
{
  if (n == 0)
    return p;
  if (negative)
    *p++ = '-';
  p = put_number(p, n);
  *p++ = letter;
  return p;
}

static uint64_t magnitude(int64_t n)
{
  return n < 0 ? -(uint64_t)n : (uint64_t)n;
}

size_t mp_interval_write(const mp_interval *interval, char *out)
{
  char *p = out;
  uint64_t months = magnitude(interval->months), us = magnitude(interval->us);
  *p++ = 'P';
  p = put_part(p, months / 12, interval->months < 0, 'Y');
  p = put_part(p, months % 12, interval->months < 0, 'M');
  p = put_part(p, magnitude(interval->days), interval->days < 0, 'D');
  if (us != 0) {
    *p++ = 'T';
    p = put_part(p, us / HOUR_US, interval->us < 0, 'H');
    p = put_part(p, us / MINUTE_US % 60, interval->us < 0, 'M');
    if (us % MINUTE_US != 0) {
      if (interval->us < 0)
        *p++ = '-';
      p = put_number(p, us / SECOND_US % 60);
      p = put_fraction(p, (unsigned)(us % SECOND_US));
      *p++ = 'S';
    }
  }
  if (p == out + 1) {
    memcpy(p, "T0S", 3);
    p += 3;
  }
  return finish(out, p);
}
