#!/usr/bin/env bash
# Finds what building and testing needs, and installs what is missing with apt-get, dnf or brew.
#
#   tools/dependencies.sh            what tools/test and tools/quickstart need
#   tools/dependencies.sh --ci       also what .ci/run needs (clang and its tools, sanitizers)
#   tools/dependencies.sh --check    only says what is missing; exit status 1 if anything is
#
# Sourced, it defines dependencies_require SET (build or ci). Nothing missing: nothing said, no
# network used. Something missing: it says what, and with which command it is installed; when that
# cannot work, the last line is the command to run by hand. Runs on bash 3.2 (macOS) and later.

# One line a need: the set it is of, what, the least version, and the packages that bring it.
# A package `-` has no name there and must be installed by hand; `?` may stay missing: tests skip.
dependencies_table() {
    cat <<'TABLE'
build  compiler          -     build-essential      gcc                  -
build  cmake             3.22  cmake                cmake                cmake
build  ninja-or-make     -     ninja-build          ninja-build          ninja
build  pkg-config        -     pkg-config           pkgconf-pkg-config   pkgconf
build  lib:libuv         1.43  libuv1-dev           libuv-devel          libuv
build  lib:libcjson      1.7   libcjson-dev         cjson-devel          cjson
build  lib:yajl          2.1   libyajl-dev          yajl-devel           yajl
build  lib:sqlite3       3.37  libsqlite3-dev       sqlite-devel         sqlite
build  lib:zlib          1.2   zlib1g-dev           zlib-devel           zlib
build  lib:libzstd       1.4   libzstd-dev          libzstd-devel        zstd
build  lib:cmocka        1.1   libcmocka-dev        libcmocka-devel      cmocka
build  python3           3.8   python3              python3              python3
build  python:jsonschema -     python3-jsonschema   python3-jsonschema   ?
build  sqlite3           3.37  sqlite3              sqlite               sqlite
ci     clang             -     clang                clang                llvm
ci     clang-tidy        -     clang-tidy           clang-tools-extra    llvm
ci     clang-format      -     clang-format         clang-tools-extra    clang-format
ci     sanitizer:address -     build-essential      libasan              -
ci     sanitizer:undefined -   build-essential      libubsan             -
ci     sanitizer:thread  -     build-essential      libtsan              -
TABLE
}

# version_at_least HAVE WANT: dotted numbers; what is no number counts as 0.
version_at_least() {
    local have=$1 want=$2 a b
    while [ -n "$want" ]; do
        a=${have%%.*} b=${want%%.*}
        a=${a%%[!0-9]*} b=${b%%[!0-9]*}
        [ "${a:-0}" -eq "${b:-0}" ] || { [ "${a:-0}" -gt "${b:-0}" ]; return; }
        case $have in *.*) have=${have#*.} ;; *) have= ;; esac
        case $want in *.*) want=${want#*.} ;; *) want= ;; esac
    done
}

# compiles FLAGS...: a C program with a system header compiles and links.
compiles() {
    local out
    out=$(mktemp) || return 1
    printf '#include <stdio.h>\nint main(void)\n{\n    return 0;\n}\n' |
        ${CC:-cc} "$@" -x c - -o "$out" >/dev/null 2>&1
    set -- $?
    rm -f "$out"
    return "$1"
}

# found_version WHAT: the version in use, or nothing.
found_version() {
    case $1 in
    cmake) cmake --version 2>/dev/null | sed -n '1s/^cmake version //p' ;;
    sqlite3) sqlite3 --version 2>/dev/null | sed -n '1s/ .*//p' ;;
    python3) python3 --version 2>/dev/null | sed -n '1s/^Python //p' ;;
    lib:*) pkg-config --modversion "${1#lib:}" 2>/dev/null ;;
    esac
}

# is_there WHAT VERSION: whether this need is met.
is_there() {
    local version
    case $1 in
    compiler) compiles ;;
    sanitizer:*) compiles "-fsanitize=${1#sanitizer:}" ;;
    ninja-or-make) command -v ninja >/dev/null || command -v make >/dev/null ;;
    # Another python3 than the system's may come first in PATH; one that has it is enough.
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ||
        /usr/bin/python3 -c "import ${1#python:}" 2>/dev/null ;;
    cmake | sqlite3 | python3 | lib:*)
        version=$(found_version "$1")
        [ -n "$version" ] && version_at_least "$version" "$2" ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# Homebrew keeps some of its packages out of the way of the system's; they are still looked at.
add_homebrew_paths() {
    local prefix package
    prefix=$(brew --prefix) || return 0
    for package in sqlite zlib; do
        PKG_CONFIG_PATH="$prefix/opt/$package/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
    done
    export PKG_CONFIG_PATH PATH="$prefix/opt/sqlite/bin:$PATH:$prefix/opt/llvm/bin"
}

