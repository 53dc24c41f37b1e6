/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_report_json: what programs read. Figures have the names of --expect; all times
 * are in microseconds, all sizes in bytes.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "stress/figure.h"
#include "stress/hist.h"
#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/slo.h"
#include "stress/tally.h"

/* Of the file that is being written. */
static char target[PATH_MAX], beside[PATH_MAX + 16];

static json_t *report_json_begin(const struct run *);
static int report_json_write(const struct run *, json_t *);
static json_t *report_json_options(const struct run *);
static json_t *report_json_figures(const struct run *, const struct outcome *);
static json_t *report_json_errnos(const struct tally *);
static json_t *report_json_reasons(const struct tally *);
static json_t *report_json_stations(const struct outcome *);
static json_t *report_json_number(double);
static json_t *report_json_text(const char *);
static void report_json_cannot_write(const char *option, const char *path, int error);
static FILE *report_json_open(const char *path, const char *option);
static int report_json_close(FILE *, const char *path, const char *option);

int
stress_report_try_files(const struct run *run)
{
	const char *const paths[] = { run->json, run->hgrm };
	const char *const names[] = { "--json", "--hgrm" };
	struct stat       of[2] = { { 0 } };
	int               status = 0;

	for (unsigned i = 0; i < 2; i++) {
		FILE *out;

		if (paths[i] == NULL || strcmp(paths[i], "-") == 0)
			continue;
		out = fopen(paths[i], "ae");
		if (out != NULL) {
			(void)fstat(fileno(out), &of[i]);
			fclose(out);
			continue;
		}
		report_json_cannot_write(names[i], paths[i], errno);
		status = -1;
	}
	if (S_ISREG(of[0].st_mode) && of[0].st_dev == of[1].st_dev &&
	    of[0].st_ino == of[1].st_ino) {
		fprintf(stderr, "weir-stress: --json and --hgrm: %s and %s are one file\n",
		    run->json, run->hgrm);
		status = -1;
	}
	return status;
}

int
stress_report_json(const struct run *run, const struct outcome *o, bool over)
{
	json_t *all;

	if (run->json == NULL)
		return 0;
	all = report_json_begin(run);
	json_object_set_new(all, "over", json_boolean(over));
	json_object_set_new(all, "met", over ? json_boolean(o->met) : json_null());
	json_object_set_new(all, "interrupted", json_boolean(o->interrupted));
	json_object_set_new(all, "figures", report_json_figures(run, o));
	json_object_set_new(all, "errnos", report_json_errnos(o->sum));
	json_object_set_new(all, "stations", report_json_stations(o));
	json_object_set_new(all, "wrong", report_json_text(o->sum->wrong));
	json_object_set_new(all, "tls", report_json_text(o->sum->tls));
	json_object_set_new(all, "tls_reasons", report_json_reasons(o->sum));
	json_object_set_new(all, "across_words", report_json_text(o->across_words));
	return report_json_write(run, all);
}

int
stress_report_slo_json(const struct run *run, const struct slo *slo)
{
	static const char *const ends[] = {
		[SLO_GOES_ON] = "goes on",
		[SLO_FOUND] = "found",
		[SLO_NOTHING] = "nothing holds",
		[SLO_INTERRUPTED] = "interrupted",
		[SLO_LOST] = "lost",
		[SLO_BROKEN] = "broken",
	};
	json_t                  *all, *slos, *tries;

	if (run->json == NULL)
		return 0;
	all = report_json_begin(run);
	slos = json_object();
	tries = json_array();
	json_object_set_new(all, "met", json_boolean(slo->end == SLO_FOUND));
	json_object_set_new(all, "interrupted", json_boolean(slo->end == SLO_INTERRUPTED));
	if (slo->best.sum != NULL) {
		json_object_set_new(all, "figures", report_json_figures(run, &slo->best));
		json_object_set_new(all, "errnos", report_json_errnos(slo->best.sum));
	}
	json_object_set_new(all, "slo", slos);
	json_object_set_new(slos, "conditions", report_json_text(run->slo));
	json_object_set_new(slos, "end", json_string(ends[slo->end]));
	json_object_set_new(slos, "holds", report_json_number(slo->good > 0 ? slo->good : NAN));
	json_object_set_new(slos, "fails", report_json_number(slo->bad > 0 ? slo->bad : NAN));
	json_object_set_new(slos, "tester_busy", json_boolean(slo->tester));
	json_object_set_new(slos, "tries", tries);
	for (unsigned i = 0; i < slo->tries; i++) {
		const struct slo_try *t = &slo->of[i];
		json_t               *one = json_object(), *values = json_object();

		json_object_set_new(one, "rate", report_json_number(t->rate));
		json_object_set_new(one, "answered", report_json_number(t->answered));
		json_object_set_new(one, "holds", json_boolean(t->held));
		json_object_set_new(one, "busiest", report_json_number(t->busiest));
		for (unsigned k = 0; k < slo->expect.count; k++)
			json_object_set_new(values, slo->expect.of[k].figure.name,
			    report_json_number(t->values[k]));
		json_object_set_new(one, "figures", values);
		json_array_append_new(tries, one);
	}
	return report_json_write(run, all);
}

