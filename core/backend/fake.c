/* fake.c - a database that is played from a script (fake.h), for tests of everything above it.
** It keeps every rule of backend.h, and what a real one does at the worst moment: late answers, broken
** connections, cancels that take their time. No thread, no socket: a session only ever waits for a timer. */
#include "fake_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define CHUNK_ROWS 100

typedef struct session {
  mp_session base;
  mp_list node; /* of the script */
  mp_fake *fake;
  int number;
  bool started, closing, password_wrong;
  mp_fake_rule *connect;
  uint64_t due_ns;   /* of connecting; UINT64_MAX: it hangs */
  uint64_t let_go_n; /* of the script when connecting began */
  mp_list queue;     /* requests in order; the first one runs */
  mp_list standing;  /* streams whose chunk was delivered */
  int taken_n;       /* requests that count against the depth */
  bool writer;
  uint64_t settled_ns;      /* a cancel is in flight until then; 0: none */
  uint64_t dies_ns;         /* the connection breaks then; 0: it does not */
  bool wants_kill, killing; /* another session is to stop what runs here, or is at it */
} session;

/* What a session knows of a request, in the request's arena. */
typedef struct job {
  mp_fake_rule *rule; /* NULL until it runs, or when there is none */
  bool begun, more, cancelled, counted;
  bool condemned; /* to be stopped, once somebody does */
  uint64_t due_ns;
  uint64_t let_go_n; /* of the script when it began */
  size_t delivered;  /* rows of a stream */
} job;

/* ---- answering ---- */

static bool begins_with(const char *sql, const char *word)
{
  return strncasecmp(sql, word, strlen(word)) == 0;
}

static bool reads_only(const mp_request *req)
{
  return begins_with(req->sql, "select") || begins_with(req->sql, "with") ||
         begins_with(req->sql, "values") || begins_with(req->sql, "pragma");
}

static bool begins(const mp_request *req)
{
  return begins_with(req->sql, "begin") || begins_with(req->sql, "start");
}

static bool is_tx(const mp_request *req)
{
  return begins(req) || begins_with(req->sql, "commit") || begins_with(req->sql, "rollback") ||
         begins_with(req->sql, "savepoint") || begins_with(req->sql, "release");
}

static bool single_writer(const session *ses)
{
  return (ses->base.backend->caps & MP_CAP_SINGLE_WRITER) != 0;
}

static void note_writer(session *ses, bool writes)
{
  mp_fake *fake = ses->fake;
  fake->writer_n += (int)writes - (int)ses->writer;
  ses->writer = writes;
  if (fake->writer_n > fake->counts.writers_max)
    fake->counts.writers_max = fake->writer_n;
}

static void unlink_job(session *ses, mp_request *req)
{
  job *j = req->backend_data;
  mp_list_remove(&req->node);
  if (j->counted)
    ses->taken_n--;
  j->counted = false;
}

static void end(session *ses, mp_request *req)
{
  unlink_job(ses, req);
  if (ses->base.tx == MP_TX_IDLE)
    note_writer(ses, false);
  mp_request_finish(req);
}

static void fail(session *ses, mp_request *req, mp_status kind, const char *message)
{
  mp_error_set(&req->error, req->arena, kind, "%s", message);
  req->error.sent = true;
  end(ses, req);
}

static void follow_tx(session *ses, const mp_request *req, const mp_fake_rule *rule)
{
  if (rule != NULL && rule->has_tx)
    ses->base.tx = rule->tx;
  else if (rule != NULL && rule->error.kind != MP_OK)
    return;
  else if (begins(req))
    ses->base.tx = MP_TX_OPEN;
  else if (begins_with(req->sql, "commit") ||
           (begins_with(req->sql, "rollback") && !begins_with(req->sql, "rollback to")))
    ses->base.tx = MP_TX_IDLE;
}

static void lose(session *ses, bool sent)
{
  mp_list *lists[] = {&ses->queue, &ses->standing};
  ses->base.state = MP_SES_LOST;
  ses->base.error = (mp_error){.kind = MP_E_CONNECTION_LOST, .message = "the connection was lost"};
  ses->base.tx = MP_TX_UNKNOWN;
  for (int i = 0; i < 2; i++) {
    while (!mp_list_empty(lists[i])) {
      mp_request *req = mp_container_of(lists[i]->next, mp_request, node);
      job *j = req->backend_data;
      mp_error_set(&req->error, req->arena, MP_E_CONNECTION_LOST, "the connection was lost");
      req->error.sent = j->begun && sent;
      req->error.verdict = MP_DESTROY;
      unlink_job(ses, req);
      mp_request_finish(req);
    }
  }
}

