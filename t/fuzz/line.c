/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line: the parsers of line_proxy find the same lines however the bytes come,
 * never longer than line_max, and look at no byte twice.
 *
 * Input: line_max (2 bytes), sizes of the pieces (2 bytes: where a sequence
 * begins; 0 0: all at once), then the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/module.h"
#include "target.h"

#define HEAD 4u

struct stream {
	const char *data;
	size_t      len;
	uint64_t    line_max;
	uint32_t    pieces;	/* 0: in one piece */
};

static const struct weir_module *
line_module(void)
{
	for (unsigned i = 0; builtin_modules[i] != NULL; i++)
		if (strcmp(builtin_modules[i]->name, "line_proxy") == 0)
			return builtin_modules[i];
	return NULL;
}

static void *
line_conf(const struct weir_module *module, uint64_t line_max)
{
	char *conf = calloc(1, module->conf_size);

	if (conf == NULL)
		abort();
	for (const struct weir_key *k = module->keys; k->name != NULL; k++)
		if (strcmp(k->name, "line_max") == 0)
			memcpy(conf + k->offset, &line_max, sizeof line_max);
	return conf;
}

/* What is to be found, by a search for no more than that. */
static enum weir_parse
expected(const struct stream *s, size_t at, size_t *length)
{
	size_t n;

	for (n = 0; n < s->line_max && at + n < s->len; n++) {
		if (s->data[at + n] == '\n') {
			*length = n + 1;
			return WEIR_WHOLE;
		}
	}
	return n == s->line_max ? WEIR_MALFORMED : WEIR_MORE;
}

/* One call, with a block of exactly these bytes. Those that a call before has
 * seen are newlines now: none was there. */
static enum weir_parse
parse(const struct weir_module *module, const void *conf, void *memory, bool reply,
    struct weir_span in, size_t seen, struct weir_message *m)
{
	char            *block = malloc(in.len);
	struct weir_span span = { block, in.len };
	enum weir_parse  verdict;

	if (block == NULL)
		abort();
	memcpy(block, in.data, in.len);
	memset(block, '\n', seen);
	*m = (struct weir_message){ .replies = 1 };
	if (reply)
		verdict = module->exchange->reply(conf, memory, 7, span, m);
	else
		verdict = module->exchange->request(conf, memory, span, m);
	free(block);
	return verdict;
}

static void
walk(const struct weir_module *module, const struct stream *s, bool reply)
{
	_Alignas(16) char memory[WEIR_PARSER_MEMORY] = { 0 };
	size_t at = 0, here = 0, seen = 0, length = 0;
	void *conf = line_conf(module, s->line_max);
	enum weir_parse verdict = WEIR_MORE;
	uint32_t piece = s->pieces;
	struct weir_message m;

	while (verdict != WEIR_MALFORMED && at + seen < s->len) {
		if (s->pieces == 0)
			here = s->len;
		while (here <= at + seen) {
			piece = piece * 1103515245u + 12345u;
			here += 1 + (piece >> 16) % 9;
		}
		if (here > s->len)
			here = s->len;
		verdict = parse(module, conf, memory, reply,
		    (struct weir_span){ s->data + at, here - at }, seen, &m);
		if (verdict == WEIR_MORE) {
			seen = here - at;
			continue;
		}
		must(verdict == expected(s, at, &length));
		if (verdict == WEIR_MALFORMED)
			break;
		must(m.length == length && length <= here - at && m.replies == 1);
		at += length;
		seen = 0;
		memset(memory, 0, sizeof memory);
	}
	/* Where it waits for more there is really nothing yet. */
	must(expected(s, at, &length) == verdict || at == s->len);
	free(conf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct weir_module *module = line_module();
	struct stream             s;

	if (module == NULL || size < HEAD)
		return 0;
	s.data = (const char *)data + HEAD;
	s.len = size - HEAD;
	s.line_max = 2 + (data[0] | (uint64_t)data[1] << 8) % 8192;
	s.pieces = data[2] | (uint32_t)data[3] << 8;
	walk(module, &s, false);
	walk(module, &s, true);
	s.pieces = 0;
	walk(module, &s, false);
	return 0;
}
