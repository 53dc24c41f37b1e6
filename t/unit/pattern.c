/* SPDX-License-Identifier: BSD-2-Clause */
/* pattern: the bytes of a stream are the same however they are cut, and no others. */
#include "base/str.h"
#include "stress/pattern.h"
#include "stress/random.h"
#include "unit/tap.h"

#define SIZE 4096u

static char whole[SIZE], part[SIZE];

static void
cuts(void)
{
	struct rng rng = stress_rng_make(1, 1);
	unsigned   differ = 0, refused = 0, missed = 0;

	stress_pattern_fill(17, 0, whole, SIZE);
	for (unsigned i = 0; i < 5000; i++) {
		size_t at = stress_rng_below(&rng, SIZE), n = stress_rng_below(&rng, SIZE - at + 1);

		if (i < 64) {	/* all alignments, short */
			at = i % 8;
			n = i / 8;
		}
		memset(part, 0, sizeof part);
		stress_pattern_fill(17, at, part, n);
		differ += memcmp(part, whole + at, n) != 0 || (n < SIZE && part[n] != 0);
		refused += !stress_pattern_is(17, at, span_make(whole + at, n));
		if (n > 0) {
			part[stress_rng_below(&rng, n)] ^= (char)(1 << stress_rng_below(&rng, 8));
			missed += stress_pattern_is(17, at, span_make(part, n));
		}
	}
	is_number(differ, 0, "parts are as the whole");
	is_number(refused, 0, "parts are recognised");
	is_number(missed, 0, "a single wrong bit is found");
}

static void
others(void)
{
	unsigned alike = 0;

	for (unsigned id = 0; id < 1000; id++) {
		stress_pattern_fill(id, 64, part, 64);
		for (unsigned other = 0; other < 64; other++)
			alike += other != id && stress_pattern_is(other, 64, span_make(part, 8));
		for (unsigned at = 0; at < 64; at++)
			alike += at != 64 && stress_pattern_is(id, at, span_make(part, 8));
	}
	is_number(alike, 0, "eight bytes tell connections and places apart");
}

int
main(void)
{
	cuts();
	others();
	return done_testing();
}
