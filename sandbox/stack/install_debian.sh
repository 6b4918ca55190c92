#!/bin/sh
# install_debian.sh PACKAGE...: install server packages as root without starting their daemons,
# now or at the next boot. An existing policy-rc.d is put back, also after an interrupted run.
set -eu

guard=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-lark-service
mark="# lark-service: no daemon starts during this installation"

restore() {
    rm -f "$guard"
    if [ -e "$saved" ] || [ -L "$saved" ]; then
        mv "$saved" "$guard"
    fi
}

if { [ -e "$guard" ] || [ -L "$guard" ]; } && ! grep -qF "$mark" "$guard"; then
    mv "$guard" "$saved"
fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$guard"
chmod 755 "$guard"

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
rm -f "$log"

# Only daemons of packages that were not there before are kept from the next boot.
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        systemctl --quiet disable "$package" || true
    done
fi
