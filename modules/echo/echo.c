/* SPDX-License-Identifier: BSD-2-Clause */
/* echo: give every byte back to the client that sent it. */
#include <weir.h>

static enum weir_verdict
echo_data(struct weir_session *s, struct weir_span in)
{
	return weir_send(s, in);
}

static const struct weir_protocol echo = {
	.data = echo_data,
};

const struct weir_module echo_module = {
	.name     = "echo",
	.protocol = &echo,
};
WEIR_MODULE(echo_module);
