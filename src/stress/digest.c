/* SPDX-License-Identifier: BSD-2-Clause */
/* digest: a polynomial over the bytes, modulo 2^64. */
#include "stress/digest.h"

#define K1 UINT64_C(0x2d358dccaa6c78a5)
#define K2 (K1 * K1)
#define K3 (K2 * K1)
#define K4 (K3 * K1)

void
stress_digest_add(struct stress_digest *d, struct weir_span s)
{
	const unsigned char *p = (const unsigned char *)s.data, *end = p + s.len;
	uint64_t             h = d->state;

	d->bytes += s.len;
	/* Four at once: the multiplications do not wait for each other. A byte counts
	 * as 1 … 256, so that leading zeros count, too. */
	for (; end - p >= 4; p += 4)
		h = h * K4 + (p[0] + 1u) * K3 + (p[1] + 1u) * K2 + (p[2] + 1u) * K1 + p[3] + 1u;
	for (; p < end; p++)
		h = h * K1 + *p + 1u;
	d->state = h;
}

uint64_t
stress_digest_value(const struct stress_digest *d)
{
	uint64_t z = d->state ^ d->bytes;

	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return z ^ (z >> 32);
}
