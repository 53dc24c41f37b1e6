/* SPDX-License-Identifier: BSD-2-Clause */
/* checker: active health checks: the keeper connects to each peer from time to time. */
#include "upstream/checker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/tls.h"
#include "upstream/duty.h"
#include "upstream/health.h"
#include "upstream/member.h"
#include "upstream/peer_tls.h"
#include "upstream/source.h"
#include "upstream/upstream.h"

/* Own traffic finds a peer failing: that is seen within a tick. */
#define TICK_LEAST 10u	/* ms */
#define TICK_MOST  100u

/* For what a TLS server gives behind its handshake: a ticket, by which the next check resumes. */
#define LINGER 100u	/* ms */

struct target {
	struct weir_peer peer;		/* a copy: its address has the port that is checked */
	struct weir_peer *of;		/* what it is a copy of */
	struct conn      conn;		/* and the timer, between checks too */
	struct dial      dial;
	struct node      waiting;	/* for a place */
	uint64_t         began;		/* ms: the last one */
	size_t           received;	/* bytes of a reply */
	bool             running;
	bool             lingers;	/* it is good, and waits for a session to resume */
	bool             failing;	/* own traffic has found it so, as was seen last */
	bool             again;		/* at once, when this one is over */
};

static bool checker_wanted(const struct conf *);
static int  checker_start(const struct duty_keeper *);
static void checker_stop(void);
static void checker_add(struct weir_upstream *, struct weir_peer *);
static void checker_fill(struct target *);
static void checker_follow(void);
static void checker_exchange(struct target *);
static void checker_tick(void *);
static void checker_look(struct target *);
static void target_ready(struct conn *);
static void target_expired(struct conn *);
static void target_begin(struct target *);
static void target_connected(struct target *);
static void target_linger(struct target *);
static void target_await_session(struct target *);
static void target_read(struct target *);
static bool target_finds(struct target *, struct weir_span in, size_t *used);
static void target_overdue(struct target *);
static void target_failed(struct target *);
static void target_end(struct target *, enum health_result, int error, const char *why);
static void target_schedule(struct target *);
static int  target_dial(struct dial *);
static struct dial_tls *target_dial_tls(struct dial *);
static ssize_t target_dial_preface(struct dial *, char out[PROXY_HEADER_OUT_MAX]);
static bool target_is_ours(int error);

const struct duty checker_duty = {
	.name   = "health checks",
	.wanted = checker_wanted,
	.start  = checker_start,
	.stop   = checker_stop,
};

static const struct conn_handler target_handler = {
	.ready   = target_ready,
	.expired = target_expired,
};

static const struct dial_ops target_dial_ops = {
	.connect = target_dial,
	.tls     = target_dial_tls,
	.preface = target_dial_preface,
};

static struct {
	struct duty_keeper keeper;
	struct target     *targets;
	unsigned           count;
	unsigned           running;
	struct node        waiting;	/* the longest first */
	struct loop_timer  tick;
	uint64_t           pause;	/* ms: between ticks */
	uint64_t           drawn;	/* the last number drawn at random */
	uint64_t           complained;	/* of loop_complain */
} checker;

/* ------------------------------------------------------------------- the duty */

static bool
checker_wanted(const struct conf *conf)
{
	const struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		if (u->health.on)
			return true;
	return false;
}

static int
checker_start(const struct duty_keeper *keeper)
{
	struct weir_upstream *u;
	unsigned              count = 0;

	memset(&checker, 0, sizeof checker);
	checker.keeper = *keeper;
	checker.pause = TICK_MOST;
	checker.drawn = clock_ns() | 1;
	list_init(&checker.waiting);
	for (unsigned i = 0; (u = upstream_at(keeper->conf, i)) != NULL; i++)
		count += u->health.on ? u->peer_count : 0;
	checker.targets = calloc(count + 1, sizeof *checker.targets);
	if (checker.targets == NULL)
		return -1;
	for (unsigned i = 0; (u = upstream_at(keeper->conf, i)) != NULL; i++) {
		u->shared = board_shared(u->board);
		u->seat = keeper->seat;
		for (unsigned k = 0; u->health.on && k < u->peer_count; k++)
			checker_add(u, &u->peers[k]);
	}
	checker_follow();
	loop_timer_init(&checker.tick, checker_tick, NULL);
	loop_timer_start(&checker.tick, checker.pause);
	return 0;
}

