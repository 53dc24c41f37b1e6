/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of what is pure in proc/: settings, commands, backoff, text, waiting. */
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/child.h"
#include "proc/control_line.h"
#include "proc/post.h"
#include "proc/report.h"
#include "proc/paths.h"
#include "proc/settings.h"
#include "proc/text.h"
#include "proc/wait.h"
#include "unit/tap.h"

static void
test_user(void)
{
	const struct passwd *me = getpwuid(getuid());
	struct settings_user u;
	char                 text[256], long_text[512];

	if (me == NULL) {
		skip(3, "this user has no name");
	} else {
		ok(settings_parse_user(&u, me->pw_name) == NULL, "a user");
		is_string(u.name, me->pw_name, "its name");
		ok(u.uid == me->pw_uid && u.gid == me->pw_gid, "its numbers");
	}
	snprintf(text, sizeof text, "root %s", getgrgid(0)->gr_name);
	ok(settings_parse_user(&u, text) == NULL && u.uid == 0 && u.gid == 0, "a user and a group");
	is_string(settings_parse_user(&u, "no-such-user"), "there is no such user", "no such user");
	is_string(settings_parse_user(&u, "root no-such-group"), "there is no such group",
	    "no such group");
	is_string(settings_parse_user(&u, ""), "write USER, or USER GROUP", "nothing");
	is_string(settings_parse_user(&u, "root root root"), "write USER, or USER GROUP",
	    "too much");
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	is_string(settings_parse_user(&u, long_text), "is too long", "too long");
}

static void
test_limits(void)
{
	struct rlimit now;

	is_number(settings_carried(1000, 2, 100), 450, "two descriptors a session");
	is_number(settings_carried(100, 1, 100), 0, "nothing is left for sessions");
	is_number(settings_carried(50, 1, 100), 0, "not even that");
	ok(settings_processors() >= 1, "there is a processor");
	getrlimit(RLIMIT_NOFILE, &now);
	is_number(settings_raise_nofile(1), now.rlim_cur, "a limit is never lowered");
	ok(settings_raise_nofile(now.rlim_cur + 1) >= now.rlim_cur, "and raised if it can be");
	ok(path_writable("/state", "/no/such/directory/x") != NULL &&
		strstr(path_writable("/state", "/no/such/directory/x"),
		    "mkdir -p /no/such/directory") != NULL,
	    "a missing directory is told, and what to do");
	is_string(path_writable("/state", "/"), "is a directory", "a directory is no file");
	ok(path_writable("/state", "/dev/null") == NULL, "what can be written to is fine");
	ok(path_writable("/tmp", "/tmp/run/x") == NULL &&
		path_writable("/tmp", "/tmp/logs/x") == NULL,
	    "run/ and logs/ may be missing");
	ok(path_writable("/tmp", "/tmp/no-run/x") != NULL &&
		path_writable("/tmp", "/tmp/run/no/x") != NULL,
	    "no others may");
	is_string(path_writable("/no/state", "/no/state/run/x"),
	    "there is no directory /no/state: create it (mkdir -p /no/state)",
	    "nor what they are in");
}

static char why[512];

static bool
parse_line(const char *text, struct control_line *l)
{
	static char line[CONTROL_LINE_MAX + 2];

	snprintf(line, sizeof line, "%s", text);
	return control_line_parse(line, strlen(line), l, why, sizeof why);
}

static void
test_control(void)
{
	static struct control_line l;
	static const char *const   wrong[] = { "", " ", "statu", "status json please",
		      "status json json", "status wait", "peers upstream=", "peers upstream=%zz",
		      "peers upstream=a%00", "peer u 1.2.3.4:5", "peer u 1.2.3.4:5 weight",
		      "peer u 1.2.3.4:5 weight 0", "peer u 1.2.3.4:5 weight 65536", "peer u a left",
		      "peer u a up wait", "close", "close rate=1", "close id=3", "close id=3.x",
		      "close id=4294967296.1", "close from=here", "close peer=a rate=1000001",
		      "sessions id=1.1" };

	for (unsigned i = 0; i < CONTROL_COMMANDS; i++) {
		const char *name = control_line_name((enum control_command)i);

		parse_line(name, &l);
		is_number(l.command, i, "%s", name);
	}
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ok(!parse_line(wrong[i], &l) && why[0] != '\0', "'%s' is none: %s", wrong[i], why);
	ok(!control_line_parse((char[]){ "status\0x" }, 8, &l, why, sizeof why), "a NUL");
	ok(parse_line("peer a%20b unix:/x%25 weight 7", &l) && l.command == CONTROL_PEER &&
		strcmp(l.upstream, "a b") == 0 && strcmp(l.address, "unix:/x%") == 0 &&
		l.verb == VERB_WEIGHT && l.weight == 7,
	    "a peer's weight");
	ok(parse_line("close id=3.17 id=4.1 peer=b:1 from=10.0.0.0/8 rate=5 grace=20 wait", &l) &&
		l.id_count == 2 && l.ids[0] == (UINT64_C(3) << 32 | 17) && l.rate == 5 &&
		l.grace == 20 && l.wait && l.range.bits == 8,
	    "sessions to be closed");
}

static void
test_backoff(void)
{
	static const uint64_t wanted[] = { 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000 };

	for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
		is_number(post_backoff(i), wanted[i], "after %u failures", i);
	is_number(post_backoff(4000000000u), 5000, "after very many");
}

