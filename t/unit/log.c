/* SPDX-License-Identifier: BSD-2-Clause */
/* log: lines as they should be, and sinks that cannot take them. */
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/* The file itself, so that syslog's socket is ours. */
static char syslog_path[108] = "/nonexistent/log";
#undef _PATH_LOG
#define _PATH_LOG syslog_path
#include "base/log.c"

#include "unit/tap.h"

#define HEAD \
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} "

static const struct log_spec to_file = { .kind = LOG_FILE, .level = WEIR_INFO };
static const struct log_spec to_stderr = { .kind = LOG_STDERR, .level = WEIR_INFO };
static const struct log_spec to_syslog = { .kind = LOG_SYSLOG_SINK,
	.level = WEIR_INFO,
	.facility = LOG_LOCAL3 };

static char content[8 * LOG_LINE_MAX];

/* A file without a name, as a log; another fd of it is kept for reading. */
static int file;

static void
log_to_file(const struct log_spec *spec)
{
	int fd;

	if (file > 0)
		close(file);
	file = memfd_create("log", MFD_CLOEXEC);
	fd = fcntl(file, F_DUPFD_CLOEXEC, 0);
	log_configure(spec, &fd, 1);
}

static void
log_to(int fd)
{
	log_configure(&to_file, &fd, 1);
}

/* What the file has, which is emptied. */
static const char *
written(void)
{
	ssize_t n = pread(file, content, sizeof content - 1, 0);

	content[n > 0 ? n : 0] = '\0';
	if (ftruncate(file, 0) < 0 || lseek(file, 0, SEEK_SET) < 0)
		return "error";
	return content;
}

static bool
matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool    found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	if (!found)
		diag("got: %s", text);
	return found;
}

static unsigned
lines(const char *text)
{
	unsigned n = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		n++;
	return n;
}

/* Before anything is configured. */
static void
test_plain(void)
{
	int saved = dup(STDERR_FILENO);

	file = memfd_create("stderr", MFD_CLOEXEC);
	dup2(file, STDERR_FILENO);
	ok(log_wanted(WEIR_NOTICE) && !log_wanted(WEIR_INFO), "from notice up");
	log_notice("weir.conf:%d: unknown key", 3);
	log_info("not this");
	is_string(written(), "weir: weir.conf:3: unknown key\n", "on stderr, with the name alone");
	dup2(saved, STDERR_FILENO);
	close(saved);
}

static void
test_line(void)
{
	char pattern[128];

	log_to_file(&to_file);
	log_warn("connect: %s", "Connection refused");
	snprintf(pattern, sizeof pattern, HEAD "warn %d: connect: Connection refused\n$",
	    (int)getpid());
	ok(matches(written(), pattern), "time, level, pid, message");

	log_identify("worker 0");
	log_notice("one");
	weir_log(WEIR_ERROR, "two");
	ok(matches(written(), "notice [0-9]+ worker 0: one\n.* error [0-9]+ worker 0: two\n$"),
	    "and the role, once it is known; a module's line is no different");
	log_identify("a role that is much longer than thirty-one bytes");
	log_notice("x");
	ok(matches(written(), " a role that is much longer than: x\n$"), "which is cut");
	log_identify("");

	errno = ENOENT;
	log_info("open: %m");
	ok(errno == ENOENT, "errno survives");
	ok(matches(written(), ": open: No such file or directory\n$"), "and can be printed");

	log_debug("no");
	is_string(written(), "", "what is not wanted is not written");
	ok(log_wanted(WEIR_INFO) && !log_wanted(WEIR_DEBUG), "and told so");
}

static void
test_injection(void)
{
	log_info("user \"%s\"", "x\nalert 1: fire\r\t\x1b[2J\x7f");
	ok(matches(written(),
	       ": user \"x\\\\x0aalert 1: fire\\\\x0d\\\\x09\\\\x1b\\[2J\\\\x7f\"\n$"),
	    "control bytes are written out");
	log_info("%s", "\xc3\xa4 \xc2\x9b");
	ok(strstr(written(), ": \xc3\xa4 \xc2\\x9b\n") != NULL,
	    "letters stay, terminal controls don't");
}

