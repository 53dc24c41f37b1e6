/* SPDX-License-Identifier: BSD-2-Clause */
/* settings: the keys of [weir] that concern processes. */
#include "proc/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "conf/check.h"
#include "conf/conf.h"
#include "net/tls.h"
#include "proc/paths.h"
#include "proc/ports.h"
#include "session/preread.h"
#include "session/server.h"
#include "upstream/board.h"
#include "upstream/upstream.h"

/* Descriptors that a worker needs besides those of sessions, listeners and
 * channels: logs, the loop, pipes to splice with, what libraries open. */
#define SETTINGS_SPARE 128u
#define SETTINGS_MEMBERS 8u	/* peers that a name is thought to have */

/* Bytes for each session: nearly every ClientHello fits into them. */
#define SETTINGS_PREREAD 2048u

static const char *settings_check(struct weir_scope *);
static const char *settings_take_user(struct weir_scope *, const char *, void *);
static const char *settings_parse_log(struct weir_scope *, const char *, void *);
static const char *settings_parse_affinity(struct weir_scope *, const char *, void *);
static const struct tls_ticket_keys *settings_read_ticket_keys(struct weir_scope *,
    const char *path);
static const struct weir_module *settings_fronting(const struct conf *, const struct server *);
static bool        settings_relays(const struct conf *);
static uint64_t    settings_links(const struct conf *);
static void        settings_check_connections(struct weir_scope *, struct settings *);
static void        settings_warn(void *scope, const char *key, const char *text);

#define AT(member) offsetof(struct settings, member)

static const struct weir_key keys[] = {
	{ .name = "workers",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_NUMBER,
	    .offset = AT(workers),
	    .initial = "auto",
	    .min = 1,
	    .max = BOARD_SLOTS,
	    .flags = WEIR_AUTO,
	    .help = "worker processes; auto: one for each core this process may use" },
	{ .name = "worker_connections",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_NUMBER,
	    .offset = AT(connections),
	    .initial = "65536",
	    .min = 1,
	    .max = 16777216,
	    .help = "most client sessions in one worker; there accepting pauses" },
	{ .name = "worker_handshakes",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_NUMBER,
	    .offset = AT(handshakes),
	    .initial = "1024",
	    .min = 1,
	    .max = 1u << 20,
	    .help = "most TLS handshakes that are open in one worker; others wait" },
	{ .name = "worker_preread",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_SIZE,
	    .offset = AT(preread),
	    .initial = "auto",
	    .min = PREREAD_MIN,
	    .max = UINT64_C(1) << 40,
	    .flags = WEIR_AUTO,
	    .help = "what clients may hold in one worker before they are in; auto: 2k for each of "
		    "worker_connections" },
	{ .name = "worker_rlimit_nofile",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_NUMBER,
	    .offset = AT(nofile),
	    .initial = "auto",
	    .min = 64,
	    .max = 1u << 30,
	    .flags = WEIR_AUTO,
	    .help = "open files of a worker; auto: what worker_connections needs" },
	{ .name = "worker_cpu_affinity",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_OWN,
	    .offset = AT(affinity),
	    .initial = "off",
	    .parse = settings_parse_affinity,
	    .syntax = "off | auto",
	    .help = "auto: each worker stays on a core of its own" },
	{ .name = "worker_shutdown_timeout",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_TIME,
	    .offset = AT(shutdown_timeout),
	    .initial = "off",
	    .min = 1,
	    .flags = WEIR_OFF,
	    .help = "what an old worker has to finish in; off: as long as its sessions live" },
	{ .name = "handover",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_SWITCH,
	    .offset = AT(handover),
	    .initial = "on",
	    .help = "whether sessions move to the new workers at a reload" },
	{ .name = "rebalance",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_SWITCH,
	    .offset = AT(rebalance),
	    .initial = "on",
	    .help = "whether sessions move from crowded workers to emptier ones" },
	{ .name = "worker_watchdog",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_TIME,
	    .offset = AT(watchdog),
	    .initial = "30s",
	    .min = 1000,
	    .flags = WEIR_OFF,
	    .help = "how long a worker may handle no event before it is ended and replaced" },
	{ .name = "user",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_OWN,
	    .offset = AT(user),
	    .initial = "nobody",
	    .flags = WEIR_WORDS,
	    .parse = settings_take_user,
	    .syntax = "USER [GROUP]",
	    .help = "whom workers run as, when started as root" },
	{ .name = "pid",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_PATH,
	    .offset = AT(pid),
	    .initial = "run/weir.pid",
	    .help = "file for the master's process number; locked" },
	{ .name = "control",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_PATH,
	    .offset = AT(control),
	    .initial = "run/weir.sock",
	    .help = "socket for weir -s, weir status; mode 0600" },
	{ .name = "error_log",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_OWN,
	    .offset = AT(logs),
	    .initial = "logs/error.log notice",
	    .flags = WEIR_REPEATED | WEIR_WORDS,
	    .parse = settings_parse_log,
	    .syntax = "FILE | stderr | syslog[:FACILITY] [debug|info|notice|warn|error|alert]",
	    .help = "where messages go, from which level on" },
	{ .name = "daemon",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_SWITCH,
	    .offset = AT(daemon),
	    .initial = "on",
	    .help = "whether to leave the terminal" },
	{ .name = "tls_ticket_key",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_PATH,
	    .offset = AT(ticket_file),
	    .initial = "auto",
	    .flags = WEIR_AUTO,
	    .syntax = "auto | FILE",
	    .help = "keys of TLS tickets; a file: the same on several machines" },
	{ .name = NULL },
};

