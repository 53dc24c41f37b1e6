/* SPDX-License-Identifier: BSD-2-Clause */
/* share: who may have links, over all workers. */
#include "upstream/share.h"

#include <string.h>

#include "base/log.h"
#include "upstream/pool.h"

#define ASK_INTERVAL  40u	/* ms between two wishes of one worker */
#define WANTED_FRESH 200u	/* ms that a wish on the board is believed */
#define REFUSED_PAUSE 5u	/* ms: counting tokens for each request would cost */
#define TENURE_MAX    50u	/* ms that the only link is kept */

static unsigned fair_share(const struct pool *);
static uint64_t tenure(const struct pool *);
static void     ask(struct pool *);
static void     give_up(struct pool *);

bool
share_take(struct pool *p, struct weir_attempt *a)
{
	struct weir_peer     *peer = p->peer;
	struct weir_upstream *u = peer->upstream;

	if (p->count >= u->pool_size || loop_now() < p->hold_until)
		return false;
	if (board_take(peer->board, PEER_LINKS, u->seat, u->pool_size)) {
		if (peer_claim(peer, a)) {
			if (p->count == 0)
				p->held_since = loop_now();
			return true;
		}
		board_give(peer->board, PEER_LINKS, u->seat);
	}
	p->hold_until = loop_now() + REFUSED_PAUSE;
	ask(p);
	return false;
}

void
share_give(struct pool *p)
{
	struct weir_peer *peer = p->peer;

	board_give(peer->board, PEER_LINKS, peer->upstream->seat);
	peer_release(peer);
	p->hold_until = 0;
	for (unsigned slot = 0; slot < pools.slots; slot++) {
		if ((p->askers[slot / 64] >> (slot % 64) & 1) == 0)
			continue;
		p->hold_until = loop_now() + tenure(p);
		pools.tell(POOL_FREED, peer->board, slot);
	}
	memset(p->askers, 0, sizeof p->askers);
}

void
share_wanted(struct pool *p, unsigned slot)
{
	if (p->count == 0 || slot >= pools.slots)
		return;
	p->askers[slot / 64] |= UINT64_C(1) << (slot % 64);
	give_up(p);
}

void
share_freed(struct pool *p)
{
	p->hold_until = 0;
	pool_serve(p->peer->upstream);
}

void
share_look(struct pool *p)
{
	uint64_t wanted = atomic_load_explicit(&p->peer->shared[PEER_WANTED],
	    memory_order_relaxed);

	if (p->count > 0 && wanted != 0 && wanted + WANTED_FRESH >= loop_now())
		give_up(p);
}

/* Of the links that all workers may have to the peer. A worker that goes has
 * none but those that it needs. */
static unsigned
fair_share(const struct pool *p)
{
	uint64_t all = p->peer->upstream->pool_size;

	if (p->peer->max_conns > 0 && p->peer->max_conns < all)
		all = p->peer->max_conns;
	return pools_retiring() ? 0 : (unsigned)(all / pools.slots);
}

/* All have their turn within a part of pool_wait. */
static uint64_t
tenure(const struct pool *p)
{
	uint64_t ms = p->peer->upstream->pool_wait / (4 * (uint64_t)pools.slots);

	return ms > TENURE_MAX ? TENURE_MAX : ms + 1;
}

/* No token: whoever has more than its share is to give one up. */
static void
ask(struct pool *p)
{
	unsigned share = fair_share(p);
	uint64_t now = loop_now();

	if (p->count >= (share > 0 ? share : 1) || now < p->ask_again)
		return;
	p->ask_again = now + ASK_INTERVAL;
	atomic_store_explicit(&p->peer->shared[PEER_WANTED], now, memory_order_relaxed);
	pools.tell(POOL_WANTED, p->peer->board, pools.slot);
}

/* Closes a link, or lets one run empty, if this worker has more than its share. */
static void
give_up(struct pool *p)
{
	unsigned     share = fair_share(p);
	struct link *l, *least = NULL;
	struct node *n, *following;

	if (p->draining > 0 || p->count <= share)
		return;
	if (share == 0 && loop_now() < p->held_since + tenure(p))
		return;		/* at the next tick */
	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->state == LINK_OPEN && l->lent == NULL &&
		    (least == NULL || l->depth < least->depth))
			least = l;
	}
	if (least != NULL)
		link_drain(least, PEER_LINKS_GIVEN_UP);
}
