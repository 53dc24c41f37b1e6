/* SPDX-License-Identifier: BSD-2-Clause */
/* buf: against a plain array, at its limits, and without memory. */
#include <stdlib.h>

static void *test_malloc(size_t);

/* The file itself, so that its allocations are ours. */
#define malloc test_malloc
#include "base/buf.c"
#undef malloc

#include "unit/tap.h"

static struct {
	bool     fail;
	size_t   asked;		/* by the last call */
	unsigned calls;
} memory;

static void *
test_malloc(size_t size)
{
	memory.asked = size;
	memory.calls++;
	return memory.fail ? NULL : malloc(size);
}

static struct weir_span
bytes(const char *data, size_t len)
{
	return (struct weir_span){ data, len };
}

static void
test_life(void)
{
	struct buf *b = NULL, *first;

	is_number(buf_len(b), 0, "no buffer holds nothing");
	is_number(buf_span(b).len, 0, "its span is empty");
	buf_consume(&b, 0);
	buf_return(&b);
	ok(buf_append(&b, bytes(NULL, 0)) == 0 && b == NULL, "no bytes need no buffer");

	ok(buf_append(&b, bytes("abcdef", 6)) == 0 && b != NULL, "bytes need one");
	is_number(memory.asked, BUF_SIZE_MIN, "of the smallest size");
	is_number(buf_stats().lent, BUF_SIZE_MIN, "which is counted as lent");
	buf_consume(&b, 2);
	ok(buf_len(b) == 4 && memcmp(buf_span(b).data, "cdef", 4) == 0, "consumed from the front");
	first = b;
	buf_consume(&b, 4);
	ok(b == NULL && buf_stats().lent == 0, "an empty one is given back");
	is_number(buf_stats().cached, BUF_SIZE_MIN, "to the free list");

	memory.calls = 0;
	ok(buf_append(&b, bytes("x", 1)) == 0 && b == first && memory.calls == 0, "and lent again");
	is_number(buf_stats().cached, 0, "it is on no list meanwhile");
	buf_return(&b);
	ok(b == NULL && buf_stats().lent == 0, "given back with what was in it");
	buf_trim();
	is_number(buf_stats().cached, 0, "trimmed");
}

static void
test_reserve(void)
{
	struct buf *b = NULL;
	char       *room;

	room = buf_reserve(&b, 100);
	ok(room != NULL && buf_len(b) == 0, "room is no data");
	memcpy(room, "hello", 5);
	buf_commit(b, 5);
	ok(buf_len(b) == 5 && memcmp(buf_span(b).data, "hello", 5) == 0, "until it is committed");
	room = buf_reserve(&b, 5000);
	ok(room != NULL && b->size - b->tail >= 5000, "more room moves to a larger buffer");
	ok(memcmp(buf_span(b).data, "hello", 5) == 0 && room == b->data + b->tail, "with the data");
	buf_return(&b);
}

static void
test_limits(void)
{
	struct buf *b = NULL, *before;
	size_t      most = BUF_SIZE_MAX - HEADER;

	memory.fail = true;
	errno = 0;
	ok(buf_reserve(&b, most) == NULL && errno == ENOMEM, "the largest is asked for");
	is_number(memory.asked, BUF_SIZE_MAX, "as a whole gigabyte");
	memory.calls = 0;
	ok(buf_reserve(&b, most + 1) == NULL && errno == EMSGSIZE, "a byte more is too much");
	ok(buf_reserve(&b, SIZE_MAX) == NULL && errno == EMSGSIZE, "so is everything");
	ok(b == NULL && memory.calls == 0, "without asking for memory");
	memory.fail = false;

	ok(buf_append(&b, bytes("abc", 3)) == 0, "with three bytes in it");
	before = b;
	ok(buf_reserve(&b, most - 2) == NULL && errno == EMSGSIZE, "what is there counts");
	ok(buf_reserve(&b, SIZE_MAX - 1) == NULL && errno == EMSGSIZE, "and sums don't wrap");
	ok(b == before && buf_len(b) == 3, "the buffer is as it was");
	buf_return(&b);
}

