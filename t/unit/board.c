/* SPDX-License-Identifier: BSD-2-Clause */
/* board: entries, counters over generations, tokens that processes race for. */
#include "upstream/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/tap.h"
#include "upstream/token.h"

enum { OPEN, TOTAL, LOST };

static const struct board_field fields[] = {
	[OPEN]  = { "open", BOARD_GAUGE },
	[TOTAL] = { "total", BOARD_COUNTER },
	[LOST]  = { "lost", BOARD_LOST },
};
static const struct board_schema server = { "server", fields, 3 };
static const struct board_schema peer = { "peer", fields, 3 };

/* What another version counts. */
static const struct board_field other_fields[] = {
	{ "new", BOARD_COUNTER },
	{ "total", BOARD_COUNTER },
};
static const struct board_schema other_server = { "server", other_fields, 2 };

static int
seat(void)
{
	int taken = board_seat_take();

	if (taken < 1)
		diag("no seat: %d", taken);
	return taken;
}

/* Two versions of weir count different things under one name. */
static void
test_versions(void)
{
	struct board_view v = { .id = -1 };
	int               own = board_enter(&server, "web", 1), theirs;
	int               at = seat();

	theirs = board_enter(&other_server, "web", 2);
	ok(own >= 0 && theirs >= 0 && own != theirs, "each has an entry of its own");
	is_number(board_enter(&other_server, "web", 2), theirs, "which it finds again");
	is_number(board_enter(&server, "web", 1), own, "and the other one its own");
	ok(board_enter(&server, "app", 1) >= 0 && board_enter(&peer, "web", 1) >= 0, "others");
	ok(board_next(&v) && strcmp(v.name, "app") == 0 && board_next(&v) && v.id == own &&
		board_next(&v) && v.id == theirs && board_next(&v) &&
		strcmp(v.kind, "peer") == 0 && !board_next(&v),
	    "they are shown one after the other");
	board_add(&board_cell(own, (unsigned)at)[TOTAL], 7);
	board_add(&board_cell(own, (unsigned)at)[OPEN], 2);
	board_add(&board_cell(theirs, (unsigned)at)[1], 3);
	board_add(&board_cell(theirs, (unsigned)at)[0], 1);
	board_seat_give((unsigned)at);
	board_leave(1);
	is_number(board_sum(theirs, 1), 10, "when one ends its counters go on in the other");
	is_number(board_sum(theirs, 0), 1, "what only that counts is as it was");
	board_leave(2);
}

/* Another master goes on with the board, beside this one: a process of its own. */
static int
second_master(int fd, int wanted)
{
	int seats[2], generation;

	if (board_attach(fd) < 0)
		return 1;
	seats[0] = board_seat_take();
	seats[1] = board_seat_take();
	generation = board_generation_take();
	if (seats[0] != wanted || seats[1] != wanted + 1 || generation != 1)
		return 2;
	if (board_enter(&server, "web", (unsigned)generation) < 0)
		return 3;
	board_add(&board_cell(0, (unsigned)seats[0])[OPEN], 4);
	board_add(&board_cell(0, (unsigned)seats[1])[TOTAL], 5);
	return 0;
}

static void
test_masters(int fd)
{
	int   first = board_generation_take(), own = seat(), status, id;
	pid_t pid;

	is_number(first, 0, "a generation of one's own");
	id = board_enter(&server, "web", (unsigned)first);
	is_number(id, 0, "with an entry");
	pid = fork();
	if (pid == 0)
		_exit(second_master(fd, own + 1));
	waitpid(pid, &status, 0);
	is_number(status, 0, "another master takes what is free, and sees what is there");
	ok(board_seat_take() == own + 3 && board_generation_take() == 2, "and is seen");
	is_number(board_sum(id, OPEN), 4, "what its workers have open counts");
	board_inherit(tokens_reclaim);
	is_number(board_sum(id, OPEN), 0, "it has died: they have nothing open any more");
	is_number(board_sum(id, TOTAL), 5, "what they counted stays");
	is_number(board_sum(id, LOST), 4, "and what was lost is counted");
	ok(!board_is_used(id, 1) && board_is_used(id, 0), "its generation has left");
	ok(board_seat_take() == own + 1 && board_generation_take() == 1, "all is free again");
	board_seat_give((unsigned)own);
	board_seat_give((unsigned)own + 1);
	board_seat_give((unsigned)own + 3);
	for (unsigned i = 0; i < 3; i++)
		board_generation_give(i);
	is_number(board_seats(), 1, "all is given back");
}

