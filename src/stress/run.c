/* SPDX-License-Identifier: BSD-2-Clause */
/* run: the command line, read and checked: all that is wrong is told at once. */
#include "stress/run.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/str.h"
#include "config.h"
#include "stress/mode.h"
#include "stress/options.h"
#include "stress/source.h"

#define CONNECTIONS_MAX 16000000u
#define DEPTH_MAX       65536u
#define SIZE_MAX_ASKED  (UINT64_C(1) << 40)
#define RATE_MAX        1e7
#define SLO_DURATION    5000u	/* ms of a try of --slo */
#define HOLD            10000u	/* ms of a station of -c */

/* While it is being read. */
struct run_reader {
	struct stress_options options;
	struct run           *run;
	unsigned              counts;	/* of -c */
	const char           *rate;
};

static void run_usage(FILE *);
static void run_read_connections(struct stress_options *, char *text);
static void run_read_help(struct stress_options *, char *text);
static void run_read_poisson(struct stress_options *, char *text);
static void run_read_rate(struct stress_options *, char *text);
static void run_read_sources(struct stress_options *, char *text);
static void run_read_version(struct stress_options *, char *text);
static void run_read_way(struct stress_options *, char *text);

#define AT(field) offsetof(struct run, field)
#define DAYS_100  8640000000.0

/* part: the letter of mode.takes; 0: all modes have it. */
/* clang-format off */
static const struct option_rule rules[] = {
	{ "connections", 'c', OPTION_READ, .value = "N[,N...]", .read = run_read_connections,
	  .help = "connections at the same time: 50" },
	{ "duration", 'd', OPTION_TIME, AT(duration), 1, DAYS_100, .value = "TIME",
	  .help = "measures for so long" },
	{ "hold", 0, OPTION_TIME, AT(hold), 1, DAYS_100, .value = "TIME",
	  .help = "how long each of several -c is held: 10s" },
	{ "interval", 'i', OPTION_TIME, AT(interval), 1, DAYS_100, .value = "TIME",
	  .help = "between pings: 30s", .part = 'i' },
	{ "requests", 'n', OPTION_NUMBER, AT(requests), 1, 1e15, .value = "N",
	  .help = "ends after so many", .part = 'n' },
	{ "each", 0, OPTION_NUMBER, AT(each), 1, 1e9, "N",
	  "ends after so many on each connection", .part = 'E' },
	{ "depth", 'p', OPTION_COUNT, AT(depth), 1, DEPTH_MAX, .value = "N",
	  .help = "requests in flight on a connection: 1", .part = 'p' },
	{ "poisson", 0, OPTION_READ, .read = run_read_poisson, .part = 'R',
	  .help = "with --rate: at random times" },
	{ "ramp", 'r', OPTION_DECIMAL, AT(ramp), 0.001, RATE_MAX, .value = "N",
	  .help = "opens N connections a second" },
	{ "rate", 0, OPTION_READ, .value = "N", .read = run_read_rate, .part = 'R',
	  .help = "open loop: N requests a second" },
	{ "size", 's', OPTION_SIZE, AT(size), 1, (double)SIZE_MAX_ASKED, .value = "SIZE",
	  .help = "bytes of a request: 64", .part = 's' },
	{ "source", 0, OPTION_READ, .value = "ADDR[-ADDR][,...]", .read = run_read_sources,
	  .again = true, .help = "local addresses to connect from" },
	{ "timeout", 't', OPTION_TIME, AT(timeout), 1, DAYS_100, .value = "TIME",
	  .help = "for a connect and for a reply: 10s" },
	{ "warmup", 0, OPTION_TIME, AT(warmup), 0, DAYS_100, .value = "TIME",
	  .help = "runs so long before it measures" },
	{ "way", 0, OPTION_READ, .value = "both|out|in", .read = run_read_way, .part = 'W',
	  .help = "bulk: who sends" },
	{ "inline", 0, OPTION_FLAG, AT(lines), .part = 'I', .help = "redis: requests are lines" },
	{ "failure", 0, OPTION_TEXT, AT(failure), .value = "TEXT", .part = 'F',
	  .help = "a reply that counts as failed" },
	{ "leave", 0, OPTION_DECIMAL, AT(leave), 0, 1, "P",
	  "how likely a client leaves behind a burst: 0.02", .part = 'L' },
	{ "seed", 0, OPTION_NUMBER, AT(seed), .value = "N", .help = "of all that is random: 1" },
	STRESS_TLS_RULES(AT(tls)),
	STRESS_TLS_CLIENT_RULES(AT(tls)),
	{ "workers", 'w', OPTION_COUNT, AT(workers), 1, RUN_WORKERS_MAX, .value = "N",
	  .help = "processes: 1" },
	{ "across", 0, OPTION_TEXT, AT(across), .value = "COMMAND",
	  .help = "runs it again and again during the load" },
	{ "every", 0, OPTION_TIME, AT(across_interval), 1, DAYS_100, .value = "TIME",
	  .help = "between two runs of --across: 1s" },
	{ "expect", 0, OPTION_TEXT, AT(expect), .value = "CONDITIONS",
	  .help = "exit status 1 unless they hold" },
	{ "hgrm", 0, OPTION_TEXT, AT(hgrm), .value = "FILE",
	  .help = "writes the distribution of latency" },
	{ "json", 0, OPTION_TEXT, AT(json), .value = "FILE", .help = "writes all figures" },
	{ "slo", 0, OPTION_TEXT, AT(slo), .value = "CONDITIONS", .part = 'R',
	  .help = "searches the highest rate at which they hold" },
	{ "watch", 0, OPTION_COUNT, AT(watch), 1, INT32_MAX, .value = "PID",
	  .help = "samples a server's memory and CPU" },
	{ "plan", 0, OPTION_FLAG, AT(plan_only), .help = "says what the run needs, and ends" },
	{ "force", 0, OPTION_FLAG, AT(force), .help = "runs although it cannot succeed" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), .help = "no live line" },
	{ "version", 0, OPTION_READ, .read = run_read_version, .help = "prints the version" },
	{ "help", 'h', OPTION_READ, .read = run_read_help, .help = "prints this" },
};
/* clang-format on */

