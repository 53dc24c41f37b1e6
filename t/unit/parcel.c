/* SPDX-License-Identifier: BSD-2-Clause */
/* parcel: what is written is read again, and what makes no sense is found. */
#include "session/parcel.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unit/tap.h"

static char data[PARCEL_SIZE];
static int  fds[PARCEL_FDS];

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct weir_span
text(const char *s)
{
	return (struct weir_span){ s, strlen(s) };
}

/* One part: a number, a name, a text, a descriptor. */
static void
write_part(struct parcel *p, unsigned number, struct weir_span s, int fd)
{
	struct parcel_mark m = parcel_begin(p);

	parcel_put(p, &number, sizeof number);
	parcel_put_name(p, "name");
	parcel_put_text(p, s);
	parcel_put_fd(p, fd);
	parcel_end(p, m);
}

static void
there_and_back(void)
{
	struct parcel    p, in, part;
	char             name[16];
	struct weir_span s;
	unsigned         number;

	parcel_open(&p, data, fds);
	write_part(&p, 7, text("seven"), dup(0));
	write_part(&p, 8, text(""), dup(0));
	ok(!p.bad && p.fd_count == 2, "two parts are written");
	parcel_read(&in, data, p.at, fds, p.fd_count);
	ok(parcel_cut(&in, &part), "the first is cut out");
	parcel_get(&part, &number, sizeof number);
	parcel_get_name(&part, name, sizeof name);
	s = parcel_get_text(&part);
	ok(number == 7 && strcmp(name, "name") == 0, "with its number and name,");
	ok(s.len == 5 && memcmp(s.data, "seven", 5) == 0, "and its text,");
	is_number(parcel_get_fd(&part), fds[0], "with its descriptor");
	ok(!part.bad && parcel_get_fd(&part) < 0 && part.bad, "and no more");
	ok(parcel_cut(&in, &part), "the second is cut out, though not read");
	parcel_discard(&part);
	ok(!is_open(fds[1]) && is_open(fds[0]), "what nobody took of it is closed, no more");
	ok(!parcel_cut(&in, &part) && !in.bad, "there is no third");
	close(fds[0]);
}

static void
long_texts(void)
{
	static char      big[200000];
	struct parcel    p, in;
	struct weir_span s;
	int              file;

	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = 'y';
	parcel_open(&p, data, fds);
	parcel_put_text(&p, (struct weir_span){ big, sizeof big });
	ok(!p.bad && p.fd_count == 1 && p.at < 100, "a long text goes into a file");
	file = fds[0];
	parcel_read(&in, data, p.at, (int[]){ dup(file) }, 1);
	s = parcel_get_text(&in);
	ok(s.len == sizeof big && memcmp(s.data, big, sizeof big) == 0, "and comes out of it");
	parcel_close(&p);
	ok(!is_open(file), "whoever wrote it closes it");
	parcels_stop();
}

static void
no_room(void)
{
	static char        big[PARCEL_INLINE];
	struct parcel      p;
	struct parcel_mark m;
	unsigned           parts = 0;

	parcel_open(&p, data, fds);
	for (;;) {
		m = parcel_mark(&p);
		write_part(&p, parts, (struct weir_span){ big, sizeof big }, 0);
		if (p.bad)
			break;
		parts++;
	}
	ok(parts == 5, "what does not fit makes it bad");
	parcel_reset(&p, m);
	ok(!p.bad && p.fd_count == parts && is_open(0), "and is taken back, descriptors and all");
	for (parcel_open(&p, data, fds), parts = 0; !p.bad; parts++)
		parcel_put_fd(&p, 0);
	is_number(parts, PARCEL_FDS + 1, "there is room for so many descriptors");
}

/* Every beginning of a good parcel, and every byte of it changed: read without a fault. */
static void
nonsense(void)
{
	struct parcel p, in, part;
	char          copy[256], name[8];
	size_t        size;
	unsigned      bad = 0;

	parcel_open(&p, data, fds);
	write_part(&p, 7, text("seven"), 0);
	size = p.at;
	for (size_t i = 0; i < 9 * size; i++) {
		memcpy(copy, data, size);
		if (i >= size)
			copy[i % size] ^= (char)(1 << (i / size - 1));
		parcel_read(&in, copy, i < size ? i : size, (int[]){ dup(0) }, 1);
		if (parcel_cut(&in, &part)) {
			parcel_get(&part, name, 4);
			parcel_get_name(&part, name, sizeof name);
			parcel_get_text(&part);
			close(parcel_get_fd(&part));
			parcel_discard(&part);
			bad += part.bad;
		} else
			bad++;
		parcel_discard(&in);
	}
	ok(bad > size, "what was cut off or changed is bad: %u of %zu", bad, 9 * size);
	parcels_stop();
}

int
main(void)
{
	there_and_back();
	long_texts();
	no_room();
	nonsense();
	return done_testing();
}
