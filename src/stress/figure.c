/* SPDX-License-Identifier: BSD-2-Clause */
/* figure: everything that can be said of an outcome as a number, by name. */
#include "stress/figure.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/tally.h"
#include "stress/text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A word of the tally. */
#define WORD(field) (double)offsetof(struct tally, field)

static double figure_errors(const struct outcome *, double);
static double figure_fault(const struct outcome *, double);
static double figure_own(const struct outcome *, double);
static double figure_word(const struct outcome *, double at);
static double figure_rate(const struct outcome *, double);
static double figure_rate_asked(const struct outcome *, double);
static double figure_peak(const struct outcome *, double);
static double figure_duration(const struct outcome *, double);
static double figure_throughput(const struct outcome *, double);
static double figure_unsent(const struct outcome *, double);
static double figure_late(const struct outcome *, double);
static double figure_cpu(const struct outcome *, double);
static double figure_busiest(const struct outcome *, double);
static double figure_latency(const struct outcome *, double percent);
static double figure_raw(const struct outcome *, double percent);
static double figure_connect(const struct outcome *, double percent);
static double figure_handshake(const struct outcome *, double percent);
static double figure_server_cpu(const struct outcome *, double);
static double figure_server_memory(const struct outcome *, double);
static double figure_server_bytes(const struct outcome *, double);
static double figure_across(const struct outcome *, double which);

/* For the argument of a histogram; others are percentiles. */
#define MEAN (-1.0)

/* clang-format off */
#define PERCENTILES(prefix, needs, value)                \
	{ prefix "p50", UNIT_TIME, needs, value, 50 },   \
	{ prefix "p90", UNIT_TIME, needs, value, 90 },   \
	{ prefix "p99", UNIT_TIME, needs, value, 99 },   \
	{ prefix "p99.9", UNIT_TIME, needs, value, 99.9 }, \
	{ prefix "max", UNIT_TIME, needs, value, 100 },  \
	{ prefix "mean", UNIT_TIME, needs, value, MEAN }
/* clang-format on */

static const struct figure figures[] = {
	{ "errors", UNIT_COUNT, NULL, figure_errors, 0 },
#define X(name, word, text) { word, UNIT_COUNT, NULL, figure_fault, FAULT_##name },
	TALLY_FAULTS(X)
#undef X
	{ "lost", UNIT_COUNT, NULL, figure_word, WORD(lost) },
	{ "sent", UNIT_COUNT, NULL, figure_word, WORD(sent) },
	{ "answered", UNIT_COUNT, NULL, figure_word, WORD(answered) },
	{ "least", UNIT_COUNT, NULL, figure_word, WORD(least) },
	{ "unsent", UNIT_COUNT, NULL, figure_unsent, 0 },
	{ "late", UNIT_COUNT, NULL, figure_late, 0 },
	{ "rate", UNIT_RATE, NULL, figure_rate, 0 },
	{ "rate_asked", UNIT_RATE, "--rate", figure_rate_asked, 0 },
	{ "duration", UNIT_TIME, NULL, figure_duration, 0 },
	{ "connected", UNIT_COUNT, NULL, figure_word, WORD(connected) },
	{ "handshakes", UNIT_COUNT, "--tls", figure_word, WORD(handshakes) },
	{ "resumed", UNIT_COUNT, "--tls", figure_word, WORD(resumed) },
	{ "peak", UNIT_COUNT, NULL, figure_peak, 0 },
	{ "bytes_in", UNIT_SIZE, NULL, figure_word, WORD(bytes_in) },
	{ "bytes_out", UNIT_SIZE, NULL, figure_word, WORD(bytes_out) },
	{ "throughput", UNIT_SIZE, NULL, figure_throughput, 0 },
	PERCENTILES("", NULL, figure_latency),
	PERCENTILES("raw.", NULL, figure_raw),
	PERCENTILES("connect.", NULL, figure_connect),
	PERCENTILES("handshake.", "--tls", figure_handshake),
	{ "cpu", UNIT_TIME, NULL, figure_cpu, 0 },
	{ "busiest", UNIT_COUNT, NULL, figure_busiest, 0 },
	{ "server_cpu", UNIT_TIME, "--watch", figure_server_cpu, 0 },
	{ "server_memory", UNIT_SIZE, "--watch", figure_server_memory, 0 },
	{ "server_bytes", UNIT_SIZE, "--watch", figure_server_bytes, 0 },
	{ "across_runs", UNIT_COUNT, "--across", figure_across, 0 },
	{ "across_failed", UNIT_COUNT, "--across", figure_across, 1 },
	{ "across_faults", UNIT_COUNT, "--across", figure_across, 2 },
	{ "across_lost", UNIT_COUNT, "--across", figure_across, 3 },
	{ "across_max", UNIT_TIME, "--across", figure_across, 4 },
};

