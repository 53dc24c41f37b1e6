/* SPDX-License-Identifier: BSD-2-Clause */
/* exchange: a client's requests, and the replies that come back. */
#include "session/exchange.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/client_hello.h"
#include "session/move.h"
#include "session/order.h"
#include "session/parcel.h"
#include "session/preface.h"
#include "session/record.h"
#include "session/server.h"
#include "upstream/pool.h"

/* Replies shorter than this are gathered, and leave together. */
#define EXCHANGE_GATHER_MAX 16384u

/* What of its waiting for a link goes with a session to another worker. */
struct exchange_wait {
	uint64_t since;		/* ms; 0: it does not wait */
	uint64_t given_up;	/* not 0: it has waited long enough */
};

static void        exchange_run(struct weir_session *);
static void        exchange_deadline(const struct weir_session *, struct session_deadline *);
static void        exchange_expired(struct weir_session *, enum session_reason);
static void        exchange_leave(struct weir_session *);
static const char *exchange_explain(const struct weir_session *, enum session_reason);
static const char *exchange_bound(const struct weir_session *, const struct move_heir *);
static bool        exchange_rests(struct weir_session *);
static void        exchange_pack(const struct weir_session *, struct parcel *);
static bool        exchange_unpack(struct weir_session *, struct parcel *, struct weir_peer *);
static bool        exchange_cut(struct weir_session *);
static void        exchange_depart(struct weir_session *);
static enum token_holds exchange_holds(const struct weir_session *, struct weir_peer **);

static bool   exchange_may_ask(const struct weir_session *);
static bool   exchange_may_read(const struct weir_session *);
static bool   exchange_take_buffered(struct weir_session *);
static bool   exchange_take_read(struct weir_session *);
static void exchange_warn_of_tls(const struct weir_session *);
static size_t exchange_ask_all(struct weir_session *, struct weir_span);
static size_t exchange_ask_one(struct weir_session *, struct weir_span);
static void   exchange_complain(const struct weir_session *, const struct weir_message *);
static void   exchange_note_key(struct request *, struct weir_span message, struct weir_span key);
static bool   exchange_ask(struct weir_session *, struct weir_span, const struct weir_message *);
static bool   exchange_stall(struct weir_session *);
static void   exchange_note_partial(struct weir_session *, bool begins);
static void   exchange_conclude(struct weir_session *, enum exchange_outlook, enum session_reason);
static bool   exchange_has_more(const struct weir_session *);

static void exchange_reply(struct request *, struct weir_span, bool last);
static void exchange_fail(struct request *, enum weir_failure, bool cut);
static void exchange_room(struct requester *);
static void exchange_waits(struct requester *);
static void exchange_lost(struct requester *, bool busy);
static const struct addr_packed *exchange_from(const struct requester *);
static size_t exchange_preface(const struct requester *, enum proxy_version,
    char out[PROXY_HEADER_OUT_MAX]);

static void exchange_send(struct requester *, struct weir_span, bool last);
static void exchange_tell_failure(struct requester *, const struct framing *, uint32_t kind,
    enum weir_failure, bool cut);
static void exchange_last_is_done(struct requester *);

const struct session_mode exchange_mode = {
	.name     = "exchange",
	.run      = exchange_run,
	.deadline = exchange_deadline,
	.expired  = exchange_expired,
	.leave    = exchange_leave,
	.explain  = exchange_explain,
	.bound    = exchange_bound,
	.rests    = exchange_rests,
	.pack     = exchange_pack,
	.unpack   = exchange_unpack,
	.cut      = exchange_cut,
	.depart   = exchange_depart,
	.holds    = exchange_holds,
};

const struct requester_ops exchange_requesters = {
	.reply   = exchange_reply,
	.failed  = exchange_fail,
	.room    = exchange_room,
	.waits   = exchange_waits,
	.lost    = exchange_lost,
	.from    = exchange_from,
	.preface = exchange_preface,
};

static const struct order_sink exchange_sink = {
	.send   = exchange_send,
	.failed = exchange_tell_failure,
	.ended  = exchange_last_is_done,
};

static struct exchange *
exchange_of(const struct weir_session *s)
{
	return (struct exchange *)(void *)s->state;
}

static struct weir_session *
exchange_session(const struct requester *q)
{
	return container_of(container_of(q, struct exchange, requester), struct weir_session,
	    state);
}

