/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log: lines to files, stderr and syslog, without ever waiting for a reader.
 *
 *	format ─► message ─┐
 *	log_about ─────────┼─► line ─► sink ─► write(2)
 *	time, pid, role ───┘             └──── lost: counted, told later
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <paths.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define ROLE_MAX    32
#define SUBJECT_MAX 512

#define CUT_MARK "..."

/* A pipe that poll calls writable has room for this much. */
static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line goes into a pipe as a whole or not at all");
static_assert(SUBJECT_MAX * 4 < LOG_LINE_MAX, "the message has room in front of its subject");

/* What is behind a descriptor decides how to write without waiting. */
enum way {
	WAY_FILE,	/* never waits for a reader */
	WAY_POLL,	/* a pipe or a terminal */
	WAY_SOCKET,
};

struct sink {
	struct log_spec spec;
	int             fd;		/* -1: none (yet) */
	bool            owned;		/* closed with the sink */
	enum way        way;
	bool            torn;		/* the last line was cut by a short write */
	uint64_t        lost;		/* lines since the last that was written */
	int             lost_why;	/* errno of the last of them */
};

struct line {
	char   text[LOG_LINE_MAX];
	size_t len;
	size_t limit;
	size_t whole;		/* up to here whole characters, and room for CUT_MARK behind */
	bool   cut;
};

struct name {
	const char *name;
	int         value;
};

static struct {
	struct sink        sinks[LOG_SINKS_MAX];
	unsigned           count;
	bool               configured;
	char               role[ROLE_MAX];
	struct log_subject subject;
	uint64_t           lost;
	const struct log_losses *losses;
} state;

static const char *const level_names[] = {
	[WEIR_ALERT]  = "alert",
	[WEIR_ERROR]  = "error",
	[WEIR_WARN]   = "warn",
	[WEIR_NOTICE] = "notice",
	[WEIR_INFO]   = "info",
	[WEIR_DEBUG]  = "debug",
};

#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

static const int syslog_priorities[LEVELS] = {
	[WEIR_ALERT]  = LOG_ALERT,
	[WEIR_ERROR]  = LOG_ERR,
	[WEIR_WARN]   = LOG_WARNING,
	[WEIR_NOTICE] = LOG_NOTICE,
	[WEIR_INFO]   = LOG_INFO,
	[WEIR_DEBUG]  = LOG_DEBUG,
};

