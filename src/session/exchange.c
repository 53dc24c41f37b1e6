/* SPDX-License-Identifier: BSD-2-Clause */
/* exchange: a client's requests, and the replies that come back. */
#include "session/exchange.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "session/server.h"
#include "upstream/pool.h"

/* Replies shorter than this are gathered, and leave together. */
#define GATHER_MAX 16384u

static void exchange_enter(struct weir_session *);
static void exchange_run(struct weir_session *);
static void exchange_deadline(const struct weir_session *, struct session_deadline *);
static void exchange_expired(struct weir_session *, enum session_reason);
static void exchange_leave(struct weir_session *);
static const char *exchange_explain(const struct weir_session *, enum session_reason);
static bool may_ask(const struct weir_session *);
static bool may_read(const struct weir_session *);
static bool take_buffered(struct weir_session *);
static bool take_read(struct weir_session *);
static size_t ask_all(struct weir_session *, struct weir_span);
static size_t ask_one(struct weir_session *, struct weir_span);
static bool ask(struct weir_session *, struct weir_span, const struct weir_message *);
static void note_partial(struct weir_session *, bool begins);
static void tell_failure(struct weir_session *, const struct framing *, uint32_t kind,
    enum weir_failure);
static bool has_more(const struct weir_session *);
static void replied(struct asker *, struct weir_span, bool last);
static void failed(struct asker *, const struct framing *, uint32_t kind, enum weir_failure,
    bool cut);
static void waits(struct asker *);
static void placed(struct asker *);
static void lost(struct asker *, bool busy);
static const struct addr_packed *from(const struct asker *);

const struct session_mode exchange_mode = {
	.name     = "exchange",
	.enter    = exchange_enter,
	.run      = exchange_run,
	.deadline = exchange_deadline,
	.expired  = exchange_expired,
	.leave    = exchange_leave,
	.explain  = exchange_explain,
};

const struct asker_ops exchange_askers = {
	.reply  = replied,
	.failed = failed,
	.waits  = waits,
	.placed = placed,
	.lost   = lost,
	.from   = from,
};

static struct exchange *
exchange_of(const struct weir_session *s)
{
	return (struct exchange *)(void *)s->state;
}

static struct weir_session *
session_of(const struct asker *a)
{
	return container_of(container_of(a, struct exchange, asker), struct weir_session, state);
}

size_t
exchange_size(const struct weir_exchange *x)
{
	return sizeof(struct exchange) + (x->mem_size + 7) / 8 * 8;
}

static void
exchange_enter(struct weir_session *s)
{
	asker_init(&exchange_of(s)->asker);
}

static void
exchange_run(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	struct conn     *c = &s->client;
	unsigned         share = SESSION_SHARE;

	if (!session_begin_turn(s))
		return;
	while (share-- > 0 && may_read(s))
		if (!(e->stalled ? take_buffered(s) : take_read(s)))
			break;
	if (s->step != STEP_EXCHANGE)
		return;
	/* Who is not read may be gone: an error must be asked for, once; the next
	 * one is told, because `readable` stays. */
	if (c->readable && !e->looked && !may_read(s)) {
		e->looked = true;
		(void)conn_look(c);
	}
	if (!session_end_turn(s))
		return;
	if (may_read(s))
		conn_again(c);
	else if (e->asker.count == 0 && (e->ends != 0 || (c->eof && !e->stalled)))
		session_finish(s, e->ends != 0 ? e->ends : SESSION_CLIENT_CLOSED);
}

/* When its request has waited for pool_wait. */
static void
exchange_deadline(const struct weir_session *s, struct session_deadline *d)
{
	uint64_t since = asker_waits_since(&exchange_of(s)->asker);

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
	asker_give_up(&e->asker, s->server->upstream);
	session_run(s);
}

static void
exchange_leave(struct weir_session *s)
{
	asker_leave(&exchange_of(s)->asker, s->server->upstream);
}

static const char *
exchange_explain(const struct weir_session *s, enum session_reason reason)
{
	return reason == SESSION_REQUEST_FAILED
	    ? upstream_failure_name((enum weir_failure)exchange_of(s)->why)
	    : NULL;
}

/* ------------------------------------------------------------------ requests */

static bool
may_ask(const struct weir_session *s)
{
	const struct asker *a = &exchange_of(s)->asker;

	return a->count < s->server->pipeline_per_client &&
	    server_has_room(s->server, conn_waiting(&s->client)) &&
	    asker_may_ask(a, s->server->upstream);
}

static bool
may_read(const struct weir_session *s)
{
	const struct exchange *e = exchange_of(s);

	return s->step == STEP_EXCHANGE && e->ends == 0 && (s->client.readable || e->stalled) &&
	    may_ask(s);
}

/* What came while it could not be asked. */
static bool
take_buffered(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	size_t           used;

	e->stalled = false;
	used = ask_all(s, buf_span(s->client.in));
	if (s->step != STEP_EXCHANGE)
		return false;
	if (used > 0)
		buf_consume(&s->client.in, used);
	note_partial(s, true);
	return true;
}

/* One read and the requests in it. False: nothing more now. */
static bool
take_read(struct weir_session *s)
{
	struct exchange *e = exchange_of(s);
	struct conn     *c = &s->client;
	size_t           kept = buf_len(c->in), used;
	struct weir_span in;

	e->looked = false;
	in = conn_take(c, s->server->read_buffer);
	if (in.len == 0) {
		if (c->eof) {
			buf_return(&c->in);	/* of a message that has no end */
			s->begun = 0;
		}
		return false;
	}
	session_came(s, in.len - kept);
	e->given_up = false;
	used = ask_all(s, in);
	if (s->step != STEP_EXCHANGE)
		return false;
	if (!conn_keep(c, in, used)) {
		session_close(s, SESSION_NO_MEMORY);
		return false;
	}
	note_partial(s, used > 0);
	return true;
}

