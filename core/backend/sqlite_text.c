/* sqlite_text.c - Unicode text functions for SQL. NULL in, NULL out.
**   mp_lower(s) mp_upper(s)        every letter by itself (simple case mapping)
**   mp_fold(s)                     case folding: texts that differ in case only become equal
**   mp_regexp(pattern, s, flags)   1 or 0; PCRE2, not anchored; flags: of i, m, s and x
** Case comes from the C library's Unicode tables, whatever the process's locale is. Errors of
** mp_regexp: "invalid regular expression ...", "regular expression is too complex" (its limits
** ended it). */
#include "sqlite.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <locale.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define MATCH_STEPS 1000000
#define MATCH_KIBIBYTES 20000
#define FLAGS_MAX 8

/* ---- case ---- */

static locale_t unicode; /* made once, for the life of the process */
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void make_unicode(void)
{
  unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static wint_t lower(wint_t c)
{
  return towlower_l(c, unicode);
}

static wint_t upper(wint_t c)
{
  return towupper_l(c, unicode);
}

/* By way of the upper case, where several small letters meet (sigma and final sigma). The
** Turkish i with and without its dot stay as they are: they are letters of their own, not cases
** of i. */
static wint_t fold(wint_t c)
{
  return c == 0x130 || c == 0x131 ? c : lower(upper(c));
}

/* One code point of valid UTF-8: its bytes; 0 where it is not valid. */
static int decode(const unsigned char *s, size_t n, wint_t *out)
{
  static const wint_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  int len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
  if (len == 0 || (size_t)len > n)
    return 0;
  wint_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
  for (int i = 1; i < len; i++) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    c = c << 6 | (s[i] & 0x3fu);
  }
  if (c < least[len] || c > 0x10ffff)
    return 0;
  *out = c;
  return len;
}

