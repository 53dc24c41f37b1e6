/* SPDX-License-Identifier: BSD-2-Clause */
/* admission: TLS handshakes that compete for this process. */
#include "net/admission.h"

#include <stddef.h>

#include "net/conn.h"

#define LOOK_PAUSE 100u	/* ms between looks at those that are open, while others wait */

static void admission_wait(struct admission *, struct admission_place *);
static void admission_wake(struct admission *);
static bool admission_is_spent(struct admission *);
static void admission_give_up_old(void *);
static uint64_t admission_count_waiting(const struct admission *, const void **with);

void
admission_start(struct admission *a, uint64_t most)
{
	list_init(&a->open);
	list_init(&a->waiting);
	a->count = 0;
	a->most = most;
	a->age = ADMISSION_AGE;
	a->pass = 0;
	a->computed = 0;
	a->looking = false;
	loop_timer_init(&a->look, admission_give_up_old, a);
}

void
admission_stop(struct admission *a)
{
	loop_timer_stop(&a->look);
}

enum admission_answer
admission_enter(struct admission *a, struct admission_place *p)
{
	const struct node *first = list_first(&a->waiting);
	/* Those that wait already come first. */
	bool               next = a->count < a->most && (first == NULL || first == &p->link);

	if (!next)
		admission_wait(a, p);
	if (p->waited && p->conn->closed)
		return ADMISSION_GONE;
	if (!next)
		return ADMISSION_WAITS;
	if (admission_is_spent(a)) {
		conn_again(p->conn);
		return ADMISSION_WAITS;
	}
	if (node_linked(&p->link))
		node_unlink(&p->link);
	list_append(&a->open, &p->link);
	p->open = true;
	p->since = loop_now();
	a->count++;
	/* There may be room for more than one. */
	admission_wake(a);
	return ADMISSION_OPEN;
}

bool
admission_may_compute(struct admission *a, struct admission_place *p)
{
	if (!admission_is_spent(a))
		return true;
	conn_again(p->conn);
	return false;
}

void
admission_leave(struct admission *a, struct admission_place *p)
{
	if (!node_linked(&p->link))
		return;
	node_unlink(&p->link);
	if (p->open)
		a->count--;
	p->open = false;
	/* Whoever it is: this one may have been woken, and passes it on. */
	admission_wake(a);
}

static void
admission_wait(struct admission *a, struct admission_place *p)
{
	p->waited = true;
	if (!node_linked(&p->link))
		list_append(&a->waiting, &p->link);
	if (!a->looking) {
		a->looking = true;
		loop_timer_start(&a->look, LOOK_PAUSE);
	}
}

/* The first that waits, if there is room for it. */
static void
admission_wake(struct admission *a)
{
	struct node *first = list_first(&a->waiting);

	if (a->count < a->most && first != NULL)
		conn_again(container_of(first, struct admission_place, link)->conn);
}

/* Whether as many as may have computed in this pass. */
static bool
admission_is_spent(struct admission *a)
{
	if (loop_micros() != a->pass) {
		a->pass = loop_micros();
		a->computed = 0;
	}
	return a->computed++ >= ADMISSION_BATCH;
}

/* Until there is room for all that wait; but each has its time. */
static void
admission_give_up_old(void *argument)
{
	struct admission       *a = argument;
	struct admission_place *p;
	struct node            *n, *next;
	const void             *with;
	uint64_t                waiting = admission_count_waiting(a, &with);
	uint64_t                room = a->most - a->count;

	list_each(n, next, &a->open) {
		p = container_of(n, struct admission_place, link);
		if (room >= waiting || p->since + a->age > loop_now())
			break;
		if (with != NULL && p->with == with)
			continue;
		room++;
		p->given_up = true;
		conn_again(p->conn);
	}
	a->looking = waiting > 0;
	if (a->looking)
		loop_timer_start(&a->look, LOOK_PAUSE);
}

/* *with: the one that all of them are with, or NULL. */
static uint64_t
admission_count_waiting(const struct admission *a, const void **with)
{
	struct node            *n, *next;
	struct admission_place *p;
	uint64_t                count = 0;

	*with = NULL;
	list_each(n, next, &a->waiting) {
		p = container_of(n, struct admission_place, link);
		*with = (count++ == 0 || *with == p->with) ? p->with : NULL;
	}
	return count;
}
