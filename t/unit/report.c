/* SPDX-License-Identifier: BSD-2-Clause */
/* report: figures as people read them, the text at the end, JSON, what is counted when. */
#include "stress/report.h"

#include <jansson.h>
#include <unistd.h>

#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/slo.h"
#include "stress/tally.h"
#include "stress/text.h"

#include "unit/tap.h"

#define SECOND UINT64_C(1000000000)

static const char *const counters[] = { "ended", NULL };
static const struct mode counting = {
	.name = "counting", .paced = true, .takes = "s", .counters = counters
};

static struct shared *shared;	/* of two workers */

static struct run
run_of_two(void)
{
	memset(shared, 0, sizeof *shared + 2 * sizeof shared->of[0]);
	return (struct run){ .mode = &counting, .target_name = "127.0.0.1:7000", .workers = 2,
		.connections = 10, .size = 64, .depth = 1, .quiet = true };
}

static void
count(unsigned worker, uint64_t answered, uint64_t us, uint64_t cpu)
{
	struct tally *t = &shared->of[worker];

	for (uint64_t i = 0; i < answered; i++) {
		stress_hist_add(&t->latency, us);
		stress_hist_add(&t->raw, us / 2);
	}
	stress_tally_add(&t->answered, answered);
	stress_tally_add(&t->sent, answered);
	stress_tally_add(&t->cpu, cpu);
}

static void
wipe(void)
{
	for (unsigned w = 0; w < 2; w++) {
		struct tally *t = &shared->of[w];

		atomic_store(&t->answered, 0);
		atomic_store(&t->sent, 0);
		memset(&t->latency, 0, sizeof t->latency);
		memset(&t->raw, 0, sizeof t->raw);
	}
}

/* A run of two seconds: 6 open, 2 errors in the ramp and 1 later, 3,000 requests in
 * time and 10 after it, 40 % and 95 % of a core. */
static struct outcome
conduct(const struct run *run)
{
	struct report *r = stress_report_create(run, shared);
	struct outcome o = { .sum = NULL };

	stress_tally_add(&shared->of[0].open, 2);
	stress_tally_add(&shared->of[1].open, 4);
	stress_tally_add(&shared->of[0].peak, 2);
	stress_tally_add(&shared->of[1].peak, 4);
	stress_tally_add(&shared->of[0].connected, 6);
	stress_tally_add(&shared->of[0].faults[FAULT_CONNECT_REFUSED], 2);
	stress_tally_add(&shared->of[0].errnos[111], 2);
	count(0, 500, 77777, 300000);
	stress_report_second(r, SECOND);
	ok(stress_report_measuring(r, 10 * SECOND) == 0, "the measuring begins");
	wipe();
	count(0, 1000, 400, 800000);
	count(1, 2000, 800, 1900000);
	stress_tally_add(&shared->of[0].due, 3017);
	stress_tally_add(&shared->of[0].bytes_in, 1 << 20);
	stress_tally_add(&shared->of[1].bytes_out, 3 << 20);
	stress_tally_add(&shared->of[1].faults[FAULT_WRONG], 1);
	strcpy(shared->of[1].wrong, "connection 3, request 4: \"\xff\"");
	atomic_store(&shared->of[1].late, 250);
	atomic_store(&shared->phase, PHASE_MEASURE);
	stress_report_second(r, 11 * SECOND);
	stress_report_measured(r, 12 * SECOND);
	count(1, 10, 900, 100000);
	ok(stress_report_outcome(r, &o) == 0, "it has an outcome");
	stress_report_free(r);
	return o;
}

static void
test_texts(void)
{
	is_string(stress_text_count(0).s, "0", "counts");
	is_string(stress_text_count(999).s, "999", "counts");
	is_string(stress_text_count(1000).s, "1,000", "counts");
	is_string(stress_text_count(1234567).s, "1,234,567", "counts");
	is_string(stress_text_count(12.34).s, "12.3", "counts");
	is_string(stress_text_count(-1234).s, "-1,234", "counts");
	is_string(stress_text_count(18e18).s, "18,000,000,000,000,000,000", "counts");
	is_string(stress_text_count(1e21).s, "1e+21", "counts");
	is_string(stress_text_time(0).s, "0us", "times");
	is_string(stress_text_time(7).s, "7us", "times");
	is_string(stress_text_time(7.891).s, "7.89us", "times");
	is_string(stress_text_time(999).s, "999us", "times");
	is_string(stress_text_time(999.7).s, "1.00ms", "times");
	is_string(stress_text_time(1234).s, "1.23ms", "times");
	is_string(stress_text_time(12345).s, "12.3ms", "times");
	is_string(stress_text_time(123456).s, "123ms", "times");
	is_string(stress_text_time(999600).s, "1.00s", "times");
	is_string(stress_text_time(3600e6).s, "3600s", "times");
	is_string(stress_text_size(0).s, "0 B", "sizes");
	is_string(stress_text_size(999).s, "999 B", "sizes");
	is_string(stress_text_size(1000).s, "0.98 KiB", "sizes");
	is_string(stress_text_size(65536).s, "64.0 KiB", "sizes");
	is_string(stress_text_size(-3.5 * 1024 * 1024).s, "-3.50 MiB", "sizes");
	is_string(stress_text_size(1e18).s, "909495 TiB", "sizes");
}