size_t
exchange_size(const struct weir_exchange *x)
{
	return sizeof(struct exchange) + (x->mem_size + 7) / 8 * 8;
}

void
exchanges_start(void)
{
	orders_start(&exchange_sink);
}

static void
exchange_run(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	struct conn     *c = &s->client;
	unsigned         share = SESSION_SHARE;

	if (e->outlook == EXCHANGE_CLOSES) {
		session_close(s, e->reason);
		return;
	}
	if (!session_begin_turn(s))
		return;
	while (share-- > 0 && exchange_may_read(s))
		if (!(e->stalled ? exchange_take_buffered(s) : exchange_take_read(s)))
			break;
	if (!session_end_turn(s))
		return;
	if (e->outlook == EXCHANGE_CLOSES)
		session_close(s, e->reason);
	else if (e->outlook == EXCHANGE_FINISHES)
		session_finish(s, e->reason);
	else if (exchange_may_read(s))
		conn_again(c);
	else if (e->requester.count == 0 && e->outlook == EXCHANGE_ENDS)
		session_finish(s, e->reason);
	else if (e->requester.count == 0 && c->eof && !e->stalled)
		session_finish(s, SESSION_CLIENT_CLOSED);
}

/* When it has waited for pool_wait. */
static void
exchange_deadline(const struct weir_session *s, struct session_deadline *d)
{
	uint64_t since = queue_waits_since(&exchange_of(s)->requester);

	if (since != 0)
		session_deadline_add(d, since, s->server->upstream->pool_wait,
		    SESSION_REQUEST_FAILED);
}

static void
exchange_expired(struct weir_session *s, enum session_reason reason)
{
	struct exchange *e = exchange_of(s);

	if (reason != SESSION_REQUEST_FAILED)
		return;
	e->given_up = true;
	pool_give_up(&e->requester, s->server->upstream);
	session_run(s);
}

static void
exchange_leave(struct weir_session *s)
{
	struct requester *q = &exchange_of(s)->requester;

	order_leave(q);
	pool_leave(q, s->server->upstream);
}

static const char *
exchange_explain(const struct weir_session *s, enum session_reason reason)
{
	return reason == SESSION_REQUEST_FAILED
	    ? upstream_failure_name((enum weir_failure)exchange_of(s)->why)
	    : NULL;
}

/* What it has asked for fails like what a peer has lost. What it has sent beyond that, and
 * nobody has looked at, cannot be told of. */
static bool
exchange_cut(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	bool             under_way = e->requester.count > 0 || e->stalled;

	order_give_up(&e->requester, WEIR_FAILED_SHUTDOWN);
	s->cut = e->stalled ||
	    (e->outlook == EXCHANGE_FINISHES && e->reason == SESSION_PEER_FAILED);
	return under_way;
}

/* -------------------------------------------------------------- to other workers */

/* The link that is its alone: its peer knows it by that. NULL: none. */
static struct link *
exchange_own_link(const struct weir_session *s)
{
	const struct requester *q = &exchange_of(s)->requester;

	return q->link != NULL && q->link->borrower == q ? q->link : NULL;
}

static const char *
exchange_bound(const struct weir_session *s, const struct move_heir *heir)
{
	const struct link *l = exchange_own_link(s);

	if (l == NULL || l->state == LINK_CONNECTING)
		return NULL;
	if (!conn_is_plain(&l->conn))
		return "TLS with the peer";
	if (!board_is_used(l->pool->peer->board, heir->index))
		return "their peer is gone";
	return record_keeps_links(s->server, heir) ? NULL : "their server has other links now";
}

/* No request is on its way. What it waits to ask lies in client.in. */
static bool
exchange_rests(struct weir_session *s)
{
	const struct exchange *e = exchange_of(s);
	const struct link     *l = exchange_own_link(s);

	return e->requester.count == 0 && e->outlook == EXCHANGE_GOES_ON &&
	    (l == NULL || link_rests(l));
}

static void
exchange_pack(const struct weir_session *s, struct parcel *p)
{
	const struct exchange     *e = exchange_of(s);
	const struct link         *l = exchange_own_link(s);
	const struct exchange_wait wait = { queue_waits_since(&e->requester), e->given_up };

	parcel_put(p, &wait, sizeof wait);
	if (l == NULL)
		return;
	parcel_put_fd(p, conn_fd(&l->conn));
	record_write_options(p, &l->pool->peer->upstream->options);
}

