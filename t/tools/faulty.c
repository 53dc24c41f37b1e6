/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faulty: a backend that answers each line with a reply of the same tag (tool.h), and breaks in
 * every way a backend can, at random.
 *
 *	faulty [--port N ...] [--seed N] [--faults NAME=PROBABILITY,...] [--delay MS] [--down MS]
 *
 * Each --port is a peer of its own, on 127.0.0.1; 0 is any port. "ports=N,N" is printed when it
 * listens. It ends when its standard input ends or at SIGTERM, and prints a line of counts:
 * accepted, requests, answered, unanswered (no whole reply was begun), again (requests that had
 * come before, to whichever port), and how often each fault happened.
 *
 * Faults of a request:
 *	delay	its reply waits up to --delay milliseconds; replies of a connection stay in order
 *	split	its reply goes out a byte at a time
 *	pause	the connection is not read for up to --delay milliseconds
 *	close	closed in place of the reply, by close(2) or by a FIN alone
 *	cut	the same within the reply
 *	reset	reset in place of the reply
 *	half	half a reply, then silence for good
 *	stall	silence for good
 *	crash	this peer resets all its connections and is down for --down milliseconds
 * Faults of a connection:
 *	door	closed as soon as it is accepted
 *	down	closed like that, and nobody listens for up to --down milliseconds
 *	idle	closed up to --delay milliseconds after it had nothing to do
 * Lies, of a request, for testing what must find them:
 *	swap	two connections get each other's reply
 *	reorder	two replies of one connection change their places
 *	repeat	the reply is sent twice
 *	skip	there is no reply, but there are those after it
 *	wrong	a byte of the reply is another
 *
 * What a connection does depends on the seed, its number and what is asked of it, not on time.
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
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 16, EVENTS = 256, READ_SIZE = 65536, SWAP_WAIT = 200000 /* µs */ };

enum fault {
	DELAY,
	SPLIT,
	PAUSE,
	CLOSE,
	CUT,
	RESET,
	HALF,
	STALL,
	CRASH,
	DOOR,
	DOWN,
	IDLE,
	SWAP,
	REORDER,
	REPEAT,
	SKIP,
	WRONG,
	FAULTS,
	NONE = FAULTS
};

static const char *const fault_names[FAULTS + 1] = {
	"delay", "split", "pause", "close", "cut", "reset", "half", "stall", "crash", "door",
	"down", "idle", "swap", "reorder", "repeat", "skip", "wrong", NULL
};

struct reply {
	TAILQ_ENTRY(reply) entry;
	uint64_t           due;
	enum fault         fault;	/* NONE, or what ends the connection here */
	bool               split;
	struct bytes       text;
};

struct peer {
	int      fd;		/* -1: nobody listens … */
	uint64_t up_at;		/* … until then */
	unsigned port;
	bool     crashes;	/* at the end of this pass */
};

struct conn {
	LIST_ENTRY(conn) entry;
	TAILQ_HEAD(replies, reply) replies;
	struct peer     *peer;
	struct rng       rng;
	struct bytes     in;
	struct bytes     out;		/* replies that are due */
	uint64_t         last_due;
	uint64_t         read_at;	/* not read before */
	uint64_t         close_at;	/* when it stays idle; 0: never */
	uint32_t         watched;
	enum fault       fault;		/* what happens when `out` has gone */
	int              fd;		/* -1: freed at the end of the pass */
	bool             split;		/* `out` goes a byte a pass */
	bool             silent;	/* says nothing more; what comes is dropped */
	bool             busy;		/* it had a request since it was last idle */
};

static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static struct peer peers[PEERS];
static unsigned peer_count;
static double rates[FAULTS];
static uint64_t seed = 1, delay_us = 20000, down_us = 100000;
static uint64_t happened[FAULTS], accepted, requests, answered, unanswered, again;
static uint64_t *tags;		/* sums of all tags that came; 0: free */
static size_t tags_size, tags_count;
static struct conn *held_by;	/* whose reply waits for another to be swapped with */
static struct reply *held;
static volatile int stop;
static int epfd;

