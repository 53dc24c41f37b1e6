/* SPDX-License-Identifier: BSD-2-Clause */
/* balance_hash: the balancer hash on unit/balance, whose configuration is a few words. */
#ifndef UNIT_BALANCE_HASH_H
#define UNIT_BALANCE_HASH_H

#define WEIR_BUILTIN
#include "../../modules/hash/hash.c"
#include "unit/balance.h"

static struct hash_conf hash_conf;
static void            *arena[4096];
static unsigned         arena_count;

/* ------------------------------------------------------------ what is not here */

struct weir_upstream *
weir_scope_upstream(struct weir_scope *scope)
{
	(void)scope;
	return &upstream;
}

void
weir_scope_want_keys(struct weir_scope *scope)
{
	(void)scope;
	upstream.keyed = true;
}

void *
weir_scope_conf(struct weir_scope *scope, const struct weir_module *m)
{
	(void)scope, (void)m;
	return &hash_conf;
}

void *
weir_scope_alloc(struct weir_scope *scope, size_t size)
{
	(void)scope;
	if (arena_count == sizeof arena / sizeof *arena)
		bail_out("too many tables");
	return arena[arena_count++] = calloc(1, size);
}

static void
hash_make(const char *words)
{
	char        copy[64];
	const char *wrong;

	upstream.balancer_conf = &hash_conf;
	strcpy(copy, words);
	wrong = hash_words(NULL, copy);
	if (wrong == NULL)
		wrong = hash_check((struct weir_scope *)(void *)arena);	/* not the heap */
	if (wrong != NULL)
		bail_out("%s: %s", words, wrong);
}

static void
hash_end(void)
{
	upstream_end();
	for (; arena_count > 0; arena_count--)
		free(arena[arena_count - 1]);
	memset(&hash_conf, 0, sizeof hash_conf);
}

#endif
