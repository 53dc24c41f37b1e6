/* SPDX-License-Identifier: BSD-2-Clause */
/* preface: what a peer is told of a client before the client's bytes. */
#include "session/preface.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "net/tls.h"
#include "session/gate.h"
#include "session/server.h"
#include "session/session.h"

#define NAME_MAX_BYTES 256u	/* of a certificate's common name; X.509 allows 64 letters */

static void preface_find_destination(const struct weir_session *, struct addr_packed *);
static size_t preface_id(const struct weir_session *, char *out, size_t size);

size_t
preface_write(const struct weir_session *s, enum proxy_version version,
    char out[PROXY_HEADER_OUT_MAX])
{
	struct proxy_header_facts facts = { .from = s->from };
	struct proxy_header_tls   tls = { 0 };
	struct tls_info           info;
	char                      id[64], name[NAME_MAX_BYTES];

	preface_find_destination(s, &facts.to);
	facts.id = span_make(id, preface_id(s, id, sizeof id));
	if (s->server->tls != NULL && version == PROXY_V2) {
		info = tls_info(&s->client);
		tls.version = info.version;
		tls.cipher = info.cipher;
		tls.protocol = info.alpn;
		tls.resumed = info.resumed;
		if (info.server_name != NULL)
			tls.server_name = span_of(info.server_name);
		tls.certificate = tls_peer_certificate(&s->client, &tls.verified, name,
		    sizeof name);
		tls.name = name;
		facts.tls = &tls;
	}
	return proxy_header_write(version, &facts, out);
}

static void
preface_find_destination(const struct weir_session *s, struct addr_packed *to)
{
	const struct gate *g = gate_of_session(s);
	struct addr        own;

	if (g != NULL && g->to.family != 0) {
		*to = g->to;
		return;
	}
	memset(&own, 0, sizeof own);
	own.len = sizeof own.un;
	if (getsockname(conn_fd(&s->client), &own.sa, &own.len) == 0)
		addr_pack(to, &own);
}

/* Numbers begin anew when weir does: the time tells which run it was. */
static size_t
preface_id(const struct weir_session *s, char *out, size_t size)
{
	struct timespec now;
	uint64_t        ms;
	int             n;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	n = snprintf(out, size, "%u.%u@%llu", (unsigned)(s->id >> 32), (unsigned)s->id,
	    (unsigned long long)(ms - (loop_now() - s->start)));
	return (size_t)n;
}