static bool deliver_rows(session *ses, mp_request *req, size_t first, size_t n)
{
  job *j = req->backend_data;
  mp_result *result = mp_fake_result(ses->fake, j->rule, req, first, n);
  if (result == NULL) {
    fail(ses, req, MP_E_OUT_OF_MEMORY, "out of memory");
    return false;
  }
  mp_result_free(mp_request_take_result(req));
  req->result = result;
  return true;
}

/* The next chunk, or the end of a stream. */
static void stream_on(session *ses, mp_request *req)
{
  job *j = req->backend_data;
  size_t rows = mp_fake_rule_rows(j->rule), n = req->chunk_rows > 0 ? req->chunk_rows : CHUNK_ROWS;
  if (n > rows - j->delivered)
    n = rows - j->delivered;
  if (n == 0) {
    mp_result_free(mp_request_take_result(req));
    end(ses, req);
    return;
  }
  if (!deliver_rows(ses, req, j->delivered, n))
    return;
  j->delivered += n;
  unlink_job(ses, req);
  mp_list_push_back(&ses->standing, &req->node);
  req->on_chunk(req);
}

static void answer_with_rows(session *ses, mp_request *req)
{
  const mp_fake_rule *rule = ((job *)req->backend_data)->rule;
  size_t rows = mp_fake_rule_rows(rule);
  if (req->max_rows > 0 && rows > req->max_rows) {
    fail(ses, req, MP_E_RESULT_TOO_LARGE, "more rows than max_rows allows");
    return;
  }
  if (!deliver_rows(ses, req, 0, req->op == MP_OP_PREPARE ? 0 : rows))
    return;
  req->affected = rule->affected * (req->op == MP_OP_MANY ? (int64_t)req->param_rows : 1);
  req->last_id = rule->last_id;
  if (req->op == MP_OP_PREPARE)
    for (const char *at = req->sql; *at != '\0'; at++)
      req->param_n += *at == '?';
  end(ses, req);
}

static void stop_condemned(session *ses)
{
  mp_list *lists[] = {&ses->queue, &ses->standing};
  for (int i = 0; i < 2; i++) {
    for (mp_list *node = lists[i]->next; node != lists[i]; node = node->next) {
      job *j = mp_container_of(node, mp_request, node)->backend_data;
      j->cancelled = j->cancelled || j->condemned;
    }
  }
  ses->base.waker->wake(ses->base.waker);
}

static void kill_session(mp_fake *fake, int number)
{
  for (mp_list *node = fake->sessions.next; node != &fake->sessions; node = node->next) {
    session *ses = mp_container_of(node, session, node);
    if (ses->number == number)
      stop_condemned(ses);
  }
}

static void answer(session *ses, mp_request *req)
{
  mp_fake_rule *rule = ((job *)req->backend_data)->rule;
  if (req->op == MP_OP_RESET && (rule == NULL || rule->error.kind == MP_OK))
    ses->base.tainted = false;
  if (rule != NULL && rule->tainted)
    ses->base.tainted = true;
  if (rule != NULL && rule->dies_ns > 0)
    ses->dies_ns = uv_hrtime() + rule->dies_ns;
  follow_tx(ses, req, rule);
  if (rule != NULL && rule->error.kind != MP_OK) {
    mp_error_copy(&req->error, req->arena, &rule->error);
    end(ses, req);
  } else if (ses->fake->kills && req->sql != NULL && begins_with(req->sql, "kill ")) {
    kill_session(ses->fake, atoi(req->sql + 5));
    end(ses, req);
  } else if (rule == NULL) {
    if (req->op != MP_OP_PING && req->op != MP_OP_RESET && !is_tx(req))
      fail(ses, req, MP_E_SYNTAX, "the script has no rule for this statement");
    else
      end(ses, req);
  } else if (req->op == MP_OP_STREAM) {
    stream_on(ses, req);
  } else {
    answer_with_rows(ses, req);
  }
}

