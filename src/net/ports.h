/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ports: local ports for connect(2) when most of them are taken.
 *
 * The kernel tries the ports of one parity first, then the others. When one parity is
 * used up towards a destination, each connect(2) looks at all of it in vain: thousands
 * of ports, milliseconds. Within a window (IP_LOCAL_PORT_RANGE, Linux 6.3) it looks at a
 * few hundred at most, so that connecting goes on at the same cost until nearly all
 * ports are taken.
 *
 * A window costs a system call. So it is found out from now and then whether it is worth
 * it: by the parity of a port that the kernel has chosen by itself.
 */
#ifndef NET_PORTS_H
#define NET_PORTS_H

#include <stdbool.h>

struct addr;

#define PORTS_WINDOW 256u	/* ports of a window */
#define PORTS_LOOK   16u	/* of so many connections one is looked at … */
#define PORTS_STAY   8192u	/* … and if ports are scarce, so many are made in windows */

/*
 * connect(2) of a TCP socket that has no local port, to the address: in a window where
 * ports are scarce, and in the next one when that has none left; each process begins at a
 * window of its own and goes to the next with each connection. Returns 0, or -1 with
 * errno, which is EADDRNOTAVAIL only when no window has a port.
 */
int ports_connect(int fd, const struct addr *to) __attribute__((warn_unused_result));

/* Whether the kernel has windows. Where it does not, half of the ports are what can be
 * counted on. */
bool ports_have_windows(void);

#endif
