/* postgres_dial.c - from a config to a connection, one attempt after another.
** An attempt is one address of one host, by one libpq connection of its own: libpq would look names up on the loop
** and keep the attempts' time to itself. An attempt that is not the last one gets its share of the time that is left,
** so that a host which swallows packets does not use up everybody's. A refusal that another host would repeat (a wrong
** password, an unknown database, a certificate) ends the dial. What libpq would take from the environment to weaken
** the connection is always given. */
#include "postgres_dial.h"

#include "postgres_error.h"
#include "postgres_hosts.h"
#include "postgres_shake.h"
#include "postgres_tls.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define TOLD_MAX 8 /* failed attempts that a message tells of */
#define PARAM_MAX 32

/* What values in text form are read as, whatever the server or the role has set. */
#define TEXT_FORMS "-c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3"

typedef enum stage {
  NEXT_HOST,
  RESOLVING,
  NEXT_ADDRESS,
  CONNECTING,
  CONNECTED,
  OVER
} stage;

struct mp_pgdial {
  const mp_config *config;
  mp_waker *waker;
  mp_arena *arena;
  char *password;
  PQconninfoOption *defaults;
  stage stage;
  const char
      *attrs; /* target_session_attrs of this round; libpq sees to them, it knows how to ask */
  bool prefers_standby; /* this is the round for standbys, and another one comes */
  mp_pghosts hosts;
  int host_n; /* how many of them were begun in this round */
  const mp_pghost *host;
  mp_pglookup *lookup;
  const char **addresses; /* NULL: the host is a unix socket */
  int address_n, tried_n; /* of this host */
  PGconn *conn;
  mp_pgshake *shake; /* has the connection meanwhile */
  bool reads_ca;     /* there is a file of certificates to be read */
  PostgresPollingStatusType awaits;
  uint64_t end_ns, attempt_end_ns; /* 0: none */
  mp_error failure;
  int failure_n;
};

/* ---- what was refused ---- */

static const char *port_of(const mp_pgdial *dial)
{
  return dial->host->port != NULL ? dial->host->port : "5432";
}

static const char *name_of(const mp_pgdial *dial)
{
  const mp_pghost *host = dial->host;
  return host->name != NULL ? host->name : host->address != NULL ? host->address : "the socket";
}

/* Several failures become one: all are told of, and the kind is that of the one that says most. */
static void add_failure(mp_pgdial *dial, const mp_error *one)
{
  const char *told = dial->failure.message;
  dial->failure_n++;
  if (told == NULL) {
    dial->failure = *one;
    return;
  }
  if (dial->failure.kind == MP_E_CONNECT_FAILED || one->kind != MP_E_CONNECT_FAILED)
    dial->failure = *one;
  if (dial->failure_n <= TOLD_MAX)
    told = mp_arena_printf(dial->arena, "%s; %s", told, one->message);
  else if (dial->failure_n == TOLD_MAX + 1)
    told = mp_arena_printf(dial->arena, "%s; and more", told);
  dial->failure.message = told != NULL ? told : one->message;
}

/* May another host, or another address, do better? */
static bool is_final(mp_status kind)
{
  return kind != MP_E_CONNECT_FAILED && kind != MP_E_SERVER_LIMIT && kind != MP_E_PROTOCOL;
}

static void leave_attempt(mp_pgdial *dial)
{
  mp_pgshake_free(dial->shake);
  dial->shake = NULL;
  if (dial->conn != NULL)
    PQfinish(dial->conn);
  dial->conn = NULL;
}

/* An attempt came to nothing: on to the next, or that was it. */
static void refused(mp_pgdial *dial, const mp_error *one)
{
  leave_attempt(dial);
  add_failure(dial, one);
  dial->stage = is_final(one->kind) ? OVER : NEXT_ADDRESS;
}

