/* postgres_type.c - the table of PostgreSQL's types, and cells made of their bytes.
** The types that rows are mostly made of are read here, by one switch and without allocating;
** the others in the files of their sort. A type that is not in the table has no binary form here
** and is text. */
#include "postgres_form.h"

#include "numeral.h"

/* ---- the table ---- */

typedef struct typerow {
  const char *name, *array_name;
  uint32_t oid;
  uint8_t kind;
} typerow;

static const typerow types[MP_PG_ID_N] = {
#define X(id, name, oid, array, kind) [MP_PG_##id] = {name, "_" name, oid, kind},
    MP_PG_TYPES(X)
#undef X
#define X(id, name, oid, kind) [MP_PG_##id] = {name, NULL, oid, kind},
        MP_PG_LONE_TYPES(X)
#undef X
};

static const uint8_t by_oid[] = {
#define X(id, name, oid, array, kind) [oid] = MP_PG_##id, [array] = MP_PG_##id | MP_PG_ARRAY,
    MP_PG_TYPES(X)
#undef X
#define X(id, name, oid, kind) [oid] = MP_PG_##id,
        MP_PG_LONE_TYPES(X)
#undef X
};

unsigned mp_pgtype_id(uint32_t oid)
{
  return oid < sizeof by_oid ? by_oid[oid] : MP_PG_OTHER;
}

uint32_t mp_pgtype_oid(mp_pgid id)
{
  return types[id].oid;
}

mp_kind mp_pgtype_kind(uint32_t oid)
{
  unsigned id = mp_pgtype_id(oid);
  return id & MP_PG_ARRAY ? MP_ARRAY : (mp_kind)types[id].kind; /* MP_PG_OTHER: MP_NULL */
}

bool mp_pgtype_is_binary(uint32_t oid)
{
  return mp_pgtype_id(oid) != MP_PG_OTHER;
}

const char *mp_pgtype_name(uint32_t oid)
{
  unsigned id = mp_pgtype_id(oid);
  return id & MP_PG_ARRAY ? types[id ^ MP_PG_ARRAY].array_name : types[id].name;
}

/* ---- errors ---- */

bool mp_pgcell_bad(const mp_pgcell *cell)
{
  mp_error_set(cell->err, cell->arena, MP_E_DATA, "what the server sent is no %s in %s form",
               mp_pgtype_name(cell->oid), cell->binary ? "binary" : "text");
  return false;
}

bool mp_pgcell_no_memory(const mp_pgcell *cell)
{
  *cell->err = (mp_error){.kind = MP_E_OUT_OF_MEMORY, .message = "out of memory"};
  return false;
}

bool mp_pgcell_text(const mp_pgcell *cell, const char *s, size_t n, mp_value *out)
{
  const char *copy = mp_arena_memdup(cell->arena, s, n);
  if (copy == NULL)
    return mp_pgcell_no_memory(cell);
  *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)n, .s = copy};
  return true;
}

/* ---- the rarer of the plain types ---- */

static bool read_uuid(const mp_pgcell *cell, mp_value *out)
{
  mp_value bytes = {
      .kind = cell->binary ? MP_BLOB : MP_TEXT, .len = (uint32_t)cell->len, .s = cell->data};
  char *text;
  if (cell->len != (cell->binary ? 16 : 36))
    return mp_pgcell_bad(cell);
  text = mp_arena_alloc(cell->arena, MP_VALUE_TEXT_MAX);
  if (text == NULL)
    return mp_pgcell_no_memory(cell);
  if (!mp_value_convert(&bytes, MP_UUID, NULL, text))
    return mp_pgcell_bad(cell);
  *out = bytes;
  return true;
}

/* "char" is one byte, which need not be a character: it is then written like the server does
** since 16. */
static bool read_char(const mp_pgcell *cell, mp_value *out)
{
  unsigned char c = cell->len > 0 ? (unsigned char)*cell->data : 0;
  char text[5];
  if (!cell->binary && cell->len > 1) {
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)cell->len, .s = cell->data};
    return true;
  }
  if (cell->binary && cell->len != 1)
    return mp_pgcell_bad(cell);
  if (c < 0x80) {
    *out = (mp_value){.kind = MP_TEXT, .len = c != 0, .s = cell->data};
    return true;
  }
  text[0] = '\\';
  text[1] = (char)('0' + (c >> 6));
  text[2] = (char)('0' + (c >> 3 & 7));
  text[3] = (char)('0' + (c & 7));
  return mp_pgcell_text(cell, text, 4, out);
}

