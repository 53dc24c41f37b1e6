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

struct serve_reply {
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
	struct serve_reply    *reply;	/* waits to be swapped with another connection's */
	struct stress_session *of;
} held;

static struct serve_reply *serve_reply_create(struct stress_session *, struct weir_span text);
static void serve_reply_charge(struct stress_session *, struct serve_reply *, size_t bytes);
static void serve_reply_draw(struct stress_session *, struct serve_reply *);
static enum harm serve_reply_draw_end(struct stress_session *);
static void serve_reply_corrupt(struct stress_session *, struct serve_reply *);
static bool serve_reply_repeat(struct stress_session *, struct serve_reply *);
static void serve_reply_swap(struct stress_session *, struct serve_reply *);
static void serve_reply_reorder(struct stress_session *, struct serve_reply *);
static void serve_reply_exchange(struct serve_reply *, struct serve_reply *);
static bool serve_reply_send_split(struct stress_session *, struct serve_reply *);
static void serve_reply_destroy(struct stress_session *, struct serve_reply *);

void
stress_reply_give(struct stress_session *s, struct weir_span text)
{
	struct serve_reply *r;

	if (stress_served->straight && !s->silent) {
		stress_reply_give_many(s, text, 1);
		return;
	}
	stress_tally_add(&stress_counts->requests, 1);
	s->busy = true;
	if (s->silent) {
		stress_tally_add(&stress_counts->unanswered, 1);
		return;
	}
	r = serve_reply_create(s, text);
	if (r == NULL) {
		stress_tally_add(&stress_counts->unanswered, 1);
		s->over = true;
		return;
	}
	serve_reply_draw(s, r);
}

void
stress_reply_give_many(struct stress_session *s, struct weir_span text, uint64_t n)
{
	bool sent;

	s->busy = true;
	stress_tally_add(&stress_counts->requests, n);
	sent = conn_send(&s->conn, text);
	stress_tally_add(sent ? &stress_counts->answered
			      : &stress_counts->unanswered,
	    n);
	if (sent)
		stress_tally_add(&stress_counts->bytes_out, text.len);
	else
		s->over = true;
}

void
stress_replies_release(struct stress_session *s)
{
	struct serve_reply *r;
	struct node        *n;
	uint64_t            now = 0;

	while (s->end == HARM_NONE && (n = list_first(&s->replies)) != NULL) {
		r = container_of(n, struct serve_reply, link);
		now = now == 0 ? stress_alarm_clock() : now;
		if (r->due > now || conn_waiting(&s->conn) >= SESSION_WAITING)
			break;
		if (r->split && !serve_reply_send_split(s, r))
			break;
		if (!r->split && !conn_gather(&s->conn, span_make(r->data, r->len))) {
			s->over = true;
			return;
		}
		if (!r->split)
			stress_tally_add(&stress_counts->bytes_out, r->len);
		s->end = r->end;
		serve_reply_destroy(s, r);
	}
	if (conn_waiting(&s->conn) > 0)
		(void)conn_flush(&s->conn);
	if (s->conn.write_shut || s->conn.broken)
		s->over = true;
	else if (s->end != HARM_NONE && conn_waiting(&s->conn) == 0)
		stress_reply_harm_end(s, s->end);
}

void
stress_replies_drop(struct stress_session *s)
{
	struct serve_reply *r;
	struct node        *n;

	while ((n = list_first(&s->replies)) != NULL) {
		r = container_of(n, struct serve_reply, link);
		r->spoilt = true;
		serve_reply_destroy(s, r);
	}
}

uint64_t
stress_replies_due(const struct stress_session *s)
{
	const struct node *n = list_first(&s->replies);

	return n != NULL ? container_of(n, struct serve_reply, link)->due : UINT64_MAX;
}

bool
stress_reply_harm_happens(struct stress_session *s, enum harm harm)
{
	if (!stress_rng_chance(&s->rng, stress_served->rates[harm]))
		return false;
	stress_tally_add(&stress_counts->harms[harm], 1);
	return true;
}

uint64_t
stress_reply_harm_wait(struct stress_session *s)
{
	const struct serve *v = stress_served;

	return v->delay_min + stress_rng_below(&s->rng, v->delay_max - v->delay_min + 1);
}

void
stress_reply_harm_end(struct stress_session *s, enum harm harm)
{
	s->end = HARM_NONE;
	s->close_at = 0;
	s->silent = true;
	if (!stress_served->again)
		buf_return(&s->conn.in);
	stress_replies_drop(s);
	switch (harm) {
	case HARM_CRASH:
		s->door->crashes = true;
		conn_abort(&s->conn);
		s->over = true;
		break;
	case HARM_STALL:
	case HARM_HALF:
		s->stalled = true;
		break;
	case HARM_RESET:
		conn_abort(&s->conn);
		s->over = true;
		break;
	default:
		/* A FIN in any case: closing alone would make a reset of what has not
		 * been read. What is sent to it later is answered by a reset, or not. */
		conn_finish(&s->conn);
		if (stress_rng_chance(&s->rng, 0.5))
			s->over = true;
		break;
	}
}

/* ------------------------------------------------------------ what goes wrong */

