/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls_conn: TLS as a transport of a conn.
 *
 *	socket ──recv──► tls_input ──whole records──► SSL ──► the caller's memory
 *	           t.in ──┘ └──► t.in
 *	socket ◄──send── tls_staged ◄──records── SSL ◄── the caller's memory
 *	           t.out ◄─┘
 *
 * Input and output are of the operation in hand (net/tls_record); what the library has
 * not asked for, and what the socket has not taken, waits in bufs of the connection.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/slab.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/tls_conn.h"
#include "net/tls_context.h"
#include "net/tls_record.h"

#define RECORD_PLAIN  16384u
#define RECORD_SMALL  1400u			/* one packet with it on any path but odd ones */
#define SEND_MOST     (4 * RECORD_PLAIN)	/* of plain bytes, with one send(2) */
#define HELD_MOST     (256u << 10)
#define WORK_MOST     256u			/* of the library and the socket, with one read */
#define FILLS_MOST    16u			/* with one call for a handshake */
#define BARREN_MOST   64u			/* records without data, and no data between */
#define IDLE_AFTER    1000u			/* ms */
#define IDLE_BYTES    16384u			/* in small records after that */
#define REKEY_RECORDS (1u << 23)		/* AES-GCM: far below what it bears with one key */
#define SESSION_BYTES 14000u			/* of the heap: what a session frees … */
#define SHAKEN_BYTES  32000u			/* … and a handshake, when it is over */

/* What a send makes is sent as a whole: small records first, 64 bytes more each at most. */
static_assert(SEND_MOST + (IDLE_BYTES / RECORD_SMALL + SEND_MOST / RECORD_PLAIN + 2) * 64 <=
	TLS_STAGED_SIZE,
    "it fits");

static ssize_t     tls_conn_recv(struct conn *, void *, size_t);
static ssize_t     tls_conn_send(struct conn *, const void *, size_t);
static int         tls_conn_flush(struct conn *);
static size_t      tls_conn_held(const struct conn *);
static int         tls_conn_finish(struct conn *);
static void        tls_conn_destroy(struct conn *);

static struct tls_conn *tls_conn_create(struct tls *);
static void    tls_conn_install(struct conn *, struct tls_conn *);
static bool    tls_conn_expect(struct tls_conn *, const char *name);
static bool    tls_conn_start(struct tls_conn *);
static bool    tls_conn_step(struct tls_conn *);
static int     tls_conn_fill(struct conn *, struct tls_conn *, size_t wanted);
static size_t  tls_conn_read(struct tls_conn *, char *into, size_t);
static bool    tls_conn_write(struct tls_conn *, const char *from, size_t);
static bool    tls_conn_has_ended(const struct tls_conn *);
static void    tls_conn_fail(struct tls_conn *, enum tls_fault, int error);
static bool    tls_conn_library_failed(struct tls_conn *, int result);
static ssize_t tls_conn_discard(struct conn *);
static int     tls_conn_emit(struct conn *, struct tls_conn *);
static void    tls_conn_settle(struct conn *, struct tls_conn *);

static const struct transport_ops tls_ops = {
	.recv    = tls_conn_recv,
	.send    = tls_conn_send,
	.flush   = tls_conn_flush,
	.held    = tls_conn_held,
	.finish  = tls_conn_finish,
	.explain = tls_fault_explain,
	.destroy = tls_conn_destroy,
};

static struct slab conns;

int
tls_start(void)
{
	slab_init(&conns, sizeof(struct tls_conn));
	tls_trim_start();
	return tls_sessions_start() < 0 ? -1 : tls_records_start();
}

void
tls_stop(void)
{
	slab_finish(&conns);
	tls_records_stop();
}

int
tls_accept(struct conn *c, struct tls *context)
{
	struct tls_conn *t = tls_conn_create(context);

	if (t == NULL)
		return -1;
	tls_conn_install(c, t);
	return 0;
}

