/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load-lines: a closed-loop load client that asks in lines and checks every byte of every reply:
 * each connection gets the replies to its own requests, all of them, in their order.
 *
 *	idle	open, one request each, hold until stdin ends
 *	run	-d requests in flight on each connection
 *
 * What is asked (-f), by connection C and its request N, both of them in hexadecimal:
 *
 *	lines	"?C N....\n", of -s bytes; the reply is the same with "=" in front (line-backend)
 *	inline	"INCR KEY\r\n" of Redis, with a key for each connection; the reply is ":COUNT\r\n"
 *	resp	the same in Redis's own framing
 *
 * A connection's first request to Redis raises its key from 0 to a number of its own, so that no
 * other's reply passes for it. Requests are of one size, and so are replies.
 */
#include "bench.h"
#include "cpu.h"
#include "times.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENT_BATCH = 512,
	OPENING = 64,			/* connections being opened at a time */
	BUFFER = 1 << 16,
	TEXT_MAX = 4096,
	PIDS_MAX = 64,
	POLL_MS = 20,
	DRAIN_MS = 3000,
	STALL_MS = 20000,		/* opening, without any progress */
};

#define COUNT_FIRST 10000000000000u	/* of Redis's counters: 14 digits, whatever happens */
#define COUNT_EACH  1000000000u		/* between those of two connections */

enum form { LINES, INLINE, RESP };
enum phase { OPEN, RUN, MEASURE, DRAIN };

struct conn {
	int fd;			/* -1: not open */
	bool pending;		/* being opened: its first reply has not come */
	bool ending;		/* a FIN is here: it makes no further edge */
	uint32_t sent_part;	/* bytes of the request after those sent */
	uint32_t got_part;	/* bytes of the reply after those received */
	uint64_t sent;		/* requests */
	uint64_t received;	/* replies */
	uint64_t mark;		/* this many replies end the time that began at ... */
	uint64_t mark_time;	/* ... this; 0: none is being taken */
};

static const char *const forms[] = { "lines", "inline", "resp" };
static enum form form;
static enum phase phase;
static bool idle;
static struct sockaddr_in target;
static unsigned long conns = 1, size = 64, depth = 1, warm_ms = 500, measure_ms = 2000;
static pid_t watched[PIDS_MAX], backends[PIDS_MAX];
static size_t watched_count, backends_count;

static char request[TEXT_MAX], reply[TEXT_MAX];	/* what is the same in all of them */
static size_t request_len, reply_len;
static size_t request_conn;		/* where the connection's digits are */
static uint32_t run_id;			/* in Redis's keys: those of an earlier run are others */

static int epfd;
static struct conn *table;	/* those of serial number 0 and up */
static size_t opening, opened, next;
static unsigned long done, failed, wrong, lost;
static struct times times;
static char buffer[BUFFER];

static bool check(struct conn *c, const char *at, size_t len);
static void conn_fail(struct conn *c, const char *what);
static void conn_open(struct conn *c);
static int conn_receive(struct conn *c);
static void conn_send(struct conn *c, uint64_t goal);
static void conn_turn(struct conn *c);
static void drain(void);
static void measure(void);
static void open_all(void);
static void options(int argc, char **argv);
static void pass(void);
static size_t put_first(char *to, uint32_t serial);
static void put_hex(char *to, uint32_t n);
static void put_reply(char *to, uint32_t serial, uint64_t n);
static void put_request(char *to, uint32_t serial, uint64_t n);
static void run_until(uint64_t ns);
static bool stdin_open(void);
static void texts(void);
static void usage(void) __attribute__((noreturn));

int
main(int argc, char **argv)
{
	options(argc, argv);
	raise_descriptors();
	signal(SIGPIPE, SIG_IGN);
	texts();
	table = calloc(conns, sizeof(*table));
	if (table == NULL) {
		die("no memory");
	}
	for (size_t i = 0; i < conns; i++) {
		table[i].fd = -1;
	}
	epfd = epoll_open();
	open_all();
	if (idle) {
		while (stdin_open()) {
			pass();
		}
	} else {
		measure();
		drain();
		printf("p50_us=%.0f p99_us=%.0f max_us=%.0f failed=%lu wrong=%lu lost=%lu\n",
		    times_share(&times, 0.5), times_share(&times, 0.99), times_share(&times, 1),
		    failed, wrong, lost);
	}
	return failed + wrong + lost == 0 && (idle || done > 0) ? 0 : 1;
}

