/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tagged: many clients that ask lines whose replies can be told apart (tool.h), and verify that
 * each gets the replies to its own requests, in their order, each once.
 *
 *	tagged --to [IPV4:]PORT [--connections N] [--depth N] [--requests N] [--seconds S]
 *	    [--seed N] [--deadline S] [--failure TEXT] [--request-max BYTES] [--reply-max BYTES]
 *	    [--habits NAME=PROBABILITY,...] [--sleep MS]
 *
 * Ends when so many requests have been sent, or after so many seconds, and all have been answered.
 * A client has up to --depth requests unanswered, and sends them in bursts of random size, all in
 * one packet, a packet each, or cut anywhere. Tags are not used twice, also after reconnecting.
 * --failure is the line that stands for the reply to exactly one request.
 *
 * Habits, drawn for each burst:
 *	crumbs	its first bytes are sent one at a time
 *	leave	the client goes when it has been sent: closes or resets, or ends its side and takes
 *		the replies; sometimes behind the beginning of another request; and comes back
 *	sleep	the client reads nothing for up to --sleep milliseconds
 *
 * Prints a line: sent; answered; failed (got the failure line); left (unanswered when the client
 * went); lost (unanswered when the other side closed); cut (connections that were closed within a
 * reply); connects; refused (connects in vain); violations; hung (neither answered, failed, lost
 * nor left in --deadline seconds from when their burst had been sent, or a connection that did not
 * take it or did not end); seconds.
 * sent = answered + failed + left + lost, but for what is hung or behind a violation.
 * Exit status: 1 if there were violations or something was hung; they are told on stderr.
 */
#include "tools/tool.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS = 256,
	READ_SIZE = 65536,
	SHOWN = 20,		/* with as many violations or hung clients it gives up */
	LOOK = 50000,		/* µs between looks at deadlines */
	CRUMBS_MAX = 500,	/* bytes: at one a pass, more would take its time */
	AGAIN = 20000,		/* µs before another connect, after one in vain */
};

enum habit { CRUMBS, LEAVE, SLEEP, HABITS };
static const char *const habit_names[HABITS + 1] = { "crumbs", "leave", "sleep", NULL };

enum step {
	AWAY,		/* no connection; `wake` is when to connect */
	CONNECTING,
	TALKING,
	LEAVING,	/* has ended its side: the replies are due, then the end */
	DONE
};

enum leave { STAY, CLOSE, RESET, END, LEAVES };

enum style { WHOLE, LINES, PIECES, BYTES, STYLES };

/* A request that has not been answered. */
struct asked {
	uint64_t number;
	uint64_t sum;
	uint64_t at;		/* when its burst had been sent; 0: it has not */
	unsigned size;
};

struct client {
	unsigned      id;
	int           fd;
	enum step     step;
	enum style    style;
	enum leave    leave;		/* when `out` has gone */
	struct rng    rng;
	struct bytes  out;
	struct bytes  in;
	struct asked *asked;		/* a ring of `depth` */
	unsigned      first;
	unsigned      count;
	uint64_t      number;		/* of its last request */
	uint64_t      wake;		/* AWAY: connects; else: not read before */
	uint64_t      since;		/* of this step; of the end of its last sleep */
	uint64_t      seen;		/* when it was last connected */
	uint64_t      sent;		/* when it last sent a byte */
	unsigned      crumbs;		/* bytes still to be sent one by one */
	uint32_t      watched;
};

static struct client *clients;
static double rates[HABITS];
static const char *to, *failure;
static size_t failure_len;
static unsigned client_count = 10, depth = 16, request_max = 200, reply_max = 300;
static uint64_t seed = 1, wanted, seconds, deadline_us = 20000000, sleep_us = 50000;
static uint64_t ends_at, next_look;
static uint64_t sent, answered, failed, left, lost, cut, connects, refused, violations, hung;
static volatile int stop;
static unsigned done, told;
static int epfd;

