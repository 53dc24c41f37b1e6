/* SPDX-License-Identifier: BSD-2-Clause */
/* balance_hash: which peers clients and keys have, and who moves when they fail, come or go. */
#include <dlfcn.h>
#include <netinet/in.h>

#include "unit/balance_hash.h"

enum { CLIENTS = 20000, KEYS = 100000 };

/* ------------------------------------------------------------------- picking */

static const char *const ways[] = { "client", "client consistent", "client maglev" };

static void
ask_all(int where[CLIENTS])
{
	for (unsigned i = 0; i < CLIENTS; i++)
		where[i] = chosen(i);
}

static unsigned
count_of(const int where[CLIENTS], int peer)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += where[i] == peer;
	return n;
}

/* Clients that have moved, but for those of one peer (-1: none). */
static unsigned
moved(const int before[CLIENTS], const int after[CLIENTS], int but)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += before[i] != after[i] && before[i] != but;
	return n;
}

static void
test_hash_way(const char *words)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   most = 0, n;

	upstream_make(&hash_module, 6);
	weigh("111113");
	peers[4].backup = true;
	hash_make(words);
	upstream_start(1, 0);
	ask_all(before);
	for (int i = 0; i < 4; i++) {
		n = count_of(before, i);
		ok(n > CLIENTS / 7 * 3 / 4 && n < CLIENTS / 7 * 5 / 4, "%s: its share: %u", words,
		    n);
	}
	is_number(count_of(before, 4), 0, "none for the backup");
	upstreams_stop(NULL);
	upstream_start(2, 3);
	ask_all(after);
	is_number(moved(before, after, -1), 0, "another worker of another generation agrees");
	fail(1);
	ask_all(after);
	is_number(moved(before, after, 1), 0, "one fails: nobody else moves");
	is_number(count_of(after, 1), 0, "its own do");
	for (int i = 0; i < 6; i++) {
		n = count_of(after, i) - count_of(before, i);
		most = i != 1 && n > most ? n : most;
	}
	ok(most < count_of(before, 1) * 7 / 10, "to all others: %u at most", most);
	recover(1);
	ask_all(after);
	is_number(moved(before, after, -1), 0, "and come back");
	for (unsigned i = 0; i < 6; i++)
		if (i != 4)
			fail(i);
	is_number(chosen(1), 4, "the backup is used when all others fail");
	hash_end();
}

/* A peer more, or one less, by another configuration. */
static void
test_hash_grows(const char *words, bool stays)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   n;

	upstream_make(&hash_module, 10);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(before);
	hash_end();
	upstream_make(&hash_module, 11);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(after);
	n = moved(before, after, -1);
	ok((n < CLIENTS / 11 * 12 / 10) == stays, "%s: one joins: %u of %u move", words, n,
	    CLIENTS);
	hash_end();
	upstream_make(&hash_module, 9);
	hash_make(words);
	upstream_start(1, 0);
	ask_all(after);
	n = moved(before, after, -1);
	ok((n <= CLIENTS / 10 * 12 / 10) == stays, "one is taken out: %u move", n);
	n = moved(before, after, 9);
	ok((n < CLIENTS / 100 * 2) == stays, "%u of them for nothing", n);
	hash_end();
}

static void
test_hash_slow_start(void)
{
	static int before[CLIENTS], after[CLIENTS];
	unsigned   n, back = 0;

	upstream_make(&hash_module, 5);
	upstream.slow_start = 10000;
	hash_make("client consistent");
	upstream_start(1, 0);
	ask_all(before);
	fail(2);
	chosen(0);
	recover(2);
	loop_clock += 2500;
	ask_all(after);
	n = count_of(after, 2);
	ok(n > count_of(before, 2) / 5 && n < count_of(before, 2) / 3, "a quarter is back: %u", n);
	for (unsigned i = 0; i < CLIENTS; i++)
		back += after[i] == 2 && before[i] != 2;
	is_number(back, 0, "all of them its own");
	is_number(moved(before, after, 2), 0, "and nobody else has moved");
	hash_end();
}

/* After an outage all peers begin slowly at once. */
static void
test_hash_slow_start_all(const char *words)
{
	static int before[CLIENTS], after[CLIENTS];

	upstream_make(&hash_module, 5);
	upstream.slow_start = 10000;
	hash_make(words);
	upstream_start(1, 0);
	ask_all(before);
	for (unsigned i = 0; i < 5; i++)
		fail(i);
	chosen(0);
	for (unsigned i = 0; i < 5; i++)
		recover(i);
	ask_all(after);
	is_number(moved(before, after, -1), 0, "%s: all are back at once: nobody has moved", words);
	hash_end();
}

/* A round of the table has fewer entries than there are weights. */
static void
test_maglev_shares(void)
{
	unsigned weights = 0, part, wrong = 0, counts[100] = { 0 };

	upstream_make(&hash_module, 100);
	for (unsigned i = 0; i < 100; i++)
		weights += peers[i].weight = i + 1;
	hash_make("client maglev");
	for (unsigned i = 0; i < hash_conf.table.size; i++)
		counts[hash_conf.table.entries[i]]++;
	for (unsigned i = 0; i < 100; i++) {
		part = hash_conf.table.size * peers[i].weight / weights;
		wrong += counts[i] + part / 100 + 1 < part || counts[i] > part + part / 100 + 2;
	}
	is_number(wrong, 0, "maglev: of 100 weights each has its share within one in 100");
	upstream_start(1, 0);
	hash_end();
}

