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

static const char *bulk_check(const struct run *);
static void bulk_opened(struct client *);
static void bulk_came(struct client *, struct weir_span in);
static void bulk_room(struct client *);
static void bulk_tick(struct client *);

const struct mode mode_bulk = {
	.name     = "bulk",
	.help     = "a stream of -s bytes on each connection, both ways or one (--way)",
	.takes    = "nsRW",
	.once     = true,
	.size     = 64 << 20,
	.counters = counters,
	.check    = bulk_check,
	.opened   = bulk_opened,
	.came     = bulk_came,
	.room     = bulk_room,
	.tick     = bulk_tick,
};

static void ended(struct client *);
static void hurry(struct client *);
static void push(struct client *);
static size_t allowed(struct client *);
static bool all_is_sent(const struct client *);
static void verify(struct client *, struct weir_span in);
static void show_wrong(struct client *, uint64_t id, struct weir_span in);
static void judge_digest(struct client *);
static void done(struct client *, uint64_t bytes);
static void cut_short(struct client *);

static const char *
bulk_check(const struct run *run)
{
	if (run->way == WAY_IN && run->pacing != PACE_CLOSED)
		return "with --way in it is the server that sends, and --rate cannot be had";
	if (run->pacing == PACE_POISSON)
		return "--poisson is for requests, and a stream has none";
	return NULL;
}

static void
bulk_opened(struct client *c)
{
	c->began = 0;		/* the state of the digest of what has been sent */
	once_begin(c);
	if (client_run()->way != WAY_IN)
		push(c);
	else
		client_tick(c, client_run()->timeout);	/* nothing is sent: -t begins here */
}

static void
bulk_room(struct client *c)
{
	/* At a rate the tick sends: crumbs that come back would each call for a few more. */
	if (client_run()->way != WAY_IN && !c->finished && c->tick == 0)
		push(c);
	hurry(c);
}

static void
bulk_tick(struct client *c)
{
	bulk_room(c);
}

static void
bulk_came(struct client *c, struct weir_span in)
{
	if (in.len == 0) {
		ended(c);
		return;
	}
	once_progress(c);
	if (client_run()->way == WAY_OUT) {
		if (buf_len(c->conn.in) + in.len > LINE_SIZE) {
			client_wrong(c, in, span(NULL, 0));
			client_fault(c, FAULT_UNASKED, 0);
		} else if (buf_append(&c->conn.in, in) < 0) {
			client_fault(c, FAULT_NO_MEMORY, errno);
		}
		return;
	}
	verify(c, in);
	if (client_is_open(c) && client_run()->way == WAY_BOTH && once_hurries())
		push(c);
	hurry(c);
}

/* The server has ended its side. Where it should not have yet, or has by a reset, the
 * client names the fault. */
static void
ended(struct client *c)
{
	if (!c->conn.eof)
		return;
	/* It can only have seen our end if all before that, and the end itself, has arrived. */
	if (client_run()->way == WAY_OUT && c->conn.finished && conn_unacknowledged(&c->conn) == 0)
		judge_digest(c);
	else if (client_run()->way == WAY_IN && c->position == client_run()->size)
		done(c, c->position);
}

/* The run draws to its end. What is under way is waited for; but a server that takes it
 * slowly could do so for ever. */
static void
hurry(struct client *c)
{
	uint64_t limit = worker.draining + client_run()->timeout, now = loop_now();

	if (!client_is_open(c) || !once_hurries())
		return;
	if (now < limit) {
		client_tick(c, limit - now);
		return;
	}
	conn_spoil(&c->conn);
	cut_short(c);
}

/* --------------------------------------------------------------------- sending */

