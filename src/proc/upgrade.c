/* SPDX-License-Identifier: BSD-2-Clause */
/* upgrade: a newly started program goes on for this master, or gives back to it. */
#include "proc/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "proc/aside.h"
#include "proc/child.h"
#include "proc/companion.h"
#include "proc/control.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/heirs.h"
#include "proc/listening.h"
#include "proc/message.h"
#include "proc/notify.h"
#include "proc/pid_file.h"
#include "proc/program.h"
#include "proc/report.h"
#include "proc/succession.h"
#include "proc/wait.h"
#include "upstream/board.h"
#include "upstream/token.h"

#define UPGRADE_PATIENCE   5000u	/* ms that the end of an older master is waited for */
#define UPGRADE_LIMIT    120000u	/* ms that a newer one has until it runs */
#define UPGRADE_LEFT       1000u	/* ms until a dead master's children are dead, too */
#define UPGRADE_LET_GO     5000u	/* ms that one has to end that says nothing more */

enum upgrade_step { UPGRADE_NONE, UPGRADE_WANTED, UPGRADE_STARTING, UPGRADE_BESIDE };

static struct {
	enum upgrade_step        step;
	bool                     all;
	bool                     daemon;
	uint64_t                 since;		/* ms: WANTED */
	struct node              requesters;	/* WANTED: they wait */
	struct deadline          overdue;
	struct deadline          inherit;
	struct companion_welcome older;		/* what the older one has said */
} upgrade = { .requesters = { &upgrade.requesters, &upgrade.requesters } };

static const struct upgrade_ops *ops;

static const char *upgrade_obstacle(char *out, size_t size);
static void upgrade_refuse(const char *why);
static void upgrade_start_newer(void);
static int  upgrade_launch(void);
static void upgrade_launch_child(int fd);
static void upgrade_pass(struct deadline *);
static void upgrade_overdue(struct deadline *);
static void upgrade_let_go(struct deadline *);
static void upgrade_inherit(struct deadline *);
static void upgrade_line(enum weir_level, const char *text);
static void upgrade_files(const char *pid_file, const char *control);
static void upgrade_changed(void);
static void upgrade_succeeded(void);
static void upgrade_silent(void);
static void upgrade_newer_ended(const char *how);
static void upgrade_older_ended(void);
static void upgrade_forget_names(void);

static struct companion_ops upgrade_companion_ops = {
	.line = upgrade_line,
	.files = upgrade_files,
	.changed = upgrade_changed,
	.ended = upgrade_silent,
};

void
upgrade_start(const struct upgrade_ops *given, bool daemon)
{
	ops = given;
	upgrade.daemon = daemon;
	upgrade_companion_ops.stop = ops->stop;
	upgrade_companion_ops.reload = ops->reload;
	companion_start(&upgrade_companion_ops);
}

/* ------------------------------------------------------------------ the newer */

int
upgrade_accept(bool *daemon)
{
	int result = companion_accept(&upgrade.older);

	if (result <= 0)
		return result;
	if (listening_take_over() < 0) {
		fprintf(stderr, "weir: the sockets of the weir that is to be upgraded: %s\n",
		    strerror(errno));
		return -1;
	}
	upgrade.step = UPGRADE_BESIDE;
	generation_follow(upgrade.older.number);
	*daemon = upgrade.older.daemon;
	return 1;
}

bool
upgrade_shares(const char *path)
{
	return companion.pid != 0 && !companion.newer &&
	    (strcmp(path, upgrade.older.pid_file) == 0 ||
		strcmp(path, upgrade.older.control) == 0);
}

void
upgrade_take_names(void)
{
	bool pid_file = aside_swap(&pid_file_aside), control = aside_swap(&control_aside);

	companion_tell_files(pid_file ? upgrade.older.pid_file : "",
	    control ? upgrade.older.control : "");
	if (companion.pid == 0)
		upgrade_forget_names();
}

/* ------------------------------------------------------------------ the older */

void
upgrade_want(struct requester *r, bool all)
{
	char text[512];

	if (r != NULL)
		list_append(&upgrade.requesters, &r->link);
	if (upgrade.step == UPGRADE_STARTING) {
		upgrade_refuse(upgrade_obstacle(text, sizeof text));
		return;
	}
	upgrade.all = all || (upgrade.step == UPGRADE_WANTED && upgrade.all);
	upgrade.since = wait_now();
	upgrade.step = UPGRADE_WANTED;
}

bool
upgrade_is_under_way(void)
{
	return upgrade.step == UPGRADE_STARTING;
}

