/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conduct: the parent: starts the workers, leads them through the phases of the run,
 * and has it judged.
 *
 *	ramp ──► warm-up ──► measure ──► drain ──► end
 *	            ▲           │ │ ▲      │
 *	            │           │ └─┘ next station of -c
 *	            └───────────┴──────────┘ next try of --slo
 */
#ifndef STRESS_CONDUCT_H
#define STRESS_CONDUCT_H

struct expect;
struct run;

/* conditions: of --expect or --slo, or NULL. Returns the exit status. */
int stress_conduct_run(const struct run *, const struct expect *conditions);

#endif
