/* SPDX-License-Identifier: BSD-2-Clause */
/* relay: a session's bytes, both ways, between its client and one peer. */
#include "session/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "session/move.h"
#include "session/parcel.h"
#include "session/preface.h"
#include "session/record.h"
#include "session/server.h"
#include "upstream/peer_handshake.h"
#include "upstream/roster.h"
#include "upstream/source.h"
#include "upstream/token.h"

static struct {
	struct slab       slab;
	struct slab       openings;
	struct node       unsettled;	/* openings that are connected, the oldest first */
	struct loop_timer timer;	/* runs while there are some */
} relays;

static void relay_enter(struct weir_session *);
static void relay_run(struct weir_session *);
static void relay_deadline(const struct weir_session *, struct session_deadline *);
static void relay_expired(struct weir_session *, enum session_reason);
static void relay_leave(struct weir_session *);
static void relay_release(struct weir_session *);
static size_t relay_unsent(const struct weir_session *);
static void relay_describe(const struct weir_session *, char *, size_t);
static const char *relay_explain(const struct weir_session *, enum session_reason);
static const char *relay_bound(const struct weir_session *, const struct move_heir *);
static bool relay_rests(struct weir_session *);
static void relay_pack(const struct weir_session *, struct parcel *);
static bool relay_unpack(struct weir_session *, struct parcel *, struct weir_peer *);
static bool relay_flows(const struct weir_session *);
static bool relay_cut(struct weir_session *);
static void relay_depart(struct weir_session *);
static enum token_holds relay_holds(const struct weir_session *, struct weir_peer **);
static bool relay_empty_pipe(struct flow *, struct conn *to);
static void relay_peer_ready(struct conn *);
static void relay_peer_expired(struct conn *);
static bool relay_connect(struct relay *, enum session_reason *why);
static bool relay_connect_to(struct relay *, struct weir_peer *);
static int relay_dial(struct dial *);
static struct dial_tls *relay_dial_tls(struct dial *);
static bool relay_is_connecting(const struct relay *);
static void relay_connect_failed(struct relay *);
static bool relay_connected(struct relay *);
static ssize_t relay_dial_preface(struct dial *, char out[PROXY_HEADER_OUT_MAX]);
static bool relay_put_preface(struct relay *);
static void relay_gather_first(struct relay *);
static void relay_count_up(struct relay *, size_t);
static void relay_settle_later(struct relay *);
static void relay_settle_all(void *);
static void relay_settle(struct relay *);
static void relay_free_opening(struct relay *);
static void relay_give_token(struct relay *);
static void relay_hold(struct relay *, bool holds);
static void relay_pump(struct relay *, struct flow *, struct conn *from, struct conn *to);
static size_t relay_move(struct relay *, struct flow *, struct conn *from, struct conn *to);
static bool relay_has_room(const struct relay *, const struct flow *, const struct conn *to);
static void relay_note_ends(struct relay *);
static size_t flow_held(const struct flow *);

const struct session_mode relay_mode = {
	.name     = "relay",
	.enter    = relay_enter,
	.run      = relay_run,
	.deadline = relay_deadline,
	.expired  = relay_expired,
	.leave    = relay_leave,
	.release  = relay_release,
	.unsent   = relay_unsent,
	.describe = relay_describe,
	.explain  = relay_explain,
	.bound    = relay_bound,
	.rests    = relay_rests,
	.pack     = relay_pack,
	.unpack   = relay_unpack,
	.flows    = relay_flows,
	.cut      = relay_cut,
	.depart   = relay_depart,
	.holds    = relay_holds,
};

static const struct conn_handler relay_peer_handler = {
	.ready   = relay_peer_ready,
	.expired = relay_peer_expired,
};

static const struct dial_ops relay_dial_ops = {
	.connect = relay_dial,
	.tls     = relay_dial_tls,
	.preface = relay_dial_preface,
};

void
relay_start(void)
{
	slab_init(&relays.slab, sizeof(struct relay));
	slab_init(&relays.openings, sizeof(struct relay_opening));
	list_init(&relays.unsettled);
	loop_timer_init(&relays.timer, relay_settle_all, NULL);
}

