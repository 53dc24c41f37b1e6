/* SPDX-License-Identifier: BSD-2-Clause */
/* master: the privileged process. */
#include "proc/master.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/child.h"
#include "proc/children.h"
#include "proc/companion.h"
#include "proc/control.h"
#include "proc/daemon.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/listening.h"
#include "proc/logs.h"
#include "proc/message.h"
#include "proc/notify.h"
#include "proc/options.h"
#include "proc/pid_file.h"
#include "proc/report.h"
#include "proc/settings.h"
#include "proc/state_dir.h"
#include "proc/status.h"
#include "proc/succession.h"
#include "proc/tickets.h"
#include "proc/upgrade.h"
#include "upstream/board.h"

#define MASTER_NOFILE  65536u	/* its own limit is raised to this, if it can be */
#define MASTER_AGAIN    5000u	/* ms until serving is tried again */
#define MASTER_REPORTS    64u	/* messages that are read before other things have their turn */

enum stopping { SERVING, QUITTING, STOPPING };

static struct {
	const struct options *options;
	uint64_t         since;
	sigset_t         while_waiting;	/* the mask of ppoll */
	enum stopping    stopping;
	bool             ran;	/* a generation has come to run */
	bool             failed;	/* the first one has not */
	bool             broken;	/* it cannot wait */
	bool             replaced;	/* QUITTING: because a newer master runs */
	bool             return_wanted;	/* that one has gone: to serve again … */
	struct deadline  again;		/* … which was tried without success */
	struct watch     reports;
	struct requester starter;	/* whoever typed the command */
} master;

static volatile sig_atomic_t caught[NSIG];
static const int             handled[] = {
	SIGTERM,
	SIGINT,
	SIGQUIT,
	SIGHUP,
	SIGUSR1,
	SIGUSR2,
	SIGWINCH,
	SIGCHLD,
};

/* They would end it, and nobody sends them for a reason. */
static const int ignored[] = { SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO };

static bool     master_wants_daemon(const struct options *);
static int      master_begin(void);
static int      master_open_all(void);
static int      master_open_board(void);
static void     master_loop(void);
static void     master_build(void);
static void     master_turn_away(void);
static bool     master_wants(const char **kept);
static void     master_look_at_files(void);
static void     master_close_all(void);
static bool     master_match(const char *written, struct text *);
static void     master_reload(void);
static void     master_quit(void);
static void     master_leave(void);
static void     master_replaced(void);
static void     master_give_sessions(void);
static void     master_alone(bool quits);
static void     master_stop(void);
static void     master_stop_with(void);
static void     master_upgrade(struct requester *);
static void     master_try_upgrade(void);
static unsigned master_reopen(struct text *);
static void     master_print_status(struct text *, bool json);
static int      master_settle(const struct digest_settings *);
static void     master_swapped(const struct generation *);
static void     master_dropped(void);
static void     master_again(struct deadline *);
static void     master_describe(char *out, size_t size);
static void     master_catch_signals(void);
static void     master_catch_signal(int);
static void     master_act_on_signals(void);
static void     master_reap(void);
static void     master_reports_came(struct watch *, short what);
static void     master_starter_line(struct requester *, enum weir_level, const char *);
static void     master_starter_done(struct requester *, bool ok);
static void     master_abandoned(void);

static const struct control_ops master_control_ops = {
	.match = master_match,
	.upgrade = master_upgrade,
	.stop = master_stop,
	.quit = master_quit,
	.reopen = master_reopen,
	.status = master_print_status,
	.generations = status_print_generations,
};

static const struct upgrade_ops master_upgrade_ops = {
	.retire = master_replaced,
	.alone = master_alone,
	.stop = master_stop_with,
	.reload = master_reload,
};

static const struct generation_ops master_generation_ops = {
	.settle = master_settle,
	.swapped = master_swapped,
	.dropped = master_dropped,
};

