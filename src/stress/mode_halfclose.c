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

static void mode_halfclose_opened(struct stress_client *);
static void mode_halfclose_came(struct stress_client *, struct weir_span in);
static void mode_halfclose_room(struct stress_client *);
static void mode_halfclose_tick(struct stress_client *);

const struct mode mode_halfclose = {
	.name     = "halfclose",
	.help     = "-p lines and a FIN: all replies, and then the FIN, have to come back",
	.takes    = "npsF",
	.once     = true,
	.counters = counters,
	.check    = stress_line_check,
	.opened   = mode_halfclose_opened,
	.came     = mode_halfclose_came,
	.room     = mode_halfclose_room,
	.tick     = mode_halfclose_tick,
};

static bool mode_halfclose_answered(const struct stress_client *);

static void
mode_halfclose_opened(struct stress_client *c)
{
	mode_halfclose_room(c);
}

/* A connection that is open when the run ends is gone through with: it is short. */
static void
mode_halfclose_room(struct stress_client *c)
{
	static char *line;
	size_t       n;

	if (line == NULL && (line = malloc(stress_client_run()->size + 64)) == NULL) {
		stress_client_fault(c, FAULT_NO_MEMORY, ENOMEM);
		return;
	}
	while (c->asked < stress_client_run()->depth && conn_waiting(&c->conn) == 0) {
		n = stress_line_request(c, line);
		stress_once_begin(c);
		stress_client_send(c, span_make(line, n));
	}
	if (c->asked == stress_client_run()->depth)
		conn_finish(&c->conn);
}

static void
mode_halfclose_came(struct stress_client *c, struct weir_span in)
{
	stress_once_awaited(c);
	if (in.len > 0) {
		while (in.len > 0 && stress_line_take(c, &in))
			;
		if (stress_client_is_open(c) && mode_halfclose_answered(c))
			stress_once_await_end(c);
	} else if (c->conn.eof && mode_halfclose_answered(c)) {
		stress_client_count(WHOLE, 1);
		stress_client_finish(c);
	} else if (c->conn.eof) {
		stress_client_fault(c, FAULT_CLOSED, 0);	/* lines unsent, too */
	}
}

static bool
mode_halfclose_answered(const struct stress_client *c)
{
	return c->conn.finished && c->answered == c->asked;
}

/* All has been answered, and the server does not end its side. */
static void
mode_halfclose_tick(struct stress_client *c)
{
	stress_once_awaited(c);
	stress_client_fault(c, FAULT_TIMEOUT, 0);
}
