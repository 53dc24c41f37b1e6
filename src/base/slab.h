/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slab: many objects of one size, packed without a header each.
 *
 * Objects come from pages of SLAB_PAGE bytes; a page whose objects have all
 * come back is returned to the system, but for a few kept in reserve.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define SLAB_PAGE 65536u

struct slab {
	size_t      size;		/* of an object, a multiple of 16 */
	uint64_t    used;		/* objects taken */
	uint64_t    pages;
	struct node partial;		/* pages with room; the fullest are not sorted out */
	struct node full;
	struct node empty;
	unsigned    spare;		/* empty pages that are kept: 1, unless told */
	unsigned    kept;
};

/* size: at most SLAB_PAGE / 4. */
void slab_init(struct slab *, size_t size);

/* A zeroed object, aligned to 16 bytes; NULL with errno ENOMEM. */
void *slab_take(struct slab *) __attribute__((warn_unused_result));

/* Gives an object back; NULL is allowed. Under AddressSanitizer it is poisoned. */
void slab_give(struct slab *, void *);

/* Returns empty pages to the system, but for one. */
void slab_trim(struct slab *);

/* All objects must be back. Frees the pages. */
void slab_finish(struct slab *);

#endif
