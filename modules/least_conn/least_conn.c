/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least_conn: the peer that has least under way, for its share.
 *
 * What counts is what this worker has: when each worker evens out its own, all of it is
 * even. Of peers that have equally little, the one has its turn that has waited longest.
 */
#include <weir.h>

/* As much under way as if the next one were there already: an empty peer with a large share
 * goes before an empty one with a small share. */
static void
least_conn_load(struct weir_peer *peer)
{
	uint64_t share = weir_peer_share(peer);

	if (share > 0)
		weir_peer_rank(peer, (((uint64_t)weir_peer_in_flight(peer) + 1) << 31) / share);
}

static void
least_conn_share(struct weir_peer *peer, uint32_t before)
{
	(void)before;
	least_conn_load(peer);
}

static void
least_conn_change(struct weir_upstream *u)
{
	for (unsigned i = 0; i < weir_upstream_peers(u); i++)
		least_conn_load(weir_upstream_peer(u, i));
}

static const struct weir_balancer least_conn = {
	.change = least_conn_change,
	.pick   = weir_upstream_first,
	.share  = least_conn_share,
	.load   = least_conn_load,
};

const struct weir_module least_conn_module = {
	.name     = "least_conn",
	.balancer = &least_conn,
};
WEIR_MODULE(least_conn_module);
