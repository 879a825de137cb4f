/* postgres_dial_test.c - connecting to PostgreSQL: from host to host, what is sent, what is said of a failure.
** The servers here are of postgres_server.h. */
#include "postgres_server.h"

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>

/* ---- names: the test's own, so that nothing depends on the resolver's tables ---- */

static sem_t lookup_may_end;

/* "two.test" has two addresses, "slow.test" an answer when the test says so, "missing.test" none. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0)
    return real(name, service, hints, out);
  if (name != NULL && strcmp(name, "missing.test") == 0)
    return EAI_NONAME;
  if (name != NULL && strcmp(name, "slow.test") == 0) {
    sem_wait(&lookup_may_end);
    return real("127.0.0.1", service, hints, out);
  }
  if (name != NULL && strcmp(name, "localhost") == 0)
    return real("127.0.0.1", service, hints, out);
  if (name != NULL && strcmp(name, "remote.test") == 0)
    return real("127.0.0.1", service, hints, out);
  if (name != NULL && strcmp(name, "two.test") == 0) {
    int code = real("127.0.0.2", service, hints, out);
    return code != 0 ? code : real("127.0.0.1", service, hints, &(*out)->ai_next);
  }
  return real(name, service, hints, out);
}

/* ---- expectations ---- */

static void said(const caller *c, mp_status kind, const char *words)
{
  if (c->error.kind != kind || strstr(c->error.message, words) == NULL)
    fail_msg("%s: %s", mp_status_name(c->error.kind), c->error.message);
  assert_null(strstr(c->error.message, "s3cret"));
}

/* A port of the loopback at which nobody is. */
static int dead_port(void)
{
  server s;
  server_start(&s, SILENT, "127.0.0.1", 0);
  server_stop(&s);
  return s.port;
}

/* ---- one host ---- */

static void a_server_is_reached_and_told_what_is_needed(void **state)
{
  server s;
  caller c;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  caller_init(&c, "127.0.0.1", s.port);
  caller_option(&c, "options", "-c geqo=off");
  assert_true(caller_dial(&c, "s3cret"));
  assert_int_equal(PQisnonblocking(c.conn), 1);
  assert_int_equal(PQtransactionStatus(c.conn), PQTRANS_IDLE);
  assert_true(server_was_told(&s, "user", "u"));
  assert_true(server_was_told(&s, "database", "d"));
  assert_true(server_was_told(&s, "client_encoding", "UTF8"));
  assert_true(server_was_told(&s, "application_name", "moonpool"));
  assert_true(server_was_told(
      &s, "options",
      "-c geqo=off -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3"));
  caller_end(&c);
  server_stop(&s);
}

static void a_pooler_is_sent_no_settings(void **state)
{
  server s;
  caller c;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  caller_init(&c, "127.0.0.1", s.port);
  caller_option(&c, "application_name", "shop");
  c.config.pooler = true;
  assert_true(caller_dial(&c, NULL));
  assert_false(server_was_told(&s, "options", NULL));
  assert_true(server_was_told(&s, "client_encoding", "UTF8"));
  assert_true(server_was_told(&s, "application_name", "shop"));
  caller_end(&c);
  server_stop(&s);
}

static const struct {
  manner manner;
  mp_status kind;
  mp_retryable retryable;
  const char *words, *hint;
} refusals[] = {
    {FULL, MP_E_SERVER_LIMIT, MP_RETRY_CONNECT, "too many clients", "max_connections"},
    {STARTING, MP_E_CONNECT_FAILED, MP_RETRY_CONNECT, "starting up", NULL},
    {REFUSING, MP_E_AUTH_FAILED, MP_RETRY_NO, "password authentication failed", NULL},
    {OUTDATED, MP_E_PROTOCOL, MP_RETRY_NO, "unsupported startup parameter", "pooler = true"},
    {GERMAN, MP_E_CONFIGURATION, MP_RETRY_NO, "DateStyle is \"German, DMY\"", NULL},
    {NOISE, MP_E_PROTOCOL, MP_RETRY_NO, "SSL negotiation", "protocol"},
};

static void what_a_server_refuses_with_is_understood(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    server s;
    caller c;
    server_start(&s, refusals[i].manner, "127.0.0.1", 0);
    caller_init(&c, "127.0.0.1", s.port);
    assert_false(caller_dial(&c, "s3cret"));
    said(&c, refusals[i].kind, refusals[i].words);
    assert_int_equal(c.error.retryable, refusals[i].retryable);
    assert_false(c.error.sent);
    if (refusals[i].hint != NULL)
      assert_non_null(strstr(c.error.hint != NULL ? c.error.hint : "", refusals[i].hint));
    caller_end(&c);
    server_stop(&s);
  }
}