int
master_run(const struct options *options)
{
	int status;

	master.options = options;
	master_catch_signals();
	generation_start(options, &master_generation_ops);
	master.since = wait_now();
	status = master_begin();
	if (status >= 0)
		return status;
	child_title_set("master");
	if (master_open_all() == 0) {
		master.starter = (struct requester){
			.line = master_starter_line,
			.done = master_starter_done,
		};
		report_wanted(&master.starter);
		daemon_watch(master_abandoned);
		master_loop();
	}
	master_close_all();
	return master.ran && !master.broken ? 0 : 1;
}

/* Goes on for an older master, or begins. -1: goes on in this process; otherwise the exit
 * status. */
static int
master_begin(void)
{
	bool daemon = false;
	int  taken, status = -1;

	/* It says whether it goes on; before there is a log, on stderr. */
	taken = upgrade_accept(&daemon);
	if (taken < 0 || (taken > 0 && daemon && daemon_continue() < 0))
		return 1;
	/* What is inherited is meant for the process that was started. */
	if (taken == 0 && listening_inherit() < 0)
		return 1;
	if (taken == 0 && master_wants_daemon(master.options))
		status = daemon_start();
	if (status < 0)
		upgrade_start(&master_upgrade_ops, daemon_is_one());
	return status;
}

/* The configuration is not read yet, only looked at: an error in it is told by
 * the template, to the terminal either way. */
static bool
master_wants_daemon(const struct options *o)
{
	struct conf_request request = options_request(o);
	char               *text = conf_peek(&request, "daemon");
	bool                wanted = true;

	if (text != NULL && !str_switch(text, &wanted))
		wanted = false;
	free(text);
	return wanted;
}

static int
master_open_all(void)
{
	int ends[2];

	log_identify("master");
	tickets_start(children_give_tickets);
	settings_raise_nofile(MASTER_NOFILE);
	if (master_open_board() < 0)
		return -1;
	if (message_pair(ends, true) < 0)
		goto fail;
	if (fdtable_add(&master_fds, FD_REPORTS, "", 0, ends[0]) < 0 ||
	    fdtable_add(&master_fds, FD_MASTER, "", 0, ends[1]) < 0) {
		if (fdtable_find(&master_fds, FD_REPORTS, "", 0) != ends[0])
			fd_close(&ends[0]);
		fd_close(&ends[1]);
		goto fail;
	}
	watch_start(&master.reports, ends[0], POLLIN, master_reports_came);
	companion_greet();
	return 0;
fail:
	log_error("mailbox: %s", strerror(errno));
	return -1;
}

/* An older master's, unless it is of another form. */
static int
master_open_board(void)
{
	int board = fdtable_find(&master_fds, FD_BOARD, "", 0);

	if (board >= 0 && board_attach(board) == 0)
		return 0;
	if (board >= 0 && errno != EPROTO)
		goto fail;
	companion.apart = board >= 0;
	fdtable_close(&master_fds, FD_BOARD, "", 0);
	board = board_create();
	if (board < 0)
		goto fail;
	if (fdtable_add(&master_fds, FD_BOARD, "", 0, board) == 0)
		return 0;
	fd_close(&board);
fail:
	log_error("board: %s", board_explain(errno));
	return -1;
}

static void
master_loop(void)
{
	while (!master.failed && (master.stopping == SERVING || !list_empty(&generations))) {
		upgrade_look();
		master_build();
		if (wait_pass(&master.while_waiting) < 0) {
			log_alert("waiting: %s", strerror(errno));
			master.broken = true;
			break;
		}
		master_act_on_signals();
	}
}

/* The next generation, if somebody wants it and nothing is in the way. */
static void
master_build(void)
{
	struct generation *running = generation_running(), *building = generation_building();
	const char        *kept = NULL;

	if (upgrade_is_under_way())
		return;
	if (building != NULL && report_is_wanted() && master.ran)
		generation_make_way(building);
	if (building != NULL || !master_wants(&kept))
		return;
	if (master.stopping != SERVING) {
		master_turn_away();
		return;
	}
	/* Whoever forces it does not wait for sessions of the one before. */
	if (report_wants_force())
		succession_end();
	if (succession_is_awaited())
		return;
	if (running != NULL)
		running->remake = false;
	master.return_wanted = false;
	if (master.ran) {
		master_look_at_files();
		log_notice(kept != NULL ? "loading what was kept" : "reloading");
		notify_reloading();
	}
	generation_build(kept);
}

