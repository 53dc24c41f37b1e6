/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer: a hierarchical timing wheel.
 *
 *	level 0   64 slots of 1 tick        fire
 *	level 1   64 slots of 64 ticks      ─► spread over level 0
 *	level 2   64 slots of 4096 ticks    ─► spread over levels 1 and 0
 *	…
 *
 * A slot is turned to at the tick at which its span begins. Seen from the tick
 * that has been reached, each slot lies 1 to 64 spans of its level ahead, never
 * 0: so every timer in it belongs to the same turn.
 */
#include "net/timer.h"

#include <assert.h>
#include <stddef.h>

#define SLOTS 64u
#define BITS  6u

#define NEVER UINT64_MAX
/* The farthest that the top level reaches; what is later is looked at again. */
#define REACH ((UINT64_C(1) << (BITS * TIMER_LEVELS)) - 1)

static_assert(SLOTS == 1u << BITS, "a slot's number is a digit of the tick");
static_assert(sizeof(((struct timer_wheel *)NULL)->slot[0]) == SLOTS * sizeof(struct node),
	"as the header says");

/* The first tick at which `at` has come: never early. */
static uint64_t
timer_due_tick(uint64_t at)
{
	return at / TIMER_TICK + (at % TIMER_TICK != 0);
}

void
timer_wheel_init(struct timer_wheel *w, uint64_t now)
{
	unsigned level, i;

	w->tick = now / TIMER_TICK;
	w->count = 0;
	for (level = 0; level < TIMER_LEVELS; level++) {
		w->occupied[level] = 0;
		for (i = 0; i < SLOTS; i++)
			list_init(&w->slot[level][i]);
	}
}

/* due: the wheel's tick or later. */
static void
timer_insert(struct timer_wheel *w, struct timer *t, uint64_t due)
{
	unsigned level = 0, i;

	if (due - w->tick > REACH)
		due = w->tick + REACH;
	while (due - w->tick >= UINT64_C(1) << (BITS * (level + 1)))
		level++;
	i = (due >> (BITS * level)) & (SLOTS - 1);
	list_append(&w->slot[level][i], &t->link);
	w->occupied[level] |= UINT64_C(1) << i;
}

void
timer_arm(struct timer_wheel *w, struct timer *t, uint64_t at)
{
	uint64_t due;

	if (timer_armed(t))
		timer_disarm(w, t);
	t->at = at;
	due = timer_due_tick(at);
	timer_insert(w, t, due > w->tick ? due : w->tick + 1);
	w->count++;
}

void
timer_disarm(struct timer_wheel *w, struct timer *t)
{
	struct node *before;
	size_t       i;

	if (!timer_armed(t))
		return;
	before = t->link.prev;
	node_unlink(&t->link);
	w->count--;
	if (!list_empty(before))
		return;
	/* A node that links to itself is a slot's head: that slot is empty now. */
	i = (size_t)(before - &w->slot[0][0]);
	assert(i < (size_t)TIMER_LEVELS * SLOTS);
	w->occupied[i / SLOTS] &= ~(UINT64_C(1) << (i % SLOTS));
}

/* The next tick at which a slot is to be turned to. */
static uint64_t
timer_next_tick(const struct timer_wheel *w)
{
	uint64_t next = NEVER, reached, bits, tick;
	unsigned level, shift;

	for (level = 0; level < TIMER_LEVELS; level++) {
		bits = w->occupied[level];
		if (bits == 0)
			continue;
		reached = w->tick >> (BITS * level);
		shift = (reached + 1) & (SLOTS - 1);
		if (shift > 0)
			bits = bits >> shift | bits << (SLOTS - shift);
		tick = (reached + 1 + (unsigned)__builtin_ctzll(bits)) << (BITS * level);
		if (tick < next)
			next = tick;
	}
	return next;
}

/* Spreads those slots of the higher levels whose span begins at the wheel's tick. */
static void
timer_turn(struct timer_wheel *w)
{
	struct node  *n, *head;
	struct timer *t;
	unsigned      level, i;

	for (level = TIMER_LEVELS - 1; level > 0; level--) {
		if ((w->tick & ((UINT64_C(1) << (BITS * level)) - 1)) != 0)
			continue;
		i = (w->tick >> (BITS * level)) & (SLOTS - 1);
		head = &w->slot[level][i];
		w->occupied[level] &= ~(UINT64_C(1) << i);
		/* None comes back here: from where their span begins they lie less than one
		 * span ahead, and those beyond REACH go to the last of the other slots. */
		while ((n = list_first(head)) != NULL) {
			t = container_of(n, struct timer, link);
			node_unlink(n);
			timer_insert(w, t, timer_due_tick(t->at));
		}
	}
}

void
timer_wheel_run(struct timer_wheel *w, uint64_t now, void (*fire)(struct timer *))
{
	uint64_t     end = now / TIMER_TICK, tick;
	struct node *n, *head;

	while ((tick = timer_next_tick(w)) <= end) {
		w->tick = tick;
		timer_turn(w);
		head = &w->slot[0][tick & (SLOTS - 1)];
		while ((n = list_first(head)) != NULL) {
			struct timer *t = container_of(n, struct timer, link);

			timer_disarm(w, t);
			fire(t);
		}
	}
	if (w->tick < end)
		w->tick = end;
}

int64_t
timer_wheel_wait(const struct timer_wheel *w, uint64_t now)
{
	uint64_t next = timer_next_tick(w);

	if (next == NEVER)
		return INT64_MAX;
	next *= TIMER_TICK;
	return next > now ? (int64_t)(next - now) : 0;
}
