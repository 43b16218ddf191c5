"""What a person is given to type means the same in their shell."""

import shlex

from tunesmith.config.shell import quoted, shell_line


def test_a_folder_with_anything_in_its_name_is_one_word() -> None:
    awkward = "saves/it's $HOME"
    assert shlex.split(f"tunesmith chat {quoted(awkward, windows=False)}") == ["tunesmith", "chat", awkward]
    assert quoted(awkward, windows=True) == "'saves/it''s $HOME'"
    assert quoted("saves/mine", windows=False) == quoted("saves/mine", windows=True) == "saves/mine"
    assert shell_line([["tunesmith", "chat", awkward]], windows=True) == "tunesmith chat 'saves/it''s $HOME'"
