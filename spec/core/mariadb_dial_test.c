/* mariadb_dial_test.c - connecting to MariaDB: whom it believes, what it refuses, how it is told.
** Servers that behave badly are threads of the test's own; the others are skipped where there is no server. */
#include "mariadb_pool.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static int own_thread_n; /* before anything was connected */

static int thread_n(void)
{
  DIR *tasks = opendir("/proc/self/task");
  int n = -2;
  assert_non_null(tasks);
  while (readdir(tasks) != NULL)
    n++;
  closedir(tasks);
  return n;
}

/* ---- a server that is none ---- */

typedef enum manner {
  PLAIN, /* has no TLS; keeps what is sent to it */
  NOSY   /* lets in, and answers the first statement by asking for a file */
} manner;

typedef struct server {
  manner manner;
  int listener, port;
  pthread_t thread;
  char got[4096]; /* of its last client, behind the handshake */
  size_t got_n;
  bool asked; /* NOSY: for the file */
} server;

static void put_packet(int fd, int number, const void *bytes, size_t n)
{
  unsigned char head[4] = {(unsigned char)n, 0, 0, (unsigned char)number};
  if (write(fd, head, 4) != 4 || write(fd, bytes, n) != (ssize_t)n)
    abort();
}

static void get_packets(server *s, int fd)
{
  ssize_t n = recv(fd, s->got + s->got_n, sizeof s->got - s->got_n, 0);
  if (n > 0)
    s->got_n += (size_t)n;
}

static void *serve(void *arg)
{
  static const char hello[] = "\x0a" /* capabilities without CLIENT_SSL */
                              "5.5.5-10.11.0-MariaDB\0\7\0\0\0"
                              "12345678\0\x0f\xa2\x2d\2\0\x2b\0\x15"
                              "\0\0\0\0\0\0\0\0\0\0"
                              "123456789012\0mysql_native_password";
  static const char fine[] = "\0\0\0\2\0\0\0";
  server *s = arg;
  for (;;) {
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
      break;
    s->got_n = 0;
    put_packet(fd, 0, hello, sizeof hello);
    get_packets(s, fd);
    if (s->manner == NOSY) {
      put_packet(fd, 2, fine, sizeof fine);
      get_packets(s, fd); /* a statement */
      s->asked = memmem(s->got, s->got_n, "SET NAMES", 9) != NULL;
      s->got_n = 0;
      put_packet(fd, 1, "\xfb/etc/hostname", 14);
      get_packets(s, fd);
    }
    close(fd);
  }
  return NULL;
}

static void listen_at_any_port(server *s)
{
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t n = sizeof at;
  memset(s, 0, sizeof *s);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(s->listener, 16), 0);
  assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n), 0);
  s->port = ntohs(at.sin_port);
}

