#!/bin/sh
# Sets up .venv: `install.sh base|tests|bench`. Once per lock file; afterwards it takes no time.
# Every way to fail ends in one line that says what to do.
set -eu

say() { echo "$1" >&2; exit 1; }

python=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || say "Longrun needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3 ..."

# A virtual environment that was moved, or whose creation was interrupted, cannot run its own pip.
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 ||
    [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 ||
        say "$python cannot make a virtual environment (no disk space, or on Debian: apt-get install python3-venv)."
fi

install() { # lock file, name
    cmp -s "$1" ".venv/$2.lock" && return
    echo "Installing $1 (once, takes a minute or two) ..."
    if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet \
        --no-compile --require-hashes --requirement "$1" >.venv/install.log 2>&1; then
        free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
        grep -q "No space left" .venv/install.log && say "No disk space: $free MB are free here, about 1500 are needed."
        say "Installing $1 failed: $(grep '^ERROR' .venv/install.log | tail -n 1); all of it is in .venv/install.log."
    fi
    # Also where PYTHONDONTWRITEBYTECODE is set: else every start of a process compiles everything.
    .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
    cp "$1" ".venv/$2.lock"
}

# The lock of the tests holds all of the base's pins, so that one installation is enough.
case $1 in
base) cmp -s tests/requirements.lock .venv/tests.lock || install requirements.lock base ;;
tests) install tests/requirements.lock tests ;;
bench) install tests/requirements.lock tests && install bench/requirements.lock bench ;;
esac
.venv/bin/python -m compileall -q config models tasks pipelines api || true
