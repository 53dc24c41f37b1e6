/* SPDX-License-Identifier: BSD-2-Clause */
/* arena: the memory of a configuration: given piece by piece, freed at once. */
#include "conf/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A piece is an allocation of its own, so that sanitizers see where it ends:
 * there are few of them, and none while traffic runs. */
struct arena_piece {
	struct arena_piece *next;
	_Alignas(max_align_t) char memory[];
};

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_piece *p;

	if (size > PTRDIFF_MAX - sizeof *p)
		arena_exhausted();
	p = calloc(1, sizeof *p + size);
	if (p == NULL)
		arena_exhausted();
	p->next = a->pieces;
	a->pieces = p;
	return p->memory;
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
	struct arena_piece *p;

	while ((p = a->pieces) != NULL) {
		a->pieces = p->next;
		free(p);
	}
}

void
arena_exhausted(void)
{
	log_alert("out of memory while the configuration is loaded");
	exit(1);
}
