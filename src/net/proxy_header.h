/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy_header: the PROXY protocol, with which one proxy tells the next whose bytes
 * these are. Version 1 is a line, version 2 is binary; one of them stands in front of
 * all else, even of TLS. doc/proxy-protocol.txt of HAProxy is the specification.
 *
 * Pure functions over bytes.
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "weir.h"

/* Longest that is read, in bytes. With all its extensions a header has a few hundred;
 * one that carries a client's certificate has some thousand. */
#define PROXY_HEADER_MAX 16384u

/* Longest that is written. */
#define PROXY_HEADER_OUT_MAX 1536u

enum proxy_header_state {
	PROXY_HEADER_MORE,
	PROXY_HEADER_WHOLE,
	PROXY_HEADER_MALFORMED,
};

/* What stands in one. */
struct proxy_header {
	size_t             length;	/* bytes; MORE: how long it may be, for all that is known */
	bool               stated;	/* false (LOCAL, UNKNOWN …): those of the socket hold */
	struct addr_packed from;	/* the client */
	struct addr_packed to;		/* what it had connected to */
	const char        *wrong;	/* MALFORMED: a phrase */
};

/* Reads the header at the beginning of `in`, of either version. Costs nothing while MORE
 * is answered, however often it is asked. */
enum proxy_header_state proxy_header_parse(struct weir_span in, struct proxy_header *);

enum proxy_version { PROXY_OFF, PROXY_V1, PROXY_V2 };

/* How the client's TLS came to be; a null pointer or an empty span: not known. */
struct proxy_header_tls {
	const char      *version;	/* "TLSv1.3" */
	const char      *cipher;
	const char      *name;		/* the common name in the client's certificate, UTF-8 */
	struct weir_span server_name;	/* that it asked for */
	struct weir_span protocol;	/* that was agreed on (ALPN) */
	bool             certificate;	/* it has shown one … */
	bool             verified;	/* … that is good */
	bool             resumed;	/* it has shown it on an earlier connection */
};

struct proxy_header_facts {
	struct addr_packed             from;
	struct addr_packed             to;	/* family 0: not known */
	struct weir_span               id;	/* PP2_TYPE_UNIQUE_ID, at most 128 bytes */
	const struct proxy_header_tls *tls;	/* NULL: it came without */
};

/* Writes one. Returns its bytes. Of others than IP addresses it says that they are not
 * known (UNKNOWN, LOCAL); extensions for which there is no room are left out. */
size_t proxy_header_write(enum proxy_version, const struct proxy_header_facts *,
    char out[PROXY_HEADER_OUT_MAX]);

#endif
