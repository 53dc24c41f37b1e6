/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn: one connected socket.
 *
 * Registered once, edge-triggered, for reading, writing and the peer's end: one
 * epoll_ctl for life, so that a dead peer is always seen. Events only set
 * facts; facts are cleared by EAGAIN and by operations that fell short:
 *
 *	readable   reading may yield something
 *	writable   writing may be taken
 *	closed     the peer has ended its side (a FIN may have come with data and
 *	           makes no second edge: read until `eof` when this is set)
 *	eof        the last byte has been read
 *	write_shut nothing can be sent any more; what the peer sent before can
 *	           still be read, until eof or broken
 *	broken     nothing can be read or sent any more
 *
 * libevent tells a reset behind data, or an urgent mark, no other than data, and there
 * is no second edge. So a conn that has had an event, and since then neither sent nor
 * read until EAGAIN, is made `readable` again after CONN_RECHECK to twice that of
 * silence; if its owner does not read it then, the socket is asked for an error. Owners
 * see to nothing.
 *
 * The owner embeds the conn and decides, in handler->ready, what comes next.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/loop.h"
#include "net/timer.h"

#define CONN_RECHECK 500u	/* ms */

struct conn;

struct conn_handler {
	/* Facts have changed, or its turn in the run queue has come. */
	void (*ready)(struct conn *);
	/* conn_arm's time has come. */
	void (*expired)(struct conn *);
};

/*
 * How bytes travel: plain here, TLS in net/tls. Results as of recv(2) and send(2):
 * bytes, 0 for the end (recv), -1 with errno. A transport with a state of its own begins
 * with a struct transport, is put into conn.transport by whoever makes it, and stays
 * there until destroy: conn_detach leaves it, conn_adopt finds a plain one.
 *
 *	recv	may have taken more from the socket than it gives. What it has kept and
 *		could give now (bytes, the end, an error) shows in conn.pending, which it
 *		sets and clears: then a short read does not mean that nothing waits, and
 *		conn_read leaves `readable` set. EAGAIN means that the socket has said so,
 *		or was drained by a short read when it was not `closed`; with conn.pending,
 *		that it has done its share without coming to any bytes, and goes on in
 *		another turn, which it has asked for. No event tells
 *		of what is pending: owners go on for as long as `readable` is set, by
 *		conn_again when they have had their share
 *	send	takes bytes as a whole: what it has taken and the socket has not shows in
 *		conn.held, which it sets and clears with `writable`; conn_waiting counts
 *		it, conn_flush sends it. When it takes fewer than it was given, the
 *		socket takes no more for now
 *	flush	sends what is held: 0 when all has gone, -1 with errno. NULL: holds nothing
 *	held	how many bytes that are, as they go over the wire
 *	finish	ends the sending side behind what is held: 0, or -1 with EAGAIN when there
 *		was no room to say so; it is called again when there is
 *	explain	in words what has failed; NULL: nothing, or errno says it. Valid until the next
 *		call
 *	destroy	says the last words that the transport has, unless conn.aborted is set,
 *		and frees its state; before the descriptor is closed
 */
struct transport_ops {
	ssize_t     (*recv)(struct conn *, void *into, size_t);
	ssize_t     (*send)(struct conn *, const void *from, size_t);
	int         (*flush)(struct conn *);
	size_t      (*held)(const struct conn *);
	int         (*finish)(struct conn *);
	const char *(*explain)(const struct conn *);
	void        (*destroy)(struct conn *);
};

/* A transport with a state of its own begins with this. */
struct transport {
	const struct transport_ops *ops;
};

struct conn {
	struct loop_watch          watch;	/* carries the fd */
	const struct transport    *transport;
	const struct conn_handler *handler;
	struct buf                *in;		/* read, not yet used */
	struct buf                *out;		/* accepted, not yet sent */
	struct timer               timer;
	struct task                task;
	bool                       readable : 1;
	bool                       writable : 1;
	bool                       closed : 1;
	bool                       eof : 1;
	bool                       write_shut : 1;
	bool                       broken : 1;
	bool                       unsure : 1;	/* an error may be hidden */
	bool                       fresh : 1;	/* … since the last rotation of those */
	bool                       open : 1;	/* has an fd */
	bool                       finish : 1;	/* end our side once `out` is empty */
	bool                       finished : 1;
	bool                       progress : 1;	/* some of it went; for the owner */
	bool                       pending : 1;	/* the transport has something to read */
	bool                       held : 1;	/* it has something to send */
	bool                       aborted : 1;	/* the close will be an abortive one */
	bool                       unread : 1;	/* `in` is to be read again */
	uint16_t                   error;	/* errno of `write_shut` or `broken` */
	uint32_t                   recheck;	/* its place among those to be rechecked, from 1 */
};

/* Sets up what all conns of a process share: after loop_open, which is given
 * conn_fired. */
