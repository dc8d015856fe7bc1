#!/bin/sh
# SPDX-License-Identifier: MIT
# Install what the quick build and the tests need on a Debian or Ubuntu host, and register QEMU
# for arm64 programs. Does nothing, silently, when all is there. Prints the virtual environment's
# Python on its standard output.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
packages="arch-test bc bison buildah debian-archive-keyring device-tree-compiler e2fsprogs flex
	gcc gcc-aarch64-linux-gnu gcc-arm-none-eabi iproute2 kmod libc6-dev libc6-dev-arm64-cross
	libelf-dev libssl-dev make mmdebstrap microcom openssh-client python3-venv qemu-system-arm
	qemu-user-static ser2net shellcheck squashfs-tools-ng uidmap xz-utils"
# Debian 12's buildah does without; later ones look for it, although no image here has a network.
grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release || packages="$packages netavark"
need_kib=$((3 * 1024 * 1024))

say() { echo "$*" >&2; }
die() { say "setup: $*"; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "$1 needs root, and there is no sudo. Run \`make setup\` once as root."
	fi
}

check_host() {
	command -v apt-get >/dev/null ||
		die "this is no Debian or Ubuntu host (no apt-get); the quick build needs one."
	have=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
	[ "$have" -ge "$need_kib" ] ||
		die "only $((have / 1024)) MiB of memory are free; the board needs $((need_kib / 1024)) MiB."
}

install_packages() {
	missing=
	for package in $packages; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
		[ "$state" = installed ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "setup: installing these packages once:$missing"
	as_root apt-get -q update >&2 ||
		die "the package lists could not be fetched. Is there a network? Run the command again then."
	# shellcheck disable=SC2086  # one word a package
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
		$missing >&2 || die "apt-get could not install$missing; its messages are above."
}

register_binfmt() {
	case $(uname -m) in aarch64 | arm64) return 0 ;; esac
	handlers=/proc/sys/fs/binfmt_misc
	[ -e $handlers/qemu-aarch64 ] && return 0
	say "setup: registering QEMU for arm64 programs"
	[ -e $handlers/register ] ||
		as_root mount -t binfmt_misc binfmt_misc $handlers 2>/dev/null ||
		die "the host's kernel offers no binfmt_misc; it is needed to set up arm64 packages."
	[ -e $handlers/qemu-aarch64 ] && return 0
	as_root sh -c "cat /usr/lib/binfmt.d/qemu-aarch64.conf > $handlers/register" ||
		die "QEMU for arm64 programs could not be registered in $handlers."
}

virtual_environment() {
	cache=${HETOCI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hetoci}
	key=$( (python3 --version; cat "$here/requirements.txt") | sha256sum | cut -c1-16)
	venv=$cache/venv/$key
	if [ ! -e "$venv/complete" ]; then
		say "setup: installing Python packages into $venv"
		rm -rf "$venv"
		python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
			die "$(python3 --version) is too old; Python 3.11 or newer is needed."
		python3 -m venv "$venv" >&2 || die "python3 -m venv failed; is python3-venv installed?"
		"$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2 ||
			die "pip could not install $here/requirements.txt. Is there a network? Run the command again then."
		touch "$venv/complete"
	fi
	echo "$venv/bin/python"
}

check_host
install_packages
register_binfmt
virtual_environment
