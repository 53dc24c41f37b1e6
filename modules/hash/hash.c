/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash: equal clients, or equal keys, go to the same peer.
 *
 *	client ──► 64 bits ──► spread      a place among the weights laid end to end
 *	                  ├──► consistent  the next point of a ring (ketama)
 *	                  └──► maglev      an entry of a table
 *
 * Nothing is remembered: which peer it is follows from the client, or the key of its request,
 * and from the peers, so all
 * workers, generations and machines agree. The tables are made in the template, over all
 * peers but backups, whether they can be used or not; a client whose peer cannot be goes to
 * the next that can, and comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir.h>

#define NEXT_MAX 64u		/* places that are looked at before any will do */

/* ketama, as libmemcached and twemproxy have it. */
#define RING_POINTS    160	/* for a peer of mean weight */
#define RING_PER_HASH  4	/* points of one MD5 */
#define RING_BARE_PORT ":11211"	/* which they leave out of names */
#define NAME_MAX_SIZE  192

/* So many entries for each peer that shares are right within 1 in 100: primes. */
#define MAGLEV_EACH 100u
static const unsigned maglev_sizes[] = { 65537, 262147, 1638431 };

enum hash_way { HASH_SPREAD, HASH_CONSISTENT, HASH_MAGLEV };

struct hash_point {
	uint32_t at;
	uint32_t peer;
};

struct hash_table {
	unsigned           size;	/* of the ends, points or entries */
	uint64_t          *ends;	/* spread: of each peer's weight; a backup has none */
	struct hash_point *points;	/* consistent: in the order of `at` … */
	uint32_t          *starts;	/* … the first of those with these first bits, */
	unsigned           shift;	/* which are what is left of 32 */
	uint16_t          *entries;	/* maglev */
	uint32_t          *order;	/* which peers are meant by 0, 1, …; NULL: those of that
					   number */
};

struct hash_conf {
	enum hash_way     way;
	bool              keys;
	struct hash_table table;	/* of peers that stay */
};

/* In a worker, of an upstream whose peers come and go. */
struct hash_memory {
	struct hash_table table;
};

/* One client's way over the places that it may go to. */
struct hash_walk {
	enum hash_way            way;
	const struct hash_table *table;
	uint64_t                 hash;
	unsigned                 place;	/* of the last, on a ring */
};

static uint64_t hash_mix(uint64_t);
static uint64_t hash_of(const struct hash_conf *, const struct weir_attempt *);
static uint64_t hash_client(struct weir_span);
static uint64_t hash_key(struct weir_span);
static unsigned hash_walk_next(struct hash_walk *, unsigned step);
static unsigned hash_find_weight(const struct hash_table *, uint64_t hash);
static unsigned hash_ring_find(const struct hash_table *, uint32_t at);
static bool hash_is_let_in(const struct weir_peer *, uint64_t hash);
static bool hash_build(struct hash_table *, enum hash_way, const struct weir_upstream *,
    struct weir_scope *);
static bool hash_sort(struct hash_table *, const struct weir_upstream *);
static int hash_name_compare(const void *, const void *, void *);
static struct weir_peer *hash_peer(const struct hash_table *, const struct weir_upstream *,
    unsigned number);
static unsigned hash_walk_place(struct hash_walk *, unsigned step);
static void *hash_alloc(struct weir_scope *, size_t count, size_t size);
static bool hash_make_spread(struct hash_table *, const struct weir_upstream *,
    struct weir_scope *);
static bool hash_make_ring(struct hash_table *, const struct weir_upstream *,
    struct weir_scope *);
static unsigned hash_ring_points(const struct weir_peer *, uint64_t weights, unsigned peers);
static void hash_ring_add(struct hash_table *, const struct weir_peer *, unsigned number,
    unsigned points);
static int hash_point_compare(const void *, const void *);
static bool hash_make_maglev(struct hash_table *, const struct weir_upstream *,
    struct weir_scope *);
static uint64_t hash_weights(const struct weir_upstream *, unsigned *peers);
static void hash_md5_text(const char *text, size_t length, uint32_t digest[4]);

/* --------------------------------------------------------------- configuration */

static const char *hash_words(struct weir_scope *, char *words);
static const char *hash_check(struct weir_scope *);
static void hash_change(struct weir_upstream *);
static struct weir_peer *hash_pick(struct weir_upstream *, const struct weir_attempt *);

