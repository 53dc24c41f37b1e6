/* SPDX-License-Identifier: BSD-2-Clause */
/* ini: what the reader makes of text, line by line; every trap of inih; include. */
#include "conf/ini.h"

#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "unit/tap.h"

/* All that the sink was told, a line each:
 *	[head]@line  key=value@line  <pattern@line  !line text
 * A key of another section than the last head shows it: head/key=value@line. */
static struct heard {
	char        text[65536];
	size_t      length;
	const char *current;
	char       *heads[64];
	unsigned    head_count;
	bool        files;	/* file names are told, too */
} heard;

__attribute__((format(printf, 1, 2))) static void
note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	heard.length += (size_t)vsnprintf(heard.text + heard.length,
	    sizeof heard.text - heard.length, format, args);
	va_end(args);
	if (heard.length >= sizeof heard.text)
		bail_out("the sink was told too much");
}

static void
note_place(struct place place)
{
	const char *slash = strrchr(place.file, '/');

	if (heard.files)
		note("@%s:%u\n", slash != NULL ? slash + 1 : place.file, place.line);
	else
		note("@%u\n", place.line);
}

static void *
hear_section(void *context, struct place place, const char *head)
{
	(void)context;
	note("[%s]", head);
	note_place(place);
	heard.heads[heard.head_count] = strdup(head);
	heard.current = heard.heads[heard.head_count];
	return heard.heads[heard.head_count++];
}

static void
hear_value(void *section, struct place place, const char *key, const char *value)
{
	if (section != heard.current)
		note("%s/", (const char *)section);
	note("%s=%s", key, value);
	note_place(place);
}

static void
hear_include(void *section, struct place place, const char *pattern)
{
	(void)section;
	note("<%s", pattern);
	note_place(place);
}

static void
hear_error(void *context, struct place place, const char *text)
{
	const char *slash = strrchr(place.file, '/');

	(void)context;
	if (heard.files)
		note("!%s:%u %s\n", slash != NULL ? slash + 1 : place.file, place.line, text);
	else
		note("!%u %s\n", place.line, text);
}

static const struct ini_sink sink = {
	.section = hear_section,
	.value = hear_value,
	.include = hear_include,
	.error = hear_error,
};

static void
forget(void)
{
	while (heard.head_count > 0)
		free(heard.heads[--heard.head_count]);
	memset(&heard, 0, sizeof heard);
}

static const char *
read_text(const char *text, size_t size)
{
	forget();
	ini_read_memory("memory", text, size, &sink);
	return heard.text;
}

#define TEXT(t) t, sizeof(t) - 1
#define HASH                                                                              \
	"# begins a comment at the start of a line only; behind a value write \" ;\", or put " \
	"the value in quotes"
#define SEMICOLON                                                                         \
	"a ; right behind a word belongs to it; a comment begins with \" ;\", a value that "   \
	"has a ; is put in quotes"