void
relay_stop(void)
{
	loop_timer_stop(&relays.timer);
	slab_finish(&relays.openings);
	slab_finish(&relays.slab);
	pipe_trim();
}

bool
relay_open(struct weir_session *s, struct weir_upstream *u, struct weir_span first)
{
	struct relay *r = slab_take(&relays.slab);

	if (r == NULL)
		return false;
	r->session = s;
	r->upstream = u;
	if ((r->opening = slab_take(&relays.openings)) == NULL || !relay_put_preface(r) ||
	    (first.len > 0 && !conn_gather(&r->peer_conn, first))) {
		relay_free_opening(r);
		slab_give(&relays.slab, r);
		return false;
	}
	r->opening->attempt.client = s->from;
	s->relay = r;
	return true;
}

/* ---------------------------------------------------------------- the mode */

static void
relay_enter(struct weir_session *s)
{
	enum session_reason why;

	if (!relay_connect(s->relay, &why)) {
		session_finish(s, why);
		return;
	}
	session_watch(s);
	preread_note(&s->relay->opening->preread, s, buf_memory(s->client.in));
}

static void
relay_run(struct weir_session *s)
{
	struct relay *r = s->relay;
	struct conn  *client = &s->client, *peer = &r->peer_conn;

	if (relay_is_connecting(r)) {
		if (client->broken || client->write_shut) {
			session_close(s, SESSION_CLIENT_FAILED);
			return;
		}
		if (!relay_connected(r))
			return;
	}
	relay_pump(r, &r->up, client, peer);
	relay_pump(r, &r->down, peer, client);
	if (client->broken || client->write_shut) {
		session_close(s, session_failure(client, SESSION_CLIENT_FAILED));
		return;
	}
	if (peer->broken || (peer->write_shut && peer->eof)) {
		if (!r->heard)
			(void)peer_handshake_refused(r->peer, peer, loop_now());
		session_finish(s, session_failure(peer, SESSION_PEER_FAILED));
		return;
	}
	session_note_blocked(s, peer, conn_waiting(peer) + flow_held(&r->up), &r->blocked);
	session_note_blocked(s, client, conn_waiting(client) + flow_held(&r->down), &s->blocked);
	relay_note_ends(r);
}

static void
relay_deadline(const struct weir_session *s, struct session_deadline *d)
{
	const struct relay  *r = s->relay;
	const struct server *server = s->server;

	if (relay_is_connecting(r)) {
		session_deadline_add(d, 0, r->opening->dial.give_up, SESSION_CONNECT_FAILED);
		return;
	}
	if (r->blocked != 0)
		session_deadline_add(d, r->blocked, server->write_timeout, SESSION_WRITE_TIMEOUT);
	/* A download that goes on behind the end of its request is no zombie. */
	if (r->half_closed != 0)
		session_deadline_add(d, r->half_closed > s->active ? r->half_closed : s->active,
		    server->half_close_timeout, SESSION_HALF_CLOSE_TIMEOUT);
}

static void
relay_expired(struct weir_session *s, enum session_reason reason)
{
	struct relay *r = s->relay;

	if (!relay_is_connecting(r))
		session_note_moved(s, &r->peer_conn, &r->blocked);
	else if (reason == SESSION_CONNECT_FAILED)
		session_run(s);
}

static void
relay_leave(struct weir_session *s)
{
	struct relay *r = s->relay;
	struct conn  *client = &s->client, *peer = &r->peer_conn;

	/* What the peer sent before it went is the client's. */
	if (s->step == STEP_FLUSH && r->down.pipe != NULL && !client->broken)
		(void)pipe_spill(r->down.pipe, client);
	if (s->cut || client->broken || client->write_shut ||
	    conn_waiting(peer) + flow_held(&r->up) > 0 ||
	    (peer->finished && !peer->eof))
		conn_abort(peer);
	pipe_return(&r->up.pipe);
	pipe_return(&r->down.pipe);
	if (relay_is_connecting(r) && r->holds)
		peer_unreported(r->peer, &r->opening->attempt);
	relay_free_opening(r);
	conn_close(peer);
	relay_give_token(r);
}

