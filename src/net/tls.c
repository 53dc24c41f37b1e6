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

#include "base/file.h"
#include "base/str.h"
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
static bool tls_check_lists(const struct tls_making *);
static bool tls_check_pairs(const struct tls_making *);
static bool tls_make_store(const struct tls_making *);
static bool tls_load_issuers(const struct tls_making *);
static bool tls_add_issuer(struct tls *, X509_INFO *);
static bool tls_load_crl(const struct tls_making *);
static bool tls_load_pair(const struct tls_making *, unsigned index);
static bool tls_load_chain(const struct tls_making *, unsigned index);
static bool tls_load_key(const struct tls_making *, unsigned index);
static bool tls_load_staple(const struct tls_making *, unsigned index);
static void tls_warn_time(const struct tls_making *, unsigned index);
static void tls_warn_time_of(const struct tls_making *, unsigned index, const X509 *,
    const char *which);
static void tls_warn_readable(const struct tls_making *, unsigned index);
static bool tls_complain(const struct tls_making *, bool warning, const char *key, unsigned index,
    const char *file, const char *what);
static BIO *tls_open(const struct tls_making *, const char *key, unsigned index, const char *path,
    struct file *);
static void tls_free(struct tls *);
static int  tls_compare_names(const X509_NAME *const *, const X509_NAME *const *);
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
	t->crl_until = INT64_MAX;
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
	if (!tls_check_lists(m))
		fine = false;
	if (!fine || !tls_check_pairs(m))
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

/* Each of the library's lists alone, so that the one that it refuses is named. */
static bool
tls_check_lists(const struct tls_making *m)
{
	const struct tls_settings *s = m->settings;
	SSL_CTX                   *ctx = SSL_CTX_new(TLS_method());
	bool                       fine = true;

	if (ctx == NULL)
		return tls_complain(m, false, NULL, 0, "", tls_error_text());
	if (s->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, s->ciphers) != 1)
		fine = tls_complain(m, false, "ciphers", 0, "", tls_error_text());
	if (s->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ctx, s->ciphersuites) != 1)
		fine = tls_complain(m, false, "ciphersuites", 0, "", tls_error_text());
	if (s->groups != NULL && SSL_CTX_set1_groups_list(ctx, s->groups) != 1)
		fine = tls_complain(m, false, "groups", 0, "",
		    ERR_peek_error() != 0 ? tls_error_text() : "a group in it is not known");
	SSL_CTX_free(ctx);
	return fine;
}

/* What the library does not take for a certificate of ours: a key that is too weak, and the
 * like. */
static bool
tls_check_pairs(const struct tls_making *m)
{
	struct tls *t = m->tls;
	SSL_CTX    *ctx = tls_context_create(t, m->settings);
	bool        fine = true;

	if (ctx == NULL)
		return tls_complain(m, false, NULL, 0, "", tls_error_text());
	for (unsigned i = 0; i < t->pair_count; i++)
		if (!tls_context_add(ctx, &t->pairs[i]))
			fine = tls_complain(m, false, "certificate", i,
			    m->settings->certificates[i].chain, tls_error_text());
	SSL_CTX_free(ctx);
	return fine;
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
	sk_X509_NAME_pop_free(t->issuers, X509_NAME_free);
	free(t->pairs);
	free(t->alpn);
	free(t);
}

/* -------------------------------------------------------------- whom to trust */

static bool
tls_make_store(const struct tls_making *m)
{
	struct tls *t = m->tls;
	bool        shared = m->settings->ca == NULL && m->settings->crl == NULL;

	if (shared && system_store != NULL) {
		X509_STORE_up_ref(system_store);
		t->store = system_store;
		return true;
	}
	if ((t->store = X509_STORE_new()) == NULL)
		return tls_complain(m, false, NULL, 0, "", strerror(ENOMEM));
	if (m->settings->ca != NULL) {
		if (!tls_load_issuers(m))
			return false;
	} else if (X509_STORE_set_default_paths(t->store) != 1)
		return tls_complain(m, false, "ca", 0, "system", tls_error_text());
	ERR_clear_error();
	/* The system's takes 700 KB. */
	if (shared && X509_STORE_up_ref(t->store) == 1)
		system_store = t->store;
	return m->settings->crl == NULL || tls_load_crl(m);
}

