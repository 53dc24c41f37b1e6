/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * random: of two peers that are drawn by their shares, the one with less under way.
 *
 * The second choice is what keeps the longest queue short; a third would hardly help. No
 * order is kept, so nothing is shared and nothing can be followed in step.
 */
#include <weir.h>

struct dice {
	uint64_t state;		/* of splitmix64 */
};

static void
random_change(struct weir_upstream *u)
{
	struct dice *d = weir_upstream_memory(u);

	d->state = weir_upstream_turn(u) * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t
dice_roll(struct dice *d)
{
	uint64_t x = d->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Whether a has less to do than b, for its share. */
static bool
random_is_less(struct weir_peer *a, struct weir_peer *b)
{
	return ((uint64_t)weir_peer_in_flight(a) + 1) * weir_peer_share(b) <
	    ((uint64_t)weir_peer_in_flight(b) + 1) * weir_peer_share(a);
}

static struct weir_peer *
random_pick(struct weir_upstream *u, const struct weir_attempt *attempt)
{
	struct dice      *d = weir_upstream_memory(u);
	struct weir_peer *one = weir_upstream_draw(u, attempt, dice_roll(d)), *other;

	if (one == NULL)
		return NULL;
	other = weir_upstream_draw(u, attempt, dice_roll(d));
	/* Where there are few, the same comes up often. */
	if (other == one)
		other = weir_upstream_draw(u, attempt, dice_roll(d));
	return other != NULL && random_is_less(other, one) ? other : one;
}

static const struct weir_balancer random_balancer = {
	.upstream_size = sizeof(struct dice),
	.change        = random_change,
	.pick          = random_pick,
};

const struct weir_module random_module = {
	.name     = "random",
	.balancer = &random_balancer,
};
WEIR_MODULE(random_module);
