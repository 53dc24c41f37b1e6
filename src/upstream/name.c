/* SPDX-License-Identifier: BSD-2-Clause */
/* name: a line `server = NAME:PORT resolve`. */
#include "upstream/name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "conf/conf.h"
#include "upstream/peer_tls.h"
#include "upstream/upstream.h"

#define NAME_TEXT_MAX 256u

static const char *name_split(const char *address, char host[NAME_TEXT_MAX], uint16_t *port);
static bool name_is_host(const char *);
static const char *name_keep(struct weir_scope *, const char *);

const char *
name_add(struct weir_scope *scope, struct weir_upstream *u, const char *address,
    const char *service, const struct weir_peer *peer)
{
	struct name n = { .model = *peer, .service = service != NULL };
	char        host[NAME_TEXT_MAX], text[2 * NAME_TEXT_MAX];
	const char *wrong = name_split(address, host, &n.port);

	if (wrong != NULL)
		return wrong;
	if (!name_is_host(host))
		return "with resolve needs the name of a host: addresses are not looked up";
	if (service != NULL && n.port != 0)
		return "has a port: with service= that comes with the answers, so write the name "
		       "alone";
	if (service == NULL && n.port == 0)
		return "needs a port: write NAME:PORT resolve, or say which service=";
	n.model.host = name_keep(scope, host);
	if (service != NULL) {
		snprintf(text, sizeof text, "%s.%s", service, host);
		if (service[0] != '_' || !name_is_host(text))
			return "write service=NAME, like service=_memcache._tcp";
		n.host = n.text = name_keep(scope, text);
	} else {
		n.host = n.model.host;
		n.text = name_keep(scope, address);
	}
	n.key = (unsigned)(hash_text(HASH_START, n.text) % SETTING_KEY) + 1;
	for (unsigned i = 0; i < u->line_count; i++)
		if (strcmp(u->lines[i].text, n.text) == 0)
			return "is there already";
	while (name_find(u, n.key) != NULL)
		n.key = n.key % SETTING_KEY + 1;
	u->lines = scope_grow(scope, u->lines, u->line_count, sizeof *u->lines);
	u->lines[u->line_count++] = n;
	return NULL;
}

static const char *
name_keep(struct weir_scope *scope, const char *text)
{
	return strcpy(weir_scope_alloc(scope, strlen(text) + 1), text);
}

/* *port: 0 without one. */
static const char *
name_split(const char *address, char host[NAME_TEXT_MAX], uint16_t *port)
{
	const char *colon = strrchr(address, ':');
	size_t      length = colon != NULL ? (size_t)(colon - address) : strlen(address);
	uint64_t    number = 0;

	if (length >= NAME_TEXT_MAX)
		return "has a name that is too long";
	memcpy(host, address, length);
	host[length] = '\0';
	if (colon != NULL && (!str_number(colon + 1, &number) || number < 1 || number > 65535))
		return "has a port that is none: it is a number from 1 to 65535";
	*port = (uint16_t)number;
	return NULL;
}

/* Not an address: some part of it is no number. */
static bool
name_is_host(const char *text)
{
	bool letters = false;

	for (const char *c = text; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL)
			return false;
		letters |= isalpha((unsigned char)*c) != 0;
	}
	return letters && text[0] != '.' && strstr(text, "..") == NULL;
}

struct name *
name_find(const struct weir_upstream *u, unsigned key)
{
	for (unsigned i = 0; i < u->line_count; i++)
		if (u->lines[i].key == key)
			return &u->lines[i];
	return NULL;
}

const char *
name_make_places(struct weir_scope *scope, struct weir_upstream *u)
{
	uint64_t          places = u->line_count * u->resolve_peers * NAME_PLACES;
	struct weir_peer *peers, *p;

	u->fixed = u->peer_count;
	if (places == 0)
		return NULL;
	if (u->fixed + places > UPSTREAM_PEERS_MAX)
		return scope_phrase(scope,
		    "%u names with %llu peers each are more than an upstream has room for (%u "
		    "addresses, those that are about to leave included): lower resolve_peers",
		    u->line_count, (unsigned long long)u->resolve_peers,
		    UPSTREAM_PEERS_MAX / NAME_PLACES);
	peers = weir_scope_alloc(scope, (u->fixed + places) * sizeof *peers);
	if (u->fixed > 0)
		memcpy(peers, u->peers, u->fixed * sizeof *peers);
	u->peers = peers;
	u->peer_count += (unsigned)places;
	for (unsigned i = u->fixed; i < u->peer_count; i++) {
		p = &peers[i];
		p->upstream = u;
		p->index = i;
		p->down = true;
		p->board = -1;
	}
	while (u->names_size < u->peer_count * 2)
		u->names_size = u->names_size > 0 ? u->names_size * 2 : 8;
	u->names = weir_scope_alloc(scope, u->names_size * sizeof *u->names);
	return NULL;
}