static void
checker_stop(void)
{
	struct weir_upstream *u;

	loop_timer_stop(&checker.tick);
	for (unsigned i = 0; i < checker.count; i++) {
		dial_cancel(&checker.targets[i].dial);
		conn_close(&checker.targets[i].conn);
	}
	for (unsigned i = 0; (u = upstream_at(checker.keeper.conf, i)) != NULL; i++)
		peer_tls_stop(u);
	free(checker.targets);
	memset(&checker, 0, sizeof checker);
}

static void
checker_add(struct weir_upstream *u, struct weir_peer *peer)
{
	struct target             *t = &checker.targets[checker.count++];
	const struct health_check *check = &u->health;

	t->of = peer;
	t->peer.board = -1;
	t->conn.handler = &target_handler;
	if (checker.pause > check->interval / 4)
		checker.pause = check->interval / 4 > TICK_LEAST ? check->interval / 4 : TICK_LEAST;
	if (peer->index >= u->fixed)
		member_vacate(peer);	/* checker_follow */
	else
		checker_fill(t);
}

static void
checker_fill(struct target *t)
{
	struct weir_peer          *peer = t->of;
	const struct health_check *check = &peer->upstream->health;
	int                        error;

	t->peer = *peer;
	t->peer.shared = board_shared(peer->board);
	t->peer.cell = board_cell(peer->board, checker.keeper.seat);
	if (check->port != 0)
		addr_set_port(&t->peer.addr, (uint16_t)check->port);
	t->failing = peer_is_failing(&t->peer);
	(void)health_noted(atomic_load(&t->peer.shared[PEER_CHECKED]), &error, &t->began);
	target_schedule(t);
}

/* Members have come and gone: the places that they had are others' now, or nobody's. */
static void
checker_follow(void)
{
	struct weir_upstream *u;

	for (unsigned i = 0; (u = upstream_at(checker.keeper.conf, i)) != NULL; i++)
		if (u->health.on)
			member_follow(u, loop_now());
	for (unsigned i = 0; i < checker.count; i++)
		if (checker.targets[i].peer.board != checker.targets[i].of->board)
			checker_exchange(&checker.targets[i]);
}

static void
checker_exchange(struct target *t)
{
	struct weir_peer *of = t->of;

	if (t->running) {
		dial_cancel(&t->dial);
		checker.running--;
	}
	conn_close(&t->conn);
	if (node_linked(&t->waiting))
		node_unlink(&t->waiting);
	memset(t, 0, sizeof *t);
	t->of = of;
	t->peer.board = -1;
	t->conn.handler = &target_handler;
	if (of->board >= 0)
		checker_fill(t);
}

static uint32_t
checker_draw(void)
{
	checker.drawn ^= checker.drawn << 13;
	checker.drawn ^= checker.drawn >> 7;
	checker.drawn ^= checker.drawn << 17;
	return (uint32_t)(checker.drawn >> 20);
}

static void
checker_tick(void *argument)
{
	(void)argument;
	checker_follow();
	for (unsigned i = 0; i < checker.count; i++)
		if (checker.targets[i].peer.board >= 0)
			checker_look(&checker.targets[i]);
	loop_timer_start(&checker.tick, checker.pause);
}

/* What traffic has found is checked at once. */
static void
checker_look(struct target *t)
{
	bool failing = peer_is_failing(&t->peer);

	if (failing && !t->failing && checker.keeper.acts()) {
		peer_doubt(&t->peer);
		t->again = t->running;
		if (!t->running && !node_linked(&t->waiting))
			conn_arm(&t->conn, loop_now());
	}
	t->failing = failing;
}

/* ------------------------------------------------------------------- one check */

static void
target_schedule(struct target *t)
{
	const struct health_check *check = &t->peer.upstream->health;
	uint64_t                   now = loop_now();

	if (t->again)
		conn_arm(&t->conn, now);
	else
		conn_arm(&t->conn, health_due(check, t->began, now, checker_draw(), checker.count));
	t->again = false;
}

