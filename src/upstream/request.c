/* SPDX-License-Identifier: BSD-2-Clause */
/* request: one client's message on its way to its reply: its states. */
#include "upstream/request.h"

#include <assert.h>

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
request_fail(struct request *r, enum weir_failure why)
{
	bool cut = r->state == REQUEST_ANSWERING;

	upstream_failed(r->upstream, why);
	if (!cut)
		buf_return(&r->bytes);
	if (r->replies == 0 && why != WEIR_FAILED_NO_MEMORY)
		requester_ops->reply(r, span_make(NULL, 0), true); /* nobody waits to be told */
	else
		requester_ops->failed(r, why, cut);
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
