/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_session: what a client keeps of a connection, so that the next one costs less. */
#include <stdint.h>
#include <time.h>

#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls_conn.h"
#include "net/tls_context.h"

static void tls_session_date(SSL_SESSION *);

/* Of what a session carries beside OpenSSL's own: when it has begun. */
static int begin_index = -1;

int
tls_sessions_start(void)
{
	if (begin_index < 0)
		begin_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return begin_index < 0 ? -1 : 0;
}

bool
tls_session_is_good(struct tls_session *session, const struct tls *context)
{
	SSL_SESSION *s = (SSL_SESSION *)(void *)session;
	const X509  *shown = SSL_SESSION_get0_peer(s);
	time_t       begin = (time_t)(intptr_t)SSL_SESSION_get_ex_data(s, begin_index);

	return time(NULL) < begin + SSL_CTX_get_timeout(context->ssl) &&
	    (shown == NULL ||
		(time(NULL) < context->crl_until &&
		    X509_cmp_time(X509_get0_notAfter(shown), NULL) > 0));
}

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
	tls_session_date(session);
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

bool
tls_session_came(const struct conn *c)
{
	const struct tls_conn *t = tls_conn_of(c);

	return t->newest == NULL || t->given;
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
	t->given = true;
	tls_session_date(session);
	SSL_SESSION_free(t->session);
	t->session = SSL_get1_session(t->ssl);
	SSL_SESSION_up_ref(session);
	tls_session_free(*t->newest);
	*t->newest = (struct tls_session *)(void *)session;
}

/* With each ticket comes a copy, which has the date of the one before: so whoever resumes
 * looks at the certificate again at some time. */
static void
tls_session_date(SSL_SESSION *session)
{
	if (SSL_SESSION_get_ex_data(session, begin_index) == NULL)
		SSL_SESSION_set_ex_data(session, begin_index, (void *)(intptr_t)time(NULL));
}
