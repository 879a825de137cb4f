/* postgres_job.h - something that blocks (a name lookup, PQcancel), done on a thread of its own. */
#ifndef MP_POSTGRES_JOB_H
#define MP_POSTGRES_JOB_H

#include "backend.h"

typedef struct mp_pgjob mp_pgjob;

/* run(arg) on a new thread, then wake. drop(arg) when nobody needs arg any more (after run, and after release), on either
** thread. NULL: no memory or no thread; drop was not called. */
mp_pgjob *mp_pgjob_start(void (*run)(void *arg), void (*drop)(void *arg), void *arg,
                         mp_waker *waker);

/* Has run returned? Then arg holds its answer for the loop's thread. */
bool mp_pgjob_done(mp_pgjob *job);

/* The waker is not called any more once this returns; a thread that still runs ends by itself. NULL is fine. */
void mp_pgjob_release(mp_pgjob *job);

#endif
