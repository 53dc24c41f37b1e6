/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate: what a client has to say before anything else (STEP_GATE): with proxy_protocol =
 * on, a PROXY header. The client that it tells of is the session's from then on: for its
 * limits, the choice of a peer, the log. Where there are routes, a ClientHello, which is
 * read and goes on to the upstream that it leads to.
 *
 *	client.fd ──read──► header │ what is behind it ──conn_put_back──► whoever is next
 *	                           └─ ClientHello
 *
 * Of a server without any of it, sessions pass.
 */
#ifndef SESSION_GATE_H
#define SESSION_GATE_H

#include "net/addr.h"
#include "net/client_hello.h"
#include "session/preread.h"
#include "session/session.h"

struct parcel;

/* In the session's allocation, behind the protocol's state, where the server has a gate. */
struct gate {
	const char           *wrong;	/* why it has not been passed; or NULL */
	struct weir_upstream *upstream;	/* that a route has led to; or NULL */
	struct client_hello   hello;
	struct preread        preread;
	struct addr_packed    to;	/* that the client connected to, as the header says;
					   family 0: it says nothing */
	bool                  passed;	/* by the header */
};

/* STEP_GATE. */
extern const struct session_mode gate_mode;

/* That of a session; NULL: it has none. */
const struct gate *gate_of_session(const struct weir_session *);

/* What a session that moves takes along of it, whether it has one or not; and on the other
 * side. A ClientHello that was not whole is read again from its beginning. */
void gate_write(const struct weir_session *, struct parcel *);
void gate_read(struct weir_session *, struct parcel *);

#endif
