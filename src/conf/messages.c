/* SPDX-License-Identifier: BSD-2-Clause */
/* messages: what is wrong with a configuration, in the order of its files. */
#include "conf/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

struct message {
	struct message     *next;
	struct conf_message said;
	unsigned            rank;	/* of its file */
	unsigned            number;	/* as they came */
};

static unsigned messages_file_rank(const struct messages *, const char *file);
static int      messages_compare(const void *, const void *);

void
messages_file(struct messages *m, const char *file)
{
	if (messages_file_rank(m, file) < m->file_count)
		return;
	m->files = arena_grow(m->arena, m->files, m->file_count, sizeof *m->files);
	m->files[m->file_count++] = file;
}

void
messages_add(struct messages *m, bool warning, struct place place, const char *format, va_list ap)
{
	struct message *new, *old;
	char           *text;

	if (m->count >= MESSAGES_KEPT) {
		m->count++;
		m->errors += !warning;
		m->list = NULL;
		return;
	}
	if (place.file != NULL)
		messages_file(m, place.file);
	new = arena_alloc(m->arena, sizeof *new);
	new->said.file = place.file;
	new->said.line = place.line;
	new->said.warning = warning;
	text = arena_vprint(m->arena, format, ap);
	/* It quotes the file, and is to fit one line. */
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	new->said.text = text;
	for (old = m->first; old != NULL; old = old->next)
		if (old->said.line == place.line && old->said.file == place.file &&
		    strcmp(old->said.text, new->said.text) == 0)
			return;
	new->number = m->count++;
	m->errors += !warning;
	new->next = m->first;
	m->first = new;
	m->list = NULL;
}

const struct conf_message *
messages_list(struct messages *m, unsigned *count)
{
	struct message     **sorted, *one;
	struct conf_message *list;
	unsigned             i, told, n = 0;

	told = m->count < MESSAGES_MAX ? m->count : MESSAGES_MAX;
	*count = told + (told < m->count);
	if (m->list != NULL)
		return m->list;
	sorted = arena_alloc(m->arena, m->count * sizeof(struct message *));
	for (one = m->first; one != NULL; one = one->next) {
		one->rank = one->said.file != NULL ? messages_file_rank(m, one->said.file)
						   : m->file_count;
		/* Too many: those that stop the start are told. */
		if (told < m->count && one->said.warning)
			one->rank += m->file_count + 1;
		sorted[n++] = one;
	}
	if (n > 0)
		qsort(sorted, n, sizeof(struct message *), messages_compare);
	list = arena_alloc(m->arena, (MESSAGES_MAX + 1) * sizeof *list);
	for (i = 0; i < told; i++)
		list[i] = sorted[i]->said;
	if (told < m->count) {
		list[told].text = arena_print(m->arena, "and %u more", m->count - told);
		list[told].warning = m->errors == 0;
	}
	return m->list = list;
}

char *
conf_message_print(const struct conf_message *m, char *out, size_t size)
{
	const char *level = m->warning ? "warning" : "error";

	if (m->file == NULL)
		snprintf(out, size, "%s: %s", level, m->text);
	else if (m->line == 0)
		snprintf(out, size, "%s: %s: %s", m->file, level, m->text);
	else
		snprintf(out, size, "%s:%u: %s: %s", m->file, m->line, level, m->text);
	return out;
}

static unsigned
messages_file_rank(const struct messages *m, const char *file)
{
	unsigned i;

	/* Mostly that of the line before. */
	if (m->file_count > 0 && strcmp(m->files[m->file_count - 1], file) == 0)
		return m->file_count - 1;
	for (i = 0; i < m->file_count; i++)
		if (strcmp(m->files[i], file) == 0)
			break;
	return i;
}

static int
messages_compare(const void *left, const void *right)
{
	const struct message *a = *(struct message *const *)left;
	const struct message *b = *(struct message *const *)right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->said.line != b->said.line)
		return a->said.line < b->said.line ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}
