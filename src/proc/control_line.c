/* SPDX-License-Identifier: BSD-2-Clause */
/* control_line: a command as it is written to the control socket. */
#include "proc/control_line.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "proc/text.h"

/* What a word that is not a command may be. */
enum control_word {
	WORD_FORCE,
	WORD_JSON,
	WORD_WAIT,
	WORD_UPSTREAM,
	WORD_SERVER,
	WORD_PEER,
	WORD_FROM,
	WORD_RATE,
	WORD_GRACE,
	WORD_ID,
	WORDS
};

#define BIT(word) (1u << (word))
#define SELECTS   (BIT(WORD_SERVER) | BIT(WORD_PEER) | BIT(WORD_FROM))

static const char *const word_names[WORDS] = {
	[WORD_FORCE] = "force",
	[WORD_JSON] = "json",
	[WORD_WAIT] = "wait",
	[WORD_UPSTREAM] = "upstream=",
	[WORD_SERVER] = "server=",
	[WORD_PEER] = "peer=",
	[WORD_FROM] = "from=",
	[WORD_RATE] = "rate=",
	[WORD_GRACE] = "grace=",
	[WORD_ID] = "id=",
};

/* Its name, and which words it takes. */
static const struct control_form {
	const char *name;
	unsigned    words;
	const char *form;
} forms[CONTROL_COMMANDS] = {
	[CONTROL_RELOAD] = { "reload", BIT(WORD_FORCE), "reload [force]" },
	[CONTROL_UPGRADE] = { "upgrade", 0, "upgrade" },
	[CONTROL_QUIT] = { "quit", 0, "quit" },
	[CONTROL_STOP] = { "stop", 0, "stop" },
	[CONTROL_REOPEN] = { "reopen", 0, "reopen" },
	[CONTROL_STATUS] = { "status", BIT(WORD_JSON), "status [json]" },
	[CONTROL_GENERATIONS] = { "generations", 0, "generations" },
	[CONTROL_CONFIGURATION] = { "configuration", 0, "configuration" },
	[CONTROL_PEERS] = { "peers", BIT(WORD_JSON) | BIT(WORD_UPSTREAM),
	    "peers [json] [upstream=NAME]" },
	[CONTROL_PEER] = { "peer", BIT(WORD_WAIT),
	    "peer UPSTREAM ADDRESS up|down|drain|weight N [wait]" },
	[CONTROL_SESSIONS] = { "sessions", SELECTS,
	    "sessions [server=NAME] [peer=ADDRESS] [from=NET]" },
	[CONTROL_CLOSE] = { "close",
	    SELECTS | BIT(WORD_ID) | BIT(WORD_RATE) | BIT(WORD_GRACE) | BIT(WORD_WAIT),
	    "close [id=SESSION …] [server=NAME] [peer=ADDRESS] [from=NET] [rate=N] [grace=MS] "
	    "[wait]" },
};

static const char *const verb_names[] = {
	[VERB_UP] = "up",
	[VERB_DOWN] = "down",
	[VERB_DRAIN] = "drain",
	[VERB_WEIGHT] = "weight",
};

static char       *control_line_word(char **rest);
static bool        control_line_decode(char *word);
static const char *control_line_take(struct control_line *, char *word, unsigned *seen);
static const char *control_line_set(struct control_line *, enum control_word, const char *value);
static const char *control_line_add_id(struct control_line *, const char *value);
static const char *control_line_read_verb(struct control_line *, char **rest);
static const char *control_line_check(const struct control_line *);

bool
control_line_parse(char *line, size_t len, struct control_line *l, char *why, size_t size)
{
	char       *rest = line, *word;
	unsigned    seen = 0;
	const char *wrong = NULL;

	*l = (struct control_line){ .command = CONTROL_COMMANDS,
		.rate = CONTROL_RATE,
		.grace = CONTROL_GRACE };
	if (len > CONTROL_LINE_MAX || memchr(line, '\0', len) != NULL) {
		snprintf(why, size,
		    len > CONTROL_LINE_MAX ? "a command has %u bytes at most"
					   : "no such command: there is a NUL in it",
		    CONTROL_LINE_MAX);
		return false;
	}
	word = control_line_word(&rest);
	for (unsigned i = 0; word != NULL && i < CONTROL_COMMANDS; i++)
		if (strcmp(word, forms[i].name) == 0)
			l->command = (enum control_command)i;
	if (l->command == CONTROL_COMMANDS) {
		snprintf(why, size, "no such command");
		return false;
	}
	if (l->command == CONTROL_PEER)
		wrong = control_line_read_verb(l, &rest);
	while (wrong == NULL && (word = control_line_word(&rest)) != NULL)
		wrong = control_line_take(l, word, &seen);
	if (wrong == NULL)
		wrong = control_line_check(l);
	if (wrong == NULL)
		return true;
	snprintf(why, size, "%s: %s; write %s", forms[l->command].name, wrong,
	    forms[l->command].form);
	return false;
}

/* The next one, with its NUL; NULL: there is none. */
static char *
control_line_word(char **rest)
{
	char *word = *rest + strspn(*rest, " ");

	if (*word == '\0')
		return NULL;
	*rest = word + strcspn(word, " ");
	if (**rest != '\0')
		*(*rest)++ = '\0';
	return word;
}