/* A reload was asked for, and we end: it is for whoever has taken over. */
static void
master_turn_away(void)
{
	char text[128];

	if (!master.replaced || companion.runs == 0) {
		report_turn_away(WEIR_ERROR, "error: weir is stopping", false);
		return;
	}
	companion_tell_reload();
	snprintf(text, sizeof text,
	    "process %d has taken over and reloads: its log tells what comes of it",
	    (int)companion.pid);
	report_turn_away(WEIR_NOTICE, text, true);
}

/* Whether another generation is wanted, and from which text: NULL: the files. */
static bool
master_wants(const char **kept)
{
	const struct generation *running = generation_running();

	if (report_is_wanted())
		return true;
	if (running != NULL && running->remake) {
		*kept = running->broken ? GENERATION_GOOD : running->name;
		return true;
	}
	*kept = generation_has_good() ? GENERATION_GOOD : NULL;
	return running == NULL && master.return_wanted;
}

/* They may have been removed, with their folder. */
static void
master_look_at_files(void)
{
	const struct generation *g = generation_running();
	const char              *state = master.options->state;

	if (g != NULL &&
	    (state_dir_make(state, g->digest.settings.control) < 0 ||
		state_dir_make(state, g->digest.settings.pid) < 0))
		log_error("%s: making its folders: %s", state, strerror(errno));
	pid_file_look();
	control_look();
}

/* In the reverse order of opening. What is left in the table then is a leak. */
static void
master_close_all(void)
{
	/* Whoever ends last removes what both had. */
	if (companion.pid == 0 || !companion_drain())
		listening_alone();
	listening_close();
	listening_forget();
	if (master.ran)
		log_notice("ends");
	tickets_stop();
	pid_file_remove();
	control_close(!master.failed);
	companion_end();
	deadline_clear(&master.again);
	watch_stop(&master.reports);
	fdtable_close(&master_fds, FD_REPORTS, "", 0);
	fdtable_close(&master_fds, FD_MASTER, "", 0);
	fdtable_close(&master_fds, FD_BOARD, "", 0);
	fdtable_close(&master_fds, FD_SNAPSHOT, GENERATION_GOOD, 0);
	fdtable_close(&master_fds, FD_STARTER, "", 0);
	for (unsigned i = 0; i < master_fds.count; i++)
		log_alert("descriptor %d was left open: %s %u %s", master_fds.entries[i]->fd,
		    fd_kind_name(master_fds.entries[i]->kind), master_fds.entries[i]->slot,
		    master_fds.entries[i]->name);
	fdtable_close_all(&master_fds);
	log_configure(NULL, NULL, 0);
}

/* ------------------------------------------- what signals and clients ask for */

static bool
master_match(const char *written, struct text *answer)
{
	return options_match(master.options, written, answer);
}

static void
master_reload(void)
{
	const struct generation *building = generation_building();

	if (master.stopping != SERVING)
		return;
	report_wanted(NULL);
	if (building != NULL)
		log_notice("generation %u is %s: a reload comes after it, or in its place if that "
		    "hangs",
		    building->number, generation_step_name(building->step));
}

static void
master_quit(void)
{
	if (master.stopping != SERVING)
		return;
	log_notice("quitting: ends with the last session");
	/* If that one dies, it has to come back. */
	master.replaced = companion.newer && companion.runs != 0;
	master_leave();
	if (companion.runs == 0)
		listening_close();
}

/* The sessions go to the other master, if one runs. */
static void
master_leave(void)
{
	master.stopping = QUITTING;
	upgrade_cancel();
	if (companion.runs != 0)
		notify_main(companion.pid);
	else
		notify_stopping();
	/* Before it is told that none runs here: it would be alone otherwise. */
	companion_tell_quits();
	if (companion.runs != 0)
		listening_retreat();
	children_retire();
	companion_tell_runs();
}

