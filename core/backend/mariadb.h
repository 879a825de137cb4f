/* mariadb.h - what the files of the MariaDB backend share.
** A session is one MYSQL handle that does one thing at a time: each call of the library is started, and continued when the
** socket is ready (mariadb_call.c). What comes behind a call is ses->then; there is at most one request, the task.
** mariadb.c steps, mariadb_run.c runs requests, mariadb_stream.c reads rows, mariadb_many.c runs a statement for many rows of
** parameters, mariadb_row.c says which of them failed, mariadb_text.c what cannot be prepared, mariadb_task.c answers, mariadb_statement.c keeps prepared statements,
** mariadb_result.c has the rows, mariadb_cancel.c stops things. All on the loop's thread. */
#ifndef MP_MARIADB_H
#define MP_MARIADB_H

#include "mariadb_dial.h"
#include "mariadb_type.h"
#include "sqltext.h"

#include <signal.h>

/* ---- results ---- */

/* Columns, shared by the results of a statement; remade when an execution has others. */
typedef struct mp_mycolumns {
  int user_n, n;
  mp_mycolumn *types;
  MYSQL_FIELD *fields; /* to compare with; nothing that they point at is there any more */
  mp_column columns[]; /* n of them; names follow */
} mp_mycolumns;

mp_mycolumns *mp_mycolumns_new(const MYSQL_FIELD *fields, int n); /* NULL: out of memory */
bool mp_mycolumns_match(const mp_mycolumns *columns, const MYSQL_FIELD *fields, int n);
void mp_mycolumns_drop(mp_mycolumns *columns); /* NULL is fine */

/* Rows on their way to a result. */
typedef struct mp_myrows mp_myrows;
mp_myrows *mp_myrows_new(mp_mycolumns *columns, size_t room_n); /* NULL: out of memory */
mp_value *mp_myrows_add(mp_myrows *rows); /* the cells of a new row; NULL: out of memory */
mp_arena *mp_myrows_arena(mp_myrows *rows);
size_t mp_myrows_n(const mp_myrows *rows);
mp_result *mp_myrows_result(mp_myrows *rows); /* the same memory, as what it is */

/* ---- prepared statements ---- */

typedef struct mp_mystatement {
  mp_sqltext text; /* of the cache, the latest used first */
  bool cached, used;
  bool prepared;
  bool taints;  /* its text changes the state of the session, or may */
  bool changes; /* it says itself that it changes rows */
  bool reads;   /* it is plainly a read: running it again, or stopping it, changes nothing */
  MYSQL_STMT *stmt;
  mp_mycolumns *columns; /* NULL: no rows */
  mp_myslot *slots;      /* bound to columns; NULL: not yet */
} mp_mystatement;

typedef struct mp_mycache {
  mp_list statements;
  mp_list dead; /* to be closed */
  int n, max;
} mp_mycache;

void mp_mycache_init(mp_mycache *cache, int max);
/* One that runs with a cursor is nobody else's until it is kept again: rows may stand on it. */
mp_mystatement *mp_mycache_find(mp_mycache *cache, const mp_request *req);
mp_mystatement *mp_mystatement_new(MYSQL *conn, const mp_request *req); /* NULL: no memory */
void mp_mycache_keep(mp_mycache *cache, mp_mystatement *statement);
void mp_mycache_bury(mp_mycache *cache, mp_mystatement *statement); /* no use any more */
bool mp_mycache_evict(mp_mycache *cache);                           /* false: there is none */
/* One that is to be closed, or NULL; then whoever has closed it frees it. */
mp_mystatement *mp_mycache_dead(mp_mycache *cache);
/* All of them are gone for the server, or the connection is: nothing is sent. */
void mp_mycache_clear(mp_mycache *cache);
void mp_mystatement_free(mp_mystatement *statement); /* its stmt is closed, or NULL */

/* What a text says: does it leave something behind in the session; is it plainly a read; does it change rows? */
bool mp_mysql_taints(const char *sql);
bool mp_mysql_reads(const char *sql);
bool mp_mysql_changes(const char *sql);
/* Does it create, change or drop something that lasts, or lock tables: does it commit what is open? */
bool mp_mysql_defines(const char *sql);
/* How many rows an INSERT ... VALUES (...), (...) has; 0: it is something else. */
size_t mp_mysql_inserts(const char *sql);
/* Does it begin a transaction, so that one that is open would be committed and nobody could see it? */
bool mp_mysql_begins(const char *sql);

/* ---- calls of the library ---- */

