/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_fault: what has gone wrong with a connection, in words, and whose fault it is. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "net/tls_conn.h"

static const char *tls_fault_name_alert(int alert);
static const char *tls_fault_advise_certificate(int verified);
static const char *tls_fault_advise_alert(int alert);

const char *
tls_fault_explain(const struct conn *c)
{
	const struct tls_conn *t = tls_conn_of(c);
	static char            text[160];
	int                    reason = ERR_GET_REASON(t->error);
	const char            *words;

	if (t->fault == TLS_FAULT_TRUNCATED)
		return t->state == TLS_FAILED
		    ? "it has gone in the middle of the handshake"
		    : "its end came without close_notify: what it sent may be cut short";
	if (t->fault == TLS_FAULT_GREEDY)
		return "it does not take the answers to its renegotiations";
	if (t->fault == TLS_FAULT_BARREN)
		return "it sends key updates or renegotiations, and no data between them";
	if (t->fault == TLS_FAULT_SYSTEM)
		return strerror(t->failure);
	if (t->fault == TLS_FAULT_NONE)
		return NULL;
	if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST)
		return "plain HTTP on a TLS port";
	if (reason == SSL_R_WRONG_VERSION_NUMBER && t->state == TLS_FAILED)
		return "what it sent is not TLS";
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		snprintf(text, sizeof text, "its certificate: %s",
		    X509_verify_cert_error_string(t->verified));
		return text;
	}
	if (reason > SSL_AD_REASON_OFFSET) {
		snprintf(text, sizeof text, "it sent the alert \"%s\"",
		    tls_fault_name_alert(reason - SSL_AD_REASON_OFFSET));
		return text;
	}
	words = ERR_reason_error_string(t->error);
	return words != NULL ? words : "TLS failed";
}

bool
tls_operator_may_help(const struct conn *c)
{
	const struct tls_conn *t = tls_conn_of(c);

	if (t->fault != TLS_FAULT_LIBRARY)
		return false;
	switch (ERR_GET_REASON(t->error)) {
	case SSL_AD_REASON_OFFSET + SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_REASON_OFFSET + SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case ERR_R_INTERNAL_ERROR:
		return true;
	default:
		return false;
	}
}

int
tls_error(const struct conn *c)
{
	return tls_conn_of(c)->failure;
}

const char *
tls_advice(const struct conn *c)
{
	const struct tls_conn *t = tls_conn_of(c);
	int                    reason = ERR_GET_REASON(t->error);

	if (t->fault == TLS_FAULT_TRUNCATED && t->state == TLS_FAILED)
		return "its log may say why";
	if (t->fault != TLS_FAULT_LIBRARY)
		return NULL;
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return tls_fault_advise_certificate(t->verified);
	if (reason > SSL_AD_REASON_OFFSET)
		return tls_fault_advise_alert(reason - SSL_AD_REASON_OFFSET);
	if (reason == SSL_R_WRONG_VERSION_NUMBER)
		return "is TLS what it speaks on this port?";
	return NULL;
}

/* The library does not know them all. */
static const char *
tls_fault_name_alert(int alert)
{
	if (alert == SSL_AD_CERTIFICATE_REQUIRED)
		return "certificate required";
	if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
		return "no application protocol";
	return SSL_alert_desc_string_long(alert);
}

static const char *
tls_fault_advise_certificate(int verified)
{
	switch (verified) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "set server_name to a name that it is for";
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "renew it, or set the clock";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return "set ca to the file with its issuer";
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return "raise verify_depth";
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
		return "crl needs the present list of each issuer";
	default:
		return NULL;
	}
}

static const char *
tls_fault_advise_alert(int alert)
{
	switch (alert) {
	case SSL3_AD_NO_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "it wants one of us: set certificate";
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
		return "set certificate to one that it accepts";
	case SSL_AD_HANDSHAKE_FAILURE:
		return "set certificate, if it wants one of us, or other ciphers or groups";
	case SSL_AD_PROTOCOL_VERSION:
		return "set protocols to what it speaks";
	case SSL_AD_UNRECOGNIZED_NAME:
		return "set server_name to a name that it knows";
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return "set alpn to what it speaks";
	default:
		return NULL;
	}
}
