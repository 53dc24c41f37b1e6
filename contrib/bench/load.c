/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load: a closed-loop load client for the bench. Each connection sends a stretch of the pattern
 * (bench.h) and checks every byte that comes back against it.
 *
 *	idle      open, one message each, hold; for each line "SIZE" on stdin one more message of
 *	          that size on every connection; end with stdin
 *	pingpong  -d messages in flight on each connection
 *	churn     connect, one message, close, again
 *	bulk      a stream with -d messages of -s bytes in flight; -r: only receive
 *
 * The parent forks -n processes, which share the connections; it tells them the phase and reads
 * their counters through shared memory. It measures what the processes of -P take meanwhile.
 */
#include "bench.h"
#include "cpu.h"
#include "times.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	EVENT_BATCH = 512,
	OPENING = 64,			/* connections of one process being opened at a time */
	PROCESSES_MAX = 64,
	PIDS_MAX = 64,
	POLL_MS = 20,			/* how soon a process sees a new phase */
	DRAIN_MS = 3000,
	STALL_MS = 20000,		/* opening, or a round of idle, without any progress */
};

enum mode { IDLE, PINGPONG, CHURN, BULK };
enum phase { ROUND, RUN, MEASURE, DRAIN, END };

struct counts {			/* of one process; written by it alone */
	_Atomic uint64_t round;	/* connections that are through with the current round */
	_Atomic uint64_t done;	/* messages; KiB in bulk; connections in churn */
	_Atomic uint64_t failed;	/* connections refused, reset, or closed by the server */
	_Atomic uint64_t wrong;	/* connections on which a byte was not what it should be */
	_Atomic uint64_t lost;	/* messages sent and not answered when draining ended */
	struct times times;
};

struct shared {
	_Atomic int phase;
	_Atomic uint32_t rounds;	/* begun so far */
	_Atomic uint64_t size;		/* of a message in this round */
	struct counts of[PROCESSES_MAX];
};

struct conn {
	int fd;			/* -1: not open */
	uint32_t start;		/* where its stream begins in the pattern */
	uint64_t sent;
	uint64_t received;
	uint64_t goal;		/* bytes to have sent */
	uint64_t mark;		/* the reply up to here ends the time that began at ... */
	uint64_t mark_time;	/* ... this, connecting included; 0: none is being taken */
	bool pending;		/* not through with the round */
	bool ending;		/* a FIN is here: it makes no further edge */
};

static const char *const modes[] = { "idle", "pingpong", "churn", "bulk" };
static enum mode mode;
static struct sockaddr_in target;
static unsigned long conns = 1, processes = 1, size = 64, depth = 1;
static unsigned long warm_ms = 500, measure_ms = 2000;
static bool receive_only;
static pid_t watched[PIDS_MAX];
static size_t watched_count;
static struct shared *shared;

/* Of one load process. */
static struct counts *mine;
static struct conn *table;
static size_t table_size;
static size_t next_in_round, in_round, open_serial, process_index;
static int epfd;
static unsigned char buffer[PATTERN_SPAN];

static void advance_round(void);
static void child(size_t index, size_t share) __attribute__((noreturn));
static void conn_fail(struct conn *c, const char *what);
static void conn_open(struct conn *c);
static int conn_receive(struct conn *c, int phase);
static void conn_send(struct conn *c);
static void conn_turn(struct conn *c, int phase);
static void count(_Atomic uint64_t *what, uint64_t by);
static void drain(void);
static uint64_t goal(const struct conn *c);
static int hold(void);
static int measure(void);
static void options(int argc, char **argv);
static unsigned long sum(size_t offset);
static int round_wait(void);
static int verdict(void);
static void usage(void) __attribute__((noreturn));

#define SUM(field) sum(offsetof(struct counts, field))

