/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * srv: what a DNS message says about the servers of a service (RFC 2782).
 *
 * A pure function over bytes: whoever has sent them may lie.
 */
#ifndef NET_SRV_H
#define NET_SRV_H

#include <stdint.h>

#include "weir.h"

#define SRV_TARGET_MAX 254u

struct srv_record {
	uint16_t priority;	/* lower ones first */
	uint16_t weight;
	uint16_t port;
	char     target[SRV_TARGET_MAX];	/* a name without its last dot */
};

enum srv_verdict {
	SRV_GOOD,
	SRV_NONE,	/* there is no such service */
	SRV_MALFORMED,
};

struct srv_answer {
	struct srv_record *records;	/* the caller's, room for `most` */
	unsigned           most;
	unsigned           count;	/* of them, in the order in which they are to be used:
					   whatever order they came in */
	unsigned           left_out;	/* for which there was no room: the last of that order */
	uint32_t           ttl;		/* s: of all that the answer hangs on */
};

enum srv_verdict srv_answer_parse(struct srv_answer *, struct weir_span message);

#endif
