/* sqlite_number.c - numbers for SQL as the other databases have them. NULL in, NULL out.
**   mp_integer(x) mp_real(x)              of a text that is one, else "not a number"; "integer overflow"
**   mp_fit(x, bits)                       x; "integer overflow" if it has more
**   mp_sqrt(x) mp_exp(x) mp_ln(x) mp_power(x, y)    "out of domain" where there is no answer
**   mp_var_pop(x) mp_var_samp(x) mp_stddev_pop(x) mp_stddev_samp(x)  aggregates and window functions
** The messages' meaning is in sqlite_error.c. */
#include "sqlite.h"

#include "decimal.h"

#include <math.h>
#include <string.h>

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

/* ---- of texts ---- */

/* The number that a text is, as a decimal; false: an error is set, or it was NULL. */
static bool read_number(sqlite3_context *ctx, sqlite3_value *from, mp_value *out,
                        char text[MP_DECIMAL_TEXT_MAX])
{
  if (sqlite3_value_type(from) == SQLITE_NULL) {
    sqlite3_result_null(ctx);
    return false;
  }
  const char *s = (const char *)sqlite3_value_text(from);
  size_t n = (size_t)sqlite3_value_bytes(from);
  while (n > 0 && *s == ' ')
    s++, n--;
  while (n > 0 && s[n - 1] == ' ')
    n--;
  if (s != NULL && mp_decimal_read(s, n, out, text))
    return true;
  sqlite3_result_error(ctx, "not a number", -1);
  return false;
}

static void integer(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  char text[MP_DECIMAL_TEXT_MAX];
  const char *s;
  mp_value number;
  int64_t i;
  (void)n;
  if (sqlite3_value_type(args[0]) == SQLITE_INTEGER) {
    sqlite3_result_value(ctx, args[0]);
    return;
  }
  if (!read_number(ctx, args[0], &number, text))
    return;
  s = (const char *)sqlite3_value_text(args[0]);
  if (strpbrk(s, ".eE") != NULL)
    sqlite3_result_error(ctx, "not a number", -1);
  else if (!mp_decimal_integer(&number, &i))
    sqlite3_result_error(ctx, "integer overflow", -1);
  else
    sqlite3_result_int64(ctx, i);
}

/* A whole number on its way into a column of so many bits, which SQLite itself does not know. */
static void fit(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  int bits = sqlite3_value_int(args[1]);
  int64_t most = bits > 0 && bits < 64 ? ((int64_t)1 << (bits - 1)) - 1 : INT64_MAX;
  (void)n;
  if (sqlite3_value_type(args[0]) == SQLITE_INTEGER &&
      (sqlite3_value_int64(args[0]) > most || sqlite3_value_int64(args[0]) < -most - 1))
    sqlite3_result_error(ctx, "integer overflow", -1);
  else
    sqlite3_result_value(ctx, args[0]);
}

static void real(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  char text[MP_DECIMAL_TEXT_MAX];
  mp_value number;
  (void)n;
  if (read_number(ctx, args[0], &number, text))
    sqlite3_result_double(ctx, mp_decimal_double(&number));
}

/* ---- functions of reals ---- */

typedef enum function {
  SQRT,
  EXP,
  LN,
  POWER
} function;

static void calculate(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  function f = *(const function *)sqlite3_user_data(ctx);
  for (int i = 0; i < n; i++) {
    if (sqlite3_value_type(args[i]) == SQLITE_NULL) {
      sqlite3_result_null(ctx);
      return;
    }
  }
  double x = sqlite3_value_double(args[0]), r = 0;
  switch (f) {
  case SQRT:
    r = sqrt(x);
    break;
  case EXP:
    r = exp(x);
    break;
  case LN:
    r = log(x);
    break;
  case POWER:
    r = pow(x, sqlite3_value_double(args[1]));
    break;
  }
  if (isfinite(r))
    sqlite3_result_double(ctx, r);
  else
    sqlite3_result_error(ctx, "out of domain", -1);
}

/* ---- variance ---- */

typedef enum spread {
  VAR_POP,
  VAR_SAMP,
  STDDEV_POP,
  STDDEV_SAMP
} spread;

/* Welford: the mean so far and the sum of the squares of the distances from it. */
typedef struct moments {
  int64_t n;
  double mean, squares;
} moments;

static void spread_step(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  moments *m = sqlite3_aggregate_context(ctx, sizeof *m);
  (void)n;
  if (m == NULL) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  if (sqlite3_value_type(args[0]) == SQLITE_NULL)
    return;
  double x = sqlite3_value_double(args[0]), before = x - m->mean;
  m->n++;
  m->mean += before / (double)m->n;
  m->squares += before * (x - m->mean);
}

static void spread_inverse(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  moments *m = sqlite3_aggregate_context(ctx, sizeof *m);
  (void)n;
  if (m == NULL || sqlite3_value_type(args[0]) == SQLITE_NULL)
    return;
  double x = sqlite3_value_double(args[0]), before = x - m->mean;
  if (--m->n == 0) {
    *m = (moments){0, 0, 0};
    return;
  }
  m->mean -= before / (double)m->n;
  m->squares -= before * (x - m->mean);
}

static void spread_value(sqlite3_context *ctx)
{
  spread what = *(const spread *)sqlite3_user_data(ctx);
  const moments *m = sqlite3_aggregate_context(ctx, 0);
  bool sample = what == VAR_SAMP || what == STDDEV_SAMP;
  int64_t n = m == NULL ? 0 : m->n - sample;
  if (n <= 0) {
    sqlite3_result_null(ctx);
    return;
  }
  double variance = fmax(m->squares, 0) / (double)n;
  sqlite3_result_double(ctx, what >= STDDEV_POP ? sqrt(variance) : variance);
}

/* ---- registering ---- */

int mp_sqlite_add_numbers(sqlite3 *db)
{
  static const char *const names[] = {"mp_sqrt", "mp_exp", "mp_ln", "mp_power"};
  static function functions[] = {SQRT, EXP, LN, POWER};
  static const char *const spreads[] = {"mp_var_pop", "mp_var_samp", "mp_stddev_pop",
                                        "mp_stddev_samp"};
  static spread kinds[] = {VAR_POP, VAR_SAMP, STDDEV_POP, STDDEV_SAMP};
  int code =
      sqlite3_create_function_v2(db, "mp_integer", 1, FLAGS, NULL, integer, NULL, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function_v2(db, "mp_fit", 2, FLAGS, NULL, fit, NULL, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function_v2(db, "mp_real", 1, FLAGS, NULL, real, NULL, NULL, NULL);
  for (int i = 0; code == SQLITE_OK && i < 4; i++)
    code = sqlite3_create_function_v2(db, names[i], functions[i] == POWER ? 2 : 1, FLAGS,
                                      &functions[i], calculate, NULL, NULL, NULL);
  for (int i = 0; code == SQLITE_OK && i < 4; i++)
    code = sqlite3_create_window_function(db, spreads[i], 1, FLAGS, &kinds[i], spread_step,
                                          spread_value, spread_value, spread_inverse, NULL);
  return code;
}
