/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_slowloris: begins a message, never ends it, and sees what the server does. */
#include "stress/mode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "stress/once.h"

#define LOOK 200u	/* ms: the end of the run is not waited for longer than this */

enum { ENDED, RESET_BY_SERVER, ANSWERED_FIRST, TOLERATED };

static const char *const counters[] = { "ended", "reset_by_server", "answered_first", "tolerated",
	NULL };

static const char *slowloris_check(const struct run *);
static void slowloris_opened(struct client *);
static void slowloris_came(struct client *, struct weir_span in);
static void slowloris_tick(struct client *);

const struct mode mode_slowloris = {
	.name     = "slowloris",
	.help     = "a line that never ends, a byte of it each -i: how long is that borne?",
	.takes    = "in",
	.once     = true,
	.timeout  = 120000,
	.interval = 1000,
	.counters = counters,
	.check    = slowloris_check,
	.opened   = slowloris_opened,
	.came     = slowloris_came,
	.tick     = slowloris_tick,
};

static void send_more(struct client *, struct weir_span);
static void wait_on(struct client *);

static const char *
slowloris_check(const struct run *run)
{
	if (run->interval == 0)
		return "-i has to be more than nothing";
	if (run->interval >= run->timeout)
		return "the server's patience is waited for up to -t, and -i is not shorter";
	return NULL;
}

static void
slowloris_opened(struct client *c)
{
	char   text[32];
	size_t n = (size_t)snprintf(text, sizeof(text), "c%" PRIu64 " 1 ", c->id);

	once_begin(c);
	once_unlimited(c);
	send_more(c, span(text, n));
	wait_on(c);
}

static void
slowloris_tick(struct client *c)
{
	uint64_t now = clock_ns(), next;

	if (once_hurries() ||
	    now - once_flight(c)->due >= client_run()->timeout * UINT64_C(1000000)) {
		client_count(TOLERATED, 1);
		/* It is not answered: nothing is known of how long it would have been. */
		once_drop(c);
		client_finish(c);
		return;
	}
	next = c->began + client_run()->interval * UINT64_C(1000000);
	if (now >= next)
		send_more(c, span("x", 1));
	wait_on(c);
}

/* Words are no end; the end may be of two kinds. */
static void
slowloris_came(struct client *c, struct weir_span in)
{
	if (in.len > 0) {
		if (c->position == 0)
			client_count(ANSWERED_FIRST, 1);
		c->position += in.len;
		return;
	}
	/* EPIPE: a reset of what was sent behind the FIN. */
	client_count(c->conn.broken && c->conn.error != EPIPE ? RESET_BY_SERVER : ENDED, 1);
	once_end(c);
	client_finish(c);
}

static void
send_more(struct client *c, struct weir_span s)
{
	c->began = clock_ns();		/* of the last byte */
	client_send(c, s);
}

static void
wait_on(struct client *c)
{
	uint64_t now = clock_ns(), ms = LOOK;
	uint64_t next = c->began + client_run()->interval * UINT64_C(1000000);

	if (!client_is_open(c))
		return;
	if (next <= now)
		ms = 1;
	else if ((next - now) / 1000000 < LOOK)
		ms = (next - now) / 1000000 + 1;
	client_tick(c, ms);
}
