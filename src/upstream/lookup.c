/* SPDX-License-Identifier: BSD-2-Clause */
/* lookup: the peers that a name, or a service, stands for right now. */
#include "upstream/lookup.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/srv.h"

#define LOOKUP_AT_ONCE 16u	/* servers of a service whose addresses are asked for */

/* Whose answer it is. */
struct lookup_target {
	struct lookup *lookup;
	unsigned       record;
};

static void lookup_took_addresses(void *, enum resolver_fault, const struct addr *, unsigned,
    uint32_t ttl);
static void lookup_took_service(void *, enum resolver_fault, struct weir_span);
static void lookup_weigh(struct lookup *);
static void lookup_ask_targets(struct lookup *);
static void lookup_took_target(void *, enum resolver_fault, const struct addr *, unsigned,
    uint32_t ttl);
static void lookup_add(struct lookup *, const struct addr *, unsigned count,
    const struct srv_record *);
static void lookup_finish(struct lookup *, enum resolver_fault);
static int  lookup_compare(const struct member *, const struct member *);
static int  lookup_compare_addresses(const struct addr *, const struct addr *);

void
lookup_start(struct lookup *l)
{
	lookup_free(l);
	l->count = l->left_out = 0;
	l->partial = false;
	l->fault = RESOLVER_GOOD;
	l->ttl = UINT32_MAX;
	l->running = true;
	l->members = calloc(l->most, sizeof *l->members);
	if (l->members == NULL)
		lookup_finish(l, RESOLVER_NO_MEMORY);
	else if (l->service)
		resolver_ask_service(l->name, lookup_took_service, l);
	else
		resolver_ask_addresses(l->name, lookup_took_addresses, l);
}

void
lookup_free(struct lookup *l)
{
	free(l->members);
	free(l->records);
	free(l->targets);
	l->members = NULL;
	l->records = NULL;
	l->targets = NULL;
	l->count = 0;
}

static void
lookup_took_addresses(void *argument, enum resolver_fault fault, const struct addr *addresses,
    unsigned count, uint32_t ttl)
{
	struct lookup *l = argument;

	l->ttl = ttl;
	lookup_add(l, addresses, count, NULL);
	lookup_finish(l, fault);
}

/* -------------------------------------------------------------------- services */

static void
lookup_took_service(void *argument, enum resolver_fault fault, struct weir_span message)
{
	struct lookup    *l = argument;
	struct srv_answer a = { .most = l->most };

	if (fault != RESOLVER_GOOD) {
		lookup_finish(l, fault);
		return;
	}
	l->records = a.records = calloc(a.most, sizeof *a.records);
	l->targets = calloc(a.most, sizeof *l->targets);
	if (l->records == NULL || l->targets == NULL) {
		lookup_finish(l, RESOLVER_NO_MEMORY);
		return;
	}
	switch (srv_answer_parse(&a, message)) {
	case SRV_NONE:
		lookup_finish(l, RESOLVER_NO_DATA);
		return;
	case SRV_MALFORMED:
		lookup_finish(l, RESOLVER_MALFORMED);
		return;
	case SRV_GOOD:
		break;
	}
	l->record_count = a.count;
	l->left_out = a.left_out;
	l->ttl = a.ttl;
	l->next = l->asked = 0;
	lookup_weigh(l);
	lookup_ask_targets(l);
}

/* Weights of 0 beside others mean a little; when there is no other, they say nothing. */
static void
lookup_weigh(struct lookup *l)
{
	bool any = false;

	for (unsigned i = 0; i < l->record_count; i++)
		any |= l->records[i].weight > 0;
	for (unsigned i = 0; i < l->record_count; i++)
		if (any && l->records[i].weight == 0)
			l->records[i].weight = 1;
}

/* Some answers come at once, from the hosts file: not one within the other. */
static void
lookup_ask_targets(struct lookup *l)
{
	if (l->starting)
		return;
	l->starting = true;
	while (l->next < l->record_count && l->asked < LOOKUP_AT_ONCE) {
		struct lookup_target *t = &l->targets[l->next];

		*t = (struct lookup_target){ l, l->next++ };
		l->asked++;
		resolver_ask_addresses(l->records[t->record].target, lookup_took_target, t);
	}
	l->starting = false;
	if (l->asked == 0)
		lookup_finish(l, l->count > 0 ? RESOLVER_GOOD : l->fault);
}

static void
lookup_took_target(void *argument, enum resolver_fault fault, const struct addr *addresses,
    unsigned count, uint32_t ttl)
{
	struct lookup_target *t = argument;
	struct lookup        *l = t->lookup;

	l->asked--;
	if (fault == RESOLVER_GOOD && ttl < l->ttl)
		l->ttl = ttl;
	if (fault != RESOLVER_GOOD && l->fault < fault)
		l->fault = fault;
	l->partial |= resolver_may_recover(fault);
	lookup_add(l, addresses, count, &l->records[t->record]);
	lookup_ask_targets(l);
}

/* ------------------------------------------------------------------------ sets */

/* record: whose addresses they are; NULL: the name's own. */
static void
lookup_add(struct lookup *l, const struct addr *addresses, unsigned count,
    const struct srv_record *record)
{
	struct member m;
	uint16_t      port = htons(record != NULL ? record->port : l->port);

	for (unsigned i = 0; i < count; i++) {
		m = (struct member){ .addr = addresses[i] };
		if (record != NULL) {
			m.weight = record->weight;
			m.backup = record->priority != l->records[0].priority;
		}
		if (m.addr.sa.sa_family == AF_INET)
			m.addr.in.sin_port = port;
		else
			m.addr.in6.sin6_port = port;
		l->left_out += lookup_insert(l->members, &l->count, l->most, &m);
	}
}

bool
lookup_insert(struct member *set, unsigned *count, unsigned most, const struct member *m)
{
	unsigned at = 0;
	bool     full = *count == most;

	for (unsigned i = 0; i < *count; i++)
		if (addr_equal(&set[i].addr, &m->addr)) {
			/* Twice: as the better of the two. */
			if (m->backup || !set[i].backup)
				return false;
			memmove(&set[i], &set[i + 1], (*count - i - 1) * sizeof *set);
			--*count;
			full = false;
			break;
		}
	while (at < *count && lookup_compare(&set[at], m) < 0)
		at++;
	if (at == most)
		return true;
	memmove(&set[at + 1], &set[at], (*count - at - full) * sizeof *set);
	set[at] = *m;
	*count += !full;
	return full;
}

static int
lookup_compare(const struct member *a, const struct member *b)
{
	if (a->backup != b->backup)
		return a->backup ? 1 : -1;
	return lookup_compare_addresses(&a->addr, &b->addr);
}

static int
lookup_compare_addresses(const struct addr *a, const struct addr *b)
{
	int order;

	if (a->sa.sa_family != b->sa.sa_family)
		return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
	order = a->sa.sa_family == AF_INET
	    ? memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof a->in.sin_addr)
	    : memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr);
	return order != 0 ? order : (int)addr_port(a) - (int)addr_port(b);
}

static void
lookup_finish(struct lookup *l, enum resolver_fault fault)
{
	l->fault = fault;
	l->running = false;
	l->done(l);
}