static void server_start(server *s, manner how)
{
  listen_at_any_port(s);
  s->manner = how;
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(server *s)
{
  shutdown(s->listener, SHUT_RDWR);
  pthread_join(s->thread, NULL);
  close(s->listener);
}

static void open_at(const server *s, const char *mode, uint32_t connect_timeout_ms)
{
  mp_config *config = config_new();
  config->host = "127.0.0.1";
  config->port = s->port;
  config->user = "u";
  config->connect_timeout_ms = connect_timeout_ms;
  add_option(config, "tls_mode", mode);
  open_with(config, "secret", 1);
}

static void tls_that_is_required_is_not_gone_without(void **state)
{
  static const char *const modes[] = {"require", "verify_ca", "verify_full"};
  server s;
  ask a;
  (void)state;
  server_start(&s, PLAIN);
  for (int i = 0; i < 3; i++) {
    open_at(&s, modes[i], 30000);
    fails(run(&a, "SELECT 1"), MP_E_TLS);
    ask_free(&a);
    close_pool(pool);
  }
  server_stop(&s);
  assert_int_equal(s.got_n, 0); /* not even the user's name */
}

static void tls_that_is_preferred_is_gone_without(void **state)
{
  server s;
  ask a;
  (void)state;
  server_start(&s, PLAIN);
  open_at(&s, "prefer", 30000);
  fails(run(&a, "SELECT 1"), MP_E_CONNECT_FAILED);
  ask_free(&a);
  close_pool(pool);
  server_stop(&s);
  assert_true(s.got_n > 32);
}

static void no_file_is_sent_to_a_server_that_asks_for_one(void **state)
{
  server s;
  ask a;
  (void)state;
  server_start(&s, NOSY);
  open_at(&s, "off", 30000);
  run(&a, "SELECT 1");
  assert_int_not_equal(a.req->error.kind, MP_OK);
  ask_free(&a);
  close_pool(pool);
  server_stop(&s);
  assert_true(s.asked);
  assert_true(s.got_n <= 4); /* the empty packet that says so */
}

static void refused(mp_status kind, const char *host, const char *option, const char *value)
{
  mp_config *config = config_new();
  mp_error err = MP_ERROR_NONE;
  config->host = host;
  if (option != NULL)
    add_option(config, option, value);
  assert_int_equal(config->backend->check(config, &err), kind);
  mp_arena_free(config->arena);
}

static void options_that_cannot_be_kept_are_refused(void **state)
{
  (void)state;
  refused(MP_E_UNSUPPORTED, "a,b", NULL, NULL);
  refused(MP_E_UNKNOWN_OPTION, "a", "application_name", "x");
  refused(MP_E_CONFIGURATION, "a", "socket", "/s");
  refused(MP_E_CONFIGURATION, "a", "tls_mode", "yes");
  refused(MP_E_CONFIGURATION, "a", "tls_cert", "/c");
  refused(MP_OK, NULL, "socket", "/s");
  refused(MP_OK, "/tmp/a,b", NULL, NULL);
}

static void sigpipe_is_left_as_it_was(void **state)
{
  struct sigaction is;
  server s;
  ask a;
  (void)state;
  server_start(&s, PLAIN);
  open_at(&s, "off", 30000);
  run(&a, "SELECT 1");
  ask_free(&a);
  close_pool(pool);
  server_stop(&s);
  assert_int_equal(sigaction(SIGPIPE, NULL, &is), 0);
  assert_true(is.sa_handler == SIG_DFL);
}

/* ---- servers that are some ---- */

static void connects_and_answers(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  fine(run(&a, "SELECT 1 AS one, 'x' AS t, NULL AS n"));
  assert_int_equal(a.req->result->row_n, 1);
  assert_string_equal(a.req->result->columns[1].name, "t");
  assert_int_equal(cell(a.req, 0, 0).i, 1);
  text_is(cell(a.req, 0, 1), "x");
  assert_int_equal(cell(a.req, 0, 2).kind, MP_NULL);
  ask_free(&a);
  close_pool(pool);
}

static void a_session_is_strict_in_utc_and_compares_by_code_point(void **state)
{
  ask a;
  (void)state;
  open_pool(1);
  for (int i = 0; i < 2; i++) {
    fine(run(&a,
             "SELECT @@time_zone, @@collation_connection, @@sql_mode LIKE '%STRICT_ALL_TABLES%' "
             "AND @@sql_mode NOT LIKE '%ANSI%', @@character_set_client"));
    text_is(cell(a.req, 0, 0), "+00:00");
    text_is(cell(a.req, 0, 1), "utf8mb4_nopad_bin");
    assert_int_equal(cell(a.req, 0, 2).i, 1);
    text_is(cell(a.req, 0, 3), "utf8mb4");
    ask_free(&a);
    does(
        "SET time_zone = '+02:00', sql_mode = 'ANSI', character_set_client = 'latin1'"); /* reset */
  }
  close_pool(pool);
}

static void a_wrong_password_is_told_as_such(void **state)
{
  const char *password;
  mp_config *config = config_from("MOONPOOL_TEST_MARIADB_TLS", &password);
  ask a;
  (void)state;
  open_with(config, "not the password", 1);
  fails(run(&a, "SELECT 1"), MP_E_AUTH_FAILED);
  assert_false(a.req->error.sent);
  assert_null(strstr(a.req->error.message, "not the password"));
  ask_free(&a);
  close_pool(pool);
}

static void no_server_is_told_as_such(void **state)
{
  server s;
  ask a;
  (void)state;
  listen_at_any_port(&s);
  close(s.listener);
  open_at(&s, "off", 30000);
  fails(run(&a, "SELECT 1"), MP_E_CONNECT_FAILED);
  assert_false(a.req->error.sent);
  ask_free(&a);
  close_pool(pool);
}

static void tls_is_spoken_and_the_server_verified(void **state)
{
  ask a;
  (void)state;
  open_from("MOONPOOL_TEST_MARIADB_TLS", 1);
  fine(run(&a, "SELECT variable_value <> '' FROM information_schema.session_status WHERE "
               "variable_name = 'SSL_CIPHER'"));
  assert_int_equal(cell(a.req, 0, 0).i, 1);
  ask_free(&a);
  assert_int_equal(number("SELECT count(*) FROM seq_1_to_100000"), 100000);
  close_pool(pool);
}

static void a_certificate_of_somebody_else_is_refused(void **state)
{
  const char *password;
  mp_config *config = config_from("MOONPOOL_TEST_MARIADB_TLS", &password);
  ask a;
  (void)state;
  config->option_n = 0;
  add_option(config, "tls_mode",
             "verify_ca"); /* by what the system trusts, which it is not signed by */
  open_with(config, password, 1);
  fails(run(&a, "SELECT 1"), MP_E_TLS);
  ask_free(&a);
  close_pool(pool);
}

static void closing_does_not_wait_for_connecting(void **state)
{
  server s;
  ask a;
  (void)state;
  listen_at_any_port(&s); /* it takes the connection, and says nothing */
  open_at(&s, "off", 1000);
  mp_pool_submit(pool, ask_for(&a, MP_OP_QUERY, "SELECT 1"));
  turn(5);
  close_pool(pool);
  fails(a.req, MP_E_POOL_CLOSED);
  ask_free(&a);
  close(s.listener);
  for (int i = 0; thread_n() > own_thread_n && i < 3000; i++)
    usleep(10000); /* nobody waits for it, but its memory is counted */
  assert_int_equal(thread_n(), own_thread_n);
}

static void *pass(void *arg)
{
  return arg;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(tls_that_is_required_is_not_gone_without),
      RIG_TEST(tls_that_is_preferred_is_gone_without),
      RIG_TEST(no_file_is_sent_to_a_server_that_asks_for_one),
      RIG_TEST(options_that_cannot_be_kept_are_refused),
      RIG_TEST(sigpipe_is_left_as_it_was),
      RIG_TEST(connects_and_answers),
      RIG_TEST(a_session_is_strict_in_utc_and_compares_by_code_point),
      RIG_TEST(a_wrong_password_is_told_as_such),
      RIG_TEST(no_server_is_told_as_such),
      RIG_TEST(tls_is_spoken_and_the_server_verified),
      RIG_TEST(a_certificate_of_somebody_else_is_refused),
      RIG_TEST(closing_does_not_wait_for_connecting),
  };
  pthread_t first;
  if (pthread_create(&first, NULL, pass, NULL) ==
      0) /* a sanitizer has its own, from the first on */
    pthread_join(first, NULL);
  own_thread_n = thread_n();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
