/* SPDX-License-Identifier: BSD-2-Clause */
/* procfs: the small files of proc(5). */
#ifndef STRESS_PROCFS_H
#define STRESS_PROCFS_H

#include <stddef.h>
#include <stdint.h>

/* The file's beginning, up to size - 1 bytes. Returns 0, or -1 with errno, and an
 * empty text. */
int stress_procfs_read(char *out, size_t size, const char *path_format, ...)
    __attribute__((format(printf, 3, 4)));

/* 0: it cannot be read. */
uint64_t stress_procfs_number(const char *path);

#endif
