/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log: the error log of a process, written to any number of sinks.
 *
 *	2026-11-24T08:01:48.123+00:00 warn 4711 worker 0: connect: Connection
 *	    refused, session 17, client 192.0.2.1:5000, server web, upstream app
 *
 * Code says what it does; who is concerned is added from the log subject, and
 * which process from log_identify. A line is one write(2); it is never split.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

enum log_kind { LOG_FILE, LOG_STDERR, LOG_SYSLOG_SINK };

#define LOG_SINKS_MAX 8
#define LOG_LINE_MAX  4096	/* longer lines are cut and marked with "..." */

/* What error_log = says, but for the open descriptor. */
struct log_spec {
	enum log_kind   kind;
	enum weir_level level;		/* this and all that is more severe */
	int             facility;	/* LOG_SYSLOG_SINK: LOG_DAEMON and the like, of syslog(3) */
	char            path[256];	/* LOG_FILE: absolute */
};

/*
 * Replaces all sinks. fds[i] belongs to specs[i] (LOG_FILE only; otherwise it
 * is -1); log does not own it until then and closes the old ones it had.
 * Until the first call everything from NOTICE up goes to stderr, each line
 * with the program's name alone in front ("weir: …").
 */
void log_configure(const struct log_spec *specs, const int *fds, unsigned n);

/* Puts another descriptor in place of the one for specs[i] (after reopening);
 * closes the old one. fd is log's from here on: where i is no LOG_FILE sink it is
 * closed at once. */
void log_replace(unsigned i, int fd);

/* Opens a LOG_FILE for appending, mode 0640, created when missing, O_CLOEXEC.
 * Returns the fd, or -1 with errno (ENXIO: a FIFO that nobody reads). */
int log_open(const struct log_spec *) __attribute__((warn_unused_result));

/* The words of error_log → spec: FILE, stderr or syslog[:FACILITY], and a level
 * (NULL: notice). A relative FILE stays relative (the caller knows the prefix).
 * Returns NULL, or a phrase that says what is wrong and *spec as it was. */
const char *log_spec_parse(struct log_spec *, const char *target, const char *level);

/* As error_log says it: a path, "stderr", "syslog:daemon". Returns out. */
char *log_spec_print(const struct log_spec *, char *out, size_t size);

/* "worker 0": printed behind the pid from now on, at most 31 bytes. What sinks have
 * lost until then is another process's to tell. */
void log_identify(const char *role);

/* Whether a line of this level goes anywhere: ask before costly arguments. */
bool log_wanted(enum weir_level);

/*
 * The subject: writes ", session 17, client …" (at most size bytes with its
 * end) for the object that is being worked on. Set it when the work begins,
 * restore what was there when it ends. NULL: none.
 */
struct log_subject {
	void       (*describe)(const void *object, char *out, size_t size);
	const void  *object;
};
struct log_subject log_about(struct log_subject);

void log_write(enum weir_level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_vwrite(enum weir_level, const char *format, va_list) __attribute__((format(printf, 2, 0)));

#define log_alert(...)  log_write(WEIR_ALERT, __VA_ARGS__)
#define log_error(...)  log_write(WEIR_ERROR, __VA_ARGS__)
#define log_warn(...)   log_write(WEIR_WARN, __VA_ARGS__)
#define log_notice(...) log_write(WEIR_NOTICE, __VA_ARGS__)
#define log_info(...)   log_write(WEIR_INFO, __VA_ARGS__)
#define log_debug(...)  log_write(WEIR_DEBUG, __VA_ARGS__)

/* Lines that could not be written (disk full, a reader that does not read):
 * they are counted for each sink, never waited for; the sink's next line that
 * can be written tells how many. A pipe whose reader is gone raises SIGPIPE:
 * processes ignore it. */
uint64_t log_lost(void);

/*
 * Several processes write to the same sinks, so the one who starts them has the
 * count. What is due to be told goes to the other sinks as an error, or, when none
 * takes it, to stderr. NULL (at first): it is not told.
 */
struct log_losses {
	uint64_t (*add)(unsigned sink);	/* one more line; returns how many there are */
	bool     (*due)(unsigned sink);	/* whether that is to be told now */
};
void log_watch_losses(const struct log_losses *);

/* The level's name ("warn"), and the level of a name (-1: none such). */
const char *log_level_name(enum weir_level);
int         log_level_find(const char *name);

#endif
