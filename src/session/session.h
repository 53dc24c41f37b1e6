/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session: one client's stay, as a step table with one driver.
 *
 *	GATE ─► HANDSHAKE ─► OPEN ─┬─► TALK ─┬───────► FLUSH ─► LINGER ─► CLOSED
 *	                           │         └► RELAY ──┤                   ▲
 *	                           └─► EXCHANGE ────────┘      session_close, from any
 *
 *	GATE      what stands before all else: a PROXY header, and
 *	          where it wants to go (session/gate)
 *	HANDSHAKE TLS is agreed on (session/handshake)
 *	OPEN      the mode of its server begins
 *	TALK      bytes from the client go to the data hook (session/talk)
 *	EXCHANGE  requests go to a pool, replies come back (session/exchange)
 *	RELAY     bytes go both ways between client and peer (session/relay)
 *	FLUSH     what was sent is on its way out, nothing more is read
 *	LINGER    our side has ended; what the client still sends is thrown away, so
 *	          that the kernel does not reset what it has not read yet. When the
 *	          peer failed, it ends in a reset, once all has arrived: what was cut
 *	          short must not look whole
 *	CLOSED    everything is given back but the memory, which goes after the pass
 *
 * What is done in the steps before FLUSH is a matter of modes, and session.c knows
 * none of them: they are given to session_start in a table. A step without a mode is
 * passed. A mode that has to wait leaves the step as it is; whatever the step,
 * idle_timeout and max_lifetime run, and what the mode's `deadline` adds.
 *
 * Nothing here names this worker but pointers: the times are CLOCK_MONOTONIC,
 * the id means the same to all processes, and a mode is a number.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/conn.h"
#include "upstream/token.h"
#include "weir.h"

struct handshake;
struct move_heir;
struct parcel;
struct relay;
struct server;
struct weir_peer;

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
	X(HANDSHAKE_TIMEOUT, "handshake_timeout")                              \
	X(BAD_PROXY_HEADER, "bad_proxy_header")	/* or none */                  \
	X(NO_ROUTE, "no_route")			/* for what it asks for */     \
	X(NOT_TLS, "not_tls")			/* and no default */           \
	X(BAD_CLIENT_HELLO, "bad_client_hello")                                \
	X(PROXY_REFUSED, "proxy_refused")	/* it may not send one */      \
	X(HANDSHAKE_FAILED, "handshake_failed")                                \
	X(HANDSHAKE_OVERLOAD, "handshake_overload")	/* too many at once */ \
	X(REQUEST_FAILED, "request_failed")	/* and there are no words for it */ \
	X(SLOW_READER, "slow_reader")		/* more than reply_max waits */ \
	X(NO_MEMORY, "no_memory")                                              \
	X(NOT_RESUMED, "not_resumed")		/* the new worker could not go on with it */ \
	X(SHUTDOWN, "shutdown")			/* the worker ends */ \
	X(CLOSED_BY_OPERATOR, "closed_by_operator")                            \
	X(WORKER_DIED, "worker_died")		/* the master's count of what was open */

enum session_reason {
#define X(name, counter) SESSION_##name,
	SESSION_REASONS(X)
#undef X
	    SESSION_REASON_COUNT
};

enum session_step {
	STEP_GATE,
	STEP_HANDSHAKE,
	STEP_OPEN,
	STEP_TALK,
	STEP_EXCHANGE,
	STEP_RELAY,
	STEP_FLUSH,
	STEP_LINGER,
	STEP_CLOSED,
	STEP_COUNT
};

#define SESSION_COHORTS 4

/* Where it stands with those that move to another worker (session/move), or are to be
 * closed (session/closing). */
enum session_place {
	SESSION_HERE,		/* nobody wants it to go, or its turn has yet to come */
	SESSION_BUSY,		/* it goes when it is at rest */
	SESSION_STAYS,		/* it cannot travel */
	SESSION_DOOMED,		/* an operator wants it closed; its turn has yet to come */
	SESSION_CLOSING,	/* the same, and it ends when it is at rest; so many places, */
	SESSION_PLACES = SESSION_CLOSING + SESSION_COHORTS	/* by when that began */
};

#define SESSION_LINGER 5000u	/* ms, at most, after our side has ended */
#define SESSION_SHARE     4u	/* reads a turn: then others have theirs */

struct weir_session {
	struct conn          client;
	const struct server *server;
	union {
		struct handshake *handshake;	/* of STEP_HANDSHAKE, NULL behind it */
		struct relay     *relay;	/* of STEP_RELAY; NULL before it */
	};
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
	uint8_t              mode;	/* the last step that had one: its mode describes */
	uint8_t              reason;	/* enum session_reason, from FLUSH on */
	uint8_t              place : 3;	/* enum session_place */
	bool                 told : 1;	/* open was called: close has to be */
	bool                 pauses : 1;	/* begins nothing more: it goes soon, or … */
	bool                 ends : 1;	/* … ends, as soon as it is at rest */
	bool                 cut : 1;	/* something of it was cut short: it ends in a reset */
	_Alignas(16) char    state[];	/* the protocol's */
};

