/* SPDX-License-Identifier: BSD-2-Clause */
/* conn: facts, sending, ends, turns, over real sockets. */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "tap.h"
#include "until.h"

static struct conn  conn;	/* our side */
static int          far = -1;	/* the other one */
static unsigned     turns, expirations;

static void
ready(struct conn *c)
{
	(void)c;
	turns++;
}

static void
expired(struct conn *c)
{
	(void)c;
	expirations++;
}

static const struct conn_handler handler = { ready, expired };

static void
connect_pair(void)
{
	int ends[2];

	connect_ends(ends);
	far = ends[1];
	conn = (struct conn){ 0 };
	turns = expirations = 0;
	if (conn_adopt(&conn, ends[0], &handler) < 0)
		bail_out("conn_adopt: %s", strerror(errno));
}

static void
disconnect_pair(void)
{
	conn_close(&conn);
	if (far >= 0)
		close(far);
	far = -1;
}

static bool
is_writable(void)
{
	return conn.writable;
}
static bool
is_readable(void)
{
	return conn.readable;
}
static bool
is_closed(void)
{
	return conn.closed;
}
static bool
is_write_shut(void)
{
	return conn.write_shut;
}
static bool
has_expired(void)
{
	return expirations > 0;
}

static void
test_facts(void)
{
	char got[16];

	connect_pair();
	ok(run_until(is_writable), "a fresh socket becomes writable");
	ok(!conn.readable && !conn.closed && !conn.eof, "and nothing else");
	is_number(write(far, "hello", 5), 5, "the peer writes");
	ok(run_until(is_readable), "which makes it readable");
	is_number((long long)conn_read(&conn, got, 3), 3, "a full read");
	ok(conn.readable, "leaves it readable");
	is_number((long long)conn_read(&conn, got, sizeof got), 2, "a short one");
	ok(!conn.readable, "does not");
	is_number((long long)conn_read(&conn, got, sizeof got), 0, "then there is nothing");
	ok(!conn.eof && !conn.broken, "which is neither the end nor an error");
	disconnect_pair();
}

static bool
is_bytes(struct weir_span got, const char *wanted, size_t length)
{
	return got.len == length && memcmp(got.data, wanted, length) == 0;
}

static struct weir_span taken;

/* Takes and keeps all, or until there are so many. */
static size_t wanted;

static bool
has_taken(void)
{
	if (conn.readable) {
		taken = conn_take(&conn, 65536);
		if (taken.len > 0 && !conn_keep(&conn, taken, 0))
			bail_out("conn_keep: no memory");
	}
	return buf_len(conn.in) >= wanted;
}

static bool
take_until(size_t bytes)
{
	wanted = bytes;
	return run_until(has_taken);
}

static void
test_take_small(void)
{
	connect_pair();
	run_until(is_writable);
	taken = conn_take(&conn, 65536);
	ok(taken.len == 0 && !conn.eof && !conn.broken, "nothing has come");
	is_number(write(far, "hello", 5), 5, "five bytes");
	run_until(is_readable);
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, "hello", 5), "are taken");
	ok(taken.data == loop_scratch(), "in the scratch buffer");
	ok(conn_keep(&conn, taken, 2), "two of them are used");
	is_number((long long)buf_len(conn.in), 3, "three wait");
	is_number(write(far, "world", 5), 5, "five more");
	run_until(is_readable);
	taken = conn_take(&conn, 6);
	ok(is_bytes(taken, "llowor", 6), "come behind them, up to the limit");
	ok(conn_keep(&conn, taken, 0), "all are kept");
	taken = conn_take(&conn, 6);
	ok(taken.len == 0 && !conn.eof, "at the limit nothing is read, which is no end");
	ok(is_bytes(buf_span(conn.in), "llowor", 6), "what waits is unharmed");
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, "lloworld", 8), "then all");
	ok(conn_keep(&conn, taken, 8) && conn.in == NULL, "all are used: no buffer is left");
	disconnect_pair();
}