/* The message that was beginning is parsed from its beginning. */
static bool
exchange_unpack(struct weir_session *s, struct parcel *p, struct weir_peer *peer)
{
	struct weir_upstream *u = s->server->upstream;
	struct exchange      *e = exchange_of(s);
	struct requester     *q = &e->requester;
	struct exchange_wait  wait;
	int                   fd;

	parcel_get(p, &wait, sizeof wait);
	if (p->bad)
		return false;
	e->stalled = s->client.in != NULL && !s->client.unread;
	e->given_up = wait.given_up != 0;
	if (peer == NULL) {
		if (wait.since != 0 && e->stalled)
			pool_return(q, u, wait.since);
		return true;
	}
	if (peer->upstream != u || u->mode != POOL_SESSION || (fd = parcel_get_fd(p)) < 0)
		return false;
	record_renew_options(p, fd, &u->options);
	if (link_restore(peer->pool, fd, q) != NULL)
		return true;
	parcel_unget_fd(p);
	return false;
}

static void
exchange_depart(struct weir_session *s)
{
	struct link *l = exchange_own_link(s);

	queue_leave(s->server->upstream, &exchange_of(s)->requester);
	if (l != NULL)
		link_depart(l);
}

static enum token_holds
exchange_holds(const struct weir_session *s, struct weir_peer **peer)
{
	const struct link *l = exchange_own_link(s);

	if (l == NULL)
		return TOKEN_NONE;
	*peer = l->pool->peer;
	return TOKEN_LINK;
}

/* ------------------------------------------------------------------ requests */

static bool
exchange_may_ask(const struct weir_session *s)
{
	const struct exchange  *e = exchange_of(s);
	const struct requester *q = &e->requester;

	/* Where it is to end, what has begun is read to its end. */
	return e->outlook == EXCHANGE_GOES_ON && !e->behind &&
	    (!s->pauses || (s->ends && s->client.in != NULL)) &&
	    q->count < s->server->pipeline_per_client &&
	    server_has_room(s->server, conn_waiting(&s->client)) &&
	    pool_may_ask(q, s->server->upstream);
}

static bool
exchange_may_read(const struct weir_session *s)
{
	return (conn_may_read(&s->client) || exchange_of(s)->stalled) && exchange_may_ask(s);
}

/* What came while it could not be asked. */
static bool
exchange_take_buffered(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	size_t           used;

	e->stalled = false;
	used = exchange_ask_all(s, buf_span(s->client.in));
	if (used > 0)
		buf_consume(&s->client.in, used);
	exchange_note_partial(s, used > 0);
	return true;
}

/* One read and the requests in it. False: nothing more now. */
static bool
exchange_take_read(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	struct conn     *c = &s->client;
	size_t           kept = conn_kept(c), used;
	struct weir_span in;

	in = conn_take(c, s->server->read_buffer);
	if (in.len == 0) {
		if (c->eof) {
			buf_return(&c->in);	/* of a message that has no end */
			s->begun = 0;
		}
		return false;
	}
	session_came(s, in.len - kept);
	if (s->bytes_in == in.len && client_hello_is_near(in) && s->server->tls == NULL)
		exchange_warn_of_tls(s);
	e->given_up = false;
	used = exchange_ask_all(s, in);
	if (!conn_keep(c, in, used)) {
		exchange_conclude(s, EXCHANGE_CLOSES, SESSION_NO_MEMORY);
		return false;
	}
	exchange_note_partial(s, used > 0);
	return true;
}

/* It may be a request all the same, if hardly one that is meant. */
static void
exchange_warn_of_tls(const struct weir_session *s)
{
	struct server *server = (struct server *)(uintptr_t)s->server;

	if (loop_complain(&server->complained_tls))
		log_warn("what a client sends begins like TLS, which server %s does not speak: set "
			 "tls for it, or let the client speak in the clear",
		    server->name);
}

/* As many requests as there are and may be asked. Returns their bytes. */
static size_t
exchange_ask_all(struct weir_session *s, struct weir_span in)
{
	struct exchange *e = exchange_of(s);
	size_t           used = 0, n;

	while (used < in.len) {
		if (!exchange_may_ask(s)) {
			e->stalled = e->outlook == EXCHANGE_GOES_ON;
			if (e->requester.count >= s->server->pipeline_per_client)
				board_add(&s->server->cell[SERVER_PIPELINE_FULL], 1);
			break;
		}
		if ((n = exchange_ask_one(s, span_skip(in, used))) == 0)
			break;
		used += n;
	}
	return used;
}

