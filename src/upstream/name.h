/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * name: a line `server = NAME:PORT resolve`, or with service=: what its peers have in
 * common, and where there is room for them.
 *
 * The line itself is no peer. Behind the peers that are written in a section, which are
 * fixed, its upstream has places for members (upstream/member) that come and go.
 */
#ifndef UPSTREAM_NAME_H
#define UPSTREAM_NAME_H

#include <stdint.h>

#include "upstream/lookup.h"
#include "upstream/peer.h"

struct weir_scope;
struct weir_upstream;

/* Places for each member that there may be: those that have left keep theirs until the
 * last of their sessions has ended. */
#define NAME_PLACES 2u

struct name {
	const char      *text;		/* what it stands for, as users know it: "db.example:5432",
					   "_memcache._tcp.example" */
	const char      *host;		/* what is asked for */
	uint16_t         port;		/* host order; 0: the service's */
	bool             service;
	unsigned         key;		/* the same for the same line of any generation; not 0 */
	struct weir_peer model;		/* what its members are like */
	struct lookup    first;		/* in the template: so that workers begin with some */
};

/* Reads the address of a line with `resolve`; peer: its options; service: NULL, or what
 * service= says. Returns NULL, or a phrase. */
const char *name_add(struct weir_scope *, struct weir_upstream *, const char *address,
    const char *service, const struct weir_peer *);

/* When all lines are known: makes places for members. Returns NULL, or a phrase. */
const char *name_make_places(struct weir_scope *, struct weir_upstream *);

/* The line with this key; NULL: there is none here. */
struct name *name_find(const struct weir_upstream *, unsigned key);

#endif
