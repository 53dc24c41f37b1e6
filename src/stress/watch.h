/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch: CPU and memory of a server: a process with its children, from proc(5).
 */
#ifndef STRESS_WATCH_H
#define STRESS_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct outcome;

#define WATCH_PROCESSES_MAX 1024u

struct watched {
	pid_t    pid;
	uint64_t start;		/* clock ticks since boot: tells a pid that is used again */
	pid_t    parent;
	uint64_t cpu;		/* µs so far */
	uint64_t ended;		/* µs of its children that have ended, and theirs */
	uint64_t ended_before;	/* … at the sample before */
	bool     seen;		/* by the last sample */
};

struct stress_watch {
	pid_t          root;	/* 0: nobody is watched, and nothing is done */
	bool           gone;	/* the root has ended */
	struct watched of[WATCH_PROCESSES_MAX];
	unsigned       count;
	uint64_t       cpu;		/* µs since stress_watch_open, of all there were */
	uint64_t       base_cpu;	/* … when the measuring began */
	uint64_t       base_memory;	/* bytes without files, before the first connection */
	uint64_t       measured_cpu;	/* … and when it ended */
	uint64_t       memory;		/* the most that was weighed */
	uint64_t       weigh_at;	/* ns: not before */
};

/* Before the first connection. pid 0: nobody. Returns 0, or -1 with errno (ESRCH,
 * EACCES: another user's). */
int stress_watch_open(struct stress_watch *, pid_t) __attribute__((warn_unused_result));

/* Each second: CPU; and memory, unless that would take more than WATCH_SHARE of the time. */
#define WATCH_SHARE 0.01
void stress_watch_sample(struct stress_watch *);

/* The measuring begins, and ends: as short before it is said as may be, so that both
 * ends are the same time away from what the report takes for them. */
void stress_watch_measuring(struct stress_watch *);
void stress_watch_measured(struct stress_watch *);

/* Behind the end of the measuring, while connections are still there: weighs, and fills
 * in the outcome's part. */
void stress_watch_outcome(struct stress_watch *, struct outcome *);

/* Weighs all processes. Returns how many bytes they have more than at first, without pages
 * of files: who else shares those comes and goes. 0 when nobody is watched, or it has
 * ended. */
int64_t stress_watch_grown(struct stress_watch *);

/* Parsers, for the tests. Each returns 0, or -1: it is not such a text. */
struct watch_stat {
	uint64_t ticks;		/* of the process */
	uint64_t ended;		/* of its children that have ended */
	uint64_t start;
	bool     dead;		/* has ended, and its parent has not been told yet */
};
int stress_watch_parse_stat(const char *text, struct watch_stat *);
int stress_watch_parse_schedstat(const char *text, uint64_t *ns);
int stress_watch_parse_memory(const char *text, const char *field, uint64_t *bytes);

#endif
