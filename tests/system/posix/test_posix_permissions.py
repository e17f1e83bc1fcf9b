"""Who may do what: users, groups, sticky and setgid directories, read-only mounts."""

import errno
import os
import stat

from calls import as_user, call, enterable, opened
from tools import fails_with

USER, OTHER, GROUP = 1234, 1235, 4321


@call("umask")
def test_modes_of_new_names(here):
    old = os.umask(0o027)
    try:
        os.close(os.open(here.m / "f", os.O_WRONLY | os.O_CREAT, 0o666))
        os.mkdir(here.m / "d", 0o777)
        os.mkfifo(here.m / "p", 0o666)
    finally:
        os.umask(old)
    assert os.stat(here.m2 / "f").st_mode & 0o7777 == 0o640
    assert os.stat(here.m2 / "d").st_mode & 0o7777 == 0o750
    assert os.stat(here.m2 / "p").st_mode & 0o7777 == 0o640


@call("permissions")
def test_modes_bind_other_users(here):
    enterable(here)
    (here.m / "secret").write_text("x")
    os.chmod(here.m / "secret", 0o600)
    (here.m / "public").write_text("x")
    os.chmod(here.m / "public", 0o644)
    (here.m / "mine").write_text("x")
    os.chown(here.m / "mine", USER, GROUP)
    os.chmod(here.m / "mine", 0o600)

    def read(name):
        with opened(here.m / name, os.O_RDONLY) as fd:
            assert os.read(fd, 10) == b"x"

    assert as_user(USER, GROUP, lambda: read("secret")) == errno.EACCES
    assert as_user(USER, GROUP, lambda: read("public")) == 0
    assert as_user(USER, GROUP, lambda: read("mine")) == 0
    assert as_user(OTHER, GROUP, lambda: read("mine")) == errno.EACCES
    assert as_user(USER, GROUP, lambda: os.listdir(here.m)) == 0
    assert as_user(USER, GROUP, lambda: os.mkdir(here.m / "d")) == errno.EACCES
    assert as_user(USER, GROUP, lambda: os.unlink(here.m / "public")) == errno.EACCES
    append = os.O_WRONLY | os.O_APPEND
    assert as_user(USER, GROUP, lambda: os.open(here.m / "public", append)) == errno.EACCES
    assert as_user(OTHER, GROUP, lambda: os.chmod(here.m / "mine", 0o666)) == errno.EPERM
    assert as_user(OTHER, GROUP, lambda: os.chown(here.m / "mine", OTHER, -1)) == errno.EPERM
    assert not os.access(here.m / "public", os.X_OK)


@call("permissions")
def test_new_files_belong_to_who_makes_them(here):
    enterable(here)
    os.chmod(here.m, 0o777)

    def make():
        (here.m / "f").write_text("x")
        (here.m / "d").mkdir()
        (here.m / "l").symlink_to("f")

    assert as_user(USER, GROUP, make) == 0
    for name in ("f", "d", "l"):
        got = os.lstat(here.m2 / name)
        assert (got.st_uid, got.st_gid) == (USER, GROUP)


@call("supplementary groups")
def test_every_group_of_a_user_counts(here):
    enterable(here)
    path = here.m / "f"
    path.write_text("x")
    os.chown(path, 0, GROUP)
    os.chmod(path, 0o640)

    def read():
        os.close(os.open(path, os.O_RDONLY))

    assert as_user(USER, USER, read) == errno.EACCES
    assert as_user(USER, USER, read, groups=[GROUP]) == 0
    # Also for giving a file away to a group.
    os.chown(path, USER, USER)
    assert as_user(USER, USER, lambda: os.chown(path, -1, GROUP)) == errno.EPERM
    assert as_user(USER, USER, lambda: os.chown(path, -1, GROUP), groups=[GROUP]) == 0
    assert os.stat(here.m2 / "f").st_gid == GROUP


@call("setgid directories")
def test_setgid_directory_hands_its_group_on(here):
    (here.m / "d").mkdir()
    os.chown(here.m / "d", 0, 77)
    os.chmod(here.m / "d", 0o2775)
    (here.m / "d/f").touch()
    (here.m / "d/sub").mkdir()
    assert os.stat(here.m2 / "d/f").st_gid == 77
    assert os.stat(here.m2 / "d/sub").st_gid == 77
    assert os.stat(here.m2 / "d/sub").st_mode & stat.S_ISGID


@call("sticky directories")
def test_only_owners_remove_from_a_sticky_directory(here):
    enterable(here)
    (here.m / "d").mkdir()
    os.chmod(here.m / "d", 0o1777)
    for name in ("mine", "moved"):
        (here.m / "d" / name).touch()
        os.chown(here.m / "d" / name, USER, USER)

    def move():
        os.rename(here.m / "d/moved", here.m / "d/taken")

    assert as_user(OTHER, OTHER, lambda: os.unlink(here.m / "d/mine")) == errno.EPERM
    assert as_user(OTHER, OTHER, move) == errno.EPERM
    assert as_user(USER, USER, lambda: os.unlink(here.m / "d/mine")) == 0
    assert as_user(USER, USER, move) == 0
    assert os.listdir(here.m2 / "d") == ["taken"]


@call("set-user-ID files")
def test_write_by_another_user_takes_privileges_away(here):
    enterable(here)
    path = here.m / "f"
    path.write_text("x")
    os.chmod(path, 0o6777)

    def append():
        with open(path, "ab") as file:
            file.write(b"y")

    append()  # root may
    assert os.stat(here.m2 / "f").st_mode & 0o7777 == 0o6777
    assert as_user(USER, USER, append) == 0
    assert os.stat(here.m2 / "f").st_mode & 0o7777 == 0o777


@call("a read-only mount")
def test_read_only_mount(here):
    (here.m / "file").write_text("x\n")
    with here.cluster.mounted("ro") as point:
        inside = point / here.name[1:]
        assert (inside / "file").read_text() == "x\n"
        for act in (
            lambda: os.open(inside / "file", os.O_WRONLY | os.O_APPEND),
            lambda: os.open(inside / "new", os.O_WRONLY | os.O_CREAT),
            lambda: os.mkdir(inside / "d"),
            lambda: os.unlink(inside / "file"),
            lambda: os.rename(inside / "file", inside / "other"),
            lambda: os.chmod(inside / "file", 0o600),
        ):
            with fails_with(errno.EROFS):
                act()
    assert os.listdir(here.m) == ["file"]
