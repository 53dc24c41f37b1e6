/* SPDX-License-Identifier: BSD-2-Clause */
/* service: what a worker does with all servers: accepts, pauses, steps in, ends. */
#include "session/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slab.h"
#include "conf/conf.h"
#include "net/listener.h"
#include "session/exchange.h"
#include "session/relay.h"
#include "session/server.h"
#include "session/session.h"
#include "session/talk.h"
#include "upstream/pool.h"

/* A listener on one socket: of the own slot, of another one, or of all. */
struct gate {
	struct listener listener;
	struct server  *server;
	board_word     *cell;	/* of the board's entry for the address */
	int             board;
	unsigned        slot;
	bool            shared;
};

static struct {
	struct worker_place place;
	struct gate        *gates;
	unsigned            gate_count;
	struct slab        *slabs;	/* one a server */
	bool                serving;	/* between servers_accept and servers_retire */
	bool                paused;	/* at worker_connections */
	void              (*empty)(void);
	uint64_t            complained;
} service;

static bool         add_gates(struct server *, unsigned listen);
static bool         accepted(struct listener *, int fd, const struct addr *);
static bool         may_accept(struct listener *);
static void         starved(struct listener *, int error);
static uint32_t     take_ids(void);
static void         session_ending(const struct weir_session *);
static void         session_ended(void);
static int          start_pools(void);
static size_t       state_size(const struct server *);
static void         set_state(enum board_slot_state);
static bool         own(const struct gate *);
static bool         taken_over(const struct gate *);

static const struct listener_ops listener_ops = {
	.accepted   = accepted,
	.may_accept = may_accept,
	.starved    = starved,
};

static const struct session_ops session_ops = {
	.ids    = take_ids,
	.ending = session_ending,
	.ended  = session_ended,
};

/* What is done in each step of a session. */
static const struct session_mode *const modes[STEP_COUNT] = {
	[STEP_TALK]     = &talk_mode,
	[STEP_EXCHANGE] = &exchange_mode,
	[STEP_RELAY]    = &relay_mode,
};

int
servers_start(const struct worker_place *place)
{
	const struct conf *conf = place->conf;
	struct server     *s;
	unsigned           count = 0, gates = 0;

	service.place = *place;
	for (; (s = server_at(conf, count)) != NULL; count++)
		gates += s->listen_count * (place->sockets > 0 ? place->sockets : 1);
	service.slabs = calloc(count + 1, sizeof *service.slabs);
	service.gates = calloc(gates + 1, sizeof *service.gates);
	if (service.slabs == NULL || service.gates == NULL)
		return -1;
	if (upstreams_start(conf, place->seat, place->generation + place->slot) < 0 ||
	    start_pools() < 0)
		return -1;
	session_start(modes, &session_ops, place->generation);
	relay_start();
	for (unsigned i = 0; i < count; i++) {
		s = server_at(conf, i);
		s->cell = board_cell(s->board, place->seat);
		s->slab = &service.slabs[i];
		s->mode = s->framing.exchange != NULL ? STEP_EXCHANGE : STEP_TALK;
		slab_init(s->slab, sizeof(struct weir_session) + state_size(s));
		for (unsigned k = 0; k < s->listen_count; k++)
			if (!add_gates(s, k))
				return -1;
	}
	return 0;
}

/* What a session of the server has behind it. */
static size_t
state_size(const struct server *s)
{
	return s->framing.exchange != NULL ? exchange_size(s->framing.exchange)
					   : s->protocol->state_size;
}

static int
start_pools(void)
{
	const struct pools_worker worker = {
		.conf = service.place.conf,
		.queue = service.place.worker_connections,
		.ops = &exchange_requesters,
		.share = {
			.slot = service.place.slot,
			.slots = service.place.slots,
			.tell = service.place.tell,
		},
	};

	exchanges_start();
	return pools_start(&worker);
}

void
servers_accept(void)
{
	service.serving = true;
	board_slot_set(service.place.slot, service.place.generation, BOARD_SLOT_ACCEPTING);
	for (unsigned i = 0; i < service.gate_count; i++)
		if (own(&service.gates[i]))
			listener_start(&service.gates[i].listener);
	servers_review();
	service.place.announce();
}

void
servers_review(void)
{
	struct gate *g;

	for (unsigned i = 0; i < service.gate_count; i++) {
		g = &service.gates[i];
		if (own(g))
			continue;
		if (service.serving && board_slot_get(g->slot, NULL) != BOARD_SLOT_ACCEPTING)
			listener_start(&g->listener);
		else
			listener_stop(&g->listener);
	}
}

void
servers_retire(bool sweep)
{
	struct gate *g;

	if (!service.serving)
		return;
	service.serving = false;
	for (unsigned i = 0; i < service.gate_count; i++) {
		g = &service.gates[i];
		listener_stop(&g->listener);
		/* Nobody else will: what the kernel has queued would be reset. */
		if (sweep && own(g) && !taken_over(g))
			listener_sweep(&g->listener, SOCK_BACKLOG);
	}
	pools_retire();
	set_state(BOARD_SLOT_ABSENT);
}

unsigned
servers_sessions(void)
{
	return session_count();
}

void
servers_when_empty(void (*empty)(void))
{
	if (session_count() == 0)
		empty();
	else
		service.empty = empty;
}

