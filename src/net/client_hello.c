/* SPDX-License-Identifier: BSD-2-Clause */
/* client_hello: name and protocols of a TLS client, out of its first message. */
#include "net/client_hello.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

#define RECORD_HEAD   5u
#define RECORD_MAX    16384u	/* bytes behind its head: a plaintext */
#define MESSAGE_HEAD  4u
#define RANDOM_SIZE   32u
#define SESSION_MAX   32u

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
enum { MESSAGE_CLIENT_HELLO = 1 };
enum { EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16 };
enum { NAME_HOST = 0 };

/* Reads a message across its records, whose heads it leaves out. */
struct cursor {
	const uint8_t *at;
	size_t         in_record;	/* bytes from `at` to the record's end */
	size_t         left;		/* bytes of the vector that is being read */
	bool           failed;		/* one was longer than what it stands in */
};

static enum client_hello_state hello_malformed(struct client_hello_wants *, enum tls_alert,
    const char *why);
static enum client_hello_state hello_gather(struct client_hello *, struct weir_span in,
    struct client_hello_wants *);
static enum client_hello_state hello_check_record(const uint8_t *at, size_t len,
    struct client_hello_wants *);
static void hello_note_length(struct client_hello *, struct weir_span in, size_t have);
static enum client_hello_state hello_parse(const struct client_hello *, struct weir_span in,
    struct client_hello_wants *);
static bool hello_parse_extensions(struct cursor *, struct client_hello_wants *);
static bool hello_parse_server_name(struct cursor *, struct client_hello_wants *);
static bool hello_take_name(struct cursor *, size_t len, struct client_hello_wants *);
static void hello_parse_alpn(struct cursor *, struct client_hello_wants *);

enum client_hello_state
client_hello_read(struct client_hello *h, struct weir_span in, struct client_hello_wants *w)
{
	enum client_hello_state state;

	w->name[0] = '\0';
	w->alpn_len = 0;
	w->wrong = NULL;
	state = hello_gather(h, in, w);
	return state == CLIENT_HELLO_WHOLE ? hello_parse(h, in, w) : state;
}

struct weir_span
client_hello_protocol(const struct client_hello_wants *w, size_t *at)
{
	size_t           begin = *at;
	struct weir_span name;

	if (begin >= w->alpn_len)
		return span_make(NULL, 0);
	name = span_make(&w->alpn[begin + 1], w->alpn[begin]);
	*at = begin + 1 + name.len;
	return name;
}

bool
client_hello_is_near(struct weir_span in)
{
	const uint8_t *at = (const uint8_t *)in.data;

	return in.len >= 3 && at[0] == RECORD_HANDSHAKE && at[1] == 3 && at[2] <= 4;
}

void
client_hello_refuse(enum tls_alert alert, char record[TLS_ALERT_SIZE])
{
	const uint8_t bytes[TLS_ALERT_SIZE] = { RECORD_ALERT, 3, 3, 0, 2, 2, (uint8_t)alert };

	memcpy(record, bytes, sizeof bytes);
}

static enum client_hello_state
hello_malformed(struct client_hello_wants *w, enum tls_alert alert, const char *why)
{
	w->alert = alert;
	w->wrong = why;
	return CLIENT_HELLO_MALFORMED;
}

/* ------------------------------------------------------------------- records */

/* Goes on from record to record, until they hold the message. */
static enum client_hello_state
hello_gather(struct client_hello *h, struct weir_span in, struct client_hello_wants *w)
{
	const uint8_t          *at;
	size_t                  left, len, here;
	enum client_hello_state state;

	for (;;) {
		at = (const uint8_t *)in.data + h->at;
		left = in.len - h->at;
		if (left == 0)
			break;
		state = hello_check_record(at, left, w);
		if (state == CLIENT_HELLO_NOT_TLS && h->at > 0)
			return hello_malformed(w, TLS_ALERT_UNEXPECTED_MESSAGE,
			    "the ClientHello is broken off by another record");
		if (state != CLIENT_HELLO_WHOLE)
			return state;
		len = (size_t)at[3] << 8 | at[4];
		here = left - RECORD_HEAD < len ? left - RECORD_HEAD : len;
		hello_note_length(h, in, h->have + here);
		if (h->have == 0 && here > 0 && at[RECORD_HEAD] != MESSAGE_CLIENT_HELLO)
			return hello_malformed(w, TLS_ALERT_UNEXPECTED_MESSAGE,
			    "what the client sends first is no ClientHello");
		if (h->length > CLIENT_HELLO_MAX)
			return hello_malformed(w, TLS_ALERT_ILLEGAL_PARAMETER,
			    "the ClientHello is longer than 64 KiB");
		if (h->length > 0 && h->have + here >= h->length)
			return CLIENT_HELLO_WHOLE;
		if (here < len)
			break;
		h->at += (uint32_t)(RECORD_HEAD + len);
		h->have += (uint32_t)len;
	}
	if (in.len >= CLIENT_HELLO_RAW_MAX)
		return hello_malformed(w, TLS_ALERT_ILLEGAL_PARAMETER,
		    "the ClientHello is cut into too many records");
	return CLIENT_HELLO_MORE;
}

