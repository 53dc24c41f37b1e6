/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_halfclose: lines and a FIN behind them: all replies, and then the other FIN. */
#include "stress/mode.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "stress/mode_line.h"
#include "stress/once.h"

enum { WHOLE };

static const char *const counters[] = { "whole", NULL };

static void halfclose_opened(struct client *);
static void halfclose_came(struct client *, struct weir_span in);
static void halfclose_room(struct client *);
static void halfclose_tick(struct client *);

const struct mode mode_halfclose = {
	.name     = "halfclose",
	.help     = "-p lines and a FIN: all replies, and then the FIN, have to come back",
	.takes    = "npsF",
	.once     = true,
	.counters = counters,
	.check    = line_check,
	.opened   = halfclose_opened,
	.came     = halfclose_came,
	.room     = halfclose_room,
	.tick     = halfclose_tick,
};

static bool take_reply(struct client *, struct weir_span *in);
static bool all_answered(const struct client *);
static void wait_for_end(struct client *);
static void waited(struct client *);

static void
halfclose_opened(struct client *c)
{
	halfclose_room(c);
}

/* A connection that is open when the run ends is gone through with: it is short. */
static void
halfclose_room(struct client *c)
{
	static char *line;
	size_t       n;

	if (line == NULL && (line = malloc(client_run()->size + 64)) == NULL) {
		client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	while (c->asked < client_run()->depth && conn_waiting(&c->conn) == 0) {
		n = line_request(c, line);
		once_begin(c);
		client_send(c, span(line, n));
	}
	if (c->asked == client_run()->depth)
		conn_finish(&c->conn);
}

static void
halfclose_came(struct client *c, struct weir_span in)
{
	waited(c);
	if (in.len > 0) {
		while (in.len > 0 && take_reply(c, &in))
			;
		if (client_is_open(c) && all_answered(c))
			wait_for_end(c);
	} else if (c->conn.eof && all_answered(c)) {
		client_count(WHOLE, 1);
		client_finish(c);
	} else if (c->conn.eof) {
		client_fault(c, FAULT_CLOSED, 0);	/* also when lines are still to be sent */
	}
}

static bool
all_answered(const struct client *c)
{
	return c->conn.finished && c->answered == c->asked;
}

/* The server's FIN is owed as a reply is: the end of the run waits for it. */
static void
wait_for_end(struct client *c)
{
	c->finished = true;
	worker.flying++;
	client_tick(c, client_run()->timeout);
}

static void
waited(struct client *c)
{
	worker.flying -= c->finished;
	c->finished = false;
}

/* Returns false when there is nothing more to do with the bytes. */
static bool
take_reply(struct client *c, struct weir_span *in)
{
	size_t used = in->len;

	if (c->answered == c->asked) {
		client_wrong(c, *in, span(NULL, 0));
		client_fault(c, FAULT_UNASKED, 0);
		return false;
	}
	switch (line_reply(c, *in, &used)) {
	case TAKE_MORE:
		return false;
	case TAKE_REPLY:
		once_end(c);
		break;
	case TAKE_FAILED:
		tally_add(&worker.tally->faults[FAULT_FAILED], 1);
		once_drop(c);
		break;
	case TAKE_WRONG:
		client_fault(c, FAULT_WRONG, 0);
		return false;
	}
	*in = span_skip(*in, used);
	return true;
}

/* All has been answered, and the server does not end its side. */
static void
halfclose_tick(struct client *c)
{
	waited(c);
	client_fault(c, FAULT_TIMEOUT, 0);
}
