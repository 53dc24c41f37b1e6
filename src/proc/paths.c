/* SPDX-License-Identifier: BSD-2-Clause */
/* paths: the files that weir makes or writes to: what must hold of them before it starts. */
#include "proc/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "proc/fdtable.h"
#include "proc/settings.h"
#include "proc/state_dir.h"
#include "session/server.h"

/* One of them. */
struct path {
	struct weir_scope *scope;	/* of its section */
	const char        *key;
	const char        *what;	/* it is: "the pid file" */
	const char        *path;
	struct place       place;	/* of its line, where a key has several; else no file */
};

/* All but the listeners: those are compared with these, and among themselves elsewhere. */
struct paths {
	struct path list[LOG_SINKS_MAX + 3];
	unsigned    count;
};

static void paths_add(struct paths *, const struct path *);
static void paths_check_listeners(const struct paths *, const struct conf *);
static void path_check_pid(const struct path *);
static void path_check_control(const struct path *);
static void path_check_log(const struct path *, const struct log_spec *);
static void path_check_writable(const struct path *);
static void path_check_alone(const struct path *, const struct paths *, unsigned before);
static void path_complain(const struct path *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool path_is(const char *, const char *);

void
paths_check(struct weir_scope *scope, const struct settings *s)
{
	struct paths all = { .count = 0 };
	struct path  p = { .scope = scope, .key = "pid", .what = "the pid file", .path = s->pid };

	if (s->pid != NULL && !scope_is_wrong(scope, "pid")) {
		path_check_pid(&p);
		paths_add(&all, &p);
	}
	p = (struct path){ scope, "control", "the control socket", s->control, { NULL, 0 } };
	if (s->control != NULL && !scope_is_wrong(scope, "control")) {
		path_check_control(&p);
		paths_add(&all, &p);
	}
	for (unsigned i = 0; i < s->logs.count; i++) {
		p = (struct path){ scope, "error_log", "a log", s->logs.specs[i].path,
			s->logs.places[i] };
		if (s->logs.specs[i].kind != LOG_FILE)
			continue;
		path_check_log(&p, &s->logs.specs[i]);
		paths_add(&all, &p);
	}
	paths_check_listeners(&all, scope_conf(scope));
}

/* Logs may go to one file. */
static void
paths_add(struct paths *all, const struct path *p)
{
	path_check_alone(p, all, all->count);
	all->list[all->count++] = *p;
}

static void
paths_check_listeners(const struct paths *all, const struct conf *conf)
{
	const struct server *server;
	struct path          p = { .key = "listen" };

	for (unsigned i = 0; (server = server_at(conf, i)) != NULL; i++) {
		p.scope = conf_scope(conf, SCOPE_SERVER, i);
		for (unsigned k = 0; k < server->listen_count; k++) {
			const struct addr *a = &server->listens[k].spec.addr;

			if (a->sa.sa_family != AF_UNIX || addr_is_abstract(a))
				continue;
			p.path = a->un.sun_path;
			p.place = server->listens[k].place;
			path_check_writable(&p);
			path_check_alone(&p, all, all->count);
		}
	}
}

/* It is locked and cut off: nothing that is already something else will do. */
static void
path_check_pid(const struct path *p)
{
	struct stat st;

	if (lstat(p->path, &st) == 0 && S_ISLNK(st.st_mode))
		path_complain(p, "is a symbolic link, which is not followed: name the file itself");
	else if (lstat(p->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		path_complain(p, "is no regular file: name one that weir may make");
	else
		path_check_writable(p);
}

/* Only a socket is replaced. */
static void
path_check_control(const struct path *p)
{
	const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
	struct stat  st;

	if (strlen(p->path) >= room)
		path_complain(p, "too long for a socket (%zu bytes at most)", room - 1);
	else if (lstat(p->path, &st) == 0 && !S_ISSOCK(st.st_mode))
		path_complain(p, "that is there already, and is no socket");
	else
		path_check_writable(p);
}

/* One that is there can be opened as it will be, without a trace. */
static void
path_check_log(const struct path *p, const struct log_spec *spec)
{
	struct stat st;
	int         fd;

	if (stat(p->path, &st) < 0 || S_ISDIR(st.st_mode)) {
		path_check_writable(p);
		return;
	}
	fd = log_open(spec);
	if (fd < 0)
		path_complain(p, "%s%s", strerror(errno),
		    errno == ENXIO ? ": it is a socket, or a FIFO that nobody reads" : "");
	fd_close(&fd);
}

static void
path_check_writable(const struct path *p)
{
	const char *wrong = path_writable(conf_state(scope_conf(p->scope)), p->path);

	if (wrong != NULL)
		path_complain(p, "%s", wrong);
}

static void
path_check_alone(const struct path *p, const struct paths *all, unsigned before)
{
	if (conf_has_read(scope_conf(p->scope), p->path)) {
		path_complain(p, "that is a file of the configuration");
		return;
	}
	for (unsigned i = 0; i < before; i++)
		if (strcmp(all->list[i].key, p->key) != 0 && path_is(all->list[i].path, p->path)) {
			path_complain(p, "that is %s", all->list[i].what);
			return;
		}
}

static void
path_complain(const struct path *p, const char *format, ...)
{
	char    text[PATH_MAX + 128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (p->place.file == NULL)
		conf_error(p->scope, p->key, "%s = %s: %s", p->key, p->path, text);
	else
		conf_error_at(p->scope, p->place, "%s = %s: %s", p->key, p->path, text);
}

/* Under whatever name; a file that is not there yet has that of its directory. */
static bool
path_is(const char *a, const char *b)
{
	char        dirs[2][PATH_MAX], names[2][PATH_MAX];
	struct stat one, other;

	if (stat(a, &one) == 0 && stat(b, &other) == 0)
		return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
	snprintf(dirs[0], sizeof dirs[0], "%s", a);
	snprintf(dirs[1], sizeof dirs[1], "%s", b);
	memcpy(names, dirs, sizeof names);
	return strcmp(basename(names[0]), basename(names[1])) == 0 &&
	    stat(dirname(dirs[0]), &one) == 0 && stat(dirname(dirs[1]), &other) == 0 &&
	    one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

const char *
path_writable(const char *state, const char *path)
{
	static char phrase[PATH_MAX + 96];
	char        copy[PATH_MAX];
	const char *dir;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return "is a directory";
	if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode) &&
	    faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
		return strerror(errno);
	if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
		return strerror(ENAMETOOLONG);
	dir = dirname(copy);
	if (state_dir_holds(state, path) && access(dir, F_OK) < 0 && errno == ENOENT)
		dir = dirname(copy);
	if (stat(dir, &st) < 0) {
		if (errno == ENOENT)
			snprintf(phrase, sizeof phrase,
			    "there is no directory %s: create it (mkdir -p %s)", dir, dir);
		else
			snprintf(phrase, sizeof phrase, "%s: %s", dir, strerror(errno));
		return phrase;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(phrase, sizeof phrase, "%s is not a directory", dir);
		return phrase;
	}
	if (access(path, F_OK) < 0 && faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0) {
		snprintf(phrase, sizeof phrase, "cannot write to the directory %s: %s", dir,
		    strerror(errno));
		return phrase;
	}
	return NULL;
}
