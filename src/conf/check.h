/* SPDX-License-Identifier: BSD-2-Clause */
/* check: whether the machine can carry what the settings ask of it. */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct check_needs {
	uint64_t    workers;
	uint64_t    descriptors;	/* of one worker: sessions, links, listeners, logs */
	uint64_t    limit;		/* the most it may have: RLIMIT_NOFILE, after raising it */
	uint64_t    backlog;		/* largest of all `listen =` */
	const char *sysctl;		/* NULL: "/proc/sys" */
};

/*
 * Calls warn for each thing that will not work as it is written: with the key
 * that asks for it and a sentence that says what is missing and how to get it.
 */
void check_machine(const struct check_needs *,
    void (*warn)(void *context, const char *key, const char *text), void *context);

/* What one upstream may ask of the ports of this machine. */
struct check_ports {
	uint64_t    connections;	/* to its peers, all workers together */
	bool        pooled;		/* they are links of pools; otherwise of sessions */
	uint64_t    peers;		/* that are reached by TCP; 0: nothing is asked */
	uint64_t    pairs;		/* of a peer and a source: a port serves one in each */
	uint64_t    ports;		/* of this machine: check_local_ports */
	bool        halved;		/* only half of the ports are of use (net/ports) */
};
void check_ports(const struct check_ports *,
    void (*warn)(void *context, const char *key, const char *text), void *context);

/* Those that the kernel may choose for connect(2), of IPv6, too. sysctl as above.
 * False: unknown. */
bool check_local_ports(const char *sysctl, uint64_t *ports);

/* A number below /proc/sys (or where sysctl says): "net/core/somaxconn".
 * Returns 0, or -1 with errno. */
int check_sysctl(const char *sysctl, const char *name, uint64_t *value)
    __attribute__((warn_unused_result));

#endif