/* A newer one has been asked to take over, and runs. What is listened on stays open: it
 * may have to come back. */
static void
master_replaced(void)
{
	master.replaced = true;
	log_notice("ends with the last session: the newer weir serves");
	master_leave();
}

/* SIGWINCH, which a terminal sends as well. */
static void
master_give_sessions(void)
{
	if (!companion.newer || companion.runs == 0 || master.stopping != SERVING ||
	    generation_running() == NULL)
		return;
	if (generation_building() != NULL) {
		log_notice("SIGWINCH comes while a generation is built: again, when that runs");
		return;
	}
	log_notice("all sessions go to the newer weir, process %d: SIGHUP starts workers here "
		   "again",
	    (int)companion.pid);
	children_retire();
	companion_tell_runs();
	succession_begin();
}

/* There is no other master that runs. */
static void
master_alone(bool quits)
{
	struct generation *g = generation_running();

	if (g != NULL) {
		generation_claim_slots(g);
		listening_share();
	}
	if (g != NULL || !master.ran || master.failed)
		return;
	if (master.stopping == QUITTING && master.replaced && !quits) {
		master.stopping = SERVING;
		master.replaced = false;
	}
	if (master.stopping != SERVING) {
		listening_close();
		return;
	}
	log_write(quits ? WEIR_NOTICE : WEIR_ALERT,
	    "the other weir serves no more: workers are started here again");
	master.return_wanted = true;
}

static void
master_stop(void)
{
	if (master.stopping == STOPPING) {
		children_kill();
		return;
	}
	if (master.stopping == SERVING)
		notify_stopping();
	master.stopping = STOPPING;
	upgrade_cancel();
	/* One that has gone on for another ends with it. */
	if (companion.pid != 0 && !companion.newer && companion.quits)
		companion_tell_stop();
	companion_tell_quits();
	log_notice("stopping");
	children_stop();
	companion_tell_runs();
	listening_close();
}

/* The newer one is told to, and we were only there for our sessions. */
static void
master_stop_with(void)
{
	if (master.replaced && master.stopping == QUITTING)
		master_stop();
}

static void
master_upgrade(struct requester *r)
{
	if (master.stopping == SERVING) {
		upgrade_want(r, true);
		return;
	}
	r->line(r, WEIR_ERROR, "error: weir is stopping");
	r->done(r, false);
}

static unsigned
master_reopen(struct text *answer)
{
	unsigned failed = logs_reopen_all(answer);

	if (failed == 0)
		log_notice("logs have been opened again");
	return failed;
}

static void
master_print_status(struct text *t, bool json)
{
	status_print(t, json, wait_now() - master.since, master.stopping != SERVING);
}

/* ------------------------------------------- what generations tell the master */

static int
master_settle(const struct digest_settings *s)
{
	if (pid_file_open(s->pid, s->pid_place, upgrade_shares(s->pid)) < 0 ||
	    control_open(s->control, s->control_place, upgrade_shares(s->control),
		&master_control_ops) < 0)
		return -1;
	return 0;
}

static void
master_swapped(const struct generation *g)
{
	char status[128];
	bool to_stderr = false;

	for (unsigned i = 0; i < g->digest.log_count; i++)
		to_stderr |= g->digest.logs[i].kind == LOG_STDERR;
	if (!master.ran) {
		master.ran = true;
		daemon_ready(to_stderr);
		upgrade_take_names();
	}
	companion_tell_runs();
	master_describe(status, sizeof status);
	notify_ready(status, companion.pid == 0 || companion.newer);
}

static void
master_dropped(void)
{
	char status[128];

	if (!master.ran || master.stopping != SERVING)
		return;
	/* Nobody serves: what hinders it may pass. */
	if (generation_running() == NULL)
		deadline_set(&master.again, MASTER_AGAIN, master_again);
	master_describe(status, sizeof status);
	notify_ready(status, companion.pid == 0 || companion.newer);
}

