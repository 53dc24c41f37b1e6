/* SPDX-License-Identifier: BSD-2-Clause */
/* balance: which peer an attempt goes to: balancers, and what they ask about. */
#include <stdlib.h>
#include <sys/socket.h>

#include "net/loop.h"
#include "upstream/member.h"
#include "upstream/peer_tls.h"
#include "upstream/roster.h"
#include "upstream/upstream.h"

/* A worker's memory of one upstream: its roster, the balancer's, and its peers'. */
struct balance_sizes {
	size_t roster;
	size_t upstream;
	size_t peer;
};

static struct balance_sizes balance_sizes_of(const struct weir_upstream *);
static void balance_introduce_peers(struct weir_upstream *, unsigned generation);
static void balance_begin(struct weir_upstream *);
static void balance_end(struct weir_upstream *);

static char *memories;		/* of all upstreams */

static struct balance_sizes
balance_sizes_of(const struct weir_upstream *u)
{
	const struct weir_balancer *b = u->balancer->balancer;

	return (struct balance_sizes){
		.roster = roster_size(u->peer_count),
		.upstream = roster_aligned(b->upstream_size),
		.peer = roster_aligned(b->peer_size),
	};
}

int
upstreams_start(const struct conf *conf, unsigned seat, unsigned generation, unsigned slot)
{
	struct balance_sizes  s;
	struct weir_upstream *u;
	size_t                size = 0;
	char                 *at;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		s = balance_sizes_of(u);
		size += s.roster + s.upstream + u->peer_count * s.peer;
	}
	if ((memories = calloc(1, size + 1)) == NULL)
		return -1;
	board_pin();
	at = memories;
	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		s = balance_sizes_of(u);
		u->seat = seat;
		u->turn = generation + slot;
		u->cell = board_cell(u->board, seat);
		u->shared = board_shared(u->board);
		roster_start(u, at);
		u->memory = at + s.roster;
		at += s.roster + s.upstream;
		for (unsigned k = 0; k < u->peer_count; k++, at += s.peer) {
			u->peers[k].memory = at;
			if (k >= u->fixed) {
				member_vacate(&u->peers[k]);
				continue;
			}
			u->peers[k].cell = board_cell(u->peers[k].board, seat);
			u->peers[k].shared = board_shared(u->peers[k].board);
		}
		balance_introduce_peers(u, generation);
	}
	return 0;
}

static void
balance_introduce_peers(struct weir_upstream *u, unsigned generation)
{
	bool joins = atomic_load(&u->shared[UPSTREAM_SERVED]) != 0;

	for (unsigned k = 0; k < u->fixed; k++)
		peer_introduce(&u->peers[k], generation, joins, loop_now());
	atomic_store(&u->shared[UPSTREAM_SERVED], 1);
	u->set_late = true;
	member_follow(u, loop_now());
}

void
upstreams_follow(const struct conf *conf)
{
	struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		member_follow(u, loop_now());
}

void
upstreams_settle(const struct conf *conf, unsigned generation, bool claims)
{
	struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		for (unsigned k = 0; k < u->fixed; k++)
			peer_settle(&u->peers[k], generation, claims, loop_now());
}

void
upstreams_stop(const struct conf *conf)
{
	struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		if (weir_upstream_varies(u))
			balance_end(u);
		peer_tls_stop(u);
	}
	free(memories);
	memories = NULL;
}

struct weir_peer *
upstream_choose(struct weir_upstream *u, struct weir_attempt *a)
{
	struct weir_peer *peer;

	for (; a->stage <= ATTEMPT_FAILED; a->stage++)
		while ((peer = upstream_pick(u, a)) != NULL) {
			attempt_rule_out(a, peer);
			if (!peer_claim(peer, a))
				continue;
			if (a->tried++ > 0)
				board_add(&u->cell[UPSTREAM_RETRIED], 1);
			return peer;
		}
	if (a->tried == 0)
		board_add(&u->cell[UPSTREAM_NO_PEER], 1);
	return NULL;
}

