/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit-echo: an echo server on bare epoll, with nothing per connection but its descriptor: what
 * a server costs at least. It reads once, writes once, and allocates only for a peer that does not
 * take what was written.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENT_BATCH = 512, BUFFER = 65536 };

static int epfd, listener;
static struct rest **rests;	/* by descriptor; who has one is not read */
static unsigned char buffer[BUFFER];

static void take(int fd);
static void drop(int fd);
static void echo(int fd);
static void echo_rest(int fd);
static void rewatch(int fd, uint32_t events);
static void serve(int fd);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENT_BATCH];
	struct sockaddr_in sin;
	int                n;

	if (argc != 2) {
		fputs("usage: limit-echo 127.x.x.x:PORT\n", stderr);
		return 2;
	}
	address(argv[1], &sin);
	rests = calloc(raise_descriptors(), sizeof *rests);
	if (rests == NULL) {
		die("no memory");
	}
	signal(SIGPIPE, SIG_IGN);
	epfd = epoll_open();
	listener = listen_on(&sin);
	if (epoll_watch(epfd, listener, EPOLLIN, (uint64_t)listener) < 0) {
		die("epoll_ctl");
	}
	for (;;) {
		n = epoll_wait(epfd, evs, EVENT_BATCH, -1);
		for (int i = 0; i < n; i++) {
			serve((int)evs[i].data.u64);
		}
	}
}

static void
serve(int fd)
{
	if (fd == listener) {
		accept_each(listener, take);
	} else if (rests[fd] != NULL) {
		echo_rest(fd);
	} else {
		echo(fd);
	}
}

static void
take(int fd)
{
	if (epoll_watch(epfd, fd, EPOLLIN, (uint64_t)fd) < 0) {
		close(fd);
	}
}

static void
echo(int fd)
{
	ssize_t got = recv(fd, buffer, sizeof buffer, 0);
	ssize_t put;

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			drop(fd);
		}
		return;
	}
	put = send(fd, buffer, (size_t)got, MSG_NOSIGNAL);
	if (put == got) {
		return;
	}
	if (put < 0 && errno != EAGAIN) {
		drop(fd);
		return;
	}
	put = put > 0 ? put : 0;
	rests[fd] = rest_of(buffer + put, (size_t)(got - put));
	rewatch(fd, EPOLLOUT);
}

static void
echo_rest(int fd)
{
	struct rest *r = rests[fd];
	ssize_t      put = send(fd, r->bytes + r->done, r->len - r->done, MSG_NOSIGNAL);

	if (put < 0) {
		if (errno != EAGAIN) {
			drop(fd);
		}
		return;
	}
	r->done += (size_t)put;
	if (r->done == r->len) {
		free(r);
		rests[fd] = NULL;
		rewatch(fd, EPOLLIN);
	}
}

static void
rewatch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uint64_t)fd };

	if (epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) < 0) {
		drop(fd);
	}
}

static void
drop(int fd)
{
	free(rests[fd]);
	rests[fd] = NULL;
	close(fd);
}
