/* SPDX-License-Identifier: BSD-2-Clause */
/* naming: the keeper looks up the names of all upstreams. */
#include "upstream/naming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/loop.h"
#include "upstream/lookup.h"
#include "upstream/name.h"
#include "upstream/resolver.h"
#include "upstream/upstream.h"

#define NAMING_STAND_BY 200u	/* ms: another keeper acts */
#define NAMING_RETRY_MOST 30000u	/* ms between two lookups that fail */
#define NAMING_SWEEP    20000u	/* ms */
#define NAMING_EARLY       10u	/* up to one part in so many earlier than a TTL says */

/* UPSTREAM_NAMING: since when, in ms, and what: 0: it has no names. */
#define STATE_WHAT_AT  48
#define STATE_FAULT    UINT64_C(0xff)
#define STATE_KNOWN    UINT64_C(0x100)

struct naming_conf {
	char servers[RESOLVER_SERVERS_MAX];
};

/* A line, in the keeper. */
struct naming {
	struct weir_upstream *upstream;
	struct name          *line;
	struct lookup         lookup;
	struct loop_timer     timer;
	unsigned              failures;	/* in a row */
	enum resolver_fault   fault;	/* that has been told */
	unsigned              left_out;
	unsigned              there;	/* members */
	bool                  full;	/* the board was, and that has been told */
};

static const char *naming_parse_resolver(struct weir_scope *, const char *, void *);
static const char *naming_servers(const struct conf *);
static bool naming_is_wanted(const struct conf *);
static int  naming_start(const struct duty_keeper *);
static void naming_stop(void);
static void naming_due(void *);
static void naming_looked_up(struct lookup *);
static void naming_took(struct naming *);
static void naming_failed(struct naming *);
static void naming_tell_fault(struct naming *);
static void naming_tell_left_out(struct naming *);
static void naming_note_state(const struct weir_upstream *);
static void naming_sweep(void *);

static const struct weir_key naming_keys[] = {
	{ .name = "resolver", .where = WEIR_IN_WEIR, .type = WEIR_OWN,
	  .offset = offsetof(struct naming_conf, servers), .initial = "system",
	  .parse = naming_parse_resolver, .syntax = "system | ADDRESS[:PORT] ...",
	  .help = "name servers that are asked for names with resolve" },
	{ .name = NULL },
};

const struct weir_module naming_module = {
	.name      = "naming",
	.keys      = naming_keys,
	.conf_size = sizeof(struct naming_conf),
};

const struct duty naming_duty = {
	.name   = "names",
	.wanted = naming_is_wanted,
	.start  = naming_start,
	.stop   = naming_stop,
};

static struct {
	struct duty_keeper keeper;
	struct naming     *all;
	unsigned           count;
	struct loop_timer  sweep;
} namings;

/* --------------------------------------------------------------- configuration */

static const char *
naming_parse_resolver(struct weir_scope *scope, const char *text, void *value)
{
	(void)scope;
	return resolver_parse(value, text);
}

static const char *
naming_servers(const struct conf *conf)
{
	const struct naming_conf *c = weir_scope_conf(conf_scope(conf, SCOPE_WEIR, 0),
	    &naming_module);

	return c->servers;
}

static unsigned
naming_count(const struct conf *conf)
{
	const struct weir_upstream *u;
	unsigned                    count = 0;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		count += u->line_count;
	return count;
}

static bool
naming_is_wanted(const struct conf *conf)
{
	return naming_count(conf) > 0;
}

static void
naming_ask(struct lookup *l, const struct weir_upstream *u, const struct name *line,
    void (*done)(struct lookup *))
{
	*l = (struct lookup){ .name = line->host,
		.port = line->port,
		.service = line->service,
		.most = (unsigned)u->resolve_peers,
		.done = done };
}

/* ----------------------------------------------------------------- in a template */

static void
naming_first_done(struct lookup *l)
{
	(void)l;
}

void
naming_begin(const struct conf *conf)
{
	struct weir_upstream *u;
	bool                  open = false;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		for (unsigned k = 0; k < u->line_count; k++) {
			struct name *line = &u->lines[k];

			if (member_count(u, line) > 0)
				continue;
			naming_ask(&line->first, u, line, naming_first_done);
			if (!open && resolver_open(naming_servers(conf), false) < 0) {
				line->first.fault = RESOLVER_NO_MEMORY;
				continue;
			}
			open = true;
			lookup_start(&line->first);
		}
	if (!open)
		return;
	resolver_wait(NAMING_FIRST);
	resolver_close();
}

