/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generation: one loaded configuration and all that was opened for it.
 *
 *	LOADING ─► OPENING ─► SENDING ─► STARTING ─► RUNNING ─► RETIRING ─► ENDED
 *	   └──────────┴──────────┴───────────┴────► DROPPING ──────────────────┘
 *
 * Built whole beside the one that runs; then they swap, or it is dropped whole
 * and nothing has happened. One is built at a time.
 */
#ifndef PROC_GENERATION_H
#define PROC_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "proc/digest.h"
#include "proc/fdtable.h"
#include "proc/post.h"
#include "proc/wait.h"
#include "proc/watchdog.h"

struct options;

enum generation_step {
	GENERATION_LOADING,	/* the template reads and checks */
	GENERATION_OPENING,	/* listeners, logs, mailboxes, seats */
	GENERATION_SENDING,	/* their descriptors to the template */
	GENERATION_STARTING,	/* until every worker is ready */
	GENERATION_RUNNING,
	GENERATION_RETIRING,	/* accepts no more; until its last worker has ended */
	GENERATION_DROPPING,	/* failed; until its last process has ended */
	GENERATION_ENDED,
	GENERATION_STEPS
};

struct generation {
	struct node          link;
	uint32_t             number;
	unsigned             index;	/* what the board knows it by */
	enum generation_step step;
	char                 name[16];	/* the number, as fds call it */
	uint64_t             since;	/* ms: when it began to run */
	pid_t                template;	/* 0: ended */
	struct watchdog      answers;	/* of the template */
	int                  channel;	/* -1: closed */
	struct watch         watch;	/* of the channel */
	char                 kept[16];	/* LOADING: the snapshot that is read; "": files are */
	struct digest        digest;
	struct fdtable       offered;	/* to the template; owns nothing */
	unsigned             sent;	/* of it */
	unsigned             sockets;	/* slots that have sockets */
	bool                 forced;	/* see requester.forced */
	bool                 remake;	/* RUNNING: another one is wanted in its place, because … */
	bool                 broken;	/* … its workers crash: the last good one, or … */
	bool                 restored;	/* (which this one is) … its template has ended */
	bool                 reopen;	/* its logs, as soon as it runs */
	struct post         *posts;
	unsigned             post_count;	/* of workers */
	unsigned             process_count;	/* the same, and the keeper behind them */
	struct deadline      overdue;	/* of a step */
	struct deadline      again;	/* to make it anew, when its template has died */
	struct deadline      look;	/* LOADING: at its template; then at its workers … */
	uint64_t             looked;	/* … by the watchdog, which has done so then, in ms */
};

/* What generations call in the master. */
struct generation_ops {
	/* The first one knows its settings: takes the pid file and the control socket.
	 * Returns 0, or -1 after reporting why not. */
	int (*settle)(const struct digest_settings *);
	void (*swapped)(const struct generation *);	/* it has come to run */
	void (*dropped)(void);				/* one has not */
};

/* Once, before the first is built. */
void generation_start(const struct options *, const struct generation_ops *);

/* Starts building the next one, from the files, or from the text that was kept under this
 * name: another one's, or GENERATION_GOOD. What comes of it is reported; report_end is
 * called when it runs or is dropped. */
void generation_build(const char *kept);

/* The last one that ran before one whose workers crashed. */
#define GENERATION_GOOD "good"
bool generation_has_good(void);

/* The number of the last one that has run; one has that runs under another master. */
uint32_t generation_last(void);
void     generation_follow(uint32_t number);

/* It runs, and a newer one of another master has gone: the slots are its own again. */
void generation_claim_slots(struct generation *);

/* Accepts no more, ends with its last session; it runs. */
void generation_retire(struct generation *);

/* It cannot come to run. */
void generation_fail(struct generation *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Somebody wants a newer one: it fails if it is being loaded and does not get on. */
void generation_make_way(struct generation *);

/* The process that loads its configuration has ended. */
void generation_template_died(struct generation *, int status);

/* Reads what the template says; frees nothing while the template is there. */
void generation_drain(struct generation *);

const char *generation_step_name(enum generation_step);

#endif
