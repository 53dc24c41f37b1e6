/* SPDX-License-Identifier: BSD-2-Clause */
/* commands: the words of weir's command line that do not start it. */
#include "ctl/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "conf/module.h"
#include "config.h"
#include "ctl/answers.h"
#include "ctl/client.h"
#include "proc/control_line.h"
#include "proc/fdtable.h"
#include "proc/options.h"
#include "proc/test.h"
#include "proc/text.h"
#include "session/survey.h"

#define BIT(option) (1u << (option))

static int command_status(const struct options *, const struct command_line *);
static int command_generations(const struct options *, const struct command_line *);
static int command_peers(const struct options *, const struct command_line *);
static int command_peer(const struct options *, const struct command_line *);
static int command_sessions(const struct options *, const struct command_line *);
static int command_close(const struct options *, const struct command_line *);
static int command_explain(const struct options *, const struct command_line *);
static int command_modinfo(const struct options *, const struct command_line *);
static void command_add_choice(struct text *, const struct command_line *);
static int command_ask(const struct options *, const struct command_line *, struct text *);
static int command_survey(const struct options *, const struct command_line *, struct text *,
    uint64_t limit);
static struct control_line *command_check_line(const struct text *);
static int command_send(const struct options *, const struct command_line *, const char *text,
    struct client_channel *);
static void command_drop_channel(struct client_channel *);

static const struct command {
	const char *name;
	int         least, most;	/* arguments */
	unsigned    options;		/* that it takes */
	const char *usage;
	int       (*run)(const struct options *, const struct command_line *);
} commands[] = {
	{ "status", 0, 0, BIT(OPTION_JSON) | BIT(OPTION_TIMEOUT),
	    "weir status [--json] [--timeout TIME]", command_status },
	{ "generations", 0, 0, BIT(OPTION_TIMEOUT), "weir generations [--timeout TIME]",
	    command_generations },
	{ "peers", 0, 1, BIT(OPTION_JSON) | BIT(OPTION_TIMEOUT),
	    "weir peers [UPSTREAM] [--json] [--timeout TIME]", command_peers },
	{ "peer", 3, 4, BIT(OPTION_WAIT) | BIT(OPTION_TIMEOUT),
	    "weir peer UPSTREAM ADDRESS up | down | drain | weight N [--wait] [--timeout TIME]",
	    command_peer },
	{ "sessions", 0, 1,
	    BIT(OPTION_JSON) | BIT(OPTION_TIMEOUT) | BIT(OPTION_PEER) | BIT(OPTION_FROM) |
		BIT(OPTION_LIMIT),
	    "weir sessions [SERVER] [--peer ADDRESS] [--from NET] [--limit N] [--json] "
	    "[--timeout TIME]",
	    command_sessions },
	{ "close", 0, SURVEY_IDS,
	    BIT(OPTION_TIMEOUT) | BIT(OPTION_PEER) | BIT(OPTION_FROM) | BIT(OPTION_SERVER) |
		BIT(OPTION_RATE) | BIT(OPTION_GRACE) | BIT(OPTION_WAIT),
	    "weir close [SESSION …] [--peer ADDRESS] [--from NET] [--server NAME] [--rate N/s] "
	    "[--grace TIME] [--wait] [--timeout TIME]",
	    command_close },
	{ "explain", 0, 1, 0, "weir explain [KEY]", command_explain },
	{ "modinfo", 1, 1, 0, "weir modinfo FILE", command_modinfo },
};

static const char *const option_names[COMMAND_OPTIONS] = {
#define X(constant, name, value) [OPTION_##constant] = name,
	COMMAND_OPTIONS_EACH(X)
#undef X
};

static const char *const signals[] = { "reload", "upgrade", "quit", "stop", "reopen" };

