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

struct message;
struct text;

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
	int                  channel;	/* -1: closed */
	struct watch         watch;	/* of the channel */
	struct generation   *remade_from;	/* LOADING: whose text is read; NULL: files are */
	struct digest        digest;
	struct fdtable       offered;	/* to the template; owns nothing */
	unsigned             sent;	/* of it */
	unsigned             sockets;	/* slots that have sockets */
	bool                 forced;	/* see requester.forced */
	bool                 reopen;	/* its logs, as soon as it runs */
	struct post         *posts;
	unsigned             post_count;
	struct deadline      overdue;	/* of a step */
	struct deadline      again;	/* to make it anew, when its template has died */
	struct deadline      look;	/* at its workers, by the watchdog … */
	uint64_t             looked;	/* … which has done so then, in ms */
};

/* Starts building the next one, from the files; remake: from what was kept of the
 * one that runs. What comes of it is reported; report_end is
 * called when it runs or is dropped. */
void generation_build(bool remake);

/* All there are, the newest last; the one being built or dropped, and the one
 * that runs (or NULL). */
extern struct node generations;
struct generation *generation_building(void);
struct generation *generation_running(void);

/* A number for the board that none has, or -1. */
int generations_index(void);

/* Accepts no more, ends with its last session; it runs. */
void generation_retire(struct generation *);

/* All of them: gracefully, now, or without asking. The one being built is
 * dropped. */
void generations_retire(void);
void generations_stop(void);
void generations_kill(void);

/* Log files have been renamed: opens them again, everywhere. Returns how many
 * could not be opened; each is in the log, and a line for it in the answer to a
 * control command (may be NULL). */
unsigned generations_reopen(struct text *);

/* The same for one that runs or retires. */
unsigned generation_reopen(struct generation *, struct text *);

/* A child has ended. */
void generations_reap(pid_t, int status);

/* Whether this child ended before it was known; then how. */
bool generations_stray(pid_t, int *status);

/* Before a worker is asked for: those of earlier ones say nothing any more, and
 * their numbers may be used again. Does nothing while others are asked for. */
void generations_forget_strays(void);

/* A message to the master from the worker m->sender. Returns whether it makes
 * sense, if only for one that has ended meanwhile. */
bool generations_mail(const struct message *) __attribute__((warn_unused_result));

/* This process has sent one that makes none: a worker is killed. */
void generations_nonsense(pid_t sender);

/* The process of generation g that loads its configuration has ended. */
void generation_template_died(struct generation *, int status);

/* Reads what the template says; frees nothing while the template is there. */
void generation_drain(struct generation *);

/* For posts: something has changed; moves the generation on as far as it goes.
 * It may be freed by this. */
void generation_advance(struct generation *);

/* For posts: it cannot come to run. */
void generation_fail(struct generation *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For posts: sends to the template. Returns 0, or -1 with errno. */
int generation_tell(struct generation *, const struct message *)
    __attribute__((warn_unused_result));

const char *generation_step_name(enum generation_step);

#endif