static void
usage(void)
{
	fputs("usage: load-lines idle|run [-f lines|inline|resp] [-c CONNECTIONS] [-d DEPTH]\n"
	      "                  [-s SIZE] [-w WARM_MS] [-t MEASURE_MS] [-P PID[,PID...]]\n"
	      "                  [-B BACKEND_PID[,PID...]] 127.x.x.x:PORT\n",
	    stderr);
	exit(2);
}

static void
options(int argc, char **argv)
{
	size_t f;
	int opt;

	if (argc < 2 || (strcmp(argv[1], "idle") != 0 && strcmp(argv[1], "run") != 0)) {
		usage();
	}
	idle = strcmp(argv[1], "idle") == 0;
	optind = 2;
	while ((opt = getopt(argc, argv, "B:c:d:f:P:s:t:w:")) != -1) {
		switch (opt) {
		case 'B': backends_count = pids(optarg, backends, PIDS_MAX); break;
		case 'c': conns = number(opt, optarg, 1, 1000000); break;
		case 'd': depth = number(opt, optarg, 1, 4096); break;
		case 'f':
			for (f = 0; f < 3 && strcmp(optarg, forms[f]) != 0; f++) {
			}
			if (f == 3) {
				usage();
			}
			form = (enum form)f;
			break;
		case 'P': watched_count = pids(optarg, watched, PIDS_MAX); break;
		case 's': size = number(opt, optarg, 20, TEXT_MAX); break;
		case 't': measure_ms = number(opt, optarg, 1, 3600000); break;
		case 'w': warm_ms = number(opt, optarg, 0, 3600000); break;
		default: usage();
		}
	}
	if (argc - optind != 1) {
		usage();
	}
	address(argv[optind], &target);
}

/* ---- what is said ---- */

static void
texts(void)
{
	run_id = (uint32_t)(now_ns() >> 10);
	if (form == LINES) {
		request_len = reply_len = size;
		memset(request, '.', size);
		request[0] = '?';
		request[9] = ' ';
		request[size - 1] = '\n';
		request_conn = 1;
		memcpy(reply, request, size);
		reply[0] = '=';
		return;
	}
	request_len = (size_t)snprintf(request, sizeof(request),
	    form == INLINE ? "INCR %08x.%08x\r\n" : "*2\r\n$4\r\nINCR\r\n$17\r\n%08x.%08x\r\n",
	    run_id, 0u);
	request_conn = request_len - 10;
	reply_len = (size_t)snprintf(reply, sizeof(reply), ":%014d\r\n", 0);
}

/* The first request of a connection, which may be longer than the others; its length. */
static size_t
put_first(char *to, uint32_t serial)
{
	unsigned long long count = COUNT_FIRST + (uint64_t)serial * COUNT_EACH;

	if (form == LINES) {
		put_request(to, serial, 0);
		return request_len;
	}
	return (size_t)snprintf(to, TEXT_MAX,
	    form == INLINE ? "INCRBY %08x.%08x %llu\r\n"
			   : "*3\r\n$6\r\nINCRBY\r\n$17\r\n%08x.%08x\r\n$14\r\n%llu\r\n",
	    run_id, serial, count);
}

static void
put_request(char *to, uint32_t serial, uint64_t n)
{
	memcpy(to, request, request_len);
	put_hex(to + request_conn, serial);
	if (form == LINES) {
		put_hex(to + request_conn + 9, (uint32_t)n);
	}
}

static void
put_reply(char *to, uint32_t serial, uint64_t n)
{
	uint64_t count = COUNT_FIRST + (uint64_t)serial * COUNT_EACH + n;

	memcpy(to, reply, reply_len);
	if (form == LINES) {
		put_hex(to + 1, serial);
		put_hex(to + 10, (uint32_t)n);
		return;
	}
	for (char *p = to + reply_len - 3; p > to; p--) {
		*p = (char)('0' + count % 10);
		count /= 10;
	}
}

