/* postgres_refusal.c - why a connection failed or broke.
** libpq gives no result then, only lines of text. It was told to put the SQLSTATE into them, which no translation
** changes and which decides; where the server had no say (TLS, the network, a pooler's own words) the text does. Names
** in quotation marks are the user's and decide nothing. The password is in no text of libpq's. */
#include "postgres_error.h"

#include <string.h>

typedef struct span {
  const char *at, *end;
} span;

/* The line that tells why, taken apart. */
typedef struct reason {
  span before; /* which server it speaks of, up to and with "failed: " */
  span text;
  char state[6]; /* "": libpq's own words */
  const char *rest;
} reason;

#define NOT_AS_WANTED                                                                              \
  "the option target_session_attrs (or PGTARGETSESSIONATTRS) asks for another sort of server"

/* In words: state is the SQLSTATE that it goes with ("": none). The first that fits. */
static const struct {
  const char *state, *words;
  mp_status kind;
  const char *hint;
} words[] = {
    {"", "invalid response", MP_E_PROTOCOL,
     "what answers there does not speak PostgreSQL's protocol"},
    {"", "does not support SSL", MP_E_TLS,
     "the server has no TLS: switch it on there, or allow an unencrypted connection with "
     "tls = { mode = \"off\" }"},
    {"", "certificate verify failed", MP_E_TLS,
     "the server's certificate has expired, or no CA that is trusted here has signed it: name its "
     "CA with tls = { ca = \"file\" }, or encrypt without checking with tls = { mode = \"require\" "
     "}"},
    {"", "does not match host name", MP_E_TLS,
     "use a host that the server's certificate names, or check the CA alone with tls = { mode = "
     "\"verify_ca\" }"},
    {"", "root certificate file", MP_E_TLS, "tls.ca is a file of certificates in PEM form"},
    {"", "SSL SYSCALL error", MP_E_CONNECT_FAILED, NULL}, /* the network's fault, not TLS's */
    {"", "SSL", MP_E_TLS, NULL},
    {"", "certificate", MP_E_TLS, NULL},
    {"", "private key", MP_E_TLS, NULL},
    {"", "expected authentication request", MP_E_PROTOCOL,
     "what answers there does not speak PostgreSQL's protocol"},
    {"", "lost synchronization", MP_E_PROTOCOL, NULL},
    {"", "no password supplied", MP_E_AUTH_FAILED,
     "give the option password, or PGPASSWORD, or a password file"},
    {"", "authentication", MP_E_AUTH_FAILED, NULL},
    {"", "SCRAM", MP_E_AUTH_FAILED, NULL},
    {"", "channel binding", MP_E_AUTH_FAILED, NULL},
    {"", "session is ", MP_E_CONNECT_FAILED, NOT_AS_WANTED},
    {"", "in hot standby mode", MP_E_CONNECT_FAILED, NOT_AS_WANTED},
    /* the environment, a service file */
    {"", "definition of service", MP_E_CONFIGURATION, NULL},
    {"", "service file", MP_E_CONFIGURATION, NULL},
    {"", " value: ", MP_E_CONFIGURATION, NULL},
    {"", "invalid connection option", MP_E_CONFIGURATION, NULL},
    {"", "for connection option", MP_E_CONFIGURATION, NULL},
    {"", "invalid port number", MP_E_CONFIGURATION, NULL},
    {"", "out of memory", MP_E_OUT_OF_MEMORY, NULL},
    {"28000", "no encryption", MP_E_AUTH_FAILED,
     "the server may insist on TLS: tls = { mode = \"require\" } or one of the verify modes"},
    {"53300", "", MP_E_SERVER_LIMIT,
     "make the pools smaller (pool.max), raise max_connections, or put a pooler in front"},
    {"08P01", "unsupported startup parameter", MP_E_PROTOCOL,
     "behind PgBouncer or another transaction pooler say pooler = true"},
    {"08P01", "no such database", MP_E_UNKNOWN_DATABASE, NULL},
    {"08P01", "no such user", MP_E_AUTH_FAILED, NULL},
    {"08P01", "authentication", MP_E_AUTH_FAILED, NULL},
    {"08P01", "password", MP_E_AUTH_FAILED, NULL},
    {"08P01", "no more connections", MP_E_SERVER_LIMIT, NULL},
    {"08P01", "shutting down", MP_E_CONNECT_FAILED, NULL},
    {"08P01", "server login", MP_E_CONNECT_FAILED, NULL},
    {"08P01", "cannot connect to server", MP_E_CONNECT_FAILED, NULL},
};

