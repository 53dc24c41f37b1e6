/* SPDX-License-Identifier: BSD-2-Clause */
/* conf: sections, inheritance, checks and messages, with tables made for it. */
#include "conf/conf.h"

#include <unistd.h>

#include "unit/tap.h"

/* ------------------------------------------------------------------ the tables */

struct general {
	uint64_t    workers;
	bool        daemon;
	const char *pid;
	char        logs[64];
};

struct server {
	char     listens[128];
	char     protocol[32];
	uint64_t idle;
	uint64_t buffer;
};

static char checked[1024];	/* which checks ran, in order */

static const char *
parse_list(struct weir_scope *s, const char *text, void *value)
{
	char *list = value;

	(void)s;
	if (*text == '!')
		return "may not begin with !";
	strcat(list, text);
	strcat(list, ",");
	return NULL;
}

static const char *
parse_listen(struct weir_scope *s, const char *text, void *value)
{
	struct place place = scope_value_place(s);

	if (strcmp(text, "said") == 0)
		conf_error(s, "listen", "said at %u", place.line);
	if (strcmp(text, "warned") == 0)
		conf_warn(s, "listen", "warned");
	return parse_list(s, text, value);
}

static const char *
parse_protocol(struct weir_scope *s, const char *text, void *value)
{
	(void)s;
	snprintf(value, 32, "%s", text);
	return NULL;
}

static const struct weir_key general_keys[] = {
	{ .name = "workers",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_NUMBER,
	    .flags = WEIR_AUTO,
	    .offset = offsetof(struct general, workers),
	    .initial = "auto",
	    .min = 1,
	    .max = 64,
	    .help = "how many" },
	{ .name = "daemon",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_SWITCH,
	    .offset = offsetof(struct general, daemon),
	    .initial = "on",
	    .help = "background" },
	{ .name = "pid",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_PATH,
	    .offset = offsetof(struct general, pid),
	    .initial = "run/pid",
	    .help = "pid file" },
	{ .name = "error_log",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_OWN,
	    .flags = WEIR_REPEATED,
	    .offset = offsetof(struct general, logs),
	    .initial = "logs/error.log",
	    .parse = parse_list,
	    .syntax = "FILE",
	    .help = "logs" },
	{ 0 },
};

static const char *check_general(struct weir_scope *);
static const char *check_server(struct weir_scope *);
static const char *check_upstream(struct weir_scope *);

static const struct weir_module general_module = { .name = "weir",
	.keys = general_keys,
	.conf_size = sizeof(struct general),
	.check = check_general };

static const struct weir_key server_keys[] = {
	{ .name = "listen",
	    .where = WEIR_IN_SERVER,
	    .type = WEIR_OWN,
	    .flags = WEIR_REPEATED | WEIR_WORDS | WEIR_NOT_INHERITED,
	    .offset = offsetof(struct server, listens),
	    .parse = parse_listen,
	    .syntax = "ADDRESS",
	    .help = "where" },
	{ .name = "protocol",
	    .where = WEIR_IN_SERVER,
	    .type = WEIR_OWN,
	    .offset = offsetof(struct server, protocol),
	    .parse = parse_protocol,
	    .syntax = "NAME",
	    .help = "which" },
	{ .name = "idle_timeout",
	    .where = WEIR_IN_SERVER,
	    .type = WEIR_TIME,
	    .flags = WEIR_OFF,
	    .offset = offsetof(struct server, idle),
	    .initial = "5m",
	    .max = 86400000,
	    .help = "how long" },
	{ .name = "buffer",
	    .where = WEIR_IN_SERVER,
	    .type = WEIR_SIZE,
	    .offset = offsetof(struct server, buffer),
	    .initial = "64k",
	    .help = "how much" },
	{ 0 },
};

static const struct weir_module server_module = { .name = "server",
	.keys = server_keys,
	.conf_size = sizeof(struct server),
	.check = check_server };

static const struct weir_key upstream_keys[] = {
	{ .name = "server",
	    .where = WEIR_IN_UPSTREAM,
	    .type = WEIR_OWN,
	    .flags = WEIR_REPEATED,
	    .parse = parse_list,
	    .help = "backends" },
	{ .name = "idle_timeout",
	    .where = WEIR_IN_UPSTREAM,
	    .type = WEIR_TIME,
	    .flags = WEIR_OFF,
	    .offset = 128,
	    .initial = "60s",
	    .help = "of links" },
	{ 0 },
};

