/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode: what weir-stress does on its connections.
 *
 * stress/client opens connections, reads, writes and times; a mode says what is
 * sent and what has to come back. All bytes are made from the connection's number
 * and a position, so nothing has to be remembered to verify a reply.
 */
#ifndef STRESS_MODE_H
#define STRESS_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

struct stress_client;
struct run;

enum take {
	TAKE_MORE,		/* the reply is not whole yet */
	TAKE_REPLY,		/* it is what was asked for */
	TAKE_FAILED,		/* it is the failure text */
	TAKE_WRONG,		/* it is neither */
};

struct mode {
	const char *name;
	const char *help;		/* one line */
	bool        paced;		/* has requests: -p, --rate, -n count them */
	bool        fresh;		/* … each on a connection of its own */
	bool        tls;		/* is about TLS: --tls need not be given */
	const char *takes;		/* options that not all modes have, as letters: i n p s,
					 * E --each, F --failure, I --inline, L --leave,
					 * R --rate, T --tls-stop, W --way */
	bool        varied;		/* lines are of any size up to -s */
	bool        once;		/* without -n and -d each connection does it once */
	uint64_t    timeout;		/* ms: -t where it is not given; 0: as for all */
	uint64_t    interval;		/* ms: -i where it is not given; 0: -i means nothing */
	size_t      size;		/* bytes: -s where it is not given; 0: as for all */

	/* NULL, or what the mode counts for itself in tally.own: names as --expect
	 * and --json use them; the list ends with NULL. */
	const char *const *counters;

	/* NULL, or what is wrong with the options, completing «echo: …». */
	const char *(*check)(const struct run *);

	/* Appends one request to `out` (room for run.size bytes, at least 64):
	 * returns its length. */
	size_t      (*request)(struct stress_client *, char *out);

	/* The next bytes of the reply to the oldest request. Sets *used to how
	 * many belong to it; TAKE_MORE uses all. Before TAKE_WRONG it calls
	 * stress_client_wrong. */
	enum take   (*reply)(struct stress_client *, struct weir_span in, size_t *used);

	/* What is not requests and replies: came is called instead of the two
	 * above. opened: connected. came: bytes, or the end (an empty span). room:
	 * may send again. tick: when stress_client_tick's time has come. A mode that is
	 * not paced may have requests all the same: it sends one with stress_client_ask. */
	void        (*opened)(struct stress_client *);
	void        (*came)(struct stress_client *, struct weir_span in);
	void        (*room)(struct stress_client *);
	void        (*tick)(struct stress_client *);
};

#define MODE_COUNTERS_MAX 8u	/* of tally.own */

extern const struct mode mode_echo, mode_line, mode_redis, mode_idle, mode_churn, mode_handshake,
    mode_bulk, mode_slowloris, mode_halfclose, mode_unruly;

/* By name, or by place (NULL behind the last). */
const struct mode *stress_mode_find(const char *name);
const struct mode *stress_mode_at(unsigned index);

#endif