static void
test_text(void)
{
	struct text t = { 0 };

	text_json_open(&t, NULL, '{');
	text_json_string(&t, "a\"b\\", "x\n\x01\x7fz");
	text_json_number(&t, "n", UINT64_MAX);
	text_json_open(&t, "list", '[');
	text_json_open(&t, NULL, '{');
	text_json_close(&t, '}');
	text_json_number(&t, NULL, 1);
	text_json_close(&t, ']');
	text_json_string(&t, "utf",
	    "\xc3\xa9 \xff \xe2\x82 \xed\xa0\x80 \xf0\x9f\x98\x80 \xc0\x80");
	text_json_close(&t, '}');
	is_string(t.data, "{\"a\\\"b\\\\\":\"x\\u000a\\u0001\\u007fz\",\"n\":18446744073709551615,"
	    "\"list\":[{},1],\"utf\":\"\xc3\xa9 \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd "
	    "\xf0\x9f\x98\x80 \\ufffd\\ufffd\"}",
	    "JSON");
	text_free(&t);
	for (unsigned i = 0; i < 10000; i++)
		text_add(&t, "%u\n", i);
	ok(t.size == 48890 && !t.cut && t.data[t.size] == '\0', "grows");
	while (!t.cut)
		text_add(&t, "%8192s", "x");
	ok(t.size <= TEXT_MAX, "but not without an end");
	text_free(&t);
}

static struct {
	unsigned      due, ready;
	struct watch *stops;
} seen;

static void
note_due(struct deadline *d)
{
	(void)d;
	seen.due++;
}

static void
note_ready(struct watch *w, short what)
{
	(void)w;
	seen.ready += (what & POLLIN) != 0;
	if (seen.stops != NULL)
		watch_stop(seen.stops);
}

static void
test_wait(void)
{
	struct deadline soon = { 0 }, late = { 0 };
	struct watch    first = { 0 }, second = { 0 };
	int             ends[2];
	uint64_t        begun = wait_now();
	sigset_t        none;

	sigemptyset(&none);
	if (pipe(ends) < 0 || write(ends[1], "x", 1) != 1)
		bail_out("pipe");
	deadline_set(&late, 3600000, note_due);
	deadline_set(&soon, 20, note_due);
	while (seen.due == 0 && wait_pass(&none) == 0)
		;
	ok(wait_now() - begun >= 20 && !deadline_is_set(&soon) && deadline_is_set(&late),
	    "the nearest deadline ends the wait");
	deadline_clear(&late);
	deadline_clear(&late);
	watch_start(&first, ends[0], POLLIN, note_ready);
	watch_start(&second, ends[0], POLLIN, note_ready);
	ok(wait_pass(&none) == 0 && seen.ready == 2, "both watchers are called");
	seen.stops = &second;
	ok(wait_pass(&none) == 0 && seen.ready == 3,
	    "one that was stopped in the same pass is not");
	watch_stop(&first);
	watch_stop(&first);
	deadline_set(&soon, 0, note_due);
	ok(wait_pass(&none) == 0 && seen.ready == 3 && seen.due == 2, "none is left");
	close(ends[0]);
	close(ends[1]);
}

static struct {
	unsigned lines, done;
	bool     ok;
} told;

static void
note_line(struct requester *r, enum weir_level level, const char *text)
{
	(void)r;
	told.lines += level == WEIR_ERROR && strcmp(text, "a 1") == 0;
}

static void
note_done(struct requester *r, bool ok)
{
	(void)r;
	told.done++;
	told.ok = ok;
}

static void
test_report(void)
{
	struct requester one = { .line = note_line, .done = note_done };
	struct requester two = { .line = note_line, .done = note_done };
	struct requester late = { .line = note_line, .done = note_done };
	struct requester gone = { .line = note_line, .done = note_done };

	ok(!report_is_wanted(), "nobody asks");
	report_wanted(&one);
	report_wanted(&two);
	report_wanted(&gone);
	ok(report_is_wanted(), "somebody asks");
	report_begin();
	report_wanted(&late);
	report_unwanted(&gone);
	report_unwanted(&gone);
	report_say(WEIR_ERROR, "a %d", 1);
	is_number(told.lines, 2, "those who asked before are told");
	report_end(true);
	ok(told.done == 2 && told.ok, "and what came of it");
	ok(report_is_wanted(), "the late one waits for the next");
	report_begin();
	report_end(false);
	ok(told.done == 3 && !told.ok && !report_is_wanted(), "which is its own");
	report_wanted(NULL);
	ok(report_is_wanted(), "wanted by nobody in particular");
	report_begin();
	report_end(true);
	ok(!report_is_wanted() && told.done == 3, "tells nobody");
}

static void
test_status(void)
{
	char out[96];

	is_string(child_status_print(0x0100, out, sizeof out), "ended with status 1", "exit");
	is_string(child_status_print(SIGKILL, out, sizeof out), "was killed by SIGKILL (Killed)",
	    "signal");
}

/* A process may call itself what it likes. */
static void
test_state(void)
{
	pid_t child = fork();
	int   status;

	if (child == 0) {
		prctl(PR_SET_NAME, "a) R (b");
		raise(SIGSTOP);
		_exit(0);
	}
	ok(child > 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status),
	    "a process has stopped");
	is_number(child_state(child), 'T', "its state, behind a name with brackets");
	kill(child, SIGKILL);
	ok(waitpid(child, &status, 0) == child, "it has ended");
	is_number(child_state(child), 0, "nobody has none");
}

int
main(void)
{
	test_user();
	test_limits();
	test_control();
	test_backoff();
	test_text();
	test_wait();
	test_report();
	test_status();
	test_state();
	return done_testing();
}
