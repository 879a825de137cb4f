/* sqlite_function.c - arithmetic for SQL as the other databases have it. NULL in, NULL out.
**   mp_add(a, b) mp_sub(a, b) mp_mul(a, b)   exact, or "integer overflow"; with a real a real
**   mp_div(a, b)    always a real, never cut; "division by zero"
**   mp_idiv(a, b)   the quotient cut towards zero; "division by zero"
**   mp_mod(a, b)    the rest, with the sign of a; "division by zero"
**   mp_sum(x)       as mp_add; aggregate and window function
** The messages' meaning is in sqlite_error.c. Decimals are in sqlite_decimal.c, texts in
** sqlite_text.c. */
#include "sqlite.h"

#include <math.h>

typedef enum operation {
  ADD,
  SUB,
  MUL,
  DIV,
  IDIV,
  MOD
} operation;

static void integers(sqlite3_context *ctx, operation op, int64_t a, int64_t b)
{
  int64_t r = 0;
  bool overflow = false;
  switch (op) {
  case ADD:
    overflow = __builtin_add_overflow(a, b, &r);
    break;
  case SUB:
    overflow = __builtin_sub_overflow(a, b, &r);
    break;
  case MUL:
    overflow = __builtin_mul_overflow(a, b, &r);
    break;
  case DIV:
    sqlite3_result_double(ctx, (double)((long double)a / (long double)b));
    return;
  case IDIV:
    overflow = a == INT64_MIN && b == -1;
    r = overflow ? 0 : a / b;
    break;
  case MOD:
    r = b == -1 ? 0 : a % b; /* the processor traps on INT64_MIN % -1 */
    break;
  }
  if (overflow)
    sqlite3_result_error(ctx, "integer overflow", -1);
  else
    sqlite3_result_int64(ctx, r);
}

static void reals(sqlite3_context *ctx, operation op, double a, double b)
{
  double r = 0;
  switch (op) {
  case ADD:
    r = a + b;
    break;
  case SUB:
    r = a - b;
    break;
  case MUL:
    r = a * b;
    break;
  case DIV:
    r = a / b;
    break;
  case IDIV:
    r = trunc(a / b);
    break;
  case MOD:
    r = fmod(a, b);
    break;
  }
  sqlite3_result_double(ctx, r);
}

static void arithmetic(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  operation op = *(const operation *)sqlite3_user_data(ctx);
  int a = sqlite3_value_numeric_type(args[0]), b = sqlite3_value_numeric_type(args[1]);
  (void)n;
  if (a == SQLITE_NULL || b == SQLITE_NULL)
    sqlite3_result_null(ctx);
  else if ((a != SQLITE_INTEGER && a != SQLITE_FLOAT) || (b != SQLITE_INTEGER && b != SQLITE_FLOAT))
    sqlite3_result_error(ctx, "not a number", -1);
  else if (op >= DIV && sqlite3_value_double(args[1]) == 0)
    sqlite3_result_error(ctx, "division by zero", -1);
  else if (a == SQLITE_INTEGER && b == SQLITE_INTEGER)
    integers(ctx, op, sqlite3_value_int64(args[0]), sqlite3_value_int64(args[1]));
  else
    reals(ctx, op, sqlite3_value_double(args[0]), sqlite3_value_double(args[1]));
}

/* ---- mp_sum ---- */

typedef __int128 wide __attribute__((aligned(8))); /* SQLite's memory is no better aligned */

typedef struct sum {
  wide whole;        /* 2^64 rows of any integer fit */
  double real, lost; /* what real lost to rounding (Neumaier) */
  int64_t n, real_n;
} sum;

static void add_real(sum *s, double x)
{
  double t = s->real + x;
  if (fabs(s->real) >= fabs(x))
    s->lost += s->real - t + x;
  else
    s->lost += x - t + s->real;
  s->real = t;
}

static void sum_change(sqlite3_context *ctx, sqlite3_value *value, int sign)
{
  int type = sqlite3_value_numeric_type(value);
  sum *s = sqlite3_aggregate_context(ctx, sizeof *s);
  if (s == NULL) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  if (type == SQLITE_NULL)
    return;
  s->n += sign;
  if (type == SQLITE_INTEGER) {
    s->whole += sign * (__int128)sqlite3_value_int64(value);
  } else if (type == SQLITE_FLOAT) {
    s->real_n += sign;
    add_real(s, sign * sqlite3_value_double(value));
  } else {
    sqlite3_result_error(ctx, "not a number", -1);
  }
}

static void sum_step(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  (void)n;
  sum_change(ctx, args[0], 1);
}

static void sum_inverse(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  (void)n;
  sum_change(ctx, args[0], -1);
}

static void sum_value(sqlite3_context *ctx)
{
  const sum *s = sqlite3_aggregate_context(ctx, 0);
  if (s == NULL || s->n == 0)
    sqlite3_result_null(ctx);
  else if (s->real_n > 0)
    sqlite3_result_double(ctx, (double)s->whole + s->real + (isfinite(s->lost) ? s->lost : 0));
  else if (s->whole > INT64_MAX || s->whole < INT64_MIN)
    sqlite3_result_error(ctx, "integer overflow", -1);
  else
    sqlite3_result_int64(ctx, (int64_t)s->whole);
}

/* ---- registering ---- */

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

int mp_sqlite_add_functions(sqlite3 *db)
{
  static const char *const names[] = {"mp_add", "mp_sub", "mp_mul", "mp_div", "mp_idiv", "mp_mod"};
  static operation operations[] = {ADD, SUB, MUL, DIV, IDIV, MOD};
  int code = SQLITE_OK;
  for (size_t i = 0; code == SQLITE_OK && i < sizeof names / sizeof *names; i++)
    code = sqlite3_create_function_v2(db, names[i], 2, FLAGS, &operations[i], arithmetic, NULL,
                                      NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_window_function(db, "mp_sum", 1, FLAGS, NULL, sum_step, sum_value,
                                          sum_value, sum_inverse, NULL);
  return code;
}
