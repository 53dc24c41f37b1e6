/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reverse: answers each line with the same line, back to front.
 *
 * An example of a module that is built outside weir's tree: see the Makefile
 * beside it, weir-module(7) for what the hooks mean, and reverse.conf for a
 * configuration to try it with.
 *
 *	client          weir
 *	                greeting, if one is configured
 *	stressed
 *	                desserts
 *	(end)
 *	                1 line
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir.h>

#define LONGEST 16384

struct reverse_conf {		/* of a [server NAME]: filled from the table of keys */
	uint64_t    line_max;
	const char *greeting;	/* NULL: off */
};

struct reverse_state {		/* of a session, zeroed when it opens */
	uint64_t lines;
};

static const char *reverse_check(struct weir_scope *);
static enum weir_verdict reverse_open(struct weir_session *);
static enum weir_verdict reverse_data(struct weir_session *, struct weir_span);
static enum weir_verdict reverse_eof(struct weir_session *);
static void reverse_close(struct weir_session *);
static size_t reverse_suspend(struct weir_session *, char *out);
static bool reverse_resume(struct weir_session *, struct weir_span state);

static const struct weir_key reverse_keys[] = {
	{
	    .name    = "reverse_line_max",
	    .where   = WEIR_IN_SERVER,
	    .type    = WEIR_SIZE,
	    .offset  = offsetof(struct reverse_conf, line_max),
	    .initial = "1k",
	    .min     = 2,
	    .max     = LONGEST,
	    .help    = "longest line, its end included; a longer one ends the session",
	},
	{
	    .name    = "reverse_greeting",
	    .where   = WEIR_IN_SERVER,
	    .type    = WEIR_STRING,
	    .offset  = offsetof(struct reverse_conf, greeting),
	    .initial = "off",
	    .flags   = WEIR_OFF,
	    .help    = "the line that a client is welcomed with",
	},
	{ .name = NULL },
};

static const struct weir_protocol reverse_protocol = {
	.open  = reverse_open,
	.data  = reverse_data,
	.eof   = reverse_eof,
	.close = reverse_close,

	.state_version = 1,
	.suspend       = reverse_suspend,
	.resume        = reverse_resume,
};

const struct weir_module reverse_module = {
	.name       = "reverse",
	.keys       = reverse_keys,
	.conf_size  = sizeof(struct reverse_conf),
	.state_size = sizeof(struct reverse_state),
	.check      = reverse_check,
	.protocol   = &reverse_protocol,
};
WEIR_MODULE(reverse_module);

static struct weir_span
reverse_span(const char *text)
{
	return (struct weir_span){ text, strlen(text) };
}

/* What no single key can say: how two of them go together. */
static const char *
reverse_check(struct weir_scope *scope)
{
	const struct reverse_conf *conf = weir_scope_conf(scope, &reverse_module);
	const size_t               size = 120;
	char                      *phrase;

	if (!conf->greeting || strlen(conf->greeting) < conf->line_max)
		return NULL;
	phrase = weir_scope_alloc(scope, size);
	snprintf(phrase, size,
	    "reverse_greeting is longer than reverse_line_max = %" PRIu64 " allows a line to be",
	    conf->line_max);
	return phrase;
}

static enum weir_verdict
reverse_open(struct weir_session *s)
{
	const struct reverse_conf *conf = weir_conf(s);

	if (!conf->greeting)
		return WEIR_GO_ON;
	if (weir_send(s, reverse_span(conf->greeting)) == WEIR_CLOSE)
		return WEIR_CLOSE;
	return weir_send(s, reverse_span("\n"));
}

/* Hooks run one at a time, so one buffer a worker is enough. */
static enum weir_verdict
reverse_answer(struct weir_session *s, const char *line, size_t length)
{
	static char answer[LONGEST];

	for (size_t i = 0; i < length; i++)
		answer[i] = line[length - 1 - i];
	answer[length] = '\n';
	return weir_send(s, (struct weir_span){ answer, length + 1 });
}

/*
 * Answers every whole line in `in` and keeps the rest. What is sent here goes
 * out in one write when the hook has returned.
 */
static enum weir_verdict
reverse_data(struct weir_session *s, struct weir_span in)
{
	const struct reverse_conf *conf = weir_conf(s);
	struct reverse_state      *state = weir_state(s);

	while (in.len > 0) {
		const char *end = memchr(in.data, '\n', in.len);
		size_t      length = end ? (size_t)(end - in.data) : in.len;

		if (length >= conf->line_max) {
			weir_log(WEIR_INFO, "line too long");
			weir_send(s, reverse_span("line too long\n"));
			return WEIR_CLOSE;
		}
		if (!end)
			return weir_keep(s, in);
		if (reverse_answer(s, in.data, length) == WEIR_CLOSE)
			return WEIR_CLOSE;
		state->lines++;
		in.data += length + 1;
		in.len  -= length + 1;
	}
	return WEIR_GO_ON;
}

/* The client has ended its side, but still reads. */
static enum weir_verdict
reverse_eof(struct weir_session *s)
{
	const struct reverse_state *state = weir_state(s);
	char                        farewell[40];

	snprintf(farewell, sizeof farewell, "%" PRIu64 " line%s\n", state->lines,
	    state->lines == 1 ? "" : "s");
	weir_send(s, reverse_span(farewell));
	return WEIR_CLOSE;
}

static void
reverse_close(struct weir_session *s)
{
	const struct reverse_state *state = weir_state(s);

	weir_log(WEIR_DEBUG, "%" PRIu64 " lines reversed", state->lines);
}

/*
 * A session goes on in a worker with another build of this module, whose state may have
 * more in it. So what is sent there is text, and not the struct.
 */
static size_t
reverse_suspend(struct weir_session *s, char *out)
{
	const struct reverse_state *state = weir_state(s);

	return (size_t)snprintf(out, WEIR_SUSPENDED_MAX, "lines %" PRIu64, state->lines);
}

static bool
reverse_resume(struct weir_session *s, struct weir_span text)
{
	struct reverse_state *state = weir_state(s);
	char                  copy[64];

	if (text.len >= sizeof copy)
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return sscanf(copy, "lines %" SCNu64, &state->lines) == 1;
}
