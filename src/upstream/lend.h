/* SPDX-License-Identifier: BSD-2-Clause */
/* lend: which link a request goes on: the choice among peers and their links. */
#ifndef UPSTREAM_LEND_H
#define UPSTREAM_LEND_H

#include <stdbool.h>

struct link;
struct pool;
struct weir_attempt;
struct weir_upstream;

/*
 * A link that takes a request, one that is there or a new one; see pool.h for which.
 * NULL: there is none; *busy: but there may be when a reply has come, or a token.
 * a->tried grows with the peers that could not even begin to be connected to.
 */
struct link *lend_link(struct weir_upstream *, struct weir_attempt *, bool *busy);

/* A new link, if there are tokens for it. NULL as above. */
struct link *lend_open(struct pool *, struct weir_attempt *, bool *busy);

#endif
