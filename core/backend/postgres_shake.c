/* postgres_shake.c - see postgres_shake.h; libpq's connections belong to no thread, only to one at a time. */
#include "postgres_shake.h"

#include <stdlib.h>

typedef struct turn {
  PGconn *conn;
  PostgresPollingStatusType said;
} turn;

struct mp_pgshake {
  mp_job *job;
  turn *turn; /* the thread's until the job is done */
};

bool mp_pgshake_is_next(const PGconn *conn)
{
  return PQstatus(conn) == CONNECTION_SSL_STARTUP && PQsslInUse((PGconn *)conn) == 0;
}

static void run(void *arg)
{
  turn *t = arg;
  t->said = PQconnectPoll(t->conn);
}

static void drop(void *arg)
{
  turn *t = arg;
  if (t->conn != NULL)
    PQfinish(t->conn);
  free(t);
}

mp_pgshake *mp_pgshake_start(PGconn *conn, mp_waker *waker)
{
  mp_pgshake *shake = calloc(1, sizeof *shake);
  turn *t = calloc(1, sizeof *t);
  if (shake != NULL && t != NULL) {
    t->conn = conn;
    shake->turn = t;
    shake->job = mp_job_start(run, drop, t, waker);
    if (shake->job != NULL)
      return shake;
  }
  free(t);
  free(shake);
  return NULL;
}

bool mp_pgshake_done(mp_pgshake *shake)
{
  return mp_job_done(shake->job);
}

PGconn *mp_pgshake_take(mp_pgshake *shake, PostgresPollingStatusType *said)
{
  PGconn *conn = shake->turn->conn;
  *said = shake->turn->said;
  shake->turn->conn = NULL;
  return conn;
}

void mp_pgshake_free(mp_pgshake *shake)
{
  if (shake == NULL)
    return;
  mp_job_release(shake->job);
  free(shake);
}