/* In place. False: a % without its digits, or one that stands for a NUL. */
static bool
control_line_decode(char *word)
{
	static const char digits[] = "0123456789ABCDEF";
	const char       *high, *low;
	char             *to = word;

	for (; *word != '\0'; word++) {
		if (*word != '%') {
			*to++ = *word;
			continue;
		}
		high = word[1] != '\0' ? strchr(digits, word[1]) : NULL;
		low = high != NULL && word[2] != '\0' ? strchr(digits, word[2]) : NULL;
		if (low == NULL || (high == digits && low == digits))
			return false;
		*to++ = (char)((high - digits) * 16 + (low - digits));
		word += 2;
	}
	*to = '\0';
	return true;
}

/* Returns NULL, or a phrase that says what is wrong. seen: bits of words. */
static const char *
control_line_take(struct control_line *l, char *word, unsigned *seen)
{
	enum control_word which = 0;
	size_t            len = 0;

	for (; which < WORDS; which++) {
		len = strlen(word_names[which]);
		if (word_names[which][len - 1] == '=' ? strncmp(word, word_names[which], len) == 0
						      : strcmp(word, word_names[which]) == 0)
			break;
	}
	if (which == WORDS || (forms[l->command].words & BIT(which)) == 0)
		return "a word that it does not take";
	if ((*seen & BIT(which)) != 0 && which != WORD_ID)
		return "the same word twice";
	*seen |= BIT(which);
	if (!control_line_decode(word + len))
		return "% is written as %25, a blank as %20";
	if (word_names[which][len - 1] == '=' && word[len] == '\0')
		return "a word without its value";
	return control_line_set(l, which, word + len);
}

static const char *
control_line_set(struct control_line *l, enum control_word which, const char *value)
{
	switch (which) {
	case WORD_FORCE:
		l->force = true;
		return NULL;
	case WORD_JSON:
		l->json = true;
		return NULL;
	case WORD_WAIT:
		l->wait = true;
		return NULL;
	case WORD_UPSTREAM:
		l->upstream = value;
		return NULL;
	case WORD_SERVER:
		l->server = value;
		return NULL;
	case WORD_PEER:
		l->peer = value;
		return NULL;
	case WORD_FROM:
		l->from = value;
		return cidr_parse(&l->range, value) != NULL
		    ? "from is a range of addresses, as 192.0.2.0/24"
		    : NULL;
	case WORD_RATE:
		if (str_number(value, &l->rate) && l->rate <= CONTROL_RATE_MAX)
			return NULL;
		return "rate is a number of sessions in a second, up to 1000000; 0: no limit";
	case WORD_GRACE:
		if (str_number(value, &l->grace) && l->grace <= UINT32_MAX / 2)
			return NULL;
		return "grace is a number of milliseconds, up to 24 days";
	default:
		return control_line_add_id(l, value);
	}
}

static const char *
control_line_add_id(struct control_line *l, const char *value)
{
	if (l->id_count == CONTROL_IDS)
		return "no more than 512 sessions at a time";
	if (!control_line_read_id(value, &l->ids[l->id_count]))
		return "a session is called as weir sessions has it, like 3.17";
	l->id_count++;
	return NULL;
}

/* UPSTREAM ADDRESS up|down|drain|weight N */
static const char *
control_line_read_verb(struct control_line *l, char **rest)
{
	char    *upstream = control_line_word(rest), *address = control_line_word(rest);
	char    *verb = control_line_word(rest), *number;
	uint64_t weight;

	if (verb == NULL)
		return "words are missing";
	if (!control_line_decode(upstream) || !control_line_decode(address))
		return "% is written as %25, a blank as %20";
	l->upstream = upstream;
	l->address = address;
	for (unsigned i = 0; i < sizeof verb_names / sizeof *verb_names; i++) {
		if (strcmp(verb, verb_names[i]) != 0)
			continue;
		l->verb = (enum control_verb)i;
		if (i != VERB_WEIGHT)
			return NULL;
		if ((number = control_line_word(rest)) == NULL || !str_number(number, &weight) ||
		    weight < 1 || weight > 65535)
			return "a weight is a number from 1 to 65535";
		l->weight = (unsigned)weight;
		return NULL;
	}
	return "there is nothing of that name to do with a peer";
}

/* What words mean only together. */
static const char *
control_line_check(const struct control_line *l)
{
	if (l->command == CONTROL_CLOSE && l->id_count == 0 && l->server == NULL &&
	    l->peer == NULL && l->from == NULL)
		return "which sessions?";
	if (l->command == CONTROL_PEER && l->wait && l->verb != VERB_DRAIN && l->verb != VERB_DOWN)
		return "only what is drained or down can be waited for";
	return NULL;
}

void
control_line_add(struct text *t, const char *prefix, const char *word)
{
	text_add(t, " %s", prefix);
	for (; *word != '\0'; word++) {
		unsigned char c = (unsigned char)*word;

		text_add(t, c <= ' ' || c == '%' || c == 0x7f ? "%%%02X" : "%c", c);
	}
}

const char *
control_line_name(enum control_command c)
{
	return forms[c].name;
}

void
control_line_print_forms(struct text *t)
{
	for (unsigned i = 0; i < CONTROL_COMMANDS; i++)
		text_add(t, "%s%s", i == 0 ? "" : ", ", forms[i].form);
}

bool
control_line_read_id(const char *text, uint64_t *id)
{
	char        generation[16];
	size_t      len = strcspn(text, ".");
	uint64_t    above, below;

	if (text[len] != '.' || len >= sizeof generation)
		return false;
	memcpy(generation, text, len);
	generation[len] = '\0';
	if (!str_number(generation, &above) || !str_number(text + len + 1, &below) ||
	    above > UINT32_MAX || below > UINT32_MAX)
		return false;
	*id = above << 32 | below;
	return true;
}
