/* SPDX-License-Identifier: BSD-2-Clause */
/* expect: conditions, read and judged; figures by their names; the search for a rate. */
#include "stress/expect.h"

#include <math.h>

#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/slo.h"
#include "stress/tally.h"

#include "unit/tap.h"

static const char *const counters[] = { "ended", "tolerated", NULL };
static const struct mode plain = { .name = "plain", .paced = true, .takes = "s" };
static const struct mode counting = {
	.name = "counting", .paced = true, .takes = "s", .counters = counters
};

static struct tally     sum;
static const struct run bare = { .mode = &counting };
static const struct run full = { .mode = &counting, .watch = 1, .across = "true",
	.pacing = PACE_FIXED };

/* 1,000 requests of 1 … 1,000 µs in a second, 3 errors, 2 failures, 5 lost. */
static struct outcome
outcome(void)
{
	struct outcome o = { .sum = &sum };

	memset(&sum, 0, sizeof sum);
	for (unsigned us = 1; us <= 1000; us++) {
		stress_hist_add(&sum.latency, us);
		stress_hist_add(&sum.raw, 7);
	}
	stress_tally_add(&sum.answered, 1000);
	stress_tally_add(&sum.sent, 1000);
	stress_tally_add(&sum.faults[FAULT_RESET], 2);
	stress_tally_add(&sum.faults[FAULT_WRONG], 1);
	stress_tally_add(&sum.faults[FAULT_FAILED], 2);
	stress_tally_add(&sum.lost, 5);
	stress_tally_add(&sum.bytes_in, 64 * 1024);
	stress_tally_add(&sum.own[1], 17);
	o.elapsed = 1000000000;
	o.answered = 1000;
	o.cpu = 4500;
	o.peak = o.open = 10;
	return o;
}

static const struct {
	const char *text;
	bool        holds;
} conditions[] = {
	{ "errors==3", true },
	{ "errors==0", false },
	{ "errors!=3", false },
	{ "errors<3", false },
	{ "errors<=3", true },
	{ "errors>2.5", true },
	{ "errors>=4", false },
	{ "reset==2", true },
	{ "wrong==1,reset==2,failed<=2", true },
	{ "wrong==1,reset==3,failed<=2", false },
	{ "lost==5", true },
	{ "p50==500us", true },
	{ "p99<1ms", true },
	{ "p99>=990us,p99<=0.99ms", true },
	{ "p99.9<=1s", true },
	{ "p75==750us", true },
	{ "max==1ms", true },
	{ "mean>500us,mean<501us", true },
	{ "raw.p99==7us", true },
	{ "raw.p99.99==7us", true },
	{ "max<1m", true },
	{ "p99>0", true },
	{ "rate==1000", true },
	{ "rate>=1000.5", false },
	{ "bytes_in==64k", true },
	{ "bytes_in<1m", true },
	{ "cpu==4.5us", true },
	{ "connected==0,peak==10", true },
	{ "tolerated==17,ended==0", true },
	{ " errors <= 3 , p99 < 5ms ", true },
	{ "connect.p99<1s", false },		/* nothing was connected */
	{ "connect.p99>=0", false },
	{ "server_cpu<1h", false },		/* nobody was watched */
	{ "across_failed==0", false },
};

static const struct {
	const char *text;
	const char *error;	/* a part of it */
} wrong[] = {
	{ "", "a condition is missing" },
	{ "errors==0,", "a condition is missing" },
	{ ",errors==0", "a condition is missing" },
	{ "errors", "no comparison in it; there are ==, !=, <, <=, > and >=" },
	{ "errors=0", "= is no comparison" },
	{ "errors=>0", "= is no comparison" },
	{ "errors!0", "! is no comparison" },
	{ "eror==0", "did you mean errors?" },
	{ "quux==0", "quux: no such name; there are errors, connect_refused" },
	{ "quux==0", "p99.9" },
	{ "quux==0", "tolerated" },
	{ "==0", "(nothing): no such name" },
	{ "p101<1s", "no such name" },
	{ "p<1s", "no such name" },
	{ "p9.9.9<1s", "no such name" },
	{ "errors==", "a number has to follow" },
	{ "errors==many", "a number has to follow" },
	{ "errors==-1", "a number has to follow" },
	{ "errors==1.2.3", "a number has to follow" },
	{ "errors==.5", "a number has to follow" },
	{ "errors==3k", "nothing may stand behind it" },
	{ "errors==0x10", "nothing may stand behind it" },
	{ "errors==1e3", "nothing may stand behind it" },
	{ "p99<5", "p99 is a time: put us, ms, s, m or h behind the number" },
	{ "p99<5 min", "p99 is a time" },
	{ "bytes_in>5ms", "bytes_in is in bytes" },
	{ "p99<5msssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss",
	    "a condition is NAME COMPARISON VALUE" },
};

