# shellcheck shell=bash disable=SC2154,SC2164 # rootfs/build sets the variables, and -e
# A part of rootfs/build: the packages and the initrds.

# Leaves out documentation, translations, and completions except these. Keeps licences.
readonly COMPLETED=(journalctl loginctl networkctl resolvectl systemctl systemd-analyze systemd-run timedatectl)
readonly EXCLUDED=(
  /usr/share/doc/\* /usr/share/info/\* /usr/share/man/\* /usr/share/locale/\* /usr/share/bug/\*
  /usr/share/lintian/\* /usr/share/bash-completion/\*/\* /usr/share/zsh/\* /usr/share/fish/\*
  /usr/share/initramfs-tools/\* /usr/share/runit/\*
  /etc/init.d/\* /etc/cron.\*/\* /etc/runit/\* /etc/sv/\* /etc/update-motd.d/\*
  /usr/bin/containerd-shim /usr/bin/containerd-shim-runc-v1 # for clients older than containerd 1.4
)

# What packages depend on for the sake of their installation: stays only if the list names it.
readonly INSTALLERS=(adduser debconf dracut init-system-helpers libdebconfclient0 linux-base runit-helper ucf)

build_base() {
  local tree=$output.new/tree files=() options=() path
  rm -rf --one-file-system "$output.new"
  mkdir -p "$output.new/tmp"
  chmod 1777 "$output.new/tmp"
  touch "$output.new/started"
  mapfile -t files < <(package_files)
  for path in "${EXCLUDED[@]}"; do options+=("--dpkgopt=path-exclude=$path"); done
  options+=("--dpkgopt=path-include=/usr/share/doc/*/copyright" "--dpkgopt=path-include=/usr/share/doc/*/changelog*.gz"
    "${COMPLETED[@]/#/--dpkgopt=path-include=/usr/share/bash-completion/completions/}")
  if [ "$suite_updates" = no ]; then
    # The default sources without updates: only the suite's own line stays.
    options+=("--setup-hook=sed -i -e '/$SUITE-/d' \"\$1\"/etc/apt/sources.list")
  fi

  say "packages of $SUITE, updates: $suite_updates, profile: $profile"
  # INITRD=No, because the kernel's hooks would make an initrd of their own. HostOS's is made at the
  # end, in a hook, because there mmdebstrap has /dev, /proc and /sys mounted.
  INITRD=No TMPDIR=$output.new/tmp mmdebstrap --mode=root --variant=essential --skip=output/dev \
    --include="$(listed "${files[@]}" "$HERE/packages.transient" | paste -sd,)" "${options[@]}" \
    --essential-hook="cat '$HERE/accounts/passwd' >>\"\$1\"/etc/passwd" \
    --essential-hook="cat '$HERE/accounts/group' >>\"\$1\"/etc/group" \
    --customize-hook="'$HERE/build' finish-base \"\$1\" '$output.new' '$packages' '$excluded'" \
    "$SUITE" "$tree" ${HOSTOS_MIRROR:+"$HOSTOS_MIRROR"}
  refuse_accounts "$tree"
  tidy_base "$tree" "$output.new/own"
  describe_base >"$output.new/inputs.json"
  rm -rf "$output.new/tmp" "$output.new/started" "$output.new/own" "$output.new/debs"
  rm -rf --one-file-system "$output"
  mv "$output.new" "$output"
  say "base: $output"
}

