/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_fault: what has gone wrong with a connection, in words, and whose fault it is. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "net/tls_conn.h"

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
		    SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
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
