/* mariadb_dial.c - from a config to a connection, on a thread.
** The thread may outlive the session, its pool and the program's interest, so it has copies of all it needs. Nothing is
** left to the library's defaults that would be unsafe: option files are not read, LOCAL INFILE is refused, nothing
** reconnects by itself. Afterwards the socket is non-blocking, because the library's calls over TLS would block
** silently otherwise; so no blocking call may be made on the connection from then on. */
#include "mariadb_dial.h"

#include "job.h"
#include "postgres_tls.h"

#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct mp_mydial {
  mp_job *job;
  mp_arena *arena; /* all of it */
  mp_config config;
  char *password;
  mp_myline line;
  mp_error error; /* kind MP_OK: the connection is there */
};

/* ---- the library ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_works;

/* The library has SIGPIPE ignored by the whole process, which is not its own to decide. */
static void begin_library(void)
{
  struct sigaction before;
  bool known = sigaction(SIGPIPE, NULL, &before) == 0;
  /* A thread that still connects when the program ends must find OpenSSL as it was. */
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
  library_works = mysql_library_init(0, NULL, NULL) == 0;
  if (known)
    sigaction(SIGPIPE, &before, NULL);
}

/* ---- the thread's side ---- */

static const char *option(const mp_mydial *dial, const char *name)
{
  return mp_pgtls_option(&dial->config, name);
}