static void
relay_release(struct weir_session *s)
{
	slab_give(&relays.slab, s->relay);
}

static size_t
relay_unsent(const struct weir_session *s)
{
	return flow_held(&s->relay->down);
}

static void
relay_describe(const struct weir_session *s, char *out, size_t size)
{
	const struct relay *r = s->relay;

	snprintf(out, size, ", upstream %s%s%s", r->upstream->name,
	    r->peer != NULL ? ", peer " : "", r->peer != NULL ? r->peer->name : "");
}

static const char *
relay_explain(const struct weir_session *s, enum session_reason reason)
{
	return reason == SESSION_PEER_FAILED ? conn_explain(&s->relay->peer_conn) : NULL;
}

static void
relay_peer_ready(struct conn *c)
{
	session_run(container_of(c, struct relay, peer_conn)->session);
}

/* The session's one timer serves the relay, too. */
static void
relay_peer_expired(struct conn *c)
{
	(void)c;
}

/* ---------------------------------------------------------------- connecting */

static bool
relay_connect(struct relay *r, enum session_reason *why)
{
	struct weir_attempt *a = &r->opening->attempt;
	struct weir_peer    *peer;

	*why = a->tried > 0 ? SESSION_CONNECT_FAILED : SESSION_NO_PEER;
	a->now = loop_now();
	while (a->tried <= r->upstream->retries) {
		peer = upstream_choose(r->upstream, a);
		if (peer == NULL)
			return false;
		if (relay_connect_to(r, peer))
			return true;
		*why = SESSION_CONNECT_FAILED;
	}
	return false;
}

/* The client's bytes stay in its socket (and what the protocol sent first in
 * peer_conn.out) until a peer has been reached, so the next one can be tried. */
static bool
relay_connect_to(struct relay *r, struct weir_peer *peer)
{
	struct dial *d = &r->opening->dial;

	r->peer = peer;
	relay_hold(r, true);
	r->opening->started = peer_clock(peer);
	if (dial_start(d, &r->peer_conn, &relay_peer_handler, &relay_dial_ops, &peer->addr,
		r->upstream->connect_timeout) == DIAL_GOING)
		return true;
	if (peer_refused(peer, d->error, loop_now()))
		peer_done(peer, WEIR_REQUEST_FAILED, r->opening->started);
	else
		peer_unreported(peer, &r->opening->attempt);
	relay_give_token(r);
	return false;
}

static int
relay_dial(struct dial *d)
{
	struct relay *r = container_of(d->conn, struct relay, peer_conn);

	return source_connect(r->upstream, r->peer);
}

static struct dial_tls *
relay_dial_tls(struct dial *d)
{
	return container_of(d->conn, struct relay, peer_conn)->peer->tls;
}

/* FAILED: in a retry of the dial's own, which relay_connected is about to hear of. */
static bool
relay_is_connecting(const struct relay *r)
{
	return r->opening != NULL &&
	    (r->opening->dial.state == DIAL_GOING || r->opening->dial.state == DIAL_FAILED);
}

static void
relay_connect_failed(struct relay *r)
{
	struct relay_opening *o = r->opening;
	enum session_reason   why;
	bool                  blamed = true;

	if (o->dial.secures)
		blamed = peer_handshake_failed(r->peer, &o->dial, loop_now());
	else if (o->dial.error == ETIMEDOUT) {
		log_info("connect: %s", strerror(ETIMEDOUT));
		peer_report(r->peer, PEER_TIMED_OUT, ETIMEDOUT, loop_now());
	} else
		blamed = peer_refused(r->peer, o->dial.error, loop_now());
	if (blamed)
		peer_done(r->peer, WEIR_REQUEST_FAILED, o->started);
	else
		peer_unreported(r->peer, &o->attempt);
	relay_give_token(r);
	if (!relay_connect(r, &why)) {
		/* Of the last attempt. */
		if (why == SESSION_CONNECT_FAILED && o->dial.secures && o->dial.error == EBUSY)
			why = SESSION_HANDSHAKE_OVERLOAD;
		session_finish(r->session, why);
	} else
		session_watch(r->session);
}

