/* SPDX-License-Identifier: BSD-2-Clause */
/* ports: local ports for connect(2) when most of them are taken. */
#include "net/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

/* One of each process: who is forked begins with its parent's, and its own number. */
static struct {
	unsigned first;		/* ip_local_port_range, of this process's namespace */
	unsigned last;
	unsigned made;		/* connections since the last one that was looked at */
	unsigned scarce;	/* connections that are still to be made in windows */
	unsigned next;		/* window, counted up for ever */
} ports;

static int      ports_connect_anywhere(int fd, const struct addr *to);
static bool     ports_are_scarce(int fd);
static bool     ports_read_range(void);
static unsigned ports_count_windows(void);
static int      ports_narrow(int fd);

int
ports_connect(int fd, const struct addr *to)
{
	if (ports.scarce == 0)
		return ports_connect_anywhere(fd, to);
	ports.scarce--;
	for (unsigned left = ports_count_windows(); left > 0; left--) {
		if (ports_narrow(fd) < 0)
			break;
		if (connect(fd, &to->sa, to->len) == 0)
			return 0;
		if (errno != EADDRNOTAVAIL || left == 1)
			return -1;
	}
	return connect(fd, &to->sa, to->len);
}

bool
ports_have_windows(void)
{
	uint32_t  range;
	socklen_t len = sizeof range;
	int       fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool      have;

	if (fd < 0)
		return false;
	have = getsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, &len) == 0;
	close(fd);
	return have;
}

static int
ports_connect_anywhere(int fd, const struct addr *to)
{
	int result = connect(fd, &to->sa, to->len), error = errno;

	if ((result == 0 || error == EINPROGRESS) && ++ports.made >= PORTS_LOOK) {
		ports.made = 0;
		if (ports_are_scarce(fd)) {
			ports.scarce = PORTS_STAY;
			ports.next += (unsigned)getpid();
		}
	}
	errno = error;
	return result;
}

/* The parity of the range's first port is the one that is tried first. */
static bool
ports_are_scarce(int fd)
{
	struct addr own;
	socklen_t   len = sizeof own.in6;

	if (getsockname(fd, &own.sa, &len) < 0 || !ports_read_range())
		return false;
	return ((ntohs(own.in.sin_port) ^ ports.first) & 1) != 0;
}

static bool
ports_read_range(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	bool  good;

	if (f == NULL)
		return false;
	good = fscanf(f, "%u %u", &ports.first, &ports.last) == 2 && ports.first <= ports.last &&
	    ports.first > 0 && ports.last <= UINT16_MAX;
	fclose(f);
	return good;
}

static unsigned
ports_count_windows(void)
{
	return (ports.last - ports.first) / PORTS_WINDOW + 1;
}

/* To the next window. The kernel takes the last port in the upper half, the first in the
 * lower, for IPv6, too. */
static int
ports_narrow(int fd)
{
	unsigned first = ports.first + ports.next++ % ports_count_windows() * PORTS_WINDOW;
	unsigned last = first + PORTS_WINDOW - 1 < ports.last ? first + PORTS_WINDOW - 1
							      : ports.last;
	uint32_t range = (uint32_t)last << 16 | first;

	return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range);
}