static void
test_conditions(void)
{
	struct outcome o = outcome();
	struct expect  e;
	char           error[EXPECT_ERROR_MAX];

	for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
		error[0] = '\0';
		ok(stress_expect_parse(&e, &full, conditions[i].text, error) == 0 &&
			stress_expect_holds(&e, &o) == conditions[i].holds,
		    "\"%s\" %s %s", conditions[i].text,
		    conditions[i].holds ? "holds" : "does not hold", error);
	}
}

static void
test_errors(void)
{
	struct expect e;
	char          error[EXPECT_ERROR_MAX], many[EXPECT_MAX * 16];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		error[0] = '\0';
		ok(stress_expect_parse(&e, &bare, wrong[i].text, error) < 0 &&
			strstr(error, wrong[i].error) != NULL,
		    "\"%s\" is refused: %s", wrong[i].text, error);
	}
	ok(stress_expect_parse(&e, &(struct run){ .mode = &plain }, "tolerated==0", error) < 0,
	    "counters are names in their own mode only");
	many[0] = '\0';
	for (unsigned i = 0; i <= EXPECT_MAX; i++)
		strcat(many, i == 0 ? "errors==0" : ",errors==0");
	ok(stress_expect_parse(&e, &full, many, error) < 0 && strstr(error, "more than") != NULL,
	    "too many are refused: %s", error);
}

/* What a run does not measure cannot be a condition of it. */
static void
test_needs(void)
{
	static const struct {
		const char *text;
		const char *needs;
	} cases[] = {
		{ "server_cpu<1ms", "--watch" },
		{ "errors==0,server_memory<1g", "--watch" },
		{ "server_bytes<1k", "--watch" },
		{ "across_failed==0", "--across" },
		{ "across_max<1s", "--across" },
		{ "rate_asked>5", "--rate" },
	};
	struct run    search = bare;
	struct expect e;
	char          error[EXPECT_ERROR_MAX];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		error[0] = '\0';
		ok(stress_expect_parse(&e, &bare, cases[i].text, error) < 0 &&
			strstr(error, "it needs ") != NULL && strstr(error, cases[i].needs) != NULL,
		    "\"%s\" is refused: %s", cases[i].text, error);
		ok(stress_expect_parse(&e, &full, cases[i].text, error) == 0, "but not with it");
	}
	search.slo = "p99<5ms";
	search.pacing = PACE_FIXED;
	ok(stress_expect_parse(&e, &search, "across_max<1s", error) < 0 &&
		strstr(error, "does not go with --slo") != NULL,
	    "a search has no --across: %s", error);
	ok(stress_expect_parse(&e, &search, "rate_asked>1", error) == 0, "but a rate");
}

static void
test_names(void)
{
	struct figure f, again;
	unsigned      n = 0, wrong_ones = 0;

	for (; stress_figure_at(&f, n, &counting); n++) {
		if (!stress_figure_find(&again, f.name, &counting) || again.value != f.value ||
		    again.argument != f.argument) {
			wrong_ones++;
			diag("%s is found as another", f.name);
		}
	}
	ok(n > 40, "there are %u figures", n);
	is_number(wrong_ones, 0, "each is found by its name");
	is_string(f.name, "tolerated", "those of the mode are the last");
}

static void
test_print(void)
{
	struct outcome o = outcome();
	struct expect  e;
	char           error[EXPECT_ERROR_MAX], *text;
	size_t         size;
	FILE          *out = open_memstream(&text, &size);

	if (stress_expect_parse(&e, &full, "errors==0, p99<5ms,server_cpu<3us", error) != 0)
		diag("%s", error);
	stress_expect_print(out, &e, &o, false);
	fclose(out);
	is_string(text,
	    "\n"
	    "  BROKEN  errors==0                3\n"
	    "  holds   p99<5ms                  990us\n"
	    "  BROKEN  server_cpu<3us           none: it needs --watch\n",
	    "what holds and what does not is told");
	free(text);
	out = open_memstream(&text, &size);
	stress_expect_print(out, &e, &o, true);
	fclose(out);
	ok(strstr(text, "p99") == NULL && strstr(text, "errors") != NULL,
	    "or only what does not");
	free(text);
}