#define RULES (sizeof rules / sizeof rules[0])

static void run_read_mode(struct run_reader *, const char *name);
static void run_read_target(struct run_reader *, const char *text);
static void run_read_host(struct run *, const char *text);
static void run_read_arguments(struct run_reader *, int argc, char **argv);
static void run_check(struct run_reader *);

int
stress_run_read(struct run *run, int argc, char **argv)
{
	struct run_reader r = { .options = { .rules = rules, .count = RULES, .into = run },
		.run = run, .counts = 1 };

	memset(run, 0, sizeof *run);
	run->workers = run->depth = 1;
	run->connections = run->steps[0].connections = 50;
	run->timeout = 10000;
	run->interval = 30000;
	run->hold = HOLD;
	run->size = 64;
	run->seed = 1;
	run->leave = 0.02;
	run->across_interval = 1000;
	stress_options_read(&r.options, argc, argv);
	if (r.options.answered)
		return r.options.wrong > 0 ? 2 : -1;
	run_read_arguments(&r, argc, argv);
	run_check(&r);
	if (r.options.wrong > 0)
		fputs("weir-stress: --help lists modes and options\n", stderr);
	return r.options.wrong > 0 ? 2 : 0;
}

static void
run_usage(FILE *out)
{
	const struct mode *mode;

	fputs("usage: weir-stress MODE [OPTION ...] TARGET\n"
	      "       weir-stress --serve echo|line|sink|source [OPTION ...] ADDRESS ...\n\n"
	      "TARGET is HOST:PORT, [IPV6]:PORT or unix:PATH. MODE is one of\n",
	    out);
	for (unsigned i = 0; (mode = stress_mode_at(i)) != NULL; i++)
		fprintf(out, "  %-11s %s\n", mode->name, mode->help);
	fputs("\noptions\n", out);
	stress_options_help(rules, RULES, out);
	fputs("\nweir-stress(1) has the rest.\n", out);
}

/* ------------------------------------------------------------------ values */

static struct run_reader *
run_reader_of(struct stress_options *o)
{
	return container_of(o, struct run_reader, options);
}

