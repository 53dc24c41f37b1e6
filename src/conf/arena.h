/* SPDX-License-Identifier: BSD-2-Clause */
/* arena: the memory of a configuration: given piece by piece, freed at once. */
#ifndef CONF_ARENA_H
#define CONF_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
};

/* Zeroed, aligned for anything. Never NULL: without memory the process ends
 * with a message in the log. */
void *arena_alloc(struct arena *, size_t);

/* An array made by this alone that has so many elements: with room for one more, zeroed
 * like all behind it. list: NULL, when it has none. */
void *arena_grow(struct arena *, void *list, unsigned count, size_t element)
    __attribute__((warn_unused_result));

char *arena_copy(struct arena *, const char *text);
char *arena_print(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprint(struct arena *, const char *format, va_list)
    __attribute__((format(printf, 2, 0)));

/* Ends the process with that message: for memory that others give. */
void arena_exhausted(void) __attribute__((noreturn));

/* Frees all of it; it may be used again. */
void arena_free(struct arena *);

#endif
