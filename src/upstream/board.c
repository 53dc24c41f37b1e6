/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board: one memfd, mapped by all processes at once.
 *
 *	head | seats | slots | schemas | entries | shared words | cells …
 *
 * Who writes what: the master the seats, a template the schemas and entries, a
 * worker its own cells, everybody shared words and slots. An entry is free when
 * no generation uses it. What a free one held stays until it is claimed again:
 * only the claimer clears, so the master may take a generation off the board
 * while a template enters the next.
 */
#include "upstream/board.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      UINT64_C(0x6472616f62726965)	/* "eirboard", read backwards */
#define VERSION    1u
#define CACHE_LINE 64u
#define CELLS_AT   65536u	/* whole pages, whichever size they have */

#define KIND_MAX   BOARD_KIND_MAX
#define FIELD_MAX  32u
#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define BITS_PER_WORD 64u

struct head {
	uint64_t     magic;
	uint32_t     version;
	uint32_t     limits[8];		/* what the layout follows from */
	uint64_t     size;
	atomic_uint  schemas;		/* used at least once: 0 … n-1 */
	atomic_uint  entries;
	atomic_uint  seats;		/* one more than the highest in use */
};

struct field {
	char     name[FIELD_MAX];
	uint32_t type;
};

struct schema {
	char         kind[KIND_MAX];
	uint32_t     count;
	struct field fields[BOARD_FIELDS];
};

struct entry {
	board_word generations;		/* a bit each; 0: free */
	uint32_t   schema;
	uint32_t   hash;
	char       name[BOARD_NAME_MAX];
};

struct cell {
	_Alignas(CACHE_LINE) board_word words[BOARD_FIELDS];
};

struct board {
	_Alignas(CACHE_LINE) struct head head;
	_Alignas(CACHE_LINE) board_word seats[BOARD_SEATS / BITS_PER_WORD];
	_Alignas(CACHE_LINE) board_word slots[BOARD_SLOTS];
	struct schema schemas[BOARD_SCHEMAS];
	struct entry entries[BOARD_ENTRIES];
	_Alignas(CACHE_LINE) board_word shared[BOARD_ENTRIES][BOARD_SHARED];
	_Alignas(CELLS_AT) struct cell cells[BOARD_ENTRIES][BOARD_SEATS];
};

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	"atomics that work between processes");
static_assert(sizeof(board_word) == 8, "a word is a plain 64-bit number");
static_assert(sizeof(struct cell) % CACHE_LINE == 0, "two seats never share a cache line");
static_assert(sizeof(((struct board *)NULL)->shared[0]) % CACHE_LINE == 0,
	"nor do the shared words of two entries");
static_assert(sizeof(((struct board *)NULL)->cells[0]) % CELLS_AT == 0,
	"an entry's cells are whole pages");
static_assert(BOARD_GENERATIONS == 64, "a bit a generation");
static_assert(BOARD_SEATS % BITS_PER_WORD == 0, "a bit a seat");

static const uint32_t limits[8] = { BOARD_FIELDS, BOARD_SHARED, BOARD_SEATS, BOARD_ENTRIES,
	BOARD_SCHEMAS, BOARD_SLOTS, BOARD_GENERATIONS, BOARD_NAME_MAX };

static struct board *board;

/* Which seats are taken: the master's own, so that it need not believe what a
 * broken worker writes over the board's copy, which is for the next master. */
static uint64_t taken[BOARD_SEATS / BITS_PER_WORD];

/* ----------------------------------------------------------------- mapping */

static int
map(int fd)
{
	struct board *b;

	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (b == MAP_FAILED)
		return -1;
	/* Nearly a gigabyte, if mostly holes: not in every core file. */
	madvise(b, sizeof(*b), MADV_DONTDUMP);
	if (board != NULL)
		munmap(board, sizeof(*board));
	board = b;
	return 0;
}

int
board_create(void)
{
	int fd, why;

	fd = memfd_create("weir-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if (ftruncate(fd, sizeof(struct board)) == -1 || fcntl(fd, F_ADD_SEALS, SEALS) == -1 ||
	    map(fd) == -1) {
		why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	board->head.version = VERSION;
	board->head.size = sizeof(struct board);
	memcpy(board->head.limits, limits, sizeof(limits));
	board->head.seats = 1;
	memset(taken, 0, sizeof(taken));
	taken[0] = UINT64_C(1) << BOARD_PAST;
	board->seats[0] = taken[0];
	board->head.magic = MAGIC;
	return fd;
}

/* Reads instead of mapping: a file that can shrink must not be touched. */
static bool
is_board(int fd)
{
	struct head head;
	struct stat st;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	return seals != -1 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
	    st.st_size == (off_t)sizeof(struct board) &&
	    pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) && head.magic == MAGIC &&
	    head.version == VERSION && head.size == sizeof(struct board) &&
	    memcmp(head.limits, limits, sizeof(limits)) == 0;
}

