/* mariadb_type.c - what a column is, and its cells.
** What the metadata of a result say decides: the type, its flags and character set, and the names that MariaDB adds
** since 10.5 (json is a longtext otherwise, uuid a char). The binary protocol gives numbers as they are; the text
** protocol, for what cannot be prepared, gives texts, and of a float only the six digits that the server writes. */
#include "mariadb_form.h"

#include "numeral.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BINARY_CHARSET 63

/* ---- columns ---- */

static bool is_named(const MYSQL_FIELD *field, enum mariadb_field_attr_t attr, const char *name)
{
  MARIADB_CONST_STRING is = {NULL, 0};
  return mariadb_field_attr(&is, field, attr) == 0 && is.str != NULL && is.length == strlen(name) &&
         memcmp(is.str, name, is.length) == 0;
}

static mp_kind characters_kind(const MYSQL_FIELD *field)
{
  if (is_named(field, MARIADB_FIELD_ATTR_FORMAT_NAME, "json"))
    return MP_JSON;
  if (is_named(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME, "uuid"))
    return MP_UUID;
  if (is_named(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME, "inet6") ||
      is_named(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME, "inet4"))
    return MP_TEXT;
  return field->charsetnr == BINARY_CHARSET && !(field->flags & (ENUM_FLAG | SET_FLAG)) ? MP_BLOB
                                                                                        : MP_TEXT;
}

static mp_kind column_kind(const MYSQL_FIELD *field)
{
  switch (field->type) {
  case MYSQL_TYPE_TINY:
    return field->length == 1 ? MP_BOOL : MP_INT;
  case MYSQL_TYPE_SHORT:
  case MYSQL_TYPE_LONG:
  case MYSQL_TYPE_INT24:
  case MYSQL_TYPE_LONGLONG:
  case MYSQL_TYPE_YEAR:
  case MYSQL_TYPE_BIT:
    return MP_INT;
  case MYSQL_TYPE_FLOAT:
  case MYSQL_TYPE_DOUBLE:
    return MP_FLOAT;
  case MYSQL_TYPE_DECIMAL:
  case MYSQL_TYPE_NEWDECIMAL:
    return MP_DECIMAL;
  case MYSQL_TYPE_DATE:
  case MYSQL_TYPE_NEWDATE:
    return MP_DATE;
  case MYSQL_TYPE_TIME:
  case MYSQL_TYPE_TIME2:
    return MP_TIME;
  case MYSQL_TYPE_DATETIME:
  case MYSQL_TYPE_DATETIME2:
  case MYSQL_TYPE_TIMESTAMP:
  case MYSQL_TYPE_TIMESTAMP2:
    return MP_DATETIME;
  case MYSQL_TYPE_JSON:
    return MP_JSON;
  case MYSQL_TYPE_GEOMETRY:
    return MP_BLOB;
  case MYSQL_TYPE_NULL:
    return MP_NULL;
  default:
    return characters_kind(field);
  }
}

void mp_mytype_column(const MYSQL_FIELD *field, mp_mycolumn *out)
{
  *out = (mp_mycolumn){
      .kind = column_kind(field),
      .type = field->type,
      .is_unsigned = (field->flags & UNSIGNED_FLAG) != 0,
      .scale = (uint16_t)field->decimals,
  };
  switch (out->kind) {
  case MP_BOOL:
  case MP_FLOAT:
  case MP_DATE:
  case MP_TIME:
  case MP_DATETIME:
    break;
  case MP_INT:
    out->is_text = out->type == MYSQL_TYPE_BIT;
    break;
  default:
    out->is_text = true;
  }
}