static const struct {
	const char *what;
	const char *text;
	size_t      size;
	const char *heard;
} cases[] = {
	{ "nothing", TEXT(""), "" },
	{ "blank lines and comments", TEXT("\n  \n\t\n; a\n# b\n  ; c\n  # d\n"), "" },
	{ "a section and a key", TEXT("[weir]\na = b\n"), "[weir]@1\na=b@2\n" },
	{ "no newline at the end", TEXT("[weir]\na = b"), "[weir]@1\na=b@2\n" },
	{ "blanks around everything", TEXT("[ server\t web ]  \n\ta\t=  b c \t\n"),
	    "[server web]@1\na=b c@2\n" },
	{ "no blanks at all", TEXT("[weir]\na=b\n"), "[weir]@1\na=b@2\n" },
	{ "CRLF", TEXT("[weir]\r\na = b\r\n\r\n; c\r\nd = e\r\n"), "[weir]@1\na=b@2\nd=e@5\n" },
	{ "a BOM", TEXT("\xef\xbb\xbf[weir]\na = b\n"), "[weir]@1\na=b@2\n" },
	{ "a BOM before a comment", TEXT("\xef\xbb\xbf; hi\n[weir]\n"), "[weir]@2\n" },
	{ "a BOM elsewhere",
	    TEXT("[weir]\n\xef\xbb\xbf"
		 "a = b\n"),
	    "[weir]@1\n!2 \"\\xef\\xbb\\xbf"
	    "a\" is no name for a key; letters, digits and _ - . make one\n" },
	{ "indented keys are keys", TEXT("[weir]\na = b\n  c = d\n\te = f\n"),
	    "[weir]@1\na=b@2\nc=d@3\ne=f@4\n" },
	{ "an indented section is a section", TEXT("[weir]\na = b\n  [server x]\n c = d\n"),
	    "[weir]@1\na=b@2\n[server x]@3\nc=d@4\n" },
	{ "an indented word is no continuation", TEXT("[weir]\na = b\n  c d\n"),
	    "[weir]@1\na=b@2\n!3 \"c d\" is not key = value\n" },
	{ "empty sections are seen", TEXT("[a]\n[b]\n\n[c]"), "[a]@1\n[b]@2\n[c]@4\n" },
	{ "a comment behind a value", TEXT("[weir]\na = b ; c\nd = e\t;f\n"),
	    "[weir]@1\na=b@2\nd=e@3\n" },
	{ "; and # in a word", TEXT("[weir]\na = b;c\nd = e#f\n"),
	    "[weir]@1\na=b;c@2\nd=e#f@3\n" },
	{ "# behind a value", TEXT("[weir]\na = b # c\nd = # e\nf = #\ng = \"h\" #\n"),
	    "[weir]@1\n!2 " HASH "\n!3 " HASH "\n!4 " HASH "\n!5 " HASH "\n" },
	{ "; right behind a value", TEXT("[weir]\na = b; c\nd = e;\nf = g;h;\n"),
	    "[weir]@1\n!2 " SEMICOLON "\n!3 " SEMICOLON "\n!4 " SEMICOLON "\n" },
	{ "a comment in a comment", TEXT("[weir]\na = b ; c # d ; \"e\n"), "[weir]@1\na=b@2\n" },
	{ "= and : in a value", TEXT("[weir]\na = b=c:d = e\n"), "[weir]@1\na=b=c:d = e@2\n" },
	{ "brackets in a value", TEXT("[weir]\nlisten = [::1]:80\n"),
	    "[weir]@1\nlisten=[::1]:80@2\n" },
	{ "a comment behind a head", TEXT("[weir] ; c\n[a]\t; d\n"), "[weir]@1\n[a]@2\n" },
	{ "quotes are kept", TEXT("[weir]\na = \"b c\" d\n"), "[weir]@1\na=\"b c\" d@2\n" },
	{ "a ; between quoted words", TEXT("[weir]\na = \"b\" ; \"c\"\n"),
	    "[weir]@1\na=\"b\"@2\n" },
	{ "a ; behind a quoted quote", TEXT("[weir]\na = \"b\\\"\" ; c\"\n"),
	    "[weir]@1\na=\"b\\\"\"@2\n" },
	{ "a ; without white space inside quotes", TEXT("[weir]\na = \"b;c\"\n"),
	    "[weir]@1\na=\"b;c\"@2\n" },
	{ "UTF-8 in a value", TEXT("[weir]\na = \xc3\xa4\n"), "[weir]@1\na=\xc3\xa4@2\n" },

	{ "a key without value", TEXT("[weir]\na\nb =\nc = ; d\ne =;f\n"),
	    "[weir]@1\n!2 \"a\" is not key = value\n"
	    "!3 no value behind the =; leave the line out to have the default\n"
	    "!4 no value behind the =; leave the line out to have the default\n"
	    "!5 no value behind the =; leave the line out to have the default\n" },
	{ "a value without key", TEXT("[weir]\n= a\n : b\n"),
	    "[weir]@1\n!2 no key in front of the =; write key = value\n"
	    "!3 no key in front of the =; write key = value\n" },
	{ "a colon", TEXT("[weir]\na: b\nhost:port = x\n"),
	    "[weir]@1\n!2 a : behind the key; write a = value\n"
	    "!3 a : behind the key; write host = value\n" },
	{ "names that are none", TEXT("[weir]\na b = c\n\"a\" = c\na;b = c\n"),
	    "[weir]@1\n"
	    "!2 \"a b\" is no name for a key; letters, digits and _ - . make one\n"
	    "!3 \"\"a\"\" is no name for a key; letters, digits and _ - . make one\n"
	    "!4 \"a;b\" is no name for a key; letters, digits and _ - . make one\n" },
	{ "keys before any section", TEXT("a = b\nc = d\n[weir]\ne = f\n"),
	    "!1 keys stand before any section; write [weir] above them\n[weir]@3\ne=f@4\n" },
	{ "a NUL in a value", TEXT("[weir]\na = b\0c\nd = e\n"),
	    "[weir]@1\n!2 line has a NUL byte; configuration files are plain text\nd=e@3\n" },
	{ "a NUL in a head", TEXT("[weir]\n[ser\0ver]\na = b\n[c]\n"),
	    "[weir]@1\n!2 line has a NUL byte; configuration files are plain text\n[c]@4\n" },
	{ "a NUL in a comment", TEXT("; a\0b\n"),
	    "!1 line has a NUL byte; configuration files are plain text\n" },
	{ "control bytes", TEXT("[weir]\na = b\033c\nd = e\rf\n"),
	    "[weir]@1\n!2 line has a control byte; inside quotes it is written \\xNN\n"
	    "!3 line has a control byte; inside quotes it is written \\xNN\n" },
	{ "; and # inside quotes",
	    TEXT("[weir]\na = \"b ;c\"\nd = x=\"e\t; f\" g ; h\ni = \"; j\"\nk = \" # \"\n"),
	    "[weir]@1\na=\"b ;c\"@2\nd=x=\"e\t; f\" g@3\ni=\"; j\"@4\nk=\" # \"@5\n" },
	{ "= and : inside quotes", TEXT("[weir]\na = \"b=c:d\"\n\"e\" = f\n"),
	    "[weir]@1\na=\"b=c:d\"@2\n"
	    "!3 \"\"e\"\" is no name for a key; letters, digits and _ - . make one\n" },
	{ "blanks at the ends of quotes", TEXT("[weir]\na = \" b \"  \n"),
	    "[weir]@1\na=\" b \"@2\n" },
	{ "brackets, comments and keys in quotes", TEXT("[weir]\na = \"[b] ; c = d\"\n"),
	    "[weir]@1\na=\"[b] ; c = d\"@2\n" },
	{ "a quote that is not closed", TEXT("[weir]\na = \"b ; c\nd = e\n"),
	    "[weir]@1\n!2 a quote is not closed; end it with \"\nd=e@3\n" },
	{ "a head without ]: its keys are left out",
	    TEXT("[weir]\na = b\n[c\nd = e\nf\n[g]\nh = i\n"),
	    "[weir]@1\na=b@2\n!3 section head has no ]; the section is left out\n[g]@6\nh=i@7\n" },
	{ "text behind a head", TEXT("[a]b\nc = d\n[e] f\n[g];h\n[i] # j\n[k]]\n"),
	    "!1 text behind the ] of a section head; a comment begins with a blank and ;\n"
	    "!3 text behind the ] of a section head; a comment begins with a blank and ;\n"
	    "!4 text behind the ] of a section head; a comment begins with a blank and ;\n"
	    "!5 text behind the ] of a section head; a comment begins with a blank and ;\n"
	    "!6 text behind the ] of a section head; a comment begins with a blank and ;\n" },
	{ "an empty head", TEXT("[]\n[  ]\na = b\n"),
	    "!1 section head is empty; write [KIND] or [KIND NAME]\n"
	    "!2 section head is empty; write [KIND] or [KIND NAME]\n" },
	{ "a ; in a head", TEXT("[a ;b]\nc = d\n"), "[a ;b]@1\nc=d@2\n" },
	{ "include in memory", TEXT("[weir]\ninclude = a\n"),
	    "[weir]@1\n!2 include works in files only\n" },
};