int
stress_report_hgrm(const struct run *run, const struct outcome *o)
{
	FILE *out;

	if (run->hgrm == NULL)
		return 0;
	out = report_json_open(run->hgrm, "--hgrm");
	if (out == NULL)
		return -1;
	stress_hist_print(&o->sum->latency, out);
	return report_json_close(out, run->hgrm, "--hgrm");
}

static json_t *
report_json_begin(const struct run *run)
{
	json_t *all = json_object();

	json_object_set_new(all, "weir_stress", json_string(VERSION));
	json_object_set_new(all, "options", report_json_options(run));
	return all;
}

/* Takes what is to be written. */
static int
report_json_write(const struct run *run, json_t *all)
{
	FILE *out = report_json_open(run->json, "--json");
	int   failed;

	if (out == NULL) {
		json_decref(all);
		return -1;
	}
	failed = json_dumpf(all, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	json_decref(all);
	if (failed == 0)
		fputc('\n', out);
	else if (!ferror(out))
		fputs("weir-stress: --json: no memory\n", stderr);
	return report_json_close(out, run->json, "--json") == 0 && failed == 0 ? 0 : -1;
}

static json_t *
report_json_options(const struct run *run)
{
	static const char *const pacings[] = {
		[PACE_CLOSED] = "closed",
		[PACE_FIXED] = "fixed",
		[PACE_POISSON] = "poisson",
	};
	json_t                  *all = json_object();

	json_object_set_new(all, "mode", json_string(run->mode->name));
	json_object_set_new(all, "target", report_json_text(run->target_name));
	json_object_set_new(all, "connections", json_integer(run->connections));
	json_object_set_new(all, "workers", json_integer(run->workers));
	json_object_set_new(all, "size", json_integer((json_int_t)run->size));
	json_object_set_new(all, "depth", json_integer(run->depth));
	json_object_set_new(all, "tls", json_boolean(run->tls.on));
	json_object_set_new(all, "tls_resume", json_boolean(run->tls.resume));
	json_object_set_new(all, "pacing", json_string(pacings[run->pacing]));
	json_object_set_new(all, "rate", report_json_number(run->rate));
	json_object_set_new(all, "ramp", report_json_number(run->ramp));
	json_object_set_new(all, "requests", json_integer((json_int_t)run->requests));
	json_object_set_new(all, "duration", report_json_number((double)run->duration * 1e3));
	json_object_set_new(all, "warmup", report_json_number((double)run->warmup * 1e3));
	json_object_set_new(all, "interval", report_json_number((double)run->interval * 1e3));
	json_object_set_new(all, "timeout", report_json_number((double)run->timeout * 1e3));
	json_object_set_new(all, "sources", json_integer(run->source_count));
	json_object_set_new(all, "seed", json_integer((json_int_t)run->seed));
	return all;
}

static json_t *
report_json_figures(const struct run *run, const struct outcome *o)
{
	json_t       *all = json_object();
	struct figure f;

	for (unsigned i = 0; stress_figure_at(&f, i, run->mode); i++)
		json_object_set_new(all, f.name, report_json_number(stress_figure_value(&f, o)));
	return all;
}

static json_t *
report_json_errnos(const struct tally *t)
{
	json_t *all = json_object();

	for (unsigned e = 0; e < TALLY_ERRNOS; e++) {
		uint64_t n = atomic_load_explicit(&t->errnos[e], memory_order_relaxed);

		if (n > 0 && strerrorname_np((int)e) != NULL)
			json_object_set_new(all, strerrorname_np((int)e),
			    json_integer((json_int_t)n));
	}
	return all;
}

/* Why TLS has failed, and how often for each. */
static json_t *
report_json_reasons(const struct tally *t)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < TALLY_REASONS; i++) {
		uint64_t n = atomic_load_explicit(&t->reasons[i].count, memory_order_relaxed);

		if (n > 0)
			json_object_set_new(all, t->reasons[i].text, json_integer((json_int_t)n));
	}
	return all;
}

