/* fake_script.h - the scripts of the fake database; nothing outside core/backend/fake*.c includes it.
** A script is read once and counted: the registry, each session and each result hold it. */
#ifndef MP_FAKE_SCRIPT_H
#define MP_FAKE_SCRIPT_H

#include "fake.h"

/* A cell of this kind is the number of its row. */
#define MP_FAKE_ROW_NUMBER MP_KIND_N

typedef struct mp_fake_row {
  const mp_value *cells;
  size_t end; /* the number of rows up to here, this one's repetitions included */
} mp_fake_row;

typedef struct mp_fake_rule {
  struct mp_fake_rule *next;
  const char *prefix;
  size_t prefix_len;
  long left; /* how often it may still be used; -1: for ever */
  mp_column *columns;
  int column_n;
  mp_fake_row *rows;
  size_t row_n; /* entries of rows */
  int64_t affected, last_id;
  uint64_t delay_ns, dies_ns; /* dies_ns: 0 for never */
  bool hang, params, needs_writer, tainted, lost, lost_unsent, has_tx;
  mp_txstatus tx;
  mp_error error;
} mp_fake_rule;

typedef struct mp_fake_entry {
  int session;
  const char *text;
} mp_fake_entry;

typedef struct mp_fake {
  struct mp_fake *next;
  mp_arena *arena;
  int hold_n;
  const char *name, *password;
  int depth, max_sessions;
  bool kills;
  uint64_t settle_ns;
  mp_fake_rule *rules;
  mp_fake_entry *log;
  size_t log_n, log_room;
  int session_n, writer_n;
  mp_list sessions;  /* that are open */
  uint64_t let_go_n; /* what began to hang before the last time goes on */
  mp_fake_counts counts;
} mp_fake;

mp_fake *mp_fake_find(const char *name);
void mp_fake_hold(mp_fake *fake);
void mp_fake_drop(mp_fake *fake);
void mp_fake_note(mp_fake *fake, int session, const char *text);

/* The rule for a text, used once more by this; NULL when there is none. */
mp_fake_rule *mp_fake_rule_for(mp_fake *fake, const char *text);

size_t mp_fake_rule_rows(const mp_fake_rule *rule);

/* n rows of the rule from its row first on, or the request's parameters as one row. NULL when out of memory. */
mp_result *mp_fake_result(mp_fake *fake, const mp_fake_rule *rule, const mp_request *req,
                          size_t first, size_t n);

#endif
