# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# mmdebstrap's customize hook; $1 is the board's root. Its text is handed over, so that it
# works in a name space that cannot read the checkout.
set -eu
root=$1

# The host's programs of native.sh, and the folders that only they needed.
if [ -e "$root/native" ]; then
	while read -r file; do
		rm "$root$file"
		folder=$(realpath "$root${file%/*}")
		rmdir --ignore-fail-on-non-empty "$folder"
	done < "$root/native"
	rm "$root/native" "$root/lib64"
fi

# What is installed, with apt's hash of each package: the manifest beside the image is made of it.
mkdir -p "$root/usr/share/vboard"
# shellcheck disable=SC2016  # dpkg-query's own variables
dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package} ${Version}\n' | sort |
while read -r name version; do
	echo "$name=$version"
done > "$root/usr/share/vboard/installed"
# shellcheck disable=SC2046  # one word a package
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-cache show $(cat "$root/usr/share/vboard/installed") |
	awk '/^Package:/ {p=$2} /^Version:/ {v=$2} /^Architecture:/ {a=$2}
	     /^SHA256:/ {print p, v, a, $2}' | sort -u > "$root/usr/share/vboard/packages"
rm "$root/usr/share/vboard/installed"

# Mount points of the overlay that vboard/init assembles.
mkdir -p "$root/mnt" "$root/var/lib/containerd"

# Every boot starts from the same image: identity comes with the parts.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/machine-id" "$root/etc/hostname"
rm -rf "$root"/var/log/journal
: > "$root/etc/machine-id"
