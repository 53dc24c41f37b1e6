/* SPDX-License-Identifier: BSD-2-Clause */
/* health: what checks say of a peer, as a table of what happens and what follows. */
#include "upstream/health.h"

#include <errno.h>

#include "tap.h"

static const struct health_check check = { .on = true, .interval = 1000, .timeout = 500,
	.rise = 2, .fall = 3 };

/* g, b: a good or a bad check; G, B: the same while traffic finds the peer failing; d: traffic
 * has just found that. Behind each a letter for what came of it: - nothing, v fell, ^ rose,
 * + vouched. */
static void
follow(const char *events, const char *wanted, enum health_state end, const char *what)
{
	static const char  letters[] = { [HEALTH_STAYS] = '-', [HEALTH_FELL] = 'v',
		 [HEALTH_ROSE] = '^', [HEALTH_VOUCHED] = '+' };
	char               got[64] = "";
	enum health_change change;
	struct health      h = health_read(0);
	size_t             n = 0;

	for (; events[n] != '\0'; n++) {
		change = HEALTH_STAYS;
		h = health_read(health_write(h));
		if (events[n] == 'd')
			health_doubt(&h);
		else
			change = health_take(&h, events[n] == 'g' || events[n] == 'G',
			    events[n] == 'G' || events[n] == 'B', &check);
		got[n] = letters[change];
	}
	is_string(got, wanted, "%s", what);
	is_number(h.state, end, "… and that is its state");
}

static void
test_states(void)
{
	follow("", "", HEALTH_UNTRIED, "before the first");
	follow("g", "-", HEALTH_UP, "a good one at first");
	follow("b", "v", HEALTH_DOWN, "a bad one at first is enough");
	follow("gbb", "---", HEALTH_UP, "two bad ones are not");
	follow("gbbb", "---v", HEALTH_DOWN, "three are");
	follow("gbbgbbgbbb", "---------v", HEALTH_DOWN, "if they are in a row");
	follow("gbbbbbbbb", "---v-----", HEALTH_DOWN, "more change nothing");
	follow("bgbggg", "v---^-", HEALTH_UP, "two good ones in a row bring it back");
	follow("bggbb", "v-^--", HEALTH_UP, "and then it counts anew");
	follow("bggbbb", "v-^--v", HEALTH_DOWN, "as before");
	follow("gggdB", "----v", HEALTH_DOWN, "traffic and one check together are enough");
	follow("gggdGG", "-----+", HEALTH_UP, "good ones since it failed vouch for it");
	follow("gggdGBG", "-----v-", HEALTH_DOWN, "but not if there is a bad one");
	follow("gbdB", "---v", HEALTH_DOWN, "a bad one before stays a bad one");
	follow("bdgg", "v--^", HEALTH_UP, "of one that is down there is no doubt");
}

static void
test_streak(void)
{
	struct health h = { .state = HEALTH_UP, .good = true };

	for (unsigned i = 0; i < 70000; i++)
		(void)health_take(&h, true, false, &check);
	is_number(h.streak, 65535, "a streak goes no further than its bits");
	h = health_read(health_write(h));
	ok(h.state == HEALTH_UP && h.good && h.streak == 65535, "all of it is in one word");
}

static void
test_note(void)
{
	int      error;
	uint64_t when, note = health_note(HEALTH_UNREACHED, ECONNREFUSED, 1234567890123);

	is_number(health_noted(note, &error, &when), HEALTH_UNREACHED, "a note has the result,");
	is_number(error, ECONNREFUSED, "the errno,");
	is_number((long long)when, 1234567890123 & ((1LL << 40) - 1), "and the time");
	is_string(health_explain(HEALTH_UNREACHED, ECONNREFUSED), "connect: Connection refused",
	    "in words");
	is_string(health_explain(HEALTH_CLOSED, 0), "closed before the reply", "without an errno");
	is_number(health_noted(0, &error, &when), HEALTH_NONE, "at first there is none");
}

static void
test_due(void)
{
	uint64_t least = UINT64_MAX, most = 0, at;

	for (uint64_t drawn = 0; drawn <= UINT32_MAX; drawn += UINT32_MAX / 257) {
		at = health_due(&check, 5000, 5100, (uint32_t)drawn, 10);
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	ok(least >= 5900 && least < 5910, "up to a tenth earlier than the interval says");
	ok(most <= 6000 && most > 5990, "and no later");
	ok(health_due(&check, 5000, 5950, UINT32_MAX, 10) == 5950, "never before now");
	most = 0;
	for (uint64_t drawn = 0; drawn <= UINT32_MAX; drawn += UINT32_MAX / 257) {
		at = health_due(&check, 0, 7000, (uint32_t)drawn, 1000);
		most = at > most ? at : most;
		if (at < 7000)
			most = UINT64_MAX;
	}
	ok(most > 7900 && most <= 8000, "first checks of many are spread");
	ok(health_due(&check, 0, 7000, UINT32_MAX, 1) <= 7020, "of few they come soon");
	ok(health_due(&check, 9000, 7000, UINT32_MAX, 1) <= 7020,
	    "a time that is still to come is nobody's");
	ok(health_due(&check, 100, 7000, UINT32_MAX, 1) <= 7020, "what is overdue comes soon");
}

int
main(void)
{
	test_states();
	test_streak();
	test_note();
	test_due();
	return done_testing();
}