static const struct weir_module upstream_module = {
	.name = "upstream", .keys = upstream_keys, .conf_size = 256, .check = check_upstream
};

static const struct weir_protocol protocol;

static const char *
check_line(struct weir_scope *s)
{
	strcat(checked, "line ");
	strcat(checked, weir_scope_name(s));
	strcat(checked, ";");
	return strcmp(weir_scope_name(s), "unlucky") == 0 ? "has bad luck" : NULL;
}

static const struct weir_key line_keys[] = {
	{ .name = "line_max",
	    .where = WEIR_IN_SERVER,
	    .type = WEIR_SIZE,
	    .initial = "8k",
	    .help = "longest line" },
	{ 0 },
};

static const struct weir_module line_module = { .name = "line",
	.keys = line_keys,
	.conf_size = sizeof(uint64_t),
	.check = check_line,
	.protocol = &protocol };

static const struct weir_module echo_module = { .name = "echo", .protocol = &protocol };

static void
note_check(const char *what, const struct weir_scope *s)
{
	snprintf(checked + strlen(checked), sizeof checked - strlen(checked), "%s %s;", what,
	    weir_scope_name(s));
}

static const char *
check_general(struct weir_scope *s)
{
	note_check("weir", s);
	return NULL;
}

static const char *
check_upstream(struct weir_scope *s)
{
	note_check("upstream", s);
	return NULL;
}

static const char *
check_server(struct weir_scope *s)
{
	struct server            *server = weir_scope_conf(s, &server_module);
	const struct weir_module *m;

	note_check("server", s);
	if (*server->protocol == '\0')
		return NULL;
	m = conf_role(scope_conf(s), ROLE_PROTOCOL, server->protocol);
	if (m == NULL)
		conf_error(s, "protocol", "no protocol %s, there are %s", server->protocol,
		    conf_role_names(s, ROLE_PROTOCOL));
	else
		scope_uses(s, m);
	return NULL;
}

/* ------------------------------------------------------------------- loading */

static const struct weir_module *const core[] = { &general_module, &server_module, &upstream_module,
	NULL };
static const struct weir_module *const builtin[] = { &echo_module, &line_module, NULL };
static const struct conf_request elsewhere = { .prefix = "/prefix", .state = "/state" };
static char path[] = "/tmp/weir-conf-XXXXXX";
static char all[65536];

static struct conf *
load(const char *text, const char *const *globals)
{
	const struct conf_request request = {
		.path = path,
		.prefix = "/prefix",
		.module_dir = "/modules",
		.globals = globals,
		.core = core,
		.builtin = builtin,
	};
	FILE                     *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) == EOF)
		bail_out("%s: cannot be written", path);
	*checked = '\0';
	return conf_load(&request);
}

/* All messages, "line: text" each, warnings marked with a W. */
static const char *
messages(const struct conf *c)
{
	const struct conf_message *m;
	unsigned                   n, i;

	*all = '\0';
	m = conf_messages(c, &n);
	for (i = 0; i < n; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s%u: %s\n",
		    m[i].file != NULL && strcmp(m[i].file, path) != 0 ? m[i].file : "",
		    m[i].warning ? "W" : "", m[i].line, m[i].text);
	/* The path is different each time. */
	for (char *p; (p = strstr(all, path)) != NULL;)
		memmove(p + 4, p + strlen(path), strlen(p + strlen(path)) + 1),
		    memcpy(p, "FILE", 4);
	return all;
}

static const char *
errors_of(const char *text)
{
	struct conf *c = load(text, NULL);

	messages(c);
	conf_free(c);
	return all;
}

static struct server *
server_of(const struct conf *c, const char *name)
{
	struct weir_scope *s = conf_find(c, SCOPE_SERVER, name);

	return s != NULL ? weir_scope_conf(s, &server_module) : NULL;
}

static const char *
place_of(const struct conf *c, enum scope_kind kind, unsigned index, const char *key)
{
	static char place[256];
	const char *at;

	at = scope_place(conf_scope(c, kind, index), key, place, sizeof place);
	return strncmp(at, path, strlen(path)) == 0 ? at + strlen(path) : at;
}

/* --------------------------------------------------------------------- tests */

