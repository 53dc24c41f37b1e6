/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode_line: the tagged line that says whose it is, for all modes that use it.
 *
 *	c17 4 qwhx…\n		connection 17, request 4, filler up to run.size
 */
#ifndef STRESS_MODE_LINE_H
#define STRESS_MODE_LINE_H

#include "stress/client.h"
#include "stress/mode.h"

#define LINE_LEAST 32u		/* bytes: room for any tag is there in 64 */

/* As of struct mode. A reply is the very line, or the text of --failure and a newline. */
size_t    stress_line_request(struct stress_client *, char *out);
enum take stress_line_reply(struct stress_client *, struct weir_span in, size_t *used);

/* For modes that have their requests counted by once.h: the next reply of `in`, which is
 * cut by it. Returns false when there is nothing more to do with the bytes. */
bool stress_line_take(struct stress_client *, struct weir_span *in);

/* NULL, or what is wrong with -s. */
const char *stress_line_check(const struct run *);

/* Writes line n of the connection (room for run.size bytes, at least 64); returns its
 * length. */
size_t stress_line_write(uint64_t id, uint64_t n, char *out);

#endif
