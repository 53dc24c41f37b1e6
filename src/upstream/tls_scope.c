/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_scope: [tls NAME] scopes: settings and contexts, read and checked in the template. */
#include "upstream/tls_scope.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"

#define CERTIFICATES_MAX 1024u
#define NAME_MAX_BYTES   253u	/* of a host, as DNS has it */
#define DAY              (UINT64_C(24) * 3600 * 1000)	/* ms */

static const char *tls_scope_parse_certificate(struct weir_scope *, const char *, void *);
static const char *tls_scope_add_certificate(struct weir_scope *, struct tls_scope *,
    const struct tls_certificate *);
static const char *tls_scope_parse_protocols(struct weir_scope *, const char *, void *);
static const char *tls_scope_parse_alpn(struct weir_scope *, const char *, void *);
static const char *tls_scope_parse_verify(struct weir_scope *, const char *, void *);
static const char *tls_scope_parse_ca(struct weir_scope *, const char *, void *);
static const char *tls_scope_parse_name(struct weir_scope *, const char *, void *);
static const char *tls_scope_check(struct weir_scope *);
static void        tls_scope_check_clients(struct weir_scope *, struct tls_scope *);
static tls_read    tls_scope_read;
static void        tls_scope_say(void *scope, bool warning, const char *key, unsigned index,
    const char *text);
static void        tls_scope_say_client(void *scope, bool warning, const char *key,
    unsigned index, const char *text);

#define HERE(member) offsetof(struct tls_scope, member)

static const struct weir_key keys[] = {
	{ .name = "certificate", .where = WEIR_IN_TLS, .type = WEIR_OWN,
	  .offset = HERE(certificates), .flags = WEIR_REPEATED | WEIR_NOT_INHERITED | WEIR_WORDS,
	  .parse = tls_scope_parse_certificate, .syntax = "CHAIN KEY [ocsp=FILE]",
	  .help = "PEM files; the first is the default, the client's SNI chooses among them" },
	{ .name = "protocols", .where = WEIR_IN_TLS, .type = WEIR_OWN, .offset = HERE(settings),
	  .initial = "TLSv1.2 TLSv1.3", .flags = WEIR_WORDS, .parse = tls_scope_parse_protocols,
	  .syntax = "TLSv1.2 | TLSv1.3 ...", .help = "versions that are spoken" },
	{ .name = "ciphers", .where = WEIR_IN_TLS, .type = WEIR_STRING,
	  .offset = HERE(settings.ciphers), .initial = "ECDHE+AESGCM:ECDHE+CHACHA20",
	  .help = "ciphers of TLS 1.2, as openssl-ciphers(1) has them" },
	{ .name = "ciphersuites", .where = WEIR_IN_TLS, .type = WEIR_STRING,
	  .offset = HERE(settings.ciphersuites), .syntax = "NAME[:NAME...]",
	  .help = "ciphers of TLS 1.3; not set: those of OpenSSL" },
	{ .name = "groups", .where = WEIR_IN_TLS, .type = WEIR_STRING,
	  .offset = HERE(settings.groups), .initial = "X25519:P-256:P-384",
	  .syntax = "NAME[:NAME...]", .help = "groups for the exchange of keys, the best first" },
	{ .name = "alpn", .where = WEIR_IN_TLS, .type = WEIR_OWN, .offset = HERE(settings),
	  .flags = WEIR_WORDS, .parse = tls_scope_parse_alpn, .syntax = "NAME ...",
	  .help = "protocols that are agreed on, the best first" },
	{ .name = "client_ca", .where = WEIR_IN_TLS, .type = WEIR_PATH,
	  .offset = HERE(client_ca), .syntax = "FILE",
	  .help = "whose certificates clients may show" },
	{ .name = "client_verify", .where = WEIR_IN_TLS, .type = WEIR_OWN,
	  .offset = HERE(client_verify), .initial = "off", .parse = tls_scope_parse_verify,
	  .syntax = "off | optional | on",
	  .help = "whether clients have to show one; on when client_ca is set" },
	{ .name = "verify", .where = WEIR_IN_TLS, .type = WEIR_SWITCH, .offset = HERE(verify),
	  .initial = "on",
	  .help = "towards a peer: whether its certificate has to be good, and for its name" },
	{ .name = "ca", .where = WEIR_IN_TLS, .type = WEIR_OWN, .offset = HERE(ca),
	  .initial = "system", .parse = tls_scope_parse_ca, .syntax = "system | FILE",
	  .help = "towards a peer: the roots that are trusted" },
	{ .name = "server_name", .where = WEIR_IN_TLS, .type = WEIR_OWN,
	  .offset = HERE(server_name), .parse = tls_scope_parse_name, .syntax = "NAME",
	  .help = "towards a peer: the name that is asked for (SNI) and that its certificate "
		  "has to be for; not set: that of the peer" },
	{ .name = "verify_depth", .where = WEIR_IN_TLS, .type = WEIR_NUMBER,
	  .offset = HERE(verify_depth), .initial = "4", .max = 100,
	  .help = "certificates between that of the other side and the root, at most" },
	{ .name = "crl", .where = WEIR_IN_TLS, .type = WEIR_PATH, .offset = HERE(crl),
	  .initial = "off", .flags = WEIR_OFF, .syntax = "off | FILE",
	  .help = "certificates that are revoked, of each issuer" },
	{ .name = "session_tickets", .where = WEIR_IN_TLS, .type = WEIR_SWITCH,
	  .offset = HERE(session_tickets), .initial = "on",
	  .help = "whether clients may resume sessions" },
	{ .name = "ticket_lifetime", .where = WEIR_IN_TLS, .type = WEIR_TIME,
	  .offset = HERE(ticket_lifetime), .initial = "1h", .min = 1000, .max = 7 * DAY,
	  .help = "for how long" },
	{ .name = "ktls", .where = WEIR_IN_TLS, .type = WEIR_SWITCH, .offset = HERE(ktls),
	  .initial = "off", .help = "whether the kernel may encrypt; this weir does it itself" },
	{ .name = NULL },
};

