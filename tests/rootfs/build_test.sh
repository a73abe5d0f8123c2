#!/bin/bash
# build_test.sh BUILD: what rootfs/build says and returns when it is not understood, and what it makes of packages.
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# refuses CODE TEXT ARGUMENT...: exits with CODE and says TEXT on stderr.
refuses() {
  local code=$1 text=$2 got=0 said
  shift 2
  said=$("$build" "$@" 2>&1 >/dev/null) || got=$?
  [ "$got" = "$code" ] || fail "rootfs/build $*: expected exit code $code, found $got"
  [[ $said == *"$text"* ]] || fail "rootfs/build $*: expected '$text', found: $said"
}

refuses 2 "a command is missing"
refuses 2 "unknown command: bass" bass
refuses 2 "unknown option: --verison" release --verison 1
refuses 2 "--version needs a value" release --version
refuses 2 "base needs --output" base
refuses 2 "release needs" release --base "$work" --output "$work/out"
refuses 2 "--suite-updates is yes or no" base --output "$work/out" --suite-updates perhaps
refuses 2 "--profile is default or test" base --output "$work/out" --profile tset
release=(release --base "$work" --install "$work" --output "$work/out")
refuses 1 "is not a base" "${release[@]}" --version 1.0.0
# Names are those of hostimage, which refuses a version after minutes of work.
long=12345678901234567890123456789
refuses 1 "is not a base" "${release[@]}" --version $long
for version in '1 0' 1.0~rc1 1.0_1 .1 -1 "${long}0" '1/0' $'1\n'; do
  refuses 2 "--version: expected 1 to 29 of" "${release[@]}" --version "$version"
done
refuses 2 "--preview is yes or no" "${release[@]}" --version 1 --preview perhaps
refuses 1 "no file $work/missing" "${release[@]}" --version 1 --os-release "$work/missing"
for line in ID=other 'IMAGE_ID=mine' 'HOME_URL="$(id)"' "VENDOR_NAME='Example'" 'VENDOR_NAME=Two words' 'SUPPORT_END=soon'; do
  echo "$line" >"$work/lines"
  refuses 1 "$work/lines: " "${release[@]}" --version 1 --os-release "$work/lines"
done
refuses 1 "is not a base" "${release[@]}" --version 1 --files "$work/missing"
refuses 1 "no package list" base --output "$work/out" --packages "$work/missing"
# As anybody else it says so at once, and not in the words of cp and chroot.
as_nobody=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$build" base --output "$work/out" 2>&1) &&
  fail "a base was made without root"
[[ $as_nobody == "rootfs: this takes root: "* ]] || fail "expected that it takes root, found: $as_nobody"
[ ! -e "$work/out" ] || fail "something was written"

# The key of a base follows what it is made from, and nothing else.
key=$("$build" base-key)
[ "$key" = "$("$build" base-key --suite-updates yes --profile default)" ] || fail "defaults have another key"
[ "$key" != "$("$build" base-key --suite-updates no)" ] || fail "the suite does not change the key"
[ "$key" != "$("$build" base-key --profile test)" ] || fail "the profile does not change the key"
echo dbus >"$work/packages"
[ "$key" != "$("$build" base-key --packages "$work/packages")" ] || fail "the packages do not change the key"
echo /usr/bin/agent >"$work/excluded"
[ "$key" != "$("$build" base-key --excluded "$work/excluded")" ] || fail "what is left out does not change the key"
refuses 1 "no list of what to leave out" base --output "$work/out" --excluded "$work/missing"
"$build" --help | grep -q 'usage: rootfs/build' || fail "no usage on stdout"