static void
master_again(struct deadline *d)
{
	(void)d;
	master.return_wanted = true;
}

/* "generation 3 runs, 2 workers" */
static void
master_describe(char *out, size_t size)
{
	const struct generation *g = generation_running();

	if (g == NULL)
		snprintf(out, size, "no generation runs");
	else
		snprintf(out, size, "generation %u runs, %u worker%s", g->number, g->post_count,
		    g->post_count == 1 ? "" : "s");
}

/* ----------------------------------------------------------------- signals */

/* They are blocked but for the wait: nothing is interrupted half-way. */
static void
master_catch_signals(void)
{
	struct sigaction a = { .sa_handler = master_catch_signal };
	sigset_t         blocked;

	sigemptyset(&blocked);
	sigfillset(&a.sa_mask);
	for (unsigned i = 0; i < sizeof handled / sizeof *handled; i++)
		sigaddset(&blocked, handled[i]);
	sigprocmask(SIG_BLOCK, &blocked, &master.while_waiting);
	for (unsigned i = 0; i < sizeof handled / sizeof *handled; i++) {
		sigaction(handled[i], &a, NULL);
		sigdelset(&master.while_waiting, handled[i]);
	}
	a.sa_handler = SIG_IGN;
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		sigaction(ignored[i], &a, NULL);
}

static void
master_catch_signal(int number)
{
	caught[number] = 1;
}

static bool
master_was_caught(int number)
{
	bool was = caught[number] != 0;

	caught[number] = 0;
	return was;
}

/* What ends weir comes first: a ^C ends the workers' terminal, too. */
static void
master_act_on_signals(void)
{
	bool terminated = master_was_caught(SIGTERM);
	bool interrupted = master_was_caught(SIGINT);

	if (terminated || interrupted)
		master_stop();
	if (master_was_caught(SIGQUIT))
		master_quit();
	if (master_was_caught(SIGCHLD))
		master_reap();
	if (master_was_caught(SIGHUP))
		master_reload();
	if (master_was_caught(SIGUSR1))
		master_reopen(NULL);
	if (master_was_caught(SIGUSR2))
		master_try_upgrade();
	if (master_was_caught(SIGWINCH))
		master_give_sessions();
}

static void
master_try_upgrade(void)
{
	if (master.stopping == SERVING && master.ran)
		upgrade_want(NULL, false);
}

static void
master_reap(void)
{
	int   status;
	pid_t pid;

	/* Their last words come before their end. */
	master_reports_came(&master.reports, POLLIN);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!upgrade_reap(pid, status))
			children_reap(pid, status);
}

/* ----------------------------------------------------------------- messages */

static void
master_reports_came(struct watch *w, short what)
{
	struct message m;
	int            got;

	(void)what;
	for (unsigned i = 0; i < MASTER_REPORTS; i++) {
		got = message_receive(w->fd, &m);
		if (got < 0 && errno != EPROTO) {
			if (errno != EAGAIN)
				log_alert("mailbox of the master: %s", strerror(errno));
			return;
		}
		if (got == 1)
			message_discard(&m);
		if (got != 1 || !children_mail(&m))
			children_nonsense(m.sender);
	}
}

static void
master_starter_line(struct requester *r, enum weir_level level, const char *text)
{
	(void)r;
	if (companion.pid != 0)
		companion_tell_line(level, text);
	else if (level <= WEIR_WARN)
		fprintf(stderr, "%s\n", text);
}

static void
master_starter_done(struct requester *r, bool ok)
{
	(void)r;
	if (ok)
		return;
	master.failed = true;
	if (companion.pid == 0)
		fprintf(stderr, "weir: not started\n");
}

/* A start that was interrupted must not serve later, when nobody expects it. */
static void
master_abandoned(void)
{
	struct generation *g = generation_building();

	if (g != NULL && g->step < GENERATION_RUNNING)
		generation_fail(g, "the start was interrupted: the command that waited for it has "
		    "ended");
}
