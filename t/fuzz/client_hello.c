/* SPDX-License-Identifier: BSD-2-Clause */
/* client_hello: read the same at once and in pieces, of which the first byte of the input
 * says how long they are. */
#include "net/client_hello.h"

#include <string.h>

#include "base/str.h"
#include "target.h"

static void
check(const struct client_hello_wants *w)
{
	size_t at = 0, before = 0;

	must(memchr(w->name, '\0', sizeof w->name) != NULL);
	for (const char *p = w->name; *p != '\0'; p++)
		must(*p > ' ' && *p <= '~' && !(*p >= 'A' && *p <= 'Z'));
	must(w->alpn_len <= sizeof w->alpn);
	while (client_hello_protocol(w, &at).len > 0) {
		must(at > before && at <= w->alpn_len);
		before = at;
	}
	must(at == w->alpn_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_hello       whole = { 0 }, pieces = { 0 };
	struct client_hello_wants w, p;
	enum client_hello_state   state, now = CLIENT_HELLO_MORE;
	size_t                    step, n = 0;

	if (size == 0)
		return 0;
	step = (size_t)data[0] + 1;
	data++;
	size--;
	state = client_hello_read(&whole, span_make(data, size), &w);
	do {
		n = size - n < step ? size : n + step;
		now = client_hello_read(&pieces, span_make(data, n), &p);
	} while (now == CLIENT_HELLO_MORE && n < size);
	must(now == state);
	must((state == CLIENT_HELLO_MALFORMED) == (w.wrong != NULL));
	if (state == CLIENT_HELLO_WHOLE) {
		check(&w);
		must(strcmp(w.name, p.name) == 0 && w.alpn_len == p.alpn_len);
		must(memcmp(w.alpn, p.alpn, w.alpn_len) == 0);
	}
	return 0;
}
