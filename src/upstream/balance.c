/* SPDX-License-Identifier: BSD-2-Clause */
/* balance: which peer an attempt goes to, and what is known of peers' failures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "net/loop.h"
#include "upstream/peer_tls.h"
#include "upstream/upstream.h"

static char *memories;		/* all balancers' memory of this worker */

static bool balance_ruled_out(const struct weir_attempt *, unsigned index);
static bool balance_blames(int error);
static void balance_count(const struct weir_peer *, enum peer_outcome);
static const char *balance_explain(enum peer_outcome, int error);
static const char *balance_remedy(int error);
static bool balance_is_full(const struct weir_peer *);
static bool balance_has_other(const struct weir_peer *, uint64_t now);
static void balance_count_failure(struct weir_peer *, const char *what, uint64_t now);

static size_t
balance_aligned(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

int
upstreams_start(const struct conf *conf, unsigned seat, unsigned turn)
{
	const struct weir_balancer *b;
	struct weir_upstream       *u;
	size_t                      size = 0, at = 0;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		b = u->balancer->balancer;
		size += balance_aligned(b->upstream_size) +
		    u->peer_count * balance_aligned(b->peer_size);
	}
	if ((memories = calloc(1, size + 1)) == NULL)
		return -1;
	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		b = u->balancer->balancer;
		u->seat = seat;
		u->turn = turn;
		u->cell = board_cell(u->board, seat);
		u->memory = memories + at;
		at += balance_aligned(b->upstream_size);
		for (unsigned k = 0; k < u->peer_count; k++) {
			u->peers[k].cell = board_cell(u->peers[k].board, seat);
			u->peers[k].shared = board_shared(u->peers[k].board);
			/* A new cell reads as zeros, and has no memory before it is written to. */
			if (u->peers[k].down)
				atomic_store(&u->peers[k].cell[PEER_DOWN], true);
			u->peers[k].memory = memories + at;
			at += balance_aligned(b->peer_size);
		}
		if (b->change != NULL)
			b->change(u);
	}
	return 0;
}

void
upstreams_stop(const struct conf *conf)
{
	struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		peer_tls_stop(u);
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
	return a->ruled_out <= UPSTREAM_RETRIES_MAX ? u->balancer->balancer->pick(u, a) : NULL;
}

void
attempt_rule_out(struct weir_attempt *a, const struct weir_peer *peer)
{
	if (a->ruled_out <= UPSTREAM_RETRIES_MAX)
		a->peers[a->ruled_out++] = (uint16_t)peer->index;
}

void
peer_release(struct weir_peer *peer)
{
	board_give(peer->board, PEER_CONNS, peer->upstream->seat);
}

bool
peer_claim(struct weir_peer *peer, struct weir_attempt *a)
{
	if (peer->max_conns == 0)
		board_add(&peer->cell[PEER_CONNS], 1);
	else if (!board_take(peer->board, PEER_CONNS, peer->upstream->seat, peer->max_conns)) {
		board_add(&peer->cell[PEER_FULL], 1);
		return false;
	}
	if (peer_may_probe(peer, a))
		return true;
	peer_release(peer);
	return false;
}

bool
peer_may_probe(struct weir_peer *peer, struct weir_attempt *a)
{
	uint64_t until = atomic_load_explicit(&peer->shared[PEER_FAILED_UNTIL],
	    memory_order_relaxed);

	a->probes = until != 0 && a->now >= until && a->stage != ATTEMPT_FAILED;
	return !a->probes ||
	    atomic_compare_exchange_strong(&peer->shared[PEER_FAILED_UNTIL], &until,
		a->now + peer->fail_timeout);
}

void
peer_unreported(struct weir_peer *peer, const struct weir_attempt *a)
{
	uint64_t until = a->now + peer->fail_timeout;

	if (a->probes)
		atomic_compare_exchange_strong(&peer->shared[PEER_FAILED_UNTIL], &until, a->now);
}

void
peer_report(struct weir_peer *peer, enum peer_outcome outcome, int error, uint64_t now)
{
	struct log_subject outer;

	if (outcome == PEER_CONNECTED || outcome == PEER_REACHED)
		board_add(&peer->cell[PEER_CONNECTS], 1);
	if (outcome == PEER_REACHED)
		return;
	if (outcome == PEER_CONNECTED || outcome == PEER_ANSWERED) {
		if (atomic_load_explicit(&peer->shared[PEER_FAILS], memory_order_relaxed) == 0 &&
		    atomic_load_explicit(&peer->shared[PEER_FAILED_UNTIL],
			memory_order_relaxed) == 0)
			return;
		atomic_store(&peer->shared[PEER_FAILS], 0);
		if (atomic_exchange(&peer->shared[PEER_FAILED_UNTIL], 0) != 0) {
			outer = log_about((struct log_subject){ NULL, NULL });
			log_notice("peer %s of upstream %s answers again", peer->name,
			    peer->upstream->name);
			log_about(outer);
		}
		return;
	}
	balance_count(peer, outcome);
	if (peer->max_fails > 0)
		balance_count_failure(peer, balance_explain(outcome, error), now);
}

void
peer_done(struct weir_peer *peer, enum weir_outcome outcome, uint64_t started)
{
	const struct weir_balancer *b = peer->upstream->balancer->balancer;

	if (b->done != NULL && started != 0)
		b->done(peer, outcome, loop_micros() - started);
}

bool
peer_down(int board)
{
	return board_sum(board, PEER_DOWN) > 0;
}

bool
peer_failing(int board)
{
	return atomic_load(&board_shared(board)[PEER_FAILED_UNTIL]) != 0;
}