/* A server that does so many requests a second, and not one more. */
static void
search(double limit, double first, bool by_latency, double *found, unsigned *tries)
{
	struct outcome o;
	struct run     run = { .mode = &counting, .pacing = PACE_FIXED };
	struct expect  e;
	struct slo     slo;
	char           error[EXPECT_ERROR_MAX];
	FILE          *nowhere = tmpfile();
	double         rate;

	if (stress_expect_parse(&e, &full, "max<2ms", error) != 0)
		diag("%s", error);
	stress_slo_begin(&slo, &e, first);
	while (slo.end == SLO_GOES_ON && slo.tries < 100) {
		rate = stress_slo_rate(&slo);
		o = outcome();
		o.sum = malloc(sizeof sum);
		if (o.sum == NULL)
			return;
		o.rate = rate;
		o.answered = (uint64_t)rate;
		if (rate > limit && by_latency)
			stress_hist_add(&sum.latency, 5000);
		else if (rate > limit)
			o.answered = (uint64_t)limit;
		memcpy(o.sum, &sum, sizeof sum);
		stress_slo_tried(&slo, nowhere, &run, &o);
		stress_outcome_clear(&o);
	}
	ok(slo.end == (slo.good > 0 ? SLO_FOUND : SLO_NOTHING), "it comes to an end");
	ok(slo.best.sum == NULL ? slo.good == 0
				: slo.best.rate <= slo.good && slo.best.rate >= slo.good,
	    "and has the outcome of the best");
	*found = slo.good;
	fclose(nowhere);
	stress_slo_clear(&slo);
	*tries = slo.tries;
}

static void
test_search(void)
{
	static const double limits[] = { 1, 7, 640, 1000, 1024, 25000, 123456, 3e6 };
	double              found, lowest;
	unsigned            tries;

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		/* A rate that is missed by less than OUTCOME_REACHED passes for reached. */
		for (int by_latency = 0; by_latency < 2; by_latency++) {
			search(limits[i], 0, by_latency, &found, &tries);
			lowest = limits[i] / (1 + SLO_GAP) - 1;
			ok(found >= lowest &&
				found <=
				    (by_latency ? limits[i] : (limits[i] + 1) / OUTCOME_REACHED),
			    "%.0f a second are found as %.0f, in %u tries", limits[i], found,
			    tries);
			ok(tries <= SLO_TRIES, "that is in time");
		}
	}
	search(0.5, 0, true, &found, &tries);
	ok(found == 0 && tries <= SLO_TRIES, "nothing is found where nothing holds");
	search(5000, 4000, true, &found, &tries);
	ok(found > 4700 && tries < 8, "it begins where it is told to: %u tries", tries);
}

/* What is said of a search. */
static char *
told(struct slo *slo)
{
	struct run     run = { .mode = &counting, .target_name = "127.0.0.1:7000", .workers = 1,
		    .connections = 10, .slo = "max<2ms", .pacing = PACE_FIXED };
	struct outcome last = outcome();
	char          *text, error[EXPECT_ERROR_MAX];
	size_t         size;
	FILE          *out = open_memstream(&text, &size);

	if (stress_expect_parse(&slo->expect, &full, "max<2ms", error) != 0)
		diag("%s", error);
	slo->best = last;
	slo->best.rate = slo->good;
	stress_slo_print(out, slo, &run, &last);
	fclose(out);
	return text;
}

static void
test_slo_told(void)
{
	struct slo slo = { .end = SLO_FOUND, .tries = 2, .good = 12000, .bad = 12500,
		.tester = true, .of = { { .rate = 12000, .held = true, .reached = true },
		    { .rate = 12500, .answered = 11000, .values = { 3000 } } } };
	char      *text = told(&slo);

	if (!ok(strstr(text,
		    "The highest rate that holds: 12,000 requests a second\n"
		    "12,500 a second do not: 11,000 were answered; max 3.00ms\n") != NULL &&
		    strstr(text, "-w") != NULL,
		"a rate is told, and what limited it"))
		diag("%s", text);
	ok(strstr(text, "  latency ") != NULL, "with all that was measured then");
	free(text);
	slo = (struct slo){ .end = SLO_NOTHING, .tries = 1, .bad = 1, .of = { { .rate = 1,
	    .reached = true, .values = { 3000 } } } };
	text = told(&slo);
	if (!ok(strstr(text,
		    "No rate was found that holds: not even 1 requests a second: max "
		    "3.00ms\n") != NULL,
		"that none was found is told"))
		diag("%s", text);
	free(text);
	for (unsigned end = SLO_INTERRUPTED; end <= SLO_BROKEN; end++) {
		slo = (struct slo){ .end = end, .tries = 3, .rate = 2000, .good = 1000 };
		text = told(&slo);
		if (!ok(strstr(text, "cut short at 2,000 requests a second") != NULL &&
			    strstr(text, "1,000 a second have held until then; whether more") !=
				NULL &&
			    strstr(text, "highest rate") == NULL,
			"a search that was cut short has no result"))
			diag("%s", text);
		ok((strstr(text, "does not answer any more") != NULL) == (end == SLO_LOST),
		    "and says why");
		free(text);
	}
}

int
main(void)
{
	test_conditions();
	test_errors();
	test_needs();
	test_names();
	test_print();
	test_search();
	test_slo_told();
	return done_testing();
}
