/* SPDX-License-Identifier: BSD-2-Clause */
/* clone: how workers and keepers begin, and speak with the master. */
#include "proc/clone.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/child.h"
#include "proc/fdtable.h"
#include "proc/settings.h"
#include "proc/template.h"
#include "upstream/board.h"

#define CLONE_START_TIMEOUT 10000	/* ms for the master to say START */

struct clone clone_self;

static struct loop_watch mail, signals;
static uint64_t          mail_lost;	/* when that was told */
static void            (*mail_took)(struct message *);
static void            (*signal_came)(int);

static bool clone_wait_start(void);
static void clone_let_go(void);
static void clone_mail_came(int, short, void *);
static void clone_signal_came(int, short, void *);

void
clone_begin(struct template *t, unsigned slot, unsigned seat, const char *role)
{
	clone_self = (struct clone){ .template = t, .slot = slot, .seat = seat };
	log_identify(role);
	child_title_set("%s (generation %u)", role, t->job->generation);
	clone_let_go();
	child_tie(t->job->master);
	message_reserve();
	if (!clone_wait_start())
		_exit(1);
}

/* Before it, the mailbox may hold what a predecessor has not read. */
static bool
clone_wait_start(void)
{
	struct pollfd  p = { .fd = clone_self.inbox, .events = POLLIN };
	struct message m;
	int            got;

	for (;;) {
		got = message_receive(clone_self.inbox, &m);
		if (got == 1 && m.kind == MESSAGE_START && m.a == (uint32_t)getpid())
			return true;
		if (got == 1) {
			clone_take_log(&m);
			continue;
		}
		if (got == 0 || (errno != EAGAIN && errno != EPROTO))
			return false;
		if (errno == EAGAIN && poll(&p, 1, CLONE_START_TIMEOUT) <= 0)
			return false;
	}
}

/* A log may be opened again at any time. */
void
clone_take_log(struct message *m)
{
	if (m->kind == MESSAGE_LOG && m->fd_count == 1)
		log_replace(m->a, m->fds[0]);
	else
		message_discard(m);
}

/* What belongs to the template, or to others: so that its end is seen. */
static void
clone_let_go(void)
{
	struct template *t = clone_self.template;
	int              channel = t->job->channel;

	fd_close(&channel);
	clone_self.inbox = fdtable_take(&t->fds, FD_INBOX, t->name, clone_self.slot);
	fdtable_close_kind(&t->fds, FD_INBOX);
	for (unsigned i = 0; i < BOARD_SLOTS; i++)
		if (i != clone_self.slot)
			fdtable_close(&t->fds, FD_ARRIVALS, t->name, i);
	if (clone_self.inbox < 0)
		clone_fail("no mailbox");
}

void
clone_become_user(void)
{
	const struct settings_user *u = &clone_self.template->settings->user;

	if (geteuid() == 0 && u->uid != 0) {
		if (initgroups(u->name, u->gid) < 0)
			clone_fail("groups of user %s: %s", u->name, strerror(errno));
		if (setgid(u->gid) < 0)
			clone_fail("group %u: %s", (unsigned)u->gid, strerror(errno));
		if (setuid(u->uid) < 0)
			clone_fail("user %s: %s", u->name, strerror(errno));
	}
	/* setuid has cleared both: core files, and the tie to the master. */
	prctl(PR_SET_DUMPABLE, 1);
	child_tie(clone_self.template->job->master);
}

/* HUP and ^C of a terminal go to all: the master decides what they mean. TERM and QUIT
 * mean here what they mean there. */
void
clone_listen(void (*took)(struct message *), void (*signalled)(int signal))
{
	sigset_t taken;
	int      fd;

	mail_took = took;
	signal_came = signalled;
	child_ignore_signals();
	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGQUIT);
	sigprocmask(SIG_BLOCK, &taken, NULL);
	child_default(SIGTERM);
	child_default(SIGQUIT);
	fd = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		clone_fail("signals: %s", strerror(errno));
	if (loop_watch_start(&mail, clone_self.inbox, LOOP_READ, clone_mail_came, NULL) < 0 ||
	    loop_watch_start(&signals, fd, LOOP_READ, clone_signal_came, NULL) < 0)
		clone_fail("event loop: %s", strerror(errno));
}

static void
clone_mail_came(int fd, short what, void *argument)
{
	struct message m;
	int            got;

	(void)what;
	(void)argument;
	while ((got = message_receive_some(fd, &m)) == 1) {
		if (m.lost && loop_complain(&mail_lost))
			log_alert("mailbox: no descriptor is left for what the master sends: raise "
				  "worker_rlimit_nofile");
		mail_took(&m);
	}
	mail_took(NULL);
	if (got < 0 && errno != EAGAIN)
		log_alert("mailbox: %s", strerror(errno));
}

static void
clone_signal_came(int fd, short what, void *argument)
{
	struct signalfd_siginfo s;

	(void)what;
	(void)argument;
	while (read(fd, &s, sizeof s) == sizeof s)
		signal_came((int)s.ssi_signo);
}

void
clone_tell_master(enum message_kind kind, const char *text)
{
	const struct template *t = clone_self.template;
	struct message         m = { .kind = kind,
		.a = t->job->generation,
		.b = clone_self.slot,
		.data = text,
		.size = strlen(text) };

	if (message_send_wait(fdtable_find(&t->fds, FD_MASTER, "", 0), &m) < 0)
		log_alert("the master cannot be told: %s", strerror(errno));
}

void
clone_tell_slot(unsigned slot, const struct message *m)
{
	const struct template *t = clone_self.template;

	if (slot != clone_self.slot &&
	    message_send(fdtable_find(&t->fds, FD_MAILBOX, t->name, slot), m) < 0)
		log_debug("worker %u cannot be told: %s", slot, strerror(errno));
}

void
clone_tell_workers(const struct message *m)
{
	for (unsigned i = 0; i < clone_self.template->settings->workers; i++)
		clone_tell_slot(i, m);
}

_Noreturn void
clone_fail(const char *format, ...)
{
	char    text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	clone_tell_master(MESSAGE_FAILED, text);
	_exit(1);
}