int
main(int argc, char **argv)
{
	int status, left;

	options(argc, argv);
	raise_descriptors();
	signal(SIGPIPE, SIG_IGN);
	pattern();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	    0);
	if (shared == MAP_FAILED) {
		die("mmap");
	}
	shared->size = size;
	shared->rounds = 1;
	for (size_t i = 0; i < processes; i++) {
		switch (fork()) {
		case -1:
			die("fork");
		case 0:
			child(i, conns / processes + (i < conns % processes));
		}
	}
	status = round_wait();
	if (status == 0) {
		status = mode == IDLE ? hold() : measure();
	}
	shared->phase = shared->phase == MEASURE ? DRAIN : END;
	while (wait(&left) > 0) {
		status = left == 0 ? status : 1;
	}
	return verdict() == 0 ? status : 1;
}

static void
usage(void)
{
	fputs("usage: load idle|pingpong|churn|bulk [-r] [-c CONNECTIONS] [-n PROCESSES]\n"
	      "            [-s SIZE] [-d DEPTH] [-w WARM_MS] [-t MEASURE_MS]\n"
	      "            [-P PID[,PID...]] 127.x.x.x:PORT\n",
	    stderr);
	exit(2);
}

static void
options(int argc, char **argv)
{
	size_t m = 0;
	int opt;

	while (argc > 1 && m < 4 && strcmp(argv[1], modes[m]) != 0) {
		m++;
	}
	if (argc < 2 || m == 4) {
		usage();
	}
	mode = (enum mode)m;
	optind = 2;
	while ((opt = getopt(argc, argv, "c:d:n:P:rs:t:w:")) != -1) {
		switch (opt) {
		case 'c': conns = number(opt, optarg, 1, 10000000); break;
		case 'd': depth = number(opt, optarg, 1, 4096); break;
		case 'n': processes = number(opt, optarg, 1, PROCESSES_MAX); break;
		case 'r': receive_only = true; break;
		case 's': size = number(opt, optarg, 1, 1u << 20); break;
		case 't': measure_ms = number(opt, optarg, 1, 3600000); break;
		case 'w': warm_ms = number(opt, optarg, 0, 3600000); break;
		case 'P': watched_count = pids(optarg, watched, PIDS_MAX); break;
		default:
			usage();
		}
	}
	if (argc - optind != 1 || (receive_only && mode != BULK)) {
		usage();
	}
	address(argv[optind], &target);
}

/* ---- the parent ---- */

static unsigned long
sum(size_t offset)
{
	unsigned long total = 0;

	for (size_t i = 0; i < processes; i++) {
		total += *(_Atomic uint64_t *)((char *)&shared->of[i] + offset);
	}
	return total;
}

/* Waits until every connection is through with the round; 1 if some never get there. */
static int
round_wait(void)
{
	uint64_t begun = now_ns(), last = begun;
	unsigned long through = 0, now_through;

	while ((now_through = SUM(round) + SUM(failed) + SUM(wrong)) < conns) {
		if (now_through != through) {
			through = now_through;
			last = now_ns();
		} else if (now_ns() - last > (uint64_t)STALL_MS * 1000000u) {
			errno = 0;
			complain("stalled: %lu of %lu connections", through, conns);
			return 1;
		}
		usleep(1000);
	}
	if (mode == IDLE) {
		printf("ready conns=%lu secs=%.2f failed=%lu wrong=%lu\n", conns,
		    (double)(now_ns() - begun) / 1e9, SUM(failed), SUM(wrong));
		fflush(stdout);
	}
	return 0;
}

/* Holds the connections until stdin ends, with another message on each for every line. */
static int
hold(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		shared->size = number('s', line, 1, 1u << 20);
		for (size_t i = 0; i < processes; i++) {
			shared->of[i].round = 0;
		}
		shared->rounds++;
		if (round_wait() != 0) {
			return 1;
		}
	}
	return 0;
}

