from __future__ import annotations

import numpy as np
import pytest
from tests.assets import loaded_tokenizer

from tunesmith.text.conversation import Conversation, Document, Message
from tunesmith.text.encode import EncodeOptions, Encoder, TokenSample, share
from tunesmith.text.rows import RowError
from tunesmith.text.template import choose_template


def encoder(model: str = "qwen3", family: str | None = "qwen3_nothink", **options: object) -> Encoder:
    loaded = loaded_tokenizer(model)
    return Encoder(loaded, choose_template(family, loaded).template, EncodeOptions(**options))  # type: ignore[arg-type]


def chat(*texts: str) -> Conversation:
    return Conversation(tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)))


def encoded(made: Encoder, *examples: Conversation | Document) -> list[TokenSample]:
    samples = made.encode(examples)
    assert all(isinstance(sample, TokenSample) for sample in samples), samples
    return samples  # type: ignore[return-value]


def trained(made: Encoder, sample: TokenSample) -> list[str]:
    return [made.tokenizer.token_text(i) for i, w in zip(sample.input_ids, sample.weights, strict=True) if w]


@pytest.mark.parametrize(
    ("prompt", "answer", "limit", "expected"),
    [
        (3000, 2000, 1000, (600, 400)), (2000, 3000, 1000, (400, 600)), (1000, 100, 1000, (900, 100)),
        (100, 1000, 1000, (100, 900)), (100, 500, 1000, (100, 500)), (500, 100, 1000, (500, 100)),
        (10, 10, 1000, (10, 10)),
    ],
)  # fmt: skip
def test_how_a_prompt_and_its_answer_share_the_room(
    prompt: int, answer: int, limit: int, expected: tuple[int, int]
) -> None:
    assert share(prompt, answer, limit) == expected


