/*
 * fuzz_material.c — certificate and key files (tls/material.h) and passphrase files
 * (tls/passphrase.h). Encrypted keys are left out: how long one takes to open is in the file's own
 * hands, and the file is the operator's.
 *
 * Script: u8 allocation that fails; then the file, which is certificate, key and passphrase.
 */
#include "fuzz/fuzz.h"
#include "tls/material.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static void material_check_passphrase(const char *path)
{
    struct tls_passphrase passphrase = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = tls_passphrase_load(path, &passphrase, &error);
    fuzz_check_error(status, &error);
    if (status == CERTPOST_OK)
        FUZZ_CHECK(passphrase.length > 0 && passphrase.length <= TLS_PASSPHRASE_MAX_BYTES);
    tls_passphrase_wipe(&passphrase);
}

static void material_check_pair(const char *path)
{
    struct tls_pair *pair = NULL;
    struct tls_credential credential = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = tls_pair_load(path, path, &pair, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_OWN_CERTIFICATE ||
               status == CERTPOST_NO_MEMORY);
    if (status != CERTPOST_OK)
        return;
    FUZZ_CHECK(pair->certificate_pem.length > 0 && pair->key_der.length > 0);
    status = tls_credential_parse(pair, &credential, &error);
    fuzz_check_error(status, &error);
    if (status == CERTPOST_OK)
        FUZZ_CHECK(credential.leaf != NULL && credential.key != NULL);
    tls_credential_free(&credential);
    tls_pair_free(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = script;
    (void)fuzz_u8(&script);
    const char *path = fuzz_file(script.next, script.left_bytes);
    material_check_passphrase(path);
    fuzz_arm_memory(&fault);
    material_check_pair(path);
    (void)fuzz_heal_memory();
    FUZZ_CHECK(ERR_peek_error() == 0);
    return 0;
}