int
command_signal(const struct options *o, const char *name, const struct command_line *line)
{
	unsigned    options = BIT(OPTION_TIMEOUT);
	struct text text = { 0 };
	char        what[32];

	if (strcmp(name, "reload") == 0)
		options |= BIT(OPTION_FORCE);
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
		if (strcmp(signals[i], name) != 0)
			continue;
		snprintf(what, sizeof what, "-s %s", name);
		if (!command_takes(line, options, what))
			return 2;
		text_add(&text, "%s%s", name, line->options[OPTION_FORCE] != NULL ? " force" : "");
		return command_ask(o, line, &text);
	}
	fprintf(stderr,
	    "weir: -s %s: there is no such; there are reload, upgrade, quit, stop, reopen\n",
	    name);
	return 2;
}

int
command_print_running(const struct options *o, const struct command_line *line)
{
	struct client_channel channel;
	int                   status = command_send(o, line, "configuration", &channel);

	fflush(stdout);
	if (channel.fd >= 0 && status == 0)
		status = test_print_kept(o, channel.fd);
	command_drop_channel(&channel);
	return status;
}

int
command_run(const struct options *o, const struct command_line *line)
{
	int arguments = line->count - 1;

	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, line->words[0]) != 0)
			continue;
		if (arguments >= c->least && arguments <= c->most &&
		    command_takes(line, c->options, c->name))
			return c->run(o, line);
		fprintf(stderr, "usage: %s\n", c->usage);
		return 2;
	}
	fprintf(stderr, "weir: %s: there is no such command; there are", line->words[0]);
	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(stderr, "%s %s", i > 0 ? "," : "", commands[i].name);
	fprintf(stderr, "; weir -h tells more\n");
	return 2;
}

bool
command_takes(const struct command_line *line, unsigned options, const char *what)
{
	for (unsigned i = 0; i < COMMAND_OPTIONS; i++)
		if (line->options[i] != NULL && (options & BIT(i)) == 0) {
			fprintf(stderr, "weir: --%s: %s does not take it\n", option_names[i],
			    what);
			return false;
		}
	return true;
}

static int
command_status(const struct options *o, const struct command_line *line)
{
	struct text text = { 0 };

	text_add(&text, "status%s", line->options[OPTION_JSON] != NULL ? " json" : "");
	return command_ask(o, line, &text);
}

static int
command_generations(const struct options *o, const struct command_line *line)
{
	struct text text = { 0 };

	text_add(&text, "generations");
	return command_ask(o, line, &text);
}

static int
command_peers(const struct options *o, const struct command_line *line)
{
	struct text text = { 0 };

	text_add(&text, "peers%s", line->options[OPTION_JSON] != NULL ? " json" : "");
	if (line->count > 1)
		control_line_add(&text, "upstream=", line->words[1]);
	return command_ask(o, line, &text);
}

static int
command_peer(const struct options *o, const struct command_line *line)
{
	struct text text = { 0 };

	text_add(&text, "peer");
	for (int i = 1; i < line->count; i++)
		control_line_add(&text, "", line->words[i]);
	if (line->options[OPTION_WAIT] != NULL)
		control_line_add(&text, "", "wait");
	return command_ask(o, line, &text);
}

/* Which sessions are meant. */
static void
command_add_choice(struct text *t, const struct command_line *line)
{
	if (line->options[OPTION_SERVER] != NULL)
		control_line_add(t, "server=", line->options[OPTION_SERVER]);
	if (line->options[OPTION_PEER] != NULL)
		control_line_add(t, "peer=", line->options[OPTION_PEER]);
	if (line->options[OPTION_FROM] != NULL)
		control_line_add(t, "from=", line->options[OPTION_FROM]);
}

static int
command_sessions(const struct options *o, const struct command_line *line)
{
	const char *limit = line->options[OPTION_LIMIT];
	struct text text = { 0 };
	uint64_t    lines = 0;

	if (limit != NULL && (!str_number(limit, &lines) || lines == 0)) {
		fprintf(stderr, "weir: --limit %s: write a number of lines\n", limit);
		return 2;
	}
	text_add(&text, "sessions");
	if (line->count > 1)
		control_line_add(&text, "server=", line->words[1]);
	command_add_choice(&text, line);
	return command_survey(o, line, &text, lines);
}