static json_t *
report_json_stations(const struct outcome *o)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < o->station_count; i++) {
		const struct station *s = &o->stations[i];
		json_t               *one = json_object();

		json_object_set_new(one, "open", report_json_number((double)s->open));
		json_object_set_new(one, "answered", report_json_number((double)s->answered));
		json_object_set_new(one, "errors", report_json_number((double)s->errors));
		json_object_set_new(one, "duration", report_json_number((double)s->elapsed / 1e3));
		json_object_set_new(one, "p50", report_json_number((double)s->p50));
		json_object_set_new(one, "p99", report_json_number((double)s->p99));
		json_object_set_new(one, "max", report_json_number((double)s->max));
		json_object_set_new(one, "cpu", report_json_number((double)s->cpu));
		if (o->watched) {
			json_object_set_new(one, "server_cpu",
			    report_json_number((double)s->server_cpu));
			json_object_set_new(one, "server_grown",
			    report_json_number((double)s->server_grown));
		}
		json_array_append_new(all, one);
	}
	return all;
}

/* What does not exist is null; what is whole is written so. */
static json_t *
report_json_number(double n)
{
	if (isnan(n))
		return json_null();
	if (n == floor(n) && fabs(n) < 9e15)
		return json_integer((json_int_t)n);
	return json_real(n);
}

/* What a server sent, or a path, need not be UTF-8. */
static json_t *
report_json_text(const char *s)
{
	json_t *t;
	char    plain[1024];
	size_t  n = 0;

	if (s[0] == '\0')
		return json_null();
	t = json_string(s);
	if (t != NULL)
		return t;
	for (; *s != '\0' && n < sizeof plain - 1; s++)
		plain[n++] = (unsigned char)*s < 0x80 ? *s : '?';
	plain[n] = '\0';
	return json_string(plain);
}

static void
report_json_cannot_write(const char *option, const char *path, int error)
{
	fprintf(stderr, "weir-stress: %s: cannot write %s: %s\n", option, path, strerror(error));
}

/* Its bytes are written beside it, and take its place when they are all there. What is
 * no file of its own (a pipe, /dev/stdout) is written to. */
static FILE *
report_json_open(const char *path, const char *option)
{
	struct stat st;
	FILE       *out = NULL;

	beside[0] = '\0';
	if (strcmp(path, "-") == 0)
		return stdout;
	if (strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0 &&
	    realpath(path, target) != NULL && stat(target, &st) == 0 && S_ISREG(st.st_mode)) {
		snprintf(beside, sizeof beside, "%s.%d", target, (int)getpid());
		out = fopen(beside, "wxe");
	}
	if (out != NULL) {
		(void)fchmod(fileno(out), st.st_mode & 07777);
		return out;
	}
	beside[0] = '\0';	/* a directory in which nothing can be made */
	out = fopen(path, "we");
	if (out == NULL)
		report_json_cannot_write(option, path, errno);
	return out;
}

static int
report_json_close(FILE *out, const char *path, const char *option)
{
	bool failed = fflush(out) != 0 || ferror(out);
	int  error = errno;

	if (out != stdout && fclose(out) != 0 && !failed) {
		failed = true;
		error = errno;
	}
	if (!failed && beside[0] != '\0' && rename(beside, target) < 0) {
		failed = true;
		error = errno;
	}
	if (failed && beside[0] != '\0')
		unlink(beside);
	if (failed)
		report_json_cannot_write(option, path, error);
	return failed ? -1 : 0;
}
