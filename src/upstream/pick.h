/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pick: which link a request goes on: the choice among peers and their links.
 *
 * The balancer names peers. Of the links to one:
 *
 *	pipeline   the fullest link below pipeline_spread; or a new one; or the
 *	           least deep below pipeline_depth
 *	request    a link with nothing in flight; or a new one
 *	session    a link that nobody has; or a new one; it stays its borrower's
 *
 * What is pinned is in any mode treated as in `session`.
 */
#ifndef UPSTREAM_PICK_H
#define UPSTREAM_PICK_H

#include <stdbool.h>

struct link;
struct pool;
struct weir_attempt;
struct weir_upstream;

/*
 * A link that takes a request, one that is there or a new one. NULL: there is none;
 * *busy: but there may be when a reply has come, or a token. a->tried grows with the
 * peers that could not even begin to be connected to.
 */
struct link *pick_link(struct weir_upstream *, struct weir_attempt *, bool *busy);

/* A new link, if there are tokens for it. NULL as above. */
struct link *pick_new_link(struct pool *, struct weir_attempt *, bool *busy);

#endif
