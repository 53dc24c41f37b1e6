/* SPDX-License-Identifier: BSD-2-Clause */
/* weir: the command line. */
#include <errno.h>
#include <getopt.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stdfd.h"
#include "base/str.h"
#include "conf/module.h"
#include "config.h"
#include "ctl/commands.h"
#include "net/loop.h"
#include "proc/child.h"
#include "proc/master.h"
#include "proc/options.h"
#include "proc/program.h"
#include "proc/test.h"

#define GLOBALS_MAX 64
#define LONG_OPTION 256	/* enum command_option begins here */

enum job { JOB_SERVE, JOB_TEST, JOB_PRINT, JOB_SIGNAL, JOB_COMMAND, JOB_NONE };

struct arguments {
	enum job            job;
	const char         *signal;
	const char         *prefix;	/* as given; NULL: the built-in one */
	const char         *path;
	bool                quiet;
	const char         *globals[GLOBALS_MAX + 1];
	unsigned            global_count;
	struct command_line command;
};

static int  arguments_read(struct arguments *, int argc, char **argv);
static int  arguments_take_option(struct arguments *, int option, char **argv);
static int  arguments_take_long(struct arguments *, enum command_option);
static int  arguments_take_global(struct arguments *, const char *text);
static int  arguments_locate(struct options *, const struct arguments *);
static int  main_finish(const struct arguments *, int status);
static char *main_absolute(const char *path);
static char *main_configuration(const struct arguments *, const char *prefix);
static void main_print_usage(FILE *);
static void main_print_build(void);

int
main(int argc, char **argv, char **envp)
{
	struct arguments a = { .job = JOB_SERVE };
	struct options   o;
	int              status;

	stdfd_fill("weir");
	/* A file at its limit is an error of that file's, in all processes. */
	signal(SIGXFSZ, SIG_IGN);
	program_note(argc, argv);
	child_title_init(argc, argv, envp);
	status = arguments_read(&a, argc, argv);
	if (status != 0 || a.job == JOB_NONE)
		return main_finish(&a, status);
	if (arguments_locate(&o, &a) < 0)
		return 1;
	switch (a.job) {
	case JOB_TEST:
	case JOB_PRINT:
		status = a.command.options[OPTION_RUNNING] != NULL
		    ? command_print_running(&o, &a.command)
		    : test_run(&o, a.job == JOB_PRINT);
		break;
	case JOB_SIGNAL:
		status = command_signal(&o, a.signal, &a.command);
		break;
	case JOB_COMMAND:
		status = command_run(&o, &a.command);
		break;
	default:
		status = master_run(&o);
		break;
	}
	free((char *)(uintptr_t)o.prefix);
	free((char *)(uintptr_t)o.path);
	return main_finish(&a, status);
}

/* What was to be printed and is lost is a failure, but not of -s: that was done. */
static int
main_finish(const struct arguments *a, int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "weir: stdout: %s\n",
	    errno != 0 ? strerror(errno) : "not all of it could be written");
	return status == 0 && a->job != JOB_SIGNAL ? 1 : status;
}

static int
arguments_read(struct arguments *a, int argc, char **argv)
{
	static const struct option words[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
#define X(constant, name, value)                                               \
	{ name, value ? required_argument : no_argument, NULL, LONG_OPTION + OPTION_##constant },
		COMMAND_OPTIONS_EACH(X)
#undef X
		{ NULL, 0, NULL, 0 },
	};
	unsigned                   options = 0;
	int                        option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:g:hp:qs:tTvV", words, NULL)) >= 0) {
		status = arguments_take_option(a, option, argv);
		if (status != 0)
			return status;
	}
	a->globals[a->global_count] = NULL;
	if (optind == argc) {
		if (a->job == JOB_SIGNAL)
			return 0;
		if (a->job == JOB_PRINT && a->command.options[OPTION_RUNNING] != NULL)
			options = 1u << OPTION_RUNNING | 1u << OPTION_TIMEOUT;
		return command_takes(&a->command, options,
			   a->job == JOB_PRINT ? "-T" : "weir without a command")
		    ? 0
		    : 2;
	}
	if (a->job != JOB_SERVE) {
		fprintf(stderr, "weir: %s: not together with -s, -t, -T, -v, -V or -h\n",
		    argv[optind]);
		return 2;
	}
	a->job = JOB_COMMAND;
	a->command.count = argc - optind;
	a->command.words = argv + optind;
	return 0;
}

/* Returns 0, or an exit status. */
static int
arguments_take_option(struct arguments *a, int option, char **argv)
{
	if (option >= LONG_OPTION)
		return arguments_take_long(a, (enum command_option)(option - LONG_OPTION));
	switch (option) {
	case 'c': a->path = optarg; return 0;
	case 'p': a->prefix = optarg; return 0;
	case 'g': return arguments_take_global(a, optarg);
	case 'q': a->quiet = true; return 0;
	case 's':
		a->job = JOB_SIGNAL;
		a->signal = optarg;
		return 0;
	case 't':
		if (a->job != JOB_PRINT)
			a->job = JOB_TEST;
		return 0;
	case 'T': a->job = JOB_PRINT; return 0;
	case 'v':
		a->job = JOB_NONE;
		printf("weir %s\n", VERSION);
		return 0;
	case 'V':
		a->job = JOB_NONE;
		main_print_build();
		return 0;
	case 'h':
		a->job = JOB_NONE;
		main_print_usage(stdout);
		return 0;
	case ':':
		fprintf(stderr, "weir: %s: its value is missing\n", argv[optind - 1]);
		break;
	default:
		if (optopt != 0)
			fprintf(stderr, "weir: -%c: there is no such option\n", optopt);
		else
			fprintf(stderr, "weir: %s: there is no such option\n", argv[optind - 1]);
		break;
	}
	main_print_usage(stderr);
	return 2;
}