/* One template enters at a time; one that dies meanwhile keeps nobody waiting. */
static void
test_entering(void)
{
	pid_t pid = fork();
	int   status;

	if (pid == 0) {
		board_entering_begin();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	board_entering_begin();
	board_entering_end();
	ok(status == 0, "nobody waits for one that has died");
}

static void
test_entries(void)
{
	struct board_view v = { .id = -1 };
	char              name[BOARD_NAME_MAX + 1];
	enum board_type   type;
	int               web, app, db;

	ok(!board_next(&v), "a new board has no entries");
	web = board_enter(&server, "web", 1);
	db = board_enter(&peer, "db", 1);
	app = board_enter(&server, "app", 1);
	ok(web >= 0 && app >= 0 && db >= 0 && web != app && app != db, "three entries");
	is_number(board_enter(&server, "web", 1), web, "an entry is found again");
	is_number(board_enter(&server, "web", 63), web, "by another generation, too");
	ok(board_enter(&peer, "web", 1) != web, "a name is one only within its kind");

	memset(name, 'x', sizeof name);
	name[BOARD_NAME_MAX] = '\0';
	ok(board_enter(&server, name, 1) < 0 && errno == ENAMETOOLONG, "a name too long by one");
	name[BOARD_NAME_MAX - 1] = '\0';
	ok(board_enter(&server, name, 1) >= 0, "the longest name");

	ok(board_next(&v) && v.id == app && strcmp(v.kind, "server") == 0 &&
		strcmp(v.name, "app") == 0,
	    "walking: kinds as first seen, names in order");
	ok(board_next(&v) && v.id == web, "the second");
	is_number(v.generations, UINT64_C(1) << 63 | 1 << 1, "who uses it");
	ok(board_next(&v) && strcmp(v.name, name) == 0, "the third");
	ok(board_next(&v) && v.id == db && strcmp(v.kind, "peer") == 0, "the other kind");
	ok(board_next(&v) && !board_next(&v), "to the end");

	is_string(board_field_name(db, OPEN, &type), "open", "a field's name");
	is_number(type, BOARD_GAUGE, "and type");
	is_string(board_field_name(db, TOTAL, &type), "total", "the next");
	is_number(type, BOARD_COUNTER, "is a counter");
	is_string(board_field_name(db, 3, NULL), NULL, "no more");
	board_leave(1);
	board_leave(63);
	v.id = -1;
	ok(!board_next(&v), "all are gone with their generations");
}

static void
test_counting(void)
{
	int id = board_enter(&server, "web", 1), a = seat(), b = seat();

	ok(a != b && a != (int)BOARD_PAST && b != (int)BOARD_PAST, "two seats");
	board_add(&board_cell(id, (unsigned)a)[TOTAL], 5);
	board_add(&board_cell(id, (unsigned)b)[TOTAL], 7);
	board_add(&board_cell(id, (unsigned)a)[OPEN], 2);
	board_add(&board_cell(id, (unsigned)b)[OPEN], 3);
	board_give(id, OPEN, (unsigned)b);
	ok(board_sum(id, TOTAL) == 12 && board_sum(id, OPEN) == 4, "sums over the seats");

	is_number(board_seat_clear((unsigned)a), 2, "a worker dies, and two are lost");
	is_number(board_sum(id, OPEN), 2, "what a dead worker had open is closed");
	is_number(board_sum(id, LOST), 2, "and counted as lost");
	is_number(board_sum(id, TOTAL), 12, "what it counted is kept");
	is_number(board_cell(id, (unsigned)a)[TOTAL], 5, "in the seat, for its successor");
	board_add(&board_cell(id, (unsigned)a)[TOTAL], 1);

	board_shared(id)[3] = 42;
	is_number(board_enter(&server, "web", 2), id, "the next generation joins");
	board_leave(1);
	board_seat_give((unsigned)a);
	board_seat_give((unsigned)b);
	is_number(board_sum(id, TOTAL), 13, "counts stay when their generation has ended");
	is_number(board_cell(id, BOARD_PAST)[TOTAL], 13, "as past");
	is_number(board_sum(id, OPEN), 0, "nothing is open");
	is_number(board_cell(id, BOARD_PAST)[LOST], 4, "and what was open then is lost, too");
	is_number(board_shared(id)[3], 42, "shared words stay");
	is_number(board_seat_take(), a, "the lowest seat is taken again");
	is_number(board_cell(id, (unsigned)a)[TOTAL], 0, "and is clean");
	board_seat_give((unsigned)a);

	board_leave(2);
	is_number(board_enter(&peer, "other", 3), id, "what nobody uses is claimed by others");
	ok(board_sum(id, TOTAL) == 0 && board_shared(id)[3] == 0, "and begins at zero");
	board_leave(3);
}

static void
test_tokens(void)
{
	int      id = board_enter(&peer, "db", 1);
	unsigned a = (unsigned)seat(), b = (unsigned)seat(), i;
	bool     taken = true;

	ok(board_take(id, OPEN, a, 3) && board_take(id, OPEN, b, 3) && board_take(id, OPEN, a, 3),
	    "three tokens");
	ok(!board_take(id, OPEN, a, 3) && !board_take(id, OPEN, b, 3), "no fourth");
	is_number(board_sum(id, OPEN), 3, "who was refused has none");
	board_give(id, OPEN, a);
	ok(board_take(id, OPEN, b, 3) && !board_take(id, OPEN, b, 3), "one came back");
	board_seat_clear(b);
	ok(board_take(id, OPEN, a, 3) && board_take(id, OPEN, a, 3) && !board_take(id, OPEN, a, 3),
	    "those of a dead worker are free");
	for (i = 0; i < 100; i++)
		taken = taken && board_take(id, OPEN, a, 0);
	ok(taken && board_sum(id, OPEN) == 103, "no limit");
	board_seat_give(a);
	board_seat_give(b);
	board_leave(1);
}

/* What a worker of the race does: takes, counts who is in, gives. */
static _Noreturn void
race(int id, unsigned own, uint64_t limit, unsigned rounds, atomic_uint *in, atomic_uint *won)
{
	unsigned i, wins = 0;

	for (i = 0; i < rounds; i++) {
		if (!board_take(id, OPEN, own, limit))
			continue;
		if (atomic_fetch_add(in, 1) >= limit)
			_exit(1);
		if (i % 16 == 0)
			usleep(0);	/* lets the others in while this one holds it */
		wins++;
		atomic_fetch_sub(in, 1);
		board_give(id, OPEN, own);
	}
	atomic_fetch_add(won, wins);
	_exit(0);
}

static void
test_race(uint64_t limit)
{
	enum { WORKERS = 4 };
	unsigned rounds = getenv("WEIR_VALGRIND") != NULL ? 2000 : 100000, i, n = 0;
	int id = board_enter(&peer, "raced", 1), seats[WORKERS], status;
	atomic_uint *words;
	pid_t pids[WORKERS];

	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < WORKERS; i++) {
		seats[i] = seat();
		pids[i] = fork();
		if (pids[i] == 0)
			race(id, (unsigned)seats[i], limit, rounds, &words[0], &words[64]);
	}
	for (i = 0; i < WORKERS; i++)
		n += waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) &&
		    WEXITSTATUS(status) == 0;
	is_number(n, WORKERS, "four processes race: never more than %u hold a token",
	    (unsigned)limit);
	ok(words[64] >= rounds / 100, "and they get one: %u times", words[64]);
	is_number(board_sum(id, OPEN), 0, "all tokens are back");
	for (i = 0; i < WORKERS; i++)
		board_seat_give((unsigned)seats[i]);
	munmap(words, 4096);
	board_leave(1);
}

