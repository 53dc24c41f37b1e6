/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance: who is picked: what the board says of peers, the order that rosters keep, and
 * each balancer on top of them. Without sockets; the test sets the clock.
 */
#define WEIR_BUILTIN
#include "../../modules/hash/hash.c"

#include "net/loop.h"
#include "unit/tap.h"
#include "upstream/peer_tls.h"
#include "upstream/roster.h"
#include "upstream/upstream.h"

enum { MOST = 1000, CLIENTS = 20000 };

extern const struct weir_module round_robin_module, least_conn_module, least_time_module,
    random_module;

static struct weir_upstream upstream;
static struct weir_peer     peers[MOST];
static struct hash_conf     hash_conf;
static struct weir_attempt  attempt;
static void                *arena[4096];
static unsigned             arena_count, seat, upstreams;

/* ------------------------------------------------------------ what is not here */

struct weir_upstream *
upstream_at(const struct conf *conf, unsigned index)
{
	(void)conf;
	return index == 0 ? &upstream : NULL;
}

struct weir_upstream *
weir_scope_upstream(struct weir_scope *scope)
{
	(void)scope;
	return &upstream;
}

void
weir_scope_want_keys(struct weir_scope *scope)
{
	(void)scope;
	upstream.keyed = true;
}

void *
weir_scope_conf(struct weir_scope *scope, const struct weir_module *m)
{
	(void)scope, (void)m;
	return &hash_conf;
}

void *
weir_scope_alloc(struct weir_scope *scope, size_t size)
{
	(void)scope;
	if (arena_count == sizeof arena / sizeof *arena)
		bail_out("too many tables");
	return arena[arena_count++] = calloc(1, size);
}

void
peer_tls_stop(struct weir_upstream *u)
{
	(void)u;
}

/* ----------------------------------------------------------------------- frame */

static const struct weir_balancer nothing = { .pick = weir_upstream_first };
static const struct weir_module   plain_module = { .name = "plain", .balancer = &nothing };

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
		.peer_count = count, .balancer_conf = &hash_conf };
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
}

static void
upstream_end(void)
{
	upstreams_stop(NULL);
	for (; arena_count > 0; arena_count--)
		free(arena[arena_count - 1]);
	memset(&hash_conf, 0, sizeof hash_conf);
}

/* All of them, from a to z. */
static void
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

static int
chosen(unsigned client)
{
	int i = choose(client);

	if (i >= 0)
		peer_release(&peers[i]);
	return i;
}

static const char *
turns(unsigned count)
{
	static char text[256];

	for (unsigned i = 0; i < count; i++)
		text[i] = (char)('a' + chosen(0));
	text[count] = '\0';
	return text;
}

static void
fail(unsigned i)
{
	peer_report(&peers[i], PEER_REFUSED, 111, loop_clock);
}

static void
recover(unsigned i)
{
	peer_report(&peers[i], PEER_CONNECTED, 0, loop_clock);
}

/* ----------------------------------------------------------- peers on the board */

static void
test_backup(void)
{
	upstream_make(&plain_module, 4);
	peers[2].backup = peers[3].down = true;
	upstream_start(1, 0);
	is_string(turns(4), "baba",
	    "a backup is not used while others can be, nor one that is down");
	fail(0);
	is_string(turns(3), "bbb", "one is left");
	fail(1);
	is_string(turns(3), "ccc", "the backup is used when no other is left");
	fail(2);
	is_number(chosen(0) < 3, true, "when all fail, one of them; not who is down");
	recover(1);
	is_string(turns(3), "bbb", "and not any more when one is back");
	loop_clock += 1000;
	attempt_anew(0);
	attempt_rule_out(&attempt, &peers[1]);
	ok(upstream_pick(&upstream, &attempt) == &peers[0], "one whose time is over is tried");
	ok(peer_claim(&peers[0], &attempt) && attempt.probes, "once");
	peer_release(&peers[0]);
	is_string(turns(3), "bbb", "and not by others until that is known");
	upstream_end();
}

static void
test_full(void)
{
	upstream_make(&plain_module, 2);
	peers[0].max_conns = 1;
	upstream_start(0, 0);
	is_number(choose(0), 0, "the first is taken");
	is_string(turns(3), "bbb", "max_conns is reached");
	peer_release(&peers[0]);
	roster_give(&peers[0]);
	is_number(choose(0), 0, "a place is free, and taken");
	is_string(turns(2), "bb", "none is left");
	atomic_store(&board_cell(peers[0].board, seat)[PEER_CONNS], 0);
	loop_clock += 2;
	is_number(chosen(0), 0, "another worker has given one back");
	upstream_end();
}