typedef enum mp_mycalltype {
  MP_MY_PREPARE,
  MP_MY_EXECUTE,
  MP_MY_FETCH,
  MP_MY_NEXT,
  MP_MY_CLOSE, /* a statement: it is freed by that */
  MP_MY_TEXT,
  MP_MY_TEXT_FETCH,
  MP_MY_TEXT_NEXT,
  MP_MY_PING,
  MP_MY_RESET
} mp_mycalltype;

typedef struct mp_mycall {
  mp_mycalltype type;
  MYSQL *conn;
  MYSQL_STMT *stmt;
  MYSQL_RES *res;
  int waits;  /* for which of MYSQL_WAIT_...; 0: no call is under way */
  int status; /* what it gave: 0 is fine */
  my_bool flag;
  MYSQL_ROW row; /* of TEXT_FETCH */
} mp_mycall;

/* ---- sessions ---- */

typedef struct mp_mysession mp_mysession;

/* A request that is being worked on. */
typedef struct mp_mytask {
  mp_list node; /* of ses->cursors, while it stands on one */
  mp_request *req;
  mp_mystatement *statement;
  MYSQL_RES *res;          /* rows of the text protocol */
  mp_mycolumns *texts;     /* their columns */
  const char *rest;        /* TX: what is to be sent next */
  bool sent;               /* it may have been executed, in part */
  bool failed;             /* the error is in req->error */
  bool stopping;           /* nobody wants its rows any more */
  bool cut;                /* rows of it were thrown away, because it was stopped */
  bool retried;            /* it was prepared again */
  bool had_rows;           /* of more than one result, the first that has rows counts */
  bool standing;           /* a stream whose chunk was delivered */
  bool on_cursor;          /* the server keeps the rows that were not fetched yet */
  bool bulk;               /* MANY: by arrays */
  size_t row_from, row_to; /* MANY: the rows of parameters in flight */
  mp_arena *scratch;       /* MANY: of those parameters */
  uint64_t
      runs_before; /* MANY by arrays: statements that the session had run before; 0: not asked */
  uint64_t number; /* the answer to a question of our own */
  void (*numbered)(mp_mysession *ses); /* when it is there */
  void (*counted)(mp_mysession *ses);
  size_t seen_n;        /* rows that have come, wanted or not */
  size_t row_n, byte_n; /* of a result that is limited */
  mp_myrows *rows;
} mp_mytask;

typedef struct mp_myguard {
  bool on, pending;
  sigset_t before;
} mp_myguard;

typedef enum mp_mycancel {
  MP_MY_QUIET,
  MP_MY_ASKED,  /* the kill runs, or the statement that it is for does */
  MP_MY_BARRIER /* one round trip, which a late kill would hit, is to be made or under way */
} mp_mycancel;

struct mp_mysession {
  mp_session base;
  mp_mydial *dial;
  mp_myline line;
  mp_arena *arena; /* of base.error */
  mp_mycall call;
  mp_myguard guard;
  void (*then)(mp_mysession *ses);   /* when the call is done; NULL: nothing is under way */
  void (*buried)(mp_mysession *ses); /* when the dead statements are closed */
  mp_mytask *task;                   /* NULL: idle */
  mp_list cursors; /* tasks with a cursor that have delivered a chunk: they are in nobody's way */
  mp_list waiting; /* requests */
  mp_mycache cache;
  mp_mystatement *closing_statement;
  int fd; /* its socket once more, for the loop; -1: none. The library closes its own in the middle of a call, and another
             thread may have that number before the loop has let go of it */
  bool tired; /* a long answer: on with it in the loop's next turn */
  bool closing, torn;
  mp_mycancel cancel;
  bool killing;    /* the control connection is at it */
  bool wants_kill; /* it is to be told */
  int asked_n;     /* how often, for this statement */
  uint64_t ask_again_ns;
  uint64_t leave_ns; /* closing: the kill has so long */
};

/* mariadb_call.c: start a call, or go on with it. Afterwards call.waits says whether it is done. */
void mp_mycall_prepare(mp_mysession *ses, mp_mystatement *statement);
void mp_mycall_text(mp_mysession *ses, const char *sql, size_t len);
void mp_mycall_text_fetch(mp_mysession *ses, MYSQL_RES *res);
void mp_mycall_statement(mp_mysession *ses, mp_mycalltype type, MYSQL_STMT *stmt);
void mp_mycall_plain(mp_mysession *ses, mp_mycalltype type); /* PING, RESET, TEXT_NEXT */
void mp_mycall_continue(mp_mysession *ses, int ready);
bool mp_mycall_is_done(const mp_mysession *ses);
bool mp_mycall_failed(const mp_mysession *ses);

