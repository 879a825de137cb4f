/* error.c - errors of the core as Lua tables, and the table of their kinds.
** A table without a metatable: errors.lua makes it an error object where it is raised. */
#include "hub.h"

#include "raise.h"

#include <math.h>
#include <string.h>

static void set_text(lua_State *L, const char *key, const char *text)
{
  if (text == NULL || text[0] == '\0')
    return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_columns(lua_State *L, const char *columns)
{
  int n = 0;
  if (columns == NULL)
    return;
  lua_newtable(L);
  while (*columns != '\0') {
    size_t len = strcspn(columns, ",");
    lua_pushlstring(L, columns, len);
    lua_rawseti(L, -2, ++n);
    columns += len;
    if (*columns == ',')
      columns++;
  }
  lua_setfield(L, -2, "columns");
}

static const char *retryable_name(mp_retryable retryable)
{
  switch (retryable) {
  case MP_RETRY_TRANSACTION:
    return "transaction";
  case MP_RETRY_CONNECT:
    return "connect";
  case MP_RETRY_STATEMENT:
    return "statement";
  case MP_RETRY_NO:
    break;
  }
  return NULL;
}

void lmp_push_error(lua_State *L, const mp_error *error)
{
  const char *retryable = retryable_name(error->retryable);
  lua_createtable(L, 0, 8);
  set_text(L, "kind", mp_status_name(error->kind));
  lua_pushstring(L, error->message != NULL ? error->message : mp_status_name(error->kind));
  lua_setfield(L, -2, "message");
  if (retryable != NULL)
    lua_pushstring(L, retryable);
  else
    lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
  lua_pushboolean(L, error->sent);
  lua_setfield(L, -2, "sent");
  if (error->code != 0) {
    lua_pushinteger(L, error->code);
    lua_setfield(L, -2, "code");
  }
  if (error->position != 0) {
    lua_pushinteger(L, error->position);
    lua_setfield(L, -2, "position");
  }
  if (error->row != 0) {
    lua_pushinteger(L, (lua_Integer)error->row);
    lua_setfield(L, -2, "row");
  }
  set_text(L, "sqlstate", error->sqlstate);
  set_text(L, "detail", error->detail);
  set_text(L, "hint", error->hint);
  set_text(L, "constraint", error->constraint);
  set_text(L, "table", error->table);
  set_columns(L, error->columns);
}

int lmp_fail(lua_State *L, const mp_error *error)
{
  lua_pushnil(L);
  lmp_push_error(L, error);
  return 2;
}

uint64_t lmp_seconds_ns(lua_State *L, int idx, uint64_t otherwise)
{
  lua_Number seconds;
  if (lua_isnoneornil(L, idx))
    return otherwise;
  if (lua_type(L, idx) != LUA_TNUMBER)
    lmp_raise(L, MP_E_BAD_ARGUMENT, "seconds are a number, not a %s", luaL_typename(L, idx));
  seconds = lua_tonumber(L, idx);
  if (isnan(seconds) || seconds < 0)
    lmp_raise(L, MP_E_BAD_ARGUMENT, "seconds are zero or more, not %f", (double)seconds);
  return seconds >= 1.8e10 ? UINT64_MAX : (uint64_t)(seconds * 1e9);
}
