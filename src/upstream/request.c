/* SPDX-License-Identifier: BSD-2-Clause */
/* request: one client's message on its way to its reply: its states. */
#include "upstream/request.h"

#include <assert.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "net/loop.h"
#include "upstream/upstream.h"

/* In each pass many requests begin and end: their memory stays, 1 MiB at most. */
#define REQUEST_PAGES 16u

/* Which states follow which. */
#define TO(state) (1u << REQUEST_##state)
static const uint8_t request_ways[] = {
	[REQUEST_NEW]       = TO(SENT) | TO(QUEUED) | TO(HELD) | TO(DONE),
	[REQUEST_QUEUED]    = TO(SENT) | TO(HELD) | TO(DONE),
	[REQUEST_SENT]      = TO(QUEUED) | TO(ANSWERING) | TO(HELD) | TO(ORPHANED) | TO(DONE),
	[REQUEST_ANSWERING] = TO(HELD) | TO(ORPHANED) | TO(DONE),
	[REQUEST_HELD]      = TO(DONE),
	[REQUEST_ORPHANED]  = TO(DONE),
	[REQUEST_DONE]      = 0,
};
#undef TO

const struct requester_ops *requester_ops;

/* Of a request that has failed: who is concerned. */
struct request_parties {
	const struct request   *request;
	const struct weir_peer *peer;
};

static void request_complain(const struct request *, enum weir_failure, const struct weir_peer *);
static const char *request_remedy(const struct weir_upstream *, enum weir_failure);
static void        request_describe(const void *parties, char *out, size_t size);

static struct slab request_slab;
static struct slab request_attempts;

void
requests_start(const struct requester_ops *ops)
{
	requester_ops = ops;
	slab_init(&request_slab, sizeof(struct request));
	request_slab.spare = REQUEST_PAGES;
	slab_init(&request_attempts, sizeof(struct weir_attempt));
}

void
requests_stop(void)
{
	slab_finish(&request_slab);
	slab_finish(&request_attempts);
}

void
requests_trim(void)
{
	slab_trim(&request_slab);
}

struct request *
request_create(struct requester *q, struct weir_upstream *u, const struct framing *framing)
{
	struct request *r = slab_take(&request_slab);

	if (r == NULL)
		return NULL;
	r->requester = q;
	r->upstream = u;
	r->framing = framing;
	return r;
}

void
request_enter(struct request *r, enum request_state state)
{
	assert(request_ways[r->state] >> state & 1);
	r->state = (uint8_t)state;
}

void
request_finish(struct request *r)
{
	request_enter(r, REQUEST_DONE);
	buf_return(&r->bytes);
	slab_give(&request_attempts, r->attempt);
	slab_give(&request_slab, r);
}

void
request_orphan(struct request *r)
{
	r->requester = NULL;
	if (r->state == REQUEST_SENT || r->state == REQUEST_ANSWERING) {
		buf_return(&r->bytes);
		request_enter(r, REQUEST_ORPHANED);
		return;
	}
	if (node_linked(&r->of_link))
		node_unlink(&r->of_link);
	request_finish(r);
}

bool
request_reply(struct request *r, struct weir_span part, bool last)
{
	if (r->state == REQUEST_ORPHANED) {
		if (last)
			request_finish(r);
		return false;
	}
	/* What was kept to be sent again is not needed any more. */
	if (r->state == REQUEST_SENT && (r->flags & REQUEST_SAFE) != 0)
		buf_return(&r->bytes);
	if (r->state == REQUEST_SENT && !last)
		request_enter(r, REQUEST_ANSWERING);
	requester_ops->reply(r, part, last);
	return true;
}

void
request_fail(struct request *r, enum weir_failure why, const struct weir_peer *peer)
{
	bool cut = r->state == REQUEST_ANSWERING;

	request_count_failure(r, why, peer);
	if (!cut)
		buf_return(&r->bytes);
	if (r->replies == 0 && why != WEIR_FAILED_NO_MEMORY)
		requester_ops->reply(r, span_make(NULL, 0), true); /* nobody waits to be told */
	else
		requester_ops->failed(r, why, cut);
}

void
request_count_failure(const struct request *r, enum weir_failure why, const struct weir_peer *peer)
{
	struct weir_upstream *u = r->upstream;

	board_add(&u->cell[UPSTREAM_FAILED + why], 1);
	if ((r->flags & REQUEST_BEHIND) == 0 && loop_complain(&u->failing[why]))
		request_complain(r, why, peer);
}

