/* sqlite_open.c - opening, closing and restoring the database handle.
** Files are opened with WAL, foreign keys and the safe settings; nothing ever waits inside
** SQLite (busy_timeout stays 0). The file itself is only ever touched through SQLite: closing a
** descriptor of our own on it would drop SQLite's locks. */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Pages of the write-ahead log at which a commit copies it back. Only the connection that
** commits does so, and in this process only the holder of the write gate commits: so no
** checkpoint of ours meets another's reset of the log, which SQLite before 3.51.3 can answer
** with a damaged file. */
#define CHECKPOINT_PAGES 1000
#define LOG_BYTES "67108864" /* a log that grew larger is cut when it starts anew */
#define SQL_BYTES_MAX 1000000

/* Every 1,000 steps of SQLite's machine. Not 0 stops the statement. */
static int progress(void *arg)
{
  mp_sqlite_engine *engine = arg;
  if (engine->job != NULL && atomic_load_explicit(&engine->job->stop, memory_order_relaxed))
    return 1;
  if (engine->rounds_left >= 0) {
    if (engine->rounds_left-- > 0)
      return 0;
    engine->over_budget = true;
    return 1;
  }
  if (engine->pause != NULL)
    engine->pause(engine->owner);
  return 0;
}

static bool is_question(const char *pragma)
{
  static const char *const questions[] = {
      "table_info",         "table_xinfo",    "table_list",       "index_info",
      "index_xinfo",        "index_list",     "foreign_key_list", "function_list",
      "integrity_check",    "quick_check",    "optimize",         "foreign_key_check",
      "incremental_vacuum", "wal_checkpoint", "user_version",     "application_id",
      "journal_mode",
  };
  for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
    if (sqlite3_stricmp(pragma, questions[i]) == 0)
      return true;
  return false;
}

/* Notes what a statement will do. Refuses nothing. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *db,
                     const char *trigger)
{
  mp_sqlite_engine *engine = arg;
  (void)db;
  switch (action) {
  case SQLITE_INSERT:
    if (trigger == NULL)
      engine->saw_insert = true;
    break;
  case SQLITE_PRAGMA: /* a pragma with a value sets it for the session */
    if (b != NULL && !is_question(a))
      engine->saw_taint = true;
    break;
  case SQLITE_ATTACH:
  case SQLITE_DETACH:
  case SQLITE_CREATE_TEMP_INDEX:
  case SQLITE_CREATE_TEMP_TABLE:
  case SQLITE_CREATE_TEMP_TRIGGER:
  case SQLITE_CREATE_TEMP_VIEW:
    engine->saw_taint = true;
    break;
  default:
    break;
  }
  return SQLITE_OK;
}

/* ---- settings ---- */

static int set(sqlite3 *db, int what, int value)
{
  return sqlite3_db_config(db, what, value, NULL);
}

static int apply_settings(sqlite3 *db)
{
  static const char pragmas[] = "PRAGMA synchronous=NORMAL;"
                                "PRAGMA journal_size_limit=" LOG_BYTES ";"
                                "PRAGMA query_only=OFF;"
                                "PRAGMA ignore_check_constraints=OFF;"
                                "PRAGMA defer_foreign_keys=OFF;"
                                "PRAGMA recursive_triggers=OFF;"
                                "PRAGMA read_uncommitted=OFF;"
                                "PRAGMA reverse_unordered_selects=OFF;";
  int code = set(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1);
  code = code == SQLITE_OK ? set(db, SQLITE_DBCONFIG_DEFENSIVE, 1) : code;
  code = code == SQLITE_OK ? set(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0) : code;
  code = code == SQLITE_OK ? set(db, SQLITE_DBCONFIG_DQS_DML, 0) : code;
  code = code == SQLITE_OK ? set(db, SQLITE_DBCONFIG_DQS_DDL, 0) : code;
  code = code == SQLITE_OK ? set(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0) : code;
  code = code == SQLITE_OK ? sqlite3_busy_timeout(db, 0) : code;
  code = code == SQLITE_OK ? sqlite3_exec(db, pragmas, NULL, NULL, NULL) : code;
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX);
  return code == SQLITE_OK ? sqlite3_wal_autocheckpoint(db, CHECKPOINT_PAGES) : code;
}

