/* postgres_guard.c - a savepoint around each stream of a transaction.
** A stream that its reader leaves early is cancelled, and on PostgreSQL a cancel fails the transaction. Nothing was wrong with
** it, so it goes back to where it was: the stream runs inside a savepoint, which is released at its end. An error of the stream's own
** fails the transaction as any other does. */
#include "postgres.h"

bool mp_pgguard_wants(const mp_pgsession *ses, const mp_pgtask *task)
{
  const mp_request *req = task->req;
  return !task->guarded && ses->base.tx == MP_TX_OPEN &&
         (req->op == MP_OP_STREAM || req->op == MP_OP_COPY_OUT);
}

bool mp_pgguard_begin(mp_pgsession *ses, mp_pgtask *task)
{
  task->guarded = true;
  task->phase = MP_PG_GUARDING;
  return mp_pgsession_send_plain(ses, "SAVEPOINT moonpool_stream") && mp_pgsession_send_sync(ses);
}

bool mp_pgguard_must_release(const mp_pgsession *ses, const mp_pgtask *task)
{
  if (!task->guarded || task->phase == MP_PG_RELEASING)
    return false;
  return ses->base.tx == MP_TX_OPEN || (ses->base.tx == MP_TX_ABORTED && task->stopping);
}

bool mp_pgguard_release(mp_pgsession *ses)
{
  bool undo = ses->base.tx == MP_TX_ABORTED;
  return (!undo || mp_pgsession_send_plain(ses, "ROLLBACK TO SAVEPOINT moonpool_stream")) &&
         mp_pgsession_send_plain(ses, "RELEASE SAVEPOINT moonpool_stream") &&
         mp_pgsession_send_sync(ses);
}