# The last hook of mmdebstrap. In its chroot everything is still mounted.
finish_base() {
  local tree=$1 out=$2 kernel
  packages=$3 excluded=$4
  newest_file "$tree" "$out/started" >"$out/epoch"
  list_debs "$tree" >"$out/debs"
  kernel=$(cd "$tree/usr/lib/modules" && echo *)
  [ -f "$tree/boot/vmlinuz-$kernel" ] || die "expected exactly one kernel, found: $kernel"

  own_packages "$tree" >"$out/own"
  leave_out "$tree" "$out/own"
  chroot "$tree" systemd-hwdb --usr update

  say "initrd for $kernel"
  copy_own "$HERE/dracut" "$tree/usr/lib/dracut/modules.d"
  chmod 0755 "$tree"/usr/lib/dracut/modules.d/{9?hostos*/module-setup.sh,90hostos/{choose-disk,open-root,prepare-etc},91hostos-rescue/rescue{,-disk,-setup,-slots,-var}}
  (cd "$HERE/overlay" && cp -r --parents --no-preserve=mode,ownership,timestamps "${INITRD_OVERLAY[@]}" "$tree")
  # Modules are uncompressed, so that an update moves only what changed in them.
  chroot "$tree" find "usr/lib/modules/$kernel" -name "*.ko.xz" -exec xz --decompress {} + -o -type d -empty -delete
  chroot "$tree" depmod "$kernel"
  make_initrd hostos initrd
  make_initrd hostos-rescue rescue-initrd

  # The kernel goes to its modules; /boot belongs to the release.
  mv "$tree/boot/vmlinuz-$kernel" "$tree/usr/lib/modules/$kernel/vmlinuz"
  mv "$tree/boot/config-$kernel" "$tree/usr/lib/modules/$kernel/config"
  rm -rf "${tree:?}"/boot/* "$tree"/initrd.img* "$tree"/vmlinuz*
  listed "$HERE/packages.transient" | grep -vxFf "$out/own" | DEBIAN_FRONTEND=noninteractive xargs chroot "$tree" \
    dpkg --purge --force-depends --force-remove-protected --force-remove-essential
  keep_changelogs "$tree" "$out/changelogs"
}

# keep_changelogs TREE OUT: moves Debian's changelogs out of the tree, unpacked, one a source package. Where a package has
# no changelog.Debian.gz, as the kernel's, changelog.gz is not upstream's but Debian's. A package without either has a link
# for its documentation, to that of another package of its source.
keep_changelogs() {
  local docs=$1/usr/share/doc package source file
  mkdir "$2"
  while read -r package source; do
    for file in "$docs/$package"/changelog{.Debian,}.gz; do
      if [ -f "$file" ] && [ ! -e "$2/$source" ]; then zcat "$file" >"$2/$source"; fi
    done
  done < <(installed "$1" '${Package} ${source:Package}\n')
  find "$docs" -name 'changelog*.gz' -delete
}

# list_debs TREE: every package that went into it, also those that are taken out again: name, version,
# architecture and SHA-256, as apt's signed lists have them.
list_debs() {
  local installed found
  installed=$(installed "$1" '${binary:Package}=${Version}\n')
  found=$(APT_CONFIG=$MMDEBSTRAP_APT_CONFIG xargs apt-cache show <<<"$installed" | awk '
    function end() { if (sha256) print name "\t" version "\t" arch "\t" sha256; sha256 = "" }
    /^Package: / { name = $2 } /^Version: / { version = $2 } /^Architecture: / { arch = $2 } /^SHA256: / { sha256 = $2 }
    /^$/ { end() } END { end() }' | LC_ALL=C sort -u)
  [ "$(wc -l <<<"$found")" = "$(wc -l <<<"$installed")" ] ||
    die "expected one digest in apt's lists for each package, found $(wc -l <<<"$found") for $(wc -l <<<"$installed")"
  echo "$found"
}

# describe_base: what this base is made of, for the release's provenance (docs/provenance.md).
describe_base() {
  builders | jq --raw-input --slurp --sort-keys --rawfile debs "$output.new/debs" \
    --arg packages "$(listed "$packages" | LC_ALL=C sort -u)" --arg excluded "$(listed "$excluded")" \
    --arg number "$(sed -n 's/^VERSION_ID="\([0-9]*\)"$/\1/p' "$tree/usr/lib/os-release")" \
    --arg suite "$SUITE" --arg updates "$suite_updates" --arg profile "$profile" --arg key "$(base_key)" '
    def table: split("\n") | map(select(. != "") | split("\t") | {name: .[0], version: .[1], architecture: .[2], sha256: .[3]});
    {id: "debian", version_id: $number, parameters: {suite: $suite, suite_updates: $updates, profile: $profile, packages: ($packages | split("\n")),
       excluded: ($excluded | split("\n")), base_key: $key},
     debs: ($debs | table), builders: (table | map(del(.sha256)))}'
}

# The packages of the machine that builds.
builders() { dpkg-query --show --showformat='${Package}\t${Version}\t${Architecture}\n' | LC_ALL=C sort; }

# leave_out TREE OWN: removes what rootfs/excluded lists, and takes from files what rootfs/setuid does not list. Not
# from packages that those of one's own need: all need libc6, and hardly one the character sets in it.
leave_out() {
  local tree=$1 path pattern=()
  while read -r path; do pattern+=(-o -path ".$path"); done < <(listed "$excluded")
  (
    cd "$tree"
    find ./usr \( -false "${pattern[@]}" \) ! -type d -printf '/usr/%P\n' | sort |
      comm -23 - <({ own_named; installers; echo '!libc6'; } | with_needs . | files_of . | sort) |
      sed 's/^/./' | xargs -rd '\n' rm
    find ./usr -type f -perm /6000 -printf '/usr/%P\n' | sort |
      comm -23 - <({ listed "$HERE/setuid"; files_of . <"$2"; } | sort) |
      sed 's/^/./' | xargs -rd '\n' chmod ug-s
  )
}

# The packages that the given list names, and rootfs/packages does not.
own_named() { listed "$packages" | grep -vxFf <(listed "$HERE/packages") || :; }

installers() { printf '%s\n' "${INSTALLERS[@]}" | grep -vxFf <(own_named) | sed 's/^/!/' || :; }

# own_packages TREE: the packages that only the given list brings, for a list other than
# rootfs/packages: those it names and rootfs/packages does not, and all that they depend on, unless
# rootfs/packages keeps them anyway. perl-base is essential, so that no package says that it needs it.
own_packages() {
  local tree=$1 ours own perl
  ours=$({ listed "$HERE/packages"; installed "$tree" '${Essential} ${Package}\n' | sed -n 's/^yes //p'; } |
    with_needs "$tree" | grep -vxFf <(listed "$HERE/packages.transient"))
  own=$({ own_named; sed 's/^/!/' <<<"$ours"; installers; } | with_needs "$tree")
  perl=$(files_of "$tree" <<<"$own" | (cd "$tree" && sed 's/^/./' | xargs -rd '\n' grep -sIlE '^#! ?/usr/bin/(env )?perl')) || :
  if [ -n "$perl" ]; then own+=$'\nperl-base'; fi
  sed '/^$/d' <<<"$own" | sort -u
}

installed() { dpkg-query --admindir="$1/var/lib/dpkg" --show --showformat="$2"; }

# with_needs TREE: the packages on stdin and all that they depend on. Does not go beyond !PACKAGE.
# Of alternatives, those that are installed count.
with_needs() {
  cat <(installed "$1" '${Package}\t${Pre-Depends}, ${Depends}\t${Provides}\n') - | awk -F'\t' '
    function names(list) { gsub(/\([^)]*\)|:[a-z0-9]+/, "", list); gsub(/[,|]/, " ", list); return list }
    NF == 3 {
      real[$1]
      needs[$1] = needs[$1] " " names($2)
      n = split(names($3), virtual, " ")
      for (i = 1; i <= n; i++) needs[virtual[i]] = needs[virtual[i]] " " $1
      next
    }
    sub(/^!/, "") { seen[$1]; next }
    { queue[++last] = $1 }
    END {
      for (at = 1; at <= last; at++) {
        if (queue[at] in seen || !(queue[at] in needs)) continue
        seen[queue[at]]
        if (queue[at] in real) print queue[at]
        n = split(needs[queue[at]], more, " ")
        for (i = 1; i <= n; i++) queue[++last] = more[i]
      }
    }'
}

# An account without a fixed ID gets one that is free on that day. The next base may give it
# another, while its files in /var stay. base-passwd and rootfs/accounts list fixed IDs.
refuse_accounts() {
  local tree=$1 master=$1/usr/share/base-passwd lines line account made missing=''
  lines=$(awk -F: '
    known { listed[table, $1]; used[$3]; next }
    (table, $1) in listed { next }
    !($1 in id) { while (next_id in used) next_id++; used[id[$1] = next_id] }
    table == "group" { moved[$3] = id[$1]; print "group: " $1 ":x:" id[$1] ":" }
    table == "passwd" {
      print "passwd: " $1 ":*:" id[$1] ":" ($4 in moved ? moved[$4] : $4) ":" $5 ":" $6 ":" $7
    }' next_id=901 known=1 table=group "$HERE/accounts/group" "$master/group.master" \
    table=passwd "$HERE/accounts/passwd" "$master/passwd.master" \
    known=0 table=group "$tree/etc/group" table=passwd "$tree/etc/passwd")
  if [ -z "$lines" ]; then return; fi
  while read -r line; do
    account=${line#*: }
    made=$(maker "$tree" "${account%%:*}")
    missing+=$'\n'"  ${line%%: *}${made:+, of $made}:"$'\n'"$account"
  done <<<"$lines"
  die "accounts without a fixed ID, which would be another's in a later release, with their" \
    "files in /var. Add these lines, as they are, to the files group and passwd in $HERE/accounts, and make the base again:$missing"
}

# maker TREE ACCOUNT: the package that makes the account, if that is written somewhere.
maker() {
  local file
  file=$(grep -lE "^[ug]!?[[:space:]]+$2([[:space:]:]|\$)" "$1"/usr/lib/sysusers.d/*.conf | head -n 1) || :
  if [ -n "$file" ]; then
    owned "$1" "${file#"$1"}"
  else
    file=$(grep -lwF -e "$2" "$1"/var/lib/dpkg/info/*.{postinst,preinst} | head -n 1) || :
    file=${file##*/}
    echo "${file:+package ${file%.*}}"
  fi
}

