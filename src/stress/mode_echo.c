/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_echo: all bytes come back, in their order. */
#include "stress/client.h"
#include "stress/mode.h"

#include "base/str.h"
#include "stress/pattern.h"

static size_t    mode_echo_request(struct stress_client *, char *out);
static enum take mode_echo_reply(struct stress_client *, struct weir_span in, size_t *used);

const struct mode mode_echo = {
	.name    = "echo",
	.help    = "requests of -s bytes, to a server that gives all bytes back",
	.paced   = true,
	.takes   = "npsRE",
	.request = mode_echo_request,
	.reply   = mode_echo_reply,
};

static size_t
mode_echo_request(struct stress_client *c, char *out)
{
	size_t size = stress_client_run()->size;

	stress_pattern_fill(c->id, c->posted, out, size);
	c->posted += size;
	return size;
}

/* The stream of the connection is one: reply n begins where request n did. */
static enum take
mode_echo_reply(struct stress_client *c, struct weir_span in, size_t *used)
{
	size_t   size = stress_client_run()->size, left = size - (size_t)c->position;
	size_t   n = in.len < left ? in.len : left;
	uint64_t at = c->answered * size + c->position;
	char     due[64];

	if (!stress_pattern_is(c->id, at, span_make(in.data, n))) {
		n = n < sizeof due ? n : sizeof due;
		stress_pattern_fill(c->id, at, due, n);
		stress_client_wrong(c, span_make(in.data, n), span_make(due, n));
		return TAKE_WRONG;
	}
	*used = n;
	if (n < left) {
		c->position += n;
		return TAKE_MORE;
	}
	c->position = 0;
	return TAKE_REPLY;
}
