/* sqlite_time.c - dates, times and intervals, which are ISO texts, calculated as mp.date and its like
** are. NULL in, NULL out.
**   mp_time_move(x, by, sign)   a date or a datetime moved by an interval, or by a number of days
**   mp_time_between(a, b)       the interval from a to b: days between dates, else seconds
** Errors: "not a time", "time out of range"; their meaning is in sqlite_error.c. */
#include "sqlite.h"

#include "calendar.h"

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)
#define TEXT_MAX 64

typedef enum form {
  NONE,
  DATE,
  TIME,
  INSTANT
} form;

/* A text as microseconds, a date as those of its midnight. */
static form read_time(sqlite3_value *from, int64_t *us)
{
  const char *s = (const char *)sqlite3_value_text(from);
  size_t n = (size_t)sqlite3_value_bytes(from);
  int64_t days;
  if (s == NULL)
    return NONE;
  if (mp_date_read(s, n, &days)) {
    *us = days * MP_DAY_US;
    return DATE;
  }
  if (mp_instant_read(s, n, false, us) || mp_instant_read(s, n, true, us))
    return INSTANT;
  return mp_time_read(s, n, us) ? TIME : NONE;
}

static void move(sqlite3_context *ctx, int n_args, sqlite3_value **args)
{
  mp_interval by = {0, 0, 0};
  int64_t us, sign = sqlite3_value_int(args[2]) < 0 ? -1 : 1;
  (void)n_args;
  if (sqlite3_value_type(args[0]) == SQLITE_NULL || sqlite3_value_type(args[1]) == SQLITE_NULL) {
    sqlite3_result_null(ctx);
    return;
  }
  form found = read_time(args[0], &us);
  bool read = true;
  int64_t days = 0;
  if (sqlite3_value_type(args[1]) == SQLITE_INTEGER)
    days = sqlite3_value_int64(args[1]);
  else if ((read = sqlite3_value_text(args[1]) != NULL &&
                   mp_interval_read((const char *)sqlite3_value_text(args[1]),
                                    (size_t)sqlite3_value_bytes(args[1]), &by)))
    days = by.days;
  if ((found != DATE && found != INSTANT) || !read) {
    sqlite3_result_error(ctx, "not a time", -1);
    return;
  }
  int64_t span, rest;
  bool out = by.months != 0 && !mp_instant_add_months(&us, by.months * sign);
  out = out || __builtin_mul_overflow(days, MP_DAY_US * sign, &span);
  out = out || __builtin_add_overflow(us, span, &us);
  out = out || __builtin_mul_overflow(by.us, sign, &rest);
  out = out || __builtin_add_overflow(us, rest, &us);
  if (out || us < MP_INSTANT_FIRST || us > MP_INSTANT_LAST) {
    sqlite3_result_error(ctx, "time out of range", -1);
    return;
  }
  char text[TEXT_MAX];
  int64_t day = us / MP_DAY_US - (us % MP_DAY_US < 0);
  size_t n = found == DATE ? mp_date_write(day, text) : mp_instant_write(us, text);
  sqlite3_result_text(ctx, text, (int)n, SQLITE_TRANSIENT);
}

static void between(sqlite3_context *ctx, int n_args, sqlite3_value **args)
{
  int64_t from, to;
  (void)n_args;
  if (sqlite3_value_type(args[0]) == SQLITE_NULL || sqlite3_value_type(args[1]) == SQLITE_NULL) {
    sqlite3_result_null(ctx);
    return;
  }
  form a = read_time(args[0], &from), b = read_time(args[1], &to);
  if (a == NONE || a != b) {
    sqlite3_result_error(ctx, "not a time", -1);
    return;
  }
  char text[TEXT_MAX];
  mp_interval found = {0, 0, to - from};
  if (a == DATE)
    found = (mp_interval){0, (int32_t)((to - from) / MP_DAY_US), 0};
  size_t n = mp_interval_write(&found, text);
  sqlite3_result_text(ctx, text, (int)n, SQLITE_TRANSIENT);
}

int mp_sqlite_add_times(sqlite3 *db)
{
  int code = sqlite3_create_function_v2(db, "mp_time_move", 3, FLAGS, NULL, move, NULL, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function_v2(db, "mp_time_between", 2, FLAGS, NULL, between, NULL, NULL,
                                      NULL);
  return code;
}
