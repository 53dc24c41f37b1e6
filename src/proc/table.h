/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table: rows of cells in columns that are as wide as they have to be.
 *
 * A row is a text with a tab between its cells. All are measured before the first is
 * printed; the last column is not filled up.
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#define TABLE_COLUMNS 16u	/* the rest of a longer row belongs to the last */

struct text;

/* Zeroed: nothing measured. */
struct table {
	unsigned width[TABLE_COLUMNS];
};

void table_measure(struct table *, const char *row);

/* Adds the row, and a newline. */
void table_print(const struct table *, const char *row, struct text *);

#endif
