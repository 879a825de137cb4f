/* fake_script.c - reads the scripts of the fake database and keeps them by name.
** The language is in fake.h. Everything of a script is in its arena; the log, which grows, is not. Not for
** more than one thread: tests drive one loop at a time. */
#include "fake_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static mp_fake *fakes; /* the registry */

typedef struct reader {
  mp_fake *fake;
  const char *at;
  int line;
  char *why;
  size_t why_bytes;
} reader;

static bool bad(reader *r, const char *what)
{
  snprintf(r->why, r->why_bytes, "fake script, line %d: %s", r->line, what);
  return false;
}

/* ---- words ---- */

static void skip_blanks(reader *r)
{
  while (*r->at == ' ' || *r->at == '\t')
    r->at++;
}

static bool at_end(const reader *r)
{
  return *r->at == '\0' || *r->at == '\n' || *r->at == '#';
}

static char unescaped(char c)
{
  return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

static char *read_quoted(reader *r)
{
  size_t n = 0;
  char *text = mp_arena_alloc(r->fake->arena, strlen(r->at) + 1);
  for (r->at++; text != NULL && *r->at != '"'; r->at++) {
    if (*r->at == '\0' || *r->at == '\n')
      return NULL;
    if (*r->at == '\\' && r->at[1] != '\0')
      r->at++, text[n++] = unescaped(*r->at);
    else
      text[n++] = *r->at;
  }
  if (text == NULL)
    return NULL;
  text[n] = '\0';
  r->at++;
  return text;
}

/* Up to one of the stop characters, a comment or the end of the line; or quoted. NULL: a quote has no end. */
static const char *read_word(reader *r, const char *stops)
{
  const char *from;
  skip_blanks(r);
  if (*r->at == '"')
    return read_quoted(r);
  for (from = r->at; *r->at != '\0' && *r->at != '\n' && strchr(stops, *r->at) == NULL; r->at++) {
  }
  return mp_arena_memdup(r->fake->arena, from, (size_t)(r->at - from));
}

static bool read_number(reader *r, const char *stops, int64_t *out)
{
  const char *word = read_word(r, stops);
  char *end;
  if (word == NULL || *word == '\0')
    return bad(r, "a number is missing");
  *out = strtoll(word, &end, 10);
  return *end == '\0' || bad(r, "this is no whole number");
}

/* ---- what stands behind the arrow ---- */

static bool read_columns(reader *r, mp_fake_rule *rule)
{
  rule->columns = mp_arena_zalloc(r->fake->arena, 64 * sizeof *rule->columns);
  for (;;) {
    mp_column *column = &rule->columns[rule->column_n];
    const char *name = read_word(r, ": ,;"), *kind;
    int i = 0;
    if (*r->at != ':' || rule->column_n == 64)
      return bad(r, "columns are name:kind, at most 64");
    r->at++;
    kind = read_word(r, " ,;");
    while (i < MP_KIND_N && strcmp(mp_kind_name((mp_kind)i), kind) != 0)
      i++;
    if (i == MP_KIND_N)
      return bad(r, "there is no such kind of column");
    column->name = name;
    column->name_len = (uint32_t)strlen(name);
    column->kind = (mp_kind)i;
    rule->column_n++;
    skip_blanks(r);
    if (*r->at != ',')
      return true;
    r->at++;
  }
}

static bool read_blob(const char *word, mp_value *out)
{
  char *to = (char *)(uintptr_t)word; /* the arena's own copy */
  unsigned byte;
  int n = 0;
  for (const char *at = word; at[0] != '\0'; at += 2) {
    if (at[1] == '\0' || sscanf(at, "%2x", &byte) != 1)
      return false;
    to[n++] = (char)byte;
  }
  *out = (mp_value){.kind = MP_BLOB, .s = word, .len = (uint32_t)n};
  return true;
}

static bool read_cell(reader *r, mp_kind kind, mp_value *out)
{
  bool quoted;
  const char *word;
  size_t n;
  mp_interval *scratch;
  skip_blanks(r);
  quoted = *r->at == '"';
  if (*r->at == '#' && !quoted) {
    r->at++;
    *out = (mp_value){.kind = MP_FAKE_ROW_NUMBER};
    return true;
  }
  word = read_word(r, ",;*");
  if (word == NULL)
    return bad(r, "a quote has no end");
  n = strlen(word);
  while (!quoted && n > 0 && word[n - 1] == ' ')
    n--;
  if (!quoted && n == 4 && memcmp(word, "null", 4) == 0) {
    *out = MP_VALUE_NULL;
    return true;
  }
  switch (kind) {
  case MP_NULL:
  case MP_TEXT:
  case MP_JSON:
  case MP_UUID:
    *out = (mp_value){
        .kind = (uint8_t)(kind == MP_NULL ? MP_TEXT : kind), .s = word, .len = (uint32_t)n};
    return true;
  case MP_BLOB:
    return read_blob(mp_arena_memdup(r->fake->arena, word, n), out) ||
           bad(r, "a blob is written in hex digits");
  default:
    scratch = mp_arena_alloc(r->fake->arena, sizeof *scratch);
    return mp_value_parse(kind, word, n, out, scratch) ||
           bad(r, "a cell is not of its column's kind");
  }
}

static bool read_row(reader *r, mp_fake_rule *rule)
{
  mp_value *cells = mp_arena_zalloc(r->fake->arena, (size_t)(rule->column_n + 1) * sizeof *cells);
  mp_fake_row *rows = mp_arena_alloc(r->fake->arena, (rule->row_n + 1) * sizeof *rows);
  int64_t times = 1;
  if (rule->column_n == 0)
    return bad(r, "a row before its columns");
  for (int i = 0; i < rule->column_n; i++) {
    if (!read_cell(r, rule->columns[i].kind, &cells[i]))
      return false;
    skip_blanks(r);
    if (i + 1 < rule->column_n && *r->at++ != ',')
      return bad(r, "a row with too few cells");
  }
  if (*r->at == '*') {
    r->at++;
    if (!read_number(r, " ;#", &times))
      return false;
  }
  if (rule->row_n > 0)
    memcpy(rows, rule->rows, rule->row_n * sizeof *rows);
  rows[rule->row_n] = (mp_fake_row){cells, mp_fake_rule_rows(rule) + (size_t)times};
  rule->rows = rows;
  rule->row_n++;
  return true;
}

static bool set_detail(mp_error *error, const char *key, const char *value)
{
  if (strcmp(key, "code") == 0)
    error->code = atoi(value);
  else if (strcmp(key, "table") == 0)
    error->table = value;
  else if (strcmp(key, "columns") == 0)
    error->columns = value;
  else if (strcmp(key, "constraint") == 0)
    error->constraint = value;
  else if (strcmp(key, "detail") == 0)
    error->detail = value;
  else if (strcmp(key, "hint") == 0)
    error->hint = value;
  else if (strcmp(key, "sqlstate") == 0)
    snprintf(error->sqlstate, sizeof error->sqlstate, "%s", value);
  else if (strcmp(key, "sent") == 0)
    error->sent = strcmp(value, "true") == 0;
  else if (strcmp(key, "verdict") == 0)
    error->verdict = strcmp(value, "destroy") == 0 ? MP_DESTROY : MP_KEEP;
  else if (strcmp(key, "retryable") == 0)
    error->retryable = strcmp(value, "transaction") == 0 ? MP_RETRY_TRANSACTION
                       : strcmp(value, "connect") == 0   ? MP_RETRY_CONNECT
                                                         : MP_RETRY_STATEMENT;
  else
    return false;
  return true;
}

static bool read_error(reader *r, mp_fake_rule *rule)
{
  const char *kind = read_word(r, " ;");
  int i = 1;
  while (i < MP_STATUS_N && strcmp(mp_status_name((mp_status)i), kind) != 0)
    i++;
  if (i == MP_STATUS_N)
    return bad(r, "there is no such kind of error");
  rule->error.kind = (mp_status)i;
  rule->error.sent = true;
  rule->error.message = kind;
  skip_blanks(r);
  if (*r->at == '"' && (rule->error.message = read_quoted(r)) == NULL)
    return bad(r, "a quote has no end");
  for (skip_blanks(r); !at_end(r) && *r->at != ';'; skip_blanks(r)) {
    const char *key = read_word(r, "= ;"), *value;
    if (*r->at != '=')
      return bad(r, "details of an error are name=value");
    r->at++;
    value = read_word(r, " ;");
    if (value == NULL || !set_detail(&rule->error, key, value))
      return bad(r, "there is no such detail of an error");
  }
  return true;
}

static bool read_tx(reader *r, mp_fake_rule *rule)
{
  static const char *const names[] = {"idle", "open", "aborted", "unknown"};
  const char *word = read_word(r, " ;");
  for (int i = 0; i < 4; i++) {
    if (strcmp(names[i], word) == 0) {
      rule->has_tx = true;
      rule->tx = (mp_txstatus)i;
      return true;
    }
  }
  return bad(r, "tx is idle, open, aborted or unknown");
}

static bool read_step(reader *r, mp_fake_rule *rule)
{
  const char *verb = read_word(r, " ;#");
  int64_t n = 0;
  if (strcmp(verb, "columns") == 0)
    return read_columns(r, rule);
  if (strcmp(verb, "row") == 0)
    return read_row(r, rule);
  if (strcmp(verb, "error") == 0)
    return read_error(r, rule);
  if (strcmp(verb, "tx") == 0)
    return read_tx(r, rule);
  if (strcmp(verb, "affected") == 0)
    return read_number(r, " ;#", &rule->affected);
  if (strcmp(verb, "id") == 0)
    return read_number(r, " ;#", &rule->last_id);
  if (strcmp(verb, "delay") == 0 || strcmp(verb, "dies") == 0) {
    if (!read_number(r, " ;#", &n))
      return false;
    *(strcmp(verb, "delay") == 0 ? &rule->delay_ns : &rule->dies_ns) = (uint64_t)n * 1000000;
  } else if (strcmp(verb, "lost") == 0) {
    rule->lost = true;
    rule->lost_unsent = strcmp(read_word(r, " ;#"), "unsent") == 0;
  } else if (strcmp(verb, "hang") == 0) {
    rule->hang = true;
  } else if (strcmp(verb, "params") == 0) {
    rule->params = true;
  } else if (strcmp(verb, "needs_writer") == 0) {
    rule->needs_writer = true;
  } else if (strcmp(verb, "tainted") == 0) {
    rule->tainted = true;
  } else if (*verb != '\0') {
    return bad(r, "there is no such step (see fake.h)");
  }
  return true;
}

/* ---- lines ---- */

static bool read_setting(reader *r)
{
  const char *name = read_word(r, " ");
  int64_t n;
  if (strcmp(name, "password") == 0) {
    r->fake->password = read_word(r, " #");
    return r->fake->password != NULL || bad(r, "a quote has no end");
  }
  if (!read_number(r, " #", &n))
    return false;
  if (strcmp(name, "depth") == 0)
    r->fake->depth = (int)n;
  else if (strcmp(name, "max_sessions") == 0)
    r->fake->max_sessions = (int)n;
  else if (strcmp(name, "kill") == 0)
    r->fake->kills = n != 0;
  else if (strcmp(name, "settle") == 0)
    r->fake->settle_ns = (uint64_t)n * 1000000;
  else
    return bad(r, "there is no such setting");
  return true;
}

/* The text in front of the arrow, and how often it counts ("*3" at its end). */
static bool read_prefix(reader *r, mp_fake_rule *rule, const char *arrow)
{
  const char *end = arrow, *star;
  while (end > r->at && end[-1] == ' ')
    end--;
  rule->left = -1;
  for (star = end; star > r->at && star[-1] >= '0' && star[-1] <= '9'; star--) {
  }
  if (star < end && star - r->at > 1 && star[-1] == '*' && star[-2] == ' ') {
    rule->left = atol(star);
    end = star - 1;
    while (end > r->at && end[-1] == ' ')
      end--;
  }
  rule->prefix = mp_arena_memdup(r->fake->arena, r->at, (size_t)(end - r->at));
  rule->prefix_len = (size_t)(end - r->at);
  r->at = arrow + 2;
  return rule->prefix_len > 0 || bad(r, "nothing in front of the arrow");
}

static bool read_rule(reader *r, mp_fake_rule ***last)
{
  mp_fake_rule *rule = mp_arena_zalloc(r->fake->arena, sizeof *rule);
  const char *arrow = strstr(r->at, "->"), *newline = strchr(r->at, '\n');
  if (arrow == NULL || (newline != NULL && arrow > newline))
    return bad(r, "no -> in it");
  if (!read_prefix(r, rule, arrow))
    return false;
  for (;;) {
    if (!read_step(r, rule))
      return false;
    skip_blanks(r);
    if (*r->at != ';')
      break;
    r->at++;
  }
  **last = rule;
  *last = &rule->next;
  return at_end(r) || bad(r, "more than this step takes");
}

static bool read_script(reader *r)
{
  mp_fake_rule **last = &r->fake->rules;
  for (r->line = 1; *r->at != '\0'; r->line++) {
    skip_blanks(r);
    if (!at_end(r)) {
      bool setting = strncmp(r->at, "set ", 4) == 0 && strstr(r->at, "->") != r->at;
      const char *newline = strchr(r->at, '\n'), *arrow = strstr(r->at, "->");
      if (setting && arrow != NULL && (newline == NULL || arrow < newline))
        setting = false; /* a rule for SET statements */
      if (setting)
        r->at += 4;
      if (!(setting ? read_setting(r) : read_rule(r, &last)))
        return false;
    }
    while (*r->at != '\0' && *r->at != '\n')
      r->at++;
    if (*r->at == '\n')
      r->at++;
  }
  return true;
}

/* ---- the registry ---- */

mp_fake *mp_fake_find(const char *name)
{
  mp_fake *fake = fakes;
  while (fake != NULL && strcmp(fake->name, name) != 0)
    fake = fake->next;
  return fake;
}

void mp_fake_hold(mp_fake *fake)
{
  fake->hold_n++;
}

void mp_fake_drop(mp_fake *fake)
{
  if (--fake->hold_n > 0)
    return;
  free(fake->log);
  mp_arena_free(fake->arena);
}

void mp_fake_forget(const char *name)
{
  mp_fake *found = mp_fake_find(name);
  mp_fake **at = &fakes;
  if (found == NULL)
    return;
  while (*at != found)
    at = &(*at)->next;
  *at = found->next;
  mp_fake_drop(found);
}

mp_status mp_fake_script(const char *name, const char *text, char *why, size_t why_bytes)
{
  mp_arena *arena = mp_arena_new(4096);
  mp_fake *fake = arena == NULL ? NULL : mp_arena_zalloc(arena, sizeof *fake);
  reader r = {fake, text, 0, why, why_bytes};
  if (fake == NULL) {
    mp_arena_free(arena);
    return MP_E_OUT_OF_MEMORY;
  }
  fake->arena = arena;
  fake->name = mp_arena_strdup(arena, name);
  fake->depth = 1;
  fake->hold_n = 1;
  mp_list_init(&fake->sessions);
  if (!read_script(&r)) {
    mp_fake_drop(fake);
    return MP_E_CONFIGURATION;
  }
  mp_fake_forget(name);
  fake->next = fakes;
  fakes = fake;
  return MP_OK;
}

mp_fake_rule *mp_fake_rule_for(mp_fake *fake, const char *text)
{
  for (mp_fake_rule *rule = fake->rules; rule != NULL; rule = rule->next) {
    if (rule->left == 0 || strncasecmp(rule->prefix, text, rule->prefix_len) != 0)
      continue;
    if (rule->left > 0)
      rule->left--;
    return rule;
  }
  return NULL;
}

size_t mp_fake_rule_rows(const mp_fake_rule *rule)
{
  return rule->row_n == 0 ? 0 : rule->rows[rule->row_n - 1].end;
}

/* ---- the log ---- */

void mp_fake_note(mp_fake *fake, int session, const char *text)
{
  if (fake->log_n == fake->log_room) {
    size_t room = fake->log_room == 0 ? 64 : fake->log_room * 2;
    mp_fake_entry *log = realloc(fake->log, room * sizeof *log);
    if (log == NULL)
      return;
    fake->log = log;
    fake->log_room = room;
  }
  fake->log[fake->log_n++] = (mp_fake_entry){session, mp_arena_strdup(fake->arena, text)};
}

const char *mp_fake_asked(const char *name, size_t index, int *session)
{
  mp_fake *fake = mp_fake_find(name);
  if (fake == NULL || index >= fake->log_n)
    return NULL;
  if (session != NULL)
    *session = fake->log[index].session;
  return fake->log[index].text;
}

bool mp_fake_count(const char *name, mp_fake_counts *out)
{
  mp_fake *fake = mp_fake_find(name);
  if (fake == NULL)
    return false;
  *out = fake->counts;
  return true;
}
