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
#include "upstream/peer_handshake.h"
#include "upstream/roster.h"
#include "upstream/source.h"
#include "upstream/upstream.h"

static void     link_ready(struct conn *);
static void     link_expired(struct conn *);
static int      link_dial(struct dial *);
static struct dial_tls *link_dial_tls(struct dial *);
static ssize_t  link_dial_preface(struct dial *, char out[PROXY_HEADER_OUT_MAX]);
static bool     link_put_preface(struct link *, const struct requester *);
static bool     link_connected(struct link *);
static void     link_receive(struct link *);
static bool     link_receive_once(struct link *);
static size_t   link_take_replies(struct link *, struct weir_span);
static size_t   link_take_reply(struct link *, struct request *, struct weir_span);
static void     link_unsolicited(struct link *);
static void     link_bad_reply(struct link *);
static void     link_pass_on(struct link *, struct request *, struct weir_span part);
static void     link_answer(struct link *, struct request *, struct weir_span last);
static void     link_unpin(struct link *);
static void     link_answer_silent(struct link *);
static void     link_discard(struct link *);
static void     link_transmit(struct link *);
static bool     link_has_ended(struct link *);
static void     link_fail(struct link *, enum weir_failure, int error);
static void     link_settle(struct link *);
static void     link_break(struct link *);
static void     link_part(struct link *);
static void     link_close(struct link *);
static void     link_report(struct link *, enum weir_failure);
static void     link_give_back(struct link *, struct buf **unsent, enum weir_failure,
    const struct weir_peer *failed);
static struct request *link_pop(struct link *);
static uint64_t link_parting_time(const struct link *);
static uint64_t link_deadline(const struct link *);
static void     link_watch(struct link *);
static void     link_look(struct link *);
static void     link_free_closed(void);
static void     link_describe(const void *link, char *out, size_t size);

static const struct conn_handler link_handler = {
	.ready   = link_ready,
	.expired = link_expired,
};

static const struct dial_ops link_dial_ops = {
	.connect = link_dial,
	.tls     = link_dial_tls,
	.preface = link_dial_preface,
};

static struct {
	const struct link_ops *ops;
	struct slab            slab;
	struct node            closed;	/* to be freed after the pass */
} links;

void
links_start(const struct link_ops *ops)
{
	links.ops = ops;
	slab_init(&links.slab, sizeof(struct link));
	list_init(&links.closed);
	loop_on_pass_end(link_free_closed);
}

void
links_stop(void)
{
	link_free_closed();
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
	if (dial_start(&l->dial, &l->conn, &link_handler, &link_dial_ops, &p->peer->addr,
		u->connect_timeout) != DIAL_GOING) {
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
	link_watch(l);
	return l;
}

static int
link_dial(struct dial *d)
{
	const struct weir_peer *peer = container_of(d, struct link, dial)->pool->peer;

	return source_connect(peer->upstream, peer);
}

static struct dial_tls *
link_dial_tls(struct dial *d)
{
	return container_of(d, struct link, dial)->pool->peer->tls;
}

/* Nobody has the link when there was no memory for the request that it was opened for. */
static ssize_t
link_dial_preface(struct dial *d, char out[PROXY_HEADER_OUT_MAX])
{
	const struct link *l = container_of(d, struct link, dial);
	enum proxy_version version = l->pool->peer->upstream->send_proxy;

	if (version == PROXY_OFF)
		return 0;
	if (l->borrower == NULL) {
		errno = ENOMEM;
		return -1;
	}
	return (ssize_t)requester_ops->preface(l->borrower, version, out);
}

bool
link_put(struct link *l, struct request *r, struct weir_span bytes)
{
	struct weir_peer *peer = l->pool->peer;

	if (peer->upstream->send_proxy != PROXY_OFF && peer->tls == NULL && l->sent == 0 &&
	    !link_put_preface(l, r->requester))
		return false;
	/* As large as it was last time, rather than grown step by step. */
	if (l->out == NULL && l->usual > bytes.len && buf_reserve(&l->out, l->usual) == NULL)
		return false;
	if ((r->flags & REQUEST_SAFE) != 0 && r->bytes == NULL && buf_append(&r->bytes, bytes) < 0)
		return false;
	if (buf_append(&l->out, bytes) < 0)
		return false;
	if (buf_len(l->out) >= LINK_OUT_MAX)
		board_add(&peer->cell[PEER_LINKS_STUFFED], 1);
	if (r->state != REQUEST_SENT)
		request_enter(r, REQUEST_SENT);
	if ((r->flags & REQUEST_SAFE) == 0)
		buf_return(&r->bytes);	/* it has been QUEUED */
	if ((r->flags & REQUEST_KEYED) == 0) {
		r->requester->link = l;
		r->requester->flight++;
	}
	r->length = (uint32_t)bytes.len;
	r->end = l->sent + buf_len(l->out);
	r->since = loop_now();
	r->started = peer_clock(peer);
	list_append(&l->requests, &r->of_link);
	board_add(&peer->cell[PEER_IN_FLIGHT], 1);
	peer_begin(peer);
	board_add(&peer->cell[PEER_REQUESTS], 1);
	if (l->depth++ == 0)
		link_watch(l);
	conn_again(&l->conn);	/* with what others ask in this pass */
	return true;
}

/* In front of its requester's first request; nobody else ever uses the link
 * (POOL_SESSION). What lies there of a request that memory was short for is not sent. */
static bool
link_put_preface(struct link *l, const struct requester *q)
{
	char   header[PROXY_HEADER_OUT_MAX];
	size_t n;

	if (l->depth > 0)
		return true;	/* it is there */
	buf_return(&l->out);
	n = requester_ops->preface(q, l->pool->peer->upstream->send_proxy, header);
	return buf_append(&l->out, span_make(header, n)) == 0;
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
		link_close(l);
		return;
	}
	l->state = LINK_DRAINING;
	p->leaving++;
	if (p->filling == l)
		p->filling = NULL;
	if (l->depth == 0)
		link_part(l);
}

