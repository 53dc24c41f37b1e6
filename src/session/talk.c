/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * talk: a client and its protocol: hooks and what they call.
 *
 *	client.fd ──read──► scratch ──► data hook ──weir_send──► client.fd
 *	             client.in ──┘ ▲        │
 *	                 └─────────┴────────┘ weir_keep
 */
#include "session/talk.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "session/gate.h"
#include "session/relay.h"
#include "session/server.h"
#include "session/session.h"

/* Small sends of one turn go out together; larger ones gain nothing by it. */
#define GATHER_MAX 2048u

static void talk_enter(struct weir_session *);
static void talk_run(struct weir_session *);
static bool talk_may_read(const struct weir_session *);
static bool talk_read(struct weir_session *);
static bool talk_keep_rest(struct weir_session *);
static void talk_end(struct weir_session *);
static void talk_obey(struct weir_session *, enum weir_verdict);
static void talk_begin_turn(struct weir_session *, struct weir_span in);
static void talk_end_turn(void);
static bool talk_in_turn(struct weir_span);

const struct session_mode talk_mode = {
	.name  = "talk",
	.enter = talk_enter,
	.run   = talk_run,
};

/* The hook that is running now. */
static struct {
	struct weir_session *session;	/* NULL: none is */
	struct weir_span     in;	/* what data was given */
	struct weir_span     unsent;	/* a part of it that goes when the turn ends */
	size_t               kept;	/* weir_keep: how much of its end stays */
	bool                 too_long;
} turn;

static void
talk_enter(struct weir_session *s)
{
	const struct weir_protocol *p = s->server->protocol->protocol;
	enum weir_verdict           verdict = WEIR_GO_ON;

	s->told = true;
	talk_begin_turn(s, span_make(NULL, 0));
	if (p->open != NULL)
		verdict = p->open(s);
	talk_end_turn();
	talk_obey(s, verdict);
}

static void
talk_run(struct weir_session *s)
{
	struct conn *c = &s->client;
	unsigned     share = SESSION_SHARE;

	if (!session_begin_turn(s))
		return;
	while (share-- > 0 && talk_may_read(s))
		if (!talk_read(s))
			break;
	if (s->step != STEP_TALK || !session_end_turn(s))
		return;
	if (c->eof)
		talk_end(s);
	else if (talk_may_read(s))
		conn_again(c);
}

static bool
talk_may_read(const struct weir_session *s)
{
	return conn_may_read(&s->client) && server_has_room(s->server, conn_waiting(&s->client));
}

/* One read and what the protocol makes of it. False: nothing more now. */
static bool
talk_read(struct weir_session *s)
{
	struct conn      *c = &s->client;
	size_t            kept = conn_kept(c);
	struct weir_span  in = conn_take(c, s->server->read_buffer);
	enum weir_verdict verdict = WEIR_GO_ON;

	if (in.len == 0)
		return false;
	session_came(s, in.len - kept);
	talk_begin_turn(s, in);
	if (s->server->protocol->protocol->data != NULL)
		verdict = s->server->protocol->protocol->data(s, turn.in);
	talk_end_turn();
	if (turn.too_long)
		session_finish(s, SESSION_TOO_LONG);
	if (s->step != STEP_TALK)
		buf_return(&c->in);
	else if (!talk_keep_rest(s))
		return false;
	if (s->step != STEP_TALK || !conn_flush(c))
		return false;
	talk_obey(s, verdict);
	return s->step == STEP_TALK;
}

/* What the protocol keeps waits in client.in. */
static bool
talk_keep_rest(struct weir_session *s)
{
	size_t used = turn.in.len - turn.kept;

	if (!conn_keep(&s->client, turn.in, used)) {
		session_close(s, SESSION_NO_MEMORY);
		return false;
	}
	if (turn.kept == 0)
		s->begun = 0;
	else if (s->begun == 0 || used > 0) {
		s->begun = loop_now();	/* a message has ended: what is kept is another one */
		session_watch(s);
	}
	return true;
}