static bool
tls_load_issuers(const struct tls_making *m)
{
	const char                *key = m->tls->role == TLS_SERVER ? "client_ca" : "ca";
	const char                *path = m->settings->ca;
	struct file                file;
	BIO                       *in = tls_open(m, key, 0, path, &file);
	struct stack_st_X509_INFO *found;
	unsigned                   count = 0;
	bool                       fine;

	if (in == NULL)
		return false;
	found = PEM_X509_INFO_read_bio(in, NULL, tls_no_passphrase, NULL);
	m->tls->issuers = sk_X509_NAME_new(tls_compare_names);
	fine = found != NULL && m->tls->issuers != NULL;
	for (int i = 0; fine && i < sk_X509_INFO_num(found); i++) {
		X509_INFO *info = sk_X509_INFO_value(found, i);

		fine = tls_add_issuer(m->tls, info);
		count += info->x509 != NULL;
	}
	fine = fine &&
	    EVP_Digest(file.bytes, file.size, m->tls->trust, NULL, EVP_sha256(), NULL) == 1;
	sk_X509_INFO_pop_free(found, X509_INFO_free);
	BIO_free(in);
	file_free(&file);
	if (fine && count > 0)
		return true;
	return tls_complain(m, false, key, 0, path,
	    fine ? "no certificate in PEM" : tls_error_text());
}

/* A list of revoked ones may stand among them. */
static bool
tls_add_issuer(struct tls *t, X509_INFO *info)
{
	X509_NAME *name;

	if (info->crl != NULL && X509_STORE_add_crl(t->store, info->crl) != 1)
		return false;
	if (info->x509 == NULL)
		return true;
	if (X509_STORE_add_cert(t->store, info->x509) != 1)
		return false;
	name = X509_get_subject_name(info->x509);
	if (t->role != TLS_SERVER || sk_X509_NAME_find(t->issuers, name) >= 0)
		return true;
	return (name = X509_NAME_dup(name)) != NULL && sk_X509_NAME_push(t->issuers, name) > 0;
}

static int
tls_compare_names(const X509_NAME *const *a, const X509_NAME *const *b)
{
	return X509_NAME_cmp(*a, *b);
}

/* Each certificate of a chain has to have its list in it. */
static bool
tls_load_crl(const struct tls_making *m)
{
	const char      *path = m->settings->crl;
	unsigned char   *trust = m->tls->trust, both[2 * sizeof m->tls->trust];
	struct file      file;
	BIO             *in = tls_open(m, "crl", 0, path, &file);
	const ASN1_TIME *until;
	X509_CRL        *crl;
	struct tm        tm;
	unsigned         count = 0;
	bool             fine;

	if (in == NULL)
		return false;
	memcpy(both, trust, sizeof m->tls->trust);
	fine = EVP_Digest(file.bytes, file.size, both + sizeof m->tls->trust, NULL, EVP_sha256(),
		   NULL) == 1 &&
	    EVP_Digest(both, sizeof both, trust, NULL, EVP_sha256(), NULL) == 1;
	while (fine && (crl = PEM_read_bio_X509_CRL(in, NULL, tls_no_passphrase, NULL)) != NULL) {
		fine = X509_STORE_add_crl(m->tls->store, crl) == 1;
		until = X509_CRL_get0_nextUpdate(crl);	/* NULL: for ever */
		if (until != NULL && ASN1_TIME_to_tm(until, &tm) == 1 &&
		    timegm(&tm) < m->tls->crl_until)
			m->tls->crl_until = timegm(&tm);
		if (until != NULL && X509_cmp_time(until, NULL) < 0)
			(void)tls_complain(m, true, "crl", 0, path,
			    "a list in it is out of date: its clients are refused until there is "
			    "a new one");
		X509_CRL_free(crl);
		count++;
	}
	BIO_free(in);
	file_free(&file);
	if (!fine || count == 0)
		return tls_complain(m, false, "crl", 0, path,
		    fine ? "no revocation list in PEM" : tls_error_text());
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
	return c->ocsp == NULL || tls_load_staple(m, index);
}

