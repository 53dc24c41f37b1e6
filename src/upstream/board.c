/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board: one memfd, mapped by all processes at once.
 *
 *	head | seating | schemas | chunk | chunk …
 *	                           entries | shared words | cells
 *
 * Who writes what: the master the seats, a template the schemas and entries, a
 * worker its own cells, everybody shared words and slots. An entry is free when
 * no generation uses it. What a free one held stays until it is claimed again:
 * only the claimer clears, so the master may take a generation off the board
 * while a template enters the next.
 *
 * The file has room for all chunks there may be, as holes. A process maps those
 * that hold entries; mremap(2) maps more of the same file, without its fd. To read
 * a hole through a mapping gives it memory, a page for each entry: the master asks
 * the file which cells have any.
 */
#include "upstream/board.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "upstream/board_seat.h"

#define MAGIC      UINT64_C(0x6472616f62726965)	/* "eirboard", read backwards */
#define VERSION    5u
#define CACHE_LINE 64u
#define PAGES_AT   65536u	/* whole pages, whichever size they have */
#define CHUNK      256u		/* entries that are mapped at once */
#define CHUNKS     (BOARD_ENTRIES / CHUNK)

#define KIND_MAX   BOARD_KIND_MAX
#define FIELD_MAX  32u
#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct head {
	uint64_t     magic;
	uint32_t     version;
	uint32_t     limits[8];		/* what the layout follows from */
	uint64_t     size;
	atomic_uint  schemas;		/* used at least once: 0 … n-1 */
	atomic_uint  entries;
	atomic_uint  claims;		/* how often an entry was claimed */
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
	uint64_t   schema;
	char       name[BOARD_NAME_MAX];
};

struct cell {
	_Alignas(CACHE_LINE) board_word words[BOARD_FIELDS];
};

/* What stands before whole pages is padded to whole pages: in the file they begin at a
 * multiple of the largest page, in memory at one of the machine's. */
struct chunk {
	union {
		struct {
			struct entry entries[CHUNK];
			_Alignas(CACHE_LINE) board_word shared[CHUNK][BOARD_SHARED];
		};
		char pages[2 * PAGES_AT];
	};
	struct cell cells[CHUNK][BOARD_SEATS];
};

struct board {
	union {
		struct {
			_Alignas(CACHE_LINE) struct head head;
			struct board_seating seating;
			struct schema schemas[BOARD_SCHEMAS];
		};
		char pages[4 * PAGES_AT];
	};
	struct chunk chunks[];
};

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	"atomics that work between processes");
static_assert(sizeof(board_word) == 8, "a word is a plain 64-bit number");
static_assert(sizeof(struct cell) % CACHE_LINE == 0, "two seats never share a cache line");
static_assert(sizeof(((struct chunk *)NULL)->shared[0]) % CACHE_LINE == 0,
	"nor do the shared words of two entries");
static_assert(sizeof(((struct chunk *)NULL)->cells[0]) % PAGES_AT == 0,
	"an entry's cells are whole pages");
static_assert(offsetof(struct chunk, cells) % PAGES_AT == 0 &&
	offsetof(struct board, chunks) % PAGES_AT == 0 && sizeof(struct chunk) % PAGES_AT == 0,
	"and begin with one");
static_assert(BOARD_ENTRIES % CHUNK == 0, "whole chunks");
static_assert(sizeof(off_t) == 8 && sizeof(size_t) == 8, "the file is larger than 4 GiB");
static_assert(BOARD_GENERATIONS == 64, "a bit a generation");

static const uint32_t limits[8] = { BOARD_FIELDS, BOARD_SHARED, BOARD_SEATS, BOARD_ENTRIES,
	BOARD_SCHEMAS, BOARD_SLOTS, BOARD_GENERATIONS, BOARD_NAME_MAX };

static struct board *board;
static unsigned      mapped;	/* chunks */
static bool          pinned;	/* what is mapped stays where it is */
static int           file = -1;	/* of whoever made it or was given it */

/* Of the process that enters entries: where they are (ids plus 1, by kind and name),
 * some of them free by now. */
static struct {
	struct hash names;
	unsigned    claims;	/* head.claims when it was right */
	unsigned    free;	/* no entry before this one is, but for those freed since */
} known;

/* ----------------------------------------------------------------- mapping */

static size_t
board_size(unsigned chunks)
{
	return sizeof(struct board) + chunks * sizeof(struct chunk);
}

