# shellcheck shell=bash
#
# lib/certificate-names.sh — what may stand in a certificate as a name: DNS names, addresses, URIs.
#
# Sourced by scripts/make-certs. Each function looks only at its arguments; it prints its result, or
# fails. Needs LC_ALL=C: bracket ranges must mean ASCII.

readonly uri_max=2048

is_ipv4() {
    local byte='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
    [[ $1 =~ ^$byte\.$byte\.$byte\.$byte$ ]]
}

# ipv6_tail_as_groups TEXT: an IPv4 address at the end (RFC 4291, 2.2, form 3) becomes two groups.
ipv6_tail_as_groups() {
    local ipv4=${1##*:} a b c d
    is_ipv4 "$ipv4" || return 1
    IFS=. read -r a b c d <<<"$ipv4"
    printf '%s:%x:%x' "${1%:*}" $((a << 8 | b)) $((c << 8 | d))
}

# canonical_ipv6 TEXT: prints the eight groups as `openssl x509` prints them, so that an existing
# certificate can be compared with what is asked for.
canonical_ipv6() {
    local text=$1 side='([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?' head tail group
    local -a before=() after=() groups=()
    [[ $text =~ ^[0-9A-Fa-f:.]+$ ]] || return 1
    if [[ $text == *.* ]]; then
        text=$(ipv6_tail_as_groups "$text") || return 1
    fi
    if [[ $text == *::* ]]; then
        head=${text%%::*} tail=${text#*::}
        [[ $head =~ ^$side$ && $tail =~ ^$side$ ]] || return 1
        IFS=: read -ra before <<<"$head"
        IFS=: read -ra after <<<"$tail"
        ((${#before[@]} + ${#after[@]} < 8)) || return 1
        groups=("${before[@]}")
        while ((${#groups[@]} + ${#after[@]} < 8)); do groups+=(0); done
        groups+=("${after[@]}")
    else
        [[ $text =~ ^$side$ ]] || return 1
        IFS=: read -ra groups <<<"$text"
        ((${#groups[@]} == 8)) || return 1
    fi
    text=''
    for group in "${groups[@]}"; do
        printf -v group '%X' "0x$group"
        text+=:$group
    done
    printf '%s' "${text#:}"
}

is_dns_name() {
    local label='[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
    ((${#1} <= 253)) || return 1
    [[ $1 =~ ^$label(\.$label)*$ ]] || return 1
    # 300.1.1.1 or 1.2.3 is a mistyped address: no top-level name is a number.
    [[ ! $1 =~ (^|\.)[0-9]+$ ]]
}

# san_of TEXT: prints DNS:NAME or IP:ADDRESS for a server name.
san_of() {
    local text=$1
    if [[ $text == *:* ]]; then
        text=$(canonical_ipv6 "$text") || return 1
        printf 'IP:%s' "$text"
    elif is_ipv4 "$text"; then
        printf 'IP:%s' "$text"
    elif is_dns_name "$text" || { [[ $text == '*.'*.* ]] && is_dns_name "${text#'*.'}"; }; then
        printf 'DNS:%s' "${text,,}"
    else
        return 1
    fi
}

is_uri() {
    # RFC 3986 without $ ' and #: the first two mean something in openssl's configuration files, and
    # a fragment names no one. All three can be written percent-encoded.
    local allowed='[]A-Za-z0-9._~:/?@!&()*+,;=%[-]'
    ((${#1} <= uri_max)) && [[ $1 =~ ^[A-Za-z][A-Za-z0-9+.-]*:$allowed+$ ]]
}
