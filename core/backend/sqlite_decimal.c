/* sqlite_decimal.c - exact decimals for SQL: canonical text in, canonical text out. NULL in,
** NULL out. An argument is a text, an integer, or a real, which is read by its shortest text.
** Errors: "not a decimal", "decimal overflow" (over 1,000 digits), "division by zero". Rules of
** scale and rounding: decimal.h.
**   mp_decimal(x)                            the canonical text of x
**   mp_decimal_cast(x, scale)                rounded half away from zero
**   mp_decimal_cast(x, scale, precision)     and of no more digits than these, or "decimal overflow"
**   mp_decimal_add sub mul div idiv mod(a, b)
**   mp_decimal_neg(x) mp_decimal_abs(x)
**   mp_decimal_cmp(a, b)                     -1, 0, 1
**   mp_decimal_sum(x) mp_decimal_avg(x)      aggregates and window functions
**   collation mp_decimal                     1.20 equals 1.2; what is no decimal comes last */
#include "decimal.h"
#include "sqlite.h"

#include <math.h>
#include <string.h>

typedef mp_status (*binary)(const mp_value *a, const mp_value *b, mp_value *out, char *text);

/* False: an error is set. The text of a long one is in text or in the value itself. */
static bool read_argument(sqlite3_context *ctx, sqlite3_value *value, mp_value *out, char *text)
{
  bool ok = false;
  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    *out = (mp_value){.kind = MP_INT, .i = sqlite3_value_int64(value)};
    return true;
  case SQLITE_FLOAT: {
    char shortest[MP_VALUE_TEXT_MAX];
    double d = sqlite3_value_double(value);
    ok = isfinite(d) && mp_decimal_read(shortest, mp_double_text(d, shortest), out, text);
    break;
  }
  case SQLITE_TEXT: {
    const char *s = (const char *)sqlite3_value_text(value);
    ok = s != NULL && mp_decimal_read(s, (size_t)sqlite3_value_bytes(value), out, text);
    break;
  }
  default:
    break;
  }
  if (!ok)
    sqlite3_result_error(ctx, "not a decimal", -1);
  return ok;
}

static bool any_null(int n, sqlite3_value **args)
{
  for (int i = 0; i < n; i++)
    if (sqlite3_value_type(args[i]) == SQLITE_NULL)
      return true;
  return false;
}

static void answer(sqlite3_context *ctx, mp_status st, const mp_value *value)
{
  char text[MP_DECIMAL_TEXT_MAX];
  if (st == MP_OK)
    sqlite3_result_text(ctx, text, (int)mp_decimal_write(value, text), SQLITE_TRANSIENT);
  else if (st == MP_E_OUT_OF_MEMORY)
    sqlite3_result_error_nomem(ctx);
  else
    sqlite3_result_error(ctx, st == MP_E_DIVISION_BY_ZERO ? "division by zero" : "decimal overflow",
                         -1);
}

static void calculate(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  const binary *operation = sqlite3_user_data(ctx);
  char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
  mp_value a, b;
  if (any_null(n, args))
    sqlite3_result_null(ctx);
  else if (read_argument(ctx, args[0], &a, ta) && read_argument(ctx, args[1], &b, tb))
    answer(ctx, (*operation)(&a, &b, &a, ta), &a);
}

static void compare(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
  mp_value a, b;
  if (any_null(n, args)) {
    sqlite3_result_null(ctx);
  } else if (read_argument(ctx, args[0], &a, ta) && read_argument(ctx, args[1], &b, tb)) {
    int order = mp_decimal_cmp(&a, &b);
    sqlite3_result_int(ctx, (order > 0) - (order < 0));
  }
}

static void canonical(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value a;
  if (any_null(n, args))
    sqlite3_result_null(ctx);
  else if (read_argument(ctx, args[0], &a, text))
    answer(ctx, MP_OK, &a);
}

/* Digits before the point, without the zero that stands for none. */
static int whole_digits(const mp_value *value)
{
  char text[MP_DECIMAL_TEXT_MAX];
  text[mp_decimal_write(value, text)] = '\0';
  return (int)strspn(text + strspn(text, "-0"), "0123456789");
}

static void cast(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value a;
  if (any_null(n, args)) {
    sqlite3_result_null(ctx);
  } else if (read_argument(ctx, args[0], &a, text)) {
    int scale = sqlite3_value_int(args[1]);
    mp_status st = mp_decimal_quantize(&a, scale, &a, text);
    if (st == MP_OK && n == 3 && whole_digits(&a) > sqlite3_value_int(args[2]) - scale)
      st = MP_E_OUT_OF_RANGE;
    answer(ctx, st, &a);
  }
}

