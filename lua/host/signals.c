/* signals.c - see signals.h. The state is the process's: signals are, and a program has one Lua state.
** The handler itself only sets flags, hooks and an async handle, all of which may be done inside one. */
#include "signals.h"

#include "operation.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_NS 2000000000

/* A task that reaches a wait point within so many instructions is cancelled there, not in the middle. */
#define GRACE_INSTRUCTIONS 200000

static struct {
  pthread_t thread;              /* the only one that runs Lua */
  volatile sig_atomic_t pending; /* the signal that Lua was not told of yet, 0: none */
  int64_t interrupted_ns;        /* when SIGINT came last */
  uv_async_t wake;
  volatile sig_atomic_t wakes; /* the async handle is open */
  lmp_op *op;                  /* the operation that becomes ready, or NULL */
  lua_State **volatile tasks;  /* coroutines that a hook can stop. NULL: a free place */
  int *free_places;
  int room, free_n;
} here;

static const char hook_key = 'h';

static void set_hooks(lua_Hook hook)
{
  for (int i = 0; i < here.room; i++)
    if (here.tasks[i] != NULL)
      lua_sethook(here.tasks[i], hook, hook != NULL ? LUA_MASKCOUNT : 0, GRACE_INSTRUCTIONS);
}

/* Runs between two instructions of a task. The Lua function raises in the task, or tells whether it is done. */
static void stop_task(lua_State *L, lua_Debug *ar)
{
  (void)ar;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hook_key);
  lua_pushinteger(L, here.pending);
  lua_call(L, 1, 1);
  if (lua_toboolean(L, -1))
    lua_sethook(L, NULL, 0, 0);
  lua_pop(L, 1);
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void received(int signum)
{
  int kept = errno;
  if (!pthread_equal(pthread_self(), here.thread)) {
    pthread_kill(here.thread, signum); /* hooks belong to the thread that runs Lua */
    errno = kept;
    return;
  }
  if (signum == SIGINT) {
    int64_t now = now_ns();
    if (here.interrupted_ns != 0 && now - here.interrupted_ns < AGAIN_NS)
      _exit(128 + SIGINT);
    here.interrupted_ns = now;
  }
  here.pending = signum;
  set_hooks(stop_task);
  if (here.wakes)
    uv_async_send(&here.wake);
  errno = kept;
}

/* Nobody reads what the program prints: it ends in order. A socket that broke is its connection's own affair. */
static void pipe_broken(int signum)
{
  struct pollfd out = {.fd = STDOUT_FILENO};
  int kept = errno;
  /* one is enough: each would give the task that prints its grace again */
  if (here.pending == 0 && poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0)
    received(signum);
  errno = kept;
}

static void woken(uv_async_t *wake)
{
  lmp_op *op = here.op;
  (void)wake;
  if (op == NULL || here.pending == 0)
    return;
  here.op = NULL;
  op->number = (uint64_t)here.pending;
  here.pending = 0;
  lmp_op_ready(op, true);
}

static void set_handler(int signum, void (*handler)(int))
{
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(signum, &action, NULL);
}

static void abandon(lmp_op *op)
{
  if (here.op == op)
    here.op = NULL;
}

static bool open_wake(mp_loop *loop)
{
  if (uv_async_init(mp_loop_uv(loop), &here.wake, woken) != 0)
    return false;
  here.wake.data = NULL;
  uv_unref((uv_handle_t *)&here.wake); /* waiting for a signal keeps no program alive */
  here.thread = pthread_self();
  here.wakes = true;
  set_handler(SIGINT, received);
  set_handler(SIGTERM, received);
  set_handler(SIGPIPE, pipe_broken);
  return true;
}

/* wait() -> op: finishes with the next signal; take gives its number. */
static int signals_wait(lua_State *L)
{
  lmp_hub *hub = lmp_hub_of(L);
  mp_loop *loop = lmp_loop(L, hub);
  lmp_op *op = lmp_op_new(L, hub, LMP_OP_SIGNAL);
  op->abandon = abandon;
  if (!here.wakes && !open_wake(loop)) {
    lmp_op_free(op);
    return luaL_error(L, "no handle for signals");
  }
  here.op = op;
  if (here.pending != 0)
    woken(&here.wake); /* it came between two waits */
  lmp_push_op(L, op);
  return 1;
}

/* on_busy(fn): fn(signal) runs in a task that computes when a signal has come (0: it was handled meanwhile). It raises
** to stop the task, or says whether it need not be asked again. */
static int signals_on_busy(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hook_key);
  return 0;
}

/* handled(): every task knows; nobody is stopped any more. */
static int signals_handled(lua_State *L)
{
  (void)L;
  set_hooks(NULL);
  return 0;
}

/* add(coroutine) -> place: a signal may stop it while it computes. */
static int signals_add(lua_State *L)
{
  lua_State *task = lua_tothread(L, 1);
  int place;
  luaL_argcheck(L, task != NULL, 1, "a coroutine");
  if (here.free_n == 0) {
    int room = here.room == 0 ? 64 : here.room * 2;
    lua_State **tasks = calloc((size_t)room, sizeof(lua_State *));
    lua_State **old = here.tasks;
    int *free_places = realloc(here.free_places, (size_t)room * sizeof(int));
    if (free_places != NULL)
      here.free_places = free_places;
    if (free_places == NULL || tasks == NULL) {
      free(tasks);
      return luaL_error(L, "not enough memory");
    }
    for (int i = 0; i < here.room; i++)
      tasks[i] = old[i];
    here.tasks = tasks; /* a signal here sees one array or the other: both hold the same tasks */
    for (int i = room - 1; i >= here.room; i--)
      here.free_places[here.free_n++] = i;
    here.room = room;
    free(old);
  }
  place = here.free_places[--here.free_n];
  here.tasks[place] = task;
  lua_pushinteger(L, place);
  return 1;
}

/* remove(place): its task has ended. */
static int signals_remove(lua_State *L)
{
  int place = (int)luaL_checkinteger(L, 1);
  luaL_argcheck(L, place >= 0 && place < here.room && here.tasks[place] != NULL, 1, "a place");
  here.tasks[place] = NULL;
  here.free_places[here.free_n++] = place;
  return 0;
}

/* close(): signals do again what they do by default, but SIGPIPE, which does nothing. */
static int signals_close(lua_State *L)
{
  lmp_hub *hub = lmp_hub_of(L);
  if (!here.wakes || hub->loop == NULL)
    return 0;
  set_handler(SIGINT, SIG_DFL);
  set_handler(SIGTERM, SIG_DFL);
  set_handler(SIGPIPE, SIG_IGN);
  here.wakes = false;
  if (here.op != NULL)
    lmp_op_forget(here.op);
  uv_close((uv_handle_t *)&here.wake, NULL);
  uv_run(mp_loop_uv(hub->loop), UV_RUN_NOWAIT);
  free(here.tasks);
  free(here.free_places);
  here.tasks = NULL;
  here.free_places = NULL;
  here.room = here.free_n = 0;
  return 0;
}

void lmp_push_signals(lua_State *L)
{
  static const luaL_Reg functions[] = {{"wait", signals_wait},
                                       {"on_busy", signals_on_busy},
                                       {"handled", signals_handled},
                                       {"add", signals_add},
                                       {"remove", signals_remove},
                                       {"close", signals_close},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushinteger(L, SIGINT);
  lua_setfield(L, -2, "INT");
  lua_pushinteger(L, SIGTERM);
  lua_setfield(L, -2, "TERM");
}
