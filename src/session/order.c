/* SPDX-License-Identifier: BSD-2-Clause */
/* order: a client's requests in the order they were asked, and so their replies. */
#include "session/order.h"

#include "base/buf.h"
#include "base/str.h"

static bool order_hold(struct request *, struct weir_span part, bool last, uint64_t most);
static void order_remove_first(struct requester *);
static void order_finish(struct requester *, struct request *);
static void order_release(struct requester *);
static void order_release_bytes(struct requester *, struct request *, bool last);
static void order_tell(struct requester *, struct request *, enum weir_failure, bool cut);

static const struct order_sink *order_sink;

void
orders_start(const struct order_sink *sink)
{
	order_sink = sink;
}

static struct request *
order_first(const struct requester *q)
{
	return q->last != NULL ? q->last->next : NULL;
}

void
order_add(struct requester *q, struct request *r)
{
	r->next = q->last != NULL ? q->last->next : r;
	if (q->last != NULL)
		q->last->next = r;
	q->last = r;
	q->count++;
}

bool
order_reply(struct request *r, struct weir_span part, bool last, uint64_t most)
{
	struct requester *q = r->requester;

	if (order_first(q) != r)
		return order_hold(r, part, last, most);
	if (last)
		order_remove_first(q);
	order_sink->send(q, part, last);
	if (last) {
		order_finish(q, r);
		order_release(q);
	}
	return true;
}

void
order_fail(struct request *r, enum weir_failure why, bool cut)
{
	struct requester *q = r->requester;

	if (order_first(q) == r) {
		order_remove_first(q);
		order_tell(q, r, why, cut);
		order_finish(q, r);
		order_release(q);
		return;
	}
	request_enter(r, REQUEST_HELD);
	r->why = (uint8_t)(why + 1);
	r->cut = cut;
}

void
order_leave(struct requester *q)
{
	struct request *r;

	while ((r = order_first(q)) != NULL) {
		order_remove_first(q);
		request_orphan(r);
	}
	q->held = 0;
}

void
order_give_up(struct requester *q, enum weir_failure why)
{
	struct request *r;

	while ((r = order_first(q)) != NULL) {
		const struct framing *framing = r->framing;
		uint32_t              kind = r->kind;
		bool                  cut = r->state == REQUEST_ANSWERING, told = r->replies > 0;

		request_count_failure(r, why, NULL);
		order_remove_first(q);
		request_orphan(r);	/* its link still has to read the reply */
		if (told)
			order_sink->failed(q, framing, kind, why, cut);
		order_release(q);
	}
}

/* Its turn has not come. What there is no room for is lost with its client, but the
 * request has left its link in any case. */
static bool
order_hold(struct request *r, struct weir_span part, bool last, uint64_t most)
{
	struct requester *q = r->requester;
	bool              fits = q->held + part.len <= most;

	fits = fits && (part.len == 0 || buf_append(&r->bytes, part) == 0);
	if (fits)
		q->held += (uint32_t)part.len;
	if (last)
		request_enter(r, REQUEST_HELD);
	return fits;
}

static void
order_remove_first(struct requester *q)
{
	struct request *r = q->last->next;

	if (r == q->last)
		q->last = NULL;
	else
		q->last->next = r->next;
	r->next = NULL;
	q->count--;
}

/* A request that was the first is done. */
static void
order_finish(struct requester *q, struct request *r)
{
	bool last = (r->flags & REQUEST_LAST) != 0;

	request_finish(r);
	if (last)
		order_sink->ended(q);
}

/* What is held and has its turn now. */
static void
order_release(struct requester *q)
{
	struct request *r;

	while ((r = order_first(q)) != NULL && r->state == REQUEST_HELD) {
		order_remove_first(q);
		if (r->why == 0 || r->bytes != NULL)
			order_release_bytes(q, r, r->why == 0);
		if (r->why != 0)
			order_tell(q, r, (enum weir_failure)(r->why - 1), r->cut);
		order_finish(q, r);
	}
	if (r != NULL && r->state == REQUEST_ANSWERING && r->bytes != NULL)
		order_release_bytes(q, r, false);
}

static void
order_release_bytes(struct requester *q, struct request *r, bool last)
{
	q->held -= (uint32_t)buf_len(r->bytes);
	order_sink->send(q, buf_span(r->bytes), last);
	buf_return(&r->bytes);
}

static void
order_tell(struct requester *q, struct request *r, enum weir_failure why, bool cut)
{
	order_sink->failed(q, r->framing, r->kind, why, cut);
}
