/* SPDX-License-Identifier: BSD-2-Clause */
/* template: the process that has loaded a configuration. */
#include "proc/template.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "conf/snapshot.h"
#include "net/sock.h"
#include "net/tls.h"
#include "proc/child.h"
#include "proc/daemon.h"
#include "proc/digest.h"
#include "proc/keeper.h"
#include "proc/listening.h"
#include "proc/loss.h"
#include "proc/message.h"
#include "proc/options.h"
#include "proc/post.h"
#include "proc/settings.h"
#include "proc/worker.h"
#include "session/server.h"
#include "upstream/board.h"
#include "upstream/naming.h"

static bool template_load(struct template *);
static bool template_complain(const struct template *, const char *what);
static void template_close_snapshots(const struct template_job *);
static void template_look_up(struct template *);
static void template_warn(void *, const struct place *, const char *text);
static bool template_enter_board(struct template *);
static bool template_can_listen(const struct template *);
static bool template_has_server(const struct template *);
static void template_print(const struct conf *);
static void template_report_messages(const struct template *);
static void template_tell(const struct template *, enum weir_level, const char *text);
static void template_serve(struct template *);
static void template_take(struct template *, struct message *);
static void template_take_descriptors(struct template *, struct message *);
static _Noreturn void template_give_up(const struct template *, const char *what, const char *why);
static void template_equip(struct template *);
static void template_clone(struct template *, unsigned slot, unsigned seat);

static struct conf_progress *progress;

const char *
template_progress(void)
{
	void *shared;

	if (progress == NULL) {
		shared = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		progress = shared == MAP_FAILED ? NULL : shared;
	}
	return progress == NULL ? NULL : progress->doing;
}

bool
template_waits_for_system(void)
{
	return progress != NULL && progress->own_value;
}

_Noreturn void
template_run(const struct template_job *job)
{
	struct template t = { .job = job, .board = -1 };
	struct message  loaded = { .kind = MESSAGE_LOADED };

	child_tie(job->master);
	child_ignore_signals();
	if (job->mode == TEMPLATE_SERVE) {
		child_title_set("template (generation %u)", job->generation);
		log_identify("template");
	}
	loaded.a = template_load(&t) ? 1 : 0;
	if (message_send_wait(job->channel, &loaded) < 0)
		loaded.a = 0;
	if (job->mode == TEMPLATE_PRINT && loaded.a == 1)
		template_print(t.conf);
	if (job->mode == TEMPLATE_SERVE && loaded.a == 1)
		template_serve(&t);
	conf_free(t.conf);
	tls_free_all();
	fdtable_close_all(&t.fds);
	exit(0);
}

/* Whether there is a configuration that can be served. */
static bool
template_load(struct template *t)
{
	struct conf_request    request = options_request(t->job->options);
	static struct snapshot snapshot;

	if (progress != NULL) {
		memset(progress, 0, sizeof *progress);
		conf_progress(progress);
	}
	if (t->job->mode == TEMPLATE_SERVE || t->job->kept >= 0)
		request.snapshot = &snapshot;
	if (request.snapshot != NULL && t->job->kept >= 0 &&
	    snapshot_read(&snapshot, t->job->kept) < 0)
		return template_complain(t, "what was kept of the configuration");
	t->conf = conf_load(&request);
	template_report_messages(t);
	if (conf_errors(t->conf) > 0 || !template_has_server(t))
		return false;
	if (t->job->mode == TEMPLATE_SERVE && snapshot_write(&snapshot, t->job->snapshot) < 0)
		return template_complain(t, "keeping the text of the configuration");
	snapshot_free(&snapshot);
	template_close_snapshots(t->job);
	t->settings = settings_of(t->conf);
	template_look_up(t);
	if (!template_enter_board(t) || !template_can_listen(t))
		return false;
	if (digest_send(t->conf, t->job->channel) < 0)
		return template_complain(t, "the configuration cannot be told to the master");
	return true;
}

