/* SPDX-License-Identifier: BSD-2-Clause */
/* stdfd: descriptors 0, 1 and 2. */
#include "base/stdfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
stdfd_fill(const char *program)
{
	int fd;

	/* Each open takes the lowest number that is free. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0) {
		dprintf(STDERR_FILENO, "%s: /dev/null: %s\n", program, strerror(errno));
		exit(1);
	}
	close(fd);
}
