/* SPDX-License-Identifier: BSD-2-Clause */
/* route: where clients of a server go by what their ClientHello asks for. */
#include "session/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"
#include "net/client_hello.h"
#include "upstream/upstream.h"

#define PROTOCOL_MAX 255u	/* bytes; RFC 7301 */

static const char *route_parse(struct routes *, char *wants, struct route_list **kind,
    struct route *);
static const char *route_parse_name(char *name);
static void route_append(struct weir_scope *, struct route_list *, const struct route *);
static void routes_check_twice(struct weir_scope *, const struct route_list *, const char *kind);
static int  route_compare(const void *, const void *);
static const struct route *route_search(const struct route_list *, const char *wants);

/* ---------------------------------------------------------------- the directive */

const char *
route_key(struct weir_scope *scope, const char *text, void *routes)
{
	struct routes     *all = routes;
	struct route       route = { .place = scope_value_place(scope) };
	struct route_list *kind = NULL;
	char              *copy = weir_scope_alloc(scope, strlen(text) + 1), *rest = copy, *word;
	const char        *wrong;

	memcpy(copy, text, strlen(text) + 1);
	if ((word = weir_word(&rest)) == NULL)
		return "is empty: write sni:NAME, alpn:NAME or default, and then an upstream";
	if (routes_count(all) == ROUTES_MAX)
		return "is one too many: a server has at most 65536 routes";
	if ((wrong = route_parse(all, word, &kind, &route)) != NULL)
		return wrong;
	if ((route.upstream_name = weir_word(&rest)) == NULL)
		return "names no upstream: write it behind what is asked for";
	if (weir_word(&rest) != NULL)
		return "has more than what is asked for and an upstream";
	route_append(scope, kind, &route);
	return NULL;
}

static const char *
route_parse(struct routes *all, char *wants, struct route_list **kind, struct route *route)
{
	if (strcmp(wants, "default") == 0) {
		*kind = &all->fallback;
		return all->fallback.count > 0 ? "stands twice: there is one default" : NULL;
	}
	if (strncmp(wants, "alpn:", 5) == 0) {
		*kind = &all->protocols;
		route->wants = wants + 5;
		return wants[5] == '\0' || strlen(wants + 5) > PROTOCOL_MAX
		    ? "has no name of a protocol, like h2, behind alpn:"
		    : NULL;
	}
	if (strncmp(wants, "sni:", 4) != 0)
		return "begins with neither sni:NAME nor alpn:NAME nor default";
	*kind = strncmp(wants + 4, "*.", 2) == 0 ? &all->wildcards : &all->names;
	route->wants = wants + (*kind == &all->wildcards ? 5 : 4);
	return route_parse_name(wants + (*kind == &all->wildcards ? 6 : 4));
}

/* A host's name, made lower case; no * but the one in front. */
static const char *
route_parse_name(char *name)
{
	size_t len = strlen(name);
	char   before = '.';

	if (strcmp(name, "*") == 0)
		return "is for every name: write default";
	if (len > 0 && name[len - 1] == '.')
		name[--len] = '\0';
	if (len == 0 || len >= CLIENT_HELLO_NAME_MAX)
		return "has no name behind sni:, like www.example.com or *.example.com";
	for (char *p = name; *p != '\0'; before = *p++) {
		if (*p == '*')
			return "has a * that is not the whole first part: *.example.com";
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' ||
			*p == '_' || (*p == '.' && before != '.')))
			return "has a name that no host can have; other scripts are written as in "
			       "the DNS, xn--...";
	}
	return NULL;
}

static void
route_append(struct weir_scope *scope, struct route_list *l, const struct route *r)
{
	l->list = scope_grow(scope, l->list, l->count, sizeof *l->list);
	l->list[l->count++] = *r;
}

/* -------------------------------------------------------------------- checks */

