/* SPDX-License-Identifier: BSD-2-Clause */
/* token: none is left behind that nobody holds, wherever a worker is killed. */
#include "upstream/token.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/tap.h"
#include "upstream/board.h"

enum { OPEN, ARRIVING, ANNOUNCED, OTHER };

static const struct board_field fields[] = {
	[OPEN]      = { "open", BOARD_GAUGE },
	[ARRIVING]  = { "arriving", BOARD_ARRIVING },
	[ANNOUNCED] = { "announced", BOARD_ANNOUNCED },
	[OTHER]     = { "other", BOARD_COUNTER },
};
static const struct board_schema schema = { "server", fields, 4 };

static unsigned
take_seat(void)
{
	return (unsigned)board_seat_take();
}

/* What the master does when it hears of it. */
static void
bury(unsigned seat)
{
	tokens_reclaim(seat);
	board_seat_clear(seat);
}

static void
test_way(void)
{
	int      id = board_enter(&schema, "way", 1);
	unsigned a = take_seat(), b = take_seat(), c = take_seat();

	ok(board_take(id, OPEN, a, 2) && board_take(id, OPEN, a, 2), "two tokens");
	token_announce(id, OPEN, a, b);
	is_number(board_sum(id, OPEN), 2, "one that is announced counts");
	token_sent(id, OPEN, a);
	is_number(board_sum(id, OPEN), 2, "and so does one that was sent");
	ok(!board_take(id, OPEN, b, 2), "there is no third");
	token_receive(id, OPEN, b, b);
	is_number(board_cell(id, b)[OPEN], 1, "it arrives");
	is_number(board_sum(id, OPEN), 2, "and counts once");
	token_announce(id, OPEN, a, b);
	token_withdraw(id, OPEN, a, b);
	is_number(board_cell(id, a)[OPEN], 1, "what was not sent is back");
	is_number(board_sum(id, OPEN), 2, "and counts once, too");
	bury(a);
	bury(b);
	is_number(board_sum(id, OPEN), 0, "all are gone with their workers");

	ok(board_take(id, OPEN, a, 2), "one for a worker that dies before it reads");
	token_announce(id, OPEN, a, b);
	token_sent(id, OPEN, a);
	token_receive(id, OPEN, c, b);
	is_number(board_sum(id, OPEN), 1, "whoever reads in its place takes it from there");
	bury(c);
	is_number(board_sum(id, OPEN), 0, "nothing stays");
	board_leave(1);
}

static void
test_deaths(void)
{
	int      id = board_enter(&schema, "deaths", 1);
	unsigned a = take_seat(), b = take_seat(), i;
	bool     taken = true;

	for (i = 0; i < 3; i++)
		taken = taken && board_take(id, OPEN, a, 0);
	token_announce(id, OPEN, a, b);
	token_announce(id, OPEN, a, b);
	ok(taken && board_sum(id, OPEN) == 3, "two of three are announced");
	bury(a);
	is_number(board_sum(id, OPEN), 0, "a death before they were sent takes them back");

	for (i = 0; i < 2; i++)
		taken = taken && board_take(id, OPEN, a, 0);
	token_announce(id, OPEN, a, b);
	token_announce(id, OPEN, a, b);
	token_sent(id, OPEN, a);
	bury(a);
	token_receive(id, OPEN, b, b);
	token_receive(id, OPEN, b, b);
	ok(taken && board_sum(id, OPEN) == 2,
	    "behind that they count when they have come, all of them");
	board_give(id, OPEN, b);
	board_give(id, OPEN, b);
	is_number(board_sum(id, OPEN), 0, "and none when they have ended");
	bury(b);
	board_leave(1);
}

/* Hands over tokens for as long as it lives. */
static _Noreturn void
send_for_ever(int id, unsigned own, unsigned to, int channel)
{
	const char one = 1;

	for (;;) {
		if (!board_take(id, OPEN, own, 0))
			_exit(1);
		token_announce(id, OPEN, own, to);
		if (send(channel, &one, sizeof one, MSG_DONTWAIT) == sizeof one) {
			token_sent(id, OPEN, own);
		} else {
			token_withdraw(id, OPEN, own, to);
			board_give(id, OPEN, own);
		}
	}
}

static unsigned
receive_all(int id, unsigned own, int channel)
{
	char     one;
	unsigned n = 0;

	while (recv(channel, &one, sizeof one, MSG_DONTWAIT) == sizeof one) {
		token_receive(id, OPEN, own, own);
		n++;
	}
	return n;
}

/* Killed anywhere. */
static void
test_kills(void)
{
	unsigned rounds = getenv("WEIR_VALGRIND") != NULL ? 20 : 300, n = 0, left = 0, odd = 0, got;
	unsigned heir = take_seat(), own = take_seat();
	int      id = board_enter(&schema, "kills", 1), ends[2], status;
	pid_t    pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		abort();
	srand(1);
	for (unsigned i = 0; i < rounds; i++) {
		pid = fork();
		if (pid == 0)
			send_for_ever(id, own, heir, ends[0]);
		for (got = 0; got < 1 + (unsigned)rand() % 50;)
			got += receive_all(id, heir, ends[1]);
		kill(pid, SIGKILL);
		odd += waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status);
		bury(own);
		got += receive_all(id, heir, ends[1]);
		odd += board_sum(id, OPEN) != got;
		left += board_cell(id, heir)[ARRIVING] != 0;
		for (n += got; got > 0; got--)
			board_give(id, OPEN, heir);
	}
	ok(n > rounds && odd == 0, "%u tokens of %u dead workers: %u times not counted once", n,
	    rounds, odd);
	is_number(left, 0, "none is left on its way");
	is_number(board_sum(id, OPEN), 0, "all are back");
	close(ends[0]);
	close(ends[1]);
	board_leave(1);
}

int
main(void)
{
	if (board_create() < 0)
		return 1;
	test_way();
	test_deaths();
	test_kills();
	return done_testing();
}
