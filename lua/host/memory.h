/* memory.h - memory for what Lua makes: many small things, made and dropped by the hundred thousand. */
#ifndef LMP_MEMORY_H
#define LMP_MEMORY_H

#include <lua.h>

/* From here on the state takes its small objects from blocks of this file's. Without effect where the environment
** says MOONPOOL_MALLOC=system (for tools that watch each malloc and free), where the program is built with a sanitizer,
** and where so many addresses are not to be had. Once in a process. */
void lmp_use_blocks(lua_State *L);

#endif
