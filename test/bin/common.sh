# common.sh
#	  Sourced by the scripts in test/bin: where things are, and as whom servers run.
#
# TOP      the source tree            CZ_SCRATCH  all that we write outside of it
# BINDIR   the system's programs      PREFIX      private copy of them, with cz_fdw in it
# CZ_CACHE    what is fetched to be tested with
#
# Nothing below CZ_SCRATCH needs to survive: "rm -rf" of it is always safe once
# the servers in it are stopped.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}

die()
{
	echo "error: $*" >&2
	exit 1
}

say()
{
	echo "==> $*"
}

# One scratch directory per user and source tree, so that two clones do not meet.
if [ -z "${CZ_SCRATCH:-}" ]; then
	CZ_SCRATCH=/tmp/cz_fdw-$(id -un)-$(printf %s "$TOP" | cksum | cut -d' ' -f1)
fi
export CZ_SCRATCH

# What is fetched to be tested with, shared by this user's trees: "rm -rf" is safe, too.
CZ_CACHE=${CZ_CACHE:-/var/tmp/cz_fdw-$(id -un)}
export CZ_CACHE

# The servers' programs.  pg_config of a private prefix is told by its caller.
find_server()
{
	command -v "$PG_CONFIG" >/dev/null 2>&1 ||
		die "$PG_CONFIG not found: run test/bin/install_deps or set PG_CONFIG"
	BINDIR=$("$PG_CONFIG" --bindir)
	[ -x "$BINDIR/initdb" ] || die "no PostgreSQL server in $BINDIR: run test/bin/install_deps"
	PG_MAJOR=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	PREFIX=$CZ_SCRATCH/prefix-$PG_MAJOR
	ROOT_DIR=$(common_root "$BINDIR" "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --pkglibdir)")
	PREFIX_BIN=$PREFIX/${BINDIR#"$ROOT_DIR"/}
}

# Programs of other majors than the coordinator's, for workers: CZ_WORKER_BINS="14=DIR 18=DIR"
# (test/bin/fetch_workers gets some).  CZ_WORKER_MAJORS="14 18": of which majors workers 1, 2, ...
# are, in turn; without it they are of the system's.
# Servers from elsewhere may come without clients: then ours stand beside them.
make_worker_bins()
{
	local pair major dir bins= shadow program
	for pair in ${CZ_WORKER_BINS:-}; do
		major=${pair%%=*}
		dir=${pair#*=}
		[ -x "$dir/postgres" ] && [ -x "$dir/initdb" ] ||
			die "CZ_WORKER_BINS: no PostgreSQL server in $dir"
		[ "$("$dir/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" = "$major" ] ||
			die "CZ_WORKER_BINS: $dir/postgres is not of PostgreSQL $major"
		if [ ! -x "$dir/psql" ] || [ ! -x "$dir/pg_config" ]; then
			shadow=$CZ_SCRATCH/bins/$major/bin
			mkdir -p "$shadow"
			for program in "$BINDIR"/* "$dir"/*; do
				ln -sfn "$program" "$shadow/$(basename "$program")"
			done
			if [ ! -x "$dir/pg_config" ]; then
				rm -f "$shadow/pg_config"
				printf '#!/bin/sh\necho "%s"\n' "$("$dir/postgres" --version | sed 's/postgres (\(.*\)) \(.*\)/\1 \2/')" \
					>"$shadow/pg_config"
				chmod 755 "$shadow/pg_config"
			fi
			dir=$shadow
		fi
		bins="$bins $major=$dir"
	done
	export CZ_WORKER_BINS=${bins# }
}

# Programs of worker I
worker_bin()
{
	local majors pair
	# shellcheck disable=SC2206
	majors=(${CZ_WORKER_MAJORS:-})
	[ ${#majors[@]} -gt 0 ] || { echo "$BINDIR"; return; }
	local major=${majors[$((($1 - 1) % ${#majors[@]}))]}
	for pair in "$PG_MAJOR=$BINDIR" ${CZ_WORKER_BINS:-}; do
		[ "${pair%%=*}" != "$major" ] || { echo "${pair#*=}"; return; }
	done
	die "CZ_WORKER_BINS has no programs of PostgreSQL $major"
}

# Longest common directory of the arguments: /usr for Debian, the prefix elsewhere.
common_root()
{
	local dir=$1 arg
	for arg in "$@"; do
		while [ "${arg#"$dir"/}" = "$arg" ]; do
			dir=${dir%/*}
		done
	done
	echo "$dir"
}

# PostgreSQL refuses to run as root; then the servers run as this user.
server_user()
{
	if [ "$(id -u)" != 0 ]; then
		id -un
	elif getent passwd postgres >/dev/null; then
		echo postgres
	else
		getent passwd czfdw >/dev/null ||
			useradd --system --no-create-home --shell /usr/sbin/nologin czfdw >&2
		echo czfdw
	fi
}

# Run a command as that user, from a directory that it can read.
as_server_user()
{
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid="$(server_user)" --regid="$(id -g "$(server_user)")" --init-groups \
			env HOME=/tmp "$@"
	else
		"$@"
	fi
}

# A copy of the server's trees under one prefix is relocatable: installing
# into it leaves the system's server alone.
make_prefix()
{
	find_server
	make_scratch
	local dir rel
	if [ ! -e "$PREFIX/.complete" ]; then
		rm -rf "$PREFIX"
		for dir in "$BINDIR" "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --pkglibdir)"; do
			rel=${dir#"$ROOT_DIR"/}
			[ -e "$PREFIX/$rel" ] && continue
			mkdir -p "$PREFIX/$(dirname "$rel")"
			cp -a --no-preserve=ownership "$dir" "$PREFIX/$rel"
		done
		dir=$("$PG_CONFIG" --includedir)
		rel=${dir#"$ROOT_DIR"/}
		rel=${rel%%/*}
		[ -e "$PREFIX/$rel" ] || ln -s "$ROOT_DIR/$rel" "$PREFIX/$rel"
		touch "$PREFIX/.complete"
	fi
}

# Build in the source tree, install into the private prefix.  No bitcode: servers of ours do
# without JIT, and it takes clang nearly as long as the library takes gcc.
build_and_install()
{
	make_prefix
	say "building and installing into a private copy of PostgreSQL $PG_MAJOR"
	make -s -C "$TOP" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no all >"$CZ_SCRATCH/build.log" 2>&1 &&
		make -s -C "$TOP" PG_CONFIG="$PREFIX_BIN/pg_config" with_llvm=no install >>"$CZ_SCRATCH/build.log" 2>&1 || {
		cat "$CZ_SCRATCH/build.log" >&2
		die "build failed"
	}
}

make_scratch()
{
	mkdir -p "$CZ_SCRATCH"
	[ -O "$CZ_SCRATCH" ] || die "$CZ_SCRATCH belongs to somebody else"
	chmod 755 "$CZ_SCRATCH"
}

make_cache()
{
	mkdir -p "$CZ_CACHE"
	[ -O "$CZ_CACHE" ] || die "$CZ_CACHE belongs to somebody else"
	chmod 755 "$CZ_CACHE"
}

# A directory that the servers' user may write to.
make_server_dir()
{
	make_scratch
	mkdir -p "$1"
	if [ "$(id -u)" = 0 ]; then
		chown "$(server_user)" "$1"
	fi
}

# WORK: a directory of this run of tests, in memory if there is plenty of it (the tests make and drop
# hundreds of thousands of files); what a run that was killed has left goes away
make_work()
{
	local base=/dev/shm/$(basename "$CZ_SCRATCH") old available
	for old in "$base"/test.* "$CZ_SCRATCH"/test.*; do
		kill -0 "${old##*.}" 2>/dev/null || rm -rf "$old"
	done
	available=$(df -k --output=avail /dev/shm 2>/dev/null | tail -1)
	if [ "${available:-0}" -lt 6000000 ] ||
		[ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo 2>/dev/null || echo 0)" -lt 9000000 ]; then
		base=$CZ_SCRATCH
	fi
	WORK=$base/test.$$
	mkdir -p "$WORK"
	[ -O "$base" ] || die "$base belongs to somebody else"
	chmod 755 "$base"
}
