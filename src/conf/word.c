/* SPDX-License-Identifier: BSD-2-Clause */
/* word: the words of a value, and the quotes around them. */
#include "conf/word.h"

#include <stdbool.h>
#include <string.h>

#define BLANKS " \t"

static const char *word_read(const char **text, char *out, size_t *length);
static const char *word_unquote(const char **text, char *out, size_t *length);
static const char *word_unescape(const char **text, char *byte);
static int         word_digit(char);

const char *
word_fault(const char *text, size_t *length)
{
	const char *p = text, *wrong;
	size_t      unused;

	*length = 0;
	for (;;) {
		p += strspn(p, BLANKS);
		if (*p == '\0' || *p == ';')
			break;
		if (*p == '#')
			return "# begins a comment at the start of a line only; behind a value "
			       "write \" ;\", or put the value in quotes";
		wrong = word_read(&p, NULL, &unused);
		if (wrong != NULL)
			return wrong;
		if (p[-1] == ';')
			return "a ; right behind a word belongs to it; a comment begins with "
			       "\" ;\", a value that has a ; is put in quotes";
		*length = (size_t)(p - text);
	}
	return *length > 0 ? NULL : "no value behind the =; leave the line out to have the default";
}

const char *
word_whole(const char *text, char *out)
{
	const char *p = text, *wrong;
	size_t      length;

	if (*text == '"') {
		wrong = word_read(&p, out, &length);
		if (wrong != NULL)
			return wrong;
		out[length] = '\0';
		if (*p == '\0')
			return NULL;
	} else if (strchr(text, '"') == NULL) {
		strcpy(out, text);
		return NULL;
	}
	return "quotes stand around all of this value or not at all; in them a quote is \\\"";
}

char *
weir_word(char **text)
{
	char       *word = *text + strspn(*text, BLANKS);
	const char *p = word;
	size_t      length;

	if (*word == '\0') {
		*text = word;
		return NULL;
	}
	/* The reader has checked the value; of any other the rest is taken as it is. */
	if (word_read(&p, NULL, &length) != NULL) {
		*text = word + strlen(word);
		return word;
	}
	p = word;
	word_read(&p, word, &length);
	*text = word + (p - word) + (*p != '\0');
	word[length] = '\0';
	return word;
}

/*
 * Reads a word, up to the blank or the end behind it. Its bytes without quotes go to
 * out, which may be the text itself; NULL: they are not wanted. Returns NULL, or what
 * is wrong.
 */
static const char *
word_read(const char **text, char *out, size_t *length)
{
	const char *p, *wrong;
	char        before = '=';

	*length = 0;
	for (p = *text; *p != '\0' && *p != ' ' && *p != '\t'; p++) {
		if (*p == '"') {
			if (before != '=' && before != ':')
				return "a quote in the middle of a word; put all of it in quotes, "
				       "and write \\\" for each quote in it";
			wrong = word_unquote(&p, out, length);
			if (wrong == NULL && *p != '\0' && *p != ' ' && *p != '\t')
				wrong = "text right behind a closing quote; put it into the "
					"quotes, or a blank between";
			*text = p;
			return wrong;
		}
		if (*p == '\'' && (before == '=' || before == ':'))
			return "a ' quotes nothing; put the value in double quotes: \"";
		if ((unsigned char)*p < ' ')
			return "line has a control byte; inside quotes it is written \\xNN";
		before = *p;
		if (out != NULL)
			out[*length] = *p;
		(*length)++;
	}
	*text = p;
	return NULL;
}

/* From an opening quote to behind the closing one. */
static const char *
word_unquote(const char **text, char *out, size_t *length)
{
	const char *p = *text + 1, *wrong;
	char        byte;

	while (*p != '"') {
		if (*p == '\0')
			return "a quote is not closed; end it with \"";
		if ((unsigned char)*p < ' ' && *p != '\t')
			return "line has a control byte; inside quotes it is written \\xNN";
		byte = *p;
		if (byte == '\\') {
			wrong = word_unescape(&p, &byte);
			if (wrong != NULL)
				return wrong;
		} else {
			p++;
		}
		if (out != NULL)
			out[*length] = byte;
		(*length)++;
	}
	*text = p + 1;
	return NULL;
}

static const char *
word_unescape(const char **text, char *byte)
{
	static const char names[] = "nrt\\\"";
	static const char bytes[] = "\n\r\t\\\"";
	const char       *p = *text + 1, *name;

	name = *p != '\0' ? strchr(names, *p) : NULL;
	if (name != NULL) {
		*byte = bytes[name - names];
		*text = p + 1;
		return NULL;
	}
	if (*p != 'x' || word_digit(p[1]) < 0 || word_digit(p[2]) < 0)
		return "no such \\ inside quotes; there are \\n \\r \\t \\\\ \\\" \\xNN";
	*byte = (char)(word_digit(p[1]) << 4 | word_digit(p[2]));
	*text = p + 3;
	return *byte != '\0' ? NULL : "\\x00 is a NUL byte, which no value may hold";
}

/* Of a hexadecimal digit; -1: it is none. */
static int
word_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
