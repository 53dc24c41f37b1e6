/* SPDX-License-Identifier: BSD-2-Clause */
/* simulation: what the parts under test call, and has no part in the simulation. */
#ifndef UNIT_SIMULATION_H
#define UNIT_SIMULATION_H

#include "net/loop.h"
#include "upstream/peer_handshake.h"
#include "upstream/peer_tls.h"
#include "upstream/source.h"
#include "upstream/upstream.h"

int
source_connect(struct weir_upstream *u, const struct weir_peer *peer)
{
	(void)u, (void)peer;
	return -1;
}

int
loop_watch_fd(const struct loop_watch *w)
{
	(void)w;
	return -1;
}

void
source_settle(const struct weir_upstream *u, const struct weir_peer *peer, int fd)
{
	(void)u, (void)peer, (void)fd;
}

const char *
peer_tls_host(struct weir_scope *scope, const char *address)
{
	(void)scope, (void)address;
	return NULL;
}

void
peer_tls_check(struct weir_scope *scope, struct weir_upstream *u)
{
	(void)scope, (void)u;
}

void
peer_tls_stop(struct weir_upstream *u)
{
	(void)u;
}

void
peer_handshake_done(struct weir_peer *peer, const struct dial *d)
{
	(void)peer, (void)d;
}

bool
peer_handshake_failed(struct weir_peer *peer, const struct dial *d, uint64_t now)
{
	(void)peer, (void)d, (void)now;
	return true;
}

bool
peer_handshake_refused(struct weir_peer *peer, const struct conn *c, uint64_t now)
{
	(void)peer, (void)c, (void)now;
	return false;
}

#endif