static bool
template_complain(const struct template *t, const char *what)
{
	char text[256];

	snprintf(text, sizeof text, "error: %s: %s%s", what, strerror(errno),
	    errno == EFBIG ? ": raise the limit on the size of files (ulimit -f, LimitFSIZE=)"
			   : "");
	template_tell(t, WEIR_ERROR, text);
	return false;
}

static void
template_close_snapshots(const struct template_job *job)
{
	int snapshot = job->snapshot, kept = job->kept;

	if (job->mode != TEMPLATE_SERVE)
		return;
	fd_close(&snapshot);
	fd_close(&kept);
}

/* So that workers begin with peers. A template that only tests has no board yet. */
static void
template_look_up(struct template *t)
{
	if (t->job->mode != TEMPLATE_SERVE)
		t->board = board_create();
	if (progress != NULL) {
		snprintf(progress->doing, sizeof progress->doing, "looking up names");
		progress->own_value = true;
	}
	naming_begin(t->conf);
	naming_warn(t->conf, template_warn, t);
	if (progress != NULL)
		memset(progress, 0, sizeof *progress);
}

static void
template_warn(void *argument, const struct place *at, const char *what)
{
	char text[1024];

	snprintf(text, sizeof text, "%s:%u: warning: %s", at->file, at->line, what);
	template_tell(argument, WEIR_WARN, text);
}

/* -t does it as well, on a board of its own: what does not fit is an error there. */
static bool
template_enter_board(struct template *t)
{
	const struct settings_logs *logs = &t->settings->logs;
	uint64_t                    entries = servers_entries(t->conf) + logs->count;
	bool                        entered;
	char                        text[384];

	if (entries > BOARD_ENTRIES_EACH) {
		snprintf(text, sizeof text,
		    "error: %" PRIu64 " servers, listeners, upstreams, peers and logs together: "
		    "there is room for %u of them",
		    entries, BOARD_ENTRIES_EACH);
		template_tell(t, WEIR_ERROR, text);
		return false;
	}
	if (t->job->mode == TEMPLATE_SERVE || t->board >= 0) {
		fd_close(&t->board);
		board_entering_begin();
		entered = servers_enter(t->conf, t->job->index) == 0 &&
		    loss_enter(logs->specs, logs->count, t->job->index) == 0 &&
		    naming_publish(t->conf,
			(struct member_source){ t->job->generation, t->job->index }) == 0;
		board_entering_end();
		if (entered)
			return true;
	}
	snprintf(text, sizeof text,
	    "error: servers, listeners, upstreams, peers and logs do not fit on the board: %s",
	    board_explain(errno));
	template_tell(t, WEIR_ERROR, text);
	return false;
}

/* For -t: otherwise the master finds out by listening. */
static bool
template_can_listen(const struct template *t)
{
	const struct server *s;
	const char          *step;
	char                 why[512], text[1024];
	bool                 good = true;

	for (unsigned i = 0; t->job->mode == TEMPLATE_TEST && (s = server_at(t->conf, i)) != NULL;
	     i++)
		for (unsigned k = 0; k < s->listen_count; k++) {
			const struct place *at = &s->listens[k].place;

			if (sock_rehearse(&s->listens[k].spec, &step) == 0)
				continue;
			snprintf(text, sizeof text, "%s:%u: error: %s", at->file, at->line,
			    listening_explain(&s->listens[k].spec, s->name, step, errno, why,
				sizeof why));
			template_tell(t, WEIR_ERROR, text);
			good = false;
		}
	return good;
}

/* A file that is empty, or was cut off while it was written, is no reason to serve
 * nothing. */
static bool
template_has_server(const struct template *t)
{
	char text[PATH_MAX + 128];

	if (t->job->forced || server_at(t->conf, 0) != NULL)
		return true;
	snprintf(text, sizeof text,
	    "%s: error: there is no [server], so nothing would be served: if that "
	    "is meant for a reload, weir -s reload --force does it",
	    t->job->options->path);
	template_tell(t, WEIR_ERROR, text);
	return false;
}

/* After the verdict: whoever reads it may take as long as he likes. */
static void
template_print(const struct conf *conf)
{
	conf_print(conf, stdout);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	fprintf(stderr, "weir: what is in effect cannot be written out: %s\n", strerror(errno));
	exit(1);
}