static void
push(struct client *c)
{
	static char   chunk[CHUNK];
	struct digest digest;
	size_t        n;

	for (int i = 0; i < CHUNKS && !c->finished && conn_waiting(&c->conn) == 0; i++) {
		n = allowed(c);
		if (n == 0)
			break;
		pattern_fill(c->id, c->posted, chunk, n);
		if (client_run()->way == WAY_OUT) {
			digest = (struct digest){ .bytes = c->posted, .state = c->began };
			digest_add(&digest, span(chunk, n));
			c->began = digest.state;
		}
		c->posted += n;
		once_progress(c);
		client_send(c, span(chunk, n));
	}
	if (c->finished)
		return;
	if (all_is_sent(c)) {
		c->finished = true;
		if (client_run()->way == WAY_OUT)
			conn_finish(&c->conn);
		else if (c->position == c->posted)
			verify(c, span(NULL, 0));
	} else if (client_run()->pacing != PACE_CLOSED) {
		client_tick(c, TICK);
	} else if (conn_waiting(&c->conn) == 0 && c->conn.writable) {
		conn_again(&c->conn);
	}
}

/* How much may be sent now: of this stream, and by the rate. */
static size_t
allowed(struct client *c)
{
	const struct run *run = client_run();
	uint64_t          n = run->size - c->posted, since, paid;

	if (once_hurries())
		return 0;
	if (run->pacing != PACE_CLOSED) {
		since = clock_ns() - once_flight(c)->due;
		paid = (uint64_t)(run->rate / run->connections * (double)since / 1e9);
		n = paid <= c->posted ? 0 : paid - c->posted < n ? paid - c->posted : n;
	}
	return n < CHUNK ? (size_t)n : CHUNK;
}

static bool
all_is_sent(const struct client *c)
{
	return c->posted == client_run()->size || once_hurries();
}

/* ------------------------------------------------------------------- verifying */

static void
verify(struct client *c, struct weir_span in)
{
	bool     both = client_run()->way == WAY_BOTH;
	uint64_t id = both ? c->id : 0, due = both ? c->posted : client_run()->size;
	size_t   n = in.len < due - c->position ? in.len : (size_t)(due - c->position);

	if (!pattern_is(id, c->position, span(in.data, n))) {
		show_wrong(c, id, span(in.data, n));
		client_fault(c, FAULT_WRONG, 0);
		return;
	}
	c->position += n;
	if (n < in.len) {
		client_wrong(c, span_skip(in, n), span(NULL, 0));
		client_fault(c, FAULT_UNASKED, 0);
		return;
	}
	/* A stream that comes in has its end when the server ends it. */
	if (both && c->finished && c->position == due)
		done(c, c->position);
	else if (!both && c->position < due && once_hurries())
		cut_short(c);
}

/* Looks closer, so that the very byte is told. */
static void
show_wrong(struct client *c, uint64_t id, struct weir_span in)
{
	char   want[64];
	size_t n = sizeof(want);

	for (; in.len > 0; in = span_skip(in, n), c->position += n) {
		n = in.len < sizeof(want) ? in.len : sizeof(want);
		if (!pattern_is(id, c->position, span(in.data, n)))
			break;
	}
	pattern_fill(id, c->position, want, n);
	client_wrong(c, span(in.data, n), span(want, n));
}

/* The server has ended its side: with a line that has to be right, or without. */
static void
judge_digest(struct client *c)
{
	struct digest    sent = { .bytes = c->posted, .state = c->began };
	struct weir_span came = buf_span(c->conn.in);
	char             due[LINE_SIZE];
	size_t           n;

	n = (size_t)snprintf(due, sizeof(due), "%" PRIu64 " %016" PRIx64 "\n", c->posted,
	    digest_value(&sent));
	if (came.len > 0 && (came.len != n || memcmp(came.data, due, n) != 0)) {
		client_wrong(c, came, span(due, n));
		client_fault(c, FAULT_WRONG, 0);
		return;
	}
	if (came.len > 0)
		client_count(DIGESTS, 1);
	done(c, c->posted);
}

/* All was right. */
static void
done(struct client *c, uint64_t bytes)
{
	if (bytes != client_run()->size) {
		cut_short(c);
		return;
	}
	once_end(c);
	client_finish(c);
}

/* What came was right. The end of the run was before that of the stream, so that its time
 * tells nothing. */
static void
cut_short(struct client *c)
{
	client_count(CUT_SHORT, 1);
	once_drop(c);
	client_finish(c);
}
