/* postgres_tx.c - transaction statements that ride with the next one.
** BEGIN, SAVEPOINT, RELEASE and ROLLBACK TO give no answer that anybody waits for: they are answered at once, kept, and sent in
** front of the next statement, in its flight and under its Sync, so that it cannot run without them. A transaction in which
** nothing ran is never sent at all, nor is a RELEASE directly before COMMIT. What the server says about the transaction counts only when nothing is kept back.
** Those that come again are prepared, ahead of a BEGIN: a refusal fails nothing there. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_MIN 64 /* a smaller one is all for the program's statements */

static void forget_last(mp_pgsession *ses)
{
  ses->kept_len = ses->kept_last;
  ses->kept_last = 0; /* the one before is not known: two of them never go */
  ses->kept_n--;
}

void mp_pgtx_forget(mp_pgsession *ses)
{
  ses->kept_len = ses->kept_last = 0;
  ses->kept_n = 0;
}

static bool keep(mp_pgsession *ses, const char *sql)
{
  size_t bytes = strlen(sql) + 1, wanted = ses->kept_len + bytes;
  if (wanted > ses->kept_room) {
    size_t room = wanted < 256 ? 256 : 2 * wanted;
    char *grown = realloc(ses->kept, room);
    if (grown == NULL)
      return false;
    ses->kept = grown;
    ses->kept_room = room;
  }
  memcpy(ses->kept + ses->kept_len, sql, bytes);
  ses->kept_last = ses->kept_len;
  ses->kept_len = wanted;
  ses->kept_n++;
  return true;
}

/* Is the last one kept the savepoint that this statement ends? Then nothing has happened inside. */
static bool ends_last(const mp_pgsession *ses, const char *sql)
{
  const char *last = ses->kept + ses->kept_last, *name = strrchr(sql, ' ');
  return ses->kept_n > 1 && ses->kept_last > 0 && name != NULL &&
         strncmp(last, "SAVEPOINT ", 10) == 0 && strcmp(last + 9, name) == 0;
}

/* Does something that is kept take work back? */
static bool undoes(const mp_pgsession *ses)
{
  for (size_t at = 0; at < ses->kept_len; at += strlen(ses->kept + at) + 1)
    if (strncmp(ses->kept + at, "ROLLBACK", 8) == 0)
      return true;
  return false;
}

/* A connection that was closed meanwhile had better be noticed now, when another one can still be had. */
static bool is_alive(mp_pgsession *ses)
{
  return PQconsumeInput(ses->conn) == 1 && PQstatus(ses->conn) == CONNECTION_OK;
}

mp_pgtxanswer mp_pgtx_keep(mp_pgsession *ses, mp_txop op, const char *sql)
{
  bool on_server = ses->server_tx != MP_TX_IDLE;
  switch (op) {
  case MP_TXO_BEGIN:
    if (!is_alive(ses))
      return MP_PG_TX_LOST;
    break;
  case MP_TXO_RELEASE:
    if (ses->base.tx == MP_TX_OPEN && ends_last(ses, sql)) {
      forget_last(ses);
      return MP_PG_TX_KEPT;
    }
    break;
  case MP_TXO_SAVEPOINT:
  case MP_TXO_ROLLBACK_TO:
    break;
  case MP_TXO_COMMIT:
  case MP_TXO_ROLLBACK:
    if (op == MP_TXO_ROLLBACK || !on_server || !undoes(ses))
      mp_pgtx_forget(ses); /* a COMMIT keeps what its savepoints hold */
    if (on_server)
      return MP_PG_TX_SEND;
    ses->base.tx = MP_TX_IDLE;
    return MP_PG_TX_KEPT;
  }
  if (!keep(ses, sql))
    return MP_PG_TX_SEND; /* without memory it goes by itself, behind what is kept */
  ses->base.tx = MP_TX_OPEN;
  return MP_PG_TX_KEPT;
}

/* The server keeps it: the first savepoints of a transaction have the names that those of the last one had. In a session that
** the program has changed it may have been dropped. */
static bool is_prepared(const mp_pgsession *ses, const char *sql)
{
  const char *name = strstr(sql, " mp_");
  return ses->cache.max >= CACHE_MIN && !ses->base.tainted && (name == NULL || strlen(name) == 5);
}

static bool being_prepared(const mp_pgsession *ses)
{
  const mp_pgtask *head = mp_pgsession_head(ses);
  return head->req == NULL && head->phase == MP_PG_PREPARING;
}

bool mp_pgtx_send(mp_pgsession *ses, const char *sql)
{
  size_t len = strlen(sql);
  const mp_request req = {.sql = sql, .sql_len = len, .sql_hash = mp_sql_hash(sql, len)};
  mp_pgstatement *statement;
  bool sent;
  if (!is_prepared(ses, sql))
    return mp_pgsession_send_plain(ses, sql);
  statement = mp_pgcache_find(&ses->cache, &req);
  if (statement == NULL) {
    if (!being_prepared(ses) && mp_sqltext_find(&ses->cache.wanted, &req) == NULL)
      statement = mp_pgstatement_new(&ses->cache, &req, false);
    if (statement != NULL) { /* otherwise it stays as it is */
      statement->user_n = 0;
      mp_list_push_back(&ses->cache.wanted, &statement->text.node);
    }
    return mp_pgsession_send_plain(ses, sql);
  }
  sent = PQsendQueryPrepared(ses->conn, statement->name, 0, NULL, NULL, NULL, 0) == 1;
  mp_pgstatement_release(statement);
  return sent;
}

bool mp_pgtx_prepare(mp_pgsession *ses)
{
  mp_list *node;
  if (ses->kept_n == 0 || ses->server_tx != MP_TX_IDLE || ses->base.tainted ||
      !mp_list_empty(&ses->sent))
    return true;
  while ((node = mp_list_pop_front(&ses->cache.wanted)) != NULL)
    if (!mp_pgsession_prepare(ses, mp_container_of(node, mp_pgstatement, text.node)))
      return false;
  return true;
}

bool mp_pgtx_send_kept(mp_pgsession *ses, mp_pgtask *task)
{
  size_t at = 0;
  task->skip = ses->kept_n;
  while (at < ses->kept_len) {
    if (!mp_pgtx_send(ses, ses->kept + at))
      return false;
    at += strlen(ses->kept + at) + 1;
  }
  mp_pgtx_forget(ses);
  return true;
}