static void check_line(struct client *, const char *line, size_t len);
static void client_ask(struct client *);
static void client_begin(struct client *);
static void client_closed(struct client *);
static void client_event(struct client *, uint32_t events);
static void client_read(struct client *);
static void client_step(struct client *, enum step);
static void client_talk(struct client *);
static void client_watch(struct client *);
static void client_write(struct client *);
static bool enough(void);
static void give_up(struct client *);
static void go_away(struct client *, uint64_t *count, uint64_t pause);
static bool late(struct client *, uint64_t now);
static void leave_now(struct client *);
static void look(uint64_t now);
static void look_at(uint64_t when);
static void note_sent(struct client *);
static void options(int argc, char **argv);
static void append_request(struct client *);
static void violation(struct client *, const char *what, const char *line, size_t len);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENTS];
	uint64_t start, now;
	unsigned i;
	int n;

	stop_on_signals(&stop);
	options(argc, argv);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(client_count, sizeof(*clients));
	if (epfd == -1 || clients == NULL)
		err(2, NULL);
	start = now_us();
	ends_at = seconds > 0 ? start + seconds * 1000000 : 0;
	for (i = 0; i < client_count; i++) {
		clients[i] = (struct client){ .id = i + 1, .fd = -1, .seen = start };
		clients[i].rng = rng_make(seed, i + 1);
		clients[i].asked = calloc(depth, sizeof(*clients[i].asked));
		if (clients[i].asked == NULL)
			err(2, NULL);
		client_begin(&clients[i]);
	}
	while (!stop && done < client_count && told < SHOWN) {
		now = now_us();
		if (now >= next_look)
			look(now);
		n = epoll_wait(epfd, evs, EVENTS,
		    next_look > now ? (int)((next_look - now + 999) / 1000) : 0);
		while (n-- > 0)
			client_event(evs[n].data.ptr, evs[n].events);
	}
	printf("sent=%" PRIu64 " answered=%" PRIu64 " failed=%" PRIu64 " left=%" PRIu64
	       " lost=%" PRIu64 " cut=%" PRIu64 " connects=%" PRIu64 " refused=%" PRIu64
	       " violations=%" PRIu64 " hung=%" PRIu64 " seconds=%.3f\n",
	    sent, answered, failed, left, lost, cut, connects, refused, violations, hung,
	    (double)(now_us() - start) / 1e6);
	for (i = 0; i < client_count; i++) {
		bytes_free(&clients[i].in);
		bytes_free(&clients[i].out);
		free(clients[i].asked);
	}
	free(clients);
	return violations > 0 || hung > 0 || stop;
}

static void
options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "to", required_argument, NULL, 't' },
		{ "connections", required_argument, NULL, 'c' },
		{ "depth", required_argument, NULL, 'd' },
		{ "requests", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "deadline", required_argument, NULL, 'l' },
		{ "failure", required_argument, NULL, 'f' },
		{ "request-max", required_argument, NULL, 'q' },
		{ "reply-max", required_argument, NULL, 'p' },
		{ "habits", required_argument, NULL, 'h' },
		{ "sleep", required_argument, NULL, 'z' },
		{ NULL, 0, NULL, 0 }
	};
	int opt, i;

	while ((opt = getopt_long(argc, argv, "", longs, &i)) != -1) {
		switch (opt) {
		case 't': to = optarg; break;
		case 'c':
			client_count = (unsigned)number_parse("connections", optarg, 20000);
			break;
		case 'd': depth = (unsigned)number_parse("depth", optarg, 100000); break;
		case 'n': wanted = number_parse("requests", optarg, UINT64_MAX); break;
		case 's': seconds = number_parse("seconds", optarg, 1000000); break;
		case 'r': seed = number_parse("seed", optarg, UINT64_MAX); break;
		case 'l': deadline_us = 1000000 * number_parse("deadline", optarg, 1000000); break;
		case 'f': failure = optarg; break;
		case 'q':
			request_max = (unsigned)number_parse("request-max", optarg, 1000000);
			break;
		case 'p': reply_max = (unsigned)number_parse("reply-max", optarg, 1000000); break;
		case 'h': rates_parse(optarg, habit_names, rates); break;
		case 'z': sleep_us = 1000 * number_parse("sleep", optarg, 1000000); break;
		default: exit(2);
		}
	}
	if (to == NULL || optind != argc || client_count == 0 || depth == 0 ||
	    (!wanted && !seconds))
		errx(2, "needs --to, and --requests or --seconds");
	failure_len = failure != NULL ? strlen(failure) : 0;
}

