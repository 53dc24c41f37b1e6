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
#include <unistd.h>

enum { ACCEPT_BATCH = 64 };

static int socket_new(void);

void
die(const char *fmt, ...)
{
	int     error = errno;
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
	exit(1);
}

void
address(const char *text, struct sockaddr_in *sin)
{
	const char   *colon = strrchr(text, ':');
	char          host[INET_ADDRSTRLEN], *end;
	unsigned long port;
	size_t        len;

	errno = 0;
	if (colon == NULL || (len = (size_t)(colon - text)) >= sizeof host) {
		die("%s: wanted ADDRESS:PORT", text);
	}
	memcpy(host, text, len);
	host[len] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || port == 0 || port > 65535) {
		die("%s: wanted a port from 1 to 65535", text);
	}
	memset(sin, 0, sizeof *sin);
	sin->sin_family = AF_INET;
	sin->sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
		die("%s: not an IPv4 address", host);
	}
	if (ntohl(sin->sin_addr.s_addr) >> 24 != 127) {
		die("%s: not in 127.0.0.0/8, and nothing else is loaded", host);
	}
}

/* Non-blocking, with TCP_NODELAY. -1 with errno. */
static int
socket_new(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int
listen_on(const struct sockaddr_in *sin)
{
	int fd = socket_new();
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (const struct sockaddr *)sin, sizeof *sin) < 0 || listen(fd, 65535) < 0) {
		die("listening on port %d", ntohs(sin->sin_port));
	}
	return fd;
}

int
connect_to(const struct sockaddr_in *sin)
{
	int fd = socket_new();

	if (fd >= 0 && connect(fd, (const struct sockaddr *)sin, sizeof *sin) < 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

int
epoll_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0) {
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
		if (fd < 0) {
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

struct rest *
rest_of(const void *bytes, size_t len)
{
	struct rest *r;

	if (len == 0) {
		return NULL;
	}
	r = malloc(sizeof *r + len);
	if (r == NULL) {
		die("no memory");
	}
	r->len = len;
	r->done = 0;
	memcpy(r->bytes, bytes, len);
	return r;
}

size_t
raise_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0) {
		die("getrlimit");
	}
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0) {
		die("setrlimit");
	}
	return rl.rlim_max;
}
