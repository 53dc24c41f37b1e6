/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit-pool: carries the lines of all clients over one connection to a backend, on bare epoll:
 * what a pool that multiplexes costs at least.
 *
 *	clients  --read-->  out  --one write a pass-->  backend
 *	clients  <--write--  in  <--------read--------  backend
 *
 * Requests are read into the place from which they are sent, replies are written from where they
 * were read; a queue says whose turn it is. There is nothing else: no timeout, no second try, and
 * no limit but DEPTH, the most requests in flight. A client that does not take its reply at once
 * is dropped, and without a backend it ends.
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

enum {
	EVENT_BATCH = 512,
	READ_MAX = 65536,
	LINE_MAX = 8192,		/* of a line that comes in pieces */
	OUT_MAX = 1 << 22,
	TURNS = 1 << 16,		/* a power of two */
};

struct client {
	uint32_t stay;			/* counts those who had this descriptor */
	struct rest *part;		/* of a request whose end has not come */
};

/* Requests that one client sent in a row, and that have no reply yet. */
struct turn {
	uint32_t fd;
	uint32_t stay;			/* not the descriptor's any more: the client has gone */
	uint32_t left;
};

static int epfd, listener, backend;
static struct client *clients;		/* by descriptor */
static struct turn turns[TURNS];
static uint32_t first, behind;		/* of the turns in use; they wrap around by themselves */
static char out[OUT_MAX], in[READ_MAX];
static size_t out_len, out_ready, out_done, in_len;	/* ready: what may be sent */
static size_t depth, in_flight;			/* depth: 0: without limit */

static void take(int fd);
static void backend_read(void);
static void backend_write(void);
static void admit(void);
static void client_read(int fd, uint32_t events);
static int connect_backend(const struct sockaddr_in *sin);
static void deliver(const struct turn *t, const char *bytes, size_t len);
static void drop(int fd);
static void queue(int fd, uint32_t lines);

int
main(int argc, char **argv)
{
	struct epoll_event evs[EVENT_BATCH];
	struct sockaddr_in sin, to;
	int                n, fd;

	if (argc != 3 && argc != 4) {
		fputs("usage: limit-pool 127.x.x.x:PORT BACKEND:PORT [DEPTH]\n", stderr);
		return 2;
	}
	depth = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	address(argv[1], &sin);
	address(argv[2], &to);
	clients = calloc(raise_descriptors(), sizeof *clients);
	if (clients == NULL) {
		die("no memory");
	}
	signal(SIGPIPE, SIG_IGN);
	epfd = epoll_open();
	backend = connect_backend(&to);
	listener = listen_on(&sin);
	if (epoll_watch(epfd, backend, EPOLLIN | EPOLLOUT | EPOLLET, (uint64_t)backend) < 0 ||
	    epoll_watch(epfd, listener, EPOLLIN, (uint64_t)listener) < 0) {
		die("epoll_ctl");
	}
	for (;;) {
		n = epoll_wait(epfd, evs, EVENT_BATCH, -1);
		for (int i = 0; i < n; i++) {
			fd = (int)evs[i].data.u64;
			if (fd == backend) {
				backend_read();
			} else if (fd == listener) {
				accept_each(listener, take);
			} else {
				client_read(fd, evs[i].events);
			}
		}
		backend_write();
	}
}

static int
connect_backend(const struct sockaddr_in *sin)
{
	struct epoll_event ev;
	int                fd = connect_to(sin);
	int                once = epoll_open();

	if (fd < 0 || epoll_watch(once, fd, EPOLLOUT, 0) < 0 ||
	    epoll_wait(once, &ev, 1, -1) != 1 || (ev.events & (EPOLLERR | EPOLLHUP))) {
		die("connecting to the backend");
	}
	close(once);
	return fd;
}

static void
take(int fd)
{
	if (epoll_watch(epfd, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, (uint64_t)fd) < 0) {
		close(fd);
	}
}