/* Whether no further request is to be sent. */
static bool
enough(void)
{
	return (wanted > 0 && sent >= wanted) || (ends_at > 0 && now_us() >= ends_at);
}

/* ------------------------------------------------------------ coming and going */

static void
client_step(struct client *c, enum step step)
{
	c->step = step;
	c->since = now_us();
	if (step == DONE)
		done++;
}

static void
client_begin(struct client *c)
{
	c->in.len = c->in.start = c->out.len = c->out.start = 0;
	c->count = c->first = 0;
	c->leave = STAY;
	c->wake = 0;
	c->watched = EPOLLOUT;
	client_step(c, CONNECTING);
	c->fd = connect_to(to);
	if (c->fd == -1) {
		go_away(c, &refused, AGAIN);
		return;
	}
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd,
	    &(struct epoll_event){ .events = EPOLLOUT, .data.ptr = c }) == -1)
		err(2, "epoll");
}

/* Closes; what it waits for, or the one connect in vain, is added to *count. */
static void
go_away(struct client *c, uint64_t *count, uint64_t pause)
{
	*count += c->step == CONNECTING ? 1 : c->count;
	c->count = 0;
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	client_step(c, enough() ? DONE : AWAY);
	c->wake = now_us() + pause;
	look_at(c->wake);
}

/* The other side has closed. */
static void
client_closed(struct client *c)
{
	if (c->in.len > 0)
		cut++;
	go_away(c, &lost, 0);
}

static void
leave_now(struct client *c)
{
	enum leave how = c->leave;

	c->leave = STAY;
	if (how == END) {
		shutdown(c->fd, SHUT_WR);
		client_step(c, LEAVING);
		return;
	}
	if (how == RESET)
		reset_at_close(c->fd);
	go_away(c, &left, 0);
}

/* ------------------------------------------------------------------ what happens */

static void
client_event(struct client *c, uint32_t events)
{
	socklen_t len;
	int error;

	if (c->fd == -1)
		return;
	if (c->step == CONNECTING) {
		len = sizeof(error);
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0) {
			go_away(c, &refused, AGAIN);
			return;
		}
		connects++;
		client_step(c, TALKING);
	} else if (events & ~(uint32_t)EPOLLOUT) {
		client_read(c);
	}
	client_talk(c);
}

/* Says what it has to say, and more if it likes. */
static void
client_talk(struct client *c)
{
	if (c->fd != -1 && c->step == TALKING && c->out.len == 0)
		client_ask(c);
	if (c->fd != -1 && c->out.len > 0)
		client_write(c);
	if (c->fd != -1 && c->out.len == 0 && c->leave != STAY)
		leave_now(c);
	if (c->fd != -1)
		client_watch(c);
}

static void
client_watch(struct client *c)
{
	uint32_t want;

	want = (c->wake <= now_us() ? EPOLLIN : 0) | (c->out.len > 0 ? EPOLLOUT : 0);
	if (want != c->watched && epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd,
	    &(struct epoll_event){ .events = want, .data.ptr = c }) == -1)
		err(2, "epoll");
	c->watched = want;
}

/* When to look; 0: never for this. */
static void
look_at(uint64_t when)
{
	if (when != 0 && when < next_look)
		next_look = when;
}