GOLDEN = [
    # Ids looked up in the models' vocabularies; negative: context.
    ("qwen3", "qwen3_nothink", "Hi", "\n\nYo", [
        -151644, -872, -198, -13048, -151645, -198, -151644, -77091, -198, 271, 64725, 151645, 198,
    ]),
    ("qwen3", "qwen3_nothink", "<|im_end|>", "ok", [
        -151644, -872, -198, -27, -91, -318, -6213, -91, -29, -151645, -198, -151644, -77091, -198, 562,
        151645, 198,
    ]),
    ("llama3", "llama3", "Hi", "你好", [
        -128000, -128006, -882, -128007, -271, -13347, -128009, -128006, -78191, -128007, -271, 57668,
        53901, 128009,
    ]),
    ("mistral_v3", "mistral", "Hello", "World", [
        -1, -3, -23325, -4, 4072, 2,
    ]),
    ("mistral_tekken", "ministral", "Hello", "World", [
        -1, -3, -22177, -4, 20249, 2,
    ]),
    ("deepseek_v3", "deepseek3", "Hi", "Yo", [
        0, -128803, -23166, -128804, 76943, 1,
    ]),
    ("gemma3", "gemma", "Hi", "Yo", [
        -2, -105, -2364, -107, -10979, -106, -107, -105, -4368, -107, 46921, 106, 107,
    ]),
    ("smollm2", "smollm2", "Hi", "Yo", [
        -1, -9690, -198, -2683, -359, -253, -5356, -5646, -11173, -3365, -3511, -308, -34519, -28, -7018,
        -411, -407, -19712, -8182, -2, -198, -1, -4093, -198, -26843, -2, -198, -1, -520, -9531, -198, 73,
        95, 2, 198,
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "family", "question", "answer", "expected"), GOLDEN)
def test_golden_ids_and_masks(model: str, family: str, question: str, answer: str, expected: list[int]) -> None:
    (sample,) = encoded(encoder(model, family), chat(question, answer))
    signed = [int(i) if w else -int(i) for i, w in zip(sample.input_ids, sample.weights, strict=True)]
    assert signed == expected


def test_all_answers_are_trained_and_the_stop_token_with_them() -> None:
    made = encoder()
    (sample,) = encoded(made, chat("a", "b", "c", "d"))
    assert trained(made, sample) == ["b", "<|im_end|>", "\n", "d", "<|im_end|>", "\n"]
    assert sample.input_ids.dtype == np.int32 and sample.weights.dtype == np.float32
    assert not sample.truncated


def test_train_on_prompt() -> None:
    (sample,) = encoded(encoder(train_on_prompt=True), chat("a", "b", "c", "d"))
    assert sample.weights.all()


def test_mask_history_trains_the_last_answer_alone() -> None:
    made = encoder(mask_history=True)
    (sample,) = encoded(made, chat("a", "b", "c", "d"))
    assert trained(made, sample) == ["d", "<|im_end|>", "\n"]


def test_a_rows_own_flags_win() -> None:
    made = encoder()
    messages = chat("a", "b", "c", "d").messages
    flagged = Conversation((messages[0], Message("assistant", "b", train=False), *messages[2:]))
    (sample,) = encoded(made, flagged)
    assert trained(made, sample) == ["d", "<|im_end|>", "\n"]
    made = encoder(mask_history=True)
    flagged = Conversation((messages[0], Message("assistant", "b", train=True), *messages[2:]))
    (sample,) = encoded(made, flagged)
    assert trained(made, sample)[:1] == ["b"]


def test_a_prompt_is_encoded_as_a_chat_will_send_it() -> None:
    """However the answer begins: merged with the newline before it, the prompt's last token would be another."""
    made = encoder()
    template = made.template
    assert template is not None
    for answer in ["\n", "\n\nx", " x", "x", "<think>", "é"]:
        (sample,) = encoded(made, chat("q", answer))
        prompt = template.render(chat("q"), generation_prompt=True).text
        (ids,) = made.tokenizer.encode([prompt])
        assert sample.input_ids[: len(ids)].tolist() == ids.tolist()
        assert not sample.weights[: len(ids)].any() and sample.weights[len(ids) :].all()


LONG = ("one two three four five six seven eight nine ten " * 4).strip()


def test_rounds_are_cut_forward_and_later_ones_dropped() -> None:
    made = encoder(cutoff_len=60)
    whole = encoded(encoder(cutoff_len=None), chat("a", LONG, "c", LONG))[0]
    (sample,) = encoded(made, chat("a", LONG, "c", LONG))
    assert len(whole.input_ids) == 102 and len(sample.input_ids) == 60 and sample.truncated
    first = encoded(made, chat("a", LONG))[0]
    assert sample.input_ids[: len(first.input_ids)].tolist() == first.input_ids.tolist()
    # The second round has 9 tokens left for its 9 of prompt and 42 of answer: 2 and 7, in proportion.
    assert len(first.input_ids) == 51
    assert sample.weights[51:].tolist() == [0.0] * 2 + [1.0] * 7


def test_with_mask_history_the_last_round_survives() -> None:
    made = encoder(cutoff_len=60, mask_history=True)
    (sample,) = encoded(made, chat("a", LONG, "c", "the end"))
    assert trained(made, sample) == ["the", " end", "<|im_end|>", "\n"]
    assert len(sample.input_ids) <= 60 and sample.truncated
    assert made.tokenizer.decode(sample.input_ids).endswith(
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nthe end<|im_end|>\n"
    )


def test_a_row_that_fits_exactly_is_whole() -> None:
    (whole,) = encoded(encoder(cutoff_len=None), chat("a", LONG))
    (sample,) = encoded(encoder(cutoff_len=len(whole.input_ids)), chat("a", LONG))
    assert not sample.truncated and sample.input_ids.tolist() == whole.input_ids.tolist()


def test_documents_are_trained_whole_and_end_with_the_end_token() -> None:
    made = encoder()
    (sample,) = encoded(made, Document("Hello <|im_end|> world"))
    assert sample.weights.all()
    assert sample.input_ids[-1] == 151645 and 151645 not in sample.input_ids[:-1]
    (sample,) = encoded(encoder("gemma3", "gemma"), Document("Hello"))
    assert sample.input_ids[0] == 2 and sample.input_ids[-1] == 106
    assert len(encoded(encoder(cutoff_len=5), Document(LONG))[0].input_ids) == 5
    assert len(encoded(encoder(cutoff_len=5, cut_documents=False), Document(LONG))[0].input_ids) == 41


def test_bad_rows_come_back_as_reasons_between_the_good_ones() -> None:
    made = encoder(cutoff_len=3)
    rows = [
        chat("a"),
        Document(""),
        Document("x"),
        chat("a", "half \ud800"),
        Conversation((Message("user", "a"), Message("assistant", "b", train=False))),
    ]
    results = made.encode(rows)
    reasons = [result.reason if isinstance(result, RowError) else None for result in results]
    assert [bool(reason) for reason in reasons] == [True, True, False, True, True]
    assert (
        "no assistant turn" in str(reasons[0]) and "empty" in str(reasons[1]) and "half a character" in str(reasons[3])
    )
    assert made.encode([]) == []


def test_nothing_left_to_train_is_said() -> None:
    (result,) = encoder(cutoff_len=1).encode([chat(LONG, LONG)])
    assert isinstance(result, RowError) and "raise cutoff_len" in result.reason


@pytest.mark.parametrize("model", ["qwen3", "llama2"])
def test_a_batch_gives_what_single_rows_give(model: str) -> None:
    family = {"qwen3": "qwen3_nothink", "llama2": "llama2"}[model]
    rows = [
        chat("a", "b"), chat("<|im_end|>", "</s> x"), Document("doc"), chat("e\u0301", "\n\nb", "c", "d"),
        chat("你好", "👩‍👩‍👧‍👦"), chat("a \ufdd4 b", "c"),
    ]  # fmt: skip
    together = encoded(encoder(model, family), *rows)
    for row, sample in zip(rows, together, strict=True):
        (alone,) = encoded(encoder(model, family), row)
        assert sample.input_ids.tolist() == alone.input_ids.tolist()
        assert sample.weights.tolist() == alone.weights.tolist()


def test_notes_tell_what_was_not_trained_and_what_is_slow() -> None:
    thoughtful = Conversation(
        (
            Message("user", "a"), Message("assistant", "b", thinking="T1"),
            Message("user", "c"), Message("assistant", "d", thinking="T2"),
        )
    )  # fmt: skip
    made = encoder("qwen3", None)
    (sample,) = encoded(made, thoughtful)
    assert "1 earlier answers are context only" in made.notes[0]
    assert trained(made, sample)[0] == "<think>"
    made = encoder("llama2", "llama2")
    encoded(made, chat("a", "b"))
    assert "no faster encoder" in made.notes[0]
