/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_line: tagged lines: order, content and owner of each reply show. */
#include "stress/mode_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stress/once.h"
#include "stress/random.h"

const struct mode mode_line = {
	.name    = "line",
	.help    = "lines with a tag, to a server that gives each line back",
	.paced   = true,
	.takes   = "npsRFE",
	.check   = stress_line_check,
	.request = stress_line_request,
	.reply   = stress_line_reply,
};

static char *expected;		/* the line that is due */

static char *
mode_line_write_number(char *out, uint64_t n)
{
	char   digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	memcpy(out, digits + at, sizeof digits - at);
	return out + sizeof digits - at;
}

/* Printable, and different from line to line. */
static void
mode_line_write_filler(char *out, size_t n, uint64_t start)
{
	static const char letters[64] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789+-";
	uint64_t          word = start;

	while (n > 0) {
		word = (word + 1) * UINT64_C(0x9e3779b97f4a7c15);
		for (unsigned shift = 16; shift < 64 && n > 0; shift += 6, n--)
			*out++ = letters[word >> shift & 63];
	}
}

/* Of modes with lines of any size most are short: a quarter may be as long as -s, another
 * half as long, and so on. */
static size_t
mode_line_size(uint64_t id, uint64_t n)
{
	const struct run *run = stress_client_run();
	struct rng        rng;

	if (run->mode == NULL || !run->mode->varied)
		return run->size;
	rng = stress_rng_make(run->seed ^ id << 32, n);
	return LINE_LEAST +
	    stress_rng_below(&rng, 1 + ((run->size - LINE_LEAST) >> stress_rng_below(&rng, 4)));
}

size_t
stress_line_write(uint64_t id, uint64_t n, char *out)
{
	size_t size = mode_line_size(id, n), used;
	char  *at = out;

	*at++ = 'c';
	at = mode_line_write_number(at, id);
	*at++ = ' ';
	at = mode_line_write_number(at, n);
	used = (size_t)(at - out);
	if (used + 2 < size) {
		*at++ = ' ';
		mode_line_write_filler(at, size - used - 2, id << 32 ^ n);
		at += size - used - 2;
	}
	*at++ = '\n';
	return (size_t)(at - out);
}

const char *
stress_line_check(const struct run *run)
{
	if (run->size < LINE_LEAST)
		return "-s: a line has at least 32 bytes, for its tag";
	if (run->size > (64u << 20))
		return "-s: a line has at most 64m";
	if (run->failure != NULL && strchr(run->failure, '\n') != NULL)
		return "--failure: a text without a newline is expected";
	return NULL;
}

size_t
stress_line_request(struct stress_client *c, char *out)
{
	return stress_line_write(c->id, c->asked + 1, out);
}

/* Bytes of `text` and a newline that `in` begins with, from position `at` on. */
static size_t
mode_line_match(const char *text, size_t len, size_t at, struct weir_span in)
{
	size_t n = 0;

	while (n < in.len && at + n < len && in.data[n] == text[at + n])
		n++;
	if (n < in.len && at + n == len && in.data[n] == '\n')
		n++;
	return n;
}

/* The reply has the first c->position bytes of the failure text already, if c->failing or
 * if the line that was due begins with the same. */
static enum take
mode_line_take_failure(struct stress_client *c, struct weir_span in, size_t due, size_t *used)
{
	const char *failure = stress_client_run()->failure;
	size_t      len, at = (size_t)c->position, n;

	if (failure == NULL)
		return TAKE_WRONG;
	len = strlen(failure);
	if (!c->failing && (at > len || at > due || memcmp(failure, expected, at) != 0))
		return TAKE_WRONG;
	n = mode_line_match(failure, len, at, in);
	if (at + n == len + 1) {
		c->position = 0;
		c->failing = false;
		*used = n;
		return TAKE_FAILED;
	}
	if (n < in.len)
		return TAKE_WRONG;
	c->position += n;
	c->failing = true;
	return TAKE_MORE;
}

enum take
stress_line_reply(struct stress_client *c, struct weir_span in, size_t *used)
{
	size_t    due, left, n;
	enum take take;

	if (expected == NULL) {
		size_t size = stress_client_run()->size;

		expected = malloc(size > 64 ? size : 64);
		if (expected == NULL)
			abort();
	}
	due = stress_line_write(c->id, c->answered + 1, expected);
	left = due - (size_t)c->position;
	n = in.len < left ? in.len : left;
	if (!c->failing && memcmp(in.data, expected + c->position, n) == 0) {
		*used = n;
		c->position = n < left ? c->position + n : 0;
		return n < left ? TAKE_MORE : TAKE_REPLY;
	}
	take = mode_line_take_failure(c, in, due, used);
	if (take == TAKE_WRONG)
		stress_client_wrong(c, in,
		    c->failing ? span_make(NULL, 0) : span_make(expected + c->position, left));
	return take;
}

bool
stress_line_take(struct stress_client *c, struct weir_span *in)
{
	size_t used = in->len;

	if (c->answered == c->asked) {
		stress_client_wrong(c, *in, span_make(NULL, 0));
		stress_client_fault(c, FAULT_UNASKED, 0);
		return false;
	}
	switch (stress_line_reply(c, *in, &used)) {
	case TAKE_MORE:
		return false;
	case TAKE_REPLY:
		stress_once_end(c);
		break;
	case TAKE_FAILED:
		stress_client_failed(c);
		stress_once_drop(c);
		break;
	case TAKE_WRONG:
		stress_client_fault(c, FAULT_WRONG, 0);
		return false;
	}
	*in = span_skip(*in, used);
	return true;
}