/* The first request of the queue starts: find its rule. False: it has been answered. */
static bool begin(session *ses, mp_request *req, uint64_t now_ns)
{
  job *j = req->backend_data;
  const char *text = req->op == MP_OP_PING    ? "(ping)"
                     : req->op == MP_OP_RESET ? "(reset)"
                                              : req->sql;
  bool in_tx = ses->base.tx != MP_TX_IDLE, writes = *text != '(' && !reads_only(req);
  j->begun = true;
  j->let_go_n = ses->fake->let_go_n;
  j->rule = mp_fake_rule_for(ses->fake, req->op == MP_OP_PING    ? "ping"
                                        : req->op == MP_OP_RESET ? "reset"
                                                                 : req->sql);
  if ((j->rule != NULL && j->rule->needs_writer && req->access != MP_ACCESS_WRITE) ||
      (single_writer(ses) && writes && !in_tx && !is_tx(req) && req->access != MP_ACCESS_WRITE)) {
    if (j->rule != NULL && j->rule->left >= 0)
      j->rule->left++; /* it comes back */
    req->needs_writer = true;
    fail(ses, req, MP_E_INTERNAL, "a write on a connection for reading");
    return false;
  }
  if (single_writer(ses) && writes && in_tx && !is_tx(req) && !ses->writer) {
    fail(ses, req, MP_E_READ_ONLY, "a write in a transaction that only reads");
    return false;
  }
  mp_fake_note(ses->fake, ses->number, text);
  if (single_writer(ses) && writes && (!is_tx(req) || begins_with(req->sql, "begin immediate")))
    note_writer(ses, true);
  j->due_ns = j->rule != NULL && j->rule->delay_ns > 0 ? now_ns + j->rule->delay_ns : 0;
  return true;
}

/* ---- steps ---- */

static void open_step(session *ses, uint64_t now_ns)
{
  mp_fake_counts *counts = &ses->fake->counts;
  if (!ses->started) {
    ses->started = true;
    mp_fake_note(ses->fake, ses->number, "(connect)");
    counts->connects++;
    counts->sessions++;
    if (counts->sessions > counts->sessions_max)
      counts->sessions_max = counts->sessions;
    ses->connect = mp_fake_rule_for(ses->fake, "connect");
    ses->due_ns = now_ns + (ses->connect != NULL ? ses->connect->delay_ns : 0);
    if (ses->connect != NULL && ses->connect->hang)
      ses->due_ns = UINT64_MAX;
    ses->let_go_n = ses->fake->let_go_n;
  }
  if (ses->due_ns == UINT64_MAX && ses->let_go_n != ses->fake->let_go_n)
    ses->due_ns = now_ns;
  if (ses->due_ns > now_ns)
    return;
  if (ses->connect != NULL && ses->connect->error.kind != MP_OK) {
    ses->base.error = ses->connect->error;
    ses->base.state = MP_SES_LOST;
  } else if (ses->password_wrong) {
    ses->base.error = (mp_error){.kind = MP_E_AUTH_FAILED, .message = "wrong password"};
    ses->base.state = MP_SES_LOST;
  } else {
    ses->base.state = MP_SES_READY;
  }
}

static void step_standing(session *ses)
{
  for (mp_list *node = ses->standing.next; node != &ses->standing;) {
    mp_request *req = mp_container_of(node, mp_request, node);
    job *j = req->backend_data;
    node = node->next;
    if (j->cancelled)
      fail(ses, req, req->stop, "stopped");
    else if (j->more)
      j->more = false, stream_on(ses, req);
    else
      continue;
    node = ses->standing.next; /* the answer may have changed everything */
  }
}

static void drop_cancelled(session *ses)
{
  for (mp_list *node = ses->queue.next; node != &ses->queue;) {
    mp_request *req = mp_container_of(node, mp_request, node);
    node = node->next;
    if (!((job *)req->backend_data)->cancelled)
      continue;
    fail(ses, req, req->stop, "stopped");
    node = ses->queue.next;
  }
}

