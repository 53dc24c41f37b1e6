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

/* How a ClientHello begins: a record and a message of nearly 16 KiB; TLS 1.2, random, session id;
 * 16,128 bytes of cipher suites, none of which has come yet. Those that come are unknown. */
static const char hello[] = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
			    "0123456789abcdef0123456789abcdef\x20"
			    "0123456789abcdef0123456789abcdef\x3f\x00";

enum { ENDED, RESET_BY_SERVER, ANSWERED_FIRST, TOLERATED };

static const char *const counters[] = { "ended", "reset_by_server", "answered_first", "tolerated",
	NULL };

static const char *mode_slowloris_check(const struct run *);
static void mode_slowloris_opened(struct stress_client *);
static void mode_slowloris_came(struct stress_client *, struct weir_span in);
static void mode_slowloris_tick(struct stress_client *);

const struct mode mode_slowloris = {
	.name     = "slowloris",
	.help     = "a line that never ends, a byte of it each -i: how long is that borne?",
	.takes    = "inT",
	.once     = true,
	.timeout  = 120000,
	.interval = 1000,
	.counters = counters,
	.check    = mode_slowloris_check,
	.opened   = mode_slowloris_opened,
	.came     = mode_slowloris_came,
	.tick     = mode_slowloris_tick,
};

static void mode_slowloris_send(struct stress_client *, struct weir_span);
static void mode_slowloris_wait(struct stress_client *);
static bool mode_slowloris_goes_on(void);

static const char *
mode_slowloris_check(const struct run *run)
{
	if (run->interval == 0)
		return "-i has to be more than nothing";
	if (run->interval >= run->timeout && run->tls.stop != TLS_STOP_FINISHED)
		return "the server's patience is waited for up to -t, and -i is not shorter";
	return NULL;
}

static void
mode_slowloris_opened(struct stress_client *c)
{
	char   text[32];
	size_t n;

	stress_once_begin(c);
	stress_once_unlimited(c);
	c->began = clock_ns();
	switch (stress_client_run()->tls.stop) {
	case TLS_STOP_NONE:
		n = (size_t)snprintf(text, sizeof text, "c%" PRIu64 " 1 ", c->id);
		mode_slowloris_send(c, span_make(text, n));
		break;
	case TLS_STOP_HELLO:
		mode_slowloris_send(c, span_make(hello, sizeof hello - 1));
		break;
	case TLS_STOP_FINISHED:
		break;
	}
	mode_slowloris_wait(c);
}

static void
mode_slowloris_tick(struct stress_client *c)
{
	uint64_t now = clock_ns(), next;

	if (stress_once_hurries() ||
	    now - stress_once_flight(c)->due >= stress_client_run()->timeout * UINT64_C(1000000)) {
		stress_client_count(TOLERATED, 1);
		/* It is not answered: nothing is known of how long it would have been. */
		stress_once_drop(c);
		stress_client_finish(c);
		return;
	}
	next = c->began + stress_client_run()->interval * UINT64_C(1000000);
	if (now >= next && mode_slowloris_goes_on())
		mode_slowloris_send(c, span_make("x", 1));
	mode_slowloris_wait(c);
}

/* Words are no end; the end may be of two kinds. */
static void
mode_slowloris_came(struct stress_client *c, struct weir_span in)
{
	if (in.len > 0) {
		if (c->position == 0)
			stress_client_count(ANSWERED_FIRST, 1);
		c->position += in.len;
		return;
	}
	/* EPIPE: a reset of what was sent behind the FIN. */
	stress_client_count(c->conn.broken && c->conn.error != EPIPE ? RESET_BY_SERVER : ENDED, 1);
	stress_once_end(c);
	stress_client_finish(c);
}

static void
mode_slowloris_send(struct stress_client *c, struct weir_span s)
{
	c->began = clock_ns();		/* of the last byte */
	stress_client_send(c, s);
}

static void
mode_slowloris_wait(struct stress_client *c)
{
	uint64_t now = clock_ns(), ms = LOOK;
	uint64_t next = c->began + stress_client_run()->interval * UINT64_C(1000000);

	if (!stress_client_is_open(c))
		return;
	if (!mode_slowloris_goes_on())
		;
	else if (next <= now)
		ms = 1;
	else if ((next - now) / 1000000 < LOOK)
		ms = (next - now) / 1000000 + 1;
	stress_client_tick(c, ms);
}

/* A byte each -i; or it has said its last already. */
static bool
mode_slowloris_goes_on(void)
{
	return stress_client_run()->tls.stop != TLS_STOP_FINISHED;
}
