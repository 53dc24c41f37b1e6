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
#include "proc/message.h"
#include "proc/options.h"
#include "proc/template.h"
#include "proc/wait.h"

#define TEST_TIMEOUT 60000	/* ms */

enum verdict {
	GOOD,
	BAD,
	UNKNOWN,	/* it ended without a word */
	UNPRINTED,	/* good, and could not be written out */
};

static enum verdict test_listen(const struct options *, int channel, pid_t template);
static enum verdict test_end(pid_t template, enum verdict);

int
test_run(const struct options *options, bool print)
{
	struct template_job job = { .options = options,
		.mode = print ? TEMPLATE_PRINT : TEMPLATE_TEST,
		.master = getpid() };
	enum verdict        verdict;
	int                 ends[2];
	pid_t               template;

	template_progress();
	if (message_pair(ends, false) < 0) {
		fprintf(stderr, "weir: socketpair: %s\n", strerror(errno));
		return 1;
	}
	fflush(NULL);
	template = fork();
	if (template == 0) {
		fd_close(&ends[0]);
		job.channel = ends[1];
		template_run(&job);
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
	else if (!options->quiet)
		fprintf(stderr, "weir: configuration %s is good\n", options->path);
	return verdict == GOOD ? 0 : 1;
}

static enum verdict
test_listen(const struct options *options, int channel, pid_t template)
{
	struct pollfd  p = { .fd = channel, .events = POLLIN };
	struct message m;
	uint64_t       end_at = wait_now() + TEST_TIMEOUT, now;
	const char    *doing;
	int            got;

	while ((got = message_receive(channel, &m)) != 0) {
		if (got < 0 && errno == EAGAIN) {
			now = wait_now();
			if (now < end_at &&
			    (poll(&p, 1, (int)(end_at - now)) > 0 || errno == EINTR))
				continue;
			doing = template_progress();
			fprintf(stderr, "weir: not checked within %d seconds: it is still %s\n",
			    TEST_TIMEOUT / 1000,
			    doing != NULL && *doing != '\0' ? doing : "being read");
			kill(template, SIGKILL);
			return BAD;
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