const struct weir_module settings_module = {
	.name = "weir",
	.keys = keys,
	.conf_size = sizeof(struct settings),
	.check = settings_check,
};

const struct settings *
settings_of(const struct conf *conf)
{
	return weir_scope_conf(conf_scope(conf, SCOPE_WEIR, 0), &settings_module);
}

const char *
settings_parse_user(struct settings_user *u, const char *text)
{
	char                 copy[192], *rest = copy;
	const char          *name, *group;
	const struct passwd *pw;
	const struct group  *gr;
	uint64_t             number;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	name = weir_word(&rest);
	group = name == NULL ? NULL : weir_word(&rest);
	if (name == NULL || weir_word(&rest) != NULL)
		return "write USER, or USER GROUP";
	pw = getpwnam(name);
	if (pw == NULL && str_number(name, &number) && number < UINT32_MAX)
		pw = getpwuid((uid_t)number);
	if (pw == NULL)
		return "there is no such user";
	if (strlen(pw->pw_name) >= sizeof u->name)
		return "is too long";
	strcpy(u->name, pw->pw_name);
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	if (group != NULL) {
		gr = getgrnam(group);
		if (gr == NULL && str_number(group, &number) && number < UINT32_MAX)
			gr = getgrgid((gid_t)number);
		if (gr == NULL)
			return "there is no such group";
		u->gid = gr->gr_gid;
	}
	return NULL;
}

unsigned
settings_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}

uint64_t
settings_carried(uint64_t limit, uint64_t each, uint64_t fixed)
{
	return limit <= fixed ? 0 : (limit - fixed) / each;
}

uint64_t
settings_raise_nofile(uint64_t wanted)
{
	struct rlimit now, more;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return 0;
	if (now.rlim_cur >= wanted)
		return now.rlim_cur;
	/* Above the hard limit with CAP_SYS_RESOURCE only, and never above
	 * fs.nr_open: then the hard limit is as far as it goes. */
	more = now;
	more.rlim_cur = wanted;
	if (more.rlim_max < wanted)
		more.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
		more.rlim_max = now.rlim_max;
		more.rlim_cur = wanted < now.rlim_max ? wanted : now.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &more) < 0)
			more = now;
	}
	return more.rlim_cur;
}

static const char *
settings_check(struct weir_scope *scope)
{
	struct settings *s = weir_scope_conf(scope, &settings_module);

	if (s->workers == WEIR_AUTOMATIC) {
		s->workers = settings_processors();
		if (s->workers > BOARD_SLOTS)
			s->workers = BOARD_SLOTS;
	}
	if (s->ticket_file != NULL && (uintptr_t)s->ticket_file != (uintptr_t)WEIR_AUTOMATIC)
		s->ticket_keys = settings_read_ticket_keys(scope, s->ticket_file);
	paths_check(scope, s);
	settings_check_connections(scope, s);
	if (s->preread == WEIR_AUTOMATIC)
		s->preread = s->connections < PREREAD_MIN / SETTINGS_PREREAD
		    ? PREREAD_MIN
		    : s->connections * SETTINGS_PREREAD;
	ports_check(scope_conf(scope), s->workers * s->connections);
	return NULL;
}

/* The first makes tickets, all of them read them. */
static const struct tls_ticket_keys *
settings_read_ticket_keys(struct weir_scope *scope, const char *path)
{
	struct tls_ticket_keys *ring = weir_scope_alloc(scope, sizeof *ring);
	struct file             file;
	const char             *wrong = conf_read_file(scope, path, &file);
	struct stat             st;

	if (wrong != NULL) {
		conf_error(scope, "tls_ticket_key", "tls_ticket_key = %s: %s", path, wrong);
		return NULL;
	}
	if (file.size == 0 || file.size % TLS_TICKET_KEY_SIZE != 0 ||
	    file.size > sizeof ring->keys)
		conf_error(scope, "tls_ticket_key",
		    "tls_ticket_key = %s: it has to hold one, two or three keys of %u bytes: "
		    "openssl rand %u >FILE makes one",
		    path, TLS_TICKET_KEY_SIZE, TLS_TICKET_KEY_SIZE);
	else {
		memcpy(ring->keys, file.bytes, file.size);
		ring->count = (uint32_t)(file.size / TLS_TICKET_KEY_SIZE);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IRWXO) != 0)
			conf_warn(scope, "tls_ticket_key",
			    "tls_ticket_key = %s: others can read or change it: chmod 600 it",
			    path);
	}
	file_free(&file);
	return ring;
}

/* The protocol of a server that names upstreams; NULL: none, or a wrong one.
 * Their own checks come later. */
