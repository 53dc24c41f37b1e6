/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outcome: what a run of weir-stress (or one try of --slo) came to: what the
 * report prints and conditions judge.
 */
#ifndef STRESS_OUTCOME_H
#define STRESS_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "stress/run.h"

struct tally;

/* What was seen while a station of the ramp was held. */
struct station {
	uint64_t open;			/* connections */
	uint64_t answered;
	uint64_t errors;
	uint64_t elapsed;		/* ns */
	uint64_t p50;			/* µs */
	uint64_t p99;
	uint64_t max;
	uint64_t cpu;			/* µs of all workers */
	uint64_t server_cpu;		/* µs */
	int64_t  server_grown;		/* bytes more than before the first connection */
};

struct outcome {
	struct tally *sum;		/* what shared.epoch wipes: of the measuring; all else
					 * from the beginning, or of the try */
	uint64_t      elapsed;		/* ns of measuring */
	uint64_t      peak;		/* most connections open at once */
	uint64_t      open;		/* when the measuring ended */
	uint64_t      answered;		/* requests, until the measuring ended */
	uint64_t      failed;		/* … with the failure text, since it began */
	uint64_t      late;		/* open loop: most that waited for room at once */
	uint64_t      bytes;		/* both ways, while measuring */
	uint64_t      cpu;		/* µs of all workers while measuring */
	double        rate;		/* open loop: requests a second asked for; 0: closed */
	double        busiest;		/* the busiest worker's share of a core while measuring */
	bool          interrupted;	/* ended by a signal */
	bool          met;		/* the judgement: good, or as --expect wants it */
	bool          broken;		/* a process ended before its time */
	bool          unwritten;	/* --json or --hgrm could not be written */

	bool          watched;		/* --watch: the fields below hold */
	uint64_t      server_cpu;	/* µs while measuring */
	uint64_t      server_memory;	/* bytes, the most that were seen */
	int64_t       server_grown;	/* bytes more than before the first connection, when the
					 * measuring ended; means nothing when it is gone */
	unsigned      server_processes;
	bool          server_gone;	/* it has ended meanwhile */

	bool          acrossed;		/* --across: the fields below hold */
	uint64_t      across_runs;	/* ended, whichever way */
	uint64_t      across_failed;	/* status not 0, killed, or never ended */
	uint64_t      across_faults;	/* while it ran and shortly after */
	uint64_t      across_lost;	/* requests in flight on connections that ended then */
	uint64_t      across_other;	/* faults and requests lost at other times */
	uint64_t      across_time;	/* ns: the longest run */
	uint64_t      across_max;	/* µs: the slowest request that was answered meanwhile */
	char across_words[256]; /* what the first failed run said, one line */

	unsigned       station_count;
	struct station stations[RUN_STEPS_MAX];
};

/* Of a core: then what was measured may be the tester's own limit. */
#define OUTCOME_BUSY 0.9

/* Of a rate: what a try of --slo has to reach. */
#define OUTCOME_REACHED 0.98

/* Whether what was due was answered in its time, well or with the failure text. A closed
 * loop has no such rate. */
bool stress_outcome_reached(const struct outcome *, const struct run *);

/* Frees what it owns. */
void stress_outcome_clear(struct outcome *);

#endif
