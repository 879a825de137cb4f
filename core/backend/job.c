/* job.c - a thread for one call that blocks, and how its answer gets back.
** The thread is detached: nobody ever waits for it. Who ends last, the thread or the loop's side, frees the
** job; the lock is what makes release final, so the waker is called under it (waking never blocks). */
#include "job.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define STACK_BYTES (256 * 1024) /* name services bring modules of their own along */

struct mp_job {
  pthread_mutex_t lock;
  void (*run)(void *arg);
  void (*drop)(void *arg);
  void *arg;
  mp_waker *waker;
  bool done, released;
};

static void discard(mp_job *job)
{
  job->drop(job->arg);
  pthread_mutex_destroy(&job->lock);
  free(job);
}

static void *body(void *arg)
{
  mp_job *job = arg;
  bool released;
  pthread_setname_np(pthread_self(), "moonpool-job");
  job->run(job->arg);
  pthread_mutex_lock(&job->lock);
  job->done = true;
  released = job->released;
  if (!released)
    job->waker->wake(job->waker);
  pthread_mutex_unlock(&job->lock);
  if (released)
    discard(job);
  return NULL;
}

static bool start_thread(mp_job *job)
{
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, before;
  bool started;
  if (pthread_attr_init(&attr) != 0)
    return false;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  /* signals are for the program's own threads */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  started = pthread_create(&thread, &attr, body, job) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return started;
}

mp_job *mp_job_start(void (*run)(void *arg), void (*drop)(void *arg), void *arg, mp_waker *waker)
{
  mp_job *job = calloc(1, sizeof *job);
  if (job == NULL)
    return NULL;
  *job = (mp_job){.run = run, .drop = drop, .arg = arg, .waker = waker};
  if (pthread_mutex_init(&job->lock, NULL) != 0) {
    free(job);
    return NULL;
  }
  if (!start_thread(job)) {
    pthread_mutex_destroy(&job->lock);
    free(job);
    return NULL;
  }
  return job;
}

bool mp_job_done(mp_job *job)
{
  bool done;
  pthread_mutex_lock(&job->lock);
  done = job->done;
  pthread_mutex_unlock(&job->lock);
  return done;
}

void mp_job_release(mp_job *job)
{
  bool done;
  if (job == NULL)
    return;
  pthread_mutex_lock(&job->lock);
  done = job->done;
  job->released = true;
  pthread_mutex_unlock(&job->lock);
  if (done)
    discard(job);
}
