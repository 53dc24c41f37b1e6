/* SPDX-License-Identifier: BSD-2-Clause */
/* local: which IP addresses are this machine's. */
#include "net/local.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

static bool local_is_loopback(const struct addr_packed *);
static bool local_covers(const struct ifaddrs *, const struct addr_packed *);

int
local_read(struct local *l)
{
	l->list = NULL;
	return getifaddrs(&l->list);
}

void
local_free(struct local *l)
{
	if (l->list != NULL)
		freeifaddrs(l->list);
	l->list = NULL;
}

bool
local_has(const struct local *l, const struct addr *a)
{
	const struct ifaddrs *i;
	struct addr_packed    p;

	addr_pack(&p, a);
	if (local_is_loopback(&p))
		return true;
	for (i = l->list; i != NULL; i = i->ifa_next)
		if (local_covers(i, &p))
			return true;
	return false;
}

/* Wildcards, too: connecting to one goes to the loopback address. */
static bool
local_is_loopback(const struct addr_packed *p)
{
	static const uint8_t any[16], one[16] = { [15] = 1 };

	if (p->family == AF_INET)
		return p->ip[0] == 127 || memcmp(p->ip, any, 4) == 0;
	return p->family == AF_INET6 &&
	    (memcmp(p->ip, one, sizeof one) == 0 || memcmp(p->ip, any, sizeof any) == 0);
}

/* Of the loopback interface, the whole IPv4 network of an address is this machine's. */
static bool
local_covers(const struct ifaddrs *i, const struct addr_packed *p)
{
	const struct sockaddr_in *in, *mask;
	uint32_t                  differs;

	if (i->ifa_addr == NULL || i->ifa_addr->sa_family != p->family)
		return false;
	if (p->family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr,
			   p->ip, 16) == 0;
	if (p->family != AF_INET)
		return false;
	in = (const struct sockaddr_in *)(const void *)i->ifa_addr;
	mask = (const struct sockaddr_in *)(const void *)i->ifa_netmask;
	memcpy(&differs, p->ip, sizeof differs);
	differs ^= in->sin_addr.s_addr;
	if ((i->ifa_flags & IFF_LOOPBACK) != 0 && mask != NULL)
		differs &= mask->sin_addr.s_addr;
	return differs == 0;
}
