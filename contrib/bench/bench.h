/* SPDX-License-Identifier: BSD-2-Clause */
/* What the bench's programs share: addresses on loopback, listeners, the byte pattern, time. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The bytes of every stream: those at offset n of a stream that starts at s are PATTERN[(s + n) %
 * PATTERN_PERIOD], so that a receiver can check each of them, and a message that comes twice, in
 * another order, or on another connection does not pass. The period is a prime: no power of two
 * that a server may use as a buffer's size hides a shift.
 */
#define PATTERN_PERIOD 65521u
#define PATTERN_SPAN   (1u << 18)	/* readable in one piece from any offset below the period */

/* Prints the program's name, the message, and strerror(errno) if it is not 0; exits with 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Like die() without the exit. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A number in [min, max] from the argument of option opt; dies otherwise. */
unsigned long number(int opt, const char *text, unsigned long min, unsigned long max);

/* "PID[,PID...]" to at most max pids, which text is cut into; how many. Dies on anything else. */
size_t pids(char *text, pid_t *list, size_t max);

/* "A.B.C.D:PORT" to sin. Dies unless the address is in 127.0.0.0/8: a load goes nowhere else. */
void address(const char *text, struct sockaddr_in *sin);

/* A non-blocking listener with TCP_NODELAY, which accepted sockets inherit; dies on failure. */
int listen_on(const struct sockaddr_in *sin);

/*
 * A non-blocking client socket with TCP_NODELAY on its way to sin, or -1 with errno. The caller's
 * serial number spreads the sources over 127.0.1.1 and up: one has not enough ports.
 */
int connect_to(const struct sockaddr_in *sin, size_t serial);

/* An epoll descriptor; dies on failure. */
int epoll_open(void);

/* Accepts what waits on the listener, so many at most, and gives each to take. */
void accept_each(int listener, void (*take)(int fd));

/* Registers fd with the events and cookie given. 0, or -1 with errno. */
int epoll_watch(int epfd, int fd, uint32_t events, uint64_t cookie);

/* The pattern: PATTERN_PERIOD + PATTERN_SPAN bytes, made at the first call. */
const unsigned char *pattern(void);

/* Bytes set aside: of a line that has not ended, or that a peer has not taken. */
struct rest {
	size_t len;
	size_t done;		/* taken by the peer */
	char bytes[];
};

/* A copy of these bytes, for free(); NULL if there are none. Dies if there is no memory. */
struct rest *rest_of(const void *bytes, size_t len);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* Raises the soft limit of descriptors to the hard one, which it returns. */
size_t raise_descriptors(void);

#endif
