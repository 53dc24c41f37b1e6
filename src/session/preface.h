/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preface: what a peer is told of a client before the client's bytes: a PROXY header.
 *
 *	from	the session's client, whoever has said who that is
 *	to	what a header has said that it connected to; else our end of its connection
 *	id	"GENERATION.NUMBER@MS": as the log has the session, and when it began
 *	TLS	what has been agreed on with it, where TLS ends here (version 2)
 */
#ifndef SESSION_PREFACE_H
#define SESSION_PREFACE_H

#include <stddef.h>

#include "net/proxy_header.h"

struct weir_session;

/* Returns its bytes. */
size_t preface_write(const struct weir_session *, enum proxy_version,
    char out[PROXY_HEADER_OUT_MAX]);

#endif
