/* SPDX-License-Identifier: BSD-2-Clause */
/* stream_proxy: carry every byte between a client and one peer of an upstream. */
#include <weir.h>

static enum weir_verdict
stream_proxy_open(struct weir_session *s)
{
	return weir_relay(s, weir_session_upstream(s), (struct weir_span){ NULL, 0 });
}

static const struct weir_protocol stream = {
	.open  = stream_proxy_open,
	.needs = WEIR_NEEDS_UPSTREAM,
};

const struct weir_module stream_proxy_module = {
	.name     = "stream_proxy",
	.protocol = &stream,
};
WEIR_MODULE(stream_proxy_module);
