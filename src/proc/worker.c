/* SPDX-License-Identifier: BSD-2-Clause */
/* worker: a process that serves traffic, cloned from a template. */
#include "proc/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/tls.h"
#include "proc/clone.h"
#include "proc/fdtable.h"
#include "proc/handover.h"
#include "proc/message.h"
#include "proc/rebalance.h"
#include "proc/settings.h"
#include "proc/template.h"
#include "proc/watchdog.h"
#include "session/move.h"
#include "session/server.h"
#include "session/service.h"
#include "session/session.h"
#include "session/survey.h"
#include "upstream/board.h"
#include "upstream/upstream.h"

#define WORKER_STOP_TIMEOUT   1000u	/* ms that closing everything may take */
#define WORKER_SCRATCH_MIN   65536u
#define WORKER_BEAT          10000u	/* ms, when nobody watches for it */

static struct {
	struct template  *template;
	unsigned          slot;
	unsigned          seat;
	bool              review;	/* slots have changed, it was told */
	bool              retiring;
	bool              stopping;
	struct loop_timer beat;
	struct loop_timer end;		/* worker_shutdown_timeout, or that of a stop */
	uint64_t          ends_at;	/* ms: when the former is over; 0: never */
} worker;

static void worker_take_tickets(const struct message *);
static void worker_limit_descriptors(void);
static void worker_choose_processor(void);
static void worker_open_loop(void);
static void worker_start_servers(void);
static int  worker_listen_fd(const char *name, unsigned slot, bool *shared);
static void worker_announce(void);
static void worker_tell_pools(enum share_word, int peer, unsigned slot);
static void worker_took_mail(struct message *);
static void worker_look_for_sessions(struct message *);
static void worker_signalled(int);
static void worker_beat(void *);
static void worker_retire(void);
static void worker_hasten(uint64_t ms);
static void worker_end_if_over(void);
static void worker_close_all(void *);
static void worker_stop(void);
static void worker_give_up(void *);

_Noreturn void
worker_run(struct template *t, unsigned slot, unsigned seat)
{
	char role[32];
	int  status;

	worker.template = t;
	worker.slot = slot;
	worker.seat = seat;
	snprintf(role, sizeof role, "worker %u", slot);
	clone_begin(t, slot, seat, role);
	worker_limit_descriptors();
	worker_choose_processor();
	clone_become_user();
	worker_open_loop();
	worker_start_servers();
	clone_tell_master(MESSAGE_READY, "");
	status = loop_run();
	if (status < 0)
		log_alert("waiting for events: %s", strerror(errno));
	handover_stop();
	service_stop();
	tls_stop();
	loop_close();
	conf_free(t->conf);
	tls_free_all();
	fdtable_close_all(&t->fds);
	exit(status < 0 ? 1 : 0);
}

static void
worker_take_tickets(const struct message *m)
{
	struct tls_ticket_keys keys;

	if (m->size == sizeof keys) {
		memcpy(&keys, m->data, sizeof keys);
		tls_ticket_keys_set(&keys);
		explicit_bzero(&keys, sizeof keys);
	}
	message_wipe(m);
}

