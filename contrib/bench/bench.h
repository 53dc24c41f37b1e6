/* SPDX-License-Identifier: BSD-2-Clause */
/* What the bench's programs share: addresses on loopback, listeners, bytes set aside. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the program's name, the message, and strerror(errno) if it is not 0; exits with 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* "A.B.C.D:PORT" to sin. Dies unless the address is in 127.0.0.0/8: a load goes nowhere else. */
void address(const char *text, struct sockaddr_in *sin);

/* A non-blocking listener with TCP_NODELAY, which accepted sockets inherit; dies on failure. */
int listen_on(const struct sockaddr_in *sin);

/* A non-blocking client socket with TCP_NODELAY on its way to sin, or -1 with errno. */
int connect_to(const struct sockaddr_in *sin);

/* An epoll descriptor; dies on failure. */
int epoll_open(void);

/* Accepts what waits on the listener, so many at most, and gives each to take. */
void accept_each(int listener, void (*take)(int fd));

/* Registers fd with the events and cookie given. 0, or -1 with errno. */
int epoll_watch(int epfd, int fd, uint32_t events, uint64_t cookie);

/* Bytes set aside: of a line that has not ended, or that a peer has not taken. */
struct rest {
	size_t len;
	size_t done;		/* taken by the peer */
	char bytes[];
};

/* A copy of these bytes, for free(); NULL if there are none. Dies if there is no memory. */
struct rest *rest_of(const void *bytes, size_t len);

/* Raises the soft limit of descriptors to the hard one, which it returns. */
size_t raise_descriptors(void);

#endif
