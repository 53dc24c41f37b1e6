/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_session: what a client keeps of a connection, so that the next one costs less. */
#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls_conn.h"

struct tls_session *
tls_session_take(struct conn *c)
{
	struct tls_conn *t = tls_conn_of(c);
	SSL_SESSION     *session;

	if (t->state != TLS_DONE || (session = SSL_get1_session(t->ssl)) == NULL)
		return NULL;
	if (SSL_SESSION_is_resumable(session) != 1) {
		SSL_SESSION_free(session);
		return NULL;
	}
	return (struct tls_session *)(void *)session;
}

void
tls_session_free(struct tls_session *session)
{
	SSL_SESSION_free((SSL_SESSION *)(void *)session);
}

void
tls_session_keep(struct conn *c, struct tls_session **newest)
{
	struct tls_conn *t = tls_conn_of(c);

	if ((SSL_get_options(t->ssl) & SSL_OP_NO_TICKET) != 0)
		return;
	t->newest = newest;
	t->session = SSL_get1_session(t->ssl);
}

/* One comes at the end of a handshake (TLS 1.2), or with what is read behind it (1.3), of
 * which two may have come by then. With the library's callback those that come on a
 * connection that was itself resumed would be marked as not resumable (OpenSSL 3.0,
 * ssl_session_dup). */
void
tls_session_note(struct tls_conn *t)
{
	SSL_SESSION *session = t->newest != NULL ? SSL_get_session(t->ssl) : NULL;

	if (session == NULL || session == t->session || SSL_SESSION_is_resumable(session) != 1)
		return;
	SSL_SESSION_free(t->session);
	t->session = SSL_get1_session(t->ssl);
	SSL_SESSION_up_ref(session);
	tls_session_free(*t->newest);
	*t->newest = (struct tls_session *)(void *)session;
}