static void
test_slow_start(void)
{
	uint64_t until;
	uint32_t before = 0, share;
	bool     grows = true;

	upstream_make(&plain_module, 2);
	upstream.slow_start = 6400;
	weigh("41");
	upstream_start(1, 0);
	is_number(peer_share(&peers[0], loop_clock, &until), 4 * WEIR_SHARE_ONE,
	    "all at once when weir begins");
	is_number(until, UINT64_MAX, "for ever");
	fail(0);
	loop_clock += 2000;
	recover(0);
	is_number(peer_share(&peers[0], loop_clock, &until), 4 * WEIR_SHARE_ONE / 64,
	    "little of it when it is back");
	is_number(until, loop_clock + 100, "until the next step");
	is_number(peer_share(&peers[0], loop_clock + 1600, &until), 4 * WEIR_SHARE_ONE * 17 / 64,
	    "a quarter after a quarter of the time");
	is_number(peer_share(&peers[0], loop_clock + 6400, &until), 4 * WEIR_SHARE_ONE,
	    "all of it in the end");
	for (unsigned i = 0; i < 64; i++) {
		chosen(0);
		share = weir_peer_share(&peers[0]);
		grows &= share > before;
		before = share;
		loop_clock += 100;
	}
	ok(grows, "the balancer sees each step");
	chosen(0);
	is_number(weir_peer_share(&peers[0]), 4 * WEIR_SHARE_ONE, "and the last");
	upstream_end();
}

/* What a generation has learnt holds for the next; the newest configuration's weights for all. */
static void
test_reload(void)
{
	uint64_t until;

	upstream_make(&plain_module, 3);
	upstream.slow_start = 1000;
	weigh("311");
	upstream_start(7, 0);
	fail(1);
	upstreams_stop(NULL);
	weigh("511");
	peers[0].down = true;
	upstream_start(8, 0);
	is_string(turns(3), "ccc", "what has failed has failed, and `down` is new");
	upstreams_stop(NULL);
	weigh("211");
	peers[0].down = false;
	upstream_start(7, 1);
	is_number(peer_share(&peers[0], loop_clock, &until), 5 * WEIR_SHARE_ONE,
	    "a worker of the old one that comes later changes nothing");
	is_string(turns(3), "ccc", "and keeps to the new one");
	upstreams_stop(NULL);
	upstream.peer_count = 4;
	peers[3] = (struct weir_peer){ .upstream = &upstream, .index = 3, .weight = 1,
		.max_fails = 1, .fail_timeout = 1000, .name = "127.0.0.1:1" };
	upstream_start(9, 0);
	is_number(peer_share(&peers[3], loop_clock, &until), WEIR_SHARE_ONE * 15 / 1000,
	    "one that joins others begins slowly");
	is_number(peer_share(&peers[2], loop_clock, &until), WEIR_SHARE_ONE, "they do not");
	upstream_end();
}

/* ---------------------------------------------------------------------- rosters */

static int
first_of_all(const uint64_t *ranks, const uint32_t *serials)
{
	int first = -1;

	for (unsigned i = 0; i < upstream.peer_count; i++)
		if (weir_peer_usable(&peers[i], &attempt) &&
		    (first < 0 || ranks[i] < ranks[first] ||
			(ranks[i] == ranks[first] && serials[i] < serials[first])))
			first = (int)i;
	return first;
}

/* One of all that may happen to a peer. */
static void
happen(unsigned i, uint64_t *ranks)
{
	switch (random_below(8)) {
	case 0:
		fail(i);
		break;
	case 1:
		recover(i);
		break;
	case 2:
		peers[i].max_conns = random_below(2);
		atomic_store(&peers[i].cell[PEER_CONNS], random_below(2));
		loop_clock += 5;
		break;
	case 3:
		roster_set_full(&peers[i], random_below(2) == 0);
		break;
	case 4:
		loop_clock += random_below(300);
		break;
	default:
		ranks[i] = random_below(20);
		weir_peer_rank(&peers[i], ranks[i]);
	}
}

