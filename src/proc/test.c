/* SPDX-License-Identifier: BSD-2-Clause */
/* test: weir -t and -T: whether a configuration is good. */
#include "proc/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/child.h"
#include "proc/fdtable.h"
#include "proc/loading.h"
#include "proc/message.h"
#include "proc/options.h"
#include "proc/template.h"
#include "proc/wait.h"

enum verdict {
	GOOD,
	BAD,
	UNKNOWN,	/* it ended without a word */
	HANGING,	/* it was killed, and that has been told */
	UNPRINTED,	/* good, and could not be written out */
};

static int          test_job(struct template_job *);
static enum verdict test_listen(const struct options *, int channel, pid_t template);
static bool         test_gets_on(struct loading *, int channel);
static enum verdict test_end(pid_t template, enum verdict);

int
test_run(const struct options *options, bool print)
{
	struct template_job job = { .options = options,
		.mode = print ? TEMPLATE_PRINT : TEMPLATE_TEST,
		.snapshot = -1,
		.kept = -1,
		.master = getpid() };

	return test_job(&job);
}

int
test_print_kept(const struct options *options, int kept)
{
	struct template_job job = { .options = options,
		.mode = TEMPLATE_PRINT,
		.snapshot = -1,
		.kept = kept,
		.forced = true,
		.master = getpid() };

	return test_job(&job);
}

static int
test_job(struct template_job *job)
{
	const struct options *options = job->options;
	enum verdict          verdict;
	int                   ends[2];
	pid_t                 template;

	template_progress();
	if (message_pair(ends, false) < 0) {
		fprintf(stderr, "weir: socketpair: %s\n", strerror(errno));
		return 1;
	}
	fflush(NULL);
	template = fork();
	if (template == 0) {
		fd_close(&ends[0]);
		job->channel = ends[1];
		template_run(job);
	}
	fd_close(&ends[1]);
	if (template < 0) {
		fprintf(stderr, "weir: fork: %s\n", strerror(errno));
		fd_close(&ends[0]);
		return 1;
	}
	verdict = test_end(template, test_listen(options, ends[0], template));
	fd_close(&ends[0]);
	if (verdict == BAD)
		fprintf(stderr, "weir: configuration %s test failed\n", options->path);
	else if (!options->quiet && job->kept < 0)
		fprintf(stderr, "weir: configuration %s is good\n", options->path);
	return verdict == GOOD ? 0 : 1;
}

static enum verdict
test_listen(const struct options *options, int channel, pid_t template)
{
	struct loading loading;
	struct message m;
	int            got;

	loading_begin(&loading, template);
	while ((got = message_receive(channel, &m)) != 0) {
		if (got < 0 && errno == EAGAIN) {
			if (test_gets_on(&loading, channel))
				continue;
			kill(template, SIGKILL);
			return HANGING;
		}
		if (got < 0)
			return BAD;
		message_discard(&m);
		if (m.kind == MESSAGE_LOADED)
			return m.a == 1 ? GOOD : BAD;
		if (m.kind == MESSAGE_REPORT && m.a <= (options->quiet ? WEIR_ERROR : WEIR_WARN))
			fprintf(stderr, "%.*s\n", (int)m.size, (const char *)m.data);
	}
	return UNKNOWN;
}

/* Waits for a message. There is no limit on the whole: many names may have to be looked
 * up. */
static bool
test_gets_on(struct loading *loading, int channel)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	char          text[704];

	if (poll(&p, 1, LOADING_LOOK) > 0 || !loading_look(loading, 0, text, sizeof text))
		return true;
	if (loading->state == LOADING_HANGS) {
		fprintf(stderr, "weir: %s: it is killed\n", text);
		return false;
	}
	fprintf(stderr, "weir: %s: an interrupt (^C) ends it\n", text);
	return true;
}

/* GOOD, BAD or UNPRINTED. */
static enum verdict
test_end(pid_t template, enum verdict verdict)
{
	const char *doing = template_progress();
	char        how[96];
	int         status;

	while (waitpid(template, &status, 0) < 0)
		if (errno != EINTR)
			return BAD;
	if (verdict == HANGING)
		return BAD;
	if (status == 0 && verdict != UNKNOWN)
		return verdict;
	if (verdict == GOOD && WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return UNPRINTED;	/* and has said so */
	child_status_print(status, how, sizeof how);
	fprintf(stderr, "weir: the process that loads the configuration %s", how);
	if (doing != NULL && *doing != '\0')
		fprintf(stderr, " while %s", doing);
	fprintf(stderr, "\n");
	return BAD;
}
