/* SPDX-License-Identifier: BSD-2-Clause */
/* source: the local addresses of --source. */
#include "stress/source.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress/run.h"

#define WORD_MAX (2 * INET6_ADDRSTRLEN + 2)

static const char *
stress_source_read_address(struct addr *a, const char *text)
{
	memset(a, 0, sizeof *a);
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->len = sizeof a->in;
	} else if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->len = sizeof a->in6;
	} else {
		return "addresses without a port are expected, like 127.0.1.1-127.0.1.64";
	}
	return NULL;
}

static unsigned char *
stress_source_bytes(struct addr *a, size_t *n)
{
	*n = a->sa.sa_family == AF_INET ? 4 : 16;
	return a->sa.sa_family == AF_INET ? (unsigned char *)&a->in.sin_addr
					  : (unsigned char *)&a->in6.sin6_addr;
}

static void
stress_source_next(struct addr *a)
{
	size_t         n;
	unsigned char *bytes = stress_source_bytes(a, &n);

	while (n-- > 0 && ++bytes[n] == 0)
		;
}

static int
stress_source_compare(struct addr *a, struct addr *b)
{
	size_t         n;
	unsigned char *x = stress_source_bytes(a, &n), *y = stress_source_bytes(b, &n);

	return memcmp(x, y, n);
}

static const char *
stress_source_add_range(struct run *run, struct addr *from, struct addr *to)
{
	if (from->sa.sa_family != to->sa.sa_family ||
	    (run->source_count > 0 && run->sources[0].sa.sa_family != from->sa.sa_family))
		return "IPv4 and IPv6 cannot stand together";
	if (stress_source_compare(from, to) > 0)
		return "a range begins with its lower address";
	for (;; stress_source_next(from)) {
		if (run->source_count == RUN_SOURCES_MAX)
			return "more than 4096 addresses: that many are never needed";
		run->sources[run->source_count++] = *from;
		if (stress_source_compare(from, to) == 0)
			return NULL;
	}
}

static const char *
stress_source_read_range(struct run *run, const char *text, size_t len)
{
	struct addr from, to;
	char        word[WORD_MAX], *dash;
	const char *what;

	if (len >= sizeof word)
		return "an address is too long";
	memcpy(word, text, len);
	word[len] = '\0';
	dash = strchr(word, '-');
	if (dash != NULL)
		*dash++ = '\0';
	what = stress_source_read_address(&from, word);
	if (what == NULL)
		what = stress_source_read_address(&to, dash != NULL ? dash : word);
	return what != NULL ? what : stress_source_add_range(run, &from, &to);
}

const char *
stress_source_read(struct run *run, const char *text)
{
	const char *what;
	size_t      len;

	if (run->sources == NULL)
		run->sources = calloc(RUN_SOURCES_MAX, sizeof *run->sources);
	if (run->sources == NULL)
		return "no memory";
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		what = stress_source_read_range(run, text, len);
		if (what != NULL || text[len] == '\0')
			return what;
	}
}
