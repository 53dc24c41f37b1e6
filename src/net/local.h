/* SPDX-License-Identifier: BSD-2-Clause */
/* local: which IP addresses are this machine's. */
#ifndef NET_LOCAL_H
#define NET_LOCAL_H

#include <stdbool.h>

#include "net/addr.h"

struct ifaddrs;

/* As they are when it is asked for; zeroed: none but 127.0.0.0/8 and ::1. */
struct local {
	struct ifaddrs *list;
};

/* Returns 0, or -1 with errno: then it is as if it were zeroed. */
int  local_read(struct local *) __attribute__((warn_unused_result));
void local_free(struct local *);

/* Whether what is sent to the address stays here, whatever its port is; the wildcards do.
 * False for UNIX addresses. */
bool local_has(const struct local *, const struct addr *);

#endif
