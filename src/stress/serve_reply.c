/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_reply: replies, when they are due, and what goes wrong with them. */
#include "stress/serve_reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stress/serve_door.h"
#include "stress/serve_session.h"
#include "stress/tally.h"

#define SWAP_WAIT 200000u	/* µs: for a reply to be swapped with */
#define OVERHEAD  32u		/* bytes that malloc takes for itself, for two of its pieces */

struct reply {
	struct node link;
	uint64_t    due;	/* µs */
	char       *data;
	size_t      len;
	size_t      sent;	/* split: of them */
	size_t      charged;	/* what it adds to session.queued */
	enum harm   end;	/* what ends the connection here */
	bool        split;
	bool        spoilt;	/* not what was asked for */
};

static struct {
	struct reply   *reply;	/* waits to be swapped with another connection's */
	struct session *of;
} held;

static struct reply *reply_make(struct session *, struct weir_span text);
static void charge(struct session *, struct reply *, size_t bytes);
static void draw(struct session *, struct reply *);
static enum harm end_drawn(struct session *);
static void spoil(struct session *, struct reply *);
static bool repeat(struct session *, struct reply *);
static void swap(struct session *, struct reply *);
static void reorder(struct session *, struct reply *);
static void exchange(struct reply *, struct reply *);
static bool send_split(struct session *, struct reply *);
static void reply_free(struct session *, struct reply *);

void
reply_give(struct session *s, struct weir_span text)
{
	struct reply *r;

	if (doors_options()->straight && !s->silent) {
		reply_give_many(s, text, 1);
		return;
	}
	tally_add(&doors_counts()->requests, 1);
	s->busy = true;
	if (s->silent) {
		tally_add(&doors_counts()->unanswered, 1);
		return;
	}
	r = reply_make(s, text);
	if (r == NULL) {
		tally_add(&doors_counts()->unanswered, 1);
		session_close(s);
		return;
	}
	draw(s, r);
}

void
reply_give_many(struct session *s, struct weir_span text, uint64_t n)
{
	bool sent;

	s->busy = true;
	tally_add(&doors_counts()->requests, n);
	sent = conn_send(&s->conn, text);
	tally_add(sent ? &doors_counts()->answered : &doors_counts()->unanswered, n);
	if (sent)
		tally_add(&doors_counts()->bytes_out, text.len);
	else
		session_close(s);
}

void
replies_release(struct session *s)
{
	struct reply *r;
	struct node  *n;
	uint64_t      now = 0;

	while (s->end == HARM_NONE && (n = list_first(&s->replies)) != NULL) {
		r = container_of(n, struct reply, link);
		now = now == 0 ? alarm_clock() : now;
		if (r->due > now || conn_waiting(&s->conn) >= SESSION_WAITING)
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
		reply_free(s, r);
	}
	if (s->conn.out != NULL)
		(void)conn_flush(&s->conn);
	if (s->conn.deaf || s->conn.broken)
		session_close(s);
	else if (s->end != HARM_NONE && s->conn.out == NULL)
		harm_end(s, s->end);
}

void
replies_drop(struct session *s)
{
	struct reply *r;
	struct node  *n;

	while ((n = list_first(&s->replies)) != NULL) {
		r = container_of(n, struct reply, link);
		r->spoilt = true;
		reply_free(s, r);
	}
}

uint64_t
replies_due(const struct session *s)
{
	const struct node *n = list_first(&s->replies);

	return n != NULL ? container_of(n, struct reply, link)->due : UINT64_MAX;
}

bool
harm_happens(struct session *s, enum harm harm)
{
	if (!rng_chance(&s->rng, doors_options()->rates[harm]))
		return false;
	tally_add(&doors_counts()->harms[harm], 1);
	return true;
}

uint64_t
harm_wait(struct session *s)
{
	const struct serve *v = doors_options();

	return v->delay_min + rng_below(&s->rng, v->delay_max - v->delay_min + 1);
}

void
harm_end(struct session *s, enum harm harm)
{
	s->end = HARM_NONE;
	s->close_at = 0;
	s->silent = true;
	if (!doors_options()->again)
		buf_return(&s->conn.in);
	replies_drop(s);
	switch (harm) {
	case HARM_CRASH:
		door_crash(s->door);
		conn_spoil(&s->conn);
		session_close(s);
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
		/* A FIN in any case: closing alone would make a reset of what has not
		 * been read. What is sent to it later is answered by a reset, or not. */
		conn_finish(&s->conn);
		if (rng_chance(&s->rng, 0.5))
			session_close(s);
		break;
	}
}

