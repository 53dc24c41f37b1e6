/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern: the bytes of a connection's own stream, each known from the connection's
 * number and its position. A source of --serve sends those of connection 0.
 */
#ifndef STRESS_PATTERN_H
#define STRESS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

/* Writes the n bytes from this position on. */
void stress_pattern_fill(uint64_t id, uint64_t position, char *out, size_t n);

/* Whether these are the bytes from this position on. */
bool stress_pattern_is(uint64_t id, uint64_t position, struct weir_span);

#endif
