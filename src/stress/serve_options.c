/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_options: the command line of weir-stress --serve. */
#include "stress/serve_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stress/options.h"

const struct serve  *stress_served;
struct serve_counts *stress_counts;

static const char *const kinds[] = { "echo", "line", "sink", "source", NULL };

const char *const harm_names[HARM_COUNT + 1] = {
#define X(name, word) [HARM_##name] = word,
	SERVE_HARMS(X)
#undef X
	NULL
};

static void serve_options_kind(struct stress_options *, char *text);
static void serve_options_delay(struct stress_options *, char *text);
static void serve_options_faults(struct stress_options *, char *text);
static void serve_options_help(struct stress_options *, char *text);

#define AT(field) offsetof(struct serve, field)
#define DAY_US    86400e6

/* clang-format off */
static const struct option_rule rules[] = {
	{ "serve", 0, OPTION_READ, .value = "echo|line|sink|source", .read = serve_options_kind,
	  .help = "what it is" },
	{ "delay", 0, OPTION_READ, .value = "TIME[-TIME]", .read = serve_options_delay,
	  .help = "each reply waits for so long" },
	{ "jitter", 0, OPTION_TIME_US, AT(jitter), 1, DAY_US, .value = "TIME",
	  .help = "and for a random time up to this one" },
	{ "split", 0, OPTION_FLAG, AT(split), .help = "bytes are sent one by one" },
	{ "fault", 0, OPTION_READ, .value = "NAME=P[,NAME=P...]", .read = serve_options_faults,
	  .again = true, .help = "what goes wrong, with its probability; see below" },
	{ "again", 0, OPTION_FLAG, AT(again), .help = "line: counts those that come twice" },
	{ "down", 0, OPTION_TIME_US, AT(down), 1, DAY_US, .value = "TIME",
	  .help = "how long crash and refuse last: 100ms" },
	{ "size", 's', OPTION_SIZE, AT(size), 0, .value = "SIZE",
	  .help = "source: bytes; without it there is no end" },
	{ "seed", 0, OPTION_NUMBER, AT(seed), .value = "N", .help = "of what is random: 1" },
	STRESS_TLS_RULES(AT(tls)),
	{ "workers", 'w', OPTION_COUNT, AT(workers), 1, SERVE_WORKERS_MAX, .value = "N",
	  .help = "processes: 1" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), .help = "prints nothing but errors" },
	{ "help", 'h', OPTION_READ, .read = serve_options_help, .help = "prints this" },
};
/* clang-format on */

#define RULES (sizeof rules / sizeof rules[0])

static void serve_options_door(struct stress_options *, const char *text);
static const char *serve_options_address(struct addr *, const char *text);
static void serve_options_check(struct serve *, struct stress_options *);
static void serve_options_settle(struct serve *, const struct stress_options *);

int
stress_serve_read(struct serve *v, int argc, char **argv)
{
	struct stress_options o = { .rules = rules, .count = RULES, .into = v };

	*v = (struct serve){ .workers = 1, .down = 100000, .size = UINT64_MAX, .seed = 1 };
	optind = 1;
	stress_options_read(&o, argc, argv);
	if (o.answered)
		return o.wrong > 0 ? 2 : -1;
	for (; optind < argc; optind++)
		serve_options_door(&o, argv[optind]);
	serve_options_check(v, &o);
	stress_tls_prepare(&v->tls, TLS_SERVER, &o);
	serve_options_settle(v, &o);
	if (o.wrong > 0)
		fputs("weir-stress: --serve --help tells what there is\n", stderr);
	return o.wrong > 0 ? 2 : 0;
}

static void
serve_options_help(struct stress_options *o, char *text)
{
	(void)text;
	fputs("usage: weir-stress --serve echo|line|sink|source [OPTION ...] ADDRESS ...\n\n"
	      "ADDRESS is PORT, HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 is any.\n"
	      "\noptions\n",
	    stdout);
	stress_options_help(rules, RULES, stdout);
	fputs("\nfaults of replies\n"
	      "  close cut reset half stall crash garbage repeat skip swap reorder\n"
	      "  delay split pause\n"
	      "faults of connections\n"
	      "  door refuse idle\n"
	      "\nweir-stress(1) says what they are.\n",
	    stdout);
	o->answered = true;
}

static void
serve_options_kind(struct stress_options *o, char *text)
{
	struct serve *v = o->into;

	if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
		serve_options_help(o, text);
		return;
	}
	for (unsigned i = 0; kinds[i] != NULL; i++) {
		if (strcmp(text, kinds[i]) == 0) {
			v->kind = (enum serve_kind)i;
			return;
		}
	}
	stress_options_wrong(o, "--serve: there is no \"%s\", only echo, line, sink and source",
	    text);
}

static void
serve_options_delay(struct stress_options *o, char *text)
{
	struct serve *v = o->into;
	char         *to = strchr(text, '-');

	if (to != NULL)
		*to++ = '\0';
	if (!stress_option_time_us(text, &v->delay_min) ||
	    !stress_option_time_us(to != NULL ? to : text, &v->delay_max) ||
	    v->delay_min > v->delay_max || v->delay_max > (uint64_t)DAY_US)
		stress_options_wrong(o,
		    "--delay: write a time or two, like 5ms or 1ms-20ms (small letters), "
		    "the shorter first");
}