static void a_port_where_nobody_is_and_a_host_that_is_none_are_told_apart(void **state)
{
  caller c;
  (void)state;
  caller_init(&c, "127.0.0.1", dead_port());
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_CONNECT_FAILED, "Connection refused");
  assert_int_equal(c.error.retryable, MP_RETRY_CONNECT);
  caller_end(&c);

  caller_init(&c, "missing.test", 5432);
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_CONNECT_FAILED, "the host \"missing.test\" was not found: Name or service");
  caller_end(&c);

  caller_init(&c, "/nowhere/at/all", 5432);
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_CONNECT_FAILED, "/nowhere/at/all");
  caller_end(&c);
}

/* ---- names ---- */

static void a_name_is_looked_up_while_the_loop_goes_on(void **state)
{
  server s;
  caller c;
  mp_wants wants;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  caller_init(&c, "slow.test", s.port);
  caller_option(&c, "tls_mode", "off");
  c.dial = mp_pgdial_new(&c.config, NULL, &c.waker);
  assert_int_equal(mp_pgdial_step(c.dial, 0, &wants, &c.error), MP_DIAL_TRYING);
  assert_true(wants.work);
  assert_int_equal(wants.fd, -1);
  assert_int_equal(mp_pgdial_step(c.dial, MP_TIMER, &wants, &c.error), MP_DIAL_TRYING);
  sem_post(&lookup_may_end);
  while (caller_turn(&c, &wants) == MP_DIAL_TRYING)
    ;
  c.conn = mp_pgdial_take(c.dial);
  assert_string_equal(PQhost(c.conn), "slow.test");
  assert_string_equal(PQhostaddr(c.conn), "127.0.0.1");
  caller_end(&c);
  server_stop(&s);
}

static void a_dial_may_be_dropped_while_a_name_is_looked_up(void **state)
{
  caller c;
  mp_wants wants;
  (void)state;
  caller_init(&c, "slow.test", 1);
  c.dial = mp_pgdial_new(&c.config, "s3cret", &c.waker);
  assert_int_equal(mp_pgdial_step(c.dial, 0, &wants, &c.error), MP_DIAL_TRYING);
  caller_end(&c);
  sem_post(&lookup_may_end); /* the thread finds nobody and ends */
}

static void the_second_address_of_a_name_is_tried_when_the_first_refuses(void **state)
{
  server s;
  caller c;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  caller_init(&c, "two.test", s.port);
  caller_option(&c, "tls_mode", "prefer");
  assert_true(caller_dial(&c, NULL));
  assert_string_equal(PQhostaddr(c.conn), "127.0.0.1");
  caller_end(&c);
  server_stop(&s);

  caller_init(&c, "two.test", s.port);
  caller_option(&c, "tls_mode", "prefer");
  assert_false(caller_dial(&c, NULL));
  said(&c, MP_E_CONNECT_FAILED, "\"127.0.0.2\"");
  said(&c, MP_E_CONNECT_FAILED, "; host two.test: connection to server at \"127.0.0.1\"");
  caller_end(&c);
}

/* ---- several hosts ---- */

/* Dials 127.0.0.1 at each of the ports. */
static bool dial_ports(caller *c, const char *attrs, int a, int b)
{
  static char hosts[80];
  snprintf(hosts, sizeof hosts, "127.0.0.1:%d,127.0.0.1:%d", a, b);
  caller_init(c, hosts, 0);
  if (attrs != NULL)
    caller_option(c, "target_session_attrs", attrs);
  return caller_dial(c, NULL);
}

static void hosts_are_tried_in_order(void **state)
{
  static const manner passed_over[] = {FULL, STARTING, NOISE};
  server good, bad;
  caller c;
  (void)state;
  server_start(&good, WRITER, "127.0.0.1", 0);
  assert_true(dial_ports(&c, NULL, dead_port(), good.port));
  assert_int_equal(atoi(PQport(c.conn)), good.port);
  caller_end(&c);
  for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++) {
    server_start(&bad, passed_over[i], "127.0.0.1", 0);
    assert_true(dial_ports(&c, NULL, bad.port, good.port));
    assert_int_equal(atoi(PQport(c.conn)), good.port);
    caller_end(&c);
    server_stop(&bad);
  }
  server_stop(&good);
}

static void a_wrong_password_is_wrong_on_the_other_hosts_too(void **state)
{
  server good, bad;
  caller c;
  (void)state;
  server_start(&good, WRITER, "127.0.0.1", 0);
  server_start(&bad, REFUSING, "127.0.0.1", 0);
  assert_false(dial_ports(&c, NULL, bad.port, good.port));
  said(&c, MP_E_AUTH_FAILED, "password");
  assert_false(server_was_told(&good, "user", NULL));
  caller_end(&c);
  assert_false(dial_ports(&c, NULL, dead_port(), bad.port));
  said(&c, MP_E_AUTH_FAILED, "Connection refused");
  said(&c, MP_E_AUTH_FAILED, "; connection to server");
  caller_end(&c);
  server_stop(&good);
  server_stop(&bad);
}

