/* SPDX-License-Identifier: BSD-2-Clause */
/* word: where a value ends, its words, its quotes. */
#include "conf/word.h"

#include "unit/tap.h"

static const struct {
	const char *text;
	const char *words;	/* in one text, each in <>; with ! what is wrong */
} lines[] = {
	{ "a", "<a>" },
	{ "a  b\tc", "<a><b><c>" },
	{ " a ", "<a>" },
	{ "a ; b", "<a>" },
	{ "a\t;b", "<a>" },
	{ "a ;", "<a>" },
	{ "a;b c#d", "<a;b><c#d>" },
	{ "\"a b\" c", "<a b><c>" },
	{ "x=\"a b\" d", "<x=a b><d>" },
	{ "unix:\"a b\" \"c\"", "<unix:a b><c>" },
	{ "\"unix:a b\"\tc", "<unix:a b><c>" },
	{ "\"\"", "<>" },
	{ "a \"\" b=\"\"", "<a><><b=>" },
	{ "\"\\\"\\\\\\n\\r\\t\\x41\\x3b\\xfF\"", "<\"\\\n\r\tA;\xff>" },
	{ "\"a\tb ; c # d\"", "<a\tb ; c # d>" },
	{ "\\n a\\b", "<\\n><a\\b>" },
	{ "a b c d e f g h i j k l", "<a><b><c><d><e><f><g><h><i><j><k><l>" },

	{ "", "!no value" },
	{ " \t", "!no value" },
	{ "; a", "!no value" },
	{ " ;", "!no value" },
	{ "a # b", "!# begins a comment" },
	{ "# b", "!# begins a comment" },
	{ "\"a\" #b", "!# begins a comment" },
	{ "a; b", "!a ; right behind a word" },
	{ "a;", "!a ; right behind a word" },
	{ "a b;", "!a ; right behind a word" },
	{ "\"a\";", "!text right behind a closing quote" },
	{ "\"a\"#", "!text right behind a closing quote" },
	{ "\"a\"b", "!text right behind a closing quote" },
	{ "\"a\"\"b\"", "!text right behind a closing quote" },
	{ "x=\"a\"c d", "!text right behind a closing quote" },
	{ "a\"", "!a quote in the middle of a word" },
	{ "say\"a\"", "!a quote in the middle of a word" },
	{ "{\"a\":1}", "!a quote in the middle of a word" },
	{ "\"a", "!a quote is not closed" },
	{ "\"", "!a quote is not closed" },
	{ "\"a\\\"", "!a quote is not closed" },
	{ "\"a ; b", "!a quote is not closed" },
	{ "\"\\q\"", "!no such \\" },
	{ "\"\\x4\"", "!no such \\" },
	{ "\"\\xg0\"", "!no such \\" },
	{ "\"\\x", "!no such \\" },
	{ "\"\\", "!no such \\" },
	{ "\"a\\x00\"", "!\\x00 is a NUL byte" },
	{ "a\033", "!line has a control byte" },
	{ "\"a\033\"", "!line has a control byte" },
	{ "\"a\nb\"", "!line has a control byte" },
};

static void
test_words(void)
{
	char        all[256], copy[64], *rest, *word;
	const char *wrong;
	size_t      i, length;

	for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		wrong = word_fault(lines[i].text, &length);
		*all = '\0';
		if (wrong != NULL)
			snprintf(all, sizeof all, "!%.*s", (int)strlen(lines[i].words) - 1, wrong);
		snprintf(copy, sizeof copy, "%.*s", (int)length, lines[i].text);
		for (rest = copy; wrong == NULL && (word = weir_word(&rest)) != NULL;)
			snprintf(all + strlen(all), sizeof all - strlen(all), "<%s>", word);
		is_string(all, lines[i].words, "%s", lines[i].text);
	}
}

/* Nobody has checked these: nothing is read behind their ends. */
static void
test_unchecked(void)
{
	char   copy[64], *rest;
	size_t i;

	for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		snprintf(copy, sizeof copy, "%s", lines[i].text);
		for (rest = copy; weir_word(&rest) != NULL;)
			if (rest < copy || rest > copy + strlen(lines[i].text))
				break;
		ok(rest == copy + strlen(lines[i].text), "the end of %s", lines[i].text);
	}
}

static const struct {
	const char *text;
	const char *plain;	/* NULL: refused */
} wholes[] = {
	{ "", "" },
	{ "a b\tc", "a b\tc" },
	{ "\\n", "\\n" },
	{ "\"\"", "" },
	{ "\"a b\"", "a b" },
	{ "\" \\\" ; # \\\\ \"", " \" ; # \\ " },
	{ "\"a\" ", NULL },
	{ "\"a\" b", NULL },
	{ "a \"b\"", NULL },
	{ "a=\"b\"", NULL },
	{ "\"a", NULL },
};

static void
test_wholes(void)
{
	char   out[64];
	size_t i;

	for (i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
		if (wholes[i].plain == NULL)
			ok(word_whole(wholes[i].text, out) != NULL, "%s", wholes[i].text);
		else
			is_string(word_whole(wholes[i].text, out) == NULL ? out : NULL,
			    wholes[i].plain, "%s", wholes[i].text);
	}
}

int
main(void)
{
	test_words();
	test_unchecked();
	test_wholes();
	return done_testing();
}
