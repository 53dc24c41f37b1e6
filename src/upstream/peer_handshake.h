/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_handshake: what becomes of TLS handshakes with peers: counted, told, reported. */
#ifndef UPSTREAM_PEER_HANDSHAKE_H
#define UPSTREAM_PEER_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct dial;
struct weir_peer;

/* It is connected: counts the handshake, if there was one. */
void peer_handshake_done(struct weir_peer *, const struct dial *);

/* The handshake has failed: counted, told, and reported, if it speaks of the other end.
 * Returns whether it does. */
bool peer_handshake_failed(struct weir_peer *, const struct dial *, uint64_t now);

/* A connection that had been good before anything came: in TLS 1.3 a peer tells only then
 * that it does not like our certificate. Returns whether it is so; then it is reported as a
 * handshake that has failed. */
bool peer_handshake_refused(struct weir_peer *, const struct conn *, uint64_t now);

#endif
