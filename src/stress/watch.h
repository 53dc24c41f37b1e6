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
	uint64_t cpu;		/* µs so far */
	bool     seen;		/* by the last sample */
};

struct watch {
	pid_t          root;	/* 0: nobody is watched, and nothing is done */
	bool           gone;	/* the root has ended */
	struct watched of[WATCH_PROCESSES_MAX];
	unsigned       count;
	uint64_t       cpu;		/* µs since watch_open, also of those that have ended */
	uint64_t       base_cpu;	/* … when the measuring began */
	uint64_t       base_memory;	/* bytes, before the first connection */
	uint64_t       memory;		/* the most that was weighed */
};

/* Before the first connection. pid 0: nobody. Returns 0, or -1 with errno (ESRCH,
 * EACCES: another user's). */
int watch_open(struct watch *, pid_t) __attribute__((warn_unused_result));

/* Each second: CPU. */
void watch_sample(struct watch *);

/* The measuring begins, and ends: fills in the outcome's part. */
void watch_measuring(struct watch *);
void watch_measured(struct watch *, struct outcome *);

/* Bytes of all processes now; 0 when nobody is watched. */
uint64_t watch_weigh(struct watch *);

/* Parsers, for the tests. Each returns 0, or -1: it is not such a text. */
int watch_parse_stat(const char *text, uint64_t *ticks, uint64_t *start);
int watch_parse_schedstat(const char *text, uint64_t *ns);
int watch_parse_memory(const char *text, const char *field, uint64_t *bytes);

#endif
