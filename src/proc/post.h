/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * post: one worker's place in a generation, or its keeper's, whoever holds it.
 *
 *	VACANT ─clone─► ASKED ─cloned─► STARTING ─READY─► READY ─GO─► SERVING
 *	   ▲                               │                │            │
 *	   └───────── backoff ─────────────┴────────────────┴────────────┘ died
 */
#ifndef PROC_POST_H
#define PROC_POST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/message.h"
#include "proc/orphan.h"
#include "proc/wait.h"
#include "proc/watchdog.h"
#include "upstream/board.h"

struct generation;

#define POST_KEEPER BOARD_KEEPER	/* as slot */

enum post_state { POST_VACANT, POST_ASKED, POST_STARTING, POST_READY, POST_SERVING };

struct post {
	struct generation *generation;
	unsigned           slot;	/* or POST_KEEPER */
	char               name[24];	/* "worker 3", "keeper" */
	unsigned           seat;	/* on the board; 0: none */
	enum post_state    state;
	pid_t              pid;		/* 0: nobody */
	uint64_t           since;	/* ms: of its start */
	unsigned           failures;	/* in a row, each within POST_STABLE of its start */
	unsigned           crashes;	/* those of them that nobody else has caused */
	struct deadline    deadline;	/* VACANT: to fill it again; ASKED, STARTING: overdue */
	uint32_t           owed;	/* bits of enum message_kind: not in the mailbox yet */
	uint32_t           owed_logs;	/* bits of FD_LOG's slots */
	struct deadline    retry;	/* to put them there */
	struct watchdog    watchdog;	/* READY, SERVING */
	uint32_t           heirs;	/* generation that its sessions were to go to; 0: none */
	bool               settled;	/* it has said what came of that */
	bool               silent;	/* it has not for so long that nobody waits for it */
	bool               stopping;	/* it was told to, to make room */
	struct orphan      orphan;	/* its channel, when nobody will take the post again */
};

/* What posts call in their generation. */
struct post_ops {
	/* Something has changed; the generation may be freed by this. */
	void (*changed)(struct generation *);
	/* Its worker has died, and so many sessions with it. */
	void (*lost)(uint64_t sessions);
	/* A worker has crashed POST_CRASHES times in a row soon after its start. */
	void (*crashes)(struct generation *);
	/* It cannot come to run. */
	void (*failed)(struct generation *, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));
};

/* Once, before any is opened. */
void posts_start(const struct post_ops *);

#define POST_STABLE 10000u	/* ms */
#define POST_CRASHES    5u

static inline bool
post_is_keeper(const struct post *p)
{
	return p->slot == POST_KEEPER;
}

/* Takes a seat, makes the mailbox and, for a worker, the channel for sessions. Returns 0, or
 * -1 with errno; post_close takes everything back either way. */
int  post_open(struct post *, struct generation *, unsigned slot)
    __attribute__((warn_unused_result));
void post_close(struct post *);

/* Asks the template for a process. */
void post_fill(struct post *);

/* The template has cloned one: pid, or 0 and an errno. */
void post_cloned(struct post *, pid_t, int error);

/* It says that it is ready; that it cannot start. */
void post_ready(struct post *);
void post_failed(struct post *, const char *why);

/* Accept; says so to one that is ready. */
void post_go(struct post *);

/* Its process has ended. */
void post_died(struct post *, int status);

/*
 * Writes an order to its mailbox (START, GO, HEIRS, RETIRE, HASTEN, STOP, REVIEW), or that a
 * log has been opened again: the one that the master's table holds for this
 * generation. What a full mailbox does not take is kept until it does, unless a
 * stronger order comes or the worker ends.
 */
void post_tell(struct post *, enum message_kind);
void post_tell_log(struct post *, unsigned log);

/* Gives it the keys of TLS tickets, if it needs them. */
void post_tell_tickets(struct post *);

void post_kill(struct post *, int signal);

/* Something about it has changed outside of it; its generation may be freed by this. */
void post_changed(struct post *);

/* It serves no more: the others accept from its sockets until it is back. */
void post_set_absent(struct post *);

/* ms to wait before it is filled again, after this many failures in a row. */
uint64_t post_backoff(unsigned failures);

const char *post_state_name(enum post_state);

#endif
