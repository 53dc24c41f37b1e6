/* SPDX-License-Identifier: BSD-2-Clause */
/* notify: tells the service manager what becomes of weir (sd_notify(3)). */
#include "proc/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/fdtable.h"

static void
notify_send(const char *state)
{
	const char        *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t             len = path == NULL ? 0 : strlen(path);
	int                fd;

	if (len < 2 || len >= sizeof to.sun_path || (*path != '/' && *path != '@'))
		return;
	memcpy(to.sun_path, path, len + 1);
	if (*path == '@')
		to.sun_path[0] = '\0';		/* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("telling the service manager: %s", strerror(errno));
	fd_close(&fd);
}

void
notify_ready(const char *status, bool main)
{
	char state[256], pid[32] = "";

	if (main)
		snprintf(pid, sizeof pid, "MAINPID=%d\n", (int)getpid());
	snprintf(state, sizeof state, "READY=1\n%sSTATUS=%s", pid, status);
	notify_send(state);
}

void
notify_main(pid_t pid)
{
	char state[64];

	snprintf(state, sizeof state, "MAINPID=%d", (int)pid);
	notify_send(state);
}

void
notify_reloading(void)
{
	char state[128];

	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading",
	    clock_ns() / 1000);
	notify_send(state);
}

void
notify_stopping(void)
{
	notify_send("STOPPING=1\nSTATUS=stopping");
}
