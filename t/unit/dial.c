/* SPDX-License-Identifier: BSD-2-Clause */
/* dial: what becomes of connecting, over real sockets. */
#include "net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "net/conn.h"
#include "net/sock.h"
#include "net/tls.h"
#include "tap.h"
#include "until.h"

/* Handshakes that may be open, and how many want to be. */
enum { HANDSHAKES = 6, CROWD = 14 };

static struct crowded {
	struct conn conn;
	struct dial dial;
} crowd[CROWD];
static unsigned          begun, most_begun;	/* handshakes: in all; in one pass */

static struct conn       conn;
static struct dial       dial;
static struct addr       target;
static unsigned          attempts, turns;
static char              folder[] = "/tmp/weir-dial.XXXXXX";

static void
dial_ready(struct conn *c)
{
	(void)c;
	turns++;
	(void)dial_check(&dial);
}

static const struct conn_handler handler = { dial_ready, dial_ready };

static int
dial_target(struct dial *d)
{
	static const struct sock_options options;

	(void)d;
	attempts++;
	return sock_connect(&target, NULL, &options);
}

/* From the very port that it connects to. */
static int
dial_self(struct dial *d)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)d;
	if (fd < 0 || bind(fd, &target.sa, target.len) < 0 ||
	    (connect(fd, &target.sa, target.len) < 0 && errno != EINPROGRESS))
		bail_out("no socket that connects to itself: %s", strerror(errno));
	return fd;
}

static const struct dial_ops to_target = { .connect = dial_target };
static const struct dial_ops to_itself = { .connect = dial_self };

static struct dial_tls whom = { .timeout = GUARD };

static struct dial_tls *
dial_whom(struct dial *d)
{
	(void)d;
	return &whom;
}

static ssize_t
dial_preface(struct dial *d, char out[PROXY_HEADER_OUT_MAX])
{
	(void)d;
	return snprintf(out, PROXY_HEADER_OUT_MAX, "PROXY UNKNOWN\r\n");
}

static const struct dial_ops by_tls = {
	.connect = dial_target,
	.tls     = dial_whom,
	.preface = dial_preface,
};
static const struct dial_ops *ops = &to_target;

static bool
is_over(void)
{
	return dial.state != DIAL_GOING;
}

static bool
is_securing(void)
{
	return dial.secures;
}

static void
say(void *context, bool warning, const char *key, unsigned index, const char *text)
{
	(void)context, (void)warning, (void)key, (void)index;
	diag("%s", text);
}

static bool
is_tried_again(void)
{
	return attempts > 2;
}

static void
dial_begin(uint64_t timeout)
{
	attempts = turns = 0;
	if (dial_start(&dial, &conn, &handler, ops, &target, timeout) == DIAL_GOING)
		conn_arm(&conn, dial.give_up);
}

/* A socket that is bound to a free port, and `target`. */
static int
tcp_bind(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(&target, 0, sizeof target);
	target.in.sin_family = AF_INET;
	target.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	target.len = sizeof target.in;
	if (bind(fd, &target.sa, target.len) < 0 || getsockname(fd, &target.sa, &target.len) < 0)
		bail_out("no port: %s", strerror(errno));
	return fd;
}

/* A listener with room for one connection, which is taken: by *first. */
static int
unix_busy(int *first)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(&target, 0, sizeof target);
	target.un.sun_family = AF_UNIX;
	snprintf(target.un.sun_path, sizeof target.un.sun_path, "%s/sock", folder);
	target.len = sizeof target.un;
	*first = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, &target.sa, target.len) < 0 || listen(fd, 0) < 0 ||
	    connect(*first, &target.sa, target.len) < 0)
		bail_out("no UNIX socket: %s", strerror(errno));
	return fd;
}

static void
test_done(void)
{
	int fd = tcp_bind(), far;

	listen(fd, 1);
	dial_begin(GUARD);
	is_number(dial.state, DIAL_GOING, "it begins");
	far = accept(fd, NULL, NULL);
	ok(write(far, "first", 5) == 5, "the peer speaks first");
	ok(run_until(is_over) && dial.state == DIAL_DONE, "it is connected");
	ok(conn.open && dial_check(&dial) == DIAL_DONE, "and stays so");
	dial_cancel(&dial);
	ok(conn.open, "what is done cannot be cancelled");
	conn_close(&conn);
	close(far);
	close(fd);
}

static void
test_refused(void)
{
	int fd = tcp_bind();

	dial_begin(GUARD);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "nobody listens: it fails");
	is_number(dial.error, ECONNREFUSED, "which was refused");
	ok(!conn.open && !timer_armed(&conn.timer), "the conn has no descriptor and no timer");
	close(fd);
}

