# shellcheck shell=bash
# What ci/quickstart, ci/test and ci/bench share: words, stages, and the prerequisites of a fresh machine.
# Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 2

# Colour only where a person looks, and never against NO_COLOR.
if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]] || [[ -n ${FORCE_COLOR:-} && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  # shellcheck disable=SC2034 # used by those who source this
  bold='' dim='' red='' green='' plain=''
fi

say() { printf '%s\n' "$*" >&2; }
fail() { # MESSAGE [WHAT TO DO]...
  say "${red}error:${plain} $1"
  shift
  local line
  for line in "$@"; do say "  $line"; done
  exit 2
}

# 75 -> 1m15s
took() {
  local s=$1
  if ((s >= 3600)); then
    printf '%dh%02dm' $((s / 3600)) $((s % 3600 / 60))
  elif ((s >= 60)); then
    printf '%dm%02ds' $((s / 60)) $((s % 60))
  else
    printf '%ds' "$s"
  fi
}

# Children in the background end with the script, whatever ends it. Each is a process group of its own.
background=()
end_background() {
  local pid
  for pid in "${background[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  background=()
}

# watched LABEL PATTERN TOTAL EXPECTED COMMAND...
# Runs a command with its output in a log, and shows how far it is: lines that match PATTERN of TOTAL (0: not
# known), the time it has taken, and what is left by the EXPECTED seconds of a cold machine with 2 cores. A
# failure shows the end of the log. The display follows the log's own lines.
watched() {
  local label=$1 pattern=$2 total=$3 expected=$4
  shift 4
  local log count=0 line start=$SECONDS shown=-100 pid status=0 input every=15
  mkdir -p "$root/target/logs"
  log="$root/target/logs/${label//[^a-zA-Z0-9]/-}.log"
  [[ -t 2 ]] && every=1
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  exec {input}< <(tail --pid="$pid" -n +1 -f "$log" 2>/dev/null)
  while true; do
    if IFS= read -r -t 1 -u "$input" line; then
      [[ $line =~ $pattern ]] && count=$((count + 1))
    elif (($? <= 128)); then
      break
    fi
    if ((SECONDS - shown >= every && SECONDS > start)); then
      shown=$SECONDS
      progress "$label" "$count" "$total" $((SECONDS - start)) "$expected"
    fi
  done
  exec {input}<&-
  wait "$pid" || status=$?
  [[ -t 2 ]] && printf '\r\e[K' >&2
  if ((status != 0)); then
    say "  ${red}failed${plain}   $label after $(took $((SECONDS - start))); the end of $log:"
    tail -n 40 "$log" >&2
    return "$status"
  fi
  say "  ${green}done${plain}     $label $dim$(took $((SECONDS - start)))$plain"
}

progress() { # LABEL COUNT TOTAL ELAPSED EXPECTED
  local of='' left=''
  if (($3 > 0)); then
    of=" $2 of about $3,"
    # Once the rate is known it is the better estimate.
    if (($2 * 10 > $3 && $2 < $3)); then left=", about $(took $(($4 * ($3 - $2) / $2))) left"; fi
  fi
  if [[ -z $left ]] && (($5 > $4)); then left=", at most about $(took $(($5 - $4))) left"; fi
  if [[ -t 2 ]]; then
    printf '\r\e[K  %-8s %s%s %s%s' '...' "$1" "$of" "$(took "$4")" "$left" >&2
  else
    say "  ...      $1$of $(took "$4")$left"
  fi
}

# The first of two versions is at least the second.
at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Debian packages named in the files given that are not installed.
missing_packages() {
  local name
  sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@" | sort -u | while IFS= read -r name; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
  done
}

# prerequisites FILE...: installs the Debian packages of the lists that are missing; checks Rust and Go.
prerequisites() {
  local missing=() wanted have
  [[ $(uname -s) == Linux ]] || fail "the lab needs Linux; this is $(uname -s)" \
    "Plimsoll itself is built and run on Linux, there also for a cluster that you have (docs/guide/clusters.md):" \
    "  cargo run --release -- run --context NAME --profile FILE --agent-image REFERENCE"

  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} > 0)); then
      [[ $(id -u) == 0 ]] || fail "Debian packages are missing, and only root can install them" \
        "as root: apt-get install --no-install-recommends ${missing[*]}"
      install_packages "${missing[@]}"
    fi
    say "  ${green}ready${plain}    Debian packages $dim($(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | sort -u | wc -l))$plain"
  else
    local program
    for program in containerd runc nft ip mount nsenter unshare cc; do
      command -v "$program" >/dev/null || missing+=("$program")
    done
    ((${#missing[@]} == 0)) || fail "programs are missing: ${missing[*]}" \
      "this is not Debian or Ubuntu: install them by your system's package manager, then start again"
  fi

  # rustup and Go put themselves where a fresh root shell may not look.
  local dir
  for dir in "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/local/go/bin; do
    [[ -d $dir && ":$PATH:" != *":$dir:"* ]] && PATH="$PATH:$dir"
  done
  export PATH

  command -v cargo >/dev/null || fail "Rust is missing" "install it by rustup (https://rustup.rs), then start again"
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  have=$(cargo --version | awk '{print $2}')
  at_least "$have" "$wanted" || fail "Rust $have is too old: $wanted or later is needed" "rustup update stable"
  say "  ${green}ready${plain}    Rust $have"

  command -v go >/dev/null || fail "Go is missing" "install it from https://go.dev/dl, then start again"
  # The newest of the pins; Go itself fetches that toolchain where it is older, unless told not to.
  wanted=$(sed -n 's/^go \([0-9.]*\)$/\1/p' lab/components/*/go.mod | sort -V | tail -n 1)
  have=$(GOTOOLCHAIN=local go env GOVERSION)
  have=${have#go}
  if ! at_least "$have" "$wanted" && { [[ $(go env GOTOOLCHAIN) == local ]] || ! at_least "$have" 1.21; }; then
    fail "Go $have is too old: $wanted or later is needed" "install it from https://go.dev/dl, then start again"
  fi
  say "  ${green}ready${plain}    Go $have"

  local free
  free=$(df --output=avail -k "$root" | tail -n 1)
  ((free > 8 * 1024 * 1024)) || fail "only $((free / 1024 / 1024)) GiB are free below $root: 8 are needed" \
    "free some space, or clone to another disk"
}

# Services of the packages (containerd's) are not started by the installation: the lab runs its own.
install_packages() {
  local policy=/usr/sbin/policy-rc.d ours='' status=0
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=yes
  fi
  export DEBIAN_FRONTEND=noninteractive
  {
    watched "updating the package lists" '^Get:' 0 30 apt-get update &&
      watched "installing $*" '^Setting up' "$#" 60 apt-get install -y --no-install-recommends "$@"
  } || status=$?
  [[ -z $ours ]] || rm -f "$policy"
  ((status == 0)) || fail "apt-get could not install: $*"
}

# How everything in Go is compiled: as the lab does, so that all of it is compiled once.
go_flags=$(cat "$root/lab/components/GOFLAGS")
export go_flags

# Compiles the lab's Go components into Go's build cache with whatever cores are idle, so that `lab up` has
# little left to build. Only a head start: its failure shows up, with its reason, when the lab builds.
warm_go_in_background() {
  command -v setsid >/dev/null || return 0
  local logs="$root/target/logs"
  mkdir -p "$logs"
  # shellcheck disable=SC2016 # expands in the child
  setsid nice -n 19 bash -c '
    # Where the kernel shares out by session first, it is the session that has to step back.
    echo 19 2>/dev/null >/proc/self/autogroup
    export CGO_ENABLED=0 GOWORK=off GOFLAGS=$go_flags GOGC=${GOGC:-400}
    for module in kubernetes etcd coredns cni-plugins; do
      (
        cd "lab/components/$module"
        # What a module of pins builds is its tools, or a program of our own.
        what=tool
        [[ -e main.go ]] && what=.
        go list -export -deps "$what" >/dev/null
      )
    done' >"$logs/warming-go.log" 2>&1 </dev/null &
  background+=($!)
}

# How many crates a build of the program compiles, about: for the display alone, and without asking a registry. A third
# of what is locked is for tests or for other systems.
crates() { echo $(($(grep -c '^\[\[package\]\]' Cargo.lock) * 2 / 3)); }
