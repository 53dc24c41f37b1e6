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
	char  path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) == EOF || fclose(f) == EOF)
		bail_out("%s: cannot be written", path);
}

static void
hear(void *context, const char *key, const char *text)
{
	(void)context;
	snprintf(said + strlen(said), sizeof said - strlen(said), "%s: %s\n", key, text);
}

static const char *
warnings(struct check_needs needs)
{
	needs.sysctl = folder;
	*said = '\0';
	check_machine(&needs, hear, NULL);
	return said;
}

static const char *
port_warnings(struct check_ports ports)
{
	*said = '\0';
	if (check_local_ports(folder, &ports.ports))
		check_ports(&ports, hear, NULL);
	return said;
}

static void
test_ports(void)
{
	struct check_ports ports = { .connections = 5001, .peers = 1, .pairs = 1 };
	const struct { const char *reserved; unsigned left; } cases[] = {
		{ "\n", 5000 },
		{ "\t\n", 5000 },
		{ "9999,25001,60000-65000\n", 5000 },
		{ "20000\n", 4999 },
		{ "20010-20019\n", 4990 },
		{ "80,19000-20009,20100,24998-25100\n", 4987 },
		{ "1-65535\n", 0 },
		{ "none\n", 5000 },
	};
	char wanted[64];

	is_string(port_warnings(ports), "", "ports of a machine that tells nothing");
	put("net/ipv4/ip_local_port_range", "20000\t24999\n");
	is_string(port_warnings(ports),
	    "server: 5001 connections to 1 peer may be wanted, but there are ports for 5000 only: "
	    "5000 for each source address and peer; add source = more addresses of this machine, "
	    "widen net.ipv4.ip_local_port_range, or set max_conns of the peers or max_connections "
	    "of the servers\n",
	    "one connection too many");
	ports.connections = 5000;
	is_string(port_warnings(ports), "", "as many as there are ports");
	ports.halved = true;
	ok(strstr(port_warnings(ports),
	       "for 2500 only: 2500 for each source address and peer (half "
					"of the range: before Linux 6.3 ") != NULL,
	    "half of them, where connecting is slow beyond it");
	ports.halved = false;
	ports.connections = 15001;
	ports.peers = 3;
	ports.pairs = 3;
	ports.pooled = true;
	is_string(port_warnings(ports),
	    "pool_size: 15001 connections to 3 peers may be wanted, but there are ports for 15000 "
	    "only: 5000 for each source address and peer; add source = more addresses of this "
	    "machine, widen net.ipv4.ip_local_port_range, or lower pool_size\n",
	    "links of pools");
	ports.pairs = 6;
	is_string(port_warnings(ports), "", "a second source doubles it");
	ports.pairs = UINT64_MAX;
	is_string(port_warnings(ports), "", "more than can be counted");
	ports.peers = 0;
	ports.pairs = 0;
	is_string(port_warnings(ports), "", "no peer needs a port");

	ports = (struct check_ports){ .connections = 6000, .peers = 1, .pairs = 1 };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put("net/ipv4/ip_local_reserved_ports", cases[i].reserved);
		snprintf(wanted, sizeof wanted, "only: %u for each", cases[i].left);
		ok(strstr(port_warnings(ports), wanted) != NULL, "%u ports without %.*s",
		    cases[i].left, (int)strcspn(cases[i].reserved, "\n"), cases[i].reserved);
	}
	put("net/ipv4/ip_local_port_range", "24999 20000\n");
	is_string(port_warnings(ports), "", "a range that is none");
}

int
main(void)
{
	const struct check_needs good = { .workers = 2,
		.descriptors = 1000,
		.limit = 1000,
		.backlog = 4096 };
	struct check_needs       needs;
	char                     path[256];
	uint64_t                 value = 7;
	const char        *const folders[] = { "fs", "net", "net/core", "net/ipv4" };

	if (mkdtemp(folder) == NULL)
		bail_out("no folder");
	is_string(warnings(good), "", "a machine that tells nothing is not warned of");
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
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

	test_ports();
	put("fs/nr_open", "many\n");
	errno = 0;
	ok(check_sysctl(folder, "fs/nr_open", &value) < 0 && errno == EINVAL && value == 7,
	    "no number");
	ok(check_sysctl(folder, "fs/none", &value) < 0 && errno == ENOENT, "no file");
	ok(check_sysctl(NULL, "net/core/somaxconn", &value) == 0 && value > 0, "of this machine");
	snprintf(path, sizeof path, "rm -rf %s", folder);
	if (system(path) != 0)
		diag("%s is left", folder);
	return done_testing();
}