/* A file goes to WAL where it can: not on every file system, and not when it is read-only. */
static int use_wal(sqlite3 *db)
{
  int code = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
  return (code & 0xff) == SQLITE_READONLY ? SQLITE_OK : code;
}

static int set_up(mp_sqlite_engine *engine, bool writable)
{
  sqlite3 *db = engine->db;
  int code = mp_sqlite_add_functions(db);
  code = code == SQLITE_OK ? mp_sqlite_add_decimals(db) : code;
  code = code == SQLITE_OK ? mp_sqlite_add_numbers(db) : code;
  code = code == SQLITE_OK ? mp_sqlite_add_times(db) : code;
  code = code == SQLITE_OK ? mp_sqlite_add_gathering(db) : code;
  code = code == SQLITE_OK ? mp_sqlite_add_texts(db) : code;
  code = code == SQLITE_OK ? apply_settings(db) : code;
  /* the first look at the file: only here does SQLite notice that it is none of its own */
  if (code == SQLITE_OK)
    code = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
  if (code == SQLITE_OK && engine->file && writable)
    code = use_wal(db);
  if (code == SQLITE_OK) {
    sqlite3_progress_handler(db, 1000, progress, engine);
    code = sqlite3_set_authorizer(db, authorize, engine);
  }
  return code;
}

/* ---- opening ---- */

static const char *mode_of(const mp_config *config)
{
  for (int i = 0; i < config->option_n; i++)
    if (strcmp(config->options[i].name, "mode") == 0)
      return config->options[i].value;
  return "rwc";
}

/* SQLite itself only says that it could not. */
static void explain(mp_sqlite_engine *engine, mp_arena **arena, mp_error *err, int code,
                    const char *message, int system_errno)
{
  const char *path = engine->config->database, *slash = strrchr(path, '/');
  struct stat st;
  mp_sqlite_error_text(err, arena, code, message);
  mp_error plain = *err;
  if (!engine->file || *arena == NULL)
    return;
  char *directory = slash == NULL   ? mp_arena_strdup(*arena, ".")
                    : slash == path ? mp_arena_strdup(*arena, "/")
                                    : mp_arena_memdup(*arena, path, (size_t)(slash - path));
  if (plain.kind == MP_E_NOT_A_DATABASE)
    mp_sqlite_fail(err, arena, plain.kind, "\"%s\" is not an SQLite database", path);
  else if (plain.kind == MP_E_CORRUPT)
    mp_sqlite_fail(err, arena, plain.kind, "\"%s\" is damaged: %s", path, message);
  else if (plain.kind != MP_E_CANT_OPEN)
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": %s", path, message);
  else if (directory != NULL && stat(directory, &st) != 0)
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": there is no directory \"%s\"", path,
                   directory);
  else if (directory != NULL && !S_ISDIR(st.st_mode))
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": \"%s\" is not a directory", path,
                   directory);
  else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": it is a directory", path);
  else if (system_errno != 0)
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": %s", path,
                   strerrordesc_np(system_errno));
  else
    mp_sqlite_fail(err, arena, plain.kind, "cannot open \"%s\": %s", path, message);
  err->code = plain.code;
  err->verdict = MP_DESTROY;
  err->retryable = plain.kind == MP_E_BUSY ? MP_RETRY_CONNECT : MP_RETRY_NO;
}

mp_sqlite_turn mp_sqlite_open(mp_sqlite_engine *engine, mp_arena **arena, mp_error *err)
{
  const char *mode = mode_of(engine->config);
  bool writable = strcmp(mode, "ro") != 0;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  flags |= strcmp(mode, "rwc") == 0 ? SQLITE_OPEN_CREATE : 0;

  *err = MP_ERROR_NONE;
  int code = sqlite3_open_v2(engine->config->database, &engine->db, flags, NULL);
  if (code == SQLITE_OK)
    code = set_up(engine, writable);
  if (code == SQLITE_OK) {
    engine->tainted = false;
    engine->read_only_block = false;
    return MP_SQLITE_OVER;
  }
  const char *message = engine->db != NULL ? sqlite3_errmsg(engine->db) : sqlite3_errstr(code);
  bool locked = mp_sqlite_is_locked(code, message);
  explain(engine, arena, err, code, message,
          engine->db != NULL ? sqlite3_system_errno(engine->db) : 0);
  mp_sqlite_close(engine);
  return locked ? MP_SQLITE_LOCKED : MP_SQLITE_OVER;
}