/* Waits for the other to arrive, too; lets it run if there is one core only. */
static void
arrive(atomic_uint *arrived, unsigned wanted)
{
	unsigned spins = 0;

	atomic_fetch_add(arrived, 1);
	while (atomic_load(arrived) < wanted) {
		if (++spins % 1000 == 0)
			sched_yield();
	}
}

#define MEET_SECONDS 3	/* at most: on a busy machine each meeting waits for its turn */

/* Both come to the same round at the same moment and take the only token: the
 * case in which a store that has not reached memory yet would let both in. */
static unsigned
meet(int id, unsigned own, unsigned rounds, atomic_uint *words, bool leads)
{
	atomic_uint      *arrived = &words[0], *holders = &words[64], *last = &words[128];
	time_t            end = time(NULL) + MEET_SECONDS;
	unsigned          i, both = 0;
	volatile unsigned wait;
	bool              taken;

	for (i = 0; i < rounds && atomic_load(last) != i; i++) {
		if (leads && i % 256 == 0 && time(NULL) >= end)
			atomic_store(last, i + 1);
		arrive(arrived, 4 * i + 2);
		/* The moments differ by a little, in all combinations. */
		for (wait = own % 2 ? i % 32 : i / 32 % 32; wait > 0; wait--)
			atomic_signal_fence(memory_order_seq_cst);
		taken = board_take(id, OPEN, own, 1);
		both += taken && atomic_fetch_add(holders, 1) > 0;
		arrive(arrived, 4 * i + 4);
		if (taken) {
			board_give(id, OPEN, own);
			atomic_fetch_sub(holders, 1);
		}
	}
	return both;
}

