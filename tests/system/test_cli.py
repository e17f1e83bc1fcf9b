"""The `appendfs` command: every verb, its JSON, its exit codes, its errors."""

import json
import os
import subprocess

import pytest

from cluster import APPENDFS, environment
from tools import run, wait_until


@pytest.fixture
def cli(here):
    return here.cluster.cli


def error_of(result, code):
    """The one line of a verb that must fail with this exit code."""
    assert result.returncode == code, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("appendfs: ")
    return lines[0]


def test_put_get_cat(here, cli, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5 << 20))
    source.chmod(0o640)
    cli("put", source, f"{here.name}/f")
    assert (here.m / "f").read_bytes() == source.read_bytes()
    assert os.stat(here.m / "f").st_mode & 0o777 == 0o640
    cli("get", f"{here.name}/f", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert cli("cat", f"{here.name}/f", text=False).stdout == source.read_bytes()
    # Into directories, under the same name.
    cli("put", source, here.name)
    (tmp_path / "d").mkdir()
    cli("get", f"{here.name}/source", tmp_path / "d")
    assert (tmp_path / "d/source").read_bytes() == source.read_bytes()


def test_put_and_get_of_standard_streams(here, cli):
    cli("put", "-", f"{here.name}/f", input="from a pipe\n")
    assert cli("get", f"{here.name}/f", "-").stdout == "from a pipe\n"


def test_put_never_replaces(here, cli, tmp_path):
    (here.m / "f").write_text("old")
    (tmp_path / "new").write_text("new")
    line = error_of(cli("put", tmp_path / "new", f"{here.name}/f", check=False), 4)
    assert f"{here.name}/f" in line and "exists" in line
    assert (here.m / "f").read_text() == "old"
    assert os.listdir(here.m) == ["f"]


def test_get_replaces_only_when_complete(here, cli, tmp_path):
    (tmp_path / "local").write_text("mine")
    error_of(cli("get", f"{here.name}/none", tmp_path / "local", check=False), 3)
    assert (tmp_path / "local").read_text() == "mine"
    assert os.listdir(tmp_path) == ["local"]


def test_getrange(here, cli):
    (here.m / "f").write_text("0123456789")
    assert cli("getrange", f"{here.name}/f", "2", "3").stdout == "234"
    assert cli("getrange", f"{here.name}/f", "8", "1k").stdout == "89"
    assert cli("getrange", f"{here.name}/f", "100", "1").stdout == ""
    assert "not a size" in error_of(cli("getrange", f"{here.name}/f", "x", "1", check=False), 2)


def test_append(here, cli):
    cli("append", f"{here.name}/f", input="one\ntwo\n")
    cli("append", f"{here.name}/f", input="three")
    assert (here.m / "f").read_text() == "one\ntwo\nthree"
    result = cli("append", f"{here.name}/f", "--json", input="\nfour\n")
    got = json.loads(result.stdout)
    assert got == {
        "path": f"{here.name}/f", "records": 2, "bytes": 6, "first_offset": 13, "end_offset": 19,
    }
    error_of(cli("append", "--no-create", f"{here.name}/none", check=False, input="x"), 3)
    error_of(cli("append", here.name, check=False, input="x"), 4)


def test_append_verbose_names_offsets(here, cli):
    out = cli("append", "-v", f"{here.name}/f", input="aa\nbbbb\n").stdout
    assert out == "1 0 3\n2 3 5\n"


def test_append_many_lines(here, cli):
    text = "".join(f"line {i}\n" for i in range(100_000))
    cli("append", f"{here.name}/f", input=text)
    assert (here.m2 / "f").read_text() == text


def test_append_acknowledges_while_its_input_is_open(here):
    command = [APPENDFS, "append", "-v", f"{here.name}/f"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        env=environment(APPENDFS_MASTER=here.cluster.master),
    ) as process:
        for i in range(5):
            process.stdin.write(f"{i}\n")
            assert process.stdout.readline() == f"{i + 1} {2 * i} 2\n"
            assert (here.m / "f").read_text().endswith(f"{i}\n")
        process.stdin.close()
        assert process.wait(20) == 0


def test_tail(here, cli):
    (here.m / "f").write_text("".join(f"line {i}\n" for i in range(100)))
    assert cli("tail", f"{here.name}/f").stdout == "".join(f"line {i}\n" for i in range(90, 100))
    assert cli("tail", "-n", "2", f"{here.name}/f").stdout == "line 98\nline 99\n"
    assert cli("tail", "-n", "0", f"{here.name}/f").stdout == ""
    rows = [json.loads(x) for x in cli("tail", "-n1", "--json", f"{here.name}/f").stdout.split("\n")[:-1]]
    assert rows == [{"offset": 782, "bytes": 8, "text": "line 99"}]


def test_tail_follow(here, tmp_path):
    (here.m / "f").write_text("old 1\nold 2\n")
    seen = tmp_path / "seen"
    with open(seen, "wb") as output:
        process = subprocess.Popen(
            [APPENDFS, "tail", "-f", "-n", "1", f"{here.name}/f"], stdout=output,
            env=environment(APPENDFS_MASTER=here.cluster.master),
        )
    try:
        wait_until(lambda: seen.read_text() == "old 2\n")
        with open(here.m2 / "f", "ab", buffering=0) as file:
            for i in range(10):
                file.write(f"new {i}\n".encode())
                wait_until(lambda i=i: seen.read_text().endswith(f"new {i}\n"))
            file.write(b"incomplete")
            file.write(b" no more\n")
        wait_until(lambda: seen.read_text().endswith("incomplete no more\n"))
        assert seen.read_text().count("incomplete") == 1
    finally:
        process.terminate()
        process.wait(10)


def test_ls(here, cli):
    (here.m / "b").write_text("12345")
    (here.m / "a").mkdir()
    (here.m / "l").symlink_to("b")
    assert cli("ls", here.name).stdout == "a\nb\nl\n"
    rows = cli("ls", "-l", here.name).stdout.splitlines()
    assert rows[0].startswith("drwx") and rows[0].endswith(" a")
    assert rows[1].startswith("-rw-r--r--") and " 5 " in rows[1]
    assert rows[2].endswith("l -> b")
    listed = {row["name"]: row for row in here.cluster.json("ls", here.name)}
    assert listed["b"]["size"] == 5 and listed["b"]["type"] == "regular file"
    assert listed["l"]["target"] == "b"
    assert listed["a"]["inode"] == os.stat(here.m / "a").st_ino
    assert here.cluster.json("ls", f"{here.name}/b")[0]["size"] == 5
    assert here.cluster.json("ls") == here.cluster.json("ls", "/")


def test_ls_of_many_entries(here, cli):
    for i in range(2500):
        os.close(os.open(here.m / f"{i:05d}", os.O_CREAT | os.O_WRONLY))
    assert cli("ls", here.name).stdout == "".join(f"{i:05d}\n" for i in range(2500))


def test_ls_of_odd_names(here, cli):
    os.close(os.open(os.fsencode(here.m) + b"/a\n\xff", os.O_CREAT | os.O_WRONLY))
    assert cli("ls", here.name).stdout == "a\\n\\xff\n"
    assert here.cluster.json("ls", here.name)[0]["name_hex"] == "610aff"


def test_stat(here, cli):
    (here.m / "f").write_text("hello")
    got = here.cluster.json("stat", f"{here.name}/f")
    expected = os.stat(here.m / "f")
    assert (got["inode"], got["size"], got["nlink"]) == (expected.st_ino, 5, 1)
    assert got["mtime_ns"] == expected.st_mtime_ns
    assert "size: 5" in cli("stat", f"{here.name}/f").stdout
    result = cli("stat", f"{here.name}/f", f"{here.name}/none", here.name, check=False)
    assert result.returncode == 3
    assert result.stdout.count("path:") == 2


def test_mkdir_mv_rm(here, cli):
    cli("mkdir", f"{here.name}/d")
    error_of(cli("mkdir", f"{here.name}/d", check=False), 4)
    error_of(cli("mkdir", f"{here.name}/x/y", check=False), 3)
    cli("mkdir", "-p", f"{here.name}/x/y/z", f"{here.name}/d")
    cli("mkdir", "-m", "700", f"{here.name}/private")
    assert os.stat(here.m / "private").st_mode & 0o777 == 0o700
    (here.m / "f").write_text("x")
    cli("mv", f"{here.name}/f", f"{here.name}/x/y")
    assert (here.m / "x/y/f").read_text() == "x"
    cli("mv", f"{here.name}/x/y/f", f"{here.name}/g")
    (here.m / "h").write_text("y")
    error_of(cli("mv", "-n", f"{here.name}/g", f"{here.name}/h", check=False), 4)
    cli("mv", "--exchange", f"{here.name}/g", f"{here.name}/h")
    assert (here.m2 / "h").read_text() == "x"
    assert "rm -r" in error_of(cli("rm", f"{here.name}/x", check=False), 4)
    cli("rm", "-r", f"{here.name}/x", f"{here.name}/g")
    error_of(cli("rm", f"{here.name}/g", check=False), 3)
    cli("rm", "-f", f"{here.name}/g")
    assert sorted(os.listdir(here.m2)) == ["d", "h", "private"]


def test_df(here, cli):
    got = here.cluster.json("df")
    assert 0 < got["available_bytes"] <= got["total_bytes"]
    assert got["files"] > 0
    assert "Available" in cli("df").stdout


def test_admin_file(here, cli):
    with open(here.m / "f", "ab", buffering=0) as file:
        file.write(b"hello\n")
        os.fsync(file.fileno())
    got = here.cluster.admin_file(f"{here.name}/f")
    assert got["size"] == 6
    assert len(got["chunks"]) == 1
    chunk = got["chunks"][0]
    assert len(chunk["replicas"]) == 3
    assert len({r["address"] for r in chunk["replicas"]}) == 3
    assert all(r["reachable"] and not r["damaged"] for r in chunk["replicas"])
    assert sum(r["primary"] for r in chunk["replicas"]) == 1
    assert sum(r["length"] == 6 for r in chunk["replicas"]) >= 2
    assert "primary" in cli("admin", "file", f"{here.name}/f").stdout
    error_of(cli("admin", "file", f"{here.name}/none", check=False), 3)


def test_admin_servers_and_status(here, cli):
    servers = here.cluster.json("admin", "servers")
    assert len(servers) == 3 and all(s["alive"] for s in servers)
    assert len({s["server_id"] for s in servers}) == 3
    here.cluster.wait_healthy()
    status = here.cluster.json("admin", "status")
    assert status["servers_alive"] == 3
    assert status["sessions"] >= 2
    assert "health: ok" in cli("admin", "status").stdout
    assert cli("admin", "servers").stdout.count("alive") == 3


def test_errors_as_json(here, cli):
    result = cli("cat", f"{here.name}/none", "--json", check=False)
    error = json.loads(result.stderr)["error"]
    assert error["reason"] == "no such file or directory"
    assert f"{here.name}/none" in error["message"]


def test_wrong_command_lines(cli):
    for arguments in (
        [], ["nonsense"], ["ls", "--nonsense"], ["put", "one"], ["admin"], ["cluster", "start"],
        ["tail", "-n", "x", "/f"], ["mkdir", "-m", "9", "/d"], ["ls", "/", "--timeout", "soon"],
        ["cluster", "start", "--dir", "/nonexistent/x", "--chunkservers", "0"],
    ):
        result = cli(*arguments, check=False)
        assert result.returncode == 2, (arguments, result)
        assert result.stderr.startswith("appendfs: ")


def test_options_from_environment_and_file(here, tmp_path):
    conf = tmp_path / "appendfs.conf"
    conf.write_text(f'master = "{here.cluster.master}"\n')
    (here.m / "f").touch()
    by_file = run(APPENDFS, "--config", conf, "ls", here.name, env=environment())
    assert by_file.stdout == "f\n"
    conf.write_text('master = "127.0.0.1:1"\njson = true\n')
    by_both = run(
        APPENDFS, "ls", here.name, "--config", conf,
        env=environment(APPENDFS_MASTER=here.cluster.master),
    )
    assert json.loads(by_both.stdout)[0]["name"] == "f"


def test_broken_pipe_ends_quietly(here):
    (here.m / "f").write_bytes(bytes(4 << 20))
    with subprocess.Popen(
        [APPENDFS, "cat", f"{here.name}/f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(APPENDFS_MASTER=here.cluster.master),
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(20) != 0
        assert process.stderr.read() == b""
