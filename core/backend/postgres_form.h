/* postgres_form.h - the table of the types, and what the rooms of postgres_type.h share.
** postgres_type.c has the table and the cells, postgres_param.c the parameters, and each sort of
** type with forms of its own a file: postgres_numeric.c, postgres_time.c, postgres_range.c,
** postgres_array.c; postgres_json.c makes arrays of JSON. */
#ifndef MP_POSTGRES_FORM_H
#define MP_POSTGRES_FORM_H

#include "postgres_type.h"

#include <string.h>

/* X(ID, name, oid, oid of its array, kind of its cells) */
#define MP_PG_TYPES(X)                                                                             \
  X(BOOL, "bool", 16, 1000, MP_BOOL)                                                               \
  X(BYTEA, "bytea", 17, 1001, MP_BLOB)                                                             \
  X(CHAR, "char", 18, 1002, MP_TEXT)                                                               \
  X(NAME, "name", 19, 1003, MP_TEXT)                                                               \
  X(INT8, "int8", 20, 1016, MP_INT)                                                                \
  X(INT2, "int2", 21, 1005, MP_INT)                                                                \
  X(INT4, "int4", 23, 1007, MP_INT)                                                                \
  X(TEXT, "text", 25, 1009, MP_TEXT)                                                               \
  X(OID, "oid", 26, 1028, MP_INT)                                                                  \
  X(JSON, "json", 114, 199, MP_JSON)                                                               \
  X(XML, "xml", 142, 143, MP_TEXT)                                                                 \
  X(CIDR, "cidr", 650, 651, MP_TEXT)                                                               \
  X(FLOAT4, "float4", 700, 1021, MP_FLOAT)                                                         \
  X(FLOAT8, "float8", 701, 1022, MP_FLOAT)                                                         \
  X(MACADDR8, "macaddr8", 774, 775, MP_TEXT)                                                       \
  X(MONEY, "money", 790, 791, MP_DECIMAL)                                                          \
  X(MACADDR, "macaddr", 829, 1040, MP_TEXT)                                                        \
  X(INET, "inet", 869, 1041, MP_TEXT)                                                              \
  X(BPCHAR, "bpchar", 1042, 1014, MP_TEXT)                                                         \
  X(VARCHAR, "varchar", 1043, 1015, MP_TEXT)                                                       \
  X(DATE, "date", 1082, 1182, MP_DATE)                                                             \
  X(TIME, "time", 1083, 1183, MP_TIME)                                                             \
  X(TIMESTAMP, "timestamp", 1114, 1115, MP_WALLTIME)                                               \
  X(TIMESTAMPTZ, "timestamptz", 1184, 1185, MP_DATETIME)                                           \
  X(INTERVAL, "interval", 1186, 1187, MP_INTERVAL)                                                 \
  X(TIMETZ, "timetz", 1266, 1270, MP_TEXT)                                                         \
  X(NUMERIC, "numeric", 1700, 1231, MP_DECIMAL)                                                    \
  X(UUID, "uuid", 2950, 2951, MP_UUID)                                                             \
  X(JSONB, "jsonb", 3802, 3807, MP_JSON)                                                           \
  X(INT4RANGE, "int4range", 3904, 3905, MP_TEXT)                                                   \
  X(NUMRANGE, "numrange", 3906, 3907, MP_TEXT)                                                     \
  X(TSRANGE, "tsrange", 3908, 3909, MP_TEXT)                                                       \
  X(TSTZRANGE, "tstzrange", 3910, 3911, MP_TEXT)                                                   \
  X(DATERANGE, "daterange", 3912, 3913, MP_TEXT)                                                   \
  X(INT8RANGE, "int8range", 3926, 3927, MP_TEXT)

/* X(ID, name, oid, kind): those that have no arrays */
#define MP_PG_LONE_TYPES(X)                                                                        \
  X(UNKNOWN, "unknown", 705, MP_TEXT)                                                              \
  X(VOID, "void", 2278, MP_TEXT)

typedef enum mp_pgid {
  MP_PG_OTHER, /* not in the table */
#define X(id, ...) MP_PG_##id,
  MP_PG_TYPES(X)
  MP_PG_LONE_TYPES(X)
#undef X
      MP_PG_ID_N,
  MP_PG_ARRAY = 0x80 /* added to the type of the items */
} mp_pgid;

/* The type, or the type of the items + MP_PG_ARRAY. */
unsigned mp_pgtype_id(uint32_t oid);
uint32_t mp_pgtype_oid(mp_pgid id);

