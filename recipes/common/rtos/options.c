/* SPDX-License-Identifier: MIT */
#include "format.h"
#include "mem.h"
#include "options.h"

#define WORD_MAX	40	/* as much of a word as is shown */

bool option_number(const char *text, size_t length, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t sum = 0;

	if (length == 0 || length > 10)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		sum = 10 * sum + (uint64_t)(text[i] - '0');
	}
	if (sum < min || sum > max)
		return false;
	*value = (uint32_t)sum;
	return true;
}

/* The word for a message: cut, with nothing that does not print. */
static void show(char *out, const char *word, size_t length)
{
	size_t count = length < WORD_MAX ? length : WORD_MAX;

	for (size_t i = 0; i < count; i++)
		out[i] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
	out[count] = '\0';
}

static size_t names(char *out, size_t size, const struct option *options, size_t count)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count; i++)
		used += format(out + used, size - used, "%s%s", i ? ", " : "", options[i].name);
	return used;
}

static bool parse_word(const char *word, size_t length, const struct option *options, size_t count,
		       bool set, char *error, size_t size)
{
	char shown[WORD_MAX + 1], known[120];

	show(shown, word, length);
	for (size_t i = 0; i < count; i++) {
		const struct option *option = &options[i];
		size_t name = strlen(option->name);
		uint32_t value;

		if (length <= name || memcmp(word, option->name, name) != 0 || word[name] != '=')
			continue;
		if (option_number(word + name + 1, length - name - 1, option->min, option->max,
				  &value)) {
			if (set)
				*option->value = value;
			return true;
		}
		format(error, size, "option %s: write %s=N, N from %u to %u", shown, option->name,
		       option->min, option->max);
		return false;
	}
	names(known, sizeof(known), options, count);
	format(error, size, "option %s: there is none of that name; there are %s", shown, known);
	return false;
}

static bool walk(const char *line, const struct option *options, size_t count, bool set,
		 char *error, size_t size)
{
	while (*line) {
		size_t length = 0;

		if (*line == ' ') {
			line++;
			continue;
		}
		while (line[length] && line[length] != ' ')
			length++;
		if (!parse_word(line, length, options, count, set, error, size))
			return false;
		line += length;
	}
	return true;
}

bool options_parse(const char *line, const struct option *options, size_t count,
		   char *error, size_t size)
{
	return walk(line, options, count, false, error, size) &&
	       walk(line, options, count, true, error, size);
}
