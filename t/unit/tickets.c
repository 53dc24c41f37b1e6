/* SPDX-License-Identifier: BSD-2-Clause */
/* tickets: when the keys are rotated, whoever has made them. */
#include "proc/tickets.h"

#include <signal.h>
#include <string.h>

#include "net/tls.h"
#include "proc/wait.h"
#include "unit/tap.h"

#define HOUR   3600000u
#define PATIENCE 10000u	/* ms */

static unsigned rotations;

static void
rotated(void)
{
	rotations++;
}

static void
passed(struct deadline *d)
{
	(void)d;
}

/* Whether they are rotated soon; they are never when they should be in an hour. */
static bool
rotate(uint64_t patience)
{
	struct deadline end = { 0 };
	unsigned        before = rotations;
	sigset_t        none;

	sigemptyset(&none);
	deadline_set(&end, patience, passed);
	while (rotations == before && deadline_is_set(&end))
		if (wait_pass(&none) < 0)
			break;
	deadline_clear(&end);
	return rotations > before;
}

static struct tls_ticket_keys
keys_of(unsigned char first)
{
	struct tls_ticket_keys keys = { .count = TLS_TICKET_KEYS };

	for (unsigned i = 0; i < TLS_TICKET_KEYS; i++)
		memset(keys.keys[i], first + (int)i, sizeof keys.keys[i]);
	return keys;
}

static void
of_another_master(void)
{
	const struct tls_ticket_keys keys = keys_of(1);
	uint64_t                     since = wait_now() - HOUR + 50;

	tickets_start(rotated);
	tickets_adopt(&keys, since);
	is_number(tickets_since(), since, "they are as old as they were there");
	tickets_wanted(HOUR);
	ok(rotate(PATIENCE), "and are rotated when they would have been there");
	is_number(tickets_keys()->keys[0][0], 2, "the next one is the current one then");
	is_number(tickets_keys()->keys[2][0], 1, "and that the previous one");
	ok(!rotate(100), "once in a lifetime");
	ok(wait_now() - tickets_since() < HOUR / 2, "which begins anew");
	tickets_adopt(&keys, since - HOUR);
	ok(rotate(PATIENCE), "those that come later are, too; at once when it is overdue");
	tickets_adopt(&keys, wait_now() + HOUR);
	ok(tickets_since() <= wait_now(), "none is from the future");
	tickets_stop();
}

static void
another_lifetime(void)
{
	const struct tls_ticket_keys keys = keys_of(1);

	tickets_start(rotated);
	tickets_adopt(&keys, wait_now() - HOUR / 2);
	tickets_wanted(HOUR);
	ok(!rotate(100), "half of it is left");
	tickets_wanted(HOUR / 2 + 1000);
	ok(rotate(PATIENCE), "a shorter one counts from when the key became current");
	tickets_stop();
}

int
main(void)
{
	of_another_master();
	another_lifetime();
	return done_testing();
}
