/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inquiry: all workers are asked about sessions (session/survey), for one client of the
 * control socket.
 *
 *	client ── channel ◄── worker, worker, …	each with a copy of one end
 *
 * The master makes the channel, gives one end to the client and copies of the other to the
 * workers, and keeps neither: what they say does not pass through it, and the channel ends
 * with the last worker that has it.
 */
#ifndef PROC_INQUIRY_H
#define PROC_INQUIRY_H

#include <stdint.h>
#include <sys/types.h>

#include "proc/wait.h"
#include "session/survey.h"
#include "upstream/board.h"

struct control_line;
struct text;

/* Zeroed: none. */
struct inquiry {
	unsigned            client;	/* slot of its descriptors */
	unsigned            count;	/* of workers that have yet to be asked */
	struct survey_query query;
	struct deadline     retry;	/* for those whose mailbox is full */
	uint64_t            since;	/* ms */
	void              (*told)(struct inquiry *, const char *failed);
	pid_t               workers[BOARD_SEATS];
};

/* Returns the client's end, or -1 with errno. told: called when all have been asked, or
 * failed: for some of them it was not possible, in words. */
int inquiry_begin(struct inquiry *, unsigned client, const struct control_line *,
    void (*told)(struct inquiry *, const char *failed)) __attribute__((warn_unused_result));

/* Whom it is about, "SLOT:GENERATION …". */
void inquiry_print(const struct inquiry *, struct text *);

/* Asks them. */
void inquiry_tell(struct inquiry *);

/* The client has its end: it is closed here. */
void inquiry_sent(struct inquiry *);

void inquiry_end(struct inquiry *);

#endif
