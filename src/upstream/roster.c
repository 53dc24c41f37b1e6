/* SPDX-License-Identifier: BSD-2-Clause */
/* roster: the peers that may be picked, in the order that the balancer gives them. */
#include "upstream/roster.h"

#include "upstream/upstream.h"

#define STAGES (ATTEMPT_FAILED + 1u)
#define KINDS  2u	/* who wants a connection, who wants a link */

/* To look at all peers takes so long that it is not done more often than once in as many
 * ms as there are times so many of them: a fraction of the processor's time, whatever flaps. */
#define LOOKS_EACH 128u
/* The same for those that are full. */
#define FULL_EACH  64u

/* What decides among equal ranks: when the peer was picked last, a number of 48 bits, which
 * lasts for years of a million picks a second; and below it its index + 1. */
#define SERIAL_ONE (UINT64_C(1) << 16)
#define LEAF_MASK  (SERIAL_ONE - 1)
_Static_assert(UPSTREAM_PEERS_MAX < LEAF_MASK, "all indices fit");

struct roster_node {
	uint64_t rank;
	uint64_t order;		/* 0: nobody is below this node */
};

/* Nodes 1 … count-1 have two below them, the leaves are count … 2 * count - 1. What is above
 * the leaf that was changed last is still to follow: most changes come in pairs, a peer that is
 * picked and then has more under way. */
struct roster_tree {
	struct roster_node *first;
	uint64_t           *shares;
	unsigned            changed;	/* a leaf; 0: none */
};

struct contender {
	uint64_t rank;
	uint64_t order;
	uint32_t share;
	uint8_t  stage[KINDS];	/* of the tree that it is in, + 1; 0: none */
	uint16_t full;		/* its place in roster.full, + 1; 0: max_conns was not reached */
};

struct roster {
	unsigned           count;
	struct contender  *all;
	struct roster_tree trees[KINDS][STAGES];
	bool               used[KINDS];
	uint64_t           serial;		/* the next one, as it stands in order */
	uint16_t          *full;		/* contenders that are, by index */
	unsigned           full_count;
	uint64_t           full_until;		/* ms: they are looked at again */
	uint64_t           changes;		/* of UPSTREAM_CHANGES, that it has seen */
	uint64_t           look_at;		/* ms: something on the board will be another */
	uint64_t           looked;		/* ms */
};

/* Peers that an attempt has ruled out, for the time of one pick. */
struct roster_aside {
	unsigned count;
	unsigned peers[UPSTREAM_RETRIES_MAX + 1];
};

static void roster_look(struct weir_upstream *, uint64_t now);
static void roster_look_at_full(struct weir_upstream *, uint64_t now);
static void roster_set_aside(struct weir_upstream *, struct weir_peer *, uint64_t now);
static void roster_take_back(struct weir_upstream *, struct weir_peer *, uint64_t now);
static void roster_open(struct weir_upstream *, unsigned kind, uint64_t now);
static bool roster_takes(struct weir_upstream *, const struct weir_attempt *, struct weir_peer *,
    struct roster_aside *);
static void roster_put_back(struct weir_upstream *, const struct weir_attempt *,
    const struct roster_aside *);
static void roster_place(struct weir_upstream *, struct weir_peer *, uint64_t now);
static unsigned roster_stage(const struct weir_peer *, enum peer_state);
static void roster_reorder(struct roster *, unsigned peer);
static void roster_set_leaf(struct roster *, unsigned kind, unsigned stage, unsigned peer,
    bool there);
static void roster_set_first(struct roster_tree *, unsigned count, unsigned peer,
    struct roster_node);
static void roster_climb(struct roster_tree *);
static void roster_set_share(struct roster_tree *, unsigned count, unsigned peer, uint64_t share);

size_t
roster_size(unsigned peers)
{
	size_t n = peers;

	return roster_aligned(sizeof(struct roster)) +
	    roster_aligned(n * sizeof(struct contender)) + roster_aligned(n * sizeof(uint16_t)) +
	    KINDS * STAGES *
	    (roster_aligned(2 * n * sizeof(struct roster_node)) +
		roster_aligned(2 * n * sizeof(uint64_t)));
}