# Its functions, on trees of the test's own.
with() { bash -c 'set -euo pipefail; source <(sed "/^# --- command line/,\$d" "$0"); eval "$1"' "$build" "$1"; }
tree=$work/tree
package() { # NAME DEPENDS FILE...: installed in $tree
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nMaintainer: x\nDescription: x\n' "$1"
  [ -z "$2" ] || printf 'Depends: %s\n' "$2"
  echo
} >>"$tree/var/lib/dpkg/status"
files() { # PACKAGE FILE...
  local file package=$1
  shift
  for file; do mkdir -p "$tree$(dirname "$file")" && echo content >"$tree$file"; done
  printf '%s\n' "$@" >"$tree/var/lib/dpkg/info/$package.list"
}
new_tree() {
  rm -rf "$tree"
  mkdir -p "$tree"/{home,media,mnt,opt,root,srv,usr/{lib/tmpfiles.d,local,share},var/lib/dpkg/{info,updates}}
  touch "$tree"/usr/lib/tmpfiles.d/{home,provision}.conf "$tree/var/lib/dpkg/status"
}

# Changelogs are kept by source package; where a package has one of Debian's, upstream's is left out. Nothing of
# them stays in the tree.
new_tree
for package in libssl3 openssl kernel meta; do package $package ''; done
sed -i 's/^Package: libssl3$/&\nSource: openssl/; s/^Package: \(kernel\|meta\)$/&\nSource: linux-signed (2)/' "$tree/var/lib/dpkg/status"
for doc in libssl3/changelog{.Debian,} openssl/changelog.Debian kernel/changelog; do
  mkdir -p "$tree/usr/share/doc/${doc%/*}"
  echo "$doc" | gzip >"$tree/usr/share/doc/$doc.gz"
done
echo licence >"$tree/usr/share/doc/kernel/copyright"
ln -s kernel "$tree/usr/share/doc/meta"
with "keep_changelogs $tree $work/changelogs"
found=$(cd "$work/changelogs" && tail -n +1 -- * | paste -sd' ')
[ "$found" = "==> linux-signed <== kernel/changelog  ==> openssl <== libssl3/changelog.Debian" ] ||
  fail "expected the changelogs of two sources, found: $found"
found=$(cd "$tree/usr/share/doc" && find . -type f)
[ "$found" = ./kernel/copyright ] || fail "expected that the licence stays alone, found: $found"

# A package of one's own keeps what it needs, also what is otherwise taken out; what ours need alone goes.
new_tree
package base-files ''
sed -i '/^Package: base-files/a Essential: yes' "$tree/var/lib/dpkg/status"
package nfs-common 'python3, base-files'
package python3 'python3-minimal (>= 3), libc6 | libc7'
package python3-minimal base-files
package gnupg gpg
package gpg ''
package agent 'interpreter, nfs-common'
package perl-like ''
sed -i '/^Package: perl-like/a Provides: interpreter (= 1), other' "$tree/var/lib/dpkg/status"
printf '%s\n' nfs-common agent >"$work/packages"
own() { with "packages=$work/packages own_packages $tree" | paste -sd' '; }
[ "$(own)" = "agent perl-like" ] || fail "expected what the agent needs, found: $(own)"
echo gnupg >>"$work/packages"
[ "$(own)" = "agent gnupg gpg perl-like" ] || fail "a package in both lists is taken out: $(own)"
sed -i 's/^Depends: interpreter.*/Depends: python3/' "$tree/var/lib/dpkg/status"
[ "$(own)" = "agent gnupg gpg python3 python3-minimal" ] || fail "a dependency is taken out: $(own)"
package linux-image-amd64 'initramfs-tools | linux-initramfs-tool'
package dracut dracut-core
sed -i '/^Package: dracut/a Provides: linux-initramfs-tool' "$tree/var/lib/dpkg/status"
package dracut-core ''
echo linux-image-amd64 >"$work/packages"
[ "$(own)" = "linux-image-amd64" ] || fail "another kernel keeps what made its initrd: $(own)"
echo dracut >>"$work/packages"
[ "$(own)" = "dracut dracut-core linux-image-amd64" ] || fail "what the list names is taken out: $(own)"

