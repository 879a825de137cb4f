/* url_test.c - database URLs: what each form means, and what is said of the wrong ones. */
#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct good {
  const char *text;
  mp_url url;
} good;

static const good goods[] = {
    {"sqlite:library.db", {.scheme = "sqlite", .database = "library.db"}},
    {"sqlite::memory:", {.scheme = "sqlite", .database = ":memory:"}},
    {"sqlite://", {.scheme = "sqlite", .database = ":memory:"}},
    {"sqlite:///relative/x.db", {.scheme = "sqlite", .database = "relative/x.db"}},
    {"sqlite:////absolute.db", {.scheme = "sqlite", .database = "/absolute.db"}},
    {"sqlite:///", {.scheme = "sqlite", .database = ":memory:"}},
    {"sqlite:/absolute.db", {.scheme = "sqlite", .database = "/absolute.db"}},
    {"sqlite+aiosqlite:///a%20b.db", {.scheme = "sqlite", .database = "a b.db"}},
    {"SQLite:x.db", {.scheme = "sqlite", .database = "x.db"}},
    {"sqlite:a#b.db", {.scheme = "sqlite", .database = "a#b.db"}},
    {"fake:one", {.scheme = "fake", .database = "one"}},
    {"postgres://app:s3cret@localhost/shop",
     {.scheme = "postgres",
      .user = "app",
      .password = "s3cret",
      .host = "localhost",
      .database = "shop"}},
    {"postgresql+asyncpg://u%40x:p%3Aw%2F%25@h:6543/d%20b",
     {.scheme = "postgresql",
      .user = "u@x",
      .password = "p:w/%",
      .host = "h",
      .port = 6543,
      .database = "d b"}},
    {"postgres://u:p@ss@h/d",
     {.scheme = "postgres", .user = "u", .password = "p@ss", .host = "h", .database = "d"}},
    {"postgres://u:p#ss@h/d",
     {.scheme = "postgres", .user = "u", .password = "p#ss", .host = "h", .database = "d"}},
    {"yugabyte://h", {.scheme = "yugabyte", .host = "h"}},
    {"mariadb://app@127.0.0.1:3306/shop",
     {.scheme = "mariadb", .user = "app", .host = "127.0.0.1", .port = 3306, .database = "shop"}},
    {"mysql://app:@h/", {.scheme = "mysql", .user = "app", .password = "", .host = "h"}},
    {"mysql://[::1]:33/x", {.scheme = "mysql", .host = "::1", .port = 33, .database = "x"}},
    {"mysql://[fe80::1]", {.scheme = "mysql", .host = "fe80::1"}},
    {"postgres:///shop", {.scheme = "postgres", .database = "shop"}},
    {"postgres://%2Fvar%2Frun/shop",
     {.scheme = "postgres", .host = "/var/run", .database = "shop"}},
    {"postgres://h:", {.scheme = "postgres", .host = "h"}},
    {"postgres://u@a,b/d", {.scheme = "postgres", .user = "u", .host = "a,b", .database = "d"}},
    {"postgres://a:1,b,c:3/d", {.scheme = "postgres", .host = "a:1,b,c:3", .database = "d"}},
    {"postgres://[::1]:5,[fe80::1],h:/d",
     {.scheme = "postgres", .host = "[::1]:5,[fe80::1],h", .database = "d"}},
    {"postgres://%2Frun%2Fpg:6,%2Ftmp,h/d",
     {.scheme = "postgres", .host = "[/run/pg]:6,[/tmp],h", .database = "d"}},
};

static void same(const char *a, const char *b)
{
  if (b == NULL)
    assert_null(a);
  else
    assert_string_equal(a, b);
}

static void each_form_is_taken_apart(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
    const mp_url *want = &goods[i].url;
    mp_arena *arena = mp_arena_new(0);
    mp_url url;
    mp_error err;
    if (mp_url_parse(arena, goods[i].text, strlen(goods[i].text), &url, &err) != MP_OK)
      fail_msg("%s: %s", goods[i].text, err.message);
    same(url.scheme, want->scheme);
    same(url.user, want->user);
    same(url.password, want->password);
    same(url.host, want->host);
    same(url.database, want->database);
    assert_int_equal(url.port, want->port);
    assert_int_equal(url.option_n, 0);
    mp_arena_free(arena);
  }
}

