/* SPDX-License-Identifier: BSD-2-Clause */
/* report_text: what people read at the end. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "stress/expect.h"
#include "stress/figure.h"
#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/tally.h"
#include "stress/text.h"

static void report_text_head(FILE *, const struct run *);
static void report_text_requests(FILE *, const struct run *, const struct outcome *);
static void report_text_resources(FILE *, const struct run *, const struct outcome *);
static void report_text_across(FILE *, const struct run *, const struct outcome *);
static void report_text_times(FILE *, const struct run *, const struct outcome *);
static void report_text_stations(FILE *, const struct outcome *);
static bool report_text_not_reached(FILE *, const struct run *, const struct outcome *);
static void report_text_remarks(FILE *, const struct run *, const struct outcome *);

/* What to do about a fault; connect_ports and no_descriptors have more to say. */
static const char *const advice[FAULT_COUNT] = {
	[FAULT_CONNECT_REFUSED] = "nobody listens there: start the server, or correct the target",
	[FAULT_CONNECT_TIMEOUT] = "connects are dropped: raise the server's backlog and "
	    "net.core.somaxconn, ramp slower (-r), or look for a firewall",
	[FAULT_TLS_TIMEOUT] = "the server has too many handshakes at a time, or speaks no TLS; "
	    "raise -t if they may take so long",
	[FAULT_TLS_FAILED] = "see the reasons below, and the server's log",
	[FAULT_CONNECT_FAILED] = "see the numbers of the errors below",
	[FAULT_RESET] = "the server gave them up: its log should say why",
	[FAULT_CLOSED] = "the server ended them: look for its limits and timeouts",
	[FAULT_CLOSED_IDLE] = "the server does not keep them: look for its limits and timeouts",
	[FAULT_TIMEOUT] = "the server is stuck or overloaded; raise -t if replies may take so long",
	[FAULT_WRONG] = "the server mixes replies up or alters them: the first one is below",
	[FAULT_UNASKED] = "the server sends more than it was asked for: is it this protocol?",
	[FAULT_FAILED] = "the server says that it could not answer: its log should say why",
	[FAULT_NO_MEMORY] = "fewer connections, a smaller size or depth, or more memory",
};

FILE *
stress_report_output(const struct run *run)
{
	bool taken = (run->json != NULL && strcmp(run->json, "-") == 0) ||
	    (run->hgrm != NULL && strcmp(run->hgrm, "-") == 0);

	return taken ? stderr : stdout;
}

bool
stress_report_print(FILE *out, const struct run *run, const struct outcome *o)
{
	bool reached;

	report_text_head(out, run);
	fputc('\n', out);
	report_text_requests(out, run, o);
	report_text_resources(out, run, o);
	report_text_across(out, run, o);
	report_text_times(out, run, o);
	report_text_stations(out, o);
	stress_report_faults(out, run, o);
	reached = report_text_not_reached(out, run, o);
	report_text_remarks(out, run, o);
	fflush(out);
	return reached;
}

static uint64_t
report_text_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static const char *
report_text_plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* bulk's rate is one of bytes. */
static bool
report_text_open_loop(const struct run *run)
{
	return run->pacing != PACE_CLOSED && run->mode != &mode_bulk;
}

/* A figure by its name: one place says what it is. */
static double
report_text_value(const struct outcome *o, const char *name)
{
	struct figure f;

	return stress_figure_find(&f, name, NULL) ? stress_figure_value(&f, o) : NAN;
}

static struct stress_text
report_text_shown(const struct outcome *o, const char *name)
{
	struct figure      f;
	struct stress_text t = { "" };

	if (stress_figure_find(&f, name, NULL))
		stress_figure_print(&f, stress_figure_value(&f, o), t.s);
	return t;
}

