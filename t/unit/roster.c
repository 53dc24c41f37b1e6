/* SPDX-License-Identifier: BSD-2-Clause */
/* roster: the order that it keeps, whatever happens to peers; those that are full. */
#include "../../src/upstream/roster.c"

#include "unit/balance.h"

static const struct weir_balancer nothing = { .pick = weir_upstream_first };
static const struct weir_module   plain_module = { .name = "plain", .balancer = &nothing };

/* --------------------------------------------------------------- those that are full */

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

/* To look at those that are full does not cost more for others beside them. */
static void
test_full_alone(void)
{
	uint64_t looked;

	upstream_make(&plain_module, MOST);
	for (unsigned i = 0; i < 3; i++)
		peers[i].max_conns = 1;
	upstream_start(0, 0);
	for (int i = 0; i < 3; i++)
		is_number(choose(0), i, "taken");
	for (unsigned i = 0; i < 2 * MOST; i++)
		chosen(0);
	is_number(upstream.roster->full_count, 3, "three are full");
	looked = upstream.roster->looked;
	loop_clock += 10;
	chosen(0);
	is_number(upstream.roster->looked, looked, "all the others are not looked at again");
	atomic_store(&board_cell(peers[1].board, seat)[PEER_CONNS], 0);
	loop_clock += 10;
	chosen(0);
	is_number(upstream.roster->full_count, 2, "one has room");
	peer_release(&peers[0]);
	roster_give(&peers[0]);
	is_number(upstream.roster->full_count, 1, "and another");
	is_number(upstream.roster->full[0], 2, "the third has not");
	upstream_end();
}

/* ------------------------------------------------------------------------- order */

/* What a peer is, as the test has made it. */
static struct fate {
	uint64_t rank;
	uint64_t serial;
	uint64_t failed_until;
	bool     at_limit;
	bool     links_full;
} fates[MOST];

static bool
fate_lets(unsigned i)
{
	const struct fate *f = &fates[i];
	bool               fails = f->failed_until > loop_clock;

	if (attempt_has_ruled_out(&attempt, &peers[i]) ||
	    (attempt.pooled ? f->links_full : f->at_limit))
		return false;
	if (attempt.stage == ATTEMPT_FAILED)
		return true;
	return !fails && peers[i].backup == (attempt.stage == ATTEMPT_BACKUP);
}

static int
first_of_all(void)
{
	int first = -1;

	for (unsigned i = 0; i < upstream.peer_count; i++)
		if (fate_lets(i) &&
		    (first < 0 || fates[i].rank < fates[first].rank ||
			(fates[i].rank == fates[first].rank &&
			    fates[i].serial < fates[first].serial)))
			first = (int)i;
	return first;
}

/* One of all that may happen to a peer. */
static void
happen(unsigned i)
{
	struct fate *f = &fates[i];

	switch (random_below(8)) {
	case 0:
		fail(i);
		f->failed_until = loop_clock + peers[i].fail_timeout;
		break;
	case 1:
		recover(i);
		f->failed_until = 0;
		break;
	case 2:
		f->at_limit = random_below(2) == 0;
		peers[i].max_conns = 1;
		atomic_store(&peers[i].cell[PEER_CONNS], f->at_limit);
		loop_clock += 5;
		break;
	case 3:
		f->links_full = random_below(2) == 0;
		roster_set_full(&peers[i], f->links_full);
		break;
	case 4:
		loop_clock += random_below(300);
		break;
	default:
		f->rank = random_below(20);
		weir_peer_rank(&peers[i], f->rank);
	}
}

/* Of any kind, at any stage; some peers have been tried. */
static void
attempt_any(unsigned count)
{
	attempt_anew(0);
	attempt.pooled = random_below(2) == 0;
	attempt.stage = (uint8_t)random_below(ATTEMPT_FAILED + 1);
	for (unsigned k = (unsigned)random_below(3); k > 0; k--)
		attempt_rule_out(&attempt, &peers[random_below(count)]);
	/* What works is in no tree of those that do not: it was asked first. */
	for (unsigned k = 0; attempt.stage == ATTEMPT_FAILED && k < count; k++)
		if (fates[k].failed_until <= loop_clock)
			attempt_rule_out(&attempt, &peers[k]);
}

static void
test_order(unsigned count)
{
	uint64_t          serial = count;
	unsigned          wrong = 0, astray = 0;
	int               wanted;
	struct weir_peer *got;

	upstream_make(&plain_module, count);
	for (unsigned i = 0; i < count; i++)
		peers[i].backup = i % 5 == 4;
	upstream_start(1, 0);
	for (unsigned i = 0; i < count; i++)
		fates[i] = (struct fate){ .serial = (i + count - upstream.turn % count) % count };
	for (unsigned i = 0; i < 20000; i++) {
		happen((unsigned)random_below(count));
		attempt_any(count);
		if (attempt.ruled_out > UPSTREAM_RETRIES_MAX)
			continue;
		wanted = first_of_all();
		got = upstream_pick(&upstream, &attempt);
		wrong += (got != NULL ? (int)got->index : -1) != wanted;
		if (got != NULL)
			fates[got->index].serial = serial++;
		got = weir_upstream_draw(&upstream, &attempt, random_number());
		astray += got != NULL ? !fate_lets(got->index) : wanted >= 0;
	}
	is_number(wrong, 0, "%u peers: the first of those that are usable", count);
	is_number(astray, 0, "and whoever is drawn is one of them");
	upstream_end();
}

/* One that has ranked high for billions of picks has waited longest. */
static void
test_order_old(void)
{
	upstream_make(&plain_module, 3);
	upstream_start(0, 0);
	is_string(turns(3), "abc", "each in its turn");
	weir_peer_rank(&peers[2], 1);
	is_string(turns(4), "abab", "but for one, which ranks high");
	upstream.roster->serial += (UINT64_C(3) << 30) * SERIAL_ONE;
	is_string(turns(4), "abab", "for long");
	weir_peer_rank(&peers[2], 0);
	is_string(turns(3), "cab", "and then is first");
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

int
main(void)
{
	if (getenv("WEIR_VALGRIND") != NULL) {
		skip(1, "valgrind's mremap makes no second mapping of the board");
		return done_testing();
	}
	board_begin();
	test_full();
	test_full_alone();
	test_order(1);
	test_order(7);
	test_order(57);
	test_order_old();
	test_draw();
	return done_testing();
}
