/* SPDX-License-Identifier: BSD-2-Clause */
/* move: sessions go on in another worker. */
#include "session/move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "session/closing.h"
#include "session/parcel.h"
#include "session/record.h"
#include "session/session.h"
#include "upstream/board.h"

#define MOVE_SCAN     256u	/* sessions looked at in a pass */
#define MOVE_EARLY      5u	/* ms, until that worker may serve */
#define MOVE_FULL       2u	/* ms, until there may be room in its channel */
#define MOVE_FAILED   100u	/* ms, after what is not about room there */
#define MOVE_PATIENCE   5u	/* times that nobody has room, until that is told */
#define MOVE_TICK     100u	/* ms, on average, between looks at those that are drained */
#define MOVE_REASONS    8u

static void move_pass(void *);
static bool move_one_batch(void);
static void move_serve(void);
static bool move_collect(struct parcel *, const struct move_heir *);
static bool move_add(struct parcel *, struct weir_session *, unsigned room);
static bool move_send(struct parcel *, const struct move_heir *);
static void move_bind(struct weir_session *, const char *why);
static void move_unpause(struct weir_session *, enum session_place);
static void move_again(uint64_t ms);
static void move_settle(void);
static void move_drain_some(void *);
static struct weir_session *move_next_to_end(void);
static unsigned move_left(void);
static void move_drain_again(void);

static struct {
	const struct move_ops *ops;
	struct loop_timer      next;
	bool                   all;	/* rather than `wanted` */
	unsigned               wanted;	/* yet to go, by move_some */
	unsigned               moved;
	unsigned               told_busy;
	unsigned               crowded;		/* times that nobody had room, in a row */
	bool                   settled;

	struct weir_session   *batch[MOVE_BATCH];
	unsigned               count;	/* in it */

	/* why sessions stay, of those since the last time that it was told */
	struct {
		const char *why;
		unsigned    sessions;
	} reasons[MOVE_REASONS];

	struct loop_timer      drain;
	uint64_t               drain_since;	/* ms; 0: nobody is drained */
	uint64_t               drain_for;
	unsigned               drained;		/* told to end */
} moves;

static char move_data[PARCEL_SIZE];
static int  move_fds[PARCEL_FDS];

void
moves_start(const struct conf *conf, unsigned seat, const struct move_ops *ops)
{
	records_start(conf, seat);
	memset(&moves, 0, sizeof moves);
	moves.ops = ops;
	loop_timer_init(&moves.next, move_pass, NULL);
	loop_timer_init(&moves.drain, move_drain_some, NULL);
}

void
moves_stop(void)
{
	loop_timer_stop(&moves.next);
	loop_timer_stop(&moves.drain);
	parcels_stop();
}

/* ------------------------------------------------------------------- going */

void
move_all(void)
{
	struct weir_session *s;

	for (unsigned i = SESSION_BUSY; i <= SESSION_STAYS; i++)
		while ((s = session_first((enum session_place)i)) != NULL)
			move_unpause(s, SESSION_HERE);
	moves.all = true;
	moves.settled = false;
	moves.moved = 0;
	moves.crowded = 0;
	move_again(0);
}

void
move_none(void)
{
	struct weir_session *s;

	moves.all = false;
	moves.wanted = 0;
	loop_timer_stop(&moves.next);
	while ((s = session_first(SESSION_BUSY)) != NULL)
		move_unpause(s, SESSION_HERE);
	move_serve();
}

void
move_some(unsigned count)
{
	if (count > 0 || moves.wanted > 0)
		move_again(0);
	moves.wanted = count;
}

static void
move_again(uint64_t ms)
{
	loop_timer_start(&moves.next, ms);
}

/* Nobody goes on with them now: those that pause for that are served on. */
static void
move_serve(void)
{
	struct weir_session *s;

	while ((s = session_first(SESSION_HERE)) != NULL && s->pauses)
		move_unpause(s, SESSION_HERE);
}

static void
move_pass(void *argument)
{
	uint64_t began = clock_ns();

	(void)argument;
	while (move_one_batch() && clock_ns() - began < MOVE_SHARE)
		;
	move_settle();
}

