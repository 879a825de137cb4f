/* postgres_tls.c - the options of TLS as libpq takes them.
** libpq looks for certificates in the user's home when it is told nothing, and believes what it finds there; so it
** is always told something. It knows no word for "what this system trusts": that is a file, looked for where
** distributions keep it. */
#include "postgres_tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *ours, *libpq;
} modes[] = {
    {"off", "disable"},         {"prefer", "prefer"},           {"require", "require"},
    {"verify_ca", "verify-ca"}, {"verify_full", "verify-full"},
};

static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
    "/etc/ssl/ca-bundle.pem",             /* openSUSE */
    "/etc/ssl/cert.pem",                  /* macOS, BSD */
};

const char *mp_pgtls_option(const mp_config *config, const char *name)
{
  for (int i = 0; i < config->option_n; i++)
    if (strcmp(config->options[i].name, name) == 0)
      return config->options[i].value;
  return NULL;
}

static const char *libpq_mode(const char *ours)
{
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (strcmp(modes[i].ours, ours) == 0)
      return modes[i].libpq;
  return NULL;
}

static bool verifies(const char *libpq)
{
  return strncmp(libpq, "verify", 6) == 0;
}

mp_status mp_pgtls_check(const mp_config *config, mp_arena *arena, mp_error *err)
{
  const char *mode = mp_pgtls_option(config, "tls_mode"), *ca = mp_pgtls_option(config, "tls_ca");
  const char *cert = mp_pgtls_option(config, "tls_cert"), *key = mp_pgtls_option(config, "tls_key");
  if (mode != NULL && libpq_mode(mode) == NULL)
    return mp_error_set(
        err, arena, MP_E_CONFIGURATION,
        "option tls.mode: no \"%s\" (there are off, prefer, require, verify_ca, verify_full)",
        mode);
  if ((cert != NULL) != (key != NULL))
    return mp_error_set(err, arena, MP_E_CONFIGURATION,
                        "option tls.%s: a certificate of one's own takes tls.cert and tls.key",
                        cert != NULL ? "cert" : "key");
  if (ca != NULL && mode != NULL && !verifies(libpq_mode(mode)))
    return mp_error_set(err, arena, MP_E_CONFIGURATION,
                        "option tls.ca: with tls.mode \"%s\" nothing is verified (say verify_ca or "
                        "verify_full)",
                        mode);
  if (mode != NULL && strcmp(mode, "off") == 0 && cert != NULL)
    return mp_error_set(err, arena, MP_E_CONFIGURATION,
                        "option tls.cert: with tls.mode \"off\" no certificate is sent");
  return MP_OK;
}

static const char *system_bundle(void)
{
  for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++)
    if (access(bundles[i], R_OK) == 0)
      return bundles[i];
  return NULL;
}

/* libpq goes on without a certificate whose file is not there. */
static mp_status find_file(const char *option, const char *path, mp_arena *arena, mp_error *err)
{
  if (path == NULL || access(path, R_OK) == 0)
    return MP_OK;
  return mp_error_set(err, arena, MP_E_TLS, "option %s: the file \"%s\" cannot be read: %s", option,
                      path, strerror(errno));
}

mp_status mp_pgtls_choose(const mp_config *config, bool socket, bool local, mp_arena *arena,
                          mp_pgtls *out, mp_error *err)
{
  const char *mode = mp_pgtls_option(config, "tls_mode"), *ca = mp_pgtls_option(config, "tls_ca");
  const char *cert = mp_pgtls_option(config, "tls_cert"), *key = mp_pgtls_option(config, "tls_key");
  if (mode == NULL) /* who names a CA wants it asked */
    mode = (socket || local) && (ca == NULL || socket) ? "prefer" : "verify_full";
  else if (socket && strcmp(mode, "off") != 0 && strcmp(mode, "prefer") != 0)
    return mp_error_set(err, arena, MP_E_TLS,
                        "option tls.mode: a unix socket has no TLS, so \"%s\" cannot be kept "
                        "(leave it out, or give a host)",
                        mode);
  *out = (mp_pgtls){libpq_mode(mode), ca, cert, key};
  if (!socket && (find_file("tls.ca", ca, arena, err) != MP_OK ||
                  find_file("tls.cert", cert, arena, err) != MP_OK ||
                  find_file("tls.key", key, arena, err) != MP_OK))
    return err->kind;
  if (out->ca == NULL && verifies(out->mode)) {
    out->ca = system_bundle();
    if (out->ca == NULL)
      return mp_error_set(err, arena, MP_E_TLS,
                          "the certificates that this system trusts are not there (%s): install "
                          "the package ca-certificates, or name a file with tls.ca",
                          bundles[0]);
  }
  if (!verifies(out->mode))
    out->ca = MP_PGTLS_NO_FILE; /* libpq would verify, and the options say not to */
  if (out->cert == NULL)
    out->cert = out->key = MP_PGTLS_NO_FILE;
  return MP_OK;
}