/* Why it cannot begin at all; NULL: it can, though perhaps not yet. */
static const char *
upgrade_obstacle(char *out, size_t size)
{
	if (getpid() == 1)
		snprintf(out, size,
		    "weir is process 1 here, and with that one all others end: start another "
		    "container instead");
	else if (program_path() == NULL)
		snprintf(out, size, "it is not known which program this process was started from");
	else if (upgrade.step == UPGRADE_STARTING)
		snprintf(out, size, "one is under way: process %d is starting",
		    (int)companion.pid);
	else if (companion.pid != 0 && companion.newer)
		snprintf(out, size,
		    "process %d goes on for this one: tell that one (kill -QUIT %d ends this one)",
		    (int)companion.pid, (int)getpid());
	else if (companion.pid != 0 && companion.quits)
		snprintf(out, size,
		    "the weir before, process %d, still has sessions that cannot come here: they "
		    "end by themselves, by worker_shutdown_timeout, or at once by kill -TERM %d",
		    (int)companion.pid, (int)companion.pid);
	else if (companion.pid != 0)
		snprintf(out, size,
		    "the weir before, process %d, has not ended: kill -QUIT %d lets its sessions "
		    "come here, kill -TERM %d closes those that cannot",
		    (int)companion.pid, (int)companion.pid, (int)companion.pid);
	else
		return NULL;
	return out;
}

void
upgrade_look(void)
{
	char text[512];
	bool ends = companion.pid != 0 && companion.quits;

	if (upgrade.step != UPGRADE_WANTED)
		return;
	if (ends && wait_now() - upgrade.since < UPGRADE_PATIENCE) {
		deadline_set(&upgrade.overdue, UPGRADE_PATIENCE, upgrade_pass);
		return;
	}
	if (deadline_is_set(&upgrade.inherit))
		return;
	if (upgrade_obstacle(text, sizeof text) != NULL) {
		upgrade.step = companion.pid != 0 ? UPGRADE_BESIDE : UPGRADE_NONE;
		upgrade_refuse(text);
	} else if (generation_building() == NULL && !succession_is_awaited()) {
		upgrade_start_newer();
	}
}

/* So that the master makes one. */
static void
upgrade_pass(struct deadline *d)
{
	(void)d;
}

static void
upgrade_refuse(const char *why)
{
	char line[640];

	snprintf(line, sizeof line, "error: there is no upgrade: %s", why);
	requesters_answer(&upgrade.requesters, WEIR_ERROR, line, false);
}

static void
upgrade_start_newer(void)
{
	struct node *n;

	while ((n = list_first(&upgrade.requesters)) != NULL) {
		node_unlink(n);
		report_join(container_of(n, struct requester, link));
	}
	if (upgrade_launch() < 0) {
		report_say(WEIR_ERROR, "error: starting %s: %s", program_path(), strerror(errno));
		report_end(false);
		upgrade.step = UPGRADE_NONE;
		return;
	}
	upgrade.step = UPGRADE_STARTING;
	report_say(WEIR_NOTICE, "process %d has been started: %s", (int)companion.pid,
	    program_path());
	deadline_set(&upgrade.overdue, UPGRADE_LIMIT, upgrade_overdue);
}

static int
upgrade_launch(void)
{
	struct companion_welcome welcome = { .number = generation_last(),
		.daemon = upgrade.daemon };
	struct fdtable           table = { 0 };
	int                      ends[2], why;
	pid_t                    pid;

	snprintf(welcome.pid_file, sizeof welcome.pid_file, "%s", aside_name(&pid_file_aside));
	snprintf(welcome.control, sizeof welcome.control, "%s", aside_name(&control_aside));
	if (message_pair(ends, false) < 0)
		return -1;
	if (listening_bequeath(&table) < 0 ||
	    fdtable_add(&table, FD_BOARD, "", 0, fdtable_find(&master_fds, FD_BOARD, "", 0)) < 0)
		goto fail;
	pid = fork();
	if (pid == 0)
		upgrade_launch_child(ends[1]);
	if (pid < 0)
		goto fail;
	fd_close(&ends[1]);
	if (companion_begin(ends[0], pid, &welcome, &table) == 0)
		return 0;
	why = errno;
	kill(pid, SIGKILL);
	fd_close(&ends[0]);
	listening_alone();
	errno = why;
	return -1;
fail:
	why = errno;
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	fdtable_forget(&table);
	listening_alone();
	errno = why;
	return -1;
}

static void
upgrade_launch_child(int fd)
{
	char number[16], text[256];

	snprintf(number, sizeof number, "%d", fd);
	program_become(COMPANION_VARIABLE, number, fd);
	snprintf(text, sizeof text, "error: %s: %s", program_path(), strerror(errno));
	companion_send_line(fd, WEIR_ERROR, text);
	_exit(127);
}

static void
upgrade_overdue(struct deadline *d)
{
	(void)d;
	report_say(WEIR_ERROR, "error: process %d does not serve after two minutes: it is killed",
	    (int)companion.pid);
	kill(companion.pid, SIGKILL);
}

