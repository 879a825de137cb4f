/* url.c - a database URL taken apart.
** One pass from left to right over schemes that are known here; what a scheme means (its backend, its usual
** port) is decided above. An error names the part that is wrong and never shows the URL, which may hold a
** password. "#" is an ordinary character: these URLs have no fragment. */
#include "url.h"

#include <stdbool.h>
#include <string.h>

typedef struct span {
  const char *at, *end;
} span;

typedef struct reader {
  mp_arena *arena;
  mp_error *err;
  mp_url *out;
} reader;

static const struct {
  const char *name;
  bool path_only; /* no host: everything behind the colon is a path */
} schemes[] = {
    {"sqlite", true},      {"fake", true},      {"fake_file", true}, {"postgres", false},
    {"postgresql", false}, {"yugabyte", false}, {"mariadb", false},  {"mysql", false},
};

#define BAD(r, ...) mp_error_set((r)->err, (r)->arena, MP_E_CONFIGURATION, __VA_ARGS__)

static const char *find(span s, char c)
{
  return s.at < s.end ? memchr(s.at, c, (size_t)(s.end - s.at)) : NULL;
}

static const char *find_last(span s, char c)
{
  return s.at < s.end ? memrchr(s.at, c, (size_t)(s.end - s.at)) : NULL;
}

static bool is_alpha(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static mp_status decode(reader *r, span s, const char *part, const char **out)
{
  char *text = mp_arena_memdup(r->arena, s.at, (size_t)(s.end - s.at));
  char *to = text;
  if (text == NULL)
    return BAD(r, "out of memory");
  for (const char *at = s.at; at < s.end; at++) {
    char c = *at;
    if (c == '%') {
      int high = s.end - at > 2 ? hex_digit(at[1]) : -1;
      int low = high >= 0 ? hex_digit(at[2]) : -1;
      if (low < 0)
        return BAD(
            r, "database URL: the %s has a %% that is not followed by two hex digits (write %%25)",
            part);
      c = (char)(high * 16 + low);
      at += 2;
    }
    if (c == '\0')
      return BAD(r, "database URL: the %s holds a NUL byte", part);
    *to++ = c;
  }
  *to = '\0';
  *out = text;
  return MP_OK;
}

static mp_status read_scheme(reader *r, span *rest, bool *path_only)
{
  const char *colon = find(*rest, ':');
  const char *suffix;
  char name[16];
  size_t n;
  if (colon == NULL || colon == rest->at)
    return BAD(r, "database URL: no scheme in front (such as sqlite:library.db or "
                  "postgres://user@host/database)");
  suffix = find((span){rest->at, colon}, '+');
  n = (size_t)((suffix != NULL ? suffix : colon) - rest->at);
  for (size_t i = 0; i < n && i < sizeof name; i++) {
    char c = rest->at[i];
    if (!is_alpha(c) && !is_digit(c) && c != '_')
      return BAD(r, "database URL: no scheme in front (such as sqlite:library.db)");
    name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
  }
  rest->at = colon + 1;
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    if (n == strlen(schemes[i].name) && memcmp(name, schemes[i].name, n) == 0) {
      r->out->scheme = schemes[i].name;
      *path_only = schemes[i].path_only;
      return MP_OK;
    }
  }
  return BAD(r,
             "database URL: unknown scheme \"%.*s\" (there are sqlite, postgres, postgresql, "
             "yugabyte, mariadb, mysql)",
             (int)(n < sizeof name ? n : sizeof name), name);
}

static mp_status read_options(reader *r, span s)
{
  mp_option *options;
  int n = 1;
  for (const char *at = s.at; at < s.end; at++)
    n += *at == '&';
  options = mp_arena_alloc(r->arena, (size_t)n * sizeof *options);
  if (options == NULL)
    return BAD(r, "out of memory");
  r->out->options = options;
  while (s.at < s.end) {
    const char *and = find(s, '&');
    span pair = {s.at, and != NULL ? and : s.end};
    const char *equals = find(pair, '=');
    mp_option *option = &options[r->out->option_n];
    s.at = and != NULL ? and+1 : s.end;
    if (pair.at == pair.end)
      continue;
    if (equals == NULL || equals == pair.at)
      return BAD(
          r, "database URL: an option behind the ? is not of the form name=value (in a password, "
             "write : / @ and ? as %%3A %%2F %%40 and %%3F)");
    if (decode(r, (span){pair.at, equals}, "name of an option", &option->name) != MP_OK ||
        decode(r, (span){equals + 1, pair.end}, "value of an option", &option->value) != MP_OK)
      return r->err->kind;
    r->out->option_n++;
  }
  return MP_OK;
}

static mp_status read_path(reader *r, span s)
{
  const char *path;
  if (s.end - s.at >= 2 && s.at[0] == '/' && s.at[1] == '/') {
    s.at += 2;
    if (s.at < s.end && *s.at != '/')
      return BAD(r,
                 "database URL: %s has no host: write %s:path, or three slashes for a relative and "
                 "four for an "
                 "absolute path",
                 r->out->scheme, r->out->scheme);
    if (s.at < s.end)
      s.at++;
    if (s.at == s.end) {
      r->out->database = ":memory:";
      return MP_OK;
    }
  }
  if (decode(r, s, "path", &path) != MP_OK)
    return r->err->kind;
  if (*path == '\0')
    return BAD(r, "database URL: no path (write %s::memory: for a database in memory)",
               r->out->scheme);
  r->out->database = path;
  return MP_OK;
}