static bool is_state_char(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

/* "FATAL:  28P01: why": severity, two spaces, state. Gives where the state stands, or NULL. */
static const char *find_state(span line)
{
  for (const char *at = line.at; line.end - at >= 10; at++) {
    int n = 0;
    if (at[0] != ':' || at[1] != ' ' || at[2] != ' ')
      continue;
    while (n < 5 && is_state_char(at[3 + n]))
      n++;
    if (n == 5 && at[8] == ':' && at[9] == ' ')
      return at + 3;
  }
  return NULL;
}

static void take_apart(span line, reason *out)
{
  const char *state = find_state(line), *failed;
  *out = (reason){.before = {line.at, line.at}, .text = line, .rest = line.end};
  if (state != NULL) {
    const char *severity = state - 3;
    while (severity > line.at && severity[-1] != ' ')
      severity--;
    memcpy(out->state, state, 5);
    out->before.end = severity;
    out->text.at = state + 7;
    return;
  }
  if (line.end - line.at < 21 || memcmp(line.at, "connection to server ", 21) != 0)
    return;
  failed = memmem(line.at, (size_t)(line.end - line.at), " failed: ", 9);
  if (failed != NULL)
    out->before.end = out->text.at = failed + 9;
}

/* Where TLS was only preferred there are two attempts: a wrong password tells more than that the other was not wanted.*/
static void find_reason(const char *text, reason *out)
{
  bool found = false;
  *out = (reason){.before = {text, text}, .text = {text, text}, .rest = text};
  for (const char *at = text; *at != '\0';) {
    span line = {at, strchrnul(at, '\n')};
    reason one;
    at = *line.end == '\n' ? line.end + 1 : line.end;
    if (line.at == line.end || *line.at == '\t' || *line.at == ' ')
      continue;
    take_apart(line, &one);
    if (!found || (out->state[0] == '\0' && one.state[0] != '\0') ||
        (strcmp(one.state, "28P01") == 0 && strcmp(out->state, "28P01") != 0)) {
      *out = one;
      found = true;
    }
  }
}

/* The text without what is in quotation marks. */
static char *unquoted(span text, mp_arena *arena)
{
  char *out = mp_arena_alloc(arena, (size_t)(text.end - text.at) + 1), *to = out;
  bool quoted = false;
  if (out == NULL)
    return NULL;
  for (const char *at = text.at; at < text.end; at++) {
    if (*at == '"')
      quoted = !quoted;
    else if (!quoted)
      *to++ = *at;
  }
  *to = '\0';
  return out;
}

/* The indented line, or the labelled one of the server, behind the reason. */
static const char *find_remark(const reason *why, const char *label, mp_arena *arena)
{
  for (const char *at = why->rest; *at == '\n';) {
    span line = {at + 1, strchrnul(at + 1, '\n')};
    size_t n = strlen(label);
    if (strncmp(line.at, label, n) == 0) {
      line.at += n;
      while (line.at < line.end && (*line.at == ' ' || *line.at == '\t'))
        line.at++;
      return line.at < line.end ? mp_arena_memdup(arena, line.at, (size_t)(line.end - line.at))
                                : NULL;
    }
    if (strncmp(line.at, "connection to server ", 21) == 0)
      return NULL;
    at = line.end;
  }
  return NULL;
}

/* What was found means while connecting: nothing has run, so what is worth another attempt is one. */
static mp_pgmeaning while_connecting(mp_pgmeaning meaning)
{
  switch (meaning.kind) {
  case MP_E_CONNECTION_LOST:
  case MP_E_CONNECT_FAILED:
  case MP_E_CANCELLED: /* the server's own limit of the time that it takes */
  case MP_E_TIMEOUT:
    return (mp_pgmeaning){MP_E_CONNECT_FAILED, MP_RETRY_CONNECT, MP_DESTROY};
  case MP_E_SERVER_LIMIT:
    return (mp_pgmeaning){MP_E_SERVER_LIMIT, MP_RETRY_CONNECT, MP_DESTROY};
  default:
    return (mp_pgmeaning){meaning.kind, MP_RETRY_NO, MP_DESTROY};
  }
}

static mp_pgmeaning when_up(mp_pgmeaning meaning)
{
  if (meaning.verdict == MP_DESTROY && meaning.kind != MP_E_CONNECT_FAILED)
    return meaning;
  return (mp_pgmeaning){MP_E_CONNECTION_LOST, MP_RETRY_NO, MP_DESTROY};
}

void mp_pgerror_message(const char *text, bool was_up, mp_arena *arena, mp_error *err)
{
  reason why;
  char *plain;
  const char *hint = NULL;
  mp_pgmeaning meaning = {was_up ? MP_E_CONNECTION_LOST : MP_E_CONNECT_FAILED, MP_RETRY_NO,
                          MP_DESTROY};
  find_reason(text, &why);
  plain = unquoted(why.text, arena);
  if (why.state[0] != '\0')
    meaning = mp_pgerror_meaning(why.state);
  for (size_t i = 0; plain != NULL && i < sizeof words / sizeof *words; i++) {
    if (strcmp(why.state, words[i].state) != 0 || strstr(plain, words[i].words) == NULL)
      continue;
    /* a connection that was up did not break for reasons of how it was made */
    if (was_up && words[i].kind != MP_E_PROTOCOL && words[i].kind != MP_E_OUT_OF_MEMORY)
      break;
    meaning = (mp_pgmeaning){words[i].kind, MP_RETRY_NO, MP_DESTROY};
    hint = words[i].hint;
    break;
  }
  meaning = was_up ? when_up(meaning) : while_connecting(meaning);
  if (why.text.at == why.text.end)
    mp_error_set(err, arena, meaning.kind, "%s",
                 was_up ? "the connection broke" : "the connection could not be made");
  else
    mp_error_set(err, arena, meaning.kind, "%.*s%.*s", (int)(why.before.end - why.before.at),
                 why.before.at, (int)(why.text.end - why.text.at), why.text.at);
  err->retryable = meaning.retryable;
  err->verdict = MP_DESTROY;
  err->sent = was_up;
  memcpy(err->sqlstate, why.state, sizeof err->sqlstate);
  err->detail = find_remark(&why, "DETAIL:", arena);
  err->hint = find_remark(&why, "HINT:", arena);
  if (err->hint == NULL && why.state[0] == '\0')
    err->hint = find_remark(&why, "\t", arena);
  mp_error_advise(err, arena, hint);
}

void mp_pgerror_connection(const PGconn *conn, bool was_up, mp_arena *arena, mp_error *err)
{
  mp_pgerror_message(PQerrorMessage(conn), was_up, arena, err);
}
