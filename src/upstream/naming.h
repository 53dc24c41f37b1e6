/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * naming: the keeper looks up the names of all upstreams, again and again, and publishes
 * what they stand for.
 *
 *	┌─► lookup ──► good: member_publish ──► wait for its TTL ────┐
 *	│       └────► a fault: all stays ────► wait, longer each time ─┤
 *	└───────────────────────────────────────────────────────────────┘
 *
 * What was good once is used until something else is: while name servers do not answer,
 * and when they say that there is nothing. Only another set replaces a set.
 */
#ifndef UPSTREAM_NAMING_H
#define UPSTREAM_NAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "upstream/duty.h"
#include "upstream/member.h"
#include "weir.h"

struct place;

/* Keys of [weir], for conf_request.core: resolver. */
extern const struct weir_module naming_module;

extern const struct duty naming_duty;

/*
 * Template: looks up the names of which the board has no members, so that workers begin with
 * some: as long as NAMING_FIRST takes at most, all together. Then, when upstreams have been
 * entered: takes over the members that there are, and publishes these. Returns 0, or -1 with
 * errno as board_enter.
 */
#define NAMING_FIRST 3000u	/* ms */
void naming_begin(const struct conf *);
int  naming_publish(const struct conf *, struct member_source) __attribute__((warn_unused_result));

/* What naming_begin has not found: a warning for each, at its line. */
void naming_warn(const struct conf *, void (*tell)(void *, const struct place *, const char *text),
    void *argument);

/* How it is with the names of the upstream that has this entry: false: it has none. since:
 * ms. For weir status. */
bool naming_state(int upstream, const char **what, uint64_t *since);

#endif
