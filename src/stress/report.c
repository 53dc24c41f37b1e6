/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what the workers have counted, looked at each second and at the turns of
 * the run, and the live line. report_text.c and report_json.c tell it at the end.
 */
#include "stress/report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/run.h"
#include "stress/tally.h"
#include "stress/text.h"
#include "stress/watch.h"

#define LINE_MAX_LENGTH 512

/* At one moment, over all workers. */
struct look {
	uint64_t at;				/* ns */
	uint64_t answered;
	uint64_t failed;			/* answered with the failure text */
	uint64_t connected;
	uint64_t errors;
	uint64_t bytes;				/* both ways */
	uint64_t cpu;				/* µs */
	uint64_t worker_cpu[RUN_WORKERS_MAX];
};

struct report {
	const struct run    *run;
	const struct shared *shared;
	bool                 live;
	bool                 shown;		/* a live line is on the screen */
	enum phase           phase;
	uint64_t             phase_began;	/* ns */
	uint64_t             created;
	struct look          second;		/* when last looked each second */
	struct look          begin;		/* of the measuring */
	struct look          end;
	uint64_t             open;		/* when the measuring ended */
	struct tally        *before;		/* --slo: when this try began */
	struct hist         *latency;		/* of the second that is over; live only */
	struct hist         *latency_before;
	struct look          held;		/* when the station began */
	struct hist         *held_latency;
	uint64_t             held_server_cpu;
	unsigned             station_count;
	struct station       stations[RUN_STEPS_MAX];
};

/* A line that is built up, and cut where it does not fit. */
struct report_line {
	char   text[LINE_MAX_LENGTH];
	size_t length;
};

static void stress_report_look(const struct report *, struct look *, uint64_t now_ns);
static uint64_t stress_report_sum(const struct report *, size_t offset);
static double stress_report_busiest(const struct report *, const struct look *from,
    const struct look *to);
