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
#include "session/closing.h"
#include "session/exchange.h"
#include "session/gate.h"
#include "session/handshake.h"
#include "session/move.h"
#include "session/preread.h"
#include "session/record.h"
#include "session/relay.h"
#include "session/server.h"
#include "session/session.h"
#include "session/survey.h"
#include "session/talk.h"
#include "upstream/pool.h"

/* A listener on one socket: of the own slot, of another one, or of all. */
struct service_listener {
	struct listener listener;
	struct server  *server;
	board_word     *cell;	/* of the board's entry for the address */
	int             board;
	unsigned        slot;
	bool            shared;
};

static struct {
	struct service_params    params;
	struct service_listener *listeners;
	unsigned                 listener_count;
	struct slab             *slabs;	/* one a server */
	bool                     serving;	/* between service_accept and service_retire */
	bool                     paused;	/* at worker_connections, or held */
	bool                     held;
	void              (*empty)(void);
	uint64_t            full, no_memory, starved;	/* of loop_complain */
} service;

static bool         service_add_listeners(struct server *, unsigned listen);
static bool         service_accepted(struct listener *, int fd, const struct addr *);
static bool         service_may_accept(struct listener *);
static void         service_starved(struct listener *, int error);
static uint32_t     service_take_ids(void);
static void         service_session_ending(const struct weir_session *);
static void         service_session_ended(void);
static void         service_go_on(void);
static int          service_start_pools(void);
static size_t       service_state_size(struct server *);
static void         service_set_state(enum board_slot_state);
static bool         service_listener_is_own(const struct service_listener *);
static bool         service_listener_is_taken_over(const struct service_listener *);

static const struct listener_ops service_listener_ops = {
	.accepted   = service_accepted,
	.may_accept = service_may_accept,
	.starved    = service_starved,
};

static const struct session_ops service_session_ops = {
	.ids    = service_take_ids,
	.ending = service_session_ending,
	.paused = move_note,
	.ended  = service_session_ended,
};

/* What is done in each step of a session. */
static const struct session_mode *const service_modes[STEP_COUNT] = {
	[STEP_GATE]      = &gate_mode,
	[STEP_HANDSHAKE] = &handshake_mode,
	[STEP_TALK]      = &talk_mode,
	[STEP_EXCHANGE]  = &exchange_mode,
	[STEP_RELAY]     = &relay_mode,
};

int
service_start(const struct service_params *params)
{
	const struct conf *conf = params->conf;
	struct server     *s;
	unsigned           count = 0, listeners = 0;

	service.params = *params;
	for (; (s = server_at(conf, count)) != NULL; count++)
		listeners += s->listen_count * (params->sockets > 0 ? params->sockets : 1);
	service.slabs = calloc(count + 1, sizeof *service.slabs);
	service.listeners = calloc(listeners + 1, sizeof *service.listeners);
	if (service.slabs == NULL || service.listeners == NULL)
		return -1;
	if (upstreams_start(conf, params->seat, params->generation, params->slot) < 0 ||
	    service_start_pools() < 0)
		return -1;
	session_start(service_modes, &service_session_ops, params->generation);
	moves_start(conf, params->seat, params->moves);
	closings_start(surveys_go_on);
	surveys_start(params->slot, params->generation);
	prereads_start(params->worker_preread);
	handshakes_start(params->worker_handshakes, params->seat);
	relay_start();
	for (unsigned i = 0; i < count; i++) {
		s = server_at(conf, i);
		s->cell = board_cell(s->board, params->seat);
		s->slab = &service.slabs[i];
		s->mode = s->framing.exchange != NULL ? STEP_EXCHANGE : STEP_TALK;
		slab_init(s->slab, sizeof(struct weir_session) + service_state_size(s));
		for (unsigned k = 0; k < s->listen_count; k++)
			if (!service_add_listeners(s, k))
				return -1;
	}
	return 0;
}

/* What a session of the server has behind it. */
static size_t
service_state_size(struct server *s)
{
	size_t size = s->framing.exchange != NULL ? exchange_size(s->framing.exchange)
						  : s->protocol->state_size;

	s->gate = (size + 7) / 8 * 8;
	return server_has_gate(s) ? s->gate + sizeof(struct gate) : size;
}

