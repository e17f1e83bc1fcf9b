"""What people type into a shell, on one mount, read on the other."""

import filecmp
import os

import pytest

from tools import bash, run


def make_tree(base):
    """A small tree with what archives have to keep."""
    (base / "sub/empty").mkdir(parents=True)
    (base / "sub/script.sh").write_text("#!/bin/sh\necho hi\n")
    (base / "sub/script.sh").chmod(0o750)
    (base / "big.bin").write_bytes(os.urandom(3 << 20))
    (base / "nothing").write_bytes(b"")
    (base / "name with spaces").write_text("x\n")
    (base / "link").symlink_to("sub/script.sh")
    os.link(base / "name with spaces", base / "hard link")
    os.utime(base / "big.bin", ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
    return base


def assert_same_tree(left, right):
    assert run("diff", "-r", "--no-dereference", left, right).stdout == ""


def test_bash_append_redirection(here):
    bash("echo one >> a.log; echo two >> a.log; printf 'three\\n' >> a.log", cwd=here.m)
    assert (here.m2 / "a.log").read_text() == "one\ntwo\nthree\n"


def test_bash_redirection_to_a_new_file(here):
    bash("seq 10000 > new; cat < new | wc -l > count", cwd=here.m)
    assert (here.m2 / "new").read_text() == "".join(f"{i}\n" for i in range(1, 10001))
    assert (here.m2 / "count").read_text().strip() == "10000"


def test_both_mounts_append_in_turn(here):
    for i in range(20):
        bash(f"echo {i} >> a.log", cwd=here.m if i % 2 else here.m2)
        assert (here.m if i % 2 == 0 else here.m2).joinpath("a.log").read_text().endswith(f"{i}\n")
    assert (here.m / "a.log").read_text() == "".join(f"{i}\n" for i in range(20))


def test_tee_append(here):
    bash("seq 1000 | tee -a t.log > /dev/null; seq 1001 2000 | tee -a t.log > /dev/null", cwd=here.m)
    assert (here.m2 / "t.log").read_text() == "".join(f"{i}\n" for i in range(1, 2001))


def test_dd_append(here, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(os.urandom(1_000_000))
    for _ in range(2):
        bash(f"dd if={part} of=d.bin oflag=append conv=notrunc bs=64k status=none", cwd=here.m)
    assert (here.m2 / "d.bin").read_bytes() == part.read_bytes() * 2


def test_dd_fsync_and_dsync(here, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(os.urandom(200_000))
    bash(f"dd if={part} of=s.bin oflag=append,dsync conv=notrunc,fsync bs=4k status=none", cwd=here.m)
    assert (here.m2 / "s.bin").read_bytes() == part.read_bytes()


def test_cp_to_a_new_file(here, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 << 20))
    run("cp", "-p", source, here.m / "copy")
    assert filecmp.cmp(source, here.m2 / "copy", shallow=False)
    assert os.stat(here.m2 / "copy").st_mtime_ns == source.stat().st_mtime_ns
    run("cp", here.m / "copy", here.m2 / "copy of copy")
    assert filecmp.cmp(source, here.m / "copy of copy", shallow=False)


def test_cp_sparse_file_leaves_zeros(here, tmp_path):
    source = tmp_path / "sparse"
    with open(source, "wb") as file:
        file.seek(1 << 20)
        file.write(b"middle")
        file.seek(3 << 20)
        file.write(b"end")
    run("cp", "--sparse=always", source, here.m / "sparse")
    assert filecmp.cmp(source, here.m2 / "sparse", shallow=False)


def test_cp_recursive(here, tmp_path):
    tree = make_tree(tmp_path / "tree")
    run("cp", "-a", tree, here.m / "tree")
    assert_same_tree(tree, here.m2 / "tree")


def test_tar_create_and_extract(here, tmp_path):
    tree = make_tree(tmp_path / "tree")
    run("tar", "--format=pax", "-cf", here.m / "t.tar", "-C", tree, ".")
    (here.m / "out").mkdir()
    run("tar", "xpf", here.m2 / "t.tar", "-C", here.m / "out")
    assert_same_tree(tree, here.m2 / "out")
    assert os.stat(here.m2 / "out/sub/script.sh").st_mode & 0o777 == 0o750
    assert os.stat(here.m2 / "out/big.bin").st_mtime_ns == (tree / "big.bin").stat().st_mtime_ns
    assert os.stat(here.m2 / "out/hard link").st_nlink == 2


@pytest.mark.parametrize("tool,suffix", [("gzip", "gz"), ("xz", "xz"), ("zstd --rm -q", "zst")])
def test_compress_and_expand(here, tmp_path, tool, suffix):
    text = "".join(f"line {i} of a log that compresses well\n" for i in range(50_000))
    # Long zeros: xz and zstd seek over them when they expand.
    data = text.encode() + bytes(1 << 20) + b"end"
    (tmp_path / "file").write_bytes(data)
    run("cp", tmp_path / "file", here.m / "file")
    bash(f"{tool} file", cwd=here.m)
    assert sorted(os.listdir(here.m2)) == [f"file.{suffix}"]
    bash(f"{tool} -d file.{suffix}", cwd=here.m2)
    assert (here.m / "file").read_bytes() == data


def test_sed_in_place(here):
    (here.m / "conf").write_text("a=1\nb=2\n")
    os.chmod(here.m / "conf", 0o640)
    bash("sed -i s/b=2/b=3/ conf", cwd=here.m)
    assert (here.m2 / "conf").read_text() == "a=1\nb=3\n"
    assert os.stat(here.m2 / "conf").st_mode & 0o777 == 0o640
    assert os.listdir(here.m2) == ["conf"]


def test_rsync_default_options(here, tmp_path):
    tree = make_tree(tmp_path / "tree")
    run("rsync", "-r", "-l", f"{tree}/", here.m / "copy")
    assert_same_tree(tree, here.m2 / "copy")
    (tree / "big.bin").write_bytes(os.urandom(1 << 20))
    run("rsync", "-a", f"{tree}/", here.m / "copy")
    assert_same_tree(tree, here.m2 / "copy")


def test_editors_that_write_a_new_file_and_rename(here):
    (here.m / "text").write_text("old\n")
    bash("printf 'new\\n' > text.tmp && mv text.tmp text", cwd=here.m)
    assert (here.m2 / "text").read_text() == "new\n"


def test_find_du_wc_and_grep(here):
    (here.m / "d/e").mkdir(parents=True)
    for i in range(30):
        (here.m / f"d/e/{i}.log").write_text(f"needle {i}\n" * 10)
    assert bash("find . -name '*.log' | wc -l", cwd=here.m2).stdout.strip() == "30"
    assert bash("grep -r 'needle 7$' . | wc -l", cwd=here.m2).stdout.strip() == "10"
    assert bash("cat d/e/*.log | wc -l", cwd=here.m2).stdout.strip() == "300"
    assert int(bash("du -sb --apparent-size d/e/7.log | cut -f1", cwd=here.m2).stdout) == 90


def test_rm_recursive(here, tmp_path):
    tree = make_tree(tmp_path / "tree")
    run("cp", "-a", tree, here.m / "tree")
    run("rm", "-r", here.m2 / "tree")
    assert os.listdir(here.m) == []
