/* pool_stress_test.c - many tasks at random on a pool of three: requests, streams, leases with transactions, cancels,
** lost connections, refused connects, two pools on one file. What must hold at every moment is checked at every turn.
** MOONPOOL_SEED makes the same choices again; MOONPOOL_LONG=pool_stress takes a hundred times as many steps. */
#include "rig.h"

enum {
  TASKS = 24,
  MAX = 3
};

typedef struct task {
  ask ask;
  mp_lease lease;
  bool busy, leased, lease_waits, streams;
  mp_pool *pool;
  int64_t nonce;
} task;

static task tasks[TASKS];
static mp_pool *pools[2];
static int pool_n;
static uint64_t random_state;
static long submitted_n, ended_n, ok_n, failed_n, leases_n, commits_n;
static long failed_as[MP_STATUS_N];
static int64_t last_nonce;

static uint32_t pick(uint32_t n)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 33) % n;
}

static void check_answer(task *t)
{
  mp_request *req = t->ask.req;
  mp_value cell;
  if (req->error.kind != MP_OK) {
    failed_n++;
    failed_as[req->error.kind]++;
    assert_non_null(req->error.message);
    assert_false(req->needs_writer);
    return;
  }
  ok_n++;
  commits_n += req->op == MP_OP_TX && req->tx_op == MP_TXO_COMMIT;
  if (req->op != MP_OP_QUERY || strcmp(req->sql, "select nonce") != 0)
    return;
  req->result->ops->cell(req->result, 0, 0, &cell);
  assert_int_equal(cell.i, t->nonce); /* its own answer and nobody else's */
}

static void task_done(ask *a)
{
  task *t = a->owner;
  ended_n++;
  assert_true(t->busy);
  assert_int_equal(a->done_n, 1);
  t->busy = false;
  check_answer(t);
  mp_request_free(a->req);
}

static void task_chunk(mp_request *req)
{
  task *t = mp_container_of((ask *)req->owner, task, ask);
  t->ask.chunk_n++;
}

static void lease_came(mp_lease *lease)
{
  task *t = mp_container_of(lease, task, lease);
  t->lease_waits = false;
  if (lease->hold.state == MP_HOLD_HELD)
    return;
  assert_int_not_equal(lease->hold.error.kind, MP_OK);
  mp_lease_release(lease);
  t->leased = false;
}

static void submit(task *t, mp_op op, const char *sql)
{
  mp_value param = {.kind = MP_INT, .i = t->nonce = ++last_nonce};
  ask *a = &t->ask;
  mp_request *req = ask_for(a, op, sql);
  mp_request_fill(req, sql, strlen(sql), &param, 1, 1);
  a->then = task_done;
  a->owner = t;
  req->on_chunk = task_chunk;
  req->access = (mp_access)pick(3);
  if (pick(8) == 0)
    req->timeout_ns = (1 + pick(3)) * MS;
  if (pick(8) == 0)
    req->deadline_ns = mp_clock_ns() + pick(5) * MS;
  t->busy = true;
  t->streams = op == MP_OP_STREAM;
  submitted_n++;
  if (t->leased)
    mp_lease_submit(&t->lease, req);
  else
    mp_pool_submit(t->pool, req);
}

static void submit_tx(task *t)
{
  static const mp_txoptions read_only = {.read_only = true};
  ask *a = &t->ask;
  bool outside = t->lease.tx.state == MP_TXS_NONE;
  mp_txop op = pick(8) == 0 ? (mp_txop)pick(6)
               : outside    ? MP_TXO_BEGIN
                            : (mp_txop)(MP_TXO_COMMIT + pick(5));
  mp_request *req = ask_tx(a, op, pick(3) == 0 ? &read_only : NULL);
  a->then = task_done;
  a->owner = t;
  t->busy = true;
  t->streams = false;
  submitted_n++;
  mp_lease_submit(&t->lease, req);
}

static const char *some_sql(void)
{
  static const char *const texts[] = {"select nonce", "select nonce", "select slow",
                                      "insert",       "insert slow",  "insert bad",
                                      "select lost",  "select dies",  "select taint"};
  return texts[pick(sizeof texts / sizeof *texts)];
}

