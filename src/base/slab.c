/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slab: pages of equal objects.
 *
 *	| struct page | object | object | … | fresh …         |
 *	 ◄──────────── SLAB_PAGE, aligned to its size ────────►
 *
 * An object's page is found by masking its address. Objects that came back are
 * linked through their first bytes; what lies behind `fresh` was never used, so
 * that a new page costs the memory of its objects one by one.
 */
#include "base/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sanitize.h"

#define ALIGNMENT 16u

struct object {
	struct object *next;
};

struct page {
	struct node    link;	/* slab's partial, full or empty */
	struct slab   *owner;
	struct object *free;
	uint32_t       used;
	uint32_t       fresh;	/* offset of the first object that was never taken */
};

#define FIRST ((uint32_t)((sizeof(struct page) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT))

static_assert((SLAB_PAGE & (SLAB_PAGE - 1)) == 0, "pages are found by masking");
static_assert(SLAB_PAGE / 4 <= (SLAB_PAGE - FIRST) / 3, "three of the largest fit a page");

#ifdef SANITIZE_ADDRESS

/* LeakSanitizer looks for pointers in what malloc gave, not in mappings. */
static struct page *
page_map(void)
{
	return aligned_alloc(SLAB_PAGE, SLAB_PAGE);
}

static int
page_unmap(struct page *p)
{
	free(p);
	return 0;
}

#else

/* malloc would leave a gap in front of every aligned page. The kernel puts
 * mappings one below the other, so most are aligned without further effort. */
static struct page *
page_map(void)
{
	uintptr_t at, aligned;
	char     *p;

	p = mmap(NULL, SLAB_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (((uintptr_t)p & (SLAB_PAGE - 1)) == 0)
		return (struct page *)(void *)p;
	munmap(p, SLAB_PAGE);
	p = mmap(NULL, (size_t)SLAB_PAGE * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	at = (uintptr_t)p;
	aligned = (at + SLAB_PAGE - 1) & ~(uintptr_t)(SLAB_PAGE - 1);
	if (aligned > at)
		munmap(p, aligned - at);
	p += aligned - at;
	munmap(p + SLAB_PAGE, SLAB_PAGE - (aligned - at));
	return (struct page *)(void *)p;
}

/* May fail: a hole in the middle of a mapping makes two of one, and their
 * number is limited. */
static int
page_unmap(struct page *p)
{
	return munmap(p, SLAB_PAGE);
}

#endif

static struct page *
page_of(const void *object)
{
	return (struct page *)((uintptr_t)object & ~(uintptr_t)(SLAB_PAGE - 1));
}

static struct page *
page_at(struct node *link)
{
	return container_of(link, struct page, link);
}

static bool
page_has_room(const struct page *p)
{
	return p->free != NULL || p->fresh + p->owner->size <= SLAB_PAGE;
}

static struct page *
page_create(struct slab *s)
{
	struct page *p;

	p = page_map();
	if (p == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	p->owner = s;
	p->free = NULL;
	p->used = 0;
	p->fresh = FIRST;
	sanitize_hide((char *)p + FIRST, SLAB_PAGE - FIRST);
	list_append(&s->partial, &p->link);
	s->pages++;
	return p;
}

/* The page is in no list. One that cannot be unmapped is kept for later use. */
static int
page_destroy(struct page *p)
{
	struct slab *s = p->owner;

	sanitize_lend((char *)p + FIRST, SLAB_PAGE - FIRST);
	if (page_unmap(p) < 0)
		return -1;
	s->pages--;
	return 0;
}

void
slab_init(struct slab *s, size_t size)
{
	assert(size <= SLAB_PAGE / 4);
	memset(s, 0, sizeof *s);
	s->size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (s->size == 0)
		s->size = ALIGNMENT;
	list_init(&s->partial);
	list_init(&s->full);
	list_init(&s->empty);
	s->spare = 1;
}

/* A page with room, in the list of partial ones. */
static struct page *
slab_find_page(struct slab *s)
{
	struct node *n;

	n = list_first(&s->partial);
	if (n != NULL)
		return page_at(n);
	n = list_first(&s->empty);
	if (n == NULL)
		return page_create(s);
	node_unlink(n);
	s->kept--;
	list_append(&s->partial, n);
	return page_at(n);
}

void *
slab_take(struct slab *s)
{
	struct object *o;
	struct page   *p;

	p = slab_find_page(s);
	if (p == NULL)
		return NULL;
	if (p->free != NULL) {
		o = p->free;
		sanitize_lend(o, s->size);
		p->free = o->next;
	} else {
		o = (struct object *)(void *)((char *)p + p->fresh);
		sanitize_lend(o, s->size);
		p->fresh += (uint32_t)s->size;
	}
	p->used++;
	s->used++;
	if (!page_has_room(p)) {
		node_unlink(&p->link);
		list_append(&s->full, &p->link);
	}
	return memset(o, 0, s->size);
}

static void
slab_keep(struct slab *s, struct page *p)
{
	list_append(&s->empty, &p->link);
	s->kept++;
}

/* All but so many; one that cannot be unmapped stays. */
static void
slab_free_empty(struct slab *s, unsigned left)
{
	unsigned     n = s->kept;
	struct page *p;

	while (n-- > left) {
		p = page_at(list_first(&s->empty));
		node_unlink(&p->link);
		s->kept--;
		if (page_destroy(p) < 0)
			slab_keep(s, p);
	}
}

void
slab_give(struct slab *s, void *object)
{
	struct object *o = object;
	struct page   *p;
	bool           was_full;

	if (o == NULL)
		return;
	p = page_of(o);
	assert(p->owner == s && p->used > 0);
	assert(((uintptr_t)o - (uintptr_t)p - FIRST) % s->size == 0);
	was_full = !page_has_room(p);
	o->next = p->free;
	p->free = o;
	sanitize_hide(o, s->size);
	p->used--;
	s->used--;
	if (p->used > 0 && !was_full)
		return;
	node_unlink(&p->link);
	if (p->used > 0)
		list_append(&s->partial, &p->link);
	else if (s->kept < s->spare || page_destroy(p) < 0)
		slab_keep(s, p);
}

void
slab_trim(struct slab *s)
{
	slab_free_empty(s, 1);
}

void
slab_finish(struct slab *s)
{
	assert(s->used == 0);
	slab_free_empty(s, 0);
}
