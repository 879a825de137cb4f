/* postgres_time.c - dates, times and intervals in PostgreSQL's two forms.
** Days and microseconds count from 2000-01-01. Texts are those of DateStyle ISO; an interval is
** read in the styles postgres and iso_8601. Infinity has no place in the kinds and is a text;
** years before 1 and after 9999, which the server has, are refused. */
#include "postgres_form.h"

#include "numeral.h"

#include <stdio.h>
#include <stdlib.h>

static const char infinity[] = "infinity", minus_infinity[] = "-infinity";

static bool endless(bool minus, mp_value *out)
{
  *out = (mp_value){.kind = MP_TEXT,
                    .len = minus ? sizeof minus_infinity - 1 : sizeof infinity - 1,
                    .s = minus ? minus_infinity : infinity};
  return true;
}

static bool beyond(const mp_pgcell *cell)
{
  mp_error_set(cell->err, cell->arena, MP_E_OUT_OF_RANGE,
               "a %s outside the years 1 to 9999: cast it to text", mp_pgtype_name(cell->oid));
  return false;
}

/* ---- binary ---- */

static bool binary_date(const mp_pgcell *cell, mp_value *out)
{
  if (cell->len != 4)
    return mp_pgcell_bad(cell);
  int32_t days = (int32_t)mp_pg_get32(cell->data);
  if (days == INT32_MAX || days == INT32_MIN)
    return endless(days < 0, out);
  *out = (mp_value){.kind = MP_DATE, .i = (int64_t)days + MP_PG_EPOCH_DAYS};
  return (out->i >= MP_DAY_FIRST && out->i <= MP_DAY_LAST) || beyond(cell);
}

/* Only what mp_pgtype_cell did not read: the ends of time, and what is no timestamp. */
static bool binary_timestamp(const mp_pgcell *cell, mp_value *out)
{
  if (cell->len != 8)
    return mp_pgcell_bad(cell);
  int64_t us = (int64_t)mp_pg_get64(cell->data);
  return us == INT64_MAX || us == INT64_MIN ? endless(us < 0, out) : beyond(cell);
}

static bool binary_time(const mp_pgcell *cell, mp_value *out)
{
  if (cell->len != 8)
    return mp_pgcell_bad(cell);
  int64_t us = (int64_t)mp_pg_get64(cell->data);
  *out = (mp_value){.kind = MP_TIME, .i = us};
  return (us >= 0 && us <= MP_DAY_US) || mp_pgcell_bad(cell);
}

/* 12:00:00+02: the zone travels as seconds west. */
static bool binary_timetz(const mp_pgcell *cell, mp_value *out)
{
  char text[MP_VALUE_TEXT_MAX];
  if (cell->len != 12)
    return mp_pgcell_bad(cell);
  int64_t us = (int64_t)mp_pg_get64(cell->data);
  int west = (int32_t)mp_pg_get32(cell->data + 8);
  if (us < 0 || us > MP_DAY_US || west <= -86400 || west >= 86400)
    return mp_pgcell_bad(cell);
  int n = (int)mp_time_write(us, text), zone = abs(west);
  n += sprintf(text + n, "%c%02d", west > 0 ? '-' : '+', zone / 3600);
  if (zone % 3600 != 0)
    n += sprintf(text + n, ":%02d", zone / 60 % 60);
  if (zone % 60 != 0)
    n += sprintf(text + n, ":%02d", zone % 60);
  return mp_pgcell_text(cell, text, (size_t)n, out);
}

static bool interval_out(const mp_pgcell *cell, const mp_interval *interval, mp_value *out)
{
  mp_interval *copy = mp_arena_alloc(cell->arena, sizeof *copy);
  if (copy == NULL)
    return mp_pgcell_no_memory(cell);
  *copy = *interval;
  *out = (mp_value){.kind = MP_INTERVAL, .v = copy};
  return true;
}

static bool binary_interval(const mp_pgcell *cell, mp_value *out)
{
  if (cell->len != 16)
    return mp_pgcell_bad(cell);
  mp_interval v = {.us = (int64_t)mp_pg_get64(cell->data),
                   .days = (int32_t)mp_pg_get32(cell->data + 8),
                   .months = (int32_t)mp_pg_get32(cell->data + 12)};
  if (v.us == INT64_MAX && v.days == INT32_MAX && v.months == INT32_MAX)
    return endless(false, out); /* since 17 */
  if (v.us == INT64_MIN && v.days == INT32_MIN && v.months == INT32_MIN)
    return endless(true, out);
  return interval_out(cell, &v, out);
}

/* ---- text ---- */

/* A year of more than four digits, or BC: the server has it, the kinds do not. */
static bool is_far(const char *s, size_t n)
{
  size_t digits = 0;
  while (digits < n && mp_is_digit(s[digits]))
    digits++;
  return digits > 4 || (digits == 4 && n > 3 && memcmp(s + n - 3, " BC", 3) == 0);
}

/* +02, -03:30, +00:19:32: the whole of s, in microseconds east. */
static bool zone_read(const char *s, size_t n, int64_t *us)
{
  int part[3] = {0, 0, 0}, parts = 0;
  if (n < 3 || (*s != '+' && *s != '-'))
    return false;
  for (size_t at = 1; at < n; at += 3) {
    if (parts == 3 || n - at < 2 || !mp_is_digit(s[at]) || !mp_is_digit(s[at + 1]) ||
        (n - at > 2 && (s[at + 2] != ':' || n - at == 3)))
      return false;
    part[parts++] = (s[at] - '0') * 10 + (s[at + 1] - '0');
  }
  if (part[1] > 59 || part[2] > 59)
    return false;
  *us = (part[0] * INT64_C(3600) + part[1] * 60 + part[2]) * (*s == '-' ? -1000000 : 1000000);
  return true;
}

