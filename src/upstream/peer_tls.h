/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_tls: whom TLS is spoken with: each peer of an upstream, and how it is checked.
 *
 * Whom a peer's certificate has to be for is settled in the template; in a worker its
 * dial_tls has the newest session that it has given. Handshakes are net/dial's.
 */
#ifndef UPSTREAM_PEER_TLS_H
#define UPSTREAM_PEER_TLS_H

struct weir_scope;
struct weir_upstream;

/* The name in `server = NAME:PORT`, in the configuration's memory; NULL: it has none. */
const char *peer_tls_host(struct weir_scope *, const char *address);

/* When all peers are known: what `tls = NAME` means for each of them. */
void peer_tls_check(struct weir_scope *, struct weir_upstream *);

/* Worker: sessions are given back. */
void peer_tls_stop(struct weir_upstream *);

#endif