static void
test_meeting(void)
{
	unsigned     rounds = getenv("WEIR_VALGRIND") != NULL ? 200 : 200000;
	int          id = board_enter(&peer, "met", 1), first = seat(), second = seat(), status;
	unsigned     both;
	atomic_uint *words;
	pid_t        pid;

	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	atomic_store(&words[128], rounds);
	pid = fork();
	if (pid == 0)
		_exit(meet(id, (unsigned)first, rounds, words, false) > 0 ? 1 : 0);
	both = meet(id, (unsigned)second, rounds, words, true);
	ok(waitpid(pid, &status, 0) == pid && status == 0 && both == 0,
	    "two processes meet, often: never both hold the one token");
	board_seat_give((unsigned)first);
	board_seat_give((unsigned)second);
	munmap(words, 4096);
	board_leave(1);
}

/* One process enters generations, another takes them off: an entry that was
 * entered is there, and clean if it is new. */
static void
test_enter_and_leave(void)
{
	unsigned          i, rounds = getenv("WEIR_VALGRIND") != NULL ? 300 : 20000;
	struct board_view v;
	bool              fine = true, seen;
	int               id, status;
	pid_t             leaver;

	id = board_enter(&server, "kept", 0);
	leaver = fork();
	if (leaver == 0) {
		for (i = 0;; i++)
			board_leave(10 + i % 10);
	}
	for (i = 0; i < rounds && fine; i++) {
		unsigned generation = 20 + i % 10;

		fine = board_enter(&server, "kept", 10 + i % 10) == id;
		id = board_enter(&server, "passing", 10 + i % 10);
		id = board_enter(&server, "passing", generation);
		fine = fine && id >= 0;
		seen = false;
		for (v.id = -1; board_next(&v);)
			seen |= v.id == id && strcmp(v.name, "passing") == 0 &&
			    (v.generations >> generation & 1) != 0;
		fine = fine && seen;
		board_leave(generation);
		id = board_enter(&server, "kept", 0);
	}
	kill(leaver, SIGKILL);
	waitpid(leaver, &status, 0);
	ok(fine, "a generation may leave while another enters, %u times", i);
	for (i = 0; i < 64; i++)
		board_leave(i);
}

static blkcnt_t
blocks(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_blocks : -1;
}

/* Entries that nobody counts in have no memory, whoever looks at them. */
static void
test_memory(int fd)
{
	enum { MANY = 1000 };
	struct board_view v = { .id = -1 };
	unsigned own = (unsigned)seat(), walked = 0, blank = 0;
	uint64_t sum = 0;
	blkcnt_t before;
	char     name[32];
	int      id = -1;

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "memory %u", i);
		id = board_enter(&server, name, 9);
	}
	before = blocks(fd);
	board_add(&board_cell(id, own)[OPEN], 5);
	while (board_next(&v)) {
		walked++;
		blank += v.blank;
		sum += board_view_sum(&v, OPEN);
	}
	ok(walked == MANY && blank == MANY - 1 && sum == 5, "walking tells who has counted");
	board_seat_clear(own);
	is_number(board_sum(id, LOST), 5, "a seat is cleared where something was counted");
	board_add(&board_cell(id, own)[TOTAL], 7);
	board_seat_give(own);
	is_number(board_sum(id, TOTAL), 7, "and given back");
	ok(blocks(fd) - before <= sysconf(_SC_PAGESIZE) / 512, "the others have no memory still");
	board_leave(9);
}

