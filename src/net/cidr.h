/* SPDX-License-Identifier: BSD-2-Clause */
/* cidr: ranges of addresses, for lists of who may do something. */
#ifndef NET_CIDR_H
#define NET_CIDR_H

#include <stdbool.h>
#include <stdint.h>

struct addr_packed;

struct cidr {
	uint8_t family;		/* AF_INET, AF_INET6, AF_UNIX, 0: all */
	uint8_t bits;		/* of ip, that have to be the same */
	uint8_t ip[16];
};

/* Reads IPV4, IPV4/BITS, IPV6, IPV6/BITS, unix: (all UNIX sockets) or all. Returns NULL,
 * or a phrase that says what is wrong. */
const char *cidr_parse(struct cidr *, const char *text);

/* Whether it has all there are, or all of IPv4 or of IPv6. */
bool cidr_is_everybody(const struct cidr *);

/* IPv4-mapped addresses and ranges are IPv4. */
bool cidr_has(const struct cidr *, const struct addr_packed *);

#endif