static struct serve_reply *
serve_reply_create(struct stress_session *s, struct weir_span text)
{
	struct serve_reply *r = calloc(1, sizeof *r);

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
	serve_reply_charge(s, r, sizeof *r + OVERHEAD + text.len);
	return r;
}

static void
serve_reply_charge(struct stress_session *s, struct serve_reply *r, size_t bytes)
{
	r->charged += bytes;
	s->queued += bytes;
}

static void
serve_reply_draw(struct stress_session *s, struct serve_reply *r)
{
	uint64_t now = stress_alarm_clock();

	r->due = stress_reply_harm_happens(s, HARM_DELAY) ? now + stress_reply_harm_wait(s) : now;
	if (r->due < s->last_due)
		r->due = s->last_due;
	s->last_due = r->due;
	r->split = stress_reply_harm_happens(s, HARM_SPLIT);
	r->end = serve_reply_draw_end(s);
	if (r->end == HARM_CUT)
		r->len = 1 + stress_rng_below(&s->rng, r->len - 1);
	else if (r->end == HARM_HALF)
		r->len /= 2;
	else if (r->end != HARM_NONE)
		r->len = 0;
	if (stress_reply_harm_happens(s, HARM_PAUSE))
		s->read_at = now + stress_reply_harm_wait(s);
	if (r->end == HARM_NONE)
		serve_reply_corrupt(s, r);
}

static enum harm
serve_reply_draw_end(struct stress_session *s)
{
	for (int i = 0; i < HARM_GARBAGE; i++) {
		if (stress_reply_harm_happens(s, (enum harm)i))
			return (enum harm)i;
	}
	return HARM_NONE;
}

/* What is wrong with the reply itself: it may be gone then. */
static void
serve_reply_corrupt(struct stress_session *s, struct serve_reply *r)
{
	/* The last byte is left alone where there is another: it ends a line. */
	if (stress_reply_harm_happens(s, HARM_GARBAGE)) {
		r->data[stress_rng_below(&s->rng, r->len > 1 ? r->len - 1 : 1)] ^= 1;
		r->spoilt = true;
	}
	if (stress_reply_harm_happens(s, HARM_REPEAT) && !serve_reply_repeat(s, r)) {
		s->over = true;
		return;
	}
	if (stress_reply_harm_happens(s, HARM_SKIP)) {
		r->spoilt = true;
		serve_reply_destroy(s, r);
		return;
	}
	serve_reply_swap(s, r);
	serve_reply_reorder(s, r);
}

static bool
serve_reply_repeat(struct stress_session *s, struct serve_reply *r)
{
	char *data = realloc(r->data, 2 * r->len);

	if (data == NULL)
		return false;
	memcpy(data + r->len, data, r->len);
	serve_reply_charge(s, r, r->len);
	r->data = data;
	r->len *= 2;
	r->spoilt = true;
	return true;
}

/* The first one waits for another connection's, but not for ever. */
static void
serve_reply_swap(struct stress_session *s, struct serve_reply *r)
{
	struct serve_reply *other = held.reply;

	if (other != NULL && held.of != s) {
		serve_reply_exchange(r, other);
		held.of->last_due = other->due = stress_alarm_clock();
		held.reply = NULL;
		stress_tally_add(&stress_counts->harms[HARM_SWAP], 1);
		conn_again(&held.of->conn);
	} else if (other == NULL &&
	    stress_rng_chance(&s->rng, stress_served->rates[HARM_SWAP])) {
		held.reply = r;
		held.of = s;
		r->due = s->last_due = stress_alarm_clock() + SWAP_WAIT;
	}
}

/* With the one before it, if that has not gone yet. */
static void
serve_reply_reorder(struct stress_session *s, struct serve_reply *r)
{
	struct serve_reply *before = container_of(r->link.prev, struct serve_reply, link);

	if (r->link.prev == &s->replies || before->end != HARM_NONE || before->sent > 0 ||
	    before == held.reply || r == held.reply || !stress_reply_harm_happens(s, HARM_REORDER))
		return;
	serve_reply_exchange(r, before);
}

static void
serve_reply_exchange(struct serve_reply *a, struct serve_reply *b)
{
	struct serve_reply was = *a;

	a->data = b->data;
	a->len = b->len;
	b->data = was.data;
	b->len = was.len;
	a->spoilt = b->spoilt = true;
}

/* A byte, in a packet of its own, a pass: true when the last has gone. */
static bool
serve_reply_send_split(struct stress_session *s, struct serve_reply *r)
{
	if (conn_waiting(&s->conn) > 0 && (!conn_flush(&s->conn) || conn_waiting(&s->conn) > 0))
		return false;
	if (r->sent < r->len && conn_push(&s->conn, span_make(r->data + r->sent, 1)) == 1) {
		stress_tally_add(&stress_counts->bytes_out, 1);
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
serve_reply_destroy(struct stress_session *s, struct serve_reply *r)
{
	bool right = r->end == HARM_NONE && !r->spoilt;

	stress_tally_add(right ? &stress_counts->answered
			       : &stress_counts->unanswered,
	    1);
	s->queued -= r->charged;
	if (held.reply == r)
		held.reply = NULL;
	node_unlink(&r->link);
	free(r->data);
	free(r);
}