static size_t encode(wint_t c, char *to)
{
  if (c < 0x80) {
    to[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    to[0] = (char)(0xc0 | c >> 6);
    to[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3f));
    to[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  to[0] = (char)(0xf0 | c >> 18);
  to[1] = (char)(0x80 | (c >> 12 & 0x3f));
  to[2] = (char)(0x80 | (c >> 6 & 0x3f));
  to[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

typedef wint_t (*casemap)(wint_t c);

static void map_case(sqlite3_context *ctx, int n_args, sqlite3_value **args)
{
  casemap map = *(const casemap *)sqlite3_user_data(ctx);
  const unsigned char *s = sqlite3_value_text(args[0]);
  size_t n = (size_t)sqlite3_value_bytes(args[0]), m = 0;
  (void)n_args;
  if (s == NULL) {
    sqlite3_result_null(ctx);
    return;
  }
  char *out =
      sqlite3_malloc64(n * 2 + 4); /* two bytes may become three, never more than twice as many */
  if (out == NULL) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  while (n > 0) {
    wint_t c;
    int len = decode(s, n, &c);
    if (len > 0) {
      m += encode(c < 0x80 && map != upper ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : map(c), out + m);
    } else {
      out[m++] = (char)*s; /* not text: kept as it is */
      len = 1;
    }
    s += len;
    n -= (size_t)len;
  }
  sqlite3_result_text64(ctx, out, m, sqlite3_free, SQLITE_UTF8);
}

/* ---- regular expressions ---- */

typedef struct regex {
  pcre2_code *code;
  pcre2_match_data *match;
  pcre2_match_context *limits;
  char flags[FLAGS_MAX];
} regex;

static void regex_free(void *arg)
{
  regex *r = arg;
  pcre2_match_context_free(r->limits);
  pcre2_match_data_free(r->match);
  pcre2_code_free(r->code);
  sqlite3_free(r);
}

/* False: no such flag. */
static bool read_flags(const char *flags, uint32_t *options)
{
  /* what is not valid UTF-8 just does not match */
  *options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  for (const char *flag = flags; *flag != '\0'; flag++) {
    switch (*flag) {
    case 'i':
      *options |= PCRE2_CASELESS;
      break;
    case 'm':
      *options |= PCRE2_MULTILINE;
      break;
    case 's':
      *options |= PCRE2_DOTALL;
      break;
    case 'x':
      *options |= PCRE2_EXTENDED;
      break;
    default:
      return false;
    }
  }
  return strlen(flags) < FLAGS_MAX;
}

/* NULL: an error is set. */
static regex *regex_new(sqlite3_context *ctx, const unsigned char *pattern, size_t n,
                        const char *flags)
{
  char message[200] = "invalid regular expression: flags are i, m, s and x";
  uint32_t options;
  int number;
  PCRE2_SIZE offset;
  if (!read_flags(flags, &options)) {
    sqlite3_result_error(ctx, message, -1);
    return NULL;
  }
  pcre2_code *code = pcre2_compile(pattern, n, options, &number, &offset, NULL);
  if (code == NULL) {
    char reason[120];
    pcre2_get_error_message(number, (PCRE2_UCHAR *)reason, sizeof reason);
    snprintf(message, sizeof message, "invalid regular expression at offset %zu: %s", offset,
             reason);
    sqlite3_result_error(ctx, message, -1);
    return NULL;
  }
  regex *r = sqlite3_malloc(sizeof *r);
  if (r != NULL) {
    *r = (regex){code, pcre2_match_data_create_from_pattern(code, NULL),
                 pcre2_match_context_create(NULL), ""};
    snprintf(r->flags, sizeof r->flags, "%s", flags);
    if (r->match != NULL && r->limits != NULL) {
      pcre2_set_match_limit(r->limits, MATCH_STEPS);
      pcre2_set_heap_limit(r->limits, MATCH_KIBIBYTES);
      return r;
    }
    regex_free(r);
  } else {
    pcre2_code_free(code);
  }
  sqlite3_result_error_nomem(ctx);
  return NULL;
}

static void regexp(sqlite3_context *ctx, int n, sqlite3_value **args)
{
  const unsigned char *pattern = sqlite3_value_text(args[0]);
  const unsigned char *subject = sqlite3_value_text(args[1]);
  const char *flags = n > 2 ? (const char *)sqlite3_value_text(args[2]) : "";
  if (pattern == NULL || subject == NULL || flags == NULL) {
    sqlite3_result_null(ctx);
    return;
  }
  regex *r = sqlite3_get_auxdata(ctx, 0); /* kept by SQLite while the pattern is a constant */
  bool fresh = r == NULL || strcmp(r->flags, flags) != 0;
  if (fresh) {
    r = regex_new(ctx, pattern, (size_t)sqlite3_value_bytes(args[0]), flags);
    if (r == NULL)
      return;
  }
  int found = pcre2_match(r->code, subject, (size_t)sqlite3_value_bytes(args[1]), 0, 0, r->match,
                          r->limits);
  if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
    sqlite3_result_int(ctx, found >= 0);
  else if (found == PCRE2_ERROR_NOMEMORY)
    sqlite3_result_error_nomem(ctx);
  else
    sqlite3_result_error(ctx, "regular expression is too complex", -1);
  if (fresh)
    sqlite3_set_auxdata(ctx, 0, r, regex_free); /* last: it may free r at once */
}

/* ---- registering ---- */

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

int mp_sqlite_add_texts(sqlite3 *db)
{
  static const char *const names[] = {"mp_lower", "mp_upper", "mp_fold"};
  static casemap maps[] = {lower, upper, fold};
  int code = SQLITE_OK;
  pthread_once(&unicode_once, make_unicode);
  if (unicode == (locale_t)0)
    return SQLITE_NOMEM; /* C.UTF-8 is built into the C library */
  for (int i = 0; code == SQLITE_OK && i < 3; i++)
    code = sqlite3_create_function_v2(db, names[i], 1, FLAGS, &maps[i], map_case, NULL, NULL, NULL);
  for (int n = 2; code == SQLITE_OK && n <= 3; n++)
    code = sqlite3_create_function_v2(db, "mp_regexp", n, FLAGS, NULL, regexp, NULL, NULL, NULL);
  return code;
}
