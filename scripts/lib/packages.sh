# shellcheck shell=bash
#
# lib/packages.sh — which Debian packages certpost needs, and how to get those that are missing.
#
# Sourced by the scripts that a person runs on a machine with nothing on it yet. Looks before it
# acts: where everything is there, apt is never called and nothing is printed.

# shellcheck disable=SC2034 # the lists are for the scripts that source this file
{
    packages_build=(gcc libc6-dev cmake ninja-build pkg-config libssl-dev libuv1-dev libsqlite3-dev
        libseccomp-dev libmicrohttpd-dev openssl ca-certificates)
    packages_test=(python3 g++ binutils libcmocka-dev socat ncat gnutls-bin curl mandoc iproute2 nftables
        systemd zsh fish sqlite3 zlib1g-dev)
    packages_package=(dpkg-dev file)
    # llvm has the symbolizer: without it a sanitizer's report shows addresses and no lines.
    packages_clang=(clang libclang-rt-dev llvm)
    # The last ones start services: nothing for a person's own machine; the tests that need them skip.
    packages_ci=(git clang-tidy clang-format shellcheck universal-ctags valgrind testssl.sh sslscan nmap
        debootstrap lintian chromium chromium-driver prometheus haproxy nginx libnginx-mod-stream)
}

packages_missing() {
    local package installed
    # Another package may provide the name (pkgconf provides pkg-config): those count as well.
    installed=$(dpkg-query --show --showformat='${db:Status-Status}, ${Package}, ${Provides}\n' |
        sed -n 's/^installed,//p' | sed 's/ ([^)]*)//g')
    for package in "$@"; do
        case "${installed//$'\n'/,}," in
        *" $package,"*) ;;
        *) printf '%s\n' "$package" ;;
        esac
    done
}

# packages_as_root COMMAND…: runs it as root, through sudo where that is needed.
packages_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

packages_can_be_root() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || return
    # A sudo that asks for a password is of use only where someone can type it.
    [ -t 0 ] || sudo -n true 2>/dev/null
}

packages_apt() {
    packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

# packages_ensure PACKAGE…: installs what is missing. Ends the script when that cannot be done.
packages_ensure() {
    local missing log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is not Debian, so nothing is installed. Needed here: $*" >&2
        return
    fi
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if ! packages_can_be_root; then
        echo "Some packages are missing, and neither root nor sudo is at hand. As root, run:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing ${missing[*]} ..."
    log=$(mktemp)
    if ! { packages_apt update && packages_apt install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        echo "apt-get could not install ${missing[*]}; its output is above." >&2
        exit 1
    fi
    rm -f "$log"
}