const struct weir_module tls_scope_module = {
	.name      = "tls",
	.keys      = keys,
	.conf_size = sizeof(struct tls_scope),
	.check     = tls_scope_check,
};

struct tls_scope *
tls_scope_find(const struct conf *conf, const char *name)
{
	struct weir_scope *scope = conf_find(conf, SCOPE_TLS, name);

	return scope != NULL ? weir_scope_conf(scope, &tls_scope_module) : NULL;
}

struct tls_scope *
tls_scope_at(const struct conf *conf, unsigned index)
{
	struct weir_scope *scope = conf_scope(conf, SCOPE_TLS, index);

	return scope != NULL ? weir_scope_conf(scope, &tls_scope_module) : NULL;
}

struct tls *
tls_scope_client(const struct conf *conf, struct tls_scope *t)
{
	struct weir_scope  *scope = conf_find(conf, SCOPE_TLS, t->name);
	struct tls_settings s = t->settings;

	if (t->used)
		return t->client;
	t->used = true;
	/* What is wrong with those has been said. */
	if (t->certificate_count > 0 && t->server == NULL)
		return NULL;
	s.ca = t->ca;
	s.crl = t->ca != NULL ? t->crl : NULL;
	s.verify = t->verify ? TLS_VERIFY_ON : TLS_VERIFY_OFF;
	if (!t->verify)
		conf_warn(scope, "verify",
		    "verify is off: whoever gets between weir and a peer can read and change all "
		    "that goes there");
	t->client = tls_create(&s, TLS_CLIENT, tls_scope_say_client, scope);
	return t->client;
}

uint64_t
tls_scopes_ticket_lifetime(const struct conf *conf)
{
	const struct tls_scope *t;
	uint64_t                longest = 0;

	for (unsigned i = 0; (t = tls_scope_at(conf, i)) != NULL; i++)
		if (t->session_tickets && t->ticket_lifetime > longest)
			longest = t->ticket_lifetime;
	return longest;
}

/* --------------------------------------------------------------------- values */

static const char *
tls_scope_parse_certificate(struct weir_scope *scope, const char *text, void *value)
{
	struct tls_scope      *t = weir_scope_conf(scope, &tls_scope_module);
	struct tls_certificate c = { NULL, NULL, NULL };
	char                   copy[3072], *rest = copy, *word;

	(void)value;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	while ((word = weir_word(&rest)) != NULL) {
		if (strncmp(word, "ocsp=", 5) == 0 && word[5] != '\0' && c.ocsp == NULL)
			c.ocsp = conf_path(scope, word + 5);
		else if (c.chain == NULL)
			c.chain = conf_path(scope, word);
		else if (c.key == NULL)
			c.key = conf_path(scope, word);
		else
			return "write CHAIN KEY, two PEM files, and perhaps ocsp=FILE";
	}
	if (c.chain == NULL)
		return "write CHAIN KEY: two PEM files";
	if (c.key == NULL)
		c.key = c.chain;	/* both in one, as HAProxy has them */
	return tls_scope_add_certificate(scope, t, &c);
}

static const char *
tls_scope_add_certificate(struct weir_scope *scope, struct tls_scope *t,
    const struct tls_certificate *c)
{
	unsigned n = t->certificate_count;

	if (n == CERTIFICATES_MAX)
		return "is one too many: there may be 1024";
	t->certificates = scope_grow(scope, t->certificates, n, sizeof *t->certificates);
	t->places = scope_grow(scope, t->places, n, sizeof *t->places);
	t->certificates[n] = *c;
	t->places[n] = scope_value_place(scope);
	t->certificate_count++;
	return NULL;
}

static const char *
tls_scope_parse_protocols(struct weir_scope *scope, const char *text, void *value)
{
	struct tls_settings *s = value;
	char                 copy[256], *rest = copy, *word;

	(void)scope;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	while ((word = weir_word(&rest)) != NULL)
		if (strcmp(word, "TLSv1.2") == 0)
			s->version12 = true;
		else if (strcmp(word, "TLSv1.3") == 0)
			s->version13 = true;
		else
			return "there are TLSv1.2 and TLSv1.3; older ones are not safe any more";
	return s->version12 || s->version13 ? NULL : "write TLSv1.2, TLSv1.3 or both";
}