static int
service_start_pools(void)
{
	const struct pools_worker worker = {
		.conf = service.params.conf,
		.queue = service.params.worker_connections,
		.ops = &exchange_requesters,
		.share = {
			.slot = service.params.slot,
			.slots = service.params.slots,
			.tell = service.params.tell,
		},
	};

	exchanges_start();
	return pools_start(&worker);
}

void
service_accept(void)
{
	service.serving = true;
	upstreams_settle(service.params.conf, service.params.generation, false);
	board_slot_set(service.params.slot, service.params.generation, BOARD_SLOT_ACCEPTING);
	for (unsigned i = 0; server_at(service.params.conf, i) != NULL; i++)
		record_announce(server_at(service.params.conf, i), service.params.generation);
	for (unsigned i = 0; i < service.listener_count; i++)
		if (service_listener_is_own(&service.listeners[i]))
			listener_start(&service.listeners[i].listener);
	service_review();
	service.params.announce();
}

void
service_claim(void)
{
	if (service.serving)
		upstreams_settle(service.params.conf, service.params.generation, true);
	service_review();
}

void
service_review(void)
{
	struct service_listener *g;

	for (unsigned i = 0; i < service.listener_count; i++) {
		g = &service.listeners[i];
		if (service_listener_is_own(g))
			continue;
		if (service.serving && board_slot_get(g->slot, NULL) != BOARD_SLOT_ACCEPTING)
			listener_start(&g->listener);
		else
			listener_stop(&g->listener);
	}
}

void
service_retire(bool sweep)
{
	struct service_listener *g;

	if (!service.serving)
		return;
	service.serving = false;
	for (unsigned i = 0; i < service.listener_count; i++) {
		g = &service.listeners[i];
		listener_stop(&g->listener);
		/* Nobody else will: what the kernel has queued would be reset. */
		if (sweep && service_listener_is_own(g) && !service_listener_is_taken_over(g))
			listener_sweep(&g->listener, SOCK_BACKLOG);
	}
	pools_retire();
	service_set_state(BOARD_SLOT_ABSENT);
}

unsigned
service_sessions(void)
{
	return session_count();
}

void
service_when_empty(void (*empty)(void))
{
	if (session_count() == 0)
		empty();
	else
		service.empty = empty;
}

void
service_close_sessions(void)
{
	pools_hold();
	session_cut_off_all(SESSION_SHUTDOWN);
}

void
service_stop(void)
{
	for (unsigned i = 0; i < service.listener_count; i++)
		listener_stop(&service.listeners[i].listener);
	service.empty = NULL;
	surveys_stop();
	closings_stop();
	moves_stop();
	session_stop();
	pools_stop();
	relay_stop();
	handshakes_stop();
	for (unsigned i = 0; server_at(service.params.conf, i) != NULL; i++)
		slab_finish(&service.slabs[i]);
	upstreams_stop(service.params.conf);
	free(service.listeners);
	free(service.slabs);
	memset(&service, 0, sizeof service);
}

/* ----------------------------------------------------------------- listeners */

static struct service_listener *
service_listener_of(struct listener *l)
{
	return container_of(l, struct service_listener, listener);
}

static bool
service_listener_is_own(const struct service_listener *g)
{
	return g->shared || g->slot == service.params.slot;
}

/* One listener for each slot's socket, or a single one where all share it. */
static bool
service_add_listeners(struct server *s, unsigned listen)
{
	unsigned                 sockets = service.params.sockets;
	struct service_listener *g;
	bool                     shared = false;
	int                      fd;

	for (unsigned slot = 0; slot < sockets && !shared; slot++) {
		fd = service.params.listen_fd(s->listens[listen].spec.name, slot, &shared);
		if (fd < 0 && slot == service.params.slot) {
			log_alert("no socket for %s, slot %u", s->listens[listen].spec.name, slot);
			errno = ENOENT;
			return false;
		}
		if (fd < 0)
			continue;
		g = &service.listeners[service.listener_count++];
		g->server = s;
		g->board = s->listens[listen].board;
		g->cell = board_cell(g->board, service.params.seat);
		g->slot = slot;
		g->shared = shared;
		listener_init(&g->listener, fd, shared || slot != service.params.slot,
		    &service_listener_ops);
		atomic_store(&board_shared(g->board)[LISTENER_GENERATION],
		    service.params.generation);
	}
	return true;
}

