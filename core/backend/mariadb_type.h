/* mariadb_type.h - MariaDB's types: values as the client library binds them, and cells as it gives them.
** Exact or an error; nothing is guessed. Pure: no connection is used, only the library's structures. Any thread. */
#ifndef MP_MARIADB_TYPE_H
#define MP_MARIADB_TYPE_H

#include "value.h"

#include <mysql.h>

/* One parameter as mysql_stmt_bind_param takes it; its buffer is the value's own memory or in arena, and its length is
** in buffer_length. False with *err (out_of_range, type_mismatch, unsupported ...: the kind, never the value). */
bool mp_mytype_param(const mp_value *value, mp_arena *arena, MYSQL_BIND *out, mp_error *err);

/* Where mysql_stmt_fetch puts one cell. Small things and short texts land in room; of a longer text only length is right then (the
** fetch says truncated), and whoever fetches gets the rest (mysql_stmt_fetch_column) and makes data point at it. */
typedef struct mp_myslot {
  MYSQL_BIND bind;
  unsigned long length;
  my_bool is_null, error;
  union {
    long long i;
    float f;
    double d;
    MYSQL_TIME t;
    char text[256];
  } room;
  const char *data; /* room.text, or the whole text elsewhere */
} mp_myslot;

/* What a column is. A statement's columns may be others after each execution (select ? is what the parameter is). */
typedef struct mp_mycolumn {
  mp_kind
      kind; /* of its cells; a value that this kind cannot be is the nearest other one (see mp_mytype_cell) */
  enum enum_field_types type;
  bool is_unsigned, is_text; /* is_text: comes as text into room.text/data */
  uint16_t scale;
} mp_mycolumn;

void mp_mytype_column(const MYSQL_FIELD *field, mp_mycolumn *out);
const char *mp_mytype_name(const mp_mycolumn *column); /* "bigint unsigned", "datetime" ... */

/* Make slot ready to receive cells of the column (fills slot->bind). The slot must stay where it is. */
void mp_mytype_bind(const mp_mycolumn *column, mp_myslot *slot);

/* What has come into the slot. What is no plain number is copied into arena. An unsigned bigint above 2^63 - 1 is a
** decimal, a tinyint(1) that is neither 0 nor 1 an integer, a time that is none of a day (negative, above 24 hours) an interval. False with
** *err (invalid_datetime for a zero date: the type and the way out, never the value). */
bool mp_mytype_cell(const mp_mycolumn *column, const mp_myslot *slot, mp_arena *arena,
                    mp_value *out, mp_error *err);

/* A cell of the text protocol (data is NULL for NULL). */
bool mp_mytype_text_cell(const mp_mycolumn *column, const char *data, unsigned long len,
                         mp_arena *arena, mp_value *out, mp_error *err);

#endif