struct weir_peer *
upstream_pick(struct weir_upstream *u, const struct weir_attempt *a)
{
	member_follow(u, a->now);
	roster_refresh(u, a->now);
	if (!u->chosen)
		balance_begin(u);
	return a->ruled_out <= UPSTREAM_RETRIES_MAX ? u->balancer->balancer->pick(u, a) : NULL;
}

/* With its first pick: an upstream that nobody uses takes no memory. */
static void
balance_begin(struct weir_upstream *u)
{
	const struct weir_balancer *b = u->balancer->balancer;

	if (b->change != NULL)
		b->change(u);
	u->chosen = true;
}

/* All peers have left: a balancer that has made something of them lets that go. */
static void
balance_end(struct weir_upstream *u)
{
	const struct weir_balancer *b = u->balancer->balancer;

	for (unsigned i = 0; i < u->peer_count; i++)
		u->peers[i].weight = 0;
	if (u->chosen && b->change != NULL)
		b->change(u);
	u->chosen = false;
}

void
attempt_rule_out(struct weir_attempt *a, const struct weir_peer *peer)
{
	if (a->ruled_out <= UPSTREAM_RETRIES_MAX)
		a->peers[a->ruled_out++] = (uint16_t)peer->index;
}

/* --------------------------------------------------- what balancers are told */

void
peer_begin(struct weir_peer *peer)
{
	const struct weir_balancer *b = peer->upstream->balancer->balancer;

	peer->in_flight++;
	if (b->load != NULL && peer->upstream->chosen)
		b->load(peer);
}

void
peer_end(struct weir_peer *peer)
{
	const struct weir_balancer *b = peer->upstream->balancer->balancer;

	peer->in_flight--;
	if (b->load != NULL && peer->upstream->chosen)
		b->load(peer);
}

uint64_t
peer_clock(const struct weir_peer *peer)
{
	return peer->upstream->balancer->balancer->done != NULL ? loop_micros() : 0;
}

void
peer_done(struct weir_peer *peer, enum weir_outcome outcome, uint64_t started)
{
	const struct weir_balancer *b = peer->upstream->balancer->balancer;

	if (b->done != NULL && started != 0 && peer->upstream->chosen)
		b->done(peer, outcome, loop_micros() - started);
}

/* ------------------------------------------------- what balancers ask about */

unsigned
weir_upstream_peers(const struct weir_upstream *u)
{
	return u->peer_count;
}

bool
weir_upstream_varies(const struct weir_upstream *u)
{
	return u->peer_count > u->fixed;
}

struct weir_peer *
weir_upstream_peer(const struct weir_upstream *u, unsigned index)
{
	return &u->peers[index];
}

const void *
weir_upstream_conf(const struct weir_upstream *u)
{
	return u->balancer_conf;
}

unsigned
weir_upstream_turn(const struct weir_upstream *u)
{
	return u->turn;
}

void *
weir_upstream_memory(struct weir_upstream *u)
{
	return u->memory;
}

struct weir_upstream *
weir_peer_upstream(const struct weir_peer *peer)
{
	return peer->upstream;
}

void *
weir_peer_memory(struct weir_peer *peer)
{
	return peer->memory;
}

unsigned
weir_peer_index(const struct weir_peer *peer)
{
	return peer->index;
}

const char *
weir_peer_name(const struct weir_peer *peer)
{
	return peer->name;
}

bool
weir_peer_backup(const struct weir_peer *peer)
{
	return peer->backup;
}

unsigned
weir_peer_weight(const struct weir_peer *peer)
{
	return peer->weight;
}

uint32_t
weir_peer_in_flight(const struct weir_peer *peer)
{
	return peer->in_flight;
}

struct weir_span
weir_attempt_key(const struct weir_attempt *a)
{
	return a->key;
}

uint64_t
weir_now(void)
{
	return loop_now();
}

struct weir_span
weir_attempt_client(const struct weir_attempt *a)
{
	static const size_t sizes[] = { [AF_INET] = 4, [AF_INET6] = 16 };

	if (a->client.family >= sizeof sizes / sizeof *sizes)
		return (struct weir_span){ NULL, 0 };
	return (struct weir_span){ (const char *)a->client.ip, sizes[a->client.family] };
}