static void
relay_give_token(struct relay *r)
{
	if (!r->holds)
		return;
	peer_release(r->peer);
	roster_give(r->peer);
	relay_hold(r, false);
}

/* Whether it counts at the peer, and is one that the balancer knows of. */
static void
relay_hold(struct relay *r, bool holds)
{
	if (holds && !r->holds)
		peer_begin(r->peer);
	else if (!holds && r->holds)
		peer_end(r->peer);
	r->holds = holds;
}

static bool
relay_connected(struct relay *r)
{
	enum dial_state state = dial_check(&r->opening->dial);

	if (state == DIAL_DONE) {
		preread_leave(&r->opening->preread);
		peer_report(r->peer, PEER_CONNECTED, 0, loop_now());
		peer_done(r->peer, WEIR_REQUEST_ANSWERED, r->opening->started);
		peer_handshake_done(r->peer, &r->opening->dial);
		relay_gather_first(r);
		/* Behind a handshake there is a second time. */
		if (conn_is_plain(&r->peer_conn))
			relay_settle_later(r);
		else
			relay_settle(r);
	} else if (state == DIAL_FAILED)
		relay_connect_failed(r);
	else if (r->opening->dial.secures)
		session_watch(r->session);	/* it has a time of its own */
	return state == DIAL_DONE;
}

static ssize_t
relay_dial_preface(struct dial *d, char out[PROXY_HEADER_OUT_MAX])
{
	const struct relay *r = container_of(d->conn, struct relay, peer_conn);

	if (r->upstream->send_proxy == PROXY_OFF)
		return 0;
	return (ssize_t)preface_write(r->session, r->upstream->send_proxy, out);
}

/* False: memory is short. What goes before TLS is not for the conn: relay_dial_preface. */
static bool
relay_put_preface(struct relay *r)
{
	char   header[PROXY_HEADER_OUT_MAX];
	size_t n;

	if (r->upstream->send_proxy == PROXY_OFF || r->upstream->tls_name != NULL)
		return true;
	n = preface_write(r->session, r->upstream->send_proxy, header);
	return conn_gather(&r->peer_conn, span_make(header, n));
}

/* What goes before the client's bytes leaves in one write with the first of them. */
static void
relay_gather_first(struct relay *r)
{
	const struct server *server = r->session->server;
	struct conn         *client = &r->session->client;
	uint64_t             waiting = conn_waiting(&r->peer_conn), most = server->read_buffer;
	size_t               n;

	if (waiting == 0 || waiting >= server->write_buffer || !conn_may_read(client))
		return;
	if (most > server->write_buffer - waiting)
		most = server->write_buffer - waiting;
	if ((n = conn_read(client, loop_scratch(), most)) == 0)
		return;
	relay_count_up(r, n);
	(void)conn_gather(&r->peer_conn, span_make(loop_scratch(), n));
}

/* A short session costs no system calls for options that it has no use for. */
static void
relay_settle_later(struct relay *r)
{
	struct relay_opening *o = r->opening;

	if (list_empty(&relays.unsettled))
		loop_timer_start(&relays.timer, RELAY_SETTLE);
	o->since = loop_now();
	o->sent = conn_waiting(&r->peer_conn) > 0;
	list_append(&relays.unsettled, &o->link);
}

static void
relay_settle_all(void *argument)
{
	struct relay_opening *o;
	struct node          *n;

	(void)argument;
	while ((n = list_first(&relays.unsettled)) != NULL) {
		o = container_of(n, struct relay_opening, link);
		if (loop_now() < o->since + RELAY_SETTLE) {
			loop_timer_start(&relays.timer, RELAY_SETTLE);
			return;
		}
		relay_settle(container_of(o->dial.conn, struct relay, peer_conn));
	}
}

static void
relay_settle(struct relay *r)
{
	source_settle(r->upstream, r->peer, conn_fd(&r->peer_conn));
	relay_free_opening(r);
}

