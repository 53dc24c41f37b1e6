/* SPDX-License-Identifier: BSD-2-Clause */
/* closing: sessions that an operator wants closed end, some at a time. */
#include "session/closing.h"

#include <stdlib.h>

#include "net/loop.h"
#include "session/session.h"

#define CLOSING_TICK 100u	/* ms, on average */
#define CLOSING_SCAN 256u	/* sessions in a pass */
#define CLOSING_ONE  1000000u	/* of `credit`: a thousand seconds have so many ms */
#define CLOSING_EPOCH_MIN (2 * CLOSING_TICK)

static struct {
	void              (*over)(void);
	struct loop_timer   tick;
	bool                ticking;
	struct closing_pace pace;
	uint64_t            since;	/* ms: `credit` is as of then */
	uint64_t            credit;
} closings;

static unsigned closing_left(bool under_way);
static void closing_watch(void);
static void closing_pass(void *);
static bool closing_begin_some(void);
static void closing_look(void);
static void closing_cut(struct weir_session *);
static uint64_t closing_epoch(void);
static enum session_place closing_cohort(uint64_t epoch);

void
closings_start(void (*over)(void))
{
	closings.over = over;
	closings.ticking = false;
	loop_timer_init(&closings.tick, closing_pass, NULL);
}

void
closings_stop(void)
{
	loop_timer_stop(&closings.tick);
}

void
closing_set_pace(const struct closing_pace *pace)
{
	closings.pace = *pace;
	closings.since = loop_now();
	closings.credit = 0;
}

bool
closing_add(struct weir_session *s)
{
	/* One that is drained is as far; in FLUSH it is farther. */
	if (s->step >= STEP_FLUSH || s->ends || s->place >= SESSION_DOOMED)
		return false;
	/* What it has not read meanwhile makes no event again. */
	if (s->pauses)
		conn_again(&s->client);
	s->pauses = false;
	session_put(s, SESSION_DOOMED, false);
	closing_watch();
	return true;
}

unsigned
closing_count(void)
{
	return closing_left(true);
}

/* How many there are; under_way: without those whose end has begun. */
static unsigned
closing_left(bool under_way)
{
	unsigned           count = session_count_at(SESSION_DOOMED);
	enum session_place place;

	for (unsigned i = 0; i < SESSION_COHORTS; i++) {
		place = closing_cohort(i);
		count += session_count_at(place) - (under_way ? session_ending_at(place) : 0);
	}
	return count;
}

static void
closing_watch(void)
{
	if (closings.ticking)
		return;
	closings.ticking = true;
	loop_timer_start(&closings.tick, 0);
}

static void
closing_pass(void *argument)
{
	bool more = closing_begin_some();

	(void)argument;
	closing_look();
	closings.ticking = closing_left(false) > 0;
	/* Not in step with other workers. */
	if (closings.ticking)
		loop_timer_start(&closings.tick,
		    more ? 0 : CLOSING_TICK / 2 + (uint64_t)random() % CLOSING_TICK);
	if (closing_count() == 0)
		closings.over();
}

/* As many as are due by now. True: some that are had no room in this pass. */
static bool
closing_begin_some(void)
{
	uint64_t             now = loop_now(), rate = closings.pace.rate;
	struct weir_session *s;

	closings.credit += (now - closings.since) * rate;
	closings.since = now;
	for (unsigned i = 0; (s = session_first(SESSION_DOOMED)) != NULL; i++) {
		if (rate > 0 && closings.credit < CLOSING_ONE)
			return false;
		if (i == CLOSING_SCAN)
			return true;
		if (rate > 0)
			closings.credit -= CLOSING_ONE;
		s->ends = s->pauses = true;
		session_put(s, closing_cohort(closing_epoch()), false);
		conn_again(&s->client);
	}
	closings.credit = 0;
	return false;
}

/* Silence makes no event: some at a time have a turn; those of three epochs ago are cut
 * off, and go to the present cohort while the client takes what it has been told. */
static void
closing_look(void)
{
	uint64_t             epoch = closing_epoch();
	enum session_place   overdue = closing_cohort(epoch + 1), place;
	struct weir_session *s;
	unsigned             scan;

	for (unsigned i = 0; i < SESSION_COHORTS; i++) {
		place = closing_cohort(epoch + i);
		scan = session_count_at(place) < CLOSING_SCAN ? session_count_at(place)
							      : CLOSING_SCAN;
		for (; scan > 0 && (s = session_first(place)) != NULL; scan--) {
			session_put(s, place == overdue ? closing_cohort(epoch) : place, false);
			if (place == overdue)
				closing_cut(s);
			else if (s->step < STEP_FLUSH)
				conn_again(&s->client);
		}
	}
}

/* It may end by this. */
static void
closing_cut(struct weir_session *s)
{
	if (s->step < STEP_FLUSH)
		session_cut_off(s, SESSION_CLOSED_BY_OPERATOR);
	else if (s->step == STEP_FLUSH)
		session_close(s, SESSION_CLOSED_BY_OPERATOR);
}

/* Half of `grace` is one: an epoch's cohort has waited for that and more when the third one
 * behind it begins. */
static uint64_t
closing_epoch(void)
{
	uint64_t half = (closings.pace.grace + 1) / 2;

	return loop_now() / (half > CLOSING_EPOCH_MIN ? half : CLOSING_EPOCH_MIN);
}

static enum session_place
closing_cohort(uint64_t epoch)
{
	return (enum session_place)(SESSION_CLOSING + epoch % SESSION_COHORTS);
}