/* The nearest of several times, and why the session ends when it has come. */
struct session_deadline {
	uint64_t            at;		/* ms; UINT64_MAX: none */
	enum session_reason reason;
};

/* One more: `timeout` (0: off) after `since`. */
static inline void
session_deadline_add(struct session_deadline *d, uint64_t since, uint64_t timeout,
    enum session_reason reason)
{
	if (timeout > 0 && since + timeout < d->at)
		*d = (struct session_deadline){ since + timeout, reason };
}

/* What is done with a session in one step. Everything but `run` may be NULL. */
struct session_mode {
	const char *name;
	/* The step has been entered. May enter another one. */
	void (*enter)(struct weir_session *);
	/* Does what can be done now: the client's facts have changed, or its turn in
	 * the run queue has come. When the step has changed, the next one runs. */
	void (*run)(struct weir_session *);
	/* Adds its own to the deadlines that every session has. */
	void (*deadline)(const struct weir_session *, struct session_deadline *);
	/* One has come, not necessarily its own. Afterwards all are looked at again,
	 * and if one has still passed, the session is closed. So a mode that knows
	 * something better sees to it that its deadline is a later one. */
	void (*expired)(struct weir_session *, enum session_reason);
	/* The step has been left: what the session holds of others goes back to them.
	 * session.step is the new one; before FLUSH is run, bytes may still be sent. */
	void (*leave)(struct weir_session *);
	/* The session is about to be freed. Of the last mode only: one that is followed
	 * by another keeps nothing of its own. */
	void (*release)(struct weir_session *);
	/* What waits for the client beside client.out, in bytes. */
	size_t (*unsent)(const struct weir_session *);
	/* For the log, also after it was left: ", upstream main" behind what is said of
	 * every session; and what is known beyond the reason why it ended, or NULL. */
	void        (*describe)(const struct weir_session *, char *out, size_t);
	const char *(*explain)(const struct weir_session *, enum session_reason);

	/* Of sessions that move to another worker. What is in the way, beyond what is so of
	 * all sessions; NULL: nothing. */
	const char *(*bound)(const struct weir_session *, const struct move_heir *);
	/* Whether nothing is under way but bytes that wait, where they can be packed: the
	 * mode puts them there. One that says no sees to it that the session has a turn when
	 * that changes, and while session.pauses begins nothing that would put it off, and
	 * waits for nothing that others have as well. NULL: always. */
	bool (*rests)(struct weir_session *);
	/* What is the mode's of a session at rest; and out of it, in a session that has its
	 * conn. peer: what holds said there; its tokens are the mode's when it returns true.
	 * False: it cannot go on, and the mode has nothing of it. */
	void (*pack)(const struct weir_session *, struct parcel *);
	bool (*unpack)(struct weir_session *, struct parcel *, struct weir_peer *peer);
	/* Whether an end right now would cut something short, beyond what waits. NULL: not. */
	bool (*flows)(const struct weir_session *);
	/* Its time is over. Returns whether anything is under way; then the client has been
	 * sent what it can be told of that, and otherwise session.cut is set. NULL: nothing. */
	bool (*cut)(struct weir_session *);
	/* It was sent: what the mode has of others is given back. Its descriptors are closed
	 * here, and live on there. */
	void (*depart)(struct weir_session *);
	/* The peer that it is connected to, and which of its tokens it holds. NULL: none. */
	enum token_holds (*holds)(const struct weir_session *, struct weir_peer **peer);
};

/* What is so of every session, and goes on elsewhere. */
struct session_past {
	uint64_t           id;
	uint64_t           start;
	uint64_t           active;
	uint64_t           begun;
	uint64_t           blocked;
	uint64_t           bytes_in;
	uint64_t           bytes_out;
	struct addr_packed from;
	uint8_t            step;
	uint8_t            reason;
	bool               told;
	bool               cut;
	bool               finish;	/* of its conn */
	bool               unread;
};

/* What a session needs of those who accept. */
struct session_ops {
	/* The first of SESSION_ID_BLOCK new numbers. */
	uint32_t (*ids)(void);
	/* It ends, for session.reason: before anybody outside can see that. */
	void (*ending)(const struct weir_session *);
	/* Its turn is over, and it pauses. */
	void (*paused)(struct weir_session *);
	/* It has ended, or gone. */
	void (*ended)(void);
};

#define SESSION_ID_BLOCK 1024u