static void accept_all(struct peer *);
static void answer(struct conn *, const char *line, size_t len);
static void conn_close(struct conn *);
static void conn_end(struct conn *, enum fault);
static void conn_free(struct conn *);
static void conn_read(struct conn *);
static void conn_watch(struct conn *);
static void conn_write(struct conn *);
static enum fault draw_end(struct rng *);
static bool happens(struct rng *, enum fault);
static void lie(struct conn *, struct reply *);
static void options(int argc, char **argv);
static void peer_down(struct peer *);
static void peer_up(struct peer *);
static void print_counts(void);
static void release(struct conn *);
static void remember(const char *tag, size_t len);
static void reply_free(struct reply *);
static void sweep(void);
static uint64_t tick(uint64_t now);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENTS];
	uint64_t now, next;
	char junk[256];
	unsigned i;
	int n;

	stop_on_signals(&stop);
	options(argc, argv);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	/* A file is always at its end, and epoll does not take it. */
	if (epfd == -1 || epoll_ctl(epfd, EPOLL_CTL_ADD, STDIN_FILENO,
	    &(struct epoll_event){ .events = EPOLLIN }) == -1)
		err(2, "epoll");
	for (i = 0; i < peer_count; i++)
		peer_up(&peers[i]);
	for (i = 0; i < peer_count; i++)
		printf("%s%u", i == 0 ? "ports=" : ",", peers[i].port);
	printf("\n");
	fflush(stdout);
	while (!stop) {
		now = now_us();
		next = tick(now);
		n = epoll_wait(epfd, evs, EVENTS,
		    next == 0 ? 1000 : (int)((next - now + 999) / 1000));
		while (n-- > 0) {
			if (evs[n].data.ptr == NULL)
				stop |= read(STDIN_FILENO, junk, sizeof(junk)) <= 0;
			else if ((struct peer *)evs[n].data.ptr >= peers &&
			    (struct peer *)evs[n].data.ptr < peers + PEERS)
				accept_all(evs[n].data.ptr);
			else if (evs[n].events & ~(uint32_t)EPOLLOUT)
				conn_read(evs[n].data.ptr);
			else
				conn_write(evs[n].data.ptr);
		}
		sweep();
	}
	print_counts();
	while (!LIST_EMPTY(&conns)) {
		conn_close(LIST_FIRST(&conns));
		sweep();
	}
	free(tags);
	return 0;
}

static void
options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },
		{ "faults", required_argument, NULL, 'f' },
		{ "delay", required_argument, NULL, 'd' },
		{ "down", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case 'p':
			if (peer_count == PEERS)
				errx(2, "more than %d ports", PEERS);
			peers[peer_count++].port = (unsigned)number_parse("port", optarg, 65535);
			break;
		case 's': seed = number_parse("seed", optarg, UINT64_MAX); break;
		case 'f': rates_parse(optarg, fault_names, rates); break;
		case 'd': delay_us = 1000 * number_parse("delay", optarg, 1000000); break;
		case 'w': down_us = 1000 * number_parse("down", optarg, 1000000); break;
		default: exit(2);
		}
	}
	if (optind != argc)
		errx(2, "what is %s?", argv[optind]);
	if (peer_count == 0)
		peer_count = 1;
}

static void
print_counts(void)
{
	int i;

	printf("accepted=%" PRIu64 " requests=%" PRIu64 " answered=%" PRIu64
	       " unanswered=%" PRIu64 " again=%" PRIu64,
	    accepted, requests, answered, unanswered, again);
	for (i = 0; i < FAULTS; i++)
		printf(" %s=%" PRIu64, fault_names[i], happened[i]);
	printf("\n");
}

/* ------------------------------------------------------------------- peers */