/* Any percentile: "p99.99", "raw.p75". */
static bool
figure_find_percentile(struct figure *f, const char *name)
{
	static const struct {
		const char *prefix;
		double    (*value)(const struct outcome *, double);
		const char *needs;
	} kinds[] = {
		{ "p", figure_latency, NULL },
		{ "raw.p", figure_raw, NULL },
		{ "connect.p", figure_connect, NULL },
		{ "handshake.p", figure_handshake, "--tls" },
	};

	for (size_t i = 0; i < COUNT(kinds); i++) {
		size_t      n = strlen(kinds[i].prefix);
		const char *digits = name + n;
		char       *end;
		double      percent;

		if (strncmp(name, kinds[i].prefix, n) != 0 || *digits < '0' || *digits > '9' ||
		    strspn(digits, "0123456789.") != strlen(digits))
			continue;
		percent = strtod(digits, &end);
		if (*end != '\0' || percent > 100)
			return false;
		*f = (struct figure){ "", UNIT_TIME, kinds[i].needs, kinds[i].value, percent };
		memcpy(f->name, name, strlen(name) + 1);
		return true;
	}
	return false;
}

bool
stress_figure_find(struct figure *f, const char *name, const struct mode *mode)
{
	if (strlen(name) >= FIGURE_NAME_MAX)
		return false;
	for (unsigned i = 0; stress_figure_at(f, i, mode); i++) {
		if (strcmp(f->name, name) == 0)
			return true;
	}
	return figure_find_percentile(f, name);
}

bool
stress_figure_at(struct figure *f, unsigned i, const struct mode *mode)
{
	if (i < COUNT(figures)) {
		*f = figures[i];
		return true;
	}
	if (mode == NULL || mode->counters == NULL)
		return false;
	i -= COUNT(figures);
	for (unsigned k = 0; k <= i; k++) {
		if (mode->counters[k] == NULL)
			return false;
	}
	*f = (struct figure){ "", UNIT_COUNT, NULL, figure_own, i };
	snprintf(f->name, sizeof f->name, "%s", mode->counters[i]);
	return true;
}

double
stress_figure_value(const struct figure *f, const struct outcome *o)
{
	return f->value(o, f->argument);
}

char *
stress_figure_print(const struct figure *f, double value, char out[FIGURE_TEXT_MAX])
{
	struct stress_text t;

	if (isnan(value))
		t = (struct stress_text){ "none" };
	else if (f->unit == UNIT_TIME)
		t = stress_text_time(value);
	else if (f->unit == UNIT_SIZE)
		t = stress_text_size(value);
	else
		t = stress_text_count(value);
	memcpy(out, t.s, sizeof t.s < FIGURE_TEXT_MAX ? sizeof t.s : FIGURE_TEXT_MAX);
	return out;
}

static double
figure_get(const _Atomic uint64_t *counter)
{
	return (double)atomic_load_explicit(counter, memory_order_relaxed);
}

static double
figure_errors(const struct outcome *o, double none)
{
	(void)none;
	return (double)stress_tally_errors(o->sum);
}