bool
peer_refused(struct weir_peer *peer, int error, uint64_t now)
{
	static uint64_t    complained;
	bool               blamed = balance_blames(error);
	struct log_subject outer;

	if (blamed) {
		log_info("connect: %s", strerror(error));
		peer_report(peer, PEER_REFUSED, error, now);
		return true;
	}
	peer->upstream->hindered = now;
	if (loop_complain(&complained)) {
		outer = log_about((struct log_subject){ NULL, NULL });
		log_error("connect to peer %s of upstream %s: %s: not the peer's fault, but this "
			  "machine's: %s",
		    peer->name, peer->upstream->name, strerror(error), balance_remedy(error));
		log_about(outer);
	}
	return false;
}

bool
weir_peer_usable(const struct weir_peer *peer, const struct weir_attempt *a)
{
	if (!peer_fits(peer, a))
		return false;
	if (a->pooled)
		return !peer->full;
	if (!balance_is_full(peer))
		return true;
	board_add(&peer->cell[PEER_FULL], 1);
	return false;
}

bool
peer_fits(const struct weir_peer *peer, const struct weir_attempt *a)
{
	uint64_t until = atomic_load_explicit(&peer->shared[PEER_FAILED_UNTIL],
	    memory_order_relaxed);
	bool     fails = until != 0 && a->now < until;

	if (peer->down || balance_ruled_out(a, peer->index))
		return false;
	return a->stage == ATTEMPT_FAILED ||
	    (!fails && peer->backup == (a->stage == ATTEMPT_BACKUP));
}

/* connect(2): which of its errors speak of the other end. */
static bool
balance_blames(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH ||
	    error == ENETUNREACH || error == ECONNRESET || error == ENOENT || error == EPIPE ||
	    error == EACCES;
}

static void
balance_count(const struct weir_peer *peer, enum peer_outcome outcome)
{
	if (outcome == PEER_TIMED_OUT)
		board_add(&peer->cell[PEER_CONNECT_TIMED_OUT], 1);
	else if (outcome == PEER_REFUSED)
		board_add(&peer->cell[PEER_CONNECT_FAILED], 1);
	else if (outcome == PEER_INSECURE)
		board_add(&peer->cell[PEER_TLS_FAILED], 1);
}

static const char *
balance_explain(enum peer_outcome outcome, int error)
{
	if (outcome == PEER_INSECURE)
		return "TLS handshake";
	return outcome == PEER_BROKE && error == ETIMEDOUT ? "no reply in time" : strerror(error);
}

/* What helps against one of the others. */
static const char *
balance_remedy(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
		return "no local port towards it is free: give the upstream (more) addresses to "
		       "connect from (source), or widen net.ipv4.ip_local_port_range";
	case EMFILE:
		return "raise worker_rlimit_nofile or lower worker_connections";
	case ENFILE:
		return "raise fs.file-max";
	case ENOMEM:
	case ENOBUFS:
		return "it is short of memory";
	default:
		return "its network or its firewall may say why";
	}
}

static bool
balance_is_full(const struct weir_peer *peer)
{
	return peer->max_conns > 0 && board_sum(peer->board, PEER_CONNS) >= peer->max_conns;
}

static void
balance_count_failure(struct weir_peer *peer, const char *what, uint64_t now)
{
	struct log_subject outer;
	char               text[STR_UNIT_MAX];
	uint64_t           fails;

	/* Another worker's clock may be a little ahead. */
	if (atomic_load(&peer->shared[PEER_WINDOW]) + peer->fail_timeout < now) {
		atomic_store(&peer->shared[PEER_WINDOW], now);
		atomic_store(&peer->shared[PEER_FAILS], 0);
	}
	fails = atomic_fetch_add(&peer->shared[PEER_FAILS], 1) + 1;
	if (fails < peer->max_fails)
		return;
	if (atomic_exchange(&peer->shared[PEER_FAILED_UNTIL], now + peer->fail_timeout) != 0)
		return;
	outer = log_about((struct log_subject){ NULL, NULL });
	if (balance_has_other(peer, now))
		log_warn("peer %s of upstream %s fails (%s; max_fails = %llu): not used for %s "
			 "while others can be",
		    peer->name, peer->upstream->name, what,
		    (unsigned long long)peer->max_fails, str_print_time(peer->fail_timeout, text));
	else
		log_warn("peer %s of upstream %s fails (%s; max_fails = %llu): no other is left, "
			 "so it is tried all the same",
		    peer->name, peer->upstream->name, what, (unsigned long long)peer->max_fails);
	log_about(outer);
}

/* Whether there is one that can take its place. */
static bool
balance_has_other(const struct weir_peer *peer, uint64_t now)
{
	const struct weir_upstream *u = peer->upstream;

	for (unsigned i = 0; i < u->peer_count; i++)
		if (i != peer->index && !u->peers[i].down &&
		    atomic_load(&u->peers[i].shared[PEER_FAILED_UNTIL]) <= now)
			return true;
	return false;
}

static bool
balance_ruled_out(const struct weir_attempt *a, unsigned index)
{
	for (unsigned i = 0; i < a->ruled_out; i++)
		if (a->peers[i] == index)
			return true;
	return false;
}

/* ------------------------------------------------- what balancers ask about */

unsigned
weir_upstream_peers(const struct weir_upstream *u)
{
	return u->peer_count;
}

struct weir_peer *
weir_upstream_peer(const struct weir_upstream *u, unsigned index)
{
	return &u->peers[index];
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

void *
weir_peer_memory(struct weir_peer *peer)
{
	return peer->memory;
}

unsigned
weir_peer_weight(const struct weir_peer *peer)
{
	return peer->weight;
}
