/* sqlite_statement.c - prepared statements: the cache, and what is bound to them.
** Cached by text, the latest first, the oldest dropped; a busy one is never dropped nor lent
** twice. A statement knows whether it writes, which is asked of SQLite and never guessed from
** its text. */
#include "sqlite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static mp_sqlite_statement **bucket_of(mp_sqlite_engine *engine, uint64_t hash)
{
  return &engine->buckets[hash & (engine->bucket_n - 1)];
}

static mp_sqlite_statement *find(mp_sqlite_engine *engine, uint64_t hash, const char *sql,
                                 size_t len)
{
  if (engine->bucket_n == 0)
    return NULL;
  mp_sqlite_statement *at = *bucket_of(engine, hash);
  while (at != NULL && (at->hash != hash || at->sql_len != len || memcmp(at->sql, sql, len) != 0))
    at = at->next;
  return at;
}

mp_sqlite_statement *mp_sqlite_find(mp_sqlite_engine *engine, const mp_request *req)
{
  return find(engine, req->sql_hash, req->sql, req->sql_len);
}

static void forget(mp_sqlite_engine *engine, mp_sqlite_statement *statement)
{
  if (statement->cached) {
    mp_sqlite_statement **at = bucket_of(engine, statement->hash);
    while (*at != statement)
      at = &(*at)->next;
    *at = statement->next;
    engine->cached_n--;
  }
  mp_list_remove(&statement->node);
  mp_sqlite_columns_drop(statement->columns);
  sqlite3_finalize(statement->stmt);
  free(statement);
}

void mp_sqlite_forget_statements(mp_sqlite_engine *engine)
{
  mp_list *lists[] = {&engine->cached, &engine->loose};
  for (int i = 0; i < 2; i++)
    while (!mp_list_empty(lists[i]))
      forget(engine, mp_container_of(lists[i]->next, mp_sqlite_statement, node));
}

static void keep(mp_sqlite_engine *engine, mp_sqlite_statement *statement)
{
  /* the oldest that nobody uses makes room; while all are in use the cache is larger for a time */
  for (mp_list *node = engine->cached.prev;
       engine->cached_n >= engine->config->statement_cache && node != &engine->cached;) {
    mp_sqlite_statement *old = mp_container_of(node, mp_sqlite_statement, node);
    node = node->prev;
    if (!old->busy)
      forget(engine, old);
  }
  mp_sqlite_statement **bucket = bucket_of(engine, statement->hash);
  statement->next = *bucket;
  *bucket = statement;
  statement->cached = true;
  engine->cached_n++;
  mp_list_remove(&statement->node);
  mp_list_push_front(&engine->cached, &statement->node);
}

/* ---- preparing ---- */

const char *mp_sqlite_skip_blank(const char *s, const char *end, bool ends)
{
  while (s < end) {
    if (*s == ' ' || (*s >= '\t' && *s <= '\r') || (ends && *s == ';')) {
      s++;
    } else if (end - s >= 2 && s[0] == '-' && s[1] == '-') {
      while (s < end && *s != '\n')
        s++;
    } else if (end - s >= 2 && s[0] == '/' && s[1] == '*') {
      const char *close = memmem(s + 2, (size_t)(end - s) - 2, "*/", 2);
      s = close != NULL ? close + 2 : end;
    } else {
      break;
    }
  }
  return s;
}

static bool is_vacuum(const char *sql, const char *end)
{
  const char *word = mp_sqlite_skip_blank(sql, end, false);
  return end - word >= 6 && strncasecmp(word, "vacuum", 6) == 0;
}

static int refuse(mp_error *err, mp_arena **arena, int position, const char *message)
{
  mp_sqlite_fail(err, arena, MP_E_SYNTAX, "%s", message);
  err->position = position;
  return SQLITE_ERROR;
}

static mp_sqlite_statement *wrap(mp_sqlite_engine *engine, sqlite3_stmt *stmt, uint64_t hash,
                                 const char *sql, size_t len)
{
  mp_sqlite_statement *made = malloc(sizeof *made + len);
  if (made == NULL)
    return NULL;
  *made = (mp_sqlite_statement){
      .stmt = stmt,
      .param_n = sqlite3_bind_parameter_count(stmt),
      .readonly = sqlite3_stmt_readonly(stmt) != 0 || sqlite3_stmt_isexplain(stmt) != 0,
      .inserts = engine->saw_insert,
      .taints = engine->saw_taint,
      .vacuum = is_vacuum(sql, sql + len),
      .hash = hash,
      .sql_len = len,
  };
  memcpy(made->sql, sql, len);
  mp_list_push_back(&engine->loose, &made->node);
  return made;
}

