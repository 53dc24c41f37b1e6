/* SPDX-License-Identifier: BSD-2-Clause */
/* hash: a table that finds what was added under a hash; it only grows. */
#include "base/hash.h"

#include <stdlib.h>

#define HASH_SIZE_MIN 64u

struct hash_slot {
	uintptr_t value;	/* 0: empty */
	uint32_t  hash;
};

static int  hash_grow(struct hash *);
static void hash_put(struct hash *, uint32_t hash, uintptr_t value);

uint32_t
hash_text(uint32_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

int
hash_add(struct hash *h, uint32_t hash, uintptr_t value)
{
	if (h->count >= h->size / 2 && hash_grow(h) < 0)
		return -1;
	hash_put(h, hash, value);
	h->count++;
	return 0;
}

uintptr_t
hash_find(const struct hash *h, uint32_t hash, bool (*is)(uintptr_t value, const void *key),
    const void *key)
{
	const struct hash_slot *s;

	if (h->size == 0)
		return 0;
	for (unsigned i = hash;; i++) {
		s = &h->slots[i & (h->size - 1)];
		if (s->value == 0)
			return 0;
		if (s->hash == hash && is(s->value, key))
			return s->value;
	}
}

void
hash_free(struct hash *h)
{
	free(h->slots);
	*h = (struct hash){ 0 };
}

/* Each run of slots is moved from its beginning, so that what has the same hash
 * stays in its order. */
static int
hash_grow(struct hash *h)
{
	struct hash grown = { .size = h->size == 0 ? HASH_SIZE_MIN : h->size * 2,
		.count = h->count };
	unsigned    first = 0;

	grown.slots = calloc(grown.size, sizeof *grown.slots);
	if (grown.slots == NULL)
		return -1;
	while (h->size > 0 && h->slots[first].value != 0)
		first++;
	for (unsigned i = 0; i < h->size; i++) {
		const struct hash_slot *s = &h->slots[(first + i) & (h->size - 1)];

		if (s->value != 0)
			hash_put(&grown, s->hash, s->value);
	}
	free(h->slots);
	*h = grown;
	return 0;
}

static void
hash_put(struct hash *h, uint32_t hash, uintptr_t value)
{
	unsigned i = hash;

	while (h->slots[i & (h->size - 1)].value != 0)
		i++;
	h->slots[i & (h->size - 1)] = (struct hash_slot){ value, hash };
}