static void a_host_that_is_silent_leaves_time_for_the_others(void **state)
{
  server good, silent;
  caller c;
  char hosts[80];
  (void)state;
  server_start(&good, WRITER, "127.0.0.1", 0);
  server_start(&silent, SILENT, "127.0.0.1", 0);
  snprintf(hosts, sizeof hosts, "127.0.0.1:%d,127.0.0.1:%d", silent.port, good.port);
  caller_init(&c, hosts, 0);
  c.config.connect_timeout_ms = 2000; /* half of it for each */
  assert_true(caller_dial(&c, NULL));
  assert_int_equal(atoi(PQport(c.conn)), good.port);
  caller_end(&c);
  server_stop(&silent);
  server_stop(&good);
}

static void the_last_host_has_all_the_time_that_is_left(void **state)
{
  server silent;
  caller c;
  mp_wants wants;
  (void)state;
  server_start(&silent, SILENT, "127.0.0.1", 0);
  caller_init(&c, "127.0.0.1", silent.port);
  c.dial = mp_pgdial_new(&c.config, "s3cret", &c.waker);
  assert_int_equal(mp_pgdial_step(c.dial, 0, &wants, &c.error), MP_DIAL_TRYING);
  assert_int_equal(wants.timer_ns, 0); /* the connection's own limit ends it */
  assert_true(wants.write);
  assert_true(wants.fd_changed);
  caller_end(&c);
  server_stop(&silent);
}

static const struct {
  const char *attrs;
  manner first, second;
  int reached; /* 0: none */
} wishes[] = {
    {"any", STANDBY, WRITER, 1},           {"read-write", STANDBY, WRITER, 2},
    {"read-write", STANDBY, STANDBY, 0},   {"primary", STANDBY, WRITER, 2},
    {"standby", WRITER, STANDBY, 2},       {"standby", WRITER, WRITER, 0},
    {"read-only", WRITER, STANDBY, 2},     {"prefer-standby", WRITER, STANDBY, 2},
    {"prefer-standby", WRITER, WRITER, 1},
};

static void the_server_is_of_the_sort_that_is_asked_for(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
    server first, second;
    caller c;
    bool got_through;
    server_start(&first, wishes[i].first, "127.0.0.1", 0);
    server_start(&second, wishes[i].second, "127.0.0.1", 0);
    got_through = dial_ports(&c, wishes[i].attrs, first.port, second.port);
    assert_int_equal(got_through, wishes[i].reached != 0);
    if (got_through)
      assert_int_equal(atoi(PQport(c.conn)), wishes[i].reached == 1 ? first.port : second.port);
    else
      assert_non_null(strstr(c.error.hint, "target_session_attrs"));
    caller_end(&c);
    server_stop(&first);
    server_stop(&second);
  }
}

/* ---- TLS, as far as it takes no server that has it ---- */

static void unencrypted_takes_a_word_unless_it_stays_on_this_machine(void **state)
{
  static const struct {
    const char *host, *mode;
    bool through;
  } cases[] = {
      {"127.0.0.1", NULL, true},         {"localhost", NULL, true},
      {"remote.test", NULL, false},      {"remote.test", "off", true},
      {"remote.test", "prefer", true},   {"127.0.0.1", "require", false},
      {"localhost", "verify_ca", false},
  };
  server s;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    caller c;
    caller_init(&c, cases[i].host, s.port);
    if (cases[i].mode != NULL)
      caller_option(&c, "tls_mode", cases[i].mode);
    if (cases[i].mode == NULL || strcmp(cases[i].mode, "verify_ca") == 0) {
      if (strcmp(cases[i].host, "127.0.0.1") != 0 && !cases[i].through)
        caller_option(&c, "tls_ca", "/etc/hostname"); /* not looked at before there is TLS */
    }
    assert_int_equal(caller_dial(&c, "s3cret"), cases[i].through);
    if (!cases[i].through) {
      said(&c, MP_E_TLS, "server does not support SSL");
      assert_non_null(strstr(c.error.hint, "tls = { mode = \"off\" }"));
    }
    caller_end(&c);
  }
  server_stop(&s);
}

static void the_environment_does_not_weaken_a_connection(void **state)
{
  server s;
  caller c;
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  setenv("PGSSLMODE", "disable", 1);
  caller_init(&c, "remote.test", s.port);
  caller_option(&c, "tls_ca", "/etc/hostname");
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_TLS, "SSL");
  caller_end(&c);
  unsetenv("PGSSLMODE");

  setenv("PGHOSTADDR", "127.0.0.1", 1);
  caller_init(&c, "/tmp", s.port);
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_CONFIGURATION, "PGHOSTADDR");
  caller_end(&c);
  unsetenv("PGHOSTADDR");
  server_stop(&s);
}

