/* SPDX-License-Identifier: BSD-2-Clause */
/* options: what the command line says about where things are. */
#include "proc/options.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf/module.h"
#include "config.h"
#include "proc/settings.h"
#include "session/server.h"
#include "upstream/tls_scope.h"
#include "upstream/upstream.h"

static const struct weir_module *const core_modules[] = {
	&settings_module,
	&tls_scope_module,
	&upstream_module,
	&server_module,
	NULL,
};

struct conf_request
options_request(const struct options *o)
{
	return (struct conf_request){
		.path = o->path,
		.prefix = o->prefix,
		.state = o->state,
		.module_dir = MODULEDIR,
		.globals = o->globals,
		.core = core_modules,
		.builtin = builtin_modules,
	};
}

char *
options_file(const struct options *o, const char *key, const char *otherwise)
{
	struct conf_request request = options_request(o);
	char               *said = conf_peek(&request, key);
	const char         *name = said != NULL ? said : otherwise;
	char               *path;

	if (asprintf(&path, "%s%s%s", *name == '/' ? "" : conf_request_base(&request, name),
		*name == '/' ? "" : "/", name) < 0)
		path = NULL;
	free(said);
	return path;
}
