"""Cookies in files: made once, for their owner alone, and found by the user's other programs."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError
from chordnet.home import (
    MOST_COOKIES,
    cookie_paths,
    cookies_in,
    home_directory,
    make_cookie,
    network_directory,
    read_cookie,
)


class HomeTests(SynchronousTestCase):
    def test_the_variable_names_the_directory(self) -> None:
        self.assertEqual(home_directory({"CHORDNET_HOME": "/x/y"}), Path("/x/y"))

    def test_a_user_that_does_not_exist_has_none(self) -> None:
        environment = {"CHORDNET_HOME": "~nobody-of-that-name/x"}
        problem = self.assertRaises(ConfigError, home_directory, environment)
        self.assertIn("has no home directory here; name a directory in full", str(problem))


class CookieTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()

    def test_a_cookie_is_made_once_and_is_the_same_for_everybody_after(self) -> None:
        path = self.home / "cookie"
        made = make_cookie(path)
        self.assertEqual(len(made), 32)
        self.assertEqual((make_cookie(path), read_cookie(path)), (made, made))
        self.assertNotEqual(make_cookie(self.home / "other"), made)
        self.assertEqual(sorted(each.name for each in self.home.iterdir()), ["cookie", "other"])

    def test_no_other_user_may_read_a_cookie_or_look_into_its_directory(self) -> None:
        path = self.home / "below" / "cookie"
        make_cookie(path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
        path.chmod(0o644)
        make_cookie(path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_what_is_no_cookie_is_refused_with_what_to_do(self) -> None:
        path = self.home / "cookie"
        make_cookie(path)
        for text in (b"", b"x" * 64, b"a" * 63, b"a" * 65, b"A" * 64, b"a" * 64 + b"\nmore"):
            path.write_bytes(text)
            for use in (read_cookie, make_cookie):
                problem = str(self.assertRaises(ConfigError, use, path))
                self.assertIn(
                    f"{path} holds no cookie of 64 hexadecimal digits; remove it", problem
                )

    def test_a_file_that_is_not_there_or_cannot_be_made_is_named(self) -> None:
        missing = self.home / "cookie"
        problem = str(self.assertRaises(ConfigError, read_cookie, missing))
        self.assertEqual(problem, f"the cookie {missing} cannot be read: No such file or directory")
        self.home.write_text("a file")
        problem = str(self.assertRaises(ConfigError, make_cookie, missing))
        self.assertIn(f"the cookie {missing} cannot be made: ", problem)

    def test_a_client_looks_in_the_network_that_it_wants_and_then_in_the_users_own(self) -> None:
        self.assertEqual(
            cookie_paths(self.home, "blue"),
            [network_directory(self.home, "blue") / "cookie", self.home / "cookie"],
        )

    def test_a_client_that_wants_any_network_looks_in_those_changed_last(self) -> None:
        for number in range(MOST_COOKIES + 1):
            path = network_directory(self.home, f"n{number}") / "cookie"
            make_cookie(path)
            os.utime(path, (number, number))
        found = cookie_paths(self.home)
        self.assertEqual([path.parent.name for path in found[:2]], ["n8", "n7"])
        self.assertEqual((len(found), found[-1]), (MOST_COOKIES, self.home / "cookie"))

    def test_files_without_a_cookie_are_passed_over(self) -> None:
        one = make_cookie(self.home / "one")
        (self.home / "two").write_text("nothing")
        paths = [self.home / name for name in ("none", "one", "two")]
        self.assertEqual(cookies_in(paths), [one])
