# roots.sh
#	  Sourced after common.sh: root directories of other Debians, by debootstrap.  Needs root,
#	  debootstrap (installed if missing) and Debian's mirror; exit status 77: there is no root
#	  directory, and none can be made or entered here.
#
# ROOTS     where they are kept (CZ_ROOTS, or CZ_CACHE/roots)
# CZ_BINDS  directories that are to be seen in them, at the same path
# CZ_OWN_NETWORK  "yes": what runs in one has a loopback network of its own, without the outside

cannot()
{
	echo "error: $*" >&2
	exit 77
}
[ "$(id -u)" = 0 ] || cannot "only root can make and enter another root directory"
unshare --mount --pid --fork mount --make-rprivate / 2>/dev/null || cannot "mounts and processes of its own are not allowed here"
make_cache
ROOTS=${CZ_ROOTS:-$CZ_CACHE/roots}
mkdir -p "$ROOTS"

# The Debian that has PostgreSQL MAJOR
suite_of()
{
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo forky ;;
		*) die "no Debian with PostgreSQL $1 is known" ;;
	esac
}

# Loopback up: SIOCSIFFLAGS, IFF_UP | IFF_RUNNING (there may be no "ip" in there, perl there is)
LOOPBACK='my $up = pack("a16 S x14", "lo", 0x41);
	socket(S, 2, 1, 0) && ioctl(S, 0x8914, $up) or die "loopback: $!\n"'

# enter ROOT COMMAND...
#	  With mounts and processes of its own: nothing that it starts outlives it.  unshare itself takes
#	  no notice of TERM and INT.
enter()
{
	local pid status=0 net=
	[ -z "${CZ_OWN_NETWORK:-}" ] || net=--net
	# shellcheck disable=SC2086
	LOOPBACK=$LOOPBACK unshare --mount --pid --fork --kill-child $net bash -c '
		set -e
		root=$1
		shift
		mount --make-rprivate /
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/dev/shm"
		mount --rbind /sys "$root/sys"
		for dir in ${CZ_BINDS:-}; do
			mkdir -p "$root$dir"
			mount --bind "$dir" "$root$dir"
		done
		[ -z "${CZ_OWN_NETWORK:-}" ] || chroot "$root" perl -e "$LOOPBACK"
		unset LOOPBACK
		export CZ_IN_ROOT=yes
		exec chroot "$root" "$@"' enter "$@" <&0 &
	pid=$!
	# shellcheck disable=SC2064
	trap "kill -KILL $pid 2>/dev/null; exit 130" INT TERM HUP
	wait $pid || status=$?
	trap - INT TERM HUP
	return $status
}

# make_root SUITE ROOT: Debian's minimum, with apt that works
make_root()
{
	local suite=$1 root=$2 script
	command -v debootstrap >/dev/null || {
		say "installing debootstrap" >&2
		apt-get -q update >/dev/null && apt-get -qy install --no-install-recommends debootstrap >/dev/null
	} || cannot "debootstrap is not here"
	rm -rf "$root"
	say "making a root directory of Debian $suite" >&2
	# a suite that this debootstrap does not know yet is made as sid is
	script=/usr/share/debootstrap/scripts/$suite
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	debootstrap --variant=minbase "$suite" "$root" "" "$script" >"$root.log" 2>&1 || {
		tail -5 "$root.log" >&2
		cannot "debootstrap of $suite failed"
	}
	# no service is to be started in there
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	# what is thrown away need not survive a loss of power
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
	# a mirror may be a snapshot of some day
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90snapshot"
}

# fresh_root SUITE ROOT: the minimum anew, a copy of base-SUITE
fresh_root()
{
	local base=$ROOTS/base-$1
	exec 9>"$base.lock"
	flock 9
	if [ ! -e "$base/.complete" ]; then
		make_root "$1" "$base"
		touch "$base/.complete"
	fi
	exec 9>&-
	rm -rf "$2"
	cp -a "$base" "$2"
	rm "$2/.complete"
}

# apt_in ROOT COMMAND-OF-APT-GET...
apt_in()
{
	local root=$1
	shift
	CZ_BINDS='' CZ_OWN_NETWORK='' enter "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive
		apt-get -q update && apt-get -qy "$@"' sh "$@" >>"$root.log" 2>&1 || {
		tail -5 "$root.log" >&2
		cannot "apt-get $* failed in $root"
	}
}