static unsigned
ring_owner(uint32_t at)
{
	return hash_conf.table.points[hash_ring_find(&hash_conf.table, at)].peer;
}

/* Where keys are, of three peers with weights of 1, 2 and 3; they stay. */
static void
ketama_place(uint8_t where[KEYS])
{
	char text[32];
	int  n;

	upstream_make(&hash_module, 3);
	weigh("123");
	hash_make("key consistent");
	ok(upstream.keyed, "it goes by keys");
	upstream_start(1, 0);
	for (unsigned i = 0; i < KEYS; i++) {
		n = snprintf(text, sizeof text, "key:%u", i);
		attempt_anew(i);
		attempt.key = (struct weir_span){ text, (size_t)n };
		where[i] = (uint8_t)upstream_pick(&upstream, &attempt)->index;
	}
}

/* What is needed of libmemcached, which is loaded if it is there. */
static struct {
	void *(*create)(void *);
	int (*behave)(void *, int what, uint64_t);
	int (*add)(void *, const char *host, in_port_t, uint32_t weight);
	uint32_t (*where)(const void *, const char *key, size_t);
	void (*free)(void *);
} memcached;

#define KETAMA_WEIGHTED 16	/* MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED */

static bool
memcached_load(void)
{
	/* Below valgrind the loader itself reads beyond its strings. */
	void *library =
	    getenv("WEIR_VALGRIND") != NULL ? NULL : dlopen("libmemcached.so.11", RTLD_NOW);

	if (library == NULL)
		return false;
	*(void **)&memcached.create = dlsym(library, "memcached_create");
	*(void **)&memcached.behave = dlsym(library, "memcached_behavior_set");
	*(void **)&memcached.add = dlsym(library, "memcached_server_add_with_weight");
	*(void **)&memcached.where = dlsym(library, "memcached_generate_hash");
	*(void **)&memcached.free = dlsym(library, "memcached_free");
	return memcached.create != NULL && memcached.behave != NULL && memcached.add != NULL &&
	    memcached.where != NULL && memcached.free != NULL;
}

/* Key for key as that library has them here. */
static void
test_ketama_oracle(void)
{
	static uint8_t where[KEYS];
	unsigned       wrong = 0;
	char           text[32];
	void          *m;
	int            n;

	if (!memcached_load()) {
		skip(1, "there is no libmemcached.so.11 (Debian: libmemcached-tools)");
		return;
	}
	ketama_place(where);
	if ((m = memcached.create(NULL)) == NULL || memcached.behave(m, KETAMA_WEIGHTED, 1) != 0)
		bail_out("libmemcached");
	for (unsigned i = 0; i < 3; i++)
		if (memcached.add(m, "127.0.0.1", (in_port_t)(21101 + i), i + 1) != 0)
			bail_out("libmemcached: a server");
	for (unsigned i = 0; i < KEYS; i++) {
		n = snprintf(text, sizeof text, "key:%u", i);
		wrong += memcached.where(m, text, (size_t)n) != where[i];
	}
	is_number(wrong, 0, "of 100,000 keys none is elsewhere with libmemcached");
	memcached.free(m);
	hash_end();
}

/* The same keys on nutcracker 0.5.0 (hash: md5, distribution: ketama) and on libmemcached 1.1.4
 * (KETAMA_WEIGHTED), which agreed in all of them. */
static void
test_ketama(void)
{
	static uint8_t where[KEYS];
	char           begin[61];
	unsigned       counts[3] = { 0 }, others = 0;
	uint32_t       digest[4], all = 2166136261u;

	ketama_place(where);
	for (unsigned i = 0; i < KEYS; i++) {
		counts[where[i]]++;
		all = (all ^ (where[i] + 1u)) * 16777619u;
		if (i < sizeof begin - 1)
			begin[i] = (char)('0' + where[i]);
	}
	begin[sizeof begin - 1] = '\0';
	is_string(begin, "110222222112212020122221001020220211222211121222002210002121",
	    "ketama: the first 60 keys");
	is_number(counts[0], 18613, "keys of the first");
	is_number(counts[1], 31678, "of the second");
	is_number(counts[2], 49709, "of the third");
	is_number(all, 0x66764c05, "all 100,000 keys, in their order");
	for (unsigned i = 0; i < 50; i++)
		others += chosen(i) != chosen(0);
	ok(others > 10, "without a key the client counts: %u of 50 elsewhere", others);
	is_number(hash_ring_find(&hash_conf.table, UINT32_MAX), 0, "behind the last the first");
	strcpy(peers[0].name, "127.0.0.1:11211");
	hash_end();
	hash_make("client consistent");
	hash_md5_text("127.0.0.1-0", 11, digest);
	is_number(ring_owner(digest[1]), 0, "the port that they leave out");
	hash_end();
}

int
main(void)
{
	board_begin();
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
		test_hash_way(ways[i]);
		test_hash_grows(ways[i], i > 0);
	}
	test_hash_slow_start();
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		test_hash_slow_start_all(ways[i]);
	test_maglev_shares();
	test_ketama();
	test_ketama_oracle();
	return done_testing();
}
