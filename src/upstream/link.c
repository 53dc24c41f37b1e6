/* SPDX-License-Identifier: BSD-2-Clause */
/* link: one pooled connection to a peer: requests out, replies back, in order. */
#include "upstream/link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "upstream/pool.h"
#include "upstream/share.h"
#include "upstream/source.h"

static void link_ready(struct conn *);
static void link_expired(struct conn *);
static void link_describe(const void *link, char *out, size_t size);
static int link_dial(struct dial *);
static bool connected(struct link *);
static void receive(struct link *);
static bool receive_once(struct link *);
static size_t take_replies(struct link *, struct weir_span);
static size_t take_reply(struct link *, struct request *, struct weir_span);
static void bad_reply(struct link *);
static void pass_on(struct link *, struct request *, struct weir_span part);
static void finish(struct link *, struct request *, struct weir_span last);
static void finish_silent(struct link *);
static void transmit(struct link *);
static void settle(struct link *);
static void ended(struct link *);
static void part(struct link *);
static void dissolve(struct link *, enum weir_failure);
static void close_now(struct link *);
static void report(struct link *, enum weir_failure, int error);
static void give_requests(struct link *, struct buf **unsent, enum weir_failure);
static uint64_t deadline(const struct link *);
static void watch(struct link *);
static void free_closed(void);

static const struct conn_handler handler = {
	.ready   = link_ready,
	.expired = link_expired,
};

static struct {
	struct slab slab;
	struct node closed;	/* to be freed after the pass */
} links;

void
links_start(void)
{
	slab_init(&links.slab, sizeof(struct link));
	list_init(&links.closed);
	loop_on_pass_end(free_closed);
}

void
links_stop(void)
{
	free_closed();
	slab_finish(&links.slab);
}

struct link *
link_open(struct pool *p, const struct weir_attempt *a, bool *blamed)
{
	struct weir_upstream *u = p->peer->upstream;
	struct link          *l = slab_take(&links.slab);
	struct log_subject    outer;

	*blamed = false;
	if (l == NULL)
		return NULL;
	l->pool = p;
	list_init(&l->requests);
	outer = log_about((struct log_subject){ link_describe, l });
	if (dial_start(&l->dial, &l->conn, &handler, link_dial, u->connect_timeout) !=
	    DIAL_GOING) {
		*blamed = peer_refused(p->peer, l->dial.error, loop_now());
		log_about(outer);
		slab_give(&links.slab, l);
		return NULL;
	}
	log_about(outer);
	l->since = loop_now();
	l->probing = a->probes ? a->now : 0;
	l->expires = UINT64_MAX;
	/* Up to a tenth earlier, so that not all go at once. */
	if (u->pool_lifetime > 0)
		l->expires = l->since + u->pool_lifetime -
		    ((uintptr_t)l / sizeof *l * 2654435761u ^ l->since) %
			(u->pool_lifetime / 10 + 1);
	list_append(&p->links, &l->node);
	p->count++;
	p->connecting++;
	watch(l);
	return l;
}

static int
link_dial(struct dial *d)
{
	const struct weir_peer *peer = container_of(d, struct link, dial)->pool->peer;

	return upstream_connect(peer->upstream, peer);
}

bool
link_put(struct link *l, struct request *r, struct weir_span bytes)
{
	struct weir_peer *peer = l->pool->peer;

	/* As large as it was last time, rather than grown step by step. */
	if (l->out == NULL && l->usual > bytes.len && buf_reserve(&l->out, l->usual) == NULL)
		return false;
	if (buf_append(&l->out, bytes) < 0)
		return false;
	if (buf_len(l->out) >= LINK_OUT_MAX)
		board_add(&peer->cell[PEER_LINKS_STUFFED], 1);
	r->length = (uint32_t)bytes.len;
	r->end = l->sent + buf_len(l->out);
	r->since = loop_now();
	list_append(&l->requests, &r->of_link);
	board_add(&peer->cell[PEER_IN_FLIGHT], 1);
	board_add(&peer->cell[PEER_REQUESTS], 1);
	if (l->depth++ == 0)
		watch(l);
	conn_again(&l->conn);	/* with what others ask in this pass */
	return true;
}

