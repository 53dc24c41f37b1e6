/* SPDX-License-Identifier: BSD-2-Clause */
/* inherit: listening sockets from whoever started weir (sd_listen_fds(3)). */
#include "proc/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/addr.h"
#include "proc/fdtable.h"

#define INHERIT_FIRST 3		/* SD_LISTEN_FDS_START */
#define INHERIT_MAX   1024u

static unsigned inherit_announced(void);
static int      inherit_take(struct fdtable *, int fd);

int
inherit_sockets(struct fdtable *fds)
{
	unsigned n = inherit_announced();
	int      result = 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (unsigned i = 0; i < n; i++)
		if (inherit_take(fds, INHERIT_FIRST + (int)i) < 0)
			result = -1;
	return result;
}

static unsigned
inherit_announced(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	uint64_t    number;

	if (pid == NULL || count == NULL || !str_number(pid, &number) ||
	    number != (uint64_t)getpid() || !str_number(count, &number))
		return 0;
	return number > INHERIT_MAX ? INHERIT_MAX : (unsigned)number;
}

static int
inherit_take(struct fdtable *fds, int fd)
{
	struct addr a = { .len = sizeof a.un };
	int         type, listening, flags;
	socklen_t   len = sizeof type;
	char        name[ADDR_TEXT_MAX];

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening ||
	    getsockname(fd, &a.sa, &a.len) < 0) {
		log_error("descriptor %d of LISTEN_FDS is no listening stream socket", fd);
		return -1;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fdtable_add(fds, FD_INHERITED, addr_print(&a, name), 0, fd) < 0) {
		log_error("descriptor %d of LISTEN_FDS: %s", fd,
		    errno == EEXIST ? "its address is there twice" : strerror(errno));
		return -1;
	}
	return 0;
}