static void
test_cases(void)
{
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		is_string(read_text(cases[i].text, cases[i].size), cases[i].heard, "%s",
		    cases[i].what);
}

/* A line of so many bytes, "key = aaa…", behind a section. */
static const char *
read_long(size_t length, const char *before)
{
	char       *text;
	const char *said;
	size_t      head;

	if (asprintf(&text, "[weir]\n%s", before) < 0)
		bail_out("no memory");
	head = strlen(text);
	text = realloc(text, head + length + 20);
	memset(text + head, 'a', length);
	strcpy(text + head + length, "\nb = c\n");
	said = read_text(text, strlen(text));
	free(text);
	return said;
}

/* Whether a line of so many bytes comes whole, full of what would begin comments. */
static bool
read_quoted(size_t length)
{
	static const char head[] = "[weir]\nk = \"";
	char             *text = calloc(1, length + sizeof head);
	size_t            i = strlen(head), end = length + strlen("[weir]\n") - 1;
	bool              whole;

	if (text == NULL)
		bail_out("no memory");
	memcpy(text, head, i);
	for (; i < end; i++)
		text[i] = " ;#="[i % 4];
	text[end] = '"';
	read_text(text, strlen(text));
	whole = strncmp(heard.text, "[weir]@1\nk=\"", 12) == 0 &&
	    strncmp(heard.text + 11, text + strlen(head) - 1, end - strlen(head) + 2) == 0 &&
	    strcmp(heard.text + 11 + end - strlen(head) + 2, "@2\n") == 0;
	free(text);
	return whole;
}

