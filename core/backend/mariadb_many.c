/* mariadb_many.c - one statement for many rows of parameters.
** MariaDB takes them in arrays, column by column, many rows in one round trip; a column has one type there, so that a row with
** other types begins another batch. Elsewhere, and for what is not taken in arrays, each row is a round trip. Nothing is
** undone here when a row fails: what was done before it is undone with the transaction around it. */
#include "mariadb.h"

#include <string.h>

#define BATCH_ROWS 2000
#define BATCH_BYTES ((size_t)4 * 1024 * 1024)

/* One parameter of all the rows of a batch, as the library reads it: numbers side by side, of what has a length where it
** is. */
typedef struct column {
  enum enum_field_types type; /* MYSQL_TYPE_NULL: nothing but NULL so far */
  size_t width;               /* of a number; 0: where is used */
  char *numbers;
  void **where;
  unsigned long *lengths;
  char *indicators;
} column;

static size_t width_of(enum enum_field_types type)
{
  switch (type) {
  case MYSQL_TYPE_TINY:
    return 1;
  case MYSQL_TYPE_LONGLONG:
  case MYSQL_TYPE_DOUBLE:
    return 8;
  default:
    return 0;
  }
}

static bool make_columns(mp_mytask *task, column *columns, size_t rows)
{
  for (int i = 0; i < task->req->param_n; i++) {
    column *c = &columns[i];
    c->type = MYSQL_TYPE_NULL;
    c->numbers = mp_arena_alloc(task->scratch, rows * 8);
    c->where = (void **)(void *)c->numbers;
    c->lengths = mp_arena_zalloc(task->scratch, rows * sizeof *c->lengths);
    c->indicators = mp_arena_zalloc(task->scratch, rows);
    if (c->numbers == NULL || c->lengths == NULL || c->indicators == NULL)
      return false;
  }
  return true;
}

/* False: it does not go with the rows before. */
static bool put(column *c, size_t at, const MYSQL_BIND *bind)
{
  static char nothing;
  if (bind->buffer_type == MYSQL_TYPE_NULL) {
    c->indicators[at] = STMT_INDICATOR_NULL;
    if (c->width == 0)
      c->where[at] = &nothing;
    return true;
  }
  if (c->type == MYSQL_TYPE_NULL) {
    c->type = bind->buffer_type;
    c->width = width_of(c->type);
  } else if (c->type != bind->buffer_type) {
    return false;
  }
  if (c->width > 0) {
    memcpy(c->numbers + at * c->width, bind->buffer, c->width);
  } else {
    c->where[at] = bind->buffer;
    c->lengths[at] = bind->buffer_length;
  }
  return true;
}

/* As many rows as go together. 0: the task has failed. */
static size_t fill(mp_mysession *ses, column *columns, size_t room)
{
  mp_mytask *task = ses->task;
  size_t n, bytes = 0, most = ses->line.max_packet > 0 ? ses->line.max_packet - 1 : BATCH_BYTES;
  if (most > BATCH_BYTES)
    most = BATCH_BYTES;
  for (n = 0; n < room; n++) {
    size_t row = task->row_from + n;
    bytes += mp_mytask_row_bytes(task->req, row);
    if (n > 0 && bytes > most)
      break;
    if (n == 0 && !mp_mytask_fits(ses, bytes))
      return 0;
    for (int i = 0; i < task->req->param_n; i++) {
      MYSQL_BIND bind;
      if (!mp_mytask_param(task, row, i, task->scratch, &bind))
        return 0;
      if (!put(&columns[i], n, &bind))
        return n;
    }
  }
  return n;
}

static bool bind_columns(mp_mytask *task, column *columns, size_t rows)
{
  MYSQL_STMT *stmt = task->statement->stmt;
  unsigned n = (unsigned)rows;
  MYSQL_BIND *binds =
      mp_arena_zalloc(task->scratch, (size_t)task->req->param_n * sizeof(MYSQL_BIND));
  if (binds == NULL)
    return false;
  for (int i = 0; i < task->req->param_n; i++) {
    column *c = &columns[i];
    binds[i].buffer_type = c->type == MYSQL_TYPE_NULL ? MYSQL_TYPE_STRING : c->type;
    binds[i].buffer = c->numbers;
    binds[i].length = c->lengths;
    binds[i].u.indicator = c->indicators;
  }
  return mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &n) == 0 &&
         mysql_stmt_bind_param(stmt, binds) == 0;
}

static void no_memory(mp_mysession *ses)
{
  mp_mytask_fail(ses->task, MP_E_OUT_OF_MEMORY, "out of memory");
  mp_mytask_end(ses);
}

static void run_batch(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  size_t room = task->req->param_rows - task->row_from, n;
  column *columns = mp_arena_zalloc(task->scratch, (size_t)task->req->param_n * sizeof *columns);
  if (room > BATCH_ROWS)
    room = BATCH_ROWS;
  if (columns == NULL || !make_columns(task, columns, room)) {
    no_memory(ses);
    return;
  }
  n = fill(ses, columns, room);
  if (n == 0) {
    mp_mytask_end(ses);
  } else if (!bind_columns(task, columns, n)) {
    no_memory(ses);
  } else {
    task->row_to = task->row_from + n;
    mp_mytask_execute(ses);
  }
}

static void run(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  mp_arena_free(task->scratch);
  task->scratch = mp_arena_new(0);
  if (task->scratch == NULL) {
    no_memory(ses);
  } else if (task->bulk) {
    run_batch(ses);
  } else if (mp_mytask_bind(ses, task->row_from, task->scratch)) {
    task->row_to = task->row_from + 1;
    mp_mytask_execute(ses);
  } else {
    mp_mytask_end(ses);
  }
}

void mp_mymany_begin(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  const mp_request *req = task->req;
  if (!mp_mytask_count_matches(task) || req->param_rows == 0) {
    mp_mytask_answer(ses);
    return;
  }
  task->bulk = ses->line.bulk && req->param_n > 0 && req->param_rows > 1 &&
               task->statement->changes && task->statement->columns == NULL;
  if (task->bulk && mp_mysql_inserts(req->sql) == 0)
    mp_myrow_count(ses, run);
  else
    run(ses);
}

void mp_mymany_one_by_one(mp_mysession *ses)
{
  mp_mymany_end(ses->task);
  ses->task->bulk = false;
  run(ses);
}

void mp_mymany_on(mp_mysession *ses)
{
  mp_mytask *task = ses->task;
  task->row_from = task->row_to;
  task->had_rows = false;
  if (task->row_from == task->req->param_rows) {
    mp_mytask_end(ses);
  } else if (task->stopping) {
    mp_mytask_fail(task, task->req->stop, "stopped between two rows");
    mp_mytask_end(ses);
  } else {
    run(ses);
  }
}

void mp_mymany_end(mp_mytask *task)
{
  unsigned none = 0;
  if (task->bulk && task->statement != NULL)
    mysql_stmt_attr_set(task->statement->stmt, STMT_ATTR_ARRAY_SIZE, &none);
  mp_arena_free(task->scratch);
  task->scratch = NULL;
}