static mp_status read_user(reader *r, span s)
{
  const char *colon = find(s, ':');
  if (decode(r, (span){s.at, colon != NULL ? colon : s.end}, "user", &r->out->user) != MP_OK)
    return r->err->kind;
  if (*r->out->user == '\0')
    r->out->user = NULL;
  return colon == NULL ? MP_OK : decode(r, (span){colon + 1, s.end}, "password", &r->out->password);
}

static mp_status read_port(reader *r, span s, int *out)
{
  int port = 0;
  if (s.at == s.end)
    return MP_OK;
  for (const char *at = s.at; at < s.end; at++) {
    port = is_digit(*at) && port <= 65535 ? port * 10 + (*at - '0') : -1;
    if (port < 0)
      break;
  }
  if (port < 1 || port > 65535)
    return BAD(r, "database URL: the port is no number from 1 to 65535 (in a password, write : / @ "
                  "and ? as %%3A %%2F %%40 "
                  "and %%3F)");
  *out = port;
  return MP_OK;
}

static mp_status read_host(reader *r, span s, const char **name, int *port)
{
  const char *colon;
  span host = s;
  if (s.at < s.end && *s.at == '[') {
    const char *close = find(s, ']');
    if (close == NULL)
      return BAD(r, "database URL: the [ of an IPv6 address has no ]");
    host = (span){s.at + 1, close};
    s.at = close + 1;
    if (s.at < s.end && *s.at != ':')
      return BAD(r, "database URL: only a port may follow the ] of an IPv6 address");
    colon = s.at < s.end ? s.at : NULL;
  } else {
    colon = find(s, ':');
    host.end = colon != NULL ? colon : s.end;
  }
  if (decode(r, host, "host", name) != MP_OK)
    return r->err->kind;
  if (**name == '\0')
    *name = NULL;
  return colon == NULL ? MP_OK : read_port(r, (span){colon + 1, s.end}, port);
}

/* One of several, written so that it can be told apart from the others. */
static mp_status add_host(reader *r, span s)
{
  const char *before = r->out->host, *name, *comma = before != NULL ? "," : "";
  bool brackets;
  int port = 0;
  if (read_host(r, s, &name, &port) != MP_OK)
    return r->err->kind;
  if (name == NULL || strpbrk(name, ",[]") != NULL)
    return BAD(r, "database URL: %s among several hosts",
               name == NULL ? "an empty one" : "a comma or a bracket in the name of one");
  brackets = *name == '/' || *name == '@' || strchr(name, ':') != NULL;
  if (before == NULL)
    before = "";
  if (port != 0)
    before = mp_arena_printf(r->arena, "%s%s%s%s%s:%d", before, comma, brackets ? "[" : "", name,
                             brackets ? "]" : "", port);
  else
    before = mp_arena_printf(r->arena, "%s%s%s%s%s", before, comma, brackets ? "[" : "", name,
                             brackets ? "]" : "");
  r->out->host = before;
  return before != NULL ? MP_OK : BAD(r, "out of memory");
}

static mp_status read_hosts(reader *r, span s)
{
  const char *comma = find(s, ',');
  if (comma == NULL)
    return read_host(r, s, &r->out->host, &r->out->port);
  for (; comma != NULL; comma = find(s, ',')) {
    if (add_host(r, (span){s.at, comma}) != MP_OK)
      return r->err->kind;
    s.at = comma + 1;
  }
  return add_host(r, s);
}

static mp_status read_server(reader *r, span s)
{
  const char *slash, *at;
  span authority;
  if (s.end - s.at < 2 || s.at[0] != '/' || s.at[1] != '/')
    return BAD(r, "database URL: // is missing (%s://user@host/database)", r->out->scheme);
  s.at += 2;
  slash = find(s, '/');
  authority = (span){s.at, slash != NULL ? slash : s.end};
  at = find_last(authority, '@');
  if (at != NULL && read_user(r, (span){authority.at, at}) != MP_OK)
    return r->err->kind;
  if (at != NULL)
    authority.at = at + 1;
  if (read_hosts(r, authority) != MP_OK)
    return r->err->kind;
  if (slash == NULL || slash + 1 == s.end)
    return MP_OK;
  return decode(r, (span){slash + 1, s.end}, "database", &r->out->database);
}

mp_status mp_url_parse(mp_arena *arena, const char *text, size_t n, mp_url *out, mp_error *err)
{
  reader r = {arena, err, out};
  span rest = {text, text + n};
  const char *query;
  bool path_only = false;
  *out = (mp_url){.port = 0};
  *err = MP_ERROR_NONE;
  if (read_scheme(&r, &rest, &path_only) != MP_OK)
    return err->kind;
  query = find(rest, '?');
  if (query != NULL && read_options(&r, (span){query + 1, rest.end}) != MP_OK)
    return err->kind;
  if (query != NULL)
    rest.end = query;
  return path_only ? read_path(&r, rest) : read_server(&r, rest);
}