/* As many requests as there are and may be asked. Returns their bytes. */
static size_t
ask_all(struct weir_session *s, struct weir_span in)
{
	size_t used = 0, n;

	while (used < in.len) {
		if (!may_ask(s)) {
			exchange_of(s)->stalled = true;
			if (exchange_of(s)->asker.count >= s->server->pipeline_per_client)
				board_add(&s->server->cell[SERVER_PIPELINE_FULL], 1);
			break;
		}
		n = ask_one(s, span_skip(in, used));
		if (n == 0 || s->step != STEP_EXCHANGE)
			break;
		used += n;
	}
	return used;
}

/* Returns its bytes; 0: it is not whole yet, or the last one. */
static size_t
ask_one(struct weir_session *s, struct weir_span in)
{
	struct exchange            *e = exchange_of(s);
	const struct framing       *f = &s->server->framing;
	struct weir_message         m = { .replies = 1 };
	enum weir_parse             parsed = f->exchange->request(f->conf, e->memory, in, &m);

	if ((unsigned)parsed > WEIR_MALFORMED || (parsed == WEIR_WHOLE && m.length == 0)) {
		framing_fault(s->server->protocol_name, "requests");
		parsed = WEIR_MALFORMED;
	}
	if (parsed == WEIR_MALFORMED) {
		e->ends = SESSION_BAD_REQUEST;
		return 0;
	}
	if (parsed == WEIR_WHOLE && m.length <= in.len) {
		parser_reset(f->exchange, e->memory);
		in.len = (size_t)m.length;
		return ask(s, in, &m) ? in.len : 0;
	}
	if (in.len >= s->server->read_buffer || m.length > s->server->read_buffer)
		e->ends = SESSION_TOO_LONG;
	else if (parsed == WEIR_WHOLE)	/* it is parsed again when it is whole */
		parser_reset(f->exchange, e->memory);
	return 0;
}

static bool
ask(struct weir_session *s, struct weir_span message, const struct weir_message *m)
{
	struct exchange      *e = exchange_of(s);
	struct weir_upstream *u = s->server->upstream;
	enum weir_failure     why;

	if (!pool_ask(u, &e->asker, &s->server->framing, message, m, &why)) {
		if (m->replies > 0 || why == WEIR_FAILED_NO_MEMORY)
			tell_failure(s, &s->server->framing, m->kind, why);
	} else if (e->asker.waiting > 0 && e->given_up)
		asker_give_up(&e->asker, u);
	else if (e->asker.waiting > 0)
		session_watch(s);
	return s->step == STEP_EXCHANGE;
}

/* read_timeout runs while a message has begun, and is our fault when stalled. */
static void
note_partial(struct weir_session *s, bool begins)
{
	if (s->client.in == NULL || exchange_of(s)->stalled || exchange_of(s)->ends != 0)
		s->begun = 0;
	else if (s->begun == 0 || begins) {
		s->begun = loop_now();
		session_watch(s);
	}
}

static void
tell_failure(struct weir_session *s, const struct framing *f, uint32_t kind,
    enum weir_failure why)
{
	struct weir_span text = span(NULL, 0);

	exchange_of(s)->why = (uint8_t)why;
	if (why == WEIR_FAILED_NO_MEMORY) {
		session_close(s, SESSION_NO_MEMORY);
		return;
	}
	if (f->exchange->failure != NULL)
		text = f->exchange->failure(f->conf, kind, why);
	if (text.len == 0)
		session_finish(s, SESSION_REQUEST_FAILED);
	else
		replied(&exchange_of(s)->asker, text, false);
}

/* ------------------------------------------------------------------- replies */

static void
replied(struct asker *a, struct weir_span part, bool last)
{
	struct weir_session *s = session_of(a);
	struct conn         *c = &s->client;
	bool                 alone = last && a->count == 0 && c->out == NULL;
	uint64_t             most = s->server->upstream->reply_max;

	session_went(s, part.len);
	/* Nothing can come behind it in this pass: then it need not wait for more. */
	if (!(alone || part.len >= GATHER_MAX ? conn_send(c, part) : conn_gather(c, part)) ||
	    (conn_waiting(c) > most && !conn_flush(c)))
		session_close(s, session_failure(c, SESSION_CLIENT_FAILED));
	else if (conn_waiting(c) > most)
		session_close(s, SESSION_SLOW_READER);
	else if (!alone || has_more(s))
		conn_again(c);
}

/* Whether a turn would find something to do, after a reply has gone. */
static bool
has_more(const struct weir_session *s)
{
	const struct conn *c = &s->client;

	return c->in != NULL || c->out != NULL || c->readable || c->eof || s->blocked != 0 ||
	    exchange_of(s)->ends != 0;
}

static void
failed(struct asker *a, const struct framing *f, uint32_t kind, enum weir_failure why, bool cut)
{
	struct weir_session *s = session_of(a);

	if (cut)
		session_finish(s, SESSION_PEER_FAILED);
	else
		tell_failure(s, f, kind, why);
}

static void
waits(struct asker *a)
{
	session_watch(session_of(a));
}

static void
placed(struct asker *a)
{
	conn_again(&session_of(a)->client);
}

static void
lost(struct asker *a, bool busy)
{
	session_finish(session_of(a), busy ? SESSION_REQUEST_FAILED : SESSION_PEER_CLOSED);
}

static const struct addr_packed *
from(const struct asker *a)
{
	return &session_of(a)->from;
}
