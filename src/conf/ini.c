/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ini: the syntax of configuration files, through inih.
 *
 *	sources ─source_line─► line ─reader_next─► inih ─ini_take_value─► sink
 *	   ▲                    │ heads, errors ──────────────────────► sink
 *	   └─────────────────── include ───────────────────┘
 *
 * inih is given lines that hold a key and nothing else, one at a time, and
 * calls back before it asks for the next one: so the place of a value is known
 * exactly, and a line that inih did not understand is noticed at once.
 */
#include "conf/ini.h"

#include <sys/stat.h>
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/snapshot.h"
#include "conf/word.h"
#include "config.h"

#define HEAD_MAX  (2 * INI_NAME_MAX + 1)	/* two names and a blank */
#define ERROR_MAX 1024

/* Control bytes, which lines are refused for. */
#define STAND_IN_BLANK '\x01'
#define STAND_IN_TAB   '\x02'

/* The section that keys belong to. */
struct head {
	enum { HEAD_NONE, HEAD_GOOD, HEAD_BAD } state;
	void *section;			/* the sink's */
};

/* A file that is being read, or waits for its turn on top of the one that
 * included it. */
struct source {
	struct source *below;		/* on the stack */
	struct source *parent;		/* that included it; NULL: the first */
	struct place   included;	/* where */
	unsigned       depth;
	const char    *name;
	FILE          *file;		/* NULL: not yet open, or from memory */
	const char    *data;		/* from memory */
	const char    *end;
	dev_t          device;
	ino_t          inode;
	unsigned       line;
	struct head    head;
};

struct reader {
	const struct ini_sink *sink;
	struct source         *top;
	unsigned               opened;	/* files so far */
	bool                   expected;	/* inih has a key line and owes a value */
	struct place           place;	/* of that line */
};

enum line_end { LINE_WHOLE, LINE_LONG, LINE_NONE };

static void          reader_run(struct reader *);
static char         *reader_next(char *line, int size, void *context);
static bool          reader_line(struct reader *, char *line);
static bool          source_ready(struct reader *);
static const char   *source_open(struct source *, struct snapshot *);
static const char   *source_replay(struct source *, struct snapshot *);
static const char   *source_record(struct source *, struct snapshot *);
static void          reader_include_pattern(struct reader *, const char *shown, const char *path,
    const struct place *);