void
link_release(struct link *l)
{
	l->borrower = NULL;
	if (l->state == LINK_CONNECTING) {
		link_abandon(l);
		return;
	}
	l->busy = l->depth > 0;
	while (l->depth > 0)
		request_finish(link_pop(l));
	if (l->state == LINK_OPEN) {
		l->state = LINK_DRAINING;
		l->pool->leaving++;
	}
	if (l->state == LINK_DRAINING)
		link_part(l);
}

void
link_abandon(struct link *l)
{
	l->borrower = NULL;
	while (l->depth > 0)
		request_finish(link_pop(l));
	link_close(l);
}

void
link_depart(struct link *l)
{
	l->borrower->link = NULL;
	l->borrower = NULL;
	l->departed = true;
	link_close(l);
}

struct link *
link_restore(struct pool *p, int fd, struct requester *q)
{
	struct link *l = slab_take(&links.slab);

	if (l == NULL || conn_adopt(&l->conn, fd, &link_handler) < 0) {
		slab_give(&links.slab, l);
		return NULL;
	}
	l->pool = p;
	list_init(&l->requests);
	l->state = LINK_OPEN;
	l->since = l->idle.heard = loop_now();
	l->expires = UINT64_MAX;
	l->sent = 1;		/* something has been: the peer knows its client */
	l->answered = true;
	l->borrower = q;
	q->link = l;
	list_append(&p->links, &l->node);
	p->count++;
	return l;
}

/* ------------------------------------------------------------------- events */

static void
link_ready(struct conn *c)
{
	struct link       *l = container_of(c, struct link, conn);
	struct log_subject outer = log_about((struct log_subject){ link_describe, l });

	if (l->state == LINK_PARTING)
		link_discard(l);
	else if (l->state != LINK_CONNECTING || link_connected(l)) {
		link_receive(l);
		/* What is queued has its turn later in this pass, with what is
		 * asked until then. */
		if (l->fault == 0 && !node_linked(&c->task.link))
			link_transmit(l);
	}
	link_settle(l);
	log_about(outer);
}

static bool
link_connected(struct link *l)
{
	enum dial_state state = dial_check(&l->dial);

	if (state == DIAL_FAILED)
		link_fail(l, WEIR_FAILED_CONNECT, l->dial.error);
	else if (state == DIAL_GOING && l->dial.secures)
		link_watch(l);
	if (state != DIAL_DONE)
		return false;
	peer_report(l->pool->peer, PEER_REACHED, 0, loop_now());
	peer_handshake_done(l->pool->peer, &l->dial);
	source_settle(l->pool->peer->upstream, l->pool->peer, conn_fd(&l->conn));
	l->pool->connecting--;
	l->state = LINK_OPEN;
	l->since = l->idle.heard = loop_now();
	link_watch(l);
	return true;
}