/* Eight digits. */
static void
put_hex(char *to, uint32_t n)
{
	for (int i = 7; i >= 0; i--) {
		to[i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	}
}

/* ---- the course of a run ---- */

/* One wait, and what it brings. */
static void
pass(void)
{
	struct epoll_event evs[EVENT_BATCH];
	int n = epoll_wait(epfd, evs, EVENT_BATCH, POLL_MS);

	for (int i = 0; i < n; i++) {
		table[evs[i].data.u64].ending |= (evs[i].events & EPOLLRDHUP) != 0;
		conn_turn(&table[evs[i].data.u64]);
	}
}

/* Opens all connections, a few at a time, and has one reply on each. */
static void
open_all(void)
{
	uint64_t begun = now_ns(), last = begun;
	size_t before = 0;

	while (opened + failed + wrong < conns) {
		while (opening < OPENING && next < conns) {
			conn_open(&table[next++]);
		}
		pass();
		if (opened != before) {
			before = opened;
			last = now_ns();
		} else if (now_ns() - last > (uint64_t)STALL_MS * 1000000u) {
			errno = 0;
			die("stalled: %zu of %lu connections", opened, conns);
		}
	}
	if (idle) {
		printf("ready conns=%lu secs=%.2f failed=%lu wrong=%lu\n", conns,
		    (double)(now_ns() - begun) / 1e9, failed, wrong);
		fflush(stdout);
	}
}

/* Whether stdin has not ended; what it says is ignored. */
static bool
stdin_open(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	return poll(&in, 1, 0) == 0 || read(STDIN_FILENO, line, sizeof(line)) > 0;
}

static void
run_until(uint64_t ns)
{
	while (now_ns() < ns) {
		pass();
	}
}

static void
measure(void)
{
	struct cpu before, after, back_before, back_after;
	double secs, cpu, ticks, each;
	uint64_t begun = now_ns();

	phase = RUN;
	for (size_t i = 0; i < conns; i++) {
		conn_turn(&table[i]);
	}
	run_until(begun + (uint64_t)warm_ms * 1000000u);
	phase = MEASURE;
	before = cpu_of(watched, watched_count);
	back_before = cpu_of(backends, backends_count);
	done = 0;
	begun = now_ns();
	run_until(begun + (uint64_t)measure_ms * 1000000u);
	after = cpu_of(watched, watched_count);
	back_after = cpu_of(backends, backends_count);
	secs = (double)(now_ns() - begun) / 1e9;

	cpu = after.secs - before.secs;
	ticks = after.user - before.user + after.sys - before.sys;
	each = done > 0 ? 1e6 / (double)done : 0;
	printf("mode=%s conns=%lu depth=%lu size=%zu secs=%.3f done=%lu rate=%.0f cpu_us=%.4f "
	    "backend_us=%.4f user_ticks=%.0f ticks=%.0f util=%.3f steal=%.3f ",
	    forms[form], conns, depth, request_len, secs, done, (double)done / secs, cpu * each,
	    (back_after.secs - back_before.secs) * each, after.user - before.user, ticks,
	    cpu / secs, (after.steal - before.steal) / secs);
}

/* Sends nothing more and waits for the replies to what was sent; what stays out is lost. */
static void
drain(void)
{
	uint64_t until = now_ns() + (uint64_t)DRAIN_MS * 1000000u;
	unsigned long all = done;

	phase = DRAIN;
	do {
		pass();
		lost = 0;
		for (size_t i = 0; i < conns; i++) {
			lost += table[i].fd != -1 ? table[i].sent - table[i].received : 0;
		}
	} while (lost > 0 && now_ns() < until);
	done = all;
}

/* ---- a connection ---- */

static void
conn_open(struct conn *c)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	size_t index = (size_t)(c - table);

	opening++;
	c->pending = true;
	c->fd = connect_to(&target, index);
	if (c->fd == -1 || epoll_watch(epfd, c->fd, events, index) == -1) {
		conn_fail(c, "connect");
	}
}

