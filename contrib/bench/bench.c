/* SPDX-License-Identifier: BSD-2-Clause */
/* What the bench's programs share. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOURCES = 250, ACCEPT_BATCH = 64 };

static void vcomplain(int error, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

void
die(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vcomplain(error, fmt, ap);
	va_end(ap);
	exit(1);
}

void
complain(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vcomplain(error, fmt, ap);
	va_end(ap);
}

unsigned long
number(int opt, const char *text, unsigned long min, unsigned long max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || n < min || n > max) {
		errno = 0;
		die("-%c %s: wanted a number from %lu to %lu", opt, text, min, max);
	}
	return n;
}

size_t
pids(char *text, pid_t *list, size_t max)
{
	size_t n = 0;

	for (char *p = strtok(text, ","); p != NULL; p = strtok(NULL, ",")) {
		if (n == max) {
			errno = 0;
			die("more than %zu processes to watch", max);
		}
		list[n++] = (pid_t)number('P', p, 1, 1u << 22);
	}
	return n;
}

void
address(const char *text, struct sockaddr_in *sin)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];
	size_t len;

	errno = 0;
	if (colon == NULL || (len = (size_t)(colon - text)) >= sizeof(host)) {
		die("%s: wanted ADDRESS:PORT", text);
	}
	memcpy(host, text, len);
	host[len] = '\0';
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons((uint16_t)number('p', colon + 1, 1, 65535));
	if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
		die("%s: not an IPv4 address", host);
	}
	if (ntohl(sin->sin_addr.s_addr) >> 24 != 127) {
		die("%s: not in 127.0.0.0/8, and nothing else is loaded", host);
	}
}

int
listen_on(const struct sockaddr_in *sin)
{
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, (const struct sockaddr *)sin, sizeof(*sin)) == -1 || listen(fd, 65535) == -1) {
		die("listening on port %d", ntohs(sin->sin_port));
	}
	return fd;
}

int
connect_to(const struct sockaddr_in *sin, size_t serial)
{
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(serial % SOURCES)),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd == -1) {
		return -1;
	}
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    (connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) == -1 &&
		errno != EINPROGRESS)) {
		close(fd);
		return -1;
	}
	return fd;
}

int
epoll_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd == -1) {
		die("epoll_create1");
	}
	return fd;
}

void
accept_each(int listener, void (*take)(int fd))
{
	int fd;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			return;
		}
		take(fd);
	}
}

int
epoll_watch(int epfd, int fd, uint32_t events, uint64_t cookie)
{
	struct epoll_event ev = { .events = events, .data.u64 = cookie };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

const unsigned char *
pattern(void)
{
	static unsigned char *bytes;
	uint32_t x = 2463534242u;

	if (bytes != NULL) {
		return bytes;
	}
	bytes = malloc(PATTERN_PERIOD + PATTERN_SPAN);
	if (bytes == NULL) {
		die("no memory for the pattern");
	}
	for (size_t i = 0; i < PATTERN_PERIOD; i++) {	/* xorshift32 */
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		bytes[i] = (unsigned char)(x >> 11);
	}
	for (size_t i = PATTERN_PERIOD; i < PATTERN_PERIOD + PATTERN_SPAN; i++) {
		bytes[i] = bytes[i - PATTERN_PERIOD];
	}
	return bytes;
}

struct rest *
rest_of(const void *bytes, size_t len)
{
	struct rest *r;

	if (len == 0) {
		return NULL;
	}
	r = malloc(sizeof(*r) + len);
	if (r == NULL) {
		die("no memory");
	}
	r->len = len;
	r->done = 0;
	memcpy(r->bytes, bytes, len);
	return r;
}

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

size_t
raise_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1) {
		die("getrlimit");
	}
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1) {
		die("setrlimit");
	}
	return rl.rlim_max;
}

static void
vcomplain(int error, const char *fmt, va_list ap)
{
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "%s%s\n", error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
}
