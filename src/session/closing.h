/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * closing: sessions that an operator wants closed end, some at a time.
 *
 *	any place ──closing_add──► DOOMED ──its turn──► CLOSING ──at rest──► FLUSH …
 *	                                                   └── `grace` is over: cut off
 *
 * At rest means between messages, with nothing on its way: what session/move waits for in
 * those that it drains, and says so the same way. They do not move to another worker any
 * more: a reload leaves them here, and this goes on.
 */
#ifndef SESSION_CLOSING_H
#define SESSION_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

struct weir_session;

/* How fast they go, for all that wait and will. */
struct closing_pace {
	uint64_t rate;	/* sessions in 1,000 seconds; 0: all at once */
	uint32_t grace;	/* ms that one has at least to come to rest; half as long again at most */
};

/* Per worker: begin, end. over: called when closing_count is 0 again, perhaps more often. */
void closings_start(void (*over)(void));
void closings_stop(void);

void closing_set_pace(const struct closing_pace *);

/* It is to be closed. False: it is already, or is ending anyway. */
bool closing_add(struct weir_session *);

/* How many have yet to end, as far as this side can end them. */
unsigned closing_count(void);

#endif
