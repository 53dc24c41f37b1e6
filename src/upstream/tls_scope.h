/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_scope: [tls NAME] scopes: settings and contexts, read and checked in the template. */
#ifndef UPSTREAM_TLS_SCOPE_H
#define UPSTREAM_TLS_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/place.h"
#include "net/tls.h"
#include "weir.h"

struct conf;

struct tls_scope {
	const char             *name;
	struct tls_settings     settings;
	struct tls_certificate *certificates;
	struct place           *places;		/* theirs, in the configuration */
	unsigned                certificate_count;
	struct tls             *server;		/* towards clients; NULL: it has no certificate */
	struct tls             *client;		/* towards peers; NULL: no upstream uses it */

	/* as they are written */
	const char             *client_ca;
	const char             *ca;		/* NULL: the system's */
	const char             *crl;
	const char             *server_name;	/* NULL: the peer's */
	enum tls_verify         client_verify;
	uint64_t                verify_depth;
	bool                    session_tickets;
	uint64_t                ticket_lifetime;	/* ms */
	bool                    ktls;
	bool                    verify;		/* peers */
	bool                    used;		/* by an upstream */
};

/* Keys and checks, for conf_request.core. */
extern const struct weir_module tls_scope_module;

/* By its name; NULL: there is none. By its place in the file; NULL behind the last. */
struct tls_scope *tls_scope_find(const struct conf *, const char *name);
struct tls_scope *tls_scope_at(const struct conf *, unsigned index);

/* The context towards peers, which is made when the first upstream asks for it. NULL: it
 * has been said what is wrong with it. */
struct tls *tls_scope_client(const struct conf *, struct tls_scope *);

/* The longest time in ms that a ticket of any of them is good for; 0: none makes any. */
uint64_t tls_scopes_ticket_lifetime(const struct conf *);

#endif
