/* SPDX-License-Identifier: BSD-2-Clause */
/* file: whole files, of any size, and what is none. */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/tap.h"

static char path[] = "/tmp/weir-file-XXXXXX";

static char
byte_at(size_t at)
{
	return (char)(at * 7 + at / 251);
}

static void
check_size(size_t size)
{
	FILE       *f = fopen(path, "we");
	struct file file;
	bool        same = true;

	if (f == NULL)
		abort();
	for (size_t i = 0; i < size; i++)
		putc(byte_at(i), f);
	fclose(f);
	is_string(file_read(&file, path), NULL, "%zu bytes are read", size);
	for (size_t i = 0; i < size && i < file.size; i++)
		same &= file.bytes[i] == byte_at(i);
	ok(same && file.size == size, "as they are");
	file_free(&file);
	ok(file.bytes == NULL && file.size == 0, "and let go");
}

int
main(void)
{
	const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 100000 };
	struct file  file;
	int          fd = mkstemp(path);

	if (fd < 0)
		abort();
	close(fd);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		check_size(sizes[i]);
	if (truncate(path, (off_t)FILE_MOST + 1) < 0)
		abort();
	is_string(file_read(&file, path), "it has more than 64 MiB", "what is too large is none");
	if (truncate(path, FILE_MOST) < 0)
		abort();
	is_string(file_read(&file, path), NULL, "what is not is one");
	ok(file.size == FILE_MOST, "as a whole");
	file_free(&file);
	unlink(path);
	is_string(file_read(&file, path), strerror(ENOENT), "there is none");
	is_string(file_read(&file, "/tmp"), "this is not a regular file", "a folder is none");
	if (mkfifo(path, 0600) < 0)
		abort();
	is_string(file_read(&file, path), "this is not a regular file", "nor is a pipe waited for");
	unlink(path);
	is_string(file_copy(&file, "secret", 6), NULL, "a copy");
	ok(file.size == 6 && memcmp(file.bytes, "secret", 6) == 0, "is the same");
	file_free(&file);
	return done_testing();
}