static bool
tls_load_chain(const struct tls_making *m, unsigned index)
{
	struct tls_pair *pair = &m->tls->pairs[index];
	const char      *path = m->settings->certificates[index].chain;
	struct file      file;
	BIO             *in = tls_open(m, "certificate", index, path, &file);
	X509            *next;
	bool             fine;

	if (in == NULL)
		return false;
	pair->leaf = PEM_read_bio_X509_AUX(in, NULL, tls_no_passphrase, NULL);
	fine = pair->leaf != NULL && (pair->chain = sk_X509_new_null()) != NULL;
	while (fine && (next = PEM_read_bio_X509(in, NULL, tls_no_passphrase, NULL)) != NULL)
		fine = sk_X509_push(pair->chain, next) > 0;
	BIO_free(in);
	file_free(&file);
	/* That there is no further one is an error to OpenSSL. */
	if (fine && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE &&
	    ERR_peek_last_error() != 0)
		fine = false;
	if (!fine)
		return tls_complain(m, false, "certificate", index, path,
		    pair->leaf == NULL &&
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
	const char      *path = m->settings->certificates[index].key;
	struct file      file;
	BIO             *in = tls_open(m, "certificate", index, path, &file);
	bool             locked = false;

	if (in == NULL)
		return false;
	pair->key = PEM_read_bio_PrivateKey(in, NULL, tls_no_passphrase, &locked);
	BIO_free(in);
	file_free(&file);
	if (pair->key != NULL)
		return true;
	if (locked) {
		ERR_clear_error();
		return tls_complain(m, false, "certificate", index, path,
		    "the key is encrypted, and nobody is here to be asked for its passphrase: "
		    "decrypt it with openssl pkey");
	}
	return tls_complain(m, false, "certificate", index, path,
	    ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_UNSUPPORTED ? "no key in PEM"
								       : tls_error_text());
}

static bool
tls_load_staple(const struct tls_making *m, unsigned index)
{
	const char *path = m->settings->certificates[index].ocsp, *wrong, *warning = NULL;
	struct file file;
	BIO        *in = tls_open(m, "certificate", index, path, &file);

	if (in == NULL)
		return false;
	wrong = tls_staple_load(&m->tls->pairs[index], span_make(file.bytes, file.size), &warning);
	BIO_free(in);
	file_free(&file);
	if (warning != NULL)
		(void)tls_complain(m, true, "certificate", index, path, warning);
	return wrong == NULL || tls_complain(m, false, "certificate", index, path, wrong);
}

static void
tls_warn_time(const struct tls_making *m, unsigned index)
{
	const struct tls_pair *pair = &m->tls->pairs[index];
	char                   which[48];

	tls_warn_time_of(m, index, pair->leaf, "the certificate");
	for (int i = 0; i < sk_X509_num(pair->chain); i++) {
		snprintf(which, sizeof which, "certificate %d of the chain", i + 2);
		tls_warn_time_of(m, index, sk_X509_value(pair->chain, i), which);
	}
}

static void
tls_warn_time_of(const struct tls_making *m, unsigned index, const X509 *x, const char *which)
{
	const char *file = m->settings->certificates[index].chain;
	time_t      soon = time(NULL) + SOON;
	int         days = 0, seconds = 0;
	char        text[160];

	if (X509_cmp_time(X509_get0_notBefore(x), NULL) > 0) {
		snprintf(text, sizeof text, "%s is not valid yet", which);
		(void)tls_complain(m, true, "certificate", index, file, text);
	}
	if (X509_cmp_time(X509_get0_notAfter(x), &soon) > 0)
		return;
	ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	if (days < 0 || seconds < 0)
		snprintf(text, sizeof text, "%s has expired: it will be refused", which);
	else
		snprintf(text, sizeof text, "%s expires in %d day%s: renew it", which, days,
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

/* A file, to be read from and freed. NULL: it has been said what is wrong with it. */
static BIO *
tls_open(const struct tls_making *m, const char *key, unsigned index, const char *path,
    struct file *file)
{
	const char *wrong;
	BIO        *in;

	wrong = m->settings->read != NULL ? m->settings->read(m->context, path, file)
					  : file_read(file, path);
	if (wrong == NULL && (in = BIO_new_mem_buf(file->bytes, (int)file->size)) != NULL)
		return in;
	if (wrong == NULL)
		file_free(file);
	(void)tls_complain(m, false, key, index, path, wrong != NULL ? wrong : strerror(ENOMEM));
	return NULL;
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
