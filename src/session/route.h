/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route: where clients of a server go by what their ClientHello asks for: the protocol
 * that they offer, then the name that they want, then the default.
 *
 * Of names an exact one comes before a wildcard, and a longer wildcard before a shorter,
 * wherever they stand. Of protocols the first line counts.
 */
#ifndef SESSION_ROUTE_H
#define SESSION_ROUTE_H

#include "conf/place.h"

struct client_hello_wants;
struct weir_scope;
struct weir_upstream;

#define ROUTES_MAX 65536u	/* of a server */

struct route {
	const char           *wants;	/* "www.example.com", ".example.com", "h2"; or NULL */
	const char           *upstream_name;
	struct weir_upstream *upstream;
	struct place          place;	/* in the configuration */
};

/* Routes of one kind. */
struct route_list {
	struct route *list;
	unsigned      count;
};

struct routes {
	struct route_list protocols;
	struct route_list names;	/* sorted, when they are checked */
	struct route_list wildcards;	/* the same; what stands behind the * */
	struct route_list fallback;	/* one at most */
};

/* The key `route`, whose value is a struct routes. */
const char *route_key(struct weir_scope *, const char *text, void *routes);

/* template: finds their upstreams, and says what is wrong. */
void routes_check(struct weir_scope *, struct routes *);

unsigned routes_count(const struct routes *);

/* The one at that place of all, index below their count. */
const struct route *routes_at(const struct routes *, unsigned index);

/* wants: NULL: the client speaks no TLS. NULL: there is no route for it. */
struct weir_upstream *routes_find(const struct routes *, const struct client_hello_wants *wants);

#endif
