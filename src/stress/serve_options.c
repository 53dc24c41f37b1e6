/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_options: the command line of weir-stress --serve. */
#include "stress/serve_options.h"

#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char *const kinds[] = { "echo", "line", "sink", "source", NULL };

const char *const harm_names[HARM_COUNT + 1] = {
#define X(name, word) [HARM_##name] = word,
	SERVE_HARMS(X)
#undef X
	NULL
};

static const struct option longs[] = {
	{ "serve", required_argument, NULL, 'S' },
	{ "delay", required_argument, NULL, 'D' },
	{ "down", required_argument, NULL, 'W' },
	{ "fault", required_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ "jitter", required_argument, NULL, 'J' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "seed", required_argument, NULL, 'E' },
	{ "size", required_argument, NULL, 's' },
	{ "split", no_argument, NULL, 'P' },
	{ "workers", required_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 }
};

/* What is not in struct serve as it was written. */
struct given {
	uint64_t jitter;
	bool     delay;
	bool     split;
	bool     size;
	bool     wrong;		/* something has been told */
};

static void help(void);
static void take(struct serve *, struct given *, int option);
static void take_kind(struct serve *, struct given *, const char *text);
static void take_delay(struct serve *, struct given *, char *text);
static void take_faults(struct serve *, struct given *, char *text);
static void take_door(struct serve *, struct given *, const char *text);
static void check(struct serve *, struct given *);
static const char *read_address(struct addr *, const char *text);
static bool read_time(const char *text, uint64_t *us);
static bool read_count(const char *text, uint64_t most, uint64_t *out);
static void say(struct given *, const char *format, ...) __attribute__((format(printf, 2, 3)));

int
serve_read(struct serve *v, int argc, char **argv)
{
	struct given given = { 0 };
	int          option;

	*v = (struct serve){ .workers = 1, .down = 100000, .size = UINT64_MAX, .seed = 1 };
	v->kind = (enum serve_kind)-1;
	optind = 1;
	while ((option = getopt_long(argc, argv, "hqs:w:", longs, NULL)) != -1) {
		if (option == 'h') {
			help();
			return -1;
		}
		if (option == '?')
			given.wrong = true;	/* getopt_long has told */
		else
			take(v, &given, option);
	}
	for (; optind < argc; optind++)
		take_door(v, &given, argv[optind]);
	check(v, &given);
	if (given.wrong) {
		warnx("weir-stress --serve --help tells what there is");
		return 2;
	}
	return 0;
}

static void
help(void)
{
	printf("weir-stress --serve echo|line|sink|source [options] address ...\n"
	       "  --delay T[-T]        each reply waits for so long\n"
	       "  --jitter T           and for a random time up to this one\n"
	       "  --split              bytes are sent one by one\n"
	       "  --fault NAME=P,...   what goes wrong, with its probability: of replies\n"
	       "                       close cut reset half stall crash garbage repeat skip\n"
	       "                       swap delay split pause, of connections door refuse idle\n"
	       "  --down T             how long crash and refuse last (100ms)\n"
	       "  -s, --size N         source: bytes (no end)\n"
	       "  --seed N             of what is random (1)\n"
	       "  -w, --workers N      processes (1)\n"
	       "  -q, --quiet          prints nothing but errors\n"
	       "An address is PORT, HOST:PORT, [V6]:PORT or unix:PATH; port 0 is any.\n");
}

static void
take(struct serve *v, struct given *given, int option)
{
	uint64_t n = 0;

	switch (option) {
	case 'S':
		take_kind(v, given, optarg);
		break;
	case 'D':
		take_delay(v, given, optarg);
		break;
	case 'W':
		if (!read_time(optarg, &v->down))
			say(given, "--down: \"%s\" is no time, like 100ms or 2s", optarg);
		break;
	case 'F':
		take_faults(v, given, optarg);
		break;
	case 'J':
		if (!read_time(optarg, &given->jitter))
			say(given, "--jitter: \"%s\" is no time, like 500us or 2ms", optarg);
		break;
	case 'q':
		v->quiet = true;
		break;
	case 'E':
		if (!str_number(optarg, &v->seed))
			say(given, "--seed: \"%s\" is no number", optarg);
		break;
	case 's':
		given->size = true;
		if (!str_size(optarg, &v->size))
			say(given, "-s: \"%s\" is no size, like 512, 64k or 1m", optarg);
		break;
	case 'P':
		given->split = true;
		break;
	case 'w':
		if (!read_count(optarg, SERVE_WORKERS_MAX, &n))
			say(given, "-w: \"%s\" is no number from 1 to %u", optarg,
			    SERVE_WORKERS_MAX);
		v->workers = (unsigned)n;
		break;
	}
}

