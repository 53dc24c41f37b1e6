/* SPDX-License-Identifier: BSD-2-Clause */
/* target: what all fuzz targets have (libFuzzer), and how they say that something is wrong. */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
must(bool holds)
{
	if (!holds)
		abort();
}

#endif
