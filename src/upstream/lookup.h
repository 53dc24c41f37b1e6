/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup: the peers that a name, or a service, stands for right now.
 *
 *	NAME:PORT ─► addresses ──────────────────────────────┐
 *	_service.NAME ─► SRV records ─► addresses of each ───┴─► a set of members
 *
 * The set is in an order of its own, whatever order the answers came in: so two who ask
 * agree, and who has room for fewer leaves out the same ones.
 */
#ifndef UPSTREAM_LOOKUP_H
#define UPSTREAM_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "upstream/resolver.h"

struct lookup_target;
struct srv_record;

struct member {
	struct addr addr;
	uint16_t    weight;	/* 0: the line's */
	bool        backup;
};

struct lookup {
	/* what is asked for */
	const char *name;
	uint16_t    port;	/* host order; 0: the service's */
	bool        service;
	unsigned    most;	/* members */
	void      (*done)(struct lookup *);

	/* what came of it */
	enum resolver_fault fault;
	bool                partial;	/* of some of the service's servers nothing is known */
	struct member      *members;	/* until it is started again */
	unsigned            count;
	unsigned            left_out;	/* beyond `most` */
	uint32_t            ttl;	/* s */

	/* under way */
	bool                  running;
	struct srv_record    *records;
	struct lookup_target *targets;
	unsigned              record_count, next, asked;
	bool                  starting;
};

/* Asks; done is called once, perhaps at once. Not while it is running. */
void lookup_start(struct lookup *);

/* Not while it is running. */
void lookup_free(struct lookup *);

/* Puts an address into a set of `count` that has room for `most`, in order. Returns
 * whether one had to be left out. */
bool lookup_insert(struct member *set, unsigned *count, unsigned most, const struct member *);

#endif
