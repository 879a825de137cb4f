/* postgres.h - what the files of the PostgreSQL backend share.
** A session is one PGconn, always in pipeline mode: what is sent is a job, jobs are answered first in, first out, each ends with the Sync
** behind it. postgres.c steps, postgres_send.c sends, postgres_read.c reads, postgres_task.c answers, postgres_statement.c keeps prepared statements,
** postgres_result.c has the rows, postgres_cancel.c stops things. All on the loop's thread. */
#ifndef MP_POSTGRES_H
#define MP_POSTGRES_H

#include "postgres_dial.h"
#include "postgres_error.h"
#include "job.h"
#include "postgres_type.h"
#include "sqltext.h"

/* ---- results ---- */

/* Columns, shared by all results of a statement. */
typedef struct mp_pgcolumns {
  int user_n;
  int n;
  bool binary;         /* every column has a binary decoder */
  uint32_t *types;     /* oids */
  mp_column columns[]; /* n of them; names follow */
} mp_pgcolumns;

/* From a description, or from rows (libpq tells the same of both). NULL: out of memory. */
mp_pgcolumns *mp_pgcolumns_new(const PGresult *described);
void mp_pgcolumns_drop(mp_pgcolumns *columns); /* NULL is fine */

/* A whole result; takes rows over, also when it fails. columns NULL: made from rows. NULL: out of memory. */
mp_result *mp_pgresult_whole(PGresult *rows, mp_pgcolumns *columns);

/* Rows that come one by one. */
typedef struct mp_pgchunk mp_pgchunk;
mp_pgchunk *mp_pgchunk_new(mp_pgcolumns *columns, size_t room_n);
/* Grows. What the row's cells hold is in *cell_bytes. False: out of memory. */
bool mp_pgchunk_add(mp_pgchunk **chunk, const PGresult *row, size_t *cell_bytes);
size_t mp_pgchunk_rows(const mp_pgchunk *chunk);
mp_result *mp_pgchunk_result(mp_pgchunk *chunk); /* the same memory, as what it is */

/* ---- prepared statements ---- */

typedef struct mp_pgstatement {
  mp_sqltext text; /* of the cache, the latest used first */
  int user_n;      /* jobs; the cache itself is none of them */
  bool cached;
  bool taints;     /* its text changes the state of the session, or may */
  unsigned number; /* 0: the unnamed one */
  char name[16];   /* mp_<number>, or empty */
  int param_n;
  uint32_t *param_types;
  uint32_t table;        /* oid of that of the first column; 0: it is of none */
  mp_pgcolumns *columns; /* NULL: no rows */
} mp_pgstatement;

typedef struct mp_pgcache {
  mp_list statements;
  mp_list dead;   /* evicted, to be told to the server */
  mp_list wanted; /* transaction statements that were sent as text once, to be prepared */
  unsigned last_number;
  int n, max;
} mp_pgcache;

void mp_pgcache_init(mp_pgcache *cache, int max);
mp_pgstatement *mp_pgcache_find(mp_pgcache *cache, const mp_request *req);
/* Not in the cache before it was described. unnamed: it is used once. NULL: out of memory. */
mp_pgstatement *mp_pgstatement_new(mp_pgcache *cache, const mp_request *req, bool unnamed);
bool mp_pgstatement_describe(mp_pgstatement *statement, const PGresult *described);
void mp_pgcache_keep(mp_pgcache *cache, mp_pgstatement *statement);
void mp_pgcache_forget(mp_pgcache *cache,
                       mp_pgstatement *statement); /* the server's is of no use any more */
/* The name of one that the server is to drop, or 0. */
unsigned mp_pgcache_bury(mp_pgcache *cache);
void mp_pgcache_clear(mp_pgcache *cache); /* the server has dropped them all */
void mp_pgstatement_release(mp_pgstatement *statement);
void mp_pgstatement_name(unsigned number, char name[16]);

/* Does a statement that a program wrote leave something behind in the session, or may it? */
bool mp_pgsql_taints(const char *sql);
/* COPY from or to the client: it would wedge a pipeline. */
bool mp_pgsql_copies(const char *sql);
/* Is it something that COPY takes in parentheses? Not where that is doubtful. */
bool mp_pgsql_is_query(const char *sql);

/* ---- sessions ---- */

typedef enum mp_pgphase {
  MP_PG_WAITING,   /* not sent */
  MP_PG_PREPARING, /* parse and describe are on their way */
  MP_PG_RUNNING,
  MP_PG_GUARDING, /* the savepoint before it is on its way */
  MP_PG_RELEASING /* it has ended, and its savepoint is, or is to be, released */
} mp_pgphase;

/* The same for rows that come by COPY. */
typedef struct mp_pgcopied mp_pgcopied;
void mp_pgcopied_drop(mp_pgcopied *chunk); /* NULL is fine */

