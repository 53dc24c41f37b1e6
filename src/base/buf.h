/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buf: linear buffers, lent only while bytes have to wait.
 *
 *	| header | consumed |  data …  |  room …  |
 *	         0        head       tail        size
 *
 * An owner keeps a `struct buf *` that is NULL while it has nothing. The
 * header lives in the lent memory. Sizes are powers of two; what is given back
 * stays on a free list of its size, up to BUF_CACHE_MAX bytes in all (those of
 * more than an eighth of it do not).
 * A process has one set of lists, so the functions take none.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "weir.h"

#define BUF_SIZE_MIN  1024u		/* with the header */
#define BUF_SIZE_MAX  (1u << 30)
#define BUF_CACHE_MAX (8u << 20)

struct buf {
	struct buf *next;		/* on the free list */
	uint32_t    size;		/* bytes of data[] */
	uint32_t    head;
	uint32_t    tail;
	char        data[];
};

/* The bytes that wait. Empty for NULL. */
static inline struct weir_span
buf_span(const struct buf *b)
{
	return b ? (struct weir_span){ b->data + b->head, b->tail - b->head }
		 : (struct weir_span){ NULL, 0 };
}

static inline size_t
buf_len(const struct buf *b)
{
	return b ? b->tail - b->head : 0;
}

/* What it takes of memory, with its header and the room that is left. */
static inline size_t
buf_memory(const struct buf *b)
{
	return b ? b->size + offsetof(struct buf, data) : 0;
}

/*
 * Appends; borrows or moves to a larger buffer where needed (the span must not
 * lie in *b). Returns 0, or -1 with errno ENOMEM or EMSGSIZE and *b as it was.
 */
int buf_append(struct buf **b, struct weir_span) __attribute__((warn_unused_result));

/* Makes room for at least n more bytes behind the data and returns where they
 * go; buf_commit says how many were put there. NULL with errno as above. */
char *buf_reserve(struct buf **b, size_t n) __attribute__((warn_unused_result));
void  buf_commit(struct buf *b, size_t n);

/* Takes n bytes from the front; gives the buffer back when it is empty. */
void buf_consume(struct buf **b, size_t n);

/* Gives it back with whatever is in it. */
void buf_return(struct buf **b);

struct buf_stats {
	uint64_t lent;			/* bytes in buffers that owners hold */
	uint64_t cached;		/* bytes on the free lists */
};
struct buf_stats buf_stats(void);

/* Frees what the free lists hold. */
void buf_trim(void);

#endif