/* A long message is read where it lies. */
static void
test_take_large(void)
{
	static char bytes[10000];
	const char *where;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i % 251);
	connect_pair();
	run_until(is_writable);
	is_number(write(far, bytes, 4095), 4095, "just below the limit of copying");
	ok(take_until(4095), "are kept");
	ok(taken.data == loop_scratch(), "by a copy");
	is_number(write(far, bytes + 4095, 1), 1, "one more");
	ok(take_until(4096), "is kept");
	ok(taken.data == loop_scratch(), "by a copy, too");
	for (size_t i = 4096; i < 8000; i++) {
		if (write(far, bytes + i, 1) != 1 || !take_until(i + 1) ||
		    taken.data != buf_span(conn.in).data) {
			ok(false, "byte %zu is not read where the others lie", i);
			break;
		}
	}
	ok(is_bytes(buf_span(conn.in), bytes, 8000), "byte by byte, in place");
	is_number(write(far, bytes + 8000, 2000), 2000, "the rest");
	run_until(is_readable);
	taken = conn_take(&conn, 8001);
	ok(is_bytes(taken, bytes, 8001), "is read up to the limit");
	ok(conn_keep(&conn, taken, 0), "and kept");
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, bytes, 10000), "then all of it");
	where = taken.data;
	ok(conn_keep(&conn, taken, 9990), "most is used");
	ok(is_bytes(buf_span(conn.in), bytes + 9990, 10), "the end waits");
	ok(where != loop_scratch(), "it was not copied for that");
	shutdown(far, SHUT_WR);
	run_until(is_closed);
	taken = conn_take(&conn, 65536);
	ok(taken.len == 0 && conn.eof, "the end of the peer is found");
	is_number((long long)buf_len(conn.in), 10, "and what waits is still there");
	disconnect_pair();
}

static void
test_put_back(void)
{
	char got[16];

	connect_pair();
	run_until(is_writable);
	is_number(write(far, "headhello", 9), 9, "what one is to read, and what another");
	run_until(is_readable);
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, "headhello", 9), "is taken");
	ok(conn_put_back(&conn, taken, 4), "the other's is put back");
	ok(!conn.readable && conn_may_read(&conn), "and can be read, although the socket is empty");
	is_number((long long)conn_kept(&conn), 0, "nobody has kept it");
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, "hello", 5), "it is taken");
	ok(conn_keep(&conn, taken, 1), "kept");
	ok(!conn_may_read(&conn), "nothing else waits");
	is_number((long long)conn_kept(&conn), 4, "as what was kept");
	is_number(write(far, "!", 1), 1, "what comes");
	run_until(is_readable);
	taken = conn_take(&conn, 65536);
	ok(is_bytes(taken, "ello!", 5), "is behind it");
	ok(conn_put_back(&conn, taken, 0), "all is put back");
	shutdown(far, SHUT_WR);
	run_until(is_closed);
	is_number((long long)conn_read(&conn, got, 3), 3, "it is read in parts");
	is_number((long long)conn_read(&conn, got + 3, 8), 2, "to its end");
	ok(memcmp(got, "ello!", 5) == 0 && conn.in == NULL, "and then no buffer is left");
	is_number((long long)conn_read(&conn, got, 3), 0, "then nothing");
	ok(conn.eof, "and the end");
	disconnect_pair();
	connect_pair();
	run_until(is_writable);
	is_number(write(far, "head", 4), 4, "nothing else");
	run_until(is_readable);
	taken = conn_take(&conn, 65536);
	ok(conn_put_back(&conn, taken, 4) && conn.in == NULL, "is put back");
	ok(!conn_may_read(&conn), "and nothing can be read");
	disconnect_pair();
}

static void
test_end_with_data(void)
{
	char got[16];

	connect_pair();
	is_number(send(far, "bye", 3, MSG_MORE), 3, "bytes that wait for more");
	shutdown(far, SHUT_WR);
	ok(run_until(is_closed), "come with the FIN");
	is_number((long long)conn_read(&conn, got, sizeof got), 3, "a short read");
	ok(conn.readable, "does not hide the end behind it");
	is_number((long long)conn_read(&conn, got, sizeof got), 0, "which is read next");
	ok(conn.eof && !conn.readable && !conn.broken, "as the end");
	disconnect_pair();
}

