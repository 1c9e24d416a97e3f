# shellcheck shell=bash
#
# lib/certificate-making.sh — looks into certificates, and makes them, with the openssl command.
#
# Sourced by scripts/make-certs, whose messages, constants and variables it uses. Everything runs
# inside the private folder, with fixed relative names: ../ is the output folder, new/ what is to be
# renamed into it.

# shellcheck disable=SC2154 # set by scripts/make-certs
readonly ca_days=3650

random_pool='' digits=''
declare -A end_of_issuer=()

# ---- openssl -----------------------------------------------------------------------------------

check_openssl() {
    command -v openssl >/dev/null || die "the openssl command is missing: install the package openssl"
    local version
    version=$(openssl version 2>/dev/null) || die "the openssl command does not run"
    [[ $version =~ ^OpenSSL\ ([3-9]|[1-9][0-9]+)\. ]] ||
        die "OpenSSL 3.0 or later is needed, the openssl command is $(shown "$version")"
}

# run_openssl WHAT COMMAND ...: what openssl prints is kept off the screen; its first line is the reason.
run_openssl() {
    local what=$1 reason=''
    shift
    openssl "$@" </dev/null >log 2>&1 && return
    IFS= read -r reason <log || true
    die "cannot $what: openssl $1 says: ${reason//[[:cntrl:]]/?}"
}

timestamp() {
    printf '%(%Y%m%d%H%M%SZ)T' "$1"
}

day_of() {
    printf '%(%Y-%m-%d)T' "$1"
}

# end_of FILE: when the certificate ends, in seconds since 1970.
end_of() {
    local end
    end=$(openssl x509 -in "$1" -noout -enddate 2>/dev/null) || return 1
    date -d "${end#*=}" +%s
}

sans_of() {
    local text
    text=$(openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null) || return 0
    text=${text#*$'\n'}
    text=${text//IP Address:/IP:}
    # A URI may hold a comma, but no space.
    text=${text//, /$'\n'}
    printf '%s\n' "${text//[[:blank:]]/}"
}

# key_type_of FILE: of a certificate: p256, ed25519, rsa3072, or another name of that shape.
key_type_of() {
    local text
    text=$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null | openssl pkey -pubin -noout -text 2>/dev/null) ||
        return 1
    case $text in
    *'ASN1 OID: prime256v1'*) printf p256 ;;
    ED25519*) printf ed25519 ;;
    *Modulus:*)
        text=${text#*\(}
        printf 'rsa%s' "${text%% *}"
        ;;
    *) printf other ;;
    esac
}

# An empty passphrase makes an encrypted key an error; without it, openssl would ask at the terminal.
key_matches() {
    local of_key of_certificate
    of_key=$(openssl pkey -in "$2" -passin pass: -pubout 2>/dev/null </dev/null) || return 1
    of_certificate=$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null) || return 1
    [[ $of_key == "$of_certificate" ]]
}

# verifies FILE [OPTION ...]: under the CA in use, and nothing that the system trusts.
verifies() {
    local file=$1
    shift
    openssl verify -no-CApath -no-CAstore -CAfile "$ca.crt" "$@" "$file" >log 2>&1
}

# ---- making certificates -----------------------------------------------------------------------

write_san_section() {
    local san
    local -i number=0
    printf '[alternative_names]\n'
    for san in "$@"; do
        number+=1
        printf '%s.%d = %s\n' "${san%%:*}" "$number" "${san#*:}"
    done
}

# write_config COMMON_NAME: what every use of `openssl req` and `openssl ca` here needs; the
# extensions of the certificate follow, written by the caller.
write_config() {
    cat <<CONFIG
[req]
distinguished_name = subject
prompt = no
[subject]
CN = $1
[ca]
default_ca = issuing
[issuing]
database = index
serial = serial
crlnumber = crlnumber
new_certs_dir = issued
default_md = default
policy = policy
unique_subject = no
[policy]
commonName = supplied
[crl_extensions]
authorityKeyIdentifier = keyid:always
[certificate_extensions]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
CONFIG
}

