/* SPDX-License-Identifier: BSD-2-Clause */
/* buf: linear buffers from free lists of powers of two. */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"

#define HEADER     offsetof(struct buf, data)
#define CLASSES    21	/* BUF_SIZE_MIN << 0 … BUF_SIZE_MIN << 20 */
#define CACHED_MAX (BUF_CACHE_MAX / 8)	/* one large buffer must not keep the small ones out */

static_assert(BUF_SIZE_MIN << (CLASSES - 1) == BUF_SIZE_MAX, "a class for every size");

static struct {
	struct buf      *list[CLASSES];
	struct buf_stats stats;
} cache;

static unsigned
buf_class(size_t size)
{
	unsigned class = 0;

	while (((size_t)BUF_SIZE_MIN << class) < size)
		class++;
	return class;
}

/* An empty buffer with room for n bytes. */
static struct buf *
buf_borrow(size_t n)
{
	struct buf *b;
	unsigned    class;
	size_t      size;

	if (n > BUF_SIZE_MAX - HEADER) {
		errno = EMSGSIZE;
		return NULL;
	}
	class = buf_class(n + HEADER);
	size = (size_t)BUF_SIZE_MIN << class;
	b = cache.list[class];
	if (b != NULL) {
		sanitize_lend(b, size);
		cache.list[class] = b->next;
		cache.stats.cached -= size;
	} else {
		b = malloc(size);
		if (b == NULL) {
			errno = ENOMEM;
			return NULL;
		}
	}
	cache.stats.lent += size;
	b->next = NULL;
	b->size = (uint32_t)(size - HEADER);
	b->head = b->tail = 0;
	return b;
}

static void
buf_move_to_front(struct buf *b)
{
	memmove(b->data, b->data + b->head, b->tail - b->head);
	b->tail -= b->head;
	b->head = 0;
}

/* Room for n more bytes than fit behind the data. It is moved in place when more
 * is free in front than it holds: what stays is then moved once for each time as
 * many bytes have gone, however small the steps. Otherwise a larger buffer. */
static int
buf_make_room(struct buf **held, size_t n)
{
	struct buf *b = *held, *larger;
	size_t      len = b->tail - b->head;
	bool        fits = n <= b->size - len;

	if (fits && b->head >= len) {
		buf_move_to_front(b);
		return 0;
	}
	larger = buf_borrow(fits ? (size_t)b->size + 1 : len + n);
	if (larger == NULL) {
		if (fits)
			buf_move_to_front(b);
		return fits ? 0 : -1;
	}
	memcpy(larger->data, b->data + b->head, len);
	larger->tail = (uint32_t)len;
	buf_return(held);
	*held = larger;
	return 0;
}

char *
buf_reserve(struct buf **held, size_t n)
{
	struct buf *b = *held;

	if (n > BUF_SIZE_MAX) {
		errno = EMSGSIZE;
		return NULL;
	}
	if (b == NULL) {
		b = buf_borrow(n);
		if (b == NULL)
			return NULL;
		*held = b;
	} else if (n > b->size - b->tail && buf_make_room(held, n) < 0) {
		return NULL;
	}
	return (*held)->data + (*held)->tail;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->size - b->tail);
	b->tail += (uint32_t)n;
}

int
buf_append(struct buf **held, struct weir_span bytes)
{
	struct buf *b = *held;
	char       *room;

	if (bytes.len == 0)
		return 0;
	if (b != NULL && bytes.len <= b->size - b->tail) {	/* nearly always */
		memcpy(b->data + b->tail, bytes.data, bytes.len);
		b->tail += (uint32_t)bytes.len;
		return 0;
	}
	room = buf_reserve(held, bytes.len);
	if (room == NULL)
		return -1;
	memcpy(room, bytes.data, bytes.len);
	buf_commit(*held, bytes.len);
	return 0;
}

void
buf_consume(struct buf **held, size_t n)
{
	assert(n <= buf_len(*held));
	if (*held == NULL)
		return;
	(*held)->head += (uint32_t)n;
	if ((*held)->head == (*held)->tail)
		buf_return(held);
}

void
buf_return(struct buf **held)
{
	struct buf *b = *held;
	unsigned    class;
	size_t      size;

	*held = NULL;
	if (b == NULL)
		return;
	size = buf_memory(b);
	cache.stats.lent -= size;
	if (size > CACHED_MAX || cache.stats.cached + size > BUF_CACHE_MAX) {
		free(b);
		return;
	}
	class = buf_class(size);
	b->next = cache.list[class];
	cache.list[class] = b;
	cache.stats.cached += size;
	/* LeakSanitizer follows no pointer in hidden bytes: `next` stays seen. */
	sanitize_hide(b->data, size - HEADER);
}

struct buf_stats
buf_stats(void)
{
	return cache.stats;
}

void
buf_trim(void)
{
	struct buf *b;
	unsigned    class;

	for (class = 0; class < CLASSES; class++) {
		while ((b = cache.list[class]) != NULL) {
			sanitize_lend(b, (size_t)BUF_SIZE_MIN << class);
			cache.list[class] = b->next;
			free(b);
		}
	}
	cache.stats.cached = 0;
}
