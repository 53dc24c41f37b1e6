/* SPDX-License-Identifier: BSD-2-Clause */
/* addr: what is read, what is refused, how it is written and compared. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/tap.h"

struct reading {
	const char *text;
	const char *printed;	/* NULL: refused */
};

#define PATH_107 "/23456789012345678901234567890123456789012345678901234567890" \
	"12345678901234567890123456789012345678901234567"

static const struct reading readings[] = {
	{ "80", "*:80" },
	{ "1", "*:1" },
	{ "65535", "*:65535" },
	{ "*:8080", "*:8080" },
	{ "[::]:8080", "*:8080" },
	{ "127.0.0.1:80", "127.0.0.1:80" },
	{ "0.0.0.0:80", "0.0.0.0:80" },
	{ "[::1]:80", "[::1]:80" },
	{ "[2001:DB8:0:0::1]:80", "[2001:db8::1]:80" },
	{ "[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80" },
	{ "unix:/run/x.sock", "unix:/run/x.sock" },
	{ "unix:x.sock", "unix:/prefix/x.sock" },
	{ "unix:a:b c", "unix:/prefix/a:b c" },
	{ "unix:" PATH_107, "unix:" PATH_107 },
	{ "unix:" PATH_107 "8", NULL },
	{ "unix:" PATH_107 PATH_107 PATH_107, NULL },
	{ "unix:", NULL },
	{ "unix:a\nb", NULL },
	{ "unix:@weir", "unix:@weir" },
	{ "unix:@", NULL },
	{ "unix:@a/b c@", "unix:@a/b c@" },
	{ "unix:@" PATH_107, "unix:@" PATH_107 },
	{ "unix:@" PATH_107 "8", NULL },
	{ "unix:@a\nb", NULL },
	{ "unix:@\xc3\xa4", NULL },
	{ "unix:./@x", "unix:/prefix/./@x" },
	{ "", NULL },
	{ "0", NULL },
	{ "65536", NULL },
	{ "99999999999999999999", NULL },
	{ "*", NULL },
	{ "*:", NULL },
	{ "*:0", NULL },
	{ "*:http", NULL },
	{ " 80", NULL },
	{ "80 ", NULL },
	{ "127.0.0.1", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:+80", NULL },
	{ "127.0.0.1:65536", NULL },
	{ "127.1:80", NULL },
	{ "127.0.0.256:80", NULL },
	{ "0x7f000001:80", NULL },
	{ ":80", NULL },
	{ "::1:80", NULL },
	{ "::1", NULL },
	{ "[::1]", NULL },
	{ "[::1]80", NULL },
	{ "[::1:80", NULL },
	{ "[]:80", NULL },
	{ "[127.0.0.1]:80", NULL },
	{ "[::1]:80:80", NULL },
	{ "[0000000000000000000000000000000000000000000000000000000000000001]:80", NULL },
	{ "[fe80::1%nosuchinterface]:80", NULL },
	{ "[fe80::1%0]:80", NULL },
	{ "localhost:80", NULL },
	{ NULL, NULL },
};

static const struct reading peers[] = {
	{ "127.0.0.1:80", "127.0.0.1:80" },
	{ "[::1]:80", "[::1]:80" },
	{ "unix:peer.sock", "unix:/prefix/peer.sock" },
	{ "80", NULL },
	{ "*:80", NULL },
	{ "", NULL },
	{ "localhost", NULL },
	{ "localhost:", NULL },
	{ "localhost:99999", NULL },
	{ "127.1:80", NULL },
	{ "2130706433:80", NULL },
	{ "0x7f000001:80", NULL },
	{ "300.300.300.300:80", NULL },
	{ ":80", NULL },
	{ NULL, NULL },
};

static struct addr
parsed(const char *text)
{
	struct addr a;

	memset(&a, 0xff, sizeof a);
	if (addr_parse(&a, text, "/prefix") != NULL)
		diag("%s could not be read", text);
	return a;
}

static void
test_parsing(void)
{
	const struct reading *r;
	struct addr           a, again, untouched;
	char                  out[ADDR_TEXT_MAX];
	const char           *wrong;

	memset(&untouched, 0xff, sizeof untouched);
	for (r = readings; r->text != NULL; r++) {
		memset(&a, 0xff, sizeof a);
		wrong = addr_parse(&a, r->text, "/prefix");
		if (r->printed == NULL) {
			ok(wrong != NULL && memcmp(&a, &untouched, sizeof a) == 0, "'%s': %s",
			    r->text, wrong ? wrong : "(taken)");
			continue;
		}
		is_string(wrong ? wrong : addr_print(&a, out), r->printed, "'%s'", r->text);
		ok(addr_parse(&again, out, NULL) == NULL && addr_equal(&a, &again) &&
			a.len == again.len,
		    "and read again from what is printed");
	}
}

static void
test_prefix(void)
{
	struct addr a;
	char        out[ADDR_TEXT_MAX];

	ok(addr_parse(&a, "unix:x", NULL) != NULL, "a relative path needs a prefix");
	ok(addr_parse(&a, "unix:/x", NULL) == NULL, "an absolute one does not");
	ok(addr_parse(&a, "unix:x", "/p/") == NULL, "a prefix with a slash at its end");
	is_string(addr_print(&a, out), "unix:/p/x", "gets no second one");
	ok(addr_parse(&a, "unix:x", PATH_107) != NULL, "a prefix counts for the length");
}

static void
test_scope(void)
{
	struct addr a, b;
	char        out[ADDR_TEXT_MAX];

	if (if_nametoindex("lo") == 0) {
		skip(3, "there is no interface lo");
		return;
	}
	a = parsed("[fe80::1%lo]:80");
	is_string(addr_print(&a, out), "[fe80::1%lo]:80", "an interface's name");
	b = parsed("[fe80::1%4000000000]:80");
	is_string(addr_print(&b, out), "[fe80::1%4000000000]:80",
	    "the number of one without a name");
	ok(!addr_equal(&a, &b) && !addr_overlap(&a, &b), "they are not the same");
}

static bool
resolves_to(const char *text, const char *wanted)
{
	struct addr list[8];
	char        out[ADDR_TEXT_MAX];
	unsigned    i, n;

	if (addr_resolve(list, 8, &n, text, "/prefix") != NULL)
		return false;
	for (i = 0; i < n; i++) {
		if (strcmp(addr_print(&list[i], out), wanted) == 0)
			return true;
	}
	return false;
}

static void
test_resolving(void)
{
	const struct reading *r;
	struct addr           list[2];
	const char           *wrong;
	unsigned              n;

	for (r = peers; r->text != NULL; r++) {
		wrong = addr_resolve(list, 2, &n, r->text, "/prefix");
		if (r->printed == NULL)
			ok(wrong != NULL && n == 0, "'%s': %s", r->text, wrong ? wrong : "(taken)");
		else
			ok(wrong == NULL && n == 1 && resolves_to(r->text, r->printed), "'%s'",
			    r->text);
	}
	ok(resolves_to("localhost:80", "127.0.0.1:80") || resolves_to("localhost:80", "[::1]:80"),
	    "localhost has an address");
	ok(addr_resolve(list, 1, &n, "localhost:80", NULL) == NULL && n == 1,
	    "no more than asked for");
}

static void
test_packing(void)
{
	static const char *const same[] = { "127.0.0.1:80", "[2001:db8::1]:65535", NULL };
	struct addr_packed       p;
	struct addr              a;
	char                     out[ADDR_TEXT_MAX];
	unsigned                 i;

	for (i = 0; same[i] != NULL; i++) {
		a = parsed(same[i]);
		addr_pack(&p, &a);
		is_string(addr_print_packed(&p, out), same[i], "%s packed", same[i]);
	}
	a = parsed("[::ffff:192.0.2.1]:80");
	addr_pack(&p, &a);
	is_string(addr_print_packed(&p, out), "192.0.2.1:80", "mapped IPv4 is IPv4");
	a = parsed("unix:/run/x");
	addr_pack(&p, &a);
	is_string(addr_print_packed(&p, out), "unix:", "of a UNIX address only the kind is kept");
	memset(&p, 0, sizeof p);
	is_string(addr_print_packed(&p, out), "unknown", "none");
	memset(&a, 0, sizeof a);
	is_string(addr_print(&a, out), "unknown", "an address of no family");
}

/* Addresses as the kernel tells them. */
static void
test_kernel(void)
{
	struct addr        a = { .len = sizeof a.un }, b = { .len = sizeof b.un };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "\0weir\nunit" };
	char               out[ADDR_TEXT_MAX];
	int                fds[2], fd;

	ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "a pair");
	getsockname(fds[0], &a.sa, &a.len);
	getsockname(fds[1], &b.sa, &b.len);
	is_string(addr_print(&a, out), "unix:", "a socket without a name");
	ok(addr_equal(&a, &b), "is like another");
	close(fds[0]);
	close(fds[1]);

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 10)) == 0) {
		b.len = sizeof b.un;
		getsockname(fd, &b.sa, &b.len);
		is_string(addr_print(&b, out), "unix:@weir\\x0aunit",
		    "an abstract name, printable");
		ok(!addr_equal(&a, &b) && addr_equal(&b, &b), "is not like none");
	} else {
		skip(2, "the abstract name is taken");
	}
	close(fd);

	memset(&a.un.sun_path, 'x', sizeof a.un.sun_path);
	a.len = sizeof a.un;
	ok(strlen(addr_print(&a, out)) == 5 + sizeof a.un.sun_path,
	    "a path without a NUL at its end");
}

