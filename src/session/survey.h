/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * survey: sessions are looked for, in one worker, to be listed or closed.
 *
 *	WALKS ──► COUNTS ──► (WAITS until they have ended) ──► ENDS
 *
 * Some sessions in each pass, and what is found is written at once to the channel of whoever
 * asks, from a buffer of SURVEY_TEXT bytes: when the channel is full, the walk waits. So
 * nobody but those who read has to have room for all. The channel is a SEQPACKET socket that
 * all workers share; a message's first byte says what it is:
 *
 *	'L'	lines, a session each: cells with a tab between them, see survey_add
 *	'F'	lines, the id of one that was named each: it has been found
 *	'M'	"SLOT GENERATION COUNT": the walk is over, so many were meant
 *	'E'	"SLOT GENERATION": all is done
 */
#ifndef SESSION_SURVEY_H
#define SESSION_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/cidr.h"
#include "upstream/board.h"

#define SURVEY_IDS      512u
#define SURVEY_TEXT   16384u	/* bytes of a message */
#define SURVEYS_MAX      32u	/* at once, in one worker */
#define SURVEY_COLUMNS   11u	/* cells of a line */

/* Which sessions are meant, and what for. Texts: "" means all. */
struct survey_query {
	bool        closes;		/* … or lists */
	bool        waits;		/* ENDS only when those that are closed have ended */
	bool        by_range;
	struct cidr range;		/* of their clients */
	char        server[BOARD_NAME_MAX];
	char        peer[ADDR_TEXT_MAX];
	uint64_t    before;		/* ms: begun by then */
	uint64_t    rate;		/* closes: see closing_pace; this worker's part */
	uint32_t    grace;
	uint32_t    id_count;		/* 0: whatever they are called */
	uint64_t    ids[SURVEY_IDS];	/* ascending */
};

/* Per worker: begin, end. */
void surveys_start(unsigned slot, uint32_t generation);
void surveys_stop(void);

/* Begins one; the channel is its own from now on. */
void survey_begin(const struct survey_query *, int channel);

/* Those that were to be closed have ended. */
void surveys_go_on(void);

#endif