/* False: no more for now. */
static bool
move_one_batch(void)
{
	struct parcel    p;
	struct move_heir heir;
	bool             more = false;

	if (!moves.ops->heir(&heir)) {
		moves.crowded++;
		move_serve();
		move_again(MOVE_FAILED);
		return false;
	}
	moves.crowded = 0;
	parcel_open(&p, move_data, move_fds);
	moves.count = 0;
	if (!move_collect(&p, &heir))
		move_again(MOVE_EARLY);
	else if (moves.count > 0)
		more = move_send(&p, &heir);
	else if (moves.all && session_first(SESSION_HERE) != NULL)
		move_again(0);
	parcel_close(&p);
	return more;
}

/* False: that worker serves nobody yet. */
static bool
move_collect(struct parcel *p, const struct move_heir *heir)
{
	struct weir_session *s, *following;
	const char          *why;
	unsigned             scan = MOVE_SCAN;

	for (s = session_first(SESSION_HERE); s != NULL && scan-- > 0; s = following) {
		if (moves.count == MOVE_BATCH || (!moves.all && moves.count == moves.wanted))
			break;
		following = session_next(s);
		switch (record_check(s, heir, &why)) {
		case RECORD_READY:
			if (!move_add(p, s, heir->room))
				return true;
			break;
		case RECORD_EARLY:
			return false;
		case RECORD_BUSY:
			if (moves.all) {
				s->pauses = true;
				session_put(s, SESSION_BUSY, false);
				conn_again(&s->client);
			} else
				session_put(s, SESSION_HERE, false);
			break;
		case RECORD_BOUND:
			move_bind(s, why);
			break;
		}
	}
	return true;
}

/* False: the parcel is full. */
static bool
move_add(struct parcel *p, struct weir_session *s, unsigned room)
{
	struct parcel_mark m = parcel_mark(p);

	record_write(s, p);
	if (!p->bad && p->fd_count <= room) {
		moves.batch[moves.count++] = s;
		return true;
	}
	parcel_reset(p, m);
	if (moves.count > 0)
		return false;
	move_bind(s, "more waits in them than can be sent");
	return true;
}

/* Whether another batch can follow; then one does, at once or in the next pass. */
static bool
move_send(struct parcel *p, const struct move_heir *heir)
{
	int error = 0;

	/* Before they can arrive: it takes them from what is on its way to it. */
	for (unsigned i = 0; i < moves.count; i++)
		record_announce_tokens(moves.batch[i], heir->seat);
	if (moves.ops->send((struct weir_span){ p->data, p->at }, p->fds, p->fd_count) < 0)
		error = errno;
	/* The last that departs is told of. */
	if (error == 0)
		moves.moved += moves.count;
	for (unsigned i = 0; i < moves.count; i++)
		if (error == 0) {
			record_note_sent(moves.batch[i]);
			session_depart(moves.batch[i]);
		} else {
			record_withdraw_tokens(moves.batch[i], heir->seat);
			if (moves.batch[i]->pauses)	/* it may take long */
				move_unpause(moves.batch[i], SESSION_HERE);
		}
	if (error != 0) {
		move_again(error == EAGAIN ? MOVE_FULL : MOVE_FAILED);
		return false;
	}
	if (!moves.all)
		moves.wanted -= moves.count;
	if ((!moves.all && moves.wanted == 0) || session_first(SESSION_HERE) == NULL)
		return false;
	move_again(0);
	return true;
}

/* It stays. Of those that are only to be fewer it is the last that is tried. */
static void
move_bind(struct weir_session *s, const char *why)
{
	move_unpause(s, moves.all ? SESSION_STAYS : SESSION_HERE);
	for (unsigned i = 0; moves.all && i < MOVE_REASONS; i++)
		if (moves.reasons[i].sessions == 0 || strcmp(moves.reasons[i].why, why) == 0) {
			moves.reasons[i].why = why;
			moves.reasons[i].sessions++;
			break;
		}
}

/* What it has not read meanwhile makes no event again: it has a turn. */
static void
move_unpause(struct weir_session *s, enum session_place place)
{
	moves.drained -= s->ends;
	if (s->pauses)
		conn_again(&s->client);
	s->pauses = s->ends = false;
	session_put(s, place, false);
}

void
move_note(struct weir_session *s)
{
	const char      *why;
	struct move_heir heir;

	if (s->ends && s->step < STEP_FLUSH && record_is_clean(s))
		session_finish(s,
		    s->place >= SESSION_CLOSING ? SESSION_CLOSED_BY_OPERATOR : SESSION_SHUTDOWN);
	else if (!s->ends && s->place == SESSION_BUSY &&
	    (!moves.ops->heir(&heir) || record_check(s, &heir, &why) != RECORD_BUSY)) {
		session_put(s, SESSION_HERE, true);
		move_again(0);
	}
}

