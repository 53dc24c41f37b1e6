/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_kind: echo, line, sink, source: what a request is, and its reply. */
#ifndef STRESS_SERVE_KIND_H
#define STRESS_SERVE_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "weir.h"

struct stress_session;

/* Bytes that came: answers what is whole. The session may be over then. */
void stress_kind_take(struct stress_session *, struct weir_span);

/* Bytes read at once, or sent by a source: as many as go, where nothing is to happen to
 * them. */
size_t stress_kind_chunk(void);

/* The client has sent its last byte. */
void stress_kind_ended(struct stress_session *);

/* What is said without being asked for: whether there is something that can be said
 * now; says it. The session may be over then. */
bool stress_kind_may_produce(const struct stress_session *);
void stress_kind_produce(struct stress_session *);

/* Whether there is nothing more to be said, when all replies have gone. */
bool stress_kind_is_over(const struct stress_session *);

#endif
