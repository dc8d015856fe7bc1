#!/bin/sh
# SPDX-License-Identifier: MIT
# A LAVA server in namespaces of its own; lava_server.py starts it as their first process, so all
# of it ends with it. FOLDER has what the server gets, and learns when it answers: `ready`.
set -eu
root=$1     # a Debian with lava-server and PostgreSQL; stays as it is
folder=$2   # types/*.jinja2, devices/*.jinja2, settings.yaml, dispatcher.yaml, env.yaml, token
port=$3
worker=$4

mount --make-rprivate /
mkdir "$folder/fs"
mount -t tmpfs -o mode=755 lava "$folder/fs"
mkdir "$folder/fs/upper" "$folder/fs/work" "$folder/fs/root"
mount -t overlay -o "lowerdir=$root,upperdir=$folder/fs/upper,workdir=$folder/fs/work" \
	lava "$folder/fs/root"
cd "$folder/fs/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs run run
etc=etc/lava-server
cp "$folder"/types/*.jinja2 "$etc/dispatcher-config/device-types/"
cp "$folder"/devices/*.jinja2 "$etc/dispatcher-config/devices/"
mkdir -p "$etc/dispatcher.d/$worker" "$etc/settings.d"
cp "$folder/dispatcher.yaml" "$folder/env.yaml" "$etc/dispatcher.d/$worker/"
cp "$folder/settings.yaml" "$etc/settings.d/hetoci.yaml"
chmod 644 "$etc/settings.d/hetoci.yaml"

inside() { chroot . "$@"; }
manage() { inside runuser -u lavaserver -- lava-server manage "$@"; }

mkdir -p run/postgresql
inside chown postgres:postgres /run/postgresql
version=$(ls usr/lib/postgresql)
inside pg_ctlcluster "$version" main start -o "-c listen_addresses="
until inside pg_isready -q; do sleep 0.2; done
inside runuser -u postgres -- psql -q -c "CREATE ROLE lavaserver LOGIN" \
	-c "CREATE DATABASE lavaserver OWNER lavaserver ENCODING 'UTF-8' TEMPLATE template0"
inside /usr/share/lava-server/postinst.py --config --no-db --fixup
manage migrate --noinput -v 0
manage users add hetoci --superuser --passwd "$(cat "$folder/token")"
manage tokens add --user hetoci --secret "$(cat "$folder/token")"
manage workers add "$worker" | sed -n 's/^Token: //p' > "$folder/worker-token"
for file in "$folder"/devices/*.jinja2; do
	name=$(basename "$file" .jinja2)
	type=$(sed -n "s/.*extends '\(.*\)\.jinja2'.*/\1/p" "$file")
	manage device-types add "$type"
	manage devices add --device-type "$type" --worker "$worker" "$name"
done
manage lava-scheduler --level INFO --log-file - &
touch "$folder/ready"
inside gunicorn3 lava_server.wsgi --log-file - -u lavaserver -g lavaserver \
	--worker-class eventlet --workers 2 --bind "127.0.0.1:$port"