# The scripts that install packages need more than what they install: that goes, unless the list names it. perl-base
# stays where a program is written in Perl, which no package has to say.
package perl-base ''
sed -i '/^Package: perl-base/a Essential: yes' "$tree/var/lib/dpkg/status"
package daemon 'adduser, init-system-helpers'
package adduser ''
package init-system-helpers perl-base
printf '%s\n' daemon >"$work/packages"
[ "$(own)" = daemon ] || fail "what installs packages stays: $(own)"
echo adduser >>"$work/packages"
[ "$(own)" = "adduser daemon" ] || fail "what the list names is taken out: $(own)"
files daemon /usr/bin/daemon
printf '#!/usr/bin/perl\n' >"$tree/usr/bin/daemon"
[ "$(own)" = "adduser daemon perl-base" ] || fail "a program in Perl has no Perl: $(own)"

# What rootfs/excluded lists goes, but from no package that one of one's own needs; nor does a setuid bit of theirs.
package containerd libc6
package libc6 ''
package agent-runtime 'containerd, libc6'
files libc6 /usr/lib/x/gconv/BIG5.so /usr/lib/x/libc.so.6
files containerd /usr/bin/containerd /usr/bin/ctr /usr/bin/helper
files agent-runtime /usr/bin/agent-runtime /usr/lib/x/gconv/AGENT.so
printf '%s\n' '# a client' /usr/bin/ctr '/usr/lib/*/gconv/*' >"$work/excluded"
left() { # OWN PACKAGE...: what leave_out leaves, and the setuid files in it
  rm -rf "$work/left"
  cp -a "$tree" "$work/left"
  chmod u+s "$work/left"/usr/bin/{helper,agent-runtime}
  mkdir -p "$work/left/usr/sbin" && install -m 4755 /dev/null "$work/left/usr/bin/su"
  printf '%s\n' "$@" >"$work/packages"
  with "packages=$work/packages excluded=$work/excluded; own_packages $work/left >$work/own; leave_out $work/left $work/own"
  (cd "$work/left/usr" && find bin/ctr lib/x ! -type d 2>/dev/null | sort; find bin -perm /6000 | sort) | paste -sd' '
}
[ "$(left)" = "lib/x/libc.so.6 bin/su" ] || fail "expected what is left out to be gone, found: $(left)"
[ "$(left agent-runtime)" = "bin/ctr lib/x/gconv/AGENT.so lib/x/libc.so.6 bin/agent-runtime bin/su" ] ||
  fail "expected what the agent needs, found: $(left agent-runtime)"

# Nor do the files go that the tidying takes from others.
files agent /etc/xdg/agent.conf /usr/lib/python3/agent.py /usr/local/bin/agent
files nfs-common /etc/xdg/ours.conf /usr/lib/python3/ours.py
mkdir -p "$tree"/usr/local/{lib,sbin}
echo agent >"$work/own"
with "tidy_base $tree $work/own"
found=$(cd "$tree" && find etc usr/lib/python3 usr/local ! -type d | sort | paste -sd' ')
[ "$found" = "etc/xdg/agent.conf usr/lib/python3/agent.py usr/local/bin/agent" ] || fail "after tidying, found: $found"

# What a package has in /opt, /srv and /usr/local is there on the node, by a link to the release's own.
files agent /opt/agent/bin/agent '/opt/agent/100% of it' /usr/local/bin/agent /srv/agent/page /var/lib/agent/data
mkdir "$tree/opt/agent/spool"
chmod 0750 "$tree/opt/agent/spool"
chmod 0700 "$tree/root"
mkdir "$tree/efi"
cp -a "$tree" "$work/before"
with "link_into_var $tree; empty_var $tree"
conf=$tree/usr/lib/tmpfiles.d/hostos-packages.conf
factory=/usr/share/factory/var
for line in "d \"/var/opt/agent/spool\" 0750 $(id -u) $(id -g)" \
  "L \"/var/opt/agent/bin/agent\" - - - - $factory/opt/agent/bin/agent" \
  "L \"/var/opt/agent/100%% of it\" - - - - $factory/opt/agent/100%% of it" \
  "L \"/var/usrlocal/bin/agent\" - - - - $factory/usrlocal/bin/agent" \
  "L \"/var/srv/agent/page\" - - - - $factory/srv/agent/page" \
  "C \"/var/lib/agent/data\" 0644 $(id -u) $(id -g)"; do
  grep -qxF "$line" "$conf" || fail "expected '$line', found: $(cat "$conf")"
