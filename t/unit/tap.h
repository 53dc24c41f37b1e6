/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tap: what a unit test in C says to prove.
 *
 *	ok(condition, "what should be so, item %d", i);
 *	is_number(got, wanted, "…");
 *	is_string(got, wanted, "…");
 *	skip(3, "no IPv6 here");
 *	return done_testing();
 *
 * A process forked by a test says nothing: it ends with _exit and its status.
 */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	int planned;	/* 0: by done_testing */
	int run;
	int failed;
} tap;

#define TAP_PRINTS(format_at) __attribute__((unused, format(printf, format_at, format_at + 1)))

static void diag(const char *format, ...) TAP_PRINTS(1);
static bool tap_ok(const char *file, int line, bool passed, const char *condition,
    const char *name, ...) TAP_PRINTS(5);
static bool tap_is_number(const char *file, int line, uint64_t got, uint64_t wanted,
    const char *name, ...) TAP_PRINTS(5);
static bool tap_is_string(const char *file, int line, const char *got, const char *wanted,
    const char *name, ...) TAP_PRINTS(5);
static void tap_result(bool passed, const char *name, va_list)
    __attribute__((format(printf, 2, 0)));

#define ok(condition, ...)         tap_ok(__FILE__, __LINE__, (condition), #condition, __VA_ARGS__)
#define is_number(got, wanted, ...) \
	tap_is_number(__FILE__, __LINE__, (uint64_t)(got), (uint64_t)(wanted), __VA_ARGS__)
#define is_string(got, wanted, ...) tap_is_string(__FILE__, __LINE__, (got), (wanted), __VA_ARGS__)

/* How many tests will follow; without it done_testing tells. */
__attribute__((unused)) static void
plan(int tests)
{
	tap.planned = tests;
	printf("1..%d\n", tests);
	fflush(stdout);
}

/* A remark for who reads a failure. */
static void
diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

static void
tap_result(bool passed, const char *name, va_list args)
{
	tap.run++;
	tap.failed += !passed;
	printf("%s %d - ", passed ? "ok" : "not ok", tap.run);
	vprintf(name, args);
	printf("\n");
	fflush(stdout);
}

static bool
tap_ok(const char *file, int line, bool passed, const char *condition, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	tap_result(passed, name, args);
	va_end(args);
	if (!passed)
		diag("%s:%d: %s", file, line, condition);
	return passed;
}

static bool
tap_is_number(const char *file, int line, uint64_t got, uint64_t wanted, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	tap_result(got == wanted, name, args);
	va_end(args);
	if (got != wanted)
		diag("%s:%d: got %" PRIu64 " (%" PRId64 "), wanted %" PRIu64, file, line, got,
		    (int64_t)got, wanted);
	return got == wanted;
}

/* Either may be NULL. */
static bool
tap_is_string(const char *file, int line, const char *got, const char *wanted, const char *name,
    ...)
{
	bool    same = got == wanted || (got != NULL && wanted != NULL && strcmp(got, wanted) == 0);
	va_list args;

	va_start(args, name);
	tap_result(same, name, args);
	va_end(args);
	if (!same)
		diag("%s:%d: got \"%s\", wanted \"%s\"", file, line, got ? got : "(null)",
		    wanted ? wanted : "(null)");
	return same;
}

/* Tests that cannot be made here. */
__attribute__((unused)) static void
skip(int tests, const char *why)
{
	while (tests-- > 0)
		printf("ok %d # SKIP %s\n", ++tap.run, why);
	fflush(stdout);
}

/* Nothing further can be tested: ends the program. */
__attribute__((unused, noreturn, format(printf, 1, 2))) static void
bail_out(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("Bail out! ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(255);
}

/* The exit status of main. */
__attribute__((unused)) static int
done_testing(void)
{
	if (tap.planned == 0)
		printf("1..%d\n", tap.run);
	fflush(stdout);
	return tap.failed > 0 || (tap.planned > 0 && tap.planned != tap.run);
}

/* Random numbers that are the same in every run: xorshift. */
__attribute__((unused)) static uint64_t
random_number(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* 0 … n-1 */
__attribute__((unused)) static uint64_t
random_below(uint64_t n)
{
	return random_number() % n;
}

#endif
