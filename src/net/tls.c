/* SPDX-License-Identifier: BSD-2-Clause */
/* tls: contexts: certificates and keys from files, checked, ready for connections. */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/tls_context.h"

#define SOON (14 * 24 * 3600)	/* seconds: a certificate that expires within them is told */

/* One being made. */
struct tls_making {
	struct tls                *tls;
	const struct tls_settings *settings;
	tls_say                   *say;
	void                      *context;
};

static bool tls_make(const struct tls_making *);
static bool tls_make_store(const struct tls_making *);
static bool tls_load_crl(const struct tls_making *);
static bool tls_load_pair(const struct tls_making *, unsigned index);
static bool tls_load_chain(const struct tls_making *, unsigned index);
static bool tls_load_key(const struct tls_making *, unsigned index);
static void tls_warn_time(const struct tls_making *, unsigned index);
static void tls_warn_readable(const struct tls_making *, unsigned index);
static bool tls_complain(const struct tls_making *, bool warning, const char *key, unsigned index,
    const char *file, const char *what);
static void tls_free(struct tls *);
static int  tls_no_passphrase(char *, int, int, void *);
static int  tls_servername(SSL *, int *, void *);

static struct tls *all;
static X509_STORE *system_store;	/* shared by all who trust it; NULL: nobody does yet */

struct tls *
tls_create(const struct tls_settings *s, enum tls_role role, tls_say *say, void *context)
{
	struct tls             *t = calloc(1, sizeof *t);
	const struct tls_making making = { t, s, say, context };

	if (t == NULL) {
		say(context, false, NULL, 0, strerror(ENOMEM));
		return NULL;
	}
	t->role = role;
	t->next = all;
	all = t;
	ERR_clear_error();
	return tls_make(&making) ? t : NULL;
}

void
tls_free_all(void)
{
	struct tls *t;

	while ((t = all) != NULL) {
		all = t->next;
		tls_free(t);
	}
	X509_STORE_free(system_store);
	system_store = NULL;
	tls_tickets_stop();
}

static bool
tls_make(const struct tls_making *m)
{
	const struct tls_settings *s = m->settings;
	struct tls                *t = m->tls;
	bool                       fine = true;

	if (s->alpn.len > 0 && (t->alpn = malloc(s->alpn.len)) != NULL) {
		memcpy(t->alpn, s->alpn.data, s->alpn.len);
		t->alpn_size = s->alpn.len;
	}
	t->pairs = calloc(s->certificate_count + 1, sizeof *t->pairs);
	if (t->pairs == NULL || t->alpn_size < s->alpn.len)
		return tls_complain(m, false, NULL, 0, "", strerror(ENOMEM));
	if (s->verify != TLS_VERIFY_OFF && !tls_make_store(m))
		fine = false;
	for (t->pair_count = 0; t->pair_count < s->certificate_count; t->pair_count++)
		if (!tls_load_pair(m, t->pair_count))
			fine = false;
	if (!fine)
		return false;
	if (t->role == TLS_SERVER) {
		t->names = tls_names_create(t, s, m->say, m->context);
		if (t->names == NULL)
			return tls_complain(m, false, "certificate", 0, "", tls_error_text());
		SSL_CTX_set_tlsext_servername_callback(t->ssl, tls_servername);
		SSL_CTX_set_tlsext_servername_arg(t->ssl, t);
		return true;
	}
	t->ssl = tls_context_create(t, s);
	if (t->ssl == NULL || (t->pair_count > 0 && !tls_context_add(t->ssl, &t->pairs[0])))
		return tls_complain(m, false, NULL, 0, "", tls_error_text());
	return true;
}

static void
tls_free(struct tls *t)
{
	for (unsigned i = 0; i < t->pair_count; i++) {
		X509_free(t->pairs[i].leaf);
		sk_X509_pop_free(t->pairs[i].chain, X509_free);
		EVP_PKEY_free(t->pairs[i].key);
		OPENSSL_free(t->pairs[i].ocsp);
	}
	if (t->names != NULL)
		tls_names_destroy(t->names);
	else
		SSL_CTX_free(t->ssl);
	X509_STORE_free(t->store);
	free(t->pairs);
	free(t->alpn);
	free(t);
}

