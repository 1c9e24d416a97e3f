# shellcheck shell=bash
#
# lib/room.sh — a fresh Debian in a folder, and commands in it. As root, in a mount namespace of one's own.
#
# Sourced by scripts/clean-room, scripts/check-packages and scripts/check-service, which have `fail`. A room is a
# folder; whoever makes one removes it with remove_room, also when something failed.

unmount_all() {
    local room=$1 point
    # The inner ones first.
    for point in dev/shm dev/pts dev sys proc; do
        if mountpoint -q "$room/$point"; then
            umount "$room/$point" || umount --lazy "$room/$point" || return 1
        fi
    done
}

# Ends what still runs in the room (its root folder tells), so that unmounting works.
end_processes() {
    local room=$1 link
    for link in /proc/[0-9]*/root; do
        if [ "$(readlink "$link" 2>/dev/null)" = "$room" ]; then
            link=${link#/proc/}
            kill -KILL "${link%/root}" 2>/dev/null || true
        fi
    done
}

# Removing a tree with a live bind mount in it would remove the machine's own files, so anything that
# is still mounted below the room stops the removal, and --one-file-system is the second belt.
remove_room() {
    local room=$1
    [ -d "$room" ] || return 0
    end_processes "$room"
    unmount_all "$room" || true
    if grep -qF " $room/" /proc/self/mountinfo; then
        echo "Something is still mounted below $room: left there" >&2
        return 1
    fi
    rm -rf --one-file-system -- "$room"
}

# The mirror that this machine uses for Debian itself, from either format of its sources.
host_mirror() {
    local mirror
    # shellcheck disable=SC2016 # apt's variable, not the shell's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null |
        awk '!/security/ && !seen++' || true)
    echo "${mirror:-http://deb.debian.org/debian}"
}

# How this machine's apt reaches its mirrors: proxies and the checks of dates, and nothing else.
host_apt_settings() {
    apt-config dump 2>/dev/null |
        grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries)[: ]' |
        grep -vE '""|User-Agent' || true
}

# make_room ROOM SUITE PACKAGES: `PACKAGES` are separated by commas.
make_room() {
    local room=$1 suite=$2 packages=$3 mirror
    mirror=$(host_mirror)
    debootstrap --variant=minbase --include="$packages" "$suite" "$room" "$mirror" \
        >"$room.log" 2>&1 </dev/null || {
        tail -n 20 "$room.log" >&2
        fail "debootstrap failed; the end of its output is above"
    }
    printf 'deb %s %s main\n' "$mirror" "$suite" >"$room/etc/apt/sources.list"
    host_apt_settings >"$room/etc/apt/apt.conf.d/99host"
    cp -L /etc/resolv.conf "$room/etc/resolv.conf"
    mount -t proc proc "$room/proc"
    mount -t sysfs -o ro sysfs "$room/sys"
    mount -t tmpfs -o mode=755,nosuid tmpfs "$room/dev"
    make_devices "$room/dev"
}

# A /dev of its own: binding the machine's would let a mistake in the room reach its disks.
make_devices() {
    local dev=$1 name
    for name in null zero full random urandom tty; do
        cp -a "/dev/$name" "$dev/$name"
    done
    ln -s /proc/self/fd "$dev/fd"
    ln -s /proc/self/fd/0 "$dev/stdin"
    ln -s /proc/self/fd/1 "$dev/stdout"
    ln -s /proc/self/fd/2 "$dev/stderr"
    mkdir "$dev/pts" "$dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$dev/pts"
    ln -s pts/ptmx "$dev/ptmx"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$dev/shm"
}

# Through a bundle: a clone into the room over its own file system, with nothing shared.
clone_into() {
    local room=$1 repository=$2
    git -C "$repository" bundle create "$room/root/certpost.bundle" HEAD >/dev/null 2>&1 ||
        fail "git cannot bundle the last commit of $repository"
    in_room "$room" /root git -c advice.detachedHead=false clone -q certpost.bundle certpost
}

in_room() {
    local room=$1 folder=$2
    shift 2
    # shellcheck disable=SC2016 # for the inner shell
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        TERM="${TERM:-dumb}" LANG=C.UTF-8 chroot "$room" \
        sh -c 'cd "$1" && shift && exec "$@"' sh "$folder" "$@" </dev/null
}