int
board_attach(int fd)
{
	if (fcntl(fd, F_GETFD) == -1)
		return -1;
	if (!is_board(fd)) {
		errno = EPROTO;
		return -1;
	}
	if (map(fd) == -1)
		return -1;
	for (unsigned i = 0; i < BOARD_SEATS / BITS_PER_WORD; i++)
		taken[i] = board->seats[i];
	taken[0] |= UINT64_C(1) << BOARD_PAST;
	return 0;
}

/* ----------------------------------------------------------------- entries */

static struct entry *
entry_of(int id)
{
	assert(board != NULL && id >= 0 && (unsigned)id < BOARD_ENTRIES);
	return &board->entries[id];
}

static struct schema *
schema_of(const struct entry *e)
{
	return &board->schemas[e->schema % BOARD_SCHEMAS];
}

static uint64_t
users_of(const struct entry *e)
{
	return atomic_load_explicit(&e->generations, memory_order_acquire);
}

/* Counts are read with a bound, and so are names: whatever a broken worker writes
 * over them, the master stays within the board. What it reads may be wrong. */
static unsigned
bounded(atomic_uint *count, unsigned most)
{
	unsigned n = atomic_load(count);

	return n < most ? n : most;
}

static unsigned
entries_used(void)
{
	return bounded(&board->head.entries, BOARD_ENTRIES);
}

/* FNV-1a of kind and name: spares most of the comparisons. */
static uint32_t
hash_of(const char *kind, const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *kind != '\0'; kind++)
		hash = (hash ^ (unsigned char)*kind) * 16777619u;
	hash *= 16777619u;
	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

static bool
schema_is(const struct schema *s, const struct board_schema *wanted)
{
	unsigned i;

	if (strcmp(s->kind, wanted->kind) != 0 || s->count != wanted->count)
		return false;
	for (i = 0; i < wanted->count; i++) {
		if (s->fields[i].type != wanted->fields[i].type ||
		    strcmp(s->fields[i].name, wanted->fields[i].name) != 0)
			return false;
	}
	return true;
}

static bool
schema_in_use(unsigned index)
{
	unsigned i, n = entries_used();

	for (i = 0; i < n; i++) {
		if (board->entries[i].schema == index && users_of(&board->entries[i]) != 0)
			return true;
	}
	return false;
}

/* A place for a new schema: behind the others, or that of one whose entries are
 * all gone. -1: none. */
static int
schema_room(void)
{
	unsigned i, n = bounded(&board->head.schemas, BOARD_SCHEMAS);

	if (n < BOARD_SCHEMAS) {
		atomic_store(&board->head.schemas, n + 1);
		return (int)n;
	}
	for (i = 0; i < n; i++) {
		if (!schema_in_use(i))
			return (int)i;
	}
	return -1;
}

/* The index of the schema, written down if it is not there; -1: no room. */
static int
schema_enter(const struct board_schema *wanted)
{
	unsigned i, n = bounded(&board->head.schemas, BOARD_SCHEMAS);
	struct schema *s;
	int index;

	for (i = 0; i < n; i++) {
		if (schema_is(&board->schemas[i], wanted))
			return (int)i;
	}
	index = schema_room();
	if (index == -1)
		return -1;
	s = &board->schemas[index];
	memset(s, 0, sizeof(*s));
	strcpy(s->kind, wanted->kind);
	s->count = wanted->count;
	for (i = 0; i < wanted->count; i++) {
		strcpy(s->fields[i].name, wanted->fields[i].name);
		s->fields[i].type = wanted->fields[i].type;
	}
	return index;
}

static int
entry_find(const char *kind, const char *name)
{
	uint32_t hash = hash_of(kind, name);
	unsigned i, n = entries_used();
	const struct entry *e;

	for (i = 0; i < n; i++) {
		e = &board->entries[i];
		if (e->hash == hash && users_of(e) != 0 && strcmp(e->name, name) == 0 &&
		    strcmp(schema_of(e)->kind, kind) == 0)
			return (int)i;
	}
	return -1;
}

/* Joins the entry's users, unless the last of them has left meanwhile. */
static bool
entry_join(struct entry *e, uint64_t generation)
{
	uint64_t users = users_of(e);

	while (users != 0) {
		if (atomic_compare_exchange_weak(&e->generations, &users, users | generation))
			return true;
	}
	return false;
}

