/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_idle: connections that stay, and say something now and then. */
#include "stress/mode_line.h"
#include "stress/random.h"

static void idle_opened(struct client *);
static void idle_tick(struct client *);

const struct mode mode_idle = {
	.name     = "idle",
	.help     = "connections that stay, with a line each -i",
	.takes    = "isF",
	.interval = 30000,
	.check    = line_check,
	.request  = line_request,
	.reply    = line_reply,
	.opened   = idle_opened,
	.tick     = idle_tick,
};

/* Spread over the interval, whatever the ramp was. */
static void
idle_opened(struct client *c)
{
	struct rng rng = rng_make(client_run()->seed, c->id);

	client_tick(c, rng_below(&rng, client_run()->interval));
}

/* While the last one is not answered, there is no further one. */
static void
idle_tick(struct client *c)
{
	(void)client_ask(c);
	if (client_is_open(c))
		client_tick(c, client_run()->interval);
}
