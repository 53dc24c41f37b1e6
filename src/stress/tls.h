/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls: weir-stress's use of net/tls: its options, and the sessions that are resumed.
 *
 *	struct option_rule rules[] = { …, STRESS_TLS_RULES(offsetof(struct run, tls)), … };
 *	stress_tls_prepare	all is read: makes the context, before any process is forked
 *	stress_tls_start	in each process, after loop_open
 *
 * A backend accepts with net/tls itself.
 */
#ifndef STRESS_TLS_H
#define STRESS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/tls.h"

struct conn;
struct stress_options;
struct tally;

/* slowloris: where the handshake is left. */
enum tls_stop {
	TLS_STOP_NONE,
	TLS_STOP_HELLO,		/* within the first message */
	TLS_STOP_FINISHED,	/* before the last one */
};

struct stress_tls {
	bool          on;
	bool          resume;
	const char   *name;		/* server_name, and the name that is verified; NULL: none */
	const char   *ca;		/* file, "system", or NULL: nothing is verified */
	const char   *certificate;	/* files, or NULL */
	const char   *key;		/* NULL: in that file, too */
	const char   *alpn;		/* with commas between them, or NULL */
	const char   *version;		/* "1.2", "1.3", or NULL: both */
	const char   *stop_at;		/* slowloris: "hello", "finished", or NULL */
	enum tls_stop stop;		/* … read */
	struct tls   *context;
};

#define STRESS_TLS_AT(tls, field) (tls) + offsetof(struct stress_tls, field)

/* Those that a backend has, too; and those of clients. */
/* clang-format off */
#define STRESS_TLS_RULES(tls)                                                                   \
	{ "tls", 0, OPTION_FLAG, STRESS_TLS_AT(tls, on), .help = "speaks TLS" },                \
	{ "tls-cert", 0, OPTION_TEXT, STRESS_TLS_AT(tls, certificate), .value = "FILE",         \
	  .help = "its own certificate, in PEM" },                                              \
	{ "tls-key", 0, OPTION_TEXT, STRESS_TLS_AT(tls, key), .value = "FILE",                  \
	  .help = "and the key, where another file has it" },                                   \
	{ "tls-ca", 0, OPTION_TEXT, STRESS_TLS_AT(tls, ca), .value = "FILE|system",             \
	  .help = "verifies the other side's certificate with these" },                         \
	{ "tls-alpn", 0, OPTION_TEXT, STRESS_TLS_AT(tls, alpn), .value = "NAME[,NAME...]",      \
	  .help = "protocols (ALPN)" },                                                         \
	{ "tls-version", 0, OPTION_TEXT, STRESS_TLS_AT(tls, version), .value = "1.2|1.3",       \
	  .help = "only this version" }

#define STRESS_TLS_CLIENT_RULES(tls)                                                            \
	{ "tls-name", 0, OPTION_TEXT, STRESS_TLS_AT(tls, name), .value = "NAME",                \
	  .help = "server_name: the host of the target" },                                      \
	{ "tls-resume", 0, OPTION_FLAG, STRESS_TLS_AT(tls, resume),                             \
	  .help = "resumes sessions where there is one" },                                      \
	{ "tls-stop", 0, OPTION_TEXT, STRESS_TLS_AT(tls, stop_at), .value = "hello|finished",   \
	  .part = 'T', .help = "slowloris: where it stays in the handshake" }
/* clang-format on */

/* Checks them and reads all files, before anything is forked. What is wrong is told. */
void stress_tls_prepare(struct stress_tls *, enum tls_role, struct stress_options *);

int  stress_tls_start(const struct stress_tls *) __attribute__((warn_unused_result));
void stress_tls_stop(const struct stress_tls *);	/* when no conn has it any more */

/* A client's: puts the transport into a connected conn, with the session that is to be
 * resumed. -1: no memory. */
int stress_tls_connect(struct conn *, const struct stress_tls *)
    __attribute__((warn_unused_result));

/* Goes on with the handshake of a client: TLS_GOING, TLS_DONE (counted) or TLS_FAILED
 * (its reason is counted). */
enum tls_state stress_tls_shake(struct conn *, const struct stress_tls *, struct tally *);

/* Its session is the one to be resumed, if it has one. */
void stress_tls_keep(struct conn *, const struct stress_tls *);

/* Whether it was TLS that has broken, not the socket below it. */
bool stress_tls_has_failed(const struct conn *);

#endif