void
roster_start(struct weir_upstream *u, void *memory)
{
	char          *at = memory;
	struct roster *r = memory;
	size_t         n = u->peer_count;

	u->roster = r;
	r->count = u->peer_count;
	at += roster_aligned(sizeof *r);
	r->all = (void *)at;
	at += roster_aligned(n * sizeof *r->all);
	r->full = (void *)at;
	at += roster_aligned(n * sizeof *r->full);
	for (unsigned i = 0; i < KINDS * STAGES; i++) {
		struct roster_tree *t = &r->trees[i / STAGES][i % STAGES];

		t->first = (void *)at;
		at += roster_aligned(2 * n * sizeof *t->first);
		t->shares = (void *)at;
		at += roster_aligned(2 * n * sizeof *t->shares);
	}
}

/* ------------------------------------------------------ what the board says */

void
roster_refresh(struct weir_upstream *u, uint64_t now)
{
	const board_word *word = &u->shared[UPSTREAM_CHANGES];
	struct roster    *r = u->roster;
	uint64_t          changes = atomic_load_explicit(word, memory_order_acquire);

	if ((changes != r->changes || now >= r->look_at) &&
	    now >= r->looked + r->count / LOOKS_EACH) {
		r->changes = changes;
		roster_look(u, now);
	}
	if (r->full_count > 0 && now >= r->full_until)
		roster_look_at_full(u, now);
}

void
roster_renew(struct weir_upstream *u, uint64_t now)
{
	u->roster->changes = atomic_load(&u->shared[UPSTREAM_CHANGES]);
	roster_look(u, now);
}

static void
roster_look(struct weir_upstream *u, uint64_t now)
{
	struct roster *r = u->roster;

	r->looked = now;
	r->look_at = UINT64_MAX;
	for (unsigned i = 0; i < r->count; i++)
		roster_place(u, &u->peers[i], now);
}

/* Whether another process has given a connection back, to those that had none left. */
static void
roster_look_at_full(struct weir_upstream *u, uint64_t now)
{
	struct roster    *r = u->roster;
	struct weir_peer *peer;

	for (unsigned i = r->full_count; i-- > 0;) {
		peer = &u->peers[r->full[i]];
		if (!peer_is_full(peer))
			roster_take_back(u, peer, now);
	}
	r->full_until = now + 1 + r->full_count / FULL_EACH;
}

/* In no tree until it has room. */
static void
roster_set_aside(struct weir_upstream *u, struct weir_peer *peer, uint64_t now)
{
	struct roster *r = u->roster;

	if (r->full_count == 0)
		r->full_until = now + 1;
	r->full[r->full_count++] = (uint16_t)peer->index;
	r->all[peer->index].full = (uint16_t)r->full_count;
	roster_place(u, peer, now);
}

static void
roster_take_back(struct weir_upstream *u, struct weir_peer *peer, uint64_t now)
{
	struct roster    *r = u->roster;
	struct contender *c = &r->all[peer->index];
	unsigned          last = r->full[--r->full_count];

	r->full[c->full - 1] = (uint16_t)last;
	r->all[last].full = c->full;
	c->full = 0;
	roster_place(u, peer, now);
}

/* Those of a kind of attempt are kept in order from its first one on. */
static void
roster_open(struct weir_upstream *u, unsigned kind, uint64_t now)
{
	struct roster *r = u->roster;
	unsigned       turn = u->turn % r->count;

	/* The first to be picked is another in each worker. */
	if (r->serial == 0) {
		for (unsigned i = 0; i < r->count; i++)
			r->all[i].order = i + 1 + SERIAL_ONE +
			    SERIAL_ONE * ((i + r->count - turn) % r->count);
		r->serial = (r->count + 1) * SERIAL_ONE;
	}
	r->used[kind] = true;
	roster_look(u, now);
}

