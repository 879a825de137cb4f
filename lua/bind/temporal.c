/* temporal.c - mp.date, mp.time, mp.datetime and mp.interval: made, taken apart, calculated with.
** A datetime is an instant in UTC or, where its maker said timezone = false, a wall-clock time; the
** two do not mix. The calendar and all texts are core/calendar.h; no local time zone is ever
** asked. */
#include "value.h"

#include "raise.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)

static int push_number(lua_State *L, mp_kind kind, int64_t i)
{
  mp_value value = {.kind = (uint8_t)kind, .i = i};
  lmp_new_value(L, lmp_push_metas(L), &value);
  return 1;
}

static int push_interval(lua_State *L, const mp_interval *interval)
{
  mp_value value = {.kind = MP_INTERVAL, .v = interval};
  lmp_new_value(L, lmp_push_metas(L), &value);
  return 1;
}

static const char *title(mp_kind kind)
{
  return kind == MP_WALLTIME ? "datetime" : mp_kind_name(kind);
}

static int outside(lua_State *L, mp_kind kind)
{
  return lmp_raise(L, MP_E_OUT_OF_RANGE, "the %s is outside the years 1 to 9999", title(kind));
}

static bool is_timed(const mp_value *value)
{
  return value->kind == MP_DATETIME || value->kind == MP_WALLTIME;
}

/* ---- making: from parts ---- */

/* Parts of a date and a time, in the order in which numbers are given. */
enum {
  YEAR,
  MONTH,
  DAY,
  HOUR,
  MINUTE,
  SECOND,
  MICROSECOND,
  PART_N
};

static const char *const part_names[PART_N] = {"year",   "month",  "day",        "hour",
                                               "minute", "second", "microsecond"};

static bool part_belongs(mp_kind kind, int part)
{
  return kind == MP_DATE ? part <= DAY : kind == MP_TIME ? part >= HOUR : true;
}

/* A whole number, also one that is a float, as 40 / 2 is. */
static bool whole_at(lua_State *L, int idx, int64_t *out)
{
  if (lmp_to_integer(L, idx, out))
    return true;
  if (lua_type(L, idx) != LUA_TNUMBER)
    return false;
  mp_value value = {.kind = MP_FLOAT, .d = lua_tonumber(L, idx)};
  char text[MP_VALUE_TEXT_MAX];
  bool whole = mp_value_convert(&value, MP_INT, NULL, text);
  *out = value.i;
  return whole;
}

static void read_part(lua_State *L, mp_kind kind, int part, int idx, int64_t parts[PART_N])
{
  if (!whole_at(L, idx, &parts[part]))
    lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.%s: %s is a whole number, not %s", title(kind),
              part_names[part], lmp_describe(L, idx));
}

/* What the parts make, pushed. */
static int push_parts(lua_State *L, mp_kind kind, const int64_t parts[PART_N])
{
  static const int64_t first[PART_N] = {1, 1, 1, 0, 0, 0, 0};
  static const int64_t last[PART_N] = {9999, 12, 31, 23, 59, 59, 999999};
  int64_t days = 0;
  for (int part = 0; part < PART_N; part++)
    if (part_belongs(kind, part) && (parts[part] < first[part] || parts[part] > last[part]))
      lmp_raise(L, MP_E_INVALID_DATETIME, "mp.%s: %s is from %d to %d, not %lld", title(kind),
                part_names[part], (int)first[part], (int)last[part], (long long)parts[part]);
  if (kind != MP_TIME &&
      !mp_days_from_date((int)parts[YEAR], (int)parts[MONTH], (int)parts[DAY], &days))
    lmp_raise(L, MP_E_INVALID_DATETIME, "mp.%s: month %d of %d has no day %d", title(kind),
              (int)parts[MONTH], (int)parts[YEAR], (int)parts[DAY]);
  if (kind == MP_DATE)
    return push_number(L, kind, days);
  int64_t us = ((parts[HOUR] * 60 + parts[MINUTE]) * 60 + parts[SECOND]) * SECOND_US;
  return push_number(L, kind, days * MP_DAY_US + us + parts[MICROSECOND]);
}