static const struct weir_balancer hash_balancer = {
	.upstream_size = sizeof(struct hash_memory),
	.change        = hash_change,
	.pick          = hash_pick,
	.words         = hash_words,
	.waits         = true,
};

const struct weir_module hash_module = {
	.name      = "hash",
	.conf_size = sizeof(struct hash_conf),
	.check     = hash_check,
	.balancer  = &hash_balancer,
};
WEIR_MODULE(hash_module);

static const char *
hash_words(struct weir_scope *scope, char *words)
{
	struct hash_conf *c = weir_scope_conf(scope, &hash_module);
	const char       *what = weir_word(&words), *way = weir_word(&words);

	c->keys = what != NULL && strcmp(what, "key") == 0;
	if (what == NULL || (!c->keys && strcmp(what, "client") != 0))
		return "write hash client or hash key, and behind that consistent, or maglev, or "
		       "nothing";
	if (c->keys)
		weir_scope_want_keys(scope);
	if (way != NULL && strcmp(way, "consistent") == 0)
		c->way = HASH_CONSISTENT;
	else if (way != NULL && strcmp(way, "maglev") == 0)
		c->way = HASH_MAGLEV;
	else if (way != NULL)
		return "behind client or key may stand consistent, or maglev, or nothing";
	return weir_word(&words) == NULL ? NULL : "there is a word too many";
}

static const char *
hash_check(struct weir_scope *scope)
{
	struct hash_conf           *c = weir_scope_conf(scope, &hash_module);
	const struct weir_upstream *u = weir_scope_upstream(scope);

	if (!weir_upstream_varies(u))
		hash_build(&c->table, c->way, u, scope);
	return NULL;
}

/* A worker makes it when peers have come or gone; without memory clients go anywhere. */
static void
hash_change(struct weir_upstream *u)
{
	const struct hash_conf *c = weir_upstream_conf(u);
	struct hash_memory     *m = weir_upstream_memory(u);
	unsigned                peers;

	if (!weir_upstream_varies(u))
		return;
	free(m->table.ends);
	free(m->table.points);
	free(m->table.starts);
	free(m->table.entries);
	free(m->table.order);
	m->table = (struct hash_table){ .size = 0 };
	if (hash_weights(u, &peers) == 0)
		return;
	if (!hash_sort(&m->table, u) || !hash_build(&m->table, c->way, u, NULL))
		m->table.size = 0;
}

/* scope: whose memory; NULL: the heap. */
static bool
hash_build(struct hash_table *t, enum hash_way way, const struct weir_upstream *u,
    struct weir_scope *scope)
{
	unsigned peers;

	if (hash_weights(u, &peers) == 0)
		return true;	/* backups alone: any of them will do */
	switch (way) {
	case HASH_CONSISTENT:
		return hash_make_ring(t, u, scope);
	case HASH_MAGLEV:
		return hash_make_maglev(t, u, scope);
	default:
		return hash_make_spread(t, u, scope);
	}
}

/* Numbers of peers that come and go are others in each worker: tables are not, made in the
 * order of their names. */
static bool
hash_sort(struct hash_table *t, const struct weir_upstream *u)
{
	unsigned count = weir_upstream_peers(u);

	t->order = calloc(count, sizeof *t->order);
	for (unsigned i = 0; t->order != NULL && i < count; i++)
		t->order[i] = i;
	if (t->order != NULL)
		qsort_r(t->order, count, sizeof *t->order, hash_name_compare, (void *)(uintptr_t)u);
	return t->order != NULL;
}

static int
hash_name_compare(const void *left, const void *right, void *upstream)
{
	const uint32_t *a = left, *b = right;

	return strcmp(weir_peer_name(weir_upstream_peer(upstream, *a)),
	    weir_peer_name(weir_upstream_peer(upstream, *b)));
}

static struct weir_peer *
hash_peer(const struct hash_table *t, const struct weir_upstream *u, unsigned number)
{
	return weir_upstream_peer(u, t->order != NULL ? t->order[number] : number);
}

static void *
hash_alloc(struct weir_scope *scope, size_t count, size_t size)
{
	return scope != NULL ? weir_scope_alloc(scope, count * size) : calloc(count + 1, size);
}

/* Of those that have places. */
static uint64_t
hash_weights(const struct weir_upstream *u, unsigned *peers)
{
	const struct weir_peer *peer;
	uint64_t                weights = 0;

	*peers = 0;
	for (unsigned i = 0; i < weir_upstream_peers(u); i++) {
		peer = weir_upstream_peer(u, i);
		if (weir_peer_backup(peer) || weir_peer_weight(peer) == 0)
			continue;
		weights += weir_peer_weight(peer);
		(*peers)++;
	}
	return weights;
}

