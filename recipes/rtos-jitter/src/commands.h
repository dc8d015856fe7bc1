/* SPDX-License-Identifier: MIT */
#ifndef COMMANDS_H
#define COMMANDS_H

/* Read commands from the console and obey them, for ever. */
void commands_task(void *context);

#endif