static void
test_roster(unsigned count)
{
	static uint64_t   ranks[MOST];
	static uint32_t   serials[MOST];
	uint32_t          serial = count;
	unsigned          wrong = 0, astray = 0;
	int               wanted;
	struct weir_peer *got;

	upstream_make(&plain_module, count);
	for (unsigned i = 0; i < count; i++)
		peers[i].backup = i % 5 == 4;
	upstream_start(1, 0);
	for (unsigned i = 0; i < count; i++) {
		ranks[i] = 0;
		serials[i] = (i + count - upstream.turn % count) % count;
	}
	for (unsigned i = 0; i < 20000; i++) {
		happen((unsigned)random_below(count), ranks);
		attempt_anew(i);
		attempt.pooled = random_below(2) == 0;
		attempt.stage = (uint8_t)random_below(ATTEMPT_FAILED + 1);
		for (unsigned k = (unsigned)random_below(3); k > 0; k--)
			attempt_rule_out(&attempt, &peers[random_below(count)]);
		/* What works is in no tree of those that do not: it was asked first. */
		for (unsigned k = 0; attempt.stage == ATTEMPT_FAILED && k < count; k++)
			if (peer_state(&peers[k], loop_clock) == PEER_GOOD)
				attempt_rule_out(&attempt, &peers[k]);
		wanted = first_of_all(ranks, serials);
		got = upstream_pick(&upstream, &attempt);
		if (attempt.ruled_out > UPSTREAM_RETRIES_MAX)
			continue;
		if ((got != NULL ? (int)got->index : -1) != wanted)
			wrong++;
		if (got != NULL)
			serials[got->index] = serial++;
		got = weir_upstream_draw(&upstream, &attempt, random_number());
		astray += (got == NULL) != (wanted < 0) ||
		    (got != NULL && !weir_peer_usable(got, &attempt));
	}
	is_number(wrong, 0, "%u peers: the first of those that are usable", count);
	is_number(astray, 0, "and whoever is drawn is");
	upstream_end();
}

static void
test_draw(void)
{
	unsigned counts[5] = { 0 };

	upstream_make(&plain_module, 5);
	weigh("12345");
	upstream_start(1, 0);
	chosen(0);
	attempt_anew(0);
	for (unsigned i = 0; i < 15000; i++)
		counts[weir_upstream_draw(&upstream, &attempt, i * (UINT64_MAX / 15000))->index]++;
	for (unsigned i = 0; i < 5; i++)
		ok(counts[i] >= 1000 * (i + 1) - 1 && counts[i] <= 1000 * (i + 1) + 1,
		    "drawn by its share: %u", counts[i]);
	upstream_end();
}

/* ------------------------------------------------------------------ round_robin */

static void
test_round_robin(void)
{
	unsigned counts[7], wrong = 0, longest = 0, run = 0;
	int      now, last = -1;

	upstream_make(&round_robin_module, 3);
	weigh("511");
	upstream_start(0, 0);
	is_string(turns(14), "aabaacaaabaaca", "smooth: 5, 1, 1");
	upstream_end();
	upstream_make(&round_robin_module, 3);
	upstream_start(3, 2);
	is_string(turns(7), "cabcabc", "each worker begins with another");
	upstream_end();

	upstream_make(&round_robin_module, 7);
	weigh("9753112");
	upstream_start(5, 0);
	for (unsigned round = 0; round < 2000; round++) {
		memset(counts, 0, sizeof counts);
		for (unsigned i = 0; i < 28; i++) {
			now = chosen(0);
			counts[now]++;
			run = now == last ? run + 1 : 1;
			longest = run > longest ? run : longest;
			last = now;
		}
		for (unsigned i = 0; i < 7; i++)
			wrong += counts[i] != peers[i].weight;
	}
	is_number(wrong, 0, "each round of 2,000 is exact");
	ok(longest <= 2, "and nobody has more than two turns in a row: %u", longest);
	upstream_end();
}

/* The one turn of the second is always at the same place of a round. */
static void
test_round_robin_exact(void)
{
	unsigned at = 0, begun = 0, place, drifted = 0;

	upstream_make(&round_robin_module, 2);
	peers[0].weight = 65000;
	upstream_start(0, 0);
	for (unsigned i = 0; i < 8 * 65001; i++) {
		if (chosen(0) != 1)
			continue;
		place = i % 65001;
		drifted += begun++ > 0 && place != at;
		at = place;
	}
	is_number(begun, 8, "65,000 to 1, 8 rounds");
	is_number(drifted, 0, "to the turn");
	upstream_end();

	upstream_make(&round_robin_module, 3);
	upstream_start(1, 0);
	turns(30);
	fail(1);
	for (unsigned i = 0; i < 3000; i++)
		chosen(0);
	recover(1);
	begun = 0;
	for (unsigned i = 0; i < 300; i++)
		begun += chosen(0) == 1;
	ok(begun >= 99 && begun <= 101, "turns that were missed are not made up for: %u of 300",
	    begun);
	upstream_end();
}

