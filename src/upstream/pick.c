/* SPDX-License-Identifier: BSD-2-Clause */
/* pick: which link a request goes on: the choice among peers and their links. */
#include "upstream/pick.h"

#include "net/loop.h"
#include "upstream/link.h"
#include "upstream/roster.h"
#include "upstream/share.h"
#include "upstream/upstream.h"

static struct link *pick_from(struct weir_peer *, struct weir_attempt *, bool *busy);
static struct link *pick_shared(struct pool *, struct weir_attempt *, bool *full);
static struct link *pick_unused(struct pool *, struct weir_attempt *, bool *full);
static bool pick_may_share(const struct link *);
static bool pick_any_full(const struct weir_upstream *, const struct weir_attempt *);

struct link *
pick_link(struct weir_upstream *u, struct weir_attempt *a, bool *busy)
{
	uint8_t           failed = a->ruled_out;
	struct weir_peer *peer;
	struct link      *l;

	a->awaits = NULL;
	for (a->stage = ATTEMPT_GOOD; a->stage <= ATTEMPT_FAILED; a->stage++) {
		while (a->awaits == NULL && a->tried <= u->retries &&
		    (peer = upstream_pick(u, a)) != NULL) {
			if ((l = pick_from(peer, a, busy)) != NULL)
				return l;
			if (*busy && u->balancer->balancer->waits)
				a->awaits = peer;
		}
		if (*busy || pick_any_full(u, a)) {
			*busy = true;
			a->ruled_out = failed;	/* it is looked for again */
			return NULL;
		}
	}
	if (a->tried == 0)
		board_add(&u->cell[UPSTREAM_NO_PEER], 1);
	return NULL;
}

/* What is full is not asked again until something has changed; what fails, not in
 * this search. */
static struct link *
pick_from(struct weir_peer *peer, struct weir_attempt *a, bool *busy)
{
	struct pool *p = peer->pool;
	bool         full = false;
	struct link *l;

	if (peer->full || (a->newcomer && !list_empty(&p->queue))) {
		*busy = true;
		return NULL;
	}
	a->probes = false;
	l = a->alone ? pick_unused(p, a, &full) : pick_shared(p, a, &full);
	if (l == NULL && full) {
		*busy = true;
		/* For what wants a link alone, when others do not, only in this search. */
		if (a->alone && peer->upstream->mode == POOL_PIPELINE)
			attempt_rule_out(a, peer);
		else
			roster_set_full(peer, true);
	} else if (l == NULL) {
		attempt_rule_out(a, peer);
	} else if (!a->probes && !peer_may_probe(peer, a)) {
		attempt_rule_out(a, peer);
		return NULL;
	}
	/* The next reply on it tells whether the peer works again. */
	if (l != NULL && a->probes) {
		l->probing = a->now;
		l->answered = false;
	}
	return l;
}

static struct link *
pick_shared(struct pool *p, struct weir_attempt *a, bool *full)
{
	const struct weir_upstream *u = p->peer->upstream;
	uint64_t                    spread = u->pipeline_spread < u->pipeline_depth
	    ? u->pipeline_spread
	    : u->pipeline_depth;
	struct link                *fullest = NULL, *least = NULL, *l = p->filling;
	struct node                *n, *following;

	if (l != NULL && l->depth < spread && pick_may_share(l))
		return l;
	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (!pick_may_share(l) || l->depth >= u->pipeline_depth)
			continue;
		if (l->depth < spread && (fullest == NULL || l->depth > fullest->depth))
			fullest = l;
		if (least == NULL || l->depth < least->depth)
			least = l;
	}
	/* A peer that fails is not tried with many links at once. */
	if (fullest == NULL && (least == NULL || a->stage != ATTEMPT_FAILED || p->connecting == 0))
		fullest = pick_new_link(p, a, full);
	p->filling = fullest;
	if (fullest == NULL)
		fullest = least;
	if (fullest == NULL && p->count > 0)
		*full = true;
	return fullest;
}

static bool
pick_may_share(const struct link *l)
{
	return link_takes(l) && l->borrower == NULL;
}

static struct link *
pick_unused(struct pool *p, struct weir_attempt *a, bool *full)
{
	struct node *n, *following;
	struct link *l;

	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->depth == 0 && pick_may_share(l))
			return l;
	}
	l = pick_new_link(p, a, full);
	if (l == NULL && p->count > 0)
		*full = true;
	return l;
}

struct link *
pick_new_link(struct pool *p, struct weir_attempt *a, bool *busy)
{
	struct link *l;
	bool         blamed;

	if (!share_take(p, a)) {
		*busy = true;
		return NULL;
	}
	l = link_open(p, a, &blamed);
	if (l != NULL)
		return l;
	share_give(p);
	if (blamed) {
		peer_done(p->peer, WEIR_REQUEST_FAILED, peer_clock(p->peer));
		a->tried++;
		return NULL;
	}
	peer_unreported(p->peer, a);
	share_pause(p);
	*busy = true;
	return NULL;
}

/* Whether there are peers of this stage whose links are full. */
static bool
pick_any_full(const struct weir_upstream *u, const struct weir_attempt *a)
{
	for (unsigned i = 0; u->full > 0 && i < u->peer_count; i++)
		if (u->peers[i].full && peer_fits(&u->peers[i], a))
			return true;
	return false;
}
