/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run: what weir-stress has been asked to do: the command line, read and checked.
 */
#ifndef STRESS_RUN_H
#define STRESS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/addr.h"
#include "stress/tls.h"

struct mode;

#define RUN_WORKERS_MAX 64u
#define RUN_SOURCES_MAX 4096u
#define RUN_STEPS_MAX   16u	/* plateaus of the ramp */

enum pacing {
	PACE_CLOSED,		/* the next request when a reply has come */
	PACE_FIXED,		/* open loop: at equal intervals */
	PACE_POISSON,		/* open loop: at random, independent of each other */
};

/* bulk: who sends. */
enum stress_way { WAY_BOTH, WAY_OUT, WAY_IN };

/* `connections` are reached at `rate` per second, then held for `hold`. */
struct step {
	unsigned connections;
	uint64_t hold;		/* ms */
};

struct run {
	const struct mode *mode;
	struct addr        target;
	char               target_name[ADDR_TEXT_MAX];
	char               host[256];		/* of the target; "": it has none */
	unsigned           workers;
	unsigned           connections;		/* over all workers, the last step's */
	struct step        steps[RUN_STEPS_MAX];
	unsigned           step_count;		/* 0: straight to `connections` */
	double             ramp;		/* connections a second, all workers; 0: at once */
	uint64_t           requests;		/* end after so many, all workers; 0: no such end */
	uint64_t           hold;		/* ms of each step */
	uint64_t           each;		/* … after so many on each connection; 0: no */
	uint64_t           duration;		/* ms of measuring; 0: no such end */
	uint64_t           warmup;		/* ms before it that are not measured */
	uint64_t           interval;		/* ms between an idle connection's pings */
	uint64_t           timeout;		/* ms for a connect, and for a reply */
	uint64_t           size;		/* bytes of a message */
	unsigned           depth;		/* requests in flight on one connection */
	enum pacing        pacing;
	double             rate;		/* open loop: requests a second; bulk: bytes */
	enum stress_way    way;			/* bulk */
	bool               lines;		/* redis: requests are lines */
	double             leave;		/* unruly: how likely behind a burst */
	const char        *failure;		/* line: what counts as a failed one; NULL: none */
	struct addr       *sources;		/* addresses to connect from */
	unsigned           source_count;
	uint64_t           seed;
	struct stress_tls  tls;
	pid_t              watch;		/* 0: nobody */
	const char        *json;		/* files, or NULL */
	const char        *hgrm;
	const char        *expect;		/* conditions, or NULL */
	const char        *slo;
	const char        *across;		/* a command for the shell, or NULL */
	uint64_t           across_interval;	/* ms from its end to its next beginning */
	bool               plan_only;
	bool               force;		/* run although the plan says it cannot succeed */
	bool               quiet;		/* no live line */
};

/* Reads the command line. Returns 0, or the exit status with all that is wrong
 * already told on stderr; -1: --help or --version has been answered. */
int stress_run_read(struct run *, int argc, char **argv);

#endif
