/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve_session: a connection of a backend.
 *
 *	came ──► take ──► answer ──► replies, each with the time it is due ──► release
 *
 * What nothing is to happen to goes straight from take to the socket.
 */
#include "stress/serve_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "base/str.h"
#include "net/conn.h"
#include "stress/digest.h"
#include "stress/pattern.h"
#include "stress/random.h"
#include "stress/serve_door.h"
#include "stress/tally.h"

enum {
	READS     = 4,			/* a turn */
	WAITING   = 256 * 1024,		/* bytes not sent: no more is read */
	LINE_SIZE = 16 * 1024 * 1024,	/* longer ones end the connection */
	CHUNK     = 16 * 1024,		/* of a source, as far as it is a reply */
	CHUNKS    = 16,			/* a turn */
	HOLD      = 60000000,		/* µs: of what has stalled, after the client's FIN */
	UNSURE    = 200000,		/* µs: then a reset behind what was read last is found */
	SWAP_WAIT = 200000,		/* µs: for a reply to be swapped with */
};

struct reply {
	struct node link;
	uint64_t    due;	/* µs */
	char       *data;
	size_t      len;
	size_t      sent;	/* split: of them */
	enum harm   end;	/* what ends the connection here */
	bool        split;
	bool        spoilt;	/* not what was asked for */
};

struct session {
	struct conn   conn;
	struct alarm  alarm;
	struct node   link;	/* of its door, or of the dead */
	struct door  *door;
	struct rng    rng;
	struct node   replies;
	size_t        queued;	/* bytes of them */
	struct digest digest;	/* sink */
	uint64_t      position;	/* source */
	uint64_t      last_due;
	uint64_t      read_at;	/* not before: µs */
	uint64_t      close_at;	/* when nothing comes before: µs; 0: never */
	enum harm     end;	/* when what waits has gone */
	bool          silent;	/* says nothing more; what comes is dropped */
	bool          stalled;	/* … and does not end, either */
	bool          said;	/* the client's end has been seen */
	bool          busy;	/* had something to do since it was idle */
	bool          dead;
};

static struct {
	struct slab   slab;
	struct node   dead;
	struct reply *held;	/* waits to be swapped with another connection's */
	struct session *held_by;
} sessions;

static void ready(struct conn *);
static void fired(struct alarm *);
static void step(struct session *);
static void read_some(struct session *);
static bool may_read(const struct session *);
static void take(struct session *, struct weir_span);
static void take_lines(struct session *, struct weir_span);
static void lines(struct session *, struct weir_span whole);
static void ended(struct session *);
static bool may_produce(const struct session *);
static void produce(struct session *);
static void answer(struct session *, struct weir_span);
static bool happens(struct session *, enum harm);
static uint64_t wait_drawn(struct session *);
static enum harm end_drawn(struct session *);
static bool lie(struct session *, struct reply *);
static void swap(struct session *, struct reply *);
static void release(struct session *);
static bool send_split(struct session *, struct reply *);
static void settle(struct session *);
static void wait_on(struct session *);
static void end(struct session *, enum harm);
static void drop_replies(struct session *);
static void reply_free(struct session *, struct reply *);
static void session_close(struct session *);

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
	if (happens(s, HARM_DOOR)) {
		end(s, HARM_DOOR);
	} else if (happens(s, HARM_REFUSE)) {
		end(s, HARM_REFUSE);
		door_shut(d);
	}
	return true;
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
		if (s->stalled)
			session_close(s);
		else
			end(s, HARM_IDLE);
		return;
	}
	release(s);
	if (!s->dead)
		read_some(s);
	if (!s->dead)
		produce(s);
	if (!s->dead)
		release(s);
	if (!s->dead)
		settle(s);
}

static void
read_some(struct session *s)
{
	size_t n;

	for (int i = 0; i < READS && may_read(s); i++) {
		n = conn_read(&s->conn, loop_scratch(), loop_scratch_size());
		if (n == 0)
			break;
		tally_add(&doors_counts()->bytes_in, n);
		s->close_at = 0;
		if (!s->silent)
			take(s, span(loop_scratch(), n));
		if (s->dead)
			return;
	}
	if (s->conn.eof && !s->said)
		ended(s);
}

