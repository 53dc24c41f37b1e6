/* SPDX-License-Identifier: BSD-2-Clause */
/* loop: what a watch tells, rare timers, over real descriptors. */
#include "net/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "until.h"

static struct {
	unsigned times;
	unsigned what;
	int      fd;
	void    *argument;
} told;

static void
timer_fire(struct timer *t)
{
	(void)t;
}

static void
watch_told(int fd, short what, void *argument)
{
	told.times++;
	told.what = (unsigned)what;
	told.fd = fd;
	told.argument = argument;
}

static bool
is_told(void)
{
	return told.times > 0;
}

/* Until something has been told; false: nothing was. */
static bool
loop_run_once(void)
{
	told.times = 0;
	return run_until(is_told);
}

static void
pair_open(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t          len = sizeof a;
	int                listening = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listening, (struct sockaddr *)&a, sizeof a) < 0 || listen(listening, 1) < 0 ||
	    getsockname(listening, (struct sockaddr *)&a, &len) < 0 ||
	    connect(fd[1], (struct sockaddr *)&a, sizeof a) < 0 ||
	    (fd[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) < 0)
		bail_out("no pair of sockets: %s", strerror(errno));
	close(listening);
}

static void
test_level(void)
{
	struct loop_watch w;
	int               fd[2], mine;
	char              byte;

	pair_open(fd);
	ok(loop_watch_start(&w, fd[0], LOOP_READ, watch_told, &mine) == 0, "a socket is watched");
	is_number(loop_watch_fd(&w), fd[0], "which knows its descriptor");
	ok(write(fd[1], "x", 1) == 1 && loop_run_once(), "what comes is told");
	is_number(told.what, LOOP_READ, "as what can be read, alone");
	ok(told.fd == fd[0] && told.argument == &mine, "to whom it concerns");
	ok(loop_run_once(), "and told again while it is not read");
	ok(read(fd[0], &byte, 1) == 1, "it is read");
	close(fd[1]);
	ok(loop_run_once() && told.what == LOOP_READ, "so is the end told");
	loop_watch_stop(&w);
	close(fd[0]);
}

static void
test_edge(void)
{
	struct loop_watch w;
	int               fd[2];

	pair_open(fd);
	ok(loop_watch_start(&w, fd[0], LOOP_READ | LOOP_WRITE | LOOP_END | LOOP_EDGE, watch_told,
	       NULL) == 0,
	    "a socket is watched for edges");
	ok(loop_run_once() && told.what & LOOP_WRITE, "a fresh one can be written");
	ok(write(fd[1], "x", 1) == 1 && loop_run_once() && told.what & LOOP_READ,
	    "what comes is told");
	shutdown(fd[1], SHUT_WR);
	ok(loop_run_once() && told.what & LOOP_END, "and the peer's end by a name of its own");
	loop_watch_stop(&w);
	close(fd[0]);
	close(fd[1]);
}

static void
test_error(void)
{
	struct linger     none = { .l_onoff = 1, .l_linger = 0 };
	struct loop_watch w;
	int               fd[2];

	pair_open(fd);
	if (loop_watch_start(&w, fd[0], LOOP_READ | LOOP_WRITE | LOOP_END | LOOP_EDGE, watch_told,
		NULL) < 0)
		bail_out("no watch: %s", strerror(errno));
	ok(loop_run_once(), "it can be written");
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fd[1]);
	ok(loop_run_once(), "a reset is told");
	/* What conn takes for the mark of an error that may be there. */
	ok((told.what & LOOP_READ) && (told.what & LOOP_WRITE), "as reading and writing");
	loop_watch_stop(&w);
	close(fd[0]);
}

static void
timer_told(void *argument)
{
	told.times++;
	told.argument = argument;
}

static void
test_timers(void)
{
	struct loop_timer late, early;
	int               first, second;

	loop_timer_init(&late, timer_told, &first);
	loop_timer_init(&early, timer_told, &second);
	loop_timer_start(&late, 3600000);
	loop_timer_start(&early, 1);
	ok(loop_run_once() && told.argument == &second, "the timer that is due fires");
	loop_timer_start(&late, 1);
	ok(loop_run_once() && told.argument == &first, "one that is started again has moved");
	loop_timer_start(&early, 1);
	loop_timer_stop(&early);
	loop_timer_start(&late, 20);
	ok(loop_run_once() && told.argument == &first, "one that was stopped does not fire");
}

int
main(void)
{
	if (loop_open(4096, timer_fire) < 0)
		bail_out("loop_open: %s", strerror(errno));
	until_init();
	test_level();
	test_edge();
	test_error();
	test_timers();
	loop_close();
	return done_testing();
}