static const struct weir_module *
settings_fronting(const struct conf *conf, const struct server *server)
{
	if (server->protocol_name == NULL || server_upstreams(server) == 0)
		return NULL;
	return conf_role(conf, ROLE_PROTOCOL, server->protocol_name);
}

/* Whether sessions may have a connection each to a peer. */
static bool
settings_relays(const struct conf *conf)
{
	const struct weir_module *protocol;
	const struct server      *server;

	for (unsigned i = 0; (server = server_at(conf, i)) != NULL; i++)
		if ((protocol = settings_fronting(conf, server)) != NULL &&
		    protocol->exchange == NULL)
			return true;
	return false;
}

/* How many pooled connections one worker may come to have. */
static uint64_t
settings_links(const struct conf *conf)
{
	const struct weir_module   *protocol;
	const struct weir_upstream *u;
	const struct server        *server;
	uint64_t                    count = 0;

	for (unsigned i = 0; (server = server_at(conf, i)) != NULL; i++)
		if ((protocol = settings_fronting(conf, server)) != NULL &&
		    protocol->exchange != NULL && server->upstream_name != NULL &&
		    (u = upstream_find(conf, server->upstream_name)) != NULL)
			count += (u->fixed + u->line_count * SETTINGS_MEMBERS) * u->pool_size;
	return count;
}

/* The limit is raised right here: workers are clones of the process that
 * checks, so what it reached is what they have. */
static void
settings_check_connections(struct weir_scope *scope, struct settings *s)
{
	const struct conf   *conf = scope_conf(scope);
	uint64_t             each = settings_relays(conf) ? 2 : 1;
	uint64_t             fixed = SETTINGS_SPARE + 4 * s->workers + settings_links(conf);
	uint64_t             carried;
	bool                 said = scope_sets(scope, "worker_connections");
	struct check_needs   needs = { .workers = s->workers };
	const struct server *server;

	for (unsigned i = 0; (server = server_at(conf, i)) != NULL; i++) {
		fixed += server->listen_count * s->workers;
		for (unsigned k = 0; k < server->listen_count; k++)
			if (server->listens[k].spec.backlog > needs.backlog &&
			    server->listens[k].spec.backlog != SOCK_BACKLOG)
				needs.backlog = server->listens[k].spec.backlog;
	}
	needs.descriptors = s->connections * each + fixed;
	needs.limit = settings_raise_nofile(
	    s->nofile == WEIR_AUTOMATIC ? needs.descriptors : s->nofile);
	if (s->nofile != WEIR_AUTOMATIC && s->nofile < needs.limit)
		needs.limit = s->nofile;
	if (s->nofile != WEIR_AUTOMATIC && s->nofile > needs.limit)
		conf_warn(scope, "worker_rlimit_nofile", "the system lets it be %" PRIu64,
		    needs.limit);
	carried = settings_carried(needs.limit, each, fixed);
	s->lowered = s->connections > carried;
	/* The default is as much as fits: nobody has asked for more. */
	if (!said && s->lowered)
		needs.descriptors = needs.limit;
	check_machine(&needs, settings_warn, scope);
	if (carried == 0)
		conf_error(scope, "worker_rlimit_nofile",
		    "%" PRIu64 " open files do not carry a single session: %" PRIu64
		    " are needed without any, %" PRIu64 " of them for pools (peers x pool_size)",
		    needs.limit, fixed, settings_links(conf));
	else if (s->lowered && said)
		conf_warn(scope, "worker_connections", "worker_connections is lowered to %" PRIu64,
		    carried);
	if (s->lowered)
		s->connections = carried;
}

static void
settings_warn(void *scope, const char *key, const char *text)
{
	conf_warn(scope, key, "%s", text);
}

static const char *
settings_take_user(struct weir_scope *scope, const char *text, void *value)
{
	(void)scope;
	return settings_parse_user(value, text);
}

static const char *
settings_parse_log(struct weir_scope *scope, const char *text, void *value)
{
	struct settings_logs *logs = value;
	struct log_spec       spec;
	const char           *wrong, *path;
	char                  copy[1024], *rest = copy, *target, *level;

	if (logs->count == LOG_SINKS_MAX)
		return "there may be 8 logs at most";
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	target = weir_word(&rest);
	level = weir_word(&rest);
	if (target == NULL || weir_word(&rest) != NULL)
		return "write a file, stderr or syslog, then a level";
	wrong = log_spec_parse(&spec, target, level);
	if (wrong != NULL)
		return wrong;
	if (spec.kind == LOG_FILE) {
		path = conf_path(scope, spec.path);
		if (strlen(path) >= sizeof spec.path)
			return "the path is too long";
		memmove(spec.path, path, strlen(path) + 1);
	}
	logs->places[logs->count] = scope_value_place(scope);
	logs->specs[logs->count++] = spec;
	return NULL;
}

static const char *
settings_parse_affinity(struct weir_scope *scope, const char *text, void *value)
{
	bool *affinity = value;

	(void)scope;
	if (strcmp(text, "auto") != 0 && strcmp(text, "off") != 0)
		return "write off or auto";
	*affinity = strcmp(text, "auto") == 0;
	return NULL;
}