void mp_sqlite_close(mp_sqlite_engine *engine)
{
  mp_sqlite_forget_statements(engine);
  sqlite3_close_v2(engine->db); /* NULL is fine; rolls back what is open */
  engine->db = NULL;
}

/* ---- restoring ---- */

static int drop_temporary(sqlite3 *db)
{
  static const char query[] = "SELECT 'DROP ' || type || ' IF EXISTS temp.\"' || "
                              "replace(name, '\"', '\"\"') || '\"' FROM temp.sqlite_schema "
                              "WHERE type IN ('table', 'view', 'trigger') "
                              "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' "
                              "ORDER BY type = 'table'";
  char **drops = NULL;
  int n = 0;
  int code = sqlite3_get_table(db, query, &drops, &n, NULL, NULL);
  for (int i = 1; code == SQLITE_OK && i <= n; i++)
    code = sqlite3_exec(db, drops[i], NULL, NULL, NULL);
  sqlite3_free_table(drops);
  return code;
}

/* The pragma is left alone where nothing has changed LIKE: it puts a function in its place that
** SQLite lets no trigger, view or CHECK call while the schema is not trusted. */
static int restore_like(sqlite3 *db)
{
  sqlite3_stmt *stmt = NULL;
  int code = sqlite3_prepare_v2(db, "SELECT 'a' LIKE 'A'", -1, &stmt, NULL);
  bool folds =
      code == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0) == 1;
  int ended = sqlite3_finalize(stmt);
  code = code == SQLITE_OK ? ended : code;
  if (code == SQLITE_OK && !folds)
    code = sqlite3_exec(db, "PRAGMA case_sensitive_like=OFF", NULL, NULL, NULL);
  return code;
}

mp_sqlite_turn mp_sqlite_restore(mp_sqlite_engine *engine, mp_arena **arena, mp_error *err)
{
  *err = MP_ERROR_NONE;
  if (engine->file || engine->db == NULL) {
    mp_sqlite_close(engine);
    return mp_sqlite_open(engine, arena, err);
  }
  /* what is in memory would be gone with the handle */
  mp_sqlite_forget_statements(engine);
  int code = SQLITE_OK;
  if (!sqlite3_get_autocommit(engine->db))
    code = sqlite3_exec(engine->db, "ROLLBACK", NULL, NULL, NULL);
  code = code == SQLITE_OK ? drop_temporary(engine->db) : code;
  code = code == SQLITE_OK ? apply_settings(engine->db) : code;
  code = code == SQLITE_OK ? restore_like(engine->db) : code;
  engine->read_only_block = false;
  engine->tainted = code != SQLITE_OK;
  if (code != SQLITE_OK) {
    mp_sqlite_error(err, arena, engine->db, code);
    err->verdict = MP_DESTROY;
  }
  return MP_SQLITE_OVER;
}

/* ---- the engine as a whole ---- */

mp_status mp_sqlite_engine_init(mp_sqlite_engine *engine, const mp_config *config)
{
  *engine = (mp_sqlite_engine){
      .config = config,
      .file = config->database[0] != '\0' && strcmp(config->database, ":memory:") != 0,
      .rounds_left = -1,
  };
  mp_list_init(&engine->cached);
  mp_list_init(&engine->loose);
  if (config->statement_cache <= 0)
    return MP_OK;
  engine->bucket_n = 16;
  while (engine->bucket_n < (size_t)config->statement_cache * 2)
    engine->bucket_n *= 2;
  engine->buckets = calloc(engine->bucket_n, sizeof *engine->buckets);
  return engine->buckets != NULL ? MP_OK : MP_E_OUT_OF_MEMORY;
}

void mp_sqlite_engine_free(mp_sqlite_engine *engine)
{
  mp_sqlite_close(engine);
  free(engine->buckets);
  engine->buckets = NULL;
}
