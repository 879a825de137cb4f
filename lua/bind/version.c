/* version.c - which libraries this program runs with, for --version and for bug reports. */
#include "hub.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <jansson.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <uv.h>

static void set_version(lua_State *L, const char *library, const char *version)
{
  lua_pushstring(L, version);
  lua_setfield(L, -2, library);
}

int lmp_versions(lua_State *L)
{
  char pcre2[64] = "";
  lua_newtable(L);
  set_version(L, "moonpool", MOONPOOL_VERSION);
  set_version(L, "libuv", uv_version_string());
  set_version(L, "sqlite", mp_backend_sqlite.version());
  set_version(L, "libpq", mp_backend_postgres.version());
  set_version(L, "libmariadb", mp_backend_mariadb.version());
  set_version(L, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
  if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= (int)sizeof pcre2)
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
  set_version(L, "pcre2", pcre2);
  set_version(L, "jansson", jansson_version_str());
  lua_getglobal(L, "jit");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "version");
    lua_setfield(L, -3, "lua");
    lua_pop(L, 1);
    return 1;
  }
  lua_pop(L, 1);
#ifdef LUA_RELEASE
  set_version(L, "lua", LUA_RELEASE);
#else
  set_version(L, "lua", LUA_VERSION);
#endif
  return 1;
}
