/* SPDX-License-Identifier: BSD-2-Clause */
/* procfs: the small files of proc(5). */
#include "stress/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int
stress_procfs_read(char *out, size_t size, const char *path_format, ...)
{
	char    path[128];
	va_list args;
	ssize_t n;
	size_t  length = 0;
	int     fd, error;

	out[0] = '\0';
	va_start(args, path_format);
	vsnprintf(path, sizeof path, path_format, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((n = read(fd, out + length, size - 1 - length)) > 0)
		length += (size_t)n;
	error = errno;
	close(fd);
	out[n < 0 ? 0 : length] = '\0';
	errno = error;
	return n < 0 ? -1 : 0;
}

uint64_t
stress_procfs_number(const char *path)
{
	char     text[64];
	uint64_t n;

	if (stress_procfs_read(text, sizeof text, "%s", path) != 0 ||
	    sscanf(text, "%" SCNu64, &n) != 1)
		return 0;
	return n;
}
