/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls_names: which certificates a client gets that asks for a name.
 *
 *	name ──► its certificates, one for each kind of key ──► an SSL_CTX
 *
 * Names that have the same certificates share an SSL_CTX, which chooses among kinds of
 * keys itself. "*.example.org" is found for one label before ".example.org".
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "base/hash.h"
#include "net/tls_context.h"

#define KINDS_MAX 8u	/* of keys: RSA, ECDSA, Ed25519 … */
#define NAME_MOST 256u

/* Certificates that go together, and their context. */
struct tls_set {
	struct tls_set *next;
	unsigned        pairs[KINDS_MAX];
	unsigned        count;
	SSL_CTX        *ssl;
};

struct tls_name {
	struct tls_name *next;
	struct tls_set   wanted;	/* while they are collected */
	struct tls_set  *set;
	char             text[];	/* in small letters */
};

struct tls_names {
	struct hash      table;
	struct tls_name *first;
	struct tls_set  *sets;
};

/* What makes them needs. */
struct tls_naming {
	struct tls                *tls;
	struct tls_names          *names;
	const struct tls_settings *settings;
	tls_say                   *say;
	void                      *context;
};

static bool tls_naming_pair(const struct tls_naming *, unsigned pair);
static bool tls_naming_add(const struct tls_naming *, unsigned pair, const char *text);
static void tls_naming_say_twice(const struct tls_naming *, unsigned pair, unsigned before,
    const char *text);
static struct tls_set *tls_naming_set(const struct tls_naming *, const struct tls_set *wanted);
static bool tls_set_has_same_kind(const struct tls *, const struct tls_set *, unsigned pair,
    unsigned *which);
static struct tls_name *tls_name_find(const struct tls_names *, const char *text);
static bool tls_name_is(uintptr_t value, const void *text);

struct tls_names *
tls_names_create(struct tls *t, const struct tls_settings *s, tls_say *say, void *context)
{
	const struct tls_naming n = { t, calloc(1, sizeof *n.names), s, say, context };
	struct tls_set          alone = { .pairs = { 0 }, .count = 1 };
	const struct tls_set   *wanted = &alone;
	const struct tls_set   *set;

	if (n.names == NULL)
		goto fail;
	for (unsigned i = 0; i < t->pair_count; i++)
		if (!tls_naming_pair(&n, i))
			goto fail;
	for (struct tls_name *name = n.names->first; name != NULL; name = name->next) {
		if ((name->set = tls_naming_set(&n, &name->wanted)) == NULL)
			goto fail;
		/* The list begins with what came last: so this ends with the first
		 * name of the first certificate. */
		if (name->wanted.pairs[0] == 0)
			wanted = &name->wanted;
	}
	if ((set = tls_naming_set(&n, wanted)) == NULL)
		goto fail;
	t->ssl = set->ssl;
	return n.names;
fail:
	tls_names_destroy(n.names);
	return NULL;
}

void
tls_names_destroy(struct tls_names *names)
{
	struct tls_name *name;
	struct tls_set  *set;

	if (names == NULL)
		return;
	while ((name = names->first) != NULL) {
		names->first = name->next;
		free(name);
	}
	while ((set = names->sets) != NULL) {
		names->sets = set->next;
		SSL_CTX_free(set->ssl);
		free(set);
	}
	hash_free(&names->table);
	free(names);
}

SSL_CTX *
tls_names_find(const struct tls_names *names, const char *asked)
{
	const struct tls_name *found;
	char                   text[NAME_MOST], *dot;
	size_t                 length = strnlen(asked, sizeof text);

	if (length == sizeof text)
		return NULL;
	/* The root is in no certificate. */
	if (length > 1 && asked[length - 1] == '.')
		length--;
	for (size_t i = 0; i < length; i++)
		text[i] = (char)tolower((unsigned char)asked[i]);
	text[length] = '\0';
	found = tls_name_find(names, text);
	if (found == NULL && (dot = strchr(text, '.')) != NULL && dot != text) {
		*--dot = '*';
		found = tls_name_find(names, dot);
	}
	return found != NULL ? found->set->ssl : NULL;
}