static void
test_cut(void)
{
	char        longer[2 * LOG_LINE_MAX];
	const char *text;
	unsigned    i, wrong = 0;

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	log_info("%s", longer);
	text = written();
	is_number(strlen(text), LOG_LINE_MAX, "a long line is as long as may be");
	ok(lines(text) == 1 && matches(text, "xxx\\.\\.\\.\n$"), "and marked");

	memset(longer, '\n', sizeof longer - 1);
	log_info("%s", longer);
	text = written();
	ok(strlen(text) <= LOG_LINE_MAX && lines(text) == 1 && matches(text, "x0a\\.\\.\\.\n$"),
	    "one that grows by escapes, too");

	for (i = LOG_LINE_MAX - 100; i < LOG_LINE_MAX + 10; i++) {
		memset(longer, 'x', i);
		longer[i] = '\0';
		log_info("%s", longer);
		text = written();
		wrong += strlen(text) > LOG_LINE_MAX || lines(text) != 1 ||
		    (strstr(text, longer) == NULL) != (strstr(text, "x...\n") != NULL);
	}
	is_number(wrong, 0, "marked if, and only if, something is missing");
}

static void
describe(const void *object, char *out, size_t size)
{
	if (strcmp(object, "talking") == 0)
		log_info("describing");
	snprintf(out, size, ", session %s", (const char *)object);
}

static struct log_subject
about(const char *who)
{
	return (struct log_subject){ who != NULL ? describe : NULL, who };
}

static void
test_subject(void)
{
	struct log_subject before, none;
	char               longer[2 * LOG_LINE_MAX];

	none = log_about(about("1"));
	before = log_about(about("2"));
	log_info("closed");
	ok(matches(written(), ": closed, session 2\n$"), "who is concerned is added");
	log_about(before);
	log_info("closed");
	ok(matches(written(), ": closed, session 1\n$"), "and restored");
	log_about(about("x\ny"));
	log_info("closed");
	ok(matches(written(), ", session x\\\\x0ay\n$"), "escaped");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	log_about(about("3"));
	log_info("%s", longer);
	ok(matches(written(), "xxx\\.\\.\\., session 3\n$"), "even to a line that is cut");
	log_about(about("talking"));
	log_info("closed");
	ok(matches(written(), ": describing\n.*: closed, session talking\n$"),
	    "a description that logs is not described");
	log_about(about(longer));
	log_info("closed");
	ok(strlen(written()) < LOG_LINE_MAX && lines(content) == 1, "a very long description");
	ok(none.describe == NULL, "there was none at first");
	log_about(none);
	log_info("closed");
	ok(matches(written(), ": closed\n$"), "nor is there in the end");
}

static void
test_sinks(void)
{
	struct log_spec specs[3] = { to_file, to_file, to_stderr };
	int             fds[3], other = memfd_create("other", MFD_CLOEXEC), twice;

	log_to_file(&to_file);
	fds[0] = fcntl(file, F_DUPFD_CLOEXEC, 0);
	fds[1] = fcntl(other, F_DUPFD_CLOEXEC, 0);
	fds[2] = -1;
	specs[0].level = WEIR_ALERT;
	specs[2].level = WEIR_ALERT;
	log_configure(specs, fds, 2);
	log_warn("once");
	ok(written()[0] == '\0' && lseek(other, 0, SEEK_END) > 0,
	    "each sink has a level of its own");

	log_replace(1, fcntl(file, F_DUPFD_CLOEXEC, 0));
	errno = 0;
	ok(fcntl(fds[1], F_GETFD) < 0 && errno == EBADF, "a replaced descriptor is closed");
	log_warn("again");
	ok(matches(written(), ": again\n$"), "the new one is written to");

	twice = dup(other);
	log_replace(2, twice);
	ok(fcntl(twice, F_GETFD) < 0, "one for no sink is closed at once");
	log_configure(specs, fds, 1);
	ok(fcntl(fds[0], F_GETFD) >= 0, "a descriptor that is used again stays open");
	log_configure(NULL, NULL, 0);
	ok(fcntl(fds[0], F_GETFD) < 0, "one that is not is closed");
	log_alert("nobody hears this");
	ok(!log_wanted(WEIR_ALERT) && log_lost() == 0, "no sinks: nothing wanted, nothing lost");
	close(other);
}

