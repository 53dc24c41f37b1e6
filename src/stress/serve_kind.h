/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_kind: echo, line, sink, source: what a request is, and its reply. */
#ifndef STRESS_SERVE_KIND_H
#define STRESS_SERVE_KIND_H

#include <stdbool.h>

#include "weir.h"

struct session;

/* Bytes that came: answers what is whole. May close the session. */
void kind_take(struct session *, struct weir_span);

/* The client has sent its last byte. */
void kind_ended(struct session *);

/* What is said without being asked for: whether there is something that can be said
 * now; says it. May close the session. */
bool kind_may_produce(const struct session *);
void kind_produce(struct session *);

/* Whether there is nothing more to be said, when all replies have gone. */
bool kind_is_over(const struct session *);

#endif
