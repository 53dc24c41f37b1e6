/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service: what a worker does with all servers: accepts on the master's
 * sockets, pauses at its limit, steps in for other slots, ends.
 */
#ifndef SESSION_SERVICE_H
#define SESSION_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "upstream/pool.h"

struct conf;
struct move_ops;

/* What a worker gives its service. */
struct service_params {
	const struct conf *conf;
	unsigned           slot;
	unsigned           slots;
	unsigned           seat;
	uint32_t           generation;		/* number, as users see it */
	uint64_t           worker_connections;
	uint64_t           worker_handshakes;
	uint64_t           worker_preread;	/* bytes */
	/* The listening socket of a `listen` for a slot, or the one that is
	 * shared (*shared is then true); -1: there is none. */
	int              (*listen_fd)(const char *name, unsigned slot, bool *shared);
	/* Sockets of slots that exist no more but may still have queues: slots
	 * up to this number are asked for. */
	unsigned           sockets;
	/* The slot's state on the board changed: others have to look. */
	void             (*announce)(void);
	/* Says something about links (upstream/share) to another slot, or to all. */
	void             (*tell)(enum share_word, int peer, unsigned slot);
	const struct move_ops *moves;
};

/* Worker, after loop_open and conn_start: upstreams, balancers, listeners.
 * Accepts nothing yet. Returns 0, or -1 with errno. */
int  service_start(const struct service_params *) __attribute__((warn_unused_result));
void service_accept(void);	/* begin */
void service_review(void);	/* another slot came or went */
void service_claim(void);	/* a newer generation is gone: this one's word holds again */
void service_hold(bool);	/* accept no more for now, as at worker_connections; go on */
/* Accepts no more. sweep: what waits in queues that nobody else will serve is
 * accepted first. */
void service_retire(bool sweep);

/* Client sessions of this worker. */
unsigned service_sessions(void);
/* Calls this (once) when there is none left. */
void service_when_empty(void (*empty)(void));

/* All end, now: who has something under way is told, which may take a moment. */
void service_close_sessions(void);

/* After loop_run: gives everything back. */
void service_stop(void);

#endif
