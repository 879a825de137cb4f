/* request.h - one thing that the program wants from a database.
**
**   NEW -> QUEUED -> ACTIVE -> DONE      mp_request_move makes every move and asserts it
**
** NEW: being filled by its owner. QUEUED: a pool, lease or connection has it. ACTIVE: a backend works
** on it (its submit makes that move); until DONE it is read-only to everyone else and may be read by the
** backend's own thread. A pool or lease that runs a request again takes it back from ACTIVE to QUEUED. DONE: result
** or error is final and on_done has been called, exactly once, from the loop,
** never inside the call that submitted it. The owner frees it in on_done or later; never earlier. */
#ifndef MP_REQUEST_H
#define MP_REQUEST_H

#include "list.h"
#include "status.h"
#include "tx.h"
#include "value.h"

typedef struct mp_request mp_request;
typedef struct mp_result mp_result;

/* ---- results ---- */

typedef struct mp_column {
  const char *name;
  uint32_t name_len;
  mp_kind kind;     /* what the server reports; MP_NULL when it does not know */
  const char *type; /* the declared type, or NULL */
  uint32_t type_id; /* the server's own number for it; 0: it has none */
} mp_column;

/* The rows of one statement, or one chunk of a stream: a view of the driver's own memory. Cells are read
** on the loop's thread, in any order, and stay valid until the result is freed. */
typedef struct mp_result_ops {
  /* The cell as the database has it, kind included; kind MP_KIND_N when no value can hold it:
  ** s says why (or is NULL), scale which error it is. row < row_n, col < column_n. */
  void (*cell)(const mp_result *result, size_t row, int col, mp_value *out);
  /* All cells of a row side by side: where they are kept, or in room, which holds as many. NULL: they are made one
  ** by one. */
  const mp_value *(*row)(const mp_result *result, size_t row, mp_value *room);
  void (*free)(mp_result *result);
} mp_result_ops;

struct mp_result {
  const mp_result_ops *ops;
  const mp_column *columns; /* live as long as the result */
  int column_n;
  size_t row_n;
  size_t bytes; /* memory held, roughly */
  bool exact;   /* each cell has the kind that the database means, whatever its column has */
};

/* All cells of a row, which may be in room. */
static inline const mp_value *mp_result_row(const mp_result *result, size_t row, mp_value *room)
{
  if (result->ops->row != NULL)
    return result->ops->row(result, row, room);
  for (int col = 0; col < result->column_n; col++)
    result->ops->cell(result, row, col, &room[col]);
  return room;
}

static inline void mp_result_free(mp_result *result)
{
  if (result != NULL)
    result->ops->free(result);
}

/* ---- requests ---- */

typedef enum mp_op {
  MP_OP_QUERY,   /* run sql; result has all its rows (none for a write) and affected */
  MP_OP_STREAM,  /* run sql; rows come in chunks through on_chunk */
  MP_OP_MANY,    /* run sql once for each of param_rows rows of parameters; affected is the sum */
  MP_OP_PREPARE, /* check sql; result has its columns and no row, param_n its number of parameters */
  MP_OP_TX,      /* a transaction statement: tx_op, and sql as tx.h made it */
  MP_OP_PING,    /* one round trip, nothing else */
  MP_OP_RESET,   /* bring the session back to how it was after connecting */
  /* PostgreSQL only: */
  MP_OP_COPY_IN, /* sql is COPY ... FROM STDIN, param_rows rows of parameters its data; affected: rows written */
  MP_OP_COPY_OUT, /* as STREAM, with the rows by COPY where the server and the types allow it */
  MP_OP_LISTEN /* as STREAM without an end: sql is LISTEN; an empty chunk when it listens, then notifications */
} mp_op;

/* Do its rows come through on_chunk? */
static inline bool mp_op_streams(mp_op op)
{
  return op == MP_OP_STREAM || op == MP_OP_COPY_OUT || op == MP_OP_LISTEN;
}

typedef enum mp_reqstate {
  MP_REQ_NEW,
  MP_REQ_QUEUED,
  MP_REQ_ACTIVE,
  MP_REQ_DONE
} mp_reqstate;

/* Does the statement write? Decides which connection may run it where writers are single. */
typedef enum mp_access {
  MP_ACCESS_UNKNOWN, /* the backend finds out; where it matters it is treated as READ and answered with needs_writer */
  MP_ACCESS_READ,
  MP_ACCESS_WRITE
} mp_access;