/* --------------------------------------------------------------------- picking */

static struct weir_peer *
hash_pick(struct weir_upstream *u, const struct weir_attempt *attempt)
{
	const struct hash_conf   *c = weir_upstream_conf(u);
	const struct hash_memory *m = weir_upstream_memory(u);
	struct hash_walk          w = { c->way,
		weir_upstream_varies(u) ? &m->table : &c->table, hash_of(c, attempt), 0 };
	struct weir_peer         *peer, *slow = NULL;
	unsigned                  at, last = UINT32_MAX;

	for (unsigned i = 0; i < NEXT_MAX && w.table->size > 0; i++, last = at) {
		at = hash_walk_next(&w, i);
		peer = weir_upstream_peer(u, at);
		if (at == last || !weir_peer_usable(peer, attempt))
			continue;
		if (hash_is_let_in(peer, w.hash))
			return peer;
		if (slow == NULL)
			slow = peer;
	}
	/* When all begin slowly there is nobody to whom the others could go. */
	return slow != NULL ? slow : weir_upstream_draw(u, attempt, w.hash);
}

/* The peer that the walk comes to in this step, from 0 on. */
static unsigned
hash_walk_next(struct hash_walk *w, unsigned step)
{
	unsigned place = hash_walk_place(w, step);

	return w->table->order != NULL ? w->table->order[place] : place;
}

static unsigned
hash_walk_place(struct hash_walk *w, unsigned step)
{
	const struct hash_table *t = w->table;
	uint64_t                 hash = step == 0 ? w->hash : hash_mix(w->hash + step);

	switch (w->way) {
	case HASH_CONSISTENT:
		w->place = step == 0 ? hash_ring_find(t, (uint32_t)(hash >> 32))
				     : (w->place + 1) % t->size;
		return t->points[w->place].peer;
	case HASH_MAGLEV:
		return t->entries[hash % t->size];
	default:
		return hash_find_weight(t, hash);
	}
}

/* The peer whose weight ends behind the place, which is among all weights. */
static unsigned
hash_find_weight(const struct hash_table *t, uint64_t hash)
{
	uint64_t place = hash % t->ends[t->size - 1];
	unsigned begin = 0, count = t->size, half;

	/* No branch: the processor could not foretell it. */
	for (; count > 1; count -= half) {
		half = count / 2;
		begin += half & -(unsigned)(t->ends[begin + half - 1] <= place);
	}
	return begin;
}

/* The first point at or behind the place, and behind the last the first. */
static unsigned
hash_ring_find(const struct hash_table *t, uint32_t at)
{
	unsigned i = t->starts[at >> t->shift];

	while (i < t->size && t->points[i].at < at)
		i++;
	return i < t->size ? i : 0;
}

/* One that begins slowly has its own clients come little by little, always the same first. */
static bool
hash_is_let_in(const struct weir_peer *peer, uint64_t hash)
{
	uint64_t whole = (uint64_t)weir_peer_weight(peer) * WEIR_SHARE_ONE;
	uint32_t share = weir_peer_share(peer);

	return share >= whole || (hash_mix(~hash) >> 32) * whole >> 32 < share;
}

/* Every bit of it depends on every bit of x (the end of splitmix64). */
static uint64_t
hash_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* What has no key goes where its client's other requests without one go. */
static uint64_t
hash_of(const struct hash_conf *c, const struct weir_attempt *attempt)
{
	struct weir_span key = weir_attempt_key(attempt);

	return c->keys && key.len > 0 ? hash_key(key) : hash_client(weir_attempt_client(attempt));
}

/* In front is the place on a ring that libmemcached and twemproxy (hash: md5) have for it. */
static uint64_t
hash_key(struct weir_span key)
{
	uint32_t digest[4];

	hash_md5_text(key.data, key.len, digest);
	return (uint64_t)digest[0] << 32 | digest[1];
}

/* The port changes from session to session, and is left out. */
static uint64_t
hash_client(struct weir_span address)
{
	uint64_t parts[2] = { 0, 0 };

	memcpy(parts, address.data != NULL ? address.data : "", address.len);
	return hash_mix(hash_mix(parts[0] + address.len) + parts[1]);
}