/* What a connection does when there may be something to receive or room to send. */
static void
conn_turn(struct conn *c)
{
	if (c->fd == -1 || conn_receive(c) == -1) {
		return;
	}
	if (c->pending && c->received > 0) {
		c->pending = false;
		opening--;
		opened++;
	}
	if (phase == OPEN) {
		conn_send(c, 1);
	} else {
		conn_send(c, phase == DRAIN ? c->sent + (c->sent_part > 0) : c->received + depth);
	}
}

/* Reads and checks what is there. -1: the connection is closed. */
static int
conn_receive(struct conn *c)
{
	uint64_t before = c->received;
	ssize_t got;

	do {
		got = recv(c->fd, buffer, sizeof(buffer), 0);
		if (got == -1 && (errno == EAGAIN || errno == ENOTCONN)) {
			break;
		}
		if (got <= 0) {
			errno = got == 0 ? 0 : errno;
			conn_fail(c, got == 0 ? "closed by the server" : "recv");
			return -1;
		}
		if (!check(c, buffer, (size_t)got)) {
			if (wrong == 0) {
				errno = 0;
				complain("connection %zu, from reply %llu on, a wrong one: %.*s",
				    (size_t)(c - table), (unsigned long long)c->received,
				    got < 80 ? (int)got : 80, buffer);
			}
			conn_fail(c, NULL);
			return -1;
		}
	} while (got == (ssize_t)sizeof(buffer) || c->ending);

	done += c->received - before;
	if (c->mark_time != 0 && c->received >= c->mark) {
		if (phase == MEASURE) {
			times_add(&times, now_ns() - c->mark_time);
		}
		c->mark_time = 0;
	}
	return 0;
}

/* Whether these bytes are the replies that are due. */
static bool
check(struct conn *c, const char *at, size_t len)
{
	char due[TEXT_MAX];
	size_t part;

	while (len > 0) {
		if (c->received == c->sent) {
			return false;
		}
		put_reply(due, (uint32_t)(c - table), c->received);
		part = reply_len - c->got_part < len ? reply_len - c->got_part : len;
		if (memcmp(at, due + c->got_part, part) != 0) {
			return false;
		}
		at += part;
		len -= part;
		c->got_part += (uint32_t)part;
		if (c->got_part == reply_len) {
			c->got_part = 0;
			c->received++;
		}
	}
	return true;
}

/* Sends up to request number goal, as many as there is room for. */
static void
conn_send(struct conn *c, uint64_t goal)
{
	size_t len, n;
	ssize_t put;

	while (c->sent < goal) {
		if (c->mark_time == 0) {
			c->mark = goal;
			c->mark_time = now_ns();
		}
		if (c->sent == 0) {
			len = put_first(buffer, (uint32_t)(c - table));
		} else {
			n = sizeof(buffer) / request_len;
			n = goal - c->sent < n ? (size_t)(goal - c->sent) : n;
			for (size_t i = 0; i < n; i++) {
				put_request(buffer + i * request_len, (uint32_t)(c - table),
				    c->sent + i);
			}
			len = n * request_len;
		}
		put = send(c->fd, buffer + c->sent_part, len - c->sent_part, MSG_NOSIGNAL);
		if (put == -1) {
			if (errno != EAGAIN && errno != ENOTCONN && errno != EINPROGRESS) {
				conn_fail(c, "send");
			}
			return;
		}
		if (c->sent == 0) {
			if ((size_t)put != len) {
				conn_fail(c, "no room for a first request");
				return;
			}
			c->sent = 1;
			continue;
		}
		n = c->sent_part + (size_t)put;
		c->sent += n / request_len;
		c->sent_part = (uint32_t)(n % request_len);
	}
}

/* Gives a connection up and counts it; what is NULL when a byte was wrong. */
static void
conn_fail(struct conn *c, const char *what)
{
	static bool said;

	if (!said && what != NULL) {
		complain("%s", what);
		said = true;
	}
	failed += what != NULL;
	wrong += what == NULL;
	if (c->fd != -1) {
		close(c->fd);
		c->fd = -1;
	}
	if (c->pending) {
		c->pending = false;
		opening--;
	}
}
