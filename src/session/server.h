/* SPDX-License-Identifier: BSD-2-Clause */
/* server: [server NAME] scopes: settings, read and checked in the template. */
#ifndef SESSION_SERVER_H
#define SESSION_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/place.h"
#include "net/sock.h"
#include "session/route.h"
#include "upstream/board.h"
#include "upstream/request.h"
#include "weir.h"

struct cidr;
struct conf;
struct slab;
struct tls;

#define SERVER_LISTENS_MAX 64u

/* One address that it listens on. */
struct server_listen {
	struct listen_spec spec;
	struct place       place;	/* in the configuration */
	int                board;	/* entry "listener" */
};

/* Ranges of addresses. */
struct server_ranges {
	struct cidr *list;
	unsigned     count;
};

struct server {
	const char               *name;
	const struct weir_module *protocol;	/* its module */
	struct weir_upstream     *upstream;	/* NULL: none, or by routes */
	struct routes             routes;
	const void               *conf;		/* the protocol's block in this scope */
	struct tls               *tls;		/* NULL: clients speak in the clear */
	bool                      ktls;		/* its section asks for the kernel's */
	const char               *tls_name;	/* NULL: none */
	struct framing            framing;	/* of a protocol of requests and replies */
	struct weir_scope        *scope;
	const char               *protocol_name;
	const char               *upstream_name;	/* NULL: none */
	struct server_listen     *listens;
	unsigned                  listen_count;
	int                       board;	/* entry "server" */

	uint64_t read_buffer;		/* bytes */
	uint64_t write_buffer;
	uint64_t idle_timeout;		/* ms, 0: off, as all below */
	uint64_t read_timeout;
	uint64_t write_timeout;
	uint64_t half_close_timeout;
	uint64_t max_lifetime;
	uint64_t handshake_timeout;	/* never off */
	uint64_t pipeline_per_client;	/* requests in flight */
	uint64_t max_connections;	/* over all workers; 0: no limit */
	struct sock_options options;
	bool     proxy_protocol;
	struct server_ranges proxies;	/* who may send a PROXY header */

	/* in a worker */
	board_word  *cell;		/* own seat of the board entry */
	struct slab *slab;		/* sessions of this size */
	size_t       gate;		/* of sessions that have one: where, from their state on */
	uint8_t      mode;		/* enum session_step: what they begin with */
	uint64_t     complained;	/* that it is full; of loop_complain */
	uint64_t     complained_tls;	/* of handshakes that fail */
};

/* Fields of the board entry. */
enum server_field {
	SERVER_SESSIONS,	/* gauge, and token of max_connections; first, for BOARD_LOST */
	SERVER_ARRIVING,	/* of them, on their way from another worker */
	SERVER_ANNOUNCED,	/* of them, about to be sent to another */
	SERVER_ENDING,		/* gauge: of the sessions, those in FLUSH or LINGER */
	SERVER_ACCEPTED,
	SERVER_BYTES_IN,	/* from clients */
	SERVER_BYTES_OUT,
	SERVER_PAUSED,		/* times that worker_connections stopped accepting */
	SERVER_STARVED,		/* times that descriptors or memory ran out */
	SERVER_REFUSED_MAX_CONNECTIONS,
	SERVER_PIPELINE_FULL,	/* times that pipeline_per_client paused a client */
	SERVER_HANDSHAKES,	/* gauge: clients that TLS is not agreed on with yet */
	SERVER_HANDSHAKES_FULL,
	SERVER_HANDSHAKES_RESUMED,
	SERVER_HANDSHAKES_WAITED,	/* because of worker_handshakes */
	SERVER_KTLS_FALLBACKS,	/* sessions that the kernel was to encrypt, and does not */
	SERVER_END,		/* + enum session_reason */
};

enum listener_field { LISTENER_ACCEPTED };

/* The words that all workers share, of a listener's entry and of a server's: the newest
 * generation that accepts there; of the first server, the next session's id; which
 * protocol the newest generation speaks, and where its links go (session/record). */
enum listener_word { LISTENER_GENERATION };
enum server_word { SERVER_NEXT_ID, SERVER_SPEAKS, SERVER_LINKS };

/* Whether a source may be read: one more read fits into write_buffer beside
 * what waits for its reader. */
static inline bool
server_has_room(const struct server *s, size_t waiting)
{
	return waiting + s->read_buffer <= s->write_buffer;
}

/* Whether servers of the protocol open connections to their upstream. */
static inline bool
server_needs_upstream(const struct weir_module *protocol)
{
	return protocol->exchange != NULL || (protocol->protocol->needs & WEIR_NEEDS_UPSTREAM) != 0;
}

/* Whether its clients have to say something before all else (session/gate). */
static inline bool
server_has_gate(const struct server *s)
{
	return s->proxy_protocol || routes_count(&s->routes) > 0;
}

/* The upstreams that it uses, `upstream` or those of its routes, from 0 on; NULL: there
 * is no such, or this one has not been found. Their names, which are there before that. */
static inline unsigned
server_upstreams(const struct server *s)
{
	return s->upstream_name != NULL ? 1 : routes_count(&s->routes);
}

static inline struct weir_upstream *
server_upstream(const struct server *s, unsigned index)
{
	return s->upstream_name != NULL ? s->upstream : routes_at(&s->routes, index)->upstream;
}

static inline const char *
server_upstream_name(const struct server *s, unsigned index)
{
	return s->upstream_name != NULL ? s->upstream_name
					: routes_at(&s->routes, index)->upstream_name;
}

/* Keys and checks of [server NAME], for conf_request.core. */
extern const struct weir_module server_module;

/* The block of a scope; NULL when index is behind the last. */
struct server *server_at(const struct conf *, unsigned index);

/* template: calls each for every listening socket of the configuration. */
void servers_each_listen(const struct conf *,
    void (*each)(const struct listen_spec *, void *context), void *context);

/* template: how many servers, listeners, upstreams and peers there are; enters them
 * on the board: returns 0, or -1 with errno (ENOSPC: the board is full). */
uint64_t servers_entries(const struct conf *);
int servers_enter(const struct conf *, unsigned generation) __attribute__((warn_unused_result));

#endif
