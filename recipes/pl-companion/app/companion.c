/* SPDX-License-Identifier: MIT */
/*
 * Hashes messages in the programmable logic and exchanges each digest with the firmware of a
 * companion container, which has to send it back (recipes/fw-echo, service rpmsg-raw).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "designs.h"
#include "devices.h"

#define LARGEST		16384	/* bytes */
#define MESSAGE_MAX	496	/* RPMsg: a buffer of 512 bytes less its header */
#define TIMEOUT_MS	10000

struct echo {
	char path[128];
	int file;
};

static void echo_open(struct echo *echo)
{
	struct device device;

	device_find("endpoint", "echo", &device);
	memcpy(echo->path, device.path, sizeof(echo->path));
	echo->file = open(device.path, O_RDWR | O_CLOEXEC);
	if (echo->file < 0)
		app_fail("%s: %s", device.path, strerror(errno));
	printf("echo: %s to the firmware on %s\n", device.path, device.place);
}

/* Receives one message; returns its length. */
static size_t receive(const struct echo *echo, char *answer)
{
	struct pollfd waiting = { .fd = echo->file, .events = POLLIN };
	double deadline = app_ms() + TIMEOUT_MS;
	ssize_t got;
	int ready;

	do {
		double left = deadline - app_ms();

		ready = left > 0 ? poll(&waiting, 1, (int)left + 1) : 0;
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		app_fail("%s: no answer within %d s", echo->path, TIMEOUT_MS / 1000);
	got = read(echo->file, answer, MESSAGE_MAX);
	if (got < 0)
		app_fail("%s: no answer: %s; did the firmware end?", echo->path, strerror(errno));
	return (size_t)got;
}

/* Sends the message and checks that it comes back; milliseconds. */
static double echo_exchange(const struct echo *echo, const char *message)
{
	double begun = app_ms();
	char answer[MESSAGE_MAX + 1];
	size_t length;

	if (write(echo->file, message, strlen(message)) != (ssize_t)strlen(message))
		app_fail("%s: cannot send: %s; did the firmware end?", echo->path, strerror(errno));
	length = receive(echo, answer);
	answer[length] = '\0';
	if (length != strlen(message) || strcmp(answer, message) != 0)
		app_fail("%s: %zu bytes came back that are not the %zu sent", echo->path, length,
			 strlen(message));
	return app_ms() - begun;
}

int main(int argc, char **argv)
{
	static uint32_t message[LARGEST / 4];
	struct accelerator hash;
	struct echo echo;
	unsigned int round = 0;

	app_begin(argc, argv, "hashes by the accelerator hash, exchanges digests with firmware");
	accelerator_open(&hash, "hash", SHA256_ID);
	echo_open(&echo);
	while (app_round(&round)) {
		size_t bytes = (round * 4099) % LARGEST;
		double hashing, exchanging;
		char hex[65];

		design_data(message, (bytes + 3) / 4);
		hashing = design_sha256(&hash, message, bytes, hex);
		design_check_sha256(round, message, bytes, hex);
		exchanging = echo_exchange(&echo, hex);
		printf("round %u: %zu bytes, sha256 %s in %.1f ms, echoed in %.1f ms\n", round, bytes,
		       hex, hashing, exchanging);
	}
	return 0;
}
