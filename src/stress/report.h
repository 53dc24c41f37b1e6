/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what people and programs are told: a live line each second, the text
 * at the end, JSON and the distribution of latencies.
 *
 *	report_create                before the first connection
 *	report_second                each second, in every phase
 *	report_measuring             the ramp and the warm-up are over
 *	report_measured              the measuring is over; what is in flight is waited for
 *	report_outcome               and that is over, too
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
struct watch;

/* Live lines go to stderr, if it is a terminal and run.quiet is not set. Both
 * structs have to outlive it. NULL: no memory. report_free ends a line that is
 * being shown. */
struct report *report_create(const struct run *, const struct shared *);
void report_free(struct report *);

/* Looks at the workers, and shows a live line if there is to be one. */
void report_second(struct report *, uint64_t now_ns);

/* Wipes the live line away: call it before anything else is printed. */
void report_clear(struct report *);

/* Call it just before shared.epoch is raised. Returns 0, or -1: no memory. */
int report_measuring(struct report *, uint64_t now_ns);
void report_measured(struct report *, uint64_t now_ns);

/* --slo: this try is told with all that was before it: nothing came of it. */
void report_whole(struct report *);

/* A station of the ramp is held from here to there. watch may be NULL. */
void report_hold(struct report *, struct watch *, uint64_t now_ns);
void report_held(struct report *, struct watch *, uint64_t now_ns);

/* Fills in all but `interrupted` and what watch and across know; it has to be zeroed
 * before any of them. Returns 0, or -1: no memory. outcome_clear frees what is in it. */
int report_outcome(struct report *, struct outcome *);

/* The same in the middle of it, whatever the phase. */
int report_so_far(struct report *, struct outcome *);

/* Whether run.json and run.hgrm can be written, found out before the run and not
 * behind it: they are created. Returns 0, or -1 with what is wrong told on stderr. */
int report_try_files(const struct run *);

/* Where text goes: stdout, or stderr when that is --json's or --hgrm's. */
FILE *report_output(const struct run *);

/* The text at the end. Returns whether all was reached that had been asked for. */
bool report_print(FILE *, const struct run *, const struct outcome *);

/* Of it, what went wrong, by kind, and what to do about it. */
void report_faults(FILE *, const struct run *, const struct outcome *);

/* Its last words: each of the conditions (NULL: there are none), and whether it was good:
 * `reached` is what report_print said. */
void report_verdict(FILE *, const struct run *, const struct outcome *, const struct expect *,
    bool reached);

/* run.json and run.hgrm ("-": stdout); nothing when they are NULL. Return 0, or -1
 * with what is wrong told on stderr. `over`: the run has ended. */
int report_json(const struct run *, const struct outcome *, bool over);
int report_slo_json(const struct run *, const struct slo *);	/* in place of it */
int report_hgrm(const struct run *, const struct outcome *);

#endif