/* -------------------------------------------------------------- whom to trust */

static bool
tls_make_store(const struct tls_making *m)
{
	const char *key = m->tls->role == TLS_SERVER ? "client_ca" : "ca";
	const char *file = m->settings->ca;
	bool        shared = file == NULL && m->settings->crl == NULL, loaded;

	if (shared && system_store != NULL) {
		X509_STORE_up_ref(system_store);
		m->tls->store = system_store;
		return true;
	}
	if ((m->tls->store = X509_STORE_new()) == NULL)
		return tls_complain(m, false, key, 0, "", strerror(ENOMEM));
	if (file != NULL)
		loaded = X509_STORE_load_file(m->tls->store, file) == 1;
	else
		loaded = X509_STORE_set_default_paths(m->tls->store) == 1;
	if (!loaded)
		return tls_complain(m, false, key, 0, file != NULL ? file : "system",
		    tls_error_text());
	ERR_clear_error();
	/* The system's takes 700 KB. */
	if (shared && X509_STORE_up_ref(m->tls->store) == 1)
		system_store = m->tls->store;
	return m->settings->crl == NULL || tls_load_crl(m);
}

/* Each certificate of a chain has to have its list in it. */
static bool
tls_load_crl(const struct tls_making *m)
{
	const char *file = m->settings->crl;
	BIO        *in = BIO_new_file(file, "re");
	X509_CRL   *crl;
	unsigned    count = 0;
	bool        fine = in != NULL;

	while (fine && (crl = PEM_read_bio_X509_CRL(in, NULL, tls_no_passphrase, NULL)) != NULL) {
		fine = X509_STORE_add_crl(m->tls->store, crl) == 1;
		if (X509_cmp_time(X509_CRL_get0_nextUpdate(crl), NULL) < 0)
			(void)tls_complain(m, true, "crl", 0, file,
			    "a list in it is out of date: its clients are refused until there is "
			    "a new one");
		X509_CRL_free(crl);
		count++;
	}
	BIO_free(in);
	if (!fine || count == 0)
		return tls_complain(m, false, "crl", 0, file,
		    count == 0 && in != NULL ? "no revocation list in PEM" : tls_error_text());
	ERR_clear_error();
	X509_STORE_set_flags(m->tls->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return true;
}

/* --------------------------------------------------------------- certificates */

static bool
tls_load_pair(const struct tls_making *m, unsigned index)
{
	const struct tls_certificate *c = &m->settings->certificates[index];
	struct tls_pair              *pair = &m->tls->pairs[index];
	bool                          fine;

	fine = tls_load_chain(m, index);
	fine = tls_load_key(m, index) && fine;
	if (!fine)
		return false;
	if (X509_check_private_key(pair->leaf, pair->key) != 1) {
		char text[1024];

		snprintf(text, sizeof text, "it is not the key of the first certificate in %s (%s)",
		    c->chain, tls_error_text());
		return tls_complain(m, false, "certificate", index, c->key, text);
	}
	tls_warn_time(m, index);
	tls_warn_readable(m, index);
	return c->ocsp == NULL || tls_staple_load(pair, c, index, m->say, m->context);
}

static bool
tls_load_chain(const struct tls_making *m, unsigned index)
{
	struct tls_pair *pair = &m->tls->pairs[index];
	const char      *file = m->settings->certificates[index].chain;
	BIO             *in = BIO_new_file(file, "re");
	X509            *next;
	bool             fine;

	if (in != NULL)
		pair->leaf = PEM_read_bio_X509_AUX(in, NULL, tls_no_passphrase, NULL);
	fine = pair->leaf != NULL && (pair->chain = sk_X509_new_null()) != NULL;
	while (fine && (next = PEM_read_bio_X509(in, NULL, tls_no_passphrase, NULL)) != NULL)
		fine = sk_X509_push(pair->chain, next) > 0;
	BIO_free(in);
	/* That there is no further one is an error to OpenSSL. */
	if (fine && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE &&
	    ERR_peek_last_error() != 0)
		fine = false;
	if (!fine)
		return tls_complain(m, false, "certificate", index, file,
		    in != NULL && pair->leaf == NULL &&
			    ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
			? "no certificate in PEM"
			: tls_error_text());
	ERR_clear_error();
	return true;
}

static bool
tls_load_key(const struct tls_making *m, unsigned index)
{
	struct tls_pair *pair = &m->tls->pairs[index];
	const char      *file = m->settings->certificates[index].key;
	BIO             *in = BIO_new_file(file, "re");
	bool             locked = false;

	if (in != NULL)
		pair->key = PEM_read_bio_PrivateKey(in, NULL, tls_no_passphrase, &locked);
	BIO_free(in);
	if (pair->key != NULL)
		return true;
	if (locked) {
		ERR_clear_error();
		return tls_complain(m, false, "certificate", index, file,
		    "the key is encrypted, and nobody is here to be asked for its passphrase: "
		    "decrypt it with openssl pkey");
	}
	return tls_complain(m, false, "certificate", index, file,
	    in != NULL && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_UNSUPPORTED
		? "no key in PEM"
		: tls_error_text());
}

static void
tls_warn_time(const struct tls_making *m, unsigned index)
{
	const X509 *leaf = m->tls->pairs[index].leaf;
	const char *file = m->settings->certificates[index].chain;
	time_t      soon = time(NULL) + SOON;
	int         days = 0, seconds = 0;
	char        text[160];

	if (X509_cmp_time(X509_get0_notBefore(leaf), NULL) > 0)
		(void)tls_complain(m, true, "certificate", index, file,
		    "the certificate is not valid yet");
	if (X509_cmp_time(X509_get0_notAfter(leaf), &soon) > 0)
		return;
	ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf));
	if (days < 0 || seconds < 0)
		snprintf(text, sizeof text, "the certificate has expired: it will be refused");
	else
		snprintf(text, sizeof text, "the certificate expires in %d day%s: renew it", days,
		    days == 1 ? "" : "s");
	(void)tls_complain(m, true, "certificate", index, file, text);
}