done
[ "$(cat "$tree$factory/opt/agent/bin/agent")" = content ] || fail "the agent's program is gone"
[ "$(readlink "$tree/opt")" = var/opt ] || fail "/opt is no link"
[ -z "$(ls -A "$tree/var")" ] || fail "/var is not empty"

# A root of a release becomes what it was before, for whoever builds upon it.
before=$(cd "$work" && find before -printf '%P %y %m %U %G %l\n' | LC_ALL=C sort)
mkdir -p "$tree"/usr/lib/tmpfiles.d
with "refill_var $tree"
found=$(cd "$tree/.." && find tree -printf '%P %y %m %U %G %l\n' | LC_ALL=C sort)
[ "$found" = "$before" ] || fail "expected the tree as it was, found: $(diff <(echo "$before") <(echo "$found"))"
# Needs that nothing in the root meets are no reason for apt to refuse.
package broken 'libc6 (>= 2), gone | gone-too, nfs-common'
with "without_missing $tree" <"$tree/var/lib/dpkg/status" >"$work/status"
grep -qx 'Depends: libc6 (>= 2), nfs-common' "$work/status" || fail "found: $(cat "$work/status")"

# What belongs to the node is refused, with the package.
new_tree
package agent ''
files agent /mnt/agent/data
echo content >"$tree/root/.bashrc"
said=$(with "link_into_var $tree" 2>&1) && fail "a package with files in /mnt was taken"
[[ $said == *"found: /mnt/agent/data of package agent" ]] || fail "expected path and package, found: $said"

# Files of one's own: with their owners and modes, over links and never through them.
new_tree
mkdir -p "$tree/etc" "$work/files/etc/agent" "$work/files/usr/share"
chmod 0700 "$tree/etc"
echo outside >"$work/outside"
ln -s "$work/outside" "$tree/etc/motd"
ln -s usr/lib "$tree/lib"
echo laid >"$work/files/etc/motd"
echo laid >"$work/files/etc/agent/key"
ln -s agent/key "$work/files/etc/link"
chmod 0600 "$work/files/etc/agent/key"
[ "$(id -u)" != 0 ] || chown 901:902 "$work/files/etc/agent/key"
owner=$(stat -c %u:%g "$work/files/etc/agent/key")
with "lay_files $work/files $tree"
[ "$(cat "$work/outside")" = outside ] || fail "a file was written through a link"
[ "$(cat "$tree/etc/motd")" = laid ] || fail "the file was not laid"
[ ! -h "$tree/etc/motd" ] || fail "the link is still there"
[ "$(readlink "$tree/etc/link")" = agent/key ] || fail "the link was not laid"
[ "$(stat -c %a "$tree/etc")" = 700 ] || fail "a folder lost its mode"
found=$(stat -c '%u:%g %a' "$tree/etc/agent/key")
[ "$found" = "$owner 600" ] || fail "expected $owner 600, found $found"
for path in lib/agent etc/motd/agent; do
  rm -rf "$work/files"
  mkdir -p "$work/files/$path"
  said=$(with "lay_files $work/files $tree" 2>&1) && fail "files were laid through $path"
  [[ $said == "rootfs: ${path%/*}: expected a folder in the root, found a "* ]] || fail "expected the path, found: $said"
done
rm -rf "$work/files"
mkdir "$work/files"
touch "$work/files/etc"
said=$(with "lay_files $work/files $tree" 2>&1) && fail "a file was laid over a folder"
[[ $said == "rootfs: etc: expected a file in the root, found a folder" ]] || fail "expected the path, found: $said"

