/* postgres_listen.c - LISTEN: notifications as a stream that does not end by itself.
** The listener has the connection to itself. An empty chunk says that it listens; each chunk after it is what has come since.
** While its reader is busy the socket is not read: the server keeps what comes meanwhile. To stop it nothing is sent: the
** session is marked, and reset before anybody else gets it. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 200

/* ---- notifications as rows ---- */

typedef struct notes {
  mp_result view;
  PGnotify *rows[];
} notes;

enum {
  COLUMN_CHANNEL,
  COLUMN_PAYLOAD,
  COLUMN_PID,
  COLUMN_N
};

static const mp_column columns[COLUMN_N] = {
    {.name = "channel", .name_len = 7, .kind = MP_TEXT, .type = "text"},
    {.name = "payload", .name_len = 7, .kind = MP_TEXT, .type = "text"},
    {.name = "pid", .name_len = 3, .kind = MP_INT, .type = "int4"},
};

static void notes_cell(const mp_result *base, size_t row, int col, mp_value *out)
{
  const PGnotify *note = ((const notes *)base)->rows[row];
  const char *text = col == COLUMN_CHANNEL ? note->relname : note->extra;
  if (col == COLUMN_PID)
    *out = (mp_value){.kind = MP_INT, .i = note->be_pid};
  else
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)strlen(text), .s = text};
}

static void notes_free(mp_result *base)
{
  notes *all = (notes *)base;
  for (size_t i = 0; i < all->view.row_n; i++)
    PQfreemem(all->rows[i]);
  free(all);
}

static const mp_result_ops notes_ops = {.cell = notes_cell, .free = notes_free};

static notes *notes_new(size_t room_n)
{
  notes *all = malloc(sizeof *all + room_n * sizeof(PGnotify *));
  if (all != NULL)
    all->view = (mp_result){.ops = &notes_ops, .columns = columns, .column_n = COLUMN_N};
  return all;
}

/* ---- listening ---- */

bool mp_pglisten_start(mp_pgsession *ses, mp_pgtask *task)
{
  ses->base.tainted = true;
  task->phase = MP_PG_RUNNING;
  return PQsendQueryParams(ses->conn, task->req->sql, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
         mp_pgsession_send_sync(ses);
}

static void deliver(mp_pgtask *task, notes *all)
{
  if (all != NULL) {
    mp_pgtask_deliver(task, &all->view);
    return;
  }
  mp_pgtask_fail(task, MP_E_OUT_OF_MEMORY, "out of memory");
  mp_pgtask_end(task);
}

void mp_pglisten_began(mp_pgtask *task)
{
  task->listening = true;
  deliver(task, notes_new(0));
}

void mp_pglisten_take(mp_pgsession *ses)
{
  mp_pgtask *head = mp_pgsession_head(ses);
  bool listens = head != NULL && head->req != NULL && head->req->op == MP_OP_LISTEN;
  PGnotify *note;
  notes *all;
  if (!listens) {
    while ((note = PQnotifies(ses->conn)) != NULL)
      PQfreemem(note);
    return;
  }
  if (!head->listening || head->standing || head->stopping ||
      (note = PQnotifies(ses->conn)) == NULL)
    return;
  all = notes_new(CHUNK_ROWS);
  if (all == NULL) {
    PQfreemem(note);
  } else {
    do
      all->rows[all->view.row_n++] = note;
    while (all->view.row_n < CHUNK_ROWS && (note = PQnotifies(ses->conn)) != NULL);
  }
  deliver(head, all);
}
