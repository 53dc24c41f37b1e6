/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report_json: what programs read. Figures have the names of --expect; all times
 * are in microseconds, all sizes in bytes.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "stress/figure.h"
#include "stress/hist.h"
#include "stress/mode.h"
#include "stress/outcome.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/slo.h"
#include "stress/tally.h"

static json_t *beginning(const struct run *);
static int write_out(const struct run *, json_t *);
static json_t *options(const struct run *);
static json_t *figures(const struct run *, const struct outcome *);
static json_t *errnos(const struct tally *);
static json_t *stations(const struct outcome *);
static json_t *number(double);
static json_t *text(const char *);
static void cannot_write(const char *option, const char *path, int error);
static FILE *open_output(const char *path, const char *option);
static int close_output(FILE *, const char *path, const char *option);

int
report_try_files(const struct run *run)
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
		cannot_write(names[i], paths[i], errno);
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
report_json(const struct run *run, const struct outcome *o, bool over)
{
	json_t *all;

	if (run->json == NULL)
		return 0;
	all = beginning(run);
	json_object_set_new(all, "over", json_boolean(over));
	json_object_set_new(all, "met", over ? json_boolean(o->met) : json_null());
	json_object_set_new(all, "interrupted", json_boolean(o->interrupted));
	json_object_set_new(all, "figures", figures(run, o));
	json_object_set_new(all, "errnos", errnos(o->sum));
	json_object_set_new(all, "stations", stations(o));
	json_object_set_new(all, "wrong", text(o->sum->wrong));
	json_object_set_new(all, "across_words", text(o->across_words));
	return write_out(run, all);
}

int
report_slo_json(const struct run *run, const struct slo *slo)
{
	static const char *const ends[] = {
		[SLO_GOES_ON] = "goes on",
		[SLO_FOUND] = "found",
		[SLO_NOTHING] = "nothing holds",
		[SLO_INTERRUPTED] = "interrupted",
		[SLO_LOST] = "lost",
		[SLO_BROKEN] = "broken",
	};
	json_t *all, *slos, *tries;

	if (run->json == NULL)
		return 0;
	all = beginning(run);
	slos = json_object();
	tries = json_array();
	json_object_set_new(all, "met", json_boolean(slo->end == SLO_FOUND));
	json_object_set_new(all, "interrupted", json_boolean(slo->end == SLO_INTERRUPTED));
	if (slo->best.sum != NULL) {
		json_object_set_new(all, "figures", figures(run, &slo->best));
		json_object_set_new(all, "errnos", errnos(slo->best.sum));
	}
	json_object_set_new(all, "slo", slos);
	json_object_set_new(slos, "conditions", text(run->slo));
	json_object_set_new(slos, "end", json_string(ends[slo->end]));
	json_object_set_new(slos, "holds", number(slo->good > 0 ? slo->good : NAN));
	json_object_set_new(slos, "fails", number(slo->bad > 0 ? slo->bad : NAN));
	json_object_set_new(slos, "tester_busy", json_boolean(slo->tester));
	json_object_set_new(slos, "tries", tries);
	for (unsigned i = 0; i < slo->tries; i++) {
		const struct slo_try *t = &slo->of[i];
		json_t               *one = json_object(), *values = json_object();

		json_object_set_new(one, "rate", number(t->rate));
		json_object_set_new(one, "answered", number(t->answered));
		json_object_set_new(one, "holds", json_boolean(t->held));
		for (unsigned k = 0; k < slo->expect.count; k++)
			json_object_set_new(values, slo->expect.of[k].figure.name,
			    number(t->values[k]));
		json_object_set_new(one, "figures", values);
		json_array_append_new(tries, one);
	}
	return write_out(run, all);
}

int
report_hgrm(const struct run *run, const struct outcome *o)
{
	FILE *out;

	if (run->hgrm == NULL)
		return 0;
	out = open_output(run->hgrm, "--hgrm");
	if (out == NULL)
		return -1;
	hist_print(&o->sum->latency, out);
	return close_output(out, run->hgrm, "--hgrm");
}