/* Somebody else may have taken the port meanwhile: then later. */
static void
peer_up(struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };
	bool first = p->up_at == 0;

	p->fd = listen_on(p->port);
	if (p->fd == -1) {
		if (first || errno != EADDRINUSE)
			err(2, "port %u", p->port);
		p->up_at = now_us() + 10000;
		return;
	}
	p->port = port_of(p->fd);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, p->fd, &ev) == -1)
		err(2, "epoll");
}

static void
peer_down(struct peer *p)
{
	if (p->fd == -1)
		return;
	close(p->fd);
	p->fd = -1;
	p->up_at = now_us() + down_us;
}

static void
accept_all(struct peer *p)
{
	struct epoll_event ev = { .events = 0 };
	struct conn *c;
	int fd;

	while (p->fd != -1) {
		fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			return;
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			err(2, NULL);
		c->fd = fd;
		c->peer = p;
		c->rng = rng_make(seed, ++accepted);
		c->fault = NONE;
		TAILQ_INIT(&c->replies);
		LIST_INSERT_HEAD(&conns, c, entry);
		ev.data.ptr = c;
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
			err(2, "epoll");
		conn_watch(c);
		if (happens(&c->rng, DOOR)) {
			conn_end(c, CLOSE);
		} else if (happens(&c->rng, DOWN)) {
			conn_end(c, CLOSE);
			peer_down(p);
		}
	}
}

/* ---------------------------------------------------- what time brings about */

/* Does what is due, and tells when to come again; 0: nothing waits. */
static uint64_t
tick(uint64_t now)
{
	struct reply *first;
	struct conn *c;
	uint64_t next;
	unsigned i;

	next = 0;
#define AT(when) (next = next == 0 || (when) < next ? (when) : next)
	for (i = 0; i < peer_count; i++) {
		if (peers[i].fd == -1 && peers[i].up_at <= now)
			peer_up(&peers[i]);
		if (peers[i].fd == -1)
			AT(peers[i].up_at);
	}
	for (c = LIST_FIRST(&conns); c != NULL; c = LIST_NEXT(c, entry)) {
		if (c->read_at > now)
			AT(c->read_at);
		if (c->out.len == 0)
			conn_write(c);
		if (c->fd == -1)
			continue;
		first = TAILQ_FIRST(&c->replies);
		if (first != NULL && c->out.len == 0)
			AT(first->due);
		if (c->close_at != 0 && c->close_at <= now)
			conn_end(c, CLOSE);
		else if (c->close_at != 0)
			AT(c->close_at);
		if (c->fd != -1)
			conn_watch(c);
	}
#undef AT
	sweep();
	return next != 0 && next <= now ? now : next;
}

static void
sweep(void)
{
	struct conn *c, *next;

	for (c = LIST_FIRST(&conns); c != NULL; c = LIST_NEXT(c, entry)) {
		if (c->fd != -1 && c->peer->crashes)
			conn_end(c, RESET);
	}
	for (unsigned i = 0; i < peer_count; i++) {
		if (peers[i].crashes)
			peer_down(&peers[i]);
		peers[i].crashes = false;
	}
	for (c = LIST_FIRST(&conns); c != NULL; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->fd == -1)
			conn_free(c);
	}
}

/* ------------------------------------------------------------- connections */

static void
conn_watch(struct conn *c)
{
	uint32_t want;

	want = (c->read_at <= now_us() ? EPOLLIN : 0) | (c->out.len > 0 ? EPOLLOUT : 0);
	if (want != c->watched && epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd,
	    &(struct epoll_event){ .events = want, .data.ptr = c }) == -1)
		err(2, "epoll");
	c->watched = want;
}