/* Reads from the far side whatever is there. */
static size_t
drain(int flags)
{
	static char sink[65536];
	size_t      all = 0;
	ssize_t     n;

	while ((n = recv(far, sink, sizeof sink, flags)) > 0)
		all += (size_t)n;
	return all;
}

static size_t drained;

static bool
is_sent(void)
{
	drained += drain(MSG_DONTWAIT);
	return conn_flush(&conn) && conn_waiting(&conn) == 0;
}

static void
test_backpressure(void)
{
	static char block[65536];
	size_t      sent = 0;

	connect_pair();
	run_until(is_writable);
	memset(block, 'x', sizeof block);
	while (conn_waiting(&conn) == 0 && sent < 64u << 20) {
		ok(conn_send(&conn, span_make(block, sizeof block)), "sends %zu", sizeof block);
		sent += sizeof block;
	}
	ok(conn_waiting(&conn) > 0 && conn_waiting(&conn) <= sizeof block,
		"what the socket does not take waits: %zu bytes", conn_waiting(&conn));
	ok(!conn.writable, "and it is not writable");
	ok(conn_gather(&conn, span_make("end", 3)), "more is put behind it");
	sent += 3;
	conn_finish(&conn);
	ok(!conn.finished, "the end waits for the bytes before it");
	drained = 0;
	conn.progress = false;
	ok(run_until(is_sent), "all goes out when the peer reads");
	ok(conn.progress && conn.out == NULL, "with progress noted and the buffer given back");
	ok(conn.finished, "and the end behind it");
	drained += drain(0);
	is_number((long long)drained, (long long)sent, "the peer has it all, and the end");
	disconnect_pair();
}

/* Whoever reads while `readable` is set comes to an end. */
static void
test_end_told_again(void)
{
	static char block[65536];
	char        got[16];

	connect_pair();
	shutdown(far, SHUT_WR);
	ok(run_until(is_closed), "the peer ends its side");
	is_number((long long)conn_read(&conn, got, sizeof got), 0, "which is read");
	ok(conn.eof && !conn.readable, "as the end");
	while (conn_waiting(&conn) == 0 && conn_send(&conn, span_make(block, sizeof block)))
		;
	drained = 0;
	ok(run_until(is_sent), "what has waited is sent");
	ok(conn.readable, "and the event told of the end, too");
	is_number((long long)conn_read(&conn, got, sizeof got), 0, "which is no news");
	ok(conn.eof && !conn.readable, "and does not stay readable");
	disconnect_pair();
}

