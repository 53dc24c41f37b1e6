/* SPDX-License-Identifier: BSD-2-Clause */
/* list: doubly linked lists whose links are embedded in their members. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A head links to itself when the list is empty; a node outside any list has
 * next == NULL. */
struct node {
	struct node *next;
	struct node *prev;
};

#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static inline void
list_init(struct node *head)
{
	head->next = head->prev = head;
}

static inline bool
list_empty(const struct node *head)
{
	return head->next == head;
}

static inline bool
node_linked(const struct node *n)
{
	return n->next != NULL;
}

static inline void
list_append(struct node *head, struct node *n)
{
	n->next = head;
	n->prev = head->prev;
	head->prev->next = n;
	head->prev = n;
}

static inline void
list_prepend(struct node *head, struct node *n)
{
	list_append(head->next, n);
}

static inline void
node_unlink(struct node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

static inline struct node *
list_first(const struct node *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct node *
list_last(const struct node *head)
{
	return list_empty(head) ? NULL : head->prev;
}

/* The loop's body may unlink n. */
#define list_each(n, following, head) \
	for ((n) = (head)->next, (following) = (n)->next; (n) != (head); \
	     (n) = (following), (following) = (n)->next)

#endif
