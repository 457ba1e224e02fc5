/* SPDX-License-Identifier: MIT */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A ring of links; an empty list and a link that is in none point to themselves. */
struct list {
	struct list *next;
	struct list *previous;
};

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
	link->next = list;
	link->previous = list->previous;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_remove(struct list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	list_init(link);
}

#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#define list_for_each_entry(entry, list, type, member)                                             \
	for (type *entry = list_entry((list)->next, type, member); &entry->member != (list);       \
	     entry = list_entry(entry->member.next, type, member))

/* The body may remove and free the entry. */
#define list_for_each_entry_safe(entry, list, type, member)                                        \
	for (type *entry = list_entry((list)->next, type, member),                                 \
		  *entry##_next = list_entry(entry->member.next, type, member);                    \
	     &entry->member != (list);                                                             \
	     entry = entry##_next, entry##_next = list_entry(entry->member.next, type, member))

#endif /* COMMON_LIST_H */
