/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_again: which lines a backend has had, to know those that come a second time. */
#ifndef STRESS_SERVE_AGAIN_H
#define STRESS_SERVE_AGAIN_H

#include <stdbool.h>

#include "weir.h"

/* Whether this line has come before; it is remembered (by 64 bits of it, for good). Also
 * false when there is no memory for it. */
bool stress_again_seen(struct weir_span line);

void stress_again_finish(void);

#endif