static void
link_receive(struct link *l)
{
	unsigned share = LINK_SHARE;

	while (l->conn.readable)
		if (share-- == 0) {
			conn_again(&l->conn);
			return;
		} else if (!link_receive_once(l))
			break;
	if (l->fault != 0 || (!l->conn.eof && !l->conn.broken))
		return;
	/* To end an idle link is the peer's right. */
	if (l->depth == 0 && l->conn.in == NULL)
		board_add(&l->pool->peer->cell[PEER_LINKS_CLOSED_BY_PEER], 1);
	link_fail(l, WEIR_FAILED_PEER_CLOSED, l->conn.error);
}

/* One read. False: nothing more now. */
static bool
link_receive_once(struct link *l)
{
	struct conn     *c = &l->conn;
	size_t           kept = buf_len(c->in), used;
	struct weir_span in = conn_take(c, loop_scratch_size());

	if (in.len == 0)
		return false;
	idle_heard(&l->idle, loop_now());
	board_add(&l->pool->peer->cell[PEER_BYTES_RECEIVED], in.len - kept);
	used = link_take_replies(l, in);
	if (l->fault == 0 && in.len - used >= loop_scratch_size())
		link_bad_reply(l);
	if (l->fault == 0 && !conn_keep(c, in, used))
		link_fail(l, WEIR_FAILED_NO_MEMORY, ENOMEM);
	return l->fault == 0;
}

/* As many whole replies as there are, and what has come of a long one. Returns how
 * many bytes are done with. */
static size_t
link_take_replies(struct link *l, struct weir_span in)
{
	struct node    *first;
	struct request *r;
	size_t          used = 0, n;

	while (used < in.len) {
		first = list_first(&l->requests);
		r = first != NULL ? container_of(first, struct request, of_link) : NULL;
		/* Nobody has asked for it, or nobody yet. */
		if (r == NULL || r->end > l->sent) {
			link_unsolicited(l);
			break;
		}
		if ((n = link_take_reply(l, r, span_skip(in, used))) == 0)
			break;
		used += n;
	}
	return used;
}

/* How many bytes of it are this reply's; 0: it is not whole yet, or no reply. */
static size_t
link_take_reply(struct link *l, struct request *r, struct weir_span in)
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
		link_bad_reply(l);
		return 0;
	}
	framing_reset_parser(f->exchange, l->memory);
	if (!l->answered) {
		l->answered = true;
		peer_report(l->pool->peer, PEER_ANSWERED, 0, loop_now());
	}
	n = m.length < in.len ? (size_t)m.length : in.len;
	l->passing = m.length - n;
	link_pass_on(l, r, span_make(in.data, n));
	return n;
}

/* More replies than requests: whoever asked last has likely sent what the protocol
 * takes for one message and the peer for several. */
static void
link_unsolicited(struct link *l)
{
	struct weir_upstream *u = l->pool->peer->upstream;

	board_add(&l->pool->peer->cell[PEER_UNSOLICITED], 1);
	log_info("closed: bytes that nobody had asked for");
	link_fail(l, WEIR_FAILED_BAD_REPLY, EPROTO);
	if (!loop_complain(&u->complained_unsolicited))
		return;
	if (l->asked_in == NULL && !l->answered)
		log_warn("the peer speaks before it is asked, which %s cannot carry, and its "
			 "connection is closed: protocol = stream_proxy can",
		    u->framed_by->name);
	else
		framing_complain(u->framed_by->name, l->asked_in, l->asked_kind, &l->asked_by);
}

static void
link_bad_reply(struct link *l)
{
	board_add(&l->pool->peer->cell[PEER_BAD_REPLIES], 1);
	log_info("closed: what it sends is no reply");
	link_fail(l, WEIR_FAILED_BAD_REPLY, EPROTO);
}

/* A part of the reply, or all of it. */
static void
link_pass_on(struct link *l, struct request *r, struct weir_span part)
{
	if (l->passing == 0 && --r->replies == 0) {
		link_answer(l, r, part);
		link_answer_silent(l);
	} else
		(void)request_reply(r, part, false);
}

/* The first request is done: this is the end of its reply. */
static void
link_answer(struct link *l, struct request *r, struct weir_span last)
{
	struct weir_peer *peer = l->pool->peer;

	(void)link_pop(l);
	roster_set_full(peer, false);
	peer_done(peer, WEIR_REQUEST_ANSWERED, r->started);
	if (l->depth == 0 && r->requester != NULL) {
		l->asked_by = *requester_ops->from(r->requester);
		l->asked_in = r->framing;
		l->asked_kind = r->kind;
	}
	if ((r->flags & REQUEST_UNPIN) != 0 && r->requester != NULL &&
	    l->borrower == r->requester && peer->upstream->mode != POOL_SESSION)
		link_unpin(l);
	if (!request_reply(r, last, true) && last.len > 0)
		board_add(&peer->upstream->cell[UPSTREAM_ORPHANED], 1);
}

