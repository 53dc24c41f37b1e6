/* SPDX-License-Identifier: BSD-2-Clause */
/* list: lists and their nodes. */
#include "base/list.h"

#include "unit/tap.h"

struct item {
	int         number;
	struct node link;
};

static struct item *
item_at(struct node *n)
{
	return container_of(n, struct item, link);
}

/* "123": the numbers in the list, forwards, and the links backwards agree. */
static const char *
contents(const struct node *head)
{
	static char  out[16];
	struct node *n, *following;
	size_t       len = 0;

	list_each(n, following, head) {
		if (n->next->prev != n || n->prev->next != n || len + 1 == sizeof out)
			return "broken";
		out[len++] = (char)('0' + item_at(n)->number);
	}
	out[len] = '\0';
	return out;
}

int
main(void)
{
	struct item items[4] = { { .number = 0 }, { .number = 1 }, { .number = 2 },
		{ .number = 3 } };
	struct node head, *n, *following;
	int         i, seen = 0;

	list_init(&head);
	ok(list_empty(&head) && list_first(&head) == NULL, "a new list is empty");
	ok(!node_linked(&items[0].link), "a node of zeros is in no list");
	list_each(n, following, &head)
		seen++;
	is_number(seen, 0, "nothing to walk over");

	for (i = 0; i < 4; i++)
		list_append(&head, &items[i].link);
	is_string(contents(&head), "0123", "in the order of appending");
	ok(node_linked(&items[0].link) && !list_empty(&head), "they are in a list");
	ok(item_at(list_first(&head)) == &items[0], "the first is found again from its node");

	node_unlink(&items[1].link);
	is_string(contents(&head), "023", "one taken from the middle");
	ok(!node_linked(&items[1].link), "it is in no list any more");
	node_unlink(&items[0].link);
	node_unlink(&items[3].link);
	is_string(contents(&head), "2", "the first and the last taken");
	list_append(&head, &items[3].link);
	list_append(&head, &items[0].link);
	is_string(contents(&head), "230", "and appended again");

	list_each(n, following, &head) {
		node_unlink(n);
		seen++;
	}
	ok(seen == 3 && list_empty(&head), "a walk may take out what it stands on");
	return done_testing();
}
