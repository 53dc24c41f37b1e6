/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_context: what the files of net/tls share; private to them. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_names;

/* A pair of certificate and key, with its chain. */
struct tls_pair {
	X509                 *leaf;
	struct stack_st_X509 *chain;	/* without the leaf */
	EVP_PKEY             *key;
	unsigned char        *ocsp;	/* DER; NULL: nothing to staple … */
	size_t                ocsp_size;
	int64_t               ocsp_until;	/* … from this time on, in seconds since 1970 */
};

struct tls {
	struct tls       *next;		/* of all */
	enum tls_role     role;
	SSL_CTX          *ssl;		/* of the default certificate, and of a client */
	struct tls_pair  *pairs;
	unsigned          pair_count;
	struct tls_names *names;	/* contexts for other names; NULL: there is one for all */
	X509_STORE       *store;	/* whom to trust; shared by all of them */
	struct stack_st_X509_NAME *issuers;	/* a server's, whom clients are told of */
	unsigned char     trust[32];	/* SHA-256 of ca and crl */
	int64_t           crl_until;	/* seconds since 1970: a list is out of date */
	unsigned char    *alpn;		/* as on the wire */
	size_t            alpn_size;
	enum tls_verify   verify;
};

/* An SSL_CTX like the first one, without certificates. NULL: OpenSSL's error queue says
 * why. */
SSL_CTX *tls_context_create(struct tls *, const struct tls_settings *);

/* Puts one in. False: the same. */
bool tls_context_add(SSL_CTX *, const struct tls_pair *);

/* The context for a name that a client asks for; NULL: the default one. */
SSL_CTX *tls_names_find(const struct tls_names *, const char *name);

/* Makes contexts for all names of the certificates, and sets tls.ssl to the one of the first
 * certificate. A name that two certificates of the same kind of key have belongs to the
 * first, which is said. NULL: OpenSSL's error queue, or nothing, says why not. */
struct tls_names *tls_names_create(struct tls *, const struct tls_settings *, tls_say *,
    void *context);
void tls_names_destroy(struct tls_names *);

/* Tickets for a context, of tls_ticket_keys_set. */
void tls_tickets_enable(SSL_CTX *, struct tls *);
void tls_tickets_stop(void);

/* Takes an OCSP response for the pair. Returns NULL, or what is wrong with it; a warning, or
 * NULL, in *warning. */
const char *tls_staple_load(struct tls_pair *, struct weir_span, const char **warning);

/* Staples for whoever asks for them. */
void tls_staple_enable(SSL_CTX *, struct tls *);

/* After a handshake: what was stapled need not stay. */
void tls_staple_release(SSL *);

/* So much has been freed in small pieces: given back to the system once it is worth it. */
void tls_trim_start(void);
void tls_trim_note(size_t bytes);

/* The reason of the oldest error in OpenSSL's queue, which is emptied; never NULL. */
const char *tls_error_text(void);

#endif
