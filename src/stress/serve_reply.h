/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve_reply: what a session says, when, and what goes wrong with it.
 *
 * What is to happen to a reply is drawn when it is made, in its order: so a session's
 * number and what is asked on it decide all of it.
 */
#ifndef STRESS_SERVE_REPLY_H
#define STRESS_SERVE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "stress/serve_options.h"
#include "weir.h"

struct stress_session;

/* A request has come, and this is its reply. The session may be over then. */
void stress_reply_give(struct stress_session *, struct weir_span text);

/* The same for n requests and their replies, where nothing is to happen to them. */
void stress_reply_give_many(struct stress_session *, struct weir_span text, uint64_t n);

/* Sends the replies that are due, up to one that ends the connection. The session
 * may be over then. */
void stress_replies_release(struct stress_session *);

/* They will not be sent. */
void stress_replies_drop(struct stress_session *);

/* µs of CLOCK_MONOTONIC: when the next one is due; UINT64_MAX: there is none. */
uint64_t stress_replies_due(const struct stress_session *);

/* Whether this happens now: drawn, and counted if it does. */
bool stress_reply_harm_happens(struct stress_session *, enum harm);

/* µs, drawn: of --delay and --jitter. */
uint64_t stress_reply_harm_wait(struct stress_session *);

/* A harm that ends the connection, or its talking, when all before it has gone. */
void stress_reply_harm_end(struct stress_session *, enum harm);

#endif