static void
target_expired(struct conn *c)
{
	struct target *t = container_of(c, struct target, conn);

	if (t->lingers)
		target_end(t, HEALTH_GOOD, 0, NULL);
	else if (t->running)
		target_overdue(t);
	else if (checker.running >= CHECKER_MOST)
		list_append(&checker.waiting, &t->waiting);
	else
		target_begin(t);
}

static void
target_begin(struct target *t)
{
	uint64_t timeout = t->peer.upstream->health.timeout;

	t->began = loop_now();
	/* What an operator has taken out is not disturbed. */
	if (!checker.keeper.acts() || peer_is_withdrawn(&t->peer)) {
		target_schedule(t);
		return;
	}
	t->running = true;
	t->received = 0;
	checker.running++;
	if (dial_start(&t->dial, &t->conn, &target_handler, &target_dial_ops, &t->peer.addr,
		timeout) == DIAL_FAILED) {
		target_failed(t);
		return;
	}
	conn_arm(&t->conn, t->began + timeout);
}

static int
target_dial(struct dial *d)
{
	const struct weir_peer *peer = &container_of(d, struct target, dial)->peer;

	return source_connect(peer->upstream, peer);
}

static struct dial_tls *
target_dial_tls(struct dial *d)
{
	return container_of(d, struct target, dial)->peer.tls;
}

/* One that speaks for nobody but us: LOCAL, UNKNOWN. */
static ssize_t
target_dial_preface(struct dial *d, char out[PROXY_HEADER_OUT_MAX])
{
	static const struct proxy_header_facts ours;
	const struct target                   *t = container_of(d, struct target, dial);
	enum proxy_version                     version = t->peer.upstream->send_proxy;

	return version == PROXY_OFF ? 0 : (ssize_t)proxy_header_write(version, &ours, out);
}

static void
target_ready(struct conn *c)
{
	struct target *t = container_of(c, struct target, conn);

	if (!t->running)
		return;
	if (t->dial.state == DIAL_GOING && dial_check(&t->dial) == DIAL_DONE)
		target_connected(t);
	else if (t->lingers)
		target_await_session(t);
	else if (t->dial.state == DIAL_DONE)
		target_read(t);
	else if (t->dial.state == DIAL_FAILED)
		target_failed(t);
}

static void
target_connected(struct target *t)
{
	const struct health_check *check = &t->peer.upstream->health;
	char                       header[PROXY_HEADER_OUT_MAX];
	ssize_t                    n = 0;
	bool                       sent = true;

	if (t->peer.tls == NULL && (n = target_dial_preface(&t->dial, header)) > 0)
		sent = conn_gather(&t->conn, span_make(header, (size_t)n));
	if (sent && check->send.len > 0)
		sent = conn_gather(&t->conn, check->send);
	if (sent && (n > 0 || check->send.len > 0))
		(void)conn_flush(&t->conn);	/* when it cannot be, reading says why */
	if (!sent)
		target_end(t, HEALTH_NONE, ENOMEM, NULL);
	else if (check->send.len > 0 || check->expect.len > 0)
		target_read(t);
	else if (t->peer.tls == NULL || tls_session_came(&t->conn))
		target_end(t, HEALTH_GOOD, 0, NULL);
	else
		target_linger(t);
}

/* In TLS 1.3 the server gives a session only when the handshake is over, or says then that it
 * does not like our certificate. */
static void
target_linger(struct target *t)
{
	uint64_t end = t->began + t->peer.upstream->health.timeout;

	t->lingers = true;
	conn_arm(&t->conn, end < loop_now() + LINGER ? end : loop_now() + LINGER);
	target_await_session(t);
}

static void
target_await_session(struct target *t)
{
	struct conn *c = &t->conn;

	if (c->readable)
		(void)conn_read(c, loop_scratch(), HEALTH_REPLY_MAX);
	if (c->broken && tls_advice(c) != NULL)
		target_end(t, HEALTH_INSECURE, 0, conn_explain(c));
	else if (tls_session_came(c) || c->eof || c->broken)
		target_end(t, HEALTH_GOOD, 0, NULL);
}

