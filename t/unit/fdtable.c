/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of proc/fdtable: keys, order, and what is written out is read back. */
#include "proc/fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "unit/tap.h"

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
any_fd(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
test_keys(void)
{
	struct fdtable t = { 0 };
	int            a = any_fd(), b = any_fd(), c = any_fd(), d = any_fd();
	char           long_name[ADDR_TEXT_MAX + 1];

	ok(fdtable_add(&t, FD_LISTEN, "127.0.0.1:80", 1, b) == 0 &&
		fdtable_add(&t, FD_LISTEN, "127.0.0.1:80", 0, a) == 0 &&
		fdtable_add(&t, FD_BOARD, "", 0, c) == 0,
	    "adds");
	is_number(fdtable_find(&t, FD_LISTEN, "127.0.0.1:80", 0), a, "finds slot 0");
	is_number(fdtable_find(&t, FD_LISTEN, "127.0.0.1:80", 1), b, "finds slot 1");
	ok(fdtable_find(&t, FD_LISTEN, "127.0.0.1:80", 2) < 0, "not slot 2");
	ok(fdtable_find(&t, FD_LISTEN, "127.0.0.1:8", 0) < 0, "nor a part of the name");
	ok(fdtable_find(&t, FD_CONTROL, "", 0) < 0, "nor another kind");
	ok(t.entries[0]->kind == FD_BOARD && t.entries[1]->slot == 0 && t.entries[2]->slot == 1,
	    "is in order");
	ok(fdtable_add(&t, FD_BOARD, "", 0, d) < 0 && errno == EEXIST, "refuses a second one");
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	ok(fdtable_add(&t, FD_LISTEN, long_name, 0, d) < 0 && errno == ENAMETOOLONG,
	    "refuses a name that is too long");
	ok(is_open(d), "and leaves the descriptor alone");
	is_number(fdtable_take(&t, FD_LISTEN, "127.0.0.1:80", 0), a, "takes one out");
	ok(is_open(a) && fdtable_find(&t, FD_LISTEN, "127.0.0.1:80", 0) < 0, "open, but gone");
	fdtable_close(&t, FD_BOARD, "", 0);
	ok(!is_open(c), "closes one");
	ok(fdtable_add(&t, FD_LOG, "1", 0, d) == 0, "adds");
	fdtable_close_kind(&t, FD_LISTEN);
	ok(!is_open(b) && is_open(d) && t.count == 1, "closes a kind");
	fdtable_close_all(&t);
	ok(!is_open(d) && t.count == 0 && t.entries == NULL, "closes all");
	fd_close(&a);
	ok(a < 0, "fd_close forgets");
	fd_close(&a);
}

static void
test_many(void)
{
	struct fdtable t = { 0 }, back = { 0 };
	char           text[4096], name[32];
	int            fds[253];
	unsigned       from = 0, n, parts = 0;
	size_t         size;
	bool           same = true;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned k = i * 7919 % 3000;
		snprintf(name, sizeof name, "unix:/with blanks %u", k % 100);
		if (fdtable_add(&t, FD_LISTEN, name, k / 100, 100000 + (int)k) < 0)
			bail_out("fdtable_add");
	}
	is_number(t.count, 3000, "holds 3000");
	while (from < t.count) {
		size = fdtable_encode(&t, &from, text, sizeof text, fds, 253, &n);
		if (n == 0 || n > 253 || fdtable_decode(&back, text, size, NULL, 0) != (int)n)
			break;
		parts++;
	}
	is_number(from, 3000, "was written in %u parts", parts);
	is_number(back.count, 3000, "and read back");
	for (unsigned i = 0; i < back.count && i < t.count; i++)
		same = same && back.entries[i]->kind == t.entries[i]->kind &&
		    back.entries[i]->slot == t.entries[i]->slot &&
		    back.entries[i]->fd == t.entries[i]->fd &&
		    strcmp(back.entries[i]->name, t.entries[i]->name) == 0;
	ok(same, "all the same");
	fdtable_forget(&t);
	fdtable_forget(&back);
}

static void
test_malformed(void)
{
	static const char *const bad[] = {
		"listen 0 3 name",
		"listen 0 3\n",
		"nothing 0 3 name\n",
		"listen x 3 name\n",
		"listen 65536 3 name\n",
		"listen 0 -3 name\n",
		"listen 0 99999999999 name\n",
		"\n",
		"listen 0 3 a\nlisten 0 4 a\n",
		"board 0 3 \nlisten 0 3 a\nrubbish\n",
	};
	struct fdtable           t = { 0 };
	int                      fds[2] = { 40, 41 };

	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		errno = 0;
		ok(fdtable_decode(&t, bad[i], strlen(bad[i]), NULL, 0) < 0 && t.count == 0,
		    "malformed %u is refused whole", i);
	}
	ok(fdtable_decode(&t, "listen 0 3 a\n", 13, fds, 2) < 0 && errno == EPROTO,
	    "more descriptors than lines");
	ok(fdtable_decode(&t, "listen 0 3 a\nlisten 1 3 a\n", 26, fds, 1) < 0 && errno == EPROTO,
	    "more lines than descriptors");
	is_number(fdtable_decode(&t, "listen 0 3 a\nlisten 1 3 a\n", 26, fds, 2), 2, "as many");
	ok(fdtable_find(&t, FD_LISTEN, "a", 1) == 41, "those that came are meant");
	ok(fdtable_decode(&t, "listen 1 3 a\n", 13, fds, 1) < 0 && t.count == 2,
	    "one that is there already is refused");
	fdtable_forget(&t);
}

int
main(void)
{
	test_keys();
	test_many();
	test_malformed();
	return done_testing();
}