static void
test_empty(void)
{
	struct conf    *c = load("", NULL);
	struct general *g = weir_scope_conf(conf_scope(c, SCOPE_WEIR, 0), &general_module);

	is_string(messages(c), "", "an empty file is a configuration");
	is_number(g->workers, WEIR_AUTOMATIC, "auto");
	ok(g->daemon, "on");
	is_string(g->pid, "/prefix/run/pid", "a path");
	is_string(g->logs, "logs/error.log,", "a list's default");
	ok(conf_scope(c, SCOPE_WEIR, 1) == NULL && conf_scope(c, SCOPE_SERVER, 0) == NULL,
	    "there is [weir] and nothing else");
	is_string(place_of(c, SCOPE_WEIR, 0, "pid"), "default", "its place");
	is_string(weir_scope_name(conf_scope(c, SCOPE_WEIR, 0)), "", "its name");
	is_string(checked, "weir ;", "it is checked");
	conf_free(c);
	conf_free(NULL);
}

static void
test_inheritance(void)
{
	struct conf    *c = load("[server a]\nlisten = 1\nlisten = 2\nbuffer = 1k\n"
			      "protocol = line\n"
			      "[defaults server]\nidle_timeout = 7s\nbuffer = 2k\nline_max = 3\n"
			      "[weir]\nerror_log = x\nerror_log = y\n"
			      "[server b]\nlisten = 3\nprotocol = echo\n"
			      "[defaults upstream]\nserver = p\nserver = q\n"
			      "[upstream u]\n[upstream v]\nserver = r\nidle_timeout = off\n",
	    NULL);
	struct server  *a = server_of(c, "a"), *b = server_of(c, "b");
	struct general *g = weir_scope_conf(conf_scope(c, SCOPE_WEIR, 0), &general_module);
	const char     *u, *v;

	is_string(messages(c), "", "it is good");
	is_string(a->listens, "1,2,", "a list");
	is_string(g->logs, "x,y,", "a list in place of its default");
	is_number(a->idle, 7000, "from the defaults, which may stand behind");
	is_number(a->buffer, 1024, "the section's own");
	is_number(b->buffer, 2048, "the other section has the default");
	u = weir_scope_conf(conf_find(c, SCOPE_UPSTREAM, "u"), &upstream_module);
	v = weir_scope_conf(conf_find(c, SCOPE_UPSTREAM, "v"), &upstream_module);
	is_string(u, "p,q,", "a list of the defaults");
	is_string(v, "r,", "is replaced, not added to");
	is_number(*(uint64_t *)weir_scope_conf(conf_find(c, SCOPE_SERVER, "a"), &line_module), 3,
	    "a module's key in the defaults");

	ok(scope_sets(conf_scope(c, SCOPE_SERVER, 0), "idle_timeout"), "the defaults set");
	ok(!scope_sets(conf_scope(c, SCOPE_UPSTREAM, 0), "idle_timeout"), "other defaults do not");
	is_string(place_of(c, SCOPE_SERVER, 0, "buffer"), ":4", "place of a line");
	is_string(place_of(c, SCOPE_SERVER, 0, "listen"), ":2", "of the first line of a list");
	is_string(place_of(c, SCOPE_SERVER, 1, "buffer"), ":8 [defaults server]",
	    "in the defaults");
	ok(conf_find(c, SCOPE_SERVER, "c") == NULL && conf_find(c, SCOPE_SERVER, "") == NULL,
	    "nothing else is found");
	ok(scope_conf(conf_scope(c, SCOPE_SERVER, 0)) == c, "the way back");
	is_string(conf_path(conf_scope(c, SCOPE_WEIR, 0), "a/b"), "/prefix/a/b", "a path");
	is_string(conf_base(c, "run/b"), "/prefix", "run/ is below the prefix");
	is_string(conf_address_base(c, "unix:run/b"), "/prefix", "for a socket, too");
	is_string(conf_request_base(&elsewhere, "run/b"), "/state", "unless it is elsewhere");
	is_string(conf_request_base(&elsewhere, "logs/b"), "/state", "with logs/");
	is_string(conf_request_base(&elsewhere, "b/run/c"), "/prefix", "and nothing else");
	is_string(checked, "weir ;upstream u;upstream v;server a;server b;line a;",
	    "checks run in their order, a module's where it is used");
	conf_free(c);
}

