/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handshake: TLS is agreed on with a client, before its protocol begins.
 *
 *	client says nothing ──► its first record is here ──► open ──► OPEN
 *	    costs a session          │          ▲             │ 50 KB, processor time
 *	                             └─ waits ──┘             └─► refused, when it is old and
 *	                                                          others wait
 *
 * Those who are connected come before those who are not: at most worker_handshakes are
 * open (net/admission). Who has to wait costs his first record (session/preread), until
 * handshake_timeout. So clients that stop in mid-handshake, however many, keep nobody else out
 * for longer than a second; and who goes while he waits leaves at once.
 */
#ifndef SESSION_HANDSHAKE_H
#define SESSION_HANDSHAKE_H

#include <stdint.h>

extern const struct session_mode handshake_mode;

/* Per worker, with its seat on the board: at most so many are open. */
void handshakes_start(uint64_t most, unsigned seat);
void handshakes_stop(void);

#endif