static void act_busy(task *t)
{
  mp_status why = pick(2) ? MP_E_CANCELLED : MP_E_TIMEOUT;
  switch (pick(12)) {
  case 0:
    if (t->leased)
      mp_lease_cancel(&t->lease, t->ask.req, why);
    else
      mp_pool_cancel(t->pool, t->ask.req, why);
    break;
  case 1:
    if (t->leased) { /* its request is answered later */
      if (pick(6) == 0)
        mp_lease_destroy(&t->lease);
      else
        mp_lease_release(&t->lease);
    }
    break;
  default:
    if (!t->streams || t->ask.req->result == NULL)
      break;
    if (t->leased)
      mp_lease_more(&t->lease, t->ask.req);
    else
      mp_pool_more(t->pool, t->ask.req);
    break;
  }
}

static void act(task *t)
{
  if (t->busy) {
    act_busy(t);
    return;
  }
  if (t->leased && t->lease.over) {
    assert_true(mp_lease_gone(&t->lease));
    memset(&t->lease, 0x5a, sizeof t->lease);
    t->leased = false;
  }
  if (!t->leased)
    t->pool = pools[pick((uint32_t)pool_n)];
  if (!t->leased && pick(4) == 0) {
    mp_lease_init(&t->lease, pick(2) ? MP_ACCESS_READ : MP_ACCESS_WRITE);
    t->lease.on_ready = lease_came;
    if (pick(4) == 0)
      t->lease.hold.deadline_ns = mp_clock_ns() + pick(4) * MS;
    mp_lease_acquire(&t->lease, t->pool);
    t->leased = t->lease_waits = true;
    leases_n++;
    return;
  }
  if (t->leased && pick(12) == 0)
    mp_lease_release(&t->lease);
  else if (t->leased && pick(3) > 0)
    submit_tx(t);
  else
    submit(t, pick(5) == 0 ? MP_OP_STREAM : MP_OP_QUERY, some_sql());
}

static void check_counts(const char *name)
{
  mp_fake_counts counts = counts_of(name);
  assert_true(counts.sessions_max <= MAX * pool_n);
  if (pool_n > 1)
    assert_true(counts.writers_max <= 1);
  for (int i = 0; i < pool_n; i++) {
    mp_pool_stats stats = stats_of(pools[i]);
    assert_true(stats.size <= MAX && stats.idle + stats.busy <= stats.size);
    assert_true(stats.idle >= 0 && stats.busy >= 0 && stats.waiting >= 0 && stats.waiting <= TASKS);
  }
}

static void finish_all(void)
{
  for (int i = 0; i < TASKS; i++)
    if (tasks[i].leased && !tasks[i].lease.over)
      mp_lease_release(&tasks[i].lease);
  for (int k = 0; k < 100000 && (ended_n < submitted_n || mp_loop_alive(loop)); k++) {
    for (int i = 0; i < TASKS; i++)
      if (tasks[i].busy && tasks[i].streams && !tasks[i].leased && tasks[i].ask.req->result != NULL)
        mp_pool_cancel(tasks[i].pool, tasks[i].ask.req, MP_E_CANCELLED);
    mp_loop_step(loop, 20);
  }
  assert_int_equal(ended_n, submitted_n);
}

static void start_random(void)
{
  const char *seed = getenv("MOONPOOL_SEED");
  random_state = seed != NULL ? strtoull(seed, NULL, 10) : mp_clock_ns() | 1;
  print_message("seed %llu\n", (unsigned long long)random_state);
}

