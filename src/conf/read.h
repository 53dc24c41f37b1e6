/* SPDX-License-Identifier: BSD-2-Clause */
/* read: files to sections and their lines. Private to conf/. */
#ifndef CONF_READ_H
#define CONF_READ_H

struct conf;

/*
 * Reads the file (NULL: none) and the globals of -g, which replace what the
 * file says of the same keys. There is one [weir] behind this, whatever the
 * file has, and all sections are indexed.
 */
void read_scopes(struct conf *, const char *path, const char *const *globals);

#endif