/* All names of a certificate: those of its subjectAltName, or else its common name. */
static bool
tls_naming_pair(const struct tls_naming *n, unsigned pair)
{
	const X509    *leaf = n->tls->pairs[pair].leaf;
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	unsigned       found = 0;
	bool           fine = true;
	char           text[NAME_MOST];

	for (int i = 0; fine && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING  *s = g->type == GEN_DNS ? g->d.dNSName : NULL;

		if (s == NULL || ASN1_STRING_length(s) >= (int)sizeof text)
			continue;
		snprintf(text, sizeof text, "%.*s", ASN1_STRING_length(s),
		    (const char *)ASN1_STRING_get0_data(s));
		fine = tls_naming_add(n, pair, text);
		found++;
	}
	GENERAL_NAMES_free(names);
	if (fine && found == 0 &&
	    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, text,
		sizeof text) > 0)
		fine = tls_naming_add(n, pair, text);
	return fine;
}

static bool
tls_naming_add(const struct tls_naming *n, unsigned pair, const char *asked)
{
	struct tls_name *name;
	char             text[NAME_MOST];
	unsigned         same;

	snprintf(text, sizeof text, "%s", asked);
	for (char *p = text; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if ((name = tls_name_find(n->names, text)) == NULL) {
		if ((name = calloc(1, sizeof *name + strlen(text) + 1)) == NULL)
			return false;
		strcpy(name->text, text);
		name->next = n->names->first;
		n->names->first = name;
		if (hash_add(&n->names->table, hash_text(HASH_START, text), (uintptr_t)name) < 0)
			return false;
	}
	if (tls_set_has_same_kind(n->tls, &name->wanted, pair, &same)) {
		if (same != pair)
			tls_naming_say_twice(n, pair, same, text);
	} else if (name->wanted.count < KINDS_MAX)
		name->wanted.pairs[name->wanted.count++] = pair;
	return true;
}

static void
tls_naming_say_twice(const struct tls_naming *n, unsigned pair, unsigned before, const char *name)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "%s: %s is a name of %s, too, with the same kind of key: that one is used for it",
	    n->settings->certificates[pair].chain, name, n->settings->certificates[before].chain);
	n->say(n->context, true, "certificate", pair, text);
}

/* The one that there is, or a new one with its context. NULL: OpenSSL's error queue says why. */
static struct tls_set *
tls_naming_set(const struct tls_naming *n, const struct tls_set *wanted)
{
	struct tls_set *set;

	for (set = n->names->sets; set != NULL; set = set->next)
		if (set->count == wanted->count &&
		    memcmp(set->pairs, wanted->pairs, sizeof set->pairs) == 0)
			return set;
	if ((set = calloc(1, sizeof *set)) == NULL)
		return NULL;
	*set = *wanted;
	set->next = n->names->sets;
	n->names->sets = set;
	if ((set->ssl = tls_context_create(n->tls, n->settings)) == NULL)
		return NULL;
	for (unsigned i = 0; i < set->count; i++)
		if (!tls_context_add(set->ssl, &n->tls->pairs[set->pairs[i]]))
			return NULL;
	return set;
}

static bool
tls_set_has_same_kind(const struct tls *t, const struct tls_set *set, unsigned pair,
    unsigned *which)
{
	int kind = EVP_PKEY_get_base_id(t->pairs[pair].key);

	for (unsigned i = 0; i < set->count; i++)
		if (EVP_PKEY_get_base_id(t->pairs[set->pairs[i]].key) == kind) {
			*which = set->pairs[i];
			return true;
		}
	return false;
}

static struct tls_name *
tls_name_find(const struct tls_names *names, const char *text)
{
	return (struct tls_name *)hash_find(&names->table, hash_text(HASH_START, text), tls_name_is,
	    text);
}

static bool
tls_name_is(uintptr_t value, const void *text)
{
	return strcmp(((const struct tls_name *)value)->text, text) == 0;
}
