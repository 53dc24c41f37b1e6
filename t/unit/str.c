/* SPDX-License-Identifier: BSD-2-Clause */
/* str: units at their edges, words, distances between names. */
#include "base/str.h"

#include "unit/tap.h"

#define UNTOUCHED UINT64_C(4711)

struct reading {
	const char *text;
	uint64_t    value;	/* UNTOUCHED: refused */
};

static const struct reading numbers[] = {
	{ "0", 0 },
	{ "7", 7 },
	{ "007", 7 },
	{ "18446744073709551615", UINT64_MAX },
	{ "18446744073709551616", UNTOUCHED },
	{ "18446744073709551620", UNTOUCHED },
	{ "99999999999999999999999999", UNTOUCHED },
	{ "", UNTOUCHED },
	{ "+1", UNTOUCHED },
	{ "-1", UNTOUCHED },
	{ " 1", UNTOUCHED },
	{ "1 ", UNTOUCHED },
	{ "1k", UNTOUCHED },
	{ "0x10", UNTOUCHED },
	{ "1.5", UNTOUCHED },
	{ "\xc2\xb2", UNTOUCHED },
	{ NULL, 0 },
};

static const struct reading sizes[] = {
	{ "512", 512 },
	{ "4k", 4096 },
	{ "1m", 1048576 },
	{ "2g", UINT64_C(2147483648) },
	{ "18446744073709551615", UINT64_MAX },
	{ "17179869183g", UINT64_C(17179869183) << 30 },
	{ "17179869184g", UNTOUCHED },
	{ "18014398509481983k", UINT64_C(18014398509481983) << 10 },
	{ "18014398509481984k", UNTOUCHED },
	{ "4K", UNTOUCHED },
	{ "4kb", UNTOUCHED },
	{ "4 k", UNTOUCHED },
	{ "k", UNTOUCHED },
	{ "1t", UNTOUCHED },
	{ "1s", UNTOUCHED },
	{ "", UNTOUCHED },
	{ NULL, 0 },
};

static const struct reading times[] = {
	{ "500ms", 500 },
	{ "30", 30000 },
	{ "30s", 30000 },
	{ "5m", 300000 },
	{ "1h", 3600000 },
	{ "1d", 86400000 },
	{ "0", 0 },
	{ "0ms", 0 },
	{ "18446744073709551615ms", UINT64_MAX },
	{ "18446744073709551616ms", UNTOUCHED },
	{ "18446744073709551", UINT64_C(18446744073709551000) },
	{ "18446744073709552", UNTOUCHED },
	{ "213503982334d", UINT64_C(213503982334) * 86400000 },
	{ "213503982335d", UNTOUCHED },
	{ "1w", UNTOUCHED },
	{ "1M", UNTOUCHED },
	{ "1h30m", UNTOUCHED },
	{ "1.5s", UNTOUCHED },
	{ "ms", UNTOUCHED },
	{ NULL, 0 },
};

static void
test_reader(const char *what, bool (*reader)(const char *, uint64_t *), const struct reading *r)
{
	uint64_t value;
	bool     taken;

	for (; r->text != NULL; r++) {
		value = UNTOUCHED;
		taken = reader(r->text, &value);
		ok(taken == (r->value != UNTOUCHED) && value == r->value, "%s: '%s'", what,
		    r->text);
	}
}

static void
test_switch(void)
{
	bool value = false;

	ok(str_switch("on", &value) && value, "on is on");
	ok(str_switch("off", &value) && !value, "off is off");
	ok(!str_switch("On", &value) && !str_switch("yes", &value) && !str_switch("", &value) &&
		!str_switch("onn", &value),
	    "nothing else is either");
}

static void
test_printing(void)
{
	char     out[STR_UNIT_MAX];
	uint64_t value, back;
	unsigned i, wrong = 0;

	is_string(str_print_size(0, out), "0", "no bytes");
	is_string(str_print_size(1000, out), "1000", "a size without a unit");
	is_string(str_print_size(65536, out), "64k", "the largest unit that divides");
	is_string(str_print_size(UINT64_C(3) << 40, out), "3072g", "gigabytes are the last unit");
	is_string(str_print_size(UINT64_MAX, out), "18446744073709551615", "the largest size");
	is_string(str_print_time(0, out), "0s", "no time");
	is_string(str_print_time(1500, out), "1500ms", "milliseconds");
	is_string(str_print_time(90000, out), "90s", "seconds");
	is_string(str_print_time(300000, out), "5m", "minutes");
	is_string(str_print_time(25 * 3600000, out), "25h", "hours");
	is_string(str_print_time(UINT64_C(86400000) * 7, out), "7d", "days are the last unit");
	is_string(str_print_time(UINT64_MAX, out), "18446744073709551615ms", "the longest time");

	for (i = 0; i < 10000; i++) {
		value = random_number() >> random_below(64);
		wrong += !str_size(str_print_size(value, out), &back) || back != value;
		wrong += !str_time(str_print_time(value, out), &back) || back != value;
	}
	is_number(wrong, 0, "what is printed is read back as it was");
}