/* "1000" or "1000,5000,10000". */
static void
run_read_connections(struct stress_options *o, char *text)
{
	struct run_reader *r = run_reader_of(o);
	struct run        *run = r->run;
	char               copy[256], *rest = copy, *word;
	uint64_t           n;

	r->counts = 0;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy) {
		stress_options_wrong(o, "-c %s: that is too long", text);
		return;
	}
	while ((word = strsep(&rest, ",")) != NULL) {
		if (r->counts == RUN_STEPS_MAX) {
			stress_options_wrong(o, "-c %s: at most %u numbers", text, RUN_STEPS_MAX);
			return;
		}
		if (!str_number(word, &n) || n == 0 || n > CONNECTIONS_MAX) {
			stress_options_wrong(o,
			    "-c %s: numbers from 1 to %u are expected, with commas between "
			    "them",
			    text, CONNECTIONS_MAX);
			return;
		}
		if (r->counts > 0 && n <= run->connections) {
			stress_options_wrong(o,
			    "-c %s: each number has to be higher than the one before it; "
			    "connections are only added",
			    text);
			return;
		}
		run->steps[r->counts++] = (struct step){ .connections = (unsigned)n };
		run->connections = (unsigned)n;
	}
}

static void
run_read_help(struct stress_options *o, char *text)
{
	(void)text;
	run_usage(stdout);
	o->answered = true;
}

static void
run_read_poisson(struct stress_options *o, char *text)
{
	(void)text;
	run_reader_of(o)->run->pacing = PACE_POISSON;
}

/* What it is depends on the mode. */
static void
run_read_rate(struct stress_options *o, char *text)
{
	run_reader_of(o)->rate = text;
}

static void
run_read_sources(struct stress_options *o, char *text)
{
	const char *what = stress_source_read(run_reader_of(o)->run, text);

	if (what != NULL)
		stress_options_wrong(o, "--source %s: %s", text, what);
}

static void
run_read_version(struct stress_options *o, char *text)
{
	(void)text;
	puts("weir-stress " VERSION);
	o->answered = true;
}

static void
run_read_way(struct stress_options *o, char *text)
{
	struct run *run = run_reader_of(o)->run;

	if (strcmp(text, "both") == 0)
		run->way = WAY_BOTH;
	else if (strcmp(text, "out") == 0)
		run->way = WAY_OUT;
	else if (strcmp(text, "in") == 0)
		run->way = WAY_IN;
	else
		stress_options_wrong(o, "--way %s: both, out or in is expected", text);
}

/* ------------------------------------------------------------ mode and target */

static void
run_read_mode(struct run_reader *r, const char *name)
{
	const char        *names[32] = { NULL }, *near;
	const struct mode *mode;
	char               list[200] = "";

	r->run->mode = stress_mode_find(name);
	if (r->run->mode != NULL)
		return;
	for (unsigned i = 0; i < 31 && (mode = stress_mode_at(i)) != NULL; i++) {
		names[i] = mode->name;
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
		    i > 0 ? ", " : "", mode->name);
	}
	near = str_nearest(name, names);
	if (near != NULL)
		stress_options_wrong(&r->options, "there is no mode %s: did you mean %s?", name,
		    near);
	else
		stress_options_wrong(&r->options,
		    "there is no mode %s: %s are those that there are", name, list);
}

static void
run_read_target(struct run_reader *r, const char *text)
{
	const char *what;
	unsigned    n;

	if (text[0] == '\0') {
		stress_options_wrong(&r->options, "the target is empty: write HOST:PORT");
		return;
	}
	what = text[strspn(text, "0123456789")] == '\0'
	    ? "a host is missing in front of the port, such as 127.0.0.1:8080"
	    : addr_resolve(&r->run->target, 1, &n, text, "");
	if (what != NULL)
		stress_options_wrong(&r->options, "%s: %s", text, what);
	else
		addr_print(&r->run->target, r->run->target_name);
	if (r->run->tls.name == NULL)
		run_read_host(r->run, text);
}

/* Whom a server's certificate is for, if nothing else is said. */
static void
run_read_host(struct run *run, const char *text)
{
	bool        brackets = text[0] == '[';
	const char *from = text + brackets, *to = strrchr(text, brackets ? ']' : ':');

	if (to == NULL || run->target.sa.sa_family == AF_UNIX ||
	    (size_t)(to - from) >= sizeof run->host)
		return;
	memcpy(run->host, from, (size_t)(to - from));
	run->host[to - from] = '\0';
}