void
link_drain(struct link *l, unsigned counter)
{
	struct pool *p = l->pool;

	if (l->state >= LINK_DRAINING)
		return;
	assert(l->state == LINK_OPEN || l->depth == 0);
	board_add(&p->peer->cell[counter], 1);
	if (l->state == LINK_CONNECTING) {
		close_now(l);
		return;
	}
	l->state = LINK_DRAINING;
	p->draining++;
	if (p->filling == l)
		p->filling = NULL;
	if (l->depth == 0)
		part(l);
}

void
link_break(struct link *l, enum weir_failure why, int error)
{
	struct weir_upstream *u = l->pool->peer->upstream;
	struct log_subject    outer;
	struct asker         *lent = l->lent;
	bool                  busy = l->depth > 0;

	if (l->state == LINK_CLOSED)
		return;
	outer = log_about((struct log_subject){ link_describe, l });
	report(l, why, error);
	dissolve(l, why);
	if (lent != NULL && lent->link == l)
		lent->link = NULL;
	if (lent != NULL && l->sent > 0)
		pools.ops->lost(lent, busy);
	log_about(outer);
	pool_serve(u);
}

void
link_abandon(struct link *l)
{
	struct weir_upstream *u = l->pool->peer->upstream;

	dissolve(l, WEIR_FAILED_PEER_CLOSED);
	pool_serve(u);
}

/* Closes it, and does what is to be done with its requests. */
static void
dissolve(struct link *l, enum weir_failure why)
{
	struct buf *unsent = l->out;

	l->out = NULL;
	l->lent = NULL;
	close_now(l);
	give_requests(l, &unsent, why);
}

/* ------------------------------------------------------------------- events */

static void
link_ready(struct conn *c)
{
	struct link       *l = container_of(c, struct link, conn);
	struct log_subject outer;

	if (l->state == LINK_CLOSED)
		return;
	outer = log_about((struct log_subject){ link_describe, l });
	if (l->state != LINK_CONNECTING || connected(l)) {
		receive(l);
		/* What is queued has its turn later in this pass, with what is
		 * asked until then. */
		if (l->state != LINK_CLOSED && !node_linked(&c->task.link))
			transmit(l);
		if (l->state != LINK_CLOSED)
			settle(l);
	}
	log_about(outer);
}

static bool
connected(struct link *l)
{
	enum dial_state state = dial_check(&l->dial);

	if (state == DIAL_FAILED)
		link_break(l, WEIR_FAILED_CONNECT, l->dial.error);
	if (state != DIAL_DONE)
		return false;
	peer_report(l->pool->peer, PEER_REACHED, 0, loop_now());
	l->pool->connecting--;
	l->state = LINK_OPEN;
	l->since = loop_now();
	watch(l);
	return true;
}

static void
receive(struct link *l)
{
	unsigned share = LINK_SHARE;

	while (l->state != LINK_CLOSED && l->conn.readable)
		if (share-- == 0) {
			conn_again(&l->conn);
			break;
		} else if (!receive_once(l))
			break;
	if (l->state != LINK_CLOSED && (l->conn.eof || l->conn.broken))
		ended(l);
}

/* One read. False: nothing more now. */
static bool
receive_once(struct link *l)
{
	struct conn     *c = &l->conn;
	size_t           kept = buf_len(c->in), used;
	struct weir_span in = conn_take(c, loop_scratch_size());

	if (in.len == 0)
		return false;
	l->heard = loop_now();
	board_add(&l->pool->peer->cell[PEER_BYTES_RECEIVED], in.len - kept);
	used = take_replies(l, in);
	if (l->state == LINK_CLOSED)
		return false;
	if (in.len - used >= loop_scratch_size()) {
		bad_reply(l);
		return false;
	}
	if (conn_keep(c, in, used))
		return true;
	link_break(l, WEIR_FAILED_NO_MEMORY, ENOMEM);
	return false;
}