static const int64_t no_parts[PART_N] = {0, 0, 0, 0, 0, 0, 0};

/* {year = ..., ...} at 1; what a date must have is asked for, a time starts at midnight. */
static int from_table(lua_State *L, mp_kind kind)
{
  int64_t parts[PART_N];
  int known = 0;
  memcpy(parts, no_parts, sizeof parts);
  for (int part = 0; part < PART_N; part++) {
    if (!part_belongs(kind, part))
      continue;
    lua_pushstring(L, part_names[part]);
    lua_rawget(L, 1);
    if (!lua_isnil(L, -1)) {
      read_part(L, kind, part, -1, parts);
      known++;
    } else if (part <= DAY || (kind == MP_TIME && part == HOUR)) {
      lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.%s: %s is missing", title(kind), part_names[part]);
    }
    lua_pop(L, 1);
  }
  if (kind == MP_DATETIME) {
    lua_getfield(L, 1, "timezone");
    if (!lua_isnil(L, -1)) {
      if (!lua_isboolean(L, -1))
        lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.datetime: timezone is true (UTC) or false, not %s",
                  lmp_describe(L, -1));
      known++;
      if (!lua_toboolean(L, -1))
        kind = MP_WALLTIME;
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    known--;
  }
  if (known < 0)
    lmp_raise(L, MP_E_UNKNOWN_OPTION, "mp.%s takes %s", title(kind),
              kind == MP_DATE   ? "year, month and day"
              : kind == MP_TIME ? "hour, minute, second and microsecond"
                                : "year, month, day, hour, minute, second, microsecond and "
                                  "timezone");
  return push_parts(L, kind, parts);
}

static int from_numbers(lua_State *L, mp_kind kind)
{
  int64_t parts[PART_N];
  int first = kind == MP_TIME ? HOUR : YEAR, last = kind == MP_DATE ? DAY : MICROSECOND;
  int least = kind == MP_TIME ? HOUR + 1 : DAY, given = lua_gettop(L);
  memcpy(parts, no_parts, sizeof parts);
  while (given > 0 && lua_isnil(L, given))
    given--;
  if (first + given - 1 < least || first + given - 1 > last)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.%s takes %s, a text or a table", title(kind),
                     kind == MP_DATE   ? "year, month and day"
                     : kind == MP_TIME ? "hour, minute, second and microsecond"
                                       : "year, month, day and the parts of a time");
  for (int i = 1; i <= given; i++)
    read_part(L, kind, first + i - 1, i, parts);
  return push_parts(L, kind, parts);
}

/* ---- making: from a text or another value ---- */

static int from_text(lua_State *L, mp_kind kind)
{
  size_t n;
  const char *s = lua_tolstring(L, 1, &n);
  mp_interval interval;
  mp_value value;
  if (!mp_value_parse(kind, s, n, &value, &interval))
    return lmp_raise(L, MP_E_INVALID_DATETIME, "mp.%s: \"%.40s\" is none, %s", title(kind), s,
                     lmp_form(kind));
  lmp_new_value(L, lmp_push_metas(L), &value);
  return 1;
}

/* Seconds at idx as microseconds; whole numbers exactly. */
static int64_t seconds_at(lua_State *L, int idx, const char *what)
{
  int64_t whole, us;
  if (lmp_to_integer(L, idx, &whole)) {
    if (__builtin_mul_overflow(whole, SECOND_US, &us))
      lmp_raise(L, MP_E_OUT_OF_RANGE, "%s: too many seconds", what);
    return us;
  }
  double d = lua_tonumber(L, idx), fraction = modf(d, &d);
  if (lua_type(L, idx) != LUA_TNUMBER || !(fabs(d) < 9e12))
    lmp_raise(L, lua_type(L, idx) == LUA_TNUMBER ? MP_E_OUT_OF_RANGE : MP_E_BAD_ARGUMENT,
              "%s takes a text, a table or seconds, not %s", what, lmp_describe(L, idx));
  return (int64_t)d * SECOND_US + llround(fraction * 1e6);
}

