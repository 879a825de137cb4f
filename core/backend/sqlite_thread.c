/* sqlite_thread.c - the thread of a session: runs its jobs on the engine, first in, first out.
** A job that meets somebody else's lock is tried again after a while, here and with nothing else
** of the session in between; the lock below is never held while SQLite runs. One wake of the
** loop serves all that became ready since; it is put off while quick reads follow each other. */
#include "sqlite.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define DELAY_MIN_NS UINT64_C(5000000)
#define DELAY_MAX_NS UINT64_C(250000000)
#define OPEN_WAIT_NS                                                                               \
  UINT64_C(5000000000) /* for a locked file, where connect_timeout says nothing */

static uint64_t now_ns(void)
{
  struct timespec ts; /* the clock of uv_hrtime */
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pay_wake(void *owner)
{
  mp_sqlite_thread *thread = owner;
  if (!thread->wake_owed)
    return;
  thread->wake_owed = false;
  thread->waker->wake(thread->waker);
}

/* ---- waiting for a lock of somebody else's ---- */

typedef struct patience {
  uint64_t since_ns, delay_ns;
} patience;

/* Sleep until the next attempt. False: the deadline (0: none) has passed. Ends early when job is
** stopped. */
static bool sleep_a_while(mp_sqlite_thread *thread, patience *p, uint64_t deadline_ns,
                          mp_sqlite_job *job)
{
  uint64_t now = now_ns();
  if (p->since_ns == 0)
    *p = (patience){.since_ns = now, .delay_ns = DELAY_MIN_NS};
  if (deadline_ns != 0 && now >= deadline_ns)
    return false;
  thread->jitter = thread->jitter * 1103515245u + 12345u;
  uint64_t until = now + p->delay_ns * (1536 + (thread->jitter >> 16 & 1023)) / 2048;
  if (deadline_ns != 0 && until > deadline_ns)
    until = deadline_ns;
  p->delay_ns = p->delay_ns * 2 < DELAY_MAX_NS ? p->delay_ns * 2 : DELAY_MAX_NS;

  struct timespec at = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
  int slept = 0;
  pthread_mutex_lock(&thread->lock);
  while (slept == 0 && !thread->quit && (job == NULL || !atomic_load(&job->stop)))
    slept = pthread_cond_timedwait(&thread->changed, &thread->lock, &at);
  pthread_mutex_unlock(&thread->lock);
  return true;
}

static bool must_quit(mp_sqlite_thread *thread)
{
  pthread_mutex_lock(&thread->lock);
  bool quit = thread->quit;
  pthread_mutex_unlock(&thread->lock);
  return quit;
}

static void open_engine(mp_sqlite_thread *thread)
{
  const mp_config *config = thread->engine->config;
  uint64_t timeout_ns = (uint64_t)config->connect_timeout_ms * 1000000u;
  /* to say what was the matter before the clock of the connection only says that time is up */
  uint64_t deadline = now_ns() + (timeout_ns > 0 ? timeout_ns / 10 * 9 : OPEN_WAIT_NS);
  patience p = {.since_ns = 0};
  while (mp_sqlite_open(thread->engine, &thread->arena, &thread->error) == MP_SQLITE_LOCKED)
    if (!sleep_a_while(thread, &p, deadline, NULL) || must_quit(thread))
      break;
  pthread_mutex_lock(&thread->lock);
  thread->opened = true;
  pthread_mutex_unlock(&thread->lock);
  thread->waker->wake(thread->waker);
}

/* ---- running ---- */

static void run(mp_sqlite_thread *thread, mp_sqlite_job *job)
{
  patience p = {.since_ns = 0};
  /* what is ready must not wait for what may take long */
  if (thread->wake_owed && !mp_sqlite_is_quick(thread->engine, job))
    pay_wake(thread);
  while (mp_sqlite_run(thread->engine, job, 0) == MP_SQLITE_LOCKED) {
    pay_wake(thread);
    if (!sleep_a_while(thread, &p, job->req->deadline_ns, job)) {
      mp_sqlite_give_up(job, now_ns() - p.since_ns);
      return;
    }
  }
}

/* Under the lock: streams that stand forbid to interrupt the handle as a whole. */
static void count(mp_sqlite_thread *thread, mp_sqlite_job *job)
{
  bool stands = job->turn == MP_SQLITE_CHUNK && job->statement != NULL;
  if (stands != job->counted)
    thread->standing_n += stands ? 1 : -1;
  job->counted = stands;
}

void mp_sqlite_thread_count(mp_sqlite_thread *thread, mp_sqlite_job *job)
{
  pthread_mutex_lock(&thread->lock);
  count(thread, job);
  pthread_mutex_unlock(&thread->lock);
}

static void *body(void *arg)
{
  mp_sqlite_thread *thread = arg;
  pthread_setname_np(pthread_self(), "moonpool-sqlite");
  open_engine(thread);
  pthread_mutex_lock(&thread->lock);
  while (!thread->quit) {
    if (mp_list_empty(&thread->queue)) {
      if (thread->wake_owed) {
        pthread_mutex_unlock(&thread->lock);
        pay_wake(thread);
        pthread_mutex_lock(&thread->lock);
        continue;
      }
      thread->sleeping = true;
      pthread_cond_wait(&thread->changed, &thread->lock);
      thread->sleeping = false;
      continue;
    }
    mp_sqlite_job *job = mp_container_of(mp_list_pop_front(&thread->queue), mp_sqlite_job, node);
    thread->running = job;
    pthread_mutex_unlock(&thread->lock);
    run(thread, job);
    pthread_mutex_lock(&thread->lock);
    if (job->turn == MP_SQLITE_CHUNK && job->statement != NULL && atomic_load(&job->stop)) {
      /* stopped behind the last look: an interrupt may have reached the statement that stands */
      pthread_mutex_unlock(&thread->lock);
      mp_sqlite_run(thread->engine, job, 0);
      pthread_mutex_lock(&thread->lock);
    }
    thread->running = NULL;
    count(thread, job);
    mp_list_push_back(&thread->done, &job->node);
    thread->wake_owed = true;
  }
  pthread_mutex_unlock(&thread->lock);

  mp_sqlite_close(thread->engine);
  pthread_mutex_lock(&thread->lock);
  thread->gone = true;
  pthread_mutex_unlock(&thread->lock);
  thread->waker->wake(thread->waker);
  return NULL;
}

/* ---- the loop's side ---- */

mp_status mp_sqlite_thread_init(mp_sqlite_thread *thread, mp_sqlite_engine *engine, mp_waker *waker)
{
  pthread_condattr_t attr;
  *thread = (mp_sqlite_thread){.engine = engine, .waker = waker};
  thread->jitter = (unsigned)now_ns();
  mp_list_init(&thread->queue);
  mp_list_init(&thread->done);
  if (pthread_condattr_init(&attr) != 0)
    return MP_E_OUT_OF_MEMORY;
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  bool made = pthread_cond_init(&thread->changed, &attr) == 0;
  pthread_condattr_destroy(&attr);
  if (!made)
    return MP_E_OUT_OF_MEMORY;
  if (pthread_mutex_init(&thread->lock, NULL) != 0) {
    pthread_cond_destroy(&thread->changed);
    return MP_E_OUT_OF_MEMORY;
  }
  engine->pause = pay_wake;
  engine->owner = thread;
  return MP_OK;
}

void mp_sqlite_thread_free(mp_sqlite_thread *thread)
{
  pthread_mutex_destroy(&thread->lock);
  pthread_cond_destroy(&thread->changed);
  mp_arena_free(thread->arena);
}

bool mp_sqlite_thread_start(mp_sqlite_thread *thread)
{
  /* signals are for the program's own threads */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&thread->id, NULL, body, thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  thread->started = code == 0;
  if (code != 0)
    mp_sqlite_fail(&thread->error, &thread->arena, MP_E_CONNECT_FAILED,
                   "cannot start a thread for the database: %s", strerrordesc_np(code));
  return thread->started;
}

bool mp_sqlite_thread_opened(mp_sqlite_thread *thread)
{
  pthread_mutex_lock(&thread->lock);
  bool opened = thread->opened;
  pthread_mutex_unlock(&thread->lock);
  return opened;
}

static void splice(mp_list *from, mp_list *to)
{
  if (mp_list_empty(from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  mp_list_init(from);
}

void mp_sqlite_thread_give(mp_sqlite_thread *thread, mp_list *jobs)
{
  pthread_mutex_lock(&thread->lock);
  splice(jobs, &thread->queue);
  bool sleeping = thread->sleeping;
  pthread_mutex_unlock(&thread->lock);
  if (sleeping)
    pthread_cond_signal(&thread->changed);
}

int mp_sqlite_thread_take(mp_sqlite_thread *thread, mp_list *jobs)
{
  int n = 0;
  pthread_mutex_lock(&thread->lock);
  for (mp_list *node = thread->done.next; node != &thread->done; node = node->next)
    n++;
  splice(&thread->done, jobs);
  pthread_mutex_unlock(&thread->lock);
  return n;
}

/* Under the lock, while a job runs. */
static void interrupt(mp_sqlite_thread *thread)
{
  if (thread->running->req->op != MP_OP_RESET) /* which may be closing the handle just now */
    sqlite3_interrupt(thread->engine->db);
}

bool mp_sqlite_thread_stop(mp_sqlite_thread *thread, mp_sqlite_job *job)
{
  bool mine = false;
  pthread_mutex_lock(&thread->lock);
  atomic_store(&job->stop, true);
  if (thread->running == job) {
    if (thread->standing_n - job->counted == 0)
      interrupt(thread);
    pthread_cond_signal(&thread->changed);
  } else {
    for (mp_list *node = thread->queue.next; node != &thread->queue && !mine; node = node->next)
      mine = node == &job->node;
    if (mine)
      mp_list_remove(&job->node);
  }
  pthread_mutex_unlock(&thread->lock);
  return mine;
}

int mp_sqlite_thread_quit(mp_sqlite_thread *thread, mp_list *jobs)
{
  int n = 0;
  pthread_mutex_lock(&thread->lock);
  thread->quit = true;
  for (mp_list *node = thread->queue.next; node != &thread->queue; node = node->next)
    n++;
  splice(&thread->queue, jobs);
  if (thread->running != NULL) {
    atomic_store(&thread->running->stop, true);
    interrupt(thread);
  }
  pthread_cond_signal(&thread->changed);
  pthread_mutex_unlock(&thread->lock);
  return n;
}

bool mp_sqlite_thread_gone(mp_sqlite_thread *thread)
{
  if (!thread->started || thread->joined)
    return true;
  pthread_mutex_lock(&thread->lock);
  bool gone = thread->gone;
  pthread_mutex_unlock(&thread->lock);
  if (gone)
    pthread_join(thread->id, NULL); /* it is about to return: this does not wait */
  thread->joined = gone;
  return gone;
}
