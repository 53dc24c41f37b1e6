/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_tls: whom TLS is spoken with: each peer of an upstream, and how it is checked. */
#include "upstream/peer_tls.h"

#include <arpa/inet.h>
#include <string.h>

#include "conf/conf.h"
#include "net/dial.h"
#include "net/tls.h"
#include "upstream/name.h"
#include "upstream/tls_scope.h"
#include "upstream/upstream.h"

static const char *peer_tls_name(struct weir_scope *, const struct weir_peer *,
    const struct tls_scope *);

const char *
peer_tls_host(struct weir_scope *scope, const char *address)
{
	const char    *port = strrchr(address, ':');
	size_t         length = port != NULL ? (size_t)(port - address) : 0;
	struct in_addr in;
	char          *host;

	if (length == 0 || address[0] == '[' || strncmp(address, "unix:", 5) == 0)
		return NULL;
	host = weir_scope_alloc(scope, length + 1);
	memcpy(host, address, length);
	host[length] = '\0';
	if (inet_pton(AF_INET, host, &in) == 1)
		return NULL;
	/* The root is in no certificate. */
	if (host[length - 1] == '.')
		host[length - 1] = '\0';
	return host;
}

void
peer_tls_check(struct weir_scope *scope, struct weir_upstream *u)
{
	struct tls_scope *t;
	struct dial_tls  *all;
	struct tls       *context;

	if (u->tls_name == NULL)
		return;
	if ((t = tls_scope_find(scope_conf(scope), u->tls_name)) == NULL) {
		conf_error(scope, "tls", "there is no [tls %s]", u->tls_name);
		return;
	}
	context = tls_scope_client(scope_conf(scope), t);
	all = weir_scope_alloc(scope, (u->peer_count + u->line_count + 1) * sizeof *all);
	for (unsigned i = u->fixed; i < u->peer_count; i++)
		u->peers[i].tls = &all[i];	/* a member has its line's */
	for (unsigned i = 0; i < u->line_count; i++) {
		u->lines[i].model.tls = &all[u->peer_count + i];
		*u->lines[i].model.tls = (struct dial_tls){
			.context = context,
			.name = peer_tls_name(scope, &u->lines[i].model, t),
			.timeout = u->handshake_timeout,
		};
	}
	for (unsigned i = 0; i < u->fixed; i++) {
		all[i] = (struct dial_tls){
			.context = context,
			.name = peer_tls_name(scope, &u->peers[i], t),
			.timeout = u->handshake_timeout,
		};
		u->peers[i].tls = &all[i];
		if (all[i].name == NULL && t->verify)
			conf_error_at(scope, u->peers[i].place,
			    "the certificate of a UNIX socket is for a name that is not known: "
			    "set server_name in [tls %s]",
			    t->name);
	}
}

void
peer_tls_stop(struct weir_upstream *u)
{
	for (unsigned i = 0; i < u->peer_count; i++)
		if (u->peers[i].tls != NULL) {
			tls_session_free(u->peers[i].tls->session);
			u->peers[i].tls->session = NULL;
		}
}

/* Whom its certificate has to be for. NULL: nobody knows. */
static const char *
peer_tls_name(struct weir_scope *scope, const struct weir_peer *peer, const struct tls_scope *t)
{
	const struct addr *a = &peer->addr;
	const void        *ip = a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
						    : (const void *)&a->in6.sin6_addr;
	char              *text;

	if (t->server_name != NULL)
		return t->server_name;
	if (peer->host != NULL || a->sa.sa_family == AF_UNIX)
		return peer->host;
	text = weir_scope_alloc(scope, INET6_ADDRSTRLEN);
	return inet_ntop(a->sa.sa_family, ip, text, INET6_ADDRSTRLEN);
}
