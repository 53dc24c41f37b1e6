/* SPDX-License-Identifier: BSD-2-Clause */
/* run: the command line, read and checked: all that is wrong is told at once. */
#include "stress/run.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config.h"
#include "stress/mode.h"
#include "stress/source.h"

#define CONNECTIONS_MAX 16000000u
#define DEPTH_MAX       65536u
#define SIZE_MAX_ASKED  (UINT64_C(1) << 40)
#define RATE_MAX        1e9
#define SLO_DURATION    5000u	/* ms of a try of --slo */

enum kind { FLAG, NUMBER, COUNT, DECIMAL, SIZE, TIME, TEXT, SPECIAL };

/* What an option is called, and where it goes. `part`: the letter of mode.takes; 0: all
 * modes have it. */
struct option_rule {
	const char *name;
	int         letter;	/* 0x100 …: it has none */
	enum kind   kind;
	size_t      at;		/* in struct run */
	double      least;
	double      most;
	char        part;
	const char *value;
	const char *help;
};

enum {
	LONG_ACROSS = 0x100,
	LONG_EVERY,
	LONG_EXPECT,
	LONG_FAILURE,
	LONG_FORCE,
	LONG_HGRM,
	LONG_HOLD,
	LONG_JSON,
	LONG_PLAN,
	LONG_POISSON,
	LONG_RATE,
	LONG_SEED,
	LONG_SLO,
	LONG_SOURCE,
	LONG_VERSION,
	LONG_WARMUP,
	LONG_WATCH,
	LONG_WAY,
	LETTERS,
};

#define AT(field) offsetof(struct run, field)
#define DAYS_100  8640000000.0

static const struct option_rule rules[] = {
	{ "connections", 'c', SPECIAL, 0, 0, 0, 0, "N[,N...]", "connections at the same time: 50" },
	{ "duration", 'd', TIME, AT(duration), 1, DAYS_100, 0, "TIME", "measures for so long" },
	{ "hold", LONG_HOLD, SPECIAL, 0, 0, 0, 0,
	  "TIME", "how long each of several -c is held: 10s" },
	{ "interval", 'i', TIME, AT(interval), 1, DAYS_100, 'i', "TIME", "between pings: 30s" },
	{ "requests", 'n', NUMBER, AT(requests), 1, 1e18, 'n', "N", "ends after so many" },
	{ "depth", 'p', COUNT, AT(depth), 1, DEPTH_MAX, 'p',
	  "N", "requests in flight on a connection: 1" },
	{ "poisson", LONG_POISSON, SPECIAL, 0, 0, 0, 'R', NULL, "with --rate: at random times" },
	{ "ramp", 'r', DECIMAL, AT(ramp), 0.001, RATE_MAX, 0, "N", "opens N connections a second" },
	{ "rate", LONG_RATE, SPECIAL, 0, 0, 0, 'R', "N", "open loop: N requests a second" },
	{ "size", 's', SIZE, AT(size), 1, (double)SIZE_MAX_ASKED, 's',
	  "SIZE", "bytes of a request: 64" },
	{ "source", LONG_SOURCE, SPECIAL, 0, 0, 0, 0,
	  "ADDR[-ADDR][,...]", "local addresses to connect from" },
	{ "timeout", 't', TIME, AT(timeout), 1, DAYS_100, 0,
	  "TIME", "for a connect and for a reply: 10s" },
	{ "warmup", LONG_WARMUP, TIME, AT(warmup), 0, DAYS_100, 0,
	  "TIME", "runs so long before it measures" },
	{ "way", LONG_WAY, SPECIAL, 0, 0, 0, 'W', "both|out|in", "bulk: who sends" },
	{ "failure", LONG_FAILURE, TEXT, AT(failure), 0, 0, 'F',
	  "TEXT", "a reply that counts as failed" },
	{ "seed", LONG_SEED, NUMBER, AT(seed), 0, 1.8e19, 0, "N", "of all that is random: 1" },
	{ "workers", 'w', COUNT, AT(workers), 1, RUN_WORKERS_MAX, 0, "N", "processes: 1" },
	{ "across", LONG_ACROSS, TEXT, AT(across), 0, 0, 0,
	  "COMMAND", "runs it again and again during the load" },
	{ "every", LONG_EVERY, TIME, AT(across_interval), 1, DAYS_100, 0,
	  "TIME", "between two runs of --across: 1s" },
	{ "expect", LONG_EXPECT, TEXT, AT(expect), 0, 0, 0,
	  "CONDITIONS", "exit status 1 unless they hold" },
	{ "hgrm", LONG_HGRM, TEXT, AT(hgrm), 0, 0, 0,
	  "FILE", "writes the distribution of latency" },
	{ "json", LONG_JSON, TEXT, AT(json), 0, 0, 0, "FILE", "writes all figures" },
	{ "slo", LONG_SLO, TEXT, AT(slo), 0, 0, 'R',
	  "CONDITIONS", "searches the highest rate at which they hold" },
	{ "watch", LONG_WATCH, SPECIAL, 0, 0, 0, 0, "PID", "samples a server's memory and CPU" },
	{ "plan", LONG_PLAN, FLAG, AT(plan_only), 0, 0, 0,
	  NULL, "says what the run needs, and ends" },
	{ "force", LONG_FORCE, FLAG, AT(force), 0, 0, 0, NULL, "runs although it cannot succeed" },
	{ "quiet", 'q', FLAG, AT(quiet), 0, 0, 0, NULL, "no live line" },
	{ "version", LONG_VERSION, SPECIAL, 0, 0, 0, 0, NULL, "prints the version" },
	{ "help", 'h', SPECIAL, 0, 0, 0, 0, NULL, "prints this" },
};

