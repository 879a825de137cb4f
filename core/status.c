/* status.c - the kinds of errors by name, and how one error is filled.
** The table itself is in status.h. An error never fails to be made: where memory is short its
** message is the bare name of its kind. */
#include "status.h"

#include <string.h>

typedef struct kindrow {
  const char *name, *family, *parent;
} kindrow;

static const kindrow kinds[MP_STATUS_N] = {{"ok", "", ""},
#define X(id, name, family, parent) {name, family, parent},
                                           MP_ERROR_KINDS(X)
#undef X
};

static const kindrow *find(mp_status status)
{
  return (unsigned)status < MP_STATUS_N ? &kinds[status] : &kinds[MP_E_INTERNAL];
}

const char *mp_status_name(mp_status status)
{
  return find(status)->name;
}

const char *mp_status_family(mp_status status)
{
  return find(status)->family;
}

const char *mp_status_parent(mp_status status)
{
  return find(status)->parent;
}

mp_status mp_error_set(mp_error *err, mp_arena *arena, mp_status kind, const char *format, ...)
{
  const char *message = NULL;
  if (arena != NULL) {
    va_list args;
    va_start(args, format);
    message = mp_arena_vprintf(arena, format, args);
    va_end(args);
  }
  *err = (mp_error){.kind = kind, .message = message};
  if (message == NULL)
    err->message = mp_status_name(kind);
  return kind;
}

void mp_error_advise(mp_error *err, mp_arena *arena, const char *hint)
{
  const char *message = hint == NULL ? NULL : mp_arena_printf(arena, "%s (%s)", err->message, hint);
  if (hint != NULL)
    err->hint = hint;
  if (message != NULL)
    err->message = message;
}

static const char *copy_text(mp_arena *arena, const char *text)
{
  return text == NULL || arena == NULL ? NULL : mp_arena_strdup(arena, text);
}

void mp_error_copy(mp_error *to, mp_arena *arena, const mp_error *from)
{
  mp_error copy = *from;
  copy.message = copy_text(arena, from->message);
  if (copy.message == NULL && from->kind != MP_OK)
    copy.message = mp_status_name(from->kind);
  copy.detail = copy_text(arena, from->detail);
  copy.hint = copy_text(arena, from->hint);
  copy.constraint = copy_text(arena, from->constraint);
  copy.table = copy_text(arena, from->table);
  copy.columns = copy_text(arena, from->columns);
  *to = copy;
}
