/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session: one client's stay, as a step table with one driver.
 *
 *	OPEN ──► TALK ──────► FLUSH ──► LINGER ──► CLOSED
 *	  │        │            ▲          ▲          ▲
 *	  ├──► RELAY ───────────┤          │          │  from any step:
 *	  │       └─────────────│──────────┴──────────┘  session_close
 *	  └──► EXCHANGE ────────┘
 *
 *	OPEN     the protocol's open hook
 *	TALK     bytes from the client go to the data hook
 *	EXCHANGE requests go to a pool, replies come back (session/exchange)
 *	RELAY    bytes go both ways between client and peer (session/relay)
 *	FLUSH    what was sent is on its way out, nothing more is read
 *	LINGER   our side has ended; what the client still sends is thrown away, so
 *	         that the kernel does not reset what it has not read yet. When the
 *	         peer failed, it ends in a reset, once all has arrived: what was cut
 *	         short must not look whole
 *	CLOSED   everything is given back but the memory, which goes after the pass
 *
 * Nothing here names this worker but pointers: the times are CLOCK_MONOTONIC,
 * the id means the same to all processes.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/conn.h"
#include "weir.h"

struct relay;
struct server;

/* Why sessions end. The second column is the counter on the server's board
 * entry, "end_" before it. */
#define SESSION_REASONS(X)                                                     \
	X(CLIENT_CLOSED, "client_closed")	/* it ended its side first */  \
	X(PEER_CLOSED, "peer_closed")		/* the backend did */          \
	X(PROTOCOL_CLOSED, "protocol_closed")	/* a module's verdict */       \
	X(CLIENT_FAILED, "client_failed")	/* reset, unreachable … */     \
	X(PEER_FAILED, "peer_failed")                                          \
	X(NO_PEER, "no_peer")			/* none may be used now */     \
	X(CONNECT_FAILED, "connect_failed")	/* tried, all in vain */       \
	X(IDLE_TIMEOUT, "idle_timeout")                                        \
	X(READ_TIMEOUT, "read_timeout")                                        \
	X(WRITE_TIMEOUT, "write_timeout")                                      \
	X(HALF_CLOSE_TIMEOUT, "half_close_timeout")                            \
	X(MAX_LIFETIME, "max_lifetime")                                        \
	X(TOO_LONG, "too_long")			/* a message beyond read_buffer */ \
	X(BAD_REQUEST, "bad_request")		/* not the protocol */         \
	X(REQUEST_FAILED, "request_failed")	/* and there are no words for it */ \
	X(SLOW_READER, "slow_reader")		/* more than reply_max waits */ \
	X(NO_MEMORY, "no_memory")                                              \
	X(SHUTDOWN, "shutdown")			/* the worker ends */

enum session_reason {
#define X(name, counter) SESSION_##name,
	SESSION_REASONS(X)
#undef X
	    SESSION_REASON_COUNT
};

enum session_step {
	STEP_OPEN,
	STEP_TALK,
	STEP_EXCHANGE,
	STEP_RELAY,
	STEP_FLUSH,
	STEP_LINGER,
	STEP_CLOSED,
	STEP_COUNT
};

#define SESSION_LINGER 5000u	/* ms, at most, after our side has ended */
#define SESSION_LOOK   1000u	/* ms of silence, after which unsure conns are read again */
#define SESSION_SHARE     4u	/* reads a turn: then others have theirs */

struct weir_session {
	struct conn          client;
	const struct server *server;
	struct relay        *relay;	/* STEP_RELAY; NULL otherwise */
	struct node          link;	/* of the open ones; then of those to be freed */
	uint64_t             id;	/* generation << 32 | number */
	uint64_t             start;	/* ms, as all times here */
	uint64_t             active;	/* bytes came or went */
	uint64_t             begun;	/* a message that is kept; LINGER: it; 0: none */
	uint64_t             blocked;	/* the client has taken nothing since; 0: nothing waits */
	uint64_t             bytes_in;
	uint64_t             bytes_out;
	struct addr_packed   from;
	uint8_t              step;	/* enum session_step */
	uint8_t              reason;	/* enum session_reason, from FLUSH on */
	bool                 told;	/* open was called: close has to be */
	bool                 looking;	/* SESSION_LOOK runs */
	_Alignas(16) char    state[];	/* the protocol's */
};

/*
 * Takes over an accepted fd. The caller has taken the server's token; it is
 * given back when the session closes. Returns false (token and fd stay the
 * caller's) when memory is short.
 */
bool session_open(struct server *, int fd, const struct addr *from)
    __attribute__((warn_unused_result));

/* Ends it now. May be called from anywhere, twice; the first reason counts, but
 * for what cuts short a FLUSH. Bytes that still wait end in a reset. */
void session_close(struct weir_session *, enum session_reason);

/* Does what can be done now. For handlers of conns that belong to a session. */
void session_run(struct weir_session *);

/* The one place that changes the step; there is no way back. */
void session_enter(struct weir_session *, enum session_step);

/* Ends it when what waits for the client has gone. Its relay ends at once. */
void session_finish(struct weir_session *, enum session_reason);

/* Why a conn that is of no use any more is so: `usual`, or a lack of memory. */
enum session_reason session_failure(const struct conn *, enum session_reason usual);

/* For the relay: bytes came from or went to somewhere. */
void session_came(struct weir_session *, size_t bytes);
void session_went(struct weir_session *, size_t bytes);

/* For the steps that read the client, before and after it: what waits for the client
 * is sent, and noted. Return false when the client is gone: then so is the session. */
bool session_begin_turn(struct weir_session *) __attribute__((warn_unused_result));
bool session_end_turn(struct weir_session *) __attribute__((warn_unused_result));

/* One side has so many bytes waiting: since when has it taken none? Keeps that
 * in *since (0: nothing waits); any byte it takes begins anew. */
void session_note_blocked(struct weir_session *, struct conn *side, size_t waiting,
    uint64_t *since);

/* A conn of the session is unsure (net/conn): reads it again after a silence. */
void session_look_later(struct weir_session *);

/* A deadline may have come nearer: looks at all of them. */
void session_watch(struct weir_session *);

/* ", session 3.17, client …, server web" as log_subject wants it. */
void session_describe(const void *session, char *out, size_t size);

/* Per worker: begin, how many are open, close all of them, end. Ids come from
 * blocks that `more` fetches (the first of SESSION_ID_BLOCK new numbers). */
#define SESSION_ID_BLOCK 1024u
void     sessions_start(uint32_t generation, uint32_t (*more)(void), void (*closed)(void));
unsigned sessions_open(void);
void     sessions_close(enum session_reason, unsigned most);
void     sessions_stop(void);

const char *session_reason_name(enum session_reason);

#endif
