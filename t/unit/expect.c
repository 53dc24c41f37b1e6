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
static const struct mode counting = { .name = "counting", .paced = true, .counters = counters };

static struct tally sum, before;

/* 1,000 requests of 1 … 1,000 µs in a second, 3 errors, 2 failures, 5 lost. */
static struct outcome
outcome(void)
{
	struct outcome o = { .sum = &sum, .before = &before };

	memset(&sum, 0, sizeof sum);
	memset(&before, 0, sizeof before);
	for (unsigned us = 1; us <= 1000; us++) {
		hist_add(&sum.latency, us);
		hist_add(&sum.raw, 7);
	}
	tally_add(&sum.answered, 1000);
	tally_add(&sum.sent, 1000);
	tally_add(&sum.faults[FAULT_RESET], 2);
	tally_add(&sum.faults[FAULT_WRONG], 1);
	tally_add(&sum.faults[FAULT_FAILED], 2);
	tally_add(&sum.lost, 5);
	tally_add(&sum.bytes_in, 64 * 1024);
	tally_add(&sum.own[1], 17);
	tally_add(&before.faults[FAULT_RESET], 2);
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
		ok(expect_parse(&e, &counting, conditions[i].text, error) == 0 &&
			expect_holds(&e, &o) == conditions[i].holds,
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
		ok(expect_parse(&e, &counting, wrong[i].text, error) == -1 &&
			strstr(error, wrong[i].error) != NULL,
		    "\"%s\" is refused: %s", wrong[i].text, error);
	}
	ok(expect_parse(&e, NULL, "tolerated==0", error) == -1,
	    "counters are names in their own mode only");
	many[0] = '\0';
	for (unsigned i = 0; i <= EXPECT_MAX; i++)
		strcat(many, i == 0 ? "errors==0" : ",errors==0");
	ok(expect_parse(&e, NULL, many, error) == -1 && strstr(error, "more than") != NULL,
	    "too many are refused: %s", error);
}

static void
test_tried(void)
{
	struct outcome o = outcome();
	struct figure  f;

	ok(figure_find(&f, "errors", NULL) && figure_value(&f, &o) == 3,
	    "errors count from the beginning");
	o.tried = true;
	ok(figure_value(&f, &o) == 1, "but one try of several has only its own");
}

static void
test_names(void)
{
	struct figure f, again;
	unsigned      n = 0, wrong_ones = 0;

	for (; figure_at(&f, n, &counting); n++) {
		if (!figure_find(&again, f.name, &counting) || again.value != f.value ||
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

	if (expect_parse(&e, NULL, "errors==0, p99<5ms,server_cpu<3us", error) != 0)
		diag("%s", error);
	expect_print(out, &e, &o, false);
	fclose(out);
	is_string(text,
	    "\n"
	    "  BROKEN  errors==0                3\n"
	    "  holds   p99<5ms                  990us\n"
	    "  BROKEN  server_cpu<3us           none: it needs --watch\n",
	    "what holds and what does not is told");
	free(text);
	out = open_memstream(&text, &size);
	expect_print(out, &e, &o, true);
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
	struct run     run = { .quiet = true, .pacing = PACE_FIXED };
	struct expect  e;
	struct slo     slo;
	char           error[EXPECT_ERROR_MAX];
	double         rate;

	if (expect_parse(&e, NULL, "max<2ms", error) != 0)
		diag("%s", error);
	slo_begin(&slo, &e, first);
	while ((rate = slo_rate(&slo)) > 0 && slo.tries < 100) {
		o = outcome();
		o.rate = rate;
		o.answered = (uint64_t)rate;
		if (rate > limit && by_latency)
			hist_add(&sum.latency, 5000);
		else if (rate > limit)
			o.answered = (uint64_t)limit;
		slo_tried(&slo, &run, &o);
	}
	*found = slo.good;
	*tries = slo.tries;
}

static void
test_search(void)
{
	static const double limits[] = { 1, 7, 640, 1000, 1024, 25000, 123456, 3e6 };
	double              found, lowest;
	unsigned            tries;

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		/* A rate that is missed by less than SLO_REACHED passes for reached. */
		for (int by_latency = 0; by_latency < 2; by_latency++) {
			search(limits[i], 0, by_latency, &found, &tries);
			lowest = limits[i] / (1 + SLO_GAP) - 1;
			ok(found >= lowest && found <= limits[i] / (by_latency ? 1 : SLO_REACHED),
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

static void
test_slo_told(void)
{
	struct slo slo = { .tries = 3, .good = 12000, .bad = 12500, .tester = true };
	char      *text;
	size_t     size;
	FILE      *out = open_memstream(&text, &size);

	ok(slo_print(out, &slo), "a rate was found");
	fclose(out);
	if (!ok(strstr(text, "12,000 requests a second; 12,500 a second do not\n") != NULL &&
		    strstr(text, "-w") != NULL,
		"it is told, and what limited it"))
		diag("%s", text);
	free(text);
	slo = (struct slo){ .tries = 3, .bad = 1 };
	out = open_memstream(&text, &size);
	ok(!slo_print(out, &slo), "none was found");
	fclose(out);
	ok(strstr(text, "No rate") != NULL, "that is told");
	free(text);
}

int
main(void)
{
	test_conditions();
	test_errors();
	test_tried();
	test_names();
	test_print();
	test_search();
	test_slo_told();
	return done_testing();
}
