/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * digest: 64 bits over all bytes of a stream and their order, however it is cut.
 * It finds what goes wrong by accident, not what somebody wants to hide.
 */
#ifndef STRESS_DIGEST_H
#define STRESS_DIGEST_H

#include <stdint.h>

#include "weir.h"

/* Zeroed: of no byte. */
struct stress_digest {
	uint64_t bytes;
	uint64_t state;
};

void     stress_digest_add(struct stress_digest *, struct weir_span);
uint64_t stress_digest_value(const struct stress_digest *);

#endif
