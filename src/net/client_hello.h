/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client_hello: what a TLS client says first, read without taking part: the name that it
 * wants (SNI, RFC 6066) and the protocols that it offers (ALPN, RFC 7301).
 *
 *	┌──────────────┬──────────────┬──────────────┐
 *	│ record ██████│ record ██████│ record ██████│	RFC 8446, 5.1: as many as it likes
 *	└──────────────┴──────────────┴──────────────┘
 *	        ██████████████████████████		the message: 4, and 4.1.2
 *
 * Pure functions over bytes. Each byte is looked at twice at most, however few come at a
 * time: by records as they come, and once when the message is whole.
 */
#ifndef NET_CLIENT_HELLO_H
#define NET_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

#define CLIENT_HELLO_MAX     65536u	/* bytes of the message, its head included */
#define CLIENT_HELLO_RAW_MAX 131072u	/* of its records */

#define CLIENT_HELLO_NAME_MAX 256u	/* with a NUL */
#define CLIENT_HELLO_ALPN_MAX 1024u	/* what is offered beyond that is not seen */

/* Alerts of RFC 8446, 6. */
enum tls_alert {
	TLS_ALERT_UNEXPECTED_MESSAGE = 10,
	TLS_ALERT_RECORD_OVERFLOW    = 22,
	TLS_ALERT_ILLEGAL_PARAMETER  = 47,
	TLS_ALERT_DECODE_ERROR       = 50,
	TLS_ALERT_UNRECOGNIZED_NAME  = 112,
};

#define TLS_ALERT_SIZE 7u	/* bytes of a record with a fatal one */

enum client_hello_state {
	CLIENT_HELLO_MORE,
	CLIENT_HELLO_WHOLE,
	CLIENT_HELLO_NOT_TLS,
	CLIENT_HELLO_MALFORMED,
};

/* How far it has been read; zeroed when a client begins. */
struct client_hello {
	uint32_t at;		/* bytes: where a record begins that was not whole */
	uint32_t have;		/* of the message, in front of it */
	uint32_t length;	/* of the message; 0: not known */
};

/* What stands in one. */
struct client_hello_wants {
	char           name[CLIENT_HELLO_NAME_MAX];	/* in lower case, without a dot at its end;
							   empty: none */
	uint8_t        alpn[CLIENT_HELLO_ALPN_MAX];	/* names, a byte of length before each */
	size_t         alpn_len;
	enum tls_alert alert;				/* MALFORMED: what the client is told */
	const char    *wrong;				/* MALFORMED: a phrase */
};

/* in: all that has come, from the first byte on. */
enum client_hello_state client_hello_read(struct client_hello *, struct weir_span in,
    struct client_hello_wants *);

/* The name at `at` of wants->alpn, or the first one (0); moves behind it. An empty span:
 * there is no other. */
struct weir_span client_hello_protocol(const struct client_hello_wants *, size_t *at);

/* Whether bytes begin as one does: with the head of a record. */
bool client_hello_is_near(struct weir_span);

/* A record with that alert, fatal. */
void client_hello_refuse(enum tls_alert, char record[TLS_ALERT_SIZE]);

#endif