/* The time of the day of an instant: 0 <= ... < MP_DAY_US. */
static int64_t time_of(int64_t us)
{
  int64_t rest = us % MP_DAY_US;
  return rest < 0 ? rest + MP_DAY_US : rest;
}

static int64_t day_of(int64_t us)
{
  return (us - time_of(us)) / MP_DAY_US;
}

/* A date of a datetime, and so on. False: this kind cannot be made of that value. */
static bool from_value(lua_State *L, mp_kind kind, const mp_value *value)
{
  if (value->kind == kind || (kind == MP_DATETIME && value->kind == MP_WALLTIME))
    lua_pushvalue(L, 1);
  else if (kind == MP_DATE && is_timed(value))
    push_number(L, kind, day_of(value->i));
  else if (kind == MP_TIME && is_timed(value))
    push_number(L, kind, time_of(value->i));
  else if (kind == MP_DATETIME && value->kind == MP_DATE)
    push_number(L, kind, value->i * MP_DAY_US);
  else
    return false;
  return true;
}

static int make(lua_State *L, mp_kind kind)
{
  const mp_value *value = lmp_test_value(L, 1);
  if (lua_gettop(L) <= 1) {
    if (value != NULL && from_value(L, kind, value))
      return 1;
    if (lua_type(L, 1) == LUA_TSTRING)
      return from_text(L, kind);
    if (lua_istable(L, 1))
      return from_table(L, kind);
    if (kind == MP_DATETIME && lua_type(L, 1) == LUA_TNUMBER) {
      int64_t us = seconds_at(L, 1, "mp.datetime");
      return us < MP_INSTANT_FIRST || us > MP_INSTANT_LAST ? outside(L, kind)
                                                           : push_number(L, kind, us);
    }
  }
  if (lua_type(L, 1) != LUA_TNUMBER)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.%s cannot be made of %s", title(kind),
                     lmp_describe(L, 1));
  return from_numbers(L, kind);
}

static int new_date(lua_State *L)
{
  return make(L, MP_DATE);
}

static int new_time(lua_State *L)
{
  return make(L, MP_TIME);
}

static int new_datetime(lua_State *L)
{
  return make(L, MP_DATETIME);
}

static int now_datetime(lua_State *L)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return push_number(L, MP_DATETIME, now.tv_sec * SECOND_US + now.tv_nsec / 1000);
}

/* {days = 1, hours = 2, ...} at 1 */
static int interval_from_table(lua_State *L)
{
  static const struct {
    const char *name;
    int64_t unit;
    int sum; /* 0: months, 1: days, 2: microseconds */
  } units[] = {{"years", 12, 0},          {"months", 1, 0},
               {"weeks", 7, 1},           {"days", 1, 1},
               {"hours", 3600000000, 2},  {"minutes", 60000000, 2},
               {"seconds", SECOND_US, 2}, {"microseconds", 1, 2}};
  int64_t sums[3] = {0, 0, 0}, n, part;
  int known = 0;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    lua_pushstring(L, units[i].name);
    lua_rawget(L, 1);
    if (!lua_isnil(L, -1)) {
      known++;
      if (!whole_at(L, -1, &n))
        return lmp_raise(L, MP_E_BAD_ARGUMENT, "mp.interval: %s is a whole number, not %s",
                         units[i].name, lmp_describe(L, -1));
      if (__builtin_mul_overflow(n, units[i].unit, &part) ||
          __builtin_add_overflow(sums[units[i].sum], part, &sums[units[i].sum]))
        return lmp_raise(L, MP_E_OUT_OF_RANGE, "mp.interval: too many %s", units[i].name);
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    known--;
  }
  if (known < 0)
    return lmp_raise(L, MP_E_UNKNOWN_OPTION,
                     "mp.interval takes years, months, weeks, days, hours, "
                     "minutes, seconds and microseconds");
  if (sums[0] != (int32_t)sums[0] || sums[1] != (int32_t)sums[1])
    return lmp_raise(L, MP_E_OUT_OF_RANGE, "mp.interval: months and days have 32 bits");
  return push_interval(L, &(mp_interval){(int32_t)sums[0], (int32_t)sums[1], sums[2]});
}