/* "echo, 127.0.0.1:7000: 50 connections, 1 process, 64 bytes, closed loop" */
static void
report_text_head(FILE *out, const struct run *run)
{
	fprintf(out, "%s, %s: %s connection%s", run->mode->name, run->target_name,
	    stress_text_count(run->connections).s, report_text_plural(run->connections, "", "s"));
	fprintf(out, ", %u process%s", run->workers, report_text_plural(run->workers, "", "es"));
	if (strchr(run->mode->takes, 's') == NULL)
		;	/* its requests are as they are */
	else if (run->size < 1000)
		fprintf(out, ", %s byte%s", stress_text_count((double)run->size).s,
		    report_text_plural(run->size, "", "s"));
	else
		fprintf(out, ", %s", stress_text_size((double)run->size).s);
	if (run->tls.on)
		fputs(", TLS", out);
	if (run->depth > 1)
		fprintf(out, ", %u in flight on each", run->depth);
	if (run->mode == &mode_bulk && run->pacing != PACE_CLOSED)
		fprintf(out, ", %s/s\n", stress_text_size(run->rate).s);
	else if (!run->mode->paced)
		fputc('\n', out);
	else if (run->pacing == PACE_CLOSED)
		fputs(", closed loop\n", out);
	else
		fprintf(out, ", open loop%s\n", run->pacing == PACE_POISSON ? ", at random" : "");
}

static void
report_text_requests(FILE *out, const struct run *run, const struct outcome *o)
{
	const char *const *counters = run->mode->counters;
	struct figure      f;
	size_t             width = 12;

	fprintf(out, "  answered     %s in %s", stress_text_count((double)o->answered).s,
	    stress_text_time((double)o->elapsed / 1e3).s);
	if (o->elapsed > 0)
		fprintf(out, ": %s/s", report_text_shown(o, "rate").s);
	if (o->rate > 0 && run->mode != &mode_bulk)
		fprintf(out, " of %s/s", stress_text_count(o->rate).s);
	if (o->failed > 0)
		fprintf(out, ", and %s with the failure text",
		    stress_text_count((double)o->failed).s);
	if (report_text_get(&o->sum->answered) > o->answered)
		fprintf(out, ", %s more after that",
		    stress_text_count((double)(report_text_get(&o->sum->answered) - o->answered))
			.s);
	fprintf(out, "\n  bytes        %s sent, %s received", report_text_shown(o, "bytes_out").s,
	    report_text_shown(o, "bytes_in").s);
	if (o->elapsed > 0)
		fprintf(out, ": %s/s both ways", report_text_shown(o, "throughput").s);
	fprintf(out, "\n  connections  %s made, %s open at most\n",
	    report_text_shown(o, "connected").s, report_text_shown(o, "peak").s);
	if (run->tls.on)
		fprintf(out, "  handshakes   %s of TLS, %s resumed%s%s\n",
		    report_text_shown(o, "handshakes").s, report_text_shown(o, "resumed").s,
		    o->sum->tls[0] != '\0' ? ": " : "", o->sum->tls);
	for (unsigned i = 0; counters != NULL && counters[i] != NULL; i++)
		width = strlen(counters[i]) > width ? strlen(counters[i]) : width;
	for (unsigned i = 0; counters != NULL && counters[i] != NULL; i++) {
		if (stress_figure_find(&f, counters[i], run->mode))
			fprintf(out, "  %-*s %s\n", (int)width, f.name,
			    stress_text_count(stress_figure_value(&f, o)).s);
	}
}

/* What one connection costs. With few of them it may not show. */
static struct stress_text
report_text_each_connection(int64_t grown, uint64_t connections)
{
	if (grown <= 0 || connections == 0)
		return (struct stress_text){ "-" };
	return stress_text_size((double)grown / (double)connections);
}

static void
report_text_resources(FILE *out, const struct run *run, const struct outcome *o)
{
	fputs("  weir-stress  ", out);
	if (o->answered > 0)
		fprintf(out, "%s of cpu a request; ", report_text_shown(o, "cpu").s);
	if (run->workers > 1)
		fprintf(out, "the busiest process used %.0f%% of a core\n", o->busiest * 100);
	else
		fprintf(out, "%.0f%% of a core\n", o->busiest * 100);
	if (!o->watched)
		return;
	fputs("  server       ", out);
	if (o->answered > 0)
		fprintf(out, "%s of cpu a request; ", report_text_shown(o, "server_cpu").s);
	if (o->elapsed > 0)
		fprintf(out, "%.0f%% of a core", (double)o->server_cpu * 1e5 / (double)o->elapsed);
	fprintf(out, "\n               %s of memory at most",
	    stress_text_size((double)o->server_memory).s);
	if (o->server_processes > 0)
		fprintf(out, " in %u process%s", o->server_processes,
		    report_text_plural(o->server_processes, "", "es"));
	if (o->open > 0 && o->server_grown > 0)
		fprintf(out, ", %s for each connection",
		    report_text_each_connection(o->server_grown, o->open).s);
	fputc('\n', out);
	if (o->server_gone)
		fprintf(out,
		    "               it has ended meanwhile: there is no process %d any more\n",
		    (int)run->watch);
}

