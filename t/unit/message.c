/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of proc/message: what is sent arrives, and what makes no sense does not. */
#include "proc/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/fdtable.h"
#include "unit/tap.h"

static int ends[2];

static void
test_content(void)
{
	struct message out = { .kind = MESSAGE_REPORT,
		.a = 1,
		.b = 2,
		.c = 3,
		.data = "hello",
		.size = 5 };
	struct message in;

	ok(message_receive(ends[0], &in) < 0 && errno == EAGAIN, "nothing yet");
	ok(message_send(ends[1], &out) == 0, "sends");
	is_number(message_receive(ends[0], &in), 1, "arrives");
	ok(in.kind == MESSAGE_REPORT && in.a == 1 && in.b == 2 && in.c == 3, "head");
	ok(in.size == 5 && memcmp(in.data, "hello", 5) == 0 && in.fd_count == 0, "data");
	is_number(in.sender, getpid(), "who sent it");
	out = (struct message){ .kind = MESSAGE_GO };
	ok(message_send(ends[1], &out) == 0 && message_receive(ends[0], &in) == 1 &&
		in.kind == MESSAGE_GO && in.size == 0,
	    "without data");
}

static void
test_peeking(void)
{
	int            null = open("/dev/null", O_RDONLY), next;
	struct message out = { .kind = MESSAGE_SESSIONS,
		.a = 1,
		.data = "hello",
		.size = 5,
		.fds = &null,
		.fd_count = 1 };
	struct message in;

	ok(message_peek(ends[0], &in) < 0 && errno == EAGAIN, "there is nothing to look at");
	ok(message_send(ends[1], &out) == 0, "sends");
	next = dup(null);
	close(next);
	for (unsigned i = 0; i < 2; i++)
		ok(message_peek(ends[0], &in) == 1 && in.kind == MESSAGE_SESSIONS && in.a == 1 &&
			in.fd_count == 0,
		    "looks at what comes next");
	ok(fcntl(next, F_GETFD) < 0, "which opens no descriptor");
	ok(message_receive(ends[0], &in) == 1 && in.size == 5 && in.fd_count == 1,
	    "and takes nothing of it");
	message_discard(&in);
	ok(send(ends[1], "short", 5, 0) == 5 && message_peek(ends[0], &in) < 0 &&
		errno == EPROTO && message_receive(ends[0], &in) < 0,
	    "what has no head is seen");
	close(null);
}

static void
test_limits(void)
{
	static char    big[MESSAGE_DATA_MAX + 1], other[MESSAGE_DATA_MAX + 1];
	struct message out = { .kind = MESSAGE_REPORT, .data = big, .size = MESSAGE_DATA_MAX };
	struct message in;

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)random_number();
	memcpy(other, big, sizeof big);
	ok(message_send(ends[1], &out) == 0 && message_receive(ends[0], &in) == 1 &&
		in.size == MESSAGE_DATA_MAX && memcmp(in.data, other, in.size) == 0,
	    "the largest");
	out.size++;
	ok(message_send(ends[1], &out) < 0 && errno == EMSGSIZE, "one byte more is refused");
	ok(send(ends[1], "short", 5, 0) == 5 && message_receive(ends[0], &in) < 0 &&
		errno == EPROTO,
	    "what has no head is refused");
	ok(send(ends[1], "", 0, 0) == 0 && message_receive(ends[0], &in) < 0 &&
		errno == EPROTO && in.sender == getpid(),
	    "what is empty, too, and is not the end");
	ok(send(ends[1], big, MESSAGE_DATA_MAX + 1, 0) > 0 && message_receive(ends[0], &in) < 0,
	    "what is no message is refused");
}