static void
target_read(struct target *t)
{
	struct conn     *c = &t->conn;
	struct weir_span in;
	size_t           kept, used;

	if (conn_waiting(c) > 0)
		(void)conn_flush(c);
	while (c->readable && t->received < HEALTH_REPLY_MAX) {
		kept = buf_len(c->in);
		in = conn_take(c, HEALTH_REPLY_MAX);
		if (in.len == 0)
			break;
		t->received += in.len - kept;
		if (target_finds(t, in, &used)) {
			target_end(t, HEALTH_GOOD, 0, NULL);
			return;
		}
		if (!conn_keep(c, in, used)) {
			target_end(t, HEALTH_NONE, ENOMEM, NULL);
			return;
		}
	}
	if (t->received >= HEALTH_REPLY_MAX)
		target_end(t, HEALTH_ENDLESS, 0, NULL);
	else if (c->eof || c->broken)
		target_end(t, HEALTH_CLOSED, c->error, conn_is_plain(c) ? NULL : conn_explain(c));
}

/* *used: bytes in which it does not begin. */
static bool
target_finds(struct target *t, struct weir_span in, size_t *used)
{
	struct weir_span expect = t->peer.upstream->health.expect;

	if (expect.len == 0 || memmem(in.data, in.len, expect.data, expect.len) != NULL)
		return true;
	*used = in.len >= expect.len ? in.len - expect.len + 1 : 0;
	return false;
}

static void
target_overdue(struct target *t)
{
	if (t->dial.state != DIAL_GOING)
		target_end(t, HEALTH_SILENT, 0, NULL);
	else if (dial_check(&t->dial) == DIAL_DONE)
		target_connected(t);
	else if (t->dial.state == DIAL_FAILED)
		target_failed(t);
	else if (dial_awaits_turn(&t->dial))
		target_end(t, HEALTH_NONE, EBUSY, NULL);
	else
		target_end(t, t->dial.secures ? HEALTH_INSECURE : HEALTH_UNREACHED, ETIMEDOUT,
		    t->dial.secures ? "it was not over in time" : NULL);
	/* What has come at the last moment is looked at, and no more is waited for. */
	if (t->running)
		target_end(t, HEALTH_SILENT, 0, NULL);
}

static void
target_failed(struct target *t)
{
	const struct dial *d = &t->dial;

	if (target_is_ours(d->error))
		target_end(t, HEALTH_NONE, d->error, NULL);
	else if (d->secures)
		target_end(t, HEALTH_INSECURE, 0, dial_explain(d));
	else
		target_end(t, HEALTH_UNREACHED, d->error, NULL);
}

/* Whether it speaks of this machine and not of the other end. */
static bool
target_is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	    error == EADDRNOTAVAIL || error == EBUSY;
}

/* why: more than the result says; or NULL. */
static void
target_end(struct target *t, enum health_result result, int error, const char *why)
{
	struct weir_peer *peer = &t->peer;
	struct node      *next;
	char              text[400];

	snprintf(text, sizeof text, "%s%s%s", health_explain(result, error),
	    why != NULL ? ": " : "", why != NULL ? why : "");
	dial_cancel(&t->dial);
	conn_close(&t->conn);
	t->running = t->lingers = false;
	checker.running--;
	if (result == HEALTH_NONE && loop_complain(&checker.complained))
		log_error("health check of peer %s of upstream %s cannot be made: %s", peer->name,
		    peer->upstream->name,
		    error == EBUSY ? "its TLS handshake had no turn in time, because this process "
				     "is too busy: make the checks rarer (interval)"
				   : strerror(error));
	if (result != HEALTH_NONE && checker.keeper.acts())
		peer_checked(peer, result, error, text, loop_now());
	/* What it has just found is no news. */
	t->failing = peer_is_failing(peer);
	target_schedule(t);
	if ((next = list_first(&checker.waiting)) != NULL) {
		node_unlink(next);
		conn_arm(&container_of(next, struct target, waiting)->conn, loop_now());
	}
}