static void
link_unpin(struct link *l)
{
	if (l->borrower->flight == 0)
		l->borrower->link = NULL;
	l->borrower = NULL;
	/* What it was spared meanwhile (link_expired). */
	if (l->expires == UINT64_MAX && l->pool->peer->upstream->pool_lifetime > 0)
		l->expires = loop_now();
}

/* Those that have no reply are done when they are sent and it is their turn. */
static void
link_answer_silent(struct link *l)
{
	struct node    *first;
	struct request *r;

	while ((first = list_first(&l->requests)) != NULL) {
		r = container_of(first, struct request, of_link);
		if (r->replies > 0 || r->end > l->sent)
			break;
		link_answer(l, r, span_make(NULL, 0));
	}
}

/* PARTING: what comes is of no use any more. */
static void
link_discard(struct link *l)
{
	unsigned share = LINK_SHARE;

	link_transmit(l);
	while (l->conn.readable && conn_read(&l->conn, loop_scratch(), loop_scratch_size()) > 0)
		if (share-- == 0) {
			conn_again(&l->conn);
			break;
		}
}

static void
link_transmit(struct link *l)
{
	size_t n;

	if (l->out == NULL || link_has_ended(l))
		return;
	l->usual = (uint32_t)buf_len(l->out);
	n = conn_push(&l->conn, buf_span(l->out));
	buf_consume(&l->out, n);
	l->sent += n;
	board_add(&l->pool->peer->cell[PEER_BYTES_SENT], n);
	link_answer_silent(l);
	/* What it had sent before it went is there to be read, and then its end. */
	if (l->conn.write_shut && l->state != LINK_PARTING)
		link_receive(l);
}

/* Between the last wait for events and now the peer may have ended what was idle for long. */
static bool
link_has_ended(struct link *l)
{
	const struct request *first = container_of(l->requests.next, struct request, of_link);

	if (l->state != LINK_OPEN || loop_now() < l->idle.heard + IDLE_LEAST || l->depth == 0 ||
	    first->end - first->length < l->sent)
		return false;
	l->conn.readable = true;
	link_receive(l);
	return l->fault != 0;
}

/* It breaks, but not under the feet of what is under way: at the end of the turn. */
static void
link_fail(struct link *l, enum weir_failure why, int error)
{
	if (l->fault != 0)
		return;
	l->fault = (uint8_t)(why + 1);
	l->error = (uint16_t)error;
}

/* The end of a turn: what has come of it. */
static void
link_settle(struct link *l)
{
	struct conn *c = &l->conn;

	if (l->state == LINK_PARTING) {
		if (l->out == NULL)
			conn_finish(c);
		if (c->eof || c->broken || c->write_shut)
			link_close(l);
	} else if (l->fault != 0)
		link_break(l);
	else if (l->depth == 0 && l->state == LINK_DRAINING)
		link_part(l);
	else if (l->depth == 0) {
		l->since = loop_now();
		link_watch(l);
	}
	links.ops->settled(l);
}

/* ---------------------------------------------------------------------- ends */

/* It is of no use any more: what was sent fails, what was not goes elsewhere. */
static void
link_break(struct link *l)
{
	enum weir_failure why = (enum weir_failure)(l->fault - 1);
	struct requester *borrower = l->borrower;
	struct weir_peer *failed = NULL;
	struct buf       *unsent = l->out;
	bool              busy = l->depth > 0, used = l->sent > 0;

	link_report(l, why);
	if (why == WEIR_FAILED_CONNECT && !l->starved)
		failed = l->pool->peer;
	l->out = NULL;
	l->borrower = NULL;
	if (borrower != NULL) {		/* what is moved may find him another */
		borrower->link = NULL;
		borrower->flight = 0;
	}
	link_close(l);
	link_give_back(l, &unsent, why, failed);
	if (borrower != NULL && used)
		requester_ops->lost(borrower, busy);
}

/* Its tokens are free when the peer has ended it, too. */
static void
link_part(struct link *l)
{
	l->state = LINK_PARTING;
	l->since = loop_now();
	conn_again(&l->conn);
	link_watch(l);
}