/* Answer what is due; gives the time at which the next one is (UINT64_MAX: not by itself). */
static uint64_t step_queue(session *ses, uint64_t now_ns)
{
  while (ses->base.state == MP_SES_READY && !mp_list_empty(&ses->queue)) {
    mp_request *req = mp_container_of(ses->queue.next, mp_request, node);
    job *j = req->backend_data;
    if (!j->begun && !begin(ses, req, now_ns))
      continue;
    if (j->rule != NULL && j->rule->hang && j->let_go_n == ses->fake->let_go_n)
      return UINT64_MAX;
    if (j->due_ns > now_ns)
      return j->due_ns;
    if (j->rule != NULL && j->rule->lost)
      lose(ses, !j->rule->lost_unsent);
    else
      answer(ses, req);
  }
  return UINT64_MAX;
}

static void close_step(session *ses)
{
  if (ses->base.state == MP_SES_CLOSED)
    return;
  lose(ses, true);
  note_writer(ses, false);
  if (ses->started) {
    ses->fake->counts.sessions--;
    mp_fake_note(ses->fake, ses->number, "(close)");
  }
  ses->base.state = MP_SES_CLOSED;
}

static void step(mp_session *base, unsigned events, mp_wants *wants)
{
  session *ses = (session *)base;
  uint64_t now_ns = uv_hrtime(), next_ns = UINT64_MAX;
  (void)events;
  *wants = (mp_wants){.fd = -1};
  if (ses->closing) {
    close_step(ses);
    return;
  }
  if (base->state == MP_SES_CONNECTING) {
    open_step(ses, now_ns);
    next_ns = ses->due_ns;
  }
  if (base->state == MP_SES_READY && ses->dies_ns != 0 && ses->dies_ns <= now_ns)
    lose(ses, true);
  if (base->state == MP_SES_READY) {
    if (ses->settled_ns != 0 && ses->settled_ns <= now_ns)
      ses->settled_ns = 0;
    drop_cancelled(ses);
    step_standing(ses);
    next_ns = step_queue(ses, now_ns);
    if (ses->settled_ns != 0 && ses->settled_ns < next_ns)
      next_ns = ses->settled_ns;
    if (ses->dies_ns != 0 && ses->dies_ns < next_ns)
      next_ns = ses->dies_ns;
  }
  if (next_ns != UINT64_MAX && base->state < MP_SES_LOST)
    wants->timer_ns = next_ns;
  wants->kill = ses->wants_kill;
  ses->wants_kill = false;
}

static void submit(mp_session *base, mp_request *req)
{
  session *ses = (session *)base;
  job *j = mp_arena_zalloc(req->arena, sizeof *j);
  if (j == NULL)
    abort(); /* a test that is out of memory */
  j->counted = true;
  ses->taken_n++;
  req->backend_data = j;
  mp_request_move(req, MP_REQ_ACTIVE);
  mp_list_push_back(&ses->queue, &req->node);
}

static void cancel(mp_session *base, mp_request *req)
{
  session *ses = (session *)base;
  job *j = req->backend_data;
  if (j->cancelled || j->condemned)
    return;
  j->condemned = ses->fake->kills && j->begun;
  j->cancelled = !j->condemned;
  ses->fake->counts.cancels++;
  mp_fake_note(ses->fake, ses->number, "(cancel)");
  if (j->condemned)
    ses->wants_kill = ses->killing = true;
  if (j->begun && ses->fake->settle_ns > 0)
    ses->settled_ns = uv_hrtime() + ses->fake->settle_ns;
}

static bool fill_kill(const mp_session *base, mp_request *req)
{
  char sql[32];
  int n = snprintf(sql, sizeof sql, "kill %d", ((const session *)base)->number);
  return mp_request_fill(req, sql, (size_t)n, NULL, 0, 1) == MP_OK;
}

static void killed(mp_session *base, bool ran)
{
  session *ses = (session *)base;
  ses->killing = false;
  if (ran)
    return;
  mp_fake_note(ses->fake, ses->number, "(alone)");
  stop_condemned(ses);
}

static void more(mp_session *base, mp_request *req)
{
  (void)base;
  ((job *)req->backend_data)->more = true;
}

/* ---- questions ---- */

static int depth(const mp_session *base)
{
  const session *ses = (const session *)base;
  int standing_n = 0;
  for (const mp_list *node = ses->standing.next; node != &ses->standing; node = node->next)
    standing_n++;
  return ses->fake->depth + standing_n; /* a stream that stands still is in nobody's way */
}

