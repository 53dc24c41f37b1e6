/* SPDX-License-Identifier: BSD-2-Clause */
/* slab: packing, alignment, reuse, pages that come and go, no memory. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *test_mmap(void *, size_t, int, int, int, off_t);
static int   test_munmap(void *, size_t);
static void *test_aligned_alloc(size_t, size_t);

/* The file itself, so that its pages are ours. */
#define mmap          test_mmap
#define munmap        test_munmap
#define aligned_alloc test_aligned_alloc
#include "base/slab.c"
#undef mmap
#undef munmap
#undef aligned_alloc

#include "unit/tap.h"

static struct {
	bool fail;
	bool keep;		/* munmap fails */
	bool misaligned;	/* the next mapping of one page is */
	long bytes;		/* mapped */
} memory;

__attribute__((unused)) static void *
test_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	char *p;

	if (memory.fail) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (memory.misaligned && size == SLAB_PAGE) {
		/* What lies around it stays mapped; the test does not look. */
		p = mmap(NULL, (size_t)SLAB_PAGE * 2, protection, flags, fd, offset);
		memory.bytes += (long)size;
		return p + (((uintptr_t)p & (SLAB_PAGE - 1)) == 0 ? 4096 : 0);
	}
	memory.bytes += (long)size;
	return mmap(at, size, protection, flags, fd, offset);
}

__attribute__((unused)) static int
test_munmap(void *at, size_t size)
{
	if (memory.keep) {
		errno = ENOMEM;
		return -1;
	}
	memory.bytes -= (long)size;
	return munmap(at, size);
}

__attribute__((unused)) static void *
test_aligned_alloc(size_t alignment, size_t size)
{
	return memory.fail ? NULL : aligned_alloc(alignment, size);
}

static bool
is_zero(const char *data, size_t size)
{
	while (size > 0 && data[size - 1] == 0)
		size--;
	return size == 0;
}

static void
test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 16, 17, 100, 376, 4096, SLAB_PAGE / 4 };
	struct slab         s;
	unsigned            i, k, per_page;
	void               *object[4];
	bool                aligned;

	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		slab_init(&s, sizes[i]);
		per_page = (SLAB_PAGE - FIRST) / (unsigned)s.size;
		aligned = true;
		for (k = 0; k < 3; k++) {
			object[k] = slab_take(&s);
			aligned = aligned && object[k] != NULL && ((uintptr_t)object[k] & 15) == 0;
			memset(object[k], 0xff, sizes[i]);
		}
		ok(aligned && s.size >= sizes[i] && s.size % 16 == 0 && per_page >= 3,
		    "objects of %zu bytes: aligned, %u to a page", sizes[i], per_page);
		is_number(s.pages, 1, "three fit a page");
		for (k = 0; k < 3; k++)
			slab_give(&s, object[k]);
		slab_finish(&s);
		is_number(s.pages, 0, "which is gone in the end");
	}
}

static void
test_reuse(void)
{
	struct slab s;
	char       *a, *b;

	slab_init(&s, 64);
	a = slab_take(&s);
	memset(a, 0xaa, 64);
	slab_give(&s, a);
	b = slab_take(&s);
	ok(b == a, "what came back last is taken first");
	ok(is_zero(b, 64), "and is zeroed");
	is_number(s.used, 1, "one is taken");
#ifdef SANITIZE_ADDRESS
	ok(__asan_address_is_poisoned(b + 64), "its neighbour is not to be touched");
	slab_give(&s, b);
	ok(__asan_address_is_poisoned(b), "nor is what was given back");
#else
	slab_give(&s, b);
	skip(2, "not built with AddressSanitizer");
#endif
	slab_give(&s, NULL);
	is_number(s.used, 0, "giving nothing back is allowed");
	slab_finish(&s);
}

/* Objects of a quarter of a page: three to each. */
static void
test_pages(void)
{
	struct slab s;
	void       *object[9];
	unsigned    i;

	slab_init(&s, SLAB_PAGE / 4);
	for (i = 0; i < 9; i++)
		object[i] = slab_take(&s);
	is_number(s.pages, 3, "nine objects on three pages");
	slab_give(&s, object[4]);
	ok((object[4] = slab_take(&s)) != NULL && s.pages == 3, "a hole is filled");
	for (i = 0; i < 3; i++)
		slab_give(&s, object[i]);
	is_number(s.pages, 3, "the first empty page stays in reserve");
	for (i = 3; i < 6; i++)
		slab_give(&s, object[i]);
	is_number(s.pages, 2, "the second goes");
	for (i = 0; i < 3; i++)
		object[i] = slab_take(&s);
	is_number(s.pages, 2, "the reserve is used again");
	for (i = 0; i < 3; i++)
		slab_give(&s, object[i]);
	for (i = 6; i < 9; i++)
		slab_give(&s, object[i]);
	ok(s.pages == 1 && s.used == 0, "one page is left");
	slab_finish(&s);
	is_number(s.pages, 0, "none is left");
	is_number(memory.bytes, 0, "all memory went back");
}