static void
test_sections(void)
{
	is_string(errors_of(
		      "[sever x]\nfoo = 1\n[defaults]\n[defaults sever]\n[Weir]\n[resolver x]\n"),
	    "1: unknown section [sever x]; did you mean [server NAME]?\n"
	    "3: unknown section [defaults]; did you mean [defaults tls]?\n"
	    "4: unknown section [defaults sever]; did you mean [defaults server]?\n"
	    "5: unknown section [Weir]; did you mean [weir]?\n"
	    "6: unknown section [resolver x]; there are [weir], [server NAME], [upstream NAME], "
	    "[tls NAME], [defaults server], [defaults upstream] and [defaults tls]\n",
	    "sections that there are not; their keys are left out");
	is_string(errors_of(
		      "[server]\n[server a b]\n[weir x]\n[server a/b]\n[upstream \xc3\xa4]\n"),
	    "1: [server] needs a name; write [server NAME]\n"
	    "2: [server a b] has a word too many; a name has no blanks\n"
	    "3: [weir x] takes no name; write [weir]\n"
	    "4: [server a/b] has a bad name; letters, digits and _ - . make one\n"
	    "5: [upstream \xc3\xa4] has a bad name; letters, digits and _ - . make one\n",
	    "names");
	is_string(errors_of("[weir]\nworkers = 2\n[server a]\n[upstream a]\n[server a]\nfoo = 1\n"
			    "[weir]\ndaemon = no\n[defaults server]\n[defaults server]\n"),
	    "5: [server a] stands twice, first at FILE:3; rename one of them\n"
	    "6: unknown key foo in [server a]; \"weir explain\" lists all keys\n"
	    "7: [weir] stands twice, first at FILE:1; put their keys together\n"
	    "8: daemon = no: write on or off\n"
	    "10: [defaults server] stands twice, first at FILE:9; put their keys together\n",
	    "sections that stand twice; the keys of the second are read, too");
	is_string(checked, "weir ;upstream a;server a;", "but it is not checked");
}

static void
test_keys(void)
{
	is_string(
	    errors_of(
		"[server a]\nlisen = 1\nzzzz = 1\nworkers = 2\nserver = 1\nload_module = x\n"),
	    "2: unknown key lisen in [server a]; did you mean listen?\n"
	    "3: unknown key zzzz in [server a]; \"weir explain\" lists all keys\n"
	    "4: workers is a key of [weir]; it may not stand in [server a]\n"
	    "5: server is a key of [upstream NAME]; it may not stand in [server a]\n"
	    "6: load_module is a key of [weir]; it may not stand in [server a]\n",
	    "keys that may not stand");
	is_string(errors_of("[weir]\nlisten = 1\nworker = 2\nlistens = 3\n"),
	    "2: listen is a key of [server NAME]; it may not stand in [weir]\n"
	    "3: unknown key worker in [weir]; did you mean workers?\n"
	    "4: unknown key listens in [weir]; did you mean listen?\n",
	    "in [weir]");
	is_string(errors_of(
		      "[server a]\nbuffer = 1k\nlisten = 1\nbuffer = 1k\nlisten = 1\nbuffer = x\n"),
	    "4: buffer is set twice in [server a], first at FILE:2; keep one of them\n"
	    "6: buffer is set twice in [server a], first at FILE:2; keep one of them\n",
	    "a key that is set twice");
	is_string(errors_of(
		      "[defaults server]\nlisten = 1\nbuffer = 99x\n[server a]\n[server b]\n"),
	    "2: listen may not stand in [defaults server]; set it in each [server NAME]\n"
	    "3: buffer = 99x: write a size (512, 4k, 1m, 2g)\n",
	    "defaults: what may not stand there; a mistake in them is told once");
	is_string(errors_of("[defaults server]\nbuffer = 99x\nline_max = 7y\nfoo = 1\n"),
	    "2: buffer = 99x: write a size (512, 4k, 1m, 2g)\n"
	    "3: line_max = 7y: write a size (512, 4k, 1m, 2g)\n"
	    "4: unknown key foo in [defaults server]; \"weir explain\" lists all keys\n",
	    "defaults that nobody uses are read");
	is_string(errors_of(
		      "[server a]\nlisten = 1\nlisten = !2\nlisten = said\nlisten = warned\n"),
	    "3: listen = !2: may not begin with !\n4: said at 4\nW5: warned\n",
	    "what parse says has the place of its line");
}