static void
relay_free_opening(struct relay *r)
{
	if (r->opening == NULL)
		return;
	preread_leave(&r->opening->preread);
	dial_cancel(&r->opening->dial);
	if (node_linked(&r->opening->link))
		node_unlink(&r->opening->link);
	slab_give(&relays.openings, r->opening);
	r->opening = NULL;
}

/* ------------------------------------------------------------------- moving */

/* From one side to the other, for as long as there are bytes and room, but not
 * longer than a share. A side that takes nothing any more may still be read. */
static void
relay_pump(struct relay *r, struct flow *flow, struct conn *from, struct conn *to)
{
	unsigned share = SESSION_SHARE;

	if (!conn_flush(to) || (flow_held(flow) > 0 && !pipe_drain(flow->pipe, to)))
		return;
	while (conn_may_read(from) && relay_has_room(r, flow, to)) {
		if (share-- == 0) {
			conn_again(from);
			break;
		}
		if (relay_move(r, flow, from, to) == 0)
			break;
	}
	if (flow_held(flow) > 0)
		return;
	if (flow->pipe != NULL)
		pipe_return(&flow->pipe);
	if (from->eof && !to->eof && !to->finish)
		conn_finish(to);	/* otherwise closing it says so, too */
}

/* One read and what becomes of it. Returns how many bytes; 0: no more now. */
static size_t
relay_move(struct relay *r, struct flow *flow, struct conn *from, struct conn *to)
{
	const struct server *server = r->session->server;
	size_t               n;

	if (flow->pipe == NULL && flow->bulk >= RELAY_BULK && conn_is_plain(from) &&
	    !from->unread && conn_is_plain(to) && conn_waiting(to) == 0)
		flow->pipe = pipe_borrow();
	n = flow->pipe != NULL ? pipe_fill(flow->pipe, from, server->write_buffer) : 0;
	if (n > 0) {
		if (n < RELAY_BULK_LEAST)
			flow->bulk = 0;
	} else {
		if (flow->pipe != NULL)
			pipe_return(&flow->pipe);
		n = conn_read(from, loop_scratch(), server->read_buffer);
		if (n >= RELAY_BULK_LEAST && flow->bulk < RELAY_BULK)
			flow->bulk++;
		else if (n > 0 && n < RELAY_BULK_LEAST)
			flow->bulk = 0;
	}
	if (n == 0)
		return 0;
	if (flow == &r->up) {
		if (r->opening != NULL && r->opening->sent)
			relay_settle(r);
		else if (r->opening != NULL)
			r->opening->sent = true;
		relay_count_up(r, n);
	} else {
		r->heard = true;
		board_add(&r->peer->cell[PEER_BYTES_RECEIVED], n);
		session_went(r->session, n);
	}
	if (flow->pipe != NULL ? pipe_drain(flow->pipe, to)
			       : conn_send(to, span_make(loop_scratch(), n)))
		return n;
	return 0;
}

static void
relay_count_up(struct relay *r, size_t n)
{
	board_add(&r->peer->cell[PEER_BYTES_SENT], n);
	session_came(r->session, n);
}

/* ------------------------------------------------------------- to other workers */

/* As it is written. */
struct relay_past {
	uint64_t blocked;
	uint64_t half_closed;
	bool     heard;
	bool     finish;	/* of the peer's conn */
};

static const char *
relay_bound(const struct weir_session *s, const struct move_heir *heir)
{
	const struct relay *r = s->relay;

	if (relay_is_connecting(r))
		return NULL;
	if (!conn_is_plain(&r->peer_conn))
		return "TLS with the peer";
	return board_is_used(r->peer->board, heir->index) ? NULL : "their peer is gone";
}

/* What a pipe holds is taken out: it can stay here, too. */
static bool
relay_rests(struct weir_session *s)
{
	struct relay *r = s->relay;

	if (relay_is_connecting(r) || r->peer_conn.broken || r->peer_conn.write_shut)
		return false;
	if (r->opening != NULL)
		relay_settle(r);
	return relay_empty_pipe(&r->up, &r->peer_conn) && relay_empty_pipe(&r->down, &s->client);
}

