/* list.h - an intrusive, doubly linked, circular list.
** The list owns nothing: a node lives inside the thing that is listed. A node
** that is on no list points at itself, so removing it twice does no harm. */
#ifndef MP_LIST_H
#define MP_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mp_list {
  struct mp_list *next, *prev;
} mp_list;

#define mp_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void mp_list_init(mp_list *list)
{
  list->next = list->prev = list;
}

static inline bool mp_list_empty(const mp_list *list)
{
  return list->next == list;
}

static inline void mp_list_remove(mp_list *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
  mp_list_init(node);
}

/* The node must be on no list. */
static inline void mp_list_push_back(mp_list *list, mp_list *node)
{
  node->prev = list->prev;
  node->next = list;
  list->prev->next = node;
  list->prev = node;
}

static inline void mp_list_push_front(mp_list *list, mp_list *node)
{
  mp_list_push_back(list->next, node);
}

/* Remove and give the first node, or NULL when the list is empty. */
static inline mp_list *mp_list_pop_front(mp_list *list)
{
  mp_list *node = list->next;
  if (node == list)
    return NULL;
  mp_list_remove(node);
  return node;
}

#endif