/* The client has sent its last byte. */
static void
talk_end(struct weir_session *s)
{
	const struct weir_protocol *p = s->server->protocol->protocol;

	buf_return(&s->client.in);
	s->begun = 0;
	talk_begin_turn(s, span_make(NULL, 0));
	if (p->eof != NULL)
		(void)p->eof(s);
	talk_end_turn();
	if (s->step == STEP_TALK)
		session_finish(s, SESSION_CLIENT_CLOSED);
}

/* WAIT is what weir_relay says: then the step has changed. */
static void
talk_obey(struct weir_session *s, enum weir_verdict verdict)
{
	if (s->step >= STEP_RELAY)
		return;
	if (s->client.broken || s->client.write_shut)
		session_close(s, session_failure(&s->client, SESSION_CLIENT_FAILED));
	else if (verdict != WEIR_GO_ON)
		session_finish(s, SESSION_PROTOCOL_CLOSED);
	if (verdict == WEIR_WAIT)
		log_alert("protocol %s waits for nothing", s->server->protocol_name);
}

static void
talk_begin_turn(struct weir_session *s, struct weir_span in)
{
	turn.session = s;
	turn.in = in;
	turn.unsent = span_make(NULL, 0);
	turn.kept = 0;
	turn.too_long = false;
}

/* Before what it was given goes: a failure shows as client.broken. */
static void
talk_end_turn(void)
{
	struct weir_session *s = turn.session;

	turn.session = NULL;
	if (turn.unsent.len > 0 && s->step != STEP_CLOSED)
		(void)conn_send(&s->client, turn.unsent);
}

static bool
talk_in_turn(struct weir_span what)
{
	uintptr_t from = (uintptr_t)what.data, begin = (uintptr_t)turn.in.data;

	return turn.in.len > 0 && from >= begin && from + what.len <= begin + turn.in.len;
}

/* --------------------------------------------------- the calls of a module */

enum weir_verdict
weir_send(struct weir_session *s, struct weir_span what)
{
	struct conn     *c = &s->client;
	struct weir_span before = turn.unsent;
	bool             sent;

	if (s->step >= STEP_RELAY || c->finish)
		return WEIR_CLOSE;
	session_went(s, what.len);
	if (turn.session != s)
		sent = conn_send(c, what);
	else if (before.len == 0 && c->out == NULL && talk_in_turn(what)) {
		turn.unsent = what;
		sent = true;
	} else {
		turn.unsent = span_make(NULL, 0);
		sent = conn_gather(c, before) &&
		    (what.len < GATHER_MAX ? conn_gather(c, what) : conn_send(c, what));
	}
	return sent ? WEIR_GO_ON : WEIR_CLOSE;
}

enum weir_verdict
weir_keep(struct weir_session *s, struct weir_span rest)
{
	if (turn.session != s || !talk_in_turn(rest) ||
	    rest.data + rest.len != turn.in.data + turn.in.len) {
		log_alert("protocol %s keeps what is not the rest of its data",
		    s->server->protocol_name);
		return WEIR_CLOSE;
	}
	if (rest.len >= s->server->read_buffer) {
		turn.too_long = true;
		return WEIR_CLOSE;
	}
	turn.kept = rest.len;
	return WEIR_GO_ON;
}

enum weir_verdict
weir_relay(struct weir_session *s, struct weir_upstream *u, struct weir_span first)
{
	if (turn.session != s || s->step != STEP_TALK) {
		log_alert("protocol %s calls weir_relay too late, or twice",
		    s->server->protocol_name);
		return WEIR_CLOSE;
	}
	if (u == NULL || !relay_open(s, u, first))
		session_finish(s, u == NULL ? SESSION_NO_PEER : SESSION_NO_MEMORY);
	else
		session_enter(s, STEP_RELAY);
	return s->step == STEP_RELAY ? WEIR_WAIT : WEIR_CLOSE;
}

struct weir_upstream *
weir_session_upstream(const struct weir_session *s)
{
	const struct gate *g = gate_of_session(s);

	return g != NULL && g->upstream != NULL ? g->upstream : s->server->upstream;
}

void *
weir_state(struct weir_session *s)
{
	return s->state;
}

const void *
weir_conf(const struct weir_session *s)
{
	return s->server->conf;
}

uint64_t
weir_session_id(const struct weir_session *s)
{
	return s->id;
}
