/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_session: a connection of a backend: reading, waiting, ending. */
#include "stress/serve_session.h"

#include "base/slab.h"
#include "base/str.h"
#include "stress/serve_again.h"
#include "stress/serve_door.h"
#include "stress/serve_kind.h"
#include "stress/serve_reply.h"
#include "stress/tally.h"

enum {
	READS  = 4,		/* a turn */
	HOLD   = 60000000,	/* µs: of what has stalled, after the client's FIN */
	UNSURE = 200000,	/* µs: then a reset behind what was read last is found */
};

static struct {
	struct slab slab;
	struct node dead;
} sessions;

static void ready(struct conn *);
static void fired(struct alarm *);
static void step(struct session *);
static void read_some(struct session *);
static bool may_read(const struct session *);
static void settle(struct session *);
static void wait_on(struct session *);

static const struct conn_handler handler = { .ready = ready };

void
sessions_start(void)
{
	slab_init(&sessions.slab, sizeof(struct session));
	list_init(&sessions.dead);
}

bool
session_open(struct door *d, int fd, uint64_t number)
{
	struct session *s = slab_take(&sessions.slab);

	if (s == NULL || alarm_init(&s->alarm, fired) < 0) {
		slab_give(&sessions.slab, s);
		return false;
	}
	if (conn_adopt(&s->conn, fd, &handler) < 0) {
		alarm_finish(&s->alarm);
		slab_give(&sessions.slab, s);
		return false;
	}
	s->door = d;
	s->rng = rng_make(doors_options()->seed, number);
	s->end = HARM_NONE;
	list_init(&s->replies);
	list_append(&d->sessions, &s->link);
	tally_add(&doors_counts()->open, 1);
	if (harm_happens(s, HARM_DOOR)) {
		harm_end(s, HARM_DOOR);
	} else if (harm_happens(s, HARM_REFUSE)) {
		harm_end(s, HARM_REFUSE);
		door_shut(d);
	}
	return true;
}

void
session_close(struct session *s)
{
	if (s->dead)
		return;
	s->dead = true;
	replies_drop(s);
	conn_close(&s->conn);
	alarm_finish(&s->alarm);
	node_unlink(&s->link);
	list_append(&sessions.dead, &s->link);
	tally_add(&doors_counts()->open, (uint64_t)-1);
}

void
sessions_end(struct door *d, bool reset)
{
	struct session *s;
	struct node    *n, *following;

	list_each(n, following, &d->sessions) {
		s = container_of(n, struct session, link);
		if (reset)
			conn_spoil(&s->conn);
		session_close(s);
	}
}

void
sessions_sweep(void)
{
	struct node *n;

	while ((n = list_first(&sessions.dead)) != NULL) {
		node_unlink(n);
		slab_give(&sessions.slab, container_of(n, struct session, link));
	}
}

void
sessions_finish(void)
{
	sessions_sweep();
	again_finish();
	slab_finish(&sessions.slab);
	buf_trim();
}

/* --------------------------------------------------------------- what happens */

static void
ready(struct conn *c)
{
	step(container_of(c, struct session, conn));
}

static void
fired(struct alarm *a)
{
	struct session *s = container_of(a, struct session, alarm);

	if (s->conn.unsure)
		s->conn.readable = true;
	step(s);
}

static void
step(struct session *s)
{
	if (s->dead)
		return;
	if (s->close_at != 0 && s->close_at <= alarm_clock() && !may_read(s)) {
		if (s->stalled) {
			session_close(s);
		} else {
			tally_add(&doors_counts()->harms[HARM_IDLE], 1);
			harm_end(s, HARM_IDLE);
		}
		return;
	}
	replies_release(s);
	if (!s->dead)
		read_some(s);
	if (!s->dead)
		kind_produce(s);
	if (!s->dead)
		replies_release(s);
	if (!s->dead)
		settle(s);
}

size_t
session_chunk(void)
{
	return doors_options()->straight ? loop_scratch_size() : SESSION_CHUNK;
}

static void
read_some(struct session *s)
{
	size_t n;

	for (int i = 0; i < READS && may_read(s); i++) {
		n = conn_read(&s->conn, loop_scratch(), session_chunk());
		if (n == 0)
			break;
		tally_add(&doors_counts()->bytes_in, n);
		s->close_at = 0;
		if (!s->silent || doors_options()->again)
			kind_take(s, span(loop_scratch(), n));
		if (s->dead)
			return;
	}
	if (s->conn.eof && !s->said) {
		s->said = true;
		if (!s->silent)
			kind_ended(s);
	}
}

static bool
may_read(const struct session *s)
{
	if (!s->conn.readable)
		return false;
	if (s->read_at != 0 && s->read_at > alarm_clock())
		return false;
	return s->silent || s->queued + conn_waiting(&s->conn) < SESSION_WAITING;
}

/* Nothing more can be done now: is that the end, or until when? */
static void
settle(struct session *s)
{
	bool quiet = list_empty(&s->replies) && s->conn.out == NULL;

	if (s->conn.broken || (s->conn.eof && s->silent && !s->stalled)) {
		session_close(s);
		return;
	}
	if (quiet && kind_is_over(s) && !s->silent && !s->conn.finish)
		conn_finish(&s->conn);
	if (s->conn.finished && s->conn.eof) {
		session_close(s);
		return;
	}
	if (may_read(s) || kind_may_produce(s))
		conn_again(&s->conn);
	if (quiet && s->busy && !s->silent) {
		s->busy = false;
		/* It happens when the client asks nothing more until then. */
		if (rng_chance(&s->rng, doors_options()->rates[HARM_IDLE]))
			s->close_at = alarm_clock() + harm_wait(s);
	}
	/* Whether the client has only ended its side, nobody can tell. */
	if (s->stalled && s->conn.eof && s->close_at == 0)
		s->close_at = alarm_clock() + HOLD;
	wait_on(s);
}

static void
wait_on(struct session *s)
{
	uint64_t due = replies_due(s), at = s->close_at, now;

	if (due != UINT64_MAX)
		at = due;
	if (at == 0 && s->read_at == 0 && !s->conn.unsure)
		return;
	now = alarm_clock();
	if (s->read_at <= now)
		s->read_at = 0;
	else if (s->conn.readable && (at == 0 || s->read_at < at))
		at = s->read_at;
	/* What is due and not sent waits for room, and an event tells of that. */
	if (at != 0 && (at > now || s->conn.writable))
		alarm_set(&s->alarm, at);
	else if (s->conn.unsure && s->alarm.place == 0)
		alarm_set(&s->alarm, now + UNSURE);
}