/* Of a record's head: WHOLE, when it is there and right. */
static enum client_hello_state
hello_check_record(const uint8_t *at, size_t len, struct client_hello_wants *w)
{
	size_t size;

	if (at[0] != RECORD_HANDSHAKE || (len > 1 && at[1] != 3))
		return CLIENT_HELLO_NOT_TLS;
	if (len < RECORD_HEAD)
		return CLIENT_HELLO_MORE;
	size = (size_t)at[3] << 8 | at[4];
	if (size == 0)
		return hello_malformed(w, TLS_ALERT_UNEXPECTED_MESSAGE,
		    "the ClientHello has an empty record");
	if (size > RECORD_MAX)
		return hello_malformed(w, TLS_ALERT_RECORD_OVERFLOW,
		    "the ClientHello has a record of more than 16 KiB");
	return CLIENT_HELLO_WHOLE;
}

static void
cursor_begin(struct cursor *c, struct weir_span in, size_t left)
{
	*c = (struct cursor){ .at = (const uint8_t *)in.data, .left = left };
}

static uint8_t
cursor_u8(struct cursor *c)
{
	if (c->failed || c->left == 0) {
		c->failed = true;
		return 0;
	}
	if (c->in_record == 0) {
		c->in_record = (size_t)c->at[3] << 8 | c->at[4];
		c->at += RECORD_HEAD;
	}
	c->in_record--;
	c->left--;
	return *c->at++;
}

static size_t
cursor_u16(struct cursor *c)
{
	size_t high = cursor_u8(c);

	return high << 8 | cursor_u8(c);
}

static void
cursor_skip(struct cursor *c, size_t n)
{
	size_t here;

	if (c->failed || n > c->left) {
		c->failed = true;
		return;
	}
	for (; n > 0; n -= here) {
		if (c->in_record == 0) {
			c->in_record = (size_t)c->at[3] << 8 | c->at[4];
			c->at += RECORD_HEAD;
		}
		here = n < c->in_record ? n : c->in_record;
		c->at += here;
		c->in_record -= here;
		c->left -= here;
	}
}

/* Its next n bytes become all that is left. Returns what is left behind them, for
 * cursor_leave. */
static size_t
cursor_enter(struct cursor *c, size_t n)
{
	size_t behind;

	if (c->failed || n > c->left) {
		c->failed = true;
		return 0;
	}
	behind = c->left - n;
	c->left = n;
	return behind;
}

static void
cursor_leave(struct cursor *c, size_t behind)
{
	cursor_skip(c, c->left);
	c->left = behind;
}

/* The head of the message may be cut, too. have: bytes of the message that are there. */
static void
hello_note_length(struct client_hello *h, struct weir_span in, size_t have)
{
	struct cursor c;
	size_t        length;

	if (h->length > 0 || have < MESSAGE_HEAD)
		return;
	cursor_begin(&c, in, MESSAGE_HEAD);
	cursor_skip(&c, 1);
	length = (size_t)cursor_u8(&c) << 16;
	length |= cursor_u16(&c);
	h->length = (uint32_t)(MESSAGE_HEAD + length);
}

/* ------------------------------------------------------------------- message */