static void
test_full(void)
{
	static char         kinds[BOARD_SCHEMAS + 2][16];
	struct board_schema schema = { NULL, fields, 2 };
	char                name[32];
	unsigned            i, entered = 0, taken = 0;

	for (i = 0; i < BOARD_ENTRIES; i++) {
		snprintf(name, sizeof name, "entry %u", i);
		entered += board_enter(&server, name, i % 2) >= 0;
	}
	is_number(entered, BOARD_ENTRIES, "the board takes all it has room for");
	errno = 0;
	ok(board_enter(&server, "one more", 0) < 0 && errno == ENOSPC, "and no more");
	ok(board_enter(&server, "entry 7", 0) >= 0, "those that are there can be entered");
	board_leave(0);
	ok(board_enter(&server, "one more", 2) >= 0, "there is room when a generation has left");
	board_leave(1);
	board_leave(2);

	for (i = 0; i <= BOARD_SCHEMAS; i++) {
		snprintf(kinds[i], sizeof kinds[i], "kind %u", i);
		schema.kind = kinds[i];
		if (board_enter(&schema, "x", 4) < 0)
			break;
	}
	ok(i == BOARD_SCHEMAS && errno == ENOSPC, "as many kinds as there is room for");
	board_leave(4);
	schema.kind = kinds[i];
	ok(board_enter(&schema, "x", 5) >= 0, "kinds that nobody has any more make room");
	board_leave(5);

	while (board_seat_take() >= 0)
		taken++;
	ok(taken == BOARD_SEATS - 1 && errno == ENOSPC, "all seats but the past");
	while (taken > 0)
		board_seat_give(taken--);
	is_number(board_seat_take(), 1, "and back");
	board_seat_give(1);
}

/* An entry behind the first is counted in by processes that had not mapped it. */
static void
test_growth(void)
{
	unsigned many = getenv("WEIR_VALGRIND") != NULL ? 1500 : 5000;
	unsigned own = (unsigned)seat();
	char     name[32];
	int      id = -1, status, ends[2];
	pid_t    pid;

	if (pipe(ends) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < many; i++) {
			snprintf(name, sizeof name, "many %u", i);
			if ((id = board_enter(&server, name, 6)) < 0)
				_exit(1);
			board_add(&board_cell(id, own)[TOTAL], i);
		}
		for (unsigned i = 0; i < many; i++) {
			snprintf(name, sizeof name, "many %u", i);
			id = board_enter(&server, name, 7);
			if (id < 0 || board_sum(id, TOTAL) != i)
				_exit(2);
		}
		_exit(write(ends[1], &id, sizeof id) == sizeof id ? 0 : 3);
	}
	is_number(waitpid(pid, &status, 0) == pid ? status : -1, 0,
	    "a process enters many, and finds each again");
	ok(read(ends[0], &id, sizeof id) == sizeof id, "and says where the last is");
	close(ends[0]);
	close(ends[1]);
	snprintf(name, sizeof name, "many %u", many - 1);
	is_number(board_enter(&server, name, 8), id, "which another finds there");
	is_number((int)board_sum(id, TOTAL), (int)many - 1, "with its count");
	for (unsigned i = 6; i <= 8; i++)
		board_leave(i);
	board_seat_give(own);
}