/* Gives back all but the requests; the memory goes after the pass. */
static void
link_close(struct link *l)
{
	struct pool *p = l->pool;

	if (l->state == LINK_CLOSED)
		return;
	if (l->state == LINK_CONNECTING)
		p->connecting--;
	if (l->state >= LINK_DRAINING)
		p->leaving--;
	l->state = LINK_CLOSED;
	if (p->filling == l)
		p->filling = NULL;
	if (l->probing != 0 && !l->answered) {
		struct weir_attempt a = { .now = l->probing, .probes = true };

		peer_unreported(p->peer, &a);
	}
	/* A request that was cut short must not look whole. */
	if (l->out != NULL)
		conn_abort(&l->conn);
	dial_cancel(&l->dial);
	conn_close(&l->conn);
	buf_return(&l->out);
	node_unlink(&l->node);
	list_append(&links.closed, &l->node);
	p->count--;
	roster_set_full(p->peer, false);
	links.ops->closed(l);
}

/* What follows for the peer from a link that breaks. */
static void
link_report(struct link *l, enum weir_failure why)
{
	struct weir_peer *peer = l->pool->peer;
	const char       *what = l->error != 0 ? strerror(l->error) : "closed by the peer";

	if (why == WEIR_FAILED_REPLY_TIMEOUT) {
		what = "no reply within reply_timeout";
		board_add(&peer->cell[PEER_REPLY_TIMEOUTS], 1);
	}
	if (l->state == LINK_CONNECTING && (l->dial.secures || l->error != ETIMEDOUT)) {
		l->starved = l->dial.secures ? !peer_handshake_failed(peer, &l->dial, loop_now())
					     : !peer_refused(peer, l->error, loop_now());
		if (!l->starved)
			l->probing = 0;
		return;
	}
	if (l->state == LINK_CONNECTING)
		peer_report(peer, PEER_TIMED_OUT, l->error, loop_now());
	else if (!l->answered && peer_handshake_refused(peer, &l->conn, loop_now())) {
		l->probing = 0;
		return;
	} else if (!l->answered && l->depth > 0 && l->sent > 0 && why != WEIR_FAILED_BAD_REPLY)
		peer_report(peer, PEER_BROKE, l->error != 0 ? l->error : ECONNRESET, loop_now());
	else {
		if (l->depth > 0 && why != WEIR_FAILED_BAD_REPLY)
			log_info("%s, requests in flight: %u", what, l->depth);
		return;
	}
	l->probing = 0;
	log_info("%s%s", l->state == LINK_CONNECTING ? "connect: " : "", what);
}

/* Its requests: what was sent fails, unless it may be sent twice; what was not goes
 * elsewhere; but not from a link that was its requester's alone, and used: what the
 * peer knew of him is gone with it. */
static void
link_give_back(struct link *l, struct buf **unsent, enum weir_failure why,
    const struct weir_peer *failed)
{
	struct weir_peer *peer = l->pool->peer;
	struct weir_span  rest = buf_span(*unsent), bytes;
	bool              move = peer->upstream->mode != POOL_SESSION || l->sent == 0;
	bool              told = false;
	struct node      *n, *following;
	struct request   *r;

	/* All first: what is moved may find another. */
	list_each(n, following, &l->requests) {
		r = container_of(n, struct request, of_link);
		if (r->requester != NULL && r->requester->link == l) {
			r->requester->link = NULL;
			r->requester->flight = 0;
		}
	}
	while (l->depth > 0) {
		r = link_pop(l);
		bytes = span_make(NULL, 0);
		if (why == WEIR_FAILED_CONNECT && failed != NULL)
			peer_done(peer, WEIR_REQUEST_FAILED, r->started);
		if (r->end - r->length >= l->sent)
			bytes = span_make(rest.data + (r->end - r->length - l->sent), r->length);
		else
			peer_done(peer, WEIR_REQUEST_FAILED, r->started);
		if (bytes.len == 0 && r->state == REQUEST_SENT && (r->flags & REQUEST_SAFE) != 0)
			bytes = buf_span(r->bytes);
		if (r->state == REQUEST_ORPHANED)
			request_finish(r);
		else if (move && r->state == REQUEST_SENT && bytes.len > 0)
			links.ops->moved(r, bytes, failed);
		else {
			r->flags |= told ? REQUEST_BEHIND : 0;
			request_fail(r, why, peer);
			told = true;
		}
		why = WEIR_FAILED_PEER_CLOSED;	/* only the first had its time */
	}
	buf_return(unsent);
}

