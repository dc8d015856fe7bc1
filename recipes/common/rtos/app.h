/* SPDX-License-Identifier: MIT */
#ifndef RTOS_APP_H
#define RTOS_APP_H

/* The application: the first task. */
void app_main(void *context);

#endif
