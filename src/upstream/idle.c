/* SPDX-License-Identifier: BSD-2-Clause */
/* idle: whether the other end of a connection that nobody uses is still there. */
#include "upstream/idle.h"

#include "base/log.h"
#include "net/conn.h"
#include "net/sock.h"
#include "net/timer.h"

/* The first look is worth as much as a round trip in a data centre. */
#define PAUSE_LEAST TIMER_TICK	/* ms */
#define PAUSE_MOST  256u	/* well below IDLE_LEAST: no answer is missed */

enum idle_answer
idle_look(struct idle *i, const struct conn *c, const struct sock_options *options, uint64_t now,
    uint64_t patience)
{
	uint64_t silent = conn_silent_for(c);

	if (silent < IDLE_LEAST || silent == UINT64_MAX) {
		if (i->asked != 0)
			(void)sock_set_keepalive(conn_fd(c), options);
		idle_heard(i, silent < IDLE_LEAST ? now - silent : now);
		return IDLE_THERE;
	}
	if (i->asked == 0) {
		log_debug("idle: asked whether the peer is still there");
		i->asked = now;
		i->pause = 0;
	} else if (now - i->asked >= patience)
		return IDLE_GONE;
	/* Again, as soon as the first may have been lost. */
	if ((i->pause == 0 || i->pause == PAUSE_MOST) && sock_ping(conn_fd(c)) < 0) {
		idle_heard(i, now);
		return IDLE_THERE;
	}
	i->pause = i->pause == 0 ? PAUSE_LEAST : i->pause * 2;
	if (i->pause > PAUSE_MOST)
		i->pause = PAUSE_MOST;
	i->look = now + i->pause;
	if (i->look > i->asked + patience)
		i->look = i->asked + patience;
	return IDLE_ASKED;
}
