"""Options that travel together: what they add to a command, and what it is given."""

import click
import pytest

from cka_cli.cli.bundles import Bundle, Option, deciding_options

SIZE = Bundle(
    lambda width, height: (width, height),
    Option(["--width"], type=int, default=2, help="How wide."),
    Option(["--height"], type=int, decides=False, help="How high."),
)
WORDS = Bundle(
    lambda words: " ".join(words),
    Option(["--word", "words"], multiple=True),
    Option(["--loud"], is_flag=True, expose_value=False),
)


@click.command()
@click.argument("name")
@WORDS
@click.option("--last", default="end")
@SIZE
def command(size, words, name, last):
    """Say what it is given."""
    return size, words, name, last, deciding_options()


def given(*typed):
    return command.main(["it", *typed], standalone_mode=False)


def test_each_bundle_gives_one_object_and_the_nearest_the_first():
    assert given("--word", "a", "--word", "b", "--height", "3")[:4] == ((2, 3), "a b", "it", "end")


def test_help_lists_options_in_the_order_of_the_decorators():
    names = [option.opts[0] for option in command.params if isinstance(option, click.Option)]
    assert names == ["--word", "--loud", "--last", "--width", "--height"]
    assert command.help == "Say what it is given."


def test_options_that_decide_nothing_are_left_out_and_arguments_too():
    assert given("--word", "a", "--height", "3", "--loud")[4] == {"words": ["a"], "last": "end", "width": 2}


def test_names_are_those_of_the_values():
    assert (SIZE.names, WORDS.names) == ({"width", "height"}, {"words"})


def test_what_is_wrong_with_the_farthest_is_said_first():
    def refuse(name):
        def build(**values):
            raise click.UsageError(name)

        return Bundle(build, Option([f"--{name}"]))

    @click.command()
    @refuse("far")
    @refuse("near")
    def wrong(near, far):
        """Never called."""

    with pytest.raises(click.UsageError, match="far"):
        wrong.main([], standalone_mode=False)