void
routes_check(struct weir_scope *scope, struct routes *all)
{
	struct route_list *const kinds[] = { &all->protocols, &all->names, &all->wildcards,
		&all->fallback };
	struct route            *r;

	for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (unsigned i = 0; i < kinds[k]->count; i++) {
			r = &kinds[k]->list[i];
			r->upstream = upstream_find(scope_conf(scope), r->upstream_name);
			if (r->upstream == NULL && !conf_is_partial(scope_conf(scope)))
				conf_error_at(scope, r->place, "there is no [upstream %s]",
				    r->upstream_name);
		}
	if (all->protocols.count + all->names.count + all->wildcards.count == 0)
		conf_error_at(scope, all->fallback.list[0].place,
		    "the only route is the default: write upstream = %s instead",
		    all->fallback.list[0].upstream_name);
	if (all->names.count > 0)
		qsort(all->names.list, all->names.count, sizeof *all->names.list, route_compare);
	if (all->wildcards.count > 0)
		qsort(all->wildcards.list, all->wildcards.count, sizeof *all->wildcards.list,
		    route_compare);
	routes_check_twice(scope, &all->names, "sni:");
	routes_check_twice(scope, &all->wildcards, "sni:*");
	for (unsigned i = 0; i < all->protocols.count; i++)
		for (unsigned k = 0; k < i; k++)
			if (strcmp(all->protocols.list[i].wants, all->protocols.list[k].wants) == 0)
				conf_error_at(scope, all->protocols.list[i].place,
				    "alpn:%s has a route already (%s:%u)",
				    all->protocols.list[i].wants, all->protocols.list[k].place.file,
				    all->protocols.list[k].place.line);
}

/* Equal ones are neighbours, the one that stands first in front. */
static void
routes_check_twice(struct weir_scope *scope, const struct route_list *l, const char *kind)
{
	for (unsigned i = 1; i < l->count; i++)
		if (strcmp(l->list[i - 1].wants, l->list[i].wants) == 0)
			conf_error_at(scope, l->list[i].place,
			    "%s%s has a route already (%s:%u)", kind, l->list[i].wants,
			    l->list[i - 1].place.file, l->list[i - 1].place.line);
}

static int
route_compare(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	int                 order = strcmp(x->wants, y->wants);

	return order != 0 ? order
			  : (x->place.line > y->place.line) - (x->place.line < y->place.line);
}

/* ------------------------------------------------------------------- the choice */

unsigned
routes_count(const struct routes *all)
{
	return all->protocols.count + all->names.count + all->wildcards.count + all->fallback.count;
}

const struct route *
routes_at(const struct routes *all, unsigned index)
{
	const struct route_list *const kinds[] = { &all->protocols, &all->names, &all->wildcards,
		&all->fallback };
	unsigned                       k = 0;

	while (index >= kinds[k]->count)
		index -= kinds[k++]->count;
	return &kinds[k]->list[index];
}

struct weir_upstream *
routes_find(const struct routes *all, const struct client_hello_wants *wants)
{
	const struct route *r = NULL;
	struct weir_span    offered;
	size_t              at;

	for (unsigned i = 0; wants != NULL && i < all->protocols.count && r == NULL; i++) {
		at = 0;
		while ((offered = client_hello_protocol(wants, &at)).len > 0)
			if (strlen(all->protocols.list[i].wants) == offered.len &&
			    memcmp(all->protocols.list[i].wants, offered.data, offered.len) == 0)
				r = &all->protocols.list[i];
	}
	if (r == NULL && wants != NULL)
		r = route_search(&all->names, wants->name);
	/* The longest first: from the first dot on. One without a part in front of it is no
	 * name that a wildcard stands for. */
	if (r == NULL && wants != NULL && wants->name[0] != '\0')
		for (const char *dot = strchr(wants->name + 1, '.'); dot != NULL && r == NULL;
		     dot = strchr(dot + 1, '.'))
			r = route_search(&all->wildcards, dot);
	if (r == NULL && all->fallback.count > 0)
		r = &all->fallback.list[0];
	return r != NULL ? r->upstream : NULL;
}

static const struct route *
route_search(const struct route_list *l, const char *wants)
{
	unsigned low = 0, high = l->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcmp(l->list[middle].wants, wants) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->count && strcmp(l->list[low].wants, wants) == 0 ? &l->list[low] : NULL;
}
