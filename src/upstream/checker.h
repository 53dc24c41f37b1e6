/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checker: active health checks: the keeper connects to each peer from time to time.
 *
 *	due ──► (a place is free) ──► connect ──► TLS ──► PROXY header, send ──► expect ──► result
 *
 * Once for all workers: what comes of it stands on the board (upstream/health), where
 * upstream/peer makes it one with what traffic finds. A keeper that is started later goes on
 * with what stands there.
 */
#ifndef UPSTREAM_CHECKER_H
#define UPSTREAM_CHECKER_H

struct duty;

/* Checks at a time: others, which are due, wait for a place. So many TLS handshakes may be
 * open in the keeper, so that those of checks wait for nobody. */
#define CHECKER_MOST 256u

extern const struct duty checker_duty;

#endif