static void
test_no_memory(void)
{
	static char block[2000];
	struct buf *b = NULL, *before;

	buf_trim();
	memory.fail = true;
	errno = 0;
	ok(buf_append(&b, bytes("x", 1)) < 0 && errno == ENOMEM && b == NULL, "no first buffer");
	is_number(buf_stats().lent, 0, "none is counted");
	memory.fail = false;
	ok(buf_append(&b, bytes("abc", 3)) == 0, "a small one");
	before = b;
	memory.fail = true;
	ok(buf_append(&b, bytes(block, sizeof block)) < 0 && errno == ENOMEM, "no larger one");
	ok(b == before && buf_len(b) == 3 && memcmp(buf_span(b).data, "abc", 3) == 0,
	    "the small one is as it was");

	/* It would rather grow than move in steps, but must do without. */
	memory.fail = false;
	buf_return(&b);
	ok(buf_append(&b, bytes(block, b == NULL ? BUF_SIZE_MIN - HEADER : 0)) == 0, "a full one");
	buf_consume(&b, 10);
	memory.fail = true;
	ok(buf_append(&b, bytes("0123456789", 10)) == 0 && buf_len(b) == BUF_SIZE_MIN - HEADER,
	    "what fits is taken even then");
	memory.fail = false;
	buf_return(&b);
}

static void
test_cache_bound(void)
{
	static struct buf *held[3 * BUF_CACHE_MAX / 65536];
	struct buf        *large = NULL;
	size_t             i, n = sizeof held / sizeof held[0];
	bool               taken = true;

	buf_trim();
	for (i = 0; i < n; i++)
		taken = taken && buf_reserve(&held[i], 60000) != NULL;
	ok(taken && buf_stats().lent == n * 65536, "three times the cache is lent");
	for (i = 0; i < n; i++)
		buf_return(&held[i]);
	is_number(buf_stats().lent, 0, "all of it came back");
	is_number(buf_stats().cached, BUF_CACHE_MAX, "no more than the bound is kept");
	buf_trim();
	ok(buf_reserve(&large, BUF_CACHE_MAX / 4) != NULL, "a large one");
	buf_return(&large);
	is_number(buf_stats().cached, 0, "is not kept");
}

/* However the owner goes about it, each byte that stays is moved a bounded number
 * of times: 64 KiB that wait must not be moved for each byte that passes. */
static void
test_small_steps(void)
{
	static char block[60000];
	struct buf *b = NULL;
	const char *at;
	unsigned    i, moves = 0;
	bool        fine;

	fine = buf_append(&b, bytes(block, sizeof block)) == 0;
	at = buf_span(b).data;
	for (i = 0; i < 200000 && fine; i++) {
		fine = buf_append(&b, bytes("0123456789", 10)) == 0;
		moves += buf_span(b).data != at;
		buf_consume(&b, 10);
		at = buf_span(b).data;
	}
	ok(fine && moves < 40, "2 MB in small steps through a backlog: moved %u times", moves);
	ok(b->size < 4 * sizeof block, "in a buffer of a fitting size");
	buf_return(&b);
}

struct model {
	char   data[200000];
	size_t head;
	size_t tail;
};

static bool
model_agrees(const struct model *m, const struct buf *b)
{
	return buf_len(b) == m->tail - m->head && (b == NULL) == (m->tail == m->head) &&
	    (b == NULL || memcmp(buf_span(b).data, m->data + m->head, buf_len(b)) == 0);
}

static void
test_model(void)
{
	static struct model m;
	struct buf         *b = NULL;
	size_t              n, i;
	unsigned            step, wrong = 0;

	for (step = 0; step < 20000; step++) {
		if (m.tail > sizeof m.data - 9000) {
			memmove(m.data, m.data + m.head, m.tail - m.head);
			m.tail -= m.head;
			m.head = 0;
		}
		n = random_below(random_below(8) == 0 ? 9000 : 200);
		if (random_below(2) == 0 && m.tail + n <= sizeof m.data) {
			for (i = 0; i < n; i++)
				m.data[m.tail + i] = (char)random_number();
			wrong += buf_append(&b, bytes(m.data + m.tail, n)) < 0;
			m.tail += n;
		} else {
			if (n > m.tail - m.head || m.tail - m.head > 150000)
				n = m.tail - m.head;
			buf_consume(&b, n);
			m.head += n;
		}
		wrong += !model_agrees(&m, b);
	}
	is_number(wrong, 0, "20,000 random steps do what a plain array does");
	buf_return(&b);
	is_number(buf_stats().lent, 0, "nothing is left lent");
	buf_trim();
}

int
main(void)
{
	test_life();
	test_reserve();
	test_limits();
	test_no_memory();
	test_cache_bound();
	test_small_steps();
	test_model();
	return done_testing();
}
