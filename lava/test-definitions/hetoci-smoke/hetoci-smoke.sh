#!/bin/sh
# SPDX-License-Identifier: MIT
# On the target: one life of a firmware container, each step a test case. Runs in LAVA, and by
# hand without it; exits with 1 if a case failed.
set -u

images=${HETOCI_IMAGES:-/usr/share/hetoci/images}
core=/sys/class/remoteproc/remoteproc0
failed=0

result() { # NAME pass|fail [MEASUREMENT UNITS]
	[ "$2" = pass ] || failed=1
	if command -v lava-test-case >/dev/null; then
		lava-test-case "$1" --result "$2" ${3:+--measurement "$3" --units "$4"}
	else
		echo "$1: $2${3:+ ($3 $4)}"
	fi
}

check() { # NAME COMMAND...
	name=$1
	shift
	if "$@"; then result "$name" pass; else result "$name" fail; fi
}

milliseconds() { awk '{print int($1 * 1000)}' /proc/uptime; }

until_matches() { # SECONDS PATTERN COMMAND...
	deadline=$(($(milliseconds) + $1 * 1000))
	pattern=$2
	shift 2
	until "$@" 2>&1 | grep -Eq "$pattern"; do
		[ "$(milliseconds)" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

run() { ctr run -d --runtime io.containerd.hetoci.v1 --log-uri file:///run/lava-fw.log "$@"; }

# shellcheck disable=SC2317  # called by name
free() { hetoci devices | grep -E 'r5f.*[[:space:]]free([[:space:]]|$)' >/dev/null; }

check containerd-answers until_matches 60 'Server:' ctr version
check core-is-free free
check image-imports ctr image import --no-unpack "$images/fw-echo.oci.tar"

begun=$(milliseconds)
if run localhost/fw-echo:latest lava-fw; then
	result firmware-starts pass $(($(milliseconds) - begun)) ms
else
	result firmware-starts fail
fi
check core-runs until_matches 10 '^running$' cat $core/state
check firmware-talks until_matches 30 'Cortex-R5' cat /run/lava-fw.log
check listed-as-running until_matches 5 'lava-fw +[0-9]+ +RUNNING' ctr task ls

begun=$(milliseconds)
ctr task kill -s SIGKILL lava-fw
if until_matches 30 'lava-fw +[0-9]+ +STOPPED' ctr task ls; then
	result firmware-stops pass $(($(milliseconds) - begun)) ms
else
	result firmware-stops fail
fi
check core-is-stopped until_matches 10 '^offline$' cat $core/state
ctr task rm -f lava-fw
ctr container rm lava-fw
check core-is-free-again free
exit $failed
