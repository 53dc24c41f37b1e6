/* SPDX-License-Identifier: BSD-2-Clause */
/* proxy_header: what is read and refused, of both versions and however it is cut; what is
 * written. */
#include "net/proxy_header.h"

#include "base/str.h"
#include "unit/tap.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(rest) span_make(SIGNATURE rest, sizeof SIGNATURE + sizeof rest - 2)
#define LITERAL(text) span_make(text, sizeof text - 1)

/* Whole, MORE for each part of it, and the same with bytes behind it. */
static void
is_whole(struct weir_span in, const char *from, const char *to, const char *what)
{
	struct proxy_header h;
	char                text[ADDR_TEXT_MAX], longer[2048];
	bool                more = true;

	for (size_t n = 0; n < in.len; n++) {
		more = more && proxy_header_parse(span_make(in.data, n), &h) == PROXY_HEADER_MORE;
		more = more && h.length > n;
	}
	ok(more, "%s: a part of it is not whole", what);
	memset(longer, 'x', sizeof longer);
	memcpy(longer, in.data, in.len);
	for (int i = 0; i < 2; i++) {
		ok(proxy_header_parse(i ? span_make(longer, sizeof longer) : in, &h) ==
			PROXY_HEADER_WHOLE,
		    "%s: whole%s", what, i ? ", with more behind it" : "");
		is_number(h.length, in.len, "%s: all of it", what);
		is_number(h.stated, from != NULL, "%s: addresses are stated or not", what);
		if (from == NULL)
			continue;
		is_string(addr_print_packed(&h.from, text), from, "%s: from", what);
		is_string(addr_print_packed(&h.to, text), to, "%s: to", what);
	}
}

static void
is_malformed(struct weir_span in, const char *word, const char *what)
{
	struct proxy_header     h;
	enum proxy_header_state state = proxy_header_parse(in, &h);

	ok(state == PROXY_HEADER_MALFORMED, "%s is malformed", what);
	ok(state == PROXY_HEADER_MALFORMED && strstr(h.wrong, word) != NULL,
	    "… and it says: %s", h.wrong != NULL ? h.wrong : "nothing");
}