static void
test_modules(void)
{
	is_string(errors_of("[server a]\nprotocol = echo\nline_max = 1\n"),
	    "3: line_max is a key of module line, not used by [server a]\n",
	    "a key of another module");
	is_string(errors_of("[server a]\nline_max = 1\n"), "",
	    "not told when there is no protocol");
	is_string(errors_of("[server a]\nprotocol = lime\nline_max = 1\n"),
	    "2: no protocol lime, there are echo, line\n", "or a wrong one");
	is_string(errors_of("[server unlucky]\nprotocol = line\n"),
	    "1: [server unlucky]: has bad luck\n", "what check says is about its section");
	is_string(errors_of("[server unlucky]\nprotocol = line\nline_max = x\n"),
	    "3: line_max = x: write a size (512, 4k, 1m, 2g)\n",
	    "a module does not check what could not be read");
	is_string(
	    errors_of(
		"[weir]\nload_module = none.so\nload_module = ./none.so\nload_module = /none.so\n"),
	    "2: load_module = /modules/none.so: No such file or directory; names without / are of "
	    "the module directory\n"
	    "3: load_module = /prefix/./none.so: No such file or directory; names without / are of "
	    "the module directory\n"
	    "4: load_module = /none.so: No such file or directory; names without / are of "
	    "the module directory\n",
	    "modules that are not there");
}

static void
test_globals(void)
{
	const char *const good[] = { "workers = 3", " error_log=x ; y", "error_log = z", NULL };
	const char *const bad[] = { "workers = 3", "workers = 4", "daemon = no", "", "[weir]",
		"foo", "buffer = 3", "a = b\nc = d", "include = x", NULL };
	struct conf      *c = load("[weir]\nworkers = 2000\nerror_log = a\ndaemon = off\n", good);
	struct general   *g = weir_scope_conf(conf_scope(c, SCOPE_WEIR, 0), &general_module);

	is_string(messages(c), "", "-g replaces, what it replaces is not read");
	is_number(g->workers, 3, "a number");
	is_string(g->logs, "x,z,", "a list");
	ok(!g->daemon, "the file's others stay");
	is_string(place_of(c, SCOPE_WEIR, 0, "workers"), "-g", "its place");
	conf_free(c);

	c = load("[weir]\nfoo = 1\n", bad);
	is_string(messages(c),
	    "2: unknown key foo in [weir]; \"weir explain\" lists all keys\n"
	    "-g0: this sets no key; write -g 'key = value', once for each key of [weir]\n"
	    "-g0: \"foo\" is not key = value\n"
	    "-g0: include works in files only\n"
	    "-g0: workers is set twice in [weir], first at -g; keep one of them\n"
	    "-g0: buffer is a key of [server NAME]; it may not stand in [weir]\n"
	    "-g0: daemon = no: write on or off\n",
	    "what is wrong with -g");
	conf_free(c);
}

static void
test_messages(void)
{
	char                       text[8192] = "[weir]\n", line[128];
	const struct conf_message *m;
	struct conf_message        one = { "f", 3, false, "text" };
	size_t                     length;
	char                      *many;
	unsigned                   n, i;
	struct conf               *c;

	for (i = 0; i < 130; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "k%u = 1\n", i);
	strcat(text, "[server a]\nlisten = warned\n");
	c = load(text, NULL);
	m = conf_messages(c, &n);
	is_number(conf_errors(c), 130, "all errors are counted");
	is_number(n, 101, "100 are told");
	ok(m[0].line == 2 && m[99].line == 101, "in their order");
	is_string(m[100].text, "and 31 more", "and how many more there are");
	conf_free(c);

	many = malloc(20000 * 12);
	strcpy(many, "[weir]\n");
	for (i = 0, length = strlen(many); i < 20000; i++)
		length += (size_t)sprintf(many + length, "k%u = 1\n", i);
	c = load(many, NULL);
	free(many);
	m = conf_messages(c, &n);
	ok(conf_errors(c) == 20000 && n == 101 && m[0].line == 2, "very many errors");
	is_string(m[100].text, "and 19900 more", "are counted");
	conf_free(c);

	is_string(conf_message_print(&one, line, sizeof line), "f:3: error: text", "an error");
	one.warning = true;
	one.line = 0;
	is_string(conf_message_print(&one, line, sizeof line), "f: warning: text", "a warning");
	one.file = NULL;
	is_string(conf_message_print(&one, line, sizeof line), "warning: text", "without a place");
}