static void fail(mp_pgdial *dial, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(mp_pgdial *dial, mp_status kind, const char *format, ...)
{
  va_list args;
  mp_error one;
  char *message;
  va_start(args, format);
  message = mp_arena_vprintf(dial->arena, format, args);
  va_end(args);
  mp_error_set(&one, dial->arena, kind, "%s", message != NULL ? message : "out of memory");
  one.retryable = kind == MP_E_CONNECT_FAILED ? MP_RETRY_CONNECT : MP_RETRY_NO;
  one.verdict = MP_DESTROY;
  refused(dial, &one);
}

static void attempt_failed(mp_pgdial *dial)
{
  mp_error one = MP_ERROR_NONE;
  const char *name = dial->host->name, *told;
  mp_pgerror_connection(dial->conn, false, dial->arena, &one);
  /* libpq speaks of the address that it was given */
  if (name != NULL && !dial->host->socket && !mp_pghosts_is_address(name)) {
    told = mp_arena_printf(dial->arena, "host %s: %s", name, one.message);
    one.message = told != NULL ? told : one.message;
  }
  refused(dial, &one);
}

/* ---- time ---- */

/* What is begun now has its share of the time that is left, the last attempt all of it. */
static void share_time(mp_pgdial *dial)
{
  int left = dial->hosts.n - dial->host_n + 1;
  uint64_t now = uv_hrtime();
  if (dial->address_n > dial->tried_n)
    left += dial->address_n - dial->tried_n - 1;
  if (dial->prefers_standby)
    left += dial->hosts.n;
  dial->attempt_end_ns = 0;
  if (left > 1 && dial->end_ns > now)
    dial->attempt_end_ns = now + (dial->end_ns - now) / (uint64_t)left;
}

static bool time_is_up(const mp_pgdial *dial)
{
  return dial->attempt_end_ns != 0 && uv_hrtime() >= dial->attempt_end_ns;
}

/* ---- the attempt ---- */

typedef struct params {
  const char *keywords[PARAM_MAX + 1], *values[PARAM_MAX + 1];
  int n;
} params;

/* libpq takes nothing, and an empty text, for leave to look elsewhere. */
static void add(params *p, const char *keyword, const char *value)
{
  if (value == NULL || *value == '\0')
    return;
  assert(p->n < PARAM_MAX);
  p->keywords[p->n] = keyword;
  p->values[p->n++] = value;
}

/* False: out of memory. */
static bool startup_options(mp_pgdial *dial, const char **out)
{
  const char *own = mp_pgtls_option(dial->config, "options");
  if (own == NULL)
    own = mp_pghosts_default(dial->defaults, "options");
  *out = dial->config->pooler ? own : TEXT_FORMS;
  if (own != NULL && !dial->config->pooler)
    *out = mp_arena_printf(dial->arena, "%s " TEXT_FORMS, own);
  return own == NULL || *out != NULL;
}

static void add_tls(mp_pgdial *dial, params *p, const mp_pgtls *tls)
{
  const char *least = mp_pghosts_default(dial->defaults, "ssl_min_protocol_version");
  add(p, "sslmode", tls->mode);
  add(p, "sslrootcert", tls->ca);
  add(p, "sslcert", tls->cert);
  add(p, "sslkey", tls->key);
  add(p, "gssencmode", "disable");
  add(p, "ssl_min_protocol_version",
      least != NULL && strcmp(least, "TLSv1.3") == 0 ? least : "TLSv1.2");
  if (mp_pghosts_default(dial->defaults, "sslcrl") == NULL &&
      mp_pghosts_default(dial->defaults, "sslcrldir") == NULL)
    add(p, "sslcrl", MP_PGTLS_NO_FILE);
}

static void ignore_notice(void *arg, const PGresult *notice)
{
  (void)arg;
  (void)notice;
}

static bool is_local(const mp_pghost *host, const char *address)
{
  if (host->socket || !mp_pghosts_is_loopback(address))
    return host->socket;
  return host->name == NULL || host->address != NULL || strcasecmp(host->name, "localhost") == 0 ||
         mp_pghosts_is_address(host->name);
}

static void begin_attempt(mp_pgdial *dial, const char *address)
{
  const mp_config *config = dial->config;
  const char *options;
  bool has_options;
  params p = {.n = 0};
  mp_pgtls tls;
  mp_error one = MP_ERROR_NONE;
  if (mp_pgtls_choose(config, dial->host->socket, is_local(dial->host, address), dial->arena, &tls,
                      &one) != MP_OK) {
    refused(dial, &one);
    return;
  }
  if (address == NULL && mp_pghosts_default(dial->defaults, "hostaddr") != NULL) {
    fail(dial, MP_E_CONFIGURATION,
         "PGHOSTADDR would lead away from the unix socket %s: unset it, or give a host",
         name_of(dial));
    return;
  }
  dial->reads_ca = tls.ca != NULL && strcmp(tls.ca, MP_PGTLS_NO_FILE) != 0;
  has_options = startup_options(dial, &options);
  add(&p, "host", dial->host->name);
  add(&p, "hostaddr", address);
  add(&p, "port", dial->host->port);
  add(&p, "user", config->user);
  add(&p, "password", dial->password);
  add(&p, "dbname", config->database);
  add_tls(dial, &p, &tls);
  add(&p, "client_encoding", "UTF8");
  add(&p, "application_name", mp_pgtls_option(config, "application_name"));
  add(&p, "fallback_application_name", "moonpool");
  add(&p, "options", options);
  add(&p, "target_session_attrs", dial->attrs);
  if (has_options)
    dial->conn = PQconnectStartParams(p.keywords, p.values, 0);
  if (dial->conn == NULL) {
    fail(dial, MP_E_OUT_OF_MEMORY, "out of memory");
    return;
  }
  /* the state of an error is told in messages only then */
  PQsetErrorVerbosity(dial->conn, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(dial->conn, ignore_notice, NULL);
  dial->stage = CONNECTING;
  dial->awaits = PGRES_POLLING_WRITING;
  if (PQstatus(dial->conn) == CONNECTION_BAD)
    attempt_failed(dial);
}

/* What was asked for does not always come through: the environment or a pooler may know better. */
static const char *wrong_form(const mp_pgdial *dial, const char **is)
{
  static const char *const forms[][2] = {{"client_encoding", "UTF8"}, {"DateStyle", "ISO"}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    *is = PQparameterStatus(dial->conn, forms[i][0]);
    if (*is != NULL && strncmp(*is, forms[i][1], strlen(forms[i][1])) != 0)
      return forms[i][0];
  }
  return NULL;
}

static void attempt_succeeded(mp_pgdial *dial)
{
  const char *is, *wrong = wrong_form(dial, &is);
  dial->stage = CONNECTED;
  if (wrong == NULL && PQsetnonblocking(dial->conn, 1) == 0)
    return;
  if (wrong == NULL)
    fail(dial, MP_E_OUT_OF_MEMORY, "out of memory");
  else
    fail(dial, MP_E_CONFIGURATION,
         "the session's %s is \"%s\", in which moonpool does not read values: take it out of the "
         "option options, of PGOPTIONS and PGDATESTYLE, or of the pooler's settings",
         wrong, is);
}

static void poll_socket(mp_pgdial *dial)
{
  if (!dial->reads_ca || !mp_pgshake_is_next(dial->conn)) {
    dial->awaits = PQconnectPoll(dial->conn);
    return;
  }
  dial->shake = mp_pgshake_start(dial->conn, dial->waker);
  if (dial->shake == NULL)
    fail(dial, MP_E_CONNECT_FAILED, "no thread to read the certificates on");
  else
    dial->conn = NULL;
}

static void poll_shake(mp_pgdial *dial)
{
  if (!mp_pgshake_done(dial->shake))
    return;
  dial->conn = mp_pgshake_take(dial->shake, &dial->awaits);
  mp_pgshake_free(dial->shake);
  dial->shake = NULL;
}

static void poll_attempt(mp_pgdial *dial, unsigned events)
{
  if (dial->shake != NULL)
    poll_shake(dial);
  else if ((events & (MP_READABLE | MP_WRITABLE)) != 0)
    poll_socket(dial);
  if (dial->stage != CONNECTING)
    return;
  if (dial->awaits == PGRES_POLLING_OK) {
    attempt_succeeded(dial);
  } else if (dial->awaits == PGRES_POLLING_FAILED) {
    attempt_failed(dial);
  } else if (time_is_up(dial)) {
    fail(dial, MP_E_CONNECT_FAILED, "connection to %s, port %s: no answer in its share of the time",
         name_of(dial), port_of(dial));
  }
}

/* ---- from host to host ---- */

static void take_addresses(mp_pgdial *dial, const char **list, int n)
{
  dial->addresses = list;
  dial->address_n = n;
  dial->tried_n = 0;
  dial->stage = NEXT_ADDRESS;
}

static void next_host(mp_pgdial *dial)
{
  if (dial->host_n == dial->hosts.n && dial->prefers_standby) {
    dial->prefers_standby = false;
    dial->attrs = "any";
    dial->host_n = 0;
  }
  if (dial->host_n == dial->hosts.n) {
    dial->stage = OVER;
    return;
  }
  dial->host = &dial->hosts.list[dial->host_n++];
  dial->address_n = dial->tried_n = 0;
  if (dial->host->socket) {
    take_addresses(dial, NULL, 1);
  } else if (dial->host->address != NULL) {
    take_addresses(dial, (const char **)&dial->host->address, 1);
  } else if (mp_pghosts_is_address(dial->host->name)) {
    take_addresses(dial, (const char **)&dial->host->name, 1);
  } else {
    share_time(dial);
    dial->lookup = mp_pglookup_start(dial->host->name, dial->waker);
    dial->stage = RESOLVING;
    if (dial->lookup == NULL) {
      fail(dial, MP_E_CONNECT_FAILED, "no thread to look the host \"%s\" up", dial->host->name);
    }
  }
}

static void resolve(mp_pgdial *dial)
{
  const char **list, *why;
  int n;
  if (mp_pglookup_done(dial->lookup)) {
    n = mp_pglookup_addresses(dial->lookup, dial->arena, &list, &why);
    if (n > 0) {
      take_addresses(dial, list, n);
    } else {
      fail(dial, MP_E_CONNECT_FAILED, "the host \"%s\" was not found: %s", dial->host->name, why);
    }
  } else if (time_is_up(dial)) {
    fail(dial, MP_E_CONNECT_FAILED,
         "looking the host \"%s\" up took longer than its share of the time", dial->host->name);
  } else {
    return;
  }
  mp_pglookup_free(dial->lookup);
  dial->lookup = NULL;
}

static void next_address(mp_pgdial *dial)
{
  if (dial->tried_n == dial->address_n) {
    dial->stage = NEXT_HOST;
    return;
  }
  share_time(dial);
  dial->tried_n++;
  begin_attempt(dial, dial->addresses == NULL ? NULL : dial->addresses[dial->tried_n - 1]);
}

static void wipe_password(mp_pgdial *dial)
{
  if (dial->password != NULL)
    explicit_bzero(dial->password, strlen(dial->password));
  free(dial->password);
  dial->password = NULL;
}

/* ---- as postgres_dial.h has it ---- */

mp_pgdial *mp_pgdial_new(const mp_config *config, const char *password, mp_waker *waker)
{
  mp_pgdial *dial = calloc(1, sizeof *dial);
  if (dial == NULL)
    return NULL;
  dial->config = config;
  dial->waker = waker;
  dial->arena = mp_arena_new(0);
  dial->defaults = PQconndefaults();
  dial->password = password != NULL ? strdup(password) : NULL;
  if (dial->arena == NULL || dial->defaults == NULL ||
      (password != NULL && dial->password == NULL)) {
    mp_pgdial_free(dial);
    return NULL;
  }
  if (config->connect_timeout_ms != 0)
    dial->end_ns = uv_hrtime() + (uint64_t)config->connect_timeout_ms * 1000000;
  dial->attrs = mp_pgtls_option(config, "target_session_attrs");
  if (dial->attrs == NULL)
    dial->attrs = mp_pghosts_default(dial->defaults, "target_session_attrs");
  if (dial->attrs != NULL && strcmp(dial->attrs, "prefer-standby") == 0) {
    dial->attrs = "standby";
    dial->prefers_standby = true;
  }
  if (mp_pghosts_read(config, dial->defaults, dial->arena, &dial->hosts, &dial->failure) != MP_OK)
    dial->stage = OVER;
  return dial;
}

mp_dialstate mp_pgdial_step(mp_pgdial *dial, unsigned events, mp_wants *wants, mp_error *err)
{
  bool waits = false;
  *wants = (mp_wants){.fd = -1};
  while (!waits && dial->stage < CONNECTED) {
    switch (dial->stage) {
    case NEXT_HOST:
      next_host(dial);
      break;
    case RESOLVING:
      resolve(dial);
      waits = dial->stage == RESOLVING;
      break;
    case NEXT_ADDRESS:
      next_address(dial);
      waits = dial->stage == CONNECTING; /* the events were not those of its socket */
      break;
    default:
      poll_attempt(dial, events);
      waits = dial->stage == CONNECTING;
      break;
    }
  }
  if (waits) {
    wants->work = dial->stage == RESOLVING || dial->shake != NULL;
    wants->timer_ns = dial->attempt_end_ns;
    if (dial->conn != NULL) {
      wants->fd = PQsocket(dial->conn);
      wants->fd_changed = true; /* the same number may be another socket */
      wants->read = dial->awaits == PGRES_POLLING_READING;
      wants->write = !wants->read;
    }
    return MP_DIAL_TRYING;
  }
  wipe_password(dial);
  if (dial->stage == CONNECTED)
    return MP_DIAL_DONE;
  *err = dial->failure;
  return MP_DIAL_FAILED;
}

PGconn *mp_pgdial_take(mp_pgdial *dial)
{
  PGconn *conn = dial->conn;
  dial->conn = NULL;
  return conn;
}

void mp_pgdial_free(mp_pgdial *dial)
{
  if (dial == NULL)
    return;
  wipe_password(dial);
  leave_attempt(dial);
  mp_pglookup_free(dial->lookup);
  PQconninfoFree(dial->defaults);
  mp_arena_free(dial->arena);
  free(dial);
}

static bool is_one_of(const char *value, const char *const *list)
{
  for (; *list != NULL; list++)
    if (strcmp(value, *list) == 0)
      return true;
  return false;
}

mp_status mp_pgdial_check(const mp_config *config, mp_error *err)
{
  static const char *const known[] = {"tls_mode",         "tls_ca",  "tls_cert",
                                      "tls_key",          "options", "target_session_attrs",
                                      "application_name", NULL};
  static const char *const attrs[] = {"any",     "read-write",     "read-only", "primary",
                                      "standby", "prefer-standby", NULL};
  const char *wanted = mp_pgtls_option(config, "target_session_attrs");
  mp_pghosts hosts;
  for (int i = 0; i < config->option_n; i++)
    if (!is_one_of(config->options[i].name, known))
      return mp_error_set(err, config->arena, MP_E_UNKNOWN_OPTION,
                          "PostgreSQL has no option \"%s\"", config->options[i].name);
  if (wanted != NULL && !is_one_of(wanted, attrs))
    return mp_error_set(err, config->arena, MP_E_CONFIGURATION,
                        "option target_session_attrs: no \"%s\" (there are any, read-write, "
                        "read-only, primary, standby, prefer-standby)",
                        wanted);
  if (mp_pgtls_check(config, config->arena, err) != MP_OK)
    return err->kind;
  return config->host == NULL ? MP_OK : mp_pghosts_read(config, NULL, config->arena, &hosts, err);
}
