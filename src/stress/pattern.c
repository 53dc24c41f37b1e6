/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern: the bytes of a connection's stream: each is computed from the
 * connection's number and its position, eight at a time, so that nothing has to be
 * kept and a byte that belongs to another connection or place is found out.
 */
#include "stress/pattern.h"

#include <string.h>

/* Odd numbers whose multiples have no visible order (the golden ratio; splitmix64). */
#define SPREAD UINT64_C(0x9e3779b97f4a7c15)
#define MIX    UINT64_C(0xbf58476d1ce4e5b9)

static uint64_t
pattern_start(uint64_t id)
{
	uint64_t x = (id + 1) * SPREAD;

	x = (x ^ (x >> 30)) * MIX;
	return x ^ (x >> 31);
}

static uint64_t
pattern_word(uint64_t start, uint64_t index)
{
	uint64_t x = (start + index * SPREAD) * MIX;

	return x ^ (x >> 32);
}

void
stress_pattern_fill(uint64_t id, uint64_t position, char *out, size_t n)
{
	uint64_t start = pattern_start(id), index = position / 8, word;
	size_t   skip = position % 8, part;

	while (n > 0) {
		word = pattern_word(start, index++);
		part = 8 - skip < n ? 8 - skip : n;
		if (part == 8)
			memcpy(out, &word, 8);
		else
			memcpy(out, (const char *)&word + skip, part);
		out += part;
		n -= part;
		skip = 0;
	}
}

bool
stress_pattern_is(uint64_t id, uint64_t position, struct weir_span s)
{
	uint64_t start = pattern_start(id), index = position / 8, word, came, differ = 0;
	size_t   skip = position % 8, part;

	while (s.len > 0) {
		word = pattern_word(start, index++);
		if (skip == 0 && s.len >= 8) {
			memcpy(&came, s.data, 8);
			differ |= word ^ came;
			part = 8;
		} else {
			part = 8 - skip < s.len ? 8 - skip : s.len;
			differ |= memcmp((const char *)&word + skip, s.data, part) != 0;
		}
		s.data += part;
		s.len -= part;
		skip = 0;
	}
	return differ == 0;
}
