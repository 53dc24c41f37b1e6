/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * picks: what it costs to pick one of 1,000 peers, in each balancer, beside a bare array.
 *
 *	KEY bare|weir NANOSECONDS
 *
 * A pick is what a session asks of its upstream: upstream_pick, and that the balancer is told when
 * the session begins, and when it ends: at any time, sessions are under way, and one that is drawn
 * ends when another begins. There is no system call in it, so its processor time is user time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "unit/balance_hash.h"

#define PICKS     2000000u
#define UNDER_WAY 8192u
#define MILLION   1000000u
#define PEERS     1000u

extern const struct weir_module round_robin_module, least_conn_module, least_time_module,
    random_module;

static const struct subject {
	const char               *key;
	const struct weir_module *module;
	const char               *words;	/* of hash */
	unsigned                  under_way;
} subjects[] = {
	{ "picks-round_robin", &round_robin_module, NULL, UNDER_WAY },
	{ "picks-least_conn", &least_conn_module, NULL, UNDER_WAY },
	{ "picks-least_time", &least_time_module, NULL, UNDER_WAY },
	{ "picks-random", &random_module, NULL, UNDER_WAY },
	{ "picks-hash", &hash_module, "client", UNDER_WAY },
	{ "picks-consistent", &hash_module, "client consistent", UNDER_WAY },
	{ "picks-maglev", &hash_module, "client maglev", UNDER_WAY },
	{ "picks-million", &least_conn_module, NULL, MILLION },
};

static uint16_t under_way[MILLION];	/* the peer of each session */
static uint32_t bare[PEERS];		/* sessions of each */

static double
picks_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One session for another. Returns its peer. */
static unsigned
picks_turn(uint16_t *session, unsigned client, bool ends)
{
	struct weir_peer *peer;

	if (ends) {
		peer_end(&peers[*session]);
		peer_done(&peers[*session], WEIR_REQUEST_ANSWERED, peer_clock(peers));
	}
	attempt_anew(client);
	if ((peer = upstream_pick(&upstream, &attempt)) == NULL)
		bail_out("no peer");
	peer_begin(peer);
	*session = (uint16_t)peer->index;
	return peer->index;
}

static unsigned
picks_bare_turn(uint16_t *session, unsigned turn, bool ends)
{
	if (ends)
		bare[*session]--;
	*session = (uint16_t)(turn % PEERS);
	bare[*session]++;
	return *session;
}

/* Nanoseconds each. */
static double
picks_measure(unsigned (*turn)(uint16_t *, unsigned, bool), unsigned count)
{
	uint32_t random = 1;
	double   begun;

	for (unsigned i = 0; i < count; i++)
		(void)turn(&under_way[i], i, false);
	begun = picks_now();
	for (unsigned i = 0; i < PICKS; i++) {
		random = random * 1664525 + 1013904223;
		(void)turn(&under_way[(uint64_t)random * count >> 32], i, true);
	}
	return (picks_now() - begun) / PICKS;
}

int
main(void)
{
	const struct subject *s;

	board_begin();
	for (s = subjects; s < subjects + sizeof subjects / sizeof *subjects; s++) {
		upstream_make(s->module, PEERS);
		if (s->words != NULL)
			hash_make(s->words);
		upstream_start(1, 0);
		printf("%s weir %.1f\n", s->key, picks_measure(picks_turn, s->under_way));
		hash_end();
		memset(bare, 0, sizeof bare);
		printf("%s bare %.1f\n", s->key, picks_measure(picks_bare_turn, s->under_way));
	}
	return 0;
}