/*
 * Takes over an accepted fd. The caller has taken the server's token; it is
 * given back when the session closes. Returns false (token and fd stay the
 * caller's) when memory is short.
 */
bool session_open(struct server *, int fd, const struct addr *from)
    __attribute__((warn_unused_result));

/* For session/move: the first of those in a place; NULL: there is none. Puts one behind
 * all others of a place, or before them. */
struct weir_session *session_first(enum session_place);
struct weir_session *session_next(const struct weir_session *);
void                 session_put(struct weir_session *, enum session_place, bool first);

/*
 * A walk through all of them, some in each pass: begin with a zeroed one. Those that there
 * are at its beginning and that stay in their place come once; what moves may come twice, or
 * not. It is over after a NULL, or session_walk_end.
 */
struct session_walk {
	struct node          link;	/* of all walks */
	struct weir_session *next;
	enum session_place   place;
	uint64_t             left;	/* at most so many more */
};
void                 session_walk_begin(struct session_walk *);
struct weir_session *session_walk_next(struct session_walk *);
void                 session_walk_end(struct session_walk *);

/* It was sent: it ends here, and nobody outside sees anything of it. */
void session_depart(struct weir_session *);

/* One that has come: takes the fd over, without doing anything. NULL: memory is short,
 * the fd stays the caller's. When all that it had has been unpacked it goes on in its
 * step; until then it can be closed. */
struct weir_session *session_restore(struct server *, int fd, const struct session_past *)
    __attribute__((warn_unused_result));
void session_resume(struct weir_session *, const struct session_past *);

/* The mode of the step it is in, of any step; NULL: that has none. */
const struct session_mode *session_mode(const struct weir_session *);
const struct session_mode *session_mode_at(unsigned step);

/* Ends it now. May be called from anywhere, twice; the first reason counts, but
 * for what cuts short a FLUSH. Bytes that still wait end in a reset. */
void session_close(struct weir_session *, enum session_reason);

/* The same, when it has to be now, whatever is under way: the client is told, or gets a
 * reset behind what it was sent. It may go on in FLUSH and LINGER for a while. */
void session_cut_off(struct weir_session *, enum session_reason);

/* Does what can be done now. For handlers of conns that belong to a session. */
void session_run(struct weir_session *);

/* The one place that changes the step; there is no way back. The mode of the old one
 * is left, that of the new one entered: what they do may change it once more. */
void session_enter(struct weir_session *, enum session_step);

/* Ends it when what waits for the client has gone. Its mode ends at once. */
void session_finish(struct weir_session *, enum session_reason);

/* Why a conn that is of no use any more is so: `usual`, or a lack of memory. */
enum session_reason session_failure(const struct conn *, enum session_reason usual);

/* For modes: bytes came from or went to somewhere. */
void session_came(struct weir_session *, size_t bytes);
void session_went(struct weir_session *, size_t bytes);

/* For the steps that read the client, before and after it: what waits for the client
 * is sent, and noted. Return false when the client is gone: then so is the session.
 * A mode that only waits (in GATE, or for a peer) and reads nothing is run when the client
 * has been reset, within twice CONN_RECHECK: it begins a turn, or looks at write_shut and
 * broken. */
bool session_begin_turn(struct weir_session *) __attribute__((warn_unused_result));
bool session_end_turn(struct weir_session *) __attribute__((warn_unused_result));

/* For a mode that is told of a deadline: this side may have acknowledged bytes without
 * there being room for more. Notes when it last can have. */
void session_note_moved(struct weir_session *, const struct conn *side, uint64_t *since);

/* One side has so many bytes waiting: since when has it taken none? Keeps that
 * in *since (0: nothing waits); any byte it takes begins anew. */
void session_note_blocked(struct weir_session *, struct conn *side, size_t waiting,
    uint64_t *since);

/* A deadline may have come nearer: looks at all of them. */
void session_watch(struct weir_session *);

/* ", session 3.17, client …, server web" as log_subject wants it. */
void session_describe(const void *session, char *out, size_t size);

/* Per worker: begin, with a mode (or NULL) for each step; how many are open; cut all
 * off; end. */
void session_start(const struct session_mode *const modes[STEP_COUNT], const struct session_ops *,
    uint32_t generation);
unsigned session_count(void);
unsigned session_count_at(enum session_place);
/* Of them, those in FLUSH or LINGER, which end by themselves. */
unsigned session_ending_at(enum session_place);
/* When the oldest began, as far as the first SESSION_OLDEST of each place tell: they are
 * roughly in the order in which they came. 0: there is none. */
#define SESSION_OLDEST 512u
uint64_t session_oldest(void);
void     session_cut_off_all(enum session_reason);
void     session_stop(void);

const char *session_reason_name(enum session_reason);

#endif