/* How far a COPY is. Outside of it the connection is in pipeline mode. */
typedef enum mp_pgcopy {
  MP_PG_NO_COPY,
  MP_PG_COPY_ASKED, /* the statement was sent */
  MP_PG_COPY_DATA,
  MP_PG_COPY_ENDED /* the server's last words are still to come */
} mp_pgcopy;

/* Something that was, or is to be, sent. */
typedef struct mp_pgtask {
  mp_list node;    /* of waiting, or of sent */
  mp_request *req; /* NULL: our own (a barrier, a DEALLOCATE), whose answer nobody wants */
  mp_pgphase phase;
  mp_pgstatement *statement;
  bool prepared;   /* by itself: what is wrong then is not its statement's age */
  bool retried;    /* it is sent again because the schema had changed */
  bool failed;     /* the error is in req->error */
  bool stopping;   /* nobody wants its rows any more */
  bool guarded;    /* it runs inside a savepoint of its own */
  bool cut;        /* rows of it were thrown away, because it was stopped */
  bool standing;   /* a stream whose chunk was delivered */
  bool rides;      /* the Sync behind it is that of a later one */
  bool aborted;    /* not run, because one before it under the same Sync had failed */
  int skip;        /* answers to what was kept back and sent in front of it, to come first */
  int command;     /* of this phase, from 0: which one is being answered */
  size_t row_from; /* MANY: the first row of parameters in flight */
  size_t row_to;
  size_t row_n, byte_n; /* of a result that is limited */
  mp_pgchunk *chunk;
  mp_pgcopy copy;
  mp_pgcopied *copied;
  bool headed;          /* COPY_OUT: its header has come */
  bool copied_in;       /* COPY_IN: the rows are written, the name is being checked */
  uint64_t patience_ns; /* not to be cancelled before: the COPY was told to fail */
  bool listening;       /* LISTEN: it has been answered, notifications may come */
} mp_pgtask;

typedef enum mp_pgcancel {
  MP_PG_QUIET,
  MP_PG_ASKED,  /* the cancel runs, or the statement that it is for does */
  MP_PG_BARRIER /* one round trip, which a late cancel would hit, is to be made or under way */
} mp_pgcancel;

typedef struct mp_pgsession {
  mp_session base;
  mp_pgdial *dial;
  PGconn *conn;
  mp_arena *arena;       /* of base.error */
  mp_list waiting, sent; /* tasks */
  mp_list starved;       /* requests without the memory for a task */
  mp_pgcache cache;
  mp_pgstatement *described; /* PREPAREd in this transaction, only COPYs were sent since; or NULL */
  mp_txstatus server_tx;     /* base.tx is with what is kept back, this without */
  char *kept;                /* transaction statements, each with its NUL */
  size_t kept_len, kept_last, kept_room;
  int kept_n;
  bool closing;
  bool riding;   /* the last one that was sent has no Sync behind it yet */
  int rider_n;   /* how many there are since the last Sync */
  int sync_n;    /* Syncs that are not answered */
  bool flushing; /* the socket did not take all */
  mp_pgcancel cancel;
  mp_job *asking;  /* PQcancel */
  bool killing;    /* the control connection is at it */
  bool wants_kill; /* it is to be told */
  int asked_n;     /* how often, for this statement */
  uint64_t ask_again_ns;
} mp_pgsession;

/* postgres_task.c */
bool mp_pgtask_by_rows(
    const mp_pgtask *task); /* its rows come one by one, so nothing else may be in flight */
bool mp_pgtask_is_alone(const mp_pgtask *task); /* nothing else may be in flight */
void mp_pgtask_note_error(mp_pgtask *task, const PGresult *result);
void mp_pgtask_too_large(mp_pgsession *ses, mp_pgtask *task, const char *limit);
void mp_pgtask_deliver(mp_pgtask *task, mp_result *chunk); /* to a stream: it stands then */
bool mp_pgtask_is_shared(const mp_pgtask *task); /* it may be: a read of the ORM's own making */
void mp_pgtask_fail(mp_pgtask *task, mp_status kind,
                    const char *message); /* the first failure counts */
void mp_pgtask_forget_statement(mp_pgtask *task);
void mp_pgtask_end(mp_pgtask *task); /* out of its list, and answered: it may be gone afterwards */
void mp_pgsession_lose(mp_pgsession *ses); /* the connection is broken: everybody is told */