static void
take_kind(struct serve *v, struct given *given, const char *text)
{
	for (unsigned i = 0; kinds[i] != NULL; i++) {
		if (strcmp(text, kinds[i]) == 0) {
			v->kind = (enum serve_kind)i;
			return;
		}
	}
	say(given, "--serve: there is no \"%s\", only echo, line, sink and source", text);
	v->kind = SERVE_ECHO;
}

static void
take_delay(struct serve *v, struct given *given, char *text)
{
	char *to = strchr(text, '-');

	if (to != NULL)
		*to++ = '\0';
	given->delay = true;
	if (!read_time(text, &v->delay_min) ||
	    !read_time(to != NULL ? to : text, &v->delay_max) || v->delay_min > v->delay_max)
		say(given, "--delay: write a time or two, like 5ms or 1ms-20ms, the shorter first");
}

static void
take_faults(struct serve *v, struct given *given, char *text)
{
	char       *rest, *word, *value, *end;
	const char *near;
	unsigned    i;
	double      p;

	for (rest = text; (word = strsep(&rest, ",")) != NULL;) {
		value = strchr(word, '=');
		if (value != NULL)
			*value++ = '\0';
		for (i = 0; i < HARM_COUNT && strcmp(word, harm_names[i]) != 0; i++)
			;
		p = value != NULL && *value != '\0' ? strtod(value, &end) : -1;
		if (i == HARM_COUNT) {
			near = str_nearest(word, harm_names);
			say(given, "--fault: there is no \"%s\"%s%s%s", word,
			    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
			    near != NULL ? "?" : ", see --help");
		} else if (!(p >= 0 && p <= 1) || *end != '\0') {
			say(given, "--fault: write %s= and a probability from 0 to 1", word);
		} else {
			v->rates[i] = p;
		}
	}
}

static void
take_door(struct serve *v, struct given *given, const char *text)
{
	struct listen_spec *d;
	const char         *wrong;

	if (v->door_count == SERVE_DOORS_MAX) {
		if (!given->wrong)
			say(given, "more than %u addresses", SERVE_DOORS_MAX);
		return;
	}
	d = &v->doors[v->door_count++];
	/* The backlog is what the kernel allows: a backend should not be the limit. */
	*d = (struct listen_spec){ .backlog = 65535, .mode = 0666, .owner = (uid_t)-1,
		.group = (gid_t)-1, .options.nodelay = true };
	wrong = read_address(&d->addr, text);
	if (wrong != NULL)
		say(given, "%s: %s", text, wrong);
}

static void
check(struct serve *v, struct given *given)
{
	bool waits = v->rates[HARM_DELAY] > 0 || v->rates[HARM_PAUSE] > 0;

	if ((int)v->kind == -1)
		say(given, "--serve: say what: echo, line, sink or source");
	if (v->door_count == 0 && !given->wrong)
		say(given, "where? Give an address to listen on, like 127.0.0.1:7000");
	if (given->size && v->kind != SERVE_SOURCE)
		say(given, "-s is the size of what a source sends; this is none");
	if (waits && !given->delay && given->jitter == 0)
		say(given, "--fault: delay and pause take as long as --delay says; give one");
	if (v->workers > 1 && (v->rates[HARM_CRASH] > 0 || v->rates[HARM_REFUSE] > 0))
		say(given, "--fault: with -w others would still listen; crash and refuse want "
		    "one process, and several addresses for several");
	for (unsigned i = 0; i < v->door_count; i++)
		v->doors[i].reuseport = v->workers > 1 && v->doors[i].addr.sa.sa_family != AF_UNIX;

	v->delay_max += given->jitter;
	if ((given->delay || given->jitter > 0) && !waits)
		v->rates[HARM_DELAY] = 1;
	if (given->split && v->rates[HARM_SPLIT] == 0)
		v->rates[HARM_SPLIT] = 1;
	v->straight = true;
	for (unsigned i = 0; i < HARM_DOOR; i++)
		v->straight = v->straight && v->rates[i] == 0;
}

/* addr_parse, which takes no port 0. */
static const char *
read_address(struct addr *a, const char *text)
{
	char        copy[ADDR_TEXT_MAX];
	size_t      len = strlen(text);
	const char *wrong;

	if (strncmp(text, "unix:", 5) == 0 || len == 0 || len >= sizeof(copy) ||
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

/* As str_time, and with µs. */
static bool
read_time(const char *text, uint64_t *us)
{
	char     digits[24];
	size_t   len = strlen(text);
	uint64_t n;

	if (len > 2 && len < sizeof(digits) && strcmp(text + len - 2, "us") == 0) {
		memcpy(digits, text, len - 2);
		digits[len - 2] = '\0';
		return str_number(digits, us);
	}
	if (!str_time(text, &n) || n > UINT64_MAX / 1000)
		return false;
	*us = n * 1000;
	return true;
}

static bool
read_count(const char *text, uint64_t most, uint64_t *out)
{
	return str_number(text, out) && *out >= 1 && *out <= most;
}

static void
say(struct given *given, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
	given->wrong = true;
}
