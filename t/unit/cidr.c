/* SPDX-License-Identifier: BSD-2-Clause */
/* cidr: what a range has, and what is none. */
#include "net/cidr.h"

#include "net/addr.h"
#include "unit/tap.h"

static bool
has(const char *range, const char *address)
{
	struct cidr        c;
	struct addr        a;
	struct addr_packed p;
	const char        *wrong = cidr_parse(&c, range);

	if (wrong != NULL || addr_parse(&a, address, NULL) != NULL) {
		diag("%s, %s: %s", range, address, wrong != NULL ? wrong : "no address");
		return false;
	}
	addr_pack(&p, &a);
	return cidr_has(&c, &p);
}

static void
ranges(void)
{
	ok(has("192.0.2.1", "192.0.2.1:5") && !has("192.0.2.1", "192.0.2.0:5"), "an address");
	ok(has("192.0.2.0/24", "192.0.2.255:5") && !has("192.0.2.0/24", "192.0.3.0:5"), "/24");
	ok(has("10.0.0.0/9", "10.127.1.1:5") && !has("10.0.0.0/9", "10.128.0.0:5"), "/9");
	ok(has("192.0.2.254/31", "192.0.2.255:5"), "/31");
	ok(!has("192.0.2.254/31", "192.0.2.253:5"), "and what is not in it");
	ok(has("0.0.0.0/0", "1.2.3.4:5") && !has("0.0.0.0/0", "[::1]:5"), "all IPv4");
	ok(has("2001:db8::/33", "[2001:db8:7fff::1]:5"), "IPv6, /33");
	ok(!has("2001:db8::/33", "[2001:db8:8000::]:5"), "and what is not in it");
	ok(has("::1", "[::1]:5") && !has("::1", "[::2]:5"), "an IPv6 address");
	ok(has("::/0", "[::1]:5"), "all IPv6");
	ok(!has("::/0", "1.2.3.4:5") && !has("::/0", "unix:/x"), "and nothing else");
	ok(has("::ffff:192.0.2.0/120", "192.0.2.9:5"), "an IPv4-mapped range is IPv4");
	ok(has("192.0.2.0/24", "[::ffff:192.0.2.9]:5"), "so is such an address");
	ok(has("unix:", "unix:/run/x") && !has("unix:", "1.2.3.4:5"), "UNIX sockets");
	ok(has("all", "unix:/run/x") && has("all", "1.2.3.4:5") && has("all", "[::1]:5"), "all");
}

static void
is_none(const char *text, const char *word)
{
	struct cidr c;
	const char *wrong = cidr_parse(&c, text);

	ok(wrong != NULL && strstr(wrong, word) != NULL, "\"%s\": %s", text,
	    wrong != NULL ? wrong : "taken");
}

static bool
is_everybody(const char *range)
{
	struct cidr c;

	return cidr_parse(&c, range) == NULL && cidr_is_everybody(&c);
}

static void
everybody(void)
{
	ok(is_everybody("all") && is_everybody("0.0.0.0/0") && is_everybody("::/0"), "everybody");
	ok(is_everybody("::ffff:0.0.0.0/96"), "all of IPv4, as IPv6 has it");
	ok(!is_everybody("unix:") && !is_everybody("0.0.0.0/1") && !is_everybody("0.0.0.0") &&
		!is_everybody("::/1"),
	    "and who is not");
}

static void
not_ranges(void)
{
	static const char *const none[] = { "", "/8", "ALL", "unix", "unix:/run/x", "192.0.2",
		"192.0.2.0/24/8", "192.0.2.01", "localhost", "[::1]", "192.0.2.1:80", "::1%lo",
		":::", "2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8" };
	static const char *const bits[] = { "192.0.2.0/", "192.0.2.0/33", "::/129", "::/-1",
		"::/0x8" };

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		is_none(none[i], i == 6 ? "bits" : "not an address");
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		is_none(bits[i], "behind the /");
	is_none("192.0.2.1/24", "bits set");
	is_none("10.128.0.0/8", "bits set");
	is_none("2001:db8::1/64", "bits set");
	is_none("::ffff:192.0.2.1/120", "bits set");
}

int
main(void)
{
	ranges();
	everybody();
	not_ranges();
	return done_testing();
}