/* The first of the FIFO. */
static struct request *
link_pop(struct link *l)
{
	struct request   *r = container_of(l->requests.next, struct request, of_link);
	struct requester *q = r->requester;

	node_unlink(&r->of_link);
	l->depth--;
	/* With its last one it is free to go on elsewhere. */
	if (q != NULL && q->link == l && (r->flags & REQUEST_KEYED) == 0 && --q->flight == 0 &&
	    l->borrower != q)
		q->link = NULL;
	board_give(l->pool->peer->board, PEER_IN_FLIGHT, l->pool->peer->upstream->seat);
	peer_end(l->pool->peer);
	return r;
}

/* ----------------------------------------------------------------- deadlines */

/* When the first request's reply is overdue; UINT64_MAX: there is none. */
static uint64_t
link_reply_due(const struct link *l)
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
link_idle_due(const struct link *l)
{
	uint64_t timeout = l->pool->peer->upstream->pool_idle_timeout;

	return l->depth == 0 && l->borrower == NULL && timeout > 0 ? l->since + timeout
								   : UINT64_MAX;
}

/* Whoever has it for himself would not want another one. */
static uint64_t
link_look_due(const struct link *l)
{
	uint64_t every = l->pool->peer->upstream->pool_idle_check;

	if (every == 0 || l->state != LINK_OPEN || l->depth > 0 || l->borrower != NULL ||
	    l->pool->peer->addr.sa.sa_family == AF_UNIX)
		return UINT64_MAX;
	return idle_due(&l->idle, every);
}

static uint64_t
link_parting_time(const struct link *l)
{
	uint64_t timeout = l->pool->peer->upstream->reply_timeout;

	if (!l->busy)
		return LINK_PARTING_TIME;
	return timeout > 0 ? timeout : LINK_PARTING_BUSY;
}

static uint64_t
link_deadline(const struct link *l)
{
	uint64_t at;

	if (l->state == LINK_CONNECTING)
		return l->dial.give_up;
	if (l->state == LINK_PARTING)
		return l->since + link_parting_time(l);
	at = l->depth > 0 ? link_reply_due(l) : link_idle_due(l);
	if (link_look_due(l) < at)
		at = link_look_due(l);
	return at < l->expires || l->state == LINK_DRAINING ? at : l->expires;
}

static void
link_watch(struct link *l)
{
	uint64_t at = link_deadline(l);

	if (at != UINT64_MAX && (!timer_armed(&l->conn.timer) || at < l->conn.timer.at))
		conn_arm(&l->conn, at);
}

static void
link_expired(struct conn *c)
{
	struct link       *l = container_of(c, struct link, conn);
	struct log_subject outer = log_about((struct log_subject){ link_describe, l });
	uint64_t           now = loop_now();

	if (now < link_deadline(l))
		;
	else if (l->state == LINK_CONNECTING) {
		if (link_connected(l))
			conn_again(c);
	} else if (l->state == LINK_PARTING)
		link_close(l);
	else if (now >= link_reply_due(l))
		link_fail(l, WEIR_FAILED_REPLY_TIMEOUT, ETIMEDOUT);
	else if (now >= l->expires && l->borrower != NULL)
		l->expires = UINT64_MAX;	/* it ends with its borrower's stay */
	else if (now >= l->expires)
		link_drain(l, PEER_LINKS_CLOSED_LIFETIME);
	else if (now >= link_idle_due(l) && l->pool->count > l->pool->kept)
		link_drain(l, PEER_LINKS_CLOSED_IDLE);
	else if (now >= link_idle_due(l))
		l->since = now;
	else if (now >= link_look_due(l))
		link_look(l);
	if (l->fault != 0)
		link_break(l);
	if (l->state != LINK_CLOSED)
		link_watch(l);
	links.ops->settled(l);
	log_about(outer);
}

/* It takes requests again, or never more. */
static void
link_look(struct link *l)
{
	struct weir_peer     *peer = l->pool->peer;
	struct weir_upstream *u = peer->upstream;
	enum idle_answer      answer;

	answer = idle_look(&l->idle, &l->conn, &u->options, loop_now(), u->connect_timeout);
	if (answer == IDLE_THERE)
		roster_set_full(peer, false);
	if (answer != IDLE_GONE)
		return;
	log_info("closed: it was idle, and the peer does not answer any more");
	board_add(&peer->cell[PEER_LINKS_FOUND_DEAD], 1);
	conn_abort(&l->conn);
	link_abandon(l);
}

static void
link_free_closed(void)
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