static bool text_timestamp(const mp_pgcell *cell, mp_value *out)
{
  bool zoned = cell->id == MP_PG_TIMESTAMPTZ;
  size_t clock = cell->len;
  int64_t us, offset = 0;
  if (zoned) {
    for (clock = cell->len < 11 ? cell->len : 11; clock < cell->len; clock++)
      if (cell->data[clock] == '+' || cell->data[clock] == '-')
        break;
    if (clock == cell->len || !zone_read(cell->data + clock, cell->len - clock, &offset))
      return is_far(cell->data, cell->len) ? beyond(cell) : mp_pgcell_bad(cell);
  }
  if (!mp_instant_read(cell->data, clock, false, &us))
    return is_far(cell->data, cell->len) ? beyond(cell) : mp_pgcell_bad(cell);
  us -= offset;
  if (us < MP_INSTANT_FIRST || us > MP_INSTANT_LAST)
    return beyond(cell);
  *out = (mp_value){.kind = zoned ? MP_DATETIME : MP_WALLTIME, .i = us};
  return true;
}

/* [-]hh:mm:ss[.f], hours without limit */
static bool clock_read(const char *s, size_t n, int64_t *us)
{
  const char *end = s + n;
  bool minus = n > 0 && *s == '-';
  int64_t hours = 0, rest;
  char text[MP_VALUE_TEXT_MAX];
  if (n > 0 && (*s == '-' || *s == '+'))
    s++;
  const char *digits = s;
  for (; s < end && mp_is_digit(*s) && hours < INT64_C(10000000000); s++)
    hours = hours * 10 + (*s - '0');
  n = (size_t)(end - s);
  if (s == digits || n < 6 || n > 20 || *s != ':')
    return false;
  memcpy(text, "00", 2); /* the rest is a time of the first hour */
  memcpy(text + 2, s, n);
  if (!mp_time_read(text, n + 2, &rest) ||
      __builtin_mul_overflow(hours, minus ? INT64_C(-3600000000) : INT64_C(3600000000), us))
    return false;
  return !__builtin_add_overflow(*us, minus ? -rest : rest, us);
}

/* "1 year 2 mons -3 days +04:05:06.789", the server's default */
static bool verbose_interval(const char *s, size_t n, mp_interval *out)
{
  static const struct {
    const char *name;
    int months, days;
  } units[] = {{"year", 12, 0}, {"years", 12, 0}, {"mon", 1, 0},
               {"mons", 1, 0},  {"day", 0, 1},    {"days", 0, 1}};
  const char *end = s + n;
  int64_t months = 0, days = 0, us = 0;
  if (n == 0)
    return false;
  while (s < end) {
    const char *word = s;
    int64_t number = 0;
    bool minus = *s == '-';
    s += *s == '-' || *s == '+';
    const char *digits = s;
    for (; s < end && mp_is_digit(*s) && number < INT64_C(10000000000); s++)
      number = number * 10 + (*s - '0');
    if (s < end && *s == ':') {
      if (!clock_read(word, (size_t)(end - word), &us))
        return false;
      s = end;
      break;
    }
    if (s == digits || s == end || *s++ != ' ')
      return false;
    for (word = s; s < end && *s != ' ';)
      s++;
    size_t i = 0, count = sizeof units / sizeof *units;
    while (i < count && (strlen(units[i].name) != (size_t)(s - word) ||
                         memcmp(units[i].name, word, (size_t)(s - word)) != 0))
      i++;
    if (i == count)
      return false;
    number = minus ? -number : number;
    months += number * units[i].months;
    days += number * units[i].days;
    s += s + 1 < end; /* the blank before the next part */
  }
  if (s != end || months != (int32_t)months || days != (int32_t)days)
    return false;
  *out = (mp_interval){(int32_t)months, (int32_t)days, us};
  return true;
}

static bool text_time(const mp_pgcell *cell, mp_value *out)
{
  const char *s = cell->data;
  size_t n = cell->len;
  mp_interval interval;
  bool whole = n > 0 && *s == '-';
  if (cell->id != MP_PG_TIME && mp_same_word(s + whole, n - whole, infinity))
    return endless(whole, out);
  switch (cell->id) {
  case MP_PG_DATE:
    *out = (mp_value){.kind = MP_DATE};
    if (mp_date_read(s, n, &out->i))
      return true;
    return is_far(s, n) ? beyond(cell) : mp_pgcell_bad(cell);
  case MP_PG_TIME:
    *out = (mp_value){.kind = MP_TIME};
    return mp_time_read(s, n, &out->i) || mp_pgcell_bad(cell);
  case MP_PG_INTERVAL:
    if (mp_interval_read(s, n, &interval) || verbose_interval(s, n, &interval))
      return interval_out(cell, &interval, out);
    return mp_pgcell_bad(cell);
  case MP_PG_TIMETZ:
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)n, .s = s};
    return true;
  default:
    return text_timestamp(cell, out);
  }
}

bool mp_pgcell_time(const mp_pgcell *cell, mp_value *out)
{
  if (!cell->binary)
    return text_time(cell, out);
  switch (cell->id) {
  case MP_PG_DATE:
    return binary_date(cell, out);
  case MP_PG_TIME:
    return binary_time(cell, out);
  case MP_PG_TIMETZ:
    return binary_timetz(cell, out);
  case MP_PG_INTERVAL:
    return binary_interval(cell, out);
  default:
    return binary_timestamp(cell, out);
  }
}