static void
test_round_robin_returns(void)
{
	unsigned n = 0, slow = 0;

	upstream_make(&round_robin_module, 3);
	upstream.slow_start = 10000;
	upstream_start(1, 0);
	turns(30);
	fail(1);
	for (unsigned i = 0; i < 3000; i++)
		n += chosen(0) == 1;
	is_number(n, 0, "one that fails misses its turns");
	recover(1);
	for (unsigned i = 0; i < 300; i++)
		n += chosen(0) == 1;
	ok(n >= 1 && n <= 5, "with slow_start it gets little at first: %u of 300", n);
	loop_clock += 5000;
	for (unsigned i = 0; i < 300; i++)
		slow += chosen(0) == 1;
	ok(slow > 50 && slow < 70, "half of its share after half of the time: %u of 300", slow);
	loop_clock += 5000;
	chosen(0);
	n = 0;
	for (unsigned i = 0; i < 300; i++)
		n += chosen(0) == 1;
	is_number(n, 100, "and what it has missed is not made up for");
	upstream_end();
}

/* ------------------------------------------------------- least_conn and random */

/* Sessions come and go; the worst that one had over its share, at the end of each step. */
static double
run_sessions(unsigned count, unsigned most)
{
	static unsigned where[4096];
	unsigned        open = 0, gone;
	double          over, worst = 0, all;
	int             i;

	for (unsigned step = 0; step < 30000; step++) {
		if (open < most) {
			if ((i = choose(step)) < 0)
				bail_out("nobody is there");
			peer_begin(&peers[i]);
			where[open++] = (unsigned)i;
		} else {
			gone = (unsigned)random_below(open);
			peer_end(&peers[where[gone]]);
			peer_release(&peers[where[gone]]);
			where[gone] = where[--open];
		}
		all = 0;
		for (unsigned k = 0; k < count; k++)
			all += peers[k].weight;
		for (unsigned k = 0; k < count && open == most; k++) {
			over = peers[k].in_flight - most * peers[k].weight / all;
			worst = over > worst ? over : worst;
		}
	}
	return worst;
}

static void
test_least_conn(void)
{
	double worst;

	upstream_make(&least_conn_module, 4);
	upstream_start(2, 0);
	is_string(turns(6), "cdabcd", "of equal ones each in its turn");
	upstream_end();

	upstream_make(&least_conn_module, 5);
	weigh("12345");
	upstream_start(1, 0);
	for (unsigned i = 0; i < 150; i++)
		peer_begin(&peers[choose(i)]);
	for (unsigned i = 0; i < 5; i++)
		is_number(peers[i].in_flight, 10 * (i + 1), "by its share, exactly");
	upstream_end();

	upstream_make(&least_conn_module, 20);
	upstream_start(1, 0);
	worst = run_sessions(20, 400);
	ok(worst < 12, "nobody has many more than others, whoever goes: %.1f", worst);
	upstream_end();
}

static void
test_random(void)
{
	unsigned counts[4] = { 0 }, same = 0;
	double   worst;
	int      first[64];

	upstream_make(&random_module, 4);
	weigh("1113");
	upstream_start(1, 0);
	for (unsigned i = 0; i < 60000; i++)
		counts[chosen(i)]++;
	for (unsigned i = 0; i < 3; i++)
		ok(counts[i] < 10500, "no more than its share: %u of 60,000", counts[i]);
	upstream_end();

	for (unsigned slot = 0; slot < 2; slot++) {
		upstream_make(&random_module, 50);
		upstream_start(1, slot);
		for (unsigned i = 0; i < 64; i++) {
			int now = chosen(i);

			same += slot == 1 && now == first[i];
			first[i] = now;
		}
		upstream_end();
	}
	ok(same < 10, "workers go ways of their own: %u of 64 alike", same);

	upstream_make(&random_module, 20);
	upstream_start(1, 0);
	worst = run_sessions(20, 400);
	ok(worst < 12, "the second choice keeps them even: %.1f over", worst);
	upstream_end();
}

/* ------------------------------------------------------------------- least_time */

