#!/bin/sh
# Installs the Debian packages that the demo or the tests need, and says which. Does nothing when they are there.
# usage: install-debian.sh demo|test|bench
set -eu
corosync="corosync:corosync pacemaker:pacemakerd pacemaker-cli-utils:crm_resource"
corosync="$corosync pacemaker-resource-agents:/usr/lib/ocf/resource.d/pacemaker/Dummy"
# fio, libnbd's tools and qemu-utils are the NBD server's clients; nbdkit and qemu-nbd what it is measured beside, and a slow disk.
nbd="fio:fio libnbd-bin:nbdcopy nbdkit:nbdkit qemu-utils:qemu-io fuse3:fusermount3 e2fsprogs:mkfs.ext4"
case "${1:-}" in
  demo) wanted="iproute2:ip iputils-ping:ping nftables:nft" ;;
  test) wanted="iproute2:ip iputils-ping:ping nftables:nft iperf3:iperf3 tshark:tshark mount:losetup util-linux:setpriv chromium:chromium curl:curl procps:sysctl $corosync $nbd" ;;
  bench) wanted="iproute2:ip iputils-ping:ping nftables:nft iperf3:iperf3 curl:curl sbd:sbd $corosync fio:fio nbdkit:nbdkit qemu-utils:qemu-nbd qemu-system-common:qemu-storage-daemon rsync:rsync" ;;
  *) echo "install-debian.sh: say demo, test or bench" >&2; exit 2 ;;
esac
if [ "$1" = test ]; then
  wanted="$wanted systemd:systemd-analyze resource-agents:ocf-tester pacemaker-cli-utils:crm_resource"
  sh "$(dirname "$0")/unpack-promtool.sh"
fi
missing=""
for pair in $wanted; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${pair#*:}" >/dev/null 2>&1 || missing="$missing ${pair%%:*}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "stillbeat: these packages are missing:$missing; install them (Debian: apt-get install$missing) and start again" >&2
  exit 1
fi
echo "stillbeat: installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# Packages of daemons start them. Here they are wanted for rooms of the tests' own: this machine must join no cluster.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "stillbeat: apt-get could not install$missing; its last lines stand above" >&2
  exit 1
fi
rm -f "$log"
