/* SPDX-License-Identifier: BSD-2-Clause */
/* hash: a table that finds what was added under a hash; it only grows. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stdint.h>

struct hash_slot;

/* Zeroed: empty. */
struct hash {
	struct hash_slot *slots;	/* a power of two of them, at most half in use */
	unsigned          size;
	unsigned          count;
};

#define HASH_START 2166136261u

/* FNV-1a. Goes on from `hash`, which is HASH_START at first. */
uint32_t hash_text(uint32_t hash, const char *text);

/* Adds a value, which is not 0. Returns 0, or -1 with errno ENOMEM. */
int hash_add(struct hash *, uint32_t hash, uintptr_t value) __attribute__((warn_unused_result));

/* The first added of those with this hash that `is` says yes to; 0: none. */
uintptr_t hash_find(const struct hash *, uint32_t hash,
    bool (*is)(uintptr_t value, const void *key), const void *key);

/* Frees it; empty afterwards. */
void hash_free(struct hash *);

#endif