/* A TLS library writes to sockets that are gone: between these two the process does not hear of it by SIGPIPE. Inside of
** another pair they do nothing. */
bool mp_mysession_guard(mp_mysession *ses);
void mp_mysession_unguard(mp_mysession *ses, bool guarded);

/* mariadb_run.c */
void mp_mytask_begin(mp_mysession *ses);   /* ses->task is new */
void mp_mytask_prepare(mp_mysession *ses); /* its statement, if it is not yet */
void mp_mytask_execute(mp_mysession *ses); /* parameters are bound */
void mp_mytask_executed(mp_mysession *ses);
void mp_mytask_executed_all(mp_mysession *ses); /* no further result is to come */
void mp_mytask_give_up(
    mp_mysession *ses); /* what the server has of its rows: the statement is closed */
/* False: the task has failed. */
bool mp_mytask_count_matches(mp_mytask *task);
bool mp_mytask_fits(mp_mysession *ses, size_t bytes);
bool mp_mytask_param(mp_mytask *task, size_t row, int i, mp_arena *arena, MYSQL_BIND *out);
bool mp_mytask_bind(mp_mysession *ses, size_t row, mp_arena *arena);
/* How many bytes the parameters of one row take on their way, roughly, and not less. */
size_t mp_mytask_row_bytes(const mp_request *req, size_t row);

/* Close the statements that are of no use any more, then go on; mariadb.c. */
void mp_mysession_bury(mp_mysession *ses, void (*then)(mp_mysession *ses));

/* mariadb_many.c */
void mp_mymany_begin(mp_mysession *ses);      /* it is prepared */
void mp_mymany_on(mp_mysession *ses);         /* what was sent has been executed */
void mp_mymany_one_by_one(mp_mysession *ses); /* the server does not take this one in bulk */
void mp_mymany_end(mp_mytask *task);          /* whatever it has come to */

/* mariadb_row.c: which row failed */
void mp_myrow_count(mp_mysession *ses, void (*then)(mp_mysession *ses)); /* before the first */
void mp_myrow_find(mp_mysession *ses); /* the task's statement has failed; then it ends */

/* mariadb_stream.c */
void mp_mystream_begin(mp_mysession *ses); /* an execution gave rows, or there is another result */
void mp_mystream_on(mp_mysession *ses); /* more is wanted of a stream, or a long answer goes on */
bool mp_mystream_resume(
    mp_mysession *ses); /* one that stands on a cursor; false: none is to go on */
mp_mytask *mp_mystream_standing(const mp_mysession *ses, const mp_request *req); /* or NULL */

/* mariadb_text.c */
void mp_mytext_begin(mp_mysession *ses, const char *sql, size_t len); /* the task's */
void mp_mytext_on(mp_mysession *ses);
/* One of our own that gives no rows; then comes behind it. */
void mp_mytext_own(mp_mysession *ses, const char *sql, void (*then)(mp_mysession *ses));

/* mariadb_task.c */
void mp_mytask_fail(mp_mytask *task, mp_status kind,
                    const char *message); /* the first one counts */
/* The call that is done has failed: note it. False: the connection is broken, and the task is gone. */
bool mp_mytask_note_error(mp_mysession *ses, MYSQL_STMT *stmt);
void mp_mytask_end(
    mp_mysession *ses); /* its statement has ended: ask how the transaction is, answer */
void mp_mytask_answer(mp_mysession *ses); /* it may be gone afterwards */
/* Take a row that has come into account: one too many stops the task. */
void mp_mytask_count(mp_mysession *ses, size_t bytes);
bool mp_mytask_deliver(mp_mysession *ses); /* its rows, to a stream; false: there are none */
size_t mp_mytask_room(const mp_mytask *task);
bool mp_mytask_is_full(const mp_mytask *task);                  /* a chunk is to be delivered */
void mp_mysession_lose(mp_mysession *ses, const mp_error *why); /* everybody is told */
void mp_mysession_broken(mp_mysession *ses, MYSQL_STMT *stmt);  /* lose it for what the call says */
void mp_mysession_note_status(mp_mysession *ses);
/* Answer all with that error. */
void mp_mysession_answer_all(mp_mysession *ses, const mp_error *why);

/* mariadb_cancel.c */
void mp_mysession_stop(mp_mysession *ses);
bool mp_mysession_fill_kill(const mp_mysession *ses, mp_request *req);
void mp_mysession_killed(mp_mysession *ses, bool ran);
void mp_mysession_ask(mp_mysession *ses);  /* for the kill that is due, if one is */
bool mp_mysession_calm(mp_mysession *ses); /* false: nothing may be sent yet, or something is now */
/* Let go of the connection, whatever it does. True: the server may still work for us. */
bool mp_mysession_tear(mp_mysession *ses);

#endif