static json_t *
beginning(const struct run *run)
{
	json_t *all = json_object();

	json_object_set_new(all, "weir_stress", json_string(VERSION));
	json_object_set_new(all, "options", options(run));
	return all;
}

/* Takes what is to be written. */
static int
write_out(const struct run *run, json_t *all)
{
	FILE *out = open_output(run->json, "--json");
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
	return close_output(out, run->json, "--json") == 0 && failed == 0 ? 0 : -1;
}

static json_t *
options(const struct run *run)
{
	static const char *const pacings[] = {
		[PACE_CLOSED] = "closed",
		[PACE_FIXED] = "fixed",
		[PACE_POISSON] = "poisson",
	};
	json_t *all = json_object();

	json_object_set_new(all, "mode", json_string(run->mode->name));
	json_object_set_new(all, "target", text(run->target_name));
	json_object_set_new(all, "connections", json_integer(run->connections));
	json_object_set_new(all, "workers", json_integer(run->workers));
	json_object_set_new(all, "size", json_integer((json_int_t)run->size));
	json_object_set_new(all, "depth", json_integer(run->depth));
	json_object_set_new(all, "pacing", json_string(pacings[run->pacing]));
	json_object_set_new(all, "rate", number(run->rate));
	json_object_set_new(all, "ramp", number(run->ramp));
	json_object_set_new(all, "requests", json_integer((json_int_t)run->requests));
	json_object_set_new(all, "duration", number((double)run->duration * 1e3));
	json_object_set_new(all, "warmup", number((double)run->warmup * 1e3));
	json_object_set_new(all, "interval", number((double)run->interval * 1e3));
	json_object_set_new(all, "timeout", number((double)run->timeout * 1e3));
	json_object_set_new(all, "sources", json_integer(run->source_count));
	json_object_set_new(all, "seed", json_integer((json_int_t)run->seed));
	return all;
}

static json_t *
figures(const struct run *run, const struct outcome *o)
{
	json_t       *all = json_object();
	struct figure f;

	for (unsigned i = 0; figure_at(&f, i, run->mode); i++)
		json_object_set_new(all, f.name, number(figure_value(&f, o)));
	return all;
}

static json_t *
errnos(const struct tally *t)
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

static json_t *
stations(const struct outcome *o)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < o->station_count; i++) {
		const struct station *s = &o->stations[i];
		json_t               *one = json_object();

		json_object_set_new(one, "open", number((double)s->open));
		json_object_set_new(one, "answered", number((double)s->answered));
		json_object_set_new(one, "errors", number((double)s->errors));
		json_object_set_new(one, "duration", number((double)s->elapsed / 1e3));
		json_object_set_new(one, "p50", number((double)s->p50));
		json_object_set_new(one, "p99", number((double)s->p99));
		json_object_set_new(one, "max", number((double)s->max));
		json_object_set_new(one, "cpu", number((double)s->cpu));
		if (o->watched) {
			json_object_set_new(one, "server_cpu", number((double)s->server_cpu));
			json_object_set_new(one, "server_grown", number((double)s->server_grown));
		}
		json_array_append_new(all, one);
	}
	return all;
}

/* What does not exist is null; what is whole is written so. */
static json_t *
number(double n)
{
	if (isnan(n))
		return json_null();
	if (n == floor(n) && fabs(n) < 9e15)
		return json_integer((json_int_t)n);
	return json_real(n);
}

/* What a server sent, or a path, need not be UTF-8. */
static json_t *
text(const char *s)
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
cannot_write(const char *option, const char *path, int error)
{
	fprintf(stderr, "weir-stress: %s: cannot write %s: %s\n", option, path, strerror(error));
}

static FILE *
open_output(const char *path, const char *option)
{
	FILE *out;

	if (strcmp(path, "-") == 0)
		return stdout;
	out = fopen(path, "we");
	if (out == NULL)
		cannot_write(option, path, errno);
	return out;
}

static int
close_output(FILE *out, const char *path, const char *option)
{
	bool failed = fflush(out) != 0 || ferror(out);
	int  error = errno;

	if (out != stdout && fclose(out) != 0 && !failed) {
		failed = true;
		error = errno;
	}
	if (failed)
		cannot_write(option, path, error);
	return failed ? -1 : 0;
}