# Nobody gets in, until a credential brings root's password: firstboot writes it over this field alone.
new_tree
mkdir -p "$tree/etc" "$work/credentials"
echo root:x:0:0:root:/root:/bin/bash >"$tree/etc/passwd"
printf '%s\n' root:*:1:0:99999:7::: daemon:*:1:0:99999:7::: 'agent:secret:1:0:99999:7:::' >"$tree/etc/shadow"
with "lock_down $tree 864000"
locked=$(printf '%s\n' 'root:!unprovisioned:10:0:99999:7:::' 'daemon:!*:10:0:99999:7:::' 'agent:!*:10:0:99999:7:::')
[ "$(cat "$tree/etc/shadow")" = "$locked" ] || fail "expected locked accounts, found: $(cat "$tree/etc/shadow")"
first_boot() { CREDENTIALS_DIRECTORY=$work/credentials systemd-firstboot --root="$tree"; }
first_boot
[ "$(cat "$tree/etc/shadow")" = "$locked" ] || fail "a first boot without a password changed $(cat "$tree/etc/shadow")"
printf %s '$6$salt$hash' >"$work/credentials/passwd.hashed-password.root"
first_boot
grep -q '^root:$6$salt$hash:' "$tree/etc/shadow" || fail "the credential's password is not in $(cat "$tree/etc/shadow")"

# An account without an ID of ours is refused, with the lines that are missing and the package.
new_tree
mkdir -p "$tree"/{etc,usr/lib/sysusers.d,usr/share/base-passwd}
printf '%s\n' root:x:0: adm:x:4: >"$tree/usr/share/base-passwd/group.master"
printf '%s\n' root:x:0:0:root:/root:/bin/bash >"$tree/usr/share/base-passwd/passwd.master"
cat "$tree/usr/share/base-passwd/group.master" "${build%/*}/accounts/group" >"$tree/etc/group"
cat "$tree/usr/share/base-passwd/passwd.master" "${build%/*}/accounts/passwd" >"$tree/etc/passwd"
with "refuse_accounts $tree"
package agent ''
package other-agent ''
files agent /usr/lib/sysusers.d/agent.conf
echo 'u _agent - "An agent" /var/lib/agent' >"$tree/usr/lib/sysusers.d/agent.conf"
echo 'adduser --system other' >"$tree/var/lib/dpkg/info/other-agent.postinst"
printf '%s\n' _agent:x:997: agents:x:101: >>"$tree/etc/group"
printf '%s\n' '_agent:!*:997:997:An agent:/var/lib/agent:/usr/sbin/nologin' \
  other:x:100:4::/nonexistent:/usr/sbin/nologin >>"$tree/etc/passwd"
said=$(with "refuse_accounts $tree" 2>&1) && fail "accounts without an ID of ours were taken"
[[ $said == "rootfs: accounts without a fixed ID"* ]] || fail "expected what is wrong, found: $said"
for line in "group, of /usr/lib/sysusers.d/agent.conf of package agent:|_agent:x:909:" "group:|agents:x:910:" \
  "passwd, of /usr/lib/sysusers.d/agent.conf of package agent:|_agent:*:909:909:An agent:/var/lib/agent:/usr/sbin/nologin" \
  "passwd, of package other-agent:|other:*:918:4::/nonexistent:/usr/sbin/nologin"; do
  [[ $said == *"  ${line%|*}"$'\n'"${line#*|}"* ]] || fail "expected '$line', found: $said"
done

# Nor does a release bring a private key, or nothing that nodes could verify the next one by.
new_tree
mkdir -p "$tree"/etc/hostctl/keys.d "$tree"/usr/lib/hostos/{keys.d,tuf} "$tree/usr/share/agent"
trust() { with "refuse_secrets $tree; expect_trust $tree" 2>&1; }
refused() { # TEXT
  local said
  said=$(trust) && fail "a release was taken; expected: $1"
  [[ $said == "rootfs: $1"* ]] || fail "expected '$1', found: $said"
}
keys=$tree/usr/lib/hostos/keys.d
refused "usr/lib/hostos/keys.d: expected a *.pub"
openssl genpkey -algorithm ed25519 -out "$work/secret.pem"
openssl pkey -in "$work/secret.pem" -pubout -out "$work/public.pem"
raw() { tail -c 32 <(openssl pkey -in "$work/secret.pem" "$@" -outform DER); }
{ echo '# a key'; raw -pubout | base64 -w 0; echo; cat "$work/public.pem"; } >"$keys/release.pub"
refused "usr/lib/hostos/tuf/root.json: expected metadata/N.root.json of the repository, found none"
cat >"$tree/usr/lib/hostos/tuf/root.json" <<'EOR'
{"signatures": [{"keyid": "a", "sig": "b"}],
 "signed": {"_type": "root", "version": 1, "expires": "2030-01-01T00:00:00Z", "keys": {},
 "roles": {"root": {}, "targets": {}, "snapshot": {}, "timestamp": {}}}}
