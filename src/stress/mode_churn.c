/* SPDX-License-Identifier: BSD-2-Clause */
/* mode_churn: a connection for each request. */
#include "stress/mode_line.h"

const struct mode mode_churn = {
	.name    = "churn",
	.help    = "connect, a line and its reply, close, again and again",
	.paced   = true,
	.fresh   = true,
	.takes   = "nsRF",
	.check   = stress_line_check,
	.request = stress_line_request,
	.reply   = stress_line_reply,
};