const char *mp_mytype_name(const mp_mycolumn *column)
{
  bool u = column->is_unsigned;
  switch (column->type) {
  case MYSQL_TYPE_TINY:
    return column->kind == MP_BOOL ? "tinyint(1)" : u ? "tinyint unsigned" : "tinyint";
  case MYSQL_TYPE_SHORT:
    return u ? "smallint unsigned" : "smallint";
  case MYSQL_TYPE_INT24:
    return u ? "mediumint unsigned" : "mediumint";
  case MYSQL_TYPE_LONG:
    return u ? "int unsigned" : "int";
  case MYSQL_TYPE_LONGLONG:
    return u ? "bigint unsigned" : "bigint";
  case MYSQL_TYPE_YEAR:
    return "year";
  case MYSQL_TYPE_BIT:
    return "bit";
  case MYSQL_TYPE_FLOAT:
    return u ? "float unsigned" : "float";
  case MYSQL_TYPE_DOUBLE:
    return u ? "double unsigned" : "double";
  case MYSQL_TYPE_DECIMAL:
  case MYSQL_TYPE_NEWDECIMAL:
    return u ? "decimal unsigned" : "decimal";
  case MYSQL_TYPE_DATE:
  case MYSQL_TYPE_NEWDATE:
    return "date";
  case MYSQL_TYPE_TIME:
  case MYSQL_TYPE_TIME2:
    return "time";
  case MYSQL_TYPE_DATETIME:
  case MYSQL_TYPE_DATETIME2:
    return "datetime";
  case MYSQL_TYPE_TIMESTAMP:
  case MYSQL_TYPE_TIMESTAMP2:
    return "timestamp";
  case MYSQL_TYPE_GEOMETRY:
    return "geometry";
  case MYSQL_TYPE_NULL:
    return "null";
  case MYSQL_TYPE_STRING:
  case MYSQL_TYPE_VAR_STRING:
  case MYSQL_TYPE_VARCHAR:
    if (column->kind == MP_BLOB)
      return column->type == MYSQL_TYPE_STRING ? "binary" : "varbinary";
    if (column->kind == MP_TEXT)
      return column->type == MYSQL_TYPE_STRING ? "char" : "varchar";
    break;
  default:
    break;
  }
  return column->kind == MP_TEXT ? "text" : mp_kind_name(column->kind);
}

void mp_mytype_bind(const mp_mycolumn *column, mp_myslot *slot)
{
  MYSQL_BIND *bind = &slot->bind;
  *bind = (MYSQL_BIND){
      .buffer = &slot->room,
      .buffer_length = sizeof slot->room,
      .length = &slot->length,
      .is_null = &slot->is_null,
      .error = &slot->error,
      .is_unsigned = column->is_unsigned,
  };
  slot->data = slot->room.text;
  if (column->is_text)
    bind->buffer_type = column->type == MYSQL_TYPE_BIT || column->kind == MP_BLOB
                            ? MYSQL_TYPE_BLOB
                            : MYSQL_TYPE_STRING;
  else if (column->kind == MP_INT || column->kind == MP_BOOL)
    bind->buffer_type = MYSQL_TYPE_LONGLONG;
  else if (column->kind == MP_FLOAT)
    bind->buffer_type = column->type;
  else
    bind->buffer_type = column->kind == MP_DATE   ? MYSQL_TYPE_DATE
                        : column->kind == MP_TIME ? MYSQL_TYPE_TIME
                                                  : MYSQL_TYPE_DATETIME;
}

/* ---- cells ---- */

bool mp_mycell_bad(const mp_mycell *cell)
{
  mp_error_set(cell->err, cell->arena, MP_E_DATA, "the server sent a %s that is none",
               mp_mytype_name(cell->column));
  return false;
}

