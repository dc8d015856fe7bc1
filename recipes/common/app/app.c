/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"
#include "devices.h"

#define ROUNDS		10
#define INTERVAL_MS	200

const char *app_devices = DEVICES_FILE;

static const char *program;
static unsigned int rounds = ROUNDS;	/* 0: no end */
static unsigned int interval_ms = INTERVAL_MS;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

void app_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%s: ", program);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

double app_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void usage(FILE *out, const char *about)
{
	fprintf(out,
		"%s: %s\n"
		"  --rounds N      end with status 0 after N rounds (%d)\n"
		"  --forever       until SIGTERM\n"
		"  --interval MS   pause between rounds (%d)\n"
		"  --devices FILE  description of the devices (%s)\n",
		program, about, ROUNDS, INTERVAL_MS, DEVICES_FILE);
}

static unsigned int number(const char *option, const char *text, unsigned int least)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < least || value > 1000000000) {
		fprintf(stderr, "%s: --%s %s: right would be a number from %u to 1000000000\n",
			program, option, text, least);
		exit(2);
	}
	return (unsigned int)value;
}

static void read_options(int argc, char **argv, const char *about)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "forever", no_argument, NULL, 'f' },
		{ "interval", required_argument, NULL, 'i' },
		{ "devices", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			rounds = number("rounds", optarg, 1);
		else if (option == 'f')
			rounds = 0;
		else if (option == 'i')
			interval_ms = number("interval", optarg, 0);
		else if (option == 'd')
			app_devices = optarg;
		else {
			usage(option == 'h' ? stdout : stderr, about);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (optind < argc) {
		usage(stderr, about);
		exit(2);
	}
}

void app_begin(int argc, char **argv, const char *about)
{
	/* As the first process of its PID namespace it gets no signal without a handler. */
	struct sigaction action = { .sa_handler = stop };
	const char *slash = strrchr(argv[0], '/');

	program = slash ? slash + 1 : argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	read_options(argc, argv, about);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static void wait_interval(void)
{
	struct timespec left = { interval_ms / 1000, interval_ms % 1000 * 1000000L };

	while (!stopped && nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

bool app_round(unsigned int *round)
{
	if (*round > 0 && (rounds == 0 || *round < rounds))
		wait_interval();
	if (stopped)
		printf("stopped after %u rounds, all of them right\n", *round);
	else if (rounds > 0 && *round == rounds)
		printf("%u rounds, all of them right\n", *round);
	else {
		++*round;
		return true;
	}
	return false;
}
