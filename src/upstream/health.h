/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health: what checks say of a peer: when it counts as down, and when as back.
 *
 *	           good                  bad, `fall` in a row; or one,
 *	UNTRIED ────────► UP ◄────────┐  while own traffic finds it failing
 *	   │              └───────────┼──► DOWN
 *	   └── bad ───────────────────┼─────►┘
 *	                              └── good, `rise` in a row
 *
 * These are pure functions over a word of the board: who connects is upstream/checker, and
 * what follows for those who pick a peer is decided in upstream/peer.
 */
#ifndef UPSTREAM_HEALTH_H
#define UPSTREAM_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "weir.h"

/* `health_check =` of an upstream. */
struct health_check {
	bool             on;
	uint64_t         interval;	/* ms: from one to the next */
	uint64_t         timeout;	/* ms: all of one */
	uint64_t         rise;		/* good ones in a row that bring a peer back */
	uint64_t         fall;		/* bad ones in a row that take it out */
	struct weir_span send;		/* without any: the connection is enough */
	struct weir_span expect;	/* is somewhere in the reply; none: any reply is good */
	uint64_t         port;		/* 0: the peer's own */
};

/* Reads it, for weir_key.parse; and its options. */
const char *health_key_parse(struct weir_scope *, const char *text, void *check);
extern const struct conf_option health_option_table[];
extern const char health_syntax[];

/* How a check has ended. */
enum health_result {
	HEALTH_NONE,		/* there was none, or this machine could not make it */
	HEALTH_GOOD,
	HEALTH_UNREACHED,	/* connecting has failed: errno */
	HEALTH_INSECURE,	/* TLS was not agreed on */
	HEALTH_SILENT,		/* it was connected, and nothing that was expected came in time */
	HEALTH_CLOSED,		/* the peer has ended it before: errno, or 0 */
	HEALTH_ENDLESS,		/* it sent HEALTH_REPLY_MAX, and nothing that was expected */
};

#define HEALTH_REPLY_MAX 16384u	/* bytes of a reply that are looked at */

enum health_state { HEALTH_UNTRIED, HEALTH_UP, HEALTH_DOWN };

struct health {
	enum health_state state;
	bool              good;		/* how the last check ended … */
	unsigned          streak;	/* … and so many in a row; it goes no further than 65535 */
};

struct health health_read(uint64_t word);
uint64_t      health_write(struct health);

enum health_change {
	HEALTH_STAYS,
	HEALTH_FELL,
	HEALTH_ROSE,
	HEALTH_VOUCHED,	/* it was up for checks, but failing for traffic: `rise` of them say no */
};

/* One more check has ended. failing: own traffic has found the peer to fail. */
enum health_change health_take(struct health *, bool good, bool failing,
    const struct health_check *);

/* Own traffic has just found it to fail: what was good until now says nothing. */
void health_doubt(struct health *);

/* The last result and when (ms), as one word of the board; 0: there was none. */
uint64_t           health_note(enum health_result, int error, uint64_t when);
enum health_result health_noted(uint64_t note, int *error, uint64_t *when);

/* When the next check is due: behind one that began then, and never before now; up to a tenth
 * earlier than its interval says, by a number that was drawn at random. began 0: none was made,
 * and the peer is one of so many. */
uint64_t health_due(const struct health_check *, uint64_t began, uint64_t now, uint32_t drawn,
    unsigned count);

/* In words. Valid until the next call. */
const char *health_explain(enum health_result, int error);

#endif
