/* memory.c - see memory.h. Things of one size share a block of pages, so that neither making nor dropping one looks
** for a place: each block has a list of its free cells. A block stands at a multiple of its size in one range of addresses:
** the block of a cell, and whether something is a cell at all, is seen from the address. All else is malloc's.
** An empty block serves any size again; the pages of those that nobody needs for long go back to the system. */
#include "memory.h"

#include "list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#define STEP_BYTES 16 /* between the sizes, and the alignment: malloc's */
#define SMALL_BYTES ((size_t)1024)
#define BLOCK_BYTES ((size_t)64 * 1024)
#define RANGE_BYTES ((size_t)16 << 30) /* addresses, not memory; beyond them all is malloc's */
#define FRESH_BYTES 4096 /* of a block are made cells at a time: pages are touched one by one */
#define KEPT_BYTES ((size_t)4096) /* of a block that is given back: its head */
#define PERIOD 4096 /* blocks that become empty between two looks at how many are never needed */

typedef struct cell {
  struct cell *next;
} cell;

typedef struct block {
  cell *free;
  char *fresh;      /* what was never a cell */
  uint32_t used_n;  /* cells */
  uint32_t n_bytes; /* of a cell */
  bool listed;      /* with the blocks of its size that have room, or with the empty ones */
  mp_list node;
} block;

#define HEAD_BYTES ((sizeof(block) + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES)

static struct {
  char *base, *end, *fresh;                 /* the range; what was never a block */
  block *current[SMALL_BYTES / STEP_BYTES]; /* by size: first in its list, or `none` */
  mp_list with_room[SMALL_BYTES / STEP_BYTES];
  mp_list empty, given_back; /* the one that was used last first */
  size_t empty_n, least_n;   /* empty ones now, and the fewest since the last look */
  unsigned emptied_n;
} here;

static block none; /* has no cell */

/* Another thread may have been given the allocator of this state for one of its own: that is malloc's. */
static _Thread_local bool owns;

static inline size_t class_of(size_t n_bytes)
{
  return (n_bytes - 1) / STEP_BYTES;
}

static inline bool is_cell(const void *p)
{
  return (uintptr_t)p - (uintptr_t)here.base < RANGE_BYTES;
}

static inline block *block_of(const void *p)
{
  return (block *)((uintptr_t)p & ~(uintptr_t)(BLOCK_BYTES - 1));
}

/* ---- blocks ---- */

static block *new_block(size_t class)
{
  mp_list *node = mp_list_pop_front(&here.empty);
  block *made;
  if (node == NULL)
    node = mp_list_pop_front(&here.given_back);
  else if (--here.empty_n < here.least_n)
    here.least_n = here.empty_n;
  if (node != NULL) {
    made = mp_container_of(node, block, node);
  } else {
    if (here.fresh == here.end)
      return NULL;
    made = (block *)(void *)here.fresh;
    here.fresh += BLOCK_BYTES;
  }
  made->free = NULL;
  made->fresh = (char *)made + HEAD_BYTES;
  made->used_n = 0;
  made->n_bytes = (uint32_t)((class + 1) * STEP_BYTES);
  made->listed = true;
  mp_list_init(&made->node);
  mp_list_push_front(&here.with_room[class], &made->node);
  return made;
}

/* Make cells of what was none, in the order of their addresses. */
static void add_cells(block *to)
{
  size_t left = (size_t)((char *)to + BLOCK_BYTES - to->fresh);
  size_t n = (left < FRESH_BYTES ? left : FRESH_BYTES) / to->n_bytes;
  cell **last = &to->free;
  for (size_t i = 0; i < n; i++) {
    cell *made = (cell *)(void *)to->fresh;
    *last = made;
    last = &made->next;
    to->fresh += to->n_bytes;
  }
  *last = NULL;
}

/* The first block of the size that has a free cell, or NULL: there is no memory. */
static block *find_room(size_t class)
{
  mp_list *list = &here.with_room[class];
  while (!mp_list_empty(list)) {
    block *first = mp_container_of(list->next, block, node);
    if (first->free == NULL)
      add_cells(first);
    if (first->free != NULL)
      return first;
    mp_list_remove(&first->node);
    first->listed = false;
  }
  block *made = new_block(class);
  if (made != NULL)
    add_cells(made);
  return made;
}

