/* SPDX-License-Identifier: BSD-2-Clause */
/* generations: all that are alive, and what is found in them. */
#include "proc/generations.h"

#include <errno.h>
#include <string.h>

#include "proc/generation.h"
#include "proc/message.h"
#include "proc/post.h"
#include "upstream/board.h"

struct node generations = { &generations, &generations };

/* Children that ended before their template had said that they exist. */
static struct {
	pid_t    pid[16];
	int      status[16];
	unsigned next;
} strays;

int
generations_index(bool forced)
{
	return !forced && generations_are_full() ? -1 : board_generation_take();
}

bool
generations_are_full(void)
{
	struct node *n, *following;
	unsigned     alive = 0;

	list_each(n, following, &generations)
		alive++;
	return alive >= BOARD_GENERATIONS - 1;
}

struct generation *
generation_building(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step < GENERATION_RUNNING || g->step == GENERATION_DROPPING)
			return g;
	}
	return NULL;
}

struct generation *
generation_running(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING)
			return g;
	}
	return NULL;
}

struct generation *
generation_retiring(void)
{
	for (struct node *n = generations.prev; n != &generations; n = n->prev) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RETIRING)
			return g;
	}
	return NULL;
}

struct post *
generations_post(pid_t pid)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->process_count; i++)
			if (g->posts[i].pid == pid && pid != 0)
				return &g->posts[i];
	}
	return NULL;
}

struct post *
generation_post(const struct generation *g, unsigned slot)
{
	if (slot == POST_KEEPER && g->process_count > g->post_count)
		return &g->posts[g->post_count];
	return slot < g->post_count ? &g->posts[slot] : NULL;
}

int
generation_tell(struct generation *g, const struct message *m)
{
	if (g->channel < 0) {
		errno = EPIPE;
		return -1;
	}
	return message_send(g->channel, m);
}

void
generations_note_stray(pid_t pid, int status)
{
	strays.pid[strays.next % 16] = pid;
	strays.status[strays.next % 16] = status;
	strays.next++;
}

bool
generations_take_stray(pid_t pid, int *status)
{
	for (unsigned i = 0; i < 16; i++)
		if (strays.pid[i] == pid) {
			*status = strays.status[i];
			strays.pid[i] = 0;
			return true;
		}
	return false;
}

void
generations_forget_strays(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->process_count; i++)
			if (g->posts[i].state == POST_ASKED)
				return;
	}
	memset(&strays, 0, sizeof strays);
}