static void
test_outcome(void)
{
	struct run     run = run_of_two();
	struct outcome o = conduct(&run);

	is_number(o.elapsed, 2 * SECOND, "how long was measured");
	is_number(o.answered, 3000, "what came in time");
	is_number(atomic_load(&o.sum->answered), 3010, "and what came late");
	is_number(o.cpu, 2700000, "CPU of the measuring");
	ok(o.busiest > 0.949 && o.busiest < 0.951, "the busiest worker's share: %.3f", o.busiest);
	is_number(o.peak, 6, "connections");
	is_number(o.late, 250, "what waited for room, at most");
	is_number(stress_tally_errors(o.sum), 3, "errors count from the beginning");
	is_number(atomic_load(&o.sum->latency.max), 900, "latencies do not");
	stress_outcome_clear(&o);
}

static void
has(const char *text, const char *part)
{
	if (!ok(strstr(text, part) != NULL, "the report says: %.40s", part))
		diag("%s", text);
}

static void
test_print(void)
{
	struct run     run = run_of_two();
	struct outcome o;
	char          *text;
	size_t         size;
	FILE          *out = open_memstream(&text, &size);

	run.pacing = PACE_FIXED;
	atomic_store(&shared->rate, 2000);
	run.duration = 30000;
	o = conduct(&run);
	o.watched = true;
	o.server_processes = 5;
	o.server_cpu = 6000;
	o.server_memory = 3 << 20;
	o.server_grown = 6 * 1500;
	o.acrossed = true;
	run.across = "weir -s reload";
	o.across_runs = 3;
	o.across_failed = 1;
	o.across_faults = 1;
	o.across_time = SECOND / 4;
	strcpy(o.across_words, "status 1: no");
	o.interrupted = true;
	stress_report_print(out, &run, &o);
	fclose(out);
	has(text, "counting, 127.0.0.1:7000: 10 connections, 2 processes, 64 bytes, open loop\n");
	has(text, "  answered     3,000 in 2.00s: 1,500/s of 2,000/s, 10 more after that\n");
	has(text, "  bytes        3.00 MiB sent, 1.00 MiB received: 2.00 MiB/s both ways\n");
	has(text, "  connections  6 made, 6 open at most\n");
	has(text, "  ended        0\n");
	has(text,
	    "  weir-stress  900us of cpu a request; the busiest process used 95% of a core\n");
	has(text,
	    "  server       2us of cpu a request; 0% of a core\n"
	    "               3.00 MiB of memory at most in 5 "
	    "processes, 1.46 KiB for each connection\n");
	has(text, "  across       3 runs of weir -s reload, 250ms at most, 1 failed\n");
	has(text, "the first that failed: status 1: no\n");
	has(text, "meanwhile: 1 fault, 0 requests lost; otherwise 0\n");
	has(text, "  latency      800us    800us    800us    900us    900us    667us");
	has(text, "  raw          400us    400us    400us    450us    450us    334us");
	has(text, "           2 connect_refused  connect: refused\n");
	has(text, "start the server, or correct the target\n");
	has(text, "ECONNREFUSED 2 (Connection refused)\n");
	has(text, "           1 wrong            a reply that is not what was asked for\n");
	has(text, "  The first wrong reply: connection 3, request 4: \"\\xff\"\n");
	has(text, "  Not reached: 10 connections, 6 were open at most\n");
	has(text, "  Not reached: 2,000 requests a second, 1,500 were answered\n");
	has(text, "  Not sent: 7 requests that were due; they are in latency with the time "
	    "they waited\n");
	has(text, "  Interrupted");
	has(text, "weir-stress itself was busy (95% of a core)");
	has(text, "Up to 250 requests were due while no connection had room");
	ok(strstr(text, "connect.") == NULL && strstr(text, "reset") == NULL,
	    "nothing is said of what did not happen");
	free(text);
	out = open_memstream(&text, &size);
	o.interrupted = false;
	stress_report_print(out, &run, &o);
	fclose(out);
	has(text, "  Not reached: 30.0s of measuring, nothing could go on after 2.00s\n");
	free(text);
	stress_outcome_clear(&o);
}

