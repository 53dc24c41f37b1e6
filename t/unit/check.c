/* SPDX-License-Identifier: BSD-2-Clause */
/* check: warnings about a machine that is made of files. */
#include "conf/check.h"

#include <sys/stat.h>
#include <errno.h>

#include "unit/tap.h"

static char folder[] = "/tmp/weir-check-XXXXXX";
static char said[2048];

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) == EOF || fclose(f) == EOF)
		bail_out("%s: cannot be written", path);
}

static void
hear(void *context, const char *key, const char *text)
{
	(void)context;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s: %s\n", key, text);
}

static const char *
warnings(struct check_needs needs)
{
	needs.sysctl = folder;
	*said = '\0';
	check_machine(&needs, hear, NULL);
	return said;
}

int
main(void)
{
	const struct check_needs good = { .workers = 2,
		.descriptors = 1000,
		.limit = 1000,
		.backlog = 4096 };
	struct check_needs needs;
	char path[256];
	uint64_t value = 7;
	const char *const folders[] = { "fs", "net", "net/core" };

	if (mkdtemp(folder) == NULL)
		bail_out("no folder");
	is_string(warnings(good), "", "a machine that tells nothing is not warned of");
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, folders[i]);
		mkdir(path, 0777);
	}
	put("fs/nr_open", "1048576\n");
	put("fs/file-max", "3000\n");
	put("net/core/somaxconn", "4096\n");
	is_string(warnings(good), "", "all is well");

	needs = good;
	needs.descriptors = 1001;
	is_string(warnings(needs),
	    "worker_connections: a worker needs 1001 descriptors and may have 1000; raise the "
	    "limit on open files (LimitNOFILE, ulimit -n), or lower worker_connections\n",
	    "too few descriptors");
	needs.descriptors = 2000000;
	is_string(warnings(needs),
	    "worker_connections: a worker needs 2000000 descriptors and may have 1000; raise "
	    "fs.nr_open (1048576) and the limit on open files (LimitNOFILE, ulimit -n), or lower "
	    "worker_connections\n",
	    "more than the kernel gives anyone");
	needs = good;
	needs.workers = 4;
	is_string(warnings(needs),
	    "worker_connections: 4 workers with 1000 descriptors each are more than this machine's "
	    "3000 open files; raise fs.file-max, or lower worker_connections\n",
	    "too few for all workers");
	needs = good;
	needs.backlog = 4097;
	is_string(warnings(needs),
	    "listen: a backlog of 4097 is cut to 4096; raise net.core.somaxconn, or write "
	    "backlog=4096\n",
	    "a backlog that is cut");

	put("fs/nr_open", "many\n");
	errno = 0;
	ok(check_sysctl(folder, "fs/nr_open", &value) == -1 && errno == EINVAL && value == 7,
	    "no number");
	ok(check_sysctl(folder, "fs/none", &value) == -1 && errno == ENOENT, "no file");
	ok(check_sysctl(NULL, "net/core/somaxconn", &value) == 0 && value > 0, "of this machine");
	snprintf(path, sizeof(path), "rm -rf %s", folder);
	if (system(path) != 0)
		diag("%s is left", folder);
	return done_testing();
}