/* ------------------------------------------------------------ what goes wrong */

static struct reply *
reply_make(struct session *s, struct weir_span text)
{
	struct reply *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->data = malloc(text.len);
	if (r->data == NULL) {
		free(r);
		return NULL;
	}
	memcpy(r->data, text.data, text.len);
	r->len = text.len;
	list_append(&s->replies, &r->link);
	charge(s, r, sizeof(*r) + OVERHEAD + text.len);
	return r;
}

static void
charge(struct session *s, struct reply *r, size_t bytes)
{
	r->charged += bytes;
	s->queued += bytes;
}

static void
draw(struct session *s, struct reply *r)
{
	uint64_t now = alarm_clock();

	r->due = harm_happens(s, HARM_DELAY) ? now + harm_wait(s) : now;
	if (r->due < s->last_due)
		r->due = s->last_due;
	s->last_due = r->due;
	r->split = harm_happens(s, HARM_SPLIT);
	r->end = end_drawn(s);
	if (r->end == HARM_CUT)
		r->len = 1 + rng_below(&s->rng, r->len - 1);
	else if (r->end == HARM_HALF)
		r->len /= 2;
	else if (r->end != HARM_NONE)
		r->len = 0;
	if (harm_happens(s, HARM_PAUSE))
		s->read_at = now + harm_wait(s);
	if (r->end == HARM_NONE)
		spoil(s, r);
}

static enum harm
end_drawn(struct session *s)
{
	for (int i = 0; i < HARM_GARBAGE; i++) {
		if (harm_happens(s, (enum harm)i))
			return (enum harm)i;
	}
	return HARM_NONE;
}

/* What is wrong with the reply itself: it may be gone then. */
static void
spoil(struct session *s, struct reply *r)
{
	/* The last byte is left alone where there is another: it ends a line. */
	if (harm_happens(s, HARM_GARBAGE)) {
		r->data[rng_below(&s->rng, r->len > 1 ? r->len - 1 : 1)] ^= 1;
		r->spoilt = true;
	}
	if (harm_happens(s, HARM_REPEAT) && !repeat(s, r)) {
		session_close(s);
		return;
	}
	if (harm_happens(s, HARM_SKIP)) {
		r->spoilt = true;
		reply_free(s, r);
		return;
	}
	swap(s, r);
	reorder(s, r);
}

static bool
repeat(struct session *s, struct reply *r)
{
	char *data = realloc(r->data, 2 * r->len);

	if (data == NULL)
		return false;
	memcpy(data + r->len, data, r->len);
	charge(s, r, r->len);
	r->data = data;
	r->len *= 2;
	r->spoilt = true;
	return true;
}

/* The first one waits for another connection's, but not for ever. */
static void
swap(struct session *s, struct reply *r)
{
	struct reply *other = held.reply;

	if (other != NULL && held.of != s) {
		exchange(r, other);
		held.of->last_due = other->due = alarm_clock();
		held.reply = NULL;
		tally_add(&doors_counts()->harms[HARM_SWAP], 1);
		conn_again(&held.of->conn);
	} else if (other == NULL && rng_chance(&s->rng, doors_options()->rates[HARM_SWAP])) {
		held.reply = r;
		held.of = s;
		r->due = s->last_due = alarm_clock() + SWAP_WAIT;
	}
}

/* With the one before it, if that has not gone yet. */
static void
reorder(struct session *s, struct reply *r)
{
	struct reply *before = container_of(r->link.prev, struct reply, link);

	if (r->link.prev == &s->replies || before->end != HARM_NONE || before->sent > 0 ||
	    before == held.reply || r == held.reply || !harm_happens(s, HARM_REORDER))
		return;
	exchange(r, before);
}

static void
exchange(struct reply *a, struct reply *b)
{
	struct reply was = *a;

	a->data = b->data;
	a->len = b->len;
	b->data = was.data;
	b->len = was.len;
	a->spoilt = b->spoilt = true;
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

static void
reply_free(struct session *s, struct reply *r)
{
	bool right = r->end == HARM_NONE && !r->spoilt;

	tally_add(right ? &doors_counts()->answered : &doors_counts()->unanswered, 1);
	s->queued -= r->charged;
	if (held.reply == r)
		held.reply = NULL;
	node_unlink(&r->link);
	free(r->data);
	free(r);
}