static int
board_map(int fd)
{
	struct board *b;

	b = mmap(NULL, board_size(1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (b == MAP_FAILED)
		return -1;
	/* Gigabytes, if mostly holes: not in every core file. */
	madvise(b, board_size(1), MADV_DONTDUMP);
	if (board != NULL)
		munmap(board, board_size(mapped));
	board = b;
	mapped = 1;
	file = fd;
	hash_free(&known.names);
	return 0;
}

/* Maps chunks until there is room for n entries. Returns 0, or -1 with errno. */
static int
board_map_entries(unsigned n)
{
	unsigned      chunks = (n + CHUNK - 1) / CHUNK;
	struct board *b;

	if (chunks <= mapped)
		return 0;
	/* Of a size of 0, mremap(2) makes a second mapping of the same memory. */
	b = mremap(board, pinned ? 0 : board_size(mapped), board_size(chunks), MREMAP_MAYMOVE);
	if (b == MAP_FAILED)
		return -1;
	board = b;
	mapped = chunks;
	board_seating_move(&board->seating);
	return 0;
}

void
board_pin(void)
{
	pinned = true;
}

/* As large as it may become: the limit on the size of files is meant for others. */
static int
board_set_size(int fd)
{
	struct rlimit limit, raised;
	int           result, why;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return -1;
	raised = (struct rlimit){ limit.rlim_max, limit.rlim_max };
	setrlimit(RLIMIT_FSIZE, &raised);
	result = ftruncate(fd, (off_t)board_size(CHUNKS));
	why = errno;
	setrlimit(RLIMIT_FSIZE, &limit);
	errno = why;
	return result;
}

const char *
board_explain(int error)
{
	static char   text[256];
	struct rlimit limit;

	if (error == ENOSPC)
		return "those of older generations fill it; when they have ended (weir "
		       "generations) there is room";
	if (error == EFBIG)
		snprintf(text, sizeof text,
		    "it is a file in memory of %zu GiB, nearly all of it a hole: set the limit on "
		    "the size of files (ulimit -f, LimitFSIZE=) to unlimited",
		    board_size(CHUNKS) >> 30);
	else if (error == ENOMEM && getrlimit(RLIMIT_AS, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		snprintf(text, sizeof text,
		    "each %u entries of the board need %zu MiB of addresses, few of them used: "
		    "set the limit on address space (ulimit -v, LimitAS=) to unlimited",
		    CHUNK, sizeof(struct chunk) >> 20);
	else
		return strerror(error);
	return text;
}

int
board_create(void)
{
	int fd, why;

	fd = memfd_create("weir-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (board_set_size(fd) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0 || board_map(fd) < 0) {
		why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	board->head.version = VERSION;
	board->head.size = board_size(CHUNKS);
	memcpy(board->head.limits, limits, sizeof limits);
	board_seating_begin(&board->seating, true);
	board->head.magic = MAGIC;
	return fd;
}

/* Reads instead of mapping: a file that can shrink must not be touched. */
static bool
board_is_valid(int fd)
{
	struct head head;
	struct stat st;
	int         seals;

	seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
	    st.st_size == (off_t)board_size(CHUNKS) &&
	    pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == MAGIC &&
	    head.version == VERSION && head.size == board_size(CHUNKS) &&
	    memcmp(head.limits, limits, sizeof limits) == 0;
}

int
board_attach(int fd)
{
	if (fcntl(fd, F_GETFD) < 0)
		return -1;
	if (!board_is_valid(fd)) {
		errno = EPROTO;
		return -1;
	}
	if (board_map(fd) < 0)
		return -1;
	board_seating_begin(&board->seating, false);
	return 0;
}

/* ----------------------------------------------------------------- entries */

static struct entry *
entry_at(unsigned id)
{
	assert(id / CHUNK < mapped);
	return &board->chunks[id / CHUNK].entries[id % CHUNK];
}

static struct entry *
entry_of(int id)
{
	assert(board != NULL && id >= 0);
	return entry_at((unsigned)id);
}

static struct schema *
entry_schema(const struct entry *e)
{
	return &board->schemas[e->schema % BOARD_SCHEMAS];
}

static uint64_t
entry_users(const struct entry *e)
{
	return atomic_load_explicit(&e->generations, memory_order_acquire);
}

/* Counts are read with a bound, and so are names: whatever a broken worker writes
 * over them, the master stays within the board. What it reads may be wrong. */
static unsigned
board_bounded(atomic_uint *count, unsigned most)
{
	unsigned n = atomic_load(count);

	return n < most ? n : most;
}

/* Entries 0 … n-1 have been used at least once, and are mapped: those that cannot
 * be mapped are as if they were not there. */
static unsigned
board_entries_used(void)
{
	unsigned n = board_bounded(&board->head.entries, BOARD_ENTRIES);

	if (board_map_entries(n) < 0)
		n = mapped * CHUNK;
	return n;
}

/* A name that lacks its end is cut. */
static void
board_copy_name(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%.*s", (int)size - 1, name);
}

static bool
schema_equals(const struct schema *s, const struct board_schema *wanted)
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
	unsigned i, n = board_entries_used();

	for (i = 0; i < n; i++) {
		if (entry_at(i)->schema == index && entry_users(entry_at(i)) != 0)
			return true;
	}
	return false;
}

/* A place for a new schema: behind the others, or that of one whose entries are
 * all gone. -1: none. */
static int
schema_claim(void)
{
	unsigned i, n = board_bounded(&board->head.schemas, BOARD_SCHEMAS);

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
	unsigned       i, n = board_bounded(&board->head.schemas, BOARD_SCHEMAS);
	struct schema *s;
	int            index;

	for (i = 0; i < n; i++) {
		if (schema_equals(&board->schemas[i], wanted))
			return (int)i;
	}
	index = schema_claim();
	if (index < 0)
		return -1;
	s = &board->schemas[index];
	memset(s, 0, sizeof *s);
	strcpy(s->kind, wanted->kind);
	s->count = wanted->count;
	for (i = 0; i < wanted->count; i++) {
		strcpy(s->fields[i].name, wanted->fields[i].name);
		s->fields[i].type = wanted->fields[i].type;
	}
	return index;
}

struct entry_key {
	const char                *kind;
	const char                *name;
	const struct board_schema *schema;	/* that it must have; NULL: any … */
	unsigned                   other;	/* … but this entry */
};

static uint32_t
entry_hash(const struct entry_key *key)
{
	return hash_text(hash_text(HASH_START, key->kind) * 16777619u, key->name);
}

static bool
entry_is(uintptr_t value, const void *wanted)
{
	const struct entry     *e = entry_at((unsigned)value - 1);
	const struct entry_key *key = wanted;

	return entry_users(e) != 0 && strcmp(e->name, key->name) == 0 &&
	    (key->schema == NULL ? (unsigned)value - 1 != key->other &&
			strcmp(entry_schema(e)->kind, key->kind) == 0
				 : schema_equals(entry_schema(e), key->schema));
}

static int
entry_know(unsigned id)
{
	char                   kind[KIND_MAX], name[BOARD_NAME_MAX];
	const struct entry_key key = { .kind = kind, .name = name };

	board_copy_name(kind, sizeof kind, entry_schema(entry_at(id))->kind);
	board_copy_name(name, sizeof name, entry_at(id)->name);
	return hash_add(&known.names, entry_hash(&key), id + 1);
}

/* Looks at all entries once, unless nobody else has claimed one since. */
static int
board_know_entries(void)
{
	unsigned claims = atomic_load(&board->head.claims), n = board_entries_used();

	if (known.names.count > 0 && known.claims == claims &&
	    known.names.count <= 2 * (n + CHUNK))
		return 0;
	hash_free(&known.names);
	known.free = 0;
	for (unsigned i = 0; i < n; i++)
		if (entry_users(entry_at(i)) != 0 && entry_know(i) < 0)
			return -1;
	known.claims = claims;
	return 0;
}

/* The id of a free one, at most n; BOARD_ENTRIES: there is none. */
static unsigned
entry_find_free(unsigned n)
{
	while (known.free < n && entry_users(entry_at(known.free)) != 0)
		known.free++;
	/* Some may have been freed behind its back. */
	if (known.free == BOARD_ENTRIES)
		for (known.free = 0;
		     known.free < n && entry_users(entry_at(known.free)) != 0;)
			known.free++;
	return known.free;
}

/* Joins the entry's users, unless the last of them has left meanwhile. */
static bool
entry_join(struct entry *e, uint64_t generation)
{
	uint64_t users = entry_users(e);

	while (users != 0) {
		if (atomic_compare_exchange_weak(&e->generations, &users, users | generation))
			return true;
	}
	return false;
}

static void
entry_clear(unsigned id)
{
	struct chunk *c = &board->chunks[id / CHUNK];

	/* A hole again, which reads as zeros. */
	if (madvise(c->cells[id % CHUNK], sizeof c->cells[0], MADV_REMOVE) < 0)
		memset(c->cells[id % CHUNK], 0, sizeof c->cells[0]);
	memset(c->shared[id % CHUNK], 0, sizeof c->shared[0]);
}

static int
entry_claim(const struct board_schema *wanted, const char *name, uint64_t generation)
{
	unsigned      n = board_entries_used(), i = entry_find_free(n);
	struct entry *e;
	int           schema;

	schema = i < BOARD_ENTRIES ? schema_enter(wanted) : -1;
	if (schema < 0) {
		errno = ENOSPC;
		return -1;
	}
	if (board_map_entries(i + 1) < 0)
		return -1;
	if (i < n)
		entry_clear(i);
	e = entry_at(i);
	e->schema = (uint64_t)schema;
	strcpy(e->name, name);
	if (entry_know(i) < 0)
		return -1;
	known.claims = atomic_fetch_add(&board->head.claims, 1) + 1;
	atomic_store_explicit(&e->generations, generation, memory_order_release);
	if (i == n)
		atomic_store_explicit(&board->head.entries, n + 1, memory_order_release);
	return (int)i;
}

int
board_enter(const struct board_schema *wanted, const char *name, unsigned generation)
{
	const struct entry_key key = { .kind = wanted->kind, .name = name, .schema = wanted };
	uint64_t               bit = UINT64_C(1) << generation;
	unsigned               i;
	int                    id;

	assert(board != NULL && generation < BOARD_GENERATIONS);
	assert(strlen(wanted->kind) < KIND_MAX && wanted->count <= BOARD_FIELDS);
	for (i = 0; i < wanted->count; i++)
		assert(strlen(wanted->fields[i].name) < FIELD_MAX);
	if (strlen(name) >= BOARD_NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (board_know_entries() < 0)
		return -1;
	id = (int)hash_find(&known.names, entry_hash(&key), entry_is, &key) - 1;
	if (id >= 0 && entry_join(entry_of(id), bit))
		return id;
	return entry_claim(wanted, name, bit);
}

/* ---------------------------------------------------------------- counting */

/* A part of the file without memory, as it was when it was looked for: for one walk
 * over the entries in their order. */
struct hole {
	off_t begin, end;
};

/* Whether nothing has ever been written to the cells of these seats. */
static bool
board_is_blank(unsigned id, unsigned seat, unsigned seats, struct hole *hole)
{
	off_t begin = (off_t)(board_size(id / CHUNK) + offsetof(struct chunk, cells) +
	    (id % CHUNK * BOARD_SEATS + seat) * sizeof(struct cell));
	off_t end = begin + (off_t)(seats * sizeof(struct cell)), data;

	if (begin < hole->begin || end > hole->end) {
		data = lseek(file, begin, SEEK_DATA);
		if (data < 0)
			data = errno == ENXIO ? (off_t)board_size(CHUNKS) : begin;
		*hole = (struct hole){ begin, data };
	}
	return end <= hole->end;
}

board_word *
board_cell(int id, unsigned seat)
{
	assert(board != NULL && id >= 0 && (unsigned)id / CHUNK < mapped && seat < BOARD_SEATS);
	return board->chunks[(unsigned)id / CHUNK].cells[(unsigned)id % CHUNK][seat].words;
}

board_word *
board_shared(int id)
{
	assert(board != NULL && id >= 0 && (unsigned)id / CHUNK < mapped);
	return board->chunks[(unsigned)id / CHUNK].shared[(unsigned)id % CHUNK];
}

static bool
entry_has_arriving(const struct entry *e, unsigned field)
{
	return field + 1 < BOARD_FIELDS &&
	    entry_schema(e)->fields[field + 1].type == BOARD_ARRIVING;
}

/* All seats' words of a field, from `first` on. A token that goes from seat to seat at this
 * very moment may be missed, or counted twice. */
static uint64_t
board_sum_from(int id, unsigned field, unsigned first, memory_order order)
{
	unsigned seat, n = board_seats();
	uint64_t sum = 0;

	assert(field < BOARD_FIELDS);
	for (seat = first; seat < n; seat++)
		sum += atomic_load_explicit(&board_cell(id, seat)[field], order);
	if (entry_has_arriving(entry_of(id), field))
		for (seat = first; seat < n; seat++)
			sum += atomic_load_explicit(&board_cell(id, seat)[field + 1], order);
	return sum;
}

uint64_t
board_sum(int id, unsigned field)
{
	return board_sum_from(id, field, BOARD_PAST, memory_order_relaxed);
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
	uint64_t    held = atomic_load_explicit(own, memory_order_relaxed);

	atomic_store(own, held + 1);
	if (limit == 0 || board_sum_from(id, field, BOARD_PAST + 1, memory_order_seq_cst) <= limit)
		return true;
	atomic_store(own, held);
	return false;
}

void
board_give(int id, unsigned field, unsigned seat)
{
	board_word *own = &board_cell(id, seat)[field];
	uint64_t    held = atomic_load_explicit(own, memory_order_relaxed);

	assert(held > 0);
	atomic_store_explicit(own, held - 1, memory_order_release);
}

unsigned
board_entries(void)
{
	return board_entries_used();
}

board_word *
board_users(int id)
{
	return &entry_of(id)->generations;
}

bool
board_names(int id, const struct board_schema *schema, const char *prefix,
    char name[BOARD_NAME_MAX])
{
	const struct entry *e = entry_of(id);

	if (entry_users(e) == 0 || strncmp(e->name, prefix, strlen(prefix)) != 0 ||
	    !schema_equals(entry_schema(e), schema))
		return false;
	board_copy_name(name, BOARD_NAME_MAX, e->name + strlen(prefix));
	return true;
}

bool
board_is_used(int id, unsigned generation)
{
	return (entry_users(entry_of(id)) >> generation & 1) != 0;
}

/* ----------------------------------------------------------------- leaving */

/* Whether there are entries of one kind that count different things: those of two
 * versions of weir, or of a module. */
static bool
schemas_differ(void)
{
	unsigned n = board_bounded(&board->head.schemas, BOARD_SCHEMAS);

	for (unsigned i = 1; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			if (strncmp(board->schemas[i].kind, board->schemas[k].kind, KIND_MAX) == 0)
				return true;
	return false;
}

/* It is about to be freed: another one of its name goes on with what both count. */
static void
entry_bequeath(unsigned id)
{
	const struct schema   *own = entry_schema(entry_at(id)), *theirs;
	char                   kind[KIND_MAX], name[BOARD_NAME_MAX];
	const struct entry_key key = { .kind = kind, .name = name, .other = id };
	int                    heir;

	board_copy_name(kind, sizeof kind, own->kind);
	board_copy_name(name, sizeof name, entry_at(id)->name);
	if (board_know_entries() < 0)
		return;
	heir = (int)hash_find(&known.names, entry_hash(&key), entry_is, &key) - 1;
	if (heir < 0)
		return;
	theirs = entry_schema(entry_of(heir));
	for (unsigned f = 0; f < own->count && f < BOARD_FIELDS; f++)
		for (unsigned t = 0; t < theirs->count && t < BOARD_FIELDS; t++)
			if (own->fields[f].type == BOARD_COUNTER &&
			    theirs->fields[t].type == BOARD_COUNTER &&
			    strncmp(own->fields[f].name, theirs->fields[t].name, FIELD_MAX) == 0)
				atomic_fetch_add(&board_cell(heir, BOARD_PAST)[t],
				    board_sum((int)id, f));
}

void
board_leave(unsigned generation)
{
	unsigned n = board_entries_used();
	uint64_t bit = UINT64_C(1) << generation;
	bool     differ = schemas_differ();

	assert(generation < BOARD_GENERATIONS);
	for (unsigned i = 0; i < n; i++) {
		if (differ && entry_users(entry_at(i)) == bit)
			entry_bequeath(i);
		atomic_fetch_and(&entry_at(i)->generations, ~bit);
	}
}

/* ------------------------------------------------------------------- seats */

/* Nobody works on this seat any more. Returns what that was at the cost of. */
static uint64_t
board_seat_settle(unsigned seat, bool keep_counters)
{
	unsigned             i, field, n = board_entries_used();
	const struct schema *s;
	board_word          *cell, *past;
	struct hole          hole = { 0, 0 };
	uint64_t             value, open, lost = 0;
	bool                 counter;

	assert(seat > BOARD_PAST && seat < BOARD_SEATS);
	for (i = 0; i < n; i++) {
		if (entry_users(entry_at(i)) == 0 || board_is_blank(i, seat, 1, &hole))
			continue;
		s = entry_schema(entry_at(i));
		cell = board_cell((int)i, seat);
		past = board_cell((int)i, BOARD_PAST);
		open = atomic_load_explicit(&cell[0], memory_order_relaxed);
		for (field = 0; field < s->count && field < BOARD_FIELDS; field++) {
			counter = s->fields[field].type == BOARD_COUNTER;
			if (s->fields[field].type == BOARD_LOST) {
				board_add(&cell[field], open);
				lost += open;
				counter = true;
			}
			if (counter && keep_counters)
				continue;
			value = atomic_load_explicit(&cell[field], memory_order_relaxed);
			if (value == 0)
				continue;
			if (counter)	/* two masters may do so at once */
				atomic_fetch_add(&past[field], value);
			atomic_store(&cell[field], 0);
		}
	}
	return lost;
}

uint64_t
board_seat_clear(unsigned seat)
{
	return board_seat_settle(seat, true);
}

void
board_seat_give(unsigned seat)
{
	board_seat_settle(seat, false);
	board_seat_free(seat);
}

void
board_generation_give(unsigned generation)
{
	board_leave(generation);
	board_seating_free_generation(generation);
}

void
board_inherit(void (*reclaim)(unsigned seat))
{
	for (unsigned seat = BOARD_PAST + 1; seat < BOARD_SEATS; seat++)
		if (board_seat_is_foreign(seat)) {
			reclaim(seat);
			board_seat_give(seat);
		}
	for (unsigned i = 0; i < BOARD_GENERATIONS; i++)
		if (board_seating_has_foreign(i))
			board_generation_give(i);
}

/* ----------------------------------------------------------------- walking */

/* The first schema of its kind. */
static unsigned
entry_kind(const struct entry *e)
{
	unsigned i = 0;

	while (i < e->schema % BOARD_SCHEMAS &&
	    strncmp(board->schemas[i].kind, entry_schema(e)->kind, KIND_MAX) != 0)
		i++;
	return i;
}

/* The order of board_next. */
static int
entry_compare(const void *left, const void *right)
{
	const struct entry *a = entry_at(((const struct board_view_entry *)left)->id);
	const struct entry *b = entry_at(((const struct board_view_entry *)right)->id);

	unsigned            first = entry_kind(a), second = entry_kind(b);
	int                 order = strncmp(a->name, b->name, sizeof a->name);

	if (first != second)
		return first < second ? -1 : 1;
	if (order == 0 && a->schema != b->schema)
		return a->schema < b->schema ? -1 : 1;
	return order;
}

static void
board_view_sort(struct board_view *v)
{
	unsigned    n = board_entries_used();
	struct hole hole = { 0, 0 };

	v->count = v->next = 0;
	v->order = malloc((n + 1) * sizeof *v->order);
	for (unsigned i = 0; v->order != NULL && i < n; i++)
		if (entry_users(entry_at(i)) != 0)
			v->order[v->count++] = (struct board_view_entry){ i,
				board_is_blank(i, BOARD_PAST, BOARD_SEATS, &hole) };
	if (v->count > 0)
		qsort(v->order, v->count, sizeof *v->order, entry_compare);
}

bool
board_next(struct board_view *v)
{
	const struct entry *e;

	if (v->id < 0)
		board_view_sort(v);
	if (v->next == v->count) {
		free(v->order);
		v->order = NULL;
		return false;
	}
	v->id = (int)v->order[v->next].id;
	v->blank = v->order[v->next++].blank;
	e = entry_of(v->id);
	board_copy_name(v->kind, sizeof v->kind, entry_schema(e)->kind);
	board_copy_name(v->name, sizeof v->name, e->name);
	v->generations = entry_users(e);
	return true;
}

const char *
board_field_name(int id, unsigned field, enum board_type *type)
{
	const struct schema *s = entry_schema(entry_of(id));
	static char          name[FIELD_MAX];

	if (field >= s->count || field >= BOARD_FIELDS)
		return NULL;
	if (type != NULL)
		*type = (enum board_type)s->fields[field].type;
	memcpy(name, s->fields[field].name, sizeof name - 1);
	return name;
}

uint64_t
board_view_sum(const struct board_view *v, unsigned field)
{
	return v->blank ? 0 : board_sum(v->id, field);
}
