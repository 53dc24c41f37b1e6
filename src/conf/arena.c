/* SPDX-License-Identifier: BSD-2-Clause */
/* arena: the memory of a configuration: given piece by piece, freed at once. */
#include "conf/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sanitize.h"

#define ARENA_BLOCK ((size_t)256 << 10)	/* of its own for malloc: freed untouched */
#define ARENA_OWN   (ARENA_BLOCK / 8)	/* larger pieces have a block to themselves */

/* Between two pieces, so that AddressSanitizer sees where each ends. */
#ifdef SANITIZE_ADDRESS
#define ARENA_GAP sizeof(max_align_t)
#else
#define ARENA_GAP 0u
#endif

struct arena_block {
	struct arena_block *next;
	size_t              used;
	size_t              room;
	_Alignas(max_align_t) char memory[];
};

static struct arena_block *arena_add_block(struct arena *, size_t step);

void *
arena_alloc(struct arena *a, size_t size)
{
	size_t              step;
	struct arena_block *b = a->blocks;
	char               *piece;

	if (size > PTRDIFF_MAX - ARENA_BLOCK)
		arena_exhausted();
	step = (size + ARENA_GAP + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (b == NULL || b->room - b->used < step)
		b = arena_add_block(a, step);
	piece = b->memory + b->used;
	b->used += step;
	sanitize_lend(piece, size);
	return piece;
}

/* With room for a piece of so many bytes. */
static struct arena_block *
arena_add_block(struct arena *a, size_t step)
{
	bool                own = step > ARENA_OWN;
	size_t              room = own ? step : ARENA_BLOCK - sizeof(struct arena_block);
	struct arena_block *b = calloc(1, sizeof *b + room), *first = a->blocks;

	if (b == NULL)
		arena_exhausted();
	b->room = room;
	sanitize_hide(b->memory, room);
	/* The first one is that with room for small pieces. */
	b->next = own && first != NULL ? first->next : first;
	if (own && first != NULL)
		first->next = b;
	else
		a->blocks = b;
	return b;
}

/* It is full with each power of two, and is moved to twice the room. */
void *
arena_grow(struct arena *a, void *list, unsigned count, size_t element)
{
	void *grown;

	if ((count & (count - 1)) != 0)
		return list;
	grown = arena_alloc(a, (count > 0 ? 2 * (size_t)count : 1) * element);
	return count > 0 ? memcpy(grown, list, count * element) : grown;
}

char *
arena_copy(struct arena *a, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(arena_alloc(a, size), text, size);
}

char *
arena_print(struct arena *a, const char *format, ...)
{
	va_list ap;
	char   *text;

	va_start(ap, format);
	text = arena_vprint(a, format, ap);
	va_end(ap);
	return text;
}

char *
arena_vprint(struct arena *a, const char *format, va_list ap)
{
	va_list again;
	char   *text;
	int     length;

	va_copy(again, ap);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		arena_exhausted();
	text = arena_alloc(a, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, ap);
	return text;
}

void
arena_free(struct arena *a)
{
	struct arena_block *b;

	while ((b = a->blocks) != NULL) {
		a->blocks = b->next;
		free(b);
	}
}

void
arena_exhausted(void)
{
	log_alert("out of memory while the configuration is loaded");
	exit(1);
}