static int hex_digit(char c)
{
  return mp_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea as text: \x and hex digits, or (bytea_output = escape) bytes with \\ and \ooo among
** them. */
static bool read_bytes(const mp_pgcell *cell, mp_value *out)
{
  const char *s = cell->data, *end = s + cell->len;
  char *bytes = mp_arena_alloc(cell->arena, cell->len), *p = bytes;
  if (bytes == NULL)
    return mp_pgcell_no_memory(cell);
  if (cell->len >= 2 && s[0] == '\\' && s[1] == 'x') {
    if (cell->len % 2 != 0)
      return mp_pgcell_bad(cell);
    for (s += 2; s < end; s += 2) {
      int high = hex_digit(s[0]), low = hex_digit(s[1]);
      if (high < 0 || low < 0)
        return mp_pgcell_bad(cell);
      *p++ = (char)(high << 4 | low);
    }
  }
  while (s < end) {
    if (*s != '\\') {
      *p++ = *s++;
    } else if (end - s >= 2 && s[1] == '\\') {
      *p++ = '\\';
      s += 2;
    } else if (end - s >= 4 && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
               s[3] >= '0' && s[3] <= '7') {
      *p++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
      s += 4;
    } else {
      return mp_pgcell_bad(cell);
    }
  }
  *out = (mp_value){.kind = MP_BLOB, .len = (uint32_t)(p - bytes), .s = bytes};
  return true;
}

/* What takes more than a switch. */
static bool read_slowly(const mp_pgcell *cell, mp_value *out)
{
  switch (cell->id) {
  case MP_PG_NUMERIC:
    return mp_pgcell_numeric(cell, out);
  case MP_PG_MONEY:
    return mp_pgcell_money(cell, out);
  case MP_PG_FLOAT4:
    return mp_pgcell_float4(cell, out);
  case MP_PG_DATE:
  case MP_PG_TIME:
  case MP_PG_TIMESTAMP:
  case MP_PG_TIMESTAMPTZ:
  case MP_PG_INTERVAL:
  case MP_PG_TIMETZ:
    return mp_pgcell_time(cell, out);
  case MP_PG_UUID:
    return read_uuid(cell, out);
  case MP_PG_CHAR:
    return read_char(cell, out);
  default:
    break;
  }
  if (cell->binary) {
    switch (cell->id) {
    case MP_PG_INT4RANGE:
    case MP_PG_NUMRANGE:
    case MP_PG_TSRANGE:
    case MP_PG_TSTZRANGE:
    case MP_PG_DATERANGE:
    case MP_PG_INT8RANGE:
      return mp_pgcell_range(cell, out);
    case MP_PG_INET:
    case MP_PG_CIDR:
    case MP_PG_MACADDR:
    case MP_PG_MACADDR8:
      return mp_pgcell_network(cell, out);
    default:
      return mp_pgcell_bad(cell); /* a fixed length that is another one */
    }
  }
  if (cell->id == MP_PG_BYTEA)
    return read_bytes(cell, out);
  return mp_value_parse((mp_kind)types[cell->id].kind, cell->data, cell->len, out, NULL) ||
         mp_pgcell_bad(cell);
}

/* ---- cells ---- */

bool mp_pgtype_cell(uint32_t oid, bool binary, const char *data, size_t len, mp_arena *arena,
                    mp_value *out, mp_error *err)
{
  unsigned id = mp_pgtype_id(oid);
  uint64_t bits;
  switch (id) {
  case MP_PG_INT4:
    if (!binary || len != 4)
      break;
    *out = (mp_value){.kind = MP_INT, .i = (int32_t)mp_pg_get32(data)};
    return true;
  case MP_PG_INT8:
    if (!binary || len != 8)
      break;
    *out = (mp_value){.kind = MP_INT, .i = (int64_t)mp_pg_get64(data)};
    return true;
  case MP_PG_TEXT:
  case MP_PG_VARCHAR:
  case MP_PG_BPCHAR:
  case MP_PG_NAME:
  case MP_PG_XML:
  case MP_PG_UNKNOWN:
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)len, .s = data};
    return true;
  case MP_PG_BOOL:
    if (!binary || len != 1)
      break;
    *out = (mp_value){.kind = MP_BOOL, .i = *data != 0};
    return true;
  case MP_PG_FLOAT8:
    if (!binary || len != 8)
      break;
    bits = mp_pg_get64(data);
    *out = (mp_value){.kind = MP_FLOAT};
    memcpy(&out->d, &bits, sizeof out->d);
    return true;
  case MP_PG_TIMESTAMP:
  case MP_PG_TIMESTAMPTZ: {
    int64_t us;
    if (!binary || len != 8 ||
        __builtin_add_overflow((int64_t)mp_pg_get64(data), MP_PG_EPOCH_US, &us) ||
        us < MP_INSTANT_FIRST || us > MP_INSTANT_LAST)
      break;
    *out = (mp_value){.kind = id == MP_PG_TIMESTAMPTZ ? MP_DATETIME : MP_WALLTIME, .i = us};
    return true;
  }
  case MP_PG_INT2:
    if (!binary || len != 2)
      break;
    *out = (mp_value){.kind = MP_INT, .i = (int16_t)mp_pg_get16(data)};
    return true;
  case MP_PG_OID:
    if (!binary || len != 4)
      break;
    *out = (mp_value){.kind = MP_INT, .i = mp_pg_get32(data)};
    return true;
  case MP_PG_JSONB:
    if (binary) {
      if (len < 1 || *data != 1)
        break;
      data++, len--; /* the version of the format */
    }
    *out = (mp_value){.kind = MP_JSON, .len = (uint32_t)len, .s = data};
    return true;
  case MP_PG_JSON:
    *out = (mp_value){.kind = MP_JSON, .len = (uint32_t)len, .s = data};
    return true;
  case MP_PG_BYTEA:
    if (!binary)
      break;
    *out = (mp_value){.kind = MP_BLOB, .len = (uint32_t)len, .s = data};
    return true;
  case MP_PG_VOID:
    *out = MP_VALUE_NULL; /* a function that gives nothing */
    return true;
  case MP_PG_OTHER:
    if (binary) {
      mp_error_set(err, arena, MP_E_INTERNAL, "the type with the oid %lu was asked in binary form",
                   (unsigned long)oid);
      return false;
    }
    *out = (mp_value){.kind = MP_TEXT, .len = (uint32_t)len, .s = data};
    return true;
  default:
    break;
  }

  mp_pgcell cell = {.oid = oid,
                    .id = (mp_pgid)(id & ~(unsigned)MP_PG_ARRAY),
                    .binary = binary,
                    .data = data,
                    .len = len,
                    .arena = arena,
                    .err = err};
  return id & MP_PG_ARRAY ? mp_pgcell_array(&cell, out) : read_slowly(&cell, out);
}
