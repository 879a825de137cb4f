/* foundation_test.c - list, arena and status. */
#include "arena.h"
#include "list.h"
#include "status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct item {
  int value;
  mp_list node;
} item;

static int sum_in_order(const mp_list *list)
{
  int text = 0;
  for (const mp_list *node = list->next; node != list; node = node->next)
    text = text * 10 + mp_container_of(node, item, node)->value;
  return text;
}

static void a_list_keeps_its_order(void **state)
{
  mp_list list;
  item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
  (void)state;
  mp_list_init(&list);
  assert_true(mp_list_empty(&list));
  assert_null(mp_list_pop_front(&list));
  for (int i = 0; i < 3; i++)
    mp_list_push_back(&list, &items[i].node);
  mp_list_push_front(&list, &items[3].node);
  assert_int_equal(sum_in_order(&list), 4123);
  mp_list_remove(&items[1].node);
  assert_int_equal(sum_in_order(&list), 413);
  assert_ptr_equal(mp_list_pop_front(&list), &items[3].node);
  assert_int_equal(sum_in_order(&list), 13);
}

static void removing_a_node_twice_does_no_harm(void **state)
{
  mp_list list;
  item a = {.value = 1}, b = {.value = 2};
  (void)state;
  mp_list_init(&list);
  mp_list_push_back(&list, &a.node);
  mp_list_push_back(&list, &b.node);
  mp_list_remove(&a.node);
  mp_list_remove(&a.node);
  assert_int_equal(sum_in_order(&list), 2);
}

static void arena_memory_is_aligned_and_apart(void **state)
{
  mp_arena *arena = mp_arena_new(64);
  char *parts[300];
  (void)state;
  assert_non_null(arena);
  for (size_t i = 0; i < 300; i++) {
    parts[i] = mp_arena_alloc(arena, i);
    assert_non_null(parts[i]);
    assert_int_equal((uintptr_t)parts[i] % _Alignof(max_align_t), 0);
    memset(parts[i], (int)(i & 0xff), i);
  }
  for (size_t i = 0; i < 300; i++)
    for (size_t k = 0; k < i; k++)
      assert_int_equal((unsigned char)parts[i][k], i & 0xff);
  mp_arena_free(arena);
}

static void a_large_piece_leaves_the_block_in_use(void **state)
{
  mp_arena *arena = mp_arena_new(0);
  char *before = mp_arena_alloc(arena, 16), *large = mp_arena_alloc(arena, 1 << 20);
  char *after = mp_arena_alloc(arena, 16);
  (void)state;
  memset(large, 1, 1 << 20);
  assert_ptr_equal(after, before + 16);
  assert_true(mp_arena_bytes(arena) > 1 << 20);
  assert_null(mp_arena_alloc(arena, SIZE_MAX - 8));
  assert_null(mp_arena_memdup(arena, "x", SIZE_MAX));
  assert_non_null(mp_arena_alloc(arena, 16));
  mp_arena_free(arena);
  mp_arena_free(NULL);
}

static void copies_end_with_a_nul(void **state)
{
  mp_arena *arena = mp_arena_new(0);
  const char *blob = mp_arena_memdup(arena, "a\0b", 3);
  const char *zeros = mp_arena_zalloc(arena, 9);
  (void)state;
  assert_memory_equal(blob, "a\0b\0", 4);
  assert_string_equal(mp_arena_strdup(arena, "text"), "text");
  assert_string_equal(mp_arena_memdup(arena, NULL, 0), "");
  assert_string_equal(mp_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
  assert_memory_equal(zeros, "\0\0\0\0\0\0\0\0\0", 9);
  mp_arena_free(arena);
}

static void every_kind_has_a_name_and_a_family(void **state)
{
  (void)state;
  assert_string_equal(mp_status_name(MP_OK), "ok");
  assert_string_equal(mp_status_name(MP_STATUS_N), "internal");
  assert_string_equal(mp_status_name((mp_status)-1), "internal");
  assert_string_equal(mp_status_name(MP_E_UNIQUE), "unique");
  assert_string_equal(mp_status_family(MP_E_UNIQUE), "integrity");
  assert_string_equal(mp_status_parent(MP_E_CANT_OPEN), "connect_failed");
  for (int i = 1; i < MP_STATUS_N; i++) {
    assert_true(strlen(mp_status_name((mp_status)i)) > 0);
    for (int k = 1; k < i; k++)
      assert_string_not_equal(mp_status_name((mp_status)i), mp_status_name((mp_status)k));
  }
}

static void an_error_is_filled_and_copied(void **state)
{
  mp_arena *arena = mp_arena_new(0), *other = mp_arena_new(0);
  mp_error err, copy;
  (void)state;
  memset(&err, 1, sizeof err);
  assert_int_equal(mp_error_set(&err, arena, MP_E_BUSY, "%s is %d", "it", 5), MP_E_BUSY);
  assert_string_equal(err.message, "it is 5");
  assert_null(err.table);
  assert_int_equal(err.code, 0);
  err.table = "t";
  err.sent = true;
  mp_error_copy(&copy, other, &err);
  mp_arena_free(arena);
  assert_string_equal(copy.message, "it is 5");
  assert_string_equal(copy.table, "t");
  assert_true(copy.sent);
  mp_arena_free(other);
}

static void an_error_without_memory_still_says_its_kind(void **state)
{
  mp_error err, copy;
  (void)state;
  mp_error_set(&err, NULL, MP_E_DISK_FULL, "never %s", "seen");
  assert_string_equal(err.message, "disk_full");
  mp_error_copy(&copy, NULL, &err);
  assert_string_equal(copy.message, "disk_full");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_list_keeps_its_order),
      cmocka_unit_test(removing_a_node_twice_does_no_harm),
      cmocka_unit_test(arena_memory_is_aligned_and_apart),
      cmocka_unit_test(a_large_piece_leaves_the_block_in_use),
      cmocka_unit_test(copies_end_with_a_nul),
      cmocka_unit_test(every_kind_has_a_name_and_a_family),
      cmocka_unit_test(an_error_is_filled_and_copied),
      cmocka_unit_test(an_error_without_memory_still_says_its_kind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