/* mp_decimal_neg, and mp_decimal_abs, which has user data. */
static void negate(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  const mp_value zero = {.kind = MP_INT};
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value a;
  if (any_null(n, args))
    sqlite3_result_null(ctx);
  else if (read_argument(ctx, args[0], &a, text))
    answer(ctx,
           sqlite3_user_data(ctx) != NULL && mp_decimal_cmp(&a, &zero) >= 0
               ? MP_OK
               : mp_decimal_neg(&a, &a, text),
           &a);
}

/* ---- aggregates ---- */

typedef struct total {
  int64_t n;
  mp_value sum; /* a long one is in text */
  char text[MP_DECIMAL_TEXT_MAX];
} total;

static void change(sqlite3_context *ctx, int n, sqlite3_value **args, binary operation)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value x;
  total *t = sqlite3_aggregate_context(ctx, sizeof *t);
  if (t == NULL) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  if (any_null(n, args) || !read_argument(ctx, args[0], &x, text))
    return;
  if (t->n == 0)
    t->sum = (mp_value){.kind = MP_INT};
  mp_status st = operation(&t->sum, &x, &t->sum, t->text);
  if (st != MP_OK)
    answer(ctx, st, NULL);
  t->n += operation == mp_decimal_add ? 1 : -1;
}

static void total_step(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  change(ctx, n, args, mp_decimal_add);
}

static void total_inverse(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  change(ctx, n, args, mp_decimal_sub);
}

/* mp_decimal_sum, and mp_decimal_avg, which has user data. */
static void total_value(sqlite3_context *ctx)
{
  const total *t = sqlite3_aggregate_context(ctx, 0);
  char text[MP_DECIMAL_TEXT_MAX];
  if (t == NULL || t->n == 0) {
    sqlite3_result_null(ctx);
  } else if (sqlite3_user_data(ctx) == NULL) {
    answer(ctx, MP_OK, &t->sum);
  } else {
    mp_value n = {.kind = MP_INT, .i = t->n}, average;
    mp_status st = mp_decimal_div(&t->sum, &n, &average, text);
    answer(ctx, st, &average);
  }
}

/* ---- the collation ---- */

static int collate(void *arg, int n, const void *a, int m, const void *b)
{
  char ta[MP_DECIMAL_TEXT_MAX], tb[MP_DECIMAL_TEXT_MAX];
  mp_value x, y;
  bool is_a = mp_decimal_read(a, (size_t)n, &x, ta);
  bool is_b = mp_decimal_read(b, (size_t)m, &y, tb);
  (void)arg;
  if (is_a && is_b)
    return mp_decimal_cmp(&x, &y);
  if (is_a != is_b)
    return is_a ? -1 : 1;
  int order = memcmp(a, b, (size_t)(n < m ? n : m));
  return order != 0 ? order : n - m;
}

/* ---- registering ---- */

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

int mp_sqlite_add_decimals(sqlite3 *db)
{
  static binary operations[] = {mp_decimal_add, mp_decimal_sub,  mp_decimal_mul,
                                mp_decimal_div, mp_decimal_idiv, mp_decimal_mod};
  static char marked; /* only its address is of use */
  const struct {
    const char *name;
    int n;
    void *arg;
    void (*function)(sqlite3_context *ctx, int n, sqlite3_value **args);
  } functions[] = {
      {"mp_decimal", 1, NULL, canonical},
      {"mp_decimal_cast", 2, NULL, cast},
      {"mp_decimal_cast", 3, NULL, cast},
      {"mp_decimal_add", 2, &operations[0], calculate},
      {"mp_decimal_sub", 2, &operations[1], calculate},
      {"mp_decimal_mul", 2, &operations[2], calculate},
      {"mp_decimal_div", 2, &operations[3], calculate},
      {"mp_decimal_idiv", 2, &operations[4], calculate},
      {"mp_decimal_mod", 2, &operations[5], calculate},
      {"mp_decimal_neg", 1, NULL, negate},
      {"mp_decimal_abs", 1, &marked, negate},
      {"mp_decimal_cmp", 2, NULL, compare},
  };
  int code = sqlite3_create_collation_v2(db, "mp_decimal", SQLITE_UTF8, NULL, collate, NULL);
  for (size_t i = 0; code == SQLITE_OK && i < sizeof functions / sizeof *functions; i++)
    code = sqlite3_create_function_v2(db, functions[i].name, functions[i].n, FLAGS,
                                      functions[i].arg, functions[i].function, NULL, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_window_function(db, "mp_decimal_sum", 1, FLAGS, NULL, total_step,
                                          total_value, total_value, total_inverse, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_window_function(db, "mp_decimal_avg", 1, FLAGS, &marked, total_step,
                                          total_value, total_value, total_inverse, NULL);
  return code;
}
