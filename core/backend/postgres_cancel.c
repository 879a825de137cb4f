/* postgres_cancel.c - stopping a statement so that nothing else is hit.
** A cancel hits whatever its backend process runs when it arrives. So: only the statement that is being answered is cancelled,
** nothing is sent meanwhile, the cancel has to have been carried out, the statement has to have ended, and one empty round trip comes
** before the next statement. It goes over the pool's control connection; where there is none (a pooler knows no process numbers, the
** server takes no more connections) by PQcancel, on a thread because it blocks. One that arrives before its statement is lost: it is asked for again. */
#include "postgres.h"

#include <stdio.h>
#include <uv.h>

#define ASK_AGAIN_NS ((uint64_t)100 * 1000 * 1000)

/* Only for the test that shows that the test of cancels can fail: the next statement is sent at once. */
extern bool mp_postgres_test_no_barrier;
bool mp_postgres_test_no_barrier;

static void run_cancel(void *arg)
{
  char why[256];
  PQcancel(arg, why, sizeof why); /* a server that cannot be reached: asked again, or it is lost */
}

static void drop_cancel(void *arg)
{
  PQfreeCancel(arg);
}

/* NULL: no memory, no thread. */
static mp_job *ask(mp_pgsession *ses)
{
  PGcancel *handle = PQgetCancel(ses->conn);
  mp_job *job;
  if (handle == NULL)
    return NULL;
  job = mp_job_start(run_cancel, drop_cancel, handle, ses->base.waker);
  if (job == NULL)
    PQfreeCancel(handle);
  return job;
}

bool mp_pgsession_fill_kill(const mp_pgsession *ses, mp_request *req)
{
  mp_value pid = {.kind = MP_INT, .i = PQbackendPID(ses->conn)};
  static const char sql[] = "SELECT pg_catalog.pg_cancel_backend($1)";
  return mp_request_fill(req, sql, sizeof sql - 1, &pid, 1, 1) == MP_OK;
}

void mp_pgsession_killed(mp_pgsession *ses, bool ran)
{
  if (!ses->killing)
    return;
  ses->killing = false;
  if (!ran && ses->cancel == MP_PG_ASKED && mp_pgsession_head(ses) != NULL)
    ses->asking = ask(ses);
}

static void ask_for_head(mp_pgsession *ses)
{
  ses->cancel = MP_PG_ASKED;
  ses->asked_n++;
  ses->ask_again_ns = uv_hrtime() + ASK_AGAIN_NS * (uint64_t)ses->asked_n;
  if (ses->base.config->pooler)
    ses->asking = ask(ses);
  else
    ses->killing = ses->wants_kill = true;
}

void mp_pgsession_stop(mp_pgsession *ses, mp_pgtask *task)
{
  (void)ses;
  task->stopping = true;
  mp_pgcopy_stop(task);
  task->standing = false;
}

bool mp_pgsession_calm(mp_pgsession *ses)
{
  const mp_pgtask *head = mp_pgsession_head(ses);
  bool wanted = head != NULL && head->stopping && head->phase != MP_PG_GUARDING &&
                head->phase != MP_PG_RELEASING &&
                (head->patience_ns == 0 || uv_hrtime() >= head->patience_ns);
  if (ses->asking != NULL && mp_job_done(ses->asking)) {
    mp_job_release(ses->asking);
    ses->asking = NULL;
  }
  if (ses->cancel == MP_PG_QUIET && wanted) {
    ses->asked_n = 0;
    ask_for_head(ses);
  } else if (ses->cancel == MP_PG_ASKED && mp_postgres_test_no_barrier && head == NULL) {
    ses->cancel = MP_PG_QUIET;
  } else if (ses->cancel == MP_PG_ASKED && ses->asking == NULL && !ses->killing) {
    if (wanted && uv_hrtime() >= ses->ask_again_ns) {
      ask_for_head(ses);
    } else if (head == NULL) {
      ses->cancel = MP_PG_BARRIER;
      if (ses->base.config->pooler) {
        mp_pgsession_lose(ses); /* nobody knows what a late one would hit behind a pooler */
        return false;
      }
      if (!mp_pgsession_barrier(ses))
        return false;
    }
  } else if (ses->cancel == MP_PG_BARRIER && head == NULL) {
    ses->cancel = MP_PG_QUIET;
  }
  return ses->cancel == MP_PG_QUIET;
}

void mp_pgsession_abandon(mp_pgsession *ses)
{
  const mp_pgtask *head = mp_pgsession_head(ses);
  mp_job_release(ses->asking);
  ses->asking = NULL;
  if (ses->conn != NULL && head != NULL && !head->listening)
    mp_job_release(ask(ses));
}
