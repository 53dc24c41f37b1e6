/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance: an upstream on a board, without sockets, and those who are given its peers.
 * The test sets the clock.
 */
#ifndef UNIT_BALANCE_H
#define UNIT_BALANCE_H

#include "net/loop.h"
#include "tap.h"
#include "upstream/member.h"
#include "upstream/peer_tls.h"
#include "upstream/roster.h"
#include "upstream/upstream.h"

enum { MOST = 1000 };

static struct weir_upstream upstream;
static struct weir_peer     peers[MOST];
static struct weir_attempt  attempt;
static unsigned             seat, upstreams;

/* ------------------------------------------------------------ what is not here */

struct weir_upstream *
upstream_at(const struct conf *conf, unsigned index)
{
	(void)conf;
	return index == 0 ? &upstream : NULL;
}

void
member_follow(struct weir_upstream *u, uint64_t now)
{
	(void)u, (void)now;
}

void
member_vacate(struct weir_peer *peer)
{
	(void)peer;
}

void
peer_tls_stop(struct weir_upstream *u)
{
	(void)u;
}

/* ----------------------------------------------------------------------- frame */

/* Before all else. */
static void
board_begin(void)
{
	int taken;

	loop_clock = 1000000;
	if (board_create() < 0 || (taken = board_seat_take()) < 0)
		bail_out("there is no board");
	seat = (unsigned)taken;
}

static const struct board_schema *
schema_of(bool peer)
{
	static struct board_field        fields[PEER_FIELDS + UPSTREAM_FIELDS];
	static const struct board_schema schemas[] = {
		{ "upstream", fields, UPSTREAM_FIELDS }, { "peer", fields, PEER_FIELDS },
	};

	for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
		fields[i] = (struct board_field){ "field", BOARD_GAUGE };
	return &schemas[peer];
}

/* An upstream that nobody has used: all peers alike. */
static void
upstream_make(const struct weir_module *balancer, unsigned count)
{
	upstream = (struct weir_upstream){ .name = "u", .balancer = balancer, .peers = peers,
		.peer_count = count, .fixed = count };
	for (unsigned i = 0; i < count; i++) {
		peers[i] = (struct weir_peer){ .upstream = &upstream, .index = i, .weight = 1,
			.max_fails = 1, .fail_timeout = 1000 };
		snprintf(peers[i].name, sizeof peers[i].name, "127.0.0.1:%u", 21101 + i);
	}
	upstreams++;
}

/* A worker of this generation begins with it, as it is now. */
static void
upstream_start(unsigned generation, unsigned slot)
{
	char name[64];

	upstream.fixed = upstream.peer_count;
	snprintf(name, sizeof name, "%u", upstreams);
	upstream.board = board_enter(schema_of(false), name, generation);
	for (unsigned i = 0; i < upstream.peer_count; i++) {
		snprintf(name, sizeof name, "%u/%s", upstreams, peers[i].name);
		peers[i].board = board_enter(schema_of(true), name, generation);
		peers[i].in_flight = 0;
		peers[i].full = false;
	}
	upstream.chosen = false;
	upstream.full = 0;
	if (upstreams_start(NULL, seat, generation, slot) < 0)
		bail_out("no memory");
	upstreams_settle(NULL, generation, false);
}

static void
upstream_end(void)
{
	upstreams_stop(NULL);
}

/* All of them, from a to z. */
__attribute__((unused)) static void
weigh(const char *weights)
{
	for (unsigned i = 0; i < upstream.peer_count; i++)
		peers[i].weight = (unsigned)(weights[i] - '0');
}

static void
attempt_anew(unsigned client)
{
	struct addr_packed from = { .ip = { 10, (uint8_t)(client >> 16), (uint8_t)(client >> 8),
					(uint8_t)client }, .family = AF_INET };

	attempt_begin(&attempt, &from, loop_clock);
}

/* As a session does it; -1: nobody. */
static int
choose(unsigned client)
{
	struct weir_peer *peer;

	attempt_anew(client);
	peer = upstream_choose(&upstream, &attempt);
	return peer != NULL ? (int)peer->index : -1;
}

__attribute__((unused)) static int
chosen(unsigned client)
{
	int i = choose(client);

	if (i >= 0)
		peer_release(&peers[i]);
	return i;
}

__attribute__((unused)) static const char *
turns(unsigned count)
{
	static char text[256];

	for (unsigned i = 0; i < count; i++)
		text[i] = (char)('a' + chosen(0));
	text[count] = '\0';
	return text;
}

__attribute__((unused)) static void
fail(unsigned i)
{
	peer_report(&peers[i], PEER_REFUSED, 111, loop_clock);
}

__attribute__((unused)) static void
recover(unsigned i)
{
	peer_report(&peers[i], PEER_CONNECTED, 0, loop_clock);
}

#endif