/* ---------------------------------------------------------------------- spread */

static bool
hash_make_spread(struct hash_table *t, const struct weir_upstream *u, struct weir_scope *scope)
{
	const struct weir_peer *peer;
	uint64_t                end = 0;

	t->size = weir_upstream_peers(u);
	t->ends = hash_alloc(scope, t->size, sizeof *t->ends);
	if (t->ends == NULL)
		return false;
	for (unsigned i = 0; i < t->size; i++) {
		peer = hash_peer(t, u, i);
		end += weir_peer_backup(peer) ? 0 : weir_peer_weight(peer);
		t->ends[i] = end;
	}
	return true;
}

/* ------------------------------------------------------------------------ ring */

static bool
hash_make_ring(struct hash_table *t, const struct weir_upstream *u, struct weir_scope *scope)
{
	unsigned                peers, count = 0, bits = 1, i = 0;
	uint64_t                weights = hash_weights(u, &peers);
	const struct weir_peer *peer;

	for (unsigned k = 0; k < weir_upstream_peers(u); k++)
		count += hash_ring_points(hash_peer(t, u, k), weights, peers);
	t->points = hash_alloc(scope, count, sizeof *t->points);
	if (t->points == NULL)
		return false;
	for (unsigned k = 0; k < weir_upstream_peers(u); k++) {
		peer = hash_peer(t, u, k);
		hash_ring_add(t, peer, k, hash_ring_points(peer, weights, peers));
	}
	qsort(t->points, t->size, sizeof *t->points, hash_point_compare);
	/* About eight points for each start: these are one line of the cache, and all starts fit
	 * into it. */
	while (bits < 31 && 8u << bits < count)
		bits++;
	t->shift = 32 - bits;
	t->starts = hash_alloc(scope, (size_t)1 << bits, sizeof *t->starts);
	if (t->starts == NULL)
		return false;
	for (unsigned start = 0; start < 1u << bits; start++) {
		while (i < t->size && t->points[i].at >> t->shift < start)
			i++;
		t->starts[start] = i;
	}
	return true;
}

/* Rounded as they round it, in floats. */
static unsigned
hash_ring_points(const struct weir_peer *peer, uint64_t weights, unsigned peers)
{
	float part = (float)weir_peer_weight(peer) / (float)weights;

	if (weir_peer_backup(peer))
		return 0;
	return (unsigned)(float)(part * RING_POINTS / RING_PER_HASH * (float)peers + 0.0000000001) *
	    RING_PER_HASH;
}

static void
hash_ring_add(struct hash_table *t, const struct weir_peer *peer, unsigned number, unsigned points)
{
	const char *name = weir_peer_name(peer);
	size_t      length = strlen(name), bare = strlen(RING_BARE_PORT);
	char        text[NAME_MAX_SIZE];
	uint32_t    digest[4];
	int         n;

	if (length > bare && strcmp(name + length - bare, RING_BARE_PORT) == 0)
		length -= bare;
	for (unsigned i = 0; i < points / RING_PER_HASH; i++) {
		n = snprintf(text, sizeof text, "%.*s-%u", (int)length, name, i);
		hash_md5_text(text, (size_t)n, digest);
		for (unsigned k = 0; k < RING_PER_HASH; k++)
			t->points[t->size++] = (struct hash_point){ digest[k], number };
	}
}

/* What two peers have made of one place belongs to the first. */
static int
hash_point_compare(const void *left, const void *right)
{
	const struct hash_point *a = left, *b = right;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->peer < b->peer ? -1 : a->peer > b->peer;
}

/* ---------------------------------------------------------------------- maglev */

/* A peer's order of preference among the entries: from one on, in steps of another number,
 * which go round all of them. */
struct maglev_order {
	unsigned next;
	unsigned step;
	unsigned peer;
	uint64_t share;	/* of all weights: what it takes in a round, times all weights */
	uint64_t rest;	/* of that, which is no whole entry yet */
};

static unsigned maglev_orders_start(struct maglev_order *, const struct hash_table *,
    const struct weir_upstream *);

/* In rounds, each takes those that it likes best of what is left: so one that goes leaves its
 * own to all others, and they keep nearly all of theirs. */