int
tls_connect(struct conn *c, struct tls *context, const char *name, struct tls_session *session)
{
	struct tls_conn *t = tls_conn_create(context);

	if (t == NULL)
		return -1;
	if (session != NULL && !tls_session_is_good(session, context))
		session = NULL;
	if (tls_conn_start(t) && (name == NULL || tls_conn_expect(t, name)) &&
	    (session == NULL || SSL_set_session(t->ssl, (SSL_SESSION *)(void *)session) == 1)) {
		tls_conn_install(c, t);
		return 0;
	}
	ERR_clear_error();
	SSL_free(t->ssl);
	slab_give(&conns, t);
	errno = ENOMEM;
	return -1;
}

/* ---------------------------------------------------------------- handshake */

enum tls_state
tls_handshake(struct conn *c, bool begin)
{
	struct tls_conn *t = tls_conn_of(c);
	unsigned         fills = 0;

	if (t->state >= TLS_DONE)
		return t->state;
	if (c->held && c->writable && tls_conn_flush(c) < 0 && errno != EAGAIN)
		tls_conn_fail(t, TLS_FAULT_SYSTEM, errno);
	tls_records_open(&t->in, &t->out);
	ERR_clear_error();
	while (t->state < TLS_DONE) {
		if (tls_input.at == tls_input.whole && (t->ssl == NULL || t->started)) {
			if (fills++ == FILLS_MOST) {
				conn_again(c);
				break;
			}
			if (tls_conn_fill(c, t, RECORD_PLAIN) <= 0)
				break;
			continue;
		}
		if (t->ssl == NULL && !begin) {
			t->state = TLS_READY;
			break;
		}
		/* A client's first step takes nothing; what the server has said before
		 * makes no further event. */
		if (!tls_conn_step(t) && (!c->readable || tls_input.at != tls_input.whole))
			break;
	}
	if (!tls_records_close(&t->in))
		tls_conn_fail(t, TLS_FAULT_SYSTEM, ENOMEM);
	if (tls_conn_emit(c, t) < 0 && t->state < TLS_FAILED)
		tls_conn_fail(t, TLS_FAULT_SYSTEM, errno);
	if (t->state == TLS_FAILED || t->state == TLS_DONE)
		tls_conn_settle(c, t);
	return t->state;
}

/* One call of the library. False: it needs more, or the handshake is over. */
static bool
tls_conn_step(struct tls_conn *t)
{
	unsigned char *before = tls_input.at;
	int            result;

	if (t->ssl == NULL && !tls_conn_start(t)) {
		ERR_clear_error();
		tls_conn_fail(t, TLS_FAULT_SYSTEM, ENOMEM);
		return false;
	}
	t->state = TLS_GOING;
	t->started = true;
	tls_input.limit = tls_input.whole;
	result = SSL_do_handshake(t->ssl);
	tls_input.limit = tls_input.at;
	if (result == 1) {
		t->state = TLS_DONE;
		return false;
	}
	return !tls_conn_library_failed(t, result) && tls_input.at != before;
}

/* It is over: whether something lies behind it, for the owner to read. */
static void
tls_conn_settle(struct conn *c, struct tls_conn *t)
{
	struct weir_span left = buf_span(t->in);

	tls_trim_note(SHAKEN_BYTES);
	if (t->state == TLS_FAILED) {
		buf_return(&t->in);
		SSL_free(t->ssl);
		t->ssl = NULL;
		ERR_clear_error();
		return;
	}
	tls_staple_release(t->ssl);
	tls_session_note(t);
	c->pending = left.len > 0 &&
	    tls_records_whole((const unsigned char *)left.data, left.len) > 0;
	if (c->pending)
		c->readable = true;
}

/* ------------------------------------------------------------- the transport */

