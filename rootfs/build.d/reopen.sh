# shellcheck shell=bash disable=SC2154,SC2164 # rootfs/build sets the variables, and -e
# A part of rootfs/build: a base again of a release, for whoever builds upon it.

reopen() {
  local tree=$base/tree propagation=unchanged
  refill_var "$tree"
  if [ -n "$add" ]; then
    # In a chroot / is no mount point, and `dev` has made all of them private.
    if mountpoint --quiet /; then propagation=private; fi
    unshare --mount --propagation "$propagation" "$HERE/build" add-packages --base "$base" --add "$add"
    refuse_accounts "$tree"
    tidy_base "$tree" "$base/added"
  fi
  : >"$base/released"
}

# refill_var TREE: what empty_var and link_into_var did, backwards.
refill_var() {
  local tree=$1 conf=$1/usr/lib/tmpfiles.d/hostos-packages.conf factory=$1/usr/share/factory/var link
  local row='^([dLC]) "/var/(.+)" ([0-7-]+) ([0-9-]+) ([0-9-]+)( - (.*))?$' line path
  [ -f "$conf" ] && [ -d "$tree/usr/lib/sysimage/dpkg" ] ||
    die "$tree is no root of a release: expected usr/lib/tmpfiles.d/hostos-packages.conf and usr/lib/sysimage/dpkg in it"
  rm -rf "${tree:?}/var/lib/dpkg"
  while IFS= read -r line; do
    [[ $line =~ $row ]] || continue
    path=${BASH_REMATCH[2]//%%/%}
    mkdir -p "$tree/var/$(dirname "$path")"
    if [ "${BASH_REMATCH[1]}" = d ]; then
      mkdir -p "$tree/var/$path"
      chown "${BASH_REMATCH[4]}:${BASH_REMATCH[5]}" "$tree/var/$path"
      chmod "${BASH_REMATCH[3]}" "$tree/var/$path"
    elif [ -e "$factory/$path" ] || [ -h "$factory/$path" ]; then
      mv "$factory/$path" "$tree/var/$path"
    else
      ln -s "${BASH_REMATCH[7]//%%/%}" "$tree/var/$path"
    fi
  done <"$conf"
  mkdir -p "$tree/var/lib"
  mv "$tree/usr/lib/sysimage/dpkg" "$tree/var/lib/dpkg"
  rmdir --ignore-fail-on-non-empty "$tree/usr/lib/sysimage"
  if [ -d "${factory%/var}" ]; then find "${factory%/var}" -depth -type d -empty -delete; fi
  rm "$conf"
  for link in home mnt opt root srv usr/local; do
    rm "$tree/$link"
    mkdir "$tree/$link"
  done
  chmod 0700 "$tree/root"
  for link in opt srv usr/local; do
    path=$tree/var/${link/usr\/local/usrlocal}
    if [ -d "$path" ]; then
      find "$path" -mindepth 1 -maxdepth 1 -exec mv --target-directory="$tree/$link" {} +
      rmdir "$path"
    fi
  done
  mkdir -p "$tree/media"
  touch "$tree/usr/lib/tmpfiles.d/home.conf"
}

# In a mount namespace of its own. The root has no apt, so that of this machine works on it. What is
# installed there stays as it is: whoever adds a package to a release gets that release.
add_packages() {
  local tree=$base/tree work=$base/apt apt plan moved names table sources
  mapfile -t names < <(listed "$add")
  mkdir -p "$work"/{lists/partial,cache/archives/partial}
  without_missing "$tree" <"$tree/var/lib/dpkg/status" >"$work/status"
  sources=$(apt_sources "$(sed -n 's/^VERSION_CODENAME=//p' "$tree/usr/lib/os-release")" "$work/sources.list")
  mapfile -t sources <<<"$sources"
  apt=(apt-get --quiet=2 -o "Dir::State=$work" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache"
    ${sources[0]:+"${sources[@]}"} -o Dir::Etc::Preferences=/dev/null
    -o Dir::Etc::PreferencesParts=/dev/null -o APT::Install-Recommends=false -o APT::Sandbox::User=root)
  say "packages: ${names[*]}"
  "${apt[@]}" update
  plan=$("${apt[@]}" --quiet=0 --simulate install "${names[@]}")
  moved=$(sed -n -e 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\).*/\1 from \2 to \3/p' -e 's/^Remv \([^ ]*\).*/\1 out/p' <<<"$plan")
  [ -z "$moved" ] || die "${names[*]}: expected to leave the release's packages as they are, but this would move" \
    "${moved//$'\n'/, }: build upon a newer release, or leave it out"
  sed -n 's/^Inst \([^ ]*\) .*/\1/p' <<<"$plan" | LC_ALL=C sort >"$base/added"
  "${apt[@]}" --yes --download-only install "${names[@]}"

  mount -t proc proc "$tree/proc"
  mount --rbind /dev "$tree/dev"
  mount -t tmpfs tmpfs "$tree/run"
  if [ -s "$base/added" ]; then
    for table in passwd group; do
      awk -F: 'NR == FNR { there[$1]; next } !($1 in there)' "$tree/etc/$table" "$HERE/accounts/$table" >"$work/$table"
      cat "$work/$table" >>"$tree/etc/$table"
    done
    INITRD=No DEBIAN_FRONTEND=noninteractive dpkg --root="$tree" "${EXCLUDED[@]/#/--path-exclude=}" \
      '--path-include=/usr/share/doc/*/copyright' --install "$work"/cache/archives/*.deb
  fi
  umount --recursive "$tree"/{proc,dev,run}
  rm -rf "$work"
}

# apt_sources SUITE FILE: options for apt. Without a mirror the sources are those of this machine.
apt_sources() {
  case ${HOSTOS_MIRROR:-} in
    '')
      grep -qx "VERSION_CODENAME=$1" /etc/os-release ||
        die "the release is of $1, and this machine is not: say where its packages are, in HOSTOS_MIRROR"
      return
      ;;
    'deb '*) printf '%s\n' "$HOSTOS_MIRROR" >"$2" ;;
    *) printf 'deb %s %s main\n' "$HOSTOS_MIRROR" "$1" >"$2" ;;
  esac
  printf '%s\n' -o "Dir::Etc::SourceList=$2" -o Dir::Etc::SourceParts=/dev/null
}

# without_missing TREE: the status of packages without the needs that nothing in the root meets:
# what was taken out when it was made (packages.transient). apt would refuse to work on it.
without_missing() {
  awk -v there="$(installed "$1" '${Package} ${Provides}\n' | sed 's/([^)]*)//g; s/,/ /g' | tr '\n' ' ')" '
    BEGIN { n = split(there, names, " "); for (i = 1; i <= n; i++) known[names[i]] }
    /^(Pre-)?Depends: / {
      field = $1
      sub(/^[^:]*: */, "")
      n = split($0, needs, / *, */)
      kept = ""
      for (i = 1; i <= n; i++) {
        met = 0
        m = split(needs[i], choices, / *\| */)
        for (j = 1; j <= m; j++) { name = choices[j]; sub(/[ (:].*/, "", name); if (name in known) met = 1 }
        if (met) kept = kept (kept == "" ? "" : ", ") needs[i]
      }
      if (kept != "") print field " " kept
      next
    }
    { print }'
}
