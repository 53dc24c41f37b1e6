/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode_unruly: lines of clients that do not behave: they ask in bursts, dribble, do not
 * read, and leave in the middle of it; then they come again.
 *
 *	burst ──► send, in one of several styles ──► leave, or take the replies ──► burst
 */
#include "stress/mode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stress/mode_line.h"
#include "stress/once.h"
#include "stress/random.h"

#define LOOK       10u		/* ms: whether the ramp is over */
#define NAP        50u		/* ms: the longest */
#define CRUMBS_MAX 500u		/* bytes that are sent one by one; then the rest at once */
#define ASK_AGAIN  0.3		/* how likely a burst comes on top of what is unanswered */
#define CRUMBLE    0.02		/* how likely a burst is sent byte by byte */
#define SLEEP      0.01		/* how likely the client does not read then */

enum { LEFT, TORN };

static const char *const counters[] = { "left", "torn", NULL };

enum style { WHOLE, LINES, PIECES, CRUMBS };	/* the last is drawn apart */
enum leave { STAY, CLOSE, RESET, END, LEAVES };

/* What a client is at, beside struct client; by its place among the worker's. */
struct habit {
	struct rng rng;
	char      *out;		/* a burst: what is still to be sent is [at, len) */
	size_t     at;
	size_t     len;
	unsigned   crumbs;
	enum style style;
	enum leave leave;	/* when it has been sent */
	bool       ending;	/* has ended its side */
};

static void unruly_opened(struct client *);
static void unruly_came(struct client *, struct weir_span in);
static void unruly_go_on(struct client *);
static void unruly_tick(struct client *);

const struct mode mode_unruly = {
	.name     = "unruly",
	.help     = "lines of clients that dribble, do not read, and leave",
	.varied   = true,
	.takes    = "npsFL",
	.counters = counters,
	.check    = line_check,
	.request  = line_request,
	.opened   = unruly_opened,
	.came     = unruly_came,
	.room     = unruly_go_on,
	.tick     = unruly_tick,
};

static struct habit *habit_of(const struct client *);
static void burst(struct client *);
static void add_lines(struct client *, unsigned n);
static void draw_habits(struct client *);
static void send_some(struct client *);
static size_t piece(struct habit *);
static void leave(struct client *);