static ssize_t
tls_conn_recv(struct conn *c, void *into, size_t size)
{
	struct tls_conn *t = tls_conn_of(c);
	size_t           got = 0;
	unsigned         work = 0;

	if (t->state != TLS_DONE)
		return tls_conn_discard(c);
	if (c->held && tls_conn_held(c) > HELD_MOST)
		tls_conn_fail(t, TLS_FAULT_GREEDY, EPROTO);
	tls_records_open(&t->in, &t->out);
	ERR_clear_error();
	for (; got < size && !tls_conn_has_ended(t) && work < WORK_MOST; work++) {
		if (tls_input.at == tls_input.whole && SSL_pending(t->ssl) == 0) {
			/* What a short read has drained is drained; but to say so takes
			 * bytes, or an EAGAIN. */
			if (got > 0 && !c->readable)
				break;
			if (tls_conn_fill(c, t, size - got) <= 0)
				break;
		} else
			got += tls_conn_read(t, (char *)into + got, size - got);
	}
	c->pending = tls_conn_has_ended(t) || SSL_pending(t->ssl) > 0 ||
	    tls_input.at != tls_input.whole || (work == WORK_MOST && c->readable);
	if (!tls_records_close(&t->in))
		tls_conn_fail(t, TLS_FAULT_SYSTEM, ENOMEM);
	if (tls_conn_emit(c, t) < 0)
		conn_send_ended(c, errno);
	c->readable = true;	/* conn_read clears it */
	if (got > 0)
		return (ssize_t)got;
	if (work == WORK_MOST && c->pending && !tls_conn_has_ended(t)) {
		conn_again(c);
		errno = EAGAIN;
		return -1;
	}
	c->pending = false;
	if (t->failure != 0) {
		errno = t->failure;
		return -1;
	}
	if (t->ended)
		return 0;
	errno = EAGAIN;
	return -1;
}

static ssize_t
tls_conn_send(struct conn *c, const void *from, size_t size)
{
	struct tls_conn *t = tls_conn_of(c);
	size_t           done = 0, batch;

	if (t->state != TLS_DONE || t->failure != 0) {
		errno = t->state < TLS_DONE ? EAGAIN : EPIPE;
		return -1;
	}
	if (c->held && tls_conn_flush(c) < 0)
		return -1;
	if ((uint32_t)loop_now() - t->sent_at > IDLE_AFTER)
		t->small = IDLE_BYTES;
	t->sent_at = (uint32_t)loop_now();
	t->barren = 0;
	ERR_clear_error();
	while (done < size && !c->held) {
		batch = size - done < SEND_MOST ? size - done : SEND_MOST;
		tls_staged.overflow = &t->out;
		if (!tls_conn_write(t, (const char *)from + done, batch)) {
			(void)tls_conn_emit(c, t);
			errno = EPROTO;
			return -1;
		}
		if (tls_conn_emit(c, t) < 0)
			return -1;
		done += batch;
	}
	return (ssize_t)done;
}

static int
tls_conn_flush(struct conn *c)
{
	struct tls_conn *t = tls_conn_of(c);
	struct weir_span left;
	ssize_t          n;

	while (t->out != NULL) {
		left = buf_span(t->out);
		n = send(conn_fd(c), left.data, left.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->writable = false;
			return -1;
		}
		buf_consume(&t->out, (size_t)n);
	}
	c->held = false;
	return 0;
}

static size_t
tls_conn_held(const struct conn *c)
{
	return buf_len(tls_conn_of(c)->out);
}

static int
tls_conn_finish(struct conn *c)
{
	struct tls_conn *t = tls_conn_of(c);

	if (t->state == TLS_DONE && t->failure == 0 && !t->told) {
		t->told = true;
		tls_staged.overflow = &t->out;
		ERR_clear_error();
		(void)SSL_shutdown(t->ssl);
		ERR_clear_error();
		if (tls_conn_emit(c, t) < 0)
			return -1;
	}
	if (c->held && tls_conn_flush(c) < 0)
		return -1;
	return shutdown(conn_fd(c), SHUT_WR);
}

static void
tls_conn_destroy(struct conn *c)
{
	struct tls_conn *t = tls_conn_of(c);

	if (t->state == TLS_DONE && t->failure == 0 && !t->told && !c->aborted && !c->broken &&
	    !c->write_shut && !c->held && c->out == NULL && c->open) {
		tls_staged.overflow = &t->out;
		(void)SSL_shutdown(t->ssl);
		(void)tls_conn_emit(c, t);
	}
	SSL_SESSION_free(t->session);
	if (t->ssl != NULL) {
		/* Otherwise its sessions could not be resumed. */
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(t->ssl);
		ERR_clear_error();
		tls_trim_note(SESSION_BYTES);
	}
	buf_return(&t->in);
	buf_return(&t->out);
	c->pending = c->held = false;
	slab_give(&conns, t);
}

/* ------------------------------------------------------------------- its parts */

