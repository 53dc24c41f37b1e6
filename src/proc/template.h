/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * template: the process that has loaded a configuration, and that workers are
 * cloned from.
 *
 *	load ─► report, digest ─► take descriptors ─► wait: clone, clone …
 *
 * It stays as privileged as the master, so that workers can choose their user,
 * but has no event loop, takes no signal, and does nothing but what its
 * channel says; it ends with the channel, or with the master.
 */
#ifndef PROC_TEMPLATE_H
#define PROC_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/fdtable.h"

struct conf;
struct options;
struct settings;

enum template_mode {
	TEMPLATE_SERVE,
	TEMPLATE_TEST,		/* -t: report and end */
	TEMPLATE_PRINT,		/* -T: and print it to stdout */
};

struct template_job {
	const struct options *options;
	enum template_mode    mode;
	int                   channel;
	int                   snapshot;	/* SERVE: memfd for what it reads … */
	int                   kept;	/* … or that of another, which it reads (PRINT, too); -1 */
	uint32_t              generation;	/* its number */
	unsigned              index;		/* and what the board knows it by */
	pid_t                 master;
	bool                  forced;		/* a configuration without a server is meant */
};

/* Of the forked child: never returns. */
_Noreturn void template_run(const struct template_job *);

/* What it does with a module right now, for when it crashes: "checking [server
 * web] with module foo"; empty when it does not. Lies in memory that master
 * and templates share; NULL if that cannot be had. */
const char *template_progress(void);

/* Whether that may be waiting for the system to look up a name. */
bool template_waits_for_system(void);

/* What a worker begins with: its template's state, and its own place. */
struct template {
	const struct template_job *job;
	struct conf               *conf;
	const struct settings     *settings;
	struct fdtable             fds;
	char                       name[16];	/* the generation, as fds call it */
	unsigned                   sockets;	/* slots that have sockets */
	int                        board;	/* -t: its own */
};

#endif