static void          source_pop(struct reader *);
static enum line_end source_line(struct reader *, char *line, size_t size, bool *nul);
static void          reader_take_head(struct reader *, char *line);
static const char   *head_fault(char *line, char *head);
static bool          reader_is_key_line(struct reader *, char *line);
static const char   *ini_key_fault(const char *line, const char *equals);
static const char   *ini_value_cut(char *value);
static void          ini_value_restore(char *value);
static int           ini_take_value(void *context, const char *, const char *key, const char *seen);
static void          reader_take_include(struct reader *, const char *value);
static void          reader_include_file(struct reader *, const char *path, const struct place *);
static bool          source_is_loop(const struct source *);
static const char   *ini_file_name(const char *path);
static void          reader_refuse_line(struct reader *, const char *line);
static void          reader_refuse_part(struct reader *);
static void          reader_fault(struct reader *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void          reader_fault_at(struct reader *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void         *ini_allocate(size_t);

#if HAVE_INIH_GLOBALS
static void
ini_prepare_inih(void)
{
	ini_use_stack = false;
	ini_initial_alloc = INI_LINE_MAX + 8;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_no_value = false;
	ini_allow_inline_comments = true;
	ini_stop_on_first_error = false;
}
#else
/* As it was compiled: the size of the buffer that it gives to reader_next says
 * how long a line may be. */
static void
ini_prepare_inih(void)
{
}
#endif

void
ini_read(const char *path, const struct ini_sink *sink)
{
	struct reader r = { .sink = sink };
	struct place  nowhere = { NULL, 0 };

	reader_include_file(&r, path, &nowhere);
	reader_run(&r);
}

void
ini_read_memory(const char *name, const char *data, size_t size, const struct ini_sink *sink)
{
	struct reader  r = { .sink = sink };
	struct source *s;

	s = ini_allocate(sizeof *s);
	s->name = ini_file_name(name);
	s->data = data;
	s->end = data + size;
	r.top = s;
	reader_run(&r);
}

static void
reader_run(struct reader *r)
{
	ini_prepare_inih();
	/* Its result is the first error's line, counted over all files: of no
	 * use, each error has been told already. */
	if (ini_parse_stream(reader_next, r, ini_take_value, r) == -2)
		reader_fault_at(r, (struct place){ NULL, 0 },
		    "out of memory; nothing more was read");
	while (r->top != NULL)
		source_pop(r);
}

/* inih's reader: the next line that holds a key. NULL at the end. */
static char *
reader_next(char *line, int size, void *context)
{
	struct reader *r = context;
	char           whole[INI_LINE_MAX + 2];
	size_t         length;

	if (r->expected) {
		r->expected = false;
		reader_fault_at(r, r->place, "this is not key = value");
	}
	while (source_ready(r)) {
		if (!reader_line(r, whole))
			continue;
		length = strlen(whole);
		/* Its own '\n' and the NUL. */
		if (length + 2 > (size_t)size) {
			reader_fault(r,
			    "line is longer than %d bytes, which is all that this inih takes; "
				 "split it",
			    size - 2);
			reader_refuse_line(r, whole);
			continue;
		}
		memcpy(line, whole, length + 1);
		r->expected = true;
		r->place = (struct place){ r->top->name, r->top->line };
		return line;
	}
	return NULL;
}

/* Reads a line of the top source. Returns whether it is a good key line of a
 * good section: without indentation and comment. */
static bool
reader_line(struct reader *r, char *line)
{
	const char *wrong = NULL;
	char       *start;
	bool        nul;

	switch (source_line(r, line, INI_LINE_MAX + 2, &nul)) {
	case LINE_NONE:
		source_pop(r);
		return false;
	case LINE_LONG:
		wrong = "line is longer than 4096 bytes; split it";
		break;
	case LINE_WHOLE:
		wrong = nul ? "line has a NUL byte; configuration files are plain text" : NULL;
		break;
	}
	start = line;
	if (r->top->line == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	start += strspn(start, " \t");
	if (wrong != NULL) {
		reader_fault(r, "%s", wrong);
		if (*start != '[') {
			reader_refuse_line(r, start);
			return false;
		}
		r->top->head.state = HEAD_BAD;
		reader_refuse_part(r);
		return false;
	}
	if (*start == '\0' || *start == ';' || *start == '#')
		return false;
	if (start != line)
		memmove(line, start, strlen(start) + 1);
	if (*line == '[') {
		reader_take_head(r, line);
		return false;
	}
	return reader_is_key_line(r, line);
}

/* Makes the top of the stack an open source. False: nothing is left. */
static bool
source_ready(struct reader *r)
{
	struct source *s;
	const char    *why;

	while ((s = r->top) != NULL && s->file == NULL && s->data == NULL) {
		if (s->parent != NULL)
			s->head = s->parent->head;
		why = source_open(s, r->sink->snapshot);
		if (why == NULL && source_is_loop(s))
			why = "this file is being read already (a loop); take the include away";
		if (why == NULL && ++r->opened > INI_FILES_MAX)
			why = "too many files; put some of them together";
		if (why == NULL)
			continue;
		if (s->parent == NULL)
			reader_fault_at(r, (struct place){ s->name, 0 }, "%s", why);
		else
			reader_fault_at(r, s->included, "include %s: %s", s->name, why);
		reader_refuse_part(r);
		source_pop(r);
		/* Said once, not for each file that a pattern found. */
		while (r->opened > INI_FILES_MAX && r->top != NULL && r->top->file == NULL)
			source_pop(r);
	}
	return r->top != NULL;
}

/* Returns NULL, or what is wrong. */
static const char *
source_open(struct source *s, struct snapshot *snapshot)
{
	static char text[256];
	const char *wrong = NULL;
	struct stat st;

	if (snapshot != NULL && snapshot->replays)
		return source_replay(s, snapshot);
	/* Before it is opened: to open a FIFO is to wait for its other end. */
	if (stat(s->name, &st) == 0 && !S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? "this is a directory; name files in it, DIR/*.conf"
					   : "this is not a regular file";
	if (snapshot != NULL)
		wrong = source_record(s, snapshot);
	else if ((s->file = fopen(s->name, "re")) == NULL || fstat(fileno(s->file), &st) < 0)
		wrong = strerror(errno);
	if (wrong != NULL) {
		snprintf(text, sizeof text, "cannot be opened: %s", wrong);
		return text;
	}
	if (snapshot == NULL) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
	}
	return NULL;
}

static const char *
source_use(struct source *s, const struct snapshot_record *r)
{
	s->device = (dev_t)r->device;
	s->inode = (ino_t)r->inode;
	s->file = fmemopen((void *)(uintptr_t)r->data, r->size, "r");
	return s->file == NULL ? strerror(errno) : NULL;
}

static const char *
source_replay(struct source *s, struct snapshot *snapshot)
{
	const struct snapshot_record *r = snapshot_next(snapshot, SNAPSHOT_FILE, s->name);

	return r != NULL ? source_use(s, r) : "its text was not kept";
}

/* What is read from here on is what was kept, whatever becomes of the file. */
static const char *
source_record(struct source *s, struct snapshot *snapshot)
{
	struct file                   file;
	const char                   *wrong = file_read(&file, s->name);
	const struct snapshot_record *kept = NULL;

	if (wrong == NULL) {
		kept = snapshot_add_file(snapshot, s->name, &file);
		wrong = kept == NULL ? strerror(errno) : NULL;
		file_free(&file);
	}
	return wrong == NULL ? source_use(s, kept) : wrong;
}

static void
source_pop(struct reader *r)
{
	struct source *s = r->top;

	r->top = s->below;
	if (s->file != NULL)
		fclose(s->file);
	free(s);
}

static int
source_byte(struct source *s)
{
	if (s->file != NULL)
		return getc_unlocked(s->file);
	return s->data < s->end ? (unsigned char)*s->data++ : EOF;
}

/* Reads up to the next newline, which is left out, as is a CR before it. What
 * does not fit is thrown away. */
static enum line_end
source_line(struct reader *r, char *line, size_t size, bool *nul)
{
	struct source *s = r->top;
	size_t         length = 0;
	bool           fits = true;
	int            byte;

	*nul = false;
	while ((byte = source_byte(s)) != EOF && byte != '\n') {
		*nul |= byte == '\0';
		fits = length < size - 1;
		if (fits)
			line[length++] = (char)byte;
	}
	if (byte == EOF && length == 0) {
		if (s->file != NULL && ferror(s->file))
			reader_fault(r, "cannot be read behind this line: %s", strerror(errno));
		return LINE_NONE;
	}
	s->line++;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	return fits && length <= INI_LINE_MAX ? LINE_WHOLE : LINE_LONG;
}

static void
reader_take_head(struct reader *r, char *line)
{
	struct source *s = r->top;
	char           head[HEAD_MAX + 1];
	const char    *wrong;

	wrong = head_fault(line, head);
	s->head.state = wrong == NULL ? HEAD_GOOD : HEAD_BAD;
	s->head.section = NULL;
	if (wrong == NULL) {
		s->head.section = r->sink->section(r->sink->context,
		    (struct place){ s->name, s->line }, head);
		return;
	}
	reader_fault(r, "%s", wrong);
	reader_refuse_part(r);
}

/* Puts what stands between the brackets into head. Returns NULL, or what is
 * wrong. */
static const char *
head_fault(char *line, char *head)
{
	static char text[128];
	char       *close, *rest, *word;
	size_t      length = 0, more;

	close = strchr(line, ']');
	if (close == NULL)
		return "section head has no ]; the section is left out";
	rest = close + 1 + strspn(close + 1, " \t");
	if (*rest != '\0' && (*rest != ';' || rest == close + 1))
		return "text behind the ] of a section head; a comment begins with a blank and ;";
	*close = '\0';
	for (line++; (word = str_word(&line)) != NULL;) {
		more = strlen(word);
		if (more > INI_NAME_MAX) {
			snprintf(text, sizeof text,
			    "name is longer than %u bytes; the section is left out", INI_NAME_MAX);
			return text;
		}
		if (length + (length > 0) + more > HEAD_MAX)
			return "section head has too many words; write [KIND] or [KIND NAME]";
		if (length > 0)
			head[length++] = ' ';
		memcpy(head + length, word, more);
		length += more;
	}
	head[length] = '\0';
	return length > 0 ? NULL : "section head is empty; write [KIND] or [KIND NAME]";
}

/* Checks what inih would take in silence; cuts the comment off. */
static bool
reader_is_key_line(struct reader *r, char *line)
{
	struct head *head = &r->top->head;
	char        *equals;
	const char  *wrong;

	if (head->state == HEAD_BAD)
		return false;
	equals = strpbrk(line, "=:");
	wrong = ini_key_fault(line, equals);
	if (wrong == NULL)
		wrong = ini_value_cut(equals + 1);
	if (wrong != NULL) {
		reader_fault(r, "%s", wrong);
		reader_refuse_line(r, line);
		return false;
	}
	if (head->state == HEAD_NONE) {
		reader_fault(r, "keys stand before any section; write [weir] above them");
		head->state = HEAD_BAD;
		return false;
	}
	return true;
}

/* equals: the first = or :, where inih ends the key. Returns NULL, or what is
 * wrong. */
static const char *
ini_key_fault(const char *line, const char *equals)
{
	static char text[256];
	char        shown[128];
	size_t      length;

	length = equals != NULL ? (size_t)(equals - line) : strlen(line);
	while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	str_printable(span_make(line, length < 60 ? length : 60), shown, sizeof shown);
	if (equals == NULL)
		snprintf(text, sizeof text, "\"%s\" is not key = value", shown);
	else if (length == 0)
		return "no key in front of the =; write key = value";
	else if (length > INI_NAME_MAX)
		snprintf(text, sizeof text, "key is longer than %u bytes", INI_NAME_MAX);
	else if (strspn(line, INI_NAME_BYTES) < length)
		snprintf(text, sizeof text,
		    "\"%s\" is no name for a key; letters, digits and _ - . make one", shown);
	else if (*equals == ':')
		snprintf(text, sizeof text, "a : behind the key; write %s = value", shown);
	else
		return NULL;
	return text;
}

/*
 * Ends the value in front of its comment. inih knows no quotes, and would see a
 * comment in each " ;" that is left: the blanks there get stand-ins, which no line
 * has of its own. Returns NULL, or what is wrong.
 */
static const char *
ini_value_cut(char *value)
{
	const char *wrong;
	size_t      length;

	wrong = word_fault(value, &length);
	if (wrong != NULL)
		return wrong;
	value[length] = '\0';
	for (char *p = value; *p != '\0'; p++) {
		if (p[0] == ' ' && p[1] == ';')
			*p = STAND_IN_BLANK;
		else if (p[0] == '\t' && p[1] == ';')
			*p = STAND_IN_TAB;
	}
	return NULL;
}

/* The other way: the value as it is written. */
static void
ini_value_restore(char *value)
{
	for (char *p = value; *p != '\0'; p++) {
		if (*p == STAND_IN_BLANK)
			*p = ' ';
		else if (*p == STAND_IN_TAB)
			*p = '\t';
	}
}

/* inih's handler: it has understood the line. */
static int
ini_take_value(void *context, const char *section, const char *key, const char *seen)
{
	struct reader *r = context;
	char           value[INI_LINE_MAX + 1];

	(void)section;		/* cut at 49 bytes; ours is in the source's head */
	r->expected = false;
	snprintf(value, sizeof value, "%s", seen);
	ini_value_restore(value);
	if (strcmp(key, "include") == 0)
		reader_take_include(r, value);
	else if (r->top->head.section != NULL)
		r->sink->value(r->top->head.section, r->place, key, value);
	return 1;
}

static void
reader_take_include(struct reader *r, const char *value)
{
	struct place place = r->place;
	char         pattern[INI_LINE_MAX + 1], *path;
	const char  *slash, *wrong;

	if (r->top->file == NULL) {
		reader_fault_at(r, place, "include works in files only");
		return;
	}
	if (r->sink->include != NULL && r->top->head.section != NULL)
		r->sink->include(r->top->head.section, place, value);
	wrong = word_whole(value, pattern);
	if (wrong == NULL && *pattern == '\0')
		wrong = "no file is named";
	if (wrong != NULL) {
		reader_fault_at(r, place, "include = %s: %s", value, wrong);
		reader_refuse_part(r);
		return;
	}
	if (r->top->depth == INI_DEPTH_MAX) {
		reader_fault_at(r, place,
		    "include %s: more than %u files deep; include it further up", pattern,
		    INI_DEPTH_MAX);
		reader_refuse_part(r);
		return;
	}
	slash = *pattern != '/' ? strrchr(r->top->name, '/') : NULL;
	if (asprintf(&path, "%.*s%s", slash != NULL ? (int)(slash - r->top->name) + 1 : 0,
		r->top->name, pattern) < 0) {
		reader_fault_at(r, place, "include %s: out of memory", pattern);
		return;
	}
	if (strpbrk(path, "*?[") == NULL) {
		reader_include_file(r, path, &place);
		free(path);
		return;
	}
	reader_include_pattern(r, pattern, path, &place);
	free(path);
}

/* The paths that a pattern matches, each with its NUL: from the snapshot, or from the
 * file system, and then added to it. *all is to be freed. Returns why not, or NULL. */
static const char *
reader_match(struct reader *r, const char *path, char **all, size_t *size)
{
	struct snapshot              *snapshot = r->sink->snapshot;
	const struct snapshot_record *known;
	struct snapshot_record        record = { .kind = SNAPSHOT_PATTERN, .name = path };
	glob_t                        found;
	FILE                         *out;
	int                           error;

	if (snapshot != NULL && snapshot->replays) {
		known = snapshot_next(snapshot, SNAPSHOT_PATTERN, path);
		if (known == NULL)
			return "what it matched was not kept";
		*size = known->size;
		*all = memcpy(ini_allocate(known->size + 1), known->data, known->size);
		return NULL;
	}
	error = glob(path, GLOB_ERR, NULL, &found);
	if (error != 0 && error != GLOB_NOMATCH)
		return error == GLOB_NOSPACE ? "out of memory" : strerror(errno);
	out = open_memstream(all, size);
	for (size_t i = 0; error == 0 && out != NULL && i < found.gl_pathc; i++)
		fwrite(found.gl_pathv[i], 1, strlen(found.gl_pathv[i]) + 1, out);
	globfree(&found);
	if (out == NULL || fclose(out) != 0)
		return "out of memory";
	record.data = *all;
	record.size = *size;
	return snapshot == NULL || snapshot_add(snapshot, &record) != NULL ? NULL : "out of memory";
}

static void
reader_include_pattern(struct reader *r, const char *shown, const char *path,
    const struct place *place)
{
	char       *all = NULL;
	size_t      size = 0, end, start;
	const char *wrong = reader_match(r, path, &all, &size);

	if (wrong != NULL) {
		reader_fault_at(r, *place, "include %s: %s", shown, wrong);
		reader_refuse_part(r);
	}
	/* From the last on: the first is to be on top of the stack. */
	for (end = size; wrong == NULL && end > 0; end = start) {
		for (start = end - 1; start > 0 && all[start - 1] != '\0';)
			start--;
		reader_include_file(r, all + start, place);
	}
	free(all);
}

static void
reader_include_file(struct reader *r, const char *path, const struct place *place)
{
	struct source *s, *parent;

	/* Those that were put on the stack before it have the same parent. */
	for (parent = r->top; parent != NULL && parent->file == NULL;)
		parent = parent->below;
	s = ini_allocate(sizeof *s);
	s->name = ini_file_name(path);
	s->parent = parent;
	s->depth = parent != NULL ? parent->depth + 1 : 0;
	s->included = *place;
	s->below = r->top;
	r->top = s;
}

/* Whether the file is one of those that led to it. */
static bool
source_is_loop(const struct source *s)
{
	const struct source *other;

	for (other = s->parent; other != NULL; other = other->parent)
		if (other->device == s->device && other->inode == s->inode)
			return true;
	return false;
}

/* The one copy of a name, which lives as long as the process. */
static const char *
ini_file_name(const char *path)
{
	struct name {
		struct name *next;
		char         text[];
	};
	static struct name *names;
	struct name *n;
	size_t size;

	for (n = names; n != NULL; n = n->next)
		if (strcmp(n->text, path) == 0)
			return n->text;
	size = strlen(path) + 1;
	n = ini_allocate(sizeof *n + size);
	memcpy(n->text, path, size);
	n->next = names;
	names = n;
	return n->text;
}

static void
reader_refuse_line(struct reader *r, const char *line)
{
	const struct head *head = &r->top->head;
	char               key[INI_NAME_MAX + 1];

	if (r->sink->refused == NULL || head->state != HEAD_GOOD || head->section == NULL)
		return;
	snprintf(key, sizeof key, "%.*s", (int)strspn(line, INI_NAME_BYTES), line);
	r->sink->refused(r->sink->context, head->section,
	    (struct place){ r->top->name, r->top->line }, key);
}

static void
reader_refuse_part(struct reader *r)
{
	if (r->sink->refused != NULL)
		r->sink->refused(r->sink->context, NULL, (struct place){ NULL, 0 }, NULL);
}

static void
reader_fault(struct reader *r, const char *format, ...)
{
	char    text[ERROR_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	reader_fault_at(r, (struct place){ r->top->name, r->top->line }, "%s", text);
}

static void
reader_fault_at(struct reader *r, struct place place, const char *format, ...)
{
	char    text[ERROR_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	r->sink->error(r->sink->context, place, text);
}

static void *
ini_allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL) {
		log_alert("out of memory while the configuration is read");
		exit(1);
	}
	return memory;
}
