/* sqlite.h - the rooms of the SQLite backend; nothing outside core/backend/sqlite*.c includes it.
** Engine: one database handle with its statement cache. It is used by one thread at a time: the
** session's own thread while that has a job, else the loop's thread, which alone gives it jobs.
** Job: a request on its way through a session. Thread: runs jobs on the engine, first in, first
** out. The session itself is in sqlite.c; each part below has the file of its name, and the SQL
** functions are in sqlite_function.c, sqlite_decimal.c and sqlite_text.c. */
#ifndef MP_SQLITE_H
#define MP_SQLITE_H

#include "backend.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* ---- results ---- */

/* The columns of a statement, shared by its results. */
typedef struct mp_sqlite_columns mp_sqlite_columns;
typedef struct mp_sqlite_result mp_sqlite_result;

/* NULL when out of memory. */
mp_sqlite_columns *mp_sqlite_columns_new(sqlite3_stmt *stmt);
mp_sqlite_columns *mp_sqlite_columns_hold(mp_sqlite_columns *columns);
void mp_sqlite_columns_drop(mp_sqlite_columns *columns); /* NULL is fine */

/* A result without rows, and its view for the request. NULL when out of memory. */
mp_sqlite_result *mp_sqlite_result_new(mp_sqlite_columns *columns);
mp_result *mp_sqlite_result_view(mp_sqlite_result *result);

/* Copy the row on which stmt stands. False: out of memory. */
bool mp_sqlite_result_add(mp_sqlite_result *result, sqlite3_stmt *stmt);

size_t mp_sqlite_result_row_n(const mp_sqlite_result *result);
size_t mp_sqlite_result_bytes(const mp_sqlite_result *result);

/* The chunks of a stream that was read to its end at once hang on each other. */
mp_sqlite_result **mp_sqlite_result_next(mp_sqlite_result *result);

/* What a declared type means; MP_NULL when it says nothing. type may be NULL. */
mp_kind mp_sqlite_kind(const char *type);

/* ---- jobs ---- */

typedef enum mp_sqlite_place {
  MP_SQLITE_FREE,
  MP_SQLITE_WAITING,  /* for a turn: to be run here or given to the thread */
  MP_SQLITE_GIVEN,    /* the thread has it */
  MP_SQLITE_STANDING, /* a stream whose chunk was delivered */
  MP_SQLITE_ENDED     /* to be answered */
} mp_sqlite_place;

/* How a turn of a job came out. */
typedef enum mp_sqlite_turn {
  MP_SQLITE_OVER,   /* with error.kind MP_OK or not */
  MP_SQLITE_CHUNK,  /* a chunk is in result and the statement stands there */
  MP_SQLITE_LOCKED, /* somebody else has the lock and nothing was done: try again later */
  MP_SQLITE_SLOW    /* inline only: over the budget, nothing was done: run it on the thread */
} mp_sqlite_turn;

typedef struct mp_sqlite_statement mp_sqlite_statement;

typedef struct mp_sqlite_job {
  mp_list node;
  mp_sqlite_place place; /* of the loop's thread alone */
  mp_request *req;
  bool lost;        /* the session was closed under it; of the loop's thread alone */
  int turn_n;       /* turns it has had; of the loop's thread alone */
  int noted_n;      /* how many of them the session has taken note of */
  atomic_bool stop; /* the only field that is written while another thread has the job */

  mp_sqlite_turn turn;
  mp_sqlite_result *result;
  int64_t affected, last_id;
  int param_n;
  bool needs_writer;
  bool interrupted;
  bool tainted;
  mp_txstatus tx;
  mp_error error;
  mp_arena *arena; /* strings of error; made when there is one */

  mp_sqlite_statement *statement; /* found by mp_sqlite_is_quick, or where a stream stands */
  bool started;                   /* a stream that has had its first row */
  bool exhausted;                 /* a stream without further rows but those in result */
  bool counted;                   /* among the thread's standing streams */
  size_t row_n, bytes;            /* of a stream so far */
  int steps;                      /* of the last turn */
} mp_sqlite_job;

/* ---- the engine ---- */

typedef struct mp_sqlite_engine {
  const mp_config *config;
  sqlite3 *db; /* NULL: not open */
  bool file;   /* a file, not memory */
  bool read_only_block;
  bool tainted;
  /* what the authorizer saw while the statement at hand was prepared */
  bool saw_taint, saw_insert;

  mp_sqlite_job *job; /* whose turn it is */
  int rounds_left;    /* of 1,000 steps, of an inline turn; -1: no limit */
  bool over_budget;
  /* called now and then while a turn on the thread lasts; may be NULL */
  void (*pause)(void *owner);
  void *owner;

  mp_list cached, loose; /* all statements: those of the cache, the latest first, and the others */
  mp_sqlite_statement **buckets;
  size_t bucket_n;
  int cached_n;
} mp_sqlite_engine;

/* Steps of SQLite's machine: what inline reads may take in one step of the loop, what a
** statement may take on average to be tried inline, and the bytes at which an inline result is
** given up. */
#define MP_SQLITE_INLINE_STEPS 5000
#define MP_SQLITE_SMALL_STEPS 2000
#define MP_SQLITE_INLINE_BYTES 262144

mp_status mp_sqlite_engine_init(mp_sqlite_engine *engine, const mp_config *config);
void mp_sqlite_engine_free(mp_sqlite_engine *engine); /* closes it if need be */

/* Open the handle. MP_SQLITE_LOCKED: try again. On failure *err is filled and the handle is
** closed. */
mp_sqlite_turn mp_sqlite_open(mp_sqlite_engine *engine, mp_arena **arena, mp_error *err);
void mp_sqlite_close(mp_sqlite_engine *engine); /* twice is fine */