static char *
printed(const struct conf *c)
{
	char  *text = NULL;
	size_t size;
	FILE  *f = open_memstream(&text, &size);

	conf_print(c, f);
	fclose(f);
	return text;
}

/* The lines without comments and places. */
static char *
without_places(char *text)
{
	char *line, *rest = text, *out = strdup(""), *more;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, "   ;") != NULL)
			*strstr(line, "   ;") = '\0';
		if (*line == ';' || *line == '\0')
			continue;
		if (asprintf(&more, "%s%s\n", out, line) < 0)
			bail_out("no memory");
		free(out);
		out = more;
	}
	return out;
}

static void
test_print(void)
{
	const char *const globals[] = { "daemon = off", NULL };
	struct conf      *c = load("[server a]\nlisten = 1\nlisten = 2 x=\"y z\"\nprotocol = line\n"
			      "[defaults server]\nidle_timeout = 7s ; hi\n"
			      "[upstream u]\nserver = r\n[weir]\nerror_log = x\n",
	    globals);
	char             *first = printed(c), *again, *a, *b, *place;

	is_string(messages(c), "", "it is good");
	conf_free(c);
	for (place = first; (place = strstr(place, path)) != NULL;)
		memmove(place, place + strlen(path), strlen(place + strlen(path)) + 1);
	ok(strstr(first, "\nlisten = 2 x=\"y z\"   ; :3\n") != NULL, "a value and its place");
	ok(strstr(first, "\nidle_timeout = 7s   ; :6 [defaults server]\n") != NULL,
	    "of the defaults");
	ok(strstr(first, "\ndaemon = off   ; -g\n") != NULL, "of -g");
	ok(strstr(first, "\nline_max = 8k   ; default\n") != NULL, "a module's default");
	ok(strstr(first, "\n[server a]   ; :1\n") != NULL, "a section and its place");
	ok(strstr(first, "\n; load_module =   ; not set\n") != NULL, "a key without default");
	ok(strncmp(first, "[weir]", 6) == 0, "[weir] is the first");

	c = load(first, NULL);
	is_string(messages(c), "", "it can be read again");
	again = printed(c);
	conf_free(c);
	a = without_places(first);
	b = without_places(again);
	is_string(b, a, "and means the same");
	free(a);
	free(b);
	free(first);
	free(again);
}

static char *
explained(const char *key, bool *found)
{
	const struct conf_request request = { .prefix = "",
		.module_dir = "",
		.core = core,
		.builtin = builtin };
	struct conf              *c = conf_load(&request);
	char                     *text = NULL;
	size_t                    size;
	FILE                     *f = open_memstream(&text, &size);

	is_string(messages(c), "", "without a file there is nothing wrong");
	*found = conf_explain(c, key, f);
	fclose(f);
	conf_free(c);
	return text;
}

static void
test_explain(void)
{
	bool  found;
	char *text;

	text = explained("idle_timeout", &found);
	ok(found, "a key");
	is_string(text,
	    "idle_timeout\n    how long\n\n"
	    "    section   [server NAME], [defaults server]\n"
	    "    value     a time (500ms, 30s, 5m, 1h, 1d; bare: seconds), or off\n"
	    "    bounds    at most 1d\n    default   5m\n"
	    "\nidle_timeout\n    of links\n\n"
	    "    section   [upstream NAME], [defaults upstream]\n"
	    "    value     a time (500ms, 30s, 5m, 1h, 1d; bare: seconds), or off\n"
	    "    default   60s\n",
	    "is explained");
	free(text);
	text = explained("line_max", &found);
	ok(strstr(text, "\n    module    line, built in\n") != NULL, "a module's key");
	free(text);
	text = explained("line_mx", &found);
	ok(!found, "no key");
	is_string(text, "there is no key line_mx; did you mean line_max?\n", "one is near");
	free(text);
	text = explained(NULL, &found);
	ok(found && strstr(text, "\n[upstream NAME]\n") != NULL, "all sections");
	ok(strstr(text, "\n  line_max  ") != NULL && strstr(text, "longest line (module line)\n"),
	    "and all keys in them");
	free(text);
}

