/* SPDX-License-Identifier: BSD-2-Clause */
/* keeper: the process that does what is to be done once. */
#include "proc/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/tls.h"
#include "proc/clone.h"
#include "proc/fdtable.h"
#include "proc/message.h"
#include "proc/post.h"
#include "proc/settings.h"
#include "proc/template.h"
#include "proc/watchdog.h"
#include "upstream/board.h"
#include "upstream/checker.h"
#include "upstream/duty.h"
#include "upstream/naming.h"

#define KEEPER_SCRATCH 65536u
#define KEEPER_BEAT    10000u	/* ms, when nobody watches for it */

/* In the order of their start. */
static const struct duty *const duties[] = {
	&checker_duty,
	&naming_duty,
	NULL
};

static struct {
	struct template  *template;
	unsigned          started;	/* duties */
	bool              working;
	struct loop_timer beat;
} keeper;

static void keeper_open_loop(void);
static void keeper_took_mail(struct message *);
static void keeper_signalled(int);
static void keeper_work(void);
static bool keeper_acts(void);
static void keeper_tell_changed(int upstream);
static void keeper_beat(void *);

bool
keeper_is_needed(const struct conf *conf)
{
	for (unsigned i = 0; duties[i] != NULL; i++)
		if (duties[i]->wanted(conf))
			return true;
	return false;
}

_Noreturn void
keeper_run(struct template *t, unsigned seat)
{
	int status;

	keeper.template = t;
	clone_begin(t, POST_KEEPER, seat, "keeper");
	/* So that an address that is no longer served is free. */
	fdtable_close_kind(&t->fds, FD_LISTEN);
	clone_become_user();
	keeper_open_loop();
	clone_tell_master(MESSAGE_READY, "");
	status = loop_run();
	if (status < 0)
		log_alert("waiting for events: %s", strerror(errno));
	while (keeper.started > 0)
		duties[--keeper.started]->stop();
	tls_stop();
	loop_close();
	conf_free(t->conf);
	tls_free_all();
	fdtable_close_all(&t->fds);
	exit(status < 0 ? 1 : 0);
}

static void
keeper_open_loop(void)
{
	if (loop_open(KEEPER_SCRATCH, conn_fired) < 0)
		clone_fail("event loop: %s", strerror(errno));
	conn_start();
	dial_init(CHECKER_MOST);
	if (tls_start() < 0)
		clone_fail("TLS: %s", strerror(errno));
	clone_listen(keeper_took_mail, keeper_signalled);
	loop_timer_init(&keeper.beat, keeper_beat, NULL);
	keeper_beat(NULL);
}

static void
keeper_took_mail(struct message *m)
{
	if (m == NULL)
		return;
	switch (m->kind) {
	case MESSAGE_GO:
		keeper_work();
		break;
	case MESSAGE_RETIRE:
	case MESSAGE_STOP:
		loop_stop();
		break;
	case MESSAGE_LOG:
		clone_take_log(m);
		break;
	default:
		log_alert("message %u makes no sense to a keeper", m->kind);
		message_discard(m);
		break;
	}
}

static void
keeper_signalled(int signal)
{
	(void)signal;
	loop_stop();
}

static void
keeper_work(void)
{
	const struct duty_keeper self = {
		.conf = keeper.template->conf,
		.seat = clone_self.seat,
		.number = keeper.template->job->generation,
		.generation = keeper.template->job->index,
		.acts = keeper_acts,
		.changed = keeper_tell_changed,
	};

	if (keeper.working)
		return;
	keeper.working = true;
	board_pin();
	for (; duties[keeper.started] != NULL; keeper.started++)
		if (duties[keeper.started]->start(&self) < 0)
			clone_fail("%s: %s", duties[keeper.started]->name, strerror(errno));
}

/* What the masters have said on the board, in the order of generations. */
static bool
keeper_acts(void)
{
	uint32_t number;

	return board_slot_get(BOARD_KEEPER, &number) == BOARD_SLOT_ACCEPTING &&
	    number == keeper.template->job->generation;
}

static void
keeper_tell_changed(int upstream)
{
	const struct message m = { .kind = MESSAGE_PEERS, .a = (uint32_t)upstream };

	clone_tell_workers(&m);
}

static void
keeper_beat(void *argument)
{
	uint64_t          watchdog = keeper.template->settings->watchdog;
	struct board_beat beat = { .at = clock_ns() / 1000000 };

	(void)argument;
	board_beat_write(clone_self.seat, beat);
	loop_timer_start(&keeper.beat, watchdog > 0 ? watchdog_interval(watchdog) : KEEPER_BEAT);
}