/* Bring the handle back to how it was after opening. */
mp_sqlite_turn mp_sqlite_restore(mp_sqlite_engine *engine, mp_arena **arena, mp_error *err);

/* One turn of a job on the engine. budget_steps: 0 on the session's own thread, otherwise inline
** with so many steps. The outcome is in the job. */
mp_sqlite_turn mp_sqlite_run(mp_sqlite_engine *engine, mp_sqlite_job *job, int budget_steps);

/* End a job whose file stayed locked until its deadline. */
void mp_sqlite_give_up(mp_sqlite_job *job, uint64_t waited_ns);

/* A read whose statement is in the cache and known to be small? Its next turn must come at once. */
bool mp_sqlite_is_quick(mp_sqlite_engine *engine, mp_sqlite_job *job);

/* ---- statements ---- */

struct mp_sqlite_statement {
  mp_list node; /* in the engine's cached or loose */
  mp_sqlite_statement *next;
  sqlite3_stmt *stmt;
  mp_sqlite_columns *columns;
  int reprepare_n;
  int param_n;
  bool cached, busy;
  bool readonly, inserts, taints, vacuum;
  bool measured;
  int steps;     /* a moving average of what a run takes */
  int slow_runs; /* not to be tried inline for so many runs */
  uint64_t hash;
  size_t sql_len;
  char sql[];
};

/* The statement of a request's text from the cache, or NULL. */
mp_sqlite_statement *mp_sqlite_find(mp_sqlite_engine *engine, const mp_request *req);

/* The statement of a request's text, from the cache or prepared, and busy until it is given back. Gives an
** SQLite code; when it is not SQLITE_OK *err may already be filled (kind not MP_OK). */
int mp_sqlite_prepare(mp_sqlite_engine *engine, const mp_request *req, mp_sqlite_statement **out,
                      mp_arena **arena, mp_error *err);

/* Reset it, and keep it or finalize it. */
void mp_sqlite_give_back(mp_sqlite_engine *engine, mp_sqlite_statement *statement);

/* The columns as of the last step; they change when SQLite had to prepare anew. NULL when out of
** memory. */
mp_sqlite_columns *mp_sqlite_statement_columns(mp_sqlite_statement *statement);

/* Bind one row of parameters. False: *err is filled. */
bool mp_sqlite_bind(sqlite3_stmt *stmt, const mp_value *params, int n, mp_arena **arena,
                    mp_error *err);

/* Finalize all of them, busy or not. */
void mp_sqlite_forget_statements(mp_sqlite_engine *engine);

/* The text behind blanks, comments and, with ends, semicolons. */
const char *mp_sqlite_skip_blank(const char *s, const char *end, bool ends);

/* ---- errors ---- */

/* Fill *err from the handle's last error. *arena is made when needed. */
mp_status mp_sqlite_error(mp_error *err, mp_arena **arena, sqlite3 *db, int code);
mp_status mp_sqlite_error_text(mp_error *err, mp_arena **arena, int code, const char *message);

/* Fill *err with a kind and text of our own. */
mp_status mp_sqlite_fail(mp_error *err, mp_arena **arena, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Is it a lock of somebody else's that may go away by waiting? */
bool mp_sqlite_is_locked(int code, const char *message);

/* ---- functions and collations of ours, on every handle; an SQLite code ---- */
int mp_sqlite_add_functions(sqlite3 *db);
int mp_sqlite_add_numbers(sqlite3 *db);
int mp_sqlite_add_times(sqlite3 *db);
int mp_sqlite_add_gathering(sqlite3 *db);
int mp_sqlite_add_decimals(sqlite3 *db);
int mp_sqlite_add_texts(sqlite3 *db);

/* ---- the thread ---- */

typedef struct mp_sqlite_thread {
  pthread_t id;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  mp_sqlite_engine *engine;
  mp_waker *waker;
  bool started, joined; /* of the loop's thread */
  /* of the thread itself */
  bool wake_owed;
  unsigned jitter;
  /* of the thread until opened */
  mp_arena *arena;
  mp_error error;
  /* under the lock */
  mp_list queue, done;
  mp_sqlite_job *running;
  int standing_n; /* streams whose statement stands on a row */
  bool sleeping, quit, opened, gone;
} mp_sqlite_thread;

mp_status mp_sqlite_thread_init(mp_sqlite_thread *thread, mp_sqlite_engine *engine,
                                mp_waker *waker);
void mp_sqlite_thread_free(mp_sqlite_thread *thread); /* never started, or joined */

/* Start it: it opens the engine first. False: the system has no thread to give, error says so. */
bool mp_sqlite_thread_start(mp_sqlite_thread *thread);

/* Has it tried to open the engine? The outcome is in error. */
bool mp_sqlite_thread_opened(mp_sqlite_thread *thread);

/* Give it jobs, in order; take those whose turn is over (the number). */
void mp_sqlite_thread_give(mp_sqlite_thread *thread, mp_list *jobs);
int mp_sqlite_thread_take(mp_sqlite_thread *thread, mp_list *jobs);

/* Count the streams that stand, after a turn on the loop's thread. */
void mp_sqlite_thread_count(mp_sqlite_thread *thread, mp_sqlite_job *job);

/* Stop a job that it was given. True: its turn had not begun and it is the caller's again. */
bool mp_sqlite_thread_stop(mp_sqlite_thread *thread, mp_sqlite_job *job);

/* Stop what runs, give back what has not begun (the number), close the engine and end. */
int mp_sqlite_thread_quit(mp_sqlite_thread *thread, mp_list *jobs);

/* True, and joined, when it has ended. Never waits. */
bool mp_sqlite_thread_gone(mp_sqlite_thread *thread);

#endif
