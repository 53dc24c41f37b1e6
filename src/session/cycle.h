/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cycle: servers whose peers lead back to them.
 *
 * A peer may be what a server of this configuration listens on. When that one's
 * peers lead back, every session opens another, until descriptors run out.
 */
#ifndef SESSION_CYCLE_H
#define SESSION_CYCLE_H

struct conf;
struct server;

/* When all of them have been checked: an error for each way back. */
void cycles_check(const struct conf *, struct server *const *servers, unsigned count);

#endif