/* Returns its bytes; 0: it is not whole yet, or not for now, or the last one. */
static size_t
exchange_ask_one(struct weir_session *s, struct weir_span in)
{
	struct exchange      *e = exchange_of(s);
	const struct framing *f = &s->server->framing;
	struct weir_message   m = { .replies = 1 };
	enum weir_parse       parsed = f->exchange->request(f->conf, e->memory, in, &m);

	if ((unsigned)parsed > WEIR_MALFORMED || (parsed == WEIR_WHOLE && m.length == 0)) {
		framing_fault(s->server->protocol_name, "requests");
		parsed = WEIR_MALFORMED;
	}
	if (parsed == WEIR_MALFORMED) {
		exchange_complain(s, &m);
		exchange_conclude(s, EXCHANGE_ENDS, SESSION_BAD_REQUEST);
		return 0;
	}
	if (parsed == WEIR_WHOLE && m.length <= in.len) {
		framing_reset_parser(f->exchange, e->memory);
		in.len = (size_t)m.length;
		return exchange_ask(s, in, &m) ? in.len : 0;
	}
	if (in.len >= s->server->read_buffer || m.length > s->server->read_buffer)
		exchange_conclude(s, EXCHANGE_ENDS, SESSION_TOO_LONG);
	else if (parsed == WEIR_WHOLE)	/* it is parsed again when it is whole */
		framing_reset_parser(f->exchange, e->memory);
	return 0;
}

/* Of a request that is none, if its protocol has something to say of it. */
static void
exchange_complain(const struct weir_session *s, const struct weir_message *m)
{
	char advice[FRAMING_ADVICE_MAX];

	if (*framing_advise(&s->server->framing, m->kind, advice) != '\0' &&
	    loop_complain(&s->server->upstream->complained_malformed))
		log_warn("clients are closed (%s): %s", session_reason_name(SESSION_BAD_REQUEST),
		    advice);
}

/* It may go to any peer: the balancer says to which. */
static void
exchange_note_key(struct request *r, struct weir_span message, struct weir_span key)
{
	if (key.len == 0)
		return;
	if (key.data < message.data || key.len > message.len ||
	    (size_t)(key.data - message.data) > message.len - key.len) {
		framing_fault(r->upstream->framed_by->name, "requests");
		return;
	}
	r->flags |= REQUEST_KEYED;
	r->key_at = (uint32_t)(key.data - message.data);
	r->key_length = (uint32_t)key.len;
}

/* False: not now; it stays where it is. */
static bool
exchange_ask(struct weir_session *s, struct weir_span message, const struct weir_message *m)
{
	struct exchange      *e = exchange_of(s);
	struct weir_upstream *u = s->server->upstream;
	struct request       *r = request_create(&e->requester, u, &s->server->framing);
	enum weir_failure     why;

	if (r == NULL) {
		exchange_conclude(s, EXCHANGE_CLOSES, SESSION_NO_MEMORY);
		return false;
	}
	r->kind = m->kind;
	r->replies = m->replies;
	if (u->keyed)
		exchange_note_key(r, message, m->key);
	switch (pool_ask(u, r, message, !e->given_up, &why)) {
	case POOL_PLACED:
		order_add(&e->requester, r);
		break;
	case POOL_BUSY:
		request_finish(r);
		return exchange_stall(s);
	case POOL_FAILED:
		order_add(&e->requester, r);
		if (m->replies == 0 && why != WEIR_FAILED_NO_MEMORY)
			exchange_reply(r, span_make(NULL, 0), true); /* nobody waits to be told */
		else
			order_fail(r, why, false);
		break;
	}
	return true;
}

/* What it would ask has to wait. */
static bool
exchange_stall(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);

	e->stalled = true;
	if (e->requester.waiter == NULL)
		e->behind = true;
	else
		session_watch(s);
	return false;
}

/* read_timeout runs while a message has begun, and is our fault when stalled. */
static void
exchange_note_partial(struct weir_session *s, bool begins)
{
	const struct exchange *e = exchange_of(s);

	if (s->pauses && !s->ends && s->client.in != NULL)
		return;		/* it goes on elsewhere, and its time with it */
	if (s->client.in == NULL || e->stalled || e->outlook != EXCHANGE_GOES_ON)
		s->begun = 0;
	else if (s->begun == 0 || begins) {
		s->begun = loop_now();
		session_watch(s);
	}
}