static struct tls_conn *
tls_conn_create(struct tls *context)
{
	struct tls_conn *t = slab_take(&conns);

	if (t == NULL)
		return NULL;
	t->transport.ops = &tls_ops;
	t->context = context;
	t->state = context->role == TLS_SERVER ? TLS_WAITING : TLS_GOING;
	return t;
}

static void
tls_conn_install(struct conn *c, struct tls_conn *t)
{
	t->in = c->in;
	c->in = NULL;
	c->unread = false;
	t->heard = t->in != NULL;
	c->transport = &t->transport;
}

/* Whom a client wants to reach. An address goes into no server_name, and is in the
 * certificate as such. */
static bool
tls_conn_expect(struct tls_conn *t, const char *name)
{
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1)
		return true;
	ERR_clear_error();
	return SSL_set_tlsext_host_name(t->ssl, name) == 1 && SSL_set1_host(t->ssl, name) == 1;
}

static bool
tls_conn_start(struct tls_conn *t)
{
	if ((t->ssl = SSL_new(t->context->ssl)) == NULL)
		return false;
	if (!tls_records_attach(t->ssl))
		return false;
	if (t->context->role == TLS_SERVER)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return true;
}

/* More from the socket, behind what is there. Returns 1, 0 at its end, or -1: not now, or
 * it has failed. Clears `readable` when the socket is drained. */
static int
tls_conn_fill(struct conn *c, struct tls_conn *t, size_t wanted)
{
	size_t  left = (size_t)(tls_input.end - tls_input.at), room = tls_record_missing();
	ssize_t n;

	if (!c->readable && t->state != TLS_DONE)
		return -1;
	if (left > 0 && tls_input.at != tls_input.bytes)
		memmove(tls_input.bytes, tls_input.at, left);
	if (tls_input.lent)
		buf_return(&t->in);
	tls_input.lent = false;
	tls_input.at = tls_input.whole = tls_input.bytes;
	tls_input.end = tls_input.bytes + left;
	/* One that is longer than what is wanted is needed as a whole. */
	room = wanted + 1024 > room ? wanted + 1024 : room;
	room = room < TLS_INPUT_SIZE - left ? room : TLS_INPUT_SIZE - left;
	do
		n = recv(conn_fd(c), tls_input.end, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		c->readable = false;
		if (errno != EAGAIN)
			tls_conn_fail(t, TLS_FAULT_SYSTEM, errno);
		return -1;
	}
	if (n == 0) {
		if (!t->heard)
			t->state = TLS_GONE;
		else if (c->finished)
			t->ended = true;
		else
			tls_conn_fail(t, TLS_FAULT_TRUNCATED, ECONNRESET);
		return 0;
	}
	t->heard = true;
	if ((size_t)n < room && !c->closed)
		c->readable = false;
	tls_input.end += n;
	tls_input.whole = tls_input.bytes + tls_records_whole(tls_input.bytes, left + (size_t)n);
	return 1;
}

/* One call of the library, with one record: it would go through all that have no data. Returns
 * how many bytes. */
static size_t
tls_conn_read(struct tls_conn *t, char *into, size_t size)
{
	unsigned char *before = tls_input.at;
	size_t         n = 0;
	int            result;

	tls_records_limit();
	result = SSL_read_ex(t->ssl, into, size, &n);
	tls_input.limit = tls_input.at;
	tls_session_note(t);
	if (result == 1) {
		t->barren = 0;
		return n;
	}
	if (tls_conn_library_failed(t, result))
		return 0;
	if (tls_input.at == before)
		tls_conn_fail(t, TLS_FAULT_SYSTEM, EPROTO);	/* it would never go on */
	else if (++t->barren > BARREN_MOST)
		tls_conn_fail(t, TLS_FAULT_BARREN, EPROTO);
	return 0;
}

/* All of it; it is no more than `staged` takes. */
static bool
tls_conn_write(struct tls_conn *t, const char *from, size_t size)
{
	size_t n, written;

	while (size > 0) {
		n = size < RECORD_PLAIN ? size : RECORD_PLAIN;
		if (t->small > 0 && n > RECORD_SMALL) {
			n = RECORD_SMALL;
			t->small = t->small > n ? (uint16_t)(t->small - n) : 0;
		}
		if (++t->records >= REKEY_RECORDS && SSL_version(t->ssl) == TLS1_3_VERSION) {
			t->records = 0;
			(void)SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		}
		if (SSL_write_ex(t->ssl, from, n, &written) != 1) {
			(void)tls_conn_library_failed(t, 0);
			tls_conn_fail(t, TLS_FAULT_LIBRARY, EPROTO);
			return false;
		}
		from += written;
		size -= written;
	}
	return true;
}

