/* moonpool.h - the core, read first.
**
** The life of a request: the program fills one (request.h) and hands it to a pool (pool.h) or to a connection it
** has leased (lease.h). The pool finds or opens a connection (connection.h), oldest request first; the
** connection gives it to its backend's session (backend.h), which says what it waits for and never waits; the loop
** (loop.h) waits for all of them. The answer is a view of the driver's own memory or one error with a kind
** (status.h), and goes back through the request, exactly once, from mp_loop_step, never inside the call that submitted it.
**
**   NEW -> QUEUED -> ACTIVE -> DONE
**
** Nothing here knows Lua. Everything belongs to the thread that steps the loop, except mp_waker.wake.
** A floor uses only what stands below it:
**   list arena status -> value url tx -> request -> backend -> loop -> connection -> pool -> lease */
#ifndef MOONPOOL_H
#define MOONPOOL_H

#define MOONPOOL_VERSION "0.1.0"

#include "lease.h"

#endif