static void
entry_clear(unsigned id)
{
	/* A hole again, which reads as zeros. */
	if (madvise(board->cells[id], sizeof(board->cells[id]), MADV_REMOVE) == -1)
		memset(board->cells[id], 0, sizeof(board->cells[id]));
	memset(board->shared[id], 0, sizeof(board->shared[id]));
}

static int
entry_claim(const struct board_schema *wanted, const char *name, uint64_t generation)
{
	unsigned i, n = entries_used();
	struct entry *e;
	int schema;

	for (i = 0; i < n && users_of(&board->entries[i]) != 0; i++)
		;
	schema = i < BOARD_ENTRIES ? schema_enter(wanted) : -1;
	if (schema == -1) {
		errno = ENOSPC;
		return -1;
	}
	entry_clear(i);
	e = &board->entries[i];
	e->schema = (uint32_t)schema;
	e->hash = hash_of(wanted->kind, name);
	strcpy(e->name, name);
	atomic_store_explicit(&e->generations, generation, memory_order_release);
	if (i == n)
		atomic_store_explicit(&board->head.entries, n + 1, memory_order_release);
	return (int)i;
}

int
board_enter(const struct board_schema *wanted, const char *name, unsigned generation)
{
	uint64_t bit = UINT64_C(1) << generation;
	unsigned i;
	int id;

	assert(board != NULL && generation < BOARD_GENERATIONS);
	assert(strlen(wanted->kind) < KIND_MAX && wanted->count <= BOARD_FIELDS);
	for (i = 0; i < wanted->count; i++)
		assert(strlen(wanted->fields[i].name) < FIELD_MAX);
	if (strlen(name) >= BOARD_NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	id = entry_find(wanted->kind, name);
	if (id != -1 && !schema_is(schema_of(entry_of(id)), wanted)) {
		errno = EPROTO;
		return -1;
	}
	if (id != -1 && entry_join(entry_of(id), bit))
		return id;
	return entry_claim(wanted, name, bit);
}

void
board_leave(unsigned generation)
{
	unsigned i, n = entries_used();

	assert(generation < BOARD_GENERATIONS);
	for (i = 0; i < n; i++)
		atomic_fetch_and(&board->entries[i].generations, ~(UINT64_C(1) << generation));
}

/* ---------------------------------------------------------------- counting */

board_word *
board_cell(int id, unsigned seat)
{
	(void)entry_of(id);
	assert(seat < BOARD_SEATS);
	return board->cells[id][seat].words;
}

board_word *
board_shared(int id)
{
	(void)entry_of(id);
	return board->shared[id];
}

/* All seats' words of a field, from `first` on. */
static uint64_t
sum_from(int id, unsigned field, unsigned first, memory_order order)
{
	unsigned seat, n = bounded(&board->head.seats, BOARD_SEATS);
	uint64_t sum = 0;

	assert(field < BOARD_FIELDS);
	for (seat = first; seat < n; seat++)
		sum += atomic_load_explicit(&board_cell(id, seat)[field], order);
	return sum;
}

uint64_t
board_sum(int id, unsigned field)
{
	return sum_from(id, field, BOARD_PAST, memory_order_relaxed);
}

unsigned
board_seats(void)
{
	return bounded(&board->head.seats, BOARD_SEATS);
}

/*
 * Everybody first adds, then looks. In the one order of all these operations the
 * last of any takers to add sees what the others added: so not all can think that
 * there is room for them. A new worker's seat counts as used before it runs.
 */
bool
board_take(int id, unsigned field, unsigned seat, uint64_t limit)
{
	board_word *own = &board_cell(id, seat)[field];
	uint64_t held = atomic_load_explicit(own, memory_order_relaxed);

	atomic_store(own, held + 1);
	if (limit == 0 || sum_from(id, field, BOARD_PAST + 1, memory_order_seq_cst) <= limit)
		return true;
	atomic_store(own, held);
	return false;
}

void
board_give(int id, unsigned field, unsigned seat)
{
	board_word *own = &board_cell(id, seat)[field];
	uint64_t held = atomic_load_explicit(own, memory_order_relaxed);

	assert(held > 0);
	atomic_store_explicit(own, held - 1, memory_order_release);
}

/* ------------------------------------------------------------------- seats */

static bool
seat_in_use(unsigned seat)
{
	return (taken[seat / BITS_PER_WORD] >> (seat % BITS_PER_WORD) & 1) != 0;
}

static void
seat_mark(unsigned seat, bool used)
{
	uint64_t bit = UINT64_C(1) << (seat % BITS_PER_WORD);
	unsigned at = seat / BITS_PER_WORD, n;

	if (used)
		taken[at] |= bit;
	else
		taken[at] &= ~bit;
	board->seats[at] = taken[at];
	for (n = BOARD_SEATS; !seat_in_use(n - 1); n--)
		;
	atomic_store(&board->head.seats, n);
}

int
board_seat_take(void)
{
	unsigned seat;

	for (seat = BOARD_PAST + 1; seat < BOARD_SEATS; seat++) {
		if (!seat_in_use(seat)) {
			seat_mark(seat, true);
			return (int)seat;
		}
	}
	errno = ENOSPC;
	return -1;
}

/* Nobody works on this seat any more. */
static void
seat_settle(unsigned seat, bool keep_counters)
{
	unsigned i, field, n = entries_used();
	const struct schema *s;
	board_word *cell, *past;
	uint64_t value;

	assert(seat > BOARD_PAST && seat < BOARD_SEATS);
	for (i = 0; i < n; i++) {
		if (users_of(&board->entries[i]) == 0)
			continue;
		s = schema_of(&board->entries[i]);
		cell = board_cell((int)i, seat);
		past = board_cell((int)i, BOARD_PAST);
		for (field = 0; field < s->count && field < BOARD_FIELDS; field++) {
			if (s->fields[field].type == BOARD_COUNTER && keep_counters)
				continue;
			value = atomic_load_explicit(&cell[field], memory_order_relaxed);
			if (value == 0)
				continue;
			if (s->fields[field].type == BOARD_COUNTER)
				board_add(&past[field], value);
			atomic_store(&cell[field], 0);
		}
	}
}

void
board_seat_clear(unsigned seat)
{
	seat_settle(seat, true);
}

void
board_seat_give(unsigned seat)
{
	seat_settle(seat, false);
	seat_mark(seat, false);
}

/* ------------------------------------------------------------------- slots */

/* The state in the low byte, the generation above it: they change as one. */
#define SLOT_STATE_BITS 8

void
board_slot_set(unsigned slot, uint32_t generation, enum board_slot_state state)
{
	uint64_t now, wanted = (uint64_t)generation << SLOT_STATE_BITS | (uint64_t)state;

	assert(board != NULL && slot < BOARD_SLOTS);
	now = atomic_load(&board->slots[slot]);
	do {
		/* Numbers may wrap: the later one is less than half of all ahead. */
		if ((int32_t)(generation - (uint32_t)(now >> SLOT_STATE_BITS)) < 0)
			return;
	} while (!atomic_compare_exchange_weak(&board->slots[slot], &now, wanted));
}

enum board_slot_state
board_slot_get(unsigned slot, uint32_t *generation)
{
	uint64_t now;

	assert(board != NULL && slot < BOARD_SLOTS);
	now = atomic_load(&board->slots[slot]);
	if (generation != NULL)
		*generation = (uint32_t)(now >> SLOT_STATE_BITS);
	return (enum board_slot_state)(now & ((1u << SLOT_STATE_BITS) - 1));
}

/* ----------------------------------------------------------------- walking */

/* The order of board_next. */
static int
compare(const struct entry *a, const struct entry *b)
{
	if (a->schema != b->schema)
		return a->schema < b->schema ? -1 : 1;
	return strncmp(a->name, b->name, sizeof(a->name));
}

static int
compare_ids(const void *a, const void *b)
{
	return compare(&board->entries[*(const uint16_t *)a],
	    &board->entries[*(const uint16_t *)b]);
}

static void
sort(struct board_view *v)
{
	unsigned n = entries_used();

	v->count = v->next = 0;
	for (unsigned i = 0; i < n; i++)
		if (users_of(&board->entries[i]) != 0)
			v->order[v->count++] = (uint16_t)i;
	qsort(v->order, v->count, sizeof(*v->order), compare_ids);
}

/* A name that lacks its end is cut. */
static void
copy_name(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%.*s", (int)size - 1, name);
}

bool
board_next(struct board_view *v)
{
	const struct entry *e;

	if (v->id == -1)
		sort(v);
	if (v->next == v->count)
		return false;
	v->id = v->order[v->next++];
	e = entry_of(v->id);
	copy_name(v->kind, sizeof(v->kind), schema_of(e)->kind);
	copy_name(v->name, sizeof(v->name), e->name);
	v->generations = users_of(e);
	return true;
}

const char *
board_field_name(int id, unsigned field, enum board_type *type)
{
	const struct schema *s = schema_of(entry_of(id));
	static char name[FIELD_MAX];

	if (field >= s->count || field >= BOARD_FIELDS)
		return NULL;
	if (type != NULL)
		*type = (enum board_type)s->fields[field].type;
	copy_name(name, sizeof(name), s->fields[field].name);
	return name;
}
