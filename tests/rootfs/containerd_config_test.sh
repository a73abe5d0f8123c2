#!/bin/bash
# containerd_config_test.sh SOURCE: what containerd makes of our configuration, alone and with files in
# conf.d.
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/conf.d"

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

sed "s,\"/etc/containerd/conf.d/,\"$work/conf.d/," "$source/rootfs/overlay/etc/containerd/config.toml" \
  >"$work/config.toml"
grep -qF "$work/conf.d" "$work/config.toml" || fail "config.toml imports nothing from conf.d"

dump() { containerd --config "$work/config.toml" config dump; }

# keeps WHAT: with the files that are in conf.d now.
keeps() {
  local setting
  for setting in 'bin_dir = "/opt/cni/bin"' 'conf_dir = "/etc/cni/net.d"' 'SystemdCgroup = true' \
    'config_path = "/etc/containerd/certs.d"' 'path = "/var/lib/containerd/opt"'; do
    dump | grep -qF "$setting" || fail "$1: expected $setting"
  done
}

keeps "config.toml alone"

printf 'version = 2\n[metrics]\n  address = "127.0.0.1:1338"\n' >"$work/conf.d/metrics.toml"
keeps "a file that names no plugin"
dump | grep -qF '127.0.0.1:1338' || fail "a file in conf.d is not read"

awk '/^```/ { on = 0 } on; /^# \/etc\/containerd\/conf.d\// { on = 1 }' "$source/docs/rootfs.md" \
  >"$work/conf.d/50-site.toml"
keeps "the file in docs/rootfs.md"
dump | grep -qF 'max_concurrent_downloads = 6' || fail "the file in docs/rootfs.md sets nothing"

# Why it repeats ours: containerd replaces the whole section.
printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  max_concurrent_downloads = 6\n' \
  >"$work/conf.d/50-site.toml"
if dump | grep -qF 'SystemdCgroup = true'; then fail "containerd merges sections now: docs/rootfs.md"; fi