int
naming_publish(const struct conf *conf, struct member_source source)
{
	struct weir_upstream *u;
	struct member_changes changes;
	uint64_t              now = clock_ns() / 1000000;
	int                   result = 0;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		if (u->line_count > 0 && member_join(u, source.index) < 0)
			result = -1;
		for (unsigned k = 0; k < u->line_count; k++) {
			struct lookup *l = &u->lines[k].first;

			if (l->count > 0 &&
			    member_publish(u, &u->lines[k], l->members, l->count, false, source,
				now, &changes) < 0)
				result = -1;
			lookup_free(l);
		}
	}
	return result;
}

void
naming_warn(const struct conf *conf, void (*tell)(void *, const struct place *, const char *text),
    void *argument)
{
	const struct weir_upstream *u;
	char                        text[512];

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		for (unsigned k = 0; k < u->line_count; k++) {
			const struct name *line = &u->lines[k];

			if (line->first.fault == RESOLVER_GOOD)
				continue;
			snprintf(text, sizeof text,
			    "%s: %s: it has no peers until it can be looked up", line->text,
			    resolver_explain(line->first.fault));
			tell(argument, &line->model.place, text);
		}
}

/* ------------------------------------------------------------------ in a keeper */

static int
naming_start(const struct duty_keeper *keeper)
{
	struct weir_upstream *u;
	struct naming        *n;

	namings.keeper = *keeper;
	namings.all = calloc(naming_count(keeper->conf), sizeof *namings.all);
	if (namings.all == NULL || resolver_open(naming_servers(keeper->conf), true) < 0)
		return -1;
	for (unsigned i = 0; (u = upstream_at(keeper->conf, i)) != NULL; i++)
		for (unsigned k = 0; k < u->line_count; k++) {
			n = &namings.all[namings.count++];
			n->upstream = u;
			n->line = &u->lines[k];
			naming_ask(&n->lookup, u, n->line, naming_looked_up);
			loop_timer_init(&n->timer, naming_due, n);
			loop_timer_start(&n->timer, 0);
		}
	loop_timer_init(&namings.sweep, naming_sweep, NULL);
	loop_timer_start(&namings.sweep, NAMING_SWEEP);
	return 0;
}

static void
naming_stop(void)
{
	struct naming *n;

	/* Lookups end with it, each by its callback. */
	resolver_close();
	for (unsigned i = 0; i < namings.count; i++) {
		n = &namings.all[i];
		loop_timer_stop(&n->timer);
		lookup_free(&n->lookup);
	}
	loop_timer_stop(&namings.sweep);
	free(namings.all);
	memset(&namings, 0, sizeof namings);
}

static void
naming_due(void *argument)
{
	struct naming *n = argument;

	if (namings.keeper.acts())
		lookup_start(&n->lookup);
	else
		loop_timer_start(&n->timer, NAMING_STAND_BY);
}

static void
naming_looked_up(struct lookup *l)
{
	struct naming *n = container_of(l, struct naming, lookup);
	board_word    *cell = board_cell(n->upstream->board, namings.keeper.seat);

	if (l->fault == RESOLVER_GIVEN_UP)
		return;		/* it is about to end */
	board_add(&cell[UPSTREAM_LOOKUPS], 1);
	if (!namings.keeper.acts()) {
		loop_timer_start(&n->timer, NAMING_STAND_BY);
		return;
	}
	if (l->fault == RESOLVER_GOOD)
		naming_took(n);
	else
		naming_failed(n);
	naming_note_state(n->upstream);
}

static void
naming_took(struct naming *n)
{
	const struct member_source source = { namings.keeper.number, namings.keeper.generation };
	struct weir_upstream      *u = n->upstream;
	struct lookup             *l = &n->lookup;
	struct member_changes      changes;
	uint64_t                   wait = (uint64_t)l->ttl * 1000;
	int                        result;

	n->failures = 0;
	board_entering_begin();
	result = member_publish(u, n->line, l->members, l->count, !l->partial, source, loop_now(),
	    &changes);
	board_entering_end();
	if (result < 0 && !n->full)
		log_error("upstream %s: not all peers of %s have a place on the board: %s", u->name,
		    n->line->text, board_explain(errno));
	n->full = result < 0;
	n->there = changes.there;
	naming_tell_fault(n);
	naming_tell_left_out(n);
	if (changes.came > 0 || changes.left > 0) {
		log_notice("upstream %s: %s: %u peers new or changed, %u gone: there are %u now",
		    u->name, n->line->text, changes.came, changes.left, changes.there);
		namings.keeper.changed(u->board);
	}
	/* A little earlier: not all ask at the same time. */
	wait -= wait / NAMING_EARLY * (loop_micros() * 2654435761u >> 16 & 0xffff) >> 16;
	if (wait > u->resolve_max)
		wait = u->resolve_max;
	loop_timer_start(&n->timer, wait < u->resolve_min ? u->resolve_min : wait);
}

