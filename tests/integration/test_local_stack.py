"""The embedded stack, with two small processes of our own in place of the Procfile's."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config.local import EmbeddedPostgres, EmbeddedValkey
from config.local.orphans import MARKER, marked
from tests.checkout import ROOT, Checkout, stop, wait_for


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def other_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = Checkout(tmp_path_factory.mktemp("other"))
    yield made
    made.remove()


def test_one_ctrl_c_stops_all_of_it_and_the_data_stay(checkout: Checkout) -> None:
    first = checkout.up()
    with psycopg.connect(checkout.postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    with redis.Redis.from_url(checkout.valkey.url) as client:
        client.set("kept", "7")
    said = stop(first)

    assert first.returncode == 0
    assert f"http://127.0.0.1:{checkout.ports['WEB_PORT']}/docs" in said
    assert checkout.running() == set()
    assert (checkout.root / "drained").exists()
    assert (checkout.root / "seen").read_text().split("\n") == ["a % sign", "local", "true"]

    second = checkout.up()
    with psycopg.connect(checkout.postgres.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    with redis.Redis.from_url(checkout.valkey.url) as client:
        assert client.get("kept") == b"7"
    stop(second, signal.SIGTERM)
    assert checkout.running() == set()


def test_a_second_up_says_that_one_is_running_and_down_stops_it(checkout: Checkout) -> None:
    code, _ = checkout.run("detach")
    assert code == 0
    before = checkout.running()

    code, said = checkout.run("up")

    assert code == 0
    assert said.count("\n") == 1
    assert "runs already" in said
    assert checkout.running() == before
    assert checkout.run("down") == (0, "Stopped.\n")
    assert checkout.running() == set()
    assert checkout.run("down") == (0, "Nothing was running.\n")


def test_orphans_of_a_killed_stack_are_ended_by_the_next_start_and_nobody_elses(
    checkout: Checkout, other_checkout: Checkout
) -> None:
    neighbour = other_checkout.up()
    untouched = other_checkout.running()
    killed = checkout.up()
    supervisord = checkout.called("supervisord")
    killed.kill()
    supervisord.kill()
    killed.communicate()
    orphans = checkout.running()
    assert {process.name() for process in orphans} >= {"postgres", "valkey-server"}

    again = checkout.up()

    assert not [process for process in orphans if process.is_running()]
    assert other_checkout.running() == untouched
    stop(again)
    stop(neighbour)


def test_a_server_or_process_that_is_killed_is_started_again(checkout: Checkout) -> None:
    running = checkout.up()
    worker, postmaster = checkout.called("worker.py"), checkout.called("listen_addresses")
    time.sleep(max(0.0, 6 - (time.time() - worker.create_time())))  # steady: else it backs off
    worker.kill()
    postmaster.kill()

    def restarted() -> bool:
        with contextlib.suppress(StopIteration, psutil.NoSuchProcess):
            return checkout.postgres.answers() and checkout.called("worker.py") != worker
        return False

    wait_for(restarted)
    stop(running)
    assert checkout.running() == set()


def test_a_taken_port_is_one_line_and_nothing_is_started(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = checkout.run("up", WEB_PORT=str(port))

    assert code == 1
    assert said.count("\n") == 1
    assert f"Port {port}" in said
    assert f"WEB_PORT={port + 1}" in said
    assert checkout.running() == set()


def test_a_trusting_stack_listens_on_loopback_only(checkout: Checkout) -> None:
    code, said = checkout.run("up", WEB_HOST="0.0.0.0")

    assert code == 1
    assert said.count("\n") == 1
    assert "TRUST_GATEWAY" in said


def test_a_process_that_cannot_start_is_named_with_its_reason(checkout: Checkout) -> None:
    (checkout.root / "web.py").write_text("raise SystemExit('no such module')")

    code, said = checkout.run("up")

    assert code == 1
    assert said.count("\n") == 1
    assert said.startswith("web ended: no such module")
    assert checkout.running() == set()


def test_a_second_ctrl_c_does_not_wait(checkout: Checkout) -> None:
    deaf = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
    )
    (checkout.root / "worker.py").write_text(deaf)
    running = checkout.up()
    running.send_signal(signal.SIGINT)
    time.sleep(1)

    began = time.monotonic()
    stop(running)

    assert time.monotonic() - began < 5
    assert checkout.running() == set()


def test_locks_of_a_crashed_machine_do_not_keep_postgres_from_starting(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, durable=False)
    try:
        server.start()
        server.kill()
        pid_file = server.data / "postmaster.pid"
        of_another = subprocess.Popen(["/bin/sleep", "60"], user=server.user)
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(of_another.pid), *lines[1:]]))

        server.start()

        assert server.answers()
    finally:
        of_another.kill()
        of_another.wait()
        server.remove()


def test_a_frozen_server_hangs_and_answers_again(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    try:
        server.start()
        server.suspend()
        assert not server.answers()
        server.resume()
        assert server.answers()
    finally:
        server.remove()


def test_a_missing_python_is_one_line() -> None:
    done = subprocess.run(
        ["/bin/sh", "config/local/install.sh", "base"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHON": "/nowhere/python3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11" in done.stderr


def test_marks_tell_one_folder_from_another(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], env={MARKER: str(tmp_path / "a")}) as process:
        assert [found.pid for found in marked(str(tmp_path / "a"))] == [process.pid]
        assert list(marked(str(tmp_path))) == []
        process.kill()
