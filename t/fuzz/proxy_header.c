/* SPDX-License-Identifier: BSD-2-Clause */
/* proxy_header: a header is read the same whatever comes behind it and however it is cut;
 * what it says is written, and read as the same again. */
#include "net/proxy_header.h"

#include <string.h>

#include "base/str.h"
#include "target.h"

static void
write_again(const struct proxy_header *h)
{
	struct proxy_header_facts f = { .from = h->from, .to = h->to };
	struct proxy_header       again;
	char                      out[PROXY_HEADER_OUT_MAX];
	bool                      stated;

	for (enum proxy_version v = PROXY_V1; v <= PROXY_V2; v++) {
		stated = h->stated && h->from.family != AF_UNIX;
		must(proxy_header_parse(span_make(out, proxy_header_write(v, &f, out)), &again) ==
		    PROXY_HEADER_WHOLE);
		must(again.stated == stated);
		must(!stated || memcmp(&again.from, &h->from, sizeof h->from) == 0);
		must(!stated || memcmp(&again.to, &h->to, sizeof h->to) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header     h, part;
	enum proxy_header_state state = proxy_header_parse(span_make(data, size), &h), before;

	/* All its parts, at first; then only some, so that long ones do not take long. */
	for (size_t n = 0; n < size; n += n < 256 ? 1 : 97) {
		before = proxy_header_parse(span_make(data, n), &part);
		must(before == PROXY_HEADER_MORE || before == state);
		must(before != PROXY_HEADER_MORE || part.length > n);
		must(before != PROXY_HEADER_WHOLE || (part.length == h.length && h.length <= n));
	}
	must((state == PROXY_HEADER_MALFORMED) == (h.wrong != NULL));
	if (state == PROXY_HEADER_WHOLE) {
		must(h.length > 0 && h.length <= size && h.length <= PROXY_HEADER_MAX);
		write_again(&h);
	}
	return 0;
}