static enum client_hello_state
hello_parse(const struct client_hello *h, struct weir_span in, struct client_hello_wants *w)
{
	struct cursor c;
	size_t        size;

	cursor_begin(&c, in, h->length);
	cursor_skip(&c, MESSAGE_HEAD);
	if (cursor_u8(&c) != 3)
		c.failed = true;
	cursor_skip(&c, 1 + RANDOM_SIZE);
	if ((size = cursor_u8(&c)) > SESSION_MAX)
		c.failed = true;
	cursor_skip(&c, size);
	if ((size = cursor_u16(&c)) < 2 || size % 2 != 0)
		c.failed = true;
	cursor_skip(&c, size);
	if ((size = cursor_u8(&c)) < 1)
		c.failed = true;
	cursor_skip(&c, size);
	if (!c.failed && c.left == 0)
		return CLIENT_HELLO_WHOLE;	/* TLS 1.2 may have none */
	if (cursor_u16(&c) != c.left)
		c.failed = true;
	if (!c.failed && !hello_parse_extensions(&c, w))
		return CLIENT_HELLO_MALFORMED;
	if (c.failed)
		return hello_malformed(w, TLS_ALERT_DECODE_ERROR,
		    "the ClientHello has lengths that do not fit together");
	return CLIENT_HELLO_WHOLE;
}

/* False: one of them has been found to be malformed in another way than by its lengths,
 * which the cursor tells. */
static bool
hello_parse_extensions(struct cursor *c, struct client_hello_wants *w)
{
	bool   named = false, offers = false;
	size_t type, behind;

	while (!c->failed && c->left > 0) {
		type = cursor_u16(c);
		behind = cursor_enter(c, cursor_u16(c));
		if (c->failed)
			break;
		if ((type == EXTENSION_SERVER_NAME && named) ||
		    (type == EXTENSION_ALPN && offers)) {
			hello_malformed(w, TLS_ALERT_ILLEGAL_PARAMETER,
			    "the ClientHello has an extension twice");
			return false;
		}
		named |= type == EXTENSION_SERVER_NAME;
		offers |= type == EXTENSION_ALPN;
		if (type == EXTENSION_SERVER_NAME && !hello_parse_server_name(c, w))
			return false;
		if (type == EXTENSION_ALPN)
			hello_parse_alpn(c, w);
		cursor_leave(c, behind);
	}
	return true;
}

/* A list of names of several kinds, of which there has only ever been one. */
static bool
hello_parse_server_name(struct cursor *c, struct client_hello_wants *w)
{
	bool    found = false;
	uint8_t type;
	size_t  len;

	if ((len = cursor_u16(c)) != c->left || len == 0)
		c->failed = true;
	while (!c->failed && c->left > 0) {
		type = cursor_u8(c);
		len = cursor_u16(c);
		if (type != NAME_HOST) {
			cursor_skip(c, len);
			continue;
		}
		if (found) {
			hello_malformed(w, TLS_ALERT_ILLEGAL_PARAMETER,
			    "the ClientHello has two host names");
			return false;
		}
		found = true;
		if (!hello_take_name(c, len, w))
			return false;
	}
	return true;
}

/* What stands in logs and is compared with a configuration's names: visible ASCII. */
static bool
hello_take_name(struct cursor *c, size_t len, struct client_hello_wants *w)
{
	bool    good = len > 0 && len < CLIENT_HELLO_NAME_MAX;
	uint8_t letter;

	if (c->failed || len > c->left) {
		c->failed = true;
		return true;
	}
	for (size_t i = 0; good && i < len; i++) {
		letter = cursor_u8(c);
		good = letter > ' ' && letter <= '~';
		if (letter >= 'A' && letter <= 'Z')
			letter = (uint8_t)(letter + ('a' - 'A'));
		w->name[i] = (char)letter;
		w->name[i + 1] = '\0';
	}
	if (!good) {
		w->name[0] = '\0';
		hello_malformed(w, TLS_ALERT_UNRECOGNIZED_NAME,
		    "the ClientHello has a host name that cannot be one");
		return false;
	}
	if (len > 1 && w->name[len - 1] == '.')
		w->name[len - 1] = '\0';
	return true;
}

static void
hello_parse_alpn(struct cursor *c, struct client_hello_wants *w)
{
	size_t len;
	bool   fits = true;

	if ((len = cursor_u16(c)) != c->left || len == 0)
		c->failed = true;
	while (!c->failed && c->left > 0) {
		len = cursor_u8(c);
		fits = fits && w->alpn_len + 1 + len <= CLIENT_HELLO_ALPN_MAX;
		if (len == 0 || len > c->left)
			c->failed = true;
		else if (!fits)
			cursor_skip(c, len);
		else {
			w->alpn[w->alpn_len++] = (uint8_t)len;
			while (len-- > 0)
				w->alpn[w->alpn_len++] = cursor_u8(c);
		}
	}
}