static void
test_peek(void)
{
	const char   *const globals[] = { "broken", "pid = g", NULL };
	struct conf_request request = { .path = path };
	char               *value;

	conf_free(load("[server x]\npid = no\n[x\n[weir]\nfoo\npid = y\npid = z\n", NULL));
	value = conf_peek(&request, "pid");
	is_string(value, "y", "a key of a file that is broken");
	free(value);
	ok(conf_peek(&request, "control") == NULL, "a key that is not set");
	request.globals = globals;
	value = conf_peek(&request, "pid");
	is_string(value, "g", "-g comes first");
	free(value);
	request = (struct conf_request){ .path = "/none" };
	ok(conf_peek(&request, "pid") == NULL, "no file");
}

static struct conf_progress progress;
static char                 seen[sizeof progress.doing];
static bool                 own_seen;

static const char *
check_progress(struct weir_scope *s)
{
	(void)s;
	memcpy(seen, progress.doing, sizeof seen);
	own_seen = progress.own_value;
	return NULL;
}

/* As something that looks up names does. */
static const char *
parse_progress(struct weir_scope *s, const char *text, void *where)
{
	(void)text, (void)where;
	return check_progress(s);
}

static void
test_progress(void)
{
	static const struct weir_module curious = { .name = "curious",
		.check = check_progress,
		.protocol = &protocol };
	const struct weir_module *const modules[] = { &curious, NULL };
	static const struct weir_key    keys[] = { { .name = "peer",
						    .where = WEIR_IN_SERVER,
						    .type = WEIR_OWN,
						    .parse = parse_progress },
		{ 0 } };
	static const struct weir_module reader = { .name = "reader", .keys = keys, .conf_size = 1 };
	const struct weir_module *const more[] = { &reader, core[0], core[1], core[2], NULL };
	struct conf_request             request = { .path = path,
			    .prefix = "",
			    .module_dir = "",
			    .core = core,
			    .builtin = modules };

	conf_free(load("[server a]\nprotocol = curious\n", NULL));
	conf_progress(&progress);
	conf_free(conf_load(&request));
	is_string(seen, "checking [server a] with module curious", "it is known what is done");
	ok(!own_seen, "a module does it");
	is_string(progress.doing, "", "and when it is over");
	request.core = more;
	conf_free(load("[server a]\npeer = slow:80\n", NULL));
	conf_free(conf_load(&request));
	is_string(seen, "reading \"peer = slow:80\" in [server a]", "a value of weir's own");
	ok(own_seen, "may hold a name");
	conf_progress(NULL);
}

static void
test_tables(void)
{
	static const struct weir_key    same[] = {
		{ .name = "buffer", .where = WEIR_IN_SERVER, .type = WEIR_SIZE }, { 0 }
	};
	static const struct weir_key    beyond[] = {
		{ .name = "own", .where = WEIR_IN_SERVER, .type = WEIR_SIZE, .offset = 4 }, { 0 }
	};
	static const struct weir_key    parseless[] = {
		{ .name = "own", .where = WEIR_IN_SERVER, .type = WEIR_OWN }, { 0 }
	};
	static const struct weir_module a = { .name = "a", .keys = same, .conf_size = 8 };
	static const struct weir_module b = { .name = "b", .keys = beyond, .conf_size = 8 };
	static const struct weir_module c = { .name = "c", .keys = parseless, .conf_size = 8 };
	static const struct weir_module d = { .name = "echo" };
	const struct weir_module *const modules[] = { &echo_module, &a, &b, &c, &d, NULL };
	const struct conf_request       request = { .prefix = "",
		.module_dir = "",
		.core = core,
		.builtin = modules };
	struct conf                    *conf = conf_load(&request);

	is_string(messages(conf),
	    "0: built-in the key buffer of module a is one of server already, in the same section; "
	    "rename one of them\n"
	    "0: built-in module b, key own: its offset is beyond conf_size\n"
	    "0: built-in module c, key own: it needs parse\n"
	    "0: built-in a module echo is built in; take the load_module away, or build "
	    "weir without it\n",
	    "tables that are wrong");
	conf_free(conf);
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		bail_out("no file");
	close(fd);
	test_empty();
	test_inheritance();
	test_sections();
	test_keys();
	test_modules();
	test_globals();
	test_messages();
	test_print();
	test_explain();
	test_peek();
	test_progress();
	test_tables();
	unlink(path);
	return done_testing();
}
