/* postgres_type.h - PostgreSQL's types: which there are, and their bytes in binary and text form.
** Pure: no connection, no libpq. A parameter becomes what the server said it wants (its oid,
** from describing the statement), a cell becomes the nearest mp_value. Exact or an error;
** nothing is guessed. Any thread. */
#ifndef MP_POSTGRES_TYPE_H
#define MP_POSTGRES_TYPE_H

#include "value.h"

/* What a cell of this type becomes. MP_NULL: there is no binary decoder, so its statement has to
** be asked in text form (enums, citext, composites, extensions' types: their cells are MP_TEXT
** then). */
mp_kind mp_pgtype_kind(uint32_t oid);

/* Is there a binary decoder? */
bool mp_pgtype_is_binary(uint32_t oid);

/* "int8", "timestamptz", "_text" ...; NULL for a type that is not built in. */
const char *mp_pgtype_name(uint32_t oid);

/* One cell. data is valid as long as *out has to be; what cannot be a view of it (numerics,
** uuids, arrays, ranges, text forms) is made in arena. binary: in the type's binary form,
** otherwise as text, which becomes the same kind of value (or MP_TEXT for an unknown type).
** False with *err (other_data: the type's name, never the value) for bytes that are not of the
** type, or out of memory. */
bool mp_pgtype_cell(uint32_t oid, bool binary, const char *data, size_t len, mp_arena *arena,
                    mp_value *out, mp_error *err);

/* One parameter as PQsendQueryPrepared takes it. */
typedef struct mp_pgparam {
  const char *data; /* NULL: SQL NULL. Text forms end with NUL. */
  int len;
  int format; /* 1 binary, 0 text */
} mp_pgparam;

/* Turn a value into a parameter of the type that the server wants. Exact kinds go in binary,
** text for a type that is no text goes in text form (the server reads it, and its error names
** the type); a value that the type cannot hold (300 for int2, a text for bytea) is false with
** *err (out_of_range, type_mismatch ... the type's name and the kind, never the value). oid 0
** (not known: behind a pooler): text form. data is a view of value where that is possible,
** otherwise in arena. */
bool mp_pgtype_param(uint32_t oid, const mp_value *value, mp_arena *arena, mp_pgparam *out,
                     mp_error *err);

#endif
