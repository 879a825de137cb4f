/* mariadb_tls.c - the options of TLS as libmariadb takes them; their meaning and defaults are those of postgres_tls.h.
** The library's own defaults believe every server, and it goes on in plain text where the server has no TLS, unless a
** fingerprint is to be compared: an empty one is compared with nothing, and insists on TLS before anything else is
** sent. A list of certificates alone has the chain verified, without it the name only is. */
#include "mariadb_dial.h"

#include "postgres_hosts.h"
#include "postgres_tls.h"

#include <string.h>
#include <strings.h>

/* Without TLS nobody is asked for a password in the clear. */
#define HASHING_PLUGINS                                                                            \
  "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password,auth_gssapi_client"

static bool is_local(const mp_config *config)
{
  return config->host == NULL || strcasecmp(config->host, "localhost") == 0 ||
         mp_pghosts_is_loopback(config->host);
}

static const char *file(const char *name)
{
  return strcmp(name, MP_PGTLS_NO_FILE) == 0 ? NULL : name;
}

/* An option that did not arrive would leave the line less safe than the program asked for. */
static mp_status refused(mp_arena *arena, mp_error *err)
{
  return mp_error_set(err, arena, MP_E_TLS, "the client library refused an option of TLS");
}

mp_status mp_mytls_apply(MYSQL *conn, const mp_config *config, bool socket, bool *wanted,
                         mp_arena *arena, mp_error *err)
{
  mp_pgtls tls;
  my_bool verifies, encrypts;
  mp_status status = mp_pgtls_choose(config, socket, is_local(config), arena, &tls, err);
  if (status != MP_OK)
    return status;
  encrypts = !socket && strcmp(tls.mode, "disable") != 0;
  verifies = strcmp(tls.mode, "verify-full") == 0;
  *wanted = encrypts && strcmp(tls.mode, "prefer") != 0;
  if (mysql_options(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verifies) != 0 ||
      mysql_options(conn, MYSQL_OPT_SSL_ENFORCE, &encrypts) != 0)
    return refused(arena, err);
  if (!*wanted && !socket && mysql_options(conn, MARIADB_OPT_RESTRICTED_AUTH, HASHING_PLUGINS) != 0)
    return refused(arena, err);
  if (!encrypts)
    return MP_OK;
  if (*wanted && mysql_options(conn, MARIADB_OPT_SSL_FP, "") != 0)
    return refused(arena, err);
  if (mysql_options(conn, MYSQL_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3") != 0 ||
      mysql_ssl_set(conn, file(tls.key), file(tls.cert), file(tls.ca), NULL, NULL) != 0)
    return refused(arena, err);
  return MP_OK;
}

void mp_mytls_explain(mp_arena *arena, mp_error *err)
{
  static const struct {
    const char *word, *hint;
  } words[] = {
      {"does not support it", "without TLS: tls = { mode = \"off\" }"},
      {"no certificate or crl found", "tls.ca is a file of certificates in PEM form"},
      {"issuer certificate",
       "name the CA that signed the server's certificate: tls = { ca = \"file\" }; or "
       "encrypt without checking: tls = { mode = \"require\" }"},
      {"self-signed",
       "name the CA that signed the server's certificate: tls = { ca = \"file\" }; or "
       "encrypt without checking: tls = { mode = \"require\" }"},
      {"Validation of SSL server certificate",
       "use a host that the server's certificate names, or check the CA alone: tls = { mode = "
       "\"verify_ca\" }"},
  };
  for (size_t i = 0; i < sizeof words / sizeof *words && err->kind == MP_E_TLS; i++)
    if (err->hint == NULL && strstr(err->message, words[i].word) != NULL)
      mp_error_advise(err, arena, words[i].hint);
}
