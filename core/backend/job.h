/* job.h - something that blocks (a name lookup, PQcancel, a whole dial), done on a thread of its own. */
#ifndef MP_JOB_H
#define MP_JOB_H

#include "backend.h"

typedef struct mp_job mp_job;

/* run(arg) on a new thread, then wake. drop(arg) when nobody needs arg any more (after run, and after release), on either
** thread. NULL: no memory or no thread; drop was not called. */
mp_job *mp_job_start(void (*run)(void *arg), void (*drop)(void *arg), void *arg, mp_waker *waker);

/* Has run returned? Then arg holds its answer for the loop's thread. */
bool mp_job_done(mp_job *job);

/* The waker is not called any more once this returns; a thread that still runs ends by itself. NULL is fine. */
void mp_job_release(mp_job *job);

#endif