static void stress_report_live(struct report *, const struct look *now);
static void stress_report_append(struct report_line *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void stress_report_show(struct report *, struct report_line *);

#define SUM(report, field) stress_report_sum(report, offsetof(struct tally, field))

struct report *
stress_report_create(const struct run *run, const struct shared *shared)
{
	struct report *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->run = run;
	r->shared = shared;
	r->live = !run->quiet && isatty(STDERR_FILENO);
	r->created = r->phase_began = clock_ns();
	r->phase = PHASE_RAMP;
	r->latency = calloc(1, sizeof *r->latency);
	r->latency_before = calloc(1, sizeof *r->latency_before);
	r->held_latency = calloc(1, sizeof *r->held_latency);
	if (r->latency == NULL || r->latency_before == NULL || r->held_latency == NULL) {
		stress_report_free(r);
		return NULL;
	}
	stress_report_look(r, &r->second, r->created);
	r->begin = r->end = r->second;
	return r;
}

void
stress_report_free(struct report *r)
{
	if (r == NULL)
		return;
	stress_report_clear(r);
	free(r->before);
	free(r->latency);
	free(r->latency_before);
	free(r->held_latency);
	free(r);
}

void
stress_report_second(struct report *r, uint64_t now_ns)
{
	struct look now;
	enum phase  phase = atomic_load_explicit(&r->shared->phase, memory_order_relaxed);

	if (phase != r->phase) {
		r->phase = phase;
		r->phase_began = now_ns;
	}
	stress_report_look(r, &now, now_ns);
	if (r->live)
		stress_report_live(r, &now);
	r->second = now;
}

void
stress_report_clear(struct report *r)
{
	if (r->shown)
		fputs("\r\033[K", stderr);
	r->shown = false;
}

int
stress_report_measuring(struct report *r, uint64_t now_ns)
{
	free(r->before);
	r->before = r->run->slo != NULL ? stress_tally_sum(r->shared, r->run->workers) : NULL;
	if (r->before == NULL && r->run->slo != NULL)
		return -1;
	stress_report_look(r, &r->begin, now_ns);
	r->begin.answered = 0;	/* the workers begin anew */
	r->end = r->second = r->begin;
	memset(r->latency_before, 0, sizeof *r->latency_before);
	r->phase = PHASE_MEASURE;
	r->phase_began = now_ns;
	return 0;
}

void
stress_report_measured(struct report *r, uint64_t now_ns)
{
	stress_report_look(r, &r->end, now_ns);
	r->open = SUM(r, open);
}

void
stress_report_whole(struct report *r)
{
	free(r->before);
	r->before = NULL;
}

void
stress_report_hold(struct report *r, struct stress_watch *watch, uint64_t now_ns)
{
	stress_report_look(r, &r->held, now_ns);
	stress_tally_latencies(r->shared, r->run->workers, r->held_latency);
	if (watch != NULL) {
		stress_watch_sample(watch);
		r->held_server_cpu = watch->cpu;
	}
}

void
stress_report_held(struct report *r, struct stress_watch *watch, uint64_t now_ns)
{
	struct station *s = &r->stations[r->station_count];
	struct look     now;

	if (r->station_count == RUN_STEPS_MAX)
		return;
	stress_report_look(r, &now, now_ns);
	stress_tally_latencies(r->shared, r->run->workers, r->latency);
	stress_hist_since(r->latency, r->latency, r->held_latency);
	*s = (struct station){
		.open = SUM(r, open),
		.answered = now.answered - (now.answered < r->held.answered ? 0 : r->held.answered),
		.errors = now.errors - r->held.errors,
		.elapsed = now.at - r->held.at,
		.p50 = stress_hist_percentile(r->latency, 50),
		.p99 = stress_hist_percentile(r->latency, 99),
		.max = atomic_load(&r->latency->max),
		.cpu = now.cpu - r->held.cpu,
	};
	if (watch != NULL && watch->root != 0) {
		stress_watch_sample(watch);
		s->server_cpu = watch->cpu - r->held_server_cpu;
		s->server_grown = stress_watch_grown(watch);
	}
	r->station_count++;
}

int
stress_report_outcome(struct report *r, struct outcome *o)
{
	o->sum = stress_tally_sum(r->shared, r->run->workers);
	if (o->sum == NULL)
		return -1;
	if (r->before != NULL)
		stress_tally_since(o->sum, r->before);
	o->elapsed = r->end.at - r->begin.at;
	o->peak = atomic_load(&o->sum->peak);
	o->open = r->open;
	o->answered = r->end.answered;
	o->failed = r->end.failed - r->begin.failed;
	o->late = atomic_load(&o->sum->late);
	o->bytes = r->end.bytes - r->begin.bytes;
	o->cpu = r->end.cpu - r->begin.cpu;
	if (r->run->pacing != PACE_CLOSED)
		o->rate = atomic_load(&r->shared->rate);
	o->busiest = stress_report_busiest(r, &r->begin, &r->end);
	o->station_count = r->station_count;
	memcpy(o->stations, r->stations, sizeof o->stations);
	return 0;
}

int
stress_report_so_far(struct report *r, struct outcome *o)
{
	if (atomic_load(&r->shared->phase) <= PHASE_MEASURE)
		stress_report_measured(r, clock_ns());
	return stress_report_outcome(r, o);
}

void
stress_outcome_clear(struct outcome *o)
{
	free(o->sum);
	o->sum = NULL;
}

bool
stress_outcome_reached(const struct outcome *o, const struct run *run)
{
	double due = o->rate * (double)o->elapsed / 1e9, slack;

	/* The last one may be on its way; at random there may be more or fewer due than the
	 * rate says. */
	slack = run->pacing == PACE_POISSON ? 3 * sqrt(due) : 1;
	return (double)(o->answered + o->failed) >= OUTCOME_REACHED * due - slack;
}

static void
stress_report_look(const struct report *r, struct look *l, uint64_t now_ns)
{
	*l = (struct look){
		.at = now_ns,
		.answered = SUM(r, answered),
		.failed = SUM(r, faults[FAULT_FAILED]),
		.connected = SUM(r, connected),
		.bytes = SUM(r, bytes_in) + SUM(r, bytes_out),
	};
	for (unsigned w = 0; w < r->run->workers; w++) {
		l->errors += stress_tally_errors(&r->shared->of[w]);
		l->worker_cpu[w] = stress_tally_cpu(&r->shared->of[w]);
		l->cpu += l->worker_cpu[w];
	}
}

static uint64_t
stress_report_sum(const struct report *r, size_t offset)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < r->run->workers; w++) {
		const char *tally = (const char *)&r->shared->of[w];

		n += atomic_load_explicit((const _Atomic uint64_t *)(tally + offset),
		    memory_order_relaxed);
	}
	return n;
}

/* The share of a core that the busiest worker used between the two. */
static double
stress_report_busiest(const struct report *r, const struct look *from, const struct look *to)
{
	double most = 0, share, elapsed = (double)(to->at - from->at) / 1000;

	for (unsigned w = 0; w < r->run->workers; w++) {
		share = elapsed > 0 ? (double)(to->worker_cpu[w] - from->worker_cpu[w]) / elapsed
				    : 0;
		most = share > most ? share : most;
	}
	return most < 1 ? most : 1;	/* two clocks */
}

static const char *const phase_names[] = {
	[PHASE_RAMP] = "ramp",
	[PHASE_WARM] = "warm-up",
	[PHASE_MEASURE] = "measure",
	[PHASE_DRAIN] = "drain",
	[PHASE_STOP] = "stop",
	[PHASE_END] = "end",
};

/* "12s of 30s" */
static void
stress_report_add_progress(struct report *r, struct report_line *line, const struct look *now)
{
	const struct run *run = r->run;
	double            seconds = (double)(now->at - r->phase_began) / 1e9;
	uint64_t          whole = r->phase == PHASE_WARM ? run->warmup : run->duration;

	if (r->phase == PHASE_RAMP) {
		stress_report_append(line, "%s of %s open, %s opening",
		    stress_text_count((double)SUM(r, open)).s,
		    stress_text_count(run->connections).s,
		    stress_text_count((double)SUM(r, opening)).s);
		return;
	}
	if (r->phase == PHASE_MEASURE && run->requests > 0)
		stress_report_append(line, "%s of %s  ", stress_text_count((double)now->answered).s,
		    stress_text_count((double)run->requests).s);
	if (whole > 0 && r->phase <= PHASE_MEASURE)
		stress_report_append(line, "%.0fs of %.0fs  ", seconds, (double)whole / 1000);
	else
		stress_report_append(line, "%.0fs  ", seconds);
	stress_report_append(line, "%s open", stress_text_count((double)SUM(r, open)).s);
	if (SUM(r, opening) > 0)
		stress_report_append(line, ", %s opening",
		    stress_text_count((double)SUM(r, opening)).s);
}

