/* raise.h - error objects raised from C.
** A Lua error unwinds past C: whoever raises owns nothing that is freed by hand. */
#ifndef LMP_RAISE_H
#define LMP_RAISE_H

#include "compat.h"

#include "status.h"

/* Raise the error object that the function given to core.set_error_maker makes of (kind, message);
** before it was given one, a table with these two and a __tostring. Never returns; int for `return
** lmp_raise(...)`. */
int lmp_raise(lua_State *L, mp_status kind, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* The same, with the number of the row that it is about. */
int lmp_raise_row(lua_State *L, mp_status kind, lua_Integer row, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

/* core.set_error_maker(fn) */
int lmp_set_error_maker(lua_State *L);

#endif