static void
test_self(void)
{
	close(tcp_bind());
	attempts = 0;
	if (dial_start(&dial, &conn, &handler, &to_itself, &target, GUARD) == DIAL_GOING)
		conn_arm(&conn, dial.give_up);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "connected to itself: it fails");
	is_number(dial.error, ECONNREFUSED, "as if it had been refused");
	ok(!conn.open, "and the socket is closed");
}

static void
test_busy(void)
{
	int  first, fd = unix_busy(&first), far;
	char name[sizeof target.un.sun_path];

	dial_begin(GUARD);
	is_number(dial.state, DIAL_GOING, "a full backlog is no failure");
	ok(!conn.open, "though there is no descriptor yet");
	ok(run_until(is_tried_again) && dial.state == DIAL_GOING, "it is tried again");
	close(accept(fd, NULL, NULL));
	ok(run_until(is_over) && dial.state == DIAL_DONE, "with room it is connected");
	far = accept(fd, NULL, NULL);
	ok(conn_send(&conn, span_make("x", 1)) && read(far, name, sizeof name) == 1,
	    "and carries bytes");
	conn_close(&conn);
	close(far);
	close(first);
	first = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(first, &target.sa, target.len) < 0)
		bail_out("no UNIX socket: %s", strerror(errno));
	dial_begin(GUARD);
	is_number(dial.state, DIAL_GOING, "it is busy again");
	unlink(target.un.sun_path);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "and then gone");
	is_number(dial.error, ENOENT, "which is the error");
	ok(turns > 0, "and its owner is told");
	close(first);
	close(fd);
}

static void
test_late(void)
{
	int first, fd = unix_busy(&first);

	dial_begin(3 * DIAL_RETRY);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "busy for too long");
	is_number(dial.error, ETIMEDOUT, "is too late");
	dial_begin(GUARD);
	is_number(dial.state, DIAL_GOING, "another one waits");
	dial_cancel(&dial);
	ok(dial.state == DIAL_NONE && !timer_armed(&conn.timer), "it is cancelled");
	turns = attempts = 0;
	dial_cancel(&dial);
	dial_begin(3 * DIAL_RETRY);
	ok(run_until(is_over) && attempts > 0, "and can be started again");
	unlink(target.un.sun_path);
	close(first);
	close(fd);
}

/* A peer that has read the beginning of a handshake. */
static int
tls_peer(int listening, uint64_t timeout)
{
	char first[16];
	int  far;

	whom.timeout = timeout;
	dial_begin(GUARD);
	far = accept(listening, NULL, NULL);
	ok(run_until(is_securing), "it is connected, and the handshake begins");
	ok(dial.give_up <= loop_now() + timeout, "which has a time of its own");
	ok(read(far, first, sizeof first) == sizeof first &&
		memcmp(first, "PROXY UNKNOWN\r\n\x16", 16) == 0,
	    "by its first record, behind what goes first");
	conn_arm(&conn, dial.give_up);
	return far;
}

static void
test_tls(void)
{
	static const struct tls_settings settings = { .name = "test", .version13 = true };
	int                              fd = tcp_bind(), far;

	listen(fd, 1);
	ops = &by_tls;
	if ((whom.context = tls_create(&settings, TLS_CLIENT, say, NULL)) == NULL)
		bail_out("tls_create");
	far = tls_peer(fd, 50);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "a peer that says nothing");
	is_number(dial.error, ETIMEDOUT, "is too late");
	is_string(dial_explain(&dial), "the handshake is not over within its time", "in words");
	ok(dial.secures && !conn.open, "the conn has no descriptor");
	close(far);
	far = tls_peer(fd, GUARD);
	ok(write(far, "-ERR unknown command\r\n", 22) == 22, "a peer that speaks no TLS");
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "fails");
	is_number(dial.error, EPROTO, "by its protocol");
	is_string(dial_explain(&dial),
	    "what it sent is not TLS: is TLS what it speaks on this port?", "in words");
	close(far);
	far = tls_peer(fd, GUARD);
	shutdown(far, SHUT_WR);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "a peer that goes");
	is_number(dial.error, ECONNRESET, "is gone");
	is_string(dial_explain(&dial),
	    "it has gone without a word: is TLS what it speaks on this port?", "in words");
	close(far);
	far = tls_peer(fd, GUARD);
	dial_cancel(&dial);
	ok(!conn.open && dial.state == DIAL_NONE, "a handshake is cancelled");
	close(far);
	close(fd);
	ops = &to_target;
	dial_begin(GUARD);
	ok(run_until(is_over) && dial.error == ECONNREFUSED && !dial.secures,
	    "refused in the clear");
	is_string(dial_explain(&dial), strerror(ECONNREFUSED), "in words");
}

static void
crowd_ready(struct conn *c)
{
	struct crowded *one = container_of(c, struct crowded, conn);
	bool            open = one->dial.place.open;

	(void)dial_check(&one->dial);
	begun += one->dial.place.open && !open;
}