static void
template_report_messages(const struct template *t)
{
	unsigned                   count;
	const struct conf_message *m = conf_messages(t->conf, &count);
	char                       line[2048];

	for (unsigned i = 0; i < count; i++)
		template_tell(t, m[i].warning ? WEIR_WARN : WEIR_ERROR,
		    conf_message_print(&m[i], line, sizeof line));
}

static void
template_tell(const struct template *t, enum weir_level level, const char *text)
{
	struct message m = { .kind = MESSAGE_REPORT,
		.a = level,
		.data = text,
		.size = strlen(text) };

	if (message_send_wait(t->job->channel, &m) < 0)
		log_error("a message for the master is lost (%s): %s", strerror(errno), text);
}

static void
template_serve(struct template *t)
{
	struct message m;
	int            got;

	snprintf(t->name, sizeof t->name, "%u", t->job->generation);
	while ((got = message_receive_wait(t->job->channel, &m)) != 0) {
		if (got < 0)
			template_give_up(t, "a message from the master", strerror(errno));
		if (m.kind == MESSAGE_QUIT)
			return;
		template_take(t, &m);
	}
}

static void
template_take(struct template *t, struct message *m)
{
	const struct message pong = { .kind = MESSAGE_PONG };

	switch (m->kind) {
	case MESSAGE_DESCRIPTORS:
		template_take_descriptors(t, m);
		break;
	case MESSAGE_EQUIPPED:
		t->sockets = m->a;
		template_equip(t);
		break;
	case MESSAGE_CLONE:
		template_clone(t, m->a, m->b);
		break;
	case MESSAGE_PING:
		if (message_send_wait(t->job->channel, &pong) < 0)
			template_give_up(t, "an answer to the master", strerror(errno));
		break;
	case MESSAGE_LOG:
		if (m->fd_count != 1)
			template_give_up(t, "a reopened log", "it came without its descriptor");
		log_replace(m->a, m->fds[0]);
		break;
	default:
		template_give_up(t, "a message from the master", "it makes no sense to a template");
	}
}

static void
template_take_descriptors(struct template *t, struct message *m)
{
	if (fdtable_decode(&t->fds, m->data, m->size, m->fds, m->fd_count) < 0)
		template_give_up(t, "descriptors from the master", strerror(errno));
}

/* Workers without all that they need would be worse than none: the master makes
 * another template. */
static _Noreturn void
template_give_up(const struct template *t, const char *what, const char *why)
{
	char text[256];

	snprintf(text, sizeof text, "error: template (generation %u): %s: %s", t->job->generation,
	    what, why);
	template_tell(t, WEIR_ERROR, text);
	exit(1);
}

/* The logs move to where this generation wants them: clones inherit that. */
static void
template_equip(struct template *t)
{
	const struct settings_logs *logs = &t->settings->logs;
	int                         fds[LOG_SINKS_MAX];
	bool                        to_stderr = false;

	for (unsigned i = 0; i < logs->count; i++) {
		fds[i] = fdtable_take(&t->fds, FD_LOG, t->name, i);
		if (fds[i] < 0 && logs->specs[i].kind == LOG_FILE)
			template_give_up(t, logs->specs[i].path, "its descriptor has not come");
		to_stderr |= logs->specs[i].kind == LOG_STDERR;
	}
	log_configure(logs->specs, fds, logs->count);
	loss_begin();
	daemon_quieten(to_stderr);
}

/* CLONE_PARENT makes it the master's child, which waits for it. */
static void
template_clone(struct template *t, unsigned slot, unsigned seat)
{
	long           pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	struct message m = { .kind = MESSAGE_CLONED, .a = slot };

	if (pid == 0 && slot == POST_KEEPER)
		keeper_run(t, seat);
	if (pid == 0)
		worker_run(t, slot, seat);
	if (pid > 0)
		m.b = (uint32_t)pid;
	else
		m.c = (uint32_t)errno;
	if (message_send_wait(t->job->channel, &m) < 0)
		log_alert("the master does not learn of process %ld: %s", pid, strerror(errno));
}