static int
command_close(const struct options *o, const struct command_line *line)
{
	const char *rate = line->options[OPTION_RATE], *grace = line->options[OPTION_GRACE];
	struct text text = { 0 };
	char        number[32];
	size_t      len;
	uint64_t    ms;

	text_add(&text, "close");
	for (int i = 1; i < line->count; i++)
		control_line_add(&text, "id=", line->words[i]);
	command_add_choice(&text, line);
	if (rate != NULL) {
		len = strlen(rate);
		if (len > 2 && strcmp(rate + len - 2, "/s") == 0)
			len -= 2;
		snprintf(number, sizeof number, "%.*s", (int)len, rate);
		control_line_add(&text, "rate=", number);
	}
	if (grace != NULL && !str_time(grace, &ms)) {
		fprintf(stderr, "weir: --grace %s: write a time (500ms, 30s, 5m)\n", grace);
		text_free(&text);
		return 2;
	}
	if (grace != NULL)
		text_add(&text, " grace=%" PRIu64, ms);
	if (line->options[OPTION_WAIT] != NULL)
		text_add(&text, " wait");
	return command_survey(o, line, &text, 0);
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
command_ask(const struct options *o, const struct command_line *line, struct text *text)
{
	struct control_line  *parsed = command_check_line(text);
	struct client_channel channel;
	int                   status = 2;

	if (parsed != NULL) {
		status = command_send(o, line, text->data, &channel);
		command_drop_channel(&channel);
	}
	text_free(text);
	return status;
}

/* The same, and the workers answer. */
static int
command_survey(const struct options *o, const struct command_line *line, struct text *text,
    uint64_t limit)
{
	struct control_line   *parsed = command_check_line(text);
	struct client_channel  channel;
	struct answers_request answers;
	int                    status;

	if (parsed == NULL) {
		text_free(text);
		return 2;
	}
	status = command_send(o, line, text->data, &channel);
	if (channel.fd >= 0 && channel.asked != NULL) {
		answers = (struct answers_request){ .channel = channel.fd,
			.asked = channel.asked,
			.closes = parsed->command == CONTROL_CLOSE,
			.waits = parsed->wait,
			.json = line->options[OPTION_JSON] != NULL,
			.quiet = o->quiet,
			.limit = limit,
			.timeout = line->timeout,
			.ids = parsed->ids,
			.id_count = parsed->id_count };
		if (answers_print(&answers) != 0)
			status = 1;
	}
	command_drop_channel(&channel);
	text_free(text);
	return status;
}

/* What it lacks is known here, too. NULL: it has been told. */
static struct control_line *
command_check_line(const struct text *text)
{
	static struct control_line parsed;
	char                       why[512];
	static char                copy[CONTROL_LINE_MAX + 2];

	if (text->cut || text->size > CONTROL_LINE_MAX) {
		fprintf(stderr, "weir: that is too long for one command\n");
		return NULL;
	}
	memcpy(copy, text->data, text->size + 1);
	if (control_line_parse(copy, text->size, &parsed, why, sizeof why))
		return &parsed;
	fprintf(stderr, "weir: %s\n", why);
	return NULL;
}

static int
command_send(const struct options *o, const struct command_line *line, const char *text,
    struct client_channel *channel)
{
	char                 *path = options_file(o, "control", "run/weir.sock");
	struct client_request request = { .options = o,
		.path = path,
		.line = text,
		.timeout = line->timeout };
	int                   status = 1;

	*channel = (struct client_channel){ .fd = -1 };
	if (path == NULL)
		perror("weir");
	else
		status = client_run(&request, channel);
	free(path);
	return status;
}

static void
command_drop_channel(struct client_channel *channel)
{
	fd_close(&channel->fd);
	free(channel->asked);
}