static void
naming_failed(struct naming *n)
{
	struct weir_upstream *u = n->upstream;
	board_word           *cell = board_cell(u->board, namings.keeper.seat);
	uint64_t              wait = u->resolve_min;

	board_add(&cell[UPSTREAM_LOOKUPS_FAILED], 1);
	for (unsigned i = 0; i < n->failures && wait < NAMING_RETRY_MOST; i++)
		wait *= 2;
	n->failures++;
	n->there = member_count(u, n->line);
	naming_tell_fault(n);
	if (wait > NAMING_RETRY_MOST)
		wait = NAMING_RETRY_MOST;
	loop_timer_start(&n->timer, wait < u->resolve_min ? u->resolve_min : wait);
}

/* When it is another than the last time. */
static void
naming_tell_fault(struct naming *n)
{
	enum resolver_fault fault = n->lookup.fault;
	const char         *upstream = n->upstream->name, *name = n->line->text;

	if (fault == n->fault)
		return;
	n->fault = fault;
	if (fault == RESOLVER_GOOD)
		log_notice("upstream %s: %s can be looked up again", upstream, name);
	else if (n->there > 0)
		log_warn("upstream %s: %s: %s: the peers that it had (%u) are used until it can be "
			 "looked up",
		    upstream, name, resolver_explain(fault), n->there);
	else
		log_warn("upstream %s: %s: %s: it has no peers until it can be looked up", upstream,
		    name, resolver_explain(fault));
}

static void
naming_tell_left_out(struct naming *n)
{
	struct weir_upstream *u = n->upstream;
	unsigned              sum = 0;

	if (n->lookup.left_out > 0 && n->left_out == 0)
		log_warn(
		    "upstream %s: %s has more addresses than resolve_peers allows: %u are left "
			 "out; raise it",
		    u->name, n->line->text, n->lookup.left_out);
	n->left_out = n->lookup.left_out;
	for (unsigned i = 0; i < namings.count; i++)
		if (namings.all[i].upstream == u)
			sum += namings.all[i].left_out;
	atomic_store(&board_cell(u->board, namings.keeper.seat)[UPSTREAM_LEFT_OUT], sum);
}

/* The worst of all its lines. */
static void
naming_note_state(const struct weir_upstream *u)
{
	board_word *word = &board_shared(u->board)[UPSTREAM_NAMING];
	uint64_t    what = STATE_KNOWN, fault = 0;

	for (unsigned i = 0; i < namings.count; i++) {
		if (namings.all[i].upstream != u)
			continue;
		if ((uint64_t)namings.all[i].fault > fault)
			fault = (uint64_t)namings.all[i].fault;
	}
	what |= fault;
	if (atomic_load(word) >> STATE_WHAT_AT != what)
		atomic_store(word, what << STATE_WHAT_AT | loop_now());
}

static void
naming_sweep(void *argument)
{
	struct weir_upstream *u;

	(void)argument;
	loop_timer_start(&namings.sweep, NAMING_SWEEP);
	if (!namings.keeper.acts())
		return;
	board_entering_begin();
	for (unsigned i = 0; (u = upstream_at(namings.keeper.conf, i)) != NULL; i++)
		if (u->line_count > 0)
			member_sweep(u, loop_now());
	board_entering_end();
}

bool
naming_state(int upstream, const char **what, uint64_t *since)
{
	uint64_t word = atomic_load(&board_shared(upstream)[UPSTREAM_NAMING]);
	uint64_t state = word >> STATE_WHAT_AT;

	if ((state & STATE_KNOWN) == 0)
		return false;
	*what = resolver_explain((enum resolver_fault)(state & STATE_FAULT));
	*since = word & ((UINT64_C(1) << STATE_WHAT_AT) - 1);
	return true;
}
