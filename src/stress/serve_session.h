/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve_session: a connection of a backend.
 *
 *	came ──► kind ──► reply, with the time it is due ──► release ──► socket
 *
 * What nothing is to happen to goes straight from kind to the socket.
 */
#ifndef STRESS_SERVE_SESSION_H
#define STRESS_SERVE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "net/conn.h"
#include "stress/digest.h"
#include "stress/random.h"
#include "stress/serve_alarm.h"
#include "stress/serve_options.h"

struct door;

struct stress_session {
	struct conn          conn;
	struct alarm         alarm;
	struct node          link;	/* of its door, or of those that are closed */
	struct door         *door;
	struct rng           rng;
	struct node          replies;
	size_t               queued;	/* bytes that they take */
	struct stress_digest digest;	/* sink */
	uint64_t             position;	/* source */
	uint64_t             last_due;
	uint64_t             read_at;	/* not before: µs; 0: at once */
	uint64_t             close_at;	/* when nothing comes before: µs; 0: never */
	enum harm            end;	/* when what waits has gone */
	bool                 shakes;	/* TLS, not agreed on yet */
	bool                 silent;	/* says nothing more; what comes is dropped */
	bool                 stalled;	/* … and does not end, either */
	bool                 said;	/* the client's end has been seen */
	bool                 busy;	/* had something to do since it was idle */
	bool                 over;	/* is closed as its turn ends */
};

#define SESSION_WAITING (256u * 1024)	/* bytes not sent: no more is read */

void stress_sessions_start(void);

/* A connection with a number of its own. Returns false when there is no memory: the fd
 * is then still the caller's. */
bool stress_session_open(struct door *, int fd, uint64_t number);

/* Closes those of this door, at once; with or without a reset. */
void stress_sessions_end(struct door *, bool reset);

/* Frees what has ended: at the end of a pass. */
void stress_sessions_sweep(void);
void stress_sessions_finish(void);

#endif
