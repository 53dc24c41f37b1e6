/* SPDX-License-Identifier: BSD-2-Clause */
/* session: its steps, with modes of the test's own: who waits, who follows whom, who ends it. */
#include "session/session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/slab.h"
#include "base/str.h"
#include "session/server.h"
#include "tap.h"
#include "until.h"

#define SHORT 30u /* ms: a deadline that is to come */

static struct slab slab;
static board_word cell[SERVER_END + SESSION_REASON_COUNT];
static struct server server = { .name = "unit", .slab = &slab, .cell = cell };
static struct weir_session *session; /* the one that is open */
static int far = -1; /* its client */

static char said[256]; /* what was called, a word each */
static unsigned endings;
static enum session_reason ended_for;
static bool gate_opens, talk_ends;
static uint64_t gate_by; /* the gate's own deadline */
static uint64_t gate_extends; /* ms, once */
static size_t relay_keeps; /* bytes, for unsent */

static void
say(const char *word, const struct weir_session *s)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof said - len, "%s%s@%u", len > 0 ? " " : "", word, s->step);
}

static void
gate_run(struct weir_session *s)
{
	session = s;
	say("gate", s);
	if (gate_opens)
		session_enter(s, STEP_HANDSHAKE);
}

static void
gate_deadline(const struct weir_session *s, struct session_deadline *d)
{
	(void)s;
	session_deadline_add(d, 0, gate_by, SESSION_READ_TIMEOUT);
}

static void
gate_expired(struct weir_session *s, enum session_reason reason)
{
	say(reason == SESSION_READ_TIMEOUT ? "expired" : "other", s);
	if (gate_extends > 0)
		gate_by = loop_now() + gate_extends;
	gate_extends = 0;
}

static void
gate_leave(struct weir_session *s)
{
	say("gate-left", s);
}

static void
talk_enter(struct weir_session *s)
{
	session = s;
	say("talk", s);
}

static void
talk_run(struct weir_session *s)
{
	if (!session_begin_turn(s))
		return;
	if (conn_read(&s->client, loop_scratch(), loop_scratch_size()) == 0)
		return;
	say("talk-run", s);
	if (talk_ends) {
		(void)conn_gather(&s->client, span_make("bye", 3));
		session_finish(s, SESSION_PROTOCOL_CLOSED);
	} else
		session_enter(s, STEP_RELAY);
}

static void
talk_leave(struct weir_session *s)
{
	say("talk-left", s);
}

static void
relay_enter(struct weir_session *s)
{
	say("relay", s);
}

static void
relay_run(struct weir_session *s)
{
	say("relay-run", s);
}

static void
relay_leave(struct weir_session *s)
{
	say("relay-left", s);
}

static void
relay_release(struct weir_session *s)
{
	say("relay-released", s);
}

static size_t
relay_unsent(const struct weir_session *s)
{
	(void)s;
	return relay_keeps;
}

static void
relay_describe(const struct weir_session *s, char *out, size_t size)
{
	(void)s;
	snprintf(out, size, ", relayed");
}

static const struct session_mode gate = {
	.name = "gate",
	.run = gate_run,
	.deadline = gate_deadline,
	.expired = gate_expired,
	.leave = gate_leave,
};
static const struct session_mode talk = {
	.name = "talk",
	.enter = talk_enter,
	.run = talk_run,
	.leave = talk_leave,
};
static const struct session_mode relay = {
	.name = "relay",
	.enter = relay_enter,
	.run = relay_run,
	.leave = relay_leave,
	.release = relay_release,
	.unsent = relay_unsent,
	.describe = relay_describe,
};

static const struct session_mode *modes[STEP_COUNT] = {
	[STEP_TALK] = &talk,
	[STEP_RELAY] = &relay,
};

static uint32_t
take_ids(void)
{
	return 1;
}

static void
ending(const struct weir_session *s)
{
	endings++;
	ended_for = s->reason;
}

static void
ended(void)
{
	session = NULL;
}

static const struct session_ops ops = { .ids = take_ids, .ending = ending, .ended = ended };

static bool
has_ended(void)
{
	return endings > 0 && session_count() == 0;
}

static bool
has_run_gate_twice(void)
{
	return strcmp(said, "gate@0 gate@0") == 0;
}

static bool
relays(void)
{
	return session->step == STEP_RELAY;
}

static bool
lingers(void)
{
	return session->step == STEP_LINGER;
}

/* A client comes; what is said and counted begins anew. */
static void
come(void)
{
	struct addr from = { 0 };
	int         ends[2];

	connect_ends(ends);
	far = ends[1];
	said[0] = '\0';
	endings = 0;
	gate_opens = talk_ends = false;
	gate_by = gate_extends = relay_keeps = 0;
	server.idle_timeout = server.max_lifetime = 0;
	server.mode = STEP_TALK;
	from.sa.sa_family = AF_INET;
	if (!session_open(&server, ends[0], &from))
		bail_out("session_open: %s", strerror(errno));
}