/* Looks at what no event tells: those who come back or wake up, and deadlines. */
static void
look(uint64_t now)
{
	struct client *c;

	next_look = now + LOOK;
	for (c = clients; c < clients + client_count; c++) {
		if (c->step == DONE)
			continue;
		if (late(c, now)) {
			give_up(c);
			continue;
		}
		if (c->wake != 0 && c->wake <= now) {
			c->wake = 0;
			if (c->step == AWAY)
				client_begin(c);
			else
				c->since = now;
		}
		look_at(c->wake);
		if (c->step == TALKING || c->step == LEAVING)
			client_talk(c);
	}
}

/* Whether something has not happened in time; also notes when it was last connected. */
static bool
late(struct client *c, uint64_t now)
{
	uint64_t since, asked;

	if (c->step == AWAY || c->step == CONNECTING)
		return c->seen + deadline_us < now;
	c->seen = now;
	if (c->wake != 0 || (c->count == 0 && c->step == TALKING))
		return false;
	since = c->since;
	asked = c->count > 0 ? c->asked[c->first].at : 0;
	if (asked == 0)
		asked = c->sent;
	if (asked > since)
		since = asked;
	return since + deadline_us < now;
}

static void
give_up(struct client *c)
{
	static const char *const steps[] = { "away", "connecting", "talking", "leaving" };

	told++;
	hung += c->count > 0 ? c->count : 1;
	fprintf(stderr,
	    "client %u: hung while %s: %u unanswered, %zu bytes to send, %zu of a reply", c->id,
	    steps[c->step], c->count, c->out.len, c->in.len);
	if (c->count > 0)
		fprintf(stderr, ", the first is c%u.%" PRIu64, c->id, c->asked[c->first].number);
	fprintf(stderr, "\n");
	c->count = 0;
	c->seen = now_us();
	go_away(c, c->step == CONNECTING ? &refused : &lost, AGAIN);
}

/* ----------------------------------------------------------------------- asking */

/* Begins a burst, perhaps; at the end of all, ends its side. */
static void
client_ask(struct client *c)
{
	unsigned n;

	if (enough()) {
		if (c->count == 0)
			c->leave = END;
		return;
	}
	if (c->count == depth || (c->count > 0 && !rng_chance(&c->rng, 0.3)))
		return;
	n = 1 + (unsigned)rng_below(&c->rng, rng_chance(&c->rng, 0.5) ? depth - c->count : 1);
	for (; n > 0 && !enough(); n--)
		append_request(c);
	c->style = (enum style)rng_below(&c->rng, BYTES);
	if (rng_chance(&c->rng, rates[CRUMBS]))
		c->style = BYTES;
	c->crumbs = CRUMBS_MAX;
	if (rng_chance(&c->rng, rates[SLEEP])) {
		c->wake = now_us() + rng_below(&c->rng, sleep_us + 1);
		look_at(c->wake);
	}
	if (rng_chance(&c->rng, rates[LEAVE])) {
		c->leave = (enum leave)(1 + rng_below(&c->rng, LEAVES - 1));
		if (rng_chance(&c->rng, 0.5))
			bytes_append(&c->out, "unfinished", 1 + rng_below(&c->rng, 10));
	}
}

/* Most are short; an eighth may be of any size. A sixteenth ends with CR LF. */
static void
append_request(struct client *c)
{
	struct asked *a;
	char *line;
	size_t head, len;
	bool large;

	a = &c->asked[(c->first + c->count++) % depth];
	large = rng_chance(&c->rng, 0.125);
	len = rng_below(&c->rng, (large ? request_max : request_max / 10) + 1);
	a->number = ++c->number;
	a->size = (unsigned)rng_below(&c->rng, (large ? reply_max : reply_max / 10) + 1);
	a->at = 0;
	line = bytes_room(&c->out, len + 64);
	head = (size_t)snprintf(line, 62, "c%u.%" PRIu64 " %u ", c->id, a->number, a->size);
	for (len += head; head < len; head++) {
		do
			line[head] = (char)rng_below(&c->rng, 256);
		while (line[head] == '\n');
	}
	if (rng_chance(&c->rng, 0.0625))
		line[len++] = '\r';
	a->sum = line_sum(line, len);
	line[len++] = '\n';
	c->out.len += len;
	sent++;
}

