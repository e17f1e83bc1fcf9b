"""nginx as docs/log-software.md has it, and requests for it."""

import contextlib
import subprocess

from ports import free_port
from software.recipes import write_recipe
from tools import bash, daemon, run, wait_until


def wait_listening(port):
    wait_until(
        lambda: bash(f": > /dev/tcp/127.0.0.1/{port}", check=False).returncode == 0, 30,
        f"somebody listens on port {port}",
    )


def load(port, count, path):
    run("ab", "-q", "-n", count, "-c", "8", f"http://127.0.0.1:{port}/{path}", timeout=120)


@contextlib.contextmanager
def nginx(directory, tmp_path):
    """Runs while the block does, with its logs in the directory; gives the process and its port."""
    port = free_port()
    conf = write_recipe(
        tmp_path, "nginx.conf",
        {"/run/nginx.pid": tmp_path / "nginx.pid", "/mnt/logs": directory, "127.0.0.1:8080": f"127.0.0.1:{port}"},
    )
    # What is the machine's and not the log's.
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf.write_text(conf.read_text().replace("http {", f"http {{ {paths}", 1))
    with daemon(
        "nginx", "-c", conf, "-e", tmp_path / "start.log", "-g", "daemon off; user root;",
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_listening(port)
        yield process, port
