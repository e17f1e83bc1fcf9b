"""One case, or more, for every row of the table CALLS in mount.appendfs(8).

A case says which row it is about: @call("rename"). test_posix_table.py holds
the two against each other."""


def pytest_configure(config):
    config.addinivalue_line("markers", "call(row): the row of CALLS in mount.appendfs(8) this is about")
