/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_conn: the state of one connection; private to net/tls. */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H

#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls.h"

/* Why it has ended, when it was not OpenSSL that said so. */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_LIBRARY,
	TLS_FAULT_TRUNCATED,
	TLS_FAULT_GREEDY,
	TLS_FAULT_BARREN,
	TLS_FAULT_SYSTEM,
};

struct tls_conn {
	struct transport transport;
	struct tls      *context;
	SSL             *ssl;		/* NULL: the handshake has not begun */
	struct buf      *in;		/* begins with a record; not yet asked for */
	struct buf      *out;		/* the socket has not taken it */
	struct tls_session **newest;	/* where sessions are kept; NULL: they are not */
	SSL_SESSION     *session;	/* that it had last; held: its address is its own */
	uint32_t         error;		/* OpenSSL's, of TLS_FAULT_LIBRARY */
	uint32_t         records;	/* written with this key */
	uint32_t         sent_at;	/* low bits of loop_now */
	uint16_t         small;		/* bytes that go in small records */
	uint16_t         failure;	/* errno of all that comes; 0: none */
	uint16_t         verified;	/* X509_V_* of a certificate that was refused */
	uint8_t          state;		/* enum tls_state */
	uint8_t          fault;		/* enum tls_fault */
	uint8_t          barren;	/* records that came without data since there was some */
	bool             started : 1;	/* a client's first message is on its way */
	bool             heard : 1;	/* something has come */
	bool             ended : 1;	/* close_notify has come */
	bool             told : 1;	/* ours has gone */
	bool             given : 1;	/* a session has come that it may be resumed by */
};

static inline struct tls_conn *
tls_conn_of(const struct conn *c)
{
	return (struct tls_conn *)(uintptr_t)c->transport;
}

/* Before any session. -1: memory is short. */
int tls_sessions_start(void) __attribute__((warn_unused_result));

/* It may have been given another session. */
void tls_session_note(struct tls_conn *);

/* Whether one may be resumed: it is no older than ticket_lifetime, nor has the certificate
 * expired that was looked at when it began. */
bool tls_session_is_good(struct tls_session *, const struct tls *);

/* Its transport's `explain`. */
const char *tls_fault_explain(const struct conn *);

#endif
