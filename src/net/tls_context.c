/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_context: an SSL_CTX as all of ours are. */
#include "net/tls_context.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

static bool tls_context_set_protocols(SSL_CTX *, const struct tls_settings *);
static bool tls_context_set_trust(SSL_CTX *, const struct tls *, const struct tls_settings *);
static bool tls_context_set_sessions(SSL_CTX *, struct tls *, const struct tls_settings *);
static bool tls_context_digest(const struct tls *, const struct tls_settings *, unsigned char *out,
    unsigned *size);
static int  tls_context_choose_alpn(SSL *, const unsigned char **, unsigned char *,
    const unsigned char *, unsigned, void *);

SSL_CTX *
tls_context_create(struct tls *t, const struct tls_settings *s)
{
	bool     server = t->role == TLS_SERVER;
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (ctx == NULL)
		return NULL;
	/* Buffers only while there is something in them: 14 KB for an idle session, not 47. */
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	/* The chain is as it stands in its file, and is not searched for among those trusted. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_read_ahead(ctx, 0);
	if (!tls_context_set_protocols(ctx, s) || !tls_context_set_trust(ctx, t, s) ||
	    !tls_context_set_sessions(ctx, t, s)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (t->alpn != NULL && server)
		SSL_CTX_set_alpn_select_cb(ctx, tls_context_choose_alpn, t);
	else if (t->alpn != NULL)
		SSL_CTX_set_alpn_protos(ctx, t->alpn, (unsigned)t->alpn_size);
	if (server)
		tls_staple_enable(ctx, t);
	return ctx;
}

bool
tls_context_add(SSL_CTX *ctx, const struct tls_pair *pair)
{
	/* Each connection would have a copy, of an empty list too. */
	struct stack_st_X509 *chain = sk_X509_num(pair->chain) > 0 ? pair->chain : NULL;

	return SSL_CTX_use_cert_and_key(ctx, pair->leaf, pair->key, chain, 1) == 1;
}

const char *
tls_error_text(void)
{
	unsigned long error = ERR_peek_error();
	const char   *text;

	if (error != 0 && ERR_SYSTEM_ERROR(error))
		text = strerror(ERR_GET_REASON(error));
	else
		text = ERR_reason_error_string(error);
	ERR_clear_error();
	return text != NULL ? text : "it is not known why";
}

static bool
tls_context_set_protocols(SSL_CTX *ctx, const struct tls_settings *s)
{
	int least = s->version12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	int most = s->version13 ? TLS1_3_VERSION : TLS1_2_VERSION;

	return SSL_CTX_set_min_proto_version(ctx, least) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, most) == 1 &&
	    (s->ciphers == NULL || SSL_CTX_set_cipher_list(ctx, s->ciphers) == 1) &&
	    (s->ciphersuites == NULL || SSL_CTX_set_ciphersuites(ctx, s->ciphersuites) == 1) &&
	    (s->groups == NULL || SSL_CTX_set1_groups_list(ctx, s->groups) == 1);
}

static bool
tls_context_set_trust(SSL_CTX *ctx, const struct tls *t, const struct tls_settings *s)
{
	struct stack_st_X509_NAME *issuers;
	int                        mode = SSL_VERIFY_NONE;

	if (t->store == NULL)
		return true;
	SSL_CTX_set1_cert_store(ctx, t->store);
	if (s->verify == TLS_VERIFY_ON)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	else if (s->verify == TLS_VERIFY_OPTIONAL)
		mode = SSL_VERIFY_PEER;
	SSL_CTX_set_verify(ctx, mode, NULL);
	SSL_CTX_set_verify_depth(ctx, (int)s->verify_depth);
	if (t->role == TLS_CLIENT || t->issuers == NULL)
		return true;
	if ((issuers = SSL_dup_CA_list(t->issuers)) == NULL)
		return false;
	SSL_CTX_set_client_CA_list(ctx, issuers);
	return true;
}

/* Sessions are kept by clients alone, as tickets. */
static bool
tls_context_set_sessions(SSL_CTX *ctx, struct tls *t, const struct tls_settings *s)
{
	unsigned char id[EVP_MAX_MD_SIZE];
	unsigned      size;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, (long)(s->ticket_lifetime / 1000));
	if (!s->tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	} else if (t->role == TLS_SERVER)
		tls_tickets_enable(ctx, t);
	if (!tls_context_digest(t, s, id, &size))
		return false;
	return SSL_CTX_set_session_id_context(ctx, id, size) == 1;
}

/* A session is not resumed where it could not have come about: under another name, or when
 * clients are trusted for other reasons by now. */
static bool
tls_context_digest(const struct tls *t, const struct tls_settings *s, unsigned char *out,
    unsigned *size)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool        fine;

	fine = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(digest, s->name, strlen(s->name) + 1) == 1 &&
	    EVP_DigestUpdate(digest, &s->verify, sizeof s->verify) == 1 &&
	    EVP_DigestUpdate(digest, &s->verify_depth, sizeof s->verify_depth) == 1 &&
	    EVP_DigestUpdate(digest, t->trust, sizeof t->trust) == 1 &&
	    EVP_DigestFinal_ex(digest, out, size) == 1;
	EVP_MD_CTX_free(digest);
	return fine;
}

/* The first of ours that the client has; none: it is told so, and that is the end. */
static int
tls_context_choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *length,
    const unsigned char *offered, unsigned size, void *argument)
{
	const struct tls *t = argument;
	unsigned char    *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, length, t->alpn, (unsigned)t->alpn_size, offered,
		size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}