static const struct weir_balancer *
by_time_hooks(void)
{
	return least_time_module.balancer;
}

/* One request at a time: how many of `count` peer 0 has had, when it takes so many µs and the
 * others 1,000. */
static unsigned
run_requests(unsigned count, uint64_t micros, enum weir_outcome outcome)
{
	unsigned had = 0;
	int      i;

	for (unsigned k = 0; k < count; k++) {
		i = chosen(k);
		peer_begin(&peers[i]);
		peer_end(&peers[i]);
		had += i == 0;
		by_time_hooks()->done(&peers[i], i == 0 ? outcome : WEIR_REQUEST_ANSWERED,
		    i == 0 ? micros : 1000);
		loop_clock += 1;
	}
	return had;
}

static void
test_least_time(void)
{
	unsigned had;

	upstream_make(&least_time_module, 4);
	upstream_start(0, 0);
	had = run_requests(4000, 1000, WEIR_REQUEST_ANSWERED);
	ok(had > 900 && had < 1100, "all alike have equal parts: %u of 4,000", had);
	had = run_requests(4000, 50000, WEIR_REQUEST_ANSWERED);
	ok(had >= 1 && had < 10, "one that is slow is left alone: %u of 4,000", had);
	loop_clock += 60000;
	had = run_requests(4000, 1000, WEIR_REQUEST_ANSWERED);
	ok(had > 800, "and found out when it is well again: %u of 4,000", had);
	had = run_requests(4000, 10, WEIR_REQUEST_FAILED);
	ok(had < 1000, "to refuse quickly is not to be quick: %u of 4,000", had);
	upstream_end();

	upstream_make(&least_time_module, 3);
	upstream_start(0, 0);
	for (unsigned i = 0; i < 3; i++)
		peer_begin(&peers[chosen(i)]);
	is_number(peers[0].in_flight + peers[1].in_flight * 2u + peers[2].in_flight * 4u, 7,
	    "who is not known yet is tried, one at a time");
	by_time_hooks()->done(&peers[1], WEIR_REQUEST_ANSWERED, 1000);
	peer_end(&peers[1]);
	for (unsigned i = 0; i < 20; i++)
		peer_begin(&peers[chosen(i)]);
	is_number(peers[1].in_flight, 20, "and gets no more before it has answered");
	upstream_end();
}

/* ------------------------------------------------------------------------- hash */

static const char *const ways[] = { "client", "client consistent", "client maglev" };

static void
hash_make(const char *words)
{
	char        copy[64];
	const char *wrong;

	strcpy(copy, words);
	wrong = hash_words(NULL, copy);
	if (wrong == NULL)
		wrong = hash_check(NULL);
	if (wrong != NULL)
		bail_out("%s: %s", words, wrong);
}

static void
ask_all(int where[CLIENTS])
{
	for (unsigned i = 0; i < CLIENTS; i++)
		where[i] = chosen(i);
}

static unsigned
count_of(const int where[CLIENTS], int peer)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += where[i] == peer;
	return n;
}

/* Clients that have moved, but for those of one peer (-1: none). */
static unsigned
moved(const int before[CLIENTS], const int after[CLIENTS], int but)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += before[i] != after[i] && before[i] != but;
	return n;
}

static void
test_hash_way(const char *words)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   most = 0, n;

	upstream_make(&hash_module, 6);
	weigh("111113");
	peers[4].backup = true;
	hash_make(words);
	upstream_start(1, 0);
	ask_all(before);
	for (int i = 0; i < 4; i++) {
		n = count_of(before, i);
		ok(n > CLIENTS / 7 * 3 / 4 && n < CLIENTS / 7 * 5 / 4, "%s: its share: %u", words,
		    n);
	}
	is_number(count_of(before, 4), 0, "none for the backup");
	upstreams_stop(NULL);
	upstream_start(2, 3);
	ask_all(after);
	is_number(moved(before, after, -1), 0, "another worker of another generation agrees");
	fail(1);
	ask_all(after);
	is_number(moved(before, after, 1), 0, "one fails: nobody else moves");
	is_number(count_of(after, 1), 0, "its own do");
	for (int i = 0; i < 6; i++) {
		n = count_of(after, i) - count_of(before, i);
		most = i != 1 && n > most ? n : most;
	}
	ok(most < count_of(before, 1) * 7 / 10, "to all others: %u at most", most);
	recover(1);
	ask_all(after);
	is_number(moved(before, after, -1), 0, "and come back");
	for (unsigned i = 0; i < 6; i++)
		if (i != 4)
			fail(i);
	is_number(chosen(1), 4, "the backup is used when all others fail");
	upstream_end();
}

