/* SPDX-License-Identifier: BSD-2-Clause */
/* share: who may have links, over all workers. */
#include "upstream/share.h"

#include <assert.h>
#include <string.h>

#include "upstream/link.h"
#include "upstream/roster.h"
#include "upstream/upstream.h"

#define ASK_INTERVAL  40u	/* ms between two wishes of one worker */
#define WANTED_FRESH 200u	/* ms that a wish on the board is believed */
#define STARVES_FRESH 500u	/* ms beyond pool_wait that its mark is: it may hang */
#define YIELD (2 * SHARE_TICK)	/* ms: whom no message reaches has looked until then */
#define REFUSED_PAUSE 5u	/* ms: counting tokens for each request would cost */
#define TENURE_MAX    50u	/* ms that the only link is kept */

/* What the workers of all generations have of the links to a peer, and need. */
struct claims {
	unsigned all;		/* links that there may be */
	unsigned workers;	/* that have one or need one, this one included */
	unsigned before;	/* that have none and need one for longer than this one */
};

static struct claims share_claims(const struct pool *);
static uint64_t share_tenure(const struct pool *, unsigned workers);
static void     share_ask(struct pool *, const struct claims *);
static void     share_give_up(struct pool *, bool yields);

static struct share_worker share_self;

/* PEER_WANTED: when, and whose seat. */
static uint64_t
share_wish(uint64_t when, unsigned seat)
{
	return when * BOARD_SEATS + seat;
}

static uint64_t
share_wish_time(uint64_t w)
{
	return w / BOARD_SEATS;
}

static unsigned
share_wish_seat(uint64_t w)
{
	return (unsigned)(w % BOARD_SEATS);
}

void
shares_start(const struct share_worker *self)
{
	share_self = *self;
}

/* After a reload that has changed them, the limits of all who have links or need some
 * hold together; and old workers always keep to those of the new ones. */
void
share_start(struct pool *p)
{
	struct weir_peer *peer = p->peer;
	uint64_t          allowed = peer->upstream->pool_size;

	if (peer->max_conns > 0 && peer->max_conns < allowed)
		allowed = peer->max_conns;
	atomic_store(&peer->cell[PEER_ALLOWED], allowed);
}

void
share_stop(struct pool *p)
{
	atomic_store(&p->peer->cell[PEER_ALLOWED], 0);
	atomic_store(&p->peer->cell[PEER_STARVES], 0);
}

bool
share_take(struct pool *p, struct weir_attempt *a)
{
	struct weir_peer     *peer = p->peer;
	struct weir_upstream *u = peer->upstream;
	struct claims         c;

	if (p->count >= u->pool_size || loop_now() < p->hold_until)
		return false;
	c = share_claims(p);
	/* To each of those before it one is left. */
	if (c.before < c.all &&
	    board_take(peer->board, PEER_LINKS, u->seat, c.all - c.before)) {
		if (peer_claim(peer, a)) {
			if (p->count == 0)
				p->held_since = loop_now();
			atomic_store(&peer->cell[PEER_STARVES], 0);
			return true;
		}
		board_give(peer->board, PEER_LINKS, u->seat);
	}
	p->hold_until = loop_now() + REFUSED_PAUSE;
	share_ask(p, &c);
	return false;
}

void
share_give(struct pool *p)
{
	struct weir_peer *peer = p->peer;

	board_give(peer->board, PEER_LINKS, peer->upstream->seat);
	peer_release(peer);
	roster_give(peer);
	p->hold_until = p->yields ? loop_now() + YIELD : 0;
	p->yields = false;
	for (unsigned slot = 0; slot < share_self.slots; slot++) {
		if ((p->wanted_by[slot / 64] >> (slot % 64) & 1) == 0)
			continue;
		if (p->hold_until == 0)
			p->hold_until = loop_now() + share_tenure(p, share_self.slots);
		share_self.tell(SHARE_FREED, peer->board, slot);
	}
	memset(p->wanted_by, 0, sizeof p->wanted_by);
}

void
share_pause(struct pool *p)
{
	p->hold_until = loop_now() + SHARE_TICK;
}

