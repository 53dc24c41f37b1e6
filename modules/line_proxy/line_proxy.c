/* SPDX-License-Identifier: BSD-2-Clause */
/* line_proxy: a request is a line, its reply is a line; links are shared. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir.h>

struct line_conf {
	uint64_t         line_max;	/* bytes, the newline included */
	const char      *line_failure;	/* NULL: off */
	const char      *line_refuse;	/* no request begins with one of these; NULL: off */
	struct weir_span failure;	/* the same as it is sent */
};

/* The kind of a request, for the log: its first byte, where that is one of Redis's framing
 * or refused; and what is wrong. */
enum line_kind {
	LINE_BYTE     = 0xff,
	LINE_REFUSED  = 1 << 8,
	LINE_TOO_LONG = 1 << 9,
};

/* A parser's memory: so far the line has no end. */
struct line_scan {
	size_t scanned;
};

static enum weir_parse line_proxy_request(const void *conf, void *memory, struct weir_span in,
    struct weir_message *);
static enum weir_parse line_proxy_reply(const void *conf, void *memory, uint32_t kind,
    struct weir_span in, struct weir_message *);
static enum weir_parse line_proxy_find_end(const struct line_conf *, struct line_scan *,
    struct weir_span, struct weir_message *);
static struct weir_span line_proxy_failure(const void *conf, uint32_t kind, enum weir_failure);
static void             line_proxy_advise(const void *conf, uint32_t kind, char *text, size_t size);
static const char      *line_proxy_check(struct weir_scope *);
static const char      *line_proxy_check_failure(struct weir_scope *, struct line_conf *);

static const struct weir_key line_keys[] = {
	{ .name = "line_max", .where = WEIR_IN_SERVER, .type = WEIR_SIZE,
	  .offset = offsetof(struct line_conf, line_max), .initial = "8k", .min = 2,
	  .max = 16 << 20, .help = "longest line, either way, its end included" },
	{ .name = "line_failure", .where = WEIR_IN_SERVER, .type = WEIR_STRING,
	  .offset = offsetof(struct line_conf, line_failure), .initial = "off",
	  .flags = WEIR_OFF,
	  .help = "the line that answers a request which no peer has answered; off: closed" },
	{ .name = "line_refuse", .where = WEIR_IN_SERVER, .type = WEIR_STRING,
	  .offset = offsetof(struct line_conf, line_refuse), .initial = "off", .flags = WEIR_OFF,
	  .syntax = "CHARACTERS | off",
	  .help = "a line that begins with one of these closes its client: *$ before Redis" },
	{ .name = NULL },
};

static const struct weir_exchange line = {
	.request  = line_proxy_request,
	.reply    = line_proxy_reply,
	.failure  = line_proxy_failure,
	.mem_size = sizeof(struct line_scan),
	.advise   = line_proxy_advise,
};

const struct weir_module line_proxy_module = {
	.name      = "line_proxy",
	.keys      = line_keys,
	.conf_size = sizeof(struct line_conf),
	.check     = line_proxy_check,
	.exchange  = &line,
};
WEIR_MODULE(line_proxy_module);

static enum weir_parse
line_proxy_request(const void *conf, void *memory, struct weir_span in, struct weir_message *m)
{
	const struct line_conf *c = conf;
	enum weir_parse         parsed;

	if (in.len > 0 && (*in.data == '*' || *in.data == '$'))
		m->kind = (unsigned char)*in.data;
	if (c->line_refuse != NULL && in.len > 0 && *in.data != '\0' &&
	    strchr(c->line_refuse, *in.data) != NULL) {
		m->kind = (unsigned char)*in.data | LINE_REFUSED;
		return WEIR_MALFORMED;
	}
	parsed = line_proxy_find_end(c, memory, in, m);
	if (parsed == WEIR_MALFORMED)
		m->kind |= LINE_TOO_LONG;
	return parsed;
}

static enum weir_parse
line_proxy_reply(const void *conf, void *memory, uint32_t kind, struct weir_span in,
    struct weir_message *m)
{
	(void)kind;
	return line_proxy_find_end(conf, memory, in, m);
}

static enum weir_parse
line_proxy_find_end(const struct line_conf *c, struct line_scan *scan, struct weir_span in,
    struct weir_message *m)
{
	size_t      end = in.len < c->line_max ? in.len : c->line_max;
	const char *newline;

	newline = memchr(in.data + scan->scanned, '\n', end - scan->scanned);
	if (newline != NULL) {
		m->length = (size_t)(newline - in.data) + 1;
		return WEIR_WHOLE;
	}
	scan->scanned = end;
	return end < c->line_max ? WEIR_MORE : WEIR_MALFORMED;
}

static struct weir_span
line_proxy_failure(const void *conf, uint32_t kind, enum weir_failure why)
{
	const struct line_conf *c = conf;

	(void)kind, (void)why;
	return c->failure;
}

static void
line_proxy_advise(const void *conf, uint32_t kind, char *text, size_t size)
{
	const struct line_conf *c = conf;
	const char             *redis = "";
	int                     byte = (int)(kind & LINE_BYTE);

	if (byte == '*' || byte == '$')
		redis = ": a client of Redis that does not send inline commands (RESP) goes "
			"through protocol = stream_proxy";
	if (kind & LINE_REFUSED)
		snprintf(text, size, "a line begins with %c, which line_refuse forbids%s", byte,
		    redis);
	else if (kind & LINE_TOO_LONG)
		snprintf(text, size, "a line is longer than line_max = %" PRIu64, c->line_max);
	else if (byte != 0)
		snprintf(text, size, "the line began with %c: if its client sends Redis's own "
		    "framing (RESP), set line_refuse = *$ and let it use protocol = stream_proxy",
		    byte);
}

static const char *
line_proxy_check(struct weir_scope *scope)
{
	struct line_conf *c = weir_scope_conf(scope, &line_proxy_module);
	const uint64_t    most = weir_scope_read_buffer(scope);
	const size_t      size = 160;
	char             *text;

	if (c->line_max > most) {
		text = weir_scope_alloc(scope, size);
		snprintf(text, size,
		    "line_max is %" PRIu64 " bytes, read_buffer only %" PRIu64 ": "
		    "a line could not be read; raise read_buffer or lower line_max",
		    c->line_max, most);
		return text;
	}
	return c->line_failure != NULL ? line_proxy_check_failure(scope, c) : NULL;
}

/* A carriage return cannot stand in a configuration: \r at the end is one. */
static const char *
line_proxy_check_failure(struct weir_scope *scope, struct line_conf *c)
{
	size_t length = strlen(c->line_failure), size = length + 2;
	bool   cr = length >= 2 && strcmp(c->line_failure + length - 2, "\\r") == 0;
	char  *text = weir_scope_alloc(scope, size);

	if (strstr(c->line_failure, "\\n") != NULL || strchr(c->line_failure, '\n') != NULL)
		return "line_failure is one line, and weir adds its newline; take the \\n away";
	if (cr)
		length -= 2;
	c->failure.len = (size_t)snprintf(text, size, "%.*s%s\n", (int)length, c->line_failure,
	    cr ? "\r" : "");
	c->failure.data = text;
	if (c->failure.len > c->line_max)
		return "line_failure is longer than line_max allows a line to be; shorten it";
	return NULL;
}