static void
tls_warn_readable(const struct tls_making *m, unsigned index)
{
	const char *file = m->settings->certificates[index].key;
	struct stat st;

	if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IRWXO) != 0)
		(void)tls_complain(m, true, "certificate", index, file,
		    "others can read or change this key: chmod 600 it (weir reads it before it "
		    "becomes another user)");
}

/* Returns false, so that it ends a function. */
static bool
tls_complain(const struct tls_making *m, bool warning, const char *key, unsigned index,
    const char *file, const char *what)
{
	char text[2048];

	snprintf(text, sizeof text, "%s%s%s", file, *file != '\0' ? ": " : "", what);
	m->say(m->context, warning, key, index, text);
	return false;
}

static int
tls_no_passphrase(char *out, int size, int writing, void *asked)
{
	(void)out;
	(void)size;
	(void)writing;
	if (asked != NULL)
		*(bool *)asked = true;
	return -1;
}

/* ---------------------------------------------------------------------- names */

/* Options and whom to trust do not come with another context: they are set by hand, so
 * that no name gets past them. */
static int
tls_servername(SSL *ssl, int *alert, void *argument)
{
	const struct tls *t = argument;
	const char       *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX          *ctx = name != NULL ? tls_names_find(t->names, name) : NULL;

	if (ctx == NULL || ctx == SSL_get_SSL_CTX(ssl))
		return SSL_TLSEXT_ERR_OK;
	if (SSL_set_SSL_CTX(ssl, ctx) == NULL) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	SSL_set_options(ssl, SSL_CTX_get_options(ctx));
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), NULL);
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx));
	return SSL_TLSEXT_ERR_OK;
}
