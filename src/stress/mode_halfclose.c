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

static bool all_answered(const struct client *);

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
	once_awaited(c);
	if (in.len > 0) {
		while (in.len > 0 && line_take(c, &in))
			;
		if (client_is_open(c) && all_answered(c))
			once_await_end(c);
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

/* All has been answered, and the server does not end its side. */
static void
halfclose_tick(struct client *c)
{
	once_awaited(c);
	client_fault(c, FAULT_TIMEOUT, 0);
}