void
upgrade_cancel(void)
{
	if (upgrade.step == UPGRADE_STARTING) {
		kill(companion.pid, SIGKILL);
		listening_alone();
	}
	if (upgrade.step == UPGRADE_WANTED) {
		upgrade.step = companion.pid != 0 ? UPGRADE_BESIDE : UPGRADE_NONE;
		upgrade_refuse("weir is stopping");
	}
}

bool
upgrade_reap(pid_t pid, int status)
{
	char how[96];

	if (!companion.newer || pid != companion.pid)
		return false;
	(void)companion_drain();	/* its last words */
	upgrade_newer_ended(child_status_print(status, how, sizeof how));
	return true;
}

/* ------------------------------------------------------------ the other master */

static void
upgrade_line(enum weir_level level, const char *text)
{
	if (upgrade.step != UPGRADE_STARTING)
		return;
	/* One that fails has no log. */
	if (level <= WEIR_ERROR)
		report_say(level, "%s", text);
	else
		report_pass_on(level, text);
}

static void
upgrade_files(const char *pid_file, const char *control)
{
	if (*pid_file != '\0')
		aside_moved(&pid_file_aside);
	if (*control != '\0')
		aside_moved(&control_aside);
}

static void
upgrade_changed(void)
{
	if (companion.runs != 0)
		generation_follow(companion.runs);
	if (upgrade.step == UPGRADE_STARTING) {
		if (companion.runs != 0)
			upgrade_succeeded();
		return;
	}
	if (companion.runs != 0) {
		succession_tell_all();
	} else if (companion.ran) {
		if (heirs_number() == 0)
			succession_revoke();
		ops->alone(companion.quits);
	}
}

static void
upgrade_succeeded(void)
{
	deadline_clear(&upgrade.overdue);
	upgrade.step = UPGRADE_BESIDE;
	report_say(WEIR_NOTICE, "weir %s runs as process %d, generation %u", companion.version,
	    (int)companion.pid, companion.runs);
	if (companion.apart)
		report_say(WEIR_WARN,
		    "warning: its board is of another form: sessions stay here until they end, and "
		    "counters begin at zero");
	if (!upgrade.all) {
		log_notice("this one serves on: SIGWINCH gives all sessions to the newer one, "
			   "SIGQUIT does and ends this one, SIGQUIT to the newer one goes "
			   "back");
		report_end(true);
		return;
	}
	notify_main(companion.pid);
	ops->retire();
	succession_begin();
}

/* Nothing more comes from it. What became of one that is our child its end tells. */
static void
upgrade_silent(void)
{
	if (companion.newer)
		deadline_set(&upgrade.overdue, UPGRADE_LET_GO, upgrade_let_go);
	else
		upgrade_older_ended();
}

static void
upgrade_let_go(struct deadline *d)
{
	(void)d;
	kill(companion.pid, SIGKILL);
}

static void
upgrade_newer_ended(const char *how)
{
	pid_t pid = companion.pid;
	bool  quits = companion.quits;

	deadline_clear(&upgrade.overdue);
	companion_end();
	listening_alone();
	aside_return(&pid_file_aside);
	aside_return(&control_aside);
	deadline_set(&upgrade.inherit, UPGRADE_LEFT, upgrade_inherit);
	if (upgrade.step == UPGRADE_STARTING) {
		upgrade.step = UPGRADE_NONE;
		ops->alone(false);
		report_say(WEIR_ERROR,
		    "error: process %d %s before it served: this weir goes on as before; %s -t may "
		    "say more",
		    (int)pid, how, program_path());
		report_end(false);
		return;
	}
	if (upgrade.step == UPGRADE_BESIDE)
		upgrade.step = UPGRADE_NONE;
	log_notice("the newer weir, process %d, %s", (int)pid, how);
	notify_main(getpid());
	ops->alone(quits);
}

static void
upgrade_older_ended(void)
{
	log_notice("the older weir, process %d, has ended", (int)companion.pid);
	companion_end();
	listening_alone();
	upgrade_forget_names();
	deadline_clear(&upgrade.overdue);
	deadline_set(&upgrade.inherit, UPGRADE_LEFT, upgrade_inherit);
	if (upgrade.step == UPGRADE_BESIDE)
		upgrade.step = UPGRADE_NONE;
	ops->alone(true);
}

/* One that was killed has not removed what it had under other names. */
static void
upgrade_forget_names(void)
{
	aside_forget(upgrade.older.pid_file);
	aside_forget(upgrade.older.control);
}

/* One that was killed has left something there. */
static void
upgrade_inherit(struct deadline *d)
{
	(void)d;
	if (companion.pid == 0)
		board_inherit(tokens_reclaim);
}
