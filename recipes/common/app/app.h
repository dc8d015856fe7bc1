/* SPDX-License-Identifier: MIT */
/* What the sample programs have in common: options, rounds, one line of log for each job. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>

/* Where the description of the devices is: DEVICES_FILE, or what --devices named. */
extern const char *app_devices;

/*
 * Reads the options (--help lists them) and makes SIGTERM and SIGINT end the program after the
 * present round, with status 0. Wrong usage ends it with status 2.
 */
void app_begin(int argc, char **argv, const char *about);

/* The next round, from 1: false when all are done or a signal came. */
bool app_round(unsigned int *round);

/* Prints "NAME: " and the sentence on stderr and ends the program with status 1. */
void app_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Milliseconds since some time in the past. */
double app_ms(void);

#endif
