/* sqlite_stress_test.c - eight sessions on one file do random things to it and to each other.
** What must hold: every request ends exactly once, every result is that of its own request, and
** the file adds up. */
#include "sqlite_fixture.h"

#define SESSIONS 8
#define IN_FLIGHT 10

typedef struct ticket {
  fixture *f;
  int64_t nonce;
  int ends;
  int64_t seen; /* rows of a stream */
  bool writes;
} ticket;

static unsigned seed;
static int64_t written;
static int ended, stopped, busy;

static int dice(int n)
{
  return (int)(rand_r(&seed) % (unsigned)n);
}

static void chunk(mp_request *req)
{
  ticket *t = req->owner;
  for (size_t row = 0; row < req->result->row_n; row++)
    assert_whole(cell_of(req, row, 0), t->nonce + t->seen++);
}

static void done(mp_request *req)
{
  ticket *t = req->owner;
  assert_int_equal(++t->ends, 1);
  ended++;
  switch (req->error.kind) {
  case MP_OK:
    if (t->writes)
      written++;
    else if (req->op == MP_OP_QUERY)
      assert_whole(cell_of(req, 0, 0), t->nonce);
    break;
  case MP_E_CANCELLED:
  case MP_E_TIMEOUT:
    assert_int_equal(req->error.kind, req->stop);
    stopped++; /* a write that was stopped is undone: the count at the end proves it */
    break;
  case MP_E_BUSY:
    busy++;
    break;
  default:
    fail_msg("%s: %s", mp_status_name(req->error.kind), req->error.message);
  }
}

static mp_request *random_request(fixture *f, ticket *t)
{
  static const char *const sqls[] = {
      "SELECT ?",
      "INSERT INTO log (n) VALUES (?)",
      "WITH RECURSIVE n(i) AS (VALUES (?1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + 299) "
      "SELECT i FROM n",
      "SELECT ?1 FROM (SELECT sum(n) FROM log)",
      "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
      "SELECT ?1 FROM (SELECT max(i) FROM n)",
  };
  int what = dice(5);
  *t = (ticket){.f = f, .nonce = rand_r(&seed), .writes = what == 1};
  mp_value param = int_value(t->nonce);
  mp_request *req =
      request_new(f, what == 2 ? MP_OP_STREAM : MP_OP_QUERY, sqls[what], &param, 1, 1);
  req->chunk_rows = 1 + (size_t)dice(100);
  req->owner = t;
  req->on_chunk = chunk;
  req->on_done = done;
  if (dice(4) == 0)
    req->deadline_ns = clock_ns() + (uint64_t)dice(3000000);
  return req;
}

/* A rest of streams that stand must be asked for more; sometimes something is stopped. */
static void poke(fixture *f, mp_request **reqs, int *n)
{
  for (int i = 0; i < *n; i++) {
    mp_request *req = reqs[i];
    if (req->state == MP_REQ_DONE) {
      free(req->owner);
      mp_request_free(req);
      reqs[i--] = reqs[--*n];
    } else if (dice(1000) == 0 && req->stop == MP_OK) {
      stop(f, req, dice(2) ? MP_E_CANCELLED : MP_E_TIMEOUT);
    } else if (req->op == MP_OP_STREAM && req->result != NULL && dice(3) == 0) {
      f->session->backend->more(f->session, req);
    }
  }
}

static void sessions_on_one_file_stay_apart(void **state)
{
  const char *given = getenv("MOONPOOL_SEED"), *size = getenv("MOONPOOL_LONG");
  int rounds = size != NULL && strcmp(size, "sqlite_stress") == 0 ? 100000 : 20000;
  fixture *all[SESSIONS];
  mp_request *reqs[SESSIONS][IN_FLIGHT];
  int n[SESSIONS] = {0}, made = 0;
  (void)state;
  seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  all[0] = fixture_new(false);
  all[0]->config.inline_reads = true;
  fixture_open(all[0]);
  exec(all[0], "CREATE TABLE log (id INTEGER PRIMARY KEY, n INTEGER)");
  for (int i = 1; i < SESSIONS; i++) {
    all[i] = fixture_beside(all[0]);
    all[i]->config.inline_reads = i % 2 == 0;
    fixture_open(all[i]);
    assert_int_equal(all[i]->session->state, MP_SES_READY);
  }
  for (int round = 0; round < rounds; round++) {
    int i = dice(SESSIONS);
    if (n[i] < IN_FLIGHT && dice(3) > 0) {
      ticket *t = malloc(sizeof *t);
      reqs[i][n[i]] = random_request(all[i], t);
      submit(all[i], reqs[i][n[i]++]);
      made++;
    }
    pump(all[i]);
    poke(all[i], reqs[i], &n[i]);
    if (round % 4 == 0)
      usleep(50);
  }
  for (int i = 0; i < SESSIONS; i++) {
    while (n[i] > 0) {
      pump(all[i]);
      poke(all[i], reqs[i], &n[i]);
    }
    assert_true(all[i]->session->backend->settled(all[i]->session));
  }
  mp_request *req = run(all[0], "SELECT count(*) FROM log");
  assert_whole(cell_of(req, 0, 0), written);
  mp_request_free(req);
  assert_int_equal(made, ended);
  print_message("%d requests, %d written, %d stopped, %d busy\n", made, (int)written, stopped,
                busy);
  for (int i = SESSIONS; i-- > 0;)
    fixture_free(all[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sessions_on_one_file_stay_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
