/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls_trim: memory that handshakes and sessions have freed goes back to the system.
 *
 * OpenSSL's many small pieces lie between those that stay, and the C library keeps them:
 * after a burst, tens of KB for each session that is left. So it is told to give them back, when
 * enough has come together, and nothing more comes for a moment; or after a while
 * in any case, because it costs a walk over the heap. Buffers that first messages came
 * in go with them: each lies between a handshake's pieces and would hold a page.
 */
#include <malloc.h>

#include "base/buf.h"
#include "net/loop.h"
#include "net/tls_context.h"

#define TRIM_BYTES (4u << 20)	/* less is not worth it */
#define TRIM_LOOK  500u		/* ms */
#define TRIM_LOOKS 20u		/* so often at most, while more comes */
#define TRIM_KEEP  (256u << 10)	/* bytes at the end of the heap */

static struct {
	struct loop_timer timer;
	size_t            freed;	/* since the last time */
	size_t            seen;		/* of them, at the last look */
	unsigned          looks;
} trim;

static void tls_trim_look(void *);

void
tls_trim_start(void)
{
	trim.freed = trim.seen = 0;
	trim.looks = 0;
	loop_timer_init(&trim.timer, tls_trim_look, NULL);
}

void
tls_trim_note(size_t bytes)
{
	if (trim.freed < TRIM_BYTES && trim.freed + bytes >= TRIM_BYTES)
		loop_timer_start(&trim.timer, TRIM_LOOK);
	trim.freed += bytes;
}

static void
tls_trim_look(void *argument)
{
	(void)argument;
	if (trim.freed - trim.seen > TRIM_BYTES / 8 && trim.looks < TRIM_LOOKS) {
		trim.seen = trim.freed;
		trim.looks++;
		loop_timer_start(&trim.timer, TRIM_LOOK);
		return;
	}
	buf_trim();
	malloc_trim(TRIM_KEEP);
	trim.freed = trim.seen = 0;
	trim.looks = 0;
}