static int
measure(void)
{
	struct cpu before, after;
	unsigned long done;
	uint64_t begun;
	double secs, cpu, ticks;

	shared->phase = RUN;
	usleep((useconds_t)warm_ms * 1000);
	shared->phase = MEASURE;
	before = cpu_of(watched, watched_count);
	done = SUM(done);
	begun = now_ns();
	usleep((useconds_t)measure_ms * 1000);
	after = cpu_of(watched, watched_count);
	done = SUM(done) - done;
	secs = (double)(now_ns() - begun) / 1e9;

	cpu = after.secs - before.secs;
	ticks = after.user - before.user + after.sys - before.sys;
	printf("mode=%s conns=%lu depth=%lu size=%lu secs=%.3f done=%lu rate=%.0f cpu_us=%.4f "
	    "user_ticks=%.0f ticks=%.0f util=%.3f steal=%.3f ",
	    modes[mode], conns, depth, size, secs, done, (double)done / secs,
	    done > 0 ? 1e6 * cpu / (double)done : 0, after.user - before.user, ticks, cpu / secs,
	    (after.steal - before.steal) / secs);
	return done > 0 ? 0 : 1;
}

static int
verdict(void)
{
	unsigned long failed = SUM(failed), wrong = SUM(wrong), lost = SUM(lost);
	struct times all = { 0 };

	if (mode != IDLE) {
		for (size_t i = 0; i < processes; i++) {
			times_merge(&all, &shared->of[i].times);
		}
		printf("p50_us=%.0f p99_us=%.0f max_us=%.0f failed=%lu wrong=%lu lost=%lu\n",
		    times_share(&all, 0.5), times_share(&all, 0.99), times_share(&all, 1), failed,
		    wrong, lost);
	}
	return failed + wrong + lost == 0 ? 0 : 1;
}

/* ---- a load process ---- */

static void
child(size_t index, size_t share)
{
	struct epoll_event evs[EVENT_BATCH];
	uint32_t rounds = 0;
	int phase, n, last = ROUND;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	process_index = index;
	mine = &shared->of[index];
	table_size = share;
	table = calloc(share + 1, sizeof(*table));
	if (table == NULL) {
		die("no memory");
	}
	for (size_t i = 0; i < share; i++) {
		table[i].fd = -1;
	}
	epfd = epoll_open();
	while ((phase = shared->phase) < DRAIN) {
		if (phase == ROUND && rounds != shared->rounds) {
			rounds = shared->rounds;
			next_in_round = in_round = 0;
			advance_round();
		}
		if (phase != ROUND && last == ROUND) {
			for (size_t i = 0; i < share; i++) {
				conn_turn(&table[i], phase);
			}
		}
		last = phase;
		n = epoll_wait(epfd, evs, EVENT_BATCH, POLL_MS);
		for (int i = 0; i < n; i++) {
			table[evs[i].data.u64].ending = (evs[i].events & EPOLLRDHUP) != 0;
			conn_turn(&table[evs[i].data.u64], phase);
		}
		if (phase == ROUND) {
			advance_round();
		}
	}
	if (phase == DRAIN) {
		drain();
	}
	exit(0);
}

/* Begins the round on further connections: a few at a time, so that no queue overflows. */
static void
advance_round(void)
{
	struct conn *c;

	while (in_round < OPENING && next_in_round < table_size) {
		c = &table[next_in_round++];
		if (c->fd == -1 && shared->rounds > 1) {
			continue;	/* failed in an earlier round, and counted then */
		}
		in_round++;
		c->pending = true;
		if (c->fd == -1) {
			conn_open(c);
		} else {
			c->goal += shared->size;
			conn_send(c);
		}
	}
}

static void
conn_open(struct conn *c)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	size_t serial = open_serial++ * processes + process_index;

	c->start = receive_only ? 0 : (uint32_t)(serial * 7919 % PATTERN_PERIOD);
	c->sent = c->received = 0;
	c->goal = c->mark = receive_only ? 0 : shared->size;
	c->mark_time = receive_only ? 0 : now_ns();
	c->ending = false;
	c->fd = connect_to(&target, serial);
	if (c->fd == -1 ||
	    epoll_watch(epfd, c->fd, events, (uint64_t)(c - table)) == -1) {
		conn_fail(c, "connect");
	}
}

