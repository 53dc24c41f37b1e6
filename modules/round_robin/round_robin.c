/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * round_robin: each peer in its turn, in proportion to its share.
 *
 *	time ────┼────────┼────────┼────────┼──►
 *	a, 3     a  a  a  a  a  a  a  a  a  a
 *	b, 1        b        b        b
 *
 * Each peer is due at intervals of STRIDE / share, and the one that is due first has its
 * turn, which is what the time then is. In each interval of the slowest all get exactly
 * their parts; the first turns are spread over it, so that peers of one weight do not come
 * in a row between those of another. Divisions carry their remainders along: no part of
 * a turn is lost, however long it goes on.
 */
#include <weir.h>

#define STRIDE   (UINT64_C(1) << 44)	/* what the smallest share has to wait */
#define TIME_MAX (UINT64_C(1) << 62)	/* and one more wait is below 2^63 */

struct clock {
	uint64_t now;
};

struct turn {
	uint64_t due;
	uint32_t rest;		/* of the division, of what the share then was */
};

static void turn_set(struct weir_peer *, struct turn *, uint64_t due);
static void clock_rewind(struct weir_upstream *, struct clock *);

/* Each worker begins with another peer, and with the next one after a reload. */
static void
round_robin_change(struct weir_upstream *u)
{
	struct clock     *c = weir_upstream_memory(u);
	unsigned          count = weir_upstream_peers(u), place;
	struct weir_peer *peer;
	uint32_t          share;

	for (unsigned i = 0; i < count; i++) {
		peer = weir_upstream_peer(u, i);
		share = weir_peer_share(peer);
		place = (i + count - weir_upstream_turn(u) % count) % count;
		if (share > 0)
			turn_set(peer, weir_peer_memory(peer),
			    c->now + STRIDE / share / count * place + 1);
	}
}

static struct weir_peer *
round_robin_pick(struct weir_upstream *u, const struct weir_attempt *attempt)
{
	struct clock     *c = weir_upstream_memory(u);
	struct weir_peer *peer = weir_upstream_first(u, attempt);
	struct turn      *turn;
	uint64_t          share;

	if (peer == NULL)
		return NULL;
	turn = weir_peer_memory(peer);
	share = weir_peer_share(peer);
	/* One that was not usable has missed its turns. */
	if (turn->due > c->now)
		c->now = turn->due;
	turn_set(peer, turn, c->now + (STRIDE + turn->rest) / share);
	turn->rest = (uint32_t)((STRIDE + turn->rest) % share);
	if (c->now > TIME_MAX)
		clock_rewind(u, c);
	return peer;
}

/* What it still has to wait grows or shrinks as its share does the other way. */
static void
round_robin_share(struct weir_peer *peer, uint32_t before)
{
	const struct clock *c = weir_upstream_memory(weir_peer_upstream(peer));
	struct turn        *turn = weir_peer_memory(peer);
	uint64_t            share = weir_peer_share(peer), wait = STRIDE / WEIR_SHARE_ONE / 2;

	if (share == 0)
		return;
	if (before != 0)
		wait = turn->due > c->now ? turn->due - c->now : 0;
	else
		before = WEIR_SHARE_ONE;
	turn_set(peer, turn, c->now + (uint64_t)((unsigned __int128)wait * before / share));
	turn->rest = 0;
}

static void
turn_set(struct weir_peer *peer, struct turn *turn, uint64_t due)
{
	turn->due = due;
	weir_peer_rank(peer, due);
}

/* The time begins anew, after 2^28 turns of a single peer with a weight of 1, or after more:
 * it goes on more slowly the more shares there are. */
static void
clock_rewind(struct weir_upstream *u, struct clock *c)
{
	struct weir_peer *peer;
	struct turn      *turn;

	for (unsigned i = 0; i < weir_upstream_peers(u); i++) {
		peer = weir_upstream_peer(u, i);
		turn = weir_peer_memory(peer);
		turn_set(peer, turn, turn->due > c->now ? turn->due - c->now : 0);
	}
	c->now = 0;
}

static const struct weir_balancer round_robin = {
	.upstream_size = sizeof(struct clock),
	.peer_size     = sizeof(struct turn),
	.change        = round_robin_change,
	.pick          = round_robin_pick,
	.share         = round_robin_share,
};

const struct weir_module round_robin_module = {
	.name     = "round_robin",
	.balancer = &round_robin,
};
WEIR_MODULE(round_robin_module);
