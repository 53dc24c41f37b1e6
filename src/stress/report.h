/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what people and programs are told: a live line each second, the text
 * at the end, JSON and the distribution of latencies.
 *
 *	stress_report_create                before the first connection
 *	stress_report_second                each second, in every phase
 *	stress_report_measuring             the ramp and the warm-up are over
 *	stress_report_measured              the measuring is over; what is in flight is waited for
 *	stress_report_outcome               and that is over, too
 *
 * --slo does the last three again for each try.
 */
#ifndef STRESS_REPORT_H
#define STRESS_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct expect;
struct outcome;
struct report;
struct run;
struct shared;
struct slo;
struct stress_watch;

/* Live lines go to stderr, if it is a terminal and run.quiet is not set. Both
 * structs have to outlive it. NULL: no memory. stress_report_free ends a line that is
 * being shown. */
struct report *stress_report_create(const struct run *, const struct shared *);
void stress_report_free(struct report *);

/* Looks at the workers, and shows a live line if there is to be one. */
void stress_report_second(struct report *, uint64_t now_ns);

/* Wipes the live line away: call it before anything else is printed. */
void stress_report_clear(struct report *);

/* Call it just before shared.epoch is raised. Returns 0, or -1: no memory. */
int stress_report_measuring(struct report *, uint64_t now_ns);
void stress_report_measured(struct report *, uint64_t now_ns);

/* --slo: this try is told with all that was before it: nothing came of it. */
void stress_report_whole(struct report *);

/* A station of the ramp is held from here to there. watch may be NULL. */
void stress_report_hold(struct report *, struct stress_watch *, uint64_t now_ns);
void stress_report_held(struct report *, struct stress_watch *, uint64_t now_ns);

/* Fills in all but `interrupted` and what watch and across know; it has to be zeroed
 * before any of them. Returns 0, or -1: no memory. stress_outcome_clear frees what is in it. */
int stress_report_outcome(struct report *, struct outcome *);

/* The same in the middle of it, whatever the phase. */
int stress_report_so_far(struct report *, struct outcome *);

/* Whether run.json and run.hgrm can be written, found out before the run and not
 * behind it: they are created. Returns 0, or -1 with what is wrong told on stderr. */
int stress_report_try_files(const struct run *);

/* Where text goes: stdout, or stderr when that is --json's or --hgrm's. */
FILE *stress_report_output(const struct run *);

/* The text at the end. Returns whether all was reached that had been asked for. */
bool stress_report_print(FILE *, const struct run *, const struct outcome *);

/* Of it, what went wrong, by kind, and what to do about it. */
void stress_report_faults(FILE *, const struct run *, const struct outcome *);

/* Its last words: each of the conditions (NULL: there are none), and whether it was good:
 * `reached` is what stress_report_print said. */
void stress_report_verdict(FILE *, const struct run *, const struct outcome *,
    const struct expect *, bool reached);

/* run.json and run.hgrm ("-": stdout); nothing when they are NULL. Return 0, or -1
 * with what is wrong told on stderr. `over`: the run has ended. */
int stress_report_json(const struct run *, const struct outcome *, bool over);
int stress_report_slo_json(const struct run *, const struct slo *);	/* in place of it */
int stress_report_hgrm(const struct run *, const struct outcome *);

#endif