static void
run_read_arguments(struct run_reader *r, int argc, char **argv)
{
	int n = argc - optind;

	if (n == 0) {
		stress_options_wrong(&r->options,
		    "a mode and a target are expected, such as: weir-stress echo "
		    "127.0.0.1:8080");
		return;
	}
	run_read_mode(r, argv[optind]);
	if (n == 1)
		stress_options_wrong(&r->options,
		    "a target is expected behind %s, such as 127.0.0.1:8080 or "
		    "unix:/run/x.sock",
		    argv[optind]);
	else
		run_read_target(r, argv[optind + 1]);
	if (n > 2)
		stress_options_wrong(&r->options, "%s: only a mode and one target are expected",
		    argv[optind + 2]);
}

/* ------------------------------------------------- what fits what, and defaults */

static void
run_check_rate(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	struct run            *run = r->run;
	bool                   paced = run->mode->paced, good;
	uint64_t               bytes = 0;

	if (r->rate != NULL) {
		/* Requests, but bulk has bytes. */
		good = paced ? stress_option_decimal(r->rate, &run->rate)
			     : str_size(r->rate, &bytes);
		if (!paced)
			run->rate = (double)bytes;
		if (!good)
			stress_options_wrong(o, "--rate %s: a %s is expected", r->rate,
			    paced ? "number of requests a second"
				  : "size in bytes a second, like 10m (small letters),");
		else if (run->rate > RATE_MAX && paced)
			stress_options_wrong(o, "--rate %s: that is more than weir-stress can do",
			    r->rate);
		else if (run->rate < 0.001)
			stress_options_wrong(o, "--rate %s: that is too little", r->rate);
	}
	if (stress_options_given(o, "poisson") && r->rate == NULL && run->slo == NULL)
		stress_options_wrong(o, "--poisson is about an open loop: give its --rate");
	if ((r->rate != NULL || run->slo != NULL) && run->pacing == PACE_CLOSED)
		run->pacing = PACE_FIXED;
}

static void
run_check_steps(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	struct run            *run = r->run;
	bool                   many = r->counts > 1;

	if (stress_options_bad(o, "connections"))
		return;
	for (unsigned i = 0; i < r->counts; i++)
		run->steps[i].hold = run->hold;
	run->step_count = many ? r->counts : 0;
	if (!many && stress_options_given(o, "hold"))
		stress_options_wrong(o,
		    "--hold is for several numbers of connections (-c 1000,5000): for one, -d "
		    "says how long to measure");
	if (many && stress_options_given(o, "duration"))
		stress_options_wrong(o,
		    "-d and several numbers behind -c: how long each is held says --hold");
	if (many && stress_options_given(o, "requests"))
		stress_options_wrong(o,
		    "-n and several numbers behind -c: how long each is held says --hold");
	if (many && (run->mode->request == NULL || run->mode->fresh))
		stress_options_wrong(o, "%s: only one number of connections is possible",
		    run->mode->name);
	if (run->workers > run->steps[0].connections && !stress_options_bad(o, "workers"))
		stress_options_wrong(o, "-w %u: more processes than connections (-c)",
		    run->workers);
	if (many)
		run->duration = 0;
}

static void
run_check_slo(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	struct run            *run = r->run;

	if (run->slo == NULL)
		return;
	if (stress_options_given(o, "requests"))
		stress_options_wrong(o,
		    "--slo and -n: each try of the search takes the time of -d");
	if (r->counts > 1)
		stress_options_wrong(o,
		    "--slo and several numbers behind -c: the search is made with one");
	if (run->across != NULL)
		stress_options_wrong(o,
		    "--slo and --across: what a try loses by a command says nothing about its "
		    "rate");
	if (run->expect != NULL)
		stress_options_wrong(o,
		    "--slo and --expect: write the conditions behind one of them");
	if (run->duration == 0)
		run->duration = SLO_DURATION;
}

static void
run_check_source(struct run_reader *r)
{
	struct run *run = r->run;

	if (run->source_count == 0 || run->target.len == 0)
		return;
	if (run->target.sa.sa_family == AF_UNIX)
		stress_options_wrong(&r->options,
		    "--source: a UNIX socket has no addresses to connect from");
	else if (run->target.sa.sa_family != run->sources[0].sa.sa_family)
		stress_options_wrong(&r->options,
		    "--source: %s is not of the family of these addresses", run->target_name);
}