/* What a connection does when there may be something to receive or room to send. */
static void
conn_turn(struct conn *c, int phase)
{
	if (c->fd == -1 || conn_receive(c, phase) == -1) {
		return;
	}
	if (c->pending && (receive_only ? c->received > 0 : c->received == c->goal)) {
		c->pending = false;
		count(&mine->round, 1);
		in_round--;
	}
	if (phase == RUN || phase == MEASURE) {
		if (mode == CHURN && c->received == c->goal) {
			close(c->fd);
			conn_open(c);
			return;
		}
		c->goal = goal(c);
	}
	conn_send(c);
}

/* How far a connection's stream goes now, while the load runs. */
static uint64_t
goal(const struct conn *c)
{
	switch (mode) {
	case PINGPONG:
		return (c->received / size + depth) * size;
	case BULK:
		return receive_only ? 0 : c->received + depth * size;
	case CHURN:
	case IDLE:
		break;
	}
	return c->goal;
}

/* Reads and checks what is there. -1: the connection is closed. */
static int
conn_receive(struct conn *c, int phase)
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
		if ((!receive_only && c->received + (uint64_t)got > c->sent) ||
		    memcmp(buffer, pattern() + (c->start + c->received) % PATTERN_PERIOD,
			(size_t)got) != 0) {
			conn_fail(c, NULL);
			return -1;
		}
		c->received += (uint64_t)got;
	} while (got == (ssize_t)sizeof(buffer) || c->ending);

	if (c->mark_time != 0 && c->received >= c->mark) {
		if (phase == MEASURE) {
			times_add(&mine->times, now_ns() - c->mark_time);
		}
		c->mark_time = 0;
	}
	if (phase != RUN && phase != MEASURE && phase != DRAIN) {
		return 0;
	}
	if (mode == BULK) {
		count(&mine->done, c->received / 1024 - before / 1024);
	} else if (mode == PINGPONG) {
		count(&mine->done, c->received / size - before / size);
	} else if (c->received == c->goal) {
		count(&mine->done, 1);
	}
	return 0;
}

static void
conn_send(struct conn *c)
{
	size_t len;
	ssize_t put;

	while (c->sent < c->goal) {
		len = c->goal - c->sent < PATTERN_SPAN ? (size_t)(c->goal - c->sent) : PATTERN_SPAN;
		if (c->mark_time == 0) {
			c->mark = c->goal;
			c->mark_time = now_ns();
		}
		put = send(c->fd, pattern() + (c->start + c->sent) % PATTERN_PERIOD, len,
		    MSG_NOSIGNAL);
		if (put == -1) {
			if (errno != EAGAIN && errno != ENOTCONN && errno != EINPROGRESS) {
				conn_fail(c, "send");
			}
			return;
		}
		c->sent += (uint64_t)put;
	}
}

/* Sends nothing more and waits for the replies to what was sent; what stays out is lost. */
static void
drain(void)
{
	uint64_t until = now_ns() + (uint64_t)DRAIN_MS * 1000000u;
	struct epoll_event evs[EVENT_BATCH];
	size_t waiting;
	int n;

	for (;;) {
		waiting = 0;
		for (size_t i = 0; i < table_size; i++) {
			if (table[i].goal > table[i].sent) {
				table[i].goal = table[i].sent;
			}
			waiting += table[i].fd != -1 && !receive_only &&
			    table[i].received < table[i].sent;
		}
		if (waiting == 0 || now_ns() > until) {
			break;
		}
		n = epoll_wait(epfd, evs, EVENT_BATCH, POLL_MS);
		for (int i = 0; i < n; i++) {
			if (table[evs[i].data.u64].fd != -1) {
				(void)conn_receive(&table[evs[i].data.u64], DRAIN);
			}
		}
	}
	mine->lost = waiting;
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
	count(what != NULL ? &mine->failed : &mine->wrong, 1);
	if (c->fd != -1) {
		close(c->fd);
		c->fd = -1;
	}
	if (c->pending) {
		c->pending = false;
		in_round--;
	}
}

/* Adds to a counter that only this process writes: no locked instruction. */
static void
count(_Atomic uint64_t *what, uint64_t by)
{
	atomic_store_explicit(what, atomic_load_explicit(what, memory_order_relaxed) + by,
	    memory_order_relaxed);
}
