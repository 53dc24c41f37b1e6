/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_session: a connection of a backend: what it is sent, and what goes wrong. */
#ifndef STRESS_SERVE_SESSION_H
#define STRESS_SERVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

struct door;

void sessions_start(void);

/* A connection with a number of its own. Returns false when there is no memory: the fd
 * is then still the caller's. */
bool session_open(struct door *, int fd, uint64_t number);

/* Of this door, at once; with or without a reset. */
void sessions_end(struct door *, bool reset);

/* Frees what has ended: at the end of a pass. */
void sessions_sweep(void);
void sessions_finish(void);

#endif
