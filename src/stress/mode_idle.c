/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_idle: connections that stay, and say something now and then. */
#include "base/clock.h"
#include "stress/mode_line.h"
#include "stress/random.h"

#define MS UINT64_C(1000000)

enum { SKIPPED };

static const char *const counters[] = { "skipped", NULL };

static void mode_idle_opened(struct stress_client *);
static void mode_idle_tick(struct stress_client *);

const struct mode mode_idle = {
	.name     = "idle",
	.help     = "connections that stay, with a line each -i",
	.takes    = "isF",
	.interval = 30000,
	.counters = counters,
	.check    = stress_line_check,
	.request  = stress_line_request,
	.reply    = stress_line_reply,
	.opened   = mode_idle_opened,
	.tick     = mode_idle_tick,
};

/* Spread over the interval, whatever the ramp was. From then on c->began is when the next
 * ping is due. */
static void
mode_idle_opened(struct stress_client *c)
{
	struct rng rng = stress_rng_make(stress_client_run()->seed, c->id);
	uint64_t   ms = stress_rng_below(&rng, stress_client_run()->interval);

	c->began = clock_ns() + ms * MS;
	stress_client_tick(c, ms);
}

/* While the last one is not answered there is no further one: a connection that has to be
 * kept open needs no more. The timer is a millisecond late, and that is not the server's:
 * the latency counts from now. */
static void
mode_idle_tick(struct stress_client *c)
{
	uint64_t now;

	if (!stress_client_ask(c))
		stress_client_count(SKIPPED, 1);
	if (!stress_client_is_open(c))
		return;
	now = clock_ns();
	do
		c->began += stress_client_run()->interval * MS;
	while (c->began <= now);
	stress_client_tick(c, (c->began - now) / MS + 1);
}