/* Each name goes behind its length, as it is sent. */
static const char *
tls_scope_parse_alpn(struct weir_scope *scope, const char *text, void *value)
{
	struct tls_settings *s = value;
	char                 copy[1024], *rest = copy, *word, *out;
	size_t               length = 0, n;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	out = weir_scope_alloc(scope, sizeof copy + 1);
	while ((word = weir_word(&rest)) != NULL) {
		n = strlen(word);
		if (n == 0 || n > 255)
			return "a name has 1 to 255 bytes";
		out[length++] = (char)n;
		memcpy(out + length, word, n);
		length += n;
	}
	s->alpn = span_make(out, length);
	return length > 0 ? NULL : "is empty: write names like h2 http/1.1";
}

static const char *
tls_scope_parse_verify(struct weir_scope *scope, const char *text, void *value)
{
	static const char *const words[] = {
		[TLS_VERIFY_OFF] = "off",
		[TLS_VERIFY_OPTIONAL] = "optional",
		[TLS_VERIFY_ON] = "on",
	};

	(void)scope;
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(text, words[i]) == 0) {
			*(enum tls_verify *)value = (enum tls_verify)i;
			return NULL;
		}
	return "write off, optional or on";
}

static const char *
tls_scope_parse_ca(struct weir_scope *scope, const char *text, void *value)
{
	*(const char **)value = strcmp(text, "system") == 0 ? NULL : conf_path(scope, text);
	return *text != '\0' ? NULL : "is empty: write system, or a PEM file";
}

static const char *
tls_scope_parse_name(struct weir_scope *scope, const char *text, void *value)
{
	size_t length = strlen(text);
	char  *name;

	/* The root is in no certificate. */
	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length == 0 || length > NAME_MAX_BYTES || strpbrk(text, " \t/*") != NULL)
		return "is not the name of a host, like db.example.org";
	name = weir_scope_alloc(scope, length + 1);
	memcpy(name, text, length);
	*(const char **)value = name;
	return NULL;
}

/* --------------------------------------------------------------------- checks */

static const char *
tls_scope_check(struct weir_scope *scope)
{
	struct tls_scope    *t = weir_scope_conf(scope, &tls_scope_module);
	struct tls_settings *s = &t->settings;

	t->name = s->name = weir_scope_name(scope);
	s->certificates = t->certificates;
	s->certificate_count = t->certificate_count;
	s->verify_depth = (unsigned)t->verify_depth;
	s->tickets = t->session_tickets;
	s->ticket_lifetime = t->ticket_lifetime;
	s->read = tls_scope_read;
	tls_scope_check_clients(scope, t);
	if (t->ktls)
		conf_warn(scope, "ktls",
		    "this weir encrypts by itself, not in the kernel: sessions are as they are "
		    "without it");
	if (t->certificate_count > 0)
		t->server = tls_create(s, TLS_SERVER, tls_scope_say, scope);
	return NULL;
}

static void
tls_scope_check_clients(struct weir_scope *scope, struct tls_scope *t)
{
	if (t->client_ca != NULL && !scope_sets(scope, "client_verify"))
		t->client_verify = TLS_VERIFY_ON;
	if (t->client_ca == NULL && t->client_verify != TLS_VERIFY_OFF)
		conf_error(scope, "client_verify",
		    "whose certificates are good is not said: add client_ca = FILE");
	if (t->client_ca == NULL && t->ca == NULL && t->crl != NULL)
		conf_error(scope, "crl",
		    "crl is for certificates of client_ca or ca, neither of which is set");
	t->settings.ca = t->client_ca;
	t->settings.crl = t->client_ca != NULL ? t->crl : NULL;
	t->settings.verify = t->client_ca != NULL ? t->client_verify : TLS_VERIFY_OFF;
}

static const char *
tls_scope_read(void *scope, const char *path, struct file *file)
{
	return conf_read_file(scope, path, file);
}

static void
tls_scope_say(void *context, bool warning, const char *key, unsigned index, const char *text)
{
	struct weir_scope      *scope = context;
	const struct tls_scope *t = weir_scope_conf(scope, &tls_scope_module);

	if (key != NULL && strcmp(key, "certificate") == 0 && index < t->certificate_count) {
		if (warning)
			conf_warn_at(scope, t->places[index], "%s", text);
		else
			conf_error_at(scope, t->places[index], "%s", text);
	} else if (warning)
		conf_warn(scope, key, "%s", text);
	else
		conf_error(scope, key, "%s", text);
}

/* Its certificates have been told of already. */
static void
tls_scope_say_client(void *context, bool warning, const char *key, unsigned index,
    const char *text)
{
	if (key == NULL || strcmp(key, "certificate") != 0)
		tls_scope_say(context, warning, key, index, text);
}
