/* signals.h - SIGINT and SIGTERM as operations that a Lua program waits for.
** The loop is woken by them; a task that computes without waiting is stopped by a debug hook, like
** Lua's own interpreter does it. A second SIGINT within two seconds ends the process at once. */
#ifndef LMP_SIGNALS_H
#define LMP_SIGNALS_H

#include <lua.h>

/* Push the table of functions that moonpool.host.script is given; signals.c says what they do. */
void lmp_push_signals(lua_State *L);

#endif
