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

/* What a client is at, beside struct stress_client; by its place among the worker's. */
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

static void mode_unruly_opened(struct stress_client *);
static void mode_unruly_came(struct stress_client *, struct weir_span in);
static void mode_unruly_go_on(struct stress_client *);
static void mode_unruly_tick(struct stress_client *);

const struct mode mode_unruly = {
	.name     = "unruly",
	.help     = "lines of clients that dribble, do not read, and leave",
	.varied   = true,
	.takes    = "npsFL",
	.counters = counters,
	.check    = stress_line_check,
	.request  = stress_line_request,
	.opened   = mode_unruly_opened,
	.came     = mode_unruly_came,
	.room     = mode_unruly_go_on,
	.tick     = mode_unruly_tick,
};

static struct habit *habit_of(const struct stress_client *);
static void mode_unruly_burst(struct stress_client *);
static void mode_unruly_add_lines(struct stress_client *, unsigned n);
static void mode_unruly_draw_habits(struct stress_client *);
static void mode_unruly_send(struct stress_client *);
static size_t habit_piece(struct habit *);
static void mode_unruly_leave(struct stress_client *);

static void
mode_unruly_opened(struct stress_client *c)
{
	struct habit *h = habit_of(c);

	if (h == NULL) {
		stress_client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	h->rng = stress_rng_make(stress_client_run()->seed, c->id);
	h->at = h->len = 0;
	h->leave = STAY;
	h->ending = false;
	stress_client_tick(c, 1);
}

/* The ramp may be over, or a nap, or the server has not ended its side in time. */
static void
mode_unruly_tick(struct stress_client *c)
{
	if (c->finished) {
		stress_once_awaited(c);
		stress_client_fault(c, FAULT_TIMEOUT, 0);
	} else if (worker.phase == PHASE_RAMP) {
		stress_client_tick(c, LOOK);
	} else {
		conn_again(&c->conn);
	}
}

static void
mode_unruly_came(struct stress_client *c, struct weir_span in)
{
	struct habit *h = habit_of(c);

	stress_once_awaited(c);
	if (in.len == 0 && c->position > 0)
		stress_client_count(TORN, 1);
	if (in.len == 0 && h->ending && c->conn.eof && c->answered == c->asked)
		stress_client_finish(c);
	while (in.len > 0 && stress_line_take(c, &in))
		;
	if (!stress_client_is_open(c))
		return;
	if (h->ending && c->answered == c->asked && !c->conn.eof && !c->conn.broken)
		stress_once_await_end(c);
	else if (!h->ending)
		mode_unruly_go_on(c);
}

static void
mode_unruly_go_on(struct stress_client *c)
{
	struct habit *h = habit_of(c);

	if (worker.phase == PHASE_RAMP || h->ending || c->conn.write_shut || c->conn.broken)
		return;
	if (h->at == h->len && h->leave == STAY)
		mode_unruly_burst(c);
	if (h->at < h->len)
		mode_unruly_send(c);
	if (stress_client_is_open(c) && h->at == h->len && h->leave != STAY &&
	    conn_waiting(&c->conn) == 0)
		mode_unruly_leave(c);
}

/* NULL: no memory. */
static struct habit *
habit_of(const struct stress_client *c)
{
	static struct habit *habits;

	if (habits == NULL)
		habits = calloc(worker.count, sizeof *habits);
	return habits != NULL ? &habits[c - worker.clients] : NULL;
}

/* ---------------------------------------------------------------- asking */

/* Begins one, perhaps; who has nothing more to ask says so, and goes. */
static void
mode_unruly_burst(struct stress_client *c)
{
	struct habit *h = habit_of(c);
	unsigned      flying = (unsigned)(c->asked - c->answered);
	unsigned      room = stress_client_run()->depth - flying;

	if (worker.quota == 0 || stress_once_hurries()) {
		if (flying == 0 && c->asked > 0)
			h->leave = END;
		return;
	}
	if (room == 0 || (flying > 0 && !stress_rng_chance(&h->rng, ASK_AGAIN)))
		return;
	mode_unruly_add_lines(c,
	    1 + (unsigned)stress_rng_below(&h->rng, stress_rng_chance(&h->rng, 0.5) ? room : 1));
	if (stress_client_is_open(c))
		mode_unruly_draw_habits(c);
}

static void
mode_unruly_add_lines(struct stress_client *c, unsigned n)
{
	const struct run *run = stress_client_run();
	struct habit     *h = habit_of(c);

	if (h->out == NULL)
		h->out = malloc((run->depth + 1) * (run->size > 64 ? run->size : 64));
	if (h->out == NULL) {
		stress_client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	h->at = h->len = 0;
	for (; n > 0 && worker.quota > 0; n--) {
		if (worker.quota != UINT64_MAX)
			worker.quota--;
		h->len += stress_line_request(c, h->out + h->len);
		stress_once_begin(c);
	}
}

static void
mode_unruly_draw_habits(struct stress_client *c)
{
	struct habit *h = habit_of(c);

	h->style = (enum style)stress_rng_below(&h->rng, CRUMBS);
	if (stress_rng_chance(&h->rng, CRUMBLE))
		h->style = CRUMBS;
	h->crumbs = CRUMBS_MAX;
	if (stress_rng_chance(&h->rng, SLEEP))
		stress_client_nap(c, 1 + stress_rng_below(&h->rng, NAP));
	if (!stress_rng_chance(&h->rng, stress_client_run()->leave))
		return;
	h->leave = (enum leave)(1 + stress_rng_below(&h->rng, LEAVES - 1));
	/* Behind the beginning of another one, half the time. */
	if (stress_rng_chance(&h->rng, 0.5))
		h->len += 1 +
		    stress_rng_below(&h->rng, stress_line_request(c, h->out + h->len) - 1);
}

/* What goes at once; the rest has its turn in the next pass. */
static void
mode_unruly_send(struct stress_client *c)
{
	struct habit *h = habit_of(c);
	size_t        n;

	do {
		n = habit_piece(h);
		stress_client_send(c, span_make(h->out + h->at, n));
		h->at += n;
	} while (h->style == LINES && h->at < h->len);
	if (h->at < h->len)
		conn_again(&c->conn);
}

static size_t
habit_piece(struct habit *h)
{
	size_t      left = h->len - h->at;
	const char *newline;

	switch (h->style) {
	case LINES:
		newline = memchr(h->out + h->at, '\n', left);
		return newline != NULL ? (size_t)(newline - h->out) + 1 - h->at : left;
	case PIECES:
		return 1 + stress_rng_below(&h->rng, left);
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
mode_unruly_leave(struct stress_client *c)
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
		stress_once_await_end(c);
		return;
	}
	stress_client_count(LEFT, flying);
	worker.flying -= flying;
	c->answered = c->asked;
	if (h->leave == RESET)
		conn_abort(&c->conn);
	h->leave = STAY;
	stress_client_finish(c);
}