void
move_review(void)
{
	if (moves.all)
		move_settle();
}

/* All have been looked at; or those that were busy have gone. */
static void
move_settle(void)
{
	unsigned           busy = session_count_at(SESSION_BUSY);
	struct move_counts counts;

	if (!moves.all ||
	    (session_count_at(SESSION_HERE) > 0 && moves.crowded < MOVE_PATIENCE) ||
	    (moves.settled && (moves.told_busy == 0 || busy > 0)))
		return;
	moves.settled = true;
	moves.told_busy = busy;
	for (unsigned i = 0; i < MOVE_REASONS; i++) {
		if (moves.reasons[i].sessions > 0)
			log_notice("%u sessions stay in this worker: %s",
			    moves.reasons[i].sessions, moves.reasons[i].why);
		moves.reasons[i].sessions = 0;
	}
	if (closing_count() > 0)
		log_notice("%u sessions stay in this worker: they are about to be closed",
		    closing_count());
	counts = (struct move_counts){
		.moved = moves.moved,
		.busy = busy,
		.stay = session_count_at(SESSION_STAYS) - session_ending_at(SESSION_STAYS) +
		    closing_count(),
		.wait = session_count_at(SESSION_HERE) - session_ending_at(SESSION_HERE),
	};
	moves.ops->settled(&counts);
}

/* ------------------------------------------------------------------ staying */

void
move_drain(uint64_t ms)
{
	moves.drain_since = loop_now();
	moves.drain_for = ms - ms / 8;	/* what is told to end has time to */
	loop_timer_start(&moves.drain, 0);
}

/* As many as have to have been told by now. */
static void
move_drain_some(void *argument)
{
	uint64_t             past = loop_now() - moves.drain_since, due;
	struct weir_session *s;

	(void)argument;
	due = moves.drained + move_left();
	if (past < moves.drain_for)
		due = due * past / moves.drain_for;
	while (moves.drained < due && (s = move_next_to_end()) != NULL) {
		moves.drained++;
		s->ends = s->pauses = true;
		session_put(s, SESSION_BUSY, false);
		conn_again(&s->client);
	}
	move_drain_again();
	loop_timer_start(&moves.drain, MOVE_TICK / 2 + (uint64_t)random() % MOVE_TICK);
}

/* When nobody goes on with any, or has had no room for long, all of them stay. */
static bool
move_all_stay(void)
{
	return !moves.all || moves.crowded >= MOVE_PATIENCE;
}

static struct weir_session *
move_next_to_end(void)
{
	struct weir_session *s = session_first(SESSION_STAYS);

	return s == NULL && move_all_stay() ? session_first(SESSION_HERE) : s;
}

static unsigned
move_left(void)
{
	return session_count_at(SESSION_STAYS) +
	    (move_all_stay() ? session_count_at(SESSION_HERE) : 0);
}

/* Those that were not clean have no event of becoming so by silence: some of them at a
 * time have a turn. */
static void
move_drain_again(void)
{
	struct weir_session *s, *following;
	unsigned             scan = MOVE_SCAN;

	for (s = session_first(SESSION_BUSY); s != NULL && scan-- > 0; s = following) {
		following = session_next(s);
		if (s->ends && s->step < STEP_FLUSH) {
			conn_again(&s->client);
			session_put(s, SESSION_BUSY, false);
		}
	}
}

/* ------------------------------------------------------------------- coming */

void
move_arrived(struct weir_span data, const int *fds, unsigned count, unsigned sent_to)
{
	struct parcel p, part;
	unsigned      strange = 0;

	parcel_read(&p, data.data, data.len, fds, count);
	p.bad |= sent_to >= BOARD_SEATS;
	while (parcel_cut(&p, &part)) {
		if (!record_read(&part, sent_to))
			strange++;
		parcel_discard(&part);
	}
	parcel_discard(&p);
	if (moves.all) {
		moves.settled = false;	/* they are to go, too */
		move_again(0);
	}
	if (p.bad || strange > 0)
		log_alert("what another worker has sent makes no sense: %u sessions of it are lost",
		    strange);
}