static void
test_lengths(void)
{
	char name[INI_NAME_MAX + 2], text[512];

	/* Other builds of inih take 198 bytes. */
	ok(strstr(read_long(INI_LINE_MAX - 4, "k = "), "!") == NULL || !HAVE_INIH_GLOBALS,
	    "a line may have %u bytes", INI_LINE_MAX);
	ok(strstr(heard.text, "b=c@3\n") != NULL, "and the next one is read");
	is_string(read_long(INI_LINE_MAX - 3, "k = "),
	    "[weir]@1\n!2 line is longer than 4096 bytes; split it\nb=c@3\n",
	    "one byte more is refused");
	is_string(read_long(100000, "k = "),
	    "[weir]@1\n!2 line is longer than 4096 bytes; split it\nb=c@3\n",
	    "a very long one is one error");
	is_string(read_long(4096, " [sect"),
	    "[weir]@1\n!2 line is longer than 4096 bytes; split it\n",
	    "behind a head that is too long keys are left out");
	ok(strstr(read_long(4000, "k = v ; "), "k=v@2\nb=c@3") != NULL, "a long comment");
	if (HAVE_INIH_GLOBALS)
		ok(read_quoted(INI_LINE_MAX), "a quoted value may be as long");

	memset(name, 'n', sizeof name);
	name[INI_NAME_MAX] = '\0';
	snprintf(text, sizeof text, "[%s]\n[server %s]\n%s = v\n", name, name, name);
	ok(strchr(read_text(text, strlen(text)), '!') == NULL, "names may have %u bytes",
	    INI_NAME_MAX);
	name[INI_NAME_MAX] = 'n';
	name[INI_NAME_MAX + 1] = '\0';
	snprintf(text, sizeof text, "[weir]\n%s = v\n", name);
	is_string(read_text(text, strlen(text)), "[weir]@1\n!2 key is longer than 48 bytes\n",
	    "a key that is too long");
	snprintf(text, sizeof text, "[server %s]\na = b\n", name);
	is_string(read_text(text, strlen(text)),
	    "!1 name is longer than 48 bytes; the section is left out\n",
	    "a name that is too long");
	snprintf(text, sizeof text, "[%.40s %.40s %.40s]\n", name, name, name);
	is_string(read_text(text, strlen(text)),
	    "!1 section head has too many words; write [KIND] or [KIND NAME]\n", "too many words");
}

/* ---------------------------------------------------------------------- files */

static char folder[] = "/tmp/weir-ini-XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) == EOF)
		bail_out("%s: cannot be written", name);
}

static const char *
read_file(const char *name)
{
	forget();
	heard.files = true;
	ini_read(path_of(name), &sink);
	return heard.text;
}