static double
figure(json_t *all, const char *name)
{
	return json_number_value(json_object_get(json_object_get(all, "figures"), name));
}

static void
test_json(void)
{
	char           path[] = "/tmp/report-json.XXXXXX";
	int            fd = mkstemp(path);
	struct run     run = run_of_two();
	struct outcome o = conduct(&run);
	json_t        *all;

	run.json = path;
	is_number(stress_report_json(&run, &o, false), 0, "JSON is written while the run goes on");
	all = json_load_file(path, 0, NULL);
	ok(json_is_false(json_object_get(all, "over")) && json_is_null(json_object_get(all, "met")),
	    "and says so");
	json_decref(all);
	o.met = true;
	is_number(stress_report_json(&run, &o, true), 0, "JSON is written");
	all = json_load_file(path, 0, NULL);
	ok(all != NULL, "it is JSON, although a reply was not UTF-8");
	is_string(json_string_value(json_object_get(json_object_get(all, "options"), "target")),
	    "127.0.0.1:7000", "options");
	ok(figure(all, "errors") == 3 && figure(all, "connect_refused") == 2 &&
		figure(all, "ended") == 0 && figure(all, "rate") == 1500,
	    "counts and rates");
	ok(figure(all, "p50") == 800 && figure(all, "max") == 900 && figure(all, "cpu") == 900,
	    "times are microseconds");
	ok(json_is_null(json_object_get(json_object_get(all, "figures"), "server_cpu")),
	    "what does not exist is null");
	ok(json_is_true(json_object_get(all, "met")), "the verdict");
	is_number(json_integer_value(
		      json_object_get(json_object_get(all, "errnos"), "ECONNREFUSED")),
	    2, "errors by number");
	json_decref(all);

	/* The same file again: it is replaced. */
	run.slo = "p99<5ms";
	is_number(stress_report_slo_json(&run, &(struct slo){ .good = 5000, .tries = 1,
	    .of = { { .rate = 5000, .answered = 5001, .held = true } } }), 0,
	    "so is a search");
	all = json_load_file(path, 0, NULL);
	ok(json_number_value(json_object_get(json_object_get(all, "slo"), "holds")) == 5000 &&
		json_is_null(json_object_get(json_object_get(all, "slo"), "fails")),
	    "what holds, and that nothing has failed");
	json_decref(all);
	close(fd);
	unlink(path);
	run.json = "/nowhere/at/all";
	if (freopen("/dev/null", "w", stderr) == NULL)
		diag("stderr stays as it is");
	ok(stress_report_json(&run, &o, true) < 0, "a file that cannot be written is an error");
	ok(stress_report_try_files(&run) < 0, "and is one before the run");
	stress_outcome_clear(&o);
}

static void
test_stations(void)
{
	struct run     run = run_of_two();
	struct report *r = stress_report_create(&run, shared);
	struct outcome o = { .sum = NULL };

	stress_tally_add(&shared->of[0].open, 5);
	count(0, 100, 50, 1000);
	stress_report_hold(r, NULL, 1 * SECOND);
	count(1, 300, 70, 2000);
	stress_tally_add(&shared->of[1].faults[FAULT_RESET], 4);
	stress_report_held(r, NULL, 3 * SECOND);
	stress_tally_add(&shared->of[1].open, 5);
	stress_report_hold(r, NULL, 4 * SECOND);
	count(1, 500, 90, 3000);
	stress_report_held(r, NULL, 5 * SECOND);
	ok(stress_report_measuring(r, 6 * SECOND) == 0 && stress_report_outcome(r, &o) == 0,
	    "an outcome");
	stress_report_free(r);
	is_number(o.station_count, 2, "two stations");
	is_number(o.stations[0].open, 5, "the first: connections");
	is_number(o.stations[0].answered, 300, "requests");
	is_number(o.stations[0].errors, 4, "errors");
	is_number(o.stations[0].p99, 70, "its own latency");
	is_number(o.stations[0].cpu, 2000, "CPU");
	is_number(o.stations[0].elapsed, 2 * SECOND, "time");
	is_number(o.stations[1].open, 10, "the second: connections");
	is_number(o.stations[1].errors, 0, "the first one's errors are not its own");
	is_number(o.stations[1].p50, 90, "nor are latencies");
	stress_outcome_clear(&o);
}