static void
conn_read(struct conn *c)
{
	const char *line;
	ssize_t n;
	size_t len;

	if (c->fd == -1)
		return;
	n = recv(c->fd, bytes_room(&c->in, READ_SIZE), READ_SIZE, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->in.len += (size_t)n;
	c->close_at = 0;
	while ((line = bytes_line(&c->in, &len)) != NULL) {
		answer(c, line, len);
		bytes_consume(&c->in, len + 1);
	}
	conn_write(c);
	if (c->fd != -1)
		conn_watch(c);
}

/* Sends what is due, as one write where nothing forbids it. */
static void
conn_write(struct conn *c)
{
	ssize_t n;

	while (c->fd != -1) {
		release(c);
		if (c->out.len == 0)
			break;
		n = send(c->fd, c->out.data + c->out.start, c->split ? 1 : c->out.len,
		    MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1) {
			conn_close(c);
			return;
		}
		bytes_consume(&c->out, (size_t)n);
		if (c->out.len == 0 && c->fault != NONE)
			conn_end(c, c->fault);
		if (c->split)
			break;
	}
	if (c->fd == -1)
		return;
	if (c->busy && c->out.len == 0 && TAILQ_EMPTY(&c->replies)) {
		c->busy = false;
		if (!c->silent && happens(&c->rng, IDLE))
			c->close_at = now_us() + rng_below(&c->rng, delay_us + 1);
	}
	conn_watch(c);
}

/* Puts replies that are due into `out`, up to one that has to go alone or is the last. */
static void
release(struct conn *c)
{
	struct reply *r;
	uint64_t now;

	now = now_us();
	while (c->fault == NONE && (c->out.len == 0 || !c->split)) {
		r = TAILQ_FIRST(&c->replies);
		if (r == NULL || r->due > now || (c->out.len > 0 && r->split))
			return;
		TAILQ_REMOVE(&c->replies, r, entry);
		c->split = r->split;
		c->fault = r->fault;
		bytes_append(&c->out, r->text.data, r->text.len);
		if (r->fault == NONE)
			answered++;
		else
			unanswered++;
		reply_free(r);
		if (c->out.len == 0 && c->fault != NONE) {
			conn_end(c, c->fault);
			return;
		}
	}
}

/* What a fault does when all before it has gone. */
static void
conn_end(struct conn *c, enum fault fault)
{
	struct reply *r;

	c->fault = NONE;
	c->close_at = 0;
	if (fault == CRASH) {
		c->peer->crashes = true;
		c->silent = true;
	} else if (fault == STALL || fault == HALF) {
		c->silent = true;
	} else if (fault == RESET) {
		reset_at_close(c->fd);
		conn_close(c);
		return;
	} else if (rng_chance(&c->rng, 0.5)) {
		conn_close(c);
		return;
	} else {
		shutdown(c->fd, SHUT_WR);
		c->silent = true;
	}
	while ((r = TAILQ_FIRST(&c->replies)) != NULL) {
		TAILQ_REMOVE(&c->replies, r, entry);
		reply_free(r);
		unanswered++;
	}
}

static void
conn_close(struct conn *c)
{
	if (c->fd == -1)
		return;
	close(c->fd);
	c->fd = -1;
}

static void
conn_free(struct conn *c)
{
	struct reply *r;

	LIST_REMOVE(c, entry);
	while ((r = TAILQ_FIRST(&c->replies)) != NULL) {
		TAILQ_REMOVE(&c->replies, r, entry);
		reply_free(r);
		unanswered++;
	}
	bytes_free(&c->in);
	bytes_free(&c->out);
	free(c);
}

/* ----------------------------------------------------------------- requests */

static bool
happens(struct rng *r, enum fault fault)
{
	if (!rng_chance(r, rates[fault]))
		return false;
	happened[fault]++;
	return true;
}

static enum fault
draw_end(struct rng *r)
{
	static const enum fault ends[] = { CLOSE, CUT, RESET, HALF, STALL, CRASH };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (happens(r, ends[i]))
			return ends[i];
	}
	return NONE;
}

