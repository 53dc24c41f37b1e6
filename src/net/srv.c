/* SPDX-License-Identifier: BSD-2-Clause */
/* srv: what a DNS message says about the servers of a service. */
#include "net/srv.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

#define HEADER      12u
#define QUESTION     4u		/* type and class, behind the name */
#define RECORD      10u		/* type, class, TTL, length, behind the name */
#define SRV_FIXED    6u		/* priority, weight, port, in front of the target */
#define TYPE_SRV    33u
#define CLASS_IN     1u
#define POINTER   0xc0u
#define POINTERS_MAX 64u	/* followed in one name */

static bool srv_skip_name(struct weir_span, size_t *at);
static bool srv_take_name(struct weir_span, size_t at, char out[SRV_TARGET_MAX]);
static bool srv_add_label(const uint8_t *label, unsigned length, char *out, size_t *used);
static bool srv_take_record(struct srv_answer *, struct weir_span, size_t at, unsigned length);
static void srv_insert(struct srv_answer *, const struct srv_record *);
static int  srv_compare(const struct srv_record *, const struct srv_record *);

static unsigned
srv_byte(struct weir_span m, size_t at)
{
	return (uint8_t)m.data[at];
}

static unsigned
srv_short(struct weir_span m, size_t at)
{
	return srv_byte(m, at) << 8 | srv_byte(m, at + 1);
}

enum srv_verdict
srv_answer_parse(struct srv_answer *a, struct weir_span m)
{
	unsigned questions, answers, type, class, length;
	size_t   at = HEADER;
	uint32_t ttl;

	a->count = a->left_out = 0;
	a->ttl = UINT32_MAX;
	if (m.len < HEADER)
		return SRV_MALFORMED;
	questions = srv_short(m, 4);
	answers = srv_short(m, 6);
	for (; questions > 0; questions--, at += QUESTION)
		if (!srv_skip_name(m, &at) || m.len - at < QUESTION)
			return SRV_MALFORMED;
	for (; answers > 0; answers--, at += length) {
		if (!srv_skip_name(m, &at) || m.len - at < RECORD)
			return SRV_MALFORMED;
		type = srv_short(m, at);
		class = srv_short(m, at + 2);
		ttl = (uint32_t)srv_short(m, at + 4) << 16 | srv_short(m, at + 6);
		length = srv_short(m, at + 8);
		at += RECORD;
		if (m.len - at < length)
			return SRV_MALFORMED;
		/* RFC 2181: what has the first bit set is 0. Aliases count, too. */
		if (ttl >> 31 != 0)
			ttl = 0;
		if (ttl < a->ttl)
			a->ttl = ttl;
		if (type == TYPE_SRV && class == CLASS_IN && !srv_take_record(a, m, at, length))
			return SRV_MALFORMED;
	}
	return a->count > 0 ? SRV_GOOD : SRV_NONE;
}

/* To what is behind a name. */
static bool
srv_skip_name(struct weir_span m, size_t *at)
{
	while (*at < m.len) {
		unsigned length = srv_byte(m, *at);

		if ((length & POINTER) == POINTER) {
			*at += 2;
			return *at <= m.len;
		}
		if ((length & POINTER) != 0)
			return false;
		*at += 1 + length;
		if (length == 0)
			return *at <= m.len;
	}
	return false;
}

/* "": the root. */
static bool
srv_take_name(struct weir_span m, size_t at, char out[SRV_TARGET_MAX])
{
	unsigned pointers = 0, length;
	size_t   used = 0;

	for (;;) {
		if (at >= m.len)
			return false;
		length = srv_byte(m, at);
		if ((length & POINTER) == POINTER) {
			if (m.len - at < 2 || ++pointers > POINTERS_MAX)
				return false;
			at = (length & ~POINTER) << 8 | srv_byte(m, at + 1);
			continue;
		}
		if ((length & POINTER) != 0 || m.len - at - 1 < length)
			return false;
		if (length == 0)
			break;
		if (!srv_add_label((const uint8_t *)m.data + at + 1, length, out, &used))
			return false;
		at += 1 + length;
	}
	out[used] = '\0';
	return true;
}

/* Letters that are no name of a host would only confuse whoever reads them. */
static bool
srv_add_label(const uint8_t *label, unsigned length, char *out, size_t *used)
{
	if (*used + 1 + length >= SRV_TARGET_MAX)
		return false;
	if (*used > 0)
		out[(*used)++] = '.';
	for (unsigned i = 0; i < length; i++) {
		uint8_t c = label[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c - 'A' + 'a');
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
			return false;
		out[(*used)++] = (char)c;
	}
	return true;
}

/* A target that is the root says that there is no such service, a port of 0 says nothing. */
static bool
srv_take_record(struct srv_answer *a, struct weir_span m, size_t at, unsigned length)
{
	struct srv_record r;

	if (length <= SRV_FIXED || !srv_take_name(m, at + SRV_FIXED, r.target))
		return false;
	r.priority = (uint16_t)srv_short(m, at);
	r.weight = (uint16_t)srv_short(m, at + 2);
	r.port = (uint16_t)srv_short(m, at + 4);
	if (r.target[0] != '\0' && r.port != 0)
		srv_insert(a, &r);
	return true;
}

/* A record that is there twice counts once. */
static void
srv_insert(struct srv_answer *a, const struct srv_record *r)
{
	unsigned low = 0, high = a->count, middle;
	int      order;

	while (low < high) {
		middle = (low + high) / 2;
		order = srv_compare(r, &a->records[middle]);
		if (order == 0)
			return;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	if (a->count == a->most)
		a->left_out++;
	else
		a->count++;
	if (low == a->most)
		return;
	memmove(&a->records[low + 1], &a->records[low],
	    (a->count - low - 1) * sizeof *a->records);
	a->records[low] = *r;
}

static int
srv_compare(const struct srv_record *a, const struct srv_record *b)
{
	int order = strcmp(a->target, b->target);

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (order != 0)
		return order;
	return a->port == b->port ? 0 : a->port < b->port ? -1 : 1;
}
