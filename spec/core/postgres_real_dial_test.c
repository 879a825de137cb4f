/* postgres_real_dial_test.c - connecting to a real PostgreSQL server, with TLS and without. Skipped unless MOONPOOL_TEST_POSTGRES and
** MOONPOOL_TEST_POSTGRES_TLS name it (scripts/databases env). */
#include "postgres_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void said(const caller *c, mp_status kind, const char *words)
{
  if (c->error.kind != kind || strstr(c->error.message, words) == NULL)
    fail_msg("%s: %s", mp_status_name(c->error.kind), c->error.message);
  assert_null(strstr(c->error.message, "s3cret"));
}

static void a_real_server_is_reached_by_its_socket(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES");
  (void)state;
  if (!caller_dial(&c, password))
    fail_msg("%s", c.error.message);
  assert_string_equal(PQdb(c.conn), c.config.database);
  assert_int_equal(strncmp(PQparameterStatus(c.conn, "DateStyle"), "ISO", 3), 0);
  assert_string_equal(PQparameterStatus(c.conn, "IntervalStyle"), "postgres");
  caller_end(&c);
}

static void a_real_server_is_reached_by_tls(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES_TLS"),
             *certs = getenv("MOONPOOL_TEST_CERTS");
  char ca[512];
  (void)state;
  assert_non_null(certs);
  snprintf(ca, sizeof ca, "%s/ca.crt", certs);
  caller_option(&c, "tls_ca", ca); /* then it is verified on the loopback too */
  if (!caller_dial(&c, password))
    fail_msg("%s", c.error.message);
  assert_int_equal(PQsslInUse(c.conn), 1);
  caller_end(&c);

  password = caller_from(&c, "MOONPOOL_TEST_POSTGRES_TLS");
  snprintf(ca, sizeof ca, "%s/other-ca.crt", certs);
  caller_option(&c, "tls_ca", ca);
  assert_false(caller_dial(&c, password));
  said(&c, MP_E_TLS, "certificate verify failed");
  assert_non_null(strstr(c.error.hint, "tls = { ca ="));
  caller_end(&c);
}

/* A dial that reads the certificates of a pipe, in which nobody has written anything yet. */
static void dial_until_it_reads(caller *c, const char *ca)
{
  mp_wants wants;
  const char *password = caller_from(c, "MOONPOOL_TEST_POSTGRES_TLS");
  assert_int_equal(mkfifo(ca, 0600), 0);
  caller_option(c, "tls_ca", ca);
  c->dial = mp_pgdial_new(&c->config, password, &c->waker);
  assert_int_equal(mp_pgdial_step(c->dial, 0, &wants, &c->error), MP_DIAL_TRYING);
  while (!wants.work)
    assert_int_equal(caller_turn(c, &wants), MP_DIAL_TRYING);
  assert_int_equal(wants.fd, -1);
}

static void certificates_are_read_while_the_loop_goes_on(void **state)
{
  caller c;
  mp_wants wants;
  char from[512], ca[64], text[8192];
  int in, out;
  ssize_t n;
  (void)state;
  snprintf(ca, sizeof ca, "/tmp/moonpool-ca-%d", (int)getpid());
  dial_until_it_reads(&c, ca);
  assert_int_equal(mp_pgdial_step(c.dial, MP_TIMER, &wants, &c.error), MP_DIAL_TRYING);
  assert_true(wants.work);
  snprintf(from, sizeof from, "%s/ca.crt", getenv("MOONPOOL_TEST_CERTS"));
  in = open(from, O_RDONLY);
  n = read(in, text, sizeof text);
  assert_true(n > 0 && (size_t)n < sizeof text);
  out = open(ca, O_WRONLY); /* when the thread has opened it, too */
  assert_int_equal(write(out, text, (size_t)n), n);
  close(out);
  close(in);
  unlink(ca);
  mp_dialstate said_last;
  while ((said_last = caller_turn(&c, &wants)) == MP_DIAL_TRYING)
    ;
  if (said_last != MP_DIAL_DONE)
    fail_msg("%s", c.error.message);
  c.conn = mp_pgdial_take(c.dial);
  assert_int_equal(PQsslInUse(c.conn), 1);
  caller_end(&c);
}

static void a_dial_may_be_dropped_while_certificates_are_read(void **state)
{
  caller c;
  char ca[64];
  int out;
  (void)state;
  snprintf(ca, sizeof ca, "/tmp/moonpool-ca-%d", (int)getpid());
  dial_until_it_reads(&c, ca);
  caller_end(&c);
  out = open(ca, O_WRONLY);
  unlink(ca);
  close(out); /* the thread finds nothing in it, closes the connection and ends */
}

static void a_real_server_refuses_a_password_and_a_database(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES_TLS");
  (void)state;
  assert_false(caller_dial(&c, "s3cret"));
  said(&c, MP_E_AUTH_FAILED, "password authentication failed");
  assert_string_equal(c.error.sqlstate, "28P01");
  caller_end(&c);

  password = caller_from(&c, "MOONPOOL_TEST_POSTGRES_TLS");
  assert_false(caller_dial(&c, NULL));
  said(&c, MP_E_AUTH_FAILED, "no password supplied");
  assert_non_null(strstr(c.error.hint, "PGPASSWORD"));
  caller_end(&c);

  password = caller_from(&c, "MOONPOOL_TEST_POSTGRES_TLS");
  c.config.database = "moonpool_is_not_here";
  assert_false(caller_dial(&c, password));
  said(&c, MP_E_UNKNOWN_DATABASE, "\"moonpool_is_not_here\" does not exist");
  caller_end(&c);
}

static void a_session_that_only_reads_is_passed_over(void **state)
{
  caller c;
  const char *password = caller_from(&c, "MOONPOOL_TEST_POSTGRES");
  (void)state;
  caller_option(&c, "options", "-c default_transaction_read_only=on");
  caller_option(&c, "target_session_attrs", "read-write");
  assert_false(caller_dial(&c, password));
  said(&c, MP_E_CONNECT_FAILED, "session is read-only");
  caller_end(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_real_server_is_reached_by_its_socket),
      cmocka_unit_test(a_real_server_is_reached_by_tls),
      cmocka_unit_test(certificates_are_read_while_the_loop_goes_on),
      cmocka_unit_test(a_dial_may_be_dropped_while_certificates_are_read),
      cmocka_unit_test(a_real_server_refuses_a_password_and_a_database),
      cmocka_unit_test(a_session_that_only_reads_is_passed_over),
  };
  static const char *const names[] = {"PGHOST",     "PGHOSTADDR", "PGPORT",    "PGUSER",
                                      "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGOPTIONS",
                                      "PGTZ",       "PGDATESTYLE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    unsetenv(names[i]);
  setenv("PGPASSFILE", "/nowhere", 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