static void
test_descriptors(void)
{
	int            fds[MESSAGE_FDS_MAX];
	struct message out = { .kind = MESSAGE_DESCRIPTORS,
		.fds = fds,
		.fd_count = MESSAGE_FDS_MAX };
	struct message in;
	struct stat    here, there;
	int            null = open("/dev/null", O_RDONLY), got, first;

	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		fds[i] = null;
	ok(message_send(ends[1], &out) == 0 && message_receive(ends[0], &in) == 1 &&
		in.fd_count == MESSAGE_FDS_MAX,
	    "253 descriptors");
	got = in.fds[MESSAGE_FDS_MAX - 1];
	first = in.fds[0];
	ok(fstat(got, &there) == 0 && fstat(null, &here) == 0 && here.st_rdev == there.st_rdev,
	    "are what was sent");
	ok((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0, "close-on-exec");
	message_discard(&in);
	ok(fcntl(got, F_GETFD) < 0 && fcntl(first, F_GETFD) < 0,
	    "are closed when nobody wants them");
	out.fd_count = MESSAGE_FDS_MAX + 1;
	ok(message_send(ends[1], &out) < 0 && errno == EMSGSIZE, "one more is refused");
	fd_close(&null);
}

/* A receiver that is short of descriptors loses some: that must be seen. */
static void
test_lost(void)
{
	struct rlimit  limit;
	int            fds[32];
	struct message out = { .kind = MESSAGE_DESCRIPTORS, .fds = fds, .fd_count = 32 };
	struct message in;
	int            status;
	pid_t          pid = fork();

	if (pid == 0) {
		getrlimit(RLIMIT_NOFILE, &limit);
		for (unsigned i = 0; i < 32; i++)
			fds[i] = 0;
		if (message_send(ends[1], &out) < 0)
			_exit(2);
		limit.rlim_cur = 16;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (message_receive(ends[0], &in) >= 0 || errno != EPROTO)
			_exit(3);
		/* And those that did arrive are closed again. */
		_exit(open("/dev/null", O_RDONLY) >= 0 ? 0 : 4);
	}
	waitpid(pid, &status, 0);
	is_number(status, 0, "lost descriptors are an error");
}

/* One that keeps some for what it is sent receives as many, though it has none left. */
static void
test_reserve(void)
{
	struct rlimit  limit;
	int            fds[MESSAGE_RESERVE + 1] = { 0 };
	struct message out = { .kind = MESSAGE_HEIRS, .fds = fds, .fd_count = MESSAGE_RESERVE };
	struct message in;
	int            status;
	pid_t          pid = fork();

	if (pid == 0) {
		message_reserve();
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = 64;
		setrlimit(RLIMIT_NOFILE, &limit);
		while (open("/dev/null", O_RDONLY) >= 0)
			;
		for (unsigned i = 0; i < 2; i++) {
			if (message_send(ends[1], &out) < 0 || message_receive(ends[0], &in) != 1 ||
			    in.fd_count != MESSAGE_RESERVE)
				_exit(2);
			message_discard(&in);
			while (i == 0 && message_receive(ends[0], &in) > 0)
				;
		}
		out.fd_count++;
		if (message_receive(ends[0], &in) >= 0 || errno != EAGAIN ||
		    message_send(ends[1], &out) < 0 || message_receive_some(ends[0], &in) != 1)
			_exit(3);
		if (!in.lost || in.fd_count != MESSAGE_RESERVE)
			_exit(4);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is_number(status, 0, "one that keeps some in reserve receives as many, again and again");
	ok(message_receive(ends[0], &in) < 0 && errno == EAGAIN, "that was all");
}

/* Whoever shares a channel can make it blocking, and fill it. */
static void
test_full(void)
{
	struct message out = { .kind = MESSAGE_REVIEW }, in;
	unsigned       sent = 0, received = 0;
	int            pair[2], status;
	pid_t          pid;

	ok(message_pair(pair, false) == 0 && (fcntl(pair[0], F_GETFL) & O_NONBLOCK) == 0,
	    "a channel that blocks");
	while (message_send(pair[0], &out) == 0)
		sent++;
	ok(errno == EAGAIN && sent > 1, "sending does not wait");
	pid = fork();
	if (pid == 0) {
		out.kind = MESSAGE_STOP;
		_exit(message_send_wait(pair[0], &out) == 0 ? 0 : 1);
	}
	while (message_receive_wait(pair[1], &in) == 1 && in.kind == MESSAGE_REVIEW)
		received++;
	ok(in.kind == MESSAGE_STOP && received == sent, "unless it is to");
	waitpid(pid, &status, 0);
	is_number(status, 0, "then it succeeds");
	ok(message_receive(pair[1], &in) < 0 && errno == EAGAIN, "receiving does not wait");
	fd_close(&pair[0]);
	is_number(message_receive_wait(pair[1], &in), 0, "but for the end");
	fd_close(&pair[1]);
}

int
main(void)
{
	struct message in;

	if (message_pair(ends, true) < 0)
		bail_out("message_pair");
	test_content();
	test_peeking();
	test_limits();
	test_descriptors();
	test_full();
	if (getenv("WEIR_VALGRIND") == NULL) {
		test_lost();
		test_reserve();
	} else {
		skip(3, "valgrind keeps the limit of descriptors from the kernel");
	}
	fd_close(&ends[1]);
	is_number(message_receive(ends[0], &in), 0, "the end");
	fd_close(&ends[0]);
	return done_testing();
}