static void
serve_options_faults(struct stress_options *o, char *text)
{
	struct serve *v = o->into;
	bool          given[HARM_COUNT] = { false };
	char         *rest, *word, *value;
	const char   *near;
	unsigned      i;
	double        p;

	for (rest = text; (word = strsep(&rest, ",")) != NULL;) {
		value = strchr(word, '=');
		if (value != NULL)
			*value++ = '\0';
		for (i = 0; i < HARM_COUNT && strcmp(word, harm_names[i]) != 0; i++)
			;
		if (i == HARM_COUNT) {
			near = str_nearest(word, harm_names);
			stress_options_wrong(o, "--fault: there is no \"%s\"%s%s%s", word,
			    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
			    near != NULL ? "?" : ", see --help");
		} else if (value == NULL || !stress_option_decimal(value, &p) || p > 1) {
			stress_options_wrong(o, "--fault: write %s= and a probability from 0 to 1",
			    word);
		} else if (given[i]) {
			stress_options_wrong(o, "--fault: %s is there twice", word);
		} else {
			given[i] = true;
			v->rates[i] = p;
		}
	}
}

static void
serve_options_door(struct stress_options *o, const char *text)
{
	struct serve       *v = o->into;
	struct listen_spec *d;
	const char         *wrong;

	if (v->door_count == SERVE_DOORS_MAX) {
		if (o->wrong == 0)
			stress_options_wrong(o, "more than %u addresses", SERVE_DOORS_MAX);
		return;
	}
	d = &v->doors[v->door_count++];
	/* The backlog is what the kernel allows: a backend should not be the limit. */
	*d = (struct listen_spec){ .backlog = 65535, .mode = 0666, .owner = (uid_t)-1,
		.group = (gid_t)-1, .options.nodelay = true };
	wrong = serve_options_address(&d->addr, text);
	if (wrong != NULL)
		stress_options_wrong(o, "%s: %s", text, wrong);
}

/* Whether anything is left to chance. */
static bool
serve_options_random(const struct serve *v)
{
	for (unsigned i = 0; i < HARM_COUNT; i++) {
		if (v->rates[i] > 0 && v->rates[i] < 1)
			return true;
	}
	return v->jitter > 0 || v->delay_min < v->delay_max || v->rates[HARM_GARBAGE] > 0;
}

static void
serve_options_check(struct serve *v, struct stress_options *o)
{
	bool waits = v->rates[HARM_DELAY] > 0 || v->rates[HARM_PAUSE] > 0;
	bool ends = v->rates[HARM_CRASH] > 0 || v->rates[HARM_REFUSE] > 0;

	if (!stress_options_given(o, "serve"))
		stress_options_wrong(o, "--serve: say what: echo, line, sink or source");
	if (v->door_count == 0 && o->wrong == 0)
		stress_options_wrong(o, "where? Give an address to listen on, like 127.0.0.1:7000");
	if (stress_options_given(o, "size") && v->kind != SERVE_SOURCE &&
	    !stress_options_bad(o, "serve"))
		stress_options_wrong(o, "-s is the size of what a source sends; this is none");
	if (stress_options_bad(o, "fault"))
		return;
	if (waits && !stress_options_given(o, "delay") && !stress_options_given(o, "jitter"))
		stress_options_wrong(o,
		    "--fault: delay and pause take as long as --delay says; give one");
	if (stress_options_given(o, "down") && !ends)
		stress_options_wrong(o,
		    "--down is how long crash and refuse last: give a --fault of "
		    "them");
	if (stress_options_given(o, "seed") && o->wrong == 0 && !serve_options_random(v))
		stress_options_wrong(o,
		    "--seed: nothing is random without --fault, --jitter or two times "
		    "behind --delay");
	if (v->again && v->kind != SERVE_LINE)
		stress_options_wrong(o, "--again is about lines; this has none");
	if (v->again && v->workers > 1)
		stress_options_wrong(o,
		    "--again and -w: a process does not know what the others had");
	if (v->workers > 1 && ends)
		stress_options_wrong(o,
		    "--fault: with -w others would still listen; crash and refuse "
		    "want one process, and several addresses for several");
}

static void
serve_options_settle(struct serve *v, const struct stress_options *o)
{
	bool waits = v->rates[HARM_DELAY] > 0 || v->rates[HARM_PAUSE] > 0;

	for (unsigned i = 0; i < v->door_count; i++)
		v->doors[i].reuseport = v->workers > 1 && v->doors[i].addr.sa.sa_family != AF_UNIX;
	v->delay_max += v->jitter;
	if ((stress_options_given(o, "delay") || v->jitter > 0) && !waits)
		v->rates[HARM_DELAY] = 1;
	if (v->split && v->rates[HARM_SPLIT] == 0)
		v->rates[HARM_SPLIT] = 1;
	v->straight = !v->again;
	for (unsigned i = 0; i < HARM_DOOR; i++)
		v->straight = v->straight && v->rates[i] == 0;
}

/* addr_parse, which takes no port 0. */
static const char *
serve_options_address(struct addr *a, const char *text)
{
	char        copy[ADDR_TEXT_MAX];
	size_t      len = strlen(text);
	const char *wrong;

	if (strncmp(text, "unix:", 5) == 0 || len == 0 || len >= sizeof copy ||
	    text[len - 1] != '0' || (len > 1 && text[len - 2] != ':'))
		return addr_parse(a, text, "");
	memcpy(copy, text, len + 1);
	copy[len - 1] = '1';
	wrong = addr_parse(a, copy, "");
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = 0;
	else
		a->in.sin_port = 0;
	return wrong;
}
