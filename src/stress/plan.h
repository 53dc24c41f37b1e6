/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan: what a run needs of this machine, and whether it has it: descriptors,
 * ports, memory.
 */
#ifndef STRESS_PLAN_H
#define STRESS_PLAN_H

#include <stdint.h>

struct run;

/*
 * Raises RLIMIT_NOFILE as far as the run needs it and this process may, then
 * looks whether the run can succeed. With run.plan_only all is told on stdout,
 * otherwise only what is wrong, on stderr. Returns 0: go on (which plan_only does
 * not mean), or the exit status, when something is missing and run.force is not set.
 */
int stress_plan_check(const struct run *);

/* How many ports a range ("32768\t60999") leaves, without the reserved ones ("8080,
 * 9000-9010"); 0: it is not such a text. For the tests. */
uint32_t stress_plan_ports(const char *range, const char *reserved);

#endif