static int new_interval(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  if (value != NULL && value->kind == MP_INTERVAL) {
    lua_settop(L, 1);
    return 1;
  }
  if (value != NULL && value->kind == MP_TIME)
    return push_interval(L, &(mp_interval){.us = value->i});
  if (lua_type(L, 1) == LUA_TSTRING)
    return from_text(L, MP_INTERVAL);
  if (lua_istable(L, 1))
    return interval_from_table(L);
  return push_interval(L, &(mp_interval){.us = seconds_at(L, 1, "mp.interval")});
}

/* ---- taking apart ---- */

/* value.name: a part, or a method from the table that is upvalue 1. */
static int value_index(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (value == NULL)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "no date or time");
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (lua_type(L, -1) != LUA_TNUMBER) {
    if (lua_isnil(L, -1))
      lmp_raise(L, MP_E_UNKNOWN_FIELD, "a %s has no \"%.40s\"", title((mp_kind)value->kind), name);
    return 1;
  }

  int part = (int)lua_tointeger(L, -1), date[3];
  int64_t i = value->i, number;
  if (part <= DAY) {
    mp_days_to_date(value->kind == MP_DATE ? i : day_of(i), &date[YEAR], &date[MONTH], &date[DAY]);
    number = date[part];
  } else {
    static const int64_t unit[] = {3600 * SECOND_US, 60 * SECOND_US, SECOND_US, 1};
    static const int64_t count[] = {25, 60, 60, SECOND_US}; /* 25: a time may be 24:00 */
    int64_t us = value->kind == MP_TIME ? i : time_of(i);
    number = us / unit[part - HOUR] % count[part - HOUR];
  }
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

static int interval_index(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (value == NULL || value->kind != MP_INTERVAL)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "no interval");
  if (strcmp(name, "months") == 0)
    lua_pushinteger(L, value->v->months);
  else if (strcmp(name, "days") == 0)
    lua_pushinteger(L, value->v->days);
  else if (strcmp(name, "microseconds") == 0)
    lmp_push_integer(L, value->v->us);
  else {
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_isnil(L, -1))
      lmp_raise(L, MP_E_UNKNOWN_FIELD,
                "an interval has no \"%.40s\": it has months, days, microseconds and :seconds()",
                name);
  }
  return 1;
}

/* Seconds as a float, and as microseconds exactly. */
static int push_seconds(lua_State *L, int64_t us)
{
  lua_pushnumber(L, (lua_Number)us / 1e6);
  lmp_push_integer(L, us);
  return 2;
}

static int timestamp(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  if (value == NULL || !is_timed(value))
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "timestamp is a method of a datetime: d:timestamp()");
  return push_seconds(L, value->i);
}

static int interval_seconds(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  int64_t us;
  if (value == NULL || value->kind != MP_INTERVAL)
    return lmp_raise(L, MP_E_BAD_ARGUMENT, "seconds is a method of an interval: i:seconds()");
  if (value->v->months != 0)
    return lmp_raise(L, MP_E_BAD_ARGUMENT,
                     "an interval with months has no fixed number of seconds");
  if (__builtin_add_overflow(value->v->days * MP_DAY_US, value->v->us, &us))
    return lmp_raise(L, MP_E_OUT_OF_RANGE, "the interval is too long to count");
  return push_seconds(L, us);
}

