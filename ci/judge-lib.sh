# shellcheck shell=bash
# What the judgements from outside share: a lab of their own, tools from the pins, and the images that the tools
# ask for. Sourced after ci/lib.sh, never run.

# shellcheck disable=SC2154 # from ci/lib.sh
judges="$root/target/judges"
plimsoll=${PLIMSOLL:-${CARGO_TARGET_DIR:-$root/target}/debug/plimsoll}
mkdir -p "$judges"

# Sets kubeconfig: that of a cluster which somebody else keeps, or of a lab of our own that goes with the script.
# shellcheck disable=SC2034 # kubeconfig is for those who source this
judge_cluster() { # NAME [KUBECONFIG]
  if [[ -n ${2:-} ]]; then
    [[ -r $2 ]] || fail "cannot read the kubeconfig $2"
    kubeconfig=$2
    return
  fi
  [[ $(id -u) == 0 ]] || fail "the lab needs root" "to judge a cluster that you have: --kubeconfig FILE"
  judge_lab=$1
  watched "building plimsoll" '^ +Compiling' "$(crates)" 180 cargo build --locked --bin plimsoll
  trap judge_down EXIT
  watched "starting lab $1" '.' 0 400 "$plimsoll" lab up --name "$1"
  kubeconfig=$("$plimsoll" lab kubeconfig --name "$1")
}

judge_down() {
  end_background
  if [[ -n ${judge_lab:-} ]]; then "$plimsoll" lab down --name "$judge_lab" >&2 || true; fi
}

# Builds a program from the pins of one component: go_program COMPONENT PACKAGE NAME
go_program() {
  (cd "lab/components/$1" && watched "building $3" '' 0 240 \
    env CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly $go_flags" \
    go build -ldflags='-s -w' -o "$judges/$3" "$2")
}

# Copies programs into a root directory, each with the libraries that it is linked to.
copy_programs() { # ROOT PROGRAM...
  local to=$1 program path
  shift
  for program in "$@"; do
    path=$(command -v "$program") || fail "$program is missing" "apt-get install $(tr '\n' ' ' <ci/judge-packages.txt)"
    path=$(readlink -f "$path")
    install -D -m 755 "$path" "$to/usr/bin/$program"
    while read -r path; do
      [[ -e $to$path ]] || install -D -m 755 "$(readlink -f "$path")" "$to$path"
    done < <(ldd "$path" 2>/dev/null | grep -o '/[^ ]*')
  done
}

# A small userland: busybox for what is common, the real programs for what the tests look at closely.
userland() { # ROOT PROGRAM...
  local to=$1 applet
  shift
  rm -rf "$to"
  mkdir -p "$to"/{etc,root,usr/{bin,sbin,lib,lib64},var/run}
  install -d -m 1777 "$to/tmp"
  # The libraries' paths may be given by either name.
  ln -s usr/bin "$to/bin"
  ln -s usr/sbin "$to/sbin"
  ln -s usr/lib "$to/lib"
  ln -s usr/lib64 "$to/lib64"
  copy_programs "$to" busybox "$@"
  for applet in $(busybox --list); do
    [[ -e $to/usr/bin/$applet ]] || ln -s busybox "$to/usr/bin/$applet"
  done
  # Busybox's own shell drops variables whose names are not its taste, which some specs are about.
  if [[ -e $to/usr/bin/bash ]]; then ln -sf bash "$to/usr/bin/sh"; fi
  printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/:/bin/false \
    user-defined-in-image:x:1000:1000::/:/bin/sh >"$to/etc/passwd"
  printf '%s\n' root:x:0: nogroup:x:65534: user-defined-in-image:x:1000: \
    group-defined-in-image:x:50000:user-defined-in-image >"$to/etc/group"
  echo 'hosts: files dns' >"$to/etc/nsswitch.conf"
}

# Packs a root directory as an archive of one layer, as `docker save` writes it.
archive() { # FILE ROOT WHAT-TO-RUN REFERENCE...; WHAT-TO-RUN are fields of the image's configuration, as JSON
  local file=$1 from=$2 run=$3 work
  shift 3
  work=$(mktemp -d)
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$from" -cf "$work/layer.tar" .
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"WorkingDir":"/",%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(go env GOARCH)" "$run" "$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":[%s],"Layers":["layer.tar"]}]' \
    "$(printf '"%s",' "$@" | sed 's/,$//')" >"$work/manifest.json"
  tar -C "$work" -cf "$file" manifest.json config.json layer.tar
  rm -rf "$work"
}

# Puts archives on every node of our lab. A cluster of somebody else's has its own way to images.
load_images() { # ARCHIVE...
  local file
  if [[ -z ${judge_lab:-} && -z ${JUDGE_LAB:-} ]]; then
    say "  ${dim}images are the business of whoever keeps this cluster${plain}"
    return
  fi
  for file in "$@"; do
    watched "loading $(basename "$file")" '' 0 20 "$plimsoll" lab image load --name "${judge_lab:-${JUDGE_LAB:-}}" "$file"
  done
}

# The value of an attribute in one line of XML.
attribute() { # NAME
  sed -n "s/.* $1=\"\([^\"]*\)\".*/\1/p" |
    sed -e 's/&#34;/"/g; s/&quot;/"/g' -e "s/&#39;/'/g; s/&apos;/'/g" -e 's/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g'
}