static void
test_slots(void)
{
	uint32_t generation = 99;

	ok(board_slot_get(3, &generation) == BOARD_SLOT_ABSENT && generation == 0,
	    "a slot of nobody");
	board_slot_set(3, 7, BOARD_SLOT_ACCEPTING);
	ok(board_slot_get(3, &generation) == BOARD_SLOT_ACCEPTING && generation == 7, "it accepts");
	board_slot_set(3, 7, BOARD_SLOT_PAUSED);
	board_slot_set(3, 6, BOARD_SLOT_ABSENT);
	ok(board_slot_get(3, NULL) == BOARD_SLOT_PAUSED, "an older generation has nothing to say");
	board_slot_set(3, 8, BOARD_SLOT_ABSENT);
	board_slot_set(3, 7, BOARD_SLOT_ACCEPTING);
	ok(board_slot_get(3, &generation) == BOARD_SLOT_ABSENT && generation == 8,
	    "a newer one has");
	board_slot_set(4, UINT32_MAX, BOARD_SLOT_ACCEPTING);
	ok(board_slot_get(4, &generation) == BOARD_SLOT_ABSENT,
	    "numbers that wrapped are older than 0");
	ok(board_slot_get(BOARD_SLOTS - 1, NULL) == BOARD_SLOT_ABSENT, "the last slot");
	board_slot_claim(3, 7, BOARD_SLOT_PAUSED);
	ok(board_slot_get(3, &generation) == BOARD_SLOT_PAUSED && generation == 7,
	    "an older generation serves it again");
}

static void
test_attaching(int fd)
{
	int      other, id = board_enter(&server, "web", 1);
	unsigned own = (unsigned)seat();
	uint64_t good, bad = 1;

	board_add(&board_cell(id, own)[TOTAL], 3);
	ok(board_attach(fd) == 0, "attached again");
	ok(board_enter(&server, "web", 2) == id && board_sum(id, TOTAL) == 3, "the same board");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "its fd is closed on exec");
	ok(ftruncate(fd, 4096) < 0 && ftruncate(fd, INT64_C(1) << 40) < 0,
	    "its size is sealed");

	errno = 0;
	ok(board_attach(-1) < 0 && errno == EBADF, "no fd");
	other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ok(board_attach(other) < 0 && errno == EPROTO, "an empty file");
	good = (uint64_t)lseek(fd, 0, SEEK_END);
	ok(ftruncate(other, (off_t)good) == 0 && board_attach(other) < 0 && errno == EPROTO,
	    "one of the right size that could shrink");
	ok(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK) == 0 && board_attach(other) < 0 &&
		errno == EPROTO,
	    "one of zeros");
	close(other);
	ok(pread(fd, &good, 8, 8) == 8 && pwrite(fd, &bad, 8, 8) == 8 && good != bad,
	    "another version");
	ok(board_attach(fd) < 0 && errno == EPROTO, "is refused");
	is_number(board_sum(id, TOTAL), 3, "the board that was attached still is");
	ok(pwrite(fd, &good, 8, 8) == 8 && board_attach(fd) == 0, "the right one is not");
	board_seat_give(own);
}

/* A worker that has gone mad can write everywhere. Who reads, ends and stays
 * within. */
static void
test_overwritten(int fd)
{
	/* All but what board_attach looks at, as far as the names of some entries. */
	enum { FROM = 56, LENGTH = 220 * 1024 };
	struct board_view v = { .id = -1 };
	unsigned steps = 0, own = (unsigned)seat();
	const char *name;
	bool whole = true;
	char *all = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	memset(all + FROM, 0xff, LENGTH - FROM);
	while (steps <= BOARD_ENTRIES && board_next(&v)) {
		steps++;
		whole = whole && strlen(v.name) < sizeof v.name && strlen(v.kind) < sizeof v.kind;
	}
	ok(steps > 0 && steps <= BOARD_ENTRIES, "a walk ends, after %u", steps);
	ok(whole, "names do, too");
	name = board_field_name(0, 0, NULL);
	ok(name != NULL && strlen(name) < 32, "so do those of fields");
	ok(board_field_name(0, BOARD_FIELDS, NULL) == NULL, "of which there are not too many");
	memset(all + FROM, 0, LENGTH - FROM);
	board_seat_give(own);
	is_number(board_seat_take(), (int)own, "seats are not taken from there");
	ok(!board_next(&(struct board_view){ .id = -1 }), "nothing is left");
	munmap(all, LENGTH);
}

int
main(void)
{
	int fd = board_create();

	if (!ok(fd >= 0, "a board"))
		return done_testing();
	test_masters(fd);
	test_entering();
	test_versions();
	test_entries();
	test_counting();
	test_tokens();
	test_race(1);
	test_race(3);
	test_meeting();
	test_enter_and_leave();
	test_growth();
	test_memory(fd);
	test_full();
	test_slots();
	test_attaching(fd);
	test_overwritten(fd);
	close(fd);
	ok(board_create() >= 0, "another board in its place");
	return done_testing();
}