static bool
service_accepted(struct listener *l, int fd, const struct addr *from)
{
	struct service_listener *g = service_listener_of(l);
	struct server           *s = g->server;

	board_add(&g->cell[LISTENER_ACCEPTED], 1);
	if (s->max_connections == 0)
		board_add(&s->cell[SERVER_SESSIONS], 1);
	else if (!board_take(s->board, SERVER_SESSIONS, service.params.seat, s->max_connections)) {
		board_add(&s->cell[SERVER_REFUSED_MAX_CONNECTIONS], 1);
		if (loop_complain(&s->complained))
			log_warn("server %s: max_connections = %llu are open: clients are sent "
				 "away; raise it, or lower idle_timeout",
			    s->name, (unsigned long long)s->max_connections);
		return false;
	}
	/* With nothing between the two: a worker that dies here counts both, or neither. So
	 * accepted is the sum of all ends and what is open, whenever a worker dies; but for
	 * what it was about to send to another. */
	board_add(&s->cell[SERVER_ACCEPTED], 1);
	if (session_open(s, fd, from))
		return true;
	board_give(s->board, SERVER_SESSIONS, service.params.seat);
	board_add(&s->cell[SERVER_END + SESSION_NO_MEMORY], 1);
	if (loop_complain(&service.no_memory))
		log_error("server %s: no memory for a session: clients are sent away; lower "
			  "worker_connections, or what other programs use here",
		    s->name);
	return false;
}

static bool
service_may_accept(struct listener *l)
{
	if (!service.held && session_count() < service.params.worker_connections)
		return true;
	if (!service.paused && service.held) {
		service.paused = true;
		service_set_state(BOARD_SLOT_PAUSED);
	} else if (!service.paused) {
		service.paused = true;
		board_add(&service_listener_of(l)->server->cell[SERVER_PAUSED], 1);
		if (loop_complain(&service.full))
			log_warn("worker_connections = %llu are open: clients wait, or go to "
				 "other workers; raise it, or workers",
			    (unsigned long long)service.params.worker_connections);
		service_set_state(BOARD_SLOT_PAUSED);
	}
	return false;
}

static void
service_starved(struct listener *l, int error)
{
	board_add(&service_listener_of(l)->server->cell[SERVER_STARVED], 1);
	if (!loop_complain(&service.starved))
		return;
	log_error("accept: %s: accepting pauses for %u ms; %s", strerror(error), LISTENER_PAUSE,
	    error == EMFILE	  ? "raise worker_rlimit_nofile or lower worker_connections"
		: error == ENFILE ? "raise fs.file-max"
				  : "the machine is short of memory");
}

static void
service_session_ending(const struct weir_session *s)
{
	board_give(s->server->board, SERVER_SESSIONS, service.params.seat);
	board_add(&s->server->cell[SERVER_END + s->reason], 1);
}

void
service_hold(bool held)
{
	if (service.held == held)
		return;
	service.held = held;
	service_go_on();
}

/* A little below the limit, so as not to come and go with each client. */
static void
service_go_on(void)
{
	uint64_t limit = service.params.worker_connections;

	if (!service.serving || !service.paused || service.held ||
	    session_count() >= limit - limit / 16)
		return;
	service.paused = false;
	service_set_state(BOARD_SLOT_ACCEPTING);
	for (unsigned i = 0; i < service.listener_count; i++)
		listener_resume(&service.listeners[i].listener);
}

static void
service_session_ended(void)
{
	service_go_on();
	move_review();
	if (service.empty != NULL && session_count() == 0) {
		void (*empty)(void) = service.empty;

		service.empty = NULL;
		empty();
	}
}

/* Tells the others, unless a newer generation serves the slot by now. */
static void
service_set_state(enum board_slot_state state)
{
	uint32_t generation;

	board_slot_get(service.params.slot, &generation);
	if (generation != service.params.generation)
		return;
	board_slot_set(service.params.slot, generation, state);
	service.params.announce();
}

/* Whether a newer generation accepts at this address. */
static bool
service_listener_is_taken_over(const struct service_listener *g)
{
	return atomic_load(&board_shared(g->board)[LISTENER_GENERATION]) !=
	    service.params.generation;
}

/* Numbers no other worker of this generation has: from a word that all share. */
static uint32_t
service_take_ids(void)
{
	struct server *first = server_at(service.params.conf, 0);

	return (uint32_t)atomic_fetch_add(&board_shared(first->board)[SERVER_NEXT_ID],
		   SESSION_ID_BLOCK) +
	    1;
}