EOR
said=$(trust) || fail "what nodes trust was refused: $said"
for edit in s/root/targets/ s/timestamp/timestump/ 's/{"keyid.*"}//' 's/1,/"1",/' 's/}}}//'; do
  cp -p "$tree/usr/lib/hostos/tuf/root.json" "$work/root.json"
  sed -i "$edit" "$tree/usr/lib/hostos/tuf/root.json"
  refused "usr/lib/hostos/tuf/root.json: expected metadata/N.root.json of the repository (TUF), found something else"
  mv "$work/root.json" "$tree/usr/lib/hostos/tuf/root.json"
done
for content in 'no key' '' '# nothing' "$(head -n 2 "$work/public.pem")" "$(raw -pubout | base64)="; do
  echo "$content" >"$keys/other.pub"
  refused "usr/lib/hostos/keys.d/other.pub: expected public keys"
done
rm "$keys/other.pub"

# By whatever name, in every form, wherever.
for file in usr/lib/hostos/keys.d/release.pem etc/hostctl/keys.d/release.pub usr/share/agent/with\ text; do
  { echo text; sed 's/^/  /' "$work/secret.pem"; } >"$tree/$file"
  refused "private keys, which everybody could read in a release: $file. Take them out"
  rm "$tree/$file"
done
for words in 'OPENSSH PRIVATE KEY' 'RSA PRIVATE KEY' 'ENCRYPTED PRIVATE KEY' 'PGP PRIVATE KEY BLOCK'; do
  echo "-----BEGIN $words-----" >"$tree/etc/hostctl/key"
  refused "private keys, which everybody could read in a release: etc/hostctl/key. "
done
rm "$tree/etc/hostctl/key"
{ raw; raw -pubout; } | base64 -w 0 >"$keys/release.secret"
refused "private keys, which everybody could read in a release: usr/lib/hostos/keys.d/release.secret. "
mv "$keys/release.secret" "$keys/release.pub"
refused "private keys, which everybody could read in a release: usr/lib/hostos/keys.d/release.pub. "

# What a root weighs: each file once, by package; the kernel without its version, and the rest together.
new_tree
mkdir -p "$tree/usr/lib/modules/6.1/kernel"
weighing() { head -c "$2" /dev/zero >"$tree$1"; }
files agent /usr/bin/agent /bin/merged
mkdir -p "$tree/usr/lib/hostos" "$tree/var/log" && mv "$tree/bin/merged" "$tree/usr/bin/merged"
printf '/usr/lib/modules/6.1/kernel/a.ko.xz\n' >"$tree/var/lib/dpkg/info/linux-image-6.1-cloud-amd64.list"
for part in /usr/bin/agent=10 /usr/bin/merged=5 /usr/lib/modules/6.1/kernel/a.ko=300 /usr/lib/modules/6.1/vmlinuz=7 \
  /usr/lib/hostos/fetch=40 /var/log/agent=1000; do weighing "${part%=*}" "${part#*=}"; done
ln "$tree/usr/bin/agent" "$tree/usr/bin/agent-too"
touch "$tree"/usr/lib/tmpfiles.d/x
found=$("$build" size "$tree" | tr '\t\n' ' ;')
[ "$found" = "307 linux-image;40 other;15 agent;" ] || fail "expected what each package weighs, found: $found"

# The libraries of the rescue: also those that are opened by name. systemd's does so with the compressors of journals.
found=$(with 'cd /; libraries usr/bin/systemctl')
for library in libc.so.6 libsystemd-shared- liblzma.so.5 libzstd.so.1; do
  [[ $found == *"/$library"* ]] || fail "expected $library, found: $found"
done
