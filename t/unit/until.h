/* SPDX-License-Identifier: BSD-2-Clause */
/* until: the loop, run until a condition holds; and two sockets that are connected. */
#ifndef UNIT_UNTIL_H
#define UNIT_UNTIL_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "tap.h"

#define GUARD 20000u	/* ms: a condition that never comes true ends the run */

static struct {
	bool            (*condition)(void);
	struct loop_timer guard;
	bool              guarded;
} until;

static void
until_pass_ended(void)
{
	if (until.condition != NULL && until.condition())
		loop_stop();
}

static void
until_guard_fired(void *argument)
{
	(void)argument;
	until.guarded = true;
	loop_stop();
}

/* Once, when the loop is open. */
__attribute__((unused)) static void
until_init(void)
{
	loop_on_pass_end(until_pass_ended);
	loop_timer_init(&until.guard, until_guard_fired, NULL);
}

/* False: it never came true. */
__attribute__((unused)) static bool
run_until(bool (*condition)(void))
{
	until.condition = condition;
	until.guarded = false;
	if (condition())
		return true;
	loop_timer_start(&until.guard, GUARD);
	if (loop_run() < 0)
		bail_out("loop_run: %s", strerror(errno));
	loop_timer_stop(&until.guard);
	return !until.guarded;
}

/* ends[0] does not block, as if it had been accepted by a worker. */
__attribute__((unused)) static void
connect_ends(int ends[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t          len = sizeof a;
	int                listening = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listening, (struct sockaddr *)&a, len) < 0 || listen(listening, 1) < 0 ||
	    getsockname(listening, (struct sockaddr *)&a, &len) < 0 ||
	    connect(ends[1], (struct sockaddr *)&a, len) < 0 ||
	    (ends[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) < 0)
		bail_out("no connected pair: %s", strerror(errno));
	close(listening);
}

#endif