static void
test_include(void)
{
	mkdir(path_of("sub"), 0777);
	put("sub/1.conf", "k1 = v\n[one]\nk2 = v\n");
	put("sub/2.conf", "k3 = v\n");
	put("sub/3.txt", "k4 = v\n");
	put("main", "[weir]\na = b\ninclude = sub/*.conf ; both\nc = d\n[two]\ne = f\n");
	is_string(read_file("main"),
	    "[weir]@main:1\na=b@main:2\n<sub/*.conf@main:3\n"
	    "k1=v@1.conf:1\n[one]@1.conf:2\nk2=v@1.conf:3\nweir/k3=v@2.conf:1\n"
	    "weir/c=d@main:4\n[two]@main:5\ne=f@main:6\n",
	    "each file begins in the section that includes it, which goes on behind it");

	put("sub/up", "include = ../plain\nx = y\n");
	put("plain", "p = q");
	put("main", "[weir]\ninclude = sub/up\n");
	is_string(read_file("main"),
	    "[weir]@main:1\n<sub/up@main:2\n<../plain@up:1\np=q@plain:1\nx=y@up:2\n",
	    "names belong to the folder of the including file");

	put("main", "[weir]\ninclude = sub/*.none\ninclude = none\na = b\n");
	ok(strstr(read_file("main"), "!main:3 include") != NULL &&
		strstr(heard.text,
		    "/none: cannot be opened: No such file or directory\na=b@main:4\n"),
	    "a pattern may find nothing, a name may not");
	ok(strstr(heard.text, "!main:2") == NULL, "the pattern is fine");

	put("a b;c", "k5 = v\n");
	put("main", "[weir]\ninclude = \"a b;c\" ; quoted\ninclude = \"a b*\"\n"
		    "include = \"\"\ninclude = sub \"1.conf\"\n");
	is_string(read_file("main"),
	    "[weir]@main:1\n<\"a b;c\"@main:2\nk5=v@a b;c:1\n<\"a b*\"@main:3\nk5=v@a b;c:1\n"
	    "<\"\"@main:4\n!main:4 include = \"\": no file is named\n"
	    "<sub \"1.conf\"@main:5\n!main:5 include = sub \"1.conf\": quotes stand around all "
	    "of this value or not at all; in them a quote is \\\"\n",
	    "file names in quotes");

	put("main", "include = plain\n[weir]\na = b\n");
	is_string(read_file("main"),
	    "!main:1 keys stand before any section; write [weir] above them\n"
	    "[weir]@main:2\na=b@main:3\n",
	    "an include before any section");

	put("broken", "[a\nb = c\n[d]e\nf = g\n");
	put("main", "[weir]\ninclude = broken\nh = i\n");
	is_string(read_file("main"),
	    "[weir]@main:1\n<broken@main:2\n"
	    "!broken:1 section head has no ]; the section is left out\n"
	    "!broken:3 text behind the ] of a section head; a comment begins with a blank and ;\n"
	    "h=i@main:3\n",
	    "a bad head ends with its file");

	put("twice", "a = b\n");
	put("main", "[one]\ninclude = twice\n[two]\ninclude = twice\n");
	is_string(read_file("main"),
	    "[one]@main:1\n<twice@main:2\na=b@twice:1\n[two]@main:3\n<twice@main:4\na=b@twice:1\n",
	    "a file may be included twice");
}

static void
test_bad_files(void)
{
	unsigned i;
	char     name[32], text[64];

	read_file("missing");
	is_string(heard.text, "!missing:0 cannot be opened: No such file or directory\n",
	    "a file that is not there");
	read_file("sub");
	is_string(heard.text, "!sub:0 this is a directory; name files in it, DIR/*.conf\n",
	    "a directory");
	if (mkfifo(path_of("fifo"), 0600) == 0)
		is_string(read_file("fifo"), "!fifo:0 this is not a regular file\n",
		    "a FIFO is not waited for");
	put("main", "[weir]\ninclude = sub\n");
	ok(strstr(read_file("main"), "sub: this is a directory") != NULL, "a directory included");

	put("loop1", "include = loop2\na = b\n");
	put("loop2", "include = loop1\nc = d\n");
	put("main", "[weir]\ninclude = loop1\n");
	read_file("main");
	ok(strstr(heard.text, "!loop2:1 include ") != NULL &&
		strstr(heard.text, "(a loop)") != NULL &&
		strstr(heard.text, "a=b@loop1:2\n") != NULL,
	    "a loop is told where it closes, and the rest is read");
	put("main", "[weir]\ninclude = main\n");
	ok(strstr(read_file("main"), "!main:2 include ") != NULL, "a file that includes itself");

	for (i = 0; i <= INI_DEPTH_MAX; i++) {
		snprintf(name, sizeof name, "d%u", i);
		snprintf(text, sizeof text, "%sinclude = d%u\n", i == 0 ? "[weir]\n" : "", i + 1);
		put(name, text);
	}
	ok(strstr(read_file("d0"), "!d16:1 include d17: more than 16 files deep") != NULL,
	    "as deep as it goes");

	mkdir(path_of("many"), 0777);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "many/%03u", i);
		put(name, "a = b\n");
	}
	put("main", "[weir]\ninclude = many/*\nc = d\n");
	read_file("main");
	ok(strstr(heard.text, "a=b@254:1\n!main:2 include ") != NULL &&
		strstr(heard.text,
		    "many/255: too many files; put some of them together\nc=d@main:3\n"),
	    "too many files are one error");
}

int
main(void)
{
	char command[64];

	if (mkdtemp(folder) == NULL)
		bail_out("no folder");
	test_cases();
	test_lengths();
	test_include();
	test_bad_files();
	forget();
	snprintf(command, sizeof command, "rm -rf %s", folder);
	if (system(command) != 0)
		diag("%s is left", folder);
	return done_testing();
}