# take_random_digits N: sets digits. One openssl command serves many: starting it is what takes time.
take_random_digits() {
    if ((${#random_pool} < $1)); then
        random_pool=$(openssl rand -hex 512) || die "cannot make random numbers"
    fi
    digits=${random_pool:0:$1}
    random_pool=${random_pool:$1}
}

# 20 bytes, the most that RFC 5280 allows. The first digit keeps the number positive and full-length.
write_serial() {
    take_random_digits 39
    printf '4%s\n' "$digits" >serial
}

# make_key STEM TYPE: new/STEM.key, and the request for its certificate from the file config.
make_key() {
    local -a algorithm=(-newkey "$2")
    case $2 in
    p256) algorithm=(-newkey ec -pkeyopt ec_paramgen_curve:P-256) ;;
    rsa3072) algorithm=(-newkey rsa:3072) ;;
    esac
    run_openssl "make $1.key" req -new -nodes -config config "${algorithm[@]}" -keyout "new/$1.key" -out request
}

# sign STEM ISSUER START END: new/STEM.crt from the files request and config; ISSUER is a path
# without suffix, or "self". `openssl ca` is the one command that takes exact dates before 3.4.
sign() {
    local stem=$1 start=$3 end=$4
    local -a signer=(-cert "$2.crt" -keyfile "$2.key")
    [[ $2 != self ]] || signer=(-selfsign -keyfile "new/$stem.key")
    : >index
    write_serial
    run_openssl "make $stem.crt" ca -batch -notext -config config "${signer[@]}" -passin pass: -in request \
        -extensions certificate_extensions -startdate "$(timestamp "$start")" -enddate "$(timestamp "$end")" \
        -out "new/$stem.crt"
}

# make_ca STEM: the random tail of the name keeps two CAs apart wherever they meet.
make_ca() {
    local stem=$1 start=$((now - backdate_seconds))
    take_random_digits 8
    {
        write_config "certpost CA $digits"
        printf 'basicConstraints = critical,CA:TRUE,pathlen:0\n'
        printf 'keyUsage = critical,keyCertSign,cRLSign\n'
    } >config
    make_key "$stem" "$ca_key_type"
    sign "$stem" self "$start" $((start + ca_days * day_seconds - 1))
    made+=("$stem.crt, $stem.key: until $(day_of $((start + ca_days * day_seconds - 1)))")
}

# make_leaf STEM ISSUER EKU START END COMMON_NAME SAN ...
make_leaf() {
    local stem=$1 issuer=$2 eku=$3 start=$4 end=$5 common_name=$6 usage=digitalSignature ca_end
    shift 6
    # NSS clients refuse an RSA server certificate without it.
    if [[ $leaf_key_type == rsa3072 && $eku == serverAuth ]]; then
        usage+=,keyEncipherment
    fi
    if [[ $issuer != self ]]; then
        [[ -n ${end_of_issuer[$issuer]:-} ]] ||
            end_of_issuer[$issuer]=$(end_of "$issuer.crt") || die "cannot read the end of the CA"
        ca_end=${end_of_issuer[$issuer]}
        ((start < ca_end)) || die "cannot make $stem.crt: the CA ends before it begins (--force-ca makes a new CA)"
        ((end <= ca_end)) || end=$ca_end
    fi
    {
        write_config "$common_name"
        printf 'basicConstraints = critical,CA:FALSE\n'
        printf 'keyUsage = critical,%s\n' "$usage"
        printf 'extendedKeyUsage = %s\n' "$eku"
        printf 'subjectAltName = @alternative_names\n'
        write_san_section "$@"
    } >config
    make_key "$stem" "$leaf_key_type"
    sign "$stem" "$issuer" "$start" "$end"
    made+=("$stem.crt, $stem.key: $*, until $(day_of "$end")")
}

# make_good STEM EKU PURPOSE COMMON_NAME SAN ...: checked before anyone sees it, because an existing
# CA can be one that no strict peer accepts.
make_good() {
    local stem=$1 eku=$2 purpose=$3 reason='' start=$((now - backdate_seconds))
    shift 3
    make_leaf "$stem" "$ca" "$eku" "$start" $((start + days * day_seconds - 1)) "$@"
    verifies "new/$stem.crt" -x509_strict -purpose "$purpose" && return
    reason=$(grep_error) || true
    die "cannot make $stem.crt: $(shown "$out/ca.crt") is not fit for it: ${reason:-openssl verify fails}"
}

# The sentence in openssl verify's "error N at D depth lookup: SENTENCE".
grep_error() {
    local line
    while IFS= read -r line; do
        if [[ $line == error*' lookup: '* ]]; then
            printf '%s' "${line#*lookup: }"
            return
        fi
    done <log
}

make_server() {
    local san common_name='certpost server'
    for san in "${server_sans[@]}"; do
        if [[ $san == DNS:* ]] && ((${#san} - 4 <= common_name_max)); then
            common_name=${san#DNS:}
            break
        fi
    done
    make_good server serverAuth sslserver "$common_name" "${server_sans[@]}"
}

# URIs belong to the client that this run names, and to the standard one only if it names none.
make_client() {
    local stem=$1 name=$2
    local -a sans=()
    if [[ $stem == client-* ]] || ((${#clients[@]} == 0)); then
        sans=("${uris[@]/#/URI:}")
    fi
    make_good "$stem" clientAuth sslclient "$name" "${sans[@]}" "DNS:$name"
}

issuer_of_bad() {
    case $1 in
    *self-signed) printf self ;;
    *unknown-ca) if [[ -e new/unknown-ca.crt ]]; then printf new/unknown-ca; else printf ../unknown-ca; fi ;;
    *) printf '%s' "$ca" ;;
    esac
}

make_bad() {
    local kind=$1 issuer eku=serverAuth common_name=localhost
    local start=$((now - backdate_seconds)) end
    local -a sans=(DNS:localhost IP:127.0.0.1 IP:::1)
    end=$((start + days * day_seconds - 1))
    issuer=$(issuer_of_bad "$kind")
    [[ $kind != client-* ]] || eku=clientAuth common_name=client sans=(DNS:client)
    case $kind in
    wrong-eku) eku=clientAuth ;;
    client-wrong-eku) eku=serverAuth ;;
    wrong-name) common_name=wrong-name.invalid sans=(DNS:wrong-name.invalid) ;;
    *expired) start=$((now - 30 * day_seconds)) end=$((now - day_seconds)) ;;
    *not-yet-valid) start=$((now + 365 * day_seconds)) end=$((now + 395 * day_seconds)) ;;
    esac
    make_leaf "bad-$kind" "$issuer" "$eku" "$start" "$end" "$common_name" "${sans[@]}"
}

make_planned() {
    case $1 in
    unknown-ca) make_ca unknown-ca ;;
    server) make_server ;;
    bad-*) make_bad "${1#bad-}" ;;
    client) make_client client client ;;
    client-*) make_client "$1" "${1#client-}" ;;
    esac
}
