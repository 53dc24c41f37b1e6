/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source: the local addresses that connections to peers come from.
 *
 * A source has some 28,000 ports for each peer; whoever needs more connections
 * than that names several, and they are used in turn.
 */
#ifndef UPSTREAM_SOURCE_H
#define UPSTREAM_SOURCE_H

#include <stdint.h>

struct addr;
struct weir_peer;
struct weir_scope;
struct weir_upstream;

#define SOURCES_MAX 1024u

struct source_list {
	struct addr *addresses;		/* without ports */
	unsigned     count;
	/* in a worker */
	unsigned     next_v4;		/* where the next search begins */
	unsigned     next_v6;
	uint64_t    *rests;		/* ms: until when not to try; of each peer and source */
};

/* `source = ADDRESS …`, for weir_key.parse: adds to the struct source_list. */
const char *source_key(struct weir_scope *, const char *text, void *list);

/* When all peers are known: whether each has a source of its family, if there
 * are any. Returns NULL or what is wrong, in the configuration's memory. */
const char *source_check(struct weir_scope *, struct weir_upstream *);

/* How many sources a connection to this address may come from; 0: the kernel
 * chooses. */
unsigned source_count(const struct source_list *, const struct addr *to);

/* The next of them in turn; NULL: the kernel chooses. */
const struct addr *source_next(struct source_list *, const struct addr *to);

/*
 * A non-blocking connection on its way to the peer, with the upstream's options,
 * from the next source. One whose ports to the peer are used up, or that this
 * machine has no more, is passed over, and left alone for some time when it was
 * costly to find out. Returns the fd, or -1 with errno:
 * EADDRNOTAVAIL when that is so of all; of UNIX sockets ENOENT, ECONNREFUSED,
 * and EAGAIN for a full backlog.
 */
int source_connect(struct weir_upstream *, const struct weir_peer *)
    __attribute__((warn_unused_result));

/* When it is connected: the rest of the upstream's options (sock_settle). */
void source_settle(const struct weir_upstream *, const struct weir_peer *, int fd);

#endif