/* Of several tries each has what it counted itself. */
static void
test_tries(void)
{
	struct run     run = run_of_two();
	struct report *r;
	struct outcome o = { .sum = NULL };
	struct tally  *t = &shared->of[0];

	run.slo = "p99<5ms";
	run.pacing = PACE_FIXED;
	r = stress_report_create(&run, shared);
	for (unsigned i = 1; i <= 2; i++) {
		ok(stress_report_measuring(r, i * 10 * SECOND) == 0, "a try begins");
		wipe();
		count(0, 100 * i, 500, 1000);
		stress_tally_add(&t->connected, 10 * i);
		stress_hist_add(&t->connect, i == 1 ? 90000 : 70);
		stress_tally_add(&t->faults[FAULT_RESET], 3);
		stress_tally_add(&t->faults[FAULT_FAILED], 5);
		stress_tally_add(&t->errnos[104], 3);
		stress_tally_add(&t->lost, 4);
		stress_tally_add(&t->bytes_in, 1000);
		stress_tally_add(&t->own[0], 7);
		if (i == 1)
			strcpy(t->wrong, "of the first");
		stress_report_measured(r, (i * 10 + 1) * SECOND);
		ok(stress_report_outcome(r, &o) == 0, "and has an outcome");
		is_number(o.sum->connected, 10 * i, "its connections");
		is_number(o.sum->faults[FAULT_RESET], 3, "its faults");
		is_number(o.failed, 5, "its failures");
		is_number(o.sum->errnos[104], 3, "by number");
		is_number(o.sum->lost, 4, "what it lost");
		is_number(o.sum->bytes_in, 1000, "its bytes");
		is_number(o.sum->own[0], 7, "the mode's own");
		is_number(o.sum->answered, 100 * i, "its requests");
		is_number(o.sum->connect.total, 1, "its connects");
		is_number(stress_hist_percentile(&o.sum->connect, 50) > 1000, i == 1, "their time");
		ok((o.sum->wrong[0] != '\0') == (i == 1), "its wrong reply");
		stress_outcome_clear(&o);
	}
	stress_report_free(r);
}

static char *
verdict(const struct run *run, struct outcome *o, bool met, bool reached)
{
	char  *text;
	size_t size;
	FILE  *out = open_memstream(&text, &size);

	o->met = met;
	stress_report_verdict(out, run, o, NULL, reached);
	fclose(out);
	return text;
}

static void
test_verdict(void)
{
	struct run     run = run_of_two();
	struct outcome o = conduct(&run);
	char          *text = verdict(&run, &o, false, false);

	has(text, "  NOT GOOD: 3 errors, 0 requests lost.\n");
	free(text);
	o.acrossed = true;
	o.across_runs = 4;
	o.across_failed = 1;
	text = verdict(&run, &o, false, true);
	has(text, "lost, 1 failed of 4 runs of the command.\n");
	free(text);
	text = verdict(&run, &o, true, false);
	has(text, "  No errors and no request lost, but see what was not reached.\n");
	free(text);
	text = verdict(&run, &o, true, true);
	has(text, "  Good: no errors, and no request was lost.\n");
	free(text);
	stress_outcome_clear(&o);
}

/* Who is told that it failed has an answer. */
static void
test_failures(void)
{
	struct run     run = run_of_two();
	struct outcome o;
	char          *text;
	size_t         size;
	FILE          *out = open_memstream(&text, &size);

	run.pacing = PACE_FIXED;
	run.requests = 3030;
	run.connections = 6;
	run.failure = "SORRY";
	atomic_store(&shared->rate, 1500);
	stress_tally_add(&shared->of[0].faults[FAULT_FAILED], 20);
	o = conduct(&run);
	o.failed = 20;
	ok(!stress_report_print(out, &run, &o), "something was not reached");
	fclose(out);
	has(text, ", and 20 with the failure text");
	has(text, "Not sent: 7 requests");
	ok(strstr(text, "Not reached") == NULL, "but all have had an answer");
	free(text);
	stress_outcome_clear(&o);
}

int
main(void)
{
	shared = calloc(1, sizeof *shared + 2 * sizeof shared->of[0]);
	if (shared == NULL)
		return 1;
	test_texts();
	test_outcome();
	test_print();
	test_stations();
	test_tries();
	test_verdict();
	test_failures();
	test_json();
	free(shared);
	return done_testing();
}
