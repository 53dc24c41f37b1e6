/* SPDX-License-Identifier: BSD-2-Clause */
/* tls: both roles, end to end over real sockets; ends, faults, resumption. */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "net/conn.h"
#include "net/tls_conn.h"
#include "net/tls_record.h"
#include "tap.h"
#include "until.h"

/* One end: it sends `total` bytes of a pattern, and checks what comes. */
struct side {
	struct conn    conn;
	enum tls_state state;
	size_t         total;
	size_t         sent;
	size_t         got;
	size_t         read_size;
	bool           wrong;	/* what came is not the pattern */
	bool           finish;	/* when all is sent */
	bool           paused;
};

static struct side       server, client;
static struct tls       *server_tls, *client_tls;
static char              folder[] = "/tmp/weir-tls-XXXXXX";
static char              said[1024];
static unsigned          said_count;

static char
pattern_at(size_t i)
{
	return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static void
side_send(struct side *s)
{
	char   block[20000];
	size_t n;

	while (s->sent < s->total && conn_waiting(&s->conn) == 0) {
		n = s->total - s->sent < sizeof block ? s->total - s->sent : sizeof block;
		for (size_t i = 0; i < n; i++)
			block[i] = pattern_at(s->sent + i);
		if (!conn_send(&s->conn, span_make(block, n)))
			return;
		s->sent += n;
	}
	if (s->sent == s->total && s->finish && !s->conn.finish)
		conn_finish(&s->conn);
}

static void
side_receive(struct side *s)
{
	char   block[70000];
	size_t n;

	while (s->conn.readable && !s->paused && !s->conn.eof) {
		n = conn_read(&s->conn, block, s->read_size);
		for (size_t i = 0; i < n; i++)
			s->wrong |= block[i] != pattern_at(s->got + i);
		s->got += n;
		if (n == 0)
			break;
	}
}

static void
side_ready(struct conn *c)
{
	struct side *s = container_of(c, struct side, conn);

	if (s->state < TLS_DONE)
		s->state = tls_handshake(c, true);
	if (s->state != TLS_DONE) {
		(void)conn_flush(c);
		return;
	}
	(void)conn_flush(c);
	side_send(s);
	side_receive(s);
}

static void
side_expired(struct conn *c)
{
	(void)c;
}

static const struct conn_handler handler = { side_ready, side_expired };

static void
connect_unblocked(int ends[2])
{
	connect_ends(ends);
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
		bail_out("fcntl: %s", strerror(errno));
}

static void
open_side(struct side *s, int fd)
{
	*s = (struct side){ .read_size = 65536 };
	if (conn_adopt(&s->conn, fd, &handler) < 0)
		bail_out("conn_adopt: %s", strerror(errno));
	s->conn.writable = true;
}

/* A server on one end; the other is a client, or a descriptor that is returned. */
static int
open_pair(bool with_client, const char *name, struct tls_session *session)
{
	int ends[2];

	connect_unblocked(ends);
	open_side(&server, ends[0]);
	if (tls_accept(&server.conn, server_tls) < 0)
		bail_out("tls_accept: %s", strerror(errno));
	if (!with_client)
		return ends[1];
	open_side(&client, ends[1]);
	if (tls_connect(&client.conn, client_tls, name, session) < 0)
		bail_out("tls_connect: %s", strerror(errno));
	conn_again(&client.conn);
	return -1;
}

static void
close_pair(void)
{
	conn_close(&server.conn);
	conn_close(&client.conn);
}

static bool
shaken(void)
{
	return server.state >= TLS_DONE && client.state >= TLS_DONE;
}
static bool
server_over(void)
{
	return server.state >= TLS_DONE;
}
static bool
all_arrived(void)
{
	return server.got == client.total && client.got == server.total;
}
static bool
server_has_eof(void)
{
	return server.conn.eof;
}
static bool
both_have_eof(void)
{
	return server.conn.eof && client.conn.eof;
}
static bool
server_broken(void)
{
	return server.conn.broken;
}
static bool
client_stuck(void)
{
	return conn_waiting(&client.conn) > 0 && !client.conn.writable;
}

static void
note(void *context, bool warning, const char *key, unsigned index, const char *text)
{
	(void)context;
	(void)index;
	snprintf(said, sizeof said, "%s %s: %s", warning ? "warning" : "error",
	    key != NULL ? key : "-", text);
	said_count++;
}

static struct tls *
make(const struct tls_settings *s, enum tls_role role)
{
	said[0] = '\0';
	said_count = 0;
	return tls_create(s, role, note, NULL);
}

/* ------------------------------------------------------------------------- */

static void
test_both_ways(const char *version)
{
	struct tls_info info;

	open_pair(true, "a.weir.test", NULL);
	client.total = 10;
	server.total = 20;
	ok(run_until(shaken), "a handshake comes to its end");
	is_number(server.state, TLS_DONE, "well for the server");
	is_number(client.state, TLS_DONE, "and for the client, which knows the name");
	info = tls_info(&server.conn);
	is_string(info.version, version, "the version");
	is_string(info.server_name, "a.weir.test", "the name that was asked for");
	ok(!info.resumed, "nothing was resumed");
	conn_again(&server.conn);
	conn_again(&client.conn);
	ok(run_until(all_arrived), "bytes go both ways");
	ok(!server.wrong && !client.wrong, "and are the right ones");
	ok(!server.conn.pending && !client.conn.held, "nothing waits in the transport");

	conn_finish(&client.conn);
	ok(run_until(server_has_eof), "the client ends its side");
	ok(!client.conn.eof && !server.conn.broken, "only that one");
	server.total += 300000;
	conn_again(&server.conn);
	ok(run_until(all_arrived), "the server may go on");
	conn_finish(&server.conn);
	ok(run_until(both_have_eof), "until it ends, too");
	is_number(client.wrong, 0, "all was right");
	close_pair();
}

static void
test_bulk(size_t read_size)
{
	open_pair(true, NULL, NULL);
	client.total = server.total = 3000000;
	server.read_size = client.read_size = read_size;
	client.finish = server.finish = true;
	ok(run_until(both_have_eof), "bulk both ways, read by %zu", read_size);
	ok(all_arrived() && !server.wrong && !client.wrong, "is all there, and right");
	close_pair();
}

/* What the socket did not take waits, is counted, and goes when there is room. */
static void
test_backpressure(void)
{
	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken");
	server.paused = true;
	client.total = 64u << 20;
	conn_again(&client.conn);
	ok(run_until(client_stuck), "a reader that does not read stops its writer");
	ok(conn_waiting(&client.conn) < 256 * 1024, "with little that waits");
	client.total = client.sent;
	client.finish = true;
	server.paused = false;
	conn_again(&server.conn);
	ok(run_until(server_has_eof), "when it reads again, all comes, and the end");
	ok(server.got == client.total && !server.wrong, "whole");
	is_number(conn_waiting(&client.conn), 0, "nothing waits any more");
	close_pair();
}

static void
test_truncated(void)
{
	open_pair(true, NULL, NULL);
	client.total = 1000;
	ok(run_until(shaken), "shaken");
	conn_again(&client.conn);
	conn_again(&server.conn);
	ok(run_until(all_arrived), "bytes have come");
	(void)shutdown(conn_fd(&client.conn), SHUT_WR);
	ok(run_until(server_broken), "an end without close_notify is a fault");
	ok(!server.conn.eof, "and no end");
	ok(strstr(conn_explain(&server.conn), "without close_notify") != NULL, "it is named");
	close_pair();

	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken again");
	conn_finish(&server.conn);
	(void)shutdown(conn_fd(&client.conn), SHUT_WR);
	ok(run_until(server_has_eof), "behind our own end it is an answer");
	close_pair();
}

static void
test_closing_sends_notify(void)
{
	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken");
	conn_close(&client.conn);
	ok(run_until(server_has_eof), "closing says so first");
	close_pair();
	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken");
	conn_abort(&client.conn);
	conn_close(&client.conn);
	ok(run_until(server_broken), "but aborting does not");
	close_pair();
}

/* What one end writes has come to the other when the call is over. */
static void
side_send_at_once(struct side *s)
{
	if (setsockopt(conn_fd(&s->conn), IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
		bail_out("setsockopt: %s", strerror(errno));
}

/* Records without data, made by one side: it asks for other keys, or in TLS 1.2, where a
 * server may, for another handshake. */
static void
side_flood(struct side *from, unsigned count)
{
	SSL *ssl = tls_conn_of(&from->conn)->ssl;

	tls_staged.overflow = &tls_conn_of(&from->conn)->out;
	SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
	while (count-- > 0) {
		if (SSL_version(ssl) == TLS1_3_VERSION)
			(void)SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
		else
			(void)SSL_renegotiate(ssl);
		(void)SSL_do_handshake(ssl);
	}
	if (write(conn_fd(&from->conn), tls_staged.bytes, tls_staged.length) < 0)
		bail_out("write: %s", strerror(errno));
	tls_staged.length = 0;
}

static void
test_flood(struct side *from, struct side *to)
{
	char block[1000];

	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken");
	from->paused = true;
	side_send_at_once(from);
	for (unsigned i = 0; i < 3; i++) {
		side_flood(from, 40);
		from->total += 10;
		conn_again(&from->conn);
		ok(run_until(all_arrived), "key updates with data between them are taken");
	}
	side_flood(from, 1000);
	to->conn.readable = true;
	is_number((long long)conn_read(&to->conn, block, sizeof block), 0, "nothing comes of it");
	ok(to->conn.broken, "a flood of them ends the connection");
	is_string(conn_explain(&to->conn),
	    "it sends key updates or renegotiations, and no data between them", "it is named");
	ok(tls_conn_of(&to->conn)->barren < 100, "after some dozens");
	close_pair();
}

/* Most of a flood waits while there is data in it. */
static void
test_work_is_shared(void)
{
	size_t got, most = 0, turns = 0;
	char   block[70000];

	open_pair(true, NULL, NULL);
	ok(run_until(shaken), "shaken");
	side_send_at_once(&client);
	client.total = 900;
	for (client.sent = 0; client.sent < client.total; client.sent++) {
		if (SSL_version(tls_conn_of(&client.conn)->ssl) == TLS1_3_VERSION)
			side_flood(&client, 1);
		(void)conn_send(&client.conn, span_make("x", 1));
	}
	while ((got = conn_read(&server.conn, block, sizeof block)) > 0) {
		most = got > most ? got : most;
		turns++;
		server.conn.readable = true;
	}
	ok(most <= 256 && turns > 3, "one read does not go through it all");
	close_pair();
}

/* What a client that is none sends, and what is said about it. */
static void
test_strangers(void)
{
	static const struct {
		const char *bytes;
		size_t      length;
		const char *words;
		bool        alert;
	} strangers[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, "plain HTTP", false },
		{ "PING\r\nPING\r\n", 12, "not TLS", false },
		{ "\0\0\0\0\0\0\0\0\0\0\0", 11, "not TLS", false },
		{ "\x16\x03\x01\xff\xff_______", 12, "long", true },
		{ "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, "", true },
		{ "\x17\x03\x03\x00\x05_____", 10, "", true },
		{ "\x15\x03\x01\x00\x02\x02\x28", 7, "unexpected", true },
	};
	char              got[64];
	ssize_t           n;
	int               far;

	for (unsigned i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		far = open_pair(false, NULL, NULL);
		is_number(write(far, strangers[i].bytes, strangers[i].length),
		    strangers[i].length, "stranger %u speaks", i);
		ok(run_until(server_over) && server.state == TLS_FAILED, "and is refused");
		ok(conn_explain(&server.conn) != NULL &&
			strstr(conn_explain(&server.conn), strangers[i].words) != NULL,
		    "with a reason: %s", conn_explain(&server.conn));
		(void)conn_flush(&server.conn);
		conn_finish(&server.conn);
		fcntl(far, F_SETFL, 0);
		n = read(far, got, sizeof got);
		ok(strangers[i].alert ? n == 7 && got[0] == 0x15 : n >= 0,
		    "and an alert, where there is one for it (%zd bytes)", n);
		close(far);
		conn_close(&server.conn);
	}
	far = open_pair(false, NULL, NULL);
	close(far);
	ok(run_until(server_over) && server.state == TLS_GONE, "who says nothing has just gone");
	conn_close(&server.conn);
	far = open_pair(false, NULL, NULL);
	ok(write(far, "\x16\x03\x01", 3) == 3 && close(far) == 0, "who begins and goes");
	ok(run_until(server_over) && server.state == TLS_FAILED, "has failed");
	ok(strstr(conn_explain(&server.conn), "middle of the handshake") != NULL, "in words");
	conn_close(&server.conn);
}

static bool
client_over(void)
{
	return client.state >= TLS_DONE;
}

/* What it says has come with the event that tells of the connection: no other follows. */
static void
test_server_speaks_first(void)
{
	int ends[2];

	connect_unblocked(ends);
	is_number(write(ends[0], "220 ready\r\n", 11), 11,
	    "a server that speaks no TLS, and first");
	open_side(&client, ends[1]);
	if (tls_connect(&client.conn, client_tls, NULL, NULL) < 0)
		bail_out("tls_connect: %s", strerror(errno));
	ok(run_until(client_over) && client.state == TLS_FAILED, "is found out");
	ok(strstr(conn_explain(&client.conn), "not TLS") != NULL, "it says why: %s",
	    conn_explain(&client.conn));
	close(ends[0]);
	conn_close(&client.conn);
}

static void
test_wrong_name(void)
{
	open_pair(true, "else.example", NULL);
	ok(run_until(shaken), "a name that the certificate does not have");
	is_number(client.state, TLS_FAILED, "the client refuses");
	ok(strstr(conn_explain(&client.conn), "hostname mismatch") != NULL, "it says why: %s",
	    conn_explain(&client.conn));
	close_pair();
	open_pair(true, "127.0.0.1", NULL);
	ok(run_until(shaken), "an address that it does not have");
	ok(client.state == TLS_FAILED && strstr(conn_explain(&client.conn), "IP") != NULL,
	    "the same: %s", conn_explain(&client.conn));
	close_pair();
}

static bool
client_read_on(void)
{
	return client.got == server.total;
}

static void
test_resumption(void)
{
	struct tls_session    *session;
	struct tls_ticket_keys keys = { .count = 1 };

	memset(keys.keys, 7, sizeof keys.keys);
	tls_ticket_keys_set(&keys);
	for (unsigned i = 0; i < 4; i++) {
		open_pair(true, "a.weir.test", NULL);
		server.total = 5;
		ok(run_until(shaken), "shaken");
		conn_again(&server.conn);
		ok(run_until(client_read_on), "and the tickets are there");
		session = tls_session_take(&client.conn);
		ok(session != NULL, "a session to resume");
		close_pair();
		if (i == 1) {	/* rotated */
			keys.count = 2;
			memcpy(keys.keys[1], keys.keys[0], sizeof keys.keys[1]);
			memset(keys.keys[0], 8, sizeof keys.keys[0]);
			tls_ticket_keys_set(&keys);
		} else if (i == 3) {	/* that was yesterday */
			keys.count = 1;
			memset(keys.keys[0], 9, sizeof keys.keys[0]);
			tls_ticket_keys_set(&keys);
		}
		open_pair(true, "a.weir.test", session);
		ok(run_until(shaken) && client.state == TLS_DONE, "shaken again");
		is_number(tls_info(&server.conn).resumed, i != 3,
		    "resumed, if the key is known (%u)", i);
		tls_session_free(session);
		close_pair();
	}
}

/* The first record lies in conn.in already, as behind a PROXY header. */
static void
test_bytes_read_before(void)
{
	int     ends[2];
	char    bytes[4096];
	ssize_t n;

	connect_unblocked(ends);
	open_side(&client, ends[1]);
	if (tls_connect(&client.conn, client_tls, NULL, NULL) < 0)
		bail_out("tls_connect");
	client.state = tls_handshake(&client.conn, true);
	fcntl(ends[0], F_SETFL, 0);
	n = read(ends[0], bytes, sizeof bytes);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	open_side(&server, ends[0]);
	if (n <= 0 || buf_append(&server.conn.in, span_make(bytes, (size_t)n)) < 0 ||
	    tls_accept(&server.conn, server_tls) < 0)
		bail_out("tls_accept");
	ok(server.conn.in == NULL, "the transport takes what was read");
	is_number(tls_handshake(&server.conn, false), TLS_READY, "and sees the hello in it");
	conn_again(&server.conn);
	ok(run_until(shaken) && server.state == TLS_DONE, "and goes on from there");
	close_pair();
}

/* Bytes that the client has not read, as they lie in its socket, and the records among them
 * from a place on. */
static struct {
	unsigned char bytes[300000];
	size_t        length;
	size_t        wanted;
	unsigned      count;
	size_t        sizes[64];	/* of what is in them: bytes */
} wire;

static bool
wire_full(void)
{
	ssize_t n = recv(conn_fd(&client.conn), wire.bytes, sizeof wire.bytes,
	    MSG_PEEK | MSG_DONTWAIT);

	wire.length = n > 0 ? (size_t)n : 0;
	return wire.length >= wire.wanted;
}

/* What the server has sent, in records: all of it, so many bytes with their extra ones. */
static void
wire_read(size_t from, size_t plain, size_t extra)
{
	size_t at = from, records = 0;

	wire.count = 0;
	wire.wanted = from + plain;
	conn_again(&server.conn);
	while (run_until(wire_full)) {
		for (at = from, records = 0; at + 5 <= wire.length; records++)
			at += 5 + ((size_t)wire.bytes[at + 3] << 8 | wire.bytes[at + 4]);
		wire.wanted = from + plain + records * extra;
		if (wire.length >= wire.wanted && at == wire.length)
			break;
	}
	for (at = from; at + 5 <= wire.length && wire.count < 64; wire.count++) {
		size_t size = (size_t)wire.bytes[at + 3] << 8 | wire.bytes[at + 4];

		wire.sizes[wire.count] = size + 5 - extra;
		at += 5 + size;
	}
}

/* Both of the server's come with one read: the last is kept. */
static void
test_two_tickets(void)
{
	struct tls_session *newest = NULL, *last;

	open_pair(true, "weir.test", NULL);
	tls_session_keep(&client.conn, &newest);
	client.paused = true;
	ok(run_until(shaken), "a handshake");
	client.paused = false;
	server.total = 5;
	conn_again(&server.conn);
	ok(run_until(client_read_on), "tickets, and a few bytes");
	last = tls_session_take(&client.conn);
	ok(last != NULL && newest == last, "the newest is kept");
	tls_session_free(last);
	tls_session_free(newest);
	close_pair();
}

static uint64_t idle_until;

static bool
idle_long_enough(void)
{
	return loop_now() >= idle_until;
}

static bool
all_small(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (wire.sizes[i] > 1400)
			return false;
	return true;
}

/* What the first bytes are cut into, and the later ones; that small pieces share a record. */
static void
test_record_sizes(size_t extra)
{
	static char plain[65536];
	size_t      from;

	open_pair(true, "weir.test", NULL);
	ok(run_until(shaken), "a handshake");
	client.paused = true;
	wire.wanted = 0;
	(void)wire_full();
	from = wire.length;
	/* In one pass, so that no time goes by in between. */
	ok(conn_send(&server.conn, span_make(plain, 60000)), "60,000 bytes at once");
	for (unsigned i = 0; i < 200; i++)
		(void)conn_gather(&server.conn, span_make(plain, 64));
	ok(conn_flush(&server.conn), "and 200 pieces of 64 bytes");
	wire_read(from, 60000 + 200 * 64, extra);
	is_number(wire.count, 16, "are 15 records and one");
	ok(all_small(0, 12), "the first of them fit into a packet each");
	is_number((long long)wire.sizes[12], 16384, "the next ones are full");
	is_number((long long)wire.sizes[13], 16384, "both of them");
	is_number((long long)wire.sizes[15], 200 * 64, "and the pieces share the last");
	from = wire.length;
	idle_until = loop_now() + 1001;
	conn_arm(&server.conn, idle_until);
	ok(run_until(idle_long_enough), "after a second of silence");
	ok(conn_send(&server.conn, span_make(plain, 20000)), "the next bytes");
	wire_read(from, 20000, extra);
	is_number(wire.count, 13, "are small records again");
	ok(all_small(0, 12), "the first of them");
	close_pair();
}

static void
test_contexts(struct tls_settings s)
{
	struct tls_certificate certificate = *s.certificates;
	char                   missing[PATH_MAX];

	s.certificates = &certificate;
	snprintf(missing, sizeof missing, "%s/none.pem", folder);
	certificate.key = missing;
	ok(make(&s, TLS_SERVER) == NULL, "a key that is missing");
	ok(strstr(said, "none.pem: No such file") != NULL, "is told: %s", said);
	certificate.key = certificate.chain;
	ok(make(&s, TLS_SERVER) == NULL && strstr(said, "no key in PEM") != NULL,
	    "a file without a key: %s", said);
	certificate.chain = missing;
	ok(make(&s, TLS_SERVER) == NULL && said_count == 2, "both files are looked at");
	s.ciphers = "NOTHING";
	s.certificate_count = 0;
	ok(make(&s, TLS_CLIENT) == NULL && strstr(said, "no cipher match") != NULL,
	    "ciphers that there are not: %s", said);
}

static bool
made_certificate(char *chain, char *key)
{
	char command[PATH_MAX * 3];

	if (mkdtemp(folder) == NULL)
		return false;
	snprintf(chain, PATH_MAX, "%s/chain.pem", folder);
	snprintf(key, PATH_MAX, "%s/key.pem", folder);
	snprintf(command, sizeof command,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
	    "-subj /CN=weir.test -addext subjectAltName=DNS:weir.test,DNS:*.weir.test "
	    "-keyout %s -out %s >/dev/null 2>&1",
	    key, chain);
	return system(command) == 0;
}

int
main(void)
{
	static char            chain[PATH_MAX], key[PATH_MAX];
	struct tls_certificate certificate = { chain, key, NULL };
	struct tls_settings    settings = {
		.name = "test",
		.certificates = &certificate,
		.certificate_count = 1,
		.version12 = true,
		.version13 = true,
		.verify_depth = 4,
		.tickets = true,
		.ticket_lifetime = 3600000,
	};
	struct tls_settings    trusting = settings;

	if (!made_certificate(chain, key)) {
		(void)rmdir(folder);
		skip(1, "needs the command openssl");
		return done_testing();
	}
	if (loop_open(65536, conn_fired) < 0)
		bail_out("loop_open: %s", strerror(errno));
	conn_start();
	if (tls_start() < 0)
		bail_out("tls_start: %s", strerror(errno));
	until_init();
	trusting.certificate_count = 0;
	trusting.ca = chain;
	trusting.verify = TLS_VERIFY_ON;
	server_tls = make(&settings, TLS_SERVER);
	client_tls = make(&trusting, TLS_CLIENT);
	if (server_tls == NULL || client_tls == NULL)
		bail_out("no context: %s", said);
	is_string(said, "", "nothing is said of what is right");
	for (unsigned round = 0; round < 2; round++) {
		test_both_ways(settings.version13 ? "TLSv1.3" : "TLSv1.2");
		test_bulk(65536);
		test_bulk(100);
		test_bulk(16384);
		test_backpressure();
		test_truncated();
		test_closing_sends_notify();
		if (settings.version13)
			test_flood(&client, &server);
		test_flood(&server, &client);
		test_work_is_shared();
		test_strangers();
		test_server_speaks_first();
		test_wrong_name();
		test_resumption();
		test_bytes_read_before();
		test_two_tickets();
		test_record_sizes(settings.version13 ? 22 : 29);
		if (round == 1)
			break;
		settings.version13 = false;
		server_tls = make(&settings, TLS_SERVER);
	}
	test_contexts(settings);
	is_number((long long)buf_stats().lent, 0, "no buffer is left out");
	tls_stop();
	tls_free_all();
	buf_trim();
	loop_close();
	(void)unlink(chain);
	(void)unlink(key);
	(void)rmdir(folder);
	return done_testing();
}
