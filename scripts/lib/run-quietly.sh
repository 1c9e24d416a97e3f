# shellcheck shell=bash
#
# lib/run-quietly.sh — runs a long command with one line of output, or with all of it when it fails.

# run_quietly WHAT COMMAND…: says WHAT; the command's output is shown only if it fails.
run_quietly() {
    local what=$1 log status=0 started=$SECONDS
    shift
    log=$(mktemp)
    printf '%s ... ' "$what"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        printf 'done (%d s)\n' "$((SECONDS - started))"
    else
        printf 'failed\n'
        cat "$log" >&2
        echo "$what failed with status $status; its output is above." >&2
    fi
    rm -f "$log"
    return "$status"
}