static void
worker_limit_descriptors(void)
{
	const struct settings *s = worker.template->settings;
	struct rlimit          limit;

	if (s->nofile == WEIR_AUTOMATIC || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;		/* the template has raised it as far as is needed */
	if (s->nofile < limit.rlim_cur) {
		limit.rlim_cur = s->nofile;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The slot's own processor, of those that weir may use. */
static void
worker_choose_processor(void)
{
	unsigned  skip = worker.slot % settings_processors();
	cpu_set_t all, one;

	if (!worker.template->settings->affinity || sched_getaffinity(0, sizeof all, &all) < 0)
		return;
	CPU_ZERO(&one);
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		if (skip-- == 0) {
			CPU_SET(i, &one);
			break;
		}
	}
	if (sched_setaffinity(0, sizeof one, &one) < 0)
		log_warn("worker_cpu_affinity: %s", strerror(errno));
}

static void
worker_open_loop(void)
{
	const struct server *s;
	size_t               scratch = WORKER_SCRATCH_MIN;

	for (unsigned i = 0; (s = server_at(worker.template->conf, i)) != NULL; i++)
		if (s->read_buffer > scratch)
			scratch = s->read_buffer;
	if (loop_open(scratch, conn_fired) < 0)
		clone_fail("event loop: %s", strerror(errno));
	conn_start();
	dial_init(worker.template->settings->handshakes);
	if (tls_start() < 0)
		clone_fail("TLS: %s", strerror(errno));
	if (worker.template->settings->ticket_keys != NULL)
		tls_ticket_keys_set(worker.template->settings->ticket_keys);
	loop_timer_init(&worker.end, worker_close_all, NULL);
	loop_timer_init(&worker.beat, worker_beat, NULL);
	clone_listen(worker_took_mail, worker_signalled);
}

static void
worker_start_servers(void)
{
	const struct template *t = worker.template;
	struct service_params  params = {
		.conf = t->conf,
		.slot = worker.slot,
		.slots = (unsigned)t->settings->workers,
		.seat = worker.seat,
		.generation = t->job->generation,
		.worker_connections = t->settings->connections,
		.worker_handshakes = t->settings->handshakes,
		.worker_preread = t->settings->preread,
		.listen_fd = worker_listen_fd,
		.sockets = t->sockets,
		.announce = worker_announce,
		.tell = worker_tell_pools,
		.moves = handover_start(worker.template, worker.slot, worker.seat,
		    worker_end_if_over),
	};

	if (service_start(&params) < 0)
		clone_fail("starting the servers: %s", strerror(errno));
	worker_beat(NULL);
}

static int
worker_listen_fd(const char *name, unsigned slot, bool *shared)
{
	const struct fdtable *fds = &worker.template->fds;
	int                   fd = fdtable_find(fds, FD_LISTEN, name, FD_SHARED);

	*shared = fd >= 0;
	return fd >= 0 ? fd : fdtable_find(fds, FD_LISTEN, name, slot);
}

/* A full mailbox holds a REVIEW that has not been read yet. */
static void
worker_announce(void)
{
	const struct message m = { .kind = MESSAGE_REVIEW };

	clone_tell_workers(&m);
}

/* What does not fit is no loss: pools look for themselves, too. */
static void
worker_tell_pools(enum share_word word, int peer, unsigned slot)
{
	const struct message m = { .kind = word == SHARE_WANTED ? MESSAGE_LINK_WANTED
							       : MESSAGE_LINK_FREED,
		.a = (uint32_t)peer,
		.b = slot };

	if (word == SHARE_FREED)
		clone_tell_slot(slot, &m);
	else
		clone_tell_workers(&m);
}

/* NULL: that was all of it. */
static void
worker_took_mail(struct message *m)
{
	if (m == NULL) {
		if (worker.review && !worker.retiring)
			service_review();
		worker.review = false;	/* once, however many have said so */
		return;
	}
	switch (m->kind) {
	case MESSAGE_GO:
		if (!worker.retiring) {
			service_accept();
			handover_open();
		}
		break;
	case MESSAGE_HEIRS:
		handover_take_heirs(m);
		break;
	case MESSAGE_SURVEY:
		worker_look_for_sessions(m);
		break;
	case MESSAGE_ARRIVALS:
		handover_take_arrivals(m);
		break;
	case MESSAGE_RETIRE:
		worker_retire();
		break;
	case MESSAGE_HASTEN:
		worker_hasten(m->a);
		break;
	case MESSAGE_STOP:
		worker_stop();
		break;
	case MESSAGE_REVIEW:
		worker.review = true;
		break;
	case MESSAGE_CLAIM:
		if (!worker.retiring)
			service_claim();
		break;
	case MESSAGE_LINK_WANTED:
	case MESSAGE_LINK_FREED:
		pool_heard(m->kind == MESSAGE_LINK_WANTED ? SHARE_WANTED : SHARE_FREED, (int)m->a,
		    m->b);
		break;
	case MESSAGE_PEERS:
		upstreams_follow(worker.template->conf);
		break;
	case MESSAGE_TICKETS:
		worker_take_tickets(m);
		break;
	case MESSAGE_LOG:
		clone_take_log(m);
		break;
	default:
		log_alert("message %u makes no sense to a worker", m->kind);
		message_discard(m);
		break;
	}
}

/* Part of what the master was asked, for the sessions that are here. */
static void
worker_look_for_sessions(struct message *m)
{
	static struct survey_query query;

	if (m->size != sizeof query || m->fd_count != 1) {
		log_alert("a search for sessions makes no sense");
		message_discard(m);
		return;
	}
	memcpy(&query, m->data, sizeof query);
	survey_begin(&query, m->fds[0]);
}

static void
worker_signalled(int signal)
{
	if (signal == SIGQUIT) {
		/* Another one takes the slot, and what is sent to it. */
		handover_yield();
		worker_retire();
	} else {
		worker_stop();
	}
}

/* A timer rather than a word at the end of each pass, which would cost each of them a
 * store: as long as passes are made, due timers fire. The master's clock, not the
 * pass's, which is older by what the pass has done so far. */
static void
worker_beat(void *argument)
{
	const struct settings *s = worker.template->settings;
	uint64_t               next;
	struct board_beat      beat = {
		.at = clock_ns() / 1000000,
		.oldest = session_oldest(),
		.sessions = service_sessions(),
		.room = handover_room(),
	};

	(void)argument;
	next = s->watchdog > 0 ? watchdog_interval(s->watchdog) : WORKER_BEAT;
	upstreams_follow(worker.template->conf);
	board_beat_write(worker.seat, beat);
	if (((s->rebalance && s->workers > 1) || beat.room < HANDOVER_LOW) && next > REBALANCE_TICK)
		next = REBALANCE_TICK;
	handover_rebalance(beat.at, beat.sessions);
	loop_timer_start(&worker.beat, next);
}

static void
worker_retire(void)
{
	uint64_t timeout = worker.template->settings->shutdown_timeout;

	if (worker.retiring)
		return;
	worker.retiring = true;
	service_retire(!worker.stopping);
	/* So that an address that is no longer served is free. */
	fdtable_close_kind(&worker.template->fds, FD_LISTEN);
	if (!worker.stopping) {
		handover_retire();
		if (timeout > 0)
			worker_hasten(timeout);
	}
	worker_end_if_over();
}

/* So much time is left, unless it is less already. */
static void
worker_hasten(uint64_t ms)
{
	uint64_t end = loop_now() + ms;

	if (!worker.retiring || worker.stopping || (worker.ends_at != 0 && worker.ends_at <= end))
		return;
	worker.ends_at = end;
	loop_timer_start(&worker.end, ms);
	move_drain(ms);
}

/* Sessions may come as long as somebody can send them. */
static void
worker_end_if_over(void)
{
	if (!worker.retiring)
		return;
	if (service_sessions() > 0)
		service_when_empty(worker_end_if_over);
	else if (worker.stopping || handover_is_over())
		loop_stop();
}

static void
worker_close_all(void *argument)
{
	(void)argument;
	log_notice("worker_shutdown_timeout: closing %u sessions", service_sessions());
	worker_stop();
}

static void
worker_stop(void)
{
	worker.stopping = true;
	handover_close();
	worker_retire();
	service_close_sessions();
	worker_end_if_over();
	loop_timer_stop(&worker.end);
	loop_timer_init(&worker.end, worker_give_up, NULL);
	loop_timer_start(&worker.end, WORKER_STOP_TIMEOUT);
}

static void
worker_give_up(void *argument)
{
	(void)argument;
	loop_stop();
}
