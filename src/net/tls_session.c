/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_session: what a client keeps of a connection, so that the next one costs less. */
#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls_conn.h"
#include "net/tls_context.h"

static int tls_session_came(SSL *, SSL_SESSION *);

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

	t->newest = newest;
	SSL_set_app_data(t->ssl, t);
}

/* The library's own store would hold them by the context, not by the server. */
void
tls_sessions_enable(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx,
	    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(ctx, tls_session_came);
}

/* At the end of a handshake (TLS 1.2) or with what is read behind it (1.3). Returns 1 when
 * the session has become ours. */
static int
tls_session_came(SSL *ssl, SSL_SESSION *session)
{
	struct tls_conn *t = SSL_get_app_data(ssl);

	if (t == NULL || t->newest == NULL || SSL_SESSION_is_resumable(session) != 1)
		return 0;
	tls_session_free(*t->newest);
	*t->newest = (struct tls_session *)(void *)session;
	return 1;
}
