/* SPDX-License-Identifier: BSD-2-Clause */
/* messages: what is wrong with a configuration, in the order of its files. */
#ifndef CONF_MESSAGE_H
#define CONF_MESSAGE_H

#include <stdarg.h>
#include <stdbool.h>

#include "conf/arena.h"
#include "conf/place.h"

struct conf_message;
struct message;

#define MESSAGES_MAX  100u	/* told; of the others only the number is */
#define MESSAGES_KEPT 5000u	/* compared and sorted; those behind are counted */

struct messages {
	struct arena        *arena;
	struct message      *first;	/* as they came, the last one first */
	unsigned             count;	/* of all */
	unsigned             errors;
	const char         **files;	/* in the order of reading */
	unsigned             file_count;
	struct conf_message *list;	/* sorted; NULL: to be made */
};

/* The file comes behind all those that came before. */
void messages_file(struct messages *, const char *file);

/* The same text at the same place is told once. */
void messages_add(struct messages *, bool warning, struct place, const char *format, va_list)
    __attribute__((format(printf, 4, 0)));

/* Sorted by file and line, at most MESSAGES_MAX and one that tells how many
 * more there are; errors before warnings when they are too many. */
const struct conf_message *messages_list(struct messages *, unsigned *count);

#endif