static void
test_spare(void)
{
	struct slab s;
	void       *object[9];
	unsigned    i;

	slab_init(&s, SLAB_PAGE / 4);
	s.spare = 2;
	for (i = 0; i < 9; i++)
		object[i] = slab_take(&s);
	for (i = 0; i < 9; i++)
		slab_give(&s, object[i]);
	is_number(s.pages, 2, "as many empty pages stay as are to be kept");
	slab_trim(&s);
	is_number(s.pages, 1, "until they are trimmed");
	object[0] = slab_take(&s);
	ok(object[0] != NULL && s.pages == 1, "the last one is used");
	slab_trim(&s);
	is_number(s.pages, 1, "a page in use is not trimmed");
	slab_give(&s, object[0]);
	slab_finish(&s);
	is_number(memory.bytes, 0, "all memory went back");
}

static void
test_no_memory(void)
{
	struct slab s;
	void       *object[3];

	slab_init(&s, SLAB_PAGE / 4);
	memory.fail = true;
	errno = 0;
	ok(slab_take(&s) == NULL && errno == ENOMEM, "no memory, no object");
	ok(s.used == 0 && s.pages == 0, "and none counted");
	memory.fail = false;
	object[0] = slab_take(&s);
	memory.fail = true;
	object[1] = slab_take(&s);
	object[2] = slab_take(&s);
	ok(object[0] && object[1] && object[2], "what the page has is given without new memory");
	ok(slab_take(&s) == NULL, "then no more");
	slab_give(&s, object[1]);
	object[1] = slab_take(&s);
	ok(object[1] != NULL, "until one comes back");
	memory.fail = false;
	for (unsigned i = 0; i < 3; i++)
		slab_give(&s, object[i]);
	slab_finish(&s);
}

static void
test_mappings(void)
{
#ifdef SANITIZE_ADDRESS
	skip(5, "pages are malloc's under AddressSanitizer");
#else
	struct slab s;
	void *object[6];
	unsigned i;

	slab_init(&s, SLAB_PAGE / 4);
	memory.misaligned = true;
	object[0] = slab_take(&s);
	memory.misaligned = false;
	ok(object[0] != NULL && page_of(object[0])->owner == &s,
	    "a page is aligned even if the kernel's first is not");
	is_number(memory.bytes, SLAB_PAGE, "and nothing around it is kept");
	for (i = 1; i < 6; i++)
		object[i] = slab_take(&s);
	memory.keep = true;
	for (i = 0; i < 6; i++)
		slab_give(&s, object[i]);
	is_number(s.pages, 2, "a page that cannot be unmapped is kept");
	for (i = 0; i < 6; i++)
		object[i] = slab_take(&s);
	ok(object[5] != NULL && s.pages == 2, "and used again");
	memory.keep = false;
	for (i = 0; i < 6; i++)
		slab_give(&s, object[i]);
	slab_finish(&s);
	is_number(memory.bytes, 0, "all memory went back");
#endif
}

/* Each object is filled with its number; whatever is overwritten shows. */
static void
test_model(void)
{
	enum { COUNT = 3000, SIZE = 376 };
	static unsigned char *object[COUNT];
	struct slab s;
	unsigned step, i, wrong = 0;
	uint64_t used = 0;

	slab_init(&s, SIZE);
	for (step = 0; step < 60000; step++) {
		i = (unsigned)random_below(COUNT);
		if (object[i] == NULL) {
			object[i] = slab_take(&s);
			wrong += object[i] == NULL || !is_zero((char *)object[i], SIZE);
			memset(object[i], (int)(i % 251) + 1, SIZE);
			used++;
		} else {
			wrong += object[i][0] != i % 251 + 1 ||
			    memcmp(object[i], object[i] + 1, SIZE - 1);
			slab_give(&s, object[i]);
			object[i] = NULL;
			used--;
		}
		wrong += s.used != used;
	}
	is_number(wrong, 0, "60,000 random takes and gives");
	for (i = 0; i < COUNT; i++)
		slab_give(&s, object[i]);
	slab_finish(&s);
	ok(s.pages == 0 && s.used == 0 && memory.bytes == 0, "all memory went back");
}

int
main(void)
{
	test_sizes();
	test_reuse();
	test_pages();
	test_spare();
	test_no_memory();
	test_mappings();
	test_model();
	return done_testing();
}
