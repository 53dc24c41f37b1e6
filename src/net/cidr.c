/* SPDX-License-Identifier: BSD-2-Clause */
/* cidr: reads ranges of addresses, and finds what is in them. */
#include "net/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/addr.h"

#define MAPPED_BITS 96u

static const char no_range[] =
    "is not an address, a range like 192.0.2.0/24 or 2001:db8::/32, unix: or all";

static const char *cidr_parse_ip(struct cidr *, char *ip, const char *bits);
static bool        cidr_is_exact(const struct cidr *);

const char *
cidr_parse(struct cidr *c, const char *text)
{
	char  copy[INET6_ADDRSTRLEN + sizeof "/128"];
	char *slash;

	memset(c, 0, sizeof *c);
	if (strcmp(text, "all") == 0)
		return NULL;
	if (strcmp(text, "unix:") == 0) {
		c->family = AF_UNIX;
		return NULL;
	}
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return no_range;
	if ((slash = strchr(copy, '/')) != NULL)
		*slash++ = '\0';
	return cidr_parse_ip(c, copy, slash);
}

/* bits: NULL: all of them. */
static const char *
cidr_parse_ip(struct cidr *c, char *ip, const char *bits)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint64_t             n;

	c->family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(c->family, ip, c->ip) != 1)
		return no_range;
	n = c->family == AF_INET ? 32 : 128;
	if (bits != NULL && (!str_number(bits, &n) || n > (c->family == AF_INET ? 32 : 128)))
		return "has behind the / no number of bits (0 to 32, of IPv6 to 128)";
	c->bits = (uint8_t)n;
	if (c->family == AF_INET6 && n >= MAPPED_BITS &&
	    memcmp(c->ip, mapped, sizeof mapped) == 0) {
		memmove(c->ip, c->ip + sizeof mapped, 4);
		memset(c->ip + 4, 0, sizeof mapped);
		c->family = AF_INET;
		c->bits = (uint8_t)(n - MAPPED_BITS);
	}
	if (!cidr_is_exact(c))
		return "has bits set behind its prefix: write the first address of the range";
	return NULL;
}

static bool
cidr_is_exact(const struct cidr *c)
{
	for (unsigned i = c->bits; i < 8 * sizeof c->ip; i++)
		if ((c->ip[i / 8] & 0x80 >> i % 8) != 0)
			return false;
	return true;
}

bool
cidr_is_everybody(const struct cidr *c)
{
	return c->bits == 0 && c->family != AF_UNIX;
}

bool
cidr_has(const struct cidr *c, const struct addr_packed *a)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (c->family == 0)
		return true;
	if (c->family != a->family)
		return false;
	return memcmp(c->ip, a->ip, whole) == 0 &&
	    (rest == 0 || (c->ip[whole] ^ a->ip[whole]) >> (8 - rest) == 0);
}