package_manager() {
    local name
    for name in apt-get dnf brew; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
}

# missing_needs SET MANAGER: lines "WHAT PACKAGE VERSION" of what this set lacks.
missing_needs() {
    local want=$1 manager=$2 set what version apt dnf brew package
    while read -r set what version apt dnf brew; do
        [ "$set" = build ] || [ "$set" = "$want" ] || continue
        case $manager in apt-get) package=$apt ;; dnf) package=$dnf ;; *) package=$brew ;; esac
        if [ "$package" != '?' ] && ! is_there "$what" "$version"; then
            echo "$what $package $version"
        fi
    done <<TABLE
$(dependencies_table)
TABLE
}

# describe_needs: "WHAT PACKAGE VERSION" lines as words: cmake >= 3.22 (found 3.18.4), libuv >= 1.43
describe_needs() {
    local what package version found text=
    while read -r what package version; do
        found=$(found_version "$what")
        what=${what#lib:}
        [ "$version" = - ] || what="$what >= $version"
        text="$text${text:+, }$what${found:+ (found $found)}"
    done
    echo "$text"
}

# as_root: the words that make a command run as root; fails where there is no way.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        return 0
    elif command -v sudo >/dev/null; then
        if [ -t 0 ]; then echo "sudo "; else echo "sudo -n "; fi # -n: nobody is there to ask
    else
        return 1
    fi
}

dependencies_fail() {
    echo "tools/dependencies.sh: $*" >&2
    return 1
}

# run_install MANAGER PACKAGES: says the commands, then runs them.
run_install() {
    local manager=$1 packages=$2 root='' install refresh='' by_hand
    if [ "$manager" != brew ] && ! root=$(as_root); then
        root="sudo "
        by_hand=1
    fi
    case $manager in
    apt-get)
        refresh="${root}apt-get update"
        install="${root}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages" ;;
    dnf) install="${root}dnf install -y $packages" ;;
    brew) install="brew install $packages" ;;
    esac
    if [ -n "${by_hand:-}" ]; then
        dependencies_fail "not root and no sudo here; run by hand: ${refresh:+$refresh && }$install"
        return
    fi
    echo "Installing with: ${refresh:+$refresh && }$install"
    # A failed refresh is no end: the lists may be fresh enough. The words of a command are split
    # on purpose.
    # shellcheck disable=SC2086
    [ -z "$refresh" ] || $refresh || echo "tools/dependencies.sh: $refresh failed, going on" >&2
    # shellcheck disable=SC2086
    $install || dependencies_fail "could not install; run by hand: ${refresh:+$refresh && }$install"
}

# dependencies_require SET: everything of the set is there afterwards, or it fails and says why.
dependencies_require() {
    local manager missing packages nameless
    manager=$(package_manager)
    [ "$manager" != brew ] || add_homebrew_paths
    missing=$(missing_needs "$1" "$manager")
    [ -n "$missing" ] || return 0
    echo "Missing: $(describe_needs <<<"$missing")"
    if [ -z "$manager" ]; then
        dependencies_fail "neither apt-get, dnf nor brew here; install by hand: $(describe_needs <<<"$missing")"
        return
    fi
    nameless=$(awk '$2 == "-"' <<<"$missing")
    if [ -n "$nameless" ]; then
        dependencies_fail "install by hand (macOS: xcode-select --install): $(describe_needs <<<"$nameless")"
        return
    fi
    packages=$(awk '{ print $2 }' <<<"$missing" | sort -u | tr '\n' ' ')
    run_install "$manager" "${packages% }" || return
    hash -r
    missing=$(missing_needs "$1" "$manager")
    [ -z "$missing" ] ||
        dependencies_fail "still missing after installing: $(describe_needs <<<"$missing")"
}

dependencies_main() {
    local set=build check='' manager missing
    while [ $# -gt 0 ]; do
        case $1 in
        --ci) set=ci ;;
        --check) check=1 ;;
        --help) sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && return ;;
        *) echo "tools/dependencies.sh: unknown option $1, one of --ci --check --help" >&2 && return 2 ;;
        esac
        shift
    done
    if [ -z "$check" ]; then
        dependencies_require "$set"
        return
    fi
    manager=$(package_manager)
    [ "$manager" != brew ] || add_homebrew_paths
    missing=$(missing_needs "$set" "$manager")
    if [ -n "$missing" ]; then
        echo "Missing: $(describe_needs <<<"$missing")"
        return 1
    fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    dependencies_main "$@"
fi
