/* SPDX-License-Identifier: BSD-2-Clause */
/* admission: who may begin, who waits, and who is given up for others. */
#include "net/admission.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "tap.h"
#include "until.h"

/* Handshakes that may be open, and who wants to be. */
enum { MOST = 2, ALL = 6 };

static struct who {
	struct conn            conn;
	struct admission_place place;
	enum admission_answer  answer;
	int                    far;
	bool                   wants;	/* to be open */
} all[ALL];
static struct admission admission;
static const char       here, there;	/* other ends */

static enum admission_answer
who_enter(struct who *w)
{
	w->wants = true;
	return w->answer = admission_enter(&admission, &w->place);
}

static void
who_leave(struct who *w)
{
	w->wants = false;
	admission_leave(&admission, &w->place);
}

static void
who_ready(struct conn *c)
{
	struct who *w = container_of(c, struct who, conn);

	if (w->place.given_up || (w->wants && !w->place.open && who_enter(w) == ADMISSION_GONE))
		who_leave(w);
}

static const struct conn_handler handler = { who_ready, who_ready };

/* All of them are connected. age: of those that are given up. */
static void
crowd_gather(uint64_t age)
{
	int fds[2];

	memset(all, 0, sizeof all);
	admission_start(&admission, MOST);
	admission.age = age;
	for (unsigned i = 0; i < ALL; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0 ||
		    conn_adopt(&all[i].conn, fds[0], &handler) < 0)
			bail_out("socketpair: %s", strerror(errno));
		all[i].far = fds[1];
		all[i].place.conn = &all[i].conn;
		all[i].place.with = &here;
	}
}

static void
crowd_scatter(void)
{
	admission_stop(&admission);
	for (unsigned i = 0; i < ALL; i++) {
		conn_close(&all[i].conn);
		if (all[i].far >= 0)
			close(all[i].far);
	}
}

/* The first n, in their order. */
static void
crowd_enter(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)who_enter(&all[i]);
}

/* A letter for each: open, waiting, or neither. */
static const char *
crowd_describe(void)
{
	static char text[ALL + 1];

	for (unsigned i = 0; i < ALL; i++)
		text[i] = all[i].place.open ? 'o' : admission_waits(&all[i].place) ? 'w' : '-';
	return text;
}

static const char *wanted;

static bool
is_wanted(void)
{
	return strcmp(crowd_describe(), wanted) == 0;
}

static bool
crowd_becomes(const char *description)
{
	wanted = description;
	return run_until(is_wanted);
}

static void
test_order(void)
{
	crowd_gather(ADMISSION_AGE);
	crowd_enter(5);
	is_string(crowd_describe(), "oowww-", "so many are open, and others wait");
	ok(all[2].place.waited && !all[1].place.waited, "those that had to know it");
	is_number(who_enter(&all[4]), ADMISSION_WAITS, "asking helps nobody");
	who_leave(&all[2]);
	is_string(crowd_describe(), "oo-ww-", "one that waits leaves");
	who_leave(&all[0]);
	is_number(who_enter(&all[5]), ADMISSION_WAITS,
	    "who comes now is behind those that wait");
	ok(crowd_becomes("-o-oww"), "the first of them is called");
	who_leave(&all[1]);
	who_leave(&all[3]);
	ok(crowd_becomes("----oo"), "where two have left in one pass two begin");
	who_leave(&all[4]);
	who_leave(&all[4]);
	is_number(admission.count, 1, "leaving twice is once");
	crowd_scatter();
}

static void
test_batch(void)
{
	unsigned may = 0;

	crowd_gather(ADMISSION_AGE);
	for (unsigned i = 0; i < 2 * ADMISSION_BATCH; i++)
		may += admission_may_compute(&admission, &all[0].place);
	is_number(may, ADMISSION_BATCH, "in one pass so many compute");
	is_number(who_enter(&all[0]), ADMISSION_WAITS, "and nobody begins");
	ok(!all[0].place.waited, "which is not because of others");
	ok(crowd_becomes("o-----"), "but in the next");
	crowd_scatter();
}

static void
test_gone(void)
{
	crowd_gather(ADMISSION_AGE);
	crowd_enter(4);
	close(all[1].far);
	close(all[2].far);
	all[1].far = all[2].far = -1;
	ok(crowd_becomes("oo-w--"), "who goes while he waits leaves");
	is_number(all[2].answer, ADMISSION_GONE, "and is told so");
	ok(all[1].place.open, "of one that is open the handshake knows");
	crowd_scatter();
}

static void
test_age(void)
{
	crowd_gather(20);
	all[3].place.with = &there;
	crowd_enter(4);
	ok(crowd_becomes("--oo--"), "the oldest are given up, as many as wait");
	ok(all[0].place.given_up && all[1].place.given_up, "and told so");
	crowd_scatter();

	crowd_gather(20);
	all[1].place.with = &there;
	crowd_enter(3);
	ok(crowd_becomes("o-o---"), "not where all that wait are with the same other end");
	ok(!all[0].place.given_up && all[1].place.given_up, "but who is with another");
	crowd_scatter();

	crowd_gather(20);
	for (unsigned i = 0; i < ALL; i++)
		all[i].place.with = NULL;
	crowd_enter(3);
	ok(crowd_becomes("-oo---"), "other ends that have one each are all different");
	crowd_scatter();

	crowd_gather(ADMISSION_AGE);
	all[2].place.with = &there;
	crowd_enter(3);
	ok(crowd_becomes("oow---") && !all[0].place.given_up, "and nobody before his time");
	crowd_scatter();
}

int
main(void)
{
	if (loop_open(65536, conn_fired) < 0)
		bail_out("loop_open: %s", strerror(errno));
	conn_start();
	until_init();
	test_order();
	test_batch();
	test_gone();
	test_age();
	loop_close();
	return done_testing();
}
