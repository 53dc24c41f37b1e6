/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_kind: echo, line, sink, source: what a request is, and its reply. */
#ifndef STRESS_SERVE_KIND_H
#define STRESS_SERVE_KIND_H

#include <stdbool.h>

#include "weir.h"

struct stress_session;

/* Bytes that came: answers what is whole. May close the session. */
void stress_kind_take(struct stress_session *, struct weir_span);

/* The client has sent its last byte. */
void stress_kind_ended(struct stress_session *);

/* What is said without being asked for: whether there is something that can be said
 * now; says it. May close the session. */
bool stress_kind_may_produce(const struct stress_session *);
void stress_kind_produce(struct stress_session *);

/* Whether there is nothing more to be said, when all replies have gone. */
bool stress_kind_is_over(const struct stress_session *);

#endif