/* As many whole replies as there are, and what has come of a long one. Returns how
 * many bytes are done with. */
static size_t
take_replies(struct link *l, struct weir_span in)
{
	struct node    *first;
	struct request *r;
	size_t          used = 0, n;

	while (used < in.len && l->state != LINK_CLOSED) {
		first = list_first(&l->requests);
		r = first != NULL ? container_of(first, struct request, of_link) : NULL;
		/* Nobody has asked for it, or nobody yet. */
		if (r == NULL || r->end > l->sent) {
			board_add(&l->pool->peer->cell[PEER_UNSOLICITED], 1);
			log_info("closed: bytes that nobody had asked for");
			link_break(l, WEIR_FAILED_BAD_REPLY, EPROTO);
			break;
		}
		if ((n = take_reply(l, r, span_skip(in, used))) == 0)
			break;
		used += n;
	}
	return used;
}

/* How many bytes of it are this reply's; 0: it is not whole yet, or no reply. */
static size_t
take_reply(struct link *l, struct request *r, struct weir_span in)
{
	const struct framing *f = r->framing;
	struct weir_message   m = { .length = l->passing };
	enum weir_parse       parsed = WEIR_WHOLE;
	size_t                n;

	if (l->passing == 0)
		parsed = f->exchange->reply(f->conf, l->memory, r->kind, in, &m);
	if (parsed == WEIR_MORE)
		return 0;
	if (parsed != WEIR_WHOLE || m.length == 0) {
		if (parsed != WEIR_MALFORMED)
			framing_fault(l->pool->peer->upstream->framed_by->name, "replies");
		bad_reply(l);
		return 0;
	}
	parser_reset(f->exchange, l->memory);
	if (!l->answered) {
		l->answered = true;
		peer_report(l->pool->peer, PEER_ANSWERED, 0, loop_now());
	}
	n = m.length < in.len ? (size_t)m.length : in.len;
	l->passing = m.length - n;
	pass_on(l, r, span(in.data, n));
	return n;
}

static void
bad_reply(struct link *l)
{
	board_add(&l->pool->peer->cell[PEER_BAD_REPLIES], 1);
	log_info("closed: what it sends is no reply");
	link_break(l, WEIR_FAILED_BAD_REPLY, EPROTO);
}

/* A part of the reply, or all of it. */
static void
pass_on(struct link *l, struct request *r, struct weir_span part)
{
	if (l->passing == 0 && --r->replies == 0) {
		finish(l, r, part);
		finish_silent(l);
		return;
	}
	r->begun = true;
	if (r->asker != NULL)
		pools.ops->reply(r->asker, part, false);
}

/* The first request is done: this is the end of its reply. */
static void
finish(struct link *l, struct request *r, struct weir_span last)
{
	struct weir_peer *peer = l->pool->peer;
	struct asker     *asker;

	node_unlink(&r->of_link);
	l->depth--;
	peer->full = false;
	board_give(peer->board, PEER_IN_FLIGHT, peer->upstream->seat);
	asker = request_detach(r);
	request_free(r);
	if (asker != NULL)
		pools.ops->reply(asker, last, true);
	else if (last.len > 0)
		board_add(&peer->upstream->cell[UPSTREAM_ORPHANED], 1);
}

/* Those that have no reply are done when they are sent and it is their turn. */
static void
finish_silent(struct link *l)
{
	struct node    *first;
	struct request *r;

	while (l->state != LINK_CLOSED && (first = list_first(&l->requests)) != NULL) {
		r = container_of(first, struct request, of_link);
		if (r->replies > 0 || r->end > l->sent)
			break;
		finish(l, r, span(NULL, 0));
	}
}

static void
transmit(struct link *l)
{
	size_t n;

	if (l->out == NULL)
		return;
	l->usual = (uint32_t)buf_len(l->out);
	n = conn_push(&l->conn, buf_span(l->out));
	buf_consume(&l->out, n);
	l->sent += n;
	board_add(&l->pool->peer->cell[PEER_BYTES_SENT], n);
	finish_silent(l);
	/* What it had sent before it went is there to be read, and then its end. */
	if (l->state != LINK_CLOSED && l->conn.write_shut)
		receive(l);
}