/* Those that have no fault of their own. */
static void
stress_report_add_errnos(struct report *r, struct report_line *line)
{
	for (unsigned e = 0; e < TALLY_ERRNOS; e++) {
		uint64_t n = stress_report_sum(r,
		    offsetof(struct tally, errnos) + e * sizeof(uint64_t));

		if (n > 0 && e != ECONNREFUSED && e != ETIMEDOUT && e != EADDRNOTAVAIL &&
		    e != ECONNRESET && e != EPIPE && strerrorname_np((int)e) != NULL)
			stress_report_append(line, " %s", strerrorname_np((int)e));
	}
}

/* "  3 errors: connect_failed 2 EHOSTUNREACH, reset 1" */
static void
stress_report_add_errors(struct report *r, struct report_line *line, const struct look *now)
{
	const char *separator = ": ";

	if (now->errors == 0)
		return;
	stress_report_append(line, "  %s error%s", stress_text_count((double)now->errors).s,
	    now->errors == 1 ? "" : "s");
	for (unsigned f = 0; f < FAULT_COUNT; f++) {
		uint64_t n = stress_report_sum(r,
		    offsetof(struct tally, faults) + f * sizeof(uint64_t));

		if (n == 0 || f == FAULT_FAILED)
			continue;
		stress_report_append(line, "%s%s %s", separator, fault_words[f],
		    stress_text_count((double)n).s);
		separator = ", ";
		if (f == FAULT_CONNECT_FAILED)
			stress_report_add_errnos(r, line);
	}
}

static void
stress_report_live(struct report *r, const struct look *now)
{
	struct report_line line = { "", 0 };
	double             elapsed = (double)(now->at - r->second.at) / 1e9, busy;
	uint64_t           connected = now->connected - r->second.connected;
	uint64_t           answered = now->answered;

	if (elapsed < 0.1)	/* the measuring has just begun */
		return;
	stress_tally_latencies(r->shared, r->run->workers, r->latency);
	stress_hist_since(r->latency, r->latency, r->latency_before);
	stress_tally_latencies(r->shared, r->run->workers, r->latency_before);
	answered -= answered < r->second.answered ? 0 : r->second.answered;
	stress_report_append(&line, "%-8s ", phase_names[r->phase]);
	stress_report_add_progress(r, &line, now);
	if (r->phase == PHASE_RAMP)
		stress_report_append(&line, ", %s/s",
		    stress_text_count((double)connected / elapsed).s);
	if (r->run->mode == &mode_bulk)
		stress_report_append(&line, "  %s/s",
		    stress_text_size((double)(now->bytes - r->second.bytes) / elapsed).s);
	else if (answered > 0 || r->phase == PHASE_MEASURE)
		stress_report_append(&line, "  %s/s",
		    stress_text_count((double)answered / elapsed).s);
	if (r->phase == PHASE_MEASURE && r->run->pacing != PACE_CLOSED &&
	    r->run->mode != &mode_bulk)
		stress_report_append(&line, " of %s/s",
		    stress_text_count(atomic_load(&r->shared->rate)).s);
	if (atomic_load(&r->latency->total) > 0)
		stress_report_append(&line, "  p99 %s",
		    stress_text_time((double)stress_hist_percentile(r->latency, 99)).s);
	stress_report_add_errors(r, &line, now);
	busy = stress_report_busiest(r, &r->second, now);
	stress_report_append(&line, "  own cpu %.0f%%",
	    (double)(now->cpu - r->second.cpu) / elapsed / 1e4);
	if (SUM(r, unsent) > 0)
		stress_report_append(&line, "  %s late",
		    stress_text_count((double)SUM(r, unsent)).s);
	if (busy >= OUTCOME_BUSY)
		stress_report_append(&line, "  THE TESTER IS BUSY");
	stress_report_show(r, &line);
}

static void
stress_report_append(struct report_line *line, const char *format, ...)
{
	size_t  room = sizeof line->text - line->length;
	va_list args;
	int     n;

	va_start(args, format);
	n = vsnprintf(line->text + line->length, room, format, args);
	va_end(args);
	if (n > 0)
		line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void
stress_report_show(struct report *r, struct report_line *line)
{
	struct winsize size = { .ws_col = 80 };
	size_t         columns;

	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	columns = size.ws_col > 1 ? size.ws_col - 1u : 79;
	if (line->length > columns)
		line->text[columns] = '\0';
	fprintf(stderr, "\r%s\033[K", line->text);
	fflush(stderr);
	r->shown = true;
}