static void
request_complain(const struct request *r, enum weir_failure why, const struct weir_peer *peer)
{
	const struct weir_upstream  *u = r->upstream;
	const struct request_parties parties = { r, peer };
	struct log_subject           outer;
	char                         advice[FRAMING_ADVICE_MAX], waiting[48] = "";

	outer = log_about((struct log_subject){ request_describe, &parties });
	if (why == WEIR_FAILED_POOL_QUEUE || why == WEIR_FAILED_POOL_WAIT)
		snprintf(waiting, sizeof waiting, "%u more wait, ", u->queued);
	(void)framing_advise(r->framing, r->kind, advice);
	log_warn("requests fail (%s): %s%s%s%s", upstream_failure_name(why), waiting,
	    request_remedy(u, why), *advice != '\0' ? "; " : "", advice);
	log_about(outer);
}

/* What is to be done, so far as it is known here. */
static const char *
request_remedy(const struct weir_upstream *u, enum weir_failure why)
{
	static const char *const remedies[WEIR_FAILURES] = {
		[WEIR_FAILED_NO_PEER] = "all peers are down, or full (max_conns): raise that, or "
					"add peers",
		[WEIR_FAILED_CONNECT] = "no peer can be connected to: do they run there?",
		[WEIR_FAILED_POOL_QUEUE] = "and pool_queue allows no more of them: more links "
					   "(pool_size), more requests on each (pipeline_depth) or "
					   "more peers may help",
		[WEIR_FAILED_POOL_WAIT] = "no link was free within pool_wait: more links "
					  "(pool_size), more requests on each (pipeline_depth) or "
					  "more peers may help",
		[WEIR_FAILED_REPLY_TIMEOUT] = "no reply within reply_timeout: the peer is slow, or "
					      "gives fewer replies than the protocol counts on",
		[WEIR_FAILED_PEER_CLOSED] = "the connection ended before the reply: the peer's own "
					    "log may say why",
		[WEIR_FAILED_BAD_REPLY] = "what the peer sends is no reply of this protocol, or is "
					  "longer than it may be",
		[WEIR_FAILED_NO_MEMORY] = "the machine is short of memory",
		[WEIR_FAILED_SHUTDOWN] = "their worker had to end; after a reload or weir -s quit "
					 "a longer worker_shutdown_timeout waits for replies",
	};

	/* More of what cannot be opened would not help. */
	if ((why == WEIR_FAILED_POOL_QUEUE || why == WEIR_FAILED_POOL_WAIT) && u->hindered != 0 &&
	    loop_now() - u->hindered <= u->pool_wait)
		return "this machine cannot open more links: the errors of connect, above, say why";
	return remedies[why];
}

static void
request_describe(const void *parties, char *out, size_t size)
{
	const struct request_parties *p = parties;
	char                          from[ADDR_TEXT_MAX];

	snprintf(out, size, ", client %s, upstream %s%s%s",
	    addr_print_packed(requester_ops->from(p->request->requester), from),
	    p->request->upstream->name, p->peer != NULL ? ", peer " : "",
	    p->peer != NULL ? p->peer->name : "");
}

const char *
framing_advise(const struct framing *f, uint32_t kind, char text[FRAMING_ADVICE_MAX])
{
	*text = '\0';
	if (f->exchange->advise != NULL)
		f->exchange->advise(f->conf, kind, text, FRAMING_ADVICE_MAX);
	return text;
}

void
framing_complain(const char *protocol, const struct framing *f, uint32_t kind,
    const struct addr_packed *from)
{
	char client[ADDR_TEXT_MAX] = "(gone)", advice[FRAMING_ADVICE_MAX] = "";

	if (f != NULL) {
		addr_print_packed(from, client);
		(void)framing_advise(f, kind, advice);
	}
	log_warn("the peer has sent more replies than were asked for, and its connection is "
		 "closed; the last request was of client %s: if requests like its have more than "
		 "one reply, they are not for protocol = %s%s%s",
	    client, protocol, *advice != '\0' ? "; " : "", advice);
}

void
framing_fault(const char *protocol, const char *what)
{
	static uint64_t complained;

	if (loop_complain(&complained))
		log_alert("protocol %s: its parser of %s returned what is none of enum weir_parse, "
			  "or a length of 0",
		    protocol, what);
}

struct weir_attempt *
request_attempt(struct request *r)
{
	if (r->attempt == NULL && (r->attempt = slab_take(&request_attempts)) != NULL)
		attempt_begin(r->attempt, requester_ops->from(r->requester), loop_now());
	return r->attempt;
}
