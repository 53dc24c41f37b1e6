/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode_bulk: a stream on each connection, as fast as it goes or at a rate.
 *
 *	both   the pattern of the connection goes out and comes back
 *	out    it goes out, and a digest of it comes back, or nothing but the end
 *	in     the pattern of connection 0 comes in, which every source sends
 */
#include "stress/mode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "stress/digest.h"
#include "stress/once.h"
#include "stress/pattern.h"

enum { CHUNK = 65536, CHUNKS = 8 /* a turn */, LINE_SIZE = 64, TICK = 8 /* ms */ };
enum { DIGESTS, CUT_SHORT };

static const char *const counters[] = { "digests", "cut_short", NULL };

static const char *mode_bulk_check(const struct run *);
static void mode_bulk_opened(struct stress_client *);
static void mode_bulk_came(struct stress_client *, struct weir_span in);
static void mode_bulk_room(struct stress_client *);
static void mode_bulk_tick(struct stress_client *);

const struct mode mode_bulk = {
	.name     = "bulk",
	.help     = "a stream of -s bytes on each connection, both ways or one (--way)",
	.takes    = "nsRW",
	.once     = true,
	.size     = 64 << 20,
	.counters = counters,
	.check    = mode_bulk_check,
	.opened   = mode_bulk_opened,
	.came     = mode_bulk_came,
	.room     = mode_bulk_room,
	.tick     = mode_bulk_tick,
};

static void mode_bulk_eof(struct stress_client *);
static void mode_bulk_drain(struct stress_client *);
static void mode_bulk_send(struct stress_client *);
static size_t mode_bulk_allowed(struct stress_client *);
static bool mode_bulk_all_sent(const struct stress_client *);
static void mode_bulk_verify(struct stress_client *, struct weir_span in);
static void mode_bulk_show_wrong(struct stress_client *, uint64_t id, struct weir_span in);
static void mode_bulk_verify_digest(struct stress_client *);
static void mode_bulk_done(struct stress_client *, uint64_t bytes);
static void mode_bulk_cut_short(struct stress_client *);

static const char *
mode_bulk_check(const struct run *run)
{
	if (run->way == WAY_IN && run->pacing != PACE_CLOSED)
		return "with --way in it is the server that sends, and --rate cannot be had";
	if (run->pacing == PACE_POISSON)
		return "--poisson is for requests, and a stream has none";
	return NULL;
}

static void
mode_bulk_opened(struct stress_client *c)
{
	c->began = 0;		/* the state of the digest of what has been sent */
	stress_once_begin(c);
	if (stress_client_run()->way != WAY_IN)
		mode_bulk_send(c);
	else
		stress_client_tick(c, stress_client_run()->timeout);	/* -t begins here */
}

static void
mode_bulk_room(struct stress_client *c)
{
	/* At a rate the tick sends: crumbs that come back would each call for a few more. */
	if (stress_client_run()->way != WAY_IN && !c->finished && c->tick == 0)
		mode_bulk_send(c);
	mode_bulk_drain(c);
}

static void
mode_bulk_tick(struct stress_client *c)
{
	mode_bulk_room(c);
}

static void
mode_bulk_came(struct stress_client *c, struct weir_span in)
{
	if (in.len == 0) {
		mode_bulk_eof(c);
		return;
	}
	stress_once_progress(c);
	if (stress_client_run()->way == WAY_OUT) {
		if (buf_len(c->conn.in) + in.len > LINE_SIZE) {
			stress_client_wrong(c, in, span_make(NULL, 0));
			stress_client_fault(c, FAULT_UNASKED, 0);
		} else if (buf_append(&c->conn.in, in) < 0) {
			stress_client_fault(c, FAULT_NO_MEMORY, errno);
		}
		return;
	}
	mode_bulk_verify(c, in);
	if (stress_client_is_open(c) && stress_client_run()->way == WAY_BOTH &&
	    stress_once_hurries())
		mode_bulk_send(c);
	mode_bulk_drain(c);
}

/* The server has ended its side. Where it should not have yet, or has by a reset, the
 * client names the fault. */
static void
mode_bulk_eof(struct stress_client *c)
{
	if (!c->conn.eof)
		return;
	/* It can only have seen our end if all before that, and the end itself, has arrived. */
	if (stress_client_run()->way == WAY_OUT && c->conn.finished &&
	    conn_unacknowledged(&c->conn) == 0)
		mode_bulk_verify_digest(c);
	else if (stress_client_run()->way == WAY_IN && c->position == stress_client_run()->size)
		mode_bulk_done(c, c->position);
}

/* The run draws to its end. What is under way is waited for; but a server that takes it
 * slowly could do so for ever. */
static void
mode_bulk_drain(struct stress_client *c)
{
	uint64_t limit = worker.draining + stress_client_run()->timeout, now = loop_now();

	if (!stress_client_is_open(c) || !stress_once_hurries())
		return;
	if (now < limit) {
		stress_client_tick(c, limit - now);
		return;
	}
	conn_abort(&c->conn);
	mode_bulk_cut_short(c);
}

/* --------------------------------------------------------------------- sending */