static void
version_1(void)
{
	is_whole(span_of("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1:56324",
	    "198.51.100.2:443", "TCP4");
	is_whole(span_of("PROXY TCP6 2001:db8::1 2001:DB8::2 1 65535\r\n"), "[2001:db8::1]:1",
	    "[2001:db8::2]:65535", "TCP6");
	is_whole(span_of("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 0 0\r\n"), "192.0.2.1:0",
	    "[2001:db8::2]:0", "IPv4-mapped, port 0");
	is_whole(span_of("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n"),
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535", "the longest TCP6");
	is_whole(span_of("PROXY UNKNOWN\r\n"), NULL, NULL, "UNKNOWN");
	is_whole(span_of("PROXY UNKNOWN and whatever else\r\n"), NULL, NULL, "UNKNOWN with more");
	is_whole(span_of("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
			 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    NULL, NULL, "107 bytes");
}

static void
not_version_1(void)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{ "GET / HTTP/1.1\r\n", "no PROXY header" },
		{ "PROXYTCP4", "no PROXY header" },
		{ "P\r", "no PROXY header" },
		{ "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "no PROXY header" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "CR LF" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rX", "CR LF" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\r\n", "CR LF" },
		{ "PROXY  TCP4 1.2.3.4 1.2.3.4 1\r\n", "family" },
		{ "PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "family" },
		{ "PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n", "family" },
		{ "PROXY UNKNOWNX\r\n", "family" },
		{ "PROXY \r\n", "family" },
		{ "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", "family" },
		{ "PROXY TCP4\r\n", "an address and a port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "an address and a port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "more than" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "more than" },
		{ "PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n", "more than" },
		{ "PROXY TCP4 1.2.3.4\t1.2.3.4 1 1\r\n", "an address and a port" },
		{ "PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n", "address" },
		{ "PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", "address" },
		{ "PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n", "address" },
		{ "PROXY TCP4 ::1 ::1 1 1\r\n", "address" },
		{ "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "address" },
		{ "PROXY TCP6 :::1 ::1 1 1\r\n", "address" },
		{ "PROXY TCP6 ::1%lo ::1 1 1\r\n", "address" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n", "port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n", "port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n", "port" },
		{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 0x1\r\n", "port" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct weir_span line = span_of(bad[i].line);

		is_malformed(line, bad[i].says, str_printable(line, text, sizeof text));
	}
	is_malformed(LITERAL("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n"), "CR LF", "a NUL");
	memset(text, 'x', sizeof text);
	memcpy(text, "PROXY UNKNOWN ", 14);
	is_malformed(span_make(text, 107), "107 bytes", "a line of 107 bytes without an end");
	text[106] = '\r';
	text[107] = '\n';
	is_malformed(span_make(text, 108), "107 bytes", "a line of 108 bytes");
	is_malformed(span_make(text, 107), "107 bytes", "and its first 107");
}

static void
version_2(void)
{
	static const char unix_header[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/from";

	is_whole(V2("\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"),
	    "192.0.2.1:56324", "198.51.100.2:443", "INET");
	is_whole(V2("\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x00\x01\xff\xff"),
	    "[2001:db8::1]:1", "[2001:db8::2]:65535", "INET6");
	is_whole(V2("\x21\x21\x00\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
	    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x02\x00\x01\x00\x02"),
	    "192.0.2.1:1", "192.0.2.2:2", "IPv4-mapped");
	is_whole(span_make(unix_header, sizeof unix_header), "unix:", "unix:", "UNIX");
	is_whole(V2("\x20\x00\x00\x00"), NULL, NULL, "LOCAL");
	is_whole(V2("\x20\x11\x00\x05xxxxx"), NULL, NULL, "LOCAL: what it says is ignored");
	is_whole(V2("\x20\xff\x00\x00"), NULL, NULL, "LOCAL: so is its family");
	is_whole(V2("\x21\x00\x00\x00"), NULL, NULL, "UNSPEC");
	is_whole(V2("\x21\x00\x00\x03xxx"), NULL, NULL, "UNSPEC with what nobody knows");
	is_whole(V2("\x21\x01\x00\x00"), NULL, NULL, "a stream of no family");
	is_whole(V2("\x21\x12\x00\x0c\1\2\3\4\5\6\7\x8\0\1\0\2"), NULL, NULL, "datagrams");
	is_whole(V2("\x21\x11\x00\x13\1\2\3\4\1\2\3\4\0\1\0\2\x04\x00\x00\xe0\x00\x01x"),
	    "1.2.3.4:1", "1.2.3.4:2", "extensions");
	is_whole(V2("\x21\x11\x00\x1f\1\2\3\4\1\2\3\4\0\1\0\2\x20\x00\x10\x01\0\0\0\0"
		    "\x21\x00\x05TLSv1\x22\x00\x00"),
	    "1.2.3.4:1", "1.2.3.4:2", "TLS");
	/* The checksum was computed with another program. */
	is_whole(V2("\x21\x11\x00\x13\x7f\x00\x00\x01\x7f\x00\x00\x01\x04\xd2\x16\x2e"
		    "\x03\x00\x04\x05\xc9\xc5\xf6"),
	    "127.0.0.1:1234", "127.0.0.1:5678", "a checksum");
}

static void
not_version_2(void)
{
	char                text[PROXY_HEADER_MAX + 1] = SIGNATURE "\x20\x00\x3f\xf0";
	struct proxy_header h;

	is_malformed(LITERAL("\r\n\r\n\0\r\nQUIT\r"), "no PROXY header", "another signature");
	is_malformed(LITERAL("\r\n\r\r"), "no PROXY header", "its beginning");
	is_malformed(V2("\x11"), "version", "version 1 in version 2's form");
	is_malformed(V2("\x31\x11\x00\x0c"), "version", "version 3");
	is_malformed(V2("\x22\x11\x00\x0c"), "command", "command 2");
	is_malformed(V2("\x21\x41\x00\x0c"), "family", "family 4");
	is_malformed(V2("\x21\x13\x00\x0c"), "family", "transport 3");
	is_malformed(V2("\x21\x11\x00\x0b\1\2\3\4\1\2\3\4\0\1\0"), "addresses", "too short");
	is_malformed(V2("\x21\x21\x00\x0c\1\2\3\4\1\2\3\4\0\1\0\2"), "addresses", "INET6 in 12");
	is_malformed(V2("\x21\x31\x00\x0c\1\2\3\4\1\2\3\4\0\1\0\2"), "addresses", "UNIX in 12");
	is_malformed(V2("\x21\x11\x00\x0e\1\2\3\4\1\2\3\4\0\1\0\2\x04\x00"), "within an extension",
	    "half a head of an extension");
	is_malformed(V2("\x21\x11\x00\x10\1\2\3\4\1\2\3\4\0\1\0\2\x04\x00\x02x"), "longer than",
	    "an extension beyond the header");
	is_malformed(V2("\x21\x11\x00\x12\1\2\3\4\1\2\3\4\0\1\0\2\x03\x00\x03xxx"), "4 bytes",
	    "a checksum of 3 bytes");
	is_malformed(V2("\x21\x11\x00\x13\x7f\x00\x00\x01\x7f\x00\x00\x01\x04\xd2\x16\x2e"
			"\x03\x00\x04\x05\xc9\xc5\xf7"),
	    "wrong checksum", "another checksum");
	is_malformed(V2("\x21\x11\x00\x13\x7f\x00\x00\x01\x7f\x00\x00\x01\x04\xd2\x16\x2f"
			"\x03\x00\x04\x05\xc9\xc5\xf6"),
	    "wrong checksum", "another address");
	is_malformed(V2("\x21\x11\x00\x1a\1\2\3\4\1\2\3\4\0\1\0\2\x03\x00\x04xxxx"
			"\x03\x00\x04xxxx"),
	    "two checksums", "two checksums");
	is_malformed(V2("\x21\x11\x00\x13\1\2\3\4\1\2\3\4\0\1\0\2\x20\x00\x04\0\0\0\0"),
	    "about TLS", "TLS without all of its head");
	is_malformed(V2("\x21\x11\x00\x17\1\2\3\4\1\2\3\4\0\1\0\2\x20\x00\x08\1\0\0\0\0"
			"\x21\x00\x05"),
	    "about TLS", "TLS with an extension beyond it");
	text[sizeof SIGNATURE + 1] = 0x3f;
	ok(proxy_header_parse(span_make(text, PROXY_HEADER_MAX), &h) == PROXY_HEADER_WHOLE &&
		h.length == PROXY_HEADER_MAX,
	    "16 KiB are taken");
	text[15] = (char)0xf1;
	is_malformed(span_make(text, 16), "16 KiB", "a byte more");
}

static struct addr_packed
address(const char *text)
{
	struct addr        a;
	struct addr_packed p;

	if (addr_parse(&a, text, NULL) != NULL)
		abort();
	addr_pack(&p, &a);
	return p;
}

static void
written_1(void)
{
	struct proxy_header_facts f = { 0 };
	char                      out[PROXY_HEADER_OUT_MAX];

	f.from = address("192.0.2.1:56324");
	f.to = address("198.51.100.2:443");
	out[proxy_header_write(PROXY_V1, &f, out)] = '\0';
	is_string(out, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "TCP4");
	f.to = address("[2001:db8::2]:443");
	out[proxy_header_write(PROXY_V1, &f, out)] = '\0';
	is_string(out, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\n", "of two families");
	f.to = address("unix:/run/x");
	out[proxy_header_write(PROXY_V1, &f, out)] = '\0';
	is_string(out, "PROXY UNKNOWN\r\n", "to a UNIX socket");
	is_number(proxy_header_write(PROXY_OFF, &f, out), 0, "off");
}

static void
written_2(void)
{
	struct proxy_header_tls   tls = { .version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256",
		.name = "someone", .server_name = LITERAL("example.com"),
		.protocol = LITERAL("h2") };
	struct proxy_header_facts f = { .id = LITERAL("3.17") };
	char                      out[PROXY_HEADER_OUT_MAX], large[PROXY_HEADER_OUT_MAX];
	size_t                    n;

	f.from = address("[2001:db8::1]:1");
	f.to = address("[2001:db8::2]:2");
	n = proxy_header_write(PROXY_V2, &f, out);
	is_whole(span_make(out, n), "[2001:db8::1]:1", "[2001:db8::2]:2", "INET6 as written");
	is_number(n, 16 + 36 + 3 + 4, "with the id");
	ok(memcmp(out + 52,
	       "\x05\x00\x04"
	       "3.17",
	       7) == 0,
	    "which is there");
	f.from = f.to = address("unix:/run/x");
	n = proxy_header_write(PROXY_V2, &f, out);
	is_whole(span_make(out, n), NULL, NULL, "UNIX as written: LOCAL");
	is_number(n, 16 + 3 + 4, "with the id");
	f.to.family = 0;
	n = proxy_header_write(PROXY_V2, &f, out);
	is_whole(span_make(out, n), NULL, NULL, "what is not known");

	f.from = address("192.0.2.1:1");
	f.to = address("192.0.2.2:2");
	f.tls = &tls;
	n = proxy_header_write(PROXY_V2, &f, out);
	is_whole(span_make(out, n), "192.0.2.1:1", "192.0.2.2:2", "TLS as written");
	ok(memcmp(out + 28,
	       "\x01\x00\x02h2\x02\x00\x0b"
	       "example.com\x20\x00\x28\x01\0\0\0\1"
	       "\x21\x00\x07TLSv1.3\x23\x00\x16TLS_AES_128_GCM_SHA256\x05\x00\x04"
	       "3.17",
	       69) == 0,
	    "with all that is known; no certificate: none that is verified");
	tls.certificate = tls.verified = true;
	n = proxy_header_write(PROXY_V2, &f, out);
	ok(memcmp(out + 47, "\x20\x00\x32\x07\0\0\0\0", 8) == 0, "a certificate that is verified");
	ok(memcmp(out + n - 17, "\x22\x00\x07someone", 10) == 0, "and its name");
	tls.resumed = true;
	proxy_header_write(PROXY_V2, &f, out);
	ok(memcmp(out + 50, "\x05\0\0\0\0", 5) == 0, "one of an earlier connection");
	tls.resumed = tls.verified = false;
	proxy_header_write(PROXY_V2, &f, out);
	ok(memcmp(out + 50, "\x07\0\0\0\1", 5) == 0, "one that is not");

	memset(large, 'n', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	tls.name = large;
	tls.server_name = span_make(large, 1300);
	n = proxy_header_write(PROXY_V2, &f, out);
	is_whole(span_make(out, n), "192.0.2.1:1", "192.0.2.2:2", "what does not fit is left out");
	f.id = span_make(large, 129);
	ok(proxy_header_write(PROXY_V2, &f, out) == n - 7, "so is an id that is too long");
}

int
main(void)
{
	version_1();
	not_version_1();
	version_2();
	not_version_2();
	written_1();
	written_2();
	return done_testing();
}
