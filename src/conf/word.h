/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * word: the words of a value, and the quotes around them.
 *
 * A value is words with blanks or tabs between them. A word, or what follows a
 * = or : in it, may stand in double quotes: then blanks, ; and # belong to it, and
 * \n \r \t \\ \" \xNN stand for a byte each. Outside quotes a backslash is itself.
 * Behind a closing quote the word is over.
 *
 * Values are kept as they are written: so they can be printed and read again, and
 * a list knows which blanks part its words. Quotes are taken off where a value is
 * read: by word_whole, or word by word by weir_word.
 */
#ifndef CONF_WORD_H
#define CONF_WORD_H

#include <stddef.h>

#include "weir.h"

/*
 * Checks a value and finds its end, which may be in front of a comment. Returns
 * NULL, or what is wrong; *length is the value's, without the blanks behind it.
 */
const char *word_fault(const char *text, size_t *length);

/*
 * A value that is one text: out, which has room for strlen(text) + 1 bytes, gets it
 * without the quotes around it. Returns NULL, or what is wrong: the quotes are around
 * a part of it.
 */
const char *word_whole(const char *text, char *out);

#endif
