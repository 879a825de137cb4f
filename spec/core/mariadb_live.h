/* mariadb_live.h - a live server for the tests of MariaDB's types and errors, asked in the plain blocking way.
** MOONPOOL_TEST_MARIADB names it (scripts/databases env); without one the tests that need it are skipped. The session is
** set up as the backend sets up its own. */
#ifndef MP_MARIADB_LIVE_H
#define MP_MARIADB_LIVE_H

#include "backend/mariadb_error.h"
#include "backend/mariadb_type.h"
#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline MYSQL *live_open(void)
{
  static const char setup[] =
      "SET NAMES utf8mb4, sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
      "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', lc_messages = "
      "'en_US'";
  const char *text = getenv("MOONPOOL_TEST_MARIADB");
  mp_arena *arena = mp_arena_new(0);
  mp_error err;
  mp_url url;
  if (text == NULL)
    skip();
  assert_int_equal(mp_url_parse(arena, text, strlen(text), &url, &err), MP_OK);
  MYSQL *db = mysql_init(NULL);
  bool socket = url.host != NULL && url.host[0] == '/';
  if (mysql_real_connect(db, socket ? NULL : url.host, url.user, url.password, url.database,
                         (unsigned)url.port, socket ? url.host : NULL, CLIENT_FOUND_ROWS) == NULL)
    fail_msg("%s", mysql_error(db));
  mp_arena_free(arena);
  assert_int_equal(mysql_query(db, setup), 0);
  return db;
}

static inline void live_run(MYSQL *db, const char *sql)
{
  if (mysql_query(db, sql) != 0)
    fail_msg("%s: %s", sql, mysql_error(db));
}

/* "int 5", "blob 00ff", "text 'a'", "null" */
static inline void show(char *out, size_t n, const mp_value *value)
{
  char text[MP_VALUE_TEXT_MAX];
  int at = snprintf(out, n, "%s", mp_kind_name((mp_kind)value->kind));
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    return;
  case MP_TEXT:
  case MP_JSON:
  case MP_UUID:
    snprintf(out + at, n - (size_t)at, " '%.*s'", (int)value->len, value->s);
    return;
  case MP_BLOB:
    at += snprintf(out + at, n - (size_t)at, " ");
    for (uint32_t i = 0; i < value->len && (size_t)at + 3 < n; i++)
      at += snprintf(out + at, n - (size_t)at, "%02x", (unsigned char)value->s[i]);
    return;
  default:
    if (mp_value_format(value, text) > 0)
      snprintf(out + at, n - (size_t)at, " %s", text);
    else
      snprintf(out + at, n - (size_t)at, " %.*s", (int)value->len, value->s);
  }
}

/* The first cell of the statement's first row, or the kind of the error that its cell is; an error of the server's
** fails the test unless error is true: then it is shown too. */
static inline void live_ask(MYSQL *db, const char *sql, const mp_value *param, char *out, size_t n)
{
  mp_arena *arena = mp_arena_new(0);
  MYSQL_STMT *stmt = mysql_stmt_init(db);
  mp_error err = MP_ERROR_NONE;
  mp_myslot slot = {.length = 0};
  MYSQL_BIND bind;
  mp_mycolumn column;
  mp_value value;
  my_bool update = 1;
  char *whole = NULL;
  *out = '\0';
  if (mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0)
    goto failed;
  if (param != NULL && !mp_mytype_param(param, arena, &bind, &err)) {
    snprintf(out, n, "%s", mp_status_name(err.kind));
    goto done;
  }
  if (param != NULL && mysql_stmt_bind_param(stmt, &bind) != 0)
    goto failed;
  if (mysql_stmt_execute(stmt) != 0)
    goto failed;
  MYSQL_RES *meta = mysql_stmt_result_metadata(stmt);
  if (meta == NULL)
    goto done;
  mp_mytype_column(mysql_fetch_field_direct(meta, 0), &column);
  mysql_free_result(meta);
  mysql_stmt_attr_set(stmt, STMT_ATTR_UPDATE_MAX_LENGTH, &update);
  mp_mytype_bind(&column, &slot);
  if (mysql_stmt_bind_result(stmt, &slot.bind) != 0 || mysql_stmt_store_result(stmt) != 0)
    goto failed;
  switch (mysql_stmt_fetch(stmt)) {
  case MYSQL_NO_DATA:
    snprintf(out, n, "no row");
    goto done;
  case 1:
    goto failed;
  default:
    break;
  }
  if (column.is_text && slot.length > sizeof slot.room.text) {
    MYSQL_BIND rest = slot.bind;
    whole = malloc(slot.length);
    rest.buffer = whole;
    rest.buffer_length = slot.length;
    assert_int_equal(mysql_stmt_fetch_column(stmt, &rest, 0, 0), 0);
    slot.data = whole;
  }
  if (mp_mytype_cell(&column, &slot, arena, &value, &err))
    show(out, n, &value);
  else
    snprintf(out, n, "%s", mp_status_name(err.kind));
  goto done;
failed:
  mp_myerror(MP_MY_MARIADB, mysql_stmt_errno(stmt), mysql_stmt_sqlstate(stmt),
             mysql_stmt_error(stmt), false, arena, &err);
  snprintf(out, n, "%s (%d)", mp_status_name(err.kind), err.code);
done:
  free(whole);
  mysql_stmt_close(stmt);
  mp_arena_free(arena);
}

#endif
