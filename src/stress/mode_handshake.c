/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_handshake: a TLS handshake for each connection, and nothing behind it. */
#include "stress/mode.h"

#include <errno.h>

#include "base/clock.h"
#include "stress/once.h"

static size_t mode_handshake_request(struct stress_client *, char *out);
static void   mode_handshake_opened(struct stress_client *);
static void   mode_handshake_came(struct stress_client *, struct weir_span in);

const struct mode mode_handshake = {
	.name    = "handshake",
	.help    = "connect, a TLS handshake, close, again and again",
	.paced   = true,
	.fresh   = true,
	.tls     = true,
	.takes   = "nR",
	.request = mode_handshake_request,
	.opened  = mode_handshake_opened,
	.came    = mode_handshake_came,
};

/* What is asked for is the connection. */
static size_t
mode_handshake_request(struct stress_client *c, char *out)
{
	(void)c;
	(void)out;
	return 0;
}

/* Whether the server agrees is known when it ends its side, too; its tickets come before. */
static void
mode_handshake_opened(struct stress_client *c)
{
	c->posted = clock_ns();
	conn_finish(&c->conn);
}

/* What it says by itself is of no interest. The time of the end does not count. EPIPE: a
 * reset of what was sent behind its FIN. */
static void
mode_handshake_came(struct stress_client *c, struct weir_span in)
{
	if (in.len > 0 || (!c->conn.eof && c->conn.error != EPIPE))
		return;
	stress_once_flight(c)->due += clock_ns() - c->posted;
	stress_once_end(c);
	stress_client_finish(c);
}
