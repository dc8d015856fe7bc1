#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the OCI image of a recipe with buildah.
#
#   build-image.sh CONTEXT OUTDIR   ->  OUTDIR/NAME.oci.tar, holding localhost/NAME:latest
#
# CONTEXT is a recipe folder with what its Containerfile copies in place (build/,
# rootfs/); its last component is NAME. The same input gives the same bytes. Works
# as root, and as a user with subordinate ids (/etc/subuid). Exit status 2: usage.
set -eu

fail() {
	echo "build-image.sh: $1" >&2
	exit "${2:-1}"
}

[ $# -eq 2 ] || fail "usage: build-image.sh CONTEXT OUTDIR" 2
[ -f "$1/Containerfile" ] ||
	fail "$1 has no Containerfile; give a recipe folder such as recipes/hello" 2
command -v buildah >/dev/null || fail "buildah is not installed; on Debian: apt install buildah"

context=$(cd "$1" && pwd)
mkdir -p "$2"
outdir=$(cd "$2" && pwd)
name=$(basename "$context")
work=$(mktemp -d "${TMPDIR:-/tmp}/build-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Nothing is pulled, so there is nothing whose signature could be checked.
printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$work/policy.json"

engine() {
	command=$1
	shift
	buildah --storage-driver vfs --root "$work/root" --runroot "$work/run" \
		"$command" --signature-policy "$work/policy.json" "$@"
}

engine bud --quiet --platform linux/arm64 --timestamp 0 --format oci --layers=false \
	--identity-label=false --tag "localhost/$name:latest" \
	--file "$context/Containerfile" "$context" >"$work/id" ||
	fail "$name: buildah could not build it; is all that its Containerfile copies in $context?"
engine push --quiet "$(cat "$work/id")" "oci:$work/image:localhost/$name:latest" ||
	fail "$name: buildah could not write the image"

# Packed here, because the archive that buildah makes carries the time of day.
tar --create --file "$work/$name.oci.tar" --directory "$work/image" --format ustar --sort name \
	--mtime @0 --owner 0 --group 0 --numeric-owner --mode 'u=rwX,go=rX' blobs index.json oci-layout
mv "$work/$name.oci.tar" "$outdir/$name.oci.tar"