/* What goes on here counts what waits in `to` before it takes more. */
static bool
relay_empty_pipe(struct flow *flow, struct conn *to)
{
	if (flow->pipe != NULL && !pipe_spill(flow->pipe, to))
		return false;
	pipe_return(&flow->pipe);
	return true;
}

static void
relay_pack(const struct weir_session *s, struct parcel *p)
{
	const struct relay *r = s->relay;
	struct relay_past   past;

	memset(&past, 0, sizeof past);
	past.blocked = r->blocked;
	past.half_closed = r->half_closed;
	past.heard = r->heard;
	past.finish = r->peer_conn.finish;
	parcel_put(p, &past, sizeof past);
	parcel_put_fd(p, conn_fd(&r->peer_conn));
	record_write_options(p, &r->upstream->options);
	parcel_put_text(p, buf_span(r->peer_conn.out));
}

static bool
relay_unpack(struct weir_session *s, struct parcel *p, struct weir_peer *peer)
{
	struct relay     *r = peer != NULL ? slab_take(&relays.slab) : NULL;
	struct relay_past past;
	int               fd;

	parcel_get(p, &past, sizeof past);
	fd = parcel_get_fd(p);
	if (r == NULL || fd < 0)
		goto fail;
	r->session = s;
	r->upstream = peer->upstream;
	r->peer = peer;
	r->blocked = past.blocked;
	r->half_closed = past.half_closed;
	r->heard = past.heard;
	record_renew_options(p, fd, &r->upstream->options);
	if (conn_adopt(&r->peer_conn, fd, &relay_peer_handler) < 0)
		goto fail;
	if (buf_append(&r->peer_conn.out, parcel_get_text(p)) < 0 || p->bad) {
		conn_close(&r->peer_conn);
		slab_give(&relays.slab, r);
		return false;
	}
	if (past.finish)
		conn_finish(&r->peer_conn);
	relay_hold(r, true);
	s->relay = r;
	return true;
fail:
	if (fd >= 0)
		parcel_unget_fd(p);
	slab_give(&relays.slab, r);
	return false;
}

/* Nothing says where what it carries has boundaries: it is silent for a moment there. */
static bool
relay_flows(const struct weir_session *s)
{
	return s->active + RELAY_SILENCE > loop_now() || conn_waiting(&s->relay->peer_conn) > 0;
}

static bool
relay_cut(struct weir_session *s)
{
	s->cut = !relay_is_connecting(s->relay) && relay_flows(s);
	return s->cut;
}

static void
relay_depart(struct weir_session *s)
{
	struct relay *r = s->relay;

	pipe_return(&r->up.pipe);
	pipe_return(&r->down.pipe);
	conn_close(&r->peer_conn);
	relay_hold(r, false);
}

static enum token_holds
relay_holds(const struct weir_session *s, struct weir_peer **peer)
{
	*peer = s->relay->peer;
	return s->relay->holds ? TOKEN_CONN : TOKEN_NONE;
}

static size_t
flow_held(const struct flow *flow)
{
	return flow->pipe != NULL ? flow->pipe->held : 0;
}

/* One more read fits into write_buffer beside what waits; a pipe is filled only
 * when it is empty. */
static bool
relay_has_room(const struct relay *r, const struct flow *flow, const struct conn *to)
{
	if (flow->pipe != NULL)
		return flow->pipe->held == 0;
	return server_has_room(r->session->server, conn_waiting(to));
}

/* Both sides have ended: so has the session. One has: the other's time runs. */
static void
relay_note_ends(struct relay *r)
{
	struct weir_session *s = r->session;
	struct conn         *client = &s->client, *peer = &r->peer_conn;

	if (!client->eof && !peer->eof)
		return;
	if (r->half_closed == 0) {
		s->reason = client->eof ? SESSION_CLIENT_CLOSED : SESSION_PEER_CLOSED;
		r->half_closed = loop_now();
		session_watch(s);
	}
	if (client->eof && peer->eof && conn_waiting(client) + flow_held(&r->down) == 0 &&
	    conn_waiting(peer) + flow_held(&r->up) == 0)
		session_close(s, s->reason);
}
