/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit-relay: passes bytes between each client and a connection of its own to one backend, on
 * bare epoll: what a relay that copies costs at least.
 *
 *	client  --read-->  one buffer for all  --write-->  backend   and back
 *
 * Each end is registered once, edge-triggered. What the other end does not take is kept, and
 * reading goes on when it has been taken. Half-closes are passed on; both ends go when both have
 * ended, or at once on an error.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENT_BATCH = 512, BUFFER = 65536 };

struct end {
	int peer;		/* the other end's descriptor; 0, which is stdin: not in use */
	bool eof;		/* its FIN was read, and passed on unless a rest is before it */
	bool readable;		/* an edge came, and no read has found it empty since */
	bool ending;		/* a FIN is here: it makes no further edge, so read up to it */
	struct rest *rest;	/* read from the other end, and not taken by this one yet */
};

static int epfd, listener;
static struct sockaddr_in backend;
static struct end *ends;	/* by descriptor */
static unsigned char buffer[BUFFER];

static void drop(int fd);
static int flush(int fd);
static void pair(int client);
static void pump(int fd);
static void serve(int fd, uint32_t events);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENT_BATCH];
	struct sockaddr_in sin;
	size_t             max;
	int                n;

	if (argc != 3) {
		fputs("usage: limit-relay 127.x.x.x:PORT BACKEND:PORT\n", stderr);
		return 2;
	}
	address(argv[1], &sin);
	address(argv[2], &backend);
	max = raise_descriptors();
	ends = calloc(max, sizeof *ends);
	if (ends == NULL) {
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
			serve((int)evs[i].data.u64, evs[i].events);
		}
	}
}

static void
serve(int fd, uint32_t events)
{
	if (fd == listener) {
		accept_each(listener, pair);
		return;
	}
	if (ends[fd].peer == 0) {
		return;		/* dropped earlier in this pass */
	}
	if ((events & EPOLLOUT) && ends[fd].rest != NULL) {
		if (flush(fd) < 0) {
			drop(fd);
			return;
		}
		if (ends[fd].rest == NULL && ends[ends[fd].peer].readable) {
			pump(ends[fd].peer);
			if (ends[fd].peer == 0) {
				return;
			}
		}
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		ends[fd].readable = true;
		ends[fd].ending |= (events & EPOLLRDHUP) != 0;
		pump(fd);
	}
}

/* Connects to the backend for a client; the connect goes on while the client is read. */
static void
pair(int client)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	int            fd = connect_to(&backend);

	if (fd < 0) {
		close(client);
		return;
	}
	if (epoll_watch(epfd, fd, events, (uint64_t)fd) < 0 ||
	    epoll_watch(epfd, client, events, (uint64_t)client) < 0) {
		close(fd);
		close(client);
		return;
	}
	ends[client] = (struct end){ .peer = fd };
	ends[fd] = (struct end){ .peer = client };
}

/* Moves what fd has to its peer until there is no more or the peer is full. */
static void
pump(int fd)
{
	struct end *from = &ends[fd];
	struct end *to = &ends[from->peer];
	ssize_t     got, put;

	while (from->readable && !from->eof && to->rest == NULL) {
		got = recv(fd, buffer, sizeof buffer, 0);
		if (got == 0) {
			from->eof = true;
			if (to->eof || shutdown(from->peer, SHUT_WR) < 0) {
				drop(fd);
				return;
			}
			break;
		}
		if (got < 0) {
			if (errno != EAGAIN) {
				drop(fd);
				return;
			}
			from->readable = false;
			break;
		}
		put = send(from->peer, buffer, (size_t)got, MSG_NOSIGNAL);
		if (put < 0 && errno != EAGAIN) {
			drop(fd);
			return;
		}
		put = put > 0 ? put : 0;
		to->rest = rest_of(buffer + put, (size_t)(got - put));
		if (got < (ssize_t)sizeof buffer && !from->ending) {
			/* Empty, for now: what comes later makes an edge. */
			from->readable = false;
		}
	}
}

/* Writes on at what fd had not taken; frees it when all is. -1: the connection is broken. */
static int
flush(int fd)
{
	struct rest *r = ends[fd].rest;
	ssize_t      put = send(fd, r->bytes + r->done, r->len - r->done, MSG_NOSIGNAL);

	if (put < 0) {
		return errno == EAGAIN ? 0 : -1;
	}
	r->done += (size_t)put;
	if (r->done == r->len) {
		free(r);
		ends[fd].rest = NULL;
	}
	return 0;
}

static void
drop(int fd)
{
	int both[2] = { fd, ends[fd].peer };

	for (int i = 0; i < 2; i++) {
		free(ends[both[i]].rest);
		ends[both[i]] = (struct end){ .peer = 0 };
		close(both[i]);
	}
}
