"""What the headers of a table tell: which column holds the question, which the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Headers that tell their meaning, the surest first; compared without case, spaces and marks.
_HEADERS: Mapping[str, Sequence[str]] = {
    "instruction": (
        "instruction", "prompt", "question", "query", "questions", "userquestion", "user", "human", "q",
        "指令", "问题", "問題", "提问", "提問", "用户问题", "用戶問題", "用户提问",
        "标准问", "標準問", "标准问题", "问", "問",
    ),
    "output": (
        "output", "response", "answer", "reply", "completion", "answers", "target", "assistant", "gpt", "a",
        "输出", "輸出", "回答", "答案", "回复", "回覆", "答复", "答覆", "标准答案", "標準答案", "解答", "答",
    ),
    "input": ("input", "context", "background", "输入", "輸入", "上下文", "背景", "补充", "補充", "语境", "語境"),
    "system": (
        "system", "systemprompt", "persona", "系统", "系統", "系统提示", "系統提示", "系统提示词", "人设", "人設",
    ),
    "text": ("text", "content", "document", "passage", "正文", "内容", "內容", "文本", "全文", "原文"),
}  # fmt: skip


# Headers of what counts the rows, which is neither.
_COUNTERS = frozenset({"id", "no", "nr", "index", "number", "编号", "編號", "序号", "序號", "番号", "번호", "номер"})


def column_for(part: str, columns: Sequence[str]) -> str | None:
    """The column whose header names a part (a key of the table above), where one does."""
    plain = {_plain(name): name for name in reversed(columns)}
    return next((plain[word] for word in _HEADERS[part] if word in plain), None)


def likeliest(columns: Sequence[str]) -> tuple[str, str] | None:
    """(question, answer) to suggest to a person where not both headers tell: what is told, else the first column, and
    the one after it."""
    question, answer = column_for("instruction", columns), column_for("output", columns)
    others = [name for name in columns if name not in (question, answer) and _plain(name) not in _COUNTERS]
    if question is None and others:
        question = others.pop(0)
    if answer is None and others:
        answer = others[0]
    return None if question is None or answer is None else (question, answer)


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