static bool
may_read(const struct session *s)
{
	if (!s->conn.readable)
		return false;
	if (s->read_at > alarm_clock())
		return false;
	return s->silent || s->queued + conn_waiting(&s->conn) < WAITING;
}

static void
take(struct session *s, struct weir_span in)
{
	switch (doors_options()->kind) {
	case SERVE_ECHO:
		answer(s, in);
		break;
	case SERVE_LINE:
		take_lines(s, in);
		break;
	case SERVE_SINK:
		digest_add(&s->digest, in);
		break;
	case SERVE_SOURCE:
		break;
	}
}

static void
take_lines(struct session *s, struct weir_span in)
{
	const char *last = memrchr(in.data, '\n', in.len);
	size_t      whole = last != NULL ? (size_t)(last - in.data) + 1 : 0;

	if (whole > 0 && s->conn.in != NULL) {
		if (buf_append(&s->conn.in, span(in.data, whole)) < 0) {
			session_close(s);
			return;
		}
		lines(s, buf_span(s->conn.in));
		buf_return(&s->conn.in);
	} else if (whole > 0) {
		lines(s, span(in.data, whole));
	}
	if (s->dead || s->silent || in.len == whole)
		return;
	if (buf_len(s->conn.in) + in.len > LINE_SIZE) {
		tally_add(&doors_counts()->overlong, 1);
		session_close(s);
	} else if (buf_append(&s->conn.in, span_skip(in, whole)) < 0) {
		session_close(s);
	}
}

/* whole: lines, all of them with their newlines. */
static void
lines(struct session *s, struct weir_span whole)
{
	const char *end_of;
	uint64_t    count;
	size_t      len;

	if (doors_options()->straight) {
		for (count = 0, len = 0; len < whole.len; count++) {
			end_of = memchr(whole.data + len, '\n', whole.len - len);
			len = (size_t)(end_of - whole.data) + 1;
		}
		tally_add(&doors_counts()->requests, count - 1);
		tally_add(&doors_counts()->answered, count - 1);
		answer(s, whole);
		return;
	}
	while (whole.len > 0 && !s->dead) {
		end_of = memchr(whole.data, '\n', whole.len);
		len = (size_t)(end_of - whole.data) + 1;
		answer(s, span(whole.data, len));
		whole = span_skip(whole, len);
	}
}

/* The client has sent its last byte. */
static void
ended(struct session *s)
{
	char   text[64];
	size_t n;

	s->said = true;
	if (s->silent || doors_options()->kind != SERVE_SINK)
		return;
	n = (size_t)snprintf(text, sizeof(text), "%ju %016jx\n", (uintmax_t)s->digest.bytes,
	    (uintmax_t)digest_value(&s->digest));
	answer(s, span(text, n));
}

static bool
may_produce(const struct session *s)
{
	return doors_options()->kind == SERVE_SOURCE && s->position < doors_options()->size &&
	    !s->dead && !s->silent && s->conn.writable && list_empty(&s->replies);
}

/* The next bytes of a source, as far as they are not waited for. */
static void
produce(struct session *s)
{
	uint64_t left;
	size_t   n;

	for (int i = 0; i < CHUNKS && may_produce(s); i++) {
		left = doors_options()->size - s->position;
		n = left < CHUNK ? (size_t)left : CHUNK;
		pattern_fill(0, s->position, loop_scratch(), n);
		s->position += n;
		answer(s, span(loop_scratch(), n));
	}
}

/* ------------------------------------------------------------------- replies */

