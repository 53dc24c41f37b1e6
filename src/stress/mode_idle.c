/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_idle: connections that stay, and say something now and then. */
#include "base/clock.h"
#include "stress/mode_line.h"
#include "stress/random.h"

#define MS UINT64_C(1000000)

enum { SKIPPED };

static const char *const counters[] = { "skipped", NULL };

static void idle_opened(struct client *);
static void idle_tick(struct client *);

const struct mode mode_idle = {
	.name     = "idle",
	.help     = "connections that stay, with a line each -i",
	.takes    = "isF",
	.interval = 30000,
	.counters = counters,
	.check    = line_check,
	.request  = line_request,
	.reply    = line_reply,
	.opened   = idle_opened,
	.tick     = idle_tick,
};

/* Spread over the interval, whatever the ramp was. From then on c->began is when the next
 * ping is due. */
static void
idle_opened(struct client *c)
{
	struct rng rng = rng_make(client_run()->seed, c->id);
	uint64_t   ms = rng_below(&rng, client_run()->interval);

	c->began = clock_ns() + ms * MS;
	client_tick(c, ms);
}

/* While the last one is not answered there is no further one: a connection that has to be
 * kept open needs no more. The timer is a millisecond late, and that is not the server's:
 * the latency counts from now. */
static void
idle_tick(struct client *c)
{
	uint64_t now;

	if (!client_ask(c))
		client_count(SKIPPED, 1);
	if (!client_is_open(c))
		return;
	now = clock_ns();
	do
		c->began += client_run()->interval * MS;
	while (c->began <= now);
	client_tick(c, (c->began - now) / MS + 1);
}
