#!/bin/sh
# Gets promtool for the tests where there is none: Prometheus's checker of alert rules, unpacked from the Debian package into
# node_modules/.cache. The package itself would start a server, so it is not installed.
set -eu
place="$(cd "$(dirname "$0")/.." && pwd)/node_modules/.cache/stillbeat"
if command -v promtool >/dev/null 2>&1 || [ -x "$place/usr/bin/promtool" ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "stillbeat: promtool is missing: install it (it comes with Prometheus) and start again" >&2
  exit 1
fi
echo "stillbeat: unpacking promtool of the Debian package prometheus, which is not installed"
rm -rf "$place/download"
mkdir -p "$place/download"
log="$place/log"
cd "$place/download"
if ! { { [ "$(id -u)" != 0 ] || apt-get update; } && apt-get download prometheus && dpkg-deb -x prometheus_*.deb "$place"; } >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "stillbeat: apt-get could not download prometheus; its last lines stand above" >&2
  exit 1
fi
rm -r "$place/download"
