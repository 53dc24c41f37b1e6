/* SPDX-License-Identifier: BSD-2-Clause */
/* client_hello: the name and the protocols, however the message is cut into records and
 * records into pieces; and what is no ClientHello. */
#include "net/client_hello.h"

#include "base/str.h"
#include "unit/tap.h"

#define BYTES(text)   text, sizeof text - 1
#define LITERAL(text) span_make(text, sizeof text - 1)

static struct client_hello_wants wants;
static uint8_t                   message[CLIENT_HELLO_MAX + 64];	/* with its head */
static size_t                    message_len;
static uint8_t                   raw[8 * CLIENT_HELLO_MAX];
static size_t                    raw_len;

static void
put(const void *bytes, size_t len)
{
	memcpy(message + message_len, bytes, len);
	message_len += len;
}

static void
put_number(size_t n, unsigned bytes)
{
	while (bytes-- > 0)
		message[message_len++] = (uint8_t)(n >> 8 * bytes);
}

static void
set_number(size_t at, size_t n, unsigned bytes)
{
	while (bytes-- > 0)
		message[at++] = (uint8_t)(n >> 8 * bytes);
}

/* A ClientHello with these extensions, whose lengths are right. */
static void
make(struct weir_span extensions)
{
	static const char middle[] = "\x20"
				     "0123456789abcdef0123456789abcdef"
				     "\x00\x02\x13\x01"
				     "\x01\x00";

	message_len = 0;
	put("\1\0\0\0\3\3", 6);
	put("0123456789abcdef0123456789abcdef", 32);
	put(middle, sizeof middle - 1);
	put_number(extensions.len, 2);
	put(extensions.data, extensions.len);
	set_number(1, message_len - 4, 3);
}

/* Into records of so many bytes. */
static void
cut(size_t size)
{
	size_t n;

	raw_len = 0;
	for (size_t at = 0; at < message_len; at += n) {
		n = message_len - at < size ? message_len - at : size;
		memcpy(raw + raw_len, "\x16\x03\x01", 3);
		raw[raw_len + 3] = (uint8_t)(n >> 8);
		raw[raw_len + 4] = (uint8_t)n;
		memcpy(raw + raw_len + 5, message + at, n);
		raw_len += 5 + n;
	}
}

/* As it comes, in pieces of so many bytes. */
static enum client_hello_state
read_in_pieces(size_t piece)
{
	struct client_hello     h = { 0 };
	enum client_hello_state state = CLIENT_HELLO_MORE;

	for (size_t n = 0; n < raw_len && state == CLIENT_HELLO_MORE;) {
		n = raw_len - n < piece ? raw_len : n + piece;
		state = client_hello_read(&h, span_make(raw, n), &wants);
	}
	return state;
}

static enum client_hello_state
read_bytes(struct weir_span bytes)
{
	struct client_hello h = { 0 };

	return client_hello_read(&h, bytes, &wants);
}

static bool
offers(const char *names)
{
	char             list[CLIENT_HELLO_ALPN_MAX + 1] = "";
	size_t           at = 0, len = 0;
	struct weir_span name;

	while ((name = client_hello_protocol(&wants, &at)).len > 0) {
		memcpy(list + len, name.data, name.len);
		len += name.len;
		list[len++] = ' ';
		list[len] = '\0';
	}
	return strcmp(list, names) == 0;
}

/* GREASE, ALPN, SNI, versions. */
static const char both[] = "\x0a\x0a\0\0"
			   "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
			   "\x00\x00\x00\x14\x00\x12\x00\x00\x0fWWW.Example.com"
			   "\x00\x2b\x00\x03\x02\x03\x04";

