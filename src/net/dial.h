/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dial: the one way to connect to somebody.
 *
 *	dial_start ──► GOING ──► GOING, secures ──► DONE     the conn is connected, and
 *	     │           │              │                    its owner's
 *	     └───────────┴──────────────┴─────────► FAILED   and why: dial.error; the conn
 *	                                                     has no fd
 *
 * The owner embeds the dial beside a conn. While it is GOING the conn's handler is
 * called when something has changed, and asks dial_check what has become of it; nobody
 * else is told, and only the owner's timer says when dial.give_up has come. When it is
 * DONE the dial is of no use any more until it is started again.
 *
 * Where TLS is spoken its handshake is part of it: it begins when the socket is connected,
 * and has a time of its own, so that give_up changes. How many of them are open at a time, and
 * which are given up for others, is net/admission's.
 *
 * Found out here, for all who connect:
 *
 *	an error	of connect(2), at once or later (SO_ERROR)
 *	oneself		a port of the local range at which nobody listens can be
 *			connected to itself: both ends are the same socket. It counts
 *			as refused (ECONNREFUSED)
 *	busy		a UNIX socket whose backlog is full says EAGAIN, and raises no
 *			event when there is room: its owner is alive. It is asked again
 *			every DIAL_RETRY, all of those that wait with one timer, until
 *			give_up
 *	too late	give_up has come: ETIMEDOUT
 *	TLS		the handshake has failed: EPROTO, what the socket said, or ECONNRESET
 *			when the other end has gone
 *	crowded		EBUSY: the handshake had no turn within its time, or the peer has gone
 *			while it waited for one; or it was given up for others. That
 *			says nothing of the peer
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "net/admission.h"
#include "net/proxy_header.h"

struct addr;
struct conn;
struct conn_handler;
struct dial;
struct tls;
struct tls_session;

#define DIAL_RETRY 10u	/* ms between attempts to reach UNIX sockets that are busy … */
#define DIAL_SHARE 128u	/* … of which there are so many at a time, in turn */

enum dial_state {
	DIAL_NONE,	/* never started, or cancelled */
	DIAL_GOING,
	DIAL_DONE,
	DIAL_FAILED,
};

/* Somebody whom TLS is spoken with; what is known of him is good for all connections. */
struct dial_tls {
	struct tls         *context;
	const char         *name;	/* as tls_connect has it; NULL: none */
	uint64_t            timeout;	/* ms: of the handshake */
	struct tls_session *session;	/* the newest that he has given, which the next
					   connection resumes; NULL: none */
};

/* Whoever connects. */
struct dial_ops {
	/* A socket on its way to the peer (sock_connect), or -1 with errno. Called by
	 * dial_start, and again for each attempt at a peer that is busy. */
	int              (*connect)(struct dial *);
	/* Whom TLS is spoken with; it outlives the conn. NULL, or returns NULL: nobody. */
	struct dial_tls *(*tls)(struct dial *);
	/* Composes the PROXY header that goes in front of TLS, in the clear. Returns its bytes
	 * (0: none goes there), or -1 with errno. NULL: none ever does. */
	ssize_t          (*preface)(struct dial *, char out[PROXY_HEADER_OUT_MAX]);
};

struct dial {
	struct conn           *conn;
	const struct dial_ops *ops;
	uint64_t               give_up;	/* ms, of loop_now */
	struct node            link;	/* of those whose peer is busy */
	struct admission_place place;	/* of its handshake */
	uint16_t               port;	/* of the peer; 0: it has none */
	uint16_t               error;	/* errno of DIAL_FAILED */
	uint8_t                state;	/* enum dial_state */
	bool                   secures;	/* it is connected: what goes on, or has failed, is TLS */
};

/*
 * Begins to connect to the address, for at most timeout ms. The conn has no fd (what
 * waits in its buffers stays) and gets one from `connect`, with this handler. Returns
 * GOING, or FAILED with dial.error. The owner arms a timer for give_up.
 */
enum dial_state dial_start(struct dial *, struct conn *, const struct conn_handler *,
    const struct dial_ops *, const struct addr *to, uint64_t timeout)
    __attribute__((warn_unused_result));

/* What has become of it: to be asked when the conn's handler is called, and when
 * give_up has come. DONE and FAILED are final. While it is GOING the owner sees to its
 * timer: give_up may be another. */
enum dial_state dial_check(struct dial *);

/* Whether its handshake goes on, and what it needs is this process's turn: the peer is not to
 * be blamed. */
bool dial_awaits_turn(const struct dial *);

/* In words, why it has FAILED. Valid until another one fails. */
const char *dial_explain(const struct dial *);

/* Gives it up when it is still GOING: the conn's fd is closed. Of one that is not it
 * changes nothing. Before the memory of either goes. */
void dial_cancel(struct dial *);

/* Per process, after loop_open: no dial is going. handshakes: most that are open. */
void dial_init(uint64_t handshakes);

#endif
