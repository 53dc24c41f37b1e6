/* SPDX-License-Identifier: BSD-2-Clause */
/* budget: what an idle connection may cost, in bytes. */
#include "session/exchange.h"
#include "session/relay.h"
#include "session/session.h"
#include "tap.h"

/* libevent's own, for each descriptor: two pointers and flags in the map of
 * sockets, the map's slot, and what growing by doubling leaves unused. */
#define EVENT_MAP 48u

int
main(void)
{
	size_t watch = sizeof(struct loop_watch);
	size_t conn = sizeof(struct conn) - watch;
	size_t session = offsetof(struct weir_session, state) - sizeof(struct conn);
	size_t idle = watch + conn + session + EVENT_MAP;
	size_t exchange = idle + sizeof(struct exchange) + WEIR_PARSER_MEMORY;
	size_t pair = idle + sizeof(struct relay) + EVENT_MAP;

	is_number((long long)watch, 128, "a watch is libevent's event");
	ok(conn <= 80, "a conn is %zu bytes, at most 80", conn);
	ok(session <= 112, "a session is %zu bytes, at most 112", session);
	is_number(sizeof(struct addr_packed), 20, "a client's address is packed");
	ok(idle <= 400, "an idle session is %zu bytes, at most 400", idle);
	ok(exchange <= 448, "an idle session of requests is %zu bytes, at most 448", exchange);
	ok(pair <= 1024, "an idle relay of two sockets is %zu bytes, at most 1024", pair);
	return done_testing();
}