static bool settled(const mp_session *base)
{
  const session *ses = (const session *)base;
  return mp_list_empty(&ses->queue) && mp_list_empty(&ses->standing) && ses->settled_ns == 0 &&
         !ses->killing && ses->base.tx == MP_TX_IDLE;
}

static bool begin_sql(const mp_config *config, const mp_txoptions *options, bool write,
                      char sql[MP_TX_SQL_MAX], mp_error *err)
{
  bool immediate = write && (config->backend->caps & MP_CAP_SINGLE_WRITER) != 0;
  if (options->deferrable) {
    mp_error_set(err, NULL, MP_E_UNSUPPORTED, "deferrable");
    err->message = "the fake database has no deferrable transactions";
    return false;
  }
  snprintf(sql, MP_TX_SQL_MAX, "BEGIN%s%s", immediate ? " IMMEDIATE" : "",
           options->isolation == MP_SERIALIZABLE ? " SERIALIZABLE" : "");
  return true;
}

static void close_session(mp_session *base)
{
  ((session *)base)->closing = true;
}

static void free_session(mp_session *base)
{
  session *ses = (session *)base;
  if (ses == NULL)
    return;
  mp_list_remove(&ses->node);
  mp_fake_drop(ses->fake);
  free(ses);
}

void mp_fake_let_go(const char *name)
{
  mp_fake *fake = mp_fake_find(name);
  if (fake == NULL)
    return;
  fake->let_go_n++;
  for (mp_list *node = fake->sessions.next; node != &fake->sessions; node = node->next) {
    session *ses = mp_container_of(node, session, node);
    ses->base.waker->wake(ses->base.waker);
  }
}

static mp_status open_session(mp_session **out, const mp_config *config, const char *password,
                              mp_waker *waker)
{
  mp_fake *fake = mp_fake_find(config->database);
  session *ses = calloc(1, sizeof *ses);
  if (ses == NULL || fake == NULL) { /* check has found it, so somebody took it away since */
    free(ses);
    return ses == NULL ? MP_E_OUT_OF_MEMORY : MP_E_CONFIGURATION;
  }
  ses->base = (mp_session){
      .backend = config->backend, .config = config, .waker = waker, .state = MP_SES_CONNECTING};
  ses->fake = fake;
  ses->number = ++fake->session_n;
  ses->password_wrong =
      fake->password != NULL && (password == NULL || strcmp(password, fake->password) != 0);
  mp_list_init(&ses->queue);
  mp_list_init(&ses->standing);
  mp_list_init(&ses->node);
  mp_list_push_back(&fake->sessions, &ses->node);
  mp_fake_hold(fake);
  *out = &ses->base;
  return MP_OK;
}

static const char *identity(const mp_config *config, mp_arena *arena)
{
  return mp_arena_printf(arena, "fake %s", config->database);
}

static int max_sessions(const mp_config *config)
{
  mp_fake *fake = config->database == NULL ? NULL : mp_fake_find(config->database);
  return fake == NULL ? 0 : fake->max_sessions;
}

static mp_status check(const mp_config *config, mp_error *err)
{
  if (config->database != NULL && mp_fake_find(config->database) != NULL)
    return MP_OK;
  return mp_error_set(err, config->arena, MP_E_CONFIGURATION, "there is no fake script \"%s\"",
                      config->database != NULL ? config->database : "");
}

static const char *version(void)
{
  return "1";
}

#define FAKE(its_name, its_caps)                                                                   \
  {                                                                                                \
    .name = its_name, .caps = its_caps, .open = open_session, .step = step, .submit = submit,      \
    .cancel = cancel, .fill_kill = fill_kill, .killed = killed, .more = more, .depth = depth,      \
    .settled = settled, .begin_sql = begin_sql, .close = close_session, .free = free_session,      \
    .identity = identity, .max_sessions = max_sessions, .check = check, .version = version         \
  }

const mp_backend mp_backend_fake = FAKE("fake", MP_CAP_PIPELINE | MP_CAP_INTERLEAVE);
const mp_backend mp_backend_fake_file = FAKE("fake_file", MP_CAP_SINGLE_WRITER | MP_CAP_INTERLEAVE);