/* It comes to an end; the one that comes sooner counts. */
static void
exchange_conclude(struct weir_session *s, enum exchange_outlook outlook,
    enum session_reason reason)
{
	struct exchange *e = exchange_of(s);

	if (outlook > e->outlook) {
		e->outlook = (uint8_t)outlook;
		e->reason = (uint8_t)reason;
		conn_again(&s->client);
	}
}

/* --------------------------------------------------- what the pool has to say */

static void
exchange_reply(struct request *r, struct weir_span part, bool last)
{
	struct weir_session *s = exchange_session(r->requester);

	if (last)
		exchange_of(s)->behind = false;
	if (!order_reply(r, part, last, s->server->upstream->reply_max))
		exchange_conclude(s, EXCHANGE_CLOSES, SESSION_SLOW_READER);
}

static void
exchange_fail(struct request *r, enum weir_failure why, bool cut)
{
	exchange_of(exchange_session(r->requester))->behind = false;
	order_fail(r, why, cut);
}

static void
exchange_room(struct requester *q)
{
	struct weir_session *s = exchange_session(q);

	if (exchange_may_ask(s))
		(void)exchange_take_buffered(s);
	conn_again(&s->client);
}

static void
exchange_waits(struct requester *q)
{
	session_watch(exchange_session(q));
}

static void
exchange_lost(struct requester *q, bool busy)
{
	exchange_conclude(exchange_session(q), EXCHANGE_FINISHES,
	    busy ? SESSION_REQUEST_FAILED : SESSION_PEER_CLOSED);
}

static const struct addr_packed *
exchange_from(const struct requester *q)
{
	return &exchange_session(q)->from;
}

static size_t
exchange_preface(const struct requester *q, enum proxy_version version,
    char out[PROXY_HEADER_OUT_MAX])
{
	return preface_write(exchange_session(q), version, out);
}

/* ------------------------------------------- what has its turn in the order */

static void
exchange_send(struct requester *q, struct weir_span part, bool last)
{
	struct weir_session *s = exchange_session(q);
	struct conn         *c = &s->client;
	bool                 alone = last && q->count == 0 && c->out == NULL;
	uint64_t             most = s->server->upstream->reply_max;

	if (exchange_of(s)->outlook >= EXCHANGE_FINISHES)
		return;
	session_went(s, part.len);
	/* Nothing can come behind it in this pass: then it need not wait for more. What
	 * cannot be sent is seen in the next turn. */
	(void)(alone || part.len >= EXCHANGE_GATHER_MAX ? conn_send(c, part)
							: conn_gather(c, part));
	if (conn_waiting(c) > most && conn_flush(c) && conn_waiting(c) > most)
		exchange_conclude(s, EXCHANGE_CLOSES, SESSION_SLOW_READER);
	else if (!alone || exchange_has_more(s))
		conn_again(c);
}

/* Whether a turn would find something to do, after a reply has gone. */
static bool
exchange_has_more(const struct weir_session *s)
{
	const struct conn *c = &s->client;

	return c->in != NULL || c->out != NULL || c->readable || c->eof || c->write_shut ||
	    c->broken || s->blocked != 0 || s->pauses ||
	    exchange_of(s)->outlook != EXCHANGE_GOES_ON;
}

static void
exchange_tell_failure(struct requester *q, const struct framing *f, uint32_t kind,
    enum weir_failure why, bool cut)
{
	struct weir_session *s = exchange_session(q);
	struct weir_span     text = span_make(NULL, 0);

	exchange_of(s)->why = (uint8_t)why;
	if (why == WEIR_FAILED_NO_MEMORY)
		exchange_conclude(s, EXCHANGE_CLOSES, SESSION_NO_MEMORY);
	else if (cut)
		exchange_conclude(s, EXCHANGE_FINISHES, SESSION_PEER_FAILED);
	else {
		if (f->exchange->failure != NULL)
			text = f->exchange->failure(f->conf, kind, why);
		if (text.len == 0)
			exchange_conclude(s, EXCHANGE_FINISHES, SESSION_REQUEST_FAILED);
		else
			exchange_send(q, text, false);
	}
}

static void
exchange_last_is_done(struct requester *q)
{
	exchange_conclude(exchange_session(q), EXCHANGE_FINISHES, SESSION_PROTOCOL_CLOSED);
}