static int
arguments_take_long(struct arguments *a, enum command_option option)
{
	a->command.options[option] = optarg != NULL ? optarg : "";
	if (option != OPTION_TIMEOUT ||
	    (str_time(optarg, &a->command.timeout) && a->command.timeout > 0))
		return 0;
	fprintf(stderr, "weir: --timeout %s: write a time (500ms, 30s, 5m; small letters)\n",
	    optarg);
	return 2;
}

static int
arguments_take_global(struct arguments *a, const char *text)
{
	if (a->global_count == GLOBALS_MAX) {
		fprintf(stderr, "weir: -g %s: there may be %d at most\n", text, GLOBALS_MAX);
		return 2;
	}
	a->globals[a->global_count++] = text;
	return 0;
}

/* Everything becomes absolute: the daemon leaves the working directory. */
static int
arguments_locate(struct options *o, const struct arguments *a)
{
	char  *prefix = main_absolute(a->prefix == NULL ? PREFIX : a->prefix);
	size_t len;

	if (prefix == NULL)
		return -1;
	len = strlen(prefix);
	while (len > 1 && prefix[len - 1] == '/')
		prefix[--len] = '\0';
	if (strcmp(prefix, "/") == 0)
		*prefix = '\0';
	*o = (struct options){ .prefix = prefix,
		.state = a->prefix == NULL ? LOCALSTATEDIR : prefix,
		.path = main_configuration(a, prefix),
		.globals = a->globals,
		.quiet = a->quiet };
	if (o->path != NULL)
		return 0;
	free(prefix);
	return -1;
}

static char *
main_absolute(const char *path)
{
	char  here[PATH_MAX];
	char *whole;

	if (*path != '/' && getcwd(here, sizeof here) == NULL) {
		fprintf(stderr, "weir: the working directory: %s\n", strerror(errno));
		return NULL;
	}
	if (asprintf(&whole, "%s%s%s", *path == '/' ? "" : here, *path == '/' ? "" : "/", path) < 0)
		whole = NULL;
	return whole;
}

/* A relative -c is looked for in the working directory, then below the prefix. */
static char *
main_configuration(const struct arguments *a, const char *prefix)
{
	const char *path = a->path;
	char       *whole;

	if (path == NULL && a->prefix == NULL)
		return main_absolute(CONF_PATH);
	if (path != NULL && (*path == '/' || access(path, F_OK) == 0))
		return main_absolute(path);
	if (asprintf(&whole, "%s/%s", prefix, path == NULL ? "conf/weir.conf" : path) < 0)
		return NULL;
	if (path == NULL || access(whole, F_OK) == 0)
		return whole;
	free(whole);
	return main_absolute(path);
}

static void
main_print_usage(FILE *to)
{
	fprintf(to,
	    "usage: weir [-c FILE] [-p PREFIX] [-g 'KEY = VALUE'] [-q] [-t | -T | -s SIGNAL]\n"
	    "       weir [-c FILE] [-p PREFIX] [-g 'KEY = VALUE'] COMMAND\n"
	    "       weir -v | -V | -h\n"
	    "\n"
	    "  -c FILE           configuration, instead of " CONF_PATH "\n"
	    "  -p PREFIX         relative paths begin here, instead of at " PREFIX "\n"
	    "  -g 'KEY = VALUE'  a key of [weir], in the place of the file's; may repeat\n"
	    "  -t                checks the configuration and ends\n"
	    "  -T                the same, and prints it with every default; --running: what the\n"
	    "                    running weir has, and what was changed there by commands\n"
	    "  -q                prints errors only\n"
	    "  -s SIGNAL         tells the running weir to reload, upgrade, quit, stop or reopen\n"
	    "  --force           with -s reload: even if that closes every listener\n"
	    "  --timeout TIME    how long -s and commands wait for an answer\n"
	    "  -v, -V            version; and how it was built\n"
	    "\n"
	    "  status [--json]   what the running weir counts\n"
	    "  generations       its configurations and processes\n"
	    "  peers [UPSTREAM]  its peers, as they are now [--json]\n"
	    "  peer UPSTREAM ADDRESS up | down | drain | weight N\n"
	    "                    what is to become of one, until it is said otherwise [--wait]\n"
	    "  sessions [SERVER] [--peer ADDRESS] [--from NET] [--limit N] [--json]\n"
	    "                    the sessions that are open\n"
	    "  close SESSION ... | --peer ADDRESS | --from NET | --server NAME\n"
	    "                    ends them, each between two messages [--rate N/s] [--wait]\n"
	    "  explain [KEY]     what a key of the configuration means\n"
	    "  modinfo FILE      what a module is\n");
}

static void
main_print_build(void)
{
	printf("weir %s\n", VERSION);
	printf("built by %s\n", COMPILER);
	printf("with %s; runs with libevent %s, glibc %s\n", LIBRARIES, loop_library_version(),
	    gnu_get_libc_version());
	printf("modules built in:");
	for (unsigned i = 0; builtin_modules[i] != NULL; i++)
		printf(" %s", builtin_modules[i]->name);
	printf("\nmodule interface %d.%d, modules in %s\n", WEIR_ABI_MAJOR, WEIR_ABI_MINOR,
	    MODULEDIR);
	printf("prefix %s, configuration %s, run and logs in %s\n", PREFIX, CONF_PATH,
	    LOCALSTATEDIR);
	printf("configure arguments: %s\n", CONFIGURE_ARGS);
}