/* All that it has asked is on its way. */
static void
note_sent(struct client *c)
{
	struct asked *a;
	unsigned i;

	for (i = c->count; i > 0; i--) {
		a = &c->asked[(c->first + i - 1) % depth];
		if (a->at != 0)
			break;
		a->at = c->sent;
	}
}

static void
client_write(struct client *c)
{
	const char *line;
	ssize_t n;
	size_t len;

	do {
		len = c->out.len;
		if (c->style == LINES && (line = bytes_line(&c->out, &len)) != NULL)
			len++;
		else if (c->style == PIECES)
			len = 1 + rng_below(&c->rng, len);
		else if (c->style == BYTES && c->crumbs > 0)
			len = 1, c->crumbs--;
		n = send(c->fd, c->out.data + c->out.start, len, MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1) {
			/* What it was sent before can still be read. */
			bytes_consume(&c->out, c->out.len);
			c->leave = STAY;
			client_step(c, LEAVING);
			return;
		}
		bytes_consume(&c->out, (size_t)n);
		c->sent = now_us();
	} while (c->out.len > 0 && c->style == LINES);
	if (c->out.len == 0)
		note_sent(c);
}

/* -------------------------------------------------------------------- answers */

static void
client_read(struct client *c)
{
	const char *line;
	ssize_t n;
	size_t len;

	n = recv(c->fd, bytes_room(&c->in, READ_SIZE), READ_SIZE, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_closed(c);
		return;
	}
	c->in.len += (size_t)n;
	while (c->fd != -1 && (line = bytes_line(&c->in, &len)) != NULL) {
		check_line(c, line, len);
		bytes_consume(&c->in, len + 1);
	}
}

/* The line has to be the reply to the oldest request, or the failure line. */
static void
check_line(struct client *c, const char *line, size_t len)
{
	static struct bytes expected;
	struct asked *a;
	char tag[64];

	if (c->count == 0) {
		violation(c, "nothing was asked", line, len);
		return;
	}
	a = &c->asked[c->first];
	expected.len = expected.start = 0;
	bytes_append_reply(&expected, tag,
	    (size_t)snprintf(tag, sizeof(tag), "c%u.%" PRIu64, c->id, a->number), a->sum, a->size);
	if (len + 1 == expected.len && memcmp(line, expected.data, len) == 0) {
		answered++;
	} else if (failure != NULL && len == failure_len && memcmp(line, failure, len) == 0) {
		failed++;
	} else {
		violation(c, NULL, line, len);
		return;
	}
	c->first = (c->first + 1) % depth;
	c->count--;
}

/* Tells what is wrong with a line, and closes: nothing after it could be judged. */
static void
violation(struct client *c, const char *what, const char *line, size_t len)
{
	struct asked *a;
	uint64_t number;
	unsigned id;
	char copy[64];

	violations++;
	told++;
	a = &c->asked[c->first];
	snprintf(copy, sizeof(copy), "%.*s", (int)(len < 60 ? len : 60), line);
	if (sscanf(copy, "c%u.%" SCNu64 " ", &id, &number) != 2)
		what = what != NULL ? what : "no reply";
	else if (id != c->id)
		what = "another client's reply";
	else if (c->count == 0 || number < a->number)
		what = "a reply to what was answered before";
	else if (number > a->number)
		what = "a reply before its turn";
	else
		what = "a reply with wrong bytes";
	fprintf(stderr, "client %u: %s: got \"%s%s\" (%zu bytes), ", c->id, what, copy,
	    len > 60 ? "…" : "", len);
	if (c->count > 0)
		fprintf(stderr,
		    "unanswered are c%u.%" PRIu64 " (%u bytes, sum %016" PRIx64 ") and %u more\n",
		    c->id, a->number, a->size, a->sum, c->count - 1);
	else
		fprintf(stderr, "all was answered up to c%u.%" PRIu64 "\n", c->id, c->number);
	go_away(c, &lost, 0);
}