static void
answer(struct session *s, struct weir_span text)
{
	struct reply *r;
	uint64_t      now;

	tally_add(&doors_counts()->requests, 1);
	s->busy = true;
	if (s->silent) {
		tally_add(&doors_counts()->unanswered, 1);
		return;
	}
	if (doors_options()->straight) {
		tally_add(&doors_counts()->answered, 1);
		tally_add(&doors_counts()->bytes_out, text.len);
		if (!conn_send(&s->conn, text))
			session_close(s);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL || (r->data = malloc(2 * text.len)) == NULL) {
		free(r);
		session_close(s);
		return;
	}
	memcpy(r->data, text.data, text.len);
	r->len = text.len;
	now = alarm_clock();
	r->due = happens(s, HARM_DELAY) ? now + wait_drawn(s) : now;
	if (r->due < s->last_due)
		r->due = s->last_due;
	s->last_due = r->due;
	r->split = happens(s, HARM_SPLIT);
	r->end = end_drawn(s);
	if (r->end == HARM_CUT)
		r->len = 1 + rng_below(&s->rng, r->len - 1);
	else if (r->end == HARM_HALF)
		r->len /= 2;
	else if (r->end != HARM_NONE)
		r->len = 0;
	if (happens(s, HARM_PAUSE))
		s->read_at = now + wait_drawn(s);
	if (r->end == HARM_NONE && !lie(s, r)) {
		s->queued += r->len;
		reply_free(s, r);
		return;
	}
	s->queued += r->len;
	list_append(&s->replies, &r->link);
}

static bool
happens(struct session *s, enum harm harm)
{
	if (!rng_chance(&s->rng, doors_options()->rates[harm]))
		return false;
	tally_add(&doors_counts()->harms[harm], 1);
	return true;
}

static uint64_t
wait_drawn(struct session *s)
{
	const struct serve *v = doors_options();

	return v->delay_min + rng_below(&s->rng, v->delay_max - v->delay_min + 1);
}

static enum harm
end_drawn(struct session *s)
{
	for (int i = 0; i < HARM_GARBAGE; i++) {
		if (happens(s, (enum harm)i))
			return (enum harm)i;
	}
	return HARM_NONE;
}

/* What is wrong with the reply itself. Returns false when there is to be none. */
static bool
lie(struct session *s, struct reply *r)
{
	/* The last byte is left alone where there is another: it ends a line. */
	if (happens(s, HARM_GARBAGE)) {
		r->data[rng_below(&s->rng, r->len > 1 ? r->len - 1 : 1)] ^= 1;
		r->spoilt = true;
	}
	if (happens(s, HARM_REPEAT)) {
		memcpy(r->data + r->len, r->data, r->len);
		r->len *= 2;
		r->spoilt = true;
	}
	if (happens(s, HARM_SKIP))
		return false;
	swap(s, r);
	return true;
}

/* The first one waits for another connection's, but not for ever. */
static void
swap(struct session *s, struct reply *r)
{
	struct reply  *other = sessions.held;
	struct session *whose = sessions.held_by;
	struct reply   mine = *r;

	if (other != NULL && whose != s) {
		r->data = other->data;
		r->len = other->len;
		other->data = mine.data;
		other->len = mine.len;
		r->spoilt = other->spoilt = true;
		whose->queued += other->len;
		whose->queued -= r->len;
		whose->last_due = other->due = alarm_clock();
		sessions.held = NULL;
		tally_add(&doors_counts()->harms[HARM_SWAP], 1);
		conn_again(&whose->conn);
	} else if (other == NULL && rng_chance(&s->rng, doors_options()->rates[HARM_SWAP])) {
		sessions.held = r;
		sessions.held_by = s;
		r->due = s->last_due = alarm_clock() + SWAP_WAIT;
	}
}

/* Sends the replies that are due, up to one that ends the connection. */
static void
release(struct session *s)
{
	struct reply *r;
	struct node  *n;
	uint64_t      now = 0;

	while (s->end == HARM_NONE && (n = list_first(&s->replies)) != NULL) {
		r = container_of(n, struct reply, link);
		now = now == 0 ? alarm_clock() : now;
		if (r->due > now || conn_waiting(&s->conn) >= WAITING)
			break;
		if (r->split && !send_split(s, r))
			break;
		if (!r->split && !conn_gather(&s->conn, span(r->data, r->len))) {
			session_close(s);
			return;
		}
		if (!r->split)
			tally_add(&doors_counts()->bytes_out, r->len);
		s->end = r->end;
		node_unlink(n);
		reply_free(s, r);
	}
	if (s->conn.out != NULL)
		(void)conn_flush(&s->conn);
	if (s->conn.deaf || s->conn.broken)
		session_close(s);
	else if (s->end != HARM_NONE && s->conn.out == NULL)
		end(s, s->end);
}