/* After a turn: what has come of it. */
static void
settle(struct link *l)
{
	struct weir_upstream *u = l->pool->peer->upstream;

	if (l->depth == 0) {
		if (!l->parting)
			l->since = loop_now();
		if (l->state == LINK_DRAINING)
			part(l);
		else
			watch(l);
	} else if (l->conn.unsure)
		watch(l);
	if (u->queued > 0)
		pool_serve(u);
}

/* ---------------------------------------------------------------------- ends */

/* The peer has ended it. Of an idle link that is its right. */
static void
ended(struct link *l)
{
	if (l->parting) {
		link_abandon(l);
		return;
	}
	if (l->depth == 0 && l->conn.in == NULL)
		board_add(&l->pool->peer->cell[PEER_LINKS_CLOSED_BY_PEER], 1);
	link_break(l, WEIR_FAILED_PEER_CLOSED, l->conn.error);
}

/* Its tokens are free when the peer has ended it, too: so the peer never counts more
 * links than there may be, though another is opened at once. */
static void
part(struct link *l)
{
	if (l->parting)
		return;
	l->parting = true;
	l->since = loop_now();
	conn_finish(&l->conn);
	watch(l);
}

/* Gives back all but the requests; the memory goes after the pass. */
static void
close_now(struct link *l)
{
	struct pool *p = l->pool;

	if (l->state == LINK_CONNECTING)
		p->connecting--;
	if (l->state == LINK_DRAINING)
		p->draining--;
	l->state = LINK_CLOSED;
	if (p->filling == l)
		p->filling = NULL;
	if (l->probing != 0 && !l->answered) {
		struct weir_attempt a = { .now = l->probing, .probes = true };

		peer_unreported(p->peer, &a);
	}
	dial_cancel(&l->dial);
	conn_close(&l->conn);
	buf_return(&l->out);
	node_unlink(&l->node);
	list_append(&links.closed, &l->node);
	p->count--;
	p->peer->full = false;
	share_give(p);
}

/* What follows for the peer from a link that breaks. */
static void
report(struct link *l, enum weir_failure why, int error)
{
	struct weir_peer *peer = l->pool->peer;
	const char       *what = error != 0 ? strerror(error) : "closed by the peer";

	if (why == WEIR_FAILED_REPLY_TIMEOUT) {
		what = "no reply within reply_timeout";
		board_add(&peer->cell[PEER_REPLY_TIMEOUTS], 1);
	}
	if (l->state == LINK_CONNECTING)
		peer_report(peer, error == ETIMEDOUT ? PEER_TIMED_OUT : PEER_REFUSED, error,
		    loop_now());
	else if (!l->answered && l->depth > 0 && l->sent > 0 && why != WEIR_FAILED_BAD_REPLY)
		peer_report(peer, PEER_BROKE, error != 0 ? error : ECONNRESET, loop_now());
	else {
		if (l->depth > 0 && why != WEIR_FAILED_BAD_REPLY)
			log_info("%s, requests in flight: %u", what, l->depth);
		return;
	}
	l->probing = 0;
	log_info("%s%s", l->state == LINK_CONNECTING ? "connect: " : "", what);
}

/* Its requests: what was sent fails, what was not goes elsewhere; but not from a
 * link that was lent and used: what the peer knew of the asker is gone with it. */
