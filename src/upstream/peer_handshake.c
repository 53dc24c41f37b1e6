/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_handshake: what becomes of TLS handshakes with peers. */
#include "upstream/peer_handshake.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/tls.h"
#include "upstream/upstream.h"

static void peer_handshake_report(struct weir_peer *, const char *why, uint64_t now);

void
peer_handshake_done(struct weir_peer *peer, const struct dial *d)
{
	struct tls_info info;

	if (peer->tls == NULL)
		return;
	board_add(&peer->cell[PEER_TLS_WAITED], d->place.waited);
	info = tls_info(d->conn);
	board_add(&peer->cell[info.resumed ? PEER_TLS_RESUMED : PEER_TLS_FULL], 1);
	if (log_wanted(WEIR_DEBUG))
		log_debug("%s, %s%s", info.version, info.cipher, info.resumed ? ", resumed" : "");
}

bool
peer_handshake_failed(struct weir_peer *peer, const struct dial *d, uint64_t now)
{
	board_add(&peer->cell[PEER_TLS_WAITED], d->place.waited);
	board_add(&peer->cell[PEER_TLS_OVERLOAD], d->error == EBUSY);
	if (d->error == ENOMEM || d->error == EBUSY)
		return peer_refused(peer, d->error, now);
	peer_handshake_report(peer, dial_explain(d), now);
	return true;
}

bool
peer_handshake_refused(struct weir_peer *peer, const struct conn *c, uint64_t now)
{
	char text[320];

	if (peer->tls == NULL || conn_is_plain(c) || !c->broken || tls_advice(c) == NULL)
		return false;
	snprintf(text, sizeof text, "%s: %s", conn_explain(c), tls_advice(c));
	peer_handshake_report(peer, text, now);
	return true;
}

/* Each is told with its connection; what the operator may mend once a minute, too. */
static void
peer_handshake_report(struct weir_peer *peer, const char *why, uint64_t now)
{
	struct weir_upstream *u = peer->upstream;
	const char           *name = peer->tls->name;

	log_info("TLS: %s", why);
	if (loop_complain(&u->complained_tls))
		log_warn("TLS with peer %s of upstream %s (tls = %s%s%s) fails: %s", peer->name,
		    u->name, u->tls_name, name != NULL ? ", for " : "", name != NULL ? name : "",
		    why);
	peer_report(peer, PEER_INSECURE, 0, now);
}