/* Options that this mode does not have. */
static void
run_check_parts(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	const struct mode     *mode = r->run->mode;
	const char            *takes = mode->takes != NULL ? mode->takes : "";
	char                   name[OPTION_NAME_MAX];

	for (unsigned i = 0; i < RULES; i++) {
		if (rules[i].part != 0 && o->given[i] && strchr(takes, rules[i].part) == NULL)
			stress_options_wrong(o, "%s: %s means nothing in this mode", mode->name,
			    stress_option_call(&rules[i], name));
	}
	if ((stress_options_given(o, "slo") || stress_options_given(o, "poisson")) &&
	    !mode->paced && strchr(takes, 'R') != NULL)
		stress_options_wrong(o, "%s: --slo and --poisson mean nothing in this mode",
		    mode->name);
	if (mode->fresh && stress_options_given(o, "ramp"))
		stress_options_wrong(o,
		    "%s: -r means nothing in this mode: --rate says how many a second", mode->name);
	if (mode->request == NULL && stress_options_given(o, "warmup"))
		stress_options_wrong(o, "%s: --warmup means nothing in this mode", mode->name);
}

/* What would be without effect. */
static void
run_check_pairs(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	struct run            *run = r->run;

	if (stress_options_given(o, "every") && run->across == NULL)
		stress_options_wrong(o, "--every is about --across: give its command");
	if (run->json != NULL && run->hgrm != NULL && strcmp(run->json, run->hgrm) == 0)
		stress_options_wrong(o, "--json and --hgrm: they cannot both go to %s", run->json);
	if (run->plan_only && run->force)
		stress_options_wrong(o,
		    "--plan and --force: a plan runs nothing, so nothing is forced");
	if (stress_options_given(o, "seed") && !stress_options_bad(o, "seed") &&
	    run->pacing != PACE_POISSON && run->mode != &mode_idle && run->mode != &mode_unruly)
		stress_options_wrong(o,
		    "--seed: nothing is random in this run; with --poisson, in idle and in "
		    "unruly there is");
	if (stress_options_given(o, "each") &&
	    (stress_options_given(o, "requests") || run->slo != NULL || run->warmup > 0 ||
		r->counts > 1))
		stress_options_wrong(o,
		    "--each says when the run ends: -n, --slo, --warmup and several numbers "
		    "behind -c do not go with it");
}

static void
run_check_tls(struct run_reader *r)
{
	struct stress_tls *tls = &r->run->tls;

	if (r->run->mode->tls)
		tls->on = true;
	stress_tls_prepare(tls, TLS_CLIENT, &r->options);
	if (tls->stop == TLS_STOP_FINISHED && stress_options_given(&r->options, "interval"))
		stress_options_wrong(&r->options,
		    "-i and --tls-stop finished: behind that no byte is ever sent");
	if (tls->name == NULL && r->run->host[0] != '\0')
		tls->name = r->run->host;
}

static void
run_check(struct run_reader *r)
{
	struct stress_options *o = &r->options;
	struct run            *run = r->run;
	const char            *what;

	if (run->mode == NULL)
		return;
	if (!stress_options_given(o, "timeout") && run->mode->timeout != 0)
		run->timeout = run->mode->timeout;
	if (!stress_options_given(o, "size") && run->mode->size != 0)
		run->size = run->mode->size;
	if (!stress_options_given(o, "interval") && run->mode->interval != 0)
		run->interval = run->mode->interval;
	run_check_parts(r);
	run_check_rate(r);
	run_check_slo(r);
	run_check_steps(r);
	run_check_source(r);
	run_check_pairs(r);
	if (run->mode->paced && run->size * run->depth > (UINT64_C(1) << 30))
		stress_options_wrong(o, "-s and -p: more than 1g in flight on a connection");
	run_check_tls(r);
	what = o->wrong == 0 && run->mode->check != NULL ? run->mode->check(run) : NULL;
	if (what != NULL)
		stress_options_wrong(o, "%s: %s", run->mode->name, what);
}
