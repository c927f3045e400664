// An intrusive, doubly linked, circular list: the link lives in the element, so linking never
// fails.
#ifndef TLSAGENT_SERVER_BASE_LIST_H_
#define TLSAGENT_SERVER_BASE_LIST_H_

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// A list's head, or an element's place in a list. An element in no list points at itself.
struct list {
  struct list *next;
  struct list *prev;
};

// LIST_ENTRY returns the struct of the given type whose member is link.
#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

// LIST_FOR walks a list; the current element may be removed while walking.
// NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared has none
#define LIST_FOR(it, head)                                                   \
  for (struct list *it = (head)->next, *it##_next_ = it->next; it != (head); \
       it = it##_next_, it##_next_ = it->next)
// NOLINTEND(bugprone-macro-parentheses)

static inline void list_init(struct list *list) {
  list->next = list;
  list->prev = list;
}

static inline bool list_empty(const struct list *list) {
  return list->next == list;
}

static inline void list_push_back(struct list *head, struct list *element) {
  element->prev = head->prev;
  element->next = head;
  head->prev->next = element;
  head->prev = element;
}

static inline void list_push_front(struct list *head, struct list *element) {
  list_push_back(head->next, element);
}

// list_remove takes an element out of its list; an element in no list stays so.
static inline void list_remove(struct list *element) {
  element->prev->next = element->next;
  element->next->prev = element->prev;
  list_init(element);
}

// list_pop_front takes the first element out, or returns NULL.
static inline struct list *list_pop_front(struct list *head) {
  if (list_empty(head)) {
    return NULL;
  }
  struct list *first = head->next;
  head->next = first->next;
  head->next->prev = head;
  list_init(first);
  return first;
}

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_LIST_H_