static void the_environment_says_where_to_go_when_nobody_else_does(void **state)
{
  server s;
  caller c;
  char port[16];
  (void)state;
  server_start(&s, WRITER, "127.0.0.1", 0);
  snprintf(port, sizeof port, "%d", s.port);
  setenv("PGHOST", "127.0.0.1", 1);
  setenv("PGPORT", port, 1);
  setenv("PGUSER", "somebody", 1);
  setenv("PGDATABASE", "somewhere", 1);
  setenv("PGAPPNAME", "something", 1);
  setenv("PGOPTIONS", "-c geqo=on", 1);
  caller_init(&c, NULL, 0);
  c.config.user = c.config.database = NULL;
  assert_true(caller_dial(&c, NULL));
  assert_true(server_was_told(&s, "user", "somebody"));
  assert_true(server_was_told(&s, "database", "somewhere"));
  assert_true(server_was_told(&s, "application_name", "something"));
  assert_true(server_was_told(
      &s, "options",
      "-c geqo=on -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3"));
  caller_end(&c);
  unsetenv("PGHOST");
  unsetenv("PGPORT");
  unsetenv("PGUSER");
  unsetenv("PGDATABASE");
  unsetenv("PGAPPNAME");
  unsetenv("PGOPTIONS");
  server_stop(&s);
}

/* ---- options ---- */

static const struct {
  const char *host, *name, *value;
  mp_status kind;
  const char *words;
} wrong_options[] = {
    {"h", "tls_mode", "verify-full", MP_E_CONFIGURATION, "no \"verify-full\""},
    {"h", "tls_cert", "f", MP_E_CONFIGURATION, "tls.cert and tls.key"},
    {"h", "target_session_attrs", "master", MP_E_CONFIGURATION, "no \"master\""},
    {"h", "colour", "red", MP_E_UNKNOWN_OPTION, "no option \"colour\""},
    {"a,,b", NULL, NULL, MP_E_CONFIGURATION, "an empty host"},
    {"a:0,b", NULL, NULL, MP_E_CONFIGURATION, "the port \"0\""},
    {"a:65536,b", NULL, NULL, MP_E_CONFIGURATION, "the port \"65536\""},
    {"[::1,b", NULL, NULL, MP_E_CONFIGURATION, "the ["},
    {"/tmp", "tls_mode", "require", MP_E_TLS, "a unix socket has no TLS"},
};

static void wrong_options_are_refused_by_name(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof wrong_options / sizeof *wrong_options; i++) {
    caller c;
    caller_init(&c, wrong_options[i].host, 1);
    if (wrong_options[i].name != NULL)
      caller_option(&c, wrong_options[i].name, wrong_options[i].value);
    assert_false(caller_dial(&c, NULL));
    said(&c, wrong_options[i].kind, wrong_options[i].words);
    caller_end(&c);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_server_is_reached_and_told_what_is_needed),
      cmocka_unit_test(a_pooler_is_sent_no_settings),
      cmocka_unit_test(what_a_server_refuses_with_is_understood),
      cmocka_unit_test(a_port_where_nobody_is_and_a_host_that_is_none_are_told_apart),
      cmocka_unit_test(a_name_is_looked_up_while_the_loop_goes_on),
      cmocka_unit_test(a_dial_may_be_dropped_while_a_name_is_looked_up),
      cmocka_unit_test(the_second_address_of_a_name_is_tried_when_the_first_refuses),
      cmocka_unit_test(hosts_are_tried_in_order),
      cmocka_unit_test(a_wrong_password_is_wrong_on_the_other_hosts_too),
      cmocka_unit_test(a_host_that_is_silent_leaves_time_for_the_others),
      cmocka_unit_test(the_last_host_has_all_the_time_that_is_left),
      cmocka_unit_test(the_server_is_of_the_sort_that_is_asked_for),
      cmocka_unit_test(unencrypted_takes_a_word_unless_it_stays_on_this_machine),
      cmocka_unit_test(the_environment_does_not_weaken_a_connection),
      cmocka_unit_test(the_environment_says_where_to_go_when_nobody_else_does),
      cmocka_unit_test(wrong_options_are_refused_by_name),
  };
  static const char *const names[] = {"PGHOST",     "PGHOSTADDR", "PGPORT",    "PGUSER",
                                      "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGOPTIONS",
                                      "PGTZ",       "PGDATESTYLE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    unsetenv(names[i]);
  setenv("PGPASSFILE", "/nowhere", 1);
  sem_init(&lookup_may_end, 0, 0);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
