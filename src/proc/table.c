/* SPDX-License-Identifier: BSD-2-Clause */
/* table: rows of cells in columns that are as wide as they have to be. */
#include "proc/table.h"

#include <string.h>

#include "proc/text.h"

/* Bytes of the cell that begins here; the last of a row goes to its end. */
static unsigned
table_cell(const char *cell, unsigned column)
{
	return (unsigned)(column + 1 < TABLE_COLUMNS ? strcspn(cell, "\t") : strlen(cell));
}

void
table_measure(struct table *t, const char *row)
{
	unsigned len;

	for (unsigned i = 0; i < TABLE_COLUMNS; i++) {
		len = table_cell(row, i);
		if (len > t->width[i])
			t->width[i] = len;
		if (row[len] == '\0')
			return;
		row += len + 1;
	}
}

void
table_print(const struct table *t, const char *row, struct text *out)
{
	unsigned len;

	for (unsigned i = 0; i < TABLE_COLUMNS; i++) {
		len = table_cell(row, i);
		if (row[len] == '\0') {
			text_add(out, "%s\n", row);
			return;
		}
		text_add(out, "%-*.*s  ", (int)t->width[i], (int)len, row);
		row += len + 1;
	}
}