static void
test_disk_full(void)
{
	uint64_t lost = log_lost();
	int      i;

	log_to(open("/dev/full", O_WRONLY | O_CLOEXEC));
	for (i = 0; i < 12; i++)
		log_info("line %d", i);
	is_number(log_lost() - lost, 12, "lines that find no room are counted");
	file = memfd_create("log", MFD_CLOEXEC);
	log_replace(0, fcntl(file, F_DUPFD_CLOEXEC, 0));
	log_info("hello");
	log_info("again");
	ok(matches(written(),
	       "warn [0-9]+: 12 lines could not be written: No space left on device\n"
	       ".*: hello\n.*: again\n$") &&
		lines(content) == 3,
	    "and told once, when there is room again");
	is_number(log_lost() - lost, 12, "the count stays");
}

static struct {
	uint64_t lines[3];
	bool     due;
} losses;

static uint64_t
losses_add(unsigned sink)
{
	return ++losses.lines[sink];
}

static bool
losses_due(unsigned sink)
{
	(void)sink;
	return losses.due;
}

static void
test_losses(void)
{
	static const struct log_losses counted = { losses_add, losses_due };
	struct log_spec                specs[3] = { to_file, to_file, to_syslog };
	int                            fds[3] = { open("/dev/full", O_WRONLY | O_CLOEXEC), -1, -1 };
	int                            saved = dup(STDERR_FILENO);

	strcpy(specs[0].path, "/dev/full");
	file = memfd_create("log", MFD_CLOEXEC);
	fds[1] = fcntl(file, F_DUPFD_CLOEXEC, 0);
	specs[1].level = WEIR_ERROR;
	log_configure(specs, fds, 3);
	log_watch_losses(&counted);
	log_info("silent");
	is_string(written(), "", "a loss that is not due is not told");
	losses.due = true;
	log_info("seen");
	ok(matches(written(),
	       "error [0-9]+: error_log = /dev/full: 2 lines lost: No space left on device; "
	       "make room there\n.* error_log = syslog:local3: 3 lines lost: "
	       "No such file or directory; start the syslog daemon, .*\n$"),
	    "one that is goes to those that take it, with what is lost of it by the others");
	losses.due = false;
	log_identify("worker 1");
	log_replace(0, fcntl(file, F_DUPFD_CLOEXEC, 0));
	log_info("mine");
	ok(matches(written(), "^[^\n]* worker 1: mine\n$"), "another process tells its own");
	is_number(losses.lines[0], 3, "counted, what tells of others included");
	is_number(losses.lines[2], 4, "each for itself");

	losses.due = true;
	dup2(file, STDERR_FILENO);
	log_configure(specs, (int[]){ open("/dev/full", O_WRONLY | O_CLOEXEC) }, 1);
	log_info("x");
	dup2(saved, STDERR_FILENO);
	ok(matches(written(), HEAD "error [0-9]+ worker 1: error_log = /dev/full: 4 lines lost: "),
	    "stderr where there is no other");
	log_watch_losses(NULL);
	log_identify("");
	log_configure(NULL, NULL, 0);
	close(saved);
}

/* A disk that is full in the middle of a line. */
static void
test_torn(void)
{
	struct rlimit limit, before;

	log_to_file(&to_file);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 20;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("torn");
	log_info("lost");
	setrlimit(RLIMIT_FSIZE, &before);
	log_info("whole");
	ok(strlen(written()) > 20 && content[20] == '\n' && lines(content) == 3 &&
		matches(content + 21, HEAD "warn [0-9]+: 2 lines could not be .*\n.*: whole\n$"),
	    "a torn line is ended before the next begins");
}

/* A descriptor that takes nothing more, though it would wait for that. */
static void
fill(int fd)
{
	static const char block[4096];
	int               flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (write(fd, block, sizeof block) > 0)
		;
	while (write(fd, block, 1) > 0)
		;
	fcntl(fd, F_SETFL, flags);
}

static void
drain(int fd)
{
	char block[65536];

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	while (read(fd, block, sizeof block) > 0)
		;
}

