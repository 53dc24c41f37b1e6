/* SPDX-License-Identifier: BSD-2-Clause */
/* addr: socket addresses, whole and packed, and the way they are written. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

/* Any address that can be bound or connected to. Compare with addr_equal. */
struct addr {
	union {
		struct sockaddr     sa;
		struct sockaddr_in  in;
		struct sockaddr_in6 in6;
		struct sockaddr_un  un;
	};
	socklen_t len;
};

/* A client's address as a session keeps it: 20 bytes, not 112. */
struct addr_packed {
	uint8_t  ip[16];	/* IPv4 in the first four; IPv4-mapped IPv6 is unpacked to IPv4 */
	uint16_t port;		/* host order */
	uint8_t  family;	/* AF_INET, AF_INET6, AF_UNIX, 0: none */
	uint8_t  spare;
};

#define ADDR_TEXT_MAX 128	/* with "unix:" and any path */

/*
 * Reads PORT, IPV4:PORT, [IPV6]:PORT, *:PORT, unix:PATH or unix:@NAME, which is an
 * abstract one (unix(7)). PORT and *:PORT are IPv6 any, to be bound with IPV6_V6ONLY
 * off. A relative PATH is put behind prefix (NULL: refused). Returns NULL, or a
 * phrase that says what is wrong.
 */
const char *addr_parse(struct addr *, const char *text, const char *prefix);

/*
 * As above without PORT and *:PORT, and with NAME:PORT, which is resolved with
 * getaddrinfo(3); may block. Stores up to max addresses and their number in
 * *n. Returns NULL or a phrase.
 */
const char *addr_resolve(struct addr *, unsigned max, unsigned *n, const char *text,
    const char *prefix);

/* "192.0.2.1:80", "[2001:db8::1]:80", "*:80", "unix:/run/x.sock", "unix:@name".
 * Returns out. */
char *addr_print(const struct addr *, char out[ADDR_TEXT_MAX]);
char *addr_print_packed(const struct addr_packed *, char out[ADDR_TEXT_MAX]);

void addr_pack(struct addr_packed *, const struct addr *);
bool addr_equal(const struct addr *, const struct addr *);

/* In host order; 0: it has none. */
uint16_t addr_port(const struct addr *);
void     addr_set_port(struct addr *, uint16_t port);	/* of one that has a port */

/* Whether it is a UNIX address that has no file: no mode, no owner, nothing to
 * remove, and it is gone with its listener. */
bool addr_is_abstract(const struct addr *);

/* Whether only this machine's programs can connect to it: a UNIX address, 127.0.0.0/8, ::1. */
bool addr_is_inside(const struct addr *);

/* Whether binding both at once would collide: the same port, and the same
 * address or one of them a wildcard that covers the other. */
bool addr_overlap(const struct addr *, const struct addr *);

#endif
