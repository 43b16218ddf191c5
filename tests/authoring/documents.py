"""Documents of every kind, written by the tests themselves."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def docx(path: Path) -> Path:
    """A title, two headings, a list, a table with a merged cell, and a footnote-free body."""
    from docx import Document

    document = Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Handbook", 0)
    document.add_heading("Setup", 1)
    document.add_paragraph("Plug it in.")
    document.add_paragraph("Wait a minute.", style="List Bullet")
    document.add_heading("Faults", 2)
    table = document.add_table(rows=2, cols=3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "Light"
    table.cell(0, 2).text = "Meaning"
    for at, text in enumerate(("red", "blinking", "too hot")):
        table.cell(1, at).text = text
    document.add_heading("保养", 1)
    document.add_paragraph("每年清洗一次。")
    document.save(str(path))
    return path


def pptx(path: Path) -> Path:
    """Two slides, the first with speaker notes and a table."""
    from pptx import Presentation
    from pptx.util import Inches

    slides = Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Results"
    slide.placeholders[1].text_frame.text = "Sales doubled"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
    for row, cells in enumerate((("Year", "Sales"), ("2025", "12"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    slide.notes_slide.notes_text_frame.text = "Thank the team."
    second = slides.slides.add_slide(slides.slide_layouts[5])
    second.shapes.title.text = "展望"
    slides.save(str(path))
    return path


def pdf(path: Path, pages: Sequence[str], *, header: str = "", outline: bool = False, password: str = "") -> Path:
    """One page for each text, with a running header and page numbers where a header is given."""
    from fpdf import FPDF

    file = FPDF()
    file.set_auto_page_break(False)
    file.set_font("Helvetica", size=12)
    if password:
        file.set_encryption(owner_password="owner", user_password=password)
    for number, text in enumerate(pages, 1):
        file.add_page()
        if header:
            file.cell(0, 10, header, new_x="LMARGIN", new_y="NEXT")
        if outline:
            file.start_section(f"Part {number}")
        if text:
            file.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
        if header:
            file.set_y(-20)
            file.cell(0, 10, f"- {number} -")
    file.output(str(path))
    return path


def epub(path: Path, chapters: Mapping[str, str], *, locked: bool = False) -> Path:
    """A book whose chapters are the bodies of its pages."""
    items = "".join(
        f'<item id="c{at}" href="text/{name}" media-type="application/xhtml+xml"/>' for at, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Book</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        "</container>"
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", container)
        book.writestr("OEBPS/content.opf", package)
        if locked:
            book.writestr(
                "META-INF/encryption.xml",
                '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
                '<enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>'
                "</enc:EncryptedData></encryption>",
            )
        for name, body in chapters.items():
            head = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
            book.writestr(f"OEBPS/text/{name}", f"{head}<body>{body}</body></html>")
    return path


def xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]], merged: Mapping[str, str] | None = None) -> Path:
    """Sheets by name; merged: sheet → range such as A2:A4."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        if merged and name in merged:
            sheet.merge_cells(merged[name])
    book.save(path)
    return path


def xls(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """The old Excel format."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    for at, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(at, column, value)
    book.save(str(path))
    return path