void conn_start(void);
void conn_fired(struct timer *);

/*
 * Takes over a connected (or connecting) non-blocking fd with fresh facts. The
 * conn must be zeroed or without an fd; what waits in its buffers stays.
 * Returns 0, or -1 with errno; the fd is then still the caller's.
 */
int conn_adopt(struct conn *, int fd, const struct conn_handler *)
    __attribute__((warn_unused_result));

/* How many have an fd. */
unsigned conn_count(void);

/* Gives the fd back: the event is removed, timer and turn are cancelled,
 * nothing is closed; buffers stay. -1 when it has none. */
int conn_detach(struct conn *);

/* Closes the fd, if there is one; timer and turn are cancelled. What waits in the
 * buffers stays, for another fd. */
void conn_hang_up(struct conn *);

/* Makes the close that follows an abortive one, which sends a reset: for what was
 * cut short, so that the other end does not take the end for a good one, and one
 * whose FIN it has already learns of it at all. */
void conn_abort(struct conn *);

/* Ends everything: fd, transport, buffers, timer, turn. Twice is once. */
void conn_close(struct conn *);

static inline int
conn_fd(const struct conn *c)
{
	return loop_watch_fd(&c->watch);
}

/*
 * Reads what there is, at most size bytes. Returns how many; 0 when nothing
 * can be read now: look at eof and broken. Clears `readable` when the socket
 * is drained; where it is set still, there will be another turn.
 */
size_t conn_read(struct conn *, char *into, size_t size);

/*
 * The same behind what waits in `in`: all there is then, at most limit bytes of it;
 * an empty span when nothing has come. It lies in the scratch buffer, or in `in`
 * itself where that is large, so that a long message is not copied with each piece
 * of it. conn_keep ends it: what was not used waits in `in`. Returns false when
 * memory is short.
 */
struct weir_span conn_take(struct conn *, size_t limit);
bool             conn_keep(struct conn *, struct weir_span taken, size_t used);

/* The same for who reads what comes before all else: what was not used is read again by
 * whoever is next, as if it came now. The first conn_take behind it must have a limit
 * that covers it all; conn_read need not. A transport finds it in `in`, and takes it. */
bool conn_put_back(struct conn *, struct weir_span taken, size_t used);

/* Whether reading may yield something: `readable`, or what was put back. */
static inline bool
conn_may_read(const struct conn *c)
{
	return c->readable || (c->unread && c->in != NULL);
}

/* Bytes that conn_take would give again. */
static inline size_t
conn_kept(const struct conn *c)
{
	return c->unread ? 0 : buf_len(c->in);
}

/*
 * Sends, behind what waits already: at once as far as the socket takes it, the
 * rest is copied to `out`. Returns false when write_shut is set or memory is
 * short (it is then broken, with error ENOMEM or EMSGSIZE).
 */
bool conn_send(struct conn *, struct weir_span);

/* Sends at once what the socket takes, and keeps nothing. Returns how many
 * bytes; look at write_shut when it is fewer. */
size_t conn_push(struct conn *, struct weir_span);

/* conn_send without touching the socket: several small pieces go out with one
 * conn_flush. */
bool conn_gather(struct conn *, struct weir_span);

/* Sends what waits. Returns false when write_shut or broken is set. */
bool conn_flush(struct conn *);

/* Ends the sending side behind what waits (half-close). */
void conn_finish(struct conn *);

/* Bytes accepted and not yet sent. */
static inline size_t
conn_waiting(const struct conn *c)
{
	return buf_len(c->out) + (c->held ? c->transport->ops->held(c) : 0);
}

/* In words, why it is broken or write_shut; NULL: it is not, or nothing is known. */
const char *conn_explain(const struct conn *);

/* For what moves bytes past the transport (net/pipe): whether it may, and what
 * the system call said: errno, 0 for the end (of reading). */
bool conn_is_plain(const struct conn *);
void conn_read_ended(struct conn *, int error);
void conn_send_ended(struct conn *, int error);

/* For how many ms at least the other end has acknowledged no byte of ours (TCP_INFO): a
 * slow reader makes room long before an event tells. Retransmissions, and acknowledgments
 * of nothing new, make it no less, or by one round trip. UINT64_MAX: not known. */
uint64_t conn_untaken_for(const struct conn *);

/* For how many ms nothing at all has come from the other end, acknowledgments included
 * (TCP_INFO). UINT64_MAX: not known. */
uint64_t conn_silent_for(const struct conn *);

/* Bytes the kernel holds that the peer has not acknowledged (SIOCOUTQ). */
size_t conn_unacknowledged(const struct conn *);

/* Another turn without a new event, in the next pass. */
void conn_again(struct conn *);

/* handler->expired at this time (of loop_now); replaces an earlier one. */
void conn_arm(struct conn *, uint64_t at);
void conn_disarm(struct conn *);

#endif