static void
test_words(void)
{
	char  text[] = " \tone two\t three  ", empty[] = "", blank[] = " \t ";
	char *rest = text;

	is_string(str_word(&rest), "one", "the first word");
	is_string(str_word(&rest), "two", "the second, ended by a tab");
	is_string(rest, " three  ", "the rest begins behind the word's end");
	is_string(str_word(&rest), "three", "the last");
	is_string(str_word(&rest), NULL, "and no more");
	is_string(str_word(&rest), NULL, "however often it is asked");
	rest = empty;
	is_string(str_word(&rest), NULL, "no word in nothing");
	rest = blank;
	is_string(str_word(&rest), NULL, "no word in blanks");
}

static void
test_distance(void)
{
	char longer[200];

	is_number(str_distance("listen", "listen", 3), 0, "the same");
	is_number(str_distance("listen", "lisen", 3), 1, "one left out");
	is_number(str_distance("lisen", "listen", 3), 1, "one too many");
	is_number(str_distance("listen", "lissen", 3), 1, "one replaced");
	is_number(str_distance("kitten", "sitting", 9), 3, "kitten and sitting");
	is_number(str_distance("", "abc", 9), 3, "from nothing");
	is_number(str_distance("abc", "", 9), 3, "to nothing");
	is_number(str_distance("", "", 0), 0, "nothing and nothing");
	is_number(str_distance("abc", "xyz", 1), 2, "beyond the limit is limit + 1");
	is_number(str_distance("abcdef", "", 2), 3, "so is a difference in length");

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	is_number(str_distance(longer, "x", 5), 6, "a very long name is far from others");
	is_number(str_distance("x", longer, 5), 6, "on either side");
	is_number(str_distance(longer, longer, 5), 0, "but not from itself");
}

static void
test_nearest(void)
{
	static const char *const keys[] = { "listen", "protocol", "upstream", "pid", "idle_timeout",
		"read_timeout", NULL };
	static const char *const none[] = { NULL };

	is_string(str_nearest("lisen", keys), "listen", "a letter left out");
	is_string(str_nearest("protcool", keys), "protocol", "two letters exchanged");
	is_string(str_nearest("idel_timeout", keys), "idle_timeout", "the nearer of two");
	is_string(str_nearest("pdi", keys), NULL, "two wrong letters of three");
	is_string(str_nearest("pd", keys), "pid", "one of three");
	is_string(str_nearest("workers", keys), NULL, "nothing like it");
	is_string(str_nearest("", keys), NULL, "nothing is like nothing");
	is_string(str_nearest("listen", none), NULL, "no candidates");
}

static void
test_printable(void)
{
	char out[16];

	is_string(str_printable(span_of("plain ~"), out, sizeof out), "plain ~", "ASCII stays");
	is_string(str_printable(span_make("a\n\0\x7f", 4), out, sizeof out), "a\\x0a\\x00\\x7f",
	    "control bytes, a NUL among them");
	is_string(str_printable(span_of("\xc3\xa4"), out, sizeof out), "\\xc3\\xa4",
	    "outside ASCII");
	is_string(str_printable(span_of("0123456789abcdefgh"), out, sizeof out), "0123456789abcde",
	    "cut at the size");
	is_string(str_printable(span_of("0123456789ab\n"), out, sizeof out), "0123456789ab",
	    "never within an escape");
	is_string(str_printable(span_of("0123456789a\n"), out, sizeof out), "0123456789a\\x0a",
	    "which may end at the last byte");
	is_string(str_printable(span_make(NULL, 0), out, sizeof out), "", "nothing");
	is_string(str_printable(span_of("x"), out, 1), "", "room for the end only");
	out[0] = '!';
	str_printable(span_of("x"), out, 0);
	is_number(out[0], '!', "no room at all");
}

static void
test_spans(void)
{
	struct weir_span s = span_of("weir");

	is_number(s.len, 4, "a string's span");
	is_string(span_skip(s, 2).data, "ir", "without its first bytes");
	is_number(span_skip(s, 4).len, 0, "without any");
	is_number(span_skip(s, 100).len, 0, "never less");
}

int
main(void)
{
	test_reader("number", str_number, numbers);
	test_reader("size", str_size, sizes);
	test_reader("time", str_time, times);
	test_switch();
	test_printing();
	test_words();
	test_distance();
	test_nearest();
	test_printable();
	test_spans();
	return done_testing();
}