static void
give_requests(struct link *l, struct buf **unsent, enum weir_failure why)
{
	struct weir_peer     *peer = l->pool->peer;
	struct weir_upstream *u = peer->upstream;
	struct weir_span      rest = buf_span(*unsent);
	bool                  connecting = why == WEIR_FAILED_CONNECT;
	bool                  move = u->mode != POOL_SESSION || l->sent == 0;
	struct node          *n, *following;
	struct request       *r;

	list_each(n, following, &l->requests) {
		r = container_of(n, struct request, of_link);
		if (r->asker != NULL)
			r->asker->link = NULL;
	}
	while ((n = list_first(&l->requests)) != NULL) {
		r = container_of(n, struct request, of_link);
		node_unlink(&r->of_link);
		l->depth--;
		board_give(peer->board, PEER_IN_FLIGHT, u->seat);
		if (r->asker == NULL)
			request_free(r);
		else if (move && r->end - r->length >= l->sent)
			request_move(r, u,
			    span(rest.data + (r->end - r->length - l->sent), r->length),
			    connecting ? peer : NULL);
		else
			request_fail(r, u, why, r->begun);
		why = WEIR_FAILED_PEER_CLOSED;
	}
	buf_return(unsent);
}

/* ----------------------------------------------------------------- deadlines */

/* When the first request's reply is overdue; UINT64_MAX: there is none. */
static uint64_t
reply_due(const struct link *l)
{
	uint64_t              timeout = l->pool->peer->upstream->reply_timeout;
	const struct node    *first = list_first(&l->requests);
	const struct request *r;

	if (first == NULL || timeout == 0)
		return UINT64_MAX;
	r = container_of(first, struct request, of_link);
	return (r->since > l->since ? r->since : l->since) + timeout;
}

static uint64_t
idle_due(const struct link *l)
{
	uint64_t timeout = l->pool->peer->upstream->pool_idle_timeout;

	return l->depth == 0 && l->lent == NULL && timeout > 0 ? l->since + timeout : UINT64_MAX;
}

/* A reset may hide behind what was read last (see `unsure` of net/conn). Of an idle
 * link it is found when it is used: then nothing has been sent. */
static uint64_t
look_due(const struct link *l)
{
	return l->conn.unsure && l->depth > 0 ? l->heard + LINK_LOOK : UINT64_MAX;
}

static uint64_t
deadline(const struct link *l)
{
	uint64_t at;

	if (l->state == LINK_CONNECTING)
		return l->dial.give_up;
	if (l->parting)
		return l->since + LINK_PARTING;
	at = l->depth > 0 ? reply_due(l) : idle_due(l);
	if (look_due(l) < at)
		at = look_due(l);
	return at < l->expires || l->state == LINK_DRAINING ? at : l->expires;
}

static void
watch(struct link *l)
{
	uint64_t at = deadline(l);

	if (at != UINT64_MAX && (!timer_armed(&l->conn.timer) || at < l->conn.timer.at))
		conn_arm(&l->conn, at);
}

static void
link_expired(struct conn *c)
{
	struct link *l = container_of(c, struct link, conn);
	uint64_t     now = loop_now();

	if (l->state == LINK_CLOSED)
		return;
	if (l->state == LINK_CONNECTING && now >= deadline(l))
		link_ready(c);
	else if (l->parting) {
		if (now >= deadline(l))
			link_abandon(l);
	} else if (l->state != LINK_CONNECTING && now >= reply_due(l))
		link_break(l, WEIR_FAILED_REPLY_TIMEOUT, ETIMEDOUT);
	else if (now >= look_due(l)) {
		c->unsure = false;
		c->readable = true;
		link_ready(c);
	} else if (now >= l->expires && l->lent == NULL)
		link_drain(l, PEER_LINKS_CLOSED_LIFETIME);
	else if (now >= idle_due(l) && l->pool->count > l->pool->kept)
		link_drain(l, PEER_LINKS_CLOSED_IDLE);
	else if (now >= idle_due(l))
		l->since = now;
	if (l->lent != NULL && now >= l->expires)
		l->expires = UINT64_MAX;	/* it ends with its asker's stay */
	if (l->state != LINK_CLOSED)
		watch(l);
}

static void
free_closed(void)
{
	struct node *n;

	while ((n = list_first(&links.closed)) != NULL) {
		node_unlink(n);
		slab_give(&links.slab, container_of(n, struct link, node));
	}
}

static void
link_describe(const void *link, char *out, size_t size)
{
	const struct link *l = link;

	snprintf(out, size, ", upstream %s, peer %s", l->pool->peer->upstream->name,
	    l->pool->peer->name);
}