/* Whether nothing more can come. */
static bool
tls_conn_has_ended(const struct tls_conn *t)
{
	return t->ended || t->failure != 0;
}

/* The first fault counts. */
static void
tls_conn_fail(struct tls_conn *t, enum tls_fault fault, int error)
{
	if (t->failure != 0)
		return;
	t->failure = (uint16_t)error;
	t->fault = (uint8_t)fault;
	if (t->state < TLS_DONE)
		t->state = TLS_FAILED;
}

/* Whether a call that has not succeeded says more than that it needs more. */
static bool
tls_conn_library_failed(struct tls_conn *t, int result)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return false;
	case SSL_ERROR_ZERO_RETURN:
		t->ended = true;
		return true;
	default:
		break;
	}
	if (t->failure == 0) {
		t->error = (uint32_t)ERR_peek_error();
		t->verified = (uint16_t)SSL_get_verify_result(t->ssl);
	}
	ERR_clear_error();
	tls_conn_fail(t, TLS_FAULT_LIBRARY, EPROTO);
	return true;
}

/* What is not TLS (any more) is read and thrown away, so that the kernel sends no reset
 * behind the alert. */
static ssize_t
tls_conn_discard(struct conn *c)
{
	ssize_t n = 1;

	for (unsigned share = 16; share > 0 && n > 0; share--)
		n = recv(conn_fd(c), tls_input.bytes, TLS_INPUT_SIZE, 0);
	if (n > 0)
		errno = EAGAIN;
	return n > 0 ? -1 : n;
}

/* Sends what is staged, behind what is held. -1 with errno when the socket has failed. */
static int
tls_conn_emit(struct conn *c, struct tls_conn *t)
{
	size_t  length = tls_staged.length;
	ssize_t n = 0;

	tls_staged.length = 0;
	if (length == 0)
		return 0;
	if (t->out == NULL && c->writable) {
		do
			n = send(conn_fd(c), tls_staged.bytes, length, MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN)
			return -1;
		n = n < 0 ? 0 : n;
		c->writable = (size_t)n == length;
	}
	if ((size_t)n == length)
		return 0;
	c->held = true;
	if (buf_append(&t->out, span_make(tls_staged.bytes + n, length - (size_t)n)) < 0)
		return -1;
	if (c->writable && tls_conn_flush(c) < 0 && errno != EAGAIN)
		return -1;
	return 0;
}

/* ----------------------------------------------------------------- what is known */

size_t
tls_kept(const struct conn *c)
{
	return buf_memory(tls_conn_of(c)->in);
}

struct tls_info
tls_info(const struct conn *c)
{
	const struct tls_conn *t = tls_conn_of(c);
	const unsigned char   *alpn;
	unsigned               length;

	SSL_get0_alpn_selected(t->ssl, &alpn, &length);
	return (struct tls_info){
		.resumed = SSL_session_reused(t->ssl) == 1,
		.server_name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name),
		.version = SSL_get_version(t->ssl),
		.cipher = SSL_get_cipher_name(t->ssl),
		.alpn = span_make(alpn, length),
	};
}

bool
tls_peer_certificate(const struct conn *c, bool *verified, char *name, size_t size)
{
	const struct tls_conn *t = tls_conn_of(c);
	X509                  *x = SSL_get0_peer_certificate(t->ssl);
	X509_NAME             *subject;
	unsigned char         *text = NULL;
	int                    at, length;

	*verified = x != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK;
	name[0] = '\0';
	if (x == NULL)
		return false;
	subject = X509_get_subject_name(x);
	if ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)) < 0)
		return true;
	length = ASN1_STRING_to_UTF8(&text,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (length > 0 && (size_t)length < size && memchr(text, '\0', (size_t)length) == NULL) {
		memcpy(name, text, (size_t)length);
		name[length] = '\0';
	}
	OPENSSL_free(text);
	return true;
}