static void
however_it_is_cut(void)
{
	static const size_t records[] = { 16384, 1, 2, 3, 4, 5, 7, 43, 44, 100, 130 };
	static const size_t pieces[] = { SIZE_MAX, 1, 2, 5, 6, 64 };
	bool                good = true;

	make(LITERAL(both));
	for (size_t i = 0; i < sizeof records / sizeof *records; i++)
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			cut(records[i]);
			good = read_in_pieces(pieces[k]) == CLIENT_HELLO_WHOLE &&
			    strcmp(wants.name, "www.example.com") == 0 && offers("h2 http/1.1 ");
			if (!good)
				diag("records of %zu, pieces of %zu: %s", records[i], pieces[k],
				    wants.wrong != NULL ? wants.wrong : "-");
			ok(good, "records of %zu bytes", records[i]);
		}
	cut(16384);
	raw[raw_len++] = 'x';
	ok(read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE, "what comes behind it is another's");
	good = true;
	for (size_t n = 0; n + 1 < raw_len; n++)
		good = good && read_bytes(span_make(raw, n)) == CLIENT_HELLO_MORE;
	ok(good, "a part of it is not whole");
}

/* Each of its lengths, made one more and one less: never read as if it were right. */
static void
truncated(void)
{
	static char extensions[sizeof both - 1];
	unsigned    whole = 0;

	for (size_t n = 0; n < sizeof both - 1; n++) {
		memcpy(extensions, both, n);
		make(span_make(extensions, n));
		cut(16384);
		whole += read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE;
	}
	is_number(whole, 4, "extensions end where one does: nothing, GREASE, ALPN, SNI");
	make(LITERAL(both));
	for (size_t at = 4; at < message_len; at++) {
		uint8_t was = message[at];

		message[at] = 0xff;
		cut(16384);
		(void)read_in_pieces(SIZE_MAX);
		message[at] = was;
	}
	ok(true, "a sanitizer sees what is read beyond it");
	for (size_t n = 4; n < message_len; n++) {
		size_t len = message_len;

		message_len = n;
		set_number(1, n - 4, 3);
		cut(16384);
		whole += read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE;
		message_len = len;
	}
	is_number(whole, 5, "a message that ends earlier: whole where extensions begin");
}

static void
names(void)
{
	static char list[600];

	make(span_make("", 0));
	cut(16384);
	ok(read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE && wants.name[0] == '\0' && offers(""),
	    "neither");
	message_len -= 2;
	set_number(1, message_len - 4, 3);
	cut(16384);
	ok(read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE, "TLS 1.2 without extensions");
	make(LITERAL("\0\0\x00\x0a\x00\x08\x00\x00\x05"
		     "a.bc."));
	cut(16384);
	ok(read_in_pieces(1) == CLIENT_HELLO_WHOLE, "a dot at the end");
	is_string(wants.name, "a.bc", "is left out");
	make(LITERAL("\0\0\x00\x0d\x00\x0b\x01\x00\x01x\x00\x00\x04"
		     "a.bc"));
	cut(16384);
	ok(read_in_pieces(1) == CLIENT_HELLO_WHOLE, "a name of another kind");
	is_string(wants.name, "a.bc", "is passed over");
	memcpy(list, "\0\0\x01\x04\x01\x02\x00\x00\xff", 9);
	memset(list + 9, 'a', 255);
	make(span_make(list, 9 + 255));
	cut(100);
	ok(read_in_pieces(7) == CLIENT_HELLO_WHOLE && strlen(wants.name) == 255, "255 bytes");
	list[3]++, list[5]++, list[7] = 1, list[8] = 0;
	make(span_make(list, 9 + 256));
	cut(100);
	ok(read_in_pieces(7) == CLIENT_HELLO_MALFORMED, "256 are none");
	is_number(wants.alert, TLS_ALERT_UNRECOGNIZED_NAME, "the client is told");
}

