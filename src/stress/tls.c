/* SPDX-License-Identifier: BSD-2-Clause */
/* tls: options, the context, handshakes of clients, and the session that is resumed. */
#include "stress/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"
#include "net/conn.h"
#include "stress/options.h"
#include "stress/tally.h"

#define ALPN_MAX       256u
#define CHAIN_MAX      8u		/* certificates up to the root */
#define TICKET_LIFE_MS 7200000u

static void tls_check_needs(const struct stress_tls *, enum tls_role, struct stress_options *);
static void tls_read_stop(struct stress_tls *, struct stress_options *);
static struct weir_span tls_read_alpn(const char *text, char wire[ALPN_MAX],
    struct stress_options *);
static void tls_wrong(void *options, bool warning, const char *key, unsigned index,
    const char *text);
static void tls_make_ticket_key(void);
static void tls_note(struct conn *, struct tally *);

/* The newest that a server has given. As with clients that are many, several connections
 * may resume it. */
static struct tls_session *kept;

void
stress_tls_prepare(struct stress_tls *t, enum tls_role role, struct stress_options *o)
{
	static char            wire[ALPN_MAX];
	struct tls_certificate pair = { t->certificate, t->key, NULL };
	struct tls_settings    settings = {
		   .name = "weir-stress",
		   .certificates = &pair,
		   .certificate_count = t->certificate != NULL,
		   .version12 = t->version == NULL || strcmp(t->version, "1.2") == 0,
		   .version13 = t->version == NULL || strcmp(t->version, "1.3") == 0,
		   .verify = t->ca != NULL ? TLS_VERIFY_ON : TLS_VERIFY_OFF,
		   .verify_depth = CHAIN_MAX,
		   .tickets = true,
		   .ticket_lifetime = TICKET_LIFE_MS,
	};

	tls_check_needs(t, role, o);
	if (t->version != NULL && !settings.version12 && !settings.version13)
		stress_options_wrong(o, "--tls-version %s: 1.2 or 1.3 is expected", t->version);
	if (t->stop_at != NULL)
		tls_read_stop(t, o);
	if (t->alpn != NULL)
		settings.alpn = tls_read_alpn(t->alpn, wire, o);
	if (!t->on || o->wrong > 0)
		return;
	if (t->key == NULL)
		pair.key = t->certificate;
	if (t->ca != NULL && strcmp(t->ca, "system") != 0)
		settings.ca = t->ca;
	t->context = tls_create(&settings, role, tls_wrong, o);
	if (role == TLS_SERVER)
		tls_make_ticket_key();
}

int
stress_tls_start(const struct stress_tls *t)
{
	return t->on ? tls_start() : 0;
}

void
stress_tls_stop(const struct stress_tls *t)
{
	if (!t->on)
		return;
	tls_stop();
	tls_free_all();
}

int
stress_tls_connect(struct conn *c, const struct stress_tls *t)
{
	return tls_connect(c, t->context, t->name, t->resume ? kept : NULL);
}

enum tls_state
stress_tls_shake(struct conn *c, const struct stress_tls *t, struct tally *tally)
{
	const char *why;

	switch (tls_handshake(c, true)) {
	case TLS_DONE:
		tls_note(c, tally);
		return TLS_DONE;
	case TLS_FAILED:
		why = conn_explain(c);
		stress_tally_reason(tally, why != NULL ? why : "it is not known why");
		return TLS_FAILED;
	case TLS_GONE:
		stress_tally_reason(tally, "it has gone before it said anything");
		return TLS_FAILED;
	default:
		break;
	}
	/* What the server says now is read and thrown away. */
	return t->stop == TLS_STOP_FINISHED ? TLS_DONE : TLS_GOING;
}

void
stress_tls_keep(struct conn *c, const struct stress_tls *t)
{
	struct tls_session *session;

	if (!t->resume || conn_is_plain(c) || (session = tls_session_take(c)) == NULL)
		return;
	if (kept != NULL)
		tls_session_free(kept);
	kept = session;
}

bool
stress_tls_has_failed(const struct conn *c)
{
	const char *why = conn_explain(c);

	return !conn_is_plain(c) && c->error != 0 && why != NULL &&
	    strcmp(why, strerror(c->error)) != 0;
}

/* ------------------------------------------------------------------- options */

static void
tls_check_needs(const struct stress_tls *t, enum tls_role role, struct stress_options *o)
{
	bool more = t->name != NULL || t->ca != NULL || t->certificate != NULL || t->key != NULL ||
	    t->alpn != NULL || t->version != NULL || t->resume || t->stop_at != NULL;

	if (more && !t->on)
		stress_options_wrong(o, "--tls-...: they say how --tls is spoken: give it, too");
	if (t->key != NULL && t->certificate == NULL)
		stress_options_wrong(o, "--tls-key: say whose it is, with --tls-cert");
	if (role == TLS_SERVER && t->on && t->certificate == NULL)
		stress_options_wrong(o, "--tls: a server needs a certificate: give --tls-cert");
}

static void
tls_read_stop(struct stress_tls *t, struct stress_options *o)
{
	if (strcmp(t->stop_at, "hello") == 0)
		t->stop = TLS_STOP_HELLO;
	else if (strcmp(t->stop_at, "finished") == 0)
		t->stop = TLS_STOP_FINISHED;
	else
		stress_options_wrong(o, "--tls-stop %s: hello or finished is expected", t->stop_at);
}

/* As on the wire: each behind its length. */
static struct weir_span
tls_read_alpn(const char *text, char wire[ALPN_MAX], struct stress_options *o)
{
	size_t length = 0, n;

	for (const char *at = text;; at += n + 1) {
		n = strcspn(at, ",");
		if (n == 0 || n > 255 || length + 1 + n > ALPN_MAX) {
			stress_options_wrong(o,
			    "--tls-alpn %s: names with commas between them are expected, like "
			    "h2,http/1.1",
			    text);
			return span_make(NULL, 0);
		}
		wire[length++] = (char)n;
		memcpy(wire + length, at, n);
		length += n;
		if (at[n] == '\0')
			return span_make(wire, length);
	}
}

/* What warnings are about is of no matter to a test. */
static void
tls_wrong(void *options, bool warning, const char *key, unsigned index, const char *text)
{
	const char *name = "tls-ca";

	(void)index;
	if (warning)
		return;
	if (key == NULL)
		name = "tls";
	else if (strcmp(key, "certificate") == 0)
		name = "tls-cert";
	stress_options_wrong(options, "--%s: %s", name, text);
}

/* All processes have the same, so that a session can be resumed in any. */
static void
tls_make_ticket_key(void)
{
	struct tls_ticket_keys keys = { .count = 1 };

	if (getrandom(keys.keys[0], sizeof keys.keys[0], 0) == (ssize_t)sizeof keys.keys[0])
		tls_ticket_keys_set(&keys);
}

/* ---------------------------------------------------------------- handshakes */

static void
tls_note(struct conn *c, struct tally *tally)
{
	struct tls_info info = tls_info(c);

	stress_tally_add(&tally->handshakes, 1);
	if (info.resumed)
		stress_tally_add(&tally->resumed, 1);
	if (tally->tls[0] == '\0')
		snprintf(tally->tls, sizeof tally->tls, "%s, %s%s%.*s", info.version, info.cipher,
		    info.alpn.len > 0 ? ", " : "", (int)info.alpn.len, info.alpn.data);
}
