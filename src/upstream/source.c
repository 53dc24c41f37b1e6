/* SPDX-License-Identifier: BSD-2-Clause */
/* source: the local addresses that connections to peers come from. */
#include "upstream/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "net/addr.h"
#include "net/loop.h"
#include "net/sock.h"
#include "upstream/upstream.h"

#define SEARCH_SHARE 20u	/* searching in vain takes a twentieth of a worker's time */
#define REST_MAX     2000u	/* ms */

static const char not_one[] = "is not an IPv4 or IPv6 address";
static const char has_port[] = "has a port, which the kernel chooses: write the address alone";
static const char any[] = "is any address: leave the key out and the kernel chooses";
static const char unfit[] = "is no address that a connection can come from";

static const char *source_parse(struct addr *, const char *word);
static const char *source_parse_v6(struct addr *, char *text);
static const char *source_add(struct weir_scope *, struct source_list *, const struct addr *);
static int         source_connect_from(struct weir_upstream *, const struct weir_peer *,
    const struct addr *from);
static unsigned    source_places(const struct source_list *);
static size_t      source_pairs(const struct weir_upstream *);
static bool        source_fits(const struct addr *source, const struct addr *to);

const char *
source_key(struct weir_scope *scope, const char *text, void *list)
{
	char        copy[4096], *rest = copy, *word;
	const char *wrong;
	struct addr a;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long; the key may be repeated";
	if ((word = weir_word(&rest)) == NULL)
		return "is empty: write addresses of this machine, like 192.0.2.10 192.0.2.11";
	do {
		wrong = source_parse(&a, word);
		if (wrong == NULL)
			wrong = source_add(scope, list, &a);
		if (wrong != NULL)
			return scope_phrase(scope, "%s %s", word, wrong);
	} while ((word = weir_word(&rest)) != NULL);
	return NULL;
}

const char *
source_check(struct weir_scope *scope, struct weir_upstream *u)
{
	const struct weir_peer *peer;
	struct in6_addr         ip;

	u->sources.rests = weir_scope_alloc(scope, source_pairs(u) * sizeof *u->sources.rests);
	for (unsigned i = 0; u->sources.count > 0 && i < u->fixed; i++) {
		peer = &u->peers[i];
		if (peer->addr.sa.sa_family == AF_UNIX ||
		    source_count(&u->sources, &peer->addr) > 0)
			continue;
		ip = peer->addr.sa.sa_family == AF_INET6 ? peer->addr.in6.sin6_addr : in6addr_any;
		if (IN6_IS_ADDR_V4MAPPED(&ip))
			return scope_phrase(scope,
			    "the peer %s is an IPv4-mapped IPv6 address: with "
			    "sources it has to be written as IPv4",
			    peer->name);
		return scope_phrase(scope,
		    "none of these can reach the peer %s: add a source that is "
		    "%s",
		    peer->name, peer->addr.sa.sa_family == AF_INET ? "IPv4" : "IPv6");
	}
	return NULL;
}

unsigned
source_count(const struct source_list *list, const struct addr *to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->count; i++)
		n += source_fits(&list->addresses[i], to);
	return n;
}

const struct addr *
source_next(struct source_list *list, const struct addr *to)
{
	unsigned *next = to->sa.sa_family == AF_INET ? &list->next_v4 : &list->next_v6, at;

	for (unsigned i = 0; i < list->count; i++) {
		at = *next;
		*next = at + 1 == list->count ? 0 : at + 1;
		if (source_fits(&list->addresses[at], to))
			return &list->addresses[at];
	}
	return NULL;
}

int
source_connect(struct weir_upstream *u, const struct weir_peer *peer)
{
	unsigned left = source_count(&u->sources, &peer->addr);
	int      fd;

	do
		fd = source_connect_from(u, peer, source_next(&u->sources, &peer->addr));
	while (fd < 0 && errno == EADDRNOTAVAIL && left-- > 1);
	return fd;
}

void
source_settle(const struct weir_upstream *u, const struct weir_peer *peer, int fd)
{
	if (sock_settle(fd, &peer->addr, &u->options) < 0)
		log_warn("socket options: %s", strerror(errno));
}

