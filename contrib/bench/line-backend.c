/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line-backend: answers each line with the same line, but for its first byte, which becomes '=':
 * so a client sees that its line went all the way. All whole lines of a read are answered with one
 * write.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENT_BATCH = 512, BUFFER = 1 << 17 };

struct conn {
	struct rest *part;		/* of a line whose end has not come */
	struct rest *unsent;		/* not read while there is some */
};

static int epfd, listener;
static struct conn *conns;	/* by descriptor */
static char buffer[BUFFER];

static void take(int fd);
static char *answer(char *from, char *end);
static void conn_read(int fd);
static void conn_write(int fd);
static void drop(int fd);
static void watch_for(int fd, uint32_t events);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENT_BATCH];
	struct sockaddr_in sin;
	int n, fd;

	if (argc != 2) {
		fputs("usage: line-backend 127.x.x.x:PORT\n", stderr);
		return 2;
	}
	address(argv[1], &sin);
	conns = calloc(raise_descriptors(), sizeof(*conns));
	if (conns == NULL) {
		die("no memory");
	}
	signal(SIGPIPE, SIG_IGN);
	epfd = epoll_open();
	listener = listen_on(&sin);
	if (epoll_watch(epfd, listener, EPOLLIN, (uint64_t)listener) == -1) {
		die("epoll_ctl");
	}
	for (;;) {
		n = epoll_wait(epfd, evs, EVENT_BATCH, -1);
		for (int i = 0; i < n; i++) {
			fd = (int)evs[i].data.u64;
			if (fd == listener) {
				accept_each(listener, take);
			} else if (conns[fd].unsent != NULL) {
				conn_write(fd);
			} else {
				conn_read(fd);
			}
		}
	}
}

static void
take(int fd)
{
	if (epoll_watch(epfd, fd, EPOLLIN, (uint64_t)fd) == -1) {
		close(fd);
	}
}

static void
conn_read(int fd)
{
	struct conn *c = &conns[fd];
	size_t have = c->part != NULL ? c->part->len : 0;
	ssize_t got, put;
	char *whole, *end;

	got = recv(fd, buffer + have, sizeof(buffer) - have, 0);
	if (got <= 0) {		/* a line that fills the buffer, too */
		if (got == 0 || errno != EAGAIN) {
			drop(fd);
		}
		return;
	}
	if (have > 0) {
		memcpy(buffer, c->part->bytes, have);
		free(c->part);
	}
	end = buffer + have + got;
	whole = answer(buffer, end);
	c->part = rest_of(whole, (size_t)(end - whole));
	if (whole == buffer) {
		return;
	}
	put = send(fd, buffer, (size_t)(whole - buffer), MSG_NOSIGNAL);
	if (put == -1 && errno != EAGAIN) {
		drop(fd);
		return;
	}
	put = put > 0 ? put : 0;
	c->unsent = rest_of(buffer + put, (size_t)(whole - buffer - put));
	if (c->unsent != NULL) {
		watch_for(fd, EPOLLOUT);
	}
}

/* Makes replies of the whole lines there are; returns where they end. */
static char *
answer(char *from, char *end)
{
	char *nl;

	while ((nl = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		if (nl > from) {
			*from = '=';
		}
		from = nl + 1;
	}
	return from;
}

static void
conn_write(int fd)
{
	struct rest *r = conns[fd].unsent;
	ssize_t put = send(fd, r->bytes + r->done, r->len - r->done, MSG_NOSIGNAL);

	if (put == -1) {
		if (errno != EAGAIN) {
			drop(fd);
		}
		return;
	}
	r->done += (size_t)put;
	if (r->done == r->len) {
		free(r);
		conns[fd].unsent = NULL;
		watch_for(fd, EPOLLIN);
	}
}

static void
watch_for(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uint64_t)fd };

	if (epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) == -1) {
		drop(fd);
	}
}

static void
drop(int fd)
{
	free(conns[fd].part);
	free(conns[fd].unsent);
	conns[fd] = (struct conn){ 0 };
	close(fd);
}
