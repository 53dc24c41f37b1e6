/* SPDX-License-Identifier: BSD-2-Clause */
/* replay: the main of a fuzz target in make check: feeds it its corpus, or files; speaks TAP. */
#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
replay(const char *path, int number)
{
	uint8_t *data;
	size_t   size;
	FILE    *f;
	long     end;

	f = fopen(path, "rb");
	if (f == NULL || fseek(f, 0, SEEK_END) < 0 || (end = ftell(f)) < 0)
		err(1, "%s", path);
	rewind(f);
	/* A block of exactly this size: a sanitizer sees the first byte read beyond it. */
	data = malloc((size_t)end);
	if (data == NULL && end > 0)
		err(1, "%s", path);
	size = fread(data, 1, (size_t)end, f);
	if (size != (size_t)end)
		err(1, "%s", path);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %d - %s\n", number, path);
	fflush(stdout);
}

static int
not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The corpus of obj/t/fuzz/NAME is t/fuzz/corpus/NAME. */
static int
replay_corpus(const char *name)
{
	char            folder[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
	struct dirent **entries;
	const char     *srcdir;
	int             i, n;

	srcdir = getenv("WEIR_SRCDIR");
	snprintf(folder, sizeof folder, "%s/t/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".",
	    name);
	n = scandir(folder, &entries, not_hidden, alphasort);
	if (n < 0)
		err(1, "%s", folder);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		replay(path, i + 1);
		free(entries[i]);
	}
	free(entries);
	return n;
}

int
main(int argc, char **argv)
{
	const char *name;
	int         i, n;

	if (argc > 1) {
		for (i = 1; i < argc; i++)
			replay(argv[i], i);
		n = argc - 1;
	} else {
		name = strrchr(argv[0], '/');
		n = replay_corpus(name != NULL ? name + 1 : argv[0]);
	}
	if (n == 0)
		printf("not ok 1 - there is a corpus\n");
	printf("1..%d\n", n > 0 ? n : 1);
	return n == 0;
}