static double
figure_fault(const struct outcome *o, double which)
{
	return figure_get(&o->sum->faults[(unsigned)which]);
}

static double
figure_own(const struct outcome *o, double which)
{
	return figure_get(&o->sum->own[(unsigned)which]);
}

static double
figure_word(const struct outcome *o, double at)
{
	return figure_get((const _Atomic uint64_t *)((const char *)o->sum + (size_t)at));
}

static double
figure_rate(const struct outcome *o, double none)
{
	(void)none;
	return o->elapsed > 0 ? (double)o->answered * 1e9 / (double)o->elapsed : NAN;
}

/* Both ways, a second. */
static double
figure_throughput(const struct outcome *o, double none)
{
	(void)none;
	return o->elapsed > 0 ? (double)o->bytes * 1e9 / (double)o->elapsed : NAN;
}

static double
figure_rate_asked(const struct outcome *o, double none)
{
	(void)none;
	return o->rate > 0 ? o->rate : NAN;
}

static double
figure_peak(const struct outcome *o, double none)
{
	(void)none;
	return (double)o->peak;
}

static double
figure_duration(const struct outcome *o, double none)
{
	(void)none;
	return (double)o->elapsed / 1e3;
}

/* Open loop: what was due and has not been sent to the end. */
static double
figure_unsent(const struct outcome *o, double none)
{
	double n = figure_get(&o->sum->due) - figure_get(&o->sum->sent);

	(void)none;
	return n > 0 ? n : 0;
}

/* The most that waited to be sent at once. */
static double
figure_late(const struct outcome *o, double none)
{
	(void)none;
	return (double)o->late;
}

/* All per-request figures have what was answered until the measuring ended below. */
static double
figure_each_request(const struct outcome *o, uint64_t n)
{
	return o->answered > 0 ? (double)n / (double)o->answered : NAN;
}

static double
figure_cpu(const struct outcome *o, double none)
{
	(void)none;
	return figure_each_request(o, o->cpu);
}

static double
figure_busiest(const struct outcome *o, double none)
{
	(void)none;
	return o->busiest;
}

static double
figure_of_hist(const struct hist *h, double percent)
{
	double total = figure_get(&h->total);

	if (total == 0)
		return NAN;
	if (percent == MEAN)
		return figure_get(&h->sum) / total;
	return percent == 100 ? figure_get(&h->max) : (double)stress_hist_percentile(h, percent);
}

static double
figure_latency(const struct outcome *o, double percent)
{
	return figure_of_hist(&o->sum->latency, percent);
}

static double
figure_raw(const struct outcome *o, double percent)
{
	const struct hist *sent = &o->sum->raw;

	/* A closed loop sends when it is due: it is told once. */
	return figure_of_hist(atomic_load(&sent->total) > 0 ? sent : &o->sum->latency, percent);
}

static double
figure_connect(const struct outcome *o, double percent)
{
	return figure_of_hist(&o->sum->connect, percent);
}

static double
figure_handshake(const struct outcome *o, double percent)
{
	return figure_of_hist(&o->sum->handshake, percent);
}

static double
figure_server_cpu(const struct outcome *o, double none)
{
	(void)none;
	return o->watched ? figure_each_request(o, o->server_cpu) : NAN;
}

static double
figure_server_memory(const struct outcome *o, double none)
{
	(void)none;
	return o->watched ? (double)o->server_memory : NAN;
}

static double
figure_server_bytes(const struct outcome *o, double none)
{
	(void)none;
	return o->watched && !o->server_gone && o->open > 0
	    ? (double)o->server_grown / (double)o->open
	    : NAN;
}

static double
figure_across(const struct outcome *o, double which)
{
	const uint64_t values[] = { o->across_runs, o->across_failed, o->across_faults,
		o->across_lost, o->across_max };

	return o->acrossed ? (double)values[(unsigned)which] : NAN;
}
