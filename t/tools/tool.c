/* SPDX-License-Identifier: BSD-2-Clause */
/* tool: bytes, random numbers, options and sockets of the programs of t/tools. */
#include "tools/tool.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static volatile int *stop_flag;

static void on_signal(int);

/* ------------------------------------------------------------------- bytes */

uint64_t
line_sum(const char *line, size_t len)
{
	uint64_t sum;
	size_t i;

	sum = 14695981039346656037u;	/* FNV-1a */
	for (i = 0; i < len; i++) {
		sum ^= (unsigned char)line[i];
		sum *= 1099511628211u;
	}
	return sum;
}

char *
bytes_room(struct bytes *b, size_t len)
{
	if (b->start > 0 && b->start + b->len + len > b->size) {
		memmove(b->data, b->data + b->start, b->len);
		b->start = 0;
	}
	if (b->start + b->len + len > b->size) {
		b->size = 2 * (b->len + len);
		b->data = realloc(b->data, b->size);
		if (b->data == NULL)
			err(2, NULL);
	}
	return b->data + b->start + b->len;
}

void
bytes_append(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(bytes_room(b, len), data, len);
	b->len += len;
}

void
bytes_consume(struct bytes *b, size_t len)
{
	b->start += len;
	b->len -= len;
	if (b->len == 0)
		b->start = 0;
}

void
bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}

const char *
bytes_line(const struct bytes *b, size_t *len)
{
	const char *line, *end;

	if (b->len == 0)
		return NULL;
	line = b->data + b->start;
	end = memchr(line, '\n', b->len);
	if (end == NULL)
		return NULL;
	*len = (size_t)(end - line);
	return line;
}

void
bytes_append_reply(struct bytes *b, const char *tag, size_t tag_len, uint64_t sum, unsigned size)
{
	char digits[32];
	char *pad;
	unsigned i;

	bytes_append(b, tag, tag_len);
	bytes_append(b, digits,
	    (size_t)snprintf(digits, sizeof(digits), " %016jx ", (uintmax_t)sum));
	pad = bytes_room(b, size + 1);
	for (i = 0; i < size; i++)
		pad[i] = (char)('a' + (sum + i) % 26);
	pad[size] = '\n';
	b->len += size + 1;
}

/* --------------------------------------------------------- random and time */

struct rng
rng_make(uint64_t seed, uint64_t number)
{
	struct rng r;

	r.state = seed * 0x9e3779b97f4a7c15u + number * 0xd1b54a32d192ed03u;
	rng_next(&r);
	return r;
}

/* splitmix64 */
uint64_t
rng_next(struct rng *r)
{
	uint64_t z;

	z = r->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t
rng_below(struct rng *r, uint64_t bound)
{
	return bound == 0 ? 0 : rng_next(r) % bound;
}

bool
rng_chance(struct rng *r, double probability)
{
	return (double)(rng_next(r) >> 11) < probability * (double)(UINT64_C(1) << 53);
}

uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ----------------------------------------------------------------- options */

void
rates_parse(const char *text, const char *const names[], double rates[])
{
	const char *p;
	char *end;
	size_t len;
	int i;

	for (p = text; *p != '\0'; p = *end == ',' ? end + 1 : end) {
		len = strcspn(p, "=");
		for (i = 0; names[i] != NULL; i++) {
			if (strlen(names[i]) == len && strncmp(names[i], p, len) == 0)
				break;
		}
		if (names[i] == NULL || p[len] != '=')
			errx(2, "no name=probability: %s", p);
		rates[i] = strtod(p + len + 1, &end);
		if (end == p + len + 1 || (*end != ',' && *end != '\0') || !(rates[i] >= 0) ||
		    rates[i] > 1)
			errx(2, "not a probability: %s", p);
	}
}

uint64_t
number_parse(const char *option, const char *text, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value > max)
		errx(2, "--%s: not a number up to %ju: %s", option, (uintmax_t)max, text);
	return value;
}

/* ----------------------------------------------------------------- sockets */

int
listen_on(unsigned port)
{
	struct sockaddr_in sin;
	int fd, saved;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));	/* inherited */
	sin = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 || listen(fd, BACKLOG) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

unsigned
port_of(int fd)
{
	struct sockaddr_in sin;
	socklen_t len;

	len = sizeof(sin);
	if (getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(2, "getsockname");
	return ntohs(sin.sin_port);
}

int
connect_to(const char *address)
{
	struct sockaddr_in sin;
	const char *colon;
	char host[32];
	int fd, saved;

	colon = strrchr(address, ':');
	snprintf(host, sizeof(host), "%.*s", colon != NULL ? (int)(colon - address) : 9,
	    colon != NULL ? address : "127.0.0.1");
	sin = (struct sockaddr_in){ .sin_family = AF_INET };
	sin.sin_port = htons(
	    (uint16_t)number_parse("to", colon != NULL ? colon + 1 : address, 65535));
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		errx(2, "not an IPv4 address: %s", address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 && errno != EINPROGRESS) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

void
reset_at_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* ----------------------------------------------------------------- signals */

static void
on_signal(int signo)
{
	(void)signo;
	*stop_flag = 1;
}

void
stop_on_signals(volatile int *stop)
{
	struct sigaction act = { .sa_handler = on_signal };

	stop_flag = stop;
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}