static bool
hash_make_maglev(struct hash_table *t, const struct weir_upstream *u, struct weir_scope *scope)
{
	const uint16_t       vacant = UINT16_MAX;
	unsigned             peers, left, n;
	uint64_t             weights = hash_weights(u, &peers);
	struct maglev_order *orders, *o;

	for (unsigned i = 0; i < sizeof maglev_sizes / sizeof *maglev_sizes; i++)
		if (t->size < MAGLEV_EACH * peers)
			t->size = maglev_sizes[i];
	t->entries = hash_alloc(scope, t->size, sizeof *t->entries);
	orders = calloc(peers, sizeof *orders);
	if (t->entries == NULL || orders == NULL) {
		free(orders);
		return false;
	}
	memset(t->entries, 0xff, t->size * sizeof *t->entries);
	n = maglev_orders_start(orders, t, u);
	for (left = t->size; left > 0;)
		for (o = orders; o < orders + n; o++)
			for (o->rest += o->share; o->rest >= weights && left > 0; left--) {
				while (t->entries[o->next] != vacant)
					o->next = (o->next + o->step) % t->size;
				t->entries[o->next] = (uint16_t)o->peer;
				o->rest -= weights;
			}
	free(orders);
	return true;
}

static unsigned
maglev_orders_start(struct maglev_order *orders, const struct hash_table *t,
    const struct weir_upstream *u)
{
	unsigned                peers, n = 0;
	uint64_t                weights = hash_weights(u, &peers), round = t->size / MAGLEV_EACH;
	const struct weir_peer *peer;
	uint32_t                digest[4];

	/* Entries of a round: a hundredth of the table at most. */
	if (round > weights)
		round = weights;
	for (unsigned i = 0; i < weir_upstream_peers(u); i++) {
		peer = hash_peer(t, u, i);
		if (weir_peer_backup(peer) || weir_peer_weight(peer) == 0)
			continue;
		hash_md5_text(weir_peer_name(peer), strlen(weir_peer_name(peer)), digest);
		/* The first entry comes in the first round: nobody is without one. */
		orders[n++] = (struct maglev_order){ digest[0] % t->size,
			digest[1] % (t->size - 1) + 1, i, weir_peer_weight(peer) * round,
			weights - 1 };
	}
	return n;
}

/* ------------------------------------------------------------------- RFC 1321 */

#define MD5_BLOCK 64u

static const uint8_t md5_shifts[4][4] = {
	{ 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 },
};

/* The first 32 bits behind the point of |sin(i + 1)|. */
static const uint32_t md5_sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee,
	0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
	0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
	0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
	0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
	0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039,
	0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
	0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static uint32_t
hash_md5_load(const uint8_t *in)
{
	return in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static void
hash_md5_block(uint32_t state[4], const uint8_t block[MD5_BLOCK])
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], f, word;
	unsigned shift;

	for (unsigned i = 0; i < 64; i++) {
		switch (i / 16) {
		case 0:
			f = (b & c) | (~b & d);
			word = i;
			break;
		case 1:
			f = (d & b) | (~d & c);
			word = 5 * i + 1;
			break;
		case 2:
			f = b ^ c ^ d;
			word = 3 * i + 5;
			break;
		default:
			f = c ^ (b | ~d);
			word = 7 * i;
		}
		f += a + md5_sines[i] + hash_md5_load(block + 4 * (word % 16));
		shift = md5_shifts[i / 16][i % 4];
		a = d;
		d = c;
		c = b;
		b += f << shift | f >> (32 - shift);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

/* The digest as four numbers, each of four of its bytes, the first the lowest. */
static void
hash_md5_text(const char *text, size_t length, uint32_t digest[4])
{
	uint8_t  end[2 * MD5_BLOCK] = { 0 };
	size_t   whole = length / MD5_BLOCK * MD5_BLOCK, rest = length - whole, size;
	uint64_t bits = (uint64_t)length * 8;

	digest[0] = 0x67452301;
	digest[1] = 0xefcdab89;
	digest[2] = 0x98badcfe;
	digest[3] = 0x10325476;
	for (size_t i = 0; i < whole; i += MD5_BLOCK)
		hash_md5_block(digest, (const uint8_t *)text + i);
	memcpy(end, text + whole, rest);
	end[rest] = 0x80;
	size = rest < MD5_BLOCK - 8 ? MD5_BLOCK : 2 * MD5_BLOCK;
	for (unsigned i = 0; i < 8; i++)
		end[size - 8 + i] = (uint8_t)(bits >> 8 * i);
	for (size_t i = 0; i < size; i += MD5_BLOCK)
		hash_md5_block(digest, end + i);
}