static void stress(const char *backend, int pools_n, long steps)
{
  mp_pool_limits limits = {
      .min = 1, .max = MAX, .timeout_ns = 50 * MS, .max_idle_ns = 3 * MS, .max_uses = 50};
  start_random();
  memset(tasks, 0, sizeof tasks);
  memset(failed_as, 0, sizeof failed_as);
  submitted_n = ended_n = ok_n = failed_n = leases_n = commits_n = 0;
  pool_n = pools_n;
  script("stress",
         "set settle 1\nset depth 2\n"
         "connect *40 -> affected 0\nconnect *2 -> error connect_failed \"no\"\n"
         "connect *40 -> delay 1\nconnect *3 -> error auth_failed \"no\"\n"
         "select nonce -> params\nselect slow -> delay 2; params\nselect lost -> lost\n"
         "select dies -> dies 1; params\nselect taint -> tainted; columns n:int; row # *250\n"
         "insert bad -> error unique \"taken\"\ninsert slow -> delay 1; affected 1\ninsert -> "
         "affected 1\n");
  for (int i = 0; i < pool_n; i++)
    pools[i] = pool_with(backend, "stress", &limits);
  for (long i = 0; i < steps; i++) {
    for (uint32_t n = pick(4); n > 0; n--)
      act(&tasks[pick(TASKS)]);
    mp_loop_step(loop, pick(8) == 0 ? 1 : 0);
    check_counts("stress");
  }
  finish_all();
  print_message("%ld requests (%ld answered, %ld failed), %ld leases, %ld commits\n", submitted_n,
                ok_n, failed_n, leases_n, commits_n);
  for (int i = 0; i < MP_STATUS_N; i++)
    if (failed_as[i] > 0)
      print_message("  %ld %s\n", failed_as[i], mp_status_name((mp_status)i));
  assert_true(ok_n > 0 && failed_n > 0 && commits_n > 0);
  for (int i = 0; i < TASKS; i++)
    if (tasks[i].leased)
      assert_true(mp_lease_gone(&tasks[i].lease));
  for (int i = 0; i < pool_n; i++)
    close_pool(pools[i]);
  assert_int_equal(counts_of("stress").sessions, 0);
  mp_fake_forget("stress");
}

static long steps_of(long few)
{
  const char *name = getenv("MOONPOOL_LONG");
  return name != NULL && strcmp(name, "pool_stress") == 0 ? few * 100 : few;
}

static void everything_is_answered_once_whatever_happens(void **state)
{
  (void)state;
  stress("fake", 1, steps_of(20000));
}

static void everything_is_answered_once_where_writers_are_single(void **state)
{
  (void)state;
  stress("fake_file", 2, steps_of(20000));
}

/* Closing in the middle of all that. */
static void a_pool_closes_whatever_runs(void **state)
{
  long rounds = steps_of(60);
  (void)state;
  start_random();
  for (long round = 0; round < rounds; round++) {
    int closed_n = 0;
    memset(tasks, 0, sizeof tasks);
    submitted_n = ended_n = 0;
    pool_n = 1;
    script("stress", "select nonce -> params\nselect -> hang\ninsert -> delay 1; affected 1\n");
    pools[0] = pool_with(pick(2) ? "fake" : "fake_file", "stress",
                         &(mp_pool_limits){.max = 1 + (int)pick(MAX)});
    for (uint32_t i = pick(200); i > 0; i--) {
      act(&tasks[pick(TASKS)]);
      mp_loop_step(loop, 0);
    }
    mp_pool_close(pools[0], pick(2) ? 0 : pick(2) * MS, rig_closed, &closed_n);
    for (uint32_t i = pick(100); i > 0; i--) {
      task *t = &tasks[pick(TASKS)];
      if (t->busy || (t->leased && !t->lease.over))
        act(t);
      mp_loop_step(loop, 0);
      if (closed_n > 0)
        break;
    }
    run_until(&closed_n, 1);
    for (int i = 0; i < TASKS; i++)
      if (tasks[i].leased)
        mp_lease_release(&tasks[i].lease);
    for (int i = 0; i < 1000 && (ended_n < submitted_n || mp_loop_alive(loop)); i++)
      mp_loop_step(loop, 0);
    assert_int_equal(ended_n, submitted_n);
    mp_pool_free(pools[0]);
    mp_fake_forget("stress");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      RIG_TEST(everything_is_answered_once_whatever_happens),
      RIG_TEST(everything_is_answered_once_where_writers_are_single),
      RIG_TEST(a_pool_closes_whatever_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
