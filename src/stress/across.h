/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * across: a command that is run again and again during the load (a reload, say),
 * and what the load lost by it.
 */
#ifndef STRESS_ACROSS_H
#define STRESS_ACROSS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hist;
struct outcome;
struct run;
struct shared;

#define ACROSS_LIMIT_MS 60000u	/* a command that runs longer is killed, and has failed */

#define ACROSS_ECHO_MS  1000u	/* what is lost so soon behind its end is lost by it */

struct losses {
	uint64_t faults;		/* of connections; answers with the failure text, too */
	uint64_t requests;		/* in flight on connections that ended */
};

struct across {
	const struct run    *run;
	const struct shared *shared;
	pid_t                pid;	/* of the shell, which leads a group of its own; 0: none */
	int                  output;	/* what it says; -1: nothing is kept */
	uint64_t             began;	/* ns */
	uint64_t             ended;	/* ns, while its echo is counted; 0: it is not */
	uint64_t             next;	/* ns: when it begins again */
	uint64_t             runs;	/* that have ended */
	uint64_t             failed;
	uint64_t             longest;	/* ns */
	uint64_t             slowest;	/* µs: a request's latency meanwhile */
	struct losses        seen;	/* when last looked */
	struct losses        during;	/* while it ran, with its echo */
	struct losses        other;
	struct hist         *before;	/* latencies when it began; NULL: no memory */
	struct hist         *now;
	char                 words[256];
};

/* From the beginning of the measuring; does nothing without run.across. */
void stress_across_begin(struct across *, const struct run *, const struct shared *,
    uint64_t now_ns);

/* Ends, begins and kills what is to be: call it at SIGCHLD (do not reap others'
 * children: it waits for its own by pid) and at the time that it returns (ns;
 * UINT64_MAX: never, there is no command). */
uint64_t stress_across_tick(struct across *, uint64_t now_ns);

/* No further run; waits for the one that is under way, at most ACROSS_END_MS or until
 * SIGINT, SIGTERM or SIGHUP (blocked) come, then kills it. Fills in the outcome's part. */
#define ACROSS_END_MS 5000u
void stress_across_end(struct across *, struct outcome *);

#endif
