/* mariadb_cancel.c - stopping a statement so that nothing else is hit.
** KILL QUERY comes over the pool's control connection, and hits whatever the connection runs when it arrives. So: nothing
** else is sent meanwhile, the kill has to have been carried out, the statement has to have ended, and one empty round
** trip comes before the next one. A kill that arrives before its statement has begun is lost: it is asked for
** again. A server does not notice that a busy client has gone: whoever is closed while busy has its whole connection killed. */
#include "mariadb.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

#define ASK_AGAIN_NS ((uint64_t)50 * 1000 * 1000)
#define ASK_SELDOM_NS ((uint64_t)1000 * 1000 * 1000)
#define KILLED 1317
#define TEAR_TRIES 1000

/* Only for the test that shows that the test of cancels can fail: the next statement is sent at once. */
extern bool mp_mariadb_test_no_barrier;
bool mp_mariadb_test_no_barrier;

bool mp_mysession_fill_kill(const mp_mysession *ses, mp_request *req)
{
  char sql[64];
  int n = snprintf(sql, sizeof sql, "KILL %s %lu", ses->torn ? "CONNECTION" : "QUERY",
                   ses->line.thread_id);
  req->no_cache = true;
  return mp_request_fill(req, sql, (size_t)n, NULL, 0, 1) == MP_OK;
}

void mp_mysession_killed(mp_mysession *ses, bool ran)
{
  (void)ran; /* if not: it is asked for again */
  ses->killing = false;
}

static void ask(mp_mysession *ses)
{
  uint64_t wait_ns = ASK_AGAIN_NS << (ses->asked_n < 5 ? ses->asked_n : 5);
  ses->cancel = MP_MY_ASKED;
  ses->asked_n++;
  ses->ask_again_ns = uv_hrtime() + (wait_ns < ASK_SELDOM_NS ? wait_ns : ASK_SELDOM_NS);
  ses->killing = ses->wants_kill = true;
}

void mp_mysession_stop(mp_mysession *ses)
{
  ses->task->stopping = true;
  ses->task->standing = false;
}

void mp_mysession_ask(mp_mysession *ses)
{
  const mp_mytask *task = ses->task;
  if (task == NULL || !task->stopping || ses->killing || ses->torn)
    return;
  if (ses->cancel == MP_MY_QUIET ||
      (ses->cancel == MP_MY_ASKED && uv_hrtime() >= ses->ask_again_ns))
    ask(ses);
}

static void send_barrier(mp_mysession *ses);

static void passed(mp_mysession *ses)
{
  if (!mp_mycall_failed(ses)) {
    mp_mysession_note_status(ses);
    ses->cancel = MP_MY_QUIET;
  } else if (mysql_errno(ses->line.conn) == KILLED) {
    send_barrier(ses); /* that is what it is for */
  } else {
    mp_mysession_broken(ses, NULL);
  }
}

static void send_barrier(mp_mysession *ses)
{
  ses->cancel = MP_MY_BARRIER;
  mp_mytext_own(ses, "DO 0", passed);
}

bool mp_mysession_calm(mp_mysession *ses)
{
  if (ses->cancel == MP_MY_QUIET)
    return true;
  if (mp_mariadb_test_no_barrier) {
    ses->cancel = MP_MY_QUIET;
    return true;
  }
  if (!ses->killing)
    send_barrier(ses);
  return false;
}

bool mp_mysession_tear(mp_mysession *ses)
{
  MYSQL *conn = ses->line.conn;
  mp_mytask *task = ses->task;
  bool guarded, busy;
  if (conn == NULL)
    return false;
  guarded = mp_mysession_guard(ses);
  busy = task != NULL && task->sent && ses->base.state == MP_SES_READY;
  if (ses->base.state != MP_SES_READY || ses->task != NULL || ses->then != NULL)
    shutdown(mysql_get_socket(conn), SHUT_RDWR);
  /* A call that is under way hears of it, and ends: the handle must not go from under it. */
  for (int i = 0; !mp_mycall_is_done(ses); i++) {
    assert(i < TEAR_TRIES); /* nothing can be waited for on a socket that was shut down */
    mp_mycall_continue(ses, ses->call.waits);
  }
  ses->then = NULL;
  ses->line.conn = NULL;
  if (task != NULL && task->res != NULL) {
    mysql_free_result(task->res); /* it looks for the rest of its rows, on the connection */
    task->res = NULL;
  }
  mysql_close(conn);
  if (ses->closing_statement != NULL)
    mp_mystatement_free(ses->closing_statement);
  ses->closing_statement = NULL;
  mp_mysession_unguard(ses, guarded);
  return busy;
}