/* It goes again; what has been closed is freed, too. */
static void
go(void)
{
	session_stop();
	close(far);
}

static void
steps_without_a_mode_are_passed(void)
{
	come();
	is_number(session->step, STEP_TALK, "nothing before it: the server's mode begins at once");
	is_string(said, "talk@3", "and is entered once");
	shutdown(far, SHUT_WR);
	session_close(session, SESSION_SHUTDOWN);
	is_string(said, "talk@3 talk-left@8", "it is left when the session is closed");
	is_number(endings, 1, "whose end is told");
	go();
}

static void
a_mode_may_wait(void)
{
	modes[STEP_GATE] = &gate;
	come();
	is_number(session->step, STEP_GATE, "a gate that waits keeps the session");
	if (write(far, "x", 1) != 1 || !run_until(has_run_gate_twice))
		bail_out("%s", strerror(errno));
	ok(true, "it runs again when something has come");
	gate_opens = true;
	said[0] = '\0';
	session_run(session);
	ok(strncmp(said, "gate@0 gate-left@1 talk@3 talk-run@3 ", 37) == 0,
	    "and when it lets it pass, the rest follows at once: %s", said);
	go();
}

static void
who_waits_is_under_deadlines(void)
{
	come();
	server.idle_timeout = SHORT;
	session_watch(session);
	run_until(has_ended);
	is_number(ended_for, SESSION_IDLE_TIMEOUT, "who waits in a gate is under idle_timeout");
	ok(strstr(said, "other@0 gate-left@8") != NULL, "of which the mode is told: %s", said);
	go();

	come();
	gate_by = loop_now() + SHORT;
	gate_extends = SHORT;
	session_watch(session);
	run_until(has_ended);
	is_number(ended_for, SESSION_READ_TIMEOUT, "and under the mode's own");
	ok(strstr(said, " expired@0 expired@0 gate-left@8") != NULL, "which it may put off: %s",
	    said);
	modes[STEP_GATE] = NULL;
	go();
}

static void
a_mode_may_follow_another(void)
{
	char text[128];
	char byte;

	come();
	if (write(far, "x", 1) != 1)
		bail_out("%s", strerror(errno));
	run_until(relays);
	is_string(said, "talk@3 talk-run@3 talk-left@5 relay@5 relay-run@5",
	    "one mode is left, the next is entered, and runs");
	session_describe(session, text, sizeof text);
	ok(strstr(text, "server unit, relayed") != NULL, "it describes: %s", text);
	relay_keeps = 1;
	said[0] = '\0';
	session_close(session, SESSION_PEER_CLOSED);
	is_string(said, "relay-left@8", "its memory is there until the pass has ended");
	run_until(has_ended);
	ok(recv(far, &byte, 1, 0) < 0 && errno == ECONNRESET,
	    "what waits in a mode is cut short, and that shows");
	go();
}

static void
finishing_sends_what_waits(void)
{
	char text[128];

	come();
	talk_ends = true;
	if (write(far, "x", 1) != 1)
		bail_out("%s", strerror(errno));
	run_until(lingers);
	is_string(said, "talk@3 talk-run@3 talk-left@6", "a mode that finishes is left for FLUSH");
	is_number(recv(far, text, sizeof text, 0), 3, "what it had sent arrives");
	is_number(recv(far, text, sizeof text, 0), 0, "and then the end");
	shutdown(far, SHUT_WR);
	run_until(has_ended);
	is_number(ended_for, SESSION_PROTOCOL_CLOSED, "which keeps its reason");
	go();
}

static void
memory_goes_after_the_pass(void)
{
	come();
	if (write(far, "x", 1) != 1)
		bail_out("%s", strerror(errno));
	run_until(relays);
	said[0] = '\0';
	conn_again(&session->client);
	session_close(session, SESSION_PEER_CLOSED);
	session_stop();
	ok(strcmp(said, "relay-left@8 relay-released@8") == 0, "the last mode releases its own: %s",
	    said);
	go();
}

int
main(void)
{
	if (loop_open(4096, conn_fired) < 0)
		bail_out("no loop");
	conn_start();
	slab_init(&slab, sizeof(struct weir_session));
	session_start(modes, &ops, 1);
	until_init();
	steps_without_a_mode_are_passed();
	a_mode_may_wait();
	who_waits_is_under_deadlines();
	a_mode_may_follow_another();
	finishing_sends_what_waits();
	memory_goes_after_the_pass();
	slab_finish(&slab);
	loop_close();
	return done_testing();
}