void
share_wanted(struct pool *p, unsigned slot)
{
	if (p->count == 0 || slot >= share_self.slots)
		return;
	p->wanted_by[slot / 64] |= UINT64_C(1) << (slot % 64);
	share_give_up(p, false);
}

void
share_freed(struct pool *p)
{
	p->hold_until = 0;
	roster_set_full(p->peer, false);
}

void
share_look(struct pool *p)
{
	struct weir_upstream *u = p->peer->upstream;
	board_word           *starves = &p->peer->cell[PEER_STARVES];
	uint64_t              wanted = atomic_load(&p->peer->shared[PEER_WANTED]);
	uint64_t              since = atomic_load(starves);

	if (since != 0 && (p->count > 0 || u->queued == 0))
		atomic_store(starves, 0);
	else if (since != 0 && since + u->pool_wait < loop_now())
		atomic_store(starves, loop_now());
	if (p->count > 0 && wanted != 0 && share_wish_seat(wanted) != u->seat &&
	    share_wish_time(wanted) + WANTED_FRESH >= loop_now())
		share_give_up(p, true);
}

static struct claims
share_claims(const struct pool *p)
{
	const struct weir_peer     *peer = p->peer;
	const struct weir_upstream *u = peer->upstream;
	struct claims               c = { .workers = 1 };
	uint64_t                    mine = atomic_load(&peer->cell[PEER_STARVES]), since, allowed;
	const board_word           *cell;
	bool                        needs;

	c.all = (unsigned)atomic_load(&peer->cell[PEER_ALLOWED]);
	for (unsigned seat = BOARD_PAST + 1, end = board_seats(); seat < end; seat++) {
		if (seat == u->seat)
			continue;
		cell = board_cell(peer->board, seat);
		since = atomic_load(&cell[PEER_STARVES]);
		if (since + u->pool_wait + STARVES_FRESH < loop_now())
			since = 0;
		needs = since != 0 || atomic_load(&cell[PEER_LINKS]) > 0;
		allowed = atomic_load(&cell[PEER_ALLOWED]);
		if ((needs || p->retires) && allowed > 0 && allowed < c.all)
			c.all = (unsigned)allowed;
		if (!needs)
			continue;
		c.workers++;
		if (since != 0 && (mine == 0 || since < mine || (since == mine && seat < u->seat)))
			c.before++;
	}
	return c;
}

/* All have their turn within a part of pool_wait. */
static uint64_t
share_tenure(const struct pool *p, unsigned workers)
{
	uint64_t ms = p->peer->upstream->pool_wait / (4 * (uint64_t)workers);

	return ms > TENURE_MAX ? TENURE_MAX : ms + 1;
}

/* No token: whoever has more than its share is to give one up. */
static void
share_ask(struct pool *p, const struct claims *c)
{
	unsigned share = c->all / c->workers;
	uint64_t now = loop_now();

	if (p->count >= (share > 0 ? share : 1))
		return;
	if (p->count == 0 && atomic_load(&p->peer->cell[PEER_STARVES]) == 0)
		atomic_store(&p->peer->cell[PEER_STARVES], now);
	if (now < p->ask_again)
		return;
	p->ask_again = now + ASK_INTERVAL;
	atomic_store(&p->peer->shared[PEER_WANTED], share_wish(now, p->peer->upstream->seat));
	share_self.tell(SHARE_WANTED, p->peer->board, share_self.slot);
}

/* Closes a link, or lets one run empty, if this worker has more than its share. */
static void
share_give_up(struct pool *p, bool yields)
{
	struct claims c;
	unsigned      share;
	struct link  *l, *least = NULL;
	struct node  *n, *following;

	c = share_claims(p);
	share = c.all / c.workers;
	if (p->count <= share)
		return;
	if (share == 0 && loop_now() < p->held_since + share_tenure(p, c.workers))
		return;		/* at the next tick */
	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->state == LINK_OPEN && l->borrower == NULL &&
		    (least == NULL || l->depth < least->depth))
			least = l;
	}
	/* One that runs empty is enough. */
	if (least == NULL || (least->depth > 0 && p->leaving > 0))
		return;
	p->yields = yields;
	link_drain(least, PEER_LINKS_GIVEN_UP);
}
