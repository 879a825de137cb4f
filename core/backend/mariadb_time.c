/* mariadb_time.c - dates and times, as the library's structure and as text.
** The session's time zone is UTC, so a datetime and a timestamp are instants as they stand. The server's time is a
** length of time, from -838:59:59 to 838:59:59: within a day it is a time, otherwise an interval. Zero dates
** (0000-00-00, 2026-00-00), which other programs may have left, are no dates and refused. */
#include "mariadb_form.h"

#include "numeral.h"

#include <string.h>

static bool no_date(const mp_mycell *cell)
{
  mp_error_set(cell->err, cell->arena, MP_E_INVALID_DATETIME,
               "a %s whose year, month or day is zero is no date: read it as text with cast(... as "
               "char), or as NULL with nullif(..., 0)",
               mp_mytype_name(cell->column));
  return false;
}

/* A time of the server's. */
static bool clock(const mp_mycell *cell, int64_t us, mp_value *out)
{
  mp_interval *interval;
  *out = (mp_value){.kind = MP_TIME, .i = us};
  if (us >= 0 && us <= MP_DAY_US)
    return true;
  interval = mp_arena_zalloc(cell->arena, sizeof *interval);
  if (interval == NULL)
    return mp_mycell_no_memory(cell);
  interval->us = us;
  *out = (mp_value){.kind = MP_INTERVAL, .v = interval};
  return true;
}

/* Below a thousand hours; -1 for what no server sends. */
static int64_t micros(const MYSQL_TIME *t)
{
  if (t->hour > 999 || t->minute > 59 || t->second > 59 || t->second_part > 999999)
    return -1;
  return ((t->hour * INT64_C(60) + t->minute) * 60 + t->second) * 1000000 + (int64_t)t->second_part;
}

bool mp_mycell_time(const mp_mycell *cell, const MYSQL_TIME *t, mp_value *out)
{
  int64_t days = 0, us = micros(t);
  if (us < 0)
    return mp_mycell_bad(cell);
  if (cell->column->kind == MP_TIME) {
    if (t->day > 99)
      return mp_mycell_bad(cell);
    us += (int64_t)t->day * MP_DAY_US;
    return clock(cell, t->neg ? -us : us, out);
  }
  if (t->year == 0 || t->month == 0 || t->day == 0)
    return no_date(cell);
  if (us >= MP_DAY_US || t->year > 9999 || t->month > 12 ||
      !mp_days_from_date((int)t->year, (int)t->month, (int)t->day, &days))
    return mp_mycell_bad(cell);
  *out = (mp_value){.kind = (uint8_t)cell->column->kind,
                    .i = cell->column->kind == MP_DATE ? days : days * MP_DAY_US + us};
  return true;
}

/* [-]hh:mm:ss[.f] with two or three digits of hours */
static bool clock_read(const char *s, size_t n, int64_t *us)
{
  char text[MP_VALUE_TEXT_MAX] = "00"; /* the hours are read by themselves */
  bool minus = n > 0 && *s == '-';
  int64_t hours = 0;
  size_t at = minus;
  for (; at < n && at < 5 && mp_is_digit(s[at]); at++)
    hours = hours * 10 + (s[at] - '0');
  if (at == minus || at == n || s[at] != ':' || n - at > 20)
    return false;
  memcpy(text + 2, s + at, n - at);
  if (!mp_time_read(text, 2 + n - at, us))
    return false;
  *us += hours * INT64_C(3600000000);
  if (minus)
    *us = -*us;
  return true;
}

static bool is_zero_date(const char *s, size_t n)
{
  return n >= 10 &&
         (memcmp(s, "0000", 4) == 0 || memcmp(s + 5, "00", 2) == 0 || memcmp(s + 8, "00", 2) == 0);
}

bool mp_mycell_time_text(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  int64_t i;
  bool fine;
  if (cell->column->kind == MP_TIME)
    return clock_read(s, n, &i) ? clock(cell, i, out) : mp_mycell_bad(cell);
  fine = cell->column->kind == MP_DATE ? mp_date_read(s, n, &i) : mp_instant_read(s, n, false, &i);
  if (!fine)
    return is_zero_date(s, n) ? no_date(cell) : mp_mycell_bad(cell);
  *out = (mp_value){.kind = (uint8_t)cell->column->kind, .i = i};
  return true;
}

void mp_mytime(const mp_value *value, MYSQL_TIME *out)
{
  int64_t us = value->kind == MP_DATE ? 0 : value->i, days = value->kind == MP_DATE ? value->i : 0;
  int year, month, day;
  *out = (MYSQL_TIME){.time_type = value->kind == MP_TIME   ? MYSQL_TIMESTAMP_TIME
                                   : value->kind == MP_DATE ? MYSQL_TIMESTAMP_DATE
                                                            : MYSQL_TIMESTAMP_DATETIME};
  if (value->kind == MP_DATETIME || value->kind == MP_WALLTIME) {
    days = us / MP_DAY_US - (us % MP_DAY_US < 0);
    us -= days * MP_DAY_US;
  }
  if (value->kind != MP_TIME) {
    mp_days_to_date(days, &year, &month, &day);
    out->year = (unsigned)year;
    out->month = (unsigned)month;
    out->day = (unsigned)day;
  }
  out->hour = (unsigned)(us / INT64_C(3600000000));
  out->minute = (unsigned)(us / 60000000 % 60);
  out->second = (unsigned)(us / 1000000 % 60);
  out->second_part = (unsigned long)(us % 1000000);
}
