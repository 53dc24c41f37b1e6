/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resolver: questions to name servers, and the only door to c-ares.
 *
 * In a keeper its sockets and its time are the loop's; a template, which has no loop, asks
 * and waits. Answers come through callbacks, perhaps before the call that asks has
 * returned. A process has one.
 */
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include "weir.h"

struct addr;

#define RESOLVER_SERVERS_MAX 512u	/* bytes of their addresses as text */

enum resolver_fault {
	RESOLVER_GOOD,
	RESOLVER_NO_NAME,	/* NXDOMAIN */
	RESOLVER_NO_DATA,	/* the name is there, and has nothing of what was asked for */
	RESOLVER_BAD_NAME,
	RESOLVER_TIMED_OUT,
	RESOLVER_UNREACHABLE,
	RESOLVER_REFUSED,
	RESOLVER_FAILED,	/* SERVFAIL */
	RESOLVER_MALFORMED,	/* what came is no answer */
	RESOLVER_NO_MEMORY,
	RESOLVER_GIVEN_UP,	/* resolver_close, or resolver_wait has waited long enough */
	RESOLVER_FAULTS
};

/* "there is no such name (NXDOMAIN)". */
const char *resolver_explain(enum resolver_fault);

/* Whether another try may well end otherwise, without anybody changing a zone. */
bool resolver_may_recover(enum resolver_fault);

/* Reads "system", or ADDRESS[:PORT] ..., and writes what resolver_open takes: "" for the
 * system's. Returns NULL, or a phrase that says what is wrong. */
const char *resolver_parse(char servers[RESOLVER_SERVERS_MAX], const char *text);

/* servers: of resolver_parse. looped: there is a loop. Returns 0, or -1 with errno. */
int  resolver_open(const char *servers, bool looped) __attribute__((warn_unused_result));
void resolver_close(void);

/* Without a loop: until all have been answered, or so many ms have passed. */
void resolver_wait(uint64_t ms);

/* All IPv4 and IPv6 addresses of a host, the hosts file first. count is 0 unless GOOD. Ports
 * are 0. ttl: s. */
typedef void resolver_addresses_function(void *argument, enum resolver_fault,
    const struct addr *addresses, unsigned count, uint32_t ttl);
void resolver_ask_addresses(const char *host, resolver_addresses_function *, void *argument);

/* The SRV records of a name: the message as it came, for srv_answer_parse. Empty unless
 * GOOD. */
typedef void resolver_message_function(void *argument, enum resolver_fault,
    struct weir_span message);
void resolver_ask_service(const char *name, resolver_message_function *, void *argument);

/* The version of c-ares that runs. */
const char *resolver_library_version(void);

#endif