/* ---- calculating ---- */

static int cannot(lua_State *L, const char *sign)
{
  if (lmp_answered(L, sign))
    return 1;
  return lmp_raise(L, MP_E_BAD_ARGUMENT, "cannot calculate %s %s %s", lmp_describe(L, 1), sign,
                   lmp_describe(L, 2));
}

/* a + sign * b */
static int add_intervals(lua_State *L, const mp_interval *a, const mp_interval *b, int sign)
{
  mp_interval sum;
  int64_t months = a->months + (int64_t)b->months * sign, days = a->days + (int64_t)b->days * sign;
  bool over = sign < 0 ? __builtin_sub_overflow(a->us, b->us, &sum.us)
                       : __builtin_add_overflow(a->us, b->us, &sum.us);
  sum.months = (int32_t)months;
  sum.days = (int32_t)days;
  if (over || sum.months != months || sum.days != days)
    return lmp_raise(L, MP_E_OUT_OF_RANGE, "the interval is out of range");
  return push_interval(L, &sum);
}

/* a + sign * v for a date, a time or a datetime: months first, then days, then the time. */
static int move(lua_State *L, const mp_value *a, const mp_interval *v, int sign)
{
  mp_kind kind = (mp_kind)a->kind;
  if (v->us == INT64_MIN)
    return outside(L, kind);
  if (kind == MP_TIME) {
    if (v->months != 0 || v->days != 0)
      return lmp_raise(L, MP_E_BAD_ARGUMENT, "a time has no days: the interval must be shorter");
    return push_number(L, kind, time_of(time_of(a->i) + v->us % MP_DAY_US * sign));
  }
  if (kind == MP_DATE && v->us % MP_DAY_US != 0)
    return lmp_raise(L, MP_E_BAD_ARGUMENT,
                     "a date moves by whole days: take mp.datetime(date) to add a time");

  int64_t at = kind == MP_DATE ? a->i * MP_DAY_US : a->i;
  if (v->months != 0 && !mp_instant_add_months(&at, (int64_t)v->months * sign))
    return outside(L, kind);
  if (__builtin_add_overflow(at, v->days * MP_DAY_US * sign, &at) ||
      __builtin_add_overflow(at, v->us * sign, &at) || at < MP_INSTANT_FIRST ||
      at > MP_INSTANT_LAST)
    return outside(L, kind);
  return push_number(L, kind, kind == MP_DATE ? at / MP_DAY_US : at);
}

static bool moves(const mp_value *value)
{
  return value->kind == MP_DATE || value->kind == MP_TIME || is_timed(value);
}

/* date + sign * days */
static int move_days(lua_State *L, const mp_value *date, int64_t days, int sign)
{
  if (days > INT32_MAX || days < -INT32_MAX)
    return outside(L, MP_DATE);
  return move(L, date, &(mp_interval){.days = (int32_t)days}, sign);
}

static int temporal_add(lua_State *L)
{
  mp_value a, b;
  if (!lmp_to_operand(L, 1, &a) || !lmp_to_operand(L, 2, &b))
    return cannot(L, "+");
  if (a.kind == MP_INTERVAL && b.kind == MP_INTERVAL)
    return add_intervals(L, a.v, b.v, 1);
  if (moves(&a) && b.kind == MP_INTERVAL)
    return move(L, &a, b.v, 1);
  if (a.kind == MP_INTERVAL && moves(&b))
    return move(L, &b, a.v, 1);
  if (a.kind == MP_DATE && b.kind == MP_INT)
    return move_days(L, &a, b.i, 1);
  if (a.kind == MP_INT && b.kind == MP_DATE)
    return move_days(L, &b, a.i, 1);
  return cannot(L, "+");
}