/* Half of the blocks that nobody needed for long: their pages go back to the system, but for the heads. */
static void give_back(void)
{
  for (size_t n = here.least_n / 2; n > 0; n--) {
    mp_list *node = here.empty.prev;
    char *pages = (char *)mp_container_of(node, block, node) + KEPT_BYTES;
    if (madvise(pages, BLOCK_BYTES - KEPT_BYTES, MADV_DONTNEED) != 0)
      break;
    mp_list_remove(node);
    mp_list_push_front(&here.given_back, node);
    here.empty_n--;
  }
  here.least_n = here.empty_n;
}

static void put_by(block *b)
{
  mp_list_push_front(&here.empty, &b->node);
  here.empty_n++;
  if (++here.emptied_n % PERIOD == 0)
    give_back();
}

/* A cell became free in a block that had none, or that has nothing else now. */
static __attribute__((noinline)) void find_list(block *b)
{
  size_t class = class_of(b->n_bytes);
  if (!b->listed) {
    b->listed = true;
    mp_list_push_back(&here.with_room[class], &b->node);
  }
  if (b->used_n == 0 && b != here.current[class]) {
    mp_list_remove(&b->node);
    put_by(b);
  }
}

/* ---- cells ---- */

/* Not in line, so that what is nearly always done needs no registers saved. */
static __attribute__((noinline)) void *take_elsewhere(size_t n_bytes)
{
  block *from = owns ? find_room(class_of(n_bytes)) : NULL;
  if (from == NULL)
    return malloc(n_bytes);
  cell *taken = from->free;
  here.current[class_of(n_bytes)] = from;
  from->free = taken->next;
  from->used_n++;
  return taken;
}

static inline void *take(size_t n_bytes)
{
  if (n_bytes > SMALL_BYTES)
    return malloc(n_bytes);
  block *from = here.current[class_of(n_bytes)];
  cell *taken = from->free;
  if (taken == NULL || !owns)
    return take_elsewhere(n_bytes);
  from->free = taken->next;
  from->used_n++;
  return taken;
}

static inline void drop(void *p)
{
  if (!is_cell(p)) {
    free(p);
    return;
  }
  block *of = block_of(p);
  cell *dropped = p;
  dropped->next = of->free;
  of->free = dropped;
  if (--of->used_n == 0 || !of->listed)
    find_list(of);
}

static __attribute__((noinline)) void *resize(void *p, size_t old_bytes, size_t n_bytes)
{
  if (is_cell(p)) {
    if (class_of(n_bytes) == class_of(old_bytes))
      return p;
  } else if (n_bytes > SMALL_BYTES) {
    return realloc(p, n_bytes);
  }
  void *to = take(n_bytes);
  if (to == NULL)
    return n_bytes <= old_bytes ? p : NULL; /* to become smaller never fails */
  memcpy(to, p, old_bytes < n_bytes ? old_bytes : n_bytes);
  drop(p);
  return to;
}

static void *allocate(void *unused, void *p, size_t old_bytes, size_t n_bytes)
{
  (void)unused;
  if (p == NULL)
    return n_bytes > 0 ? take(n_bytes) : NULL;
  if (n_bytes > 0)
    return resize(p, old_bytes, n_bytes);
  drop(p);
  return NULL;
}

void lmp_use_blocks(lua_State *L)
{
  const char *from = getenv("MOONPOOL_MALLOC");
#ifdef SANITIZED
  from = "system";
#endif
  if (from != NULL && strcmp(from, "system") == 0)
    return;
  size_t n_bytes = RANGE_BYTES + BLOCK_BYTES;
  char *range = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED)
    return;
  here.base = here.fresh = range + (BLOCK_BYTES - (uintptr_t)range % BLOCK_BYTES) % BLOCK_BYTES;
  here.end = here.base + RANGE_BYTES;
  mp_list_init(&here.empty);
  mp_list_init(&here.given_back);
  for (size_t class = 0; class < SMALL_BYTES / STEP_BYTES; class ++) {
    mp_list_init(&here.with_room[class]);
    here.current[class] = &none;
  }
  owns = true;
  lua_setallocf(L, allocate, NULL);
}
