/* SPDX-License-Identifier: BSD-2-Clause */
/* tickets: the keys of TLS session tickets, which all workers have in common. */
#include "proc/tickets.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/log.h"
#include "net/tls.h"
#include "proc/wait.h"

enum ticket_role { TICKET_CURRENT, TICKET_NEXT, TICKET_PREVIOUS };

static struct {
	struct tls_ticket_keys *keys;	/* by enum ticket_role */
	uint64_t                since;	/* ms of wait_now: when the current one became it */
	uint64_t                lifetime;	/* ms; 0: not known yet */
	struct deadline         rotation;
	void                  (*rotated)(void);
} tickets;

static void tickets_rotate(struct deadline *);
static void tickets_set_rotation(void);
static bool tickets_make(void);
static bool tickets_draw(unsigned char *key);

void
tickets_start(void (*rotated)(void))
{
	tickets.rotated = rotated;
}

void
tickets_stop(void)
{
	deadline_clear(&tickets.rotation);
	if (tickets.keys == NULL)
		return;
	explicit_bzero(tickets.keys, sizeof *tickets.keys);
	munmap(tickets.keys, sizeof *tickets.keys);
	tickets.keys = NULL;
}

void
tickets_wanted(uint64_t lifetime)
{
	if (lifetime == 0 || (tickets.keys == NULL && !tickets_make()) ||
	    lifetime == tickets.lifetime)
		return;
	tickets.lifetime = lifetime;
	tickets_set_rotation();
}

void
tickets_adopt(const struct tls_ticket_keys *keys, uint64_t since)
{
	if (keys->count != TLS_TICKET_KEYS || (tickets.keys == NULL && !tickets_make()))
		return;
	*tickets.keys = *keys;
	tickets.since = since < wait_now() ? since : wait_now();
	if (tickets.lifetime != 0)
		tickets_set_rotation();
}

const struct tls_ticket_keys *
tickets_keys(void)
{
	return tickets.keys;
}

uint64_t
tickets_since(void)
{
	return tickets.since;
}

/* However often the lifetime has changed meanwhile, or the master. */
static void
tickets_set_rotation(void)
{
	uint64_t age = wait_now() - tickets.since;

	deadline_set(&tickets.rotation, age < tickets.lifetime ? tickets.lifetime - age : 0,
	    tickets_rotate);
}

static void
tickets_rotate(struct deadline *d)
{
	unsigned char(*key)[TLS_TICKET_KEY_SIZE] = tickets.keys->keys;

	(void)d;
	tickets.since = wait_now();
	tickets_set_rotation();
	memcpy(key[TICKET_PREVIOUS], key[TICKET_CURRENT], sizeof *key);
	memcpy(key[TICKET_CURRENT], key[TICKET_NEXT], sizeof *key);
	if (!tickets_draw(key[TICKET_NEXT]))
		log_error("keys for TLS tickets: %s: the same is used on", strerror(errno));
	tickets.rotated();
}

static bool
tickets_make(void)
{
	void *memory = mmap(NULL, sizeof *tickets.keys, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		goto fail;
	tickets.keys = memory;
	if (madvise(memory, sizeof *tickets.keys, MADV_WIPEONFORK) < 0)
		goto fail;
	(void)madvise(memory, sizeof *tickets.keys, MADV_DONTDUMP);
	(void)mlock(memory, sizeof *tickets.keys);
	for (unsigned i = 0; i < TLS_TICKET_KEYS; i++)
		if (!tickets_draw(tickets.keys->keys[i]))
			goto fail;
	tickets.keys->count = TLS_TICKET_KEYS;
	tickets.since = wait_now();
	return true;
fail:
	log_error("keys for TLS tickets: %s: sessions are resumed only where they began",
	    strerror(errno));
	tickets_stop();
	return false;
}

/* False with errno, and the key as it was. */
static bool
tickets_draw(unsigned char *key)
{
	unsigned char fresh[TLS_TICKET_KEY_SIZE];

	if (getrandom(fresh, sizeof fresh, 0) != sizeof fresh)
		return false;
	memcpy(key, fresh, sizeof fresh);
	explicit_bzero(fresh, sizeof fresh);
	return true;
}