bool mp_mycell_no_memory(const mp_mycell *cell)
{
  *cell->err = (mp_error){.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
  return false;
}

static bool integer(const mp_mycell *cell, uint64_t bits, bool is_unsigned, mp_value *out)
{
  char text[MP_VALUE_TEXT_MAX];
  if (is_unsigned && bits > INT64_MAX) {
    int n = snprintf(text, sizeof text, "%" PRIu64, bits);
    const char *copy = mp_arena_memdup(cell->arena, text, (size_t)n);
    if (copy == NULL)
      return mp_mycell_no_memory(cell);
    mp_decimal_view(copy, (size_t)n, out);
    return true;
  }
  bool truth = cell->column->kind == MP_BOOL && bits <= 1;
  *out = (mp_value){.kind = truth ? MP_BOOL : MP_INT, .i = (int64_t)bits};
  return true;
}

/* Big endian, as many bytes as the bits take. */
static bool bit(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  uint64_t bits = 0;
  if (n > 8)
    return mp_mycell_bad(cell);
  for (size_t i = 0; i < n; i++)
    bits = bits << 8 | (unsigned char)s[i];
  return integer(cell, bits, true, out);
}

static bool decimal(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  char text[MP_DECIMAL_TEXT_MAX];
  if (mp_numeral_decimal(s, n, out, NULL) && out->small)
    return true;
  n = mp_decimal_canonical(s, n, text);
  if (n == 0)
    return mp_mycell_bad(cell);
  s = mp_arena_memdup(cell->arena, text, n);
  if (s == NULL)
    return mp_mycell_no_memory(cell);
  mp_decimal_view(s, n, out);
  return true;
}

static bool characters(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  const char *copy;
  if (n > UINT32_MAX || (cell->column->kind == MP_UUID && n != 36))
    return mp_mycell_bad(cell);
  copy = mp_arena_memdup(cell->arena, s, n);
  if (copy == NULL)
    return mp_mycell_no_memory(cell);
  *out = (mp_value){.kind = (uint8_t)cell->column->kind, .len = (uint32_t)n, .s = copy};
  return true;
}

/* What comes as text in both protocols. */
static bool text(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  switch (cell->column->kind) {
  case MP_INT:
    return bit(cell, s, n, out);
  case MP_DECIMAL:
    return decimal(cell, s, n, out);
  case MP_NULL:
    return mp_mycell_bad(cell); /* a column of type null has nothing else */
  default:
    return characters(cell, s, n, out);
  }
}

bool mp_mytype_cell(const mp_mycolumn *column, const mp_myslot *slot, mp_arena *arena,
                    mp_value *out, mp_error *err)
{
  mp_mycell cell = {column, arena, err};
  *out = MP_VALUE_NULL;
  if (slot->is_null)
    return true;
  if (column->is_text)
    return text(&cell, slot->data, slot->length, out);
  switch (column->kind) {
  case MP_BOOL:
  case MP_INT:
    return integer(&cell, (uint64_t)slot->room.i, column->is_unsigned, out);
  case MP_FLOAT:
    *out = (mp_value){.kind = MP_FLOAT,
                      .d = column->type == MYSQL_TYPE_FLOAT ? mp_numeral_single(slot->room.f)
                                                            : slot->room.d};
    return true;
  default:
    return mp_mycell_time(&cell, &slot->room.t, out);
  }
}

static bool integer_text(const mp_mycell *cell, const char *s, size_t n, mp_value *out)
{
  char room[MP_VALUE_TEXT_MAX];
  mp_value number;
  if (!mp_numeral_decimal(s, n, &number, room))
    return mp_mycell_bad(cell);
  if (mp_value_convert(&number, MP_INT, NULL, NULL))
    return integer(cell, (uint64_t)number.i, false, out);
  return decimal(cell, s, n, out);
}

bool mp_mytype_text_cell(const mp_mycolumn *column, const char *data, unsigned long len,
                         mp_arena *arena, mp_value *out, mp_error *err)
{
  mp_mycell cell = {column, arena, err};
  *out = MP_VALUE_NULL;
  if (data == NULL)
    return true;
  if (column->is_text)
    return text(&cell, data, len, out);
  switch (column->kind) {
  case MP_BOOL:
  case MP_INT:
    return integer_text(&cell, data, len, out);
  case MP_FLOAT:
    *out = (mp_value){.kind = MP_FLOAT};
    return mp_numeral_float(data, len, &out->d) || mp_mycell_bad(&cell);
  default:
    return mp_mycell_time_text(&cell, data, len, out);
  }
}