void
servers_close_sessions(void)
{
	pools_hold();
	session_close_some(SESSION_SHUTDOWN, UINT32_MAX);
}

void
servers_stop(void)
{
	for (unsigned i = 0; i < service.gate_count; i++)
		listener_stop(&service.gates[i].listener);
	service.empty = NULL;
	session_stop();
	pools_stop();
	relay_stop();
	for (unsigned i = 0; server_at(service.place.conf, i) != NULL; i++)
		slab_finish(&service.slabs[i]);
	upstreams_stop();
	free(service.gates);
	free(service.slabs);
	memset(&service, 0, sizeof service);
}

/* ----------------------------------------------------------------- listeners */

static struct gate *
gate_of(struct listener *l)
{
	return container_of(l, struct gate, listener);
}

static bool
own(const struct gate *g)
{
	return g->shared || g->slot == service.place.slot;
}

/* One gate for each slot's socket, or a single one where all share it. */
static bool
add_gates(struct server *s, unsigned listen)
{
	unsigned     sockets = service.place.sockets;
	struct gate *g;
	bool         shared = false;
	int          fd;

	for (unsigned slot = 0; slot < sockets && !shared; slot++) {
		fd = service.place.listen_fd(s->listens[listen].spec.name, slot, &shared);
		if (fd < 0 && slot == service.place.slot) {
			log_alert("no socket for %s, slot %u", s->listens[listen].spec.name, slot);
			errno = ENOENT;
			return false;
		}
		if (fd < 0)
			continue;
		g = &service.gates[service.gate_count++];
		g->server = s;
		g->board = s->listens[listen].board;
		g->cell = board_cell(g->board, service.place.seat);
		g->slot = slot;
		g->shared = shared;
		listener_init(&g->listener, fd, shared || slot != service.place.slot,
		    &listener_ops);
		atomic_store(&board_shared(g->board)[LISTENER_GENERATION],
		    service.place.generation);
	}
	return true;
}

static bool
accepted(struct listener *l, int fd, const struct addr *from)
{
	struct gate   *g = gate_of(l);
	struct server *s = g->server;

	board_add(&g->cell[LISTENER_ACCEPTED], 1);
	if (s->max_connections == 0)
		board_add(&s->cell[SERVER_SESSIONS], 1);
	else if (!board_take(s->board, SERVER_SESSIONS, service.place.seat, s->max_connections)) {
		board_add(&s->cell[SERVER_REFUSED_MAX_CONNECTIONS], 1);
		return false;
	}
	if (!session_open(s, fd, from)) {
		board_give(s->board, SERVER_SESSIONS, service.place.seat);
		board_add(&s->cell[SERVER_REFUSED_NO_MEMORY], 1);
		return false;
	}
	board_add(&s->cell[SERVER_ACCEPTED], 1);
	return true;
}

static bool
may_accept(struct listener *l)
{
	if (session_count() < service.place.worker_connections)
		return true;
	if (!service.paused) {
		service.paused = true;
		board_add(&gate_of(l)->server->cell[SERVER_PAUSED], 1);
		log_warn("worker_connections = %llu are open: no more are accepted here",
		    (unsigned long long)service.place.worker_connections);
		set_state(BOARD_SLOT_PAUSED);
	}
	return false;
}

static void
starved(struct listener *l, int error)
{
	board_add(&gate_of(l)->server->cell[SERVER_STARVED], 1);
	if (!loop_complain(&service.complained))
		return;
	log_error("accept: %s: accepting pauses for %u ms; %s", strerror(error), LISTENER_PAUSE,
	    error == EMFILE	  ? "raise worker_rlimit_nofile or lower worker_connections"
		: error == ENFILE ? "raise fs.file-max"
				  : "the machine is short of memory");
}

static void
session_ending(const struct weir_session *s)
{
	board_give(s->server->board, SERVER_SESSIONS, service.place.seat);
	board_add(&s->server->cell[SERVER_END + s->reason], 1);
}

/* Goes on a little below the limit, so as not to come and go with each client. */
static void
session_ended(void)
{
	uint64_t limit = service.place.worker_connections;

	if (service.serving && service.paused && session_count() < limit - limit / 16) {
		service.paused = false;
		set_state(BOARD_SLOT_ACCEPTING);
		for (unsigned i = 0; i < service.gate_count; i++)
			listener_resume(&service.gates[i].listener);
	}
	if (service.empty != NULL && session_count() == 0) {
		void (*empty)(void) = service.empty;

		service.empty = NULL;
		empty();
	}
}

/* Tells the others, unless a newer generation serves the slot by now. */
static void
set_state(enum board_slot_state state)
{
	uint32_t generation;

	board_slot_get(service.place.slot, &generation);
	if (generation != service.place.generation)
		return;
	board_slot_set(service.place.slot, generation, state);
	service.place.announce();
}

/* Whether a newer generation accepts at this address. */
static bool
taken_over(const struct gate *g)
{
	return atomic_load(&board_shared(g->board)[LISTENER_GENERATION]) !=
	    service.place.generation;
}

/* Numbers no other worker of this generation has: from a word that all share. */
static uint32_t
take_ids(void)
{
	struct server *first = server_at(service.place.conf, 0);

	return (uint32_t)atomic_fetch_add(&board_shared(first->board)[SERVER_NEXT_ID],
		   SESSION_ID_BLOCK) +
	    1;
}
