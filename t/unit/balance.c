/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance: who is picked: what the board says of peers, and the balancers on top of it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/balance.h"

extern const struct weir_module round_robin_module, least_conn_module, least_time_module,
    random_module;

static const struct weir_balancer nothing = { .pick = weir_upstream_first };
static const struct weir_module   plain_module = { .name = "plain", .balancer = &nothing };

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
test_slow_start(void)
{
	uint32_t before = 0, share;
	bool     grows = true;

	upstream_make(&plain_module, 2);
	upstream.slow_start = 6400;
	weigh("41");
	upstream_start(1, 0);
	is_number(peer_assess(&peers[0], loop_clock).share, 4 * WEIR_SHARE_ONE,
	    "all at once when weir begins");
	is_number(peer_assess(&peers[0], loop_clock).until, UINT64_MAX, "for ever");
	fail(0);
	loop_clock += 2000;
	recover(0);
	is_number(peer_assess(&peers[0], loop_clock).share, 4 * WEIR_SHARE_ONE / 64,
	    "little of it when it is back");
	is_number(peer_assess(&peers[0], loop_clock).until, loop_clock + 100,
	    "until the next step");
	is_number(peer_assess(&peers[0], loop_clock + 1600).share, 4 * WEIR_SHARE_ONE * 17 / 64,
	    "a quarter after a quarter of the time");
	is_number(peer_assess(&peers[0], loop_clock + 6400).share, 4 * WEIR_SHARE_ONE,
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
	upstream_make(&plain_module, 3);
	upstream.slow_start = 1000;
	weigh("311");
	upstream_start(7, 0);
	fail(1);
	upstreams_stop(NULL);
	weigh("313");
	peers[0].down = true;
	upstream_start(8, 0);
	is_string(turns(3), "ccc", "what has failed has failed, and `down` is new");
	upstreams_stop(NULL);
	weigh("211");
	peers[0].down = false;
	upstream_start(7, 1);
	is_number(peer_assess(&peers[2], loop_clock).share, 3 * WEIR_SHARE_ONE,
	    "a worker of the old one that comes later changes nothing");
	is_string(turns(3), "ccc", "and keeps to the new one");
	upstreams_stop(NULL);
	upstream.peer_count = 4;
	peers[3] = (struct weir_peer){ .upstream = &upstream, .index = 3, .weight = 1,
		.max_fails = 1, .fail_timeout = 1000, .name = "127.0.0.1:1" };
	upstream_start(9, 0);
	is_number(peer_assess(&peers[3], loop_clock).share, WEIR_SHARE_ONE * 15 / 1000,
	    "one that joins others begins slowly");
	is_number(peer_assess(&peers[2], loop_clock).share, WEIR_SHARE_ONE, "they do not");
	upstream_end();
}

/* A generation that never comes to run changes nothing; what one that did has written is
 * over when it is gone and the older one goes on. */
static void
test_generation_gone(void)
{
	upstream_make(&plain_module, 2);
	upstream_start(1, 0);
	upstreams_stop(NULL);
	peers[0].down = true;
	if (upstreams_start(NULL, seat, 2, 0) < 0)
		bail_out("no memory");
	upstreams_stop(NULL);
	peers[0].down = false;
	upstream_start(1, 1);
	is_string(turns(2), "ab", "one that failed to start has said nothing");
	upstreams_stop(NULL);
	peers[0].down = true;
	upstream_start(3, 0);
	is_string(turns(2), "bb", "one that runs has");
	upstreams_stop(NULL);
	peers[0].down = false;
	upstream_start(1, 0);
	is_string(turns(2), "bb", "what an older one does then changes nothing");
	upstreams_settle(NULL, 1, true);
	is_string(turns(2), "ab", "unless the newer one is gone");
	upstream_end();
}

/* A reload has made fail_timeout shorter, and the peer fails once more. */
static void
test_timeout_shorter(void)
{
	upstream_make(&plain_module, 2);
	peers[0].fail_timeout = 3600000;
	upstream_start(1, 0);
	fail(0);
	is_string(turns(2), "bb", "it fails");
	peers[0].fail_timeout = 10000;
	fail(0);
	is_string(turns(2), "bb", "it still does");
	loop_clock += 20000;
	is_string(turns(2), "ab", "and is tried when the shorter time is over");
	upstream_end();
}

/* Two attempts at once find that the time of a failed one is over. */
static void
test_probe_lost(void)
{
	struct weir_attempt first;

	upstream_make(&plain_module, 1);
	upstream_start(1, 0);
	fail(0);
	loop_clock += 1000;
	attempt_anew(0);
	first = attempt;
	ok(peer_may_probe(&peers[0], &first) && first.probes, "the first finds out");
	attempt.probes = true;
	ok(peer_may_probe(&peers[0], &attempt) && !attempt.probes, "the second does not");
	upstream_end();
}

static unsigned ready, early, dones;

static void
ready_change(struct weir_upstream *u)
{
	(void)u;
	ready = 1;
}

static void
ready_done(struct weir_peer *peer, enum weir_outcome outcome, uint64_t microseconds)
{
	(void)peer, (void)outcome, (void)microseconds;
	dones++;
	early += !ready;
}

/* A session that another generation has handed over ends before anybody has asked for a peer. */
static void
test_done_early(void)
{
	static const struct weir_balancer hooks = { .pick = weir_upstream_first,
		.change = ready_change, .done = ready_done };
	static const struct weir_module   module = { .name = "ready", .balancer = &hooks };

	upstream_make(&module, 1);
	upstream_start(1, 0);
	peer_done(&peers[0], WEIR_REQUEST_ANSWERED, 1);
	chosen(0);
	peer_done(&peers[0], WEIR_REQUEST_ANSWERED, 1);
	is_number(early, 0, "a balancer is told of nothing before it has begun");
	is_number(dones, 1, "and then of all");
	upstream_end();
}

/* Another process takes a peer down and up again without end while this one picks. */
static void
test_torn(void)
{
	board_word *setting, *changes;
	uint64_t    up, down, first;
	unsigned    nobody = 0;
	pid_t       pid, test = getpid();

	upstream_make(&round_robin_module, 3);
	upstream_start(1, 0);
	setting = &peers[1].shared[PEER_SETTING];
	up = atomic_load(setting);
	peers[1].down = true;
	upstreams_stop(NULL);
	upstream_start(1, 0);
	down = atomic_load(setting);
	changes = &upstream.shared[UPSTREAM_CHANGES];
	first = atomic_load(changes);
	pid = fork();
	while (pid == 0) {
		atomic_store(setting, atomic_load(changes) % 2 == 0 ? up : down);
		atomic_fetch_add(changes, 1);
		for (volatile unsigned i = 0; i < 50; i++)
			continue;
		if (atomic_load(changes) % 4096 == 0 && getppid() != test)
			_exit(0);
	}
	if (pid < 0)
		bail_out("fork: %s", strerror(errno));
	for (unsigned i = 0;
	     i < 300000 || (i < 1000000000 && atomic_load(changes) < first + 100000); i++)
		nobody += chosen(0) < 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is_number(nobody, 0, "whoever is picked has a share, whatever changes meanwhile");
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

/* Sessions that an older generation has handed over are under way with all peers. */
static void
test_least_time_reload(void)
{
	upstream_make(&least_time_module, 3);
	upstream_start(0, 0);
	is_number(choose(0), 0, "the first is tried");
	peer_begin(&peers[0]);
	by_time_hooks()->done(&peers[0], WEIR_REQUEST_ANSWERED, 1000);
	for (unsigned i = 0; i < 15; i++)
		peer_begin(&peers[i % 3]);
	is_number(choose(0), 1, "and so are the others, whatever else they have under way");
	peer_begin(&peers[1]);
	is_number(choose(0), 2, "each once");
	peer_begin(&peers[2]);
	is_string(turns(3), "aaa", "until it has answered");
	peer_end(&peers[2]);
	is_string(turns(1), "c", "or has been given up");
	upstream_end();
}

int
main(void)
{
	board_begin();
	test_backup();
	test_slow_start();
	test_reload();
	test_generation_gone();
	test_timeout_shorter();
	test_probe_lost();
	test_done_early();
	test_torn();
	test_round_robin();
	test_round_robin_exact();
	test_round_robin_returns();
	test_least_conn();
	test_random();
	test_least_time();
	test_least_time_reload();
	return done_testing();
}