static void
unruly_opened(struct client *c)
{
	struct habit *h = habit_of(c);

	if (h == NULL) {
		client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	h->rng = rng_make(client_run()->seed, c->id);
	h->at = h->len = 0;
	h->leave = STAY;
	h->ending = false;
	client_tick(c, 1);
}

/* The ramp may be over, or a nap, or the server has not ended its side in time. */
static void
unruly_tick(struct client *c)
{
	if (c->finished) {
		once_awaited(c);
		client_fault(c, FAULT_TIMEOUT, 0);
	} else if (worker.phase == PHASE_RAMP) {
		client_tick(c, LOOK);
	} else {
		conn_again(&c->conn);
	}
}

static void
unruly_came(struct client *c, struct weir_span in)
{
	struct habit *h = habit_of(c);

	once_awaited(c);
	if (in.len == 0 && c->position > 0)
		client_count(TORN, 1);
	if (in.len == 0 && h->ending && c->conn.eof && c->answered == c->asked)
		client_finish(c);
	while (in.len > 0 && line_take(c, &in))
		;
	if (!client_is_open(c))
		return;
	if (h->ending && c->answered == c->asked && !c->conn.eof && !c->conn.broken)
		once_await_end(c);
	else if (!h->ending)
		unruly_go_on(c);
}

static void
unruly_go_on(struct client *c)
{
	struct habit *h = habit_of(c);

	if (worker.phase == PHASE_RAMP || h->ending || c->conn.deaf || c->conn.broken)
		return;
	if (h->at == h->len && h->leave == STAY)
		burst(c);
	if (h->at < h->len)
		send_some(c);
	if (client_is_open(c) && h->at == h->len && h->leave != STAY &&
	    conn_waiting(&c->conn) == 0)
		leave(c);
}

/* NULL: no memory. */
static struct habit *
habit_of(const struct client *c)
{
	static struct habit *habits;

	if (habits == NULL)
		habits = calloc(worker.count, sizeof *habits);
	return habits != NULL ? &habits[c - worker.clients] : NULL;
}

/* ---------------------------------------------------------------- asking */

/* Begins one, perhaps; who has nothing more to ask says so, and goes. */
static void
burst(struct client *c)
{
	struct habit *h = habit_of(c);
	unsigned      flying = (unsigned)(c->asked - c->answered);
	unsigned      room = client_run()->depth - flying;

	if (worker.quota == 0 || once_hurries()) {
		if (flying == 0 && c->asked > 0)
			h->leave = END;
		return;
	}
	if (room == 0 || (flying > 0 && !rng_chance(&h->rng, ASK_AGAIN)))
		return;
	add_lines(c, 1 + (unsigned)rng_below(&h->rng, rng_chance(&h->rng, 0.5) ? room : 1));
	if (client_is_open(c))
		draw_habits(c);
}

static void
add_lines(struct client *c, unsigned n)
{
	const struct run *run = client_run();
	struct habit     *h = habit_of(c);

	if (h->out == NULL)
		h->out = malloc((run->depth + 1) * (run->size > 64 ? run->size : 64));
	if (h->out == NULL) {
		client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	h->at = h->len = 0;
	for (; n > 0 && worker.quota > 0; n--) {
		if (worker.quota != UINT64_MAX)
			worker.quota--;
		h->len += line_request(c, h->out + h->len);
		once_begin(c);
	}
}

static void
draw_habits(struct client *c)
{
	struct habit *h = habit_of(c);

	h->style = (enum style)rng_below(&h->rng, CRUMBS);
	if (rng_chance(&h->rng, CRUMBLE))
		h->style = CRUMBS;
	h->crumbs = CRUMBS_MAX;
	if (rng_chance(&h->rng, SLEEP))
		client_nap(c, 1 + rng_below(&h->rng, NAP));
	if (!rng_chance(&h->rng, client_run()->leave))
		return;
	h->leave = (enum leave)(1 + rng_below(&h->rng, LEAVES - 1));
	/* Behind the beginning of another one, half the time. */
	if (rng_chance(&h->rng, 0.5))
		h->len += 1 + rng_below(&h->rng, line_request(c, h->out + h->len) - 1);
}

/* What goes at once; the rest has its turn in the next pass. */
static void
send_some(struct client *c)
{
	struct habit *h = habit_of(c);
	size_t        n;

	do {
		n = piece(h);
		client_send(c, span(h->out + h->at, n));
		h->at += n;
	} while (h->style == LINES && h->at < h->len);
	if (h->at < h->len)
		conn_again(&c->conn);
}

static size_t
piece(struct habit *h)
{
	size_t      left = h->len - h->at;
	const char *newline;

	switch (h->style) {
	case LINES:
		newline = memchr(h->out + h->at, '\n', left);
		return newline != NULL ? (size_t)(newline - h->out) + 1 - h->at : left;
	case PIECES:
		return 1 + rng_below(&h->rng, left);
	case CRUMBS:
		if (h->crumbs > 0) {
			h->crumbs--;
			return 1;
		}
		return left;
	default:
		return left;
	}
}

/* ---------------------------------------------------------------- leaving */

static void
leave(struct client *c)
{
	struct habit *h = habit_of(c);
	uint64_t      flying = c->asked - c->answered;

	if (h->leave == END) {
		h->leave = STAY;
		h->ending = true;
		conn_finish(&c->conn);
		if (flying > 0)
			return;
		c->nap = 0;
		conn_again(&c->conn);
		once_await_end(c);
		return;
	}
	client_count(LEFT, flying);
	worker.flying -= flying;
	c->answered = c->asked;
	if (h->leave == RESET)
		conn_spoil(&c->conn);
	h->leave = STAY;
	client_finish(c);
}