static void
test_comparing(void)
{
	static const struct {
		const char *a, *b;
		bool        overlap;
	} pairs[] = {
		{ "127.0.0.1:80", "127.0.0.1:80", true },
		{ "127.0.0.1:80", "127.0.0.1:81", false },
		{ "127.0.0.1:80", "127.0.0.2:80", false },
		{ "0.0.0.0:80", "127.0.0.1:80", true },
		{ "0.0.0.0:80", "127.0.0.1:81", false },
		{ "0.0.0.0:80", "[::1]:80", false },
		{ "0.0.0.0:80", "*:80", true },
		{ "*:80", "127.0.0.1:80", true },
		{ "*:80", "[::1]:80", true },
		{ "*:80", "*:81", false },
		{ "[::1]:80", "[::1]:80", true },
		{ "[::1]:80", "[::2]:80", false },
		{ "[::ffff:127.0.0.1]:80", "127.0.0.1:80", true },
		{ "[::ffff:127.0.0.1]:80", "0.0.0.0:80", true },
		{ "unix:/a", "unix:/a", true },
		{ "unix:/a", "unix:/b", false },
		{ "unix:/a", "unix:/ab", false },
		{ "unix:/a", "*:80", false },
		{ "unix:@a", "unix:@a", true },
		{ "unix:@a", "unix:@ab", false },
		{ "unix:@/a", "unix:/a", false },
	};
	struct addr a, b;
	unsigned i;

	for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		a = parsed(pairs[i].a);
		b = parsed(pairs[i].b);
		ok(addr_overlap(&a, &b) == pairs[i].overlap &&
			addr_overlap(&b, &a) == pairs[i].overlap,
		    "%s and %s %s", pairs[i].a, pairs[i].b, pairs[i].overlap ? "collide" : "don't");
		ok(addr_equal(&a, &a) &&
			addr_equal(&a, &b) == (strcmp(pairs[i].a, pairs[i].b) == 0),
		    "and are the same only if they are written so");
	}
}

static void
test_inside(void)
{
	static const struct {
		const char *address;
		bool        inside;
	} all[] = {
		{ "127.0.0.1:80", true },
		{ "127.9.9.9:80", true },
		{ "[::1]:80", true },
		{ "[::ffff:127.0.0.1]:80", true },
		{ "unix:/a", true },
		{ "unix:@a", true },
		{ "*:80", false },
		{ "0.0.0.0:80", false },
		{ "[::]:80", false },
		{ "192.0.2.1:80", false },
		{ "[2001:db8::1]:80", false },
	};
	struct addr a;

	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
		a = parsed(all[i].address);
		ok(addr_is_inside(&a) == all[i].inside, "%s is reached from %s", all[i].address,
		    all[i].inside ? "here alone" : "outside");
	}
}

int
main(void)
{
	test_parsing();
	test_prefix();
	test_scope();
	test_resolving();
	test_packing();
	test_kernel();
	test_comparing();
	test_inside();
	return done_testing();
}
