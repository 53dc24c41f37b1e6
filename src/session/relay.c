/* SPDX-License-Identifier: BSD-2-Clause */
/* relay: a session's bytes, both ways, between its client and one peer. */
#include "session/relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "net/sock.h"
#include "session/server.h"
#include "upstream/source.h"

static struct slab relays;

static void peer_ready(struct conn *);
static void peer_expired(struct conn *);
static bool connect_next(struct relay *, enum session_reason *why);
static bool connect_to(struct relay *, struct weir_peer *);
static void connect_failed(struct relay *, enum peer_outcome, int error);
static void release(struct relay *);
static void connect_progress(struct relay *);
static void pump(struct relay *, struct flow *, struct conn *from, struct conn *to);
static size_t move(struct relay *, struct flow *, struct conn *from, struct conn *to);
static bool has_room(const struct relay *, const struct flow *, const struct conn *to);
static void settle(struct relay *);
static size_t held(const struct flow *);

static const struct conn_handler peer_handler = {
	.ready   = peer_ready,
	.expired = peer_expired,
};

void
relays_start(void)
{
	slab_init(&relays, sizeof(struct relay));
}

void
relays_stop(void)
{
	slab_finish(&relays);
	pipe_trim();
}

bool
relay_open(struct weir_session *s, struct weir_upstream *u, struct weir_span first,
    enum session_reason *why)
{
	struct relay *r = slab_take(&relays);

	if (r == NULL)
		goto no_memory;
	r->session = s;
	r->upstream = u;
	r->attempt.client = s->from;
	if (first.len > 0 && !conn_gather(&r->peer_conn, first)) {
		relay_free(r);
		goto no_memory;
	}
	s->relay = r;
	if (connect_next(r, why))
		return true;
	relay_close(r);
	return false;
no_memory:
	*why = SESSION_NO_MEMORY;
	return false;
}

void
relay_run(struct relay *r)
{
	struct weir_session *s = r->session;
	struct conn         *client = &s->client, *peer = &r->peer_conn;

	if (r->connect_by != 0) {
		/* Nobody reads the client yet: an error must be asked for. */
		if (client->readable && !conn_look(client)) {
			session_close(s, SESSION_CLIENT_FAILED);
			return;
		}
		connect_progress(r);
		if (s->step != STEP_RELAY || r->connect_by != 0)
			return;
	}
	pump(r, &r->up, client, peer);
	pump(r, &r->down, peer, client);
	if (client->broken || client->deaf)
		session_close(s, session_failure(client, SESSION_CLIENT_FAILED));
	else if (peer->broken || (peer->deaf && peer->eof))
		session_finish(s, session_failure(peer, SESSION_PEER_FAILED));
	else {
		session_note_blocked(s, peer, conn_waiting(peer) + held(&r->up), &r->blocked);
		settle(r);
	}
}

uint64_t
relay_deadline(const struct relay *r, enum session_reason *why)
{
	const struct weir_session *s = r->session;
	const struct server       *server = s->server;
	uint64_t                   at = UINT64_MAX, since;

	if (r->connect_by != 0) {
		*why = SESSION_CONNECT_FAILED;
		return r->connect_by;
	}
	if (r->blocked != 0 && server->write_timeout > 0) {
		at = r->blocked + server->write_timeout;
		*why = SESSION_WRITE_TIMEOUT;
	}
	/* A download that goes on behind the end of its request is no zombie. */
	if (r->half_closed != 0 && server->half_close_timeout > 0) {
		since = r->half_closed > s->active ? r->half_closed : s->active;
		if (since + server->half_close_timeout < at) {
			at = since + server->half_close_timeout;
			*why = SESSION_HALF_CLOSE_TIMEOUT;
		}
	}
	return at;
}

void
relay_connect_expired(struct relay *r)
{
	connect_failed(r, PEER_TIMED_OUT, ETIMEDOUT);
}

void
relay_close(struct relay *r)
{
	const struct conn *client = &r->session->client;
	struct conn       *c = &r->peer_conn;

	if (client->broken || conn_waiting(c) + held(&r->up) > 0 || (c->finished && !c->eof))
		conn_spoil(c);
	pipe_return(&r->up.pipe);
	pipe_return(&r->down.pipe);
	conn_close(c);
	if (r->connect_by != 0 && r->holds)
		peer_unreported(r->peer, &r->attempt);
	release(r);
}

void
relay_free(struct relay *r)
{
	slab_give(&relays, r);
}

static void
peer_ready(struct conn *c)
{
	session_run(container_of(c, struct relay, peer_conn)->session);
}

/* The session's one timer serves the relay, too. */
static void
peer_expired(struct conn *c)
{
	(void)c;
}

/* ---------------------------------------------------------------- connecting */