struct mp_request {
  mp_list node; /* the backend's, while ACTIVE */
  mp_reqstate state;
  mp_op op;
  mp_txop tx_op;
  const mp_txoptions *tx_options;
  mp_access access;
  bool own_sql;  /* the ORM made the text: it may share a pipelined connection */
  bool no_cache; /* do not keep the prepared statement */
  bool
      ahead; /* inside a transaction: it may be sent before the answers of those in front of it that may, too */

  mp_arena *arena; /* everything that the request points at, except the result */
  const char *sql;
  size_t sql_len;
  uint64_t sql_hash;      /* by which caches find it; 0: mp_request_fill did not fill it */
  const mp_value *params; /* param_rows rows of param_n values */
  int param_n;
  size_t param_rows;
  size_t rows_before; /* MANY, COPY_IN: rows of the same source that went before, for messages */
  /* COPY_IN: a query of its columns, which was prepared before, and the table's name as SQL has it; NULL: not told */
  const char *columns_sql, *table;
  const uint32_t *param_types; /* answer of PREPARE: as type_id, param_n of them; NULL: not told */
  size_t chunk_rows;           /* STREAM: rows of one chunk, at most; 0: the backend's choice */
  bool
      cursor; /* STREAM: the server keeps the rows, so that other requests may run between the chunks (MariaDB) */
  size_t max_rows, max_bytes; /* of the whole result; 0: no limit. Over it: result_too_large */

  uint64_t deadline_ns; /* monotonic; waiting for a connection or a lock ends here (0: never) */
  uint64_t
      timeout_ns; /* running longer than this cancels it with timeout; a stream: until each chunk (0: never) */
  mp_status stop; /* MP_OK, or why somebody cancelled it: MP_E_CANCELLED or MP_E_TIMEOUT */

  mp_result *result; /* taken with mp_request_take_result, else freed with the request */
  int64_t affected;
  int64_t last_id; /* generated key where the server reports it without RETURNING */
  mp_error error;
  bool needs_writer; /* error is internal to the core: the pool runs the request again as WRITE */

  uint64_t submitted_ns, started_ns, done_ns; /* for the event record */

  /* Called from the loop. on_chunk: a chunk is in result; the stream stands still until
  ** mp_connection_more. on_done: state is DONE. Both may submit, cancel and release anything. */
  void (*on_chunk)(mp_request *req);
  void (*on_done)(mp_request *req);
  void *owner;

  void *backend_data; /* for the backend while ACTIVE */

  /* Private to the floors between the program and the backend. mp_request_finish tells them before the
  ** program, lowest floor first: left says that the connection has it no longer; ended may change the
  ** answer, or keep the request (QUEUED again) by giving false. */
  mp_list conn_node;
  void *conn;
  uint64_t running_ns; /* since when it runs: its start, or the last time a chunk was asked for */
  bool standing;       /* a stream whose chunk was delivered */
  void (*deliver)(mp_request *req); /* its on_chunk, while the connection listens to that */
  void (*left)(mp_request *req);
  mp_list holder_node;
  void *holder; /* the pool or lease that has it */
  bool (*ended)(mp_request *req);
};

/* A new request with an arena of its own, NEW and otherwise zero. The request lives in the arena. */
mp_status mp_request_new(mp_request **out);

/* Copy sql and params (rows * n values with what they point at) into the arena. */
mp_status mp_request_fill(mp_request *req, const char *sql, size_t sql_len, const mp_value *params,
                          int n, size_t rows);

/* The same with values that are in the arena already, and are taken over: only what they point at is copied. */
mp_status mp_request_fill_own(mp_request *req, const char *sql, size_t sql_len, mp_value *params,
                              int n, size_t rows);

/* Of the bytes of a text; never 0. */
uint64_t mp_sql_hash(const char *sql, size_t len);

void mp_request_move(mp_request *req,
                     mp_reqstate to); /* notes submitted_ns, started_ns, done_ns too */

/* Tell the floors that have the request, move it to DONE and call on_done. Only the loop's thread, only
** the floor that has the request, with all bookkeeping done: the request may be gone afterwards. */
void mp_request_finish(mp_request *req);

/* The same with an error of that kind in place of an answer (a result that was there is freed). */
void mp_request_fail(mp_request *req, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

mp_result *mp_request_take_result(mp_request *req);

/* Free the request, its arena and a result nobody took. State NEW or DONE. NULL is fine. */
void mp_request_free(mp_request *req);

#endif