/* Puts the peer into the trees where it belongs, until the board says so or r->look_at. */
static void
roster_place(struct weir_upstream *u, struct weir_peer *peer, uint64_t now)
{
	const struct weir_balancer *b = u->balancer->balancer;
	struct roster              *r = u->roster;
	struct contender           *c = &r->all[peer->index];
	struct peer_standing        s = peer_assess(peer, now);
	uint32_t                    before = c->share;
	unsigned                    stage;

	c->share = s.share;
	if (s.until < r->look_at)
		r->look_at = s.until;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		if (!r->used[kind])
			continue;
		stage = (kind == 0 ? c->full > 0 : peer->full) ? 0 : roster_stage(peer, s.state);
		if (stage == c->stage[kind] && s.share == before)
			continue;
		if (c->stage[kind] != 0)
			roster_set_leaf(r, kind, c->stage[kind] - 1u, peer->index, false);
		if (stage != 0)
			roster_set_leaf(r, kind, stage - 1, peer->index, true);
		c->stage[kind] = (uint8_t)stage;
	}
	if (s.share != before && u->chosen && b->share != NULL)
		b->share(peer, before);
}

/* The number of its tree while it is not full, from 1 on; 0: none. */
static unsigned
roster_stage(const struct weir_peer *peer, enum peer_state state)
{
	switch (state) {
	case PEER_GOOD:
		return (peer->backup ? ATTEMPT_BACKUP : ATTEMPT_GOOD) + 1;
	case PEER_FAILING:
		return ATTEMPT_FAILED + 1;
	default:
		return 0;
	}
}

void
roster_set_full(struct weir_peer *peer, bool full)
{
	struct weir_upstream *u = peer->upstream;

	if (peer->full == full)
		return;
	peer->full = full;
	u->full += full ? 1u : -1u;
	roster_place(u, peer, u->roster->looked);
}

void
roster_give(struct weir_peer *peer)
{
	const struct roster *r = peer->upstream->roster;

	if (r->all[peer->index].full > 0)
		roster_take_back(peer->upstream, peer, r->looked);
}

/* ------------------------------------------------------------------- picking */

struct weir_peer *
weir_upstream_first(struct weir_upstream *u, const struct weir_attempt *a)
{
	struct roster      *r = u->roster;
	struct roster_tree *t = &r->trees[a->pooled][a->stage];
	struct roster_aside aside = { .count = 0 };
	struct weir_peer   *peer = NULL;

	if (r->count == 0)
		return NULL;
	if (!r->used[a->pooled])
		roster_open(u, a->pooled, a->now);
	for (roster_climb(t); t->first[1].order != 0; roster_climb(t)) {
		peer = &u->peers[(t->first[1].order & LEAF_MASK) - 1];
		if (roster_takes(u, a, peer, &aside))
			break;
		peer = NULL;
	}
	roster_put_back(u, a, &aside);
	if (peer != NULL) {
		r->all[peer->index].order = r->serial + peer->index + 1;
		r->serial += SERIAL_ONE;
		roster_reorder(r, peer->index);
	}
	return peer;
}

struct weir_peer *
weir_upstream_draw(struct weir_upstream *u, const struct weir_attempt *a, uint64_t at)
{
	struct roster      *r = u->roster;
	struct roster_tree *t = &r->trees[a->pooled][a->stage];
	struct roster_aside aside = { .count = 0 };
	struct weir_peer   *peer = NULL;
	uint64_t            place;
	unsigned            node, right;

	if (r->count == 0)
		return NULL;
	if (!r->used[a->pooled])
		roster_open(u, a->pooled, a->now);
	while (t->shares[1] > 0) {
		place = (uint64_t)((unsigned __int128)at * t->shares[1] >> 64);
		/* No branch: the processor could not foretell it. */
		for (node = 1; node < r->count; node += right) {
			node *= 2;
			right = place >= t->shares[node];
			place -= t->shares[node] & -(uint64_t)right;
		}
		peer = &u->peers[node - r->count];
		if (roster_takes(u, a, peer, &aside))
			break;
		peer = NULL;
	}
	roster_put_back(u, a, &aside);
	return peer;
}

