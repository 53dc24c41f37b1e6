/* SPDX-License-Identifier: BSD-2-Clause */
/* commands: the words of weir's command line that do not start it. */
#include "ctl/commands.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/module.h"
#include "config.h"
#include "ctl/client.h"
#include "proc/options.h"

static int command_status(const struct options *, const struct command_line *);
static int command_generations(const struct options *, const struct command_line *);
static int command_explain(const struct options *, const struct command_line *);
static int command_modinfo(const struct options *, const struct command_line *);
static int command_ask(const struct options *, const struct command_line *,
    enum control_command);

static const struct command {
	const char *name;
	int         least, most;	/* arguments */
	bool        asks;		/* the running weir: takes --timeout */
	bool        json;		/* takes --json */
	const char *usage;
	int       (*run)(const struct options *, const struct command_line *);
} commands[] = {
	{ "status", 0, 0, true, true, "weir status [--json] [--timeout TIME]",
	    command_status },
	{ "generations", 0, 0, true, false, "weir generations [--timeout TIME]",
	    command_generations },
	{ "explain", 0, 1, false, false, "weir explain [KEY]", command_explain },
	{ "modinfo", 1, 1, false, false, "weir modinfo FILE", command_modinfo },
};

static const enum control_command signals[] = {
	CONTROL_RELOAD,
	CONTROL_UPGRADE,
	CONTROL_QUIT,
	CONTROL_STOP,
	CONTROL_REOPEN,
};

int
command_signal(const struct options *o, const char *name, const struct command_line *line)
{
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		if (strcmp(control_command_name(signals[i]), name) == 0)
			return command_ask(o, line,
			    line->force ? CONTROL_RELOAD_FORCE : signals[i]);
	fprintf(stderr,
	    "weir: -s %s: there is no such; there are reload, upgrade, quit, stop, reopen\n",
	    name);
	return 2;
}

int
command_run(const struct options *o, const struct command_line *line)
{
	int arguments = line->count - 1;

	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, line->words[0]) != 0)
			continue;
		if (arguments < c->least || arguments > c->most || (line->json && !c->json) ||
		    (line->timeout > 0 && !c->asks)) {
			fprintf(stderr, "usage: %s\n", c->usage);
			return 2;
		}
		return c->run(o, line);
	}
	fprintf(stderr,
	    "weir: %s: there is no such command; there are status, generations, "
	    "explain, modinfo; weir -h tells more\n",
	    line->words[0]);
	return 2;
}

static int
command_status(const struct options *o, const struct command_line *line)
{
	return command_ask(o, line, line->json ? CONTROL_STATUS_JSON : CONTROL_STATUS);
}

static int
command_generations(const struct options *o, const struct command_line *line)
{
	return command_ask(o, line, CONTROL_GENERATIONS);
}

/* With a configuration its modules are explained, too; without one, or with a
 * broken one, there are still the others. */
static int
command_explain(const struct options *o, const struct command_line *line)
{
	struct conf_request request = options_request(o);
	struct conf        *conf = conf_load(&request);
	bool                found = conf_explain(conf, line->count > 1 ? line->words[1] : NULL,
	    stdout);

	conf_free(conf);
	return found ? 0 : 1;
}

static int
command_modinfo(const struct options *o, const struct command_line *line)
{
	const char   *file = line->words[1];
	struct module m;
	char          error[1024], here[PATH_MAX];

	(void)o;
	/* Whoever has just built it means that one, not what is installed. */
	if (strchr(file, '/') == NULL && access(file, F_OK) == 0 &&
	    (size_t)snprintf(here, sizeof here, "./%s", file) < sizeof here)
		file = here;
	if (module_load(&m, file, MODULEDIR, error, sizeof error) < 0) {
		fprintf(stderr, "weir: %s%s\n", error,
		    strchr(file, '/') == NULL ? "; the working directory has none, either" : "");
		return 1;
	}
	module_print(&m, stdout);
	module_unload(&m);
	return 0;
}

static int
command_ask(const struct options *o, const struct command_line *line, enum control_command command)
{
	char                 *path = options_file(o, "control", "run/weir.sock");
	struct client_request request = { .options = o,
		.path = path,
		.command = command,
		.timeout = line->timeout };
	int                   status;

	if (path == NULL) {
		perror("weir");
		return 1;
	}
	status = client_run(&request);
	free(path);
	return status;
}