static void
report_text_across(FILE *out, const struct run *run, const struct outcome *o)
{
	if (!o->acrossed)
		return;
	fprintf(out, "  across       %s run%s of %s, ", stress_text_count((double)o->across_runs).s,
	    report_text_plural(o->across_runs, "", "s"), run->across);
	if (o->across_runs == 0) {
		fputs("it did not end within the run: -d has to be longer\n", out);
	} else {
		fprintf(out, "%s at most, %s failed\n",
		    stress_text_time((double)o->across_time / 1e3).s,
		    stress_text_count((double)o->across_failed).s);
	}
	if (o->across_failed > 0)
		fprintf(out, "               the first that failed: %s\n", o->across_words);
	fprintf(out, "               meanwhile: %s fault%s, %s request%s lost; otherwise %s",
	    stress_text_count((double)o->across_faults).s,
	    report_text_plural(o->across_faults, "", "s"),
	    stress_text_count((double)o->across_lost).s,
	    report_text_plural(o->across_lost, "", "s"),
	    stress_text_count((double)o->across_other).s);
	if (o->across_max > 0)
		fprintf(out, "; the slowest request %s",
		    stress_text_time((double)o->across_max).s);
	fputc('\n', out);
}

static void
report_text_times_row(FILE *out, const char *label, const char *prefix, const struct outcome *o)
{
	static const char *const names[] = { "p50", "p90", "p99", "p99.9", "max", "mean" };

	fprintf(out, "  %-9s", label);
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		char name[FIGURE_NAME_MAX];

		snprintf(name, sizeof name, "%s%s", prefix, names[i]);
		fprintf(out, " %8s", report_text_shown(o, name).s);
	}
	fputc('\n', out);
}

static void
report_text_times(FILE *out, const struct run *run, const struct outcome *o)
{
	bool latencies = report_text_get(&o->sum->latency.total) > 0,
	     connects = report_text_get(&o->sum->connect.total) > 0;

	if (!latencies && !connects)
		return;
	fprintf(out, "\n  %-9s %8s %8s %8s %8s %8s %8s\n", "", "p50", "p90", "p99", "p99.9", "max",
	    "mean");
	if (latencies)
		report_text_times_row(out, "latency", "", o);
	if (latencies && report_text_open_loop(run))
		report_text_times_row(out, "raw", "raw.", o);
	if (connects)
		report_text_times_row(out, "connect", "connect.", o);
	if (report_text_get(&o->sum->handshake.total) > 0)
		report_text_times_row(out, "handshake", "handshake.", o);
	if (latencies && report_text_open_loop(run))
		fputs("  latency counts from when a request was due, raw from when it was sent\n",
		    out);
}

static void
report_text_stations(FILE *out, const struct outcome *o)
{
	if (o->station_count == 0)
		return;
	fprintf(out, "\n  %10s %10s %8s %8s %8s %8s %8s", "open", "answered/s", "p50", "p99", "max",
	    "errors", "own cpu");
	fprintf(out, o->watched ? " %8s %12s\n" : "\n", "its cpu", "memory each");
	for (unsigned i = 0; i < o->station_count; i++) {
		const struct station *s = &o->stations[i];
		double                seconds = (double)s->elapsed / 1e9;

		if (seconds <= 0)
			seconds = 1;
		fprintf(out, "  %10s %10s %8s %8s %8s %8s %7.0f%%",
		    stress_text_count((double)s->open).s,
		    stress_text_count((double)s->answered / seconds).s,
		    stress_text_time((double)s->p50).s, stress_text_time((double)s->p99).s,
		    stress_text_time((double)s->max).s, stress_text_count((double)s->errors).s,
		    (double)s->cpu / seconds / 1e4);
		if (o->watched)
			fprintf(out, " %7.0f%% %12s", (double)s->server_cpu / seconds / 1e4,
			    report_text_each_connection(s->server_grown, s->open).s);
		fputc('\n', out);
	}
}