/* The next lines that a reader gets. */
static const char *
received(int fd)
{
	ssize_t n = read(fd, content, sizeof content - 1);

	content[n > 0 ? n : 0] = '\0';
	return content;
}

static void
test_reader_that_sleeps(const char *what, int reader, int writer)
{
	uint64_t lost = log_lost();

	fill(writer);
	log_to(writer);
	log_info("one");
	log_info("two");
	is_number(log_lost() - lost, 2, "%s that nobody reads is not waited for", what);
	drain(reader);
	log_info("three");
	ok(matches(received(reader), ": 2 lines could not be written: nobody reads them\n") &&
		(matches(content, ": three\n$") || matches(received(reader), ": three\n$")),
	    "what was lost is told when it is read again");
	close(reader);
	log_info("four");
	is_number(log_lost() - lost, 3, "a reader that is gone does no harm");
}

static void
test_terminal(void)
{
	int      master = posix_openpt(O_RDWR | O_NOCTTY), slave, saved, none = -1, i;
	char     name[128];
	uint64_t lost = log_lost();

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof name) != 0 ||
	    (slave = open(name, O_RDWR | O_NOCTTY)) < 0) {
		skip(3, "no terminals here");
		return;
	}
	saved = dup(STDERR_FILENO);
	dup2(slave, STDERR_FILENO);
	log_configure(&to_stderr, &none, 1);
	for (i = 0; i < 10000 && log_lost() == lost; i++)
		log_info("a line for a terminal that does not scroll");
	ok(log_lost() > lost, "a terminal that is not read is not waited for (line %d)", i);
	ok((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0, "and not changed for others");
	drain(master);
	for (i = 0; i < 3; i++)
		log_info("awake");
	fcntl(master, F_SETFL, O_NONBLOCK);
	ok(strstr(received(master), "could not be written: nobody reads them") != NULL,
	    "it is told when it is read again");
	log_configure(NULL, NULL, 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(slave);
	close(master);
}

static int
syslog_daemon(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	unlink(syslog_path);
	memcpy(un.sun_path, syslog_path, sizeof un.sun_path);
	if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0)
		diag("bind %s: %s", syslog_path, strerror(errno));
	return fd;
}

static void
test_syslog(void)
{
	char     folder[64], pattern[128];
	uint64_t lost = log_lost();
	int      fd, none = -1, i;

	log_identify("worker 1");
	log_configure(&to_syslog, &none, 1);
	log_error("nobody there");
	is_number(log_lost() - lost, 1, "no daemon");
	snprintf(folder, sizeof folder, "%s/weir-unit-XXXXXX", P_tmpdir);
	if (mkdtemp(folder) == NULL)
		diag("%s: %s", folder, strerror(errno));
	snprintf(syslog_path, sizeof syslog_path, "%s/log", folder);
	fd = syslog_daemon();
	log_error("hello");
	ok(matches(received(fd), ": 1 line could not be written: No such file or directory$"),
	    "a daemon that comes late is told what it missed");
	snprintf(pattern, sizeof pattern,
	    "^<%d>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} weir\\[%d\\]: worker 1: hello$",
	    LOG_LOCAL3 | LOG_ERR, (int)getpid());
	ok(matches(received(fd), pattern), "priority, time, name and pid as syslog has them");

	close(fd);
	fd = syslog_daemon();
	log_info("hello again");
	ok(matches(received(fd), ": hello again$"), "a daemon that was started anew");

	lost = log_lost();
	for (i = 0; i < 10000 && log_lost() == lost; i++)
		log_info("line %d", i);
	ok(log_lost() > lost, "one that does not read is not waited for (line %d)", i);
	log_configure(NULL, NULL, 0);
	close(fd);
	unlink(syslog_path);
	rmdir(folder);
	log_identify("");
}

