/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls_ticket: session tickets, made and read with keys that all workers have.
 *
 * A ticket is what a server would have to remember of a session, encrypted, and kept by
 * the client: so whichever worker it comes back to can go on with it.
 */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "net/tls_context.h"

#define NAME_SIZE   16u
#define SECRET_SIZE 32u

/* A page of its own, which is in no core file; NULL: there is none yet. */
static struct tls_ticket_keys *ring;
static EVP_CIPHER            *cipher;	/* fetched once: fetching costs more than encrypting */

static int tls_ticket_make(const unsigned char *key, unsigned char *iv, EVP_CIPHER_CTX *,
    EVP_MAC_CTX *);
static int tls_ticket_read(const unsigned char *key, const unsigned char *iv, EVP_CIPHER_CTX *,
    EVP_MAC_CTX *);
static int tls_ticket_use(SSL *, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *,
    EVP_MAC_CTX *, int make);
static bool tls_ticket_make_ring(void);
static bool tls_ticket_set_mac(const unsigned char *key, EVP_MAC_CTX *);
static int tls_ticket_note_begin(SSL *, void *);
static SSL_TICKET_RETURN tls_ticket_judge(SSL *, SSL_SESSION *, const unsigned char *, size_t,
    SSL_TICKET_STATUS, void *);
static bool tls_ticket_is_over(const SSL *, SSL_SESSION *, const struct tls *);

void
tls_ticket_keys_set(const struct tls_ticket_keys *keys)
{
	if (!tls_ticket_make_ring())
		return;
	OPENSSL_cleanse(ring, sizeof *ring);
	*ring = *keys;
	if (ring->count > TLS_TICKET_KEYS)
		ring->count = TLS_TICKET_KEYS;
}

void
tls_tickets_enable(SSL_CTX *ctx, struct tls *t)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_ticket_use);
	SSL_CTX_set_session_ticket_cb(ctx, tls_ticket_note_begin, tls_ticket_judge, t);
}

void
tls_tickets_stop(void)
{
	if (ring != NULL) {
		OPENSSL_cleanse(ring, sizeof *ring);
		munmap(ring, sizeof *ring);
	}
	ring = NULL;
	EVP_CIPHER_free(cipher);
	cipher = NULL;
}

/* Without one, no ticket is made or known. */
static bool
tls_ticket_make_ring(void)
{
	void *page;

	if (ring != NULL)
		return true;
	page = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return false;
	(void)madvise(page, sizeof *ring, MADV_DONTDUMP);
	ring = page;
	return true;
}

/* OpenSSL's callback: -1 ends the handshake, 0 makes or knows no ticket, 1 does, 2 does
 * and wants the client to have a new one. */
static int
tls_ticket_use(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *ctx,
    EVP_MAC_CTX *mac, int make)
{
	if (cipher == NULL && (cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL)) == NULL)
		return -1;
	if (!tls_ticket_make_ring())
		return 0;
	/* Of its own, until it is given some: a ticket of no bytes is none. */
	if (make && ring->count == 0) {
		if (RAND_bytes(ring->keys[0], sizeof ring->keys[0]) != 1)
			return -1;
		ring->count = 1;
	}
	if (make) {
		memcpy(name, ring->keys[0], NAME_SIZE);
		return tls_ticket_make(ring->keys[0], iv, ctx, mac);
	}
	for (unsigned i = 0; i < ring->count; i++)
		if (memcmp(name, ring->keys[i], NAME_SIZE) == 0) {
			if (tls_ticket_read(ring->keys[i], iv, ctx, mac) != 1)
				return -1;
			/* In 1.3 a ticket serves once: whoever resumes needs another. */
			return i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
		}
	return 0;
}

static int
tls_ticket_make(const unsigned char *key, unsigned char *iv, EVP_CIPHER_CTX *ctx, EVP_MAC_CTX *mac)
{
	if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) != 1 ||
	    EVP_EncryptInit_ex2(ctx, cipher, key + NAME_SIZE + SECRET_SIZE, iv, NULL) != 1 ||
	    !tls_ticket_set_mac(key, mac))
		return -1;
	return 1;
}

static int
tls_ticket_read(const unsigned char *key, const unsigned char *iv, EVP_CIPHER_CTX *ctx,
    EVP_MAC_CTX *mac)
{
	if (!tls_ticket_set_mac(key, mac) ||
	    EVP_DecryptInit_ex2(ctx, cipher, key + NAME_SIZE + SECRET_SIZE, iv, NULL) != 1)
		return -1;
	return 1;
}

static bool
tls_ticket_set_mac(const unsigned char *key, EVP_MAC_CTX *mac)
{
	char             digest[] = "SHA256";
	unsigned char    secret[SECRET_SIZE];
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	bool             set;

	memcpy(secret, key + NAME_SIZE, sizeof secret);
	set = EVP_MAC_CTX_set_params(mac, parameters) == 1;
	OPENSSL_cleanse(secret, sizeof secret);
	return set;
}

/* ------------------------------------------------------------- for how long */

/* In TLS 1.3 each ticket has a time of its own: whoever resumed often enough would never
 * have to show a certificate again. So a ticket says when its session has begun, and all that
 * come of it say the same. */
static int
tls_ticket_note_begin(SSL *ssl, void *argument)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	int64_t      begin = time(NULL);
	void        *noted;
	size_t       size;

	(void)argument;
	if (SSL_SESSION_get0_ticket_appdata(session, &noted, &size) == 1 && size == sizeof begin)
		return 1;
	return SSL_SESSION_set1_ticket_appdata(session, &begin, sizeof begin);
}

static SSL_TICKET_RETURN
tls_ticket_judge(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t size,
    SSL_TICKET_STATUS status, void *argument)
{
	(void)name;
	(void)size;
	if (session == NULL ||
	    (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
	    tls_ticket_is_over(ssl, session, argument))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* By its age, or by that of the certificate that the client has shown, or of the list that says
 * whether it is revoked: without a ticket, such a client would not get in. */
static bool
tls_ticket_is_over(const SSL *ssl, SSL_SESSION *session, const struct tls *t)
{
	const X509 *shown = SSL_SESSION_get0_peer(session);
	int64_t     begin;
	void       *noted;
	size_t      size;

	if (SSL_SESSION_get0_ticket_appdata(session, &noted, &size) != 1 || size != sizeof begin)
		return true;
	memcpy(&begin, noted, sizeof begin);
	if (time(NULL) >= begin + SSL_CTX_get_timeout(SSL_get_SSL_CTX(ssl)))
		return true;
	if (shown == NULL)
		return false;
	return time(NULL) >= t->crl_until || X509_cmp_time(X509_get0_notAfter(shown), NULL) < 0;
}