static void options_keep_their_order_and_are_decoded(void **state)
{
  const char *text = "sqlite:x.db?mode=ro&&a%26b=c%3Dd&empty=";
  mp_arena *arena = mp_arena_new(0);
  mp_url url;
  mp_error err;
  (void)state;
  assert_int_equal(mp_url_parse(arena, text, strlen(text), &url, &err), MP_OK);
  assert_string_equal(url.database, "x.db");
  assert_int_equal(url.option_n, 3);
  assert_string_equal(url.options[0].name, "mode");
  assert_string_equal(url.options[0].value, "ro");
  assert_string_equal(url.options[1].name, "a&b");
  assert_string_equal(url.options[1].value, "c=d");
  assert_string_equal(url.options[2].value, "");
  mp_arena_free(arena);
}

static const struct {
  const char *text, *says;
} bads[] = {
    {"", "no scheme"},
    {"library.db", "no scheme"},
    {":x", "no scheme"},
    {"/tmp/x:y", "no scheme"},
    {"oracle://h/x", "unknown scheme \"oracle\""},
    {"averyveryverylongscheme://h", "unknown scheme \"averyveryverylo"},
    {"sqlite:", "no path"},
    {"sqlite://library.db", "three slashes"},
    {"sqlite:50%.db", "two hex digits"},
    {"sqlite:a%0", "two hex digits"},
    {"sqlite:a%00b", "NUL"},
    {"postgres:shop", "// is missing"},
    {"postgres://h:99999/x", "port"},
    {"postgres://h:0/x", "port"},
    {"postgres://h:12a/x", "port"},
    {"postgres://u:se/cret@h/x", "port"},
    {"postgres://[::1/x", "no ]"},
    {"postgres://[::1]x/y", "only a port"},
    {"postgres://a,/x", "an empty one among several"},
    {"postgres://,a/x", "an empty one among several"},
    {"postgres://a,,b/x", "an empty one among several"},
    {"postgres://a,b:70000/x", "port"},
    {"postgres://a,[::1/x", "no ]"},
    {"postgres://a,b%2Cc/x", "a comma or a bracket"},
    {"sqlite:x?mode", "name=value"},
    {"sqlite:x?=ro", "name=value"},
};

static void a_wrong_url_is_explained_and_not_repeated(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
    mp_arena *arena = mp_arena_new(0);
    mp_url url;
    mp_error err;
    assert_int_equal(mp_url_parse(arena, bads[i].text, strlen(bads[i].text), &url, &err),
                     MP_E_CONFIGURATION);
    if (strstr(err.message, bads[i].says) == NULL)
      fail_msg("\"%s\": %s", bads[i].text, err.message);
    assert_null(strstr(err.message, "cret"));
    mp_arena_free(arena);
  }
}

/* Only the given bytes are looked at: the copy ends where the URL does, so that a checker sees every step beyond. */
static void no_prefix_of_a_url_is_read_beyond_its_end(void **state)
{
  const char *text = "postgresql+x://u%41:p%3A@[::1]:5432/d%20b?a=b%20c&d=";
  (void)state;
  for (size_t n = 0; n <= strlen(text); n++) {
    mp_arena *arena = mp_arena_new(0);
    char *copy = malloc(n > 0 ? n : 1);
    mp_url url;
    mp_error err;
    memcpy(copy, text, n);
    mp_url_parse(arena, copy, n, &url, &err);
    free(copy);
    mp_arena_free(arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_form_is_taken_apart),
      cmocka_unit_test(options_keep_their_order_and_are_decoded),
      cmocka_unit_test(a_wrong_url_is_explained_and_not_repeated),
      cmocka_unit_test(no_prefix_of_a_url_is_read_beyond_its_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
