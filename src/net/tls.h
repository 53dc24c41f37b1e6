/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls: TLS as a transport behind conn, with OpenSSL. Only net/tls*.c know that library.
 *
 *	struct tls		a context: certificates, versions, whom to trust. Made and
 *				checked in the template, constant from then on
 *	tls_accept, tls_connect	put the transport into a conn, in either role
 *	tls_handshake		is called until it is over; then conn_read, conn_send and the
 *				others work as if nothing were between
 *
 * The library sees whole records only, and no more of them than it asks for: what
 * follows stays with us. So after the handshake nothing lies between its state and
 * the first byte that is not read yet.
 *
 * The end of the other side is its close_notify. A FIN without one, before our own side
 * has ended, may have been made by anybody: the conn is then broken, with ECONNRESET.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

struct conn;
struct file;
struct tls;

enum tls_role { TLS_SERVER, TLS_CLIENT };

/* Whether the other side has to show a certificate. */
enum tls_verify {
	TLS_VERIFY_OFF,		/* it is not asked for one (a server's is not looked at) */
	TLS_VERIFY_OPTIONAL,	/* it may have none; one that it has must be good */
	TLS_VERIFY_ON,
};

/* PEM files; ocsp: a DER response to be stapled, or NULL. */
struct tls_certificate {
	const char *chain;
	const char *key;
	const char *ocsp;
};

/* How tls_create comes by a file: results as of file_read. */
typedef const char *tls_read(void *context, const char *path, struct file *);

struct tls_settings {
	const char                   *name;		/* sessions of another are not resumed */
	const struct tls_certificate *certificates;	/* a server's: the first is the default */
	unsigned                      certificate_count;
	bool                          version12;	/* TLS 1.2 is spoken */
	bool                          version13;
	const char                   *ciphers;	/* the library's lists; NULL: its default */
	const char                   *ciphersuites;
	const char                   *groups;
	struct weir_span              alpn;		/* as on the wire: each behind its length */
	const char                   *ca;		/* PEM file; NULL: the system's */
	const char                   *crl;		/* PEM file, or NULL */
	enum tls_verify               verify;
	unsigned                      verify_depth;	/* certificates up to the root */
	bool                          tickets;
	uint64_t                      ticket_lifetime;	/* ms */
	tls_read                     *read;		/* NULL: file_read */
};

/* What tls_create has to say: the directive that is concerned, which of its values (from
 * 0), and a sentence. */
typedef void tls_say(void *context, bool warning, const char *key, unsigned index,
    const char *text);

/*
 * Makes a context, reading all files. Returns it, or NULL when something is wrong: all
 * of that has been said. It lives until tls_free_all.
 */
struct tls *tls_create(const struct tls_settings *, enum tls_role, tls_say *, void *context);
void        tls_free_all(void);

/* Per process, after loop_open; the contexts stay when it stops. */
int  tls_start(void) __attribute__((warn_unused_result));
void tls_stop(void);

/*
 * Puts the transport into an open conn. What waits in conn.in are the first bytes from
 * the other side: they are taken from there. A client says whom it wants to reach (NULL:
 * no name is sent, nor checked), and may resume a session, if that is not too old.
 * Return 0, or -1 with errno ENOMEM and the conn as it was.
 */
struct tls_session;
int tls_accept(struct conn *, struct tls *) __attribute__((warn_unused_result));
int tls_connect(struct conn *, struct tls *, const char *server_name, struct tls_session *)
    __attribute__((warn_unused_result));

enum tls_state {
	TLS_WAITING,	/* server: the first record is not whole; costs next to nothing */
	TLS_READY,	/* it is, and the handshake has not begun: the next call computes */
	TLS_GOING,	/* more has to come first; or the socket takes nothing */
	TLS_DONE,
	TLS_FAILED,	/* conn_explain says why; an alert is on its way where there is one */
	TLS_GONE,	/* the other side has gone before it sent anything */
};

/* Goes on with the handshake. begin: whether a server may leave READY, which takes 50 KB
 * until it is over. To be called when the conn's facts have changed. */
enum tls_state tls_handshake(struct conn *, bool begin);

/* Bytes of memory that hold what has come and was not asked for yet. */
size_t tls_kept(const struct conn *);

struct tls_info {
	bool             resumed;
	const char      *server_name;	/* asked for by the client, or NULL */
	const char      *version;
	const char      *cipher;
	struct weir_span alpn;		/* empty: none */
};
/* Of a handshake that is DONE; lives as long as the conn. */
struct tls_info tls_info(const struct conn *);

/* Whether the other side has shown a certificate, now or when a resumed session began; if
 * it is a good one; and its common name in UTF-8 ("": it has none, or one that is longer). */
bool tls_peer_certificate(const struct conn *, bool *verified, char *name, size_t size);

/* Whether a failed handshake is for the operator to mend: the client speaks TLS, but
 * does not trust the certificate, or nothing it can do is allowed here. */
bool tls_operator_may_help(const struct conn *);

/* errno of what has failed, in the handshake or behind it; 0: nothing has. */
int tls_error(const struct conn *);

/* For a client: what may be done about it with the directives of [tls]. NULL: nothing is
 * known. */
const char *tls_advice(const struct conn *);

/* A client's: a session that it could resume, once the server has given one (it may be
 * asked for when the conn ends). NULL: none. tls_session_free gives it back. */
struct tls_session *tls_session_take(struct conn *);
void                tls_session_free(struct tls_session *);

/* Behind tls_connect: from now on *newest is the one that the server has given last, in
 * place of the one that was there. It outlives the conn. */
void tls_session_keep(struct conn *, struct tls_session **newest);

/* Whether one has come on this conn; or none is kept of it. */
bool tls_session_came(const struct conn *);

/* ---------------------------------------------------------------- ticket keys */

#define TLS_TICKET_KEY_SIZE 80u		/* name 16, HMAC-SHA256 32, AES-256-CBC 32 */
#define TLS_TICKET_KEYS      3u

/* The first makes tickets, all read them. */
struct tls_ticket_keys {
	uint32_t      count;
	unsigned char keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
};

/* For all contexts of the process, now and later; without any, it makes one of its own. */
void tls_ticket_keys_set(const struct tls_ticket_keys *);

#endif
