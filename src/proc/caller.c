/* SPDX-License-Identifier: BSD-2-Clause */
/* caller: who is at the other end of a UNIX socket. */
#include "proc/caller.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CALLER_USERS 10000u	/* lines of the file that are looked at */

static void caller_find_name(uid_t, char *name, size_t size);

int
caller_read(struct caller *c, int fd)
{
	struct ucred peer;
	socklen_t    len = sizeof peer;
	char         name[40];

	memset(c, 0, sizeof *c);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -1;
	c->uid = peer.uid;
	c->pid = peer.pid;
	caller_find_name(peer.uid, name, sizeof name);
	snprintf(c->text, sizeof c->text, "%s%suid %u, process %d%s", name,
	    name[0] != '\0' ? " (" : "", (unsigned)peer.uid, (int)peer.pid,
	    name[0] != '\0' ? ")" : "");
	return 0;
}

/* In the file alone: who asks elsewhere may have to wait, and the master does not. */
static void
caller_find_name(uid_t uid, char *name, size_t size)
{
	FILE          *users = fopen("/etc/passwd", "re");
	struct passwd  one = { .pw_uid = 0 }, *pw;
	char           line[1024];

	*name = '\0';
	if (users == NULL)
		return;
	for (unsigned i = 0;
	     i < CALLER_USERS && fgetpwent_r(users, &one, line, sizeof line, &pw) == 0; i++)
		if (pw->pw_uid == uid) {
			snprintf(name, size, "%s", pw->pw_name);
			break;
		}
	fclose(users);
}
