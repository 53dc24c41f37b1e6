/* SPDX-License-Identifier: BSD-2-Clause */
/* line: tagged lines, and what is said of replies, however they are cut. */
#include "base/str.h"
#include "stress/mode_line.h"
#include "stress/worker.h"
#include "unit/tap.h"

static struct run    run = { .size = 64 };
static struct tally  tally;
static struct stress_client client;

static void
begin(uint64_t id, const char *failure)
{
	memset(&client, 0, sizeof client);
	memset(&tally, 0, sizeof tally);
	client.id = id;
	client.asked = 3;
	run.failure = failure;
	worker.run = &run;
	worker.tally = &tally;
}

/* Hands a reply over in parts of n bytes. */
static enum take
hand_over(struct weir_span s, size_t n)
{
	enum take take = TAKE_MORE;
	size_t    used, len;

	while (s.len > 0 && take == TAKE_MORE) {
		len = s.len < n ? s.len : n;
		used = len;
		take = stress_line_reply(&client, span_make(s.data, len), &used);
		s = span_skip(s, used);
	}
	return take;
}

static void
right(void)
{
	char   text[128];
	size_t len;

	for (size_t n = 1; n <= 64; n += 7) {
		begin(7, NULL);
		len = stress_line_write(7, 1, text);
		is_number(len, 64, "a line has 64 bytes");
		ok(strncmp(text, "c7 1 ", 5) == 0 && text[63] == '\n', "a tag, and a newline");
		ok(hand_over(span_make(text, len), n) == TAKE_REPLY, "in parts of %zu it is right",
		    n);
		is_number(client.position, 0, "and over");
	}
	begin(UINT64_MAX, NULL);
	len = stress_line_write(UINT64_MAX, UINT64_MAX, text);
	ok(len <= 64, "the longest tag has room");
}

static void
wrong(void)
{
	char   text[256];
	size_t len, missed = 0, used;

	for (size_t at = 0; at < 64; at++) {
		begin(7, "no answer");
		len = stress_line_write(7, 1, text);
		text[at] ^= 1;
		missed += hand_over(span_make(text, len), 1 + at % 9) != TAKE_WRONG;
	}
	is_number(missed, 0, "each wrong byte is found");
	begin(7, NULL);
	len = stress_line_write(7, 2, text);
	ok(hand_over(span_make(text, len), 64) == TAKE_WRONG, "the next request's reply is wrong");
	ok(strstr(tally.wrong, "connection 7, reply 1") != NULL, "it says so: %s", tally.wrong);
	begin(7, NULL);
	len = stress_line_write(8, 1, text);
	ok(hand_over(span_make(text, len), 64) == TAKE_WRONG,
	    "another connection's reply is wrong");
	begin(7, NULL);
	len = stress_line_write(7, 1, text);
	len += stress_line_write(7, 2, text + len);
	used = len;
	ok(stress_line_reply(&client, span_make(text, len), &used) == TAKE_REPLY && used == 64,
	    "of two replies the first is taken");
}

static void
failures(void)
{
	static const char *const texts[] = { "no answer", "c", "c7", "c7 1 ", "c7 1 zz", "x" };
	char                     reply[128];
	unsigned                 bad = 0;

	for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		snprintf(reply, sizeof reply, "%s\n", texts[i]);
		for (size_t n = 1; n <= strlen(reply); n++) {
			begin(7, texts[i]);
			bad += hand_over(span_of(reply), n) != TAKE_FAILED;
			bad += client.position != 0 || client.failing;
		}
	}
	is_number(bad, 0, "the failure text is known, also where it begins as a line does");
	begin(7, "no answer");
	ok(hand_over(span_of("no answer at all\n"), 5) == TAKE_WRONG, "a longer text is wrong");
	begin(7, "no answer");
	ok(hand_over(span_of("no ans\n"), 5) == TAKE_WRONG, "a shorter one, too");
	begin(7, NULL);
	ok(hand_over(span_of("no answer\n"), 5) == TAKE_WRONG, "and any, if there is to be none");
}

/* Of a mode whose lines are of any size. */
static void
varied(void)
{
	static char text[6000], again[6000];
	unsigned    bad = 0, smaller = 0, large = 0;
	size_t      len;

	run.size = sizeof text;
	run.mode = &mode_unruly;
	for (uint64_t n = 1; n <= 4000; n++) {
		begin(n % 50, NULL);
		client.answered = n - 1;
		len = stress_line_write(client.id, n, text);
		bad += len < LINE_LEAST || len > run.size || text[len - 1] != '\n';
		bad += stress_line_write(client.id, n, again) != len ||
		    memcmp(text, again, len) != 0;
		bad += hand_over(span_make(text, len), 1 + n * 7 % 3000) != TAKE_REPLY;
		smaller += len < run.size / 4;
		large += len > run.size * 3 / 4;
	}
	is_number(bad, 0, "lines of any size are the same when they are due");
	ok(smaller > 2000 && large > 100, "%u are short, %u are long", smaller, large);
	run.size = 64;
	run.mode = NULL;
}

int
main(void)
{
	varied();	/* the longest first: room for a line is made once */
	right();
	wrong();
	failures();
	run.size = 31;
	ok(stress_line_check(&run) != NULL, "31 bytes are too few");
	run.size = 32;
	ok(stress_line_check(&run) == NULL, "32 are not");
	return done_testing();
}
