/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls_record: whole records in, records out.
 *
 * All connections share one BIO, which reads and writes memory of the operation in hand:
 * one of its own would cost each connection 200 bytes, and nothing of it lasts.
 */
#include "net/tls_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define RECORD_HEAD 5u
#define RECORD_MOST (16384u + 2048u)	/* bytes behind the head, in TLS 1.2 */

struct tls_input  tls_input;
struct tls_staged tls_staged;

static BIO_METHOD *method;
static BIO        *bio;

static size_t record_size(const unsigned char *, size_t);
static int  record_bio_read(BIO *, char *, size_t, size_t *);
static int  record_bio_write(BIO *, const char *, size_t, size_t *);
static long record_bio_ctrl(BIO *, int, long, void *);

int
tls_records_start(void)
{
	tls_input.bytes = malloc(TLS_INPUT_SIZE);
	tls_staged.bytes = malloc(TLS_STAGED_SIZE);
	if (tls_input.bytes == NULL || tls_staged.bytes == NULL ||
	    (method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "weir")) == NULL ||
	    BIO_meth_set_read_ex(method, record_bio_read) != 1 ||
	    BIO_meth_set_write_ex(method, record_bio_write) != 1 ||
	    BIO_meth_set_ctrl(method, record_bio_ctrl) != 1 || (bio = BIO_new(method)) == NULL) {
		tls_records_stop();
		errno = ENOMEM;
		return -1;
	}
	BIO_set_init(bio, 1);
	return 0;
}

void
tls_records_stop(void)
{
	BIO_free(bio);
	BIO_meth_free(method);
	bio = NULL;
	method = NULL;
	free(tls_input.bytes);
	free(tls_staged.bytes);
	tls_input.bytes = tls_staged.bytes = NULL;
}

bool
tls_records_attach(SSL *ssl)
{
	if (BIO_up_ref(bio) != 1)
		return false;
	SSL_set_bio(ssl, bio, bio);
	return true;
}

/* What waits is next for OpenSSL. */
void
tls_records_open(struct buf **in, struct buf **out)
{
	struct weir_span waits = buf_span(*in);

	tls_staged.overflow = out;
	tls_staged.length = 0;
	tls_input.lent = *in != NULL;
	tls_input.at = tls_input.lent ? (unsigned char *)(uintptr_t)waits.data : tls_input.bytes;
	tls_input.end = tls_input.at + waits.len;
	tls_input.whole = tls_input.at + tls_records_whole(tls_input.at, waits.len);
	tls_input.limit = tls_input.at;
}

/* What it has not asked for waits. False: there is no memory for it. */
bool
tls_records_close(struct buf **in)
{
	size_t left = (size_t)(tls_input.end - tls_input.at);

	if (tls_input.lent) {
		if (buf_len(*in) > left)
			buf_consume(in, buf_len(*in) - left);
		return true;
	}
	return left == 0 || buf_append(in, span_make(tls_input.at, left)) == 0;
}

/* How many bytes are whole records. What is none goes to OpenSSL as it is, for it knows
 * what to say about it. */
size_t
tls_records_whole(const unsigned char *bytes, size_t length)
{
	size_t whole = 0, size = 1;

	while (whole < length && size > 0) {
		size = record_size(bytes + whole, length - whole);
		whole += size;
	}
	return whole;
}

void
tls_records_limit(void)
{
	tls_input.limit =
	    tls_input.at + record_size(tls_input.at, (size_t)(tls_input.whole - tls_input.at));
}

/* The first record's; 0: it is not whole. What is none is all that there is. */
static size_t
record_size(const unsigned char *head, size_t length)
{
	size_t body;

	if (length == 0)
		return 0;
	if (head[0] < SSL3_RT_CHANGE_CIPHER_SPEC || head[0] > SSL3_RT_APPLICATION_DATA)
		return length;
	if (length < RECORD_HEAD)
		return 0;
	body = (size_t)head[3] << 8 | head[4];
	if (head[1] != SSL3_VERSION_MAJOR || body > RECORD_MOST)
		return length;
	return length < RECORD_HEAD + body ? 0 : RECORD_HEAD + body;
}

/* How many bytes are wanting for the record that has begun. */
size_t
tls_record_missing(void)
{
	size_t left = (size_t)(tls_input.end - tls_input.at), all = RECORD_HEAD;

	if (left >= RECORD_HEAD)
		all += (size_t)tls_input.at[3] << 8 | tls_input.at[4];
	return all > left ? all - left : 0;
}

static int
record_bio_read(BIO *b, char *into, size_t size, size_t *got)
{
	size_t here = (size_t)(tls_input.limit - tls_input.at);

	BIO_clear_retry_flags(b);
	if (here == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	*got = size < here ? size : here;
	memcpy(into, tls_input.at, *got);
	tls_input.at += *got;
	return 1;
}

/* Takes everything: what has no room waits behind what the socket has not taken. */
static int
record_bio_write(BIO *b, const char *from, size_t size, size_t *taken)
{
	BIO_clear_retry_flags(b);
	if (size > TLS_STAGED_SIZE - tls_staged.length) {
		if (buf_append(tls_staged.overflow,
			span_make(tls_staged.bytes, tls_staged.length)) < 0)
			return 0;
		tls_staged.length = 0;
	}
	if (size > TLS_STAGED_SIZE)
		return 0;
	memcpy(tls_staged.bytes + tls_staged.length, from, size);
	tls_staged.length += size;
	*taken = size;
	return 1;
}

static long
record_bio_ctrl(BIO *b, int command, long number, void *pointer)
{
	(void)b;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP;
}
