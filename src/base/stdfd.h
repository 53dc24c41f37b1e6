/* SPDX-License-Identifier: BSD-2-Clause */
/* stdfd: descriptors 0, 1 and 2. */
#ifndef BASE_STDFD_H
#define BASE_STDFD_H

/*
 * First of all in main: opens /dev/null in the place of each of them that the
 * program was started without. Otherwise the next file or socket to be opened
 * gets that number, and whatever is written to stdout or stderr lands there.
 * Ends the process with status 1, and a line that begins with the program's
 * name, where /dev/null cannot be opened.
 */
void stdfd_fill(const char *program);

#endif
