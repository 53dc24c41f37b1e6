/* SPDX-License-Identifier: BSD-2-Clause */
/* srv: messages as name servers write them, and as nobody should; and sets of members. */
#include "net/srv.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"
#include "unit/tap.h"
#include "upstream/lookup.h"

static uint8_t           message[4096];
static size_t            length;
static struct srv_record records[8];

static void
put(const void *bytes, size_t count)
{
	memcpy(message + length, bytes, count);
	length += count;
}

static void
put_short(unsigned n)
{
	const uint8_t bytes[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	put(bytes, sizeof bytes);
}

/* A question for "s.t", and so many answers behind it. */
static void
begin(unsigned answers)
{
	length = 0;
	for (unsigned i = 0; i < 6; i++)
		put_short(i == 2 ? 1 : i == 3 ? answers : 0);
	put("\1s\1t\0\0\x21\0\1", 9);
}

/* Of the question's name: 12. */
static void
answer(unsigned type, unsigned ttl, const void *data, size_t count)
{
	put("\xc0\x0c", 2);
	put_short(type);
	put_short(1);
	put_short(ttl >> 16);
	put_short(ttl & 0xffff);
	put_short((unsigned)count);
	put(data, count);
}

static void
srv(unsigned priority, unsigned weight, unsigned port, const char *name, size_t count)
{
	uint8_t data[300] = { (uint8_t)(priority >> 8), (uint8_t)priority, (uint8_t)(weight >> 8),
		(uint8_t)weight, (uint8_t)(port >> 8), (uint8_t)port };

	memcpy(data + 6, name, count);
	answer(33, 300, data, 6 + count);
}

static enum srv_verdict
parse(struct srv_answer *a, unsigned most)
{
	*a = (struct srv_answer){ .records = records, .most = most };
	return srv_answer_parse(a, span_make(message, length));
}

static void
test_good(void)
{
	struct srv_answer a;

	begin(5);
	srv(20, 1, 80, "\1B\1t", 5);
	srv(10, 2, 81, "\1a\xc0\x0e", 4);	/* the question's second label */
	answer(5, 60, "\1x", 3);		/* an alias has its own TTL */
	srv(10, 2, 80, "\1a\1t", 5);
	srv(10, 2, 80, "\1a\1t", 5);
	is_number(parse(&a, 8), SRV_GOOD, "an answer");
	is_number(a.count, 3, "what is there twice counts once");
	is_number(a.ttl, 60, "the least TTL");
	is_string(records[0].target, "a.t", "in order: by priority");
	is_number(records[0].port, 80, "then by name and port");
	is_number(records[1].port, 81, "the next");
	is_string(records[1].target, "a.t", "by a pointer");
	is_string(records[2].target, "b.t", "in small letters");
	is_number(records[2].priority, 20, "the last");
	is_number(records[0].weight, 2, "its weight");
	is_number(parse(&a, 2), SRV_GOOD, "less room");
	is_number(a.left_out, 1, "one is left out");
	is_string(records[1].target, "a.t", "the one that comes last");
	begin(2);
	srv(1, 1, 80, "\0", 1);
	srv(1, 1, 0, "\1a", 3);
	is_number(parse(&a, 8), SRV_NONE, "no service, no port");
	begin(0);
	is_number(parse(&a, 8), SRV_NONE, "no answer");
	begin(1);
	answer(33, 0x80000000u, "\0\1\0\1\0\1\1a", 9);
	is_number(parse(&a, 8), SRV_GOOD, "a TTL that is none");
	is_number(a.ttl, 0, "is 0");
}

static void
test_bad(void)
{
	struct srv_answer a;
	char              name[300];
	unsigned          wrong = 0;
	size_t            whole;

	begin(1);
	srv(1, 1, 80, "\xc0\x22", 2);
	is_number(parse(&a, 8), SRV_MALFORMED, "a pointer to somewhere behind the end");
	begin(1);
	srv(1, 1, 80, "\xc0\x27", 2);
	is_number(parse(&a, 8), SRV_MALFORMED, "one to itself");
	begin(1);
	srv(1, 1, 80, "\x40x", 3);
	is_number(parse(&a, 8), SRV_MALFORMED, "a label that is none");
	begin(1);
	srv(1, 1, 80, "\3a b", 5);
	is_number(parse(&a, 8), SRV_MALFORMED, "a blank in a name");
	memset(name, 'a', sizeof name);
	for (unsigned i = 0; i < 280; i += 64)
		name[i] = 63;
	name[256] = '\0';
	begin(1);
	srv(1, 1, 80, name, 257);
	is_number(parse(&a, 8), SRV_MALFORMED, "a name that is too long");
	begin(1);
	answer(33, 1, "\0\1\0\1\0", 5);
	is_number(parse(&a, 8), SRV_MALFORMED, "half a record");
	begin(2);
	srv(1, 1, 80, "\1a", 3);
	srv(1, 1, 81, "\1a", 3);
	for (whole = length; length-- > 0;)
		wrong += parse(&a, 8) != SRV_MALFORMED;
	is_number(wrong, 0, "whatever is missing of %zu bytes", whole);
}

static struct member
member(const char *address, bool backup)
{
	struct member m = { .backup = backup };

	if (addr_parse(&m.addr, address, NULL) != NULL)
		bail_out("%s", address);
	return m;
}

static void
test_sets(void)
{
	struct member set[3], m;
	unsigned      count = 0, left_out = 0;
	const char   *addresses[] = { "10.0.0.3:1", "[::1]:1", "10.0.0.1:2", "10.0.0.1:1" };
	char          text[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < 4; i++) {
		m = member(addresses[i], false);
		left_out += lookup_insert(set, &count, 3, &m);
	}
	is_number(count, 3, "as many as there is room for");
	is_number(left_out, 1, "one is left out");
	is_string(addr_print(&set[0].addr, text), "10.0.0.1:1", "in order: by address and port");
	is_string(addr_print(&set[2].addr, text), "10.0.0.3:1", "IPv4 first");
	m = member("10.0.0.2:1", true);
	ok(lookup_insert(set, &count, 3, &m), "backups come last");
	m = member("10.0.0.1:2", true);
	ok(!lookup_insert(set, &count, 3, &m) && count == 3, "what is there as a better one stays");
	set[2].backup = true;
	m = member("10.0.0.3:1", false);
	ok(!lookup_insert(set, &count, 3, &m) && count == 3 && !set[2].backup,
	    "and becomes the better one");
}

int
main(void)
{
	test_good();
	test_bad();
	test_sets();
	return done_testing();
}
