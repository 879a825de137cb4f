/* json.h - Lua values as JSON text, and back, for the other files of the values. */
#ifndef LMP_JSON_H
#define LMP_JSON_H

#include "buffer.h"
#include "value.h"

/* Add the value at idx to the buffer. False: it has no JSON form, why tells what and at which path.
** strict: also refuse NUL inside strings, which no database takes. Keys are sorted, so equal values
** have equal texts. */
bool lmp_json_write(lua_State *L, int metas, int idx, bool strict, lmp_buffer *out,
                    char why[LMP_WHY_MAX]);

/* Push the value of a JSON text. False: pushes nothing, why (may be NULL) tells where it is no
** JSON. */
bool lmp_json_read(lua_State *L, int metas, const char *s, size_t n, char *why);

#endif
