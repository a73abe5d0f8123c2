# shellcheck shell=bash disable=SC2154,SC2164 # rootfs/build sets the variables, and -e
# A part of rootfs/build: the release that is made of a base.

build_release() {
  local tree=$output.new/tree epoch
  epoch=${SOURCE_DATE_EPOCH:-$(<"$base/epoch")}
  rm -rf --one-file-system "$output.new"
  mkdir -p "$output.new"
  cp -a --reflink=auto "$base/tree" "$tree"
  cp -a --reflink=auto "$base/initrd" "$output.new/initrd"
  if [ -d "$base/changelogs" ]; then cp -a --reflink=auto "$base/changelogs" "$output.new/changelogs"; fi

  if [ -f "$base/released" ]; then
    rm -f "$tree"/{usr/lib/hostos,etc/hostctl}/keys.d/*.pub # whom to trust is for --files to say
  else
    copy_own "$HERE/overlay" "$tree"
    mkdir -p "$tree"/etc/{cni/net.d,containerd/conf.d,hostctl/keys.d,hostctl/health.d/required,hostctl/health.d/wanted} \
      "$tree"/usr/lib/hostos/{keys.d,tuf}
    copy_own "$install" "$tree" # modes under another umask are its owner's affair, too
    (cd "$install" && find . -type f -perm -0100 -print0) | (cd "$tree" && xargs -0 -r chmod 0755)
  fi
  [ -z "$files" ] || lay_files "$files" "$tree"
  index_manual "$tree"
  write_os_release "$tree/usr/lib/os-release"
  lock_down "$tree" "$epoch"
  apply_presets "$tree"
  link_into_var "$tree"
  empty_var "$tree"
  refuse_identity "$tree"
  offer_packages "$tree"
  refuse_secrets "$tree"
  expect_trust "$tree"
  complete_rescue "$tree" "$epoch"
  if [ -f "$base/inputs.json" ]; then describe_release "$epoch" >"$output.new/inputs.json"; fi
  if [ "$initrd" = compressed ]; then compress "$output.new"/{,rescue-}initrd; fi
  find "$tree" "$output.new"/*initrd -exec touch --no-dereference --date="@$epoch" {} +

  rm -rf --one-file-system "$output"
  mv "$output.new" "$output"
  say "release $version: $output ($(du -sm "$output/tree" | cut -f1) MiB, $(find "$output/tree" | wc -l) files)"
}

# lay_files DIR TREE: copies everything, with its owners and modes. A folder that is there keeps its own; a file replaces
# a link, and never goes through one: an absolute link leads out of the tree.
lay_files() {
  local path
  while IFS= read -r path; do
    [ ! -h "$2/$path" ] ||
      die "$path: expected a folder in the root, found a link to $(readlink "$2/$path"): put its files there"
    [ ! -e "$2/$path" ] || [ -d "$2/$path" ] || die "$path: expected a folder in the root, found a file"
  done < <(cd "$1" && find . -mindepth 1 -type d -printf '%P\n' | LC_ALL=C sort)
  while IFS= read -r path; do
    [ -h "$2/$path" ] || [ ! -d "$2/$path" ] || die "$path: expected a file in the root, found a folder"
  done < <(cd "$1" && find . ! -type d -printf '%P\n')
  tar -c -C "$1" --numeric-owner . | tar -x -C "$2" --numeric-owner --same-permissions --no-overwrite-dir
}

# mandoc leaves the name `man` to man-db. mman behaves differently when called through a link named
# so, and it complains about pages that are not in its index.
index_manual() {
  if [ ! -x "$1/usr/bin/mman" ]; then return; fi
  if [ ! -e "$1/usr/bin/man" ]; then
    printf '#!/bin/sh\nexec mman "$@"\n' >"$1/usr/bin/man"
    chmod 0755 "$1/usr/bin/man"
  fi
  chroot "$1" makewhatis /usr/share/man
}

# Adds to the rescue what it takes from the release: hostctl and the fetch program with everything
# they load, the keys they trust, and where they ask. The kernel unpacks one archive over the other.
complete_rescue() {
  local tree=$1 epoch=$2 part=$output.new/rescue
  mkdir "$part"
  (
    cd "$tree"
    libraries usr/bin/hostctl usr/lib/hostos/fetch | xargs cp --dereference --preserve=mode --parents --target-directory="$part"
    cp -a --parents --target-directory="$part" usr/bin/hostctl usr/lib/hostctl usr/lib/hostos/{fetch,keys.d,tuf} \
      usr/lib/systemd/network usr/lib/systemd/system/{efi.mount,hostos-fetch{@.service,.socket}} \
      etc/systemd/{network,system-generators} \
      etc/{nsswitch,resolv}.conf etc/ssl/certs/ca-certificates.crt etc/hostctl
  )
  write_os_release "$part/usr/lib/os-release" -rescue
  ln -s ../usr/lib/os-release "$part/etc/os-release"
  find "$part" -exec touch --no-dereference --date="@$epoch" {} +
  (cd "$part" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
    cpio --quiet --reproducible --owner=0:0 --format=newc --create) |
    cat "$base/rescue-initrd" - >"$output.new/rescue-initrd"
  rm -r "$part"
}

sums() { (cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum); }
list_files() { (cd "$1" && find . -mindepth 1 -printf '%y\t%m\t%U\t%G\t%P\t%l\n' | LC_ALL=C sort); }

# describe_release EPOCH: what the release is made of, its base included.
describe_release() {
  local commit
  commit=$(git -C "$HERE" -c safe.directory='*' rev-parse HEAD 2>/dev/null) || commit=''
  [ -z "$(git -C "$HERE" -c safe.directory='*' status --porcelain 2>/dev/null)" ] || commit+=-dirty
  sums "$install" |
    jq --raw-input --slurp --sort-keys --slurpfile base "$base/inputs.json" --arg commit "$commit" \
      --arg version "$version" --arg preview "$preview" --arg initrd "$initrd" --arg epoch "$1" \
      --arg files "$([ -z "$files" ] || list_files "$files")" --arg sums "$([ -z "$files" ] || sums "$files")" \
      --arg os_release "$([ -z "$os_release" ] || cat "$os_release")" --arg builders "$(builders)" '
      def lines: split("\n") | map(select(. != ""));
      def by_path: lines | map({(.[66:]): .[:64]}) | add // {};
      ($sums | by_path) as $digests |
      $base[0] * {parameters: {files: ($files | lines | map(split("\t") | {path: .[4], mode: .[1], uid: (.[2] | tonumber),
          gid: (.[3] | tonumber)} + if .[0] == "l" then {link: .[5]} elif .[0] == "f" then {sha256: $digests[.[4]]} else {} end)),
        version: $version, preview: $preview, initrd: $initrd, file_time: ($epoch | tonumber),
        os_release: ($os_release | lines)}, source: $commit,
        install: (lines | map({path: .[66:], sha256: .[:64]}))}
      | .builders |= (. + ($builders | lines | map(split("\t") | {name: .[0], version: .[1], architecture: .[2]})) | unique)'
}

# compress FILE...: for nodes with a small ESP; each update then moves the whole of them.
compress() {
  local file
  for file in "$@"; do
    zstd -15 -T1 -q "$file" -o "$file.zst"
    mv "$file.zst" "$file"
  done
}

# libraries PROGRAM...: the libraries these load, from the root in the current directory: those they
# are linked with, those nsswitch.conf names, and those that one of them opens by name, as its notes
# say (UAPI group: dlopen metadata).
libraries() {
  local found before='' name
  found=$(for name in $(sed -n 's/^[a-z]*: *//p' etc/nsswitch.conf | sed 's/\[[^]]*\]//g'); do
    printf '%s\n' usr/lib/*-linux-gnu/"libnss_$name.so.2"
  done)
  while [ "$found" != "$before" ]; do
    before=$found
    # shellcheck disable=SC2086 # no path has a space
    found=$(
      {
        echo "$found"
        chroot . ldd "$@" $found | sed -n 's,.* => /\(usr/\)\?\(lib/[^ ]*\) .*,usr/\2,p'
        for name in $(grep -aohs '"soname":\[[^]]*\]' "$@" $found | grep -o 'lib[^"]*'); do
          printf '%s\n' usr/lib/*-linux-gnu/"$name"
        done
      } | sort -u | sed '/^$/d'
    )
  done
  echo "$found"
}

# check_os_release FILE: a publisher adds whom to ask and how long, and changes no identity.
check_os_release() {
  local line key='(VENDOR_NAME|VENDOR_URL|HOME_URL|DOCUMENTATION_URL|SUPPORT_URL|BUG_REPORT_URL|SUPPORT_END|BUILD_ID)'
  [ -f "$1" ] || die "--os-release: no file $1"
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line =~ ^$key=(\"[^\"\\\$\`]*\"|[A-Za-z0-9._-]+)$ ]] ||
      die "$1: expected lines such as VENDOR_NAME=\"Example\" with one of $key, found '$line'"
    [[ $line != SUPPORT_END=* || $line =~ ^SUPPORT_END=[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] ||
      die "$1: SUPPORT_END: expected a date such as 2028-08-09, found '$line'"
  done <"$1"
}

# write_os_release FILE [-rescue]: to scanners, agents and drivers the root is the Debian release
# that its packages are from; IMAGE_ID and IMAGE_VERSION say which image of it (os-release(5),
# docs/decisions/0010-the-root-is-debian-and-the-image-is-hostos.md).
write_os_release() {
  local debian=$base/tree/usr/lib/os-release number type=stable mark=''
  number=$(sed -n 's/^VERSION_ID="\([0-9]*\)"$/\1/p' "$debian")
  [ -n "$number" ] || die "$debian: expected VERSION_ID=\"NUMBER\" of a Debian release, found none"
  if [ "$preview" = yes ]; then type=development mark=' PREVIEW'; fi
  {
    cat <<OS
PRETTY_NAME="HostOS $version$mark${2:+ (rescue)}"
NAME="HostOS"
OS
    grep -E '^(ID|VERSION_ID|VERSION|VERSION_CODENAME|DEBIAN_VERSION_FULL)=' "$debian"
    cat <<OS
CPE_NAME="cpe:/o:debian:debian_linux:$number.0"
IMAGE_ID=hostos${2:-}
IMAGE_VERSION=$version
VARIANT="HostOS container host"
VARIANT_ID=hostos
RELEASE_TYPE=$type
DEFAULT_HOSTNAME=hostos
OS
    if [ -n "$os_release" ]; then cat "$os_release"; fi
  } >"$1"
}

# offer_packages TREE: dpkg's database where scanners look for it, which follow no links. In a sealed
# image equal files are one, so it costs directory entries. On a node /var is another file system.
offer_packages() {
  local from=$1/usr/lib/sysimage/dpkg to=$1/var/lib/dpkg
  mkdir -p "$to/info"
  cp -a "$from"/{status,arch-native} "$to/"
  cp -a "$from"/info/*.{list,md5sums} "$to/info/"
}

# No identity, and no way in until a credential brings one.
lock_down() {
  local tree=$1 epoch=$2
  echo uninitialized >"$tree/etc/machine-id"
  # No password, and the date of the packages instead of today's. systemd-firstboot replaces only
  # "!unprovisioned" by the password of a credential.
  awk -F: -v OFS=: -v day=$((epoch / 86400)) \
    '{ locked = $1 == "root" ? "!unprovisioned" : "!*" } $2 != locked { $2 = locked; $3 = day } { print }' \
    "$tree/etc/shadow" >"$tree/etc/shadow.new"
  cat "$tree/etc/shadow.new" >"$tree/etc/shadow"
  rm "$tree/etc/shadow.new"
  ln -sfn ../usr/lib/os-release "$tree/etc/os-release"
}

# Refuses an identity or a way in, whatever a package, an overlay or --install brought.
refuse_identity() {
  local tree=$1 found
  [ "$(cat "$tree/etc/machine-id")" = uninitialized ] || die "etc/machine-id: expected 'uninitialized'"
  found=$(awk -F: '$2 !~ /^[!*]/ { print $1 }' "$tree/etc/shadow")
  [ -z "$found" ] || die "etc/shadow: accounts with a usable password field: ${found//$'\n'/, }"
  found=$(find "$tree"/{var,run,tmp} -mindepth 1 -maxdepth 1; find "$tree/etc/ssh" -name 'ssh_host_*')
  [ -z "$found" ] || die "expected no host keys, and nothing in var, run and tmp; found: ${found//$'\n'/, }"
}

# Refuses private keys, because everybody can read a release. Programs contain the words too, but
# are binary.
refuse_secrets() {
  local found
  found=$(
    cd "$1"
    grep -rIlE '^[[:space:]]*-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----' . || [ $? = 1 ] || exit 1
    # Secret keys in the form of `ostree sign`, as long as a SHA-512: looked for only where keys
    # belong.
    find ./usr/lib/hostos ./etc/hostctl -type f -exec grep -lxE '[A-Za-z0-9+/]{86}==' {} + || :
  )
  [ -z "$found" ] || die "private keys, which everybody could read in a release:" \
    "$(sed 's,^\./,,' <<<"$found" | sort -u | paste -sd, | sed 's/,/, /g'). Take them out;" \
    "a key that others have seen already is to be replaced (docs/trust.md)"
}

# A node that trusts no key, or lacks a root to verify its first metadata, runs but never updates.
expect_trust() {
  local tree=$1 at=usr/lib/hostos file found=0
  local else='found none: nodes of this release would never update. Put it into the tree of --install'
  for file in "$tree/$at"/keys.d/*.pub; do
    public_keys "$file" ||
      die "$at/keys.d/${file##*/}: expected public keys as \`hostimage keygen --public\` writes them, and nothing else"
    found=1
  done
  [ $found = 1 ] || die "$at/keys.d: expected a *.pub with the keys that sign releases, $else"
  [ -f "$tree/$at/tuf/root.json" ] || die "$at/tuf/root.json: expected metadata/N.root.json of the repository, $else"
  jq --exit-status '(.signatures | length > 0) and (.signed | ._type == "root" and (.version | type == "number")
    and (.expires | type == "string") and (.keys | type == "object")
    and (.roles | has("root") and has("targets") and has("snapshot") and has("timestamp")))' \
    "$tree/$at/tuf/root.json" >/dev/null 2>&1 ||
    die "$at/tuf/root.json: expected metadata/N.root.json of the repository (TUF), found something else"
}

# public_keys FILE: true if it holds at least one key as nodes accept it, and nothing else.
public_keys() {
  local line pem='' keys=0
  while IFS= read -r line || [ -n "$line" ]; do
    case $pem$line in
      '' | '#'*) continue ;;
      '-----BEGIN PUBLIC KEY-----'*) pem+=$line$'\n' ;;
      *) [[ $line =~ ^[A-Za-z0-9+/]{43}=$ ]] || return 1 ;;
    esac
    if [ "$line" = '-----END PUBLIC KEY-----' ]; then
      openssl pkey -pubin -noout -text <<<"$pem" 2>/dev/null | grep -qE '^(ED25519|ML-DSA-65) ' || return 1
      pem=''
    fi
    keys=$((keys + 1))
  done <"$1"
  [ $keys -gt 0 ] && [ -z "$pem" ]
}

# Enables what the presets say: the same in the image as on a first boot.
apply_presets() {
  local tree=$1 before dropped
  before=$(enabled "$tree")
  find "$tree/etc/systemd/system" "$tree/etc/systemd/user" -mindepth 1 -type d -name '*.wants' -exec rm -rf {} +
  systemctl --root="$tree" --quiet preset-all
  systemctl --root="$tree" --quiet --global preset-all
  dropped=$(comm -23 <(echo "$before") <(enabled "$tree") | paste -sd' ')
  [ -z "$dropped" ] || say "packages enable these, the presets do not: $dropped"
}

enabled() { find "$1"/etc/systemd/{system,user} -path '*.wants/*' -printf '%f\n' | sort -u; }

# Makes the root's writable places links into /var, the state partition. What packages, the overlay
# or --install put into those of programs and services is linked there (empty_var). The other places
# belong to the node.
link_into_var() {
  local tree=$1 link found
  rm -f "$tree"/root/{.bashrc,.profile}
  found=$(cd "$tree" && find home media mnt root -mindepth 1 ! -type d -printf '/%p\n' | sort)
  [ -z "$found" ] || die "expected nothing in /home, /media, /mnt and /root, which belong to the node; found: $(owned "$tree" "$found")"
  for link in home=var/home mnt=var/mnt opt=var/opt root=var/roothome srv=var/srv usr/local=../var/usrlocal; do
    case $link in
      opt=* | srv=* | usr/local=*)
        mkdir -p "$tree/var/${link##*var/}"
        find "$tree/${link%%=*}" -mindepth 1 -maxdepth 1 -exec mv --target-directory="$tree/var/${link##*var/}" {} +
        ;;
    esac
    rm -rf "${tree:?}/${link%%=*}"
    ln -s "${link#*=}" "$tree/${link%%=*}"
  done
  mkdir -p "$tree/efi"
  rm -rf "${tree:?}/media"
  # systemd's own lines for these places do not work with links.
  rm "$tree/usr/lib/tmpfiles.d/home.conf"
  sed -i 's,^\(d-\|f^\) /root,\1 /var/roothome,' "$tree/usr/lib/tmpfiles.d/provision.conf"
}

# Empties the image's /var. systemd-tmpfiles makes at boot what packages put there; it copies files
# from /usr/share/factory. What /opt, /srv and /usr/local had become links to those copies, because
# programs change with the release. dpkg's database moves to /usr, because it belongs to the
# release.
empty_var() {
  local tree=$1 conf=$1/usr/lib/tmpfiles.d/hostos-packages.conf factory=$1/usr/share/factory/var
  local path mode user group type target plugin escaped
  mkdir -p "$tree/usr/lib/sysimage" "$factory"
  rm -rf "$tree/usr/lib/sysimage/dpkg"
  mv "$tree/var/lib/dpkg" "$tree/usr/lib/sysimage/dpkg"
  {
    echo "# What packages keep in /var, written when the image was built."
    echo "r! /var/lib/dpkg" # the link of a release of before; var-lib-dpkg.mount takes a directory
    echo "d /var/lib/dpkg 0755 root root"
    find "$tree/var" -mindepth 1 -printf '%P\t%#m\t%U\t%G\t%y\t%l\n' | LC_ALL=C sort |
      while IFS=$'\t' read -r path mode user group type target; do
        escaped=${path//%/%%}
        case $type in
          d) echo "d \"/var/$escaped\" $mode $user $group" ;;
          l) echo "L \"/var/$escaped\" - - - - ${target//%/%%}" ;;
          f)
            case $path in
              opt/* | srv/* | usrlocal/*) echo "L \"/var/$escaped\" - - - - /usr/share/factory/var/$escaped" ;;
              *) echo "C \"/var/$escaped\" $mode $user $group" ;;
            esac
            mkdir -p "$factory/$(dirname "$path")"
            mv "$tree/var/$path" "$factory/$path"
            ;;
          *) die "/var/$path: expected a directory, a link or a file, found type $type" ;;
        esac
      done
    echo
    echo "# The CNI plugins, where containerd looks for them and add-ons put theirs."
    echo "d /var/opt/cni 0755 root root"
    echo "d /var/opt/cni/bin 0755 root root"
    for plugin in "$tree"/usr/lib/cni/*; do
      if [ -e "$factory/opt/cni/bin/${plugin##*/}" ]; then continue; fi
      echo "L /var/opt/cni/bin/${plugin##*/} - - - - /usr/lib/cni/${plugin##*/}"
    done
  } >"$conf"
  rm -rf "${tree:?}/var"/*
  rmdir --ignore-fail-on-non-empty -p "$factory"
}
