#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: MIT
# Prints a line each second until it is told to stop.
busybox=/bin/busybox

# As process 1 of its container it gets no default action for signals.
trap 'echo "hello: told to stop"; exit 0' TERM INT

seconds=0
while :; do
	echo "hello from Linux $($busybox uname -r) on $($busybox uname -m): $seconds s"
	$busybox sleep 1 &
	wait $!
	seconds=$((seconds + 1))
done
