/* SPDX-License-Identifier: BSD-2-Clause */
/* place: where something stands in the configuration. */
#ifndef CONF_PLACE_H
#define CONF_PLACE_H

/* file NULL: nowhere. line 0: the file as a whole, or -g. */
struct place {
	const char *file;
	unsigned    line;
};

#endif