/* A peer more, or one less, by another configuration. */
static void
test_hash_grows(const char *words, bool stays)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   n;

	upstream_make(&hash_module, 10);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(before);
	upstream_end();
	upstream_make(&hash_module, 11);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(after);
	n = moved(before, after, -1);
	ok((n < CLIENTS / 11 * 12 / 10) == stays, "%s: one joins: %u of %u move", words, n,
	    CLIENTS);
	upstream_end();
	upstream_make(&hash_module, 9);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(after);
	n = moved(before, after, 9);
	ok((n < CLIENTS / 100 * 2) == stays, "one is taken out: %u others move", n);
	upstream_end();
}

static void
test_hash_slow_start(void)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   n, back = 0;

	upstream_make(&hash_module, 5);
	upstream.slow_start = 10000;
	hash_make("client consistent");
	upstream_start(1, 0);
	ask_all(before);
	fail(2);
	chosen(0);
	recover(2);
	loop_clock += 2500;
	ask_all(after);
	n = count_of(after, 2);
	ok(n > count_of(before, 2) / 5 && n < count_of(before, 2) / 3, "a quarter is back: %u", n);
	for (unsigned i = 0; i < CLIENTS; i++)
		back += after[i] == 2 && before[i] != 2;
	is_number(back, 0, "all of them its own");
	is_number(moved(before, after, 2), 0, "and nobody else has moved");
	upstream_end();
}

static unsigned
ring_owner(uint32_t at)
{
	return hash_conf.points[hash_ring_find(&hash_conf, at)].peer;
}

/* The same keys on nutcracker 0.5.0 (hash: md5, distribution: ketama) and on libmemcached 1.1.4
 * (KETAMA_WEIGHTED), which agreed in all of them. */
static void
test_ketama(void)
{
	const unsigned keys = 100000;
	char           text[32], begin[61];
	unsigned       counts[3] = { 0 }, peer, others = 0;
	uint32_t       digest[4], all = 2166136261u;
	int            n;

	upstream_make(&hash_module, 3);
	weigh("123");
	hash_make("key consistent");
	ok(upstream.keyed, "it goes by keys");
	upstream_start(1, 0);
	for (unsigned i = 0; i < keys; i++) {
		n = snprintf(text, sizeof text, "key:%u", i);
		attempt_anew(i);
		attempt.key = (struct weir_span){ text, (size_t)n };
		peer = upstream_pick(&upstream, &attempt)->index;
		counts[peer]++;
		all = (all ^ (peer + 1)) * 16777619u;
		if (i < sizeof begin - 1)
			begin[i] = (char)('0' + peer);
	}
	begin[sizeof begin - 1] = '\0';
	is_string(begin, "110222222112212020122221001020220211222211121222002210002121",
	    "ketama: the first 60 keys");
	is_number(counts[0], 18613, "keys of the first");
	is_number(counts[1], 31678, "of the second");
	is_number(counts[2], 49709, "of the third");
	is_number(all, 0x66764c05, "all 100,000 keys, in their order");
	for (unsigned i = 0; i < 50; i++)
		others += chosen(i) != chosen(0);
	ok(others > 10, "without a key the client counts: %u of 50 elsewhere", others);
	is_number(hash_ring_find(&hash_conf, UINT32_MAX), 0, "behind the last the first");
	strcpy(peers[0].name, "127.0.0.1:11211");
	upstream_end();
	hash_make("client consistent");
	hash_md5_text("127.0.0.1-0", 11, digest);
	is_number(ring_owner(digest[1]), 0, "the port that they leave out");
	upstream_end();
}

int
main(void)
{
	int taken;

	loop_clock = 1000000;
	if (board_create() < 0 || (taken = board_seat_take()) < 0)
		bail_out("there is no board");
	seat = (unsigned)taken;
	test_backup();
	test_full();
	test_slow_start();
	test_reload();
	test_roster(1);
	test_roster(7);
	test_roster(57);
	test_draw();
	test_round_robin();
	test_round_robin_exact();
	test_round_robin_returns();
	test_least_conn();
	test_random();
	test_least_time();
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
		test_hash_way(ways[i]);
		test_hash_grows(ways[i], i > 0);
	}
	test_hash_slow_start();
	test_ketama();
	return done_testing();
}