#define RULES (sizeof rules / sizeof rules[0])

/* While it is being read. */
struct reader {
	struct run *run;
	unsigned    wrong;
	bool        given[LETTERS];
	uint64_t    hold;
	unsigned    counts;	/* of -c */
	const char *rate;
	bool        answered;
};

static void complain(struct reader *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(struct reader *r, const char *format, ...)
{
	va_list args;

	fputs("weir-stress: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	r->wrong++;
}

static const struct option_rule *
rule_of(int letter)
{
	for (unsigned i = 0; i < RULES; i++) {
		if (rules[i].letter == letter)
			return &rules[i];
	}
	return NULL;
}

/* "-c" or "--hold". */
static const char *
call(const struct option_rule *rule, char out[32])
{
	if (rule->letter < 0x100)
		snprintf(out, 32, "-%c", rule->letter);
	else
		snprintf(out, 32, "--%s", rule->name);
	return out;
}

static void
usage(FILE *out)
{
	const struct mode *mode;
	char               left[64];

	fputs("usage: weir-stress MODE [OPTION ...] TARGET\n"
	      "       weir-stress --serve echo|line|sink|source [OPTION ...] ADDRESS ...\n\n"
	      "TARGET is HOST:PORT, [IPV6]:PORT or unix:PATH. MODE is one of\n",
	    out);
	for (unsigned i = 0; (mode = mode_at(i)) != NULL; i++)
		fprintf(out, "  %-11s %s\n", mode->name, mode->help);
	fputs("\noptions\n", out);
	for (unsigned i = 0; i < RULES; i++) {
		const struct option_rule *rule = &rules[i];

		if (rule->letter < 0x100)
			snprintf(left, sizeof left, "-%c, --%s %s", rule->letter, rule->name,
			    rule->value != NULL ? rule->value : "");
		else
			snprintf(left, sizeof left, "    --%s %s", rule->name,
			    rule->value != NULL ? rule->value : "");
		fprintf(out, "  %-32s %s\n", left, rule->help);
	}
	fputs("\nweir-stress(1) has the rest.\n", out);
}

/* ------------------------------------------------------------------ values */

/* A whole or decimal number, without exponents or signs. */
static bool
read_decimal(const char *text, double *out)
{
	char  *end;
	double value;

	if (!isdigit((unsigned char)text[0]) || text[strspn(text, "0123456789.")] != '\0')
		return false;
	value = strtod(text, &end);
	if (*end != '\0')
		return false;
	*out = value;
	return true;
}

static void
read_value(struct reader *r, const struct option_rule *rule, const char *text)
{
	char    *at = (char *)r->run + rule->at, name[32];
	uint64_t n = 0;
	double   value = 0;
	bool     good = true;

	call(rule, name);
	switch (rule->kind) {
	case FLAG:
		*(bool *)at = true;
		return;
	case TEXT:
		if (text[0] == '\0')
			complain(r, "%s: something is expected behind it", name);
		*(const char **)(void *)at = text;
		return;
	case DECIMAL:
		good = read_decimal(text, &value);
		break;
	case SIZE:
		good = str_size(text, &n);
		break;
	case TIME:
		good = str_time(text, &n);
		break;
	default:
		good = str_number(text, &n);
		break;
	}
	if (!good) {
		complain(r, "%s %s: %s is expected", name, text,
		    rule->kind == TIME ? "a time like 500ms, 30s or 5m"
			: rule->kind == SIZE ? "a size like 64, 4k or 1m"
					     : "a number");
		return;
	}
	if (rule->kind != DECIMAL)
		value = (double)n;
	if (value < rule->least)
		complain(r, "%s %s: that is too little", name, text);
	else if (value > rule->most)
		complain(r, "%s %s: that is more than weir-stress can do", name, text);
	else if (rule->kind == DECIMAL)
		*(double *)(void *)at = value;
	else if (rule->kind == COUNT)
		*(unsigned *)(void *)at = (unsigned)n;
	else if (rule->kind == SIZE)
		*(size_t *)(void *)at = (size_t)n;
	else
		*(uint64_t *)(void *)at = n;
}

/* "1000" or "1000,5000,10000". */
static void
read_connections(struct reader *r, const char *text)
{
	struct run *run = r->run;
	char        copy[256], *rest = copy, *word;
	uint64_t    n;

	r->counts = 0;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy) {
		complain(r, "-c %s: that is too long", text);
		return;
	}
	while ((word = strsep(&rest, ",")) != NULL) {
		if (r->counts == RUN_STEPS_MAX) {
			complain(r, "-c %s: at most %u numbers", text, RUN_STEPS_MAX);
			return;
		}
		if (!str_number(word, &n) || n == 0 || n > CONNECTIONS_MAX) {
			complain(r,
			    "-c %s: numbers from 1 to %u are expected, with commas between "
			    "them",
			    text, CONNECTIONS_MAX);
			return;
		}
		if (r->counts > 0 && n <= run->connections) {
			complain(r,
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
read_way(struct reader *r, const char *text)
{
	if (strcmp(text, "both") == 0)
		r->run->way = WAY_BOTH;
	else if (strcmp(text, "out") == 0)
		r->run->way = WAY_OUT;
	else if (strcmp(text, "in") == 0)
		r->run->way = WAY_IN;
	else
		complain(r, "--way %s: both, out or in is expected", text);
}

static void
read_special(struct reader *r, int letter, const char *text)
{
	const char *what;
	uint64_t    n;

	switch (letter) {
	case 'c':
		read_connections(r, text);
		break;
	case 'h':
		usage(stdout);
		r->answered = true;
		break;
	case LONG_VERSION:
		puts("weir-stress " VERSION);
		r->answered = true;
		break;
	case LONG_HOLD:
		if (!str_time(text, &r->hold) || r->hold == 0)
			complain(r, "--hold %s: a time like 10s or 5m is expected", text);
		break;
	case LONG_POISSON:
		r->run->pacing = PACE_POISSON;
		break;
	case LONG_RATE:
		r->rate = text;
		break;
	case LONG_SOURCE:
		what = source_read(r->run, text);
		if (what != NULL)
			complain(r, "--source %s: %s", text, what);
		break;
	case LONG_WATCH:
		if (!str_number(text, &n) || n == 0 || n > INT32_MAX)
			complain(r, "--watch %s: a process's number is expected", text);
		else
			r->run->watch = (pid_t)n;
		break;
	case LONG_WAY:
		read_way(r, text);
		break;
	}
}

/* ---------------------------------------------------------- the command line */

static void
no_such_option(struct reader *r, const char *text)
{
	const char *names[RULES + 1] = { NULL }, *near = NULL;

	for (unsigned i = 0; i < RULES; i++)
		names[i] = rules[i].name;
	if (strncmp(text, "--", 2) == 0)
		near = str_nearest(text + 2, names);
	if (near != NULL)
		complain(r, "there is no option %s: did you mean --%s?", text, near);
	else
		complain(r, "there is no option %s: weir-stress --help lists them", text);
}

static void
read_options(struct reader *r, int argc, char **argv)
{
	struct option             longs[RULES + 1] = { { 0 } };
	char                      shorts[3 * RULES + 2] = ":", name[32], *s = shorts + 1;
	const struct option_rule *rule;
	int                       letter;

	for (unsigned i = 0; i < RULES; i++) {
		rule = &rules[i];
		longs[i] = (struct option){ rule->name, rule->value != NULL, NULL, rule->letter };
		if (rule->letter >= 0x100)
			continue;
		*s++ = (char)rule->letter;
		if (rule->value != NULL)
			*s++ = ':';
	}
	*s = '\0';
	opterr = 0;
	while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (letter == '?') {
			char dash[3] = { '-', (char)optopt, '\0' };

			rule = optopt != 0 ? rule_of(optopt) : NULL;
			if (rule != NULL)
				complain(r, "%s takes no value", call(rule, name));
			else
				no_such_option(r, optopt != 0 ? dash : argv[optind - 1]);
			continue;
		}
		if (letter == ':') {
			rule = rule_of(optopt);
			complain(r, "%s: %s is expected behind it", call(rule, name), rule->value);
			continue;
		}
		rule = rule_of(letter);
		r->given[letter] = true;
		if (rule->kind == SPECIAL)
			read_special(r, letter, optarg);
		else
			read_value(r, rule, optarg);
	}
}

static void
read_mode(struct reader *r, const char *name)
{
	const char        *names[32] = { NULL }, *near;
	const struct mode *mode;
	char               list[200] = "";

	r->run->mode = mode_find(name);
	if (r->run->mode != NULL)
		return;
	for (unsigned i = 0; i < 31 && (mode = mode_at(i)) != NULL; i++) {
		names[i] = mode->name;
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
		    i > 0 ? ", " : "", mode->name);
	}
	near = str_nearest(name, names);
	if (near != NULL)
		complain(r, "there is no mode %s: did you mean %s?", name, near);
	else
		complain(r, "there is no mode %s: %s are those that there are", name, list);
}

static void
read_target(struct reader *r, const char *text)
{
	const char *what;
	unsigned    n;

	what = text[strspn(text, "0123456789")] == '\0'
	    ? "a host is missing in front of the port, such as 127.0.0.1:8080"
	    : addr_resolve(&r->run->target, 1, &n, text, "");
	if (what != NULL)
		complain(r, "%s: %s", text, what);
	else
		addr_print(&r->run->target, r->run->target_name);
}

static void
read_arguments(struct reader *r, int argc, char **argv)
{
	int n = argc - optind;

	if (n == 0) {
		complain(r, "a mode and a target are expected, such as: weir-stress echo "
		    "127.0.0.1:8080");
		return;
	}
	read_mode(r, argv[optind]);
	if (n == 1)
		complain(r,
		    "a target is expected behind %s, such as 127.0.0.1:8080 or "
		    "unix:/run/x.sock",
		    argv[optind]);
	else
		read_target(r, argv[optind + 1]);
	if (n > 2)
		complain(r, "%s: only a mode and one target are expected", argv[optind + 2]);
}

/* ------------------------------------------------- what fits what, and defaults */

static void
check_rate(struct reader *r)
{
	struct run *run = r->run;
	uint64_t    bytes;

	if (r->rate != NULL) {
		/* Requests, but bulk has bytes. */
		if (run->mode->paced ? !read_decimal(r->rate, &run->rate)
				     : !str_size(r->rate, &bytes))
			complain(r, "--rate %s: a %s is expected", r->rate,
			    run->mode->paced ? "number of requests a second"
					     : "size in bytes a second, like 10m");
		else if (!run->mode->paced)
			run->rate = (double)bytes;
		if (run->rate > RATE_MAX && run->mode->paced)
			complain(r, "--rate %s: that is more than weir-stress can do", r->rate);
		else if (run->rate < 0.001)
			complain(r, "--rate %s: that is too little", r->rate);
	}
	if (r->given[LONG_POISSON] && r->rate == NULL && run->slo == NULL)
		complain(r, "--poisson is about an open loop: give its --rate");
	if ((r->rate != NULL || run->slo != NULL) && run->pacing == PACE_CLOSED)
		run->pacing = PACE_FIXED;
}

static void
check_steps(struct reader *r)
{
	struct run *run = r->run;
	bool        many = r->counts > 1;

	for (unsigned i = 0; i < r->counts; i++)
		run->steps[i].hold = r->hold;
	run->step_count = many ? r->counts : 0;
	if (!many && r->given[LONG_HOLD])
		complain(r, "--hold is for several numbers of connections (-c 1000,5000): for one, "
		    "-d says how long to measure");
	if (many && r->given['d'])
		complain(r, "-d and several numbers behind -c: how long each is held says --hold");
	if (many && r->given['n'])
		complain(r, "-n and several numbers behind -c: how long each is held says --hold");
	if (many && !run->mode->paced && run->mode->request == NULL)
		complain(r, "%s: only one number of connections is possible", run->mode->name);
	if (many && run->mode->fresh)
		complain(r, "%s: only one number of connections is possible", run->mode->name);
	if (run->workers > (many ? run->steps[0].connections : run->connections))
		complain(r, "-w %u: more processes than connections (-c)", run->workers);
	if (many)
		run->duration = 0;
}

static void
check_slo(struct reader *r)
{
	struct run *run = r->run;

	if (run->slo == NULL)
		return;
	if (r->given['n'])
		complain(r, "--slo and -n: each try of the search takes the time of -d");
	if (r->counts > 1)
		complain(r, "--slo and several numbers behind -c: the search is made with one");
	if (run->across != NULL)
		complain(r, "--slo and --across: what a try loses by a command says nothing "
		    "about its rate");
	if (run->expect != NULL)
		complain(r, "--slo and --expect: write the conditions behind one of them");
	if (run->duration == 0)
		run->duration = SLO_DURATION;
}

static void
check_source(struct reader *r)
{
	struct run *run = r->run;

	if (run->source_count == 0 || run->target.len == 0)
		return;
	if (run->target.sa.sa_family == AF_UNIX)
		complain(r, "--source: a UNIX socket has no addresses to connect from");
	else if (run->target.sa.sa_family != run->sources[0].sa.sa_family)
		complain(r, "--source: %s is not of the family of these addresses",
		    run->target_name);
}

/* Options that this mode does not have. */
static void
check_parts(struct reader *r)
{
	const struct mode *mode = r->run->mode;
	const char        *takes = mode->takes != NULL ? mode->takes : "";
	char               name[32];

	for (unsigned i = 0; i < RULES; i++) {
		if (rules[i].part != 0 && r->given[rules[i].letter] &&
		    strchr(takes, rules[i].part) == NULL)
			complain(r, "%s: %s means nothing in this mode", mode->name,
			    call(&rules[i], name));
	}
	if ((r->given[LONG_SLO] || r->given[LONG_POISSON]) && !mode->paced &&
	    strchr(takes, 'R') != NULL)
		complain(r, "%s: --slo and --poisson mean nothing in this mode", mode->name);
	if (mode->fresh && r->given['r'])
		complain(r, "%s: -r means nothing in this mode: --rate says how many a second",
		    mode->name);
	if (mode->request == NULL && r->given[LONG_WARMUP])
		complain(r, "%s: --warmup means nothing in this mode", mode->name);
}

static void
check_all(struct reader *r)
{
	struct run *run = r->run;
	const char *what;

	if (run->mode == NULL)
		return;
	if (!r->given['t'] && run->mode->timeout != 0)
		run->timeout = run->mode->timeout;
	if (!r->given['s'] && run->mode->size != 0)
		run->size = run->mode->size;
	if (!r->given['i'] && run->mode->interval != 0)
		run->interval = run->mode->interval;
	check_parts(r);
	check_rate(r);
	check_slo(r);
	check_steps(r);
	check_source(r);
	if (r->given[LONG_EVERY] && run->across == NULL)
		complain(r, "--every is about --across: give its command");
	if (run->json != NULL && run->hgrm != NULL && strcmp(run->json, run->hgrm) == 0)
		complain(r, "--json and --hgrm: they cannot both go to %s", run->json);
	if (run->mode->paced && run->size * run->depth > (UINT64_C(1) << 30))
		complain(r, "-s and -p: more than 1g in flight on a connection");
	what = r->wrong == 0 && run->mode->check != NULL ? run->mode->check(run) : NULL;
	if (what != NULL)
		complain(r, "%s: %s", run->mode->name, what);
}

int
run_read(struct run *run, int argc, char **argv)
{
	struct reader r = { .run = run, .hold = 10000, .counts = 1 };

	memset(run, 0, sizeof *run);
	run->workers = run->depth = 1;
	run->connections = run->steps[0].connections = 50;
	run->timeout = 10000;
	run->interval = 30000;
	run->size = 64;
	run->seed = 1;
	run->across_interval = 1000;
	read_options(&r, argc, argv);
	if (r.answered && r.wrong == 0)
		return -1;
	read_arguments(&r, argc, argv);
	check_all(&r);
	if (r.wrong > 0)
		fputs("weir-stress: --help lists modes and options\n", stderr);
	return r.wrong > 0 ? 2 : 0;
}