static void
many_protocols(void)
{
	static char list[CLIENT_HELLO_ALPN_MAX * 2];
	size_t      at = 0, n = 0;

	memcpy(list, "\x00\x10\0\0\0\0", 6);
	for (int i = 0; i < 200; i++)
		memcpy(list + 6 + 6 * i, "\x05proto", 6);
	list[2] = (char)(1202 >> 8), list[3] = (char)(1202 & 0xff);
	list[4] = (char)(1200 >> 8), list[5] = (char)(1200 & 0xff);
	make(span_make(list, 6 + 1200));
	cut(1000);
	ok(read_in_pieces(SIZE_MAX) == CLIENT_HELLO_WHOLE, "200 protocols");
	while (client_hello_protocol(&wants, &at).len > 0)
		n++;
	is_number(n, CLIENT_HELLO_ALPN_MAX / 6, "the first of them are seen");
}

static void
is_refused(enum tls_alert alert, const char *word, const char *what)
{
	cut(16384);
	ok(read_in_pieces(1) == CLIENT_HELLO_MALFORMED, "%s is malformed", what);
	is_number(wants.alert, alert, "%s: the alert", what);
	ok(wants.wrong != NULL && strstr(wants.wrong, word) != NULL, "%s: it says %s", what,
	    wants.wrong != NULL ? wants.wrong : "nothing");
}