static void
answer(struct conn *c, const char *line, size_t len)
{
	struct reply *r;
	uint64_t now;
	size_t tag_len;
	char size[16];

	requests++;
	c->busy = true;
	tag_len = strcspn(line, " \n");
	remember(line, tag_len);
	if (c->silent) {
		unanswered++;
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		err(2, NULL);
	now = now_us();
	snprintf(size, sizeof(size), "%.8s", line[tag_len] == ' ' ? line + tag_len + 1 : "");
	bytes_append_reply(&r->text, line, tag_len, line_sum(line, len),
	    (unsigned)strtoul(size, NULL, 10) % (1u << 20));
	r->due = c->last_due > now ? c->last_due : now;
	if (happens(&c->rng, DELAY))
		r->due = now + rng_below(&c->rng, delay_us + 1);
	if (r->due < c->last_due)
		r->due = c->last_due;
	c->last_due = r->due;
	r->split = happens(&c->rng, SPLIT);
	r->fault = draw_end(&c->rng);
	if (r->fault == CUT || r->fault == HALF)
		r->text.len = 1 + rng_below(&c->rng, r->text.len - 1);
	else if (r->fault != NONE)
		r->text.len = 0;
	if (happens(&c->rng, PAUSE))
		c->read_at = now + rng_below(&c->rng, delay_us + 1);
	lie(c, r);
}

/* Queues the reply, or something else. */
static void
lie(struct conn *c, struct reply *r)
{
	struct reply *last;
	struct bytes text;

	last = TAILQ_LAST(&c->replies, replies);
	if (r->fault == NONE && happens(&c->rng, SKIP)) {
		reply_free(r);
		return;
	}
	if (r->fault == NONE && happens(&c->rng, REPEAT)) {
		text = r->text;
		r->text = (struct bytes){ 0 };
		bytes_append(&r->text, text.data, text.len);
		bytes_append(&r->text, text.data, text.len);
		bytes_free(&text);
	} else if (r->fault == NONE && happens(&c->rng, WRONG)) {
		r->text.data[rng_below(&c->rng, r->text.len - 1)] ^= 1;
	} else if (r->fault == NONE && held != NULL && held_by != c) {
		text = held->text;
		held->text = r->text;
		r->text = text;
		held->due = 0;
		held = NULL;
		happened[SWAP]++;
	} else if (r->fault == NONE && held == NULL && rng_chance(&c->rng, rates[SWAP])) {
		held = r;
		held_by = c;
		r->due = c->last_due = now_us() + SWAP_WAIT;
	} else if (r->fault == NONE && last != NULL && last->fault == NONE && last != held &&
	    happens(&c->rng, REORDER)) {
		text = last->text;
		last->text = r->text;
		r->text = text;
	}
	TAILQ_INSERT_TAIL(&c->replies, r, entry);
}

static void
reply_free(struct reply *r)
{
	if (held == r)
		held = NULL;
	bytes_free(&r->text);
	free(r);
}

/* A request that comes again was sent twice by whoever is in front. */
static void
remember(const char *tag, size_t len)
{
	uint64_t *old, sum;
	size_t i, old_size;

	if (2 * tags_count >= tags_size) {
		old = tags;
		old_size = tags_size;
		tags_size = tags_size == 0 ? 4096 : 2 * tags_size;
		tags = calloc(tags_size, sizeof(*tags));
		if (tags == NULL)
			err(2, NULL);
		for (i = 0; i < old_size; i++) {
			size_t to = old[i] & (tags_size - 1);

			while (old[i] != 0 && tags[to] != 0)
				to = (to + 1) & (tags_size - 1);
			if (old[i] != 0)
				tags[to] = old[i];
		}
		free(old);
	}
	sum = line_sum(tag, len);
	sum += sum == 0;
	for (i = sum & (tags_size - 1); tags[i] != 0; i = (i + 1) & (tags_size - 1)) {
		if (tags[i] == sum) {
			again++;
			return;
		}
	}
	tags[i] = sum;
	tags_count++;
}
