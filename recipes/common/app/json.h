/* SPDX-License-Identifier: MIT */
/*
 * As much JSON as a program needs to read /run/hetoci/devices.json: look things up in the text,
 * no tree is built. A value is a pointer to its first character. Every function takes NULL for
 * a value and answers as if it were of the wrong type; text that is no JSON does the same.
 */
#ifndef APP_JSON_H
#define APP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The document's value. */
const char *json_document(const char *text);

/* The member `name` of an object, or NULL. */
const char *json_member(const char *object, const char *name);

/* The n-th item of an array, counted from 0, or NULL. */
const char *json_item(const char *array, size_t n);

/* Copies a string; false if it is none, has escapes, or is too long for `room` with its NUL. */
bool json_string(const char *value, char *copy, size_t room);

/* A whole number below 2^63; false if it is none. */
bool json_number(const char *value, uint64_t *number);

#endif
