/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outcome: what a run of weir-stress (or one try of --slo) came to: what the
 * report prints and conditions judge.
 */
#ifndef STRESS_OUTCOME_H
#define STRESS_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

struct tally;

struct outcome {
	struct tally *before;		/* ramp and warm-up: what went wrong in them; or NULL */
	struct tally *sum;		/* what was measured */
	uint64_t      elapsed;		/* ns of measuring */
	uint64_t      ramp;		/* ns from the beginning to the measuring */
	uint64_t      peak;		/* most connections open at once */
	uint64_t      open;		/* when the measuring ended */
	uint64_t      answered;		/* requests, until the measuring ended */
	uint64_t      unsent;		/* open loop: most that waited for room at once */
	uint64_t      cpu;		/* µs of all workers while measuring */
	double        rate;		/* open loop: requests a second asked for; 0: closed */
	double        busiest;		/* the busiest worker's share of a core while measuring */
	bool          interrupted;	/* ended by a signal */
	bool          ramped;		/* all connections were open when measuring began */

	bool          watched;		/* --watch: the fields below hold */
	uint64_t      server_cpu;	/* µs while measuring */
	uint64_t      server_memory;	/* bytes when the measuring ended */
	int64_t       server_grown;	/* bytes more than before the first connection */
	unsigned      server_processes;

	bool          acrossed;		/* --across: the fields below hold */
	uint64_t      across_runs;	/* ended, whichever way */
	uint64_t      across_failed;	/* status not 0, killed, or never ended */
	uint64_t      across_faults;	/* errors and lost requests while it ran */
	uint64_t      across_other;	/* … while it did not */
	char          across_words[256];/* what the first failed run said, one line */
};

/* Frees what it owns: before and sum. */
void outcome_clear(struct outcome *);

#endif