static void
test_opening(void)
{
	char            folder[64];
	struct log_spec spec = to_file;
	struct stat     st;
	int             fd, reader;

	snprintf(folder, sizeof folder, "%s/weir-unit-XXXXXX", P_tmpdir);
	if (mkdtemp(folder) == NULL)
		diag("%s: %s", folder, strerror(errno));
	umask(0);
	snprintf(spec.path, sizeof spec.path, "%s/error.log", folder);
	fd = log_open(&spec);
	ok(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0640, "a log is made, mode 0640");
	ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_APPEND),
	    "closed on exec, appended to");
	close(fd);
	unlink(spec.path);
	errno = 0;
	fd = mkfifo(spec.path, 0600) == 0 ? log_open(&spec) : 0;
	ok(fd < 0 && errno == ENXIO, "a FIFO that nobody reads is not waited for");
	reader = open(spec.path, O_RDONLY | O_NONBLOCK);
	fd = log_open(&spec);
	ok(fd >= 0, "one that is read is opened");
	test_reader_that_sleeps("a FIFO", reader, fd);
	unlink(spec.path);
	rmdir(folder);
	errno = 0;
	fd = log_open(&spec);
	ok(fd < 0 && errno == ENOENT, "no such directory");
}

static void
test_specs(void)
{
	static const char *const refused[][2] = { { "", NULL }, { "error.log", "loud" },
		{ "error.log", "" }, { "syslog:nobody", NULL }, { "syslog:", "notice" },
		{ "error.log", "WARN" }, { "error.log", "noticenoticenotice" }, { NULL, NULL } };
	char                     longest[300];
	struct log_spec          spec, untouched;
	unsigned                 i;

	memset(&untouched, 0x55, sizeof untouched);
	for (i = 0; refused[i][0] != NULL; i++) {
		spec = untouched;
		ok(log_spec_parse(&spec, refused[i][0], refused[i][1]) != NULL &&
			memcmp(&spec, &untouched, sizeof spec) == 0,
		    "'%s' '%s' is refused", refused[i][0],
		    refused[i][1] != NULL ? refused[i][1] : "");
	}
	ok(log_spec_parse(&spec, "logs/error.log", NULL) == NULL && spec.kind == LOG_FILE &&
		spec.level == WEIR_NOTICE && strcmp(spec.path, "logs/error.log") == 0,
	    "a file alone");
	ok(log_spec_parse(&spec, "/x y", "debug") == NULL && spec.level == WEIR_DEBUG &&
		strcmp(spec.path, "/x y") == 0,
	    "a file and a level");
	ok(log_spec_parse(&spec, "stderr", "alert") == NULL && spec.kind == LOG_STDERR &&
		spec.level == WEIR_ALERT && spec.path[0] == '\0',
	    "stderr");
	ok(log_spec_parse(&spec, "syslog", "error") == NULL && spec.kind == LOG_SYSLOG_SINK &&
		spec.facility == LOG_DAEMON && spec.level == WEIR_ERROR,
	    "syslog");
	ok(log_spec_parse(&spec, "syslog:local7", NULL) == NULL &&
		spec.facility == LOG_LOCAL7 && spec.path[0] == '\0',
	    "syslog and a facility");
	ok(log_spec_parse(&spec, "syslogd.log", NULL) == NULL && spec.kind == LOG_FILE,
	    "not every file");

	memset(longest, 'x', sizeof longest);
	longest[sizeof spec.path - 1] = '\0';
	ok(log_spec_parse(&spec, longest, NULL) == NULL, "the longest path");
	memset(longest, 'x', sizeof spec.path);
	longest[sizeof spec.path] = '\0';
	ok(log_spec_parse(&spec, longest, NULL) != NULL, "one byte more");
}

static void
test_levels(void)
{
	int level;

	for (level = WEIR_ALERT; level <= WEIR_DEBUG; level++)
		is_number(log_level_find(log_level_name((enum weir_level)level)), level, "%s",
		    log_level_name((enum weir_level)level));
	is_number(log_level_find("loud"), -1, "there is no such level");
}

int
main(void)
{
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	alarm(60);	/* whatever waits for a reader is ended */
	test_plain();
	test_line();
	test_injection();
	test_cut();
	test_subject();
	test_sinks();
	test_disk_full();
	test_losses();
	test_torn();
	if (pipe2(pair, O_CLOEXEC) == 0)
		test_reader_that_sleeps("a pipe", pair[0], pair[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
		test_reader_that_sleeps("a socket", pair[0], pair[1]);
	test_terminal();
	test_syslog();
	test_opening();
	test_specs();
	test_levels();
	log_configure(NULL, NULL, 0);
	close(file);
	return done_testing();
}
