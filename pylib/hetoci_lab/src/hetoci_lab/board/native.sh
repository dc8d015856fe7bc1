# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# mmdebstrap's extract hook; $1 is the board's root. dpkg's helpers are this host's own while
# packages are set up, because emulated ones take minutes for what these do in seconds. They are
# found first (/usr/sbin comes before /usr/bin) and no package has files of these names.
# customize.sh removes what is listed in /native.
set -eu
root=$1

# Debian refuses a folder of this name at the top; the loader of some hosts is there.
mkdir "$root/usr/lib64"
ln -s usr/lib64 "$root/lib64"

for tool in dpkg-deb dpkg-split tar; do
	program=$(command -v "$tool")
	cp -L "$program" "$root/usr/sbin/$tool"
	echo "/usr/sbin/$tool"
	ldd "$program" | awk '{for (i = 1; i <= NF; i++) if ($i ~ "^/") print $i}' |
	while read -r library; do
		mkdir -p "$root${library%/*}"
		cp -L "$library" "$root$library"
		echo "$library"
	done
done | sort -u > "$root/native"
