/* SPDX-License-Identifier: BSD-2-Clause */
/* logs: the log files of generations; the master opens them for all. */
#include "proc/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/loss.h"
#include "proc/message.h"
#include "proc/post.h"
#include "proc/report.h"
#include "proc/text.h"

static int logs_reopen_one(struct generation *, unsigned log, int fd);

int
logs_open(struct generation *g)
{
	int result = 0, fd;

	for (unsigned i = 0; i < g->digest.log_count; i++) {
		const struct log_spec *spec = &g->digest.logs[i];

		if (spec->kind != LOG_FILE)
			continue;
		fd = log_open(spec);
		if (fd < 0 || fdtable_add(&master_fds, FD_LOG, g->name, i, fd) < 0) {
			report_say(WEIR_ERROR, "%s: error: error_log = %s: %s",
			    g->digest.log_places[i], spec->path, strerror(errno));
			fd_close(&fd);
			result = -1;
		}
	}
	return result;
}

void
logs_own(struct generation *g)
{
	int fds[LOG_SINKS_MAX];

	for (unsigned i = 0; i < g->digest.log_count; i++)
		fds[i] = fdtable_take(&master_fds, FD_LOG, g->name, i);
	log_configure(g->digest.logs, fds, g->digest.log_count);
	loss_begin_master(g->digest.logs, g->digest.log_count);
}

unsigned
logs_reopen(struct generation *g, struct text *answer)
{
	unsigned failed = 0;
	int      fd;

	for (unsigned i = 0; i < g->digest.log_count; i++) {
		if (g->digest.logs[i].kind != LOG_FILE)
			continue;
		fd = log_open(&g->digest.logs[i]);
		if (fd >= 0 && logs_reopen_one(g, i, fd) == 0)
			continue;
		log_error("opening %s again: %s", g->digest.logs[i].path, strerror(errno));
		if (answer != NULL)
			text_add(answer, "!opening %s again: %s\n", g->digest.logs[i].path,
			    strerror(errno));
		fd_close(&fd);
		failed++;
	}
	return failed;
}

unsigned
logs_reopen_all(struct text *answer)
{
	struct node *n, *following;
	unsigned     failed = 0;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING || g->step == GENERATION_RETIRING)
			failed += logs_reopen(g, answer);
		else if (g->step == GENERATION_SENDING || g->step == GENERATION_STARTING)
			g->reopen = true;	/* they are open, but on their way */
	}
	return failed;
}

/* The table keeps it, too: a full mailbox does not take it at once. Returns 0, or
 * -1 with errno and the fd still the caller's. */
static int
logs_reopen_one(struct generation *g, unsigned log, int fd)
{
	struct message m = { .kind = MESSAGE_LOG, .a = log, .fds = &fd, .fd_count = 1 };
	bool           runs = g->step == GENERATION_RUNNING;
	int            own = runs ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (runs && own < 0)
		return -1;
	fdtable_close(&master_fds, FD_LOG, g->name, log);
	if (fdtable_add(&master_fds, FD_LOG, g->name, log, fd) < 0) {
		fd_close(&own);
		return -1;
	}
	if (g->template != 0 && generation_tell(g, &m) < 0)
		log_error("template (generation %u): a reopened log: %s", g->number,
		    strerror(errno));
	/* A vacant post's next worker may find an older one in the mailbox. */
	for (unsigned i = 0; i < g->process_count; i++)
		if (runs || g->posts[i].state != POST_VACANT)
			post_tell_log(&g->posts[i], log);
	if (runs)
		log_replace(log, own);
	return 0;
}