/* What can be said of this run. */
static void
report_text_advise(FILE *out, const struct run *run, enum fault fault)
{
	if (fault == FAULT_CONNECT_PORTS && run->source_count > 1)
		fprintf(out,
		    "more of --source than these %u, or a wider "
		    "net.ipv4.ip_local_port_range (see --plan)",
		    run->source_count);
	else if (fault == FAULT_CONNECT_PORTS)
		fputs("--source 127.0.1.1-127.0.1.8 or the like has more, or widen "
		      "net.ipv4.ip_local_port_range (see --plan)",
		    out);
	else if (fault == FAULT_NO_DESCRIPTORS)
		fprintf(out, "more processes than -w %u, or ulimit -n (see --plan)", run->workers);
	else if (advice[fault] != NULL)
		fputs(advice[fault], out);
}

static void
report_text_errnos(FILE *out, const struct outcome *o)
{
	const char *separator = "  by errno   ";

	for (unsigned e = 0; e < TALLY_ERRNOS; e++) {
		uint64_t    n = report_text_get(&o->sum->errnos[e]);
		const char *name = strerrorname_np((int)e);

		if (n == 0)
			continue;
		fprintf(out, "%s%s %s (%s)", separator, name != NULL ? name : "?",
		    stress_text_count((double)n).s, strerror((int)e));
		separator = ", ";
	}
	if (separator[0] == ',')
		fputc('\n', out);
}

/* Why TLS has failed. */
static void
report_text_reasons(FILE *out, const struct outcome *o)
{
	const char *label = "why TLS failed";

	for (unsigned i = 0; i < TALLY_REASONS; i++) {
		uint64_t n = report_text_get(&o->sum->reasons[i].count);

		if (n == 0)
			continue;
		fprintf(out, "  %-14s %s: %s\n", label, stress_text_count((double)n).s,
		    o->sum->reasons[i].text);
		label = "";
	}
}

void
stress_report_faults(FILE *out, const struct run *run, const struct outcome *o)
{
	bool any = false;
	char wrong[4 * sizeof o->sum->wrong];

	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		double n = report_text_value(o, fault_words[i]);

		if (n == 0)
			continue;
		if (!any)
			fputc('\n', out);
		any = true;
		fprintf(out, "  %10s %-16s %s\n%30s", stress_text_count(n).s, fault_words[i],
		    fault_texts[i], "");
		report_text_advise(out, run, i);
		fputc('\n', out);
	}
	if (report_text_value(o, "lost") > 0)
		fprintf(out, "  %10s %-16s requests in flight on connections that ended\n",
		    report_text_shown(o, "lost").s, "lost");
	if (any)
		report_text_errnos(out, o);
	report_text_reasons(out, o);
	if (o->sum->wrong[0] != '\0')
		fprintf(out, "\n  The first wrong reply: %s\n",
		    str_printable(span_of(o->sum->wrong), wrong, sizeof wrong));
}

/* "  Not reached: 10,000 connections, 9,212 were open at most" */
static void
report_text_missed(FILE *out, bool *any, double wanted, const char *what, double got,
    const char *were)
{
	fprintf(out, "%s  Not reached: %s %s, %s %s\n", *any ? "" : "\n",
	    stress_text_count(wanted).s, what, stress_text_count(got).s, were);
	*any = true;
}

/* There was no connection left, and none to be had. */
static bool
report_text_ended_early(const struct run *run, const struct outcome *o)
{
	return run->duration > 0 && run->mode->paced && !run->mode->once && !o->interrupted &&
	    (run->requests == 0 ||
		(double)report_text_get(&o->sum->answered) + report_text_value(o, "failed") <
		    (double)run->requests) &&
	    (double)o->elapsed < 0.98e6 * (double)run->duration;
}

