/* SPDX-License-Identifier: BSD-2-Clause */
/* test: weir -t and -T: whether a configuration is good. */
#ifndef PROC_TEST_H
#define PROC_TEST_H

#include <stdbool.h>

struct options;

/* Loads and checks it in a process of its own, which opens and binds nothing;
 * says what is wrong on stderr, and prints the configuration to stdout when
 * that is wanted and it is good. Returns the exit status. */
int test_run(const struct options *, bool print);

/* The same, of the text that another process has kept (conf/snapshot). */
int test_print_kept(const struct options *, int kept);

#endif