int mp_sqlite_prepare(mp_sqlite_engine *engine, const mp_request *req, mp_sqlite_statement **out,
                      mp_arena **arena, mp_error *err)
{
  const char *sql = req->sql;
  const size_t len = req->sql_len;
  mp_sqlite_statement *found = mp_sqlite_find(engine, req);
  if (found != NULL && !found->busy) {
    mp_list_remove(&found->node);
    mp_list_push_front(&engine->cached, &found->node);
    found->busy = true;
    *out = found;
    return SQLITE_OK;
  }

  const char *nul = memchr(sql, '\0', len), *tail = NULL, *end = sql + len;
  if (nul != NULL)
    return refuse(err, arena, (int)(nul - sql) + 1, "the SQL text holds a NUL byte");
  if (len > INT32_MAX) {
    mp_sqlite_fail(err, arena, MP_E_QUERY_TOO_LARGE, "the SQL text is too long");
    return SQLITE_TOOBIG;
  }
  const bool keep_it = !req->no_cache && found == NULL && engine->bucket_n > 0;
  engine->saw_taint = engine->saw_insert = false;
  sqlite3_stmt *stmt = NULL;
  int code = sqlite3_prepare_v3(engine->db, sql, (int)len, keep_it ? SQLITE_PREPARE_PERSISTENT : 0,
                                &stmt, &tail);
  if (engine->saw_taint)
    engine->tainted = true; /* some pragmas act while they are prepared */
  if (code != SQLITE_OK) {
    if (code == SQLITE_TOOBIG) /* of the text; of a value it is another kind */
      mp_sqlite_fail(err, arena, MP_E_QUERY_TOO_LARGE, "the SQL text is too long");
    return code;
  }
  const char *rest = mp_sqlite_skip_blank(tail, end, true);
  if (stmt == NULL)
    return refuse(err, arena, 0, "the SQL text has no statement");
  if (rest < end) {
    sqlite3_finalize(stmt);
    return refuse(err, arena, (int)(rest - sql) + 1,
                  "the SQL text has more than one statement: one statement a call");
  }
  mp_sqlite_statement *made = wrap(engine, stmt, req->sql_hash, sql, len);
  if (made == NULL) {
    sqlite3_finalize(stmt);
    return SQLITE_NOMEM;
  }
  made->busy = true;
  if (keep_it)
    keep(engine, made);
  *out = made;
  return SQLITE_OK;
}

void mp_sqlite_give_back(mp_sqlite_engine *engine, mp_sqlite_statement *statement)
{
  sqlite3_reset(statement->stmt);
  statement->busy = false;
  if (!statement->cached)
    forget(engine, statement);
}

mp_sqlite_columns *mp_sqlite_statement_columns(mp_sqlite_statement *statement)
{
  /* another connection may have changed the table: SQLite then prepares anew by itself */
  int reprepare_n = sqlite3_stmt_status(statement->stmt, SQLITE_STMTSTATUS_REPREPARE, 0);
  if (statement->columns != NULL && statement->reprepare_n != reprepare_n) {
    mp_sqlite_columns_drop(statement->columns);
    statement->columns = NULL;
  }
  if (statement->columns == NULL) {
    statement->columns = mp_sqlite_columns_new(statement->stmt);
    statement->reprepare_n = reprepare_n;
  }
  return statement->columns;
}

/* ---- binding ---- */

/* The request's memory outlives the run, so texts are not copied. */
static int bind_one(sqlite3_stmt *stmt, int at, const mp_value *value)
{
  char text[MP_VALUE_TEXT_MAX];
  switch ((mp_kind)value->kind) {
  case MP_NULL:
    return sqlite3_bind_null(stmt, at);
  case MP_BOOL:
  case MP_INT:
    return sqlite3_bind_int64(stmt, at, value->i);
  case MP_FLOAT:
    return sqlite3_bind_double(stmt, at, value->d);
  case MP_DECIMAL:
    if (!value->small)
      return sqlite3_bind_text64(stmt, at, value->s, value->len, SQLITE_STATIC, SQLITE_UTF8);
    break;
  case MP_TEXT:
  case MP_UUID:
  case MP_JSON:
    return sqlite3_bind_text64(stmt, at, value->len > 0 ? value->s : "", value->len, SQLITE_STATIC,
                               SQLITE_UTF8);
  case MP_BLOB:
    return value->len > 0 ? sqlite3_bind_blob64(stmt, at, value->s, value->len, SQLITE_STATIC)
                          : sqlite3_bind_zeroblob(stmt, at, 0); /* a NULL pointer would be NULL */
  default:
    break;
  }
  size_t n = mp_value_format(value, text);
  return n > 0 ? sqlite3_bind_text(stmt, at, text, (int)n, SQLITE_TRANSIENT) : SQLITE_MISMATCH;
}

bool mp_sqlite_bind(sqlite3_stmt *stmt, const mp_value *params, int n, mp_arena **arena,
                    mp_error *err)
{
  for (int i = 0; i < n; i++) {
    if (params[i].kind == MP_FLOAT && isnan(params[i].d)) {
      /* it would become NULL without a word */
      mp_sqlite_fail(err, arena, MP_E_OUT_OF_RANGE, "parameter %d: SQLite cannot keep NaN", i + 1);
      return false;
    }
    int code = bind_one(stmt, i + 1, &params[i]);
    if (code == SQLITE_OK)
      continue;
    if (code == SQLITE_TOOBIG)
      mp_sqlite_fail(err, arena, MP_E_VALUE_TOO_LONG,
                     "parameter %d: %u bytes are more than SQLite takes", i + 1,
                     (unsigned)params[i].len);
    else if (code == SQLITE_MISMATCH)
      mp_sqlite_fail(err, arena, MP_E_TYPE_MISMATCH, "parameter %d: a %s has no form in SQLite",
                     i + 1, mp_kind_name((mp_kind)params[i].kind));
    else
      mp_sqlite_error_text(err, arena, code, sqlite3_errstr(code));
    err->sent = false;
    return false;
  }
  return true;
}