/* To find that no port is free the kernel looks at each: that takes milliseconds,
 * in which the worker does nothing else. So the rest is as long as makes them a
 * small part of its time. */
static int
source_connect_from(struct weir_upstream *u, const struct weir_peer *peer, const struct addr *from)
{
	struct source_list *list = &u->sources;
	size_t              source = from != NULL ? (size_t)(from - list->addresses) : 0;
	uint64_t           *rest = &list->rests[peer->index * source_places(list) + source], began;
	int                 fd;

	if (*rest > loop_now()) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	began = clock_ns();
	fd = sock_connect(&peer->addr, from, &u->options);
	if (fd < 0 && errno == EADDRNOTAVAIL) {
		uint64_t ms = (clock_ns() - began) * SEARCH_SHARE * source_pairs(u) / 1000000;

		*rest = loop_now() + (ms < REST_MAX ? ms : REST_MAX);
	}
	return fd;
}

/* Without any the kernel's choice is one. */
static unsigned
source_places(const struct source_list *list)
{
	return list->count > 0 ? list->count : 1;
}

static size_t
source_pairs(const struct weir_upstream *u)
{
	return (size_t)u->peer_count * source_places(&u->sources);
}

static bool
source_fits(const struct addr *source, const struct addr *to)
{
	return source->sa.sa_family == to->sa.sa_family &&
	    (to->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&to->in6.sin6_addr));
}

static const char *
source_parse(struct addr *a, const char *word)
{
	char           copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 3], *colon;
	struct in_addr in;

	memset(a, 0, sizeof *a);
	if ((size_t)snprintf(copy, sizeof copy, "%s", word) >= sizeof copy)
		return not_one;
	if (inet_pton(AF_INET, word, &in) == 1) {
		if (in.s_addr == htonl(INADDR_ANY))
			return any;
		if (IN_MULTICAST(ntohl(in.s_addr)) || in.s_addr == htonl(INADDR_BROADCAST))
			return unfit;
		a->in.sin_family = AF_INET;
		a->in.sin_addr = in;
		a->len = sizeof a->in;
		return NULL;
	}
	if ((colon = strchr(copy, ':')) == NULL)
		return not_one;
	if (strchr(colon + 1, ':') != NULL)
		return source_parse_v6(a, copy);
	*colon = '\0';
	return inet_pton(AF_INET, copy, &in) == 1 ? has_port : not_one;
}

static const char *
source_parse_v6(struct addr *a, char *text)
{
	char    *zone, *end;
	uint64_t number;

	if (*text == '[') {
		if ((end = strchr(++text, ']')) == NULL)
			return "lacks a ]";
		if (end[1] != '\0')
			return end[1] == ':' ? has_port : not_one;
		*end = '\0';
	}
	if ((zone = strchr(text, '%')) != NULL)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) != 1)
		return not_one;
	a->in6.sin6_family = AF_INET6;
	a->len = sizeof a->in6;
	if (zone != NULL) {
		a->in6.sin6_scope_id = str_number(zone, &number) && number <= UINT32_MAX
		    ? (uint32_t)number
		    : if_nametoindex(zone);
		if (a->in6.sin6_scope_id == 0)
			return "names an interface that there is not";
		if (!IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr))
			return "has an interface, which only addresses of fe80::/10 need";
	}
	if (IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
		return any;
	if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return "is an IPv4 address: write it as one";
	if (IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr))
		return unfit;
	return NULL;
}

static const char *
source_add(struct weir_scope *scope, struct source_list *list, const struct addr *a)
{
	for (unsigned i = 0; i < list->count; i++)
		if (addr_equal(&list->addresses[i], a))
			return "is there already";
	if (list->count == SOURCES_MAX)
		return "is one too many: an upstream has at most 1024 sources";
	if (sock_try_source(a) < 0) {
		if (errno == EADDRNOTAVAIL)
			return "is not an address of this machine (ip addr lists them)";
		return scope_phrase(scope, "cannot be used: %s", strerror(errno));
	}
	list->addresses = scope_grow(scope, list->addresses, list->count, sizeof *list->addresses);
	list->addresses[list->count++] = *a;
	return NULL;
}