/* Returns whether all was. */
static bool
report_text_not_reached(FILE *out, const struct run *run, const struct outcome *o)
{
	/* The failure text is an answer. */
	double failed = report_text_value(o, "failed"),
	       answered = (double)report_text_get(&o->sum->answered) + failed;
	bool   any = false;

	/* What is asked once is closed at once; what is done once on each has its own end. */
	if (o->peak < run->connections && !run->mode->fresh && !run->mode->once)
		report_text_missed(out, &any, run->connections, "connections", (double)o->peak,
		    "were open at most");
	if ((double)run->requests > answered && run->mode->paced)
		report_text_missed(out, &any, (double)run->requests, "requests", answered,
		    "were answered");
	if (report_text_open_loop(run) && o->elapsed > 0 && !stress_outcome_reached(o, run))
		report_text_missed(out, &any, o->rate, "requests a second",
		    (double)(o->answered + o->failed) * 1e9 / (double)o->elapsed,
		    "were answered");
	if (report_text_open_loop(run) && report_text_value(o, "unsent") > 0) {
		fprintf(out,
		    "%s  Not sent: %s requests that were due; they are in latency with the "
		    "time they waited\n",
		    any ? "" : "\n", report_text_shown(o, "unsent").s);
		any = true;
	}
	if (report_text_ended_early(run, o)) {
		fprintf(out, "%s  Not reached: %s of measuring, nothing could go on after %s\n",
		    any ? "" : "\n", stress_text_time((double)run->duration * 1e3).s,
		    stress_text_time((double)o->elapsed / 1e3).s);
		any = true;
	}
	if (o->interrupted)
		fprintf(out, "%s  Interrupted: this is what was measured so far\n",
		    any ? "" : "\n");
	return !any && !o->interrupted;
}

static void
report_text_remarks(FILE *out, const struct run *run, const struct outcome *o)
{
	if (o->busiest >= OUTCOME_BUSY)
		fprintf(out,
		    "\n  weir-stress itself was busy (%.0f%% of a core): these figures may be "
		    "its own, not the server's.\n  Use more processes (-w), or leave it "
		    "processors that the server does not use.\n",
		    o->busiest * 100);
	/* A blip is none: it takes what comes due in a twentieth of a second. */
	if (report_text_open_loop(run) && (double)o->late > o->rate / 20)
		fprintf(out,
		    "\n  Up to %s requests were due while no connection had room (their wait is "
		    "in latency):\n  the server is behind, or more connections (-c) or a "
		    "greater depth (-p) are needed.\n",
		    stress_text_count((double)o->late).s);
}

void
stress_report_verdict(FILE *out, const struct run *run, const struct outcome *o,
    const struct expect *conditions, bool reached)
{
	uint64_t errors = stress_tally_errors(o->sum), lost = report_text_get(&o->sum->lost);

	if (o->broken || o->unwritten) {
		fputs(o->broken ? "\n  NOT GOOD: a process of weir-stress has ended before its "
				  "time, and what it had in flight is not counted.\n"
				: "\n  NOT GOOD: not all that was to be written could be.\n",
		    out);
		return;
	}
	if (conditions != NULL) {
		stress_expect_print(out, conditions, o, false);
		fputs(o->met ? "\n  Good: all conditions hold.\n"
			     : "\n  NOT GOOD: not all conditions hold.\n",
		    out);
		return;
	}
	if (!o->met) {
		fprintf(out, "\n  NOT GOOD: %s error%s, %s request%s lost",
		    stress_text_count((double)errors).s, report_text_plural(errors, "", "s"),
		    stress_text_count((double)lost).s, report_text_plural(lost, "", "s"));
		if (o->acrossed && o->across_failed > 0)
			fprintf(out, ", %s failed of %s run%s of the command",
			    stress_text_count((double)o->across_failed).s,
			    stress_text_count((double)o->across_runs).s,
			    report_text_plural(o->across_runs, "", "s"));
		fputs(".\n", out);
		return;
	}
	if (o->answered == 0 && o->failed == 0 && run->mode->request != NULL)
		fputs("\n  No errors, but no request was answered either: nothing was measured.\n",
		    out);
	else if (o->interrupted)
		fputs("\n  No errors, and no request was lost until it was interrupted.\n", out);
	else if (!reached)
		fputs("\n  No errors and no request lost, but see what was not reached.\n", out);
	else
		fputs("\n  Good: no errors, and no request was lost.\n", out);
}