/* ---- cells ---- */

/* Bytes that are to become a value. */
typedef struct mp_pgcell {
  uint32_t oid;
  mp_pgid id; /* of an array: of its items */
  bool binary;
  const char *data;
  size_t len;
  mp_arena *arena;
  mp_error *err;
} mp_pgcell;

/* False with the error that the bytes are no such type. */
bool mp_pgcell_bad(const mp_pgcell *cell);
bool mp_pgcell_no_memory(const mp_pgcell *cell);

/* n bytes of text, copied into the cell's arena. */
bool mp_pgcell_text(const mp_pgcell *cell, const char *s, size_t n, mp_value *out);

/* Each reads both forms. */
bool mp_pgcell_numeric(const mp_pgcell *cell, mp_value *out);
bool mp_pgcell_money(const mp_pgcell *cell, mp_value *out);
bool mp_pgcell_float4(const mp_pgcell *cell, mp_value *out);
bool mp_pgcell_time(const mp_pgcell *cell, mp_value *out); /* dates, times and intervals */
bool mp_pgcell_array(const mp_pgcell *cell, mp_value *out);

/* These read the binary form; their text form is what they become. */
bool mp_pgcell_range(const mp_pgcell *cell, mp_value *out);
bool mp_pgcell_network(const mp_pgcell *cell, mp_value *out);

/* ---- parameters ---- */

typedef enum mp_pgform {
  MP_PG_TEXT_FORM,
  MP_PG_BINARY_FORM,
  MP_PG_REFUSED /* err says why */
} mp_pgform;

/* A value that is to become bytes; where these are neither the value's own nor in the arena,
** they are in room. */
typedef struct mp_pgwriter {
  uint32_t oid;
  mp_pgid id;
  bool only_text;
  mp_arena *arena;
  mp_error *err;
  const char *data;
  size_t len;
  char room[MP_DECIMAL_TEXT_MAX];
} mp_pgwriter;

mp_pgform mp_pgwrite(mp_pgwriter *w, const mp_value *value);
/* Any value but NULL as a parameter of that type; of w its arena and err are set. */
mp_pgform mp_pgwrite_param(mp_pgwriter *w, uint32_t oid, const mp_value *value);
mp_pgform mp_pgwrite_array(mp_pgwriter *w, const mp_array *array);

/* Canonical decimal text into w->room, as a numeric. */
void mp_pgwrite_numeric(mp_pgwriter *w, const char *s, size_t n);
/* The same of number * 10^-scale. False: that is too long for it. */
bool mp_pgwrite_small(mp_pgwriter *w, int64_t number, unsigned scale);

/* Refuse the value: the type does not take its kind; it takes it, but not this one of its
** values. */
mp_pgform mp_pgwrite_mismatch(mp_pgwriter *w, const mp_value *value);
mp_pgform mp_pgwrite_beyond(mp_pgwriter *w, const char *what);

/* A JSON array (or {}, an empty Lua table) as an array of its scalars, in the arena. as_json:
** its items stay JSON texts. False with *err. */
bool mp_pgarray_from_json(const mp_value *json, bool as_json, mp_arena *arena, mp_array *out,
                          mp_error *err);

/* ---- numbers as they travel: big endian ---- */

static inline uint16_t mp_pg_get16(const char *s)
{
  uint16_t n;
  memcpy(&n, s, sizeof n);
  return __builtin_bswap16(n);
}

static inline uint32_t mp_pg_get32(const char *s)
{
  uint32_t n;
  memcpy(&n, s, sizeof n);
  return __builtin_bswap32(n);
}

static inline uint64_t mp_pg_get64(const char *s)
{
  uint64_t n;
  memcpy(&n, s, sizeof n);
  return __builtin_bswap64(n);
}

static inline void mp_pg_put16(char *s, uint16_t n)
{
  n = __builtin_bswap16(n);
  memcpy(s, &n, sizeof n);
}

static inline void mp_pg_put32(char *s, uint32_t n)
{
  n = __builtin_bswap32(n);
  memcpy(s, &n, sizeof n);
}

static inline void mp_pg_put64(char *s, uint64_t n)
{
  n = __builtin_bswap64(n);
  memcpy(s, &n, sizeof n);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bytes are swapped without asking");

/* Days and microseconds from 1970-01-01 to 2000-01-01, from where the server counts. */
#define MP_PG_EPOCH_DAYS 10957
#define MP_PG_EPOCH_US (MP_PG_EPOCH_DAYS * MP_DAY_US)

#endif
