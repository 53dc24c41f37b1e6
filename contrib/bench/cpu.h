/* SPDX-License-Identifier: BSD-2-Clause */
/* What processes took of the processor, from /proc. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stddef.h>
#include <sys/types.h>

struct cpu {
	double secs;	/* of all processes' main threads, exact: from schedstat */
	double user;	/* clock ticks, sampled: good for the ratio of user to system time */
	double sys;
	double steal;	/* seconds that the hypervisor took from this machine, all cores */
};

/* The sums since the processes and the machine started; of processes that do their work in their
 * main thread. Dies if one is gone. */
struct cpu cpu_of(const pid_t *pids, size_t count);

#endif