static void
malformed(void)
{
	static const struct {
		const char    *extensions;
		size_t         len;
		enum tls_alert alert;
		const char    *word, *what;
	} bad[] = {
		{ BYTES("\0"), TLS_ALERT_DECODE_ERROR, "lengths", "half an extension" },
		{ BYTES("\0\0\0\x01"), TLS_ALERT_DECODE_ERROR, "lengths", "one that is missing" },
		{ BYTES("\0\0\0\0"), TLS_ALERT_DECODE_ERROR, "lengths", "SNI without a list" },
		{ BYTES("\0\0\0\x02\0\0"), TLS_ALERT_DECODE_ERROR, "lengths", "an empty list" },
		{ BYTES("\0\0\0\x04\0\x02\0\0"), TLS_ALERT_DECODE_ERROR, "lengths", "half a name" },
		{ BYTES("\0\0\0\x05\0\x03\0\0\0"), TLS_ALERT_UNRECOGNIZED_NAME, "host name",
		    "an empty name" },
		{ BYTES("\0\0\0\x06\0\x04\0\0\x01\0"), TLS_ALERT_UNRECOGNIZED_NAME, "host name",
		    "a NUL" },
		{ BYTES("\0\0\0\x06\0\x04\0\0\x01\xe4"), TLS_ALERT_UNRECOGNIZED_NAME, "host name",
		    "beyond ASCII" },
		{ BYTES("\0\0\0\x06\0\x04\0\0\x02" "a"), TLS_ALERT_DECODE_ERROR, "lengths",
		    "a name longer than its list" },
		{ BYTES("\0\0\0\x0a\0\x08\0\0\x01" "a\0\0\x01" "b"), TLS_ALERT_ILLEGAL_PARAMETER,
		    "two host names", "two names" },
		{ BYTES("\0\0\0\x06\0\x04\0\0\x01" "a\0\0\0\x06\0\x04\0\0\x01" "a"),
		    TLS_ALERT_ILLEGAL_PARAMETER, "twice", "SNI twice" },
		{ BYTES("\0\x10\0\x04\0\x02\x01" "a\0\x10\0\x04\0\x02\x01" "a"),
		    TLS_ALERT_ILLEGAL_PARAMETER, "twice", "ALPN twice" },
		{ BYTES("\0\x10\0\x03\0\x01\0"), TLS_ALERT_DECODE_ERROR, "lengths",
		    "an empty protocol" },
		{ BYTES("\0\x10\0\x04\0\x02\x02" "a"), TLS_ALERT_DECODE_ERROR, "lengths",
		    "a protocol longer than its list" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		make(span_make(bad[i].extensions, bad[i].len));
		is_refused(bad[i].alert, bad[i].word, bad[i].what);
	}
	make(LITERAL(both));
	message[0] = 2;
	is_refused(TLS_ALERT_UNEXPECTED_MESSAGE, "no ClientHello", "a ServerHello");
	make(LITERAL(both));
	message[4] = 2;
	is_refused(TLS_ALERT_DECODE_ERROR, "lengths", "SSL 2");
	make(LITERAL(both));
	message[38] = 33;
	is_refused(TLS_ALERT_DECODE_ERROR, "lengths", "a session id of 33 bytes");
	make(LITERAL(both));
	set_number(1, message_len - 4 + 1, 3);
	put("x", 1);
	is_refused(TLS_ALERT_DECODE_ERROR, "lengths", "a byte behind the extensions");
}

static void
records(void)
{
	ok(read_bytes(LITERAL("G")) == CLIENT_HELLO_NOT_TLS, "HTTP");
	ok(read_bytes(LITERAL("\x16\x02")) == CLIENT_HELLO_NOT_TLS, "SSL 2 is none");
	ok(read_bytes(LITERAL("\x80\x2e\x01\x03\x01")) == CLIENT_HELLO_NOT_TLS,
	    "nor its ClientHello");
	ok(read_bytes(LITERAL("\x15\x03\x01\x00\x02\x01\x00")) == CLIENT_HELLO_NOT_TLS, "an alert");
	ok(read_bytes(LITERAL("\x16\x03\x01\x00\x00")) == CLIENT_HELLO_MALFORMED &&
		wants.alert == TLS_ALERT_UNEXPECTED_MESSAGE,
	    "an empty record");
	ok(read_bytes(LITERAL("\x16\x03\x01\x40\x01")) == CLIENT_HELLO_MALFORMED &&
		wants.alert == TLS_ALERT_RECORD_OVERFLOW,
	    "a record of 16 KiB and a byte");
	ok(read_bytes(LITERAL("\x16\x03\x01\x40\x00")) == CLIENT_HELLO_MORE, "one of 16 KiB");
	ok(read_bytes(LITERAL("\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x02\x01\x00")) ==
		    CLIENT_HELLO_MALFORMED &&
		wants.alert == TLS_ALERT_UNEXPECTED_MESSAGE,
	    "another record in between");
	ok(read_bytes(LITERAL("\x16\x03\x01\x00\x04\x01\x00\xff\xfd")) == CLIENT_HELLO_MALFORMED &&
		wants.alert == TLS_ALERT_ILLEGAL_PARAMETER,
	    "more than 64 KiB");
	ok(read_bytes(LITERAL("\x16\x03\x01\x00\x04\x01\x00\xff\xfc")) == CLIENT_HELLO_MORE,
	    "64 KiB");
}

/* The longest there may be, in as many pieces as there are bytes. */
static void
large(void)
{
	static char padding[CLIENT_HELLO_MAX];
	size_t      room;

	make(LITERAL(both));
	room = CLIENT_HELLO_MAX - message_len - 4;
	memcpy(padding, both, sizeof both - 1);
	padding[sizeof both - 1] = 0;
	padding[sizeof both] = 21;
	padding[sizeof both + 1] = (char)(room >> 8);
	padding[sizeof both + 2] = (char)room;
	make(span_make(padding, sizeof both - 1 + 4 + room));
	is_number(message_len, CLIENT_HELLO_MAX, "64 KiB");
	cut(16384);
	ok(read_in_pieces(1) == CLIENT_HELLO_WHOLE, "byte by byte");
	is_string(wants.name, "www.example.com", "the name");
	cut(8);
	ok(read_in_pieces(1) == CLIENT_HELLO_WHOLE, "and in 8,192 records");
	cut(1);
	ok(read_in_pieces(1000) == CLIENT_HELLO_MALFORMED &&
		wants.alert == TLS_ALERT_ILLEGAL_PARAMETER,
	    "in 65,536 it is not waited for");
}

int
main(void)
{
	char record[TLS_ALERT_SIZE];

	however_it_is_cut();
	truncated();
	names();
	many_protocols();
	malformed();
	records();
	large();
	client_hello_refuse(TLS_ALERT_UNRECOGNIZED_NAME, record);
	ok(memcmp(record, "\x15\x03\x03\x00\x02\x02\x70", sizeof record) == 0, "an alert");
	return done_testing();
}