static bool
connect_next(struct relay *r, enum session_reason *why)
{
	struct weir_peer *peer;

	*why = r->attempt.tried > 0 ? SESSION_CONNECT_FAILED : SESSION_NO_PEER;
	r->attempt.now = loop_now();
	while (r->attempt.tried <= r->upstream->retries) {
		if (r->attempt.tried > 0)
			board_add(&r->upstream->cell[UPSTREAM_RETRIED], 1);
		peer = upstream_choose(r->upstream, &r->attempt);
		if (peer == NULL)
			return false;
		if (connect_to(r, peer))
			return true;
		*why = SESSION_CONNECT_FAILED;
	}
	return false;
}

/* The client's bytes stay in its socket (and what the protocol sent first in
 * peer_conn.out) until a peer has been reached, so the next one can be tried. */
static bool
connect_to(struct relay *r, struct weir_peer *peer)
{
	int fd = upstream_connect(r->upstream, peer);

	r->peer = peer;
	r->holds = true;
	if (fd < 0) {
		(void)peer_refused(peer, errno, loop_now());
		goto fail;
	}
	if (conn_adopt(&r->peer_conn, fd, &peer_handler) < 0) {
		log_error("watching a connection: %m");
		close(fd);
		goto fail;
	}
	r->connect_by = loop_now() + r->upstream->connect_timeout;
	return true;
fail:
	release(r);
	return false;
}

static void
connect_failed(struct relay *r, enum peer_outcome outcome, int error)
{
	enum session_reason why;

	log_info("connect: %s", strerror(error));
	peer_report(r->peer, outcome, error, loop_now());
	conn_hang_up(&r->peer_conn);
	release(r);
	r->connect_by = 0;
	if (!connect_next(r, &why))
		session_finish(r->session, why);
	else
		session_watch(r->session);
}

static void
release(struct relay *r)
{
	if (r->holds)
		peer_release(r->peer);
	r->holds = false;
}

/* A connecting socket is silent until it is writable, or broken: then it is
 * readable, too, and only SO_ERROR tells that from a peer that spoke first. */
static void
connect_progress(struct relay *r)
{
	struct conn *c = &r->peer_conn;
	int          error;

	if (!c->writable && !c->readable)
		return;
	if (c->readable && (error = sock_error(conn_fd(c))) != 0) {
		connect_failed(r, PEER_REFUSED, error);
		return;
	}
	r->connect_by = 0;
	peer_report(r->peer, PEER_CONNECTED, 0, loop_now());
}

/* ------------------------------------------------------------------- moving */

/* From one side to the other, for as long as there are bytes and room, but not
 * longer than a share. A side that takes nothing any more may still be read. */
static void
pump(struct relay *r, struct flow *flow, struct conn *from, struct conn *to)
{
	unsigned share = SESSION_SHARE;

	if (!conn_flush(to) || (held(flow) > 0 && !pipe_drain(flow->pipe, to)))
		return;
	while (from->readable && has_room(r, flow, to)) {
		if (share-- == 0) {
			conn_again(from);
			break;
		}
		if (move(r, flow, from, to) == 0)
			break;
	}
	if (held(flow) > 0)
		return;
	if (flow->pipe != NULL)
		pipe_return(&flow->pipe);
	if (from->eof && !to->eof && !to->finish)
		conn_finish(to);	/* otherwise closing it says so, too */
}

/* One read and what becomes of it. Returns how many bytes; 0: no more now. */
static size_t
move(struct relay *r, struct flow *flow, struct conn *from, struct conn *to)
{
	const struct server *server = r->session->server;
	size_t               n;

	if (flow->pipe == NULL && flow->bulk >= RELAY_BULK && conn_is_plain(from) &&
	    conn_is_plain(to) && conn_waiting(to) == 0)
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
		board_add(&r->peer->cell[PEER_BYTES_SENT], n);
		session_came(r->session, n);
	} else {
		board_add(&r->peer->cell[PEER_BYTES_RECEIVED], n);
		session_went(r->session, n);
	}
	if (flow->pipe != NULL ? pipe_drain(flow->pipe, to)
			       : conn_send(to, span(loop_scratch(), n)))
		return n;
	return 0;
}

static size_t
held(const struct flow *flow)
{
	return flow->pipe != NULL ? flow->pipe->held : 0;
}

/* One more read fits into write_buffer beside what waits; a pipe is filled only
 * when it is empty. */
static bool
has_room(const struct relay *r, const struct flow *flow, const struct conn *to)
{
	if (flow->pipe != NULL)
		return flow->pipe->held == 0;
	return server_has_room(r->session->server, conn_waiting(to));
}

/* Both sides have ended: so has the session. One has: the other's time runs. */
static void
settle(struct relay *r)
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
	if (client->eof && peer->eof && conn_waiting(client) + held(&r->down) == 0 &&
	    conn_waiting(peer) + held(&r->up) == 0)
		session_close(s, s->reason);
}
