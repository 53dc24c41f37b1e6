/* SPDX-License-Identifier: BSD-2-Clause */
/* hash: what was added is found, the first of equal ones first. */
#include "base/hash.h"

#include <stdlib.h>

#include "unit/tap.h"

enum { MANY = 20000, COMMON = 100 };

static unsigned looks;

/* Values 1 … COMMON stand for one key, the others for one each. */
static bool
is(uintptr_t value, const void *key)
{
	looks++;
	return (value <= COMMON ? 1 : value) == *(const uintptr_t *)key;
}

int
main(void)
{
	struct hash h = { 0 };
	uintptr_t   key = 1, value;
	unsigned    wrong = 0;

	is_number((int)hash_find(&h, 7, is, &key), 0, "nothing is in an empty one");
	for (value = 1; value <= COMMON; value++)
		wrong += hash_add(&h, UINT32_MAX, value) != 0;
	for (value = COMMON + 1; value <= MANY; value++)
		wrong += hash_add(&h, (uint32_t)value * 2654435761u, value) != 0;
	is_number((int)wrong, 0, "many are added");
	is_number((int)hash_find(&h, UINT32_MAX, is, &key), 1, "of equal ones the first is found");
	looks = 0;
	for (key = COMMON + 1; key <= MANY; key++)
		wrong += hash_find(&h, (uint32_t)key * 2654435761u, is, &key) != key;
	is_number((int)wrong, 0, "each is found");
	ok(looks < 2 * MANY, "with one comparison for nearly each (%u)", looks);
	key = MANY + 1;
	is_number((int)hash_find(&h, (uint32_t)key * 2654435761u, is, &key), 0,
	    "what was not added is not");
	ok(hash_text(HASH_START, "ab") == hash_text(hash_text(HASH_START, "a"), "b") &&
		hash_text(HASH_START, "ab") != hash_text(HASH_START, "ba"),
	    "a text may be hashed in parts, and in its order");
	hash_free(&h);
	is_number((int)hash_find(&h, 7, is, &key), 0, "empty again");
	return done_testing();
}
