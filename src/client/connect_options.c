/*
 * connect_options.c — the options of a connection, from the command line into the library's
 * configuration (client/connect_options.h).
 *
 * Uses: agent/config.  Used by: send_options.c, check_options.c.
 * Never: opens a file or looks at the network.
 */
#include "client/connect_options.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum certpost_status connect_set(struct agent_config *config, const char *name, const char *value,
                                 struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = agent_config_set(config, name, value, &cause);
    if (status == CERTPOST_OK)
        return status;
    /* The parser of the command line will put the option's name in front, as this one did. */
    const char *text = certpost_error_text(&cause, status);
    size_t length = strlen(name);
    if (strncmp(text, "--", 2) == 0 && strncmp(text + 2, name, length) == 0 &&
        strncmp(text + 2 + length, ": ", 2) == 0)
        text += length + 4;
    return error_set(error, status, "%s", text);
}

const char *connect_keylog_file(const struct agent_config *config)
{
    const char *file = secure_getenv("SSLKEYLOGFILE");
    bool wanted = config->keylog_file == NULL && file != NULL && *file != '\0';
    return wanted ? file : NULL;
}