/* Whether the attempt may go to it. If not, it is in this tree no more: for this pick, until
 * it has room, or because the board says so. */
static bool
roster_takes(struct weir_upstream *u, const struct weir_attempt *a, struct weir_peer *peer,
    struct roster_aside *aside)
{
	struct roster    *r = u->roster;
	struct contender *c = &r->all[peer->index];

	if (weir_peer_usable(peer, a))
		return true;
	if (attempt_has_ruled_out(a, peer)) {
		roster_set_leaf(r, a->pooled, a->stage, peer->index, false);
		aside->peers[aside->count++] = peer->index;
		return false;
	}
	roster_place(u, peer, a->now);
	if (c->stage[a->pooled] != a->stage + 1u)
		return false;
	/* Another process has changed a word just now: it is placed anew. */
	if (a->pooled || !peer_fits(peer, a))
		return false;
	roster_set_aside(u, peer, a->now);
	return false;
}

static void
roster_put_back(struct weir_upstream *u, const struct weir_attempt *a,
    const struct roster_aside *aside)
{
	for (unsigned i = 0; i < aside->count; i++)
		roster_set_leaf(u->roster, a->pooled, a->stage, aside->peers[i], true);
}

void
weir_peer_rank(struct weir_peer *peer, uint64_t rank)
{
	struct roster    *r = peer->upstream->roster;
	struct contender *c = &r->all[peer->index];

	if (c->rank == rank)
		return;
	c->rank = rank;
	roster_reorder(r, peer->index);
}

uint32_t
weir_peer_share(const struct weir_peer *peer)
{
	return peer->upstream->roster->all[peer->index].share;
}

/* --------------------------------------------------------------------- trees */

/* Its rank or number is another. */
static void
roster_reorder(struct roster *r, unsigned peer)
{
	const struct contender  *c = &r->all[peer];
	const struct roster_node leaf = { c->rank, c->order };

	for (unsigned kind = 0; kind < KINDS; kind++)
		if (c->stage[kind] != 0)
			roster_set_first(&r->trees[kind][c->stage[kind] - 1], r->count, peer, leaf);
}

static void
roster_set_leaf(struct roster *r, unsigned kind, unsigned stage, unsigned peer, bool there)
{
	struct roster_tree *t = &r->trees[kind][stage];
	struct contender   *c = &r->all[peer];
	struct roster_node  leaf = { c->rank, there ? c->order : 0 };

	roster_set_first(t, r->count, peer, leaf);
	roster_set_share(t, r->count, peer, there ? c->share : 0);
}

static inline bool
roster_goes_before(const struct roster_node *a, const struct roster_node *b)
{
	if (a->order == 0 || b->order == 0)
		return a->order != 0;
	return a->rank != b->rank ? a->rank < b->rank : a->order < b->order;
}

static void
roster_set_first(struct roster_tree *t, unsigned count, unsigned peer, struct roster_node leaf)
{
	unsigned node = count + peer;

	if (t->changed != node)
		roster_climb(t);
	t->first[node] = leaf;
	t->changed = node;
}

/* As far as anything becomes another. */
static void
roster_climb(struct roster_tree *t)
{
	const struct roster_node *winner, *pair;
	struct roster_node       *above;

	for (unsigned node = t->changed / 2; node > 0; node /= 2) {
		pair = &t->first[2 * node];
		winner = roster_goes_before(&pair[0], &pair[1]) ? &pair[0] : &pair[1];
		above = &t->first[node];
		if (above->rank == winner->rank && above->order == winner->order)
			break;
		*above = *winner;
	}
	t->changed = 0;
}

static void
roster_set_share(struct roster_tree *t, unsigned count, unsigned peer, uint64_t share)
{
	unsigned node = count + peer;
	uint64_t more = share - t->shares[node];	/* or less: sums wrap */

	if (more == 0)
		return;
	for (; node > 0; node /= 2)
		t->shares[node] += more;
}