/* postgres_send.c */
void mp_pgsession_forget_described(mp_pgsession *ses);
void mp_pgsession_feed(mp_pgsession *ses); /* send what may be sent */
bool mp_pgsession_send_plain(mp_pgsession *ses, const char *sql);
bool mp_pgsession_send_sync(mp_pgsession *ses); /* counts it; the answer is a PGRES_PIPELINE_SYNC */
/* Prepare it, in a task of our own that takes the statement over. False: the connection is broken. */
bool mp_pgsession_prepare(mp_pgsession *ses, mp_pgstatement *statement);
/* Send a task that was guarded: its statement. False: the connection is broken. */
bool mp_pgsession_start(mp_pgsession *ses, mp_pgtask *task);
/* Give those that ride together their Sync. False: the connection is broken. */
bool mp_pgsession_sync(mp_pgsession *ses);
/* Send a task's parameters, of MANY as many rows as one batch has. False: the connection is broken. */
bool mp_pgsession_run(mp_pgsession *ses, mp_pgtask *task);
/* An empty statement of our own. False: the connection is broken. */
bool mp_pgsession_barrier(mp_pgsession *ses);

/* postgres_read.c */
void mp_pgsession_read(mp_pgsession *ses); /* answer what has come */
void mp_pgsession_note_status(mp_pgsession *ses);

/* postgres_copy.c */
bool mp_pgcopy_begin(mp_pgsession *ses, mp_pgtask *task, const char *sql); /* false: broken */
bool mp_pgcopy_start(mp_pgsession *ses, mp_pgtask *task);                  /* COPY_IN */
void mp_pgcopy_stop(mp_pgtask *task); /* told to fail first, and cancelled if that does not help */
void mp_pgcopy_send(mp_pgsession *ses); /* what the socket takes of the data */
/* Read on where a COPY is at the head. False: nothing more has come. */
bool mp_pgcopy_read(mp_pgsession *ses, mp_pgtask *task);

/* postgres_copy_row.c; the task's statement has the columns of a COPY in binary form, and a COPY of text has none */
typedef struct mp_pgbuffer {
  char *bytes; /* of malloc */
  size_t len, room;
} mp_pgbuffer;
/* Do all rows of the request go in binary form into these columns? */
bool mp_pgcopy_is_binary(const mp_request *req, const mp_pgcolumns *columns);
/* Rows from row_from on, until the buffer is full. The task may have failed then. */
void mp_pgcopy_fill(mp_pgtask *task, mp_pgbuffer *b);

/* postgres_copy_out.c */
bool mp_pgcopy_out_start(mp_pgsession *ses, mp_pgtask *task, bool *started); /* false: broken */
bool mp_pgcopy_out_read(mp_pgsession *ses, mp_pgtask *task);                 /* as mp_pgcopy_read */

/* postgres_listen.c */
bool mp_pglisten_start(mp_pgsession *ses, mp_pgtask *task); /* false: broken */
void mp_pglisten_began(mp_pgtask *task);                    /* its Sync has come */
/* Hand over the notifications that have come, to a listener; nobody else wants them. */
void mp_pglisten_take(mp_pgsession *ses);

/* The oldest one that was sent, or NULL. */
static inline mp_pgtask *mp_pgsession_head(const mp_pgsession *ses)
{
  return mp_list_empty(&ses->sent) ? NULL : mp_container_of(ses->sent.next, mp_pgtask, node);
}

/* postgres_tx.c */
typedef enum mp_pgtxanswer {
  MP_PG_TX_SEND, /* it has to be sent */
  MP_PG_TX_KEPT, /* it has been done, as far as anybody can see */
  MP_PG_TX_LOST  /* the connection is broken */
} mp_pgtxanswer;
mp_pgtxanswer mp_pgtx_keep(mp_pgsession *ses, mp_txop op, const char *sql);
/* Send a transaction statement, prepared if it is. False: the connection is broken. */
bool mp_pgtx_send(mp_pgsession *ses, const char *sql);
/* Prepare what earlier transactions sent as text, where one is about to begin. False: the connection is broken. */
bool mp_pgtx_prepare(mp_pgsession *ses);
/* Send what is kept back in front of the task, whose Sync is to follow. False: the connection is broken. */
bool mp_pgtx_send_kept(mp_pgsession *ses, mp_pgtask *task);
void mp_pgtx_forget(mp_pgsession *ses);

/* postgres_guard.c; false: the connection is broken */
bool mp_pgguard_wants(const mp_pgsession *ses, const mp_pgtask *task);
bool mp_pgguard_begin(mp_pgsession *ses, mp_pgtask *task);
bool mp_pgguard_must_release(const mp_pgsession *ses, const mp_pgtask *task);
bool mp_pgguard_release(mp_pgsession *ses);

/* postgres_cancel.c */
void mp_pgsession_stop(mp_pgsession *ses, mp_pgtask *task);
bool mp_pgsession_fill_kill(const mp_pgsession *ses, mp_request *req);
void mp_pgsession_killed(mp_pgsession *ses, bool ran);
/* Get on with a cancel that is under way. False: nothing may be sent yet. */
bool mp_pgsession_calm(mp_pgsession *ses);
/* Stop what runs, without waiting for it: the connection is being closed. */
void mp_pgsession_abandon(mp_pgsession *ses);

#endif
