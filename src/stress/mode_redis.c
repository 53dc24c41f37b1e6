/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode_redis: a counter of Redis for each connection, which nobody else may touch.
 *
 *	SET  weir:00000000001b 10027000000000	+OK
 *	INCR weir:00000000001b			:10027000000001
 *	INCR weir:00000000001b			:10027000000002
 *
 * Counters of two connections are so far apart that a reply that is another's shows.
 * Requests are in Redis's own framing, or are lines: --inline.
 */
#include "stress/client.h"
#include "stress/mode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define KEY         "weir:%012" PRIx64
#define COUNT_FIRST UINT64_C(10000000000000)	/* 14 digits, whatever happens */
#define COUNT_EACH  UINT64_C(1000000000)	/* between those of two connections */
#define COUNT_CONNS UINT64_C(89000)		/* then they begin anew */

static size_t mode_redis_request(struct stress_client *, char *out);
static enum take mode_redis_reply(struct stress_client *, struct weir_span in, size_t *used);

const struct mode mode_redis = {
	.name    = "redis",
	.help    = "INCR of a key for each connection, to Redis",
	.paced   = true,
	.takes   = "npRIE",
	.request = mode_redis_request,
	.reply   = mode_redis_reply,
};

static uint64_t
mode_redis_count(const struct stress_client *c, uint64_t n)
{
	return COUNT_FIRST + c->id % COUNT_CONNS * COUNT_EACH + n;
}

/* One INCR in both framings; only the key's digits differ. */
static size_t
mode_redis_write(const struct stress_client *c, char *out)
{
	static const char framed[] = "*2\r\n$4\r\nINCR\r\n$17\r\nweir:000000000000\r\n";
	static const char line[] = "INCR weir:000000000000\r\n";
	const char       *text = stress_client_run()->lines ? line : framed;
	size_t            len = stress_client_run()->lines ? sizeof line - 1 : sizeof framed - 1;
	char             *digit = out + len - 3;

	memcpy(out, text, len);
	for (uint64_t id = c->id; id > 0; id >>= 4)
		*digit-- = "0123456789abcdef"[id & 15];
	return len;
}

static size_t
mode_redis_request(struct stress_client *c, char *out)
{
	int n;

	if (c->asked > 0)
		return mode_redis_write(c, out);
	if (stress_client_run()->lines)
		n = snprintf(out, 64, "SET " KEY " %" PRIu64 "\r\n", c->id, mode_redis_count(c, 0));
	else
		n = snprintf(out, 64,
		    "*3\r\n$3\r\nSET\r\n$17\r\n" KEY "\r\n$14\r\n%" PRIu64 "\r\n", c->id,
		    mode_redis_count(c, 0));
	return (size_t)n;
}

/* Replies are short: what is due is made anew for each piece that comes. */
static enum take
mode_redis_reply(struct stress_client *c, struct weir_span in, size_t *used)
{
	char     due[] = ":00000000000000\r\n", *digit = due + sizeof due - 4;
	uint64_t n = mode_redis_count(c, c->answered);
	size_t   len = sizeof due - 1, left, some;

	for (; n > 0; n /= 10)
		*digit-- = (char)('0' + n % 10);
	if (c->answered == 0) {
		len = 5;
		memcpy(due, "+OK\r\n", len);
	}
	left = len - (size_t)c->position;
	some = in.len < left ? in.len : left;
	if (memcmp(in.data, due + c->position, some) != 0) {
		stress_client_wrong(c, in, span_make(due + c->position, left));
		return TAKE_WRONG;
	}
	*used = some;
	c->position = some < left ? c->position + some : 0;
	return some < left ? TAKE_MORE : TAKE_REPLY;
}
