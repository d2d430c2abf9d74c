# What the scripts of the tools share: a program is built once from the Go module next to its script, into the cache, under a
# name that says its version and the hash of its sources. Sourced with `name`, `here`, `package` and `takes` set; functions
# `prepare` and `crds` may be there as well.

cache=${KEYSMITH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keysmith}

die() { printf '%s: error: %s\n' "$name" "$*" >&2; exit 1; }

# pinned MODULE: the version of it in go.mod.
pinned() { sed -n "s#^\(require\)\?[[:space:]]*$1 \(v[^ ]*\).*#\2#p" "$here/go.mod" | head -n 1; }

# published MODULE@VERSION: the folder of its sources, fetched if they are not there.
published() {
  mkdir -p "$cache"
  (cd "$cache" && GOWORK=off GOFLAGS= go mod download -json "$1") | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p'
}

# name_program sets $bin.
name_program() {
  bin=$cache/$name-$version-$(cd "$here" && find . \( -name 'go.*' -o -name '*.go' \) -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
}

# missing prints what this machine lacks, in one line; nothing if it lacks nothing.
missing() {
  local needs has
  needs=$(sed -n 's/^go //p' "$here/go.mod")
  if ! command -v go >/dev/null; then
    echo "Go $needs"
    return
  fi
  has=$(go env GOVERSION)
  # Another toolchain is fetched only by a Go that was told to.
  if [[ $(go env GOTOOLCHAIN) == local && $(printf '%s\n' "$needs" "${has#go}" | sort -V | head -n 1) != "$needs" ]]; then
    echo "Go $needs (there is ${has#go})"
  fi
}

# build leaves the program at $bin; whoever comes while it runs waits for it.
build() {
  local lacks folder=$here started=$SECONDS
  if [[ -x $bin ]]; then return; fi
  lacks=$(missing)
  [[ -z $lacks ]] || die "this machine lacks what it is built with: $lacks"
  mkdir -p "$cache"
  exec 8>"$cache/$name.lock"
  flock 8
  if [[ ! -x $bin ]]; then
    printf '%s: building %s: %s, once\n' "$name" "$version" "$takes" >&2
    if declare -F prepare >/dev/null; then prepare; fi
    (cd "$folder" && env CGO_ENABLED=0 GOWORK=off GOFLAGS= go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$bin.tmp" \
      "$package") >&2 || die 'it does not build'
    mv "$bin.tmp" "$bin"
    rm -rf "$bin.build"
    printf '%s: built in %s s\n' "$name" "$((SECONDS - started))" >&2
  fi
  exec 8>&-
}

# run does what the arguments of the script say.
run() {
  case ${1:-} in
    missing) missing ;;
    build) build ;;
    crds)
      [[ -n ${2:-} ]] || die 'crds needs a folder'
      mkdir -p "$2"
      crds "$2"
      ;;
    *)
      build
      exec "$bin" "$@"
      ;;
  esac
}