static void
reset_far(void)
{
	struct linger hard = { 1, 0 };

	setsockopt(far, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(far);
	far = -1;
}

static bool
is_broken_by_reading(void)
{
	char got[16];

	if (conn.readable)
		(void)conn_read(&conn, got, sizeof got);
	return conn.broken;
}

static bool
is_not_rechecked(void)
{
	return conn.recheck == 0;
}

static void
test_reset(void)
{
	char got[16];

	connect_pair();
	reset_far();
	ok(run_until(is_broken_by_reading), "a reset is found by reading");
	is_number(conn.error, ECONNRESET, "with its errno");
	ok(!conn_send(&conn, span_make("x", 1)), "nothing can be sent any more");
	disconnect_pair();

	connect_pair();
	run_until(is_writable);
	is_number(write(far, "unread", 6), 6, "bytes that nobody reads");
	run_until(is_readable);
	reset_far();
	ok(run_until(is_write_shut), "a reset is seen while reading is paused");
	is_number(conn.error, ECONNRESET, "with its errno");
	ok(!conn.broken && conn.readable, "what came before is still there");
	is_number(conn_read(&conn, got, sizeof got), 6, "all of it");
	is_number(conn_read(&conn, got, sizeof got), 0, "and nothing behind it");
	ok(conn.broken && !conn.eof, "which is no good end");
	disconnect_pair();
}

/* One event tells both, and does not say so. */
static void
test_reset_behind_data(void)
{
	char got[16];

	connect_pair();
	run_until(is_writable);
	is_number(write(far, "last", 4), 4, "bytes");
	reset_far();
	ok(run_until(is_readable), "and a reset behind them");
	is_number(conn_read(&conn, got, sizeof got), 4, "are read");
	ok(run_until(is_broken_by_reading), "it is made readable again, and the reset is found");
	is_number(conn.error, ECONNRESET, "with its errno");
	is_number(conn.recheck, 0, "after which it is not looked at any more");
	disconnect_pair();

	connect_pair();
	run_until(is_writable);
	is_number(write(far, "last", 4), 4, "bytes");
	reset_far();
	ok(run_until(is_write_shut), "nobody reads them: the reset is found nevertheless");
	is_number(conn_read(&conn, got, sizeof got), 4, "and they are still there");
	disconnect_pair();

	connect_pair();
	run_until(is_writable);
	is_number(write(far, "ask", 3), 3, "a question");
	run_until(is_readable);
	is_number(conn_read(&conn, got, sizeof got), 3, "that is read");
	ok(conn.recheck != 0 && conn.unsure, "may have to be looked at again");
	ok(conn_send(&conn, span_make("answer", 6)) && !conn.unsure,
	    "but not when it was answered");
	turns = 0;
	ok(run_until(is_not_rechecked), "it is let go");
	ok(turns == 0 && !conn.readable, "without being read");
	is_number(write(far, "ask", 3), 3, "a question");
	run_until(is_readable);
	is_number(conn_read(&conn, got, sizeof got), 3, "that is read");
	ok(conn.recheck != 0, "may have to be looked at again");
	disconnect_pair();
	is_number(conn.recheck, 0, "not when it is closed");
}

static void
test_detach(void)
{
	char got[16];
	int  fd;

	connect_pair();
	run_until(is_writable);
	ok(conn_gather(&conn, span_make("kept", 4)), "bytes wait");
	conn_arm(&conn, loop_now() + 1);
	conn_again(&conn);
	turns = 0;
	fd = conn_detach(&conn);
	ok(fd >= 0, "the descriptor is given back");
	is_number(conn_detach(&conn), -1, "once");
	ok(!timer_armed(&conn.timer) && !node_linked(&conn.task.link),
		"timer and turn are cancelled");
	is_number(write(far, "more", 4), 4, "the peer writes");
	ok(conn_adopt(&conn, fd, &handler) == 0, "another one takes it over");
	is_number((long long)conn_waiting(&conn), 4, "with what waited");
	ok(run_until(is_readable), "and sees what came in between");
	is_number((long long)conn_read(&conn, got, sizeof got), 4, "all of it");
	ok(conn_flush(&conn) && recv(far, got, sizeof got, 0) == 4, "and sends");
	is_number(expirations, 0, "no timer of the former life has fired");
	disconnect_pair();
}

static bool
has_had_a_turn(void)
{
	return turns > 0;
}

static void
test_turns_and_timers(void)
{
	uint64_t armed;

	connect_pair();
	run_until(is_writable);
	turns = 0;
	conn_again(&conn);
	conn_again(&conn);
	ok(run_until(has_had_a_turn), "a turn comes without an event");
	is_number(turns, 1, "one, however often it was asked for");
	armed = loop_now();
	conn_arm(&conn, armed + 20);
	ok(run_until(has_expired), "a timer fires");
	ok(loop_read_clock() >= armed + 20, "not early");
	conn_arm(&conn, loop_now() + 5);
	conn_again(&conn);
	turns = expirations = 0;
	disconnect_pair();
	connect_pair();
	ok(run_until(is_writable), "another conn comes after it");
	conn_arm(&conn, loop_now() + 30);
	ok(run_until(has_expired), "and has its own timer");
	is_number(expirations, 1, "the closed one's has not fired");
	conn_close(&conn);
	conn_close(&conn);
	ok(!conn.open, "closing twice is closing once");
	disconnect_pair();
}

int
main(void)
{
	if (loop_open(65536, conn_fired) < 0)
		bail_out("loop_open: %s", strerror(errno));
	conn_start();
	until_init();
	test_facts();
	test_take_small();
	test_take_large();
	test_put_back();
	test_end_with_data();
	test_backpressure();
	test_end_told_again();
	test_reset();
	test_reset_behind_data();
	test_detach();
	test_turns_and_timers();
	is_number((long long)buf_stats().lent, 0, "no buffer is left out");
	buf_trim();
	loop_close();
	return done_testing();
}
