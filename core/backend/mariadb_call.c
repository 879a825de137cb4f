/* mariadb_call.c - the library's calls, started and continued.
** Each one runs until it is done or would have to wait for the socket; nothing here waits. The timeouts that the library
** keeps are those of connecting: statements have clocks of their own, so that a wait is never told that its time is over. */
#include "mariadb.h"

#include <openssl/err.h>
#include <signal.h>
#include <time.h>

bool mp_mysession_guard(mp_mysession *ses)
{
  mp_myguard *guard = &ses->guard;
  sigset_t pipe, pending;
  if (!ses->line.tls || guard->on)
    return false;
  ERR_clear_error(); /* what another connection of this thread has left would be taken for our own */
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  guard->on = pthread_sigmask(SIG_BLOCK, &pipe, &guard->before) == 0;
  guard->pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
  return guard->on;
}

void mp_mysession_unguard(mp_mysession *ses, bool guarded)
{
  sigset_t pipe;
  if (!guarded)
    return;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  if (!ses->guard.pending)
    sigtimedwait(&pipe, NULL, &(struct timespec){0, 0});
  pthread_sigmask(SIG_SETMASK, &ses->guard.before, NULL);
  ses->guard.on = false;
}

static void begin(mp_mysession *ses, mp_mycalltype type, MYSQL_STMT *stmt, MYSQL_RES *res)
{
  ses->call = (mp_mycall){.type = type, .conn = ses->line.conn, .stmt = stmt, .res = res};
}

void mp_mycall_prepare(mp_mysession *ses, mp_mystatement *statement)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  begin(ses, MP_MY_PREPARE, statement->stmt, NULL);
  call->waits =
      mysql_stmt_prepare_start(&call->status, call->stmt, statement->text.s, statement->text.len);
  mp_mysession_unguard(ses, guarded);
}

void mp_mycall_text(mp_mysession *ses, const char *sql, size_t len)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  begin(ses, MP_MY_TEXT, NULL, NULL);
  call->waits = mysql_real_query_start(&call->status, call->conn, sql, len);
  mp_mysession_unguard(ses, guarded);
}

void mp_mycall_text_fetch(mp_mysession *ses, MYSQL_RES *res)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  begin(ses, MP_MY_TEXT_FETCH, NULL, res);
  call->waits = mysql_fetch_row_start(&call->row, res);
  mp_mysession_unguard(ses, guarded);
}

void mp_mycall_statement(mp_mysession *ses, mp_mycalltype type, MYSQL_STMT *stmt)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  begin(ses, type, stmt, NULL);
  switch (type) {
  case MP_MY_EXECUTE:
    call->waits = mysql_stmt_execute_start(&call->status, stmt);
    break;
  case MP_MY_FETCH:
    call->waits = mysql_stmt_fetch_start(&call->status, stmt);
    break;
  case MP_MY_NEXT:
    call->waits = mysql_stmt_next_result_start(&call->status, stmt);
    break;
  default:
    call->waits = mysql_stmt_close_start(&call->flag, stmt);
    break;
  }
  mp_mysession_unguard(ses, guarded);
}

void mp_mycall_plain(mp_mysession *ses, mp_mycalltype type)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  begin(ses, type, NULL, NULL);
  switch (type) {
  case MP_MY_PING:
    call->waits = mysql_ping_start(&call->status, call->conn);
    break;
  case MP_MY_RESET:
    call->waits = mysql_reset_connection_start(&call->status, call->conn);
    break;
  default:
    call->waits = mysql_next_result_start(&call->status, call->conn);
    break;
  }
  mp_mysession_unguard(ses, guarded);
}

void mp_mycall_continue(mp_mysession *ses, int ready)
{
  mp_mycall *call = &ses->call;
  bool guarded = mp_mysession_guard(ses);
  switch (call->type) {
  case MP_MY_PREPARE:
    call->waits = mysql_stmt_prepare_cont(&call->status, call->stmt, ready);
    break;
  case MP_MY_EXECUTE:
    call->waits = mysql_stmt_execute_cont(&call->status, call->stmt, ready);
    break;
  case MP_MY_FETCH:
    call->waits = mysql_stmt_fetch_cont(&call->status, call->stmt, ready);
    break;
  case MP_MY_NEXT:
    call->waits = mysql_stmt_next_result_cont(&call->status, call->stmt, ready);
    break;
  case MP_MY_CLOSE:
    call->waits = mysql_stmt_close_cont(&call->flag, call->stmt, ready);
    break;
  case MP_MY_TEXT:
    call->waits = mysql_real_query_cont(&call->status, call->conn, ready);
    break;
  case MP_MY_TEXT_FETCH:
    call->waits = mysql_fetch_row_cont(&call->row, call->res, ready);
    break;
  case MP_MY_TEXT_NEXT:
    call->waits = mysql_next_result_cont(&call->status, call->conn, ready);
    break;
  case MP_MY_PING:
    call->waits = mysql_ping_cont(&call->status, call->conn, ready);
    break;
  case MP_MY_RESET:
    call->waits = mysql_reset_connection_cont(&call->status, call->conn, ready);
    break;
  }
  mp_mysession_unguard(ses, guarded);
}

bool mp_mycall_is_done(const mp_mysession *ses)
{
  return ses->call.waits == 0;
}

bool mp_mycall_failed(const mp_mysession *ses)
{
  return ses->call.status != 0 || ses->call.flag != 0;
}
