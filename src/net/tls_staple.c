/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_staple: OCSP responses from files, stapled to the certificates that they speak of. */
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "net/tls_context.h"

#define STAPLE_MOST 65536u	/* bytes */

static const char *tls_staple_check(struct tls_pair *, const char **warning);
static OCSP_SINGLERESP *tls_staple_find(OCSP_BASICRESP *, const struct tls_pair *);
static bool tls_staple_is_of(const OCSP_CERTID *, const struct tls_pair *);
static const char *tls_staple_check_single(struct tls_pair *, OCSP_SINGLERESP *,
    const char **warning);
static int tls_staple_send(SSL *, void *);

const char *
tls_staple_load(struct tls_pair *pair, struct weir_span response, const char **warning)
{
	*warning = NULL;
	if (response.len > STAPLE_MOST ||
	    (pair->ocsp = OPENSSL_memdup(response.data, response.len)) == NULL)
		return "no OCSP response in DER";
	pair->ocsp_size = response.len;
	return tls_staple_check(pair, warning);
}

void
tls_staple_enable(SSL_CTX *ctx, struct tls *t)
{
	SSL_CTX_set_tlsext_status_cb(ctx, tls_staple_send);
	SSL_CTX_set_tlsext_status_arg(ctx, t);
}

void
tls_staple_release(SSL *ssl)
{
	unsigned char *response;

	if (SSL_get_tlsext_status_ocsp_resp(ssl, &response) > 0)
		SSL_set_tlsext_status_ocsp_resp(ssl, NULL, 0);
}

static const char *
tls_staple_check(struct tls_pair *pair, const char **warning)
{
	const unsigned char *at = pair->ocsp;
	OCSP_RESPONSE       *response = d2i_OCSP_RESPONSE(NULL, &at, (long)pair->ocsp_size);
	OCSP_BASICRESP      *basic = NULL;
	OCSP_SINGLERESP     *single;
	const char          *wrong;

	if (response == NULL)
		wrong = "no OCSP response in DER";
	else if (at != pair->ocsp + pair->ocsp_size)
		wrong = "there is something behind the OCSP response";
	else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		wrong = OCSP_response_status_str(OCSP_response_status(response));
	else if ((basic = OCSP_response_get1_basic(response)) == NULL)
		wrong = "no OCSP response of a kind that is known";
	else if ((single = tls_staple_find(basic, pair)) == NULL)
		wrong = "it does not speak of this certificate";
	else
		wrong = tls_staple_check_single(pair, single, warning);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return wrong;
}

/* What it says of a certificate. */
static OCSP_SINGLERESP *
tls_staple_find(OCSP_BASICRESP *basic, const struct tls_pair *pair)
{
	OCSP_SINGLERESP *single;

	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		single = OCSP_resp_get0(basic, i);
		if (tls_staple_is_of(OCSP_SINGLERESP_get0_id(single), pair))
			return single;
	}
	return NULL;
}

/* By the serial number and the issuer's name; by the issuer's key, too, where the chain has it. */
static bool
tls_staple_is_of(const OCSP_CERTID *id, const struct tls_pair *pair)
{
	const X509        *leaf = pair->leaf;
	X509              *issuer = NULL;
	ASN1_OCTET_STRING *name, *key;
	ASN1_OBJECT       *kind;
	ASN1_INTEGER      *serial;
	const EVP_MD      *digest;
	unsigned char      hash[EVP_MAX_MD_SIZE];
	unsigned           size;

	if (OCSP_id_get0_info(&name, &kind, &key, &serial, (OCSP_CERTID *)(uintptr_t)id) != 1 ||
	    ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0 ||
	    (digest = EVP_get_digestbyobj(kind)) == NULL)
		return false;
	if (X509_NAME_digest(X509_get_issuer_name(leaf), digest, hash, &size) != 1 ||
	    ASN1_STRING_length(name) != (int)size ||
	    memcmp(ASN1_STRING_get0_data(name), hash, size) != 0)
		return false;
	if (sk_X509_num(pair->chain) > 0)
		issuer = sk_X509_value(pair->chain, 0);
	if (issuer == NULL || X509_check_issued(issuer, (X509 *)(uintptr_t)leaf) != X509_V_OK)
		return true;
	return X509_pubkey_digest(issuer, digest, hash, &size) == 1 &&
	    ASN1_STRING_length(key) == (int)size &&
	    memcmp(ASN1_STRING_get0_data(key), hash, size) == 0;
}

static const char *
tls_staple_check_single(struct tls_pair *pair, OCSP_SINGLERESP *single, const char **warning)
{
	ASN1_GENERALIZEDTIME *since, *until = NULL;
	struct tm             tm;
	int                   reason, status;

	status = OCSP_single_get0_status(single, &reason, NULL, &since, &until);
	pair->ocsp_until = INT64_MAX;
	if (until != NULL && ASN1_TIME_to_tm(until, &tm) == 1)
		pair->ocsp_until = timegm(&tm);
	if (status == V_OCSP_CERTSTATUS_REVOKED)
		*warning = "it says that the certificate is revoked";
	else if (pair->ocsp_until <= time(NULL))
		*warning = "it is out of date, so it is not stapled: fetch a new one and reload";
	return NULL;
}

static int
tls_staple_send(SSL *ssl, void *argument)
{
	const struct tls      *t = argument;
	const X509            *leaf = SSL_get_certificate(ssl);
	const struct tls_pair *pair;
	unsigned char         *copy;

	for (unsigned i = 0; i < t->pair_count; i++) {
		pair = &t->pairs[i];
		if (pair->leaf != leaf)
			continue;
		if (pair->ocsp == NULL || pair->ocsp_until <= time(NULL) ||
		    (copy = OPENSSL_memdup(pair->ocsp, pair->ocsp_size)) == NULL)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)pair->ocsp_size);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}
