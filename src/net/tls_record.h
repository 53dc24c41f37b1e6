/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_record: whole records in, records out; private to net/tls. */
#ifndef NET_TLS_RECORD_H
#define NET_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

#include "base/buf.h"

#define TLS_INPUT_SIZE  (65536u + 20480u)
#define TLS_STAGED_SIZE (65536u + 4096u)

/* What the library has to read next. */
struct tls_input {
	unsigned char *at;		/* next byte for it */
	unsigned char *limit;		/* this call may have them up to here … */
	unsigned char *whole;		/* … and calls to come up to here: whole records */
	unsigned char *end;
	bool           lent;		/* they lie in the buf that tls_records_open was given */
	unsigned char *bytes;		/* TLS_INPUT_SIZE */
};

/* What the library has written. */
struct tls_staged {
	struct buf   **overflow;	/* takes what has no room, and so goes first */
	size_t         length;
	unsigned char *bytes;		/* TLS_STAGED_SIZE */
};

extern struct tls_input  tls_input;
extern struct tls_staged tls_staged;

int  tls_records_start(void) __attribute__((warn_unused_result));
void tls_records_stop(void);

/* Connects it with input and output. False: memory is short. */
bool tls_records_attach(SSL *);

/* Begins an operation: what waits in *in is next to be read; then ends it: what has not been
 * read waits there. False: there is no memory for it. */
void tls_records_open(struct buf **in, struct buf **out);
bool tls_records_close(struct buf **in) __attribute__((warn_unused_result));

/* How many of the bytes are whole records. What can be none is taken for whole: the
 * library knows what to say about it. */
size_t tls_records_whole(const unsigned char *, size_t);

/* The library's next call is given the first whole record alone. */
void tls_records_limit(void);

/* How many bytes are wanting for the record that has begun. */
size_t tls_record_missing(void);

#endif
