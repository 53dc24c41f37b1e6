/* SPDX-License-Identifier: BSD-2-Clause */
/* wait: what the master waits for: descriptors and deadlines, in one ppoll(2). */
#include "proc/wait.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "base/clock.h"

static struct node   watches = { &watches, &watches };
static struct node   deadlines = { &deadlines, &deadlines };	/* the nearest first */
static struct watch *turn[WAIT_WATCHES_MAX];	/* of this pass; NULL: stopped meanwhile */
static unsigned      turns;

static unsigned wait_collect(struct pollfd *);
static bool     deadline_left(struct timespec *);

uint64_t
wait_now(void)
{
	return clock_ns() / 1000000;
}

void
watch_start(struct watch *w, int fd, short events, void (*ready)(struct watch *, short what))
{
	assert(!node_linked(&w->link));
	w->fd = fd;
	w->events = events;
	w->ready = ready;
	w->at = WAIT_WATCHES_MAX;
	list_append(&watches, &w->link);
}

void
watch_stop(struct watch *w)
{
	if (!node_linked(&w->link))
		return;
	node_unlink(&w->link);
	if (w->at < turns && turn[w->at] == w)
		turn[w->at] = NULL;
}

void
deadline_set(struct deadline *d, uint64_t ms, void (*due)(struct deadline *))
{
	struct node *n;

	deadline_clear(d);
	d->at = wait_now() + ms;
	d->due = due;
	for (n = deadlines.next; n != &deadlines; n = n->next)
		if (container_of(n, struct deadline, link)->at > d->at)
			break;
	list_append(n, &d->link);	/* in front of n */
}

void
deadline_clear(struct deadline *d)
{
	if (node_linked(&d->link))
		node_unlink(&d->link);
}

int
wait_pass(const sigset_t *mask)
{
	struct pollfd   fds[WAIT_WATCHES_MAX];
	struct timespec left;
	struct node    *first;
	unsigned        n = wait_collect(fds);
	uint64_t        now;
	int             ready = ppoll(fds, n, deadline_left(&left) ? &left : NULL, mask);

	if (ready < 0 && errno != EINTR)
		return -1;
	for (unsigned i = 0; ready > 0 && i < n; i++)
		if (fds[i].revents != 0 && turn[i] != NULL)
			turn[i]->ready(turn[i], fds[i].revents);
	turns = 0;
	now = wait_now();
	while ((first = list_first(&deadlines)) != NULL) {
		struct deadline *d = container_of(first, struct deadline, link);

		if (d->at > now)
			break;
		deadline_clear(d);
		d->due(d);
	}
	return 0;
}

void
wait_forget(void)
{
	list_init(&watches);
	list_init(&deadlines);
	turns = 0;
}

static unsigned
wait_collect(struct pollfd *fds)
{
	struct node *n, *following;

	turns = 0;
	list_each(n, following, &watches) {
		struct watch *w = container_of(n, struct watch, link);

		assert(turns < WAIT_WATCHES_MAX);
		fds[turns] = (struct pollfd){ .fd = w->fd, .events = w->events };
		w->at = turns;
		turn[turns++] = w;
	}
	return turns;
}

static bool
deadline_left(struct timespec *left)
{
	struct node *first = list_first(&deadlines);
	uint64_t     now = wait_now(), at;

	if (first == NULL)
		return false;
	at = container_of(first, struct deadline, link)->at;
	at = at > now ? at - now : 0;
	left->tv_sec = (time_t)(at / 1000);
	left->tv_nsec = (long)(at % 1000) * 1000000;
	return true;
}
