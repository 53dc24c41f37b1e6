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
struct digest {
	uint64_t bytes;
	uint64_t state;
};

void     digest_add(struct digest *, struct weir_span);
uint64_t digest_value(const struct digest *);

#endif