static const struct conn_handler crowd_handler = { crowd_ready, crowd_ready };

static void
crowd_pass_ends(void)
{
	static unsigned before;

	most_begun = begun - before > most_begun ? begun - before : most_begun;
	before = begun;
}

static unsigned
crowd_count(bool open)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CROWD; i++)
		n += crowd[i].dial.state == DIAL_GOING && crowd[i].dial.secures &&
		    crowd[i].dial.place.open == open;
	return n;
}

static bool
crowd_is_secured(void)
{
	return crowd_count(true) == HANDSHAKES && crowd_count(false) == CROWD - HANDSHAKES;
}

static bool
crowd_goes_on(void)
{
	return begun > HANDSHAKES && crowd_count(true) == HANDSHAKES;
}

static bool
crowd_is_over(void)
{
	for (unsigned i = 0; i < CROWD; i++)
		if (crowd[i].dial.state == DIAL_GOING)
			return false;
	return true;
}

static struct crowded *
crowd_find(bool open)
{
	for (unsigned i = 0; i < CROWD; i++)
		if (crowd[i].dial.state == DIAL_GOING && crowd[i].dial.place.open == open)
			return &crowd[i];
	bail_out("there is none");
}

/* All that may be are open: it is not the peer's fault that it has not heard from us. */
static void
test_crowded_out(int listening)
{
	int far;

	ops = &by_tls;
	dial_begin(GUARD);
	far = accept(listening, NULL, NULL);
	ok(run_until(is_securing) && dial.state == DIAL_GOING, "one that is connected waits");
	close(far);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "its peer goes");
	is_number(dial.error, EBUSY, "which is nobody's fault, either");
	is_string(dial_explain(&dial), "it has gone while it waited for its turn", "in words");
}

static void
test_crowd(void)
{
	int      fd = tcp_bind(), far[CROWD];
	unsigned n = 0;

	listen(fd, CROWD + 1);
	whom.timeout = GUARD;
	for (unsigned i = 0; i < CROWD; i++)
		if (dial_start(&crowd[i].dial, &crowd[i].conn, &crowd_handler, &by_tls, &target,
			GUARD) != DIAL_GOING)
			bail_out("a dial does not begin");
	ok(run_until(crowd_is_secured), "some handshakes are open, others wait");
	ok(most_begun <= ADMISSION_BATCH, "not all began in one pass, but %u at the most",
	    most_begun);
	for (unsigned i = 0; i < CROWD; i++)
		n += crowd[i].dial.place.waited;
	is_number(n, CROWD - HANDSHAKES, "those that had to wait know it");
	dial_cancel(&crowd_find(false)->dial);
	is_number(crowd_count(true), HANDSHAKES, "one that waits is cancelled");
	dial_cancel(&crowd_find(true)->dial);
	ok(run_until(crowd_goes_on), "one that is open is: the next begins");
	begun = HANDSHAKES;
	for (unsigned i = 0; i < HANDSHAKES; i++)
		dial_cancel(&crowd_find(true)->dial);
	ok(run_until(crowd_goes_on), "all that are open are, at once: as many begin");
	for (unsigned i = 0; i < CROWD; i++)
		far[i] = accept(fd, NULL, NULL);
	test_crowded_out(fd);
	whom.timeout = 50;
	ops = &by_tls;
	dial_begin(GUARD);
	ok(run_until(is_securing), "another one is connected");
	ok(dial_awaits_turn(&dial), "and waits for us");
	conn_arm(&conn, dial.give_up);
	ok(run_until(is_over) && dial.state == DIAL_FAILED, "and has no turn in time");
	is_number(dial.error, EBUSY, "which is nobody's fault");
	is_string(dial_explain(&dial), "it had no turn within its time", "in words");
	ops = &to_target;
	for (unsigned i = 0; i < CROWD; i++)
		close(far[i]);
	close(fd);
	ok(run_until(crowd_is_over), "when the peers go all have their turn, and fail");
	for (unsigned i = 0; i < CROWD; i++)
		conn_close(&crowd[i].conn);
}

int
main(void)
{
	if (mkdtemp(folder) == NULL || loop_open(65536, conn_fired) < 0)
		bail_out("loop_open: %s", strerror(errno));
	conn_start();
	dial_init(HANDSHAKES);
	if (tls_start() < 0)
		bail_out("tls_start: %s", strerror(errno));
	until_init();
	test_done();
	test_refused();
	test_self();
	test_busy();
	test_late();
	test_tls();
	loop_on_pass_end(crowd_pass_ends);
	test_crowd();
	tls_stop();
	tls_free_all();
	rmdir(folder);
	loop_close();
	return done_testing();
}
