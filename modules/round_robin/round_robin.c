/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * round_robin: each peer in its turn, in proportion to its weight.
 *
 * Smooth: with weights 5, 1, 1 the turns are a a b a c a a, not a a a a a b c.
 * At each pick every usable peer earns its weight, the richest one is chosen
 * and pays what all have earned. Each worker begins with another peer, and with
 * the next one after a reload: those behind it begin with a debt, so that their
 * turns follow.
 */
#include <weir.h>

struct turn {
	int64_t credit;
};

static void
round_robin_change(struct weir_upstream *u)
{
	unsigned          count = weir_upstream_peers(u), behind;
	struct weir_peer *peer;
	struct turn      *turn;

	for (unsigned i = 0; i < count; i++) {
		peer = weir_upstream_peer(u, i);
		turn = weir_peer_memory(peer);
		behind = (i + count - weir_upstream_turn(u) % count) % count;
		turn->credit = -(int64_t)behind * weir_peer_weight(peer);
	}
}

static struct weir_peer *
round_robin_pick(struct weir_upstream *u, const struct weir_attempt *attempt)
{
	struct weir_peer *best = NULL, *peer;
	struct turn      *richest = NULL, *turn;
	int64_t           earned = 0;

	for (unsigned i = 0; i < weir_upstream_peers(u); i++) {
		peer = weir_upstream_peer(u, i);
		if (!weir_peer_usable(peer, attempt))
			continue;
		turn = weir_peer_memory(peer);
		turn->credit += weir_peer_weight(peer);
		earned += weir_peer_weight(peer);
		if (richest == NULL || turn->credit > richest->credit) {
			richest = turn;
			best = peer;
		}
	}
	if (richest != NULL)
		richest->credit -= earned;
	return best;
}

static const struct weir_balancer round_robin = {
	.peer_size = sizeof(struct turn),
	.change    = round_robin_change,
	.pick      = round_robin_pick,
};

const struct weir_module round_robin_module = {
	.name     = "round_robin",
	.balancer = &round_robin,
};
WEIR_MODULE(round_robin_module);