/* Where servers usually have theirs, if one is there: the library does not tell what it would take. */
static const char *usual_socket(void)
{
  const char *const places[] = {getenv("MYSQL_UNIX_PORT"), getenv("MARIADB_UNIX_PORT"),
                                "/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock",
                                "/tmp/mysql.sock"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (places[i] != NULL && access(places[i], F_OK) == 0)
      return places[i];
  return NULL;
}

/* Why there is no connection, in words. The library puts a number behind its own: the system's, but what it had of the
** system while it connected (EINPROGRESS) is not why that failed. */
static const char *reason_of(unsigned number, const char *text)
{
  const char *at = strrchr(text, '(');
  int code = at != NULL ? atoi(at + 1) : 0;
  switch (number) {
  case CR_CONNECTION_ERROR:
  case CR_CONN_HOST_ERROR:
    return code == EINPROGRESS ? "no server answers there" : strerror(code);
  case CR_UNKNOWN_HOST:
    return gai_strerror(code);
  default:
    return text;
  }
}

static void note_error(mp_mydial *dial, const char *path)
{
  MYSQL *conn = dial->line.conn;
  mp_error *err = &dial->error;
  unsigned port = dial->config.port != 0 ? (unsigned)dial->config.port : MARIADB_PORT;
  const char *host = dial->config.host != NULL ? dial->config.host : "localhost", *message;
  mp_myerror(dial->line.flavour, mysql_errno(conn), mysql_sqlstate(conn), mysql_error(conn), true,
             dial->arena, err);
  mp_mytls_explain(dial->arena, err);
  message = reason_of(mysql_errno(conn), err->message);
  message = path != NULL
                ? mp_arena_printf(dial->arena, "connection to server on socket \"%s\" failed: %s",
                                  path, message)
                : mp_arena_printf(dial->arena, "connection to server at \"%s\", port %u failed: %s",
                                  host, port, message);
  if (message != NULL)
    err->message = message;
}

/* The unix socket to use, or NULL. Without a host, and as localhost without a port, the usual one. */
static const char *socket_path(const mp_mydial *dial)
{
  const mp_config *config = &dial->config;
  if (option(dial, "socket") != NULL)
    return option(dial, "socket");
  if (config->host != NULL && *config->host == '/')
    return config->host;
  if (config->port == 0 && (config->host == NULL || strcasecmp(config->host, "localhost") == 0))
    return usual_socket();
  return NULL;
}

static bool set_options(mp_mydial *dial, const char *path, bool *needs_tls)
{
  MYSQL *conn = dial->line.conn;
  unsigned off = 0, protocol = path != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
  unsigned seconds = (dial->config.connect_timeout_ms + 999) / 1000;
  my_bool no = 0;
  mysql_options(conn, MYSQL_OPT_NONBLOCK, NULL);
  mysql_options(conn, MYSQL_OPT_LOCAL_INFILE, &off);
  mysql_options(conn, MYSQL_OPT_RECONNECT, &no);
  mysql_options(conn, MYSQL_OPT_PROTOCOL, &protocol);
  mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_options4(conn, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "moonpool");
  if (seconds > 0) { /* nobody waits for longer */
    mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(conn, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_options(conn, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
  }
  return mp_mytls_apply(conn, &dial->config, path != NULL, needs_tls, dial->arena, &dial->error) ==
         MP_OK;
}

static bool ask_server(mp_mydial *dial)
{
  MYSQL *conn = dial->line.conn;
  MYSQL_RES *result;
  MYSQL_ROW row;
  if (mysql_query(conn, mp_mydial_settings(dial->line.flavour)) != 0 ||
      mysql_query(conn, "SELECT @@max_allowed_packet") != 0)
    return false;
  result = mysql_store_result(conn);
  if (result == NULL)
    return false;
  row = mysql_fetch_row(result);
  if (row != NULL && row[0] != NULL)
    dial->line.max_packet = strtoull(row[0], NULL, 10);
  mysql_free_result(result);
  return true;
}

static void learn(mp_mydial *dial)
{
  mp_myline *line = &dial->line;
  unsigned long more = 0;
  line->flavour = mariadb_connection(line->conn) ? MP_MY_MARIADB : MP_MY_MYSQL;
  line->thread_id = mysql_thread_id(line->conn);
  line->tls = mysql_get_ssl_cipher(line->conn) != NULL;
  mariadb_get_infov(line->conn, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &more);
  line->bulk = line->flavour == MP_MY_MARIADB &&
               (more & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
}

static void refuse(mp_mydial *dial, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(mp_mydial *dial, mp_status kind, const char *format, ...)
{
  va_list args;
  const char *message;
  va_start(args, format);
  message = mp_arena_vprintf(dial->arena, format, args);
  va_end(args);
  dial->error = (mp_error){.kind = kind, .verdict = MP_DESTROY, .message = message};
  if (message == NULL)
    dial->error.message = mp_status_name(kind);
}

/* Older ones do not know what each session is set to. */
static bool is_too_old(const mp_mydial *dial)
{
  unsigned long version = mysql_get_server_version(dial->line.conn);
  return version < (dial->line.flavour == MP_MY_MARIADB ? 100500 : 80017);
}

static void connect_line(mp_mydial *dial)
{
  const mp_config *config = &dial->config;
  MYSQL *conn = dial->line.conn;
  const char *path = socket_path(dial);
  bool needs_tls = false;
  int fd, flags;
  if (!set_options(dial, path, &needs_tls))
    return;
  if (mysql_real_connect(conn, path != NULL ? NULL : config->host, config->user, dial->password,
                         config->database, path != NULL ? 0 : (unsigned)config->port, path,
                         CLIENT_FOUND_ROWS) == NULL) {
    note_error(dial, path);
    return;
  }
  explicit_bzero(conn->passwd, strlen(conn->passwd)); /* kept for reconnecting, which is off */
  learn(dial);
  if (needs_tls && !dial->line.tls) {
    refuse(dial, MP_E_TLS, "the server has no TLS (without TLS: tls = { mode = \"off\" })");
    return;
  }
  if (is_too_old(dial)) {
    refuse(dial, MP_E_UNSUPPORTED,
           "the server is %s: moonpool needs MariaDB 10.5 or MySQL 8.0.17, or a later one",
           mysql_get_server_info(conn));
    return;
  }
  if (!ask_server(dial)) {
    note_error(dial, path);
    return;
  }
  fd = mysql_get_socket(conn);
  flags = fcntl(fd, F_GETFL);
  /* A child of the program's that kept it would keep it in the loop too, after the library has closed it. */
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || flags < 0 ||
      fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    refuse(dial, MP_E_CONNECT_FAILED, "the socket cannot be made non-blocking: %s",
           strerror(errno));
}

static void wipe_password(mp_mydial *dial)
{
  if (dial->password != NULL)
    explicit_bzero(dial->password, strlen(dial->password));
  dial->password = NULL;
}

static void run(void *arg)
{
  mp_mydial *dial = arg;
  mysql_thread_init();
  dial->line.conn = mysql_init(NULL);
  if (dial->line.conn == NULL)
    mp_error_set(&dial->error, dial->arena, MP_E_OUT_OF_MEMORY, "out of memory");
  else
    connect_line(dial);
  wipe_password(dial);
  if (dial->error.kind != MP_OK && dial->line.conn != NULL) {
    mysql_close(dial->line.conn);
    dial->line.conn = NULL;
  }
  mysql_thread_end();
}

static void drop(void *arg)
{
  mp_mydial *dial = arg;
  wipe_password(dial);
  if (dial->line.conn != NULL)
    mysql_close(dial->line.conn); /* nobody came for it; it is idle, so that this does not block */
  mp_arena_free(dial->arena);
}

/* ---- the loop's side ---- */

static bool copy(mp_arena *arena, const char *from, const char **to)
{
  *to = from == NULL ? NULL : mp_arena_strdup(arena, from);
  return from == NULL || *to != NULL;
}

static bool copy_config(mp_mydial *dial, const mp_config *from, const char *password)
{
  mp_config *to = &dial->config;
  mp_option *options = mp_arena_alloc(dial->arena, ((size_t)from->option_n + 1) * sizeof *options);
  const char *secret;
  if (options == NULL)
    return false;
  *to = *from;
  to->arena = dial->arena;
  to->options = options;
  for (int i = 0; i < from->option_n; i++)
    if (!copy(dial->arena, from->options[i].name, &options[i].name) ||
        !copy(dial->arena, from->options[i].value, &options[i].value))
      return false;
  if (!copy(dial->arena, password, &secret))
    return false;
  dial->password = (char *)(uintptr_t)secret; /* ours, to be wiped */
  return copy(dial->arena, from->host, &to->host) && copy(dial->arena, from->user, &to->user) &&
         copy(dial->arena, from->database, &to->database);
}

mp_mydial *mp_mydial_new(const mp_config *config, const char *password, mp_waker *waker)
{
  mp_arena *arena = mp_arena_new(0);
  mp_mydial *dial = arena == NULL ? NULL : mp_arena_zalloc(arena, sizeof *dial);
  pthread_once(&library_once, begin_library);
  if (dial == NULL || !library_works) {
    mp_arena_free(arena);
    return NULL;
  }
  dial->arena = arena;
  if (copy_config(dial, config, password))
    dial->job = mp_job_start(run, drop, dial, waker);
  if (dial->job == NULL) {
    drop(dial);
    return NULL;
  }
  return dial;
}

bool mp_mydial_done(mp_mydial *dial)
{
  return mp_job_done(dial->job);
}

bool mp_mydial_take(mp_mydial *dial, mp_myline *out, mp_error *err)
{
  if (dial->error.kind != MP_OK) {
    *err = dial->error;
    return false;
  }
  *out = dial->line;
  dial->line.conn = NULL;
  return true;
}

void mp_mydial_free(mp_mydial *dial)
{
  if (dial != NULL)
    mp_job_release(dial->job);
}

mp_status mp_mydial_check(const mp_config *config, mp_error *err)
{
  static const char *const known[] = {"tls_mode", "tls_ca", "tls_cert", "tls_key", "socket"};
  const char *path = mp_pgtls_option(config, "socket");
  for (int i = 0; i < config->option_n; i++) {
    bool is_known = false;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
      is_known = is_known || strcmp(config->options[i].name, known[k]) == 0;
    if (!is_known)
      return mp_error_set(err, config->arena, MP_E_UNKNOWN_OPTION, "MariaDB has no option \"%s\"",
                          config->options[i].name);
  }
  if (config->host != NULL && *config->host != '/' && strchr(config->host, ',') != NULL)
    return mp_error_set(err, config->arena, MP_E_UNSUPPORTED,
                        "option host: \"%s\" are several, and MariaDB is connected to by one",
                        config->host);
  if (path != NULL && config->host != NULL && strcasecmp(config->host, "localhost") != 0)
    return mp_error_set(err, config->arena, MP_E_CONFIGURATION,
                        "option socket: \"%s\" is on this machine, and host \"%s\" leads elsewhere "
                        "(leave one of them out)",
                        path, config->host);
  return mp_pgtls_check(config, config->arena, err);
}

/* Strict, and the same wherever the server is. A 0 is a key like any other, and what is assigned at once does not see
** each other, as on the other databases; texts compare by code point where no column says otherwise. A recursion is not cut
** short without a word, nor is a text that many are joined to. A reader that takes its time with a stream is not to be cut off for it. */
#define SQL_MODE                                                                                   \
  "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"                            \
  "ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
#define SETTINGS(collation, mode, own)                                                             \
  "SET NAMES utf8mb4 COLLATE " collation ", sql_mode='" SQL_MODE mode "', " own ", "               \
  "time_zone='+00:00', autocommit=1, sql_auto_is_null=0, lc_messages='en_US', "                    \
  "net_write_timeout=3600, group_concat_max_len=4294967295"

const char *mp_mydial_settings(mp_myflavour flavour)
{
  return flavour == MP_MY_MARIADB
             ? SETTINGS("utf8mb4_nopad_bin", ",SIMULTANEOUS_ASSIGNMENT",
                        "max_recursive_iterations=4294967295")
             : SETTINGS("utf8mb4_0900_bin", "", "cte_max_recursion_depth=4294967295");
}