# make_initrd MODULE NAME: a part of finish_base. Not compressed, so that the files in it are those of the root,
# byte for byte, and an update need not move them again.
make_initrd() {
  SOURCE_DATE_EPOCH=$(<"$out/epoch") chroot "$tree" dracut --force --quiet --no-hostonly --reproducible \
    --modules "$1" --omit "systemd-modules-load systemd-sysctl" --no-compress \
    --kver "$kernel" "/$2" 2>&1 | tee "$out/dracut.log"
  # dracut goes on when a file is missing, so this reads its log.
  ! grep -F 'dracut[E]' "$out/dracut.log" || die "$2: incomplete"
  rm "$out/dracut.log"
  mv "$tree/$2" "$out/$2"
  chmod 0644 "$out/$2"
}

# The modification time, in seconds, of the newest file that came from a package.
newest_file() {
  find "$1/usr" -xdev -type f ! -newer "$2" -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1
}

# Removes what installation left behind: caches, logs, backups, identities, and what only apt,
# sysvinit or a translator would read. Keeps the files of packages in the list OWN.
tidy_base() {
  local tree=$1 kept=$2.tar
  keep_own "$tree" "$2" >"$kept"
  (
    cd "$tree"
    rm -rf usr/lib/python3* dev/* proc/* run/* sys/* tmp/* usr/lib/dracut usr/lib/udev/hwdb.d
    rm -rf etc/{X11,apport,apt,cron.*,dhcp,dpkg,dracut.conf*,emacs,init.d,insserv*,kernel,ldap,logcheck} \
      etc/{logrotate.d,network,python3*,rc?.d,runit,sv,ufw,update-motd.d,xdg}
    rm -f etc/{.pwd.lock,.resolv*,fstab,group-,gshadow-,hostname,motd,passwd-,shadow-,subgid-,subuid-} \
      etc/ssh/ssh_host_* etc/ssh/moduli.dpkg* etc/default/keyboard
    rm -rf var/cache var/log var/backups var/lib/{apt,dracut,python,ucf,shells.state} \
      var/lib/systemd/{catalog,deb-*}
    rm -f var/lib/dpkg/info/*.{config,p{ost,re}{inst,rm},shlibs,symbols,templates,triggers} \
      var/lib/dpkg/{lock*,*-old,available,cmethopt,triggers/Lock}
    rm -f usr/local/man
    find usr/local usr/share -mindepth 1 -type d -empty -delete
  )
  tar -x --skip-old-files -f "$kept" -C "$tree"
  rm "$kept"
}

# keep_own TREE OWN: an archive of every file that these packages installed.
keep_own() { files_of "$1" <"$2" | sed 's/^/./' | sort -u | tar -c --no-recursion -C "$1" -T -; }

# files_of TREE: the files of the packages on stdin.
files_of() {
  local info=$1/var/lib/dpkg/info package
  while read -r package; do
    cat "$info/$package.list" "$info/$package":*.list 2>/dev/null || :
  done | while read -r path; do
    if [ -h "$1$path" ] || [ -f "$1$path" ]; then echo "$path"; fi
  done | sed -E 's,^/(bin|lib|lib64|sbin)/,/usr&,'
}