static void
mode_bulk_send(struct stress_client *c)
{
	static char          chunk[CHUNK];
	struct stress_digest digest;
	size_t               n;

	for (int i = 0; i < CHUNKS && !c->finished && conn_waiting(&c->conn) == 0; i++) {
		n = mode_bulk_allowed(c);
		if (n == 0)
			break;
		stress_pattern_fill(c->id, c->posted, chunk, n);
		if (stress_client_run()->way == WAY_OUT) {
			digest = (struct stress_digest){ .bytes = c->posted, .state = c->began };
			stress_digest_add(&digest, span_make(chunk, n));
			c->began = digest.state;
		}
		c->posted += n;
		stress_once_progress(c);
		stress_client_send(c, span_make(chunk, n));
	}
	if (c->finished)
		return;
	if (mode_bulk_all_sent(c)) {
		c->finished = true;
		if (stress_client_run()->way == WAY_OUT)
			conn_finish(&c->conn);
		else if (c->position == c->posted)
			mode_bulk_verify(c, span_make(NULL, 0));
	} else if (stress_client_run()->pacing != PACE_CLOSED) {
		stress_client_tick(c, TICK);
	} else if (conn_waiting(&c->conn) == 0 && c->conn.writable) {
		conn_again(&c->conn);
	}
}

/* How much may be sent now: of this stream, and by the rate. */
static size_t
mode_bulk_allowed(struct stress_client *c)
{
	const struct run *run = stress_client_run();
	uint64_t          n = run->size - c->posted, since, paid;

	if (stress_once_hurries())
		return 0;
	if (run->pacing != PACE_CLOSED) {
		since = clock_ns() - stress_once_flight(c)->due;
		paid = (uint64_t)(run->rate / run->connections * (double)since / 1e9);
		n = paid <= c->posted ? 0 : paid - c->posted < n ? paid - c->posted : n;
	}
	return n < CHUNK ? (size_t)n : CHUNK;
}

static bool
mode_bulk_all_sent(const struct stress_client *c)
{
	return c->posted == stress_client_run()->size || stress_once_hurries();
}

/* ------------------------------------------------------------------- verifying */

static void
mode_bulk_verify(struct stress_client *c, struct weir_span in)
{
	bool     both = stress_client_run()->way == WAY_BOTH;
	uint64_t id = both ? c->id : 0, due = both ? c->posted : stress_client_run()->size;
	size_t   n = in.len < due - c->position ? in.len : (size_t)(due - c->position);

	if (!stress_pattern_is(id, c->position, span_make(in.data, n))) {
		mode_bulk_show_wrong(c, id, span_make(in.data, n));
		stress_client_fault(c, FAULT_WRONG, 0);
		return;
	}
	c->position += n;
	if (n < in.len) {
		stress_client_wrong(c, span_skip(in, n), span_make(NULL, 0));
		stress_client_fault(c, FAULT_UNASKED, 0);
		return;
	}
	/* A stream that comes in has its end when the server ends it. */
	if (both && c->finished && c->position == due)
		mode_bulk_done(c, c->position);
	else if (!both && c->position < due && stress_once_hurries())
		mode_bulk_cut_short(c);
}

/* Looks closer, so that the very byte is told. */
static void
mode_bulk_show_wrong(struct stress_client *c, uint64_t id, struct weir_span in)
{
	char   want[64];
	size_t n = sizeof want;

	for (; in.len > 0; in = span_skip(in, n), c->position += n) {
		n = in.len < sizeof want ? in.len : sizeof want;
		if (!stress_pattern_is(id, c->position, span_make(in.data, n)))
			break;
	}
	stress_pattern_fill(id, c->position, want, n);
	stress_client_wrong(c, span_make(in.data, n), span_make(want, n));
}

/* The server has ended its side: with a line that has to be right, or without. */
static void
mode_bulk_verify_digest(struct stress_client *c)
{
	struct stress_digest sent = { .bytes = c->posted, .state = c->began };
	struct weir_span     came = buf_span(c->conn.in);
	char                 due[LINE_SIZE];
	size_t               n;

	n = (size_t)snprintf(due, sizeof due, "%" PRIu64 " %016" PRIx64 "\n", c->posted,
	    stress_digest_value(&sent));
	if (came.len > 0 && (came.len != n || memcmp(came.data, due, n) != 0)) {
		stress_client_wrong(c, came, span_make(due, n));
		stress_client_fault(c, FAULT_WRONG, 0);
		return;
	}
	if (came.len > 0)
		stress_client_count(DIGESTS, 1);
	mode_bulk_done(c, c->posted);
}

/* All was right. */
static void
mode_bulk_done(struct stress_client *c, uint64_t bytes)
{
	if (bytes != stress_client_run()->size) {
		mode_bulk_cut_short(c);
		return;
	}
	stress_once_end(c);
	stress_client_finish(c);
}

/* What came was right. The end of the run was before that of the stream, so that its time
 * tells nothing. */
static void
mode_bulk_cut_short(struct stress_client *c)
{
	stress_client_count(CUT_SHORT, 1);
	stress_once_drop(c);
	stress_client_finish(c);
}
