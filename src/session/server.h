/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server: [server NAME] scopes, and what a worker does with all of them.
 *
 * Settings are read and checked in the template; the worker that is cloned from
 * it opens listeners on the master's sockets and starts to accept when told.
 */
#ifndef SESSION_SERVER_H
#define SESSION_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/listener.h"
#include "net/sock.h"
#include "upstream/board.h"
#include "weir.h"

struct conf;
struct upstream;

#define SERVER_LISTENS_MAX 64u

struct server {
	const char               *name;
	const struct weir_module *protocol;	/* its module */
	struct weir_upstream     *upstream;	/* NULL: none */
	const void               *conf;		/* the protocol's block in this scope */
	struct weir_scope        *scope;
	struct listen_spec       *listens;
	unsigned                  listen_count;
	int                       board;	/* entry "server" */

	uint64_t read_buffer;		/* bytes */
	uint64_t write_buffer;
	uint64_t idle_timeout;		/* ms, 0: off, as all below */
	uint64_t read_timeout;
	uint64_t write_timeout;
	uint64_t half_close_timeout;
	uint64_t max_lifetime;
	uint64_t max_connections;	/* over all workers; 0: no limit */
	struct sock_options options;

	/* in a worker */
	board_word *cell;		/* own seat of the board entry */
	struct slab *slab;		/* sessions of this size */
};

/* Keys and checks of [server NAME], for conf_request.core. */
extern const struct weir_module server_module;

/* The block of a scope; NULL when index is behind the last. */
struct server *server_at(const struct conf *, unsigned index);

/* Template: calls each for every listening socket of the configuration. */
void servers_each_listen(const struct conf *,
	void (*each)(const struct listen_spec *, void *context), void *context);

/* Template: enters servers (with their listeners), upstreams and peers on the
 * board. Returns 0, or -1 with errno (ENOSPC: the board is full). */
int servers_enter(const struct conf *, unsigned generation) __attribute__((warn_unused_result));

struct worker_place {
	const struct conf *conf;
	unsigned           slot;
	unsigned           slots;
	unsigned           seat;
	unsigned           generation_index;	/* on the board */
	uint32_t           generation;		/* number, as users see it */
	uint64_t           worker_connections;
	/* The listening socket of a `listen` for a slot, or the one that is
	 * shared (*shared is then true); -1: there is none. */
	int              (*listen_fd)(const char *name, unsigned slot, bool *shared);
	/* Sockets of slots that exist no more but may still have queues: slots
	 * up to this number are asked for. */
	unsigned           sockets;
	/* The slot's state on the board changed: others have to look. */
	void             (*announce)(void);
};

/* Worker, after loop_open and conn_start: upstreams, balancers, listeners.
 * Accepts nothing yet. Returns 0, or -1 with errno. */
int  servers_start(const struct worker_place *) __attribute__((warn_unused_result));
void servers_accept(void);	/* begin */
void servers_review(void);	/* another slot came or went */
void servers_retire(void);	/* accept no more; queues of dropped listeners are emptied first */

/* Client sessions of this worker. */
unsigned servers_sessions(void);
/* Calls this (once) when there is none left. */
void servers_when_empty(void (*empty)(void));

/* Closes all sessions: at once, or spread evenly over `ms`. */
void servers_close_sessions(uint64_t ms);

/* After loop_run: gives everything back. */
void servers_stop(void);

#endif