/* Reads requests behind those that wait to be sent. */
static void
client_read(int fd, uint32_t events)
{
	struct client *c = &clients[fd];
	uint32_t       lines;
	size_t         have;
	ssize_t        got;
	char          *at, *end, *nl;

	do {
		at = out + out_len;
		if (out_len + LINE_MAX + READ_MAX > OUT_MAX) {
			errno = 0;
			die("the backend does not keep up");
		}
		have = c->part != NULL ? c->part->len : 0;
		got = recv(fd, at + have, READ_MAX, 0);
		if (got <= 0) {
			if (got == 0 || errno != EAGAIN) {
				drop(fd);
			}
			return;
		}
		if (have > 0) {
			memcpy(at, c->part->bytes, have);
			free(c->part);
		}
		end = at + have + got;
		lines = 0;
		while ((nl = memchr(at, '\n', (size_t)(end - at))) != NULL) {
			at = nl + 1;
			lines++;
		}
		c->part = rest_of(at, (size_t)(end - at));
		if (end - at > LINE_MAX) {
			drop(fd);
			return;
		}
		out_len = (size_t)(at - out);
		queue(fd, lines);
	} while (got == READ_MAX || (events & EPOLLRDHUP));
}

static void
queue(int fd, uint32_t lines)
{
	struct turn *last = &turns[(behind - 1) % TURNS];

	if (lines == 0) {
		return;
	}
	if (first != behind && last->fd == (uint32_t)fd && last->stay == clients[fd].stay) {
		last->left += lines;
		return;
	}
	if (behind - first == TURNS) {
		errno = 0;
		die("the backend does not keep up");
	}
	turns[behind++ % TURNS] = (struct turn){ (uint32_t)fd, clients[fd].stay, lines };
}

static void
backend_write(void)
{
	ssize_t put;

	admit();
	while (out_done < out_ready) {
		put = send(backend, out + out_done, out_ready - out_done, MSG_NOSIGNAL);
		if (put < 0) {
			if (errno != EAGAIN) {
				die("the backend");
			}
			return;		/* an edge follows when there is room */
		}
		out_done += (size_t)put;
	}
	if (out_done == out_len || out_len > OUT_MAX / 2) {
		memmove(out, out + out_done, out_len - out_done);
		out_len -= out_done;
		out_ready = out_done = 0;
	}
}

/* Moves `ready` behind as many requests as may be in flight. */
static void
admit(void)
{
	const char *nl;

	if (depth == 0) {
		out_ready = out_len;
		return;
	}
	while (in_flight < depth &&
	    (nl = memchr(out + out_ready, '\n', out_len - out_ready)) != NULL) {
		out_ready = (size_t)(nl + 1 - out);
		in_flight++;
	}
}

/* Gives each reply to whose turn it is; what has come of an unfinished one goes to the front. */
static void
backend_read(void)
{
	const char  *at, *end, *to, *nl;
	struct turn *t;
	ssize_t      got;
	size_t       room;

	do {
		room = sizeof in - in_len;
		got = recv(backend, in + in_len, room, 0);
		if (got <= 0) {
			if (got < 0 && errno == EAGAIN) {
				return;
			}
			die("the backend");
		}
		at = in;
		end = in + in_len + got;
		while (first != behind) {
			t = &turns[first % TURNS];
			to = at;
			while (t->left > 0 &&
			    (nl = memchr(to, '\n', (size_t)(end - to))) != NULL) {
				to = nl + 1;
				t->left--;
				in_flight -= depth > 0;
			}
			deliver(t, at, (size_t)(to - at));
			at = to;
			if (t->left > 0) {
				break;
			}
			first++;
		}
		in_len = (size_t)(end - at);
		if (in_len == sizeof in || (first == behind && in_len > 0)) {
			errno = 0;
			die("more from the backend than was asked for");
		}
		memmove(in, at, in_len);
	} while ((size_t)got == room);
}

static void
deliver(const struct turn *t, const char *bytes, size_t len)
{
	if (len > 0 && t->stay == clients[t->fd].stay &&
	    send((int)t->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len) {
		drop((int)t->fd);
	}
}

static void
drop(int fd)
{
	free(clients[fd].part);
	clients[fd].part = NULL;
	clients[fd].stay++;
	close(fd);
}