static int temporal_sub(lua_State *L)
{
  mp_value a, b;
  if (!lmp_to_operand(L, 1, &a) || !lmp_to_operand(L, 2, &b))
    return cannot(L, "-");
  if (a.kind == MP_INTERVAL && b.kind == MP_INTERVAL)
    return add_intervals(L, a.v, b.v, -1);
  if (moves(&a) && b.kind == MP_INTERVAL)
    return move(L, &a, b.v, -1);
  if (a.kind == MP_DATE && b.kind == MP_INT)
    return move_days(L, &a, b.i, -1);
  if (a.kind != b.kind || !moves(&a))
    return cannot(L, "-");
  if (a.kind == MP_DATE)
    return push_interval(L, &(mp_interval){.days = (int32_t)(a.i - b.i)});
  return push_interval(L, &(mp_interval){.us = a.i - b.i});
}

static int interval_mul(lua_State *L)
{
  mp_value a, b;
  if (!lmp_to_operand(L, 1, &a) || !lmp_to_operand(L, 2, &b))
    return cannot(L, "*");
  const mp_value *v = a.kind == MP_INTERVAL ? &a : &b, *n = v == &a ? &b : &a;
  if (v->kind != MP_INTERVAL || n->kind != MP_INT)
    return cannot(L, "*");
  int64_t months, days;
  mp_interval product;
  if (__builtin_mul_overflow(v->v->months, n->i, &months) ||
      __builtin_mul_overflow(v->v->days, n->i, &days) ||
      __builtin_mul_overflow(v->v->us, n->i, &product.us) || months != (int32_t)months ||
      days != (int32_t)days)
    return lmp_raise(L, MP_E_OUT_OF_RANGE, "the interval is out of range");
  product.months = (int32_t)months;
  product.days = (int32_t)days;
  return push_interval(L, &product);
}

static int interval_unm(lua_State *L)
{
  const mp_value *value = lmp_test_value(L, 1);
  return add_intervals(L, &(mp_interval){0}, value->v, -1);
}

/* ---- opening ---- */

static void open_kind(lua_State *L, int metas, mp_kind kind)
{
  lmp_new_meta(L, metas, kind);
  lua_newtable(L);
  for (int part = 0; part < PART_N; part++)
    if (part_belongs(kind, part)) {
      lua_pushinteger(L, part);
      lua_setfield(L, -2, part_names[part]);
    }
  if (kind == MP_DATETIME || kind == MP_WALLTIME) {
    lua_pushcfunction(L, timestamp);
    lua_setfield(L, -2, "timestamp");
  }
  lua_pushcclosure(L, value_index, 1);
  lua_setfield(L, -2, "__index");
}

void lmp_open_temporal(lua_State *L, int metas)
{
  static const luaL_Reg functions[] = {{"date", new_date},
                                       {"time", new_time},
                                       {"datetime", new_datetime},
                                       {"interval", new_interval},
                                       {"now_datetime", now_datetime},
                                       {NULL, NULL}};
  static const luaL_Reg operators[] = {
      {"__add", temporal_add}, {"__sub", temporal_sub}, {NULL, NULL}};
  static const mp_kind kinds[] = {MP_DATE, MP_TIME, MP_DATETIME, MP_WALLTIME};
  luaL_setfuncs(L, functions, 0);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    open_kind(L, metas, kinds[i]);
    luaL_setfuncs(L, operators, 0);
    lua_pop(L, 1);
  }
  lmp_new_meta(L, metas, MP_INTERVAL);
  luaL_setfuncs(L, operators, 0);
  lua_pushcfunction(L, interval_mul);
  lua_setfield(L, -2, "__mul");
  lua_pushcfunction(L, interval_unm);
  lua_setfield(L, -2, "__unm");
  lua_newtable(L);
  lua_pushcfunction(L, interval_seconds);
  lua_setfield(L, -2, "seconds");
  lua_pushcclosure(L, interval_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