/* A byte, in a packet of its own, a pass: true when the last has gone. */
static bool
send_split(struct session *s, struct reply *r)
{
	if (s->conn.out != NULL && (!conn_flush(&s->conn) || s->conn.out != NULL))
		return false;
	if (r->sent < r->len && conn_push(&s->conn, span(r->data + r->sent, 1)) == 1) {
		tally_add(&doors_counts()->bytes_out, 1);
		r->sent++;
	}
	if (r->sent < r->len) {
		if (s->conn.writable)
			conn_again(&s->conn);
		return false;
	}
	return true;
}

/* Nothing more can be done now: is that the end, or until when? */
static void
settle(struct session *s)
{
	bool quiet = list_empty(&s->replies) && s->conn.out == NULL;
	bool over = s->conn.eof;

	if (s->conn.broken || (s->conn.eof && s->silent && !s->stalled)) {
		session_close(s);
		return;
	}
	if (doors_options()->kind == SERVE_SOURCE)
		over = s->position == doors_options()->size;
	if (quiet && over && !s->silent && !s->conn.finish)
		conn_finish(&s->conn);
	if (s->conn.finished && s->conn.eof) {
		session_close(s);
		return;
	}
	if (may_read(s) || may_produce(s))
		conn_again(&s->conn);
	if (quiet && s->busy && !s->silent) {
		s->busy = false;
		if (happens(s, HARM_IDLE))
			s->close_at = alarm_clock() + wait_drawn(s);
	}
	/* Whether the client has only ended its side, nobody can tell. */
	if (s->stalled && s->conn.eof && s->close_at == 0)
		s->close_at = alarm_clock() + HOLD;
	wait_on(s);
}

static void
wait_on(struct session *s)
{
	uint64_t now = alarm_clock(), at = s->close_at;

	if (!list_empty(&s->replies))
		at = container_of(list_first(&s->replies), struct reply, link)->due;
	if (s->conn.readable && s->read_at > now && (at == 0 || s->read_at < at))
		at = s->read_at;
	/* What is due and not sent waits for room, and an event tells of that. */
	if (at != 0 && (at > now || s->conn.writable))
		alarm_set(&s->alarm, at);
	else if (s->conn.unsure && s->alarm.place == 0)
		alarm_set(&s->alarm, now + UNSURE);
}

/* What a harm does, when all before it has gone. */
static void
end(struct session *s, enum harm harm)
{
	s->end = HARM_NONE;
	s->close_at = 0;
	s->silent = true;
	buf_return(&s->conn.in);
	drop_replies(s);
	switch (harm) {
	case HARM_CRASH:
		door_crash(s->door);
		break;
	case HARM_STALL:
	case HARM_HALF:
		s->stalled = true;
		break;
	case HARM_RESET:
		conn_spoil(&s->conn);
		session_close(s);
		break;
	default:
		/* Both look the same, unless more is sent to it. */
		if (rng_chance(&s->rng, 0.5))
			session_close(s);
		else
			conn_finish(&s->conn);
		break;
	}
}

static void
drop_replies(struct session *s)
{
	struct node *n;

	while ((n = list_first(&s->replies)) != NULL) {
		node_unlink(n);
		container_of(n, struct reply, link)->spoilt = true;
		reply_free(s, container_of(n, struct reply, link));
	}
}

static void
reply_free(struct session *s, struct reply *r)
{
	bool right = r->end == HARM_NONE && !r->spoilt;

	tally_add(right ? &doors_counts()->answered : &doors_counts()->unanswered, 1);
	s->queued -= r->len;
	if (sessions.held == r)
		sessions.held = NULL;
	free(r->data);
	free(r);
}

static void
session_close(struct session *s)
{
	if (s->dead)
		return;
	s->dead = true;
	drop_replies(s);
	conn_close(&s->conn);
	alarm_finish(&s->alarm);
	node_unlink(&s->link);
	list_append(&sessions.dead, &s->link);
	tally_add(&doors_counts()->open, (uint64_t)-1);
}
