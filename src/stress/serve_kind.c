/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_kind: echo, line, sink, source: what a request is, and its reply. */
#include "stress/serve_kind.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "stress/pattern.h"
#include "stress/serve_again.h"
#include "stress/serve_reply.h"
#include "stress/serve_session.h"
#include "stress/tally.h"

enum {
	LINE_SIZE = 16 * 1024 * 1024,	/* longer ones end the connection */
	CHUNK     = 16 * 1024,		/* bytes, where each is kept */
	CHUNKS    = 16,			/* of a source, a turn */
};

static void serve_kind_take_lines(struct stress_session *, struct weir_span);
static void serve_kind_answer_lines(struct stress_session *, struct weir_span whole);

void
stress_kind_take(struct stress_session *s, struct weir_span in)
{
	switch (stress_served->kind) {
	case SERVE_ECHO:
		stress_reply_give(s, in);
		break;
	case SERVE_LINE:
		serve_kind_take_lines(s, in);
		break;
	case SERVE_SINK:
		stress_digest_add(&s->digest, in);
		break;
	case SERVE_SOURCE:
		break;
	}
}

void
stress_kind_ended(struct stress_session *s)
{
	char   text[64];
	size_t n;

	if (stress_served->kind != SERVE_SINK)
		return;
	n = (size_t)snprintf(text, sizeof text, "%ju %016jx\n", (uintmax_t)s->digest.bytes,
	    (uintmax_t)stress_digest_value(&s->digest));
	stress_reply_give(s, span_make(text, n));
}

bool
stress_kind_may_produce(const struct stress_session *s)
{
	return stress_served->kind == SERVE_SOURCE &&
	    s->position < stress_served->size && !s->over && !s->silent &&
	    s->conn.writable && list_empty(&s->replies);
}

size_t
stress_kind_chunk(void)
{
	return stress_served->straight ? loop_scratch_size() : CHUNK;
}

/* The next bytes of a source, as far as they are not waited for. */
void
stress_kind_produce(struct stress_session *s)
{
	size_t   most = stress_kind_chunk(), n;
	uint64_t left;

	for (int i = 0; i < CHUNKS && stress_kind_may_produce(s); i++) {
		left = stress_served->size - s->position;
		n = left < most ? (size_t)left : most;
		stress_pattern_fill(0, s->position, loop_scratch(), n);
		s->position += n;
		stress_reply_give(s, span_make(loop_scratch(), n));
	}
}

bool
stress_kind_is_over(const struct stress_session *s)
{
	if (stress_served->kind == SERVE_SOURCE)
		return s->position == stress_served->size;
	return s->conn.eof;
}

static void
serve_kind_take_lines(struct stress_session *s, struct weir_span in)
{
	const char *last = memrchr(in.data, '\n', in.len);
	size_t      whole = last != NULL ? (size_t)(last - in.data) + 1 : 0;

	if (whole > 0 && s->conn.in != NULL) {
		if (buf_append(&s->conn.in, span_make(in.data, whole)) < 0) {
			s->over = true;
			return;
		}
		serve_kind_answer_lines(s, buf_span(s->conn.in));
		buf_return(&s->conn.in);
	} else if (whole > 0) {
		serve_kind_answer_lines(s, span_make(in.data, whole));
	}
	if (s->over || in.len == whole || (s->silent && !stress_served->again))
		return;
	if (buf_len(s->conn.in) + in.len - whole > LINE_SIZE) {
		stress_tally_add(&stress_counts->overlong, 1);
		s->over = true;
	} else if (buf_append(&s->conn.in, span_skip(in, whole)) < 0) {
		s->over = true;
	}
}

/* whole: lines, all of them with their newlines. */
static void
serve_kind_answer_lines(struct stress_session *s, struct weir_span whole)
{
	const char *end;
	uint64_t    more = 0;
	size_t      len;

	if (stress_served->straight) {
		for (struct weir_span rest = whole; rest.len > 0; more++) {
			end = memchr(rest.data, '\n', rest.len);
			rest = span_skip(rest, (size_t)(end - rest.data) + 1);
		}
		stress_reply_give_many(s, whole, more);
		return;
	}
	while (whole.len > 0 && !s->over) {
		end = memchr(whole.data, '\n', whole.len);
		len = (size_t)(end - whole.data) + 1;
		if (stress_served->again && stress_again_seen(span_make(whole.data, len)))
			stress_tally_add(&stress_counts->again, 1);
		stress_reply_give(s, span_make(whole.data, len));
		whole = span_skip(whole, len);
	}
}
