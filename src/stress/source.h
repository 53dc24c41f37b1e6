/* SPDX-License-Identifier: BSD-2-Clause */
/* source: the local addresses of --source. */
#ifndef STRESS_SOURCE_H
#define STRESS_SOURCE_H

struct run;

/* "127.0.1.1-127.0.1.64,127.0.2.1" → run.sources (which stay) and their number. Returns
 * NULL, or a phrase that says what is wrong. */
const char *stress_source_read(struct run *, const char *text);

#endif