static const struct name facilities[] = {
	{ "daemon", LOG_DAEMON },
	{ "user", LOG_USER },
	{ "auth", LOG_AUTH },
	{ "authpriv", LOG_AUTHPRIV },
	{ "cron", LOG_CRON },
	{ "ftp", LOG_FTP },
	{ "kern", LOG_KERN },
	{ "lpr", LOG_LPR },
	{ "mail", LOG_MAIL },
	{ "news", LOG_NEWS },
	{ "syslog", LOG_SYSLOG },
	{ "uucp", LOG_UUCP },
	{ "local0", LOG_LOCAL0 },
	{ "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 },
	{ "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 },
	{ "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 },
	{ "local7", LOG_LOCAL7 },
	{ NULL, 0 },
};

const char *
log_level_name(enum weir_level level)
{
	assert((unsigned)level < LEVELS);
	return level_names[level];
}

int
log_level_find(const char *name)
{
	unsigned i;

	for (i = 0; i < LEVELS; i++) {
		if (strcmp(level_names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

/* --------------------------------------------------------------- settings */

static const char *
log_parse_facility(const char *name, int *facility)
{
	const struct name *f;

	for (f = facilities; f->name != NULL; f++) {
		if (strcmp(f->name, name) == 0) {
			*facility = f->value;
			return NULL;
		}
	}
	return "there is no such syslog facility (daemon, user, local0 to local7, and others)";
}

static const char *
log_parse_target(const char *text, struct log_spec *spec)
{
	size_t len = strlen(text);

	if (len >= sizeof spec->path)
		return "the path is longer than 255 bytes";
	memcpy(spec->path, text, len);
	spec->kind = LOG_FILE;
	if (strcmp(spec->path, "stderr") == 0)
		spec->kind = LOG_STDERR;
	else if (strcmp(spec->path, "syslog") == 0 || strncmp(spec->path, "syslog:", 7) == 0)
		spec->kind = LOG_SYSLOG_SINK;
	if (spec->kind == LOG_SYSLOG_SINK) {
		spec->facility = LOG_DAEMON;
		if (spec->path[6] == ':')
			return log_parse_facility(spec->path + 7, &spec->facility);
	}
	return NULL;
}

const char *
log_spec_parse(struct log_spec *out, const char *target, const char *level)
{
	struct log_spec spec = { .level = WEIR_NOTICE };
	const char     *wrong;
	int             found;

	if (*target == '\0')
		return "a file, stderr or syslog is expected";
	wrong = log_parse_target(target, &spec);
	if (wrong != NULL)
		return wrong;
	if (spec.kind != LOG_FILE)
		memset(spec.path, 0, sizeof spec.path);
	if (level != NULL) {
		found = log_level_find(level);
		if (found < 0)
			return "there is no such level (debug, info, notice, warn, error, alert)";
		spec.level = (enum weir_level)found;
	}
	*out = spec;
	return NULL;
}

/* O_NONBLOCK: opening a FIFO that nobody reads must not wait (ENXIO). */
int
log_open(const struct log_spec *spec)
{
	return open(spec->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	    0640);
}

char *
log_spec_print(const struct log_spec *spec, char *out, size_t size)
{
	const struct name *f = facilities;

	if (spec->kind == LOG_SYSLOG_SINK) {
		while (f->name != NULL && f->value != spec->facility)
			f++;
		snprintf(out, size, "syslog:%s", f->name != NULL ? f->name : "?");
	} else {
		snprintf(out, size, "%s", spec->kind == LOG_STDERR ? "stderr" : spec->path);
	}
	return out;
}

void
log_identify(const char *role)
{
	snprintf(state.role, sizeof state.role, "%.*s", ROLE_MAX - 1, role);
	for (unsigned i = 0; i < state.count; i++)
		state.sinks[i].lost = 0;
}

void
log_watch_losses(const struct log_losses *losses)
{
	state.losses = losses;
}

struct log_subject
log_about(struct log_subject subject)
{
	struct log_subject before = state.subject;

	state.subject = subject;
	return before;
}

uint64_t
log_lost(void)
{
	return state.lost;
}

/* ------------------------------------------------------------------ sinks */

static void
sink_close(struct sink *s)
{
	if (s->owned && s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->owned = false;
}

static void
sink_look(struct sink *s)
{
	struct stat st;

	s->way = WAY_FILE;
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		s->way = WAY_SOCKET;
	else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		s->way = WAY_POLL;
}

/* A terminal that poll calls writable may still stop in the middle of a line.
 * stderr is shared with whoever started us, so it is not made non-blocking but
 * opened again, for ourselves; where that is not allowed poll must do. */
static void
sink_use_stderr(struct sink *s)
{
	s->fd = STDERR_FILENO;
	s->owned = false;
	if (isatty(STDERR_FILENO)) {
		s->fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		s->owned = s->fd >= 0;
		if (s->fd < 0)
			s->fd = STDERR_FILENO;
	}
	sink_look(s);
}

/* syslog(3) waits when its daemon does not read: we send for ourselves. */
static void
sink_use_syslog(struct sink *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	sink_close(s);
	s->way = WAY_SOCKET;
	snprintf(un.sun_path, sizeof un.sun_path, "%s", _PATH_LOG);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return;
	s->owned = true;
	if (connect(s->fd, (struct sockaddr *)&un, sizeof un) < 0) {
		int why = errno;

		sink_close(s);
		errno = why;
	}
}

void
log_configure(const struct log_spec *specs, const int *fds, unsigned n)
{
	unsigned i, k;

	assert(n <= LOG_SINKS_MAX);
	for (i = 0; i < state.count; i++) {
		for (k = 0; k < n && fds[k] != state.sinks[i].fd; k++)
			;
		if (k == n)
			sink_close(&state.sinks[i]);
	}
	memset(state.sinks, 0, sizeof state.sinks);
	for (i = 0; i < n; i++) {
		state.sinks[i].spec = specs[i];
		state.sinks[i].fd = -1;
		if (specs[i].kind == LOG_STDERR) {
			sink_use_stderr(&state.sinks[i]);
		} else if (specs[i].kind == LOG_FILE) {
			state.sinks[i].fd = fds[i];
			state.sinks[i].owned = true;
			sink_look(&state.sinks[i]);
		}
	}
	state.count = n;
	state.configured = true;
	tzset();	/* so that no line has to read the time zone's file */
}

void
log_replace(unsigned i, int fd)
{
	struct sink *s = &state.sinks[i];

	if (i >= state.count || s->spec.kind != LOG_FILE) {
		close(fd);
		return;
	}
	if (s->fd != fd)
		sink_close(s);
	s->fd = fd;
	s->owned = true;
	s->torn = false;
	sink_look(s);
}

/* ------------------------------------------------------------------ lines */

static void
line_begin(struct line *l)
{
	l->len = l->whole = 0;
	l->limit = sizeof l->text - 1;		/* and a newline */
	l->cut = false;
}

/* Control bytes, and those that terminals obey in UTF-8, as \xNN: nobody starts
 * a line of his own by what he sends. */
static void
line_escaped(struct line *l, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char     c, before = 0;

	for (; *text != '\0' && !l->cut; before = c, text++) {
		c = (unsigned char)*text;
		if ((c & 0xc0) != 0x80 && l->len + strlen(CUT_MARK) <= l->limit)
			l->whole = l->len;
		if (c >= ' ' && c != 0x7f && !(before == 0xc2 && c >= 0x80 && c < 0xa0)) {
			l->cut = l->len == l->limit;
			if (!l->cut)
				l->text[l->len++] = (char)c;
		} else {
			l->cut = l->limit - l->len < 4;
			if (!l->cut) {
				l->text[l->len++] = '\\';
				l->text[l->len++] = 'x';
				l->text[l->len++] = hex[c >> 4];
				l->text[l->len++] = hex[c & 15];
			}
		}
	}
}

static void
line_format(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For short things that fit. */
static void
line_format(struct line *l, const char *format, ...)
{
	va_list args;
	int     n;

	va_start(args, format);
	n = vsnprintf(l->text + l->len, l->limit - l->len, format, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < l->limit - l->len);
	l->len += (size_t)n;
}

static void
line_mark_cut(struct line *l)
{
	if (l->len + strlen(CUT_MARK) > l->limit)
		l->len = l->whole;
	memcpy(l->text + l->len, CUT_MARK, strlen(CUT_MARK));
	l->len += strlen(CUT_MARK);
	l->cut = false;
}

/* The front of a line in a file or on stderr. */
static void
line_head(struct line *l, enum weir_level level)
{
	struct timespec now;
	struct tm       tm;
	char            zone[8], day[32];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof zone, "%z", &tm);
	line_format(l, "%s.%03ld%.3s:%s %s %d", day, now.tv_nsec / 1000000, zone, zone + 3,
	    level_names[level], (int)getpid());
	if (state.role[0] != '\0') {
		l->text[l->len++] = ' ';
		line_escaped(l, state.role);
	}
	line_format(l, ": ");
}

/* As the system's own syslog(3) would send it; English month names, for that is
 * what its readers know. */
static void
line_head_syslog(struct line *l, enum weir_level level, int facility)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct tm         tm;
	time_t            now;

	now = time(NULL);
	localtime_r(&now, &tm);
	line_format(l, "<%d>%s %2d %02d:%02d:%02d weir[%d]: ", facility | syslog_priorities[level],
	    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
	if (state.role[0] != '\0') {
		line_escaped(l, state.role);
		line_format(l, ": ");
	}
}

/* The message gives way to the subject: who is concerned is always told. */
static void
line_body(struct line *l, const char *message, bool whole, const char *subject)
{
	struct line tail;

	line_begin(&tail);
	line_escaped(&tail, subject);
	l->limit -= tail.len;
	line_escaped(l, message);
	if (l->cut || !whole)
		line_mark_cut(l);
	l->limit += tail.len;
	memcpy(l->text + l->len, tail.text, tail.len);
	l->len += tail.len;
}

/* ---------------------------------------------------------------- writing */

/* Returns 0, or -1 with errno and perhaps a part of the line written. */
static int
sink_put(struct sink *s, const char *text, size_t len)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t       n;

	if (s->way == WAY_POLL && poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	do {
		if (s->way == WAY_SOCKET)
			n = send(s->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(s->fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	s->torn = text[n > 0 ? n - 1 : 0] != '\n' && s->spec.kind != LOG_SYSLOG_SINK;
	if ((size_t)n == len)
		return 0;
	errno = s->way == WAY_FILE ? ENOSPC : EAGAIN;
	return -1;
}

/* A line in the sink's own form. The newline that ends a torn line is part of
 * the same write. */
static int
sink_write(struct sink *s, enum weir_level level, const char *message, bool whole,
    const char *subject)
{
	struct line l;

	line_begin(&l);
	if (s->torn)
		l.text[l.len++] = '\n';
	if (s->spec.kind == LOG_SYSLOG_SINK)
		line_head_syslog(&l, level, s->spec.facility);
	else
		line_head(&l, level);
	line_body(&l, message, whole, subject);
	if (s->spec.kind != LOG_SYSLOG_SINK)
		l.text[l.len++] = '\n';
	if (s->fd < 0 && s->spec.kind == LOG_SYSLOG_SINK)
		sink_use_syslog(s);
	else if (s->fd < 0)
		errno = EBADF;
	if (s->fd < 0)
		return -1;
	if (sink_put(s, l.text, l.len) == 0)
		return 0;
	/* The daemon was started anew: its old socket is gone. */
	if (s->spec.kind != LOG_SYSLOG_SINK || errno == EAGAIN)
		return -1;
	sink_use_syslog(s);
	return s->fd < 0 ? -1 : sink_put(s, l.text, l.len);
}

static const char *
sink_lost_why(const struct sink *s, char *out, size_t size)
{
	return s->lost_why == EAGAIN ? "nobody reads them" : strerror_r(s->lost_why, out, size);
}

static int
sink_tell_lost(struct sink *s)
{
	char message[128], why[64];

	snprintf(message, sizeof message, "%" PRIu64 " line%s could not be written: %s", s->lost,
	    s->lost == 1 ? "" : "s", sink_lost_why(s, why, sizeof why));
	if (sink_write(s, WEIR_WARN, message, true, "") < 0)
		return -1;
	s->lost = 0;
	return 0;
}

static uint64_t sink_lose(struct sink *);
static void     sink_complain(const struct sink *, uint64_t total);

static void
sink_log(struct sink *s, enum weir_level level, const char *message, bool whole,
    const char *subject)
{
	uint64_t total;

	if ((s->lost == 0 || sink_tell_lost(s) == 0) &&
	    sink_write(s, level, message, whole, subject) == 0)
		return;
	total = sink_lose(s);
	if (state.losses != NULL && state.losses->due((unsigned)(s - state.sinks)))
		sink_complain(s, total);
}

/* One more line, because of errno. Returns how many there are in all processes. */
static uint64_t
sink_lose(struct sink *s)
{
	s->lost_why = errno;
	s->lost++;
	state.lost++;
	return state.losses != NULL ? state.losses->add((unsigned)(s - state.sinks)) : s->lost;
}

static const char *
sink_remedy(const struct sink *s)
{
	if (s->spec.kind == LOG_SYSLOG_SINK)
		return "start the syslog daemon, or log elsewhere (error_log)";
	switch (s->lost_why) {
	case ENOSPC:
	case EDQUOT:
		return "make room there";
	case EFBIG:
		return "the file is as large as it may be: rename it, and weir -s reopen";
	case EAGAIN:
		return "its reader does not keep up, or has stopped";
	case EPIPE:
		return "start its reader and weir -s reopen, or log elsewhere (error_log)";
	default:
		return "mend that and weir -s reopen, or log elsewhere (error_log)";
	}
}

/* To all others. What they lose of it is counted, and told by their own lines. */
static void
sink_complain(const struct sink *lost, uint64_t total)
{
	struct sink err = { .spec.kind = LOG_STDERR };
	char        name[sizeof lost->spec.path], why[64], message[512];
	bool        has_stderr = false, told = false;

	snprintf(message, sizeof message,
	    "error_log = %s: %" PRIu64 " line%s lost: %s; %s",
	    log_spec_print(&lost->spec, name, sizeof name), total, total == 1 ? "" : "s",
	    sink_lost_why(lost, why, sizeof why), sink_remedy(lost));
	for (unsigned i = 0; i < state.count; i++) {
		struct sink *s = &state.sinks[i];

		has_stderr |= s->spec.kind == LOG_STDERR;
		if (s == lost || s->spec.level < WEIR_ERROR)
			continue;
		if ((s->lost == 0 || sink_tell_lost(s) == 0) &&
		    sink_write(s, WEIR_ERROR, message, true, "") == 0)
			told = true;
		else
			sink_lose(s);
	}
	if (told || has_stderr)
		return;
	sink_use_stderr(&err);
	if (sink_write(&err, WEIR_ERROR, message, true, "") < 0)
		state.lost++;
	sink_close(&err);
}

/* Before log_configure: for whoever has just typed the command. */
static void
log_plain(const char *message, bool whole, const char *subject)
{
	struct sink s = { .spec.kind = LOG_STDERR, .fd = STDERR_FILENO };
	struct line l;

	sink_look(&s);
	line_begin(&l);
	line_format(&l, "weir: ");
	line_body(&l, message, whole, subject);
	l.text[l.len++] = '\n';
	if (sink_put(&s, l.text, l.len) < 0)
		state.lost++;
}

bool
log_wanted(enum weir_level level)
{
	unsigned i;

	if (!state.configured)
		return level <= WEIR_NOTICE;
	for (i = 0; i < state.count; i++) {
		if (level <= state.sinks[i].spec.level)
			return true;
	}
	return false;
}

/* While it is described a subject may log, without its own description. */
static void
log_describe_subject(char *out, size_t size)
{
	struct log_subject subject;

	out[0] = '\0';
	if (state.subject.describe == NULL)
		return;
	subject = log_about((struct log_subject){ NULL, NULL });
	subject.describe(subject.object, out, size);
	log_about(subject);
}

void
log_vwrite(enum weir_level level, const char *format, va_list args)
{
	char     message[LOG_LINE_MAX], subject[SUBJECT_MAX];
	int      before = errno;
	unsigned i;
	bool     whole;
	int      n;

	assert((unsigned)level < LEVELS);
	if (!log_wanted(level))
		return;
	n = vsnprintf(message, sizeof message, format, args);	/* %m needs errno as it was */
	if (n < 0)
		message[0] = '\0';
	whole = n >= 0 && (size_t)n < sizeof message;
	log_describe_subject(subject, sizeof subject);
	if (!state.configured)
		log_plain(message, whole, subject);
	for (i = 0; i < state.count; i++) {
		if (level <= state.sinks[i].spec.level)
			sink_log(&state.sinks[i], level, message, whole, subject);
	}
	errno = before;
}

void
log_write(enum weir_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(level, format, args);
	va_end(args);
}

void
weir_log(enum weir_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(level, format, args);
	va_end(args);
}
